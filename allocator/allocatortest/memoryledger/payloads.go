package memoryledger

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"muster/allocator"
)

// Booking reads one for a subject.
func (l *Ledger) Booking(ctx context.Context, key allocator.BookingKey, subject allocator.Subject) (allocator.Booking, bool, error) {
	if err := l.enter(ctx); err != nil {
		return allocator.Booking{}, false, err
	}
	defer l.leave()
	r, ok := l.rows[key]
	if !ok || r.Status == allocator.StatusVoid ||
		subject.Bound && (subject.Publisher == "" || l.sites[r.Slot.Site].Publisher != subject.Publisher) {
		return allocator.Booking{}, false, nil
	}
	return r.Booking, true, nil
}

// byKey lists the rows that are wanted in order of their keys.
func (l *Ledger) byKey(limit int, wanted func(r *row) bool) (found []allocator.Booking) {
	for _, r := range l.rows {
		if wanted(r) {
			found = append(found, r.Booking)
		}
	}
	slices.SortFunc(found, func(a, b allocator.Booking) int { return cmp.Compare(a.Key, b.Key) })
	return found[:min(len(found), limit)]
}

// PersonBookings looks through everything.
func (l *Ledger) PersonBookings(ctx context.Context, person allocator.PersonKey, limit int) ([]allocator.Booking, error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.leave()
	return l.byKey(limit, func(r *row) bool { return r.Person == person && person != allocator.PersonKey{} }), nil
}

// Payloads looks through everything.
func (l *Ledger) Payloads(ctx context.Context, after allocator.BookingKey, limit int) (payloads []allocator.Payload, err error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.leave()
	for _, b := range l.byKey(limit, func(r *row) bool { return r.Key > after && len(r.Sealed) > 0 }) {
		payloads = append(payloads, allocator.Payload{Key: b.Key, Date: b.Date, Status: b.Status, Sealed: slices.Clone(b.Sealed)})
	}
	return payloads, nil
}

// Reseal compares and replaces.
func (l *Ledger) Reseal(ctx context.Context, items []allocator.Resealing) (changed int, err error) {
	if err := l.enter(ctx); err != nil {
		return 0, err
	}
	defer l.leave()
	for i := range items {
		r, ok := l.rows[items[i].Key]
		if !ok || !bytes.Equal(r.Sealed, items[i].Was) {
			continue
		}
		changed++
		if r.Sealed = slices.Clone(items[i].Now); !items[i].Nobody {
			continue
		}
		if p, ok := r.PersonDose(); ok && r.Status.Live() {
			delete(l.persons, p)
		}
		r.Person = allocator.PersonKey{}
		for j := range l.events {
			if l.events[j].Booking == r.Key {
				l.events[j].Person = allocator.PersonKey{}
			}
		}
	}
	return changed, nil
}
