package installation

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"muster/allocator/allocatortest/servers"
)

// Postgres is the PostgreSQL of an installation: a database of the one that all tests share, or an instance of its own,
// which may be killed and frozen. Its address and files outlive the process.
type Postgres struct {
	tb      testing.TB
	url     string // straight, past every link
	data    string // "": the shared one
	logPath string
	port    int
	process *process
	frozen  []int
}

// URL leads straight to the database, past every link.
func (p *Postgres) URL() string { return p.url }

func (p *Postgres) host() string {
	u, err := url.Parse(p.url)
	if err != nil {
		p.tb.Fatalf("the ledger's address: %v", err)
	}
	return u.Host
}

// through is the URL with another host:port.
func (p *Postgres) through(host string) string {
	u, _ := url.Parse(p.url) // host has parsed it
	u.Host = host
	return u.String()
}

func sharedPostgres(tb testing.TB) *Postgres {
	tb.Helper()
	return &Postgres{tb: tb, url: servers.Postgres(tb)}
}

// ownPostgres starts an instance from a copy of the template.
func ownPostgres(tb testing.TB, dir string) *Postgres {
	tb.Helper()
	template := postgresTemplate(tb)
	p := &Postgres{tb: tb, data: filepath.Join(dir, "postgres"), logPath: filepath.Join(dir, "postgres.log")}
	if out, err := exec.Command("cp", "-a", template, p.data).CombinedOutput(); err != nil {
		tb.Fatalf("copy %s: %v\n%s", template, err, out)
	}
	tb.Cleanup(p.stop)
	var err error
	for range 10 {
		if p.port, err = freePort(); err != nil {
			break
		}
		if err = p.start(); err == nil {
			p.url = fmt.Sprintf("postgresql://muster@%s/postgres?sslmode=disable", loopback(p.port))
			return p
		}
	}
	tb.Fatalf("start postgres: %v\n%s", err, tail(p.logPath, 2000))
	return nil
}

// postgresTemplate makes the files of an empty database, once per test binary.
func postgresTemplate(tb testing.TB) string {
	tb.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.template != "" {
		return shared.template
	}
	// initdb makes its folder itself, as the user that the server will be.
	parent := filepath.Join(sharedFolder(tb), "template")
	if err := os.Mkdir(parent, 0o711); err != nil {
		tb.Fatal(err)
	}
	template := filepath.Join(parent, "postgres")
	cmd := postgresCommand(tb, "initdb", "-D", template, "--username=muster", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
	if uid, gid, other := postgresUser(tb); other {
		if err := os.Chown(parent, uid, gid); err != nil {
			tb.Fatal(err)
		}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("initdb: %v\n%s", err, out)
	}
	shared.template = template
	return template
}

// postgresUser is whom PostgreSQL runs as where the tests run as root, whom it refuses.
func postgresUser(tb testing.TB) (uid, gid int, other bool) {
	tb.Helper()
	if os.Geteuid() != 0 {
		return 0, 0, false
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		account, err = user.Lookup("nobody")
	}
	if err != nil {
		tb.Fatalf("PostgreSQL refuses root, and there is no user for it: %v", err)
	}
	uid, _ = strconv.Atoi(account.Uid)
	gid, _ = strconv.Atoi(account.Gid)
	return uid, gid, true
}

func postgresCommand(tb testing.TB, program string, args ...string) *exec.Cmd {
	tb.Helper()
	folder := os.Getenv("MUSTER_TEST_PG_BIN")
	if folder == "" {
		servers.Postgres(tb) // skips or fails, with the remedy
		tb.Fatal("MUSTER_TEST_PG_BIN is not set")
	}
	cmd := exec.Command(filepath.Join(folder, program), args...)
	cmd.Dir = "/"
	if uid, gid, other := postgresUser(tb); other {
		asUser(cmd, uid, gid)
	}
	return cmd
}

func (p *Postgres) start() error {
	cmd := postgresCommand(p.tb, "postgres", "-D", p.data, "-p", strconv.Itoa(p.port), "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories=", "-c", "default_transaction_isolation=serializable", "-c", "max_connections=100",
		"-c", "shared_buffers=32MB")
	started, err := startProcess(cmd, p.logPath)
	if err != nil {
		return err
	}
	p.process = started
	return await(patience, func() error {
		if !started.running() {
			return errGone
		}
		text, err := os.ReadFile(filepath.Join(p.data, "postmaster.pid"))
		if err != nil {
			return err
		}
		lines := strings.Split(string(text), "\n")
		if len(lines) < 8 || lines[0] != strconv.Itoa(started.cmd.Process.Pid) || !strings.HasPrefix(lines[7], "ready") {
			return fmt.Errorf("the server is not ready")
		}
		return nil
	})
}

func (p *Postgres) owned() {
	p.tb.Helper()
	if p.data == "" {
		p.tb.Fatal("this installation uses the shared PostgreSQL, which nobody may stop: ask for one of its own")
	}
}

// Kill ends the server and all its backends at once (SIGKILL).
func (p *Postgres) Kill() {
	p.tb.Helper()
	p.owned()
	backends := childrenOf(p.process.cmd.Process.Pid)
	p.process.kill()
	for _, pid := range backends {
		_ = syscall.Kill(pid, syscall.SIGKILL) // backends whose postmaster is gone end by themselves, only later
	}
}

// Restart starts a killed server again on its files and waits until it has recovered.
func (p *Postgres) Restart() {
	p.tb.Helper()
	p.owned()
	if p.process.running() {
		p.Kill()
	}
	// A backend that is still ending keeps the shared memory: the server refuses, and is asked again.
	err := await(patience, func() error {
		if err := p.start(); err != nil {
			return fmt.Errorf("%v\n%s", err, tail(p.logPath, 1000))
		}
		return nil
	})
	if err != nil {
		p.tb.Errorf("restart postgres: %v", err)
	}
}

// Pause freezes the server and all its backends (SIGSTOP).
func (p *Postgres) Pause() {
	p.tb.Helper()
	p.owned()
	pid := p.process.cmd.Process.Pid
	_ = syscall.Kill(pid, syscall.SIGSTOP)
	p.frozen = append(childrenOf(pid), pid)
	for _, child := range p.frozen {
		_ = syscall.Kill(child, syscall.SIGSTOP) // one that ended meanwhile needs no freezing
	}
}

// Resume lets a frozen server go on.
func (p *Postgres) Resume() {
	for _, pid := range p.frozen {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
	p.frozen = nil
}

func (p *Postgres) stop() {
	if p.process != nil && p.process.running() {
		p.Resume()
		p.process.end(syscall.SIGINT) // clients are cut off
	}
}

// Terminate ends every connection to the database from the server's side, in whatever they are doing, and says how many.
func (p *Postgres) Terminate(ctx context.Context) (int, error) {
	c, err := pgx.Connect(ctx, p.url)
	if err != nil {
		return 0, err
	}
	defer c.Close(ctx)
	var ended int
	err = c.QueryRow(ctx, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()`).Scan(&ended)
	return ended, err
}
