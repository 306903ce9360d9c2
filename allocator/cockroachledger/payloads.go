package cockroachledger

import (
	"context"

	"github.com/jackc/pgx/v5"

	"muster/allocator"
)

// Booking reads one for a subject.
func (l *Ledger) Booking(ctx context.Context, key allocator.BookingKey, subject allocator.Subject) (row allocator.Booking, ok bool, err error) {
	rows, err := l.list(ctx, l.q.BookingFor, int64(key), subject.Bound, subject.Publisher)
	if err != nil || len(rows) == 0 {
		return allocator.Booking{}, false, err
	}
	return rows[0], true, nil
}

// PersonBookings lists rows of a person by key.
func (l *Ledger) PersonBookings(ctx context.Context, person allocator.PersonKey, limit int) ([]allocator.Booking, error) {
	if person == (allocator.PersonKey{}) {
		return nil, nil
	}
	return l.list(ctx, l.q.PersonBookings, person[:], int64(limit))
}

// list reads the rows of one statement.
func (l *Ledger) list(ctx context.Context, query string, args ...any) (found []allocator.Booking, err error) {
	err = l.read(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		found, err = collectBookings(rows)
		return err
	})
	return found, err
}

// Payloads pages by key.
func (l *Ledger) Payloads(ctx context.Context, after allocator.BookingKey, limit int) (payloads []allocator.Payload, err error) {
	err = l.read(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, l.q.Payloads, int64(after), int64(limit))
		if err != nil {
			return err
		}
		payloads, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (p allocator.Payload, err error) {
			var date int32
			err = row.Scan(&p.Key, &date, &p.Status, &p.Sealed)
			p.Date = allocator.Date(date)
			return p, err
		})
		return err
	})
	return payloads, err
}

// Reseal replaces payloads in one statement.
func (l *Ledger) Reseal(ctx context.Context, items []allocator.Resealing) (changed int, err error) {
	if len(items) == 0 {
		return 0, nil
	}
	var keys []int64
	var was, fresh [][]byte
	var nobody []bool
	for i := range items {
		keys, nobody = append(keys, int64(items[i].Key)), append(nobody, items[i].Nobody)
		was, fresh = append(was, items[i].Was), append(fresh, items[i].Now)
	}
	err = l.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, l.q.Reseal, keys, was, fresh, nobody)
		changed = int(tag.RowsAffected())
		return err
	})
	if err != nil {
		return 0, err
	}
	return changed, nil
}
