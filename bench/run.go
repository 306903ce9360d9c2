package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"muster/bench/baseline"
)

// ErrDoesNotCount says that an audit found something or too much failed: the report tells what.
var ErrDoesNotCount = errors.New("figures do not count")

// maxFailedShare is how many of all flows of a turn may fail.
const maxFailedShare = 0.01

type runner struct {
	Options
	world      *world
	databases  *databases
	redis      *redis.Client
	contenders []*contender
	report     *Report
}

// Run measures every engine under every workload and returns what it found, also with ErrDoesNotCount. It blocks until all
// that it started has ended. PostgreSQL is left as it was, and Redis empty.
func Run(ctx context.Context, o Options) (_ *Report, err error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	r := &runner{Options: o, report: newReport(o)}
	if r.world, err = newWorld(o); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close(context.WithoutCancel(ctx))) }()
	if err := r.open(ctx); err != nil {
		return nil, err
	}
	for _, name := range o.Engines {
		if err := r.enter(ctx, name); err != nil {
			return nil, fmt.Errorf("preparing %s: %w", name, err)
		}
	}
	if err := r.settle(ctx); err != nil {
		return nil, err
	}
	for repetition := range o.Repetitions {
		if err := r.round(ctx, repetition); err != nil {
			return nil, err
		}
	}
	r.report.summarize()
	if !r.report.Counts {
		err = ErrDoesNotCount
	}
	return r.report, err
}

func (r *runner) open(ctx context.Context) (err error) {
	if r.Postgres != "" {
		if r.databases, err = openDatabases(ctx, r.Postgres); err != nil {
			return err
		}
		r.report.Machine.Postgres = r.databases.version
	}
	if r.Redis == "" {
		return nil
	}
	options, err := redis.ParseURL(r.Redis)
	if err != nil {
		return errors.New("the address of Redis is not a URL such as redis://host:port")
	}
	client := redis.NewClient(options)
	size, err := client.DBSize(ctx).Result()
	if err == nil && size > 0 {
		err = fmt.Errorf("the Redis of a benchmark must be its own and empty, and this one has %d keys", size)
	}
	if err != nil {
		return errors.Join(err, client.Close())
	}
	r.redis = client
	return nil
}

func (r *runner) close(ctx context.Context) (err error) {
	if r.redis != nil {
		err = errors.Join(r.redis.FlushAll(ctx).Err(), r.redis.Close())
	}
	if r.databases != nil {
		err = errors.Join(err, r.databases.close(ctx))
	}
	return err
}

// enter prepares an engine.
func (r *runner) enter(ctx context.Context, name string) error {
	r.Progress("preparing %s", name)
	c := &contender{Name: name}
	c.told.references = make(map[string]struct{})
	c.postgres, c.redis = needs(name)
	folder := filepath.Join(r.Folder, name)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	var database, inventory string
	if c.postgres {
		var err error
		if database, err = r.databases.create(ctx); err != nil {
			return err
		}
	}
	if c.redis {
		inventory = r.Redis
	}
	switch name {
	case Ours, Embedded:
		c.engine = &ours{program: r.Program, folder: folder, postgres: database, redis: inventory}
	default:
		config := baseline.Config{Kind: baseline.Kind(name), Postgres: database, Redis: inventory}
		c.engine = &baselineEngine{config: config, folder: folder, self: r.Self}
	}
	r.contenders = append(r.contenders, c)
	return c.prepare(ctx, r.world)
}

// settle has PostgreSQL write down what preparing left behind, so that no engine pays for it.
func (r *runner) settle(ctx context.Context) error {
	if r.databases == nil {
		return nil
	}
	_, err := r.databases.connection.Exec(ctx, "CHECKPOINT")
	return err
}

// round gives every engine its turns of one repetition. The order is turned round each time, so that none always follows the
// same one.
func (r *runner) round(ctx context.Context, repetition int) error {
	order := slices.Clone(r.contenders)
	if repetition%2 == 1 {
		slices.Reverse(order)
	}
	for _, w := range r.Workloads {
		for _, c := range order {
			if !takes(c.Name, w) {
				continue
			}
			turn, err := r.turn(ctx, c, w, repetition)
			if err != nil {
				return fmt.Errorf("%s under %s: %w", c.Name, w, err)
			}
			r.report.Turns = append(r.report.Turns, turn)
			r.Progress("%s", turn)
		}
	}
	return nil
}

// turn measures one engine under one workload, once.
func (r *runner) turn(ctx context.Context, c *contender, w Workload, repetition int) (Turn, error) {
	server, address, err := c.start(ctx, r.world)
	if err != nil {
		return Turn{}, err
	}
	defer server.stop()
	l := newLoad(address, r.Clients)
	l.persons, l.told, l.confirm = &c.persons, &c.told, w != Holds
	l.keys = fmt.Sprintf("bench-%d-", os.Getpid())
	l.choose = anyOf(r.world.spread)
	if w == Hot {
		l.choose = anyOf(r.world.hot[repetition : repetition+1])
	}
	m := &meter{server: server.pid()}
	if c.redis {
		m.redis = r.redis
	}
	if c.postgres {
		m.postmaster = r.databases.postmaster
	}
	spent, took, err := r.measure(ctx, l, m)
	if err != nil {
		return Turn{}, server.explain(err)
	}
	turn := newTurn(c.Name, w, repetition, l, spent, took)
	return turn, r.audit(ctx, c, &turn)
}

// measure runs the load: warming up, then for the time that counts.
func (r *runner) measure(ctx context.Context, l *load, m *meter) (spent usage, took time.Duration, err error) {
	if runtime.GOOS != "linux" {
		m.server, m.postmaster = 0, 0 // their CPU cannot be seen
	}
	loading, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.run(loading, r.Clients)
	}()
	defer func() {
		stop()
		<-ended
	}()
	if err := wait(ctx, r.Warm); err != nil {
		return nil, 0, err
	}
	before, err := m.read(ctx)
	if err != nil {
		return nil, 0, err
	}
	began := time.Now()
	l.measuring.Store(true)
	if err := wait(ctx, r.Measure); err != nil {
		return nil, 0, err
	}
	l.measuring.Store(false)
	took = time.Since(began)
	after, err := m.read(ctx)
	return after.since(before), took, err
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// audit judges an engine's books after a turn.
func (r *runner) audit(ctx context.Context, c *contender, t *Turn) error {
	rows, kept, err := c.books(ctx, r.world)
	if err != nil {
		return fmt.Errorf("reading the books: %w", err)
	}
	if kept {
		t.Audit = new(judge(rows, r.world.places(), &c.told))
		if !t.Audit.Clean() {
			t.doesNotCount(t.Audit.String())
		}
	}
	if err := c.selfAudit(ctx); err != nil {
		t.doesNotCount(err.Error())
	}
	if share := float64(t.Failed) / max(1, float64(t.Flows+t.Failed)); t.Flows == 0 || share > maxFailedShare {
		t.doesNotCount(fmt.Sprintf("%d of %d flows failed, the first one so: %s", t.Failed, t.Flows+t.Failed, t.FirstFailure))
	}
	return nil
}
