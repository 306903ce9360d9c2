package bench

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"muster/bench/baseline"
	"muster/loadtest/processes"
)

// engine is a system that is compared.
type engine interface {
	// prepare fills its stores with the world, once.
	prepare(ctx context.Context, w *world) error
	// start starts its server and returns when it may be called.
	start(ctx context.Context, w *world) (*processes.Process, string, error)
	// books are all live bookings; called while its server runs and nobody uses it. ok is false of one that keeps none.
	books(ctx context.Context, w *world) (rows []row, ok bool, err error)
	// selfAudit asks the engine's own audit, where it has one.
	selfAudit(ctx context.Context) error
}

// contender is an engine in the run, and all that is kept of it from turn to turn.
type contender struct {
	Name string
	engine
	world    *world
	redis    []*redis.Client // the nodes that its server uses
	only     []Workload      // of a variant; nil: all that it takes
	postgres bool            // its server uses PostgreSQL
	persons  atomic.Int64
	told     acknowledged

	process *processes.Process // its server, where that is started once; nil: not yet
	address string
}

// up starts the contender's server, or finds it where it is started once.
func (r *runner) up(ctx context.Context, c *contender) (*processes.Process, string, error) {
	if c.process != nil {
		return c.process, c.address, nil
	}
	p, address, err := c.start(ctx, c.world)
	if err == nil && r.Brief {
		c.process, c.address = p, address
	}
	return p, address, err
}

// down stops a server that is not started once.
func (r *runner) down(p *processes.Process) {
	if !r.Brief {
		stop(p)
	}
}

// retire stops a server that was started once.
func (c *contender) retire() {
	if c.process != nil {
		stop(c.process)
		c.process = nil
	}
}

// childVariable carries a baseline's configuration to the process that is to be it.
const childVariable = "MUSTER_BENCH_BASELINE"

// baselineEngine runs a baseline as a process of its own: this program again.
type baselineEngine struct {
	config baseline.Config
	folder string
	self   string // the executable that calls Child
}

func (b *baselineEngine) prepare(ctx context.Context, w *world) error {
	return baseline.Fill(ctx, b.config, w.rows())
}

var serves = regexp.MustCompile(`^serving (\S+)$`)

func (b *baselineEngine) start(ctx context.Context, _ *world) (*processes.Process, string, error) {
	config, err := json.Marshal(b.config)
	if err != nil {
		return nil, "", err
	}
	cmd := exec.Command(b.self)
	cmd.Env = append(os.Environ(), childVariable+"="+string(config))
	processes.Apart(cmd)
	p, said, err := processes.Serve(ctx, cmd, filepath.Join(b.folder, string(b.config.Kind)+".log"), serves)
	if err != nil {
		return nil, "", err
	}
	return p, said[1], nil
}

func (b *baselineEngine) books(ctx context.Context, w *world) ([]row, bool, error) {
	if b.config.Kind == baseline.NoOp {
		return nil, false, nil
	}
	c, err := pgx.Connect(ctx, b.config.Postgres)
	if err != nil {
		return nil, false, err
	}
	defer c.Close(ctx)
	found, err := c.Query(ctx, "SELECT reference, nhs_number, slot, coalesce(place, $1) FROM bookings", noPlace)
	if err != nil {
		return nil, false, err
	}
	slots := w.numbered()
	var rows []row
	var reference, person string
	var slot, place int32
	_, err = pgx.ForEachRow(found, []any{&reference, &person, &slot, &place}, func() error {
		r := row{place: place} // one with a strange name or slot was given by nobody, which the audit finds
		r.reference, _ = nameOf(reference)
		r.person, _ = nameOf(person)
		if slot >= 1 && int(slot) <= len(slots) {
			r.slot = slots[slot-1]
		}
		rows = append(rows, r)
		return nil
	})
	return rows, true, err
}

func (b *baselineEngine) selfAudit(context.Context) error { return nil }
