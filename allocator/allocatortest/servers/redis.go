package servers

import (
	"context"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"muster/loadtest/processes"
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
	tb     testing.TB
	server *processes.Redis
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
	if _, err := processes.FindRedis(); err != nil {
		missing(tb, err.Error())
	}
	server, err := processes.StartRedis(context.Background(), processes.RedisOptions{Folder: tb.TempDir(), Cluster: cluster, Config: config})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(server.Kill)
	return &RedisServer{tb: tb, server: server}
}

// RedisReplica starts a private redis-server that copies primary; it is in step when this returns.
func RedisReplica(tb testing.TB, primary *RedisServer, config ...string) *RedisServer {
	tb.Helper()
	host, port, err := net.SplitHostPort(primary.Addr())
	if err != nil {
		tb.Fatal(err)
	}
	s := Redis(tb, append([]string{"--replicaof", host + " " + port}, config...)...)
	if err := s.server.AwaitReplica(context.Background()); err != nil {
		tb.Fatalf("replica of %s: %v\n%s", primary.Addr(), err, s.server.Log())
	}
	return s
}

// Addr is the server's host:port, the same for its whole life.
func (s *RedisServer) Addr() string { return s.server.Addr() }

// Kill ends the server as a power cut of the process would (SIGKILL) and returns when it is gone. What Redis had not
// yet written to its file is lost. A server that is down stays down.
func (s *RedisServer) Kill() { s.server.Kill() }

// Stop ends the server politely: it writes its file first.
func (s *RedisServer) Stop() { s.server.Stop() }

// Restart starts the server again at its old address with its old files, and returns when it has loaded them and
// answers. A server still running is stopped politely first: call Kill before for the other way.
func (s *RedisServer) Restart() {
	s.tb.Helper()
	if err := s.server.Restart(context.Background()); err != nil {
		s.tb.Errorf("restart redis-server: %v", err)
	}
}

// Pause freezes the server (SIGSTOP): connections stay open and nothing answers. Resume ends that.
func (s *RedisServer) Pause() { s.tb.Helper(); s.signal("pause", syscall.SIGSTOP) }

// Resume lets a paused server go on (SIGCONT).
func (s *RedisServer) Resume() { s.tb.Helper(); s.signal("resume", syscall.SIGCONT) }

func (s *RedisServer) signal(verb string, signal os.Signal) {
	s.tb.Helper()
	if err := s.server.Signal(signal); err != nil {
		s.tb.Errorf("%s redis-server: %v", verb, err)
	}
}
