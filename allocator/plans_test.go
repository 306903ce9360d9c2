package allocator_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest/faults"
)

// everyDay is a series from tomorrow on.
func (w *world) everyDay(capacity int) allocator.Plan {
	return allocator.Plan{Series: []allocator.Series{{
		ID: "daily", From: w.day, Until: w.day + 300, Weekdays: []time.Weekday{0, 1, 2, 3, 4, 5, 6}, EveryWeeks: 1,
		Sessions: allocator.Sessions{{ID: "morning", From: 540, Until: 600, SlotLength: 10, Capacity: capacity, Services: []allocator.ServiceCode{"RSV"}}},
	}}}
}

// days reads the site's days from tomorrow on.
func (w *world) days(n int) []allocator.Day {
	w.t.Helper()
	days, err := w.ledger.Days(context.Background(), allocator.DayRevision{Site: "S1"}, w.day, n)
	if err != nil {
		w.t.Fatal(err)
	}
	return days
}

// expectPlanned fails unless each day within reach is what the stored plan says, and none passes for edited by hand.
func (w *world) expectPlanned(a *allocator.Allocator) allocator.SitePlan {
	w.t.Helper()
	p, edited, err := a.Plan(context.Background(), "S1")
	if err != nil || len(edited) > 0 || len(p.Open) > 0 {
		w.t.Errorf("days %v pass for edited, %v are open, %v", edited, p.Open, err)
	}
	for date := w.today(); date < w.today()+92; date++ {
		day, err := w.ledger.Day(context.Background(), "S1", date)
		if err != nil || !sameShape(day.Sessions, p.On(date)) {
			w.t.Errorf("%s is %v, %v; the plan says %v", date, day.Sessions, err, p.On(date))
		}
	}
	return p
}

// sameShape compares what publishers say of sessions.
func sameShape(a, b []allocator.Session) bool {
	return string(allocator.EncodeSessions(withoutKept(a))) == string(allocator.EncodeSessions(withoutKept(b)))
}

func withoutKept(sessions []allocator.Session) []allocator.Session {
	sessions = slices.Clone(sessions)
	for i := range sessions {
		sessions[i].Kept = nil
	}
	return sessions
}

// dying is the ledger of a server that dies: after so many writes, or in the middle of publishing.
type dying struct {
	allocator.Ledger
	left   atomic.Int32 // writes until then
	halved bool         // the last write is half done, where it can be
	dead   atomic.Bool
}

func (d *dying) dies() bool { return d.left.Add(-1) <= 0 }

func (d *dying) gone() error {
	if d.dead.Load() {
		return allocator.ErrUnavailable
	}
	return nil
}

// Publish and PutPlan are the writes that count; what a dead server asks for is not done.
func (d *dying) Publish(ctx context.Context, changes []allocator.DayChange) ([]allocator.PublishResult, error) {
	if err := d.gone(); err != nil {
		return nil, err
	}
	if !d.dies() {
		return d.Ledger.Publish(ctx, changes)
	}
	d.dead.Store(true)
	if d.halved {
		changes = changes[:len(changes)/2]
	}
	_, err := d.Ledger.Publish(ctx, changes)
	return nil, fmt.Errorf("%w: %w", allocator.ErrOutcomeUnknown, err)
}

func (d *dying) PutPlan(ctx context.Context, plan allocator.SitePlan) (bool, error) {
	if err := d.gone(); err != nil {
		return false, err
	}
	if !d.dies() {
		return d.Ledger.PutPlan(ctx, plan)
	}
	d.dead.Store(true)
	_, err := d.Ledger.PutPlan(ctx, plan)
	return false, fmt.Errorf("%w: %w", allocator.ErrOutcomeUnknown, err)
}

// Wherever a server dies that puts a plan, another one makes the days that are left, and none is taken for edited by hand.
func TestPlansAreFinished(t *testing.T) {
	finished := 0
	for writes := range 5 {
		for _, halved := range []bool{false, true} {
			inBubble(t, func(t *testing.T, w *world) {
				b := w.serve()
				ctx := context.Background()
				if _, err := b.PutPlan(ctx, allocator.PlanRequest{Site: "S1", Plan: w.everyDay(2)}); err != nil {
					t.Fatal(err)
				}
				w.expectPlanned(b)
				config := w.config()
				d := &dying{Ledger: w.ledger, halved: halved}
				d.left.Store(int32(writes + 1))
				config.Ledger = d
				a, err := allocator.New(config)
				if err == nil {
					err = a.Start(ctx)
				}
				if err != nil {
					t.Fatal(err)
				}
				next := w.everyDay(3)
				next.Closures = []allocator.Closure{{From: w.day + 5, Until: w.day + 6}}
				reply, err := a.PutPlan(ctx, allocator.PlanRequest{Site: "S1", Plan: next})
				t.Logf("dies at write %d, %v: %d days, %v", writes+1, halved, len(reply.Days), err)
				if err := a.Stop(ctx); err != nil {
					t.Fatal(err)
				}
				time.Sleep(3 * time.Minute)
				if p := w.expectPlanned(b); p.Series[0].Sessions[0].Capacity == 3 {
					finished++
				}
				last := w.everyDay(1)
				if _, err := b.PutPlan(ctx, allocator.PlanRequest{Site: "S1", Plan: last}); err != nil {
					t.Fatal(err)
				}
				if p := w.expectPlanned(b); p.Series[0].Sessions[0].Capacity != 1 || len(p.Edited) > 0 {
					t.Errorf("afterwards: %+v", p)
				}
			})
		}
	}
	if finished != 8 {
		t.Errorf("%d plans were finished, want all that were written", finished)
	}
}

// Two servers that put plans at once, while days come within reach, leave the days of one of the two.
func TestPlansRace(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.plan = func(string) faults.Plan { return faults.Plan{Delay: time.Duration(rand.IntN(3000)) * time.Microsecond} }
		servers := []*allocator.Allocator{w.serve(), w.serve(), w.serve()}
		for round := range 12 {
			done := make(chan error, len(servers))
			for i, a := range servers {
				go func() {
					p := w.everyDay(1 + (round+i)%4)
					if i == 1 {
						p.Closures = []allocator.Closure{{From: w.day + 80, Until: w.day + 200}}
					}
					_, err := a.PutPlan(context.Background(), allocator.PlanRequest{Site: "S1", Plan: p})
					done <- err
				}()
			}
			for range servers {
				if err := <-done; err != nil && allocator.CodeOf(err) != allocator.CodeRevisionMismatch {
					t.Error(err)
				}
			}
			time.Sleep(3 * time.Minute)
			w.expectPlanned(servers[round%3])
			w.ahead.Add(1)
			time.Sleep(time.Duration(round) * 5 * time.Second)
		}
	})
}

// What publishers are told: revisions, conditions, foreign sites, and a session of an unknown service.
func TestPutPlan(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a, ctx := w.serve(), context.Background()
		zero, one := int64(0), int64(1)
		r := allocator.PlanRequest{Site: "S1", Plan: w.everyDay(1), IfMatch: &zero}
		reply, err := a.PutPlan(ctx, r)
		if err != nil || reply.Revision != 1 || len(reply.Days) != 91 || reply.Days[0].Reply.Added != 6 {
			t.Fatalf("%+v, %v", reply, err)
		}
		_, err = a.PutPlan(ctx, r)
		wantCode(t, err, allocator.CodeRevisionMismatch)
		r.IfMatch, r.Plan = &one, allocator.Plan{}
		if reply, err = a.PutPlan(ctx, r); err != nil || reply.Revision != 2 || reply.Days[0].Reply.Removed != 6 {
			t.Errorf("%+v, %v", reply, err)
		}
		if days := w.days(300); len(days) != 91 || len(days[90].Sessions) > 0 {
			t.Errorf("%d days are left: %+v", len(days), days)
		}
		foreign := allocator.Caller{Bound: true, Organisation: "another"}
		_, err = a.PutPlan(ctx, allocator.PlanRequest{Site: "S1", Caller: foreign, Plan: w.everyDay(1)})
		wantCode(t, err, allocator.CodeSiteUnknown)
		strange := w.everyDay(1)
		strange.Series[0].Sessions[0].Services = []allocator.ServiceCode{"NONE"}
		_, err = a.PutPlan(ctx, allocator.PlanRequest{Site: "S1", Plan: strange})
		wantCode(t, err, allocator.CodeInvalid)
	})
}
