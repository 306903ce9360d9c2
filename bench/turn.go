package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"muster/bench/baseline"
	"muster/loadtest/processes"
)

// stormPatience bounds a storm.
const stormPatience = 5 * time.Minute

var errNoRate = errors.New("not measured: its rate follows from closed loops, of which this run has none")

// turn measures one engine under one workload, once.
func (r *runner) turn(ctx context.Context, c *contender, w Workload, repetition int) (Turn, error) {
	rate, err := r.rate(w)
	if err != nil {
		return Turn{}, err
	}
	if b, ok := c.engine.(*baselineEngine); ok {
		b.config.Search = r.replyBytes
	}
	server, address, err := r.up(ctx, c)
	if err != nil {
		return Turn{}, err
	}
	defer r.down(server)
	m, err := r.measurement(c, w, repetition, address, rate)
	if err != nil {
		return Turn{}, err
	}
	m.meter.server = server.Pid()
	told := c.told.count()
	before, err := memory(ctx, c.redis)
	if err != nil {
		return Turn{}, err
	}
	if err := m.run(ctx); err != nil {
		return Turn{}, server.Explain(err)
	}
	after, err := memory(ctx, c.redis)
	if err != nil {
		return Turn{}, err
	}
	t := m.turn(c.Name)
	if claims := c.told.count() - told; w == Spread && len(c.redis) > 0 && claims > 0 {
		t.ClaimBytes = float64(after-before) / float64(claims)
	}
	r.learn(c, &t, m.load)
	return t, r.audit(ctx, c, &t)
}

// rate is that of an open loop's plan, 0 of a closed one's.
func (r *runner) rate(w Workload) (float64, error) {
	least := r.rates[Ours]
	switch {
	case w != Steady && w != Surge:
		return 0, nil
	case w == Steady && r.Rate > 0:
		return r.Rate, nil
	case w == Steady:
		for name, rate := range r.rates {
			if takes(name, Steady) && (least == 0 || rate < least) {
				least = rate
			}
		}
	}
	if least == 0 {
		return 0, errNoRate
	}
	return least / 2, nil
}

// learn keeps what later turns need.
func (r *runner) learn(c *contender, t *Turn, l *load) {
	switch {
	case t.Workload == Spread && t.Flows > 0 && c.only == nil:
		r.rates[c.Name] = t.FlowsPerSec
	case t.Workload == Search && c.Name != string(baseline.NoOp) && t.Flows > 0:
		r.replyBytes = int(l.bytes.Load() / t.Flows)
	}
}

// measurement is a turn that is being measured.
type measurement struct {
	Options
	workload   Workload
	repetition int
	load       *load
	work       shape
	plan       *schedule // of an open loop
	crowd      *crowd    // of a storm
	meter      *meter
	server     *ours  // whose inside can be looked at; nil: another
	profile    string // file; "": none

	began       time.Time
	took        time.Duration
	slowest     float64 // flows/s of any stretch; 0 of a short turn
	missed      int64   // flows of the plan that were due and not begun
	spent       usage
	others      time.Duration // CPU of all processes that are not the engine's
	allocations float64
}

func (r *runner) measurement(c *contender, w Workload, repetition int, address string, rate float64) (*measurement, error) {
	world := c.world
	l := &load{address: address, clients: r.Clients, perRequest: 1, confirms: w != Holds, persons: &c.persons, told: &c.told,
		keys: fmt.Sprintf("bench-%d", os.Getpid()), choose: world.anyOf(world.spread)}
	m := &measurement{Options: r.Options, workload: w, repetition: repetition, load: l, work: closed, meter: &meter{redis: c.redis}}
	switch w {
	case Hot:
		l.choose = world.anyOf(world.hot[repetition : repetition+1])
	case Batch:
		l.perRequest, l.clients, m.work = r.PerRequest, max(1, r.Clients/r.PerRequest), batches
	case Steady, Surge:
		m.plan = &schedule{rate: rate}
		m.work = open(m.plan)
	case Search:
		m.work = searches(c.Name != string(baseline.NoOp))
		var err error
		if l.questions, err = world.ask(address); err != nil {
			return nil, err
		}
	case Storm:
		l.choose = world.anyOf(world.storms[repetition : repetition+1])
		m.crowd = &crowd{}
		m.crowd.left.Store(int64(r.Contenders))
		m.work = m.crowd.work
	}
	if c.postgres {
		m.meter.postmaster = r.databases.postmaster
	}
	if m.server, _ = c.engine.(*ours); m.server != nil && r.Profiles != "" {
		m.profile = filepath.Join(r.Profiles, fmt.Sprintf("%s-%s-%d.pprof", c.Name, w, repetition+1))
	}
	return m, nil
}

// run runs the load: warming up, then for the time that counts. A storm counts from its first request to its last answer.
func (m *measurement) run(ctx context.Context) error {
	if runtime.GOOS != "linux" {
		m.meter.server, m.meter.postmaster = 0, 0 // their CPU cannot be seen
	}
	loading, stop := context.WithTimeout(ctx, m.Warm+m.Measure+stormPatience)
	ended := make(chan struct{})
	start := func() {
		if m.plan != nil {
			m.plan.start = time.Now()
		}
		go func() {
			defer close(ended)
			m.load.run(loading, m.work)
		}()
	}
	m.load.askAll()
	begun := m.crowd == nil
	if begun {
		start()
		if err := wait(ctx, m.Warm); err != nil {
			stop()
			<-ended
			return err
		}
	}
	err := m.window(ctx, func() error {
		if begun {
			return m.watch(ctx)
		}
		begun = true
		start()
		<-ended
		return loading.Err()
	})
	stop()
	if begun {
		<-ended
	}
	return err
}

// stretch is what a long turn is divided in, to find its slowest part.
const stretch = 10 * time.Second

// watch waits for the measured time, and takes note of the slowest stretch of a long one. It waits on, for as long as patience
// lasts, until anything at all has ended.
func (m *measurement) watch(ctx context.Context) error {
	left := m.Measure
	for left > stretch {
		before := m.load.flows.Load()
		if err := wait(ctx, stretch); err != nil {
			return err
		}
		left -= stretch
		if rate := float64(m.load.flows.Load()-before) / stretch.Seconds(); m.slowest == 0 || rate < m.slowest {
			m.slowest = rate
		}
	}
	err := wait(ctx, left)
	for begun := time.Now(); err == nil && m.load.ended() == 0 && time.Since(begun) < processes.Patience; {
		err = wait(ctx, 5*time.Millisecond)
	}
	return err
}

// window measures what happens while it waits.
func (m *measurement) window(ctx context.Context, wait func() error) error {
	before, err := m.meter.read(ctx)
	if err != nil {
		return err
	}
	mallocs, err := m.mallocs(ctx)
	if err != nil {
		return err
	}
	profiled := m.takeProfile(ctx)
	busy := machineCPU()
	m.began = time.Now()
	m.load.measuring.Store(true)
	if err := wait(); err != nil {
		return err
	}
	m.load.measuring.Store(false)
	m.took = time.Since(m.began)
	if m.plan != nil {
		m.missed = m.plan.missed(time.Now())
	}
	after, err := m.meter.read(ctx)
	if err != nil {
		return err
	}
	m.spent, m.others = after.since(before), machineCPU()-busy
	for _, used := range m.spent {
		m.others -= used
	}
	more, err := m.mallocs(ctx)
	m.allocations = more - mallocs
	return errors.Join(err, <-profiled)
}

// mallocs is how many objects our server has allocated so far.
func (m *measurement) mallocs(ctx context.Context) (float64, error) {
	if m.server == nil {
		return 0, nil
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, m.server.ops+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	text, err := do(r)
	if err != nil {
		return 0, err
	}
	const name = "\ngo_memstats_mallocs_total "
	_, rest, ok := bytes.Cut(text, []byte(name))
	if !ok {
		return 0, errors.New("the metrics do not tell how much was allocated")
	}
	value, _, _ := bytes.Cut(rest, []byte{'\n'})
	return strconv.ParseFloat(string(value), 64)
}

// takeProfile asks our server for a CPU profile of the window, where one is wanted.
func (m *measurement) takeProfile(ctx context.Context) <-chan error {
	done := make(chan error, 1)
	if m.profile == "" {
		done <- nil
		return done
	}
	go func() {
		seconds := min(max(1, int(m.Measure.Seconds())), 30)
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", m.server.ops, seconds), nil)
		if err == nil {
			var profile []byte
			if profile, err = do(r); err == nil {
				err = os.WriteFile(m.profile, profile, 0o644)
			}
		}
		done <- err
	}()
	return done
}

// audit judges an engine's books after a turn.
func (r *runner) audit(ctx context.Context, c *contender, t *Turn) error {
	rows, kept, err := c.books(ctx, c.world)
	if err != nil {
		return fmt.Errorf("reading the books: %w", err)
	}
	if kept {
		t.Audit = new(judge(rows, c.world.capacity, &c.told))
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
	if s := t.Storm; s != nil && (s.Booked != stormPlaces || s.Booked+s.Refused != s.Contenders) {
		t.doesNotCount(fmt.Sprintf("of %d contenders for %d places %d booked and %d were refused", s.Contenders, stormPlaces, s.Booked, s.Refused))
	}
	return nil
}
