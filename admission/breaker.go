package admission

import (
	"math/rand/v2"
	"sync"
	"time"
)

// BreakerBounds say when a dependency counts as dead. The zero value of a field means its default.
type BreakerBounds struct {
	Failures int           // so many in a row, without an answer in between; default 5
	Lasting  time.Duration // and for at least so long: shorter ones are waited out; default 2 s
	Pause    time.Duration // until the first trial; doubled after each that fails, give or take a quarter; default 500 ms
	MaxPause time.Duration // default 5 s
	Trials   int           // that succeed in a row before all calls go again; default 2
}

func (b BreakerBounds) withDefaults() BreakerBounds {
	for field, value := range map[*time.Duration]time.Duration{&b.Lasting: 2 * time.Second, &b.Pause: 500 * time.Millisecond, &b.MaxPause: 5 * time.Second} {
		if *field == 0 {
			*field = value
		}
	}
	for field, value := range map[*int]int{&b.Failures: 5, &b.Trials: 2} {
		if *field == 0 {
			*field = value
		}
	}
	return b
}

// BreakerState is where a breaker stands.
type BreakerState int

// The states.
const (
	Closed   BreakerState = iota // calls go
	HalfOpen                     // one call at a time is tried
	Open                         // calls are refused
)

// Breaker keeps calls from a dependency that does not answer, and tries now and then whether it does again. Safe for concurrent
// use; it never blocks.
type Breaker struct {
	bounds BreakerBounds

	mu       sync.Mutex
	state    BreakerState
	failures int
	failing  time.Time // since when, while failures > 0
	pause    time.Duration
	until    time.Time // open: of the next trial; half open: when a trial that nobody heard of again is given up
	trying   bool
	answered int // trials in a row
	refused  uint64
}

// NewBreaker makes a closed breaker.
func NewBreaker(bounds BreakerBounds) *Breaker { return &Breaker{bounds: bounds.withDefaults()} }

// Outcome is what a call says about its dependency.
type Outcome int

// The outcomes.
const (
	Answered Outcome = iota
	Failed
	Silent // nothing: its caller gave up
)

// Allow says whether a call may go. Whoever is allowed tells by Done what came of it.
func (b *Breaker) Allow() bool {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == Closed {
		return true
	}
	if (b.state == Open || b.trying) && now.Before(b.until) {
		b.refused++
		return false
	}
	b.state, b.trying, b.until = HalfOpen, true, now.Add(b.bounds.MaxPause)
	return true
}

// Done takes the outcome of a call that was allowed.
func (b *Breaker) Done(o Outcome) {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	trial := b.state == HalfOpen
	if trial {
		b.trying = false
	}
	switch {
	case o == Failed && trial:
		b.open(now, min(2*b.pause, b.bounds.MaxPause))
	case o == Failed && b.state == Closed:
		if b.failures++; b.failures == 1 {
			b.failing = now
		}
		if b.failures >= b.bounds.Failures && now.Sub(b.failing) >= b.bounds.Lasting {
			b.open(now, b.bounds.Pause)
		}
	case o == Answered && b.state != Closed: // also of a call that began before it opened
		b.state = HalfOpen
		if b.answered++; b.answered >= b.bounds.Trials {
			b.state, b.failures, b.answered = Closed, 0, 0
		}
	case o == Answered:
		b.failures = 0
	}
}

// open refuses calls for a while; the caller has the lock.
func (b *Breaker) open(now time.Time, pause time.Duration) {
	b.state, b.pause, b.answered, b.trying = Open, pause, 0, false
	b.until = now.Add(pause - pause/4 + rand.N(pause/2))
}

// Look tells the state, how many calls were refused so far, and how long it takes until the next trial.
func (b *Breaker) Look() (state BreakerState, refused uint64, left time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state, b.refused, max(0, time.Until(b.until))
}
