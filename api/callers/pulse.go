package callers

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// pulseMean is how long the pulse remembers, on average: a little more than people need for a confirm.
const pulseMean = 5 * time.Minute

// pulse is how many places were granted lately, and how many of them redeemed or given back.
type pulse struct {
	mu       sync.Mutex
	at       time.Time
	granted  float64
	redeemed float64
}

func (p *pulse) fade(now time.Time) {
	if passed := now.Sub(p.at); passed > 0 {
		keep := math.Exp(-passed.Seconds() / pulseMean.Seconds())
		p.granted, p.redeemed, p.at = p.granted*keep, p.redeemed*keep, now
	}
}

func (p *pulse) grant(now time.Time, places int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fade(now)
	p.granted += float64(places)
}

func (p *pulse) redeem(now time.Time, places int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fade(now)
	p.redeemed += float64(places)
}

// squat is 0 while at least half of the places are redeemed or few are out, and 1 where none is.
func (p *pulse) squat(now time.Time, from int) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fade(now)
	out := p.granted - p.redeemed
	if out < float64(from) {
		return 0
	}
	return max(0, min(1, 2*out/p.granted-1))
}

// counts are what limits did, since the beginning.
type counts struct {
	byAddress, byVisitor, byClient, byPerson atomic.Uint64
	asked, accepted, rejected, replaced      atomic.Uint64
}

func (c *counts) refused(limit string) {
	switch limit {
	case "address":
		c.byAddress.Add(1)
	case "visitor":
		c.byVisitor.Add(1)
	case "client":
		c.byClient.Add(1)
	default:
		c.byPerson.Add(1)
	}
}

// Counts is what limits did since the beginning, and the loads of which they go by the larger.
type Counts struct {
	Refused  map[string]uint64  // by limit
	Proofs   map[string]uint64  // asked, accepted, rejected
	Replaced uint64             // holds that the same visitor's next one took the place of
	Load     map[string]float64 // by cause: busy, squatting
}

// Nothing is what no limits do.
var Nothing = new(counts).counted()

// Counts tells what the limits did.
func (l *Limits) Counts(now time.Time) Counts {
	c := l.counted()
	c.Load = map[string]float64{"busy": l.options.Load(), "squatting": l.squat(now)}
	return c
}

func (l *counts) counted() Counts {
	return Counts{
		Refused: map[string]uint64{
			"address": l.byAddress.Load(), "visitor": l.byVisitor.Load(), "client": l.byClient.Load(), "person": l.byPerson.Load(),
		},
		Proofs:   map[string]uint64{"asked": l.asked.Load(), "accepted": l.accepted.Load(), "rejected": l.rejected.Load()},
		Replaced: l.replaced.Load(), Load: map[string]float64{"busy": 0, "squatting": 0},
	}
}
