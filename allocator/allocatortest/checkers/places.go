package checkers

import (
	"muster/allocator"
)

type placeKey struct {
	slot  allocator.SlotID
	place int32
}

// Places checks that no place has two live bookings and, with the outbox replayed in order, that each booking joined the
// live ones of its slot under the document that was current at that moment (P1).
func Places(r *Run) (violations []Violation) {
	owners := make(map[placeKey]*allocator.Booking, len(r.Evidence.Bookings))
	for i := range r.Evidence.Bookings {
		b := &r.Evidence.Bookings[i]
		if !b.Status.Live() {
			continue
		}
		if other := owners[placeKey{b.Slot, b.Place}]; other != nil {
			violations = append(violations, violated("P1", "one place has two live bookings: %s and %s", describe(other), describe(b)))
		}
		owners[placeKey{b.Slot, b.Place}] = b
	}
	replay := replay{r: r, current: make(map[allocator.DayID]*document), live: make(map[allocator.SlotID]map[allocator.BookingKey]allocator.ServiceCode)}
	for i := range r.Evidence.Events {
		replay.step(&r.Evidence.Events[i])
	}
	return append(violations, replay.violations...)
}

// replay is the state of all slots between two events.
type replay struct {
	r          *Run
	current    map[allocator.DayID]*document
	live       map[allocator.SlotID]map[allocator.BookingKey]allocator.ServiceCode
	violations []Violation
}

func (p *replay) step(e *allocator.Event) {
	day := allocator.DayID{Site: e.Site, Date: e.Date}
	if e.Type == allocator.EventCapacity {
		doc := p.r.documents.versions[version{day, e.Revision}]
		if doc == nil {
			p.violations = append(p.violations, violated("P1", "revision %d of %s %s is not among the published days, so nothing can be judged by it", e.Revision, e.Site, e.Date))
		}
		p.current[day] = doc
		return
	}
	rows := p.live[e.Slot]
	if rows == nil {
		rows = make(map[allocator.BookingKey]allocator.ServiceCode)
		p.live[e.Slot] = rows
	}
	switch {
	case e.Type == allocator.EventBooked:
		p.join(e, p.current[day], rows)
		rows[e.Booking] = e.Service
	case !e.Status.Live():
		delete(rows, e.Booking)
	}
}

// join checks one booking as it joins.
func (p *replay) join(e *allocator.Event, doc *document, rows map[allocator.BookingKey]allocator.ServiceCode) {
	var pools []allocator.Pool
	revision := int64(0)
	if doc != nil {
		pools, revision = p.r.documents.pools(doc, e.Slot), doc.day.Revision
	}
	counts := make(allocator.Counts, len(rows))
	for _, service := range rows {
		counts[service]++
	}
	if !allocator.Joins(pools, counts, []allocator.ServiceCode{e.Service}) {
		p.violations = append(p.violations, violated("P1", "booking %s of %s joined %v at %s under revision %d, where nobody has a seat for it: %v",
			e.Booking.Reference(), e.Service, counts, describeSlot(e.Slot), revision, pools))
	}
}
