package allocator_test

import (
	"sync/atomic"
	"testing"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest/faults"
)

// frees lets methods fail while it is armed, and counts how often places were given back by the ledger's evidence.
type frees struct {
	armed   atomic.Bool
	n       atomic.Int32
	failing map[string]error
}

func (f *frees) plan(method string) faults.Plan {
	if method == "Free" {
		f.n.Add(1)
	}
	if f.armed.Load() && f.failing[method] != nil {
		return faults.Plan{Before: f.failing[method]}
	}
	return faults.Plan{}
}

// A confirm whose outcome is unknown may have been recorded: its place is given back to nobody.
func TestUnknownOutcomeFreesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		f := &frees{failing: map[string]error{"Record": allocator.ErrOutcomeUnknown}}
		w.plan = f.plan
		a := w.serve()
		w.publish(a, "S1", session(1, "RSV"))
		h := w.held(a, "", w.claim("S1", "RSV", 0))
		f.armed.Store(true)
		_, err := w.confirm(a, h.Token, person(1))
		wantCode(t, err, allocator.CodeOutcomeUnknown)
		time.Sleep(time.Second)
		if n := f.n.Load(); n != 0 {
			t.Errorf("%d frees", n)
		}
		f.armed.Store(false)
		if _, err := w.confirm(a, h.Token, person(1)); err != nil {
			t.Errorf("asked again: %v", err)
		}
	})
}

// A refusal whose void is not certain gives nothing back: a late record would book what others have by then.
func TestNothingIsFreedBeforeTheVoid(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		f := &frees{failing: map[string]error{"Void": allocator.ErrUnavailable}}
		w.plan = f.plan
		a := w.serve()
		w.publish(a, "S1", session(2, "RSV"))
		w.book(a, 1, w.claim("S1", "RSV", 0))
		h := w.held(a, "", w.claim("S1", "RSV", 1))
		f.armed.Store(true)
		if _, err := w.confirm(a, h.Token, person(1)); err == nil || allocator.CodeOf(err) == allocator.CodeAlreadyBooked {
			t.Errorf("told before it is certain: %v", err)
		}
		time.Sleep(time.Second)
		if n := f.n.Load(); n != 0 {
			t.Errorf("%d frees", n)
		}
		f.armed.Store(false)
		_, err := w.confirm(a, h.Token, person(1))
		wantCode(t, err, allocator.CodeAlreadyBooked)
		time.Sleep(time.Second)
		if f.n.Load() == 0 {
			t.Error("nothing was freed after the void")
		}
	})
}

// A pin that was recorded is settled when its deadline has passed, and its place is given back to nobody.
func TestRecordedPinsAreSettled(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		f := &frees{failing: map[string]error{
			"Settle": allocator.ErrUnavailable, "ReadSite": allocator.ErrUnavailable, "ReadPlaces": allocator.ErrUnavailable, // or reconcile is faster
		}}
		w.plan = f.plan
		a := w.serve()
		w.publish(a, "S1", session(1, "RSV"))
		h := w.held(a, "", w.claim("S1", "RSV", 0))
		f.armed.Store(true)
		if _, err := w.confirm(a, h.Token, person(1)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(310 * time.Second)
		f.armed.Store(false)
		time.Sleep(5 * time.Second)
		if n := f.n.Load(); n != 0 {
			t.Errorf("%d frees", n)
		}
		if places := w.view(a, "S1").Places; len(places) != 1 || !places[0].Booked {
			t.Errorf("the inventory has %+v", places)
		}
	})
}
