package installation

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"muster/allocator/allocatortest/servers"
	"muster/loadtest/processes"
)

// Postgres is the PostgreSQL of an installation: a database of the one that all tests share, or an instance of its own,
// which may be killed and frozen. Its address and files outlive the process.
type Postgres struct {
	tb     testing.TB
	url    string              // straight, past every link
	server *processes.Postgres // nil: the shared one
	frozen []int
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
	template, data := postgresTemplate(tb), filepath.Join(dir, "postgres")
	if out, err := exec.Command("cp", "-a", template, data).CombinedOutput(); err != nil {
		tb.Fatalf("copy %s: %v\n%s", template, err, out)
	}
	server, err := processes.StartPostgres(context.Background(), processes.PostgresOptions{
		Programs: postgresPrograms(tb), Data: data, Log: filepath.Join(dir, "postgres.log"),
		Settings: []string{"max_connections=100", "shared_buffers=32MB"},
	})
	if err != nil {
		tb.Fatal(err)
	}
	p := &Postgres{tb: tb, url: server.URL(), server: server}
	tb.Cleanup(p.stop)
	return p
}

// postgresTemplate makes the files of an empty database, once per test binary.
func postgresTemplate(tb testing.TB) string {
	tb.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.template == "" {
		template, err := processes.InitPostgres(postgresPrograms(tb), filepath.Join(sharedFolder(tb), "template"))
		if err != nil {
			tb.Fatal(err)
		}
		shared.template = template
	}
	return shared.template
}

func postgresPrograms(tb testing.TB) string {
	tb.Helper()
	folder := os.Getenv("MUSTER_TEST_PG_BIN")
	if folder == "" {
		servers.Postgres(tb) // skips or fails, with the remedy
		tb.Fatal("MUSTER_TEST_PG_BIN is not set")
	}
	return folder
}

func (p *Postgres) owned() {
	p.tb.Helper()
	if p.server == nil {
		p.tb.Fatal("this installation uses the shared PostgreSQL, which nobody may stop: ask for one of its own")
	}
}

// Kill ends the server and all its backends at once (SIGKILL).
func (p *Postgres) Kill() {
	p.tb.Helper()
	p.owned()
	p.server.Kill()
}

// Restart starts a killed server again on its files and waits until it has recovered.
func (p *Postgres) Restart() {
	p.tb.Helper()
	p.owned()
	if err := p.server.Restart(context.Background()); err != nil {
		p.tb.Errorf("restart postgres: %v", err)
	}
}

// Pause freezes the server and all its backends (SIGSTOP).
func (p *Postgres) Pause() {
	p.tb.Helper()
	p.owned()
	pid := p.server.Pid()
	_ = syscall.Kill(pid, syscall.SIGSTOP)
	p.frozen = append(processes.Children(pid), pid)
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
	p.Resume()
	p.server.Stop()
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
