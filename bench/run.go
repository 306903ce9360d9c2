package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	databases  *databases
	redis      *redis.Client // of all engines but variants
	contenders []*contender
	rates      map[string]float64 // flows/s of the last closed loop, by engine
	replyBytes int                // of a search
	report     *Report
}

// Run measures every engine under every workload and returns what it found, also with ErrDoesNotCount. It blocks until all
// that it started has ended. PostgreSQL is left as it was, and Redis empty.
func Run(ctx context.Context, o Options) (_ *Report, err error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	r := &runner{Options: o, report: newReport(o), rates: make(map[string]float64), replyBytes: 4096}
	defer func() { err = errors.Join(err, r.close(context.WithoutCancel(ctx))) }()
	if err := r.open(ctx); err != nil {
		return nil, err
	}
	measure := r.takingTurns
	if o.Brief {
		measure = r.oneByOne
	}
	if err := measure(ctx); err != nil {
		return nil, err
	}
	if o.Cold {
		if err := r.cold(ctx); err != nil {
			return nil, err
		}
	}
	r.report.summarize()
	if !r.report.Counts {
		err = ErrDoesNotCount
	}
	return r.report, err
}

// takingTurns prepares every engine, then gives each its turns of every repetition.
func (r *runner) takingTurns(ctx context.Context) error {
	if err := r.enterAll(ctx); err != nil {
		return err
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	for repetition := range r.Repetitions {
		if err := r.round(ctx, repetition); err != nil {
			return err
		}
		if r.Parts {
			if err := r.parts(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// oneByOne prepares an engine, measures it under all its workloads, and goes on to the next.
func (r *runner) oneByOne(ctx context.Context) error {
	usual, err := newWorld(r.Options)
	if err != nil {
		return err
	}
	for _, name := range r.Engines {
		if !slices.ContainsFunc(r.Workloads, func(w Workload) bool { return r.takes(&contender{Name: name}, w) }) {
			continue
		}
		if err := r.alone(ctx, usual, name); err != nil {
			return err
		}
	}
	if r.Parts {
		return r.parts(ctx)
	}
	return nil
}

func (r *runner) alone(ctx context.Context, w *world, name string) error {
	c, err := r.enter(ctx, w, Variant{Name: name})
	if c != nil {
		defer c.retire()
	}
	if err == nil {
		err = r.settle(ctx)
	}
	if err != nil {
		return fmt.Errorf("preparing %s: %w", name, err)
	}
	for repetition := range r.Repetitions {
		for _, w := range r.Workloads {
			if err := r.measure(ctx, c, w, repetition); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *runner) enterAll(ctx context.Context) error {
	usual, err := newWorld(r.Options)
	if err != nil {
		return err
	}
	var all []Variant
	for _, name := range r.Engines {
		all = append(all, Variant{Name: name})
	}
	for _, v := range append(all, r.Variants...) {
		w := usual
		if v.Sites > 0 {
			o := r.Options
			o.Sites = v.Sites
			if w, err = newWorld(o); err != nil {
				return err
			}
		}
		if _, err := r.enter(ctx, w, v); err != nil {
			return fmt.Errorf("preparing %s: %w", v.Name, err)
		}
	}
	return nil
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
	r.redis, err = emptyRedis(ctx, r.Redis)
	return err
}

// emptyRedis connects to a node that must be a run's own.
func emptyRedis(ctx context.Context, url string) (*redis.Client, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, errors.New("the address of Redis is not a URL such as redis://host:port")
	}
	client := redis.NewClient(options)
	size, err := client.DBSize(ctx).Result()
	if err == nil && size > 0 {
		err = fmt.Errorf("the Redis of a benchmark must be its own and empty, and this one has %d keys", size)
	}
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return client, nil
}

func (r *runner) close(ctx context.Context) (err error) {
	closed := make(map[*redis.Client]bool)
	if r.redis != nil {
		closed[r.redis] = true
		err = errors.Join(r.redis.FlushAll(ctx).Err(), r.redis.Close())
	}
	for _, c := range r.contenders {
		for _, node := range c.redis {
			if !closed[node] {
				closed[node] = true
				err = errors.Join(err, node.FlushAll(ctx).Err(), node.Close())
			}
		}
	}
	if r.databases != nil {
		err = errors.Join(err, r.databases.close(ctx))
	}
	return err
}

// enter prepares an engine; a variant has Redis nodes of its own. The contender is there also where that failed half way.
func (r *runner) enter(ctx context.Context, w *world, v Variant) (*contender, error) {
	name, nodes := v.Name, v.Redis
	r.Progress("preparing %s with %d sites", name, len(w.sites))
	c := &contender{Name: name, world: w, only: v.Workloads}
	r.contenders = append(r.contenders, c)
	var shared bool
	c.postgres, shared = needs(name)
	if shared {
		c.redis, nodes = []*redis.Client{r.redis}, []string{r.Redis}
	}
	for i := len(c.redis); i < len(nodes); i++ {
		client, err := emptyRedis(ctx, nodes[i])
		if err != nil {
			return c, err
		}
		c.redis, c.postgres = append(c.redis, client), true
	}
	folder := filepath.Join(r.Folder, name)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return c, err
	}
	var database string
	if c.postgres {
		var err error
		if database, err = r.databases.create(ctx); err != nil {
			return c, err
		}
	}
	kind := baseline.Kind(name)
	if slices.Contains(Engines, name) && name != Ours && name != Embedded {
		config := baseline.Config{Kind: kind, Postgres: database}
		if shared {
			config.Redis = r.Redis
		}
		c.engine = &baselineEngine{config: config, folder: folder, self: r.Self}
	} else {
		c.engine = &ours{program: r.Program, folder: folder, postgres: database, redis: nodes, progress: r.Progress, rest: r.Rest}
	}
	return c, r.prepare(ctx, c)
}

// prepare fills an engine, and weighs what that takes of Redis.
func (r *runner) prepare(ctx context.Context, c *contender) error {
	before, err := memory(ctx, c.redis)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := c.engine.prepare(ctx, c.world); err != nil || len(c.redis) == 0 {
		return err
	}
	server, _, err := r.up(ctx, c)
	if err != nil {
		return err
	}
	r.down(server)
	after, err := memory(ctx, c.redis)
	slots := 0
	for i := range c.world.sites {
		slots += c.world.sites[i].slots
	}
	r.report.SlotBytes[c.Name] = float64(after-before) / float64(slots)
	r.Progress("%s has %d slots after %v", c.Name, slots, time.Since(began).Round(time.Second))
	return err
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
			if err := r.measure(ctx, c, w, repetition); err != nil {
				return err
			}
		}
	}
	return nil
}

// measure gives an engine a turn, if it takes the workload.
func (r *runner) measure(ctx context.Context, c *contender, w Workload, repetition int) error {
	if !r.takes(c, w) {
		return nil
	}
	turn, err := r.turn(ctx, c, w, repetition)
	switch {
	case errors.Is(err, errNoRate):
		r.Progress("%s under %s: %v", c.Name, w, err)
		return nil
	case err != nil:
		return fmt.Errorf("%s under %s: %w", c.Name, w, err)
	}
	r.report.Turns = append(r.report.Turns, turn)
	r.Progress("%s", turn)
	return nil
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
