package ledgersuite

import (
	"testing"

	"muster/allocator"
)

// AllEvents reads the outbox from the beginning, in pages.
func AllEvents(t testing.TB, l allocator.Ledger) []allocator.Event {
	t.Helper()
	var all []allocator.Event
	for cursor := ""; ; {
		page, next, err := l.Events(t.Context(), cursor, 500)
		must(t, err)
		if len(page) == 0 {
			return all
		}
		if next == cursor {
			t.Fatalf("events: the cursor stands still at %q", cursor)
		}
		all, cursor = append(all, page...), next
	}
}

// Audit checks the World's day against the promises: no place and no person has two live rows, no slot has more supported
// rows than places, and every transition has exactly one event. It answers the day's live rows, unsupported ones marked.
func (w *World) Audit(t testing.TB) []allocator.Booking {
	t.Helper()
	day, rows, err := w.Ledger.DayBookings(t.Context(), w.Site, w.Date)
	must(t, err)
	allocator.MarkUnsupported(&day, w.Zone, rows)
	var live []allocator.Booking
	type spot struct {
		slot  allocator.SlotID
		place int32
	}
	places := make(map[spot]allocator.BookingKey)
	persons := make(map[allocator.PersonDose]allocator.BookingKey)
	supported := make(map[allocator.SlotID]int)
	for _, b := range rows {
		if !b.Status.Live() {
			continue
		}
		live = append(live, b)
		if other, taken := places[spot{b.Slot, b.Place}]; taken {
			t.Errorf("place %d of %v has two live rows: %d and %d", b.Place, b.Slot, other, b.Key)
		}
		places[spot{b.Slot, b.Place}] = b.Key
		if p, ok := b.PersonDose(); ok {
			if other, taken := persons[p]; taken {
				t.Errorf("a person has two live rows: %d and %d", other, b.Key)
			}
			persons[p] = b.Key
		}
		if !b.Unsupported {
			supported[b.Slot]++
		}
	}
	for id, n := range supported {
		slot, _ := day.Slot(id, w.Zone)
		capacity := 0
		for _, p := range slot.Pools {
			capacity += p.Capacity
		}
		if n > capacity {
			t.Errorf("slot %v has %d places and %d supported rows", id, capacity, n)
		}
	}
	w.auditEvents(t, day.Revision, rows)
	return live
}

// auditEvents checks that each version of each row and of the site, and each revision of the day, has exactly one event, in order.
func (w *World) auditEvents(t testing.TB, revision int64, rows []allocator.Booking) {
	t.Helper()
	last := make(map[allocator.BookingKey]allocator.Event)
	var published, versions int64
	for _, e := range AllEvents(t, w.Ledger) {
		if e.Type == allocator.EventSite && e.Site == w.Site {
			if versions++; e.Revision != versions {
				t.Errorf("event of site version %d is %s", versions, textOf(e))
			}
		}
		if e.Site != w.Site || e.Date != w.Date {
			continue
		}
		if e.Booking == 0 {
			if published++; e.Revision != published || e.Type != allocator.EventCapacity {
				t.Errorf("event of capacity %d is %s", published, textOf(e))
			}
			continue
		}
		if e.Version != last[e.Booking].Version+1 {
			t.Errorf("after version %d of booking %d: %s", last[e.Booking].Version, e.Booking, textOf(e))
		}
		last[e.Booking] = e
	}
	if published != revision {
		t.Errorf("%d events of capacity, revision %d", published, revision)
	}
	if site, ok, err := w.Ledger.Site(t.Context(), w.Site); err != nil || ok && site.Version != versions {
		t.Errorf("%d events of the site, version %d, %v", versions, site.Version, err)
	}
	for _, b := range rows {
		if e := last[b.Key]; e.Version != b.Version || e.Status != b.Status || e.Reason != b.Reason || e.Person != b.Person ||
			e.Slot != b.Slot || e.Service != b.Service {
			t.Errorf("booking %s\n last event %s", textOf(b), textOf(e))
		}
		delete(last, b.Key)
	}
	for key, e := range last {
		t.Errorf("an event of booking %d, which has no row: %s", key, textOf(e))
	}
}
