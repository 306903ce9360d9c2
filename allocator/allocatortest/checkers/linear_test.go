package checkers

import (
	"testing"

	"github.com/anishathalye/porcupine"
	"pgregory.net/rapid"

	"muster/allocator"
)

// Where the order of the outbox is a witness, Porcupine finds the history linearizable too. So skipping the search changes
// no answer.
func TestWitnessAgreesWithSearch(t *testing.T) {
	witnesses, illegal := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(t, "bookings")
		var ops []linearOp
		at := int64(0)
		for i := range n {
			for _, kind := range []linearKind{linearBook, linearEnd} {
				at += rapid.Int64Range(-2, 10).Draw(t, "pause")
				w := window{at - rapid.Int64Range(0, 20).Draw(t, "before"), at + rapid.Int64Range(0, 20).Draw(t, "after")}
				if rapid.IntRange(0, 9).Draw(t, "open") == 0 {
					w.back = Never
				}
				ops = append(ops, linearOp{window: w, kind: kind, key: allocator.BookingKey(i + 1), order: len(ops)})
			}
		}
		if i := rapid.IntRange(0, len(ops)-1).Draw(t, "exchange"); i > 0 {
			ops[i].order, ops[i-1].order = ops[i-1].order, ops[i].order
		}
		switch found := search(ops); {
		case witnessed(ops):
			witnesses++
			if found != porcupine.Ok {
				t.Fatalf("the outbox is a witness, and Porcupine says %s: %s", found, tell(ops))
			}
		case found == porcupine.Illegal:
			illegal++
		}
	})
	if witnesses == 0 || illegal == 0 {
		t.Errorf("%d witnesses and %d illegal histories: nothing was compared", witnesses, illegal)
	}
}

// The order of the outbox is not the only one that is allowed.
func TestSearchBeyondTheOutbox(t *testing.T) {
	ops := []linearOp{
		{window: window{0, 10}, kind: linearBook, key: 1, order: 2},
		{window: window{0, 30}, kind: linearEnd, key: 1, order: 3},
		{window: window{5, Never}, kind: linearBook, key: 2, order: 0},
		{window: window{0, 40}, kind: linearRefused, order: -1},
	}
	r := NewRun(nil, &Evidence{})
	if why := r.linearizable(ops); why != "" || r.stats.Searched != 1 || r.stats.Histories != 1 {
		t.Errorf("%q, %+v", why, r.stats)
	}
	ops[3] = linearOp{window: window{15, 16}, kind: linearRefused, key: 1, order: -1}
	ops[2].call = 20
	if why := r.linearizable(ops); why != "not linearizable" {
		t.Errorf("a refusal because of nobody else: %q", why)
	}
}
