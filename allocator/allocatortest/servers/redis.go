package servers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
)

// SharedRedis returns the URL of the Redis that all tests share. Its keys are everybody's: begin yours with something
// of your own, and never flush.
func SharedRedis(tb testing.TB) string {
	tb.Helper()
	return variable(tb, "MUSTER_TEST_REDIS_URL")
}

// SharedRedisCluster returns the addresses of the Redis Cluster that all tests share, under the rules of SharedRedis.
func SharedRedisCluster(tb testing.TB) []string {
	tb.Helper()
	return strings.Split(variable(tb, "MUSTER_TEST_REDIS_CLUSTER"), ",")
}

// RedisServer is a redis-server of one test's own. Its address and its files outlive the process: after a Restart it
// is the same server to its clients. All methods may be called from any goroutine; one that fails marks the test as
// failed and lets it go on.
type RedisServer struct {
	tb      testing.TB
	program string
	dir     string
	config  []string
	cluster bool

	mu      sync.Mutex
	port    int
	busPort int // of a cluster's node
	process *process
}

// Redis starts a private redis-server that is ready when this returns and gone after cleanup. It keeps its keys as
// production would (append-only file, synced every second, no snapshots) unless config says otherwise, in
// redis-server's own words: Redis(t, "--appendfsync", "always").
func Redis(tb testing.TB, config ...string) *RedisServer {
	tb.Helper()
	return newRedis(tb, false, config)
}

func newRedis(tb testing.TB, cluster bool, config []string) *RedisServer {
	tb.Helper()
	skipIfShort(tb)
	program := os.Getenv("MUSTER_TEST_REDIS_SERVER")
	if program == "" {
		program = "redis-server"
	}
	program, err := exec.LookPath(program)
	if err != nil {
		missing(tb, "redis-server is not there")
	}
	s := &RedisServer{tb: tb, program: program, dir: tb.TempDir(), config: config, cluster: cluster}
	tb.Cleanup(s.Kill)
	if err := s.startAnywhere(); err != nil {
		tb.Fatalf("start redis-server: %v\n%s", err, s.log())
	}
	return s
}

// RedisReplica starts a private redis-server that copies primary; it is in step when this returns.
func RedisReplica(tb testing.TB, primary *RedisServer, config ...string) *RedisServer {
	tb.Helper()
	host, port, err := net.SplitHostPort(primary.Addr())
	if err != nil {
		tb.Fatal(err)
	}
	s := Redis(tb, append([]string{"--replicaof", host + " " + port}, config...)...)
	err = await(context.Background(), func(ctx context.Context) error {
		return s.infoSays(ctx, "replication", "master_link_status", "up")
	})
	if err != nil {
		tb.Fatalf("replica of %s: %v\n%s", primary.Addr(), err, s.log())
	}
	return s
}

// Addr is the server's host:port, the same for its whole life.
func (s *RedisServer) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr()
}

func (s *RedisServer) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Kill ends the server as a power cut of the process would (SIGKILL) and returns when it is gone. What Redis had not
// yet written to its file is lost. A server that is down stays down.
func (s *RedisServer) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		s.process.kill()
	}
}

// Stop ends the server politely: it writes its file first.
func (s *RedisServer) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		s.process.stop()
	}
}

// Restart starts the server again at its old address with its old files, and returns when it has loaded them and
// answers. A server still running is stopped politely first: call Kill before for the other way.
func (s *RedisServer) Restart() {
	s.tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process.stop()
	// Someone may hold the port just now (a client's own end of a connection, say): try until it is free.
	err := await(context.Background(), func(ctx context.Context) error {
		err := s.start(ctx)
		if errors.Is(err, errGone) {
			return fmt.Errorf("on port %d: %s", s.port, s.log())
		}
		return err
	})
	if err != nil {
		s.tb.Errorf("restart redis-server: %v", err)
	}
}

// Pause freezes the server (SIGSTOP): connections stay open and nothing answers. Resume ends that.
func (s *RedisServer) Pause() { s.tb.Helper(); s.signal("pause", syscall.SIGSTOP) }

// Resume lets a paused server go on (SIGCONT).
func (s *RedisServer) Resume() { s.tb.Helper(); s.signal("resume", syscall.SIGCONT) }

func (s *RedisServer) signal(verb string, signal os.Signal) {
	s.tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.process.signal(signal); err != nil {
		s.tb.Errorf("%s redis-server: %v", verb, err)
	}
}

// startAnywhere finds a port. Looking for a free one and taking it are two steps, between which another may take it:
// the server then ends by itself, and the next port is tried.
func (s *RedisServer) startAnywhere() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	for range 10 {
		if s.port, err = freePort(); err != nil {
			return err
		}
		if s.cluster {
			if s.busPort, err = freePort(); err != nil {
				return err
			}
		}
		err = s.start(context.Background())
		if !errors.Is(err, errGone) {
			return err
		}
	}
	return err
}

// start runs the process and waits until it answers as itself; errGone if it ended instead.
func (s *RedisServer) start(ctx context.Context) error {
	log, err := os.OpenFile(s.logPath(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	arguments := append([]string{
		"--bind", "127.0.0.1", "--port", strconv.Itoa(s.port), "--dir", s.dir, "--daemonize", "no",
		"--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
		"--repl-diskless-sync-delay", "0", // a replica need not wait for others to come along
	}, s.config...)
	if s.cluster {
		arguments = append(arguments, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(s.busPort))
	}
	cmd := exec.Command(s.program, arguments...)
	cmd.Stdout, cmd.Stderr = log, log
	started, err := startProcess(cmd)
	if err != nil {
		return err
	}
	s.process = started
	err = await(ctx, func(ctx context.Context) error {
		if !started.running() {
			return errGone
		}
		// Plainly first: go-redis would log each refusal.
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.addr())
		if err != nil {
			return err
		}
		_ = connection.Close() // only its opening mattered
		if err := s.infoSays(ctx, "server", "process_id", strconv.Itoa(started.pid())); err != nil {
			return err
		}
		return s.infoSays(ctx, "persistence", "loading", "0")
	})
	if err != nil {
		started.kill()
	}
	return err
}

// infoSays is nil when that section of the server's INFO has the value.
func (s *RedisServer) infoSays(ctx context.Context, section, field, want string) error {
	client := s.client()
	defer client.Close()
	info, err := client.Info(ctx, section).Result()
	if err != nil {
		return err
	}
	return says(info, field, want)
}

// says is nil when the lines name:value hold that one.
func says(info, field, want string) error {
	for line := range strings.Lines(info) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), ":"); name == field {
			if value == want {
				return nil
			}
			return fmt.Errorf("%s is %q, not %q", field, value, want)
		}
	}
	return fmt.Errorf("nothing said of %s", field)
}

// client is for one command or two; the caller holds s.mu or has the server to itself.
func (s *RedisServer) client() *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: s.addr(), MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true,
	})
}

func (s *RedisServer) logPath() string { return filepath.Join(s.dir, "redis-server.log") }

// log returns the end of what the server said.
func (s *RedisServer) log() string {
	text, _ := os.ReadFile(s.logPath()) // a log that cannot be read adds nothing to the error it would explain
	return string(text[max(0, len(text)-2000):])
}

// freePort returns a port below those that the kernel hands out to clients, where a server that is down for a moment
// will find it free again.
func freePort() (int, error) {
	var err error
	for range 100 {
		port := 11000 + rand.IntN(9000)
		var listener net.Listener
		if listener, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, listener.Close()
		}
	}
	return 0, fmt.Errorf("no free port: %w", err)
}
