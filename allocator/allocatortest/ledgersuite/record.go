package ledgersuite

import (
	"testing"

	"muster/allocator"
)

// testRecord: every outcome of a single recording.
func testRecord(t *testing.T, l allocator.Ledger) {
	t.Run("Recorded", func(t *testing.T) { testRecorded(t, NewWorld(t, l, "recorded")) })
	t.Run("Repeated", func(t *testing.T) { testRepeated(t, NewWorld(t, l, "repeated")) })
	t.Run("Person", func(t *testing.T) { testPerson(t, NewWorld(t, l, "person")) })
	t.Run("Taken", func(t *testing.T) { testTaken(t, NewWorld(t, l, "taken")) })
	t.Run("Unseated", func(t *testing.T) { testUnseated(t, l) })
	t.Run("AllOrNone", func(t *testing.T) { testAllOrNone(t, l) })
}

func testRecorded(t *testing.T, w *World) {
	w.Publish(t, Open(3, Blue))
	before, err := w.Ledger.Now(t.Context())
	must(t, err)
	item := w.Recording(Spot{0, 2, Blue, 1}, Spot{1, 0, Blue, 0})
	got := w.Record(t, item)[0]
	want := allocator.RecordResult{Outcome: allocator.Recorded, Raised: []allocator.SiteID{w.Site}}
	for _, c := range item.Claims {
		c.Status, c.Version = allocator.StatusBooked, 1
		want.Rows = append(want.Rows, c)
	}
	same(t, "result", got, want)
	stored := w.rows(t, keysOf(item.Claims)...)
	same(t, "stored", stored, byKey(got.Rows))
	after, err := w.Ledger.Now(t.Context())
	must(t, err)
	for i, b := range stored {
		if b.RecordedAt.Before(before) || b.RecordedAt.After(after) || !b.RecordedAt.Equal(byKey(got.Rows)[i].RecordedAt) {
			t.Errorf("recorded at %v, answered %v, between %v and %v", b.RecordedAt, got.Rows[i].RecordedAt, before, after)
		}
	}
	if g := w.Generation(t); g != 1 {
		t.Errorf("generation %d after one record past the inventory", g)
	}
	w.Audit(t)
}

// testRepeated: a request has one row per claim for ever, whichever of its grants asks.
func testRepeated(t *testing.T, w *World) {
	w.Publish(t, Open(3, Blue))
	item := w.Recording(Spot{0, 0, Blue, 1}, Spot{1, 0, Blue, 2})
	first := w.Record(t, item)[0]
	want := allocator.RecordResult{Outcome: allocator.RecordedEver, Rows: first.Rows}
	same(t, "repeated", w.Record(t, item)[0], want)
	other := w.Recording(Spot{0, 2, Blue, 1}, Spot{1, 2, Blue, 2})
	for i := range other.Claims {
		other.Claims[i].Key = item.Claims[i].Key
	}
	same(t, "by another grant", w.Record(t, other)[0], want)
	other.Claims[1].Person = w.Person(3)
	same(t, "for another person", w.Record(t, other)[0], allocator.RecordResult{Outcome: allocator.RecordForeign})
	if g := w.Generation(t); g != 1 {
		t.Errorf("generation %d: a repeat raises nothing", g)
	}
	w.Turn(t, item.Claims[0].Key, allocator.StatusCancelled, "citizen")
	want.Rows[0].Status, want.Rows[0].Version, want.Rows[0].Reason = allocator.StatusCancelled, 2, "citizen"
	same(t, "after a cancellation", w.Record(t, item)[0], want)
	w.Audit(t)
}

func testPerson(t *testing.T, w *World) {
	w.Publish(t, Open(5, Blue, Green))
	row := w.Book(t, Spot{0, 0, Blue, 1})[0]
	want := allocator.RecordResult{Outcome: allocator.RecordPerson, Claim: 1, AlreadyHas: row.Key}
	same(t, "the same person", w.Record(t, w.Recording(Spot{1, 0, Green, 2}, Spot{1, 1, Blue, 1}))[0], want)
	pinned := w.Record(t, w.Pinned(t, Spot{1, 0, Blue, 1}))[0]
	outcome(t, "the same person with a good pin", pinned, allocator.RecordPerson)
	w.Book(t, Spot{1, 0, Green, 1}) // another programme
	item := w.Recording(Spot{1, 1, Blue, 1})
	item.Claims[0].Dose = 2
	outcome(t, "another dose", w.Record(t, item)[0], allocator.Recorded)
	item = w.Recording(Spot{1, 2, Blue, 1})
	item.Claims[0].OnePerson = false
	outcome(t, "where the service does not mind", w.Record(t, item)[0], allocator.Recorded)
	w.Book(t, Spot{2, 0, Blue, 0}, Spot{2, 1, Blue, 0}) // nobody is no person
	anybody := w.Recording(Spot{2, 2, Blue, 0}, Spot{2, 3, Blue, 0})
	anybody.Claims[0].OnePerson, anybody.Claims[1].OnePerson = true, true
	outcome(t, "nobody twice", w.Record(t, anybody)[0], allocator.Recorded)
	for _, status := range []allocator.Status{allocator.StatusArrived, allocator.StatusNoShow} {
		w.Turn(t, row.Key, status, "")
		outcome(t, "still live: "+string(status), w.Record(t, w.Recording(Spot{3, 0, Blue, 1}))[0], allocator.RecordPerson)
	}
	w.Turn(t, row.Key, allocator.StatusCancelled, "")
	w.Book(t, Spot{0, 0, Blue, 1}) // person and place are free again
	w.Audit(t)
}

func testTaken(t *testing.T, w *World) {
	w.Publish(t, Open(2, Blue))
	row := w.Book(t, Spot{0, 1, Blue, 1})[0]
	want := allocator.RecordResult{Outcome: allocator.RecordTaken, Claim: 1, Taken: row.Hold, TakenFor: Blue}
	same(t, "taken", w.Record(t, w.Recording(Spot{1, 1, Blue, 2}, Spot{0, 1, Blue, 3}))[0], want)
	same(t, "taken, with a good pin", w.Record(t, w.Pinned(t, Spot{1, 1, Blue, 2}, Spot{0, 1, Blue, 3}))[0], want)
	same(t, "twice within a request", w.Record(t, w.Recording(Spot{1, 0, Blue, 2}, Spot{1, 0, Blue, 3}))[0],
		allocator.RecordResult{Outcome: allocator.RecordTaken, Claim: 1})
	same(t, "a person twice within a request", w.Record(t, w.Recording(Spot{1, 0, Blue, 2}, Spot{2, 0, Blue, 2}))[0],
		allocator.RecordResult{Outcome: allocator.RecordPerson, Claim: 1})
	other := w.Recording(Spot{0, 1, Blue, 4})
	other.Claims[0].Slot.Length = 20 // another slot, which is not published
	outcome(t, "the place of another length", w.Record(t, other)[0], allocator.RecordUnseated)
	if live := w.Audit(t); len(live) != 1 {
		t.Errorf("%d live rows, want one", len(live))
	}
}

func testUnseated(t *testing.T, l allocator.Ledger) {
	w := NewWorld(t, l, "unseated")
	refused := func(what string, item allocator.Recording, claim int) {
		t.Helper()
		same(t, what, w.Record(t, item)[0], allocator.RecordResult{Outcome: allocator.RecordUnseated, Claim: claim})
	}
	refused("nothing published", w.Recording(Spot{0, 0, Blue, 1}), 0)
	refused("nothing published, by a pin that agrees", w.Pinned(t, Spot{0, 0, Blue, 1}), 0)
	refused("unknown site", BareWorld(t, l, "unseated-unknown").Recording(Spot{0, 0, Blue, 1}), 0)
	w.Publish(t, Open(1, Blue, Green), Open(1, Green, Orange), Open(1, Orange, Blue))
	refused("off the grid", w.Recording(Spot{0, 0, Blue, 1}, Spot{100, 0, Blue, 2}), 1)
	refused("a service not given", w.Recording(Spot{0, 0, "RED:Adult", 1}), 0)
	w.Book(t, Spot{0, 0, Blue, 1}) // the example that a greedy rule gets wrong
	w.Book(t, Spot{0, 1, Orange, 2})
	w.Book(t, Spot{0, 2, Blue, 3})
	refused("full", w.Recording(Spot{1, 0, Blue, 4}, Spot{0, 3, Blue, 5}), 1)
	refused("two of a request in one slot of three", w.Recording(Spot{1, 0, Blue, 4}, Spot{1, 1, Blue, 5}, Spot{1, 2, Blue, 6}), 0)
	w.Book(t, Spot{1, 7, Blue, 4}, Spot{1, 5, Green, 5}, Spot{1, 9, Orange, 6}) // a place's number is only a name
	if g := w.Generation(t); g != 4 {
		t.Errorf("generation %d: a refusal raises nothing", g)
	}
	w.Audit(t)
}

// testAllOrNone: across sites too.
func testAllOrNone(t *testing.T, l allocator.Ledger) {
	a, b := NewWorld(t, l, "family-a"), NewWorld(t, l, "family-b")
	a.Publish(t, Open(1, Blue))
	b.Publish(t, Open(1, Blue))
	b.Book(t, Spot{0, 0, Blue, 1})
	both := func(slot int) allocator.Recording {
		item := a.Recording(Spot{slot, 0, Blue, 2})
		item.Claims = append(item.Claims, b.Recording(Spot{slot, 0, Blue, 3}).Claims...)
		return item
	}
	outcome(t, "the second site is full", a.Record(t, both(0))[0], allocator.RecordTaken)
	if live := a.Audit(t); len(live) > 0 {
		t.Errorf("half a family was booked: %v", live)
	}
	got := a.Record(t, both(1))[0]
	outcome(t, "both", got, allocator.Recorded)
	same(t, "raised", textOf(got.Raised), textOf([]allocator.SiteID{a.Site, b.Site}))
	if ga, gb := a.Generation(t), b.Generation(t); ga != 1 || gb != 2 {
		t.Errorf("generations %d and %d", ga, gb)
	}
	a.Audit(t)
	b.Audit(t)
}
