package servers

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"muster/loadtest/processes"
)

func connect(t *testing.T, databaseURL string) *pgx.Conn {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close(context.Background()) }) // its database may be gone already
	return connection
}

func databaseOf(t *testing.T, connection *pgx.Conn) (name, isolation string) {
	t.Helper()
	err := connection.QueryRow(t.Context(),
		"SELECT current_database(), current_setting('transaction_isolation')").Scan(&name, &isolation)
	if err != nil {
		t.Fatal(err)
	}
	return name, isolation
}

func TestPostgresGivesEachTestItsOwn(t *testing.T) {
	var names sync.Map
	t.Run("use", func(t *testing.T) {
		for i := range 4 {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				connection := connect(t, Postgres(t))
				name, isolation := databaseOf(t, connection)
				if _, taken := names.LoadOrStore(name, true); taken {
					t.Errorf("database %s was given twice", name)
				}
				if isolation != "serializable" {
					t.Errorf("isolation is %s", isolation)
				}
				if _, err := connection.Exec(t.Context(), "CREATE TABLE kept_open (a INT8)"); err != nil {
					t.Error(err)
				}
			})
		}
	})
	connection := connect(t, variable(t, "MUSTER_TEST_POSTGRES_URL"))
	names.Range(func(name, _ any) bool {
		var left int
		err := connection.QueryRow(t.Context(), "SELECT count(*) FROM pg_database WHERE datname = $1", name).Scan(&left)
		if err != nil || left != 0 {
			t.Errorf("database %s after its test: %d left, error %v", name, left, err)
		}
		return true
	})
}

func TestCockroach(t *testing.T) {
	databaseURL, ok := Cockroach(t)
	if !ok {
		t.Skip("MUSTER_TEST_COCKROACH_URL names no CockroachDB")
	}
	name, isolation := databaseOf(t, connect(t, databaseURL))
	t.Logf("database %s, isolation %s", name, isolation)
}

func clientOf(t *testing.T, server *RedisServer) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func set(t *testing.T, client *redis.Client, key string) {
	t.Helper()
	if err := client.Set(t.Context(), key, "1", 0).Err(); err != nil {
		t.Fatal(err)
	}
}

func wantKey(t *testing.T, client *redis.Client, key string) {
	t.Helper()
	if got, err := client.Get(t.Context(), key).Result(); err != nil || got != "1" {
		t.Errorf("key %s: %q, error %v", key, got, err)
	}
}

func TestRedisSurvives(t *testing.T) {
	server := Redis(t, "--appendfsync", "always")
	address := server.Addr()
	client := clientOf(t, server)
	set(t, client, "before-kill")

	server.Kill()
	if err := client.Ping(t.Context()).Err(); err == nil {
		t.Error("a killed server answers")
	}
	server.Kill() // once more does no harm
	server.Restart()
	wantKey(t, client, "before-kill")
	set(t, client, "before-stop")

	server.Stop()
	if err := client.Ping(t.Context()).Err(); err == nil {
		t.Error("a stopped server answers")
	}
	server.Restart()
	wantKey(t, client, "before-stop")
	set(t, client, "while-running")

	server.Restart()
	wantKey(t, client, "while-running")
	if server.Addr() != address {
		t.Errorf("address was %s, is %s", address, server.Addr())
	}
}

func TestRedisPauses(t *testing.T) {
	server := Redis(t)
	client := clientOf(t, server)
	set(t, client, "kept")
	server.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := client.Get(ctx, "kept").Err(); err == nil {
		t.Error("a paused server answers")
	}
	server.Resume()
	wantKey(t, clientOf(t, server), "kept")
	server.Pause()
	server.Stop() // must not wait for a server that cannot hear
	if server.server.Running() {
		t.Error("a stopped server runs")
	}
}

func TestRedisReplicaFollows(t *testing.T) {
	primary := Redis(t)
	client := clientOf(t, primary)
	set(t, client, "before")
	replica := clientOf(t, RedisReplica(t, primary))
	wantKey(t, replica, "before")
	set(t, client, "after")
	if copies, err := client.Wait(t.Context(), 1, readyTimeout).Result(); err != nil || copies != 1 {
		t.Fatalf("copies %d, error %v", copies, err)
	}
	wantKey(t, replica, "after")
}

func TestRedisClusterServes(t *testing.T) {
	nodes := RedisClusterServers(t, 3)
	var addresses []string
	for _, node := range nodes {
		addresses = append(addresses, node.Addr())
	}
	checkCluster(t, addresses)

	nodes[1].Kill()
	nodes[1].Restart()
	for _, node := range nodes {
		if err := node.server.AwaitCluster(t.Context(), 3); err != nil {
			t.Errorf("%s after a node's restart: %v", node.Addr(), err)
		}
	}
	checkCluster(t, addresses)
}

func TestRedisClusterOfOne(t *testing.T) { checkCluster(t, RedisCluster(t, 1)) }

func checkCluster(t *testing.T, addresses []string) {
	t.Helper()
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addresses})
	defer client.Close()
	for i := range 50 {
		if err := client.Set(t.Context(), fmt.Sprintf("servers-test-%d", i), i, time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSharedRedis(t *testing.T) {
	options, err := redis.ParseURL(SharedRedis(t))
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Error(err)
	}
}

func TestSharedRedisCluster(t *testing.T) { checkCluster(t, SharedRedisCluster(t)) }

// TestServersEndWithTheTestBinary runs this test binary once more, lets it start a Redis and die without
// its cleanups, and looks whether the Redis is gone.
func TestServersEndWithTheTestBinary(t *testing.T) {
	if os.Getenv("SERVERS_TEST_DIE") == "1" {
		fmt.Printf("redis=%s\n", Redis(t).Addr())
		if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		select {} // until the signal comes
	}
	probe := Redis(t) // skips here, and not in the child, when there is no redis-server
	command := exec.Command(os.Args[0], "-test.run=^TestServersEndWithTheTestBinary$")
	command.Env = append(os.Environ(), "SERVERS_TEST_DIE=1")
	output, _ := command.Output() // it dies: that is the point
	var address string
	if _, err := fmt.Sscanf(string(output), "redis=%s", &address); err != nil {
		t.Fatalf("the child said %q: %v", output, err)
	}
	err := processes.Await(t.Context(), readyTimeout, func(ctx context.Context) error {
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil {
			return nil
		}
		_ = connection.Close() // only its opening mattered
		return fmt.Errorf("the dead test's redis at %s still answers", address)
	})
	if err != nil {
		t.Error(err)
	}
	if err := clientOf(t, probe).Ping(t.Context()).Err(); err != nil {
		t.Errorf("another test's server: %v", err)
	}
}

// fakeTB records how a test would have ended.
type fakeTB struct {
	testing.TB
	ended string
}

func (f *fakeTB) Helper()               {}
func (f *fakeTB) Fatalf(string, ...any) { f.ended = "failed"; panic(f) }
func (f *fakeTB) Skipf(string, ...any)  { f.ended = "skipped"; panic(f) }
func (f *fakeTB) Skip(...any)           { f.ended = "skipped"; panic(f) }

func TestMissingBackend(t *testing.T) {
	for _, test := range []struct{ ci, require, want string }{
		{"", "", "skipped"}, {"true", "", "failed"}, {"", "1", "failed"}, {"", "0", "skipped"},
	} {
		t.Setenv("CI", test.ci)
		t.Setenv("MUSTER_TEST_REQUIRE_BACKENDS", test.require)
		t.Setenv("MUSTER_TEST_POSTGRES_URL", "")
		t.Setenv("MUSTER_TEST_REDIS_SERVER", "/nowhere/redis-server")
		for name, ask := range map[string]func(testing.TB){
			"Postgres":    func(tb testing.TB) { Postgres(tb) },
			"Redis":       func(tb testing.TB) { Redis(tb) },
			"SharedRedis": func(tb testing.TB) { variable(tb, "MUSTER_TEST_NONE") },
		} {
			fake := &fakeTB{}
			func() {
				defer func() { _ = recover() }() // the fake's way out
				ask(fake)
			}()
			if fake.ended != test.want {
				t.Errorf("%s with CI=%q, required=%q: %q, want %s", name, test.ci, test.require, fake.ended, test.want)
			}
		}
	}
}
