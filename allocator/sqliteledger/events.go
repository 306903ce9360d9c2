package sqliteledger

import (
	"context"
	"strconv"

	"muster/allocator"
)

// Events pages by id, which is the cursor.
func (l *Ledger) Events(ctx context.Context, after string, limit int) (events []allocator.Event, next string, err error) {
	var from int64
	if after != "" {
		if from, err = strconv.ParseInt(after, 10, 64); err != nil || from < 0 {
			return nil, "", allocator.Refuse(allocator.CodeInvalid, "not a cursor of this ledger")
		}
	}
	next = after
	err = l.read(ctx, func(t *tx) error {
		return t.each(`
			SELECT b.id, 'booking.booked', b.recorded_at, b.booked_by, '', b.booking_key, 'booked', 1,
				b.site_id, b.date, 0, b.starts_at, b.length, b.service, b.person
			FROM bookings b WHERE b.id > ?1 AND b.booked_by IS NOT NULL
			UNION ALL
			SELECT e.id, e.type, e.at, e.actor, e.reason, e.booking_key, coalesce(e.status, ''), coalesce(e.version, 0),
				coalesce(e.site_id, b.site_id, ''), coalesce(e.date, b.date, 0), coalesce(e.revision, 0),
				coalesce(b.starts_at, 0), coalesce(b.length, 0), coalesce(e.service, b.service, ''), b.person
			FROM events e LEFT JOIN bookings b ON b.booking_key = e.booking_key
			WHERE e.id > ?1 ORDER BY 1 LIMIT ?2`,
			[]any{from, limit}, func(scan func(into ...any) error) error {
				e, err := scanEvent(scan)
				events, next = append(events, e), e.Cursor
				return err
			})
	})
	return events, next, err
}

func scanEvent(scan func(into ...any) error) (e allocator.Event, err error) {
	var id, at int64
	var booking *int64
	var person []byte
	err = scan(&id, &e.Type, &at, &e.Actor, &e.Reason, &booking, &e.Status, &e.Version, &e.Site, &e.Date, &e.Revision,
		&e.Slot.Start, &e.Slot.Length, &e.Service, &person)
	e.Cursor, e.At = strconv.FormatInt(id, 10), instant(at)
	e.Actor, e.Request = allocator.ReadAuthor(e.Actor)
	copy(e.Person[:], person)
	if booking != nil {
		e.Booking, e.Slot.Site = allocator.BookingKey(*booking), e.Site
	}
	return e, err
}
