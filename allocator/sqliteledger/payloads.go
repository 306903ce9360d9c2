package sqliteledger

import (
	"context"

	"muster/allocator"
)

// Booking reads one for a subject.
func (l *Ledger) Booking(ctx context.Context, key allocator.BookingKey, subject allocator.Subject) (row allocator.Booking, ok bool, err error) {
	err = l.read(ctx, func(t *tx) error {
		rows, err := t.bookings(`b.booking_key = ? AND b.status <> 'void' AND (NOT ? OR EXISTS (
			SELECT 1 FROM sites s WHERE s.site_id = b.site_id AND s.details ->> 'publisher' = nullif(?, '')))`,
			int64(key), subject.Bound, subject.Publisher)
		if ok = len(rows) > 0; ok {
			row = rows[0]
		}
		return err
	})
	return row, ok, err
}

// PersonBookings reads the three indexes that have persons: of live rows that are one per person, of other live rows, and
// of ended ones.
func (l *Ledger) PersonBookings(ctx context.Context, person allocator.PersonKey, limit int) (rows []allocator.Booking, err error) {
	if person == (allocator.PersonKey{}) {
		return nil, nil
	}
	key := person[:]
	err = l.read(ctx, func(t *tx) error {
		rows, err = t.bookings(`b.id IN (
			SELECT id FROM bookings WHERE person = ? AND person IS NOT NULL AND ended_at IS NULL AND one_person = 1
			UNION ALL SELECT id FROM bookings WHERE person = ? AND person IS NOT NULL AND ended_at IS NULL AND one_person = 0
			UNION ALL SELECT id FROM bookings WHERE person = ? AND person IS NOT NULL AND ended_at IS NOT NULL)
			ORDER BY b.booking_key LIMIT ?`, key, key, key, limit)
		return err
	})
	return rows, err
}

// Payloads pages by key.
func (l *Ledger) Payloads(ctx context.Context, after allocator.BookingKey, limit int) (payloads []allocator.Payload, err error) {
	err = l.read(ctx, func(t *tx) error {
		return t.each(`SELECT booking_key, date, status, sealed FROM bookings WHERE booking_key > ? AND sealed IS NOT NULL
			ORDER BY booking_key LIMIT ?`, []any{int64(after), limit}, func(scan func(into ...any) error) error {
			var p allocator.Payload
			err := scan(&p.Key, &p.Date, &p.Status, &p.Sealed)
			payloads = append(payloads, p)
			return err
		})
	})
	return payloads, err
}

// Reseal replaces payloads one by one, in one transaction.
func (l *Ledger) Reseal(ctx context.Context, items []allocator.Resealing) (changed int, err error) {
	if len(items) == 0 {
		return 0, nil
	}
	err = l.write(ctx, func(t *tx) error {
		for i := range items {
			r := &items[i]
			n, err := t.change(`UPDATE bookings SET sealed = ?, person = CASE WHEN ? THEN NULL ELSE person END
				WHERE booking_key = ? AND sealed IS ?`, blob(r.Now), r.Nobody, int64(r.Key), blob(r.Was))
			if err != nil {
				return err
			}
			changed += int(n)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return changed, nil
}

// blob is NULL for no bytes.
func blob(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}
