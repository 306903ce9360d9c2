package ledgersuite

import (
	"testing"

	"muster/allocator"
)

// testEvidence: what a pin proves. The probe is a claim too many at a full slot: it passes where the pin is trusted, and
// is refused where the ledger looks for itself.
func testEvidence(t *testing.T, l allocator.Ledger) {
	cases := []struct {
		name           string
		spoil          func(item *allocator.Recording)
		checked, raise bool
	}{
		{"Equal", func(*allocator.Recording) {}, false, false},
		{"NewerEpoch", func(i *allocator.Recording) { i.Pins[0].Epoch++ }, true, true},
		{"OlderEpoch", func(i *allocator.Recording) { i.Pins[0].Epoch-- }, true, true},
		{"OtherGeneration", func(i *allocator.Recording) { i.Pins[0].Generation-- }, true, true},
		{"OtherShard", func(i *allocator.Recording) { i.Pins[0].Shard++ }, true, true},
		{"NotPinned", func(i *allocator.Recording) { i.Pins[0].Pinned = false }, true, true},
		{"NoPin", func(i *allocator.Recording) { i.Pins = nil }, true, true},
		{"OlderRevision", func(i *allocator.Recording) { i.Pins[0].Revisions[i.Claims[0].Date]-- }, true, false},
		{"NewerRevision", func(i *allocator.Recording) { i.Pins[0].Revisions[i.Claims[0].Date]++ }, true, false},
		{"NoRevision", func(i *allocator.Recording) { i.Pins[0].Revisions = nil }, true, false},
	}
	for epoch := range int64(3) {
		if _, opened, err := l.OpenEpoch(t.Context(), 3, epoch, "node"); err != nil || !opened {
			t.Fatal(opened, err)
		}
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := NewWorld(t, l, "evidence-"+c.name)
			w.Publish(t, Open(1, Blue))
			w.Publish(t, Open(2, Blue))
			w.Book(t, Spot{0, 0, Blue, 0}, Spot{0, 1, Blue, 0}) // slot 0 is full, and the generation is 1
			probe := func(slot int) allocator.RecordResult {
				item := w.Pinned(t, Spot{slot, 2, Blue, 0})
				c.spoil(&item)
				return w.Record(t, item)[0]
			}
			want := allocator.Recorded
			if c.checked {
				want = allocator.RecordUnseated
			}
			got := probe(0)
			outcome(t, "at a full slot", got, want)
			if len(got.Raised) > 0 || w.Generation(t) != 1 {
				t.Errorf("raised %v to %d", got.Raised, w.Generation(t))
			}
			got = probe(1)
			outcome(t, "at an empty slot", got, allocator.Recorded)
			if raised := len(got.Raised) == 1 && w.Generation(t) == 2; raised != c.raise {
				t.Errorf("raised %v to %d", got.Raised, w.Generation(t))
			}
		})
	}
	testEvidenceOfTwoSites(t, NewWorld(t, l, "evidence-a"), NewWorld(t, l, "evidence-b"))
}

// testMaximum: where pins prove nothing, claims of several slots together stay within their sessions' maximum, whatever the batch
// and the request they come in; where they do, the inventory has counted.
func testMaximum(t *testing.T, l allocator.Ledger) {
	w := NewWorld(t, l, "maximum")
	box := func(from, until allocator.TimeOfDay) allocator.Session {
		return allocator.Session{From: from, Until: until, SlotLength: 10, Capacity: 3, Services: []allocator.ServiceCode{Blue, Green}, Maximum: 4, MaximumGroup: "box"}
	}
	w.Publish(t, box(9*60, 10*60), box(11*60, 12*60), allocator.Session{From: 9 * 60, Until: 12 * 60, SlotLength: 10, Capacity: 9, Services: []allocator.ServiceCode{Orange}})
	booked := w.Book(t, Spot{0, 0, Blue, 1})
	got := w.Record(t,
		w.Recording(Spot{1, 0, Green, 2}, Spot{12, 0, Blue, 3}),
		w.Recording(Spot{13, 0, Blue, 4}, Spot{14, 0, Blue, 5}), // one too many
		w.Recording(Spot{13, 0, Orange, 6}),                     // does not count
		w.Recording(Spot{13, 1, Blue, 7}),
		w.Recording(Spot{2, 0, Green, 8}),
	)
	for i, want := range []allocator.RecordOutcome{allocator.Recorded, allocator.RecordUnseated, allocator.Recorded, allocator.Recorded, allocator.RecordUnseated} {
		outcome(t, textOf(i), got[i], want)
	}
	move := w.Recording(Spot{3, 0, Blue, 1})
	move.Replaces = booked[0].Key
	outcome(t, "moved within the maximum", w.Record(t, move)[0], allocator.Recorded)
	outcome(t, "another one", w.Record(t, w.Recording(Spot{4, 0, Blue, 9}))[0], allocator.RecordUnseated)
	w.Turn(t, got[3].Rows[0].Key, allocator.StatusCancelled, "citizen")
	outcome(t, "after a cancellation", w.Record(t, w.Recording(Spot{4, 0, Blue, 9}))[0], allocator.Recorded)
	outcome(t, "of a good pin", w.Record(t, w.Pinned(t, Spot{5, 0, Blue, 10}))[0], allocator.Recorded)
	if live := w.Audit(t); len(live) != 6 {
		t.Errorf("%d live rows", len(live))
	}
	raceMaximum(t, NewWorld(t, l, "maximum-race"))
}

// raceMaximum: records without evidence at different slots, all at once.
func raceMaximum(t *testing.T, w *World) {
	session := Open(2, Blue)
	session.Maximum = 5
	w.Publish(t, session)
	recorded := make([]bool, callers)
	Race(callers, func(i int) {
		item := w.Recording(Spot{i % 18, int32(i / 18), Blue, i + 1})
		r := definite(t, func() ([]allocator.RecordResult, error) {
			return w.Ledger.Record(t.Context(), []allocator.Recording{item})
		})
		recorded[i] = len(r) == 1 && r[0].Outcome == allocator.Recorded
	})
	n := 0
	for _, ok := range recorded {
		if ok {
			n++
		}
	}
	if live := w.Audit(t); n != 5 || len(live) != 5 {
		t.Errorf("%d of a maximum of 5 were recorded, %d are live", n, len(live))
	}
}

// testEvidenceOfTwoSites: only the site that the pin does not prove is raised.
func testEvidenceOfTwoSites(t *testing.T, a, b *World) {
	a.Publish(t, Open(2, Blue))
	b.Publish(t, Open(2, Blue))
	item := a.Pinned(t, Spot{0, 0, Blue, 1})
	item.Claims = append(item.Claims, b.Recording(Spot{0, 0, Blue, 2}).Claims...)
	got := a.Record(t, item)[0]
	outcome(t, "one of two sites is pinned", got, allocator.Recorded)
	same(t, "raised", got.Raised, []allocator.SiteID{b.Site})
	generations, err := a.Ledger.Generations(t.Context())
	must(t, err)
	if generations[b.Site] != 1 || b.Generation(t) != 1 {
		t.Errorf("generations %v", generations)
	}
	if _, listed := generations[a.Site]; listed {
		t.Errorf("%s was not raised, and is listed", a.Site)
	}
	must(t, one(a.Ledger.PutSite(t.Context(), allocator.Site{ID: b.Site, TimeZone: "UTC"}, Actor)))
	if b.Generation(t) != 1 {
		t.Error("new details changed the generation")
	}
}

// testBatch: items are decided in order, each on what the earlier ones left; one that is refused hurts no other.
func testBatch(t *testing.T, l allocator.Ledger) {
	w := NewWorld(t, l, "batch")
	w.Publish(t, Open(4, Blue))
	must(t, one(w.Ledger.Record(t.Context(), nil)))
	must(t, one(w.Ledger.Void(t.Context(), nil)))
	must(t, one(w.Ledger.Publish(t.Context(), nil)))
	must(t, one(w.Ledger.Bookings(t.Context(), nil)))

	first := w.Recording(Spot{0, 0, Blue, 1})
	items := []allocator.Recording{
		first,
		w.Recording(Spot{1, 0, Blue, 2}, Spot{0, 0, Blue, 3}), // its second place is taken by the first
		first,                              // the same request again
		w.Recording(Spot{1, 0, Blue, 1}),   // the same person
		w.Recording(Spot{1, 0, Blue, 2}),   // the loser's place and person are free
		w.Recording(Spot{100, 0, Blue, 4}), // no such slot
		w.Recording(Spot{0, 1, Blue, 5}, Spot{0, 2, Blue, 6}, Spot{0, 3, Blue, 7}),
		w.Recording(Spot{0, 4, Blue, 8}), // full by now
		w.Recording(Spot{2, 4, Blue, 9}),
	}
	got := w.Record(t, items...)
	wants := []allocator.RecordOutcome{
		allocator.Recorded, allocator.RecordTaken, allocator.RecordedEver, allocator.RecordPerson, allocator.Recorded,
		allocator.RecordUnseated, allocator.Recorded, allocator.RecordUnseated, allocator.Recorded,
	}
	for i, want := range wants {
		outcome(t, textOf(i), got[i], want)
	}
	if got[1].Claim != 1 || got[1].Taken != first.Claims[0].Hold || got[3].AlreadyHas != first.Claims[0].Key {
		t.Errorf("losers are told %s\nand %s", textOf(got[1]), textOf(got[3]))
	}
	same(t, "repeated within", got[2].Rows, got[0].Rows)
	if live := w.Audit(t); len(live) != 6 {
		t.Errorf("%d live rows, want 6", len(live))
	}
	if g := w.Generation(t); g != 4 {
		t.Errorf("generation %d after 4 records past the inventory", g)
	}
	testBatchEvidence(t, NewWorld(t, l, "batch-evidence"))
	testLargeBatch(t, NewWorld(t, l, "batch-large"))
}

// testBatchEvidence: a record past the inventory spoils the pins that come after it in the same batch, as it would in the
// next one.
func testBatchEvidence(t *testing.T, w *World) {
	w.Publish(t, Open(1, Blue))
	good := w.Pinned(t, Spot{0, 0, Blue, 0})
	tooMany := w.Pinned(t, Spot{0, 1, Blue, 0})
	got := w.Record(t, good, tooMany, w.Recording(Spot{1, 0, Blue, 0}), w.Pinned(t, Spot{0, 2, Blue, 0}), w.Pinned(t, Spot{2, 0, Blue, 0}))
	wants := []allocator.RecordOutcome{
		allocator.Recorded, allocator.Recorded, allocator.Recorded, allocator.RecordUnseated, allocator.Recorded,
	}
	for i, want := range wants {
		outcome(t, textOf(i), got[i], want)
	}
	if len(got[4].Raised) != 1 || w.Generation(t) != 2 {
		t.Errorf("raised %v to %d", got[4].Raised, w.Generation(t))
	}
}

// testLargeBatch: as many as a batch may hold, every seventh a loser.
func testLargeBatch(t *testing.T, w *World) {
	const n = 1024
	w.Publish(t, Open(n, Blue))
	w.Book(t, Spot{0, n, Blue, 0})
	pins := []allocator.Evidence{w.Evidence(t)}
	var items []allocator.Recording
	for i := range n {
		spot := Spot{i % 16, int32(i), Blue, i + 1}
		if i%7 == 6 {
			spot = Spot{0, n, Blue, i + 1}
		}
		item := w.Recording(spot)
		item.Pins = pins
		items = append(items, item)
	}
	for i, r := range w.Record(t, items...) {
		want := allocator.Recorded
		if i%7 == 6 {
			want = allocator.RecordTaken
		}
		outcome(t, textOf(i), r, want)
	}
	w.Audit(t)
}
