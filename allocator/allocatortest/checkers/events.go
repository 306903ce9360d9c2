package checkers

import (
	"muster/allocator"
)

// Events checks that the outbox has exactly one event of each transition: versions 1, 2, … of a booking up to the one its
// row has, revisions 1, 2, … of a day up to the newest that was published, and what was acknowledged among them (P12).
func Events(r *Run) (violations []Violation) {
	versions := make(map[allocator.BookingKey]int, len(r.rows))
	revisions := make(map[allocator.DayID]int64)
	for i := range r.Evidence.Events {
		e := &r.Evidence.Events[i]
		if e.Type == allocator.EventCapacity {
			day := allocator.DayID{Site: e.Site, Date: e.Date}
			if e.Revision != revisions[day]+1 {
				violations = append(violations, violated("P12", "%s %s: revision %d follows %d in the outbox", e.Site, e.Date, e.Revision, revisions[day]))
			}
			revisions[day] = max(revisions[day], e.Revision)
			continue
		}
		violations = append(violations, r.follows(e, versions[e.Booking])...)
		versions[e.Booking] = max(versions[e.Booking], e.Version)
	}
	for key, row := range r.rows {
		violations = append(violations, r.told(row, versions[key])...)
	}
	for v := range r.documents.versions {
		if v.revision > revisions[v.day] {
			violations = append(violations, violated("P12", "revision %d of %s %s has no event", v.revision, v.day.Site, v.day.Date))
		}
	}
	return append(violations, r.statusEvents()...)
}

// follows checks one event against the version of its booking that came before it.
func (r *Run) follows(e *allocator.Event, before int) (violations []Violation) {
	add := func(format string, args ...any) { violations = append(violations, violated("P12", format, args...)) }
	reference := e.Booking.Reference()
	if e.Version != before+1 {
		add("booking %s: version %d (%s) follows %d in the outbox", reference, e.Version, e.Type, before)
	}
	if (e.Type == allocator.EventBooked) != (e.Version == 1) {
		add("booking %s: version %d is %s", reference, e.Version, e.Type)
	}
	if ended := e.Type == allocator.EventCancelled || e.Type == allocator.EventMoved; e.Status.Live() == ended {
		add("booking %s: %s says that it is %s", reference, e.Type, e.Status)
	}
	row := r.rows[e.Booking]
	switch {
	case row == nil:
		add("booking %s has an event (%s) and no row", reference, e.Type)
	case row.Slot != e.Slot || row.Service != e.Service || row.Person != e.Person || row.Date != e.Date || e.Site != row.Slot.Site:
		add("booking %s: its event of version %d is about something else: %s at %v", describe(row), e.Version, e.Service, e.Slot)
	case e.Version == row.Version && e.Status != row.Status:
		add("booking %s: its last event says %s", describe(row), e.Status)
	}
	return violations
}

// told checks that the outbox tells of a row all that happened to it.
func (r *Run) told(row *allocator.Booking, version int) []Violation {
	switch {
	case !wasBooked(row) && version > 0:
		return []Violation{violated("P12", "void row %s has events", row.Key.Reference())}
	case wasBooked(row) && version != row.Version:
		return []Violation{violated("P12", "booking %s has version %d, and %d in the outbox", describe(row), row.Version, version)}
	}
	return nil
}

// statusEvents checks that each acknowledged status of a booking, which may have changed since, was told of once.
func (r *Run) statusEvents() (violations []Violation) {
	for i := range r.History {
		op := &r.History[i]
		if op.Kind != KindStatus || !op.acknowledged() {
			continue
		}
		if key, ok := allocator.ParseReference(op.Cancels); ok && len(r.events[key]) < 2 {
			violations = append(violations, violated("P12", "a status of booking %s was acknowledged, and has no event", op.Cancels))
		}
	}
	return violations
}
