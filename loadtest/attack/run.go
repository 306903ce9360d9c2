package attack

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"muster/loadtest/audit"
	"muster/loadtest/result"
)

// Run sends the load and returns what was counted and what citizens were told. It blocks until the last journey has ended, or
// was cut when the time was over; where ctx ends before, what is left of the plan counts as unsent. The error tells what is
// wrong with the configuration.
func Run(ctx context.Context, c Config) (*result.Result, *audit.Evidence, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, nil, err
	}
	recorder := result.NewRecorder(result.WindowFor(c.Profile.Curve.Length() + c.Grace))
	evidence := audit.NewEvidence()
	w := &world{services: c.Services, from: c.From, to: c.To, seed: c.Seed, bell: c.Profile.Bell, think: c.Think, retry: c.Retry, tries: c.Tries, recorder: recorder, evidence: evidence,
		phantoms: newPhantoms()}
	if !c.StartAt.IsZero() {
		wait(ctx, time.Until(c.StartAt))
	}
	began := time.Now()
	if !c.StartAt.IsZero() {
		began = began.Add(c.StartAt.Sub(began)) // of several generators, none moves the plan
	}
	s := newScheduler(&c, w, began)
	before := ownCPU()
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	var beside sync.WaitGroup
	beside.Go(func() { watch(running, &c, s) })
	hooked := new(result.Hook)
	if c.Hook != nil {
		beside.Go(func() { hooked = callHook(ctx, running, &c, s) })
	}
	if c.Engine == Lean {
		runLean(ctx, &c, s)
	} else {
		runVegeta(ctx, &c, s)
	}
	s.finish()
	stop()
	beside.Wait()
	r := recorder.Result()
	r.Totals.Phantom = w.phantoms.count()
	r.Profile, r.Run = result.ProfileOf(c.Profile), result.Run{Target: c.Target.String(), Engine: c.Engine, Seed: c.Seed, Started: began,
		Generators: []string{fmt.Sprintf("%d/%d", c.Generator, c.Generators)}}
	if c.Hook != nil {
		r.Hook = hooked
	}
	if ctx.Err() != nil {
		r.Run.Broken = "the run was interrupted"
	}
	r.Generator = result.Generator{CPUSeconds: (ownCPU() - before).Seconds(), WallSeconds: s.now().Seconds(), Cores: runtime.GOMAXPROCS(0),
		InFlight: s.peak, Workers: c.MaxWorkers, Exhausted: s.exhausted}
	r.Generator.Limited = limits(r, c.MaxLag)
	r.Finish()
	return r, evidence, nil
}

// watch tells of the progress, once a second and at the end.
func watch(ctx context.Context, c *Config, s *scheduler) {
	if c.Progress == nil {
		return
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for over := false; !over; {
		select {
		case <-ctx.Done():
			over = true
		case <-ticker.C:
		}
		live := s.world.recorder.Look()
		s.mu.Lock()
		live.InFlight = s.inFlight
		s.mu.Unlock()
		c.Progress(s.now(), live)
	}
}

// callHook waits for the middle of the load and calls the operator's command, unless the run is over before.
func callHook(ctx, running context.Context, c *Config, s *scheduler) *result.Hook {
	at := c.Profile.Curve.Length() / 2
	if !wait(running, at-s.now()) {
		return &result.Hook{Error: "the run was over before its time came"}
	}
	began := s.now()
	h := c.Hook(ctx)
	h.AtSeconds, h.Seconds = began.Seconds(), (s.now() - began).Seconds()
	return &h
}

// wait waits; false where ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

const (
	mostCPU       = 0.9   // of its cores
	mostExhausted = 0.001 // of the requests
	mostUnsent    = 0.01  // of the arrivals
)

// limits are the reasons for which figures are the generator's own and not the server's.
func limits(r *result.Result, maxLag time.Duration) []string {
	var reasons []string
	say := func(format string, args ...any) { reasons = append(reasons, fmt.Sprintf(format, args...)) }
	if lag := r.Lag.Percentile(99); lag > maxLag {
		say("one request in a hundred was sent %v or more after its time; %v are allowed", lag.Round(time.Millisecond), maxLag)
	}
	if n := r.Generator.Exhausted; n > 0 && float64(n) > mostExhausted*float64(r.Totals.Requests) {
		say("%d requests found all %d workers busy: allow more", n, r.Generator.Workers)
	}
	if n := r.Totals.Unsent; n > 0 && float64(n) > mostUnsent*float64(r.Totals.Planned) && r.Run.Broken == "" {
		say("%d of %d planned arrivals were never sent", n, r.Totals.Planned)
	}
	if g := r.Generator; g.CPUSeconds > mostCPU*g.WallSeconds*float64(g.Cores) {
		say("it used %.1f of its %d cores", g.CPUSeconds/g.WallSeconds, g.Cores)
	}
	return reasons
}
