package admission

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestQueueKeepsItsPromises compares a queue with a list: it is bounded, nobody stays longer than the patience of the moment
// where it is looked at, the oldest is next while it is calm, and the newest while it is overloaded.
func TestQueueKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := &queue{bound: rapid.IntRange(0, 8).Draw(t, "bound"), wait: 100 * time.Millisecond, target: 10 * time.Millisecond}
		now := time.Unix(1_800_000_000, 0)
		filled := now
		var model []*waiter
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "ms")) * time.Millisecond)
			overloaded := len(model) > 0 && now.Sub(filled) >= q.wait
			patience := q.wait
			if overloaded {
				patience = q.target
			}
			switch rapid.IntRange(0, 3).Draw(t, "action") {
			case 0, 1:
				rate := rapid.IntRange(0, 1000).Draw(t, "rate")
				room := len(model) < q.bound && (!overloaded || len(model) < max(1, rate/100))
				if q.room(now, rate) != room {
					t.Fatalf("room %v with %d of %d waiting, overloaded %v, rate %d", !room, len(model), q.bound, overloaded, rate)
				}
				if room {
					if len(model) == 0 {
						filled = now
					}
					w := new(waiter)
					q.push(w, now)
					model = append(model, w)
				}
			case 2:
				var want *waiter
				if n := len(model); n > 0 && overloaded {
					want, model = model[n-1], model[:n-1]
				} else if n > 0 {
					want, model = model[0], model[1:]
				}
				if got := q.pop(now); got != want || got != nil && got.place != nil {
					t.Fatalf("popped %v, want %v, overloaded %v", got, want, overloaded)
				}
			default:
				for len(model) > 0 && now.Sub(model[0].since) > patience {
					if q.stale(now) != model[0] {
						t.Fatal("somebody stays who has waited too long")
					}
					model = slices.Delete(model, 0, 1)
					if len(model) == 0 || now.Sub(filled) < q.wait {
						patience = q.wait
					}
				}
				if w := q.stale(now); w != nil {
					t.Fatalf("somebody goes after %v of %v", now.Sub(w.since), patience)
				}
			}
			if q.len() != len(model) || q.len() > q.bound {
				t.Fatalf("%d wait, want %d, bound %d", q.len(), len(model), q.bound)
			}
		}
	})
}
