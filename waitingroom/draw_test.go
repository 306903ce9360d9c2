package waitingroom

import (
	"encoding/binary"
	"math"
	"testing"
	"time"
)

// Fixed seeds, so that this cannot fail by chance: the statistic was looked at once, and is the same each time.
func TestDrawIsUniform(t *testing.T) {
	const buckets, tickets = 100, 100_000
	for n := range 5 {
		var seed [32]byte
		seed[0] = byte(n)
		drawing := Draw(seed, "a public value")
		var counts [buckets]int
		for i := range tickets {
			var id TicketID
			binary.BigEndian.PutUint64(id[8:], uint64(i)) // ids that differ little: only the hash can spread them
			at := drawnAt(instantOf(begin), Rank(drawing, id))
			counts[(at-(instantOf(begin)-drawnWithin))*buckets/drawnWithin]++
		}
		chi := 0.0
		for _, c := range counts {
			d := float64(c) - tickets/buckets
			chi += d * d / (tickets / buckets)
		}
		// 99 degrees of freedom: 99.9 % lie below 148.2, 99.9 % above 61.1.
		if chi > 148.2 || chi < 61.1 {
			t.Errorf("seed %d: chi-square %.1f is not that of a uniform draw", n, chi)
		}
	}
}

// Where somebody is drawn tells nothing of where they are drawn with another beacon.
func TestBeaconChangesTheDraw(t *testing.T) {
	var seed [32]byte
	sum := 0.0
	const tickets = 20_000
	fraction := func(r uint64) float64 { return float64(r)/math.MaxUint64 - 0.5 }
	a, b := Draw(seed, "one"), Draw(seed, "other")
	for i := range tickets {
		var id TicketID
		binary.BigEndian.PutUint64(id[:], uint64(i))
		sum += fraction(Rank(a, id)) * fraction(Rank(b, id))
	}
	if correlation := sum / tickets * 12; math.Abs(correlation) > 0.02 {
		t.Errorf("ranks of two beacons are correlated: %.3f", correlation)
	}
}

// What is public beforehand must not be what ranks are made of.
func TestCommitmentIsNoDraw(t *testing.T) {
	seed := [32]byte{1, 2, 3}
	if Draw(seed, "") == Commitment(seed) {
		t.Error("the commitment gives the draw away")
	}
}

func TestDrawnLieBeforeAllOthers(t *testing.T) {
	opens := instantOf(begin)
	for _, rank := range []uint64{0, 1, math.MaxUint64 / 2, math.MaxUint64} {
		if at := drawnAt(opens, rank); at < opens-drawnWithin || at >= opens {
			t.Errorf("rank %d lies at %d, outside the hour before %d", rank, at, opens)
		}
	}
	if opens.since(opens-drawnWithin) != time.Hour {
		t.Error("the hour is none")
	}
}
