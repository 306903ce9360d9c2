package ledgersuite

import (
	"slices"
	"testing"

	"muster/allocator"
)

// testPublish: revisions, preconditions, services, dry runs and batches.
func testPublish(t *testing.T, l allocator.Ledger) {
	w := NewWorld(t, l, "publish")
	unknown := BareWorld(t, l, "publish-unknown").Change(Open(1, Blue))
	same(t, "unknown site", w.PublishAll(t, unknown)[0], allocator.PublishResult{
		Outcome: allocator.PublishSiteUnknown, Previous: allocator.Day{Site: "publish-unknown", Date: w.Date},
		Current: allocator.Day{Site: "publish-unknown", Date: w.Date},
	})
	never := allocator.Day{Site: w.Site, Date: w.Date}
	first := []allocator.Session{Open(2, Blue), Open(1, Green)}
	one := never
	one.Revision, one.Sessions = 1, first
	same(t, "first", w.Publish(t, first...), allocator.PublishResult{Revision: 1, Previous: never, Current: one, Added: 54})
	same(t, "equal", w.Publish(t, first...), allocator.PublishResult{Revision: 1, Previous: one, Current: one})
	two := never
	two.Revision, two.Sessions = 2, []allocator.Session{Open(1, Blue)}
	same(t, "less", w.Publish(t, Open(1, Blue)), allocator.PublishResult{Revision: 2, Previous: one, Current: two, Removed: 36})

	stale, current := int64(1), int64(2)
	change := w.Change(Open(9, Blue))
	change.IfMatch = &stale
	same(t, "If-Match of an older revision", w.PublishAll(t, change)[0],
		allocator.PublishResult{Outcome: allocator.PublishMismatch, Revision: 2, Previous: two, Current: two})
	change.IfMatch, change.DryRun = &current, true
	three := never
	three.Revision, three.Sessions = 3, []allocator.Session{Open(9, Blue)}
	same(t, "dry run", w.PublishAll(t, change)[0], allocator.PublishResult{Revision: 3, Previous: two, Current: three, Added: 144})
	w.expectDay(t, two)
	change.DryRun = false
	same(t, "If-Match of the current one", w.PublishAll(t, change)[0],
		allocator.PublishResult{Revision: 3, Previous: two, Current: three, Added: 144})
	w.Publish(t)
	w.expectDay(t, allocator.Day{Site: w.Site, Date: w.Date, Revision: 4})
	zero := int64(0)
	change.IfMatch = &zero
	if r := w.PublishAll(t, change)[0]; r.Outcome != allocator.PublishMismatch {
		t.Errorf("a day without sessions is not a day never published: %s", textOf(r))
	}
	testPublishServices(t, w)
	testPublishBatch(t, w)
	w.Audit(t)
}

func (w *World) expectDay(t *testing.T, want allocator.Day) {
	t.Helper()
	day, err := w.Ledger.Day(t.Context(), w.Site, w.Date)
	must(t, err)
	same(t, "stored day", day, want)
}

// testPublishServices: unknown services are refused and named, or created where that is asked for.
func testPublishServices(t *testing.T, w *World) {
	codes := func() (codes []allocator.ServiceCode) {
		services, err := w.Ledger.Services(t.Context())
		must(t, err)
		for _, s := range services {
			codes = append(codes, s.Code)
		}
		return codes
	}
	before := codes()
	change := w.Change(Open(1, "NEW:B", Blue), Open(1, "NEW:A", "NEW:B"))
	r := w.PublishAll(t, change)[0]
	if r.Outcome != allocator.PublishServices || !slices.Equal(r.Unknown, []allocator.ServiceCode{"NEW:A", "NEW:B"}) {
		t.Errorf("unknown services: %s", textOf(r))
	}
	change.Services, change.DryRun = true, true
	if r = w.PublishAll(t, change)[0]; r.Outcome != allocator.Published {
		t.Errorf("dry run with new services: %s", textOf(r))
	}
	same(t, "services after a refusal and a dry run", codes(), before)
	change.DryRun = false
	if r = w.PublishAll(t, change)[0]; r.Outcome != allocator.Published {
		t.Errorf("new services: %s", textOf(r))
	}
	want := append(before, "NEW:A", "NEW:B")
	slices.Sort(want)
	same(t, "services", codes(), want)
	services, err := w.Ledger.Services(t.Context())
	must(t, err)
	created := allocator.DefaultService("NEW:A")
	created.Version = 1
	if !slices.Contains(services, created) {
		t.Errorf("%v is not among %v", created, services)
	}
}

// testPublishBatch: changes of one call are decided in order, each on its own.
func testPublishBatch(t *testing.T, w *World) {
	next := func(change allocator.DayChange, offset allocator.Date) allocator.DayChange {
		change.Day.Date += offset
		return change
	}
	one := int64(1)
	conditional := next(w.Change(Open(3, Blue)), 1)
	conditional.IfMatch = &one
	mismatch := next(w.Change(Open(4, Blue)), 1)
	mismatch.IfMatch = &one
	withNew := next(w.Change(Open(1, "BATCH:A")), 2)
	withNew.Services = true
	got := w.PublishAll(t,
		next(w.Change(Open(1, Blue)), 1),
		BareWorld(t, w.Ledger, "publish-nowhere").Change(Open(1, Blue)),
		conditional,
		mismatch,
		withNew,
		next(w.Change(Open(1, "BATCH:A", Blue)), 3),
		next(w.Change(Open(1, "BATCH:B")), 4),
	)
	type brief struct {
		outcome  allocator.PublishOutcome
		revision int64
	}
	for i, want := range []brief{
		{allocator.Published, 1}, {allocator.PublishSiteUnknown, 0}, {allocator.Published, 2}, {allocator.PublishMismatch, 2},
		{allocator.Published, 1}, {allocator.Published, 1}, {allocator.PublishServices, 0},
	} {
		if (brief{got[i].Outcome, got[i].Revision}) != want {
			t.Errorf("change %d: %s", i, textOf(got[i]))
		}
	}
	if s := got[2].Previous.Sessions; len(s) != 1 || s[0].Capacity != 1 {
		t.Errorf("the second change of a day did not see the first: %s", textOf(got[2]))
	}
	many := make([]allocator.DayChange, 200)
	for i := range many {
		many[i] = next(w.Change(Open(1+i%2, Blue)), allocator.Date(10+i/2))
	}
	for i, r := range w.PublishAll(t, many...) {
		if r.Outcome != allocator.Published || r.Revision != int64(1+i%2) {
			t.Errorf("change %d of many: %s", i, textOf(r))
		}
	}
}

// testImpact: who loses and who regains a seat, and that a dry run foretells it.
func testImpact(t *testing.T, l allocator.Ledger) {
	w := NewWorld(t, l, "impact")
	w.Publish(t, Open(3, Blue, Green))
	var rows []allocator.Booking
	for i := range 3 { // recorded one after the other, places the other way round: older before newer, whatever the place
		rows = append(rows, w.Book(t, Spot{0, int32(2 - i), Blue, i + 1})...)
	}
	green := w.Book(t, Spot{1, 0, Green, 4})[0]
	apply := func(what string, change allocator.DayChange, unsupported, supported, cancelled []allocator.Booking, kept int) {
		t.Helper()
		dry := change
		dry.DryRun = true
		foretold := w.PublishAll(t, dry)[0]
		got := w.PublishAll(t, change)[0]
		same(t, what+", newly unsupported", keysOf(got.NewlyUnsupported), keysOf(unsupported))
		same(t, what+", newly supported", keysOf(got.NewlySupported), keysOf(supported))
		same(t, what+", cancelled", keysOf(got.Cancelled), keysOf(cancelled))
		if got.Supported != kept {
			t.Errorf("%s: %d supported, want %d", what, got.Supported, kept)
		}
		same(t, what+", foretold", foretold, got)
		w.Audit(t)
	}
	apply("cut to one, of blue only", w.Change(Open(1, Blue)), []allocator.Booking{rows[1], rows[2], green}, nil, nil, 1)
	apply("back to two", w.Change(Open(2, Blue)), nil, rows[1:2], nil, 2)
	outcome(t, "a claim that an unsupported one could have", w.Record(t, w.Recording(Spot{0, 7, Blue, 9}))[0], allocator.RecordUnseated)
	apply("green too", w.Change(Open(2, Blue), Open(1, Green)), nil, []allocator.Booking{green}, nil, 3)
	w.Turn(t, rows[1].Key, allocator.StatusArrived, "")
	cut := w.Change()
	cut.Cancel = true
	apply("all cancelled", cut, []allocator.Booking{rows[0], rows[1], green}, nil, []allocator.Booking{rows[0], rows[1], rows[2], green}, 0)
	for _, b := range w.rows(t, keysOf(rows)...) {
		if b.Status != allocator.StatusCancelled || b.Reason != "site" {
			t.Errorf("cancelled by the site: %s", textOf(b))
		}
	}
	same(t, "cancelled again", textOf(w.PublishAll(t, cut)[0].Cancelled), textOf([]allocator.Booking(nil)))
	w.Publish(t, Open(1, Blue))
	w.Book(t, Spot{0, 0, Blue, 1}) // person and place are free again
	w.Book(t, Spot{1, 0, Blue, 2})
	w.Turn(t, w.Book(t, Spot{2, 0, Blue, 3})[0].Key, allocator.StatusFulfilled, "")
	testCancelWithinBatch(t, w)
	w.Audit(t)
}

// testCancelWithinBatch: a later change of the same day sees what an earlier one of the same call cancelled.
func testCancelWithinBatch(t *testing.T, w *World) {
	cut := w.Change()
	cut.Cancel = true
	got := w.PublishAll(t, cut, w.Change(Open(1, Blue)))
	if again := w.PublishAll(t, cut, cut); again[0].Revision != again[1].Revision || len(again[1].Cancelled) > 0 {
		t.Errorf("what was done is not cancelled, and no reason for a revision: %s\n%s", textOf(again[0]), textOf(again[1]))
	}
	w.Publish(t, Open(1, Blue))
	if len(got[0].Cancelled) != 2 || got[1].Supported != 1 || len(got[1].NewlySupported) != 1 {
		t.Errorf("cut: %s\nopened again: %s", textOf(got[0]), textOf(got[1]))
	}
}
