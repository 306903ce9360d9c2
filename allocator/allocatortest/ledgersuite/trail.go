package ledgersuite

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"muster/allocator"
)

// testAuthors: each kind of change says who made it and by which request; what changes nothing has no event.
func testAuthors(t *testing.T, l allocator.Ledger) {
	w := NewWorld(t, l, "authors")
	_, start, err := l.Events(t.Context(), "", 10)
	must(t, err)
	by := func(n int) string { return fmt.Sprintf("publisher:chain %d request=R.%d", n, n) }
	site := SiteOf(w.Site)
	must(t, one(l.PutSite(t.Context(), site, by(0)))) // equal
	site.Name = "renamed"
	must(t, one(l.PutSite(t.Context(), site, by(1))))
	site.Name = "again"
	must(t, one(l.PutOwnSite(t.Context(), site, by(2))))
	service := allocator.DefaultService(Blue)
	must(t, one(l.PutService(t.Context(), service, by(0)))) // equal
	service.MinLeadHours = 9
	must(t, one(l.PutService(t.Context(), service, by(3))))
	open := w.Change(Open(2, Blue, "NEW:All"))
	open.Actor, open.Services = by(4), true
	w.PublishAll(t, open)
	booked := w.Pinned(t, Spot{0, 0, Blue, 1})
	booked.Actor = by(5)
	w.Record(t, booked)
	unpinned := w.Recording(Spot{1, 0, Blue, 2})
	unpinned.Actor = by(6)
	w.Record(t, unpinned)
	must(t, one(l.Transition(t.Context(), allocator.Transition{Key: booked.Claims[0].Key, To: allocator.StatusArrived, Actor: by(7)})))
	must(t, one(l.Suspend(t.Context(), allocator.SuspensionChange{
		Site: w.Site, Suspension: allocator.Suspension{Service: Blue}, From: w.Date, Actor: by(8),
	})))
	events, _, err := l.Events(t.Context(), start, 20)
	must(t, err)
	var got []string
	for _, e := range events {
		got = append(got, fmt.Sprintln(e.Type, e.Site, e.Service, e.Revision, e.Version, e.Actor, e.Request))
	}
	line := func(n int, parts ...any) string {
		return fmt.Sprintln(append(parts, fmt.Sprint("publisher:chain ", n), fmt.Sprint("R.", n))...)
	}
	same(t, "authors", got, []string{
		line(1, allocator.EventSite, w.Site, "", 2, 0), line(2, allocator.EventSite, w.Site, "", 3, 0),
		line(3, allocator.EventService, "", Blue, 2, 0), line(4, allocator.EventService, "", "NEW:All", 1, 0),
		line(4, allocator.EventCapacity, w.Site, "", 1, 0), line(5, allocator.EventBooked, w.Site, Blue, 0, 1),
		line(6, allocator.EventBooked, w.Site, Blue, 0, 1), line(7, allocator.EventStatus, w.Site, Blue, 0, 2),
		line(8, allocator.EventCapacity, w.Site, "", 2, 0), line(8, allocator.EventSite, w.Site, "", 4, 0),
	})
}

// trailOf makes entries of made-up events, numbered after a number.
func trailOf(after int64, n int) []allocator.TrailEntry {
	entries := make([]allocator.TrailEntry, n)
	for i := range entries {
		seq := after + 1 + int64(i)
		e := allocator.TrailEntry{Seq: seq, Event: allocator.Event{
			Cursor: strconv.FormatInt(10*seq, 10), Type: allocator.EventBooked, At: time.UnixMicro(1_800_000_000_000_000 + seq).UTC(),
			Actor: fmt.Sprint("actor-", seq%2), Request: "R", Site: allocator.SiteID(fmt.Sprint("site-", seq%3)), Booking: allocator.BookingKey(100 + seq%4),
			Service: Blue, Status: allocator.StatusBooked, Version: 2, Reason: "é", Date: 20_900, Revision: seq,
		}}
		e.Event.Slot = allocator.SlotID{Site: e.Event.Site, Start: 30_000_000, Length: 10}
		if seq == 1 { // one with as little as there can be
			e.Event = allocator.Event{Cursor: "10", Type: allocator.EventService, At: e.Event.At, Actor: "actor-1", Service: Blue, Revision: 1}
		}
		e.Digest[0], e.Previous[0], e.Hash[31] = byte(seq), byte(seq-1), byte(seq)
		if i == n-1 {
			e.Seal = []byte{0, byte(seq)}
		}
		entries[i] = e
	}
	return entries
}

// testTrail: what is appended is read back whole, once, in order, and by every condition.
func testTrail(t *testing.T, l allocator.Ledger) {
	add := func(after int64, entries []allocator.TrailEntry, want bool) {
		t.Helper()
		got, err := l.AppendTrail(t.Context(), after, entries)
		must(t, err)
		if got != want {
			t.Errorf("append after %d: %v", after, got)
		}
	}
	end, err := l.TrailEnd(t.Context())
	must(t, err)
	same(t, "the end of an empty trail", end, allocator.TrailEntry{})
	first, second := trailOf(0, 12), trailOf(12, 8)
	add(3, trailOf(3, 1), false)
	add(0, first, true)
	add(0, first, false) // repeated
	add(12, second, true)
	add(12, trailOf(12, 1), false)
	all := join(first, second)
	end, err = l.TrailEnd(t.Context())
	must(t, err)
	same(t, "the end", end, all[19])
	read := func(name string, q allocator.TrailQuery, want func(e *allocator.Event) bool) {
		t.Helper()
		var wanted, got []allocator.TrailEntry
		for i := range all {
			if want(&all[i].Event) {
				wanted = join(wanted, all[i:i+1])
			}
		}
		for q.Limit = 3; ; q.After = got[len(got)-1].Seq {
			page, err := l.Trail(t.Context(), q)
			must(t, err)
			if got = join(got, page); len(page) == 0 || len(page) > 3 {
				break
			}
		}
		same(t, name, got, wanted)
		for i := range min(len(got), len(wanted)) {
			if (got[i].Seal == nil) != (wanted[i].Seal == nil) {
				t.Errorf("%s: the seal of entry %d is %v", name, got[i].Seq, got[i].Seal)
			}
		}
	}
	every := func(*allocator.Event) bool { return true }
	read("all", allocator.TrailQuery{}, every)
	read("a site", allocator.TrailQuery{Site: "site-1"}, func(e *allocator.Event) bool { return e.Site == "site-1" })
	read("a booking", allocator.TrailQuery{Booking: 102}, func(e *allocator.Event) bool { return e.Booking == 102 })
	read("an actor", allocator.TrailQuery{Actor: "actor-1"}, func(e *allocator.Event) bool { return e.Actor == "actor-1" })
	read("a site's booking", allocator.TrailQuery{Site: "site-1", Booking: 103}, func(e *allocator.Event) bool { return e.Site == "site-1" && e.Booking == 103 })
	read("an actor at a site", allocator.TrailQuery{Site: "site-1", Actor: "actor-0"}, func(e *allocator.Event) bool { return e.Site == "site-1" && e.Actor == "actor-0" })
	from, to := all[4].Event.At, all[15].Event.At
	within := func(e *allocator.Event) bool { return !e.At.Before(from) && e.At.Before(to) }
	read("a time", allocator.TrailQuery{From: from, To: to}, within)
	read("an actor's time", allocator.TrailQuery{Actor: "actor-0", From: from, To: to}, func(e *allocator.Event) bool { return within(e) && e.Actor == "actor-0" })
	read("nobody", allocator.TrailQuery{Actor: "actor"}, func(*allocator.Event) bool { return false })
}

func join(a, b []allocator.TrailEntry) []allocator.TrailEntry { return append(a[:len(a):len(a)], b...) }

// testTrailRaces: of many that append after the same entry, one does.
func testTrailRaces(t *testing.T, l allocator.Ledger) {
	for after := int64(0); after < 40; after += 5 {
		var won atomic.Int64
		Race(8, func(int) {
			if definite(t, func() (bool, error) { return l.AppendTrail(t.Context(), after, trailOf(after, 5)) }) {
				won.Add(1)
			}
		})
		if won.Load() > 1 {
			t.Errorf("%d appended after entry %d", won.Load(), after)
		}
	}
	entries, err := l.Trail(t.Context(), allocator.TrailQuery{Limit: 100})
	must(t, err)
	for i, e := range entries {
		if e.Seq != int64(i)+1 {
			t.Errorf("entry %d has number %d", i+1, e.Seq)
		}
	}
	if len(entries) != 40 {
		t.Errorf("%d entries, want 40", len(entries))
	}
}
