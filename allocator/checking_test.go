package allocator

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// What reconcile would mend at a site is a doubt at that slot, whatever the two readings are.
func TestDoubtsMissNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	holds := make([]HoldID, 4)
	for i := range holds {
		holds[i] = HoldID{Key: RequestKey{byte(i + 1)}}
	}
	services := []ServiceCode{"RSV", "FLU"}
	mended, quiet := 0, 0
	for range 50_000 {
		view := SiteInventory{Built: true}
		ledger := SiteLedger{Found: true}
		var rows []PlaceState
		checks := slotChecks{}
		for place := range int32(4) {
			slot := SlotID{Site: "S1", Start: Minute(place / 2), Length: 10}
			if rng.IntN(2) == 0 {
				view.Places = append(view.Places, PlaceState{slot, place, services[rng.IntN(2)], holds[rng.IntN(4)], rng.IntN(2) == 0})
			}
			if rng.IntN(2) == 0 {
				row := PlaceState{slot, place, services[rng.IntN(2)], holds[rng.IntN(4)], true}
				if n := len(view.Places); n > 0 && view.Places[n-1].Place == place && rng.IntN(4) > 0 {
					view.Places[n-1] = row
				}
				rows = append(rows, row)
				ledger.Live = append(ledger.Live, Booking{Slot: slot, Place: place, Service: row.Service, Hold: row.Owner, Status: StatusBooked})
			}
		}
		for _, id := range holds {
			lives := false
			for _, b := range ledger.Live {
				lives = lives || b.Hold == id
			}
			if !lives && rng.IntN(3) == 0 {
				ledger.Ended = append(ledger.Ended, EndedID{id, CodeHoldRevoked})
				checks.ended(id, time.Time{})
			}
		}
		d := Compare(&view, &ledger)
		found := checks.doubtsOf(view.Places, rows)
		for _, fix := range d.Fixes {
			if mended++; len(found[fix.Slot]) == 0 {
				t.Fatalf("no doubt about %+v\ninventory %+v\nledger %+v", fix, view.Places, rows)
			}
		}
		for _, p := range view.Places { // a recorded hold that is not settled: reconcile settles it as a whole
			for _, row := range rows {
				if row.Slot == p.Slot && row.Place == p.Place && row.Owner == p.Owner && !p.Booked && len(found[p.Slot]) == 0 {
					t.Fatalf("no doubt about %+v, which is recorded", p)
				}
			}
		}
		if len(d.Fixes)+len(d.Settle) == 0 {
			quiet++
			for slot, doubts := range found {
				t.Fatalf("nothing to mend, but doubts at %v: %+v", slot, doubts)
			}
		}
	}
	if mended < 1000 || quiet < 1000 {
		t.Errorf("%d to mend, %d in order", mended, quiet)
	}
}

// A slot waits once, for a second; a large one in parts; and no look is larger than it may be.
func TestSlotsWaitForTheirLook(t *testing.T) {
	var c slotChecks
	now := time.Unix(1_800_000_000, 0)
	slot := func(n int) SlotID { return SlotID{Site: "S1", Start: Minute(n), Length: 10} }
	for range 3 {
		c.add(slot(0), 5, now)
	}
	if got := c.take(now.Add(checkAfter - time.Millisecond)); len(got) != 0 {
		t.Errorf("taken early: %v", got)
	}
	want := []PlaceRange{{slot(0), 0, MaxSlotCapacity}}
	if got := c.take(now.Add(checkAfter)); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("took %v, not %v", got, want)
	}
	if got := c.take(now.Add(time.Hour)); len(got) != 0 {
		t.Errorf("taken twice: %v", got)
	}
	c.add(slot(1), 2500, now)
	var covered int32
	for later := now.Add(checkAfter); ; {
		got := c.take(later)
		if len(got) == 0 {
			break
		}
		if len(got) != 1 || got[0].First != covered || got[0].Slot != slot(1) {
			t.Fatalf("after %d places: %v", covered, got)
		}
		covered = got[0].Last + 1
	}
	if covered < 2500 {
		t.Errorf("%d of 2500 places are looked at", covered)
	}
	for n := range 1000 {
		c.add(slot(n), 1, now)
	}
	for left := 1000; left > 0; {
		got := len(c.take(now.Add(checkAfter)))
		if left -= got; got == 0 || got > checkRanges {
			t.Fatalf("a look at %d slots", got)
		}
	}
}

// A doubt is certain when it is seen again as it was, and passes when anything about it changed.
func TestDoubtsAreLookedAtTwice(t *testing.T) {
	var c slotChecks
	now := time.Unix(1_800_000_000, 0)
	r := PlaceRange{SlotID{Site: "S1", Length: 10}, 0, 9}
	a := []doubt{{place: 1, ledger: PlaceState{Place: 1, Booked: true}}}
	b := []doubt{{place: 2, ledger: PlaceState{Place: 2, Booked: true}}}
	for i, step := range []struct {
		found   []doubt
		certain bool
	}{{a, false}, {a, true}, {a, false}, {nil, false}, {a, false}, {b, false}, {append(a, b...), true}, {nil, false}} {
		if certain := c.judge(r, step.found, now); certain != step.certain {
			t.Errorf("step %d: certain %v", i, certain)
		}
		if again := len(c.take(now.Add(checkAfter))) == 1; again != (len(step.found) > 0 && !step.certain) {
			t.Errorf("step %d: looked at again: %v", i, again)
		}
	}
}
