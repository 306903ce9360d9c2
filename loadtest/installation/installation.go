// Package installation starts muster as operators run it: real `muster serve` processes before real redis-server and
// PostgreSQL, each on a port and with files of its own, with a TCP proxy on every way between a server and a backend. Chaos
// tests and crash tests drive it from outside, over HTTP, and judge what it leaves behind.
//
// # Parts
//
// Start makes an Installation. Its Servers, Redis nodes and Postgres may be killed (SIGKILL), frozen (SIGSTOP) and started
// again on their files; its Links may be cut, slowed and pointed elsewhere. A World is sites and days that are published
// over HTTP; a Crowd of citizens, staff and publishers uses it, by the contract of docs/api.md, and writes down each
// operation as checkers.Op. Quiesce waits until all is well and tells how long that took; Evidence reads what is left.
//
// Whatever is started ends with the test, by its process id; the kernel ends it where the test binary dies without its
// cleanups (on Linux). The folder with all logs and files is kept where the test failed.
package installation

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/allocator/allocatortest/checkers"
	"muster/loadtest/processes"
)

// Secret is the secret of every installation.
const Secret = "the secret of an installation under test"

// RedisKind is which Redis stands behind the inventory.
type RedisKind int

// The kinds of Redis.
const (
	RedisSingle     RedisKind = iota // one node
	RedisReplicated                  // a primary and a replica that nobody promotes but the test
	RedisCluster                     // three masters and three replicas, with automatic failover
	RedisNone                        // the embedded inventory; one server only
)

// LedgerKind is which ledger there is.
type LedgerKind int

// The kinds of ledger.
const (
	LedgerShared   LedgerKind = iota // a database in the PostgreSQL that all tests share
	LedgerOwn                        // a PostgreSQL of its own, which may be killed
	LedgerEmbedded                   // SQLite in the server's folder; one server only
)

// Options say what to start. The zero value is two servers before one Redis and the shared PostgreSQL.
type Options struct {
	Servers     int // default 2; embedded: 1
	Redis       RedisKind
	Ledger      LedgerKind
	HoldSeconds int      // default 6
	Shards      int      // default 4, in a Cluster 6; embedded: 1
	Build       []string // flags of `go build`
	Env         []string // of every server: NAME=value
	Flags       []string // of `muster serve`, besides those that the installation needs
	DataDir     string   // of an embedded server; default: in the installation's folder
}

func (o Options) withDefaults() Options {
	embedded := o.Redis == RedisNone || o.Ledger == LedgerEmbedded
	set := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	if embedded {
		set(&o.Servers, 1)
		set(&o.Shards, 1)
	}
	set(&o.Servers, 2)
	set(&o.HoldSeconds, 6)
	if o.Redis == RedisCluster {
		set(&o.Shards, 6)
	}
	set(&o.Shards, 4)
	return o
}

// Installation is what Start started. Its fields do not change.
type Installation struct {
	Dir      string // logs and files
	Options  Options
	Servers  []*Server
	Redis    []*RedisNode // replicated: primary, replica; Cluster: masters, then their replicas; embedded: none
	Postgres *Postgres    // nil: embedded
	Program  string       // the muster executable

	tb     testing.TB
	mu     sync.Mutex
	lost   []time.Time
	splits []checkers.Span
}

// Start starts an installation whose servers all answer when this returns; tb's cleanup ends it.
func Start(tb testing.TB, options Options) *Installation {
	tb.Helper()
	in := Prepare(tb, options)
	var started sync.WaitGroup
	for _, s := range in.Servers {
		started.Go(func() {
			if err := s.first(); err != nil {
				tb.Errorf("server %d does not start: %v\n%s", s.Index, err, processes.Tail(s.LogPath, 4000))
			}
		})
	}
	started.Wait()
	if tb.Failed() {
		tb.FailNow()
	}
	return in
}

// Prepare is Start that starts the backends only: each server waits for its first Restart.
func Prepare(tb testing.TB, options Options) *Installation {
	tb.Helper()
	options = options.withDefaults()
	if (options.Redis == RedisNone) != (options.Ledger == LedgerEmbedded) || options.Redis == RedisNone && options.Servers != 1 {
		tb.Fatal("an embedded installation has neither Redis nor PostgreSQL, and one server")
	}
	in := &Installation{tb: tb, Options: options, Program: Program(tb, options.Build...), Dir: folder(tb)}
	switch options.Redis {
	case RedisSingle:
		in.Redis = []*RedisNode{singleRedis(tb, in.Dir, "redis-0")}
	case RedisReplicated:
		in.Redis = replicatedRedis(tb, in.Dir)
	case RedisCluster:
		in.Redis = clusterRedis(tb, in.Dir, 3)
	}
	switch options.Ledger {
	case LedgerShared:
		in.Postgres = sharedPostgres(tb)
	case LedgerOwn:
		in.Postgres = ownPostgres(tb, in.Dir)
	}
	for i := range options.Servers {
		in.Servers = append(in.Servers, in.newServer(i))
	}
	in.watch()
	return in
}

// folder is where everything is; kept where the test failed.
func folder(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "muster-"+strings.NewReplacer("/", "-", " ", "-").Replace(tb.Name())+"-")
	if err == nil {
		err = os.Chmod(dir, 0o711)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("logs and files are kept in %s", dir)
			return
		}
		_ = os.RemoveAll(dir) // a leftover in the temporary folder is no reason to fail
	})
	return dir
}

func (in *Installation) newServer(i int) *Server {
	in.tb.Helper()
	s := &Server{
		tb: in.tb, Index: i, program: in.Program, past: make(map[string]float64), env: in.Options.Env,
		LogPath: filepath.Join(in.Dir, fmt.Sprintf("server-%d.log", i)), Data: filepath.Join(in.Dir, fmt.Sprintf("data-%d", i)),
	}
	if in.Options.DataDir != "" {
		s.Data = in.Options.DataDir
	}
	public, err := processes.FreePort()
	if err != nil {
		in.tb.Fatal(err)
	}
	private, err := processes.FreePort()
	if err != nil {
		in.tb.Fatal(err)
	}
	s.Base, s.Ops = "http://"+processes.Loopback(public), "http://"+processes.Loopback(private)
	s.args = []string{"serve", "--dev", "--listen", processes.Loopback(public), "--ops-listen", processes.Loopback(private), "--data", s.Data,
		"--hold-seconds", strconv.Itoa(in.Options.HoldSeconds), "--drain-seconds", "5"}
	s.args = append(append(s.args, in.backends(s)...), in.Options.Flags...)
	in.tb.Cleanup(s.Kill)
	return s
}

// backends are the flags that lead a server to Redis and PostgreSQL, through its links.
func (in *Installation) backends(s *Server) []string {
	if in.Postgres == nil {
		return nil
	}
	s.Ledger = newLink(in.tb, fmt.Sprintf("server-%d-ledger", s.Index), in.Postgres.host())
	if in.Options.Redis != RedisCluster {
		s.Redis = newLink(in.tb, fmt.Sprintf("server-%d-redis", s.Index), in.Redis[0].Addr())
	}
	return []string{"--ledger", in.Postgres.through(s.Ledger.Addr()), "--redis", in.redisURLs(s.Redis),
		"--shards", strconv.Itoa(in.Options.Shards)}
}

// redisURLs leads through a link, or in a Cluster to all nodes.
func (in *Installation) redisURLs(link *Link) string {
	if link != nil {
		return "redis://" + link.Addr()
	}
	var urls []string
	for _, n := range in.Redis {
		urls = append(urls, "redis://"+n.Link.Addr())
	}
	return strings.Join(urls, ",")
}

// RedisLinks are all links to Redis.
func (in *Installation) RedisLinks() (links Links) {
	if in.Options.Redis == RedisCluster {
		for _, n := range in.Redis {
			links = append(links, n.Link)
		}
		return links
	}
	for _, s := range in.Servers {
		if s.Redis != nil {
			links = append(links, s.Redis)
		}
	}
	return links
}

// LedgerLinks are all links to PostgreSQL.
func (in *Installation) LedgerLinks() (links Links) {
	for _, s := range in.Servers {
		if s.Ledger != nil {
			links = append(links, s.Ledger)
		}
	}
	return links
}

// Primary is the Redis node that the servers' links should lead to: of a replicated pair the first, until Promote.
func (in *Installation) Primary() *RedisNode { return in.Redis[0] }

// watch reads every server's counters twice a second until the test ends, so that those of a killed process are known.
func (in *Installation) watch() {
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	in.tb.Cleanup(func() {
		cancel()
		watching.Wait()
	})
	watching.Go(func() {
		again := time.NewTicker(500 * time.Millisecond)
		defer again.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-again.C:
				in.note(ctx)
			}
		}
	})
}

func (in *Installation) note(ctx context.Context) {
	var reading sync.WaitGroup
	for _, s := range in.Servers {
		if s.current() == nil {
			continue
		}
		reading.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, 400*time.Millisecond)
			defer cancel()
			s.note(ctx)
		})
	}
	reading.Wait()
}

// httpClient makes a client whose connections nobody else uses.
func httpClient() *http.Client {
	dialer := &net.Dialer{Timeout: time.Second}
	return &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: 256}}
}
