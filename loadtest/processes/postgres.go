package processes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

// PostgresLeast is the oldest version of PostgreSQL that serves.
const PostgresLeast = 15

var postgresVersion = regexp.MustCompile(`(\d+)`)

// FindPostgres is the folder of PostgreSQL's programs: what MUSTER_TEST_PG_BIN names, or where the postgres on PATH is, or
// where Debian keeps them off PATH. ErrMissing where there are none that are new enough.
func FindPostgres() (string, error) {
	candidates := []string{}
	if folder := os.Getenv("MUSTER_TEST_PG_BIN"); folder != "" {
		candidates = append(candidates, filepath.Join(folder, "postgres"))
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		candidates = append(candidates, path)
	}
	installed, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres") // the pattern is right
	var faults []error
	for _, path := range append(candidates, installed...) {
		folder, err := postgresPrograms(path)
		if err == nil {
			return folder, nil
		}
		faults = append(faults, err)
	}
	return "", errors.Join(append(faults, fmt.Errorf("%w: postgres and initdb", ErrMissing))...)
}

// postgresPrograms is the folder of a postgres that is new enough and has an initdb beside it.
func postgresPrograms(path string) (string, error) {
	if err := newEnough(path, postgresVersion, PostgresLeast); err != nil {
		return "", err
	}
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	folder := filepath.Dir(path)
	_, err = exec.LookPath(filepath.Join(folder, "initdb"))
	return folder, err
}

// InitPostgres makes the files of an empty PostgreSQL in a folder of that name within parent, which is made for it, and returns
// their folder. The superuser is muster, without a password. Where this process is root, whom PostgreSQL refuses, the files
// belong to the user postgres or nobody, who must be able to enter every folder above parent.
func InitPostgres(programs, parent string) (data string, err error) {
	if err := os.Mkdir(parent, 0o711); err != nil {
		return "", err
	}
	uid, gid, other, err := postgresUser()
	if err != nil {
		return "", err
	}
	if other {
		if err := os.Chown(parent, uid, gid); err != nil {
			return "", err
		}
	}
	data = filepath.Join(parent, "postgres")
	cmd, err := postgresCommand(filepath.Join(programs, "initdb"), "-D", data, "--username=muster", "--auth=trust", "--encoding=UTF8",
		"--locale=C", "--no-sync")
	if err != nil {
		return "", err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return data, nil
}

// postgresUser is whom PostgreSQL runs as where this process is root.
func postgresUser() (uid, gid int, other bool, err error) {
	if os.Geteuid() != 0 {
		return 0, 0, false, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		account, err = user.Lookup("nobody")
	}
	if err != nil {
		return 0, 0, false, fmt.Errorf("PostgreSQL refuses root, and there is no user for it: %w", err)
	}
	uid, err = strconv.Atoi(account.Uid)
	gid, fault := strconv.Atoi(account.Gid)
	return uid, gid, true, errors.Join(err, fault)
}

func postgresCommand(program string, args ...string) (*exec.Cmd, error) {
	cmd := exec.Command(program, args...)
	cmd.Dir = "/"
	uid, gid, other, err := postgresUser()
	if other {
		asUser(cmd, uid, gid)
	}
	return cmd, err
}

// PostgresOptions say how a PostgreSQL is to run.
type PostgresOptions struct {
	Programs string   // folder of the programs: see FindPostgres
	Data     string   // folder of the files: see InitPostgres
	Log      string   // file
	Apart    bool     // in a process group of its own: see Apart
	Settings []string // such as "max_connections=100", over all else
}

// Postgres is a PostgreSQL server, serializable by default, every commit synced. Its address and its files outlive the process.
// Not safe for concurrent use.
type Postgres struct {
	PostgresOptions
	port    int
	process *Process
}

// StartPostgres starts a server on a free port of loopback, which takes connections when this returns.
func StartPostgres(ctx context.Context, o PostgresOptions) (*Postgres, error) {
	p := &Postgres{PostgresOptions: o}
	var err error
	for range 10 { // another may take the port first
		if p.port, err = FreePort(); err != nil {
			return nil, err
		}
		if err = p.start(ctx); err == nil {
			return p, nil
		}
		if !errors.Is(err, ErrGone) {
			break
		}
	}
	return nil, fmt.Errorf("start postgres: %w\n%s", err, Tail(p.Log, 2000))
}

func (p *Postgres) start(ctx context.Context) error {
	args := []string{"-D", p.Data, "-p", strconv.Itoa(p.port)}
	for _, setting := range append([]string{"listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=on",
		"default_transaction_isolation=serializable"}, p.Settings...) {
		args = append(args, "-c", setting)
	}
	cmd, err := postgresCommand(filepath.Join(p.Programs, "postgres"), args...)
	if err != nil {
		return err
	}
	endBy(cmd, syscall.SIGINT) // which cuts its clients off
	if p.Apart {
		Apart(cmd)
	}
	started, err := Start(cmd, p.Log)
	if err != nil {
		return err
	}
	p.process = started
	err = Await(ctx, Patience, func(context.Context) error {
		if !started.Running() {
			return ErrGone
		}
		text, err := os.ReadFile(filepath.Join(p.Data, "postmaster.pid"))
		if err != nil {
			return err
		}
		lines := strings.Split(string(text), "\n")
		if len(lines) < 8 || lines[0] != strconv.Itoa(started.Pid()) || !strings.HasPrefix(lines[7], "ready") {
			return errors.New("the server is not ready")
		}
		return nil
	})
	if err != nil {
		p.Stop()
	}
	return err
}

// URL leads to the database postgres as the superuser.
func (p *Postgres) URL() string {
	return fmt.Sprintf("postgresql://muster@%s/postgres?sslmode=disable", Loopback(p.port))
}

// Pid is the first process's id.
func (p *Postgres) Pid() int { return p.process.Pid() }

// Running says whether the first process is not gone yet.
func (p *Postgres) Running() bool { return p.process.Running() }

// Kill ends the server and all its backends at once (SIGKILL).
func (p *Postgres) Kill() {
	backends := Children(p.Pid())
	p.process.Kill()
	for _, pid := range backends {
		_ = syscall.Kill(pid, syscall.SIGKILL) // backends whose postmaster is gone end by themselves, only later
	}
}

// Stop cuts clients off and returns when the server is gone. One that is down stays down.
func (p *Postgres) Stop() {
	if p.process.Running() {
		p.process.Stop(syscall.SIGINT, stopWithin)
	}
}

// Restart starts a server again at its old address on its old files and returns when it has recovered. One still running is
// killed first.
func (p *Postgres) Restart(ctx context.Context) error {
	if p.Running() {
		p.Kill()
	}
	// A backend that is still ending keeps the shared memory: the server refuses, and is asked again.
	return Await(ctx, Patience, func(ctx context.Context) error {
		if err := p.start(ctx); err != nil {
			return fmt.Errorf("%v\n%s", err, Tail(p.Log, 1000)) // not ErrGone: there is a next process
		}
		return nil
	})
}
