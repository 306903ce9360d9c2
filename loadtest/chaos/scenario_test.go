package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/allocator/allocatortest/checkers"
	"muster/allocator/allocatortest/reliability"
	"muster/loadtest/installation"
)

// scenario is an installation and what befalls it.
type scenario struct {
	name    string
	options installation.Options
	faults  []fault // all at once
	short   bool    // hurry
	prepare func(t *testing.T, o *installation.Options)
}

// fault is one kind of trouble.
type fault struct {
	kind   string
	target target
	strike func(s *stage) // injects it, for some seconds, and ends it
}

// target is what a fault breaks; two faults of one mixture never break the same.
type target int

const (
	aServer target = iota
	theRedis
	theLedger
	redisLinks
	ledgerLinks
)

// stage is where a fault strikes.
type stage struct {
	t     *testing.T
	in    *installation.Installation
	rng   *rand.Rand
	short bool

	mu    sync.Mutex
	count int
}

// injected counts a fault.
func (s *stage) injected() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count++
}

// wait lets time pass: between least and most, in a hurry half of it.
func (s *stage) wait(least, most time.Duration) {
	d := least + time.Duration(s.rng.Int64N(int64(most-least)+1))
	if s.short {
		d /= 2
	}
	pass(s.t.Context(), d)
}

func pass(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// someServer is one of them.
func (s *stage) someServer() *installation.Server {
	return s.in.Servers[s.rng.IntN(len(s.in.Servers))]
}

// run plays the scenario and judges what is left of it.
func (sc scenario) run(t *testing.T, seed uint64, all *tally) {
	sc.options.HoldSeconds = 4
	if sc.short {
		sc.options.HoldSeconds = 2
	}
	if sc.prepare != nil {
		sc.prepare(t, &sc.options)
	}
	began := time.Now()
	in := installation.Start(t, sc.options)
	w := in.Publish(installation.WorldOptions{})
	before, err := in.Levels(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	crowd := in.NewCrowd(w, installation.CrowdOptions{Seed: seed})
	crowd.Begin()
	where := fmt.Sprintf("scenario %s, seed %d", sc.name, seed)
	pass(t.Context(), time.Second)
	up := time.Now()
	ended := sc.strike(t, in, seed, all)
	v := &verdict{t: t, where: where, all: all}
	recovery, err := in.Recover(crowd, sc.kinds(), ended)
	v.check("P5", err)
	v.recovered(recovery.Fault+": until served", recovery.Serving)
	pass(t.Context(), time.Second)
	crowd.End()
	quiet := time.Now()
	consistent, err := in.Quiesce(crowd, quiet)
	v.check("P5", err)
	v.recovered(recovery.Fault+": until inventory equals ledger", consistent)
	v.judge(in, crowd)
	v.check("P10", in.Leaks(before))
	t.Logf("up %v, fault %v, served and ended %v, quiet and judged %v", up.Sub(began), ended.Sub(up), quiet.Sub(ended), time.Since(quiet))
	t.Logf("%s: served after %v, equal %v after the last request; repeats %v; counted %v",
		where, recovery.Serving.Round(time.Millisecond), consistent.Round(time.Millisecond), crowd.Repeats(), in.Counted(t.Context()))
}

// kinds names what befalls the installation. All mixtures go by one name: each alone comes but once.
func (sc scenario) kinds() string {
	if sc.name == mixture {
		return "a mixture of faults"
	}
	var kinds []string
	for _, f := range sc.faults {
		kinds = append(kinds, f.kind)
	}
	return strings.Join(kinds, " + ")
}

// strike injects all faults and tells when the last ended.
func (sc scenario) strike(t *testing.T, in *installation.Installation, seed uint64, all *tally) time.Time {
	var striking sync.WaitGroup
	for i, f := range sc.faults {
		s := &stage{t: t, in: in, rng: rand.New(rand.NewPCG(seed, 1<<40+uint64(i))), short: sc.short}
		striking.Go(func() {
			f.strike(s)
			all.add(func(p *reliability.Part) { p.Injected(f.kind, s.count) })
		})
	}
	striking.Wait()
	in.Heal()
	return time.Now()
}

// verdict gathers what is wrong with a run.
type verdict struct {
	t     *testing.T
	where string
	all   *tally
}

// check counts an error as a broken promise.
func (v *verdict) check(promise string, err error) {
	v.t.Helper()
	if err != nil {
		v.broken(promise, err.Error())
	}
}

func (v *verdict) broken(promise, text string) {
	v.t.Helper()
	v.t.Errorf("%s: %s is broken: %s", v.where, promise, text)
	v.all.add(func(p *reliability.Part) { p.Violated(promise, text, v.where) })
}

func (v *verdict) recovered(fault string, took time.Duration) {
	v.all.add(func(p *reliability.Part) { p.Recovered(fault, took) })
}

// judge reads what is left and has the checkers look at it.
func (v *verdict) judge(in *installation.Installation, crowd *installation.Crowd) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	evidence, err := in.Evidence(ctx, crowd)
	if err != nil {
		v.broken("P5", fmt.Sprintf("ledger or inventory cannot be read: %v", err))
		return
	}
	violations, stats := checkers.Check(crowd.History(), evidence)
	v.all.add(func(p *reliability.Part) {
		p.Seeds++
		p.Judged(v.where, violations, stats)
	})
	for _, found := range violations {
		v.t.Errorf("%s: %s is broken: %s", v.where, found.Promise, found.Text)
	}
	for _, found := range crowd.Complaints() {
		v.broken(found.Promise, found.Text)
	}
	if n := crowd.Unanswered(); n > 0 {
		v.broken("P11", fmt.Sprintf("%d operations had no definite answer within a minute", n))
	}
	_, err = in.Audit(ctx)
	v.check("P5", err)
	if v.t.Failed() {
		if err := in.Keep(crowd, evidence); err != nil {
			v.t.Error(err)
		}
	}
}
