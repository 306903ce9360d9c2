package processes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// RedisLeast is the oldest version of Redis that serves.
const RedisLeast = 7

// ErrMissing says that a program is not installed, or too old.
var ErrMissing = errors.New("missing")

var redisVersion = regexp.MustCompile(`v=(\d+)\.`)

// FindRedis is the path of redis-server: what MUSTER_TEST_REDIS_SERVER names, or the one on PATH. ErrMissing where there is
// none that is new enough.
func FindRedis() (string, error) {
	program := os.Getenv("MUSTER_TEST_REDIS_SERVER")
	if program == "" {
		program = "redis-server"
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("%w: redis-server", ErrMissing)
	}
	return path, newEnough(path, redisVersion, RedisLeast)
}

// newEnough asks a program for its version.
func newEnough(path string, pattern *regexp.Regexp, least int) error {
	out, err := exec.Command(path, "--version").Output()
	found := pattern.FindSubmatch(out)
	if err != nil || found == nil {
		return fmt.Errorf("%w: %s does not tell its version", ErrMissing, path)
	}
	if version, _ := strconv.Atoi(string(found[1])); version < least {
		return fmt.Errorf("%w: %s is version %d, and %d is the oldest that serves", ErrMissing, path, version, least)
	}
	return nil
}

// RedisOptions say how a redis-server is to run.
type RedisOptions struct {
	Folder  string   // an empty one of its own
	Cluster bool     // a node of a Cluster
	Apart   bool     // in a process group of its own: see Apart
	Config  []string // in redis-server's own words, over all else: "--appendfsync", "always"
}

// Redis is a redis-server. Its address and its files outlive the process: after Restart it is the same server to its clients.
// Safe for concurrent use.
type Redis struct {
	RedisOptions
	program string

	mu      sync.Mutex
	port    int
	busPort int // of a Cluster's node
	process *Process
}

// StartRedis starts a redis-server on a free port of loopback, which answers when this returns. It keeps its keys as production
// would (append-only file, synced every second, no snapshots). ErrMissing where the program is not there.
func StartRedis(ctx context.Context, o RedisOptions) (*Redis, error) {
	program, err := FindRedis()
	if err != nil {
		return nil, err
	}
	s := &Redis{RedisOptions: o, program: program}
	if err := s.startAnywhere(ctx); err != nil {
		return nil, fmt.Errorf("start redis-server: %w\n%s", err, Tail(s.log(), 2000))
	}
	return s, nil
}

// Addr is the server's host:port, the same for its whole life.
func (s *Redis) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Loopback(s.port)
}

// URL is the server's address for clients.
func (s *Redis) URL() string { return "redis://" + s.Addr() }

// Running says whether there is a process.
func (s *Redis) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process != nil && s.process.Running()
}

// Kill ends the server as a power cut of the process would (SIGKILL) and returns when it is gone. What Redis had not yet
// written to its file is lost. A server that is down stays down.
func (s *Redis) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		s.process.Kill()
	}
}

// stopWithin is how long a server may take to finish.
const stopWithin = 10 * time.Second

// Stop ends the server politely: it writes its file first.
func (s *Redis) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		s.process.Stop(syscall.SIGTERM, stopWithin)
	}
}

// Restart starts the server again at its old address with its old files, and returns when it has loaded them and answers. A
// server still running is stopped politely first: call Kill before for the other way.
func (s *Redis) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process.Stop(syscall.SIGTERM, stopWithin)
	// Someone may hold the port just now (a client's own end of a connection, say): try until it is free.
	return Await(ctx, Patience, func(ctx context.Context) error {
		err := s.start(ctx)
		if errors.Is(err, ErrGone) {
			return fmt.Errorf("on port %d: %s", s.port, Tail(s.log(), 2000))
		}
		return err
	})
}

// Signal sends a signal to the process.
func (s *Redis) Signal(signal os.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process.Signal(signal)
}

// startAnywhere finds a port. Where another takes it first, the server ends by itself, and the next port is tried.
func (s *Redis) startAnywhere(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	for range 10 {
		if s.port, err = FreePort(); err != nil {
			return err
		}
		if s.Cluster {
			if s.busPort, err = FreePort(); err != nil {
				return err
			}
		}
		if err = s.start(ctx); !errors.Is(err, ErrGone) {
			return err
		}
	}
	return err
}

// start runs the process and waits until it answers as itself; ErrGone if it ended instead.
func (s *Redis) start(ctx context.Context) error {
	arguments := append([]string{
		"--bind", "127.0.0.1", "--port", strconv.Itoa(s.port), "--dir", s.Folder, "--daemonize", "no",
		"--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
		"--repl-diskless-sync-delay", "0", // a replica need not wait for others to come along
	}, s.Config...)
	if s.Cluster {
		arguments = append(arguments, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(s.busPort))
	}
	cmd := exec.Command(s.program, arguments...)
	if s.Apart {
		Apart(cmd)
	}
	started, err := Start(cmd, s.log())
	if err != nil {
		return err
	}
	s.process = started
	err = Await(ctx, Patience, func(ctx context.Context) error {
		if !started.Running() {
			return ErrGone
		}
		// Plainly first: go-redis would log each refusal.
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", Loopback(s.port))
		if err != nil {
			return err
		}
		_ = connection.Close() // only its opening mattered
		if err := s.infoSays(ctx, "server", "process_id", strconv.Itoa(started.Pid())); err != nil {
			return err
		}
		return s.infoSays(ctx, "persistence", "loading", "0")
	})
	if err != nil {
		started.Kill()
	}
	return err
}

// AwaitReplica waits until the server is in step with the one that it copies.
func (s *Redis) AwaitReplica(ctx context.Context) error {
	return Await(ctx, Patience, func(ctx context.Context) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.infoSays(ctx, "replication", "master_link_status", "up")
	})
}

// infoSays is nil when that section of the server's INFO has the value.
func (s *Redis) infoSays(ctx context.Context, section, field, want string) error {
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
func (s *Redis) client() *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: Loopback(s.port), MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true,
	})
}

func (s *Redis) log() string { return filepath.Join(s.Folder, "redis-server.log") }

// Log is the end of what the server said.
func (s *Redis) Log() string { return Tail(s.log(), 2000) }
