package simulation

import (
	"math/rand/v2"
	"time"

	"muster/allocator"
)

// mix is what a seed allows, and how often. Drawing it anew for each seed, with whole kinds of trouble left out, reaches
// combinations that a fixed mix would almost never show.
type mix struct {
	servers, shards, sites, slots int
	citizens                      int // at once
	capacity                      int // at most, of one session
	serverSkew, nodeSkew          time.Duration
	limits                        allocator.Limits
	reorder                       int // percent of deliveries that are not the oldest message
	hurry                         int // percent of idle steps that deliver rather than let time pass
	fates                         weights[fate]
	troubles                      weights[trouble]
	troubleEvery                  int // steps, about
}

// weights are relative frequencies.
type weights[K ~int] []int

// pick draws one.
func (w weights[K]) pick(r *rand.Rand) K {
	total := 0
	for _, n := range w {
		total += n
	}
	at := r.IntN(total)
	for k, n := range w {
		if at < n {
			return K(k)
		}
		at -= n
	}
	return 0
}

// some keeps a weight half of the time.
func some(r *rand.Rand, n int) int {
	if r.IntN(2) == 0 {
		return 0
	}
	return 1 + r.IntN(n)
}

func newMix(r *rand.Rand) mix {
	m := mix{
		servers: 2 + r.IntN(5)/4, shards: 1 + r.IntN(4)/3, sites: 1 + r.IntN(2), slots: 1 + r.IntN(2), citizens: 2 + r.IntN(6),
		capacity: 1 + r.IntN(2), reorder: 10 * r.IntN(8), hurry: 60 + r.IntN(40), troubleEvery: 12 + r.IntN(40),
		serverSkew: time.Duration(some(r, 10_000)) * time.Millisecond, nodeSkew: time.Duration(some(r, 300)) * time.Millisecond,
		limits: allocator.Limits{
			HoldLength: time.Duration(2+r.IntN(10)) * time.Second, Grace: time.Second, KeyLifetime: 40 * time.Second,
			ResolveEvery: time.Duration(1+r.IntN(4)) * time.Second, SnapshotEvery: time.Duration(1+r.IntN(4)) * time.Second,
			ReconcileEvery: time.Duration(4+r.IntN(12)) * time.Second, SetAside: 2 + r.IntN(8),
		},
		fates: weights[fate]{arrives: 100}, troubles: weights[trouble]{nothing: 1},
	}
	for f := arrives + 1; f < fates; f++ {
		often := 8
		if f >= killsBefore {
			often = 3
		}
		m.fates = append(m.fates, some(r, often))
	}
	for t := nothing + 1; t < troubles; t++ {
		m.troubles = append(m.troubles, some(r, 8))
	}
	return m
}
