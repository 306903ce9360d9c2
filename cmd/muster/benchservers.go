package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"muster/bench"
	"muster/loadtest/processes"
)

// benchServers are the Redis servers and the PostgreSQL that a benchmark started for itself, with their files.
type benchServers struct {
	ctx    context.Context
	folder string
	stops  []func()
	redes  int
}

func newBenchServers(ctx context.Context) (*benchServers, error) {
	folder, err := os.MkdirTemp("", "muster-bench-")
	if err != nil {
		return nil, err
	}
	return &benchServers{ctx: ctx, folder: folder}, os.Chmod(folder, 0o711) // PostgreSQL may run as another user
}

// stop ends what was started, and removes all files.
func (s *benchServers) stop() {
	for i := len(s.stops) - 1; i >= 0; i-- {
		s.stops[i]()
	}
	_ = os.RemoveAll(s.folder) // a leftover in the temporary folder is no reason to fail
}

// remedy is what to do about a program that is missing.
var remedy = fmt.Sprintf("install Redis %d and PostgreSQL %d or later (Debian, Ubuntu: apt-get install redis-server postgresql; macOS: brew install redis postgresql), "+
	"or name servers that nobody else uses by --redis and --postgres", processes.RedisLeast, processes.PostgresLeast)

// find gives the run the servers that it needs: those that were named, or else its own.
func (s *benchServers) find(o *bench.Options, redis, postgres string) (err error) {
	needsPostgres, needsRedis := o.Needs()
	o.Redis, o.Postgres = cmp.Or(redis, os.Getenv("MUSTER_TEST_REDIS_URL")), cmp.Or(postgres, os.Getenv("MUSTER_TEST_POSTGRES_URL"))
	if !needsRedis {
		o.Redis = ""
	}
	if !needsPostgres {
		o.Postgres = ""
	}
	ownRedis, ownPostgres := needsRedis && o.Redis == "", needsPostgres && o.Postgres == ""
	var faults []error // of all programs before any is started
	if ownRedis {
		_, err = processes.FindRedis()
		faults = append(faults, err)
	}
	if ownPostgres {
		_, err = processes.FindPostgres()
		faults = append(faults, err)
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	if ownRedis {
		if o.Redis, err = s.redis(); err != nil {
			return err
		}
	}
	if ownPostgres {
		o.Postgres, err = s.postgres()
	}
	return err
}

// redis starts a Redis of the run's own and answers its URL.
func (s *benchServers) redis(config ...string) (string, error) {
	server, err := s.node(false, config)
	if err != nil {
		return "", err
	}
	return server.URL(), nil
}

func (s *benchServers) node(cluster bool, config []string) (*processes.Redis, error) {
	s.redes++
	folder := filepath.Join(s.folder, fmt.Sprintf("redis-%d", s.redes))
	if err := os.Mkdir(folder, 0o700); err != nil {
		return nil, err
	}
	server, err := processes.StartRedis(s.ctx, processes.RedisOptions{Folder: folder, Cluster: cluster, Apart: true, Config: slices.Concat(measuredRedis, config)})
	if err == nil {
		s.stops = append(s.stops, server.Kill) // its files are removed: it need not write them
	}
	return server, err
}

// measuredRedis are those of deploy/kustomize/redis/redis.conf that decide how often the append-only file is rewritten: by a
// process of its own, which takes a core from whoever has it meanwhile. All engines have the same.
var measuredRedis = []string{"--auto-aof-rewrite-percentage", "100", "--auto-aof-rewrite-min-size", "256mb"}

// nodes starts a Redis Cluster of so many masters and answers their URLs; one node is none.
func (s *benchServers) nodes(n int) (urls []string, err error) {
	if n == 1 {
		url, err := s.redis()
		return []string{url}, err
	}
	var nodes []*processes.Redis
	for range n {
		node, err := s.node(true, nil)
		if err != nil {
			return nil, err
		}
		nodes, urls = append(nodes, node), append(urls, node.URL())
	}
	return urls, processes.JoinCluster(s.ctx, nodes)
}

// postgresSettings are what every guide has administrators set for a server that is written to all day: a cache that is more
// than the 128 MB of a laptop, and checkpoints so seldom that pages are not written whole to the log again and again. And
// room for what SERIALIZABLE remembers of thousands of rows a transaction: six servers beside each other at 100,000 sites
// filled what it comes with. What makes a commit durable stays on. All engines have the same server.
var postgresSettings = []string{
	"max_connections=300", "shared_buffers=2GB", "max_wal_size=12GB", "checkpoint_timeout=15min", "wal_compression=on",
	"max_pred_locks_per_transaction=512",
}

// postgres starts a PostgreSQL of the run's own and answers its URL.
func (s *benchServers) postgres() (string, error) {
	programs, err := processes.FindPostgres()
	if err != nil {
		return "", err
	}
	data, err := processes.InitPostgres(programs, filepath.Join(s.folder, "postgres"))
	if err != nil {
		return "", fmt.Errorf("%w\n(its files go to TMPDIR, which PostgreSQL's user must be able to enter)", err)
	}
	server, err := processes.StartPostgres(s.ctx, processes.PostgresOptions{
		Programs: programs, Data: data, Log: filepath.Join(s.folder, "postgres.log"), Apart: true, Settings: postgresSettings,
	})
	if err != nil {
		return "", err
	}
	s.stops = append(s.stops, server.Stop)
	return server.URL(), nil
}

// sizes adds installations of 1,000 and of 100,000 sites to a run, each beside a Redis of its own, whoever owns the others.
func (s *benchServers) sizes(o *bench.Options) error {
	for _, n := range []int{1_000, 100_000} {
		url, err := s.redis()
		if errors.Is(err, processes.ErrMissing) {
			o.Variants, o.Without = nil, map[string]string{bench.SitesRatio: "each size needs a Redis of its own, and redis-server is not installed here"}
			return nil
		}
		if err != nil {
			return err
		}
		o.Variants = append(o.Variants, bench.Variant{Name: bench.SitesVariant(n), Redis: []string{url}, Sites: n, Workloads: []bench.Workload{bench.Spread}})
	}
	return nil
}
