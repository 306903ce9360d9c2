package admission

import (
	"testing"
	"testing/synctest"
	"time"
)

func told(t *testing.T, b *Breaker, want BreakerState) time.Duration {
	t.Helper()
	state, _, left := b.Look()
	if state != want {
		t.Fatalf("state %d, want %d", state, want)
	}
	return left
}

// fail makes a call that fails.
func fail(t *testing.T, b *Breaker) {
	t.Helper()
	if !b.Allow() {
		t.Fatal("the breaker is open")
	}
	b.Done(Failed)
}

// TestBreaker goes the whole way: short failures are waited out, lasting ones open it, one trial at a time tells whether the
// other side is back, the pauses grow up to a bound, and two answers in a row close it.
func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBreaker(BreakerBounds{})
		for range 100 {
			fail(t, b)
		}
		told(t, b, Closed) // many, but within an instant
		b.Done(Answered)
		time.Sleep(10 * time.Second)
		fail(t, b)
		told(t, b, Closed) // lasting, but one
		for range 4 {
			time.Sleep(time.Second)
			fail(t, b)
		}
		left := told(t, b, Open)
		for pause := 500 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
			if left < 3*pause/4 || left >= 5*pause/4 {
				t.Errorf("%v until the next trial, want about %v", left, pause)
			}
			if b.Allow() {
				t.Error("a call goes through an open breaker")
			}
			time.Sleep(left)
			if !b.Allow() || b.Allow() {
				t.Fatal("one trial is to go, and no second")
			}
			if pause == 5*time.Second {
				break
			}
			b.Done(Failed)
			left = told(t, b, Open)
		}
		b.Done(Silent) // that trial told nothing, so another may go
		if !b.Allow() {
			t.Fatal("no trial after one that told nothing")
		}
		b.Done(Answered)
		told(t, b, HalfOpen)
		if !b.Allow() {
			t.Fatal("no second trial")
		}
		b.Done(Answered)
		told(t, b, Closed)
		if _, refused, _ := b.Look(); refused < 5 {
			t.Errorf("%d refused", refused)
		}
	})
}

// TestLostTrial: a trial of which nobody hears again does not shut the breaker for ever.
func TestLostTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBreaker(BreakerBounds{Failures: 1, Lasting: 1})
		fail(t, b)
		time.Sleep(time.Millisecond)
		fail(t, b)
		time.Sleep(told(t, b, Open))
		if !b.Allow() || b.Allow() {
			t.Fatal("one trial")
		}
		time.Sleep(5 * time.Second)
		if !b.Allow() {
			t.Error("the breaker waits for a lost trial")
		}
	})
}

// TestJitter: breakers that opened together do not try together.
func TestJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pauses := make(map[time.Duration]bool)
		for range 20 {
			b := NewBreaker(BreakerBounds{Failures: 1, Lasting: 1})
			fail(t, b)
			time.Sleep(time.Nanosecond)
			fail(t, b)
			pauses[told(t, b, Open)] = true
		}
		if len(pauses) < 10 {
			t.Errorf("%d different pauses of 20 breakers", len(pauses))
		}
	})
}
