package ledgersuite

import (
	"cmp"
	"slices"
	"sync"
	"testing"
	"time"

	"muster/allocator"
)

// testState: what reads give of a slot, a day, a site and of late changes.
func testState(t *testing.T, l allocator.Ledger) {
	w, other := NewWorld(t, l, "state"), NewWorld(t, l, "state-other")
	w.Publish(t, Open(3, Blue))
	other.Publish(t, Open(3, Blue))
	other.Book(t, Spot{0, 0, Blue, 1})
	live := w.Book(t, Spot{0, 0, Blue, 1}, Spot{3, 0, Blue, 2})
	cancelled := w.Book(t, Spot{0, 1, Blue, 3})[0]
	w.Turn(t, cancelled.Key, allocator.StatusCancelled, "citizen")
	half := w.Book(t, Spot{1, 0, Blue, 4}, Spot{1, 1, Blue, 5}) // one of two ends: the grant lives
	w.Turn(t, half[0].Key, allocator.StatusCancelled, "citizen")
	lost := w.Recording(Spot{2, 0, Blue, 6})
	must(t, one(l.Void(t.Context(), []allocator.Voiding{VoidingOf(lost, allocator.CodeHoldLost)})))

	day, rows, err := l.Slot(t.Context(), w.Slot(0), w.Date)
	must(t, err)
	same(t, "slot", byKey(rows), live[:1])
	same(t, "slot's day", day, allocator.Day{Site: w.Site, Date: w.Date, Revision: 1, Sessions: []allocator.Session{Open(3, Blue)}})
	day, rows, err = l.Slot(t.Context(), w.Slot(100), w.Date+1)
	must(t, err)
	same(t, "empty slot", rows, []allocator.Booking(nil))
	same(t, "empty slot's day", day, allocator.Day{Site: w.Site, Date: w.Date + 1})
	day, rows, err = l.DayBookings(t.Context(), w.Site, w.Date)
	must(t, err)
	if len(rows) != 5 || day.Revision != 1 {
		t.Errorf("day of revision %d has %d rows: %s", day.Revision, len(rows), textOf(rows))
	}
	testLivePlaces(t, w, other, live[0], half[1])
	testSiteState(t, w, live, half, cancelled, lost)
	testEndedSince(t, w)
	testChanged(t, w, other)
}

// testLivePlaces: live rows of the ranges asked for, and no others.
func testLivePlaces(t *testing.T, w, other *World, first, half allocator.Booking) {
	read := func(ranges ...allocator.PlaceRange) []allocator.PlaceState {
		t.Helper()
		places, err := w.Ledger.LivePlaces(t.Context(), ranges)
		must(t, err)
		if len(places) == 0 {
			return nil
		}
		slices.SortFunc(places, func(a, b allocator.PlaceState) int {
			return cmp.Or(a.Slot.Compare(b.Slot), cmp.Compare(a.Place, b.Place))
		})
		return places
	}
	state := func(b allocator.Booking) allocator.PlaceState {
		return allocator.PlaceState{Slot: b.Slot, Place: b.Place, Service: b.Service, Owner: b.Hold, Booked: true}
	}
	same(t, "places", read(
		allocator.PlaceRange{Slot: w.Slot(1), Last: 9}, allocator.PlaceRange{Slot: w.Slot(0), Last: 9}, allocator.PlaceRange{Slot: w.Slot(2), Last: 9},
	), []allocator.PlaceState{state(first), state(half)})
	same(t, "beside the range", read(allocator.PlaceRange{Slot: w.Slot(1), Last: half.Place - 1}, allocator.PlaceRange{Slot: w.Slot(1), First: half.Place + 1, Last: 9}), []allocator.PlaceState(nil))
	same(t, "nothing asked", read(), []allocator.PlaceState(nil))
	if found := read(allocator.PlaceRange{Slot: other.Slot(0), Last: 9}); len(found) != 1 || found[0].Slot != other.Slot(0) {
		t.Errorf("the other site's places: %v", found)
	}
}

func testSiteState(t *testing.T, w *World, live, half []allocator.Booking, cancelled allocator.Booking, lost allocator.Recording) {
	from := w.Slot(0).Start
	change := w.Change(Open(1, Green))
	change.Day.Date--
	w.PublishAll(t, change) // a day that is over
	state := w.state(t, from, time.Unix(0, 0))
	if !state.Found || state.Site.ID != w.Site || state.Site.Generation != w.Generation(t) || state.Site.TimeZone != w.Zone.String() {
		t.Errorf("site %+v", state.Site)
	}
	same(t, "revisions", state.Revisions, map[allocator.Date]int64{w.Date: 1})
	same(t, "live", byKey(state.Live), byKey(append(live[:2:2], half[1])))
	reasons := make(map[allocator.HoldID]allocator.Code)
	for _, e := range state.Ended {
		reasons[e.ID] = e.Reason
	}
	same(t, "ended", reasons, map[allocator.HoldID]allocator.Code{
		cancelled.Hold: allocator.CodeBookingEnded, lost.Claims[0].Hold: allocator.CodeHoldLost,
	})
	state = w.state(t, from+1, time.Unix(0, 0))
	same(t, "live, later", byKey(state.Live), byKey([]allocator.Booking{live[1], half[1]}))
	if len(state.Ended) != 2 {
		t.Errorf("ended depends on the start: %v", state.Ended)
	}
	unknown, err := w.Ledger.SiteState(t.Context(), "state-unknown", from, time.Unix(0, 0))
	must(t, err)
	if unknown.Found {
		t.Error("found an unknown site")
	}
}

func (w *World) state(t *testing.T, from allocator.Minute, since time.Time) allocator.SiteLedger {
	t.Helper()
	state, err := w.Ledger.SiteState(t.Context(), w.Site, from, since)
	must(t, err)
	return state
}

// testEndedSince: the time of the end counts, not that of the record; a grant with several rows ends with the last.
func testEndedSince(t *testing.T, w *World) {
	family := w.Book(t, Spot{5, 0, Blue, 7}, Spot{5, 1, Blue, 8})
	single := w.Book(t, Spot{6, 0, Blue, 9})[0]
	w.Turn(t, family[0].Key, allocator.StatusCancelled, "citizen")
	since := later(t, w.Ledger)
	if ended := w.state(t, 0, since).Ended; len(ended) != 0 {
		t.Errorf("ended before anything did: %v", ended)
	}
	w.Turn(t, family[1].Key, allocator.StatusCancelled, "citizen")
	w.Turn(t, single.Key, allocator.StatusCancelled, "citizen")
	ended := w.state(t, 0, since).Ended
	ids := make(map[allocator.HoldID]bool)
	for _, e := range ended {
		ids[e.ID] = true
	}
	if len(ended) != 2 || !ids[family[0].Hold] || !ids[single.Hold] {
		t.Errorf("ended since: %v", ended)
	}
}

// later is an instant of the ledger's clock after everything so far.
func later(t *testing.T, l allocator.Ledger) time.Time {
	t.Helper()
	first, err := l.Now(t.Context())
	must(t, err)
	for range 1_000_000 {
		now, err := l.Now(t.Context())
		must(t, err)
		if now.After(first) {
			return now
		}
	}
	t.Fatal("the ledger's clock stands still")
	return first
}

// testChanged: whoever follows from Now to Now misses nothing. Older changes may be told again.
func testChanged(t *testing.T, w, other *World) {
	from := later(t, w.Ledger)
	follow := func(what string, day, ended *World) {
		t.Helper()
		c, err := w.Ledger.Changed(t.Context(), from)
		must(t, err)
		if from = c.Now; from.IsZero() {
			t.Errorf("%s: no instant to go on from", what)
		}
		if day != nil {
			stored, err := w.Ledger.Day(t.Context(), day.Site, day.Date)
			must(t, err)
			if !slices.Contains(c.Days, allocator.DayRevision{Site: day.Site, Date: day.Date, Revision: stored.Revision}) {
				t.Errorf("%s: days %v", what, c.Days)
			}
		}
		at := func(e allocator.EndedClaim) bool { return e.Slot.Site == ended.Site }
		if ended != nil && !slices.ContainsFunc(c.Ended, at) {
			t.Errorf("%s: ended at %v", what, c.Ended)
		}
		again, err := w.Ledger.Changed(t.Context(), from.Add(time.Hour))
		must(t, err)
		if len(again.Days)+len(again.Ended) > 0 {
			t.Errorf("%s: changed in an hour: %+v", what, again)
		}
	}
	follow("nothing", nil, nil)
	row := other.Book(t, Spot{4, 0, Blue, 4})[0]
	other.Publish(t, Open(4, Blue))
	follow("published", other, nil)
	other.Turn(t, row.Key, allocator.StatusCancelled, "")
	follow("cancelled", nil, other)
	lost := w.Recording(Spot{7, 0, Blue, 1})
	must(t, one(w.Ledger.Void(t.Context(), []allocator.Voiding{VoidingOf(lost, allocator.CodeHoldLost)})))
	w.Publish(t, Open(5, Blue))
	follow("published, and a void", w, w)
	current := w.Book(t, Spot{8, 0, Blue, 10})[0]
	move := w.Recording(Spot{9, 0, Blue, 10})
	move.Replaces = current.Key
	w.Record(t, move)
	follow("moved", nil, w)
	cut := other.Change()
	other.Book(t, Spot{9, 0, Blue, 5})
	cut.Cancel = true
	other.PublishAll(t, cut)
	follow("cancelled by the site", other, other)
	testChangedWhileWriting(t, w, from)
}

// testChangedWhileWriting: nothing falls between two looks.
func testChangedWhileWriting(t *testing.T, w *World, from time.Time) {
	var done sync.WaitGroup
	for i := range 8 {
		done.Go(func() {
			definite(t, func() ([]allocator.PublishResult, error) {
				change := w.Change(Open(10+i, Blue))
				change.Day.Date += allocator.Date(i)
				return w.Ledger.Publish(t.Context(), []allocator.DayChange{change})
			})
		})
	}
	seen := make(map[allocator.Date]bool)
	look := func() {
		c, err := w.Ledger.Changed(t.Context(), from)
		must(t, err)
		from = c.Now
		for _, d := range c.Days {
			seen[d.Date] = seen[d.Date] || d.Site == w.Site
		}
	}
	for range 20 {
		look()
	}
	done.Wait()
	look()
	for i := range allocator.Date(8) {
		if !seen[w.Date+i] {
			t.Errorf("the change of day %d was missed", i)
		}
	}
}

// testEvents: one per transition, in order, in pages that a cursor joins without gap or repeat.
func testEvents(t *testing.T, l allocator.Ledger) {
	w := NewWorld(t, l, "events")
	catalogue, start, err := l.Events(t.Context(), "", 10)
	must(t, err)
	var puts []string
	for _, e := range catalogue {
		puts = append(puts, textOf([]any{e.Type, e.Site, e.Service, e.Revision, e.Actor}))
	}
	same(t, "events of the catalogue", puts, []string{
		textOf([]any{allocator.EventSite, w.Site, "", 1, Actor}), textOf([]any{allocator.EventService, "", Blue, 1, Actor}),
		textOf([]any{allocator.EventService, "", Green, 1, Actor}), textOf([]any{allocator.EventService, "", Orange, 1, Actor}),
	})
	w.Publish(t, Open(1, Blue))
	row := w.Book(t, Spot{0, 0, Blue, 1})[0]
	w.Turn(t, row.Key, allocator.StatusArrived, "desk")
	w.Turn(t, row.Key, allocator.StatusCancelled, "citizen")
	moved := w.Book(t, Spot{1, 0, Blue, 1})[0]
	move := w.Recording(Spot{2, 0, Blue, 1})
	move.Replaces = moved.Key
	w.Record(t, move)
	cut := w.Change()
	cut.Cancel = true
	w.PublishAll(t, cut)
	w.PublishAll(t, cut)
	var got []string
	cursor := start
	for {
		page, next, err := l.Events(t.Context(), cursor, 2)
		must(t, err)
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			if len(page) > 2 || e.Cursor == "" || e.Actor != Actor || e.Site != w.Site || e.Date != w.Date || e.At.Year() < 2020 {
				t.Errorf("event %+v", e)
			}
			got = append(got, textOf([]any{e.Type, e.Booking, e.Version, e.Status, e.Reason, e.Revision}))
		}
		if page[len(page)-1].Cursor != next {
			t.Errorf("the page ends at %q and goes on at %q", page[len(page)-1].Cursor, next)
		}
		cursor = next
	}
	event := func(kind allocator.EventType, key allocator.BookingKey, version int, status allocator.Status, reason string, revision int64) string {
		return textOf([]any{kind, key, version, status, reason, revision})
	}
	want := []string{
		event(allocator.EventCapacity, 0, 0, "", "", 1),
		event(allocator.EventBooked, row.Key, 1, allocator.StatusBooked, "", 0),
		event(allocator.EventStatus, row.Key, 2, allocator.StatusArrived, "desk", 0),
		event(allocator.EventCancelled, row.Key, 3, allocator.StatusCancelled, "citizen", 0),
		event(allocator.EventBooked, moved.Key, 1, allocator.StatusBooked, "", 0),
		event(allocator.EventMoved, moved.Key, 2, allocator.StatusCancelled, "moved", 0),
		event(allocator.EventBooked, move.Claims[0].Key, 1, allocator.StatusBooked, "", 0),
		event(allocator.EventCapacity, 0, 0, "", "", 2),
		event(allocator.EventCancelled, move.Claims[0].Key, 2, allocator.StatusCancelled, "site", 0),
	}
	// Events of one transaction are in no particular order.
	for _, pair := range [][2]int{{5, 6}, {7, 8}} {
		if len(got) == len(want) && got[pair[0]] == want[pair[1]] {
			got[pair[0]], got[pair[1]] = got[pair[1]], got[pair[0]]
		}
	}
	same(t, "events", got, want)
	w.Turn(t, w.reopened(t).Key, allocator.StatusNoShow, "")
	page, _, err := l.Events(t.Context(), cursor, 10)
	must(t, err)
	if len(page) != 3 {
		t.Errorf("%d events after the cursor, want 3", len(page))
	}
	w.Audit(t)
}

// reopened publishes the day anew and books a place.
func (w *World) reopened(t *testing.T) allocator.Booking {
	t.Helper()
	w.Publish(t, Open(1, Blue))
	return w.Book(t, Spot{0, 0, Blue, 1})[0]
}
