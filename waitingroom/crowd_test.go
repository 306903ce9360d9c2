package waitingroom

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const second = Instant(time.Second / time.Microsecond)

func drawCrowd(t *rapid.T) *Crowd {
	c := new(Crowd)
	if rapid.Bool().Draw(t, "opens") {
		c.Opens, c.Drawn = instantOf(begin), int64(rapid.IntRange(0, 10_000).Draw(t, "drawn"))
	}
	at := instantOf(begin)
	for range rapid.IntRange(0, 60).Draw(t, "arrivals") {
		at += Instant(rapid.Int64Range(0, int64(90*second)).Draw(t, "later"))
		c.add(at, uint32(rapid.IntRange(1, 50).Draw(t, "many")))
	}
	return c
}

func (c *Crowd) total() float64 { return c.between(-never, never) }

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-6*max(1, math.Abs(a)+math.Abs(b)) }

// Nobody is lost or made up, however counts are widened and joined.
func TestCrowdKeepsEverybody(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawCrowd(t), drawCrowd(t)
		want := a.total() + b.total()
		b.Opens = a.Opens
		if a.Opens == 0 {
			want -= float64(b.Drawn)
			b.Drawn = 0
		}
		for range rapid.IntRange(0, 3).Draw(t, "widen") * min(1, len(a.Counts)) {
			a.widen()
		}
		a.join(b)
		if len(a.Counts) > maxBuckets {
			t.Fatalf("%d buckets", len(a.Counts))
		}
		if got := a.total(); !near(got, want) {
			t.Fatalf("%v people, want %v", got, want)
		}
	})
}

// advance goes as far as between says, and never beyond its limit; what is worked out beforehand says the same.
func TestCrowdAdvances(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCrowd(t)
		from := instantOf(begin) - drawnWithin + Instant(rapid.Int64Range(0, int64(2*drawnWithin)).Draw(t, "from"))
		limit := from + Instant(rapid.Int64Range(0, int64(2*drawnWithin)).Draw(t, "limit"))
		n := rapid.Float64Range(0, 12_000).Draw(t, "n")
		to := c.advance(from, n, limit)
		if to < from || to > limit {
			t.Fatalf("from %d to %d, limit %d", from, to, limit)
		}
		passed := c.between(from, to)
		if passed > n+0.01 {
			t.Fatalf("%v people were passed, %v allowed", passed, n)
		}
		if further := c.between(from, to+1); to < limit && further < n-0.01 { // many may come in one instant
			t.Fatalf("only %v people were passed, %v by the next instant, %v allowed", passed, further, n)
		}
		v := (&Room{Crowd: *c}).view(service, [32]byte{}, -1, from, nil)
		if got := v.between(from, to); math.Abs(got-passed) > 1e-3 {
			t.Fatalf("the view counts %v people, the crowd %v", got, passed)
		}
	})
}

// forget drops nobody who lies behind the instant.
func TestCrowdForgets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCrowd(t)
		c.Drawn = 0
		at := instantOf(begin) + Instant(rapid.Int64Range(0, int64(drawnWithin)).Draw(t, "at"))
		behind := c.between(at, never)
		c.forget(at)
		if got := c.between(at, never); !near(got, behind) {
			t.Fatalf("%v people behind, before %v", got, behind)
		}
	})
}

func TestCrowdIsBounded(t *testing.T) {
	c := new(Crowd)
	for hour := range 48 {
		c.add(instantOf(begin.Add(time.Duration(hour)*time.Hour)), 10)
	}
	if len(c.Counts) > maxBuckets || c.total() != 480 {
		t.Errorf("%d buckets with %v people", len(c.Counts), c.total())
	}
}

// A crowd of one instant, with which a count begins and ends, is called as soon as the rate has made room for all of it.
func TestCrowdOfOneInstantIsCalled(t *testing.T) {
	at := instantOf(begin)
	r := &Room{Rate: 1, Frontier: at, Cells: make([]cell, 1)}
	r.Crowd.add(at, 5)
	seconds := 0
	for ; r.Frontier == at && seconds < 60; seconds++ {
		r.call(1, tick{now: at + second, safe: at + second, free: -1})
	}
	if called := r.Cells[0].Called; math.Abs(called-5) > 1e-9 || float64(seconds) > math.Ceil(6*r.show()) {
		t.Errorf("%v people were called after %d seconds", called, seconds)
	}
}
