package sqliteledger

import (
	"context"
	"fmt"
	"time"

	"muster/allocator"
)

// Bookings reads by key.
func (l *Ledger) Bookings(ctx context.Context, keys []allocator.BookingKey) (rows []allocator.Booking, err error) {
	if len(keys) == 0 {
		return nil, nil
	}
	err = l.read(ctx, func(t *tx) error {
		found, err := t.rowsUnder(keys)
		for _, key := range keys {
			if b, ok := found[key]; ok {
				rows = append(rows, b)
				delete(found, key)
			}
		}
		return err
	})
	return rows, err
}

// bookings reads the rows that a condition on b picks.
func (t *tx) bookings(where string, args ...any) (rows []allocator.Booking, err error) {
	err = t.each("SELECT "+bookingColumns+" FROM bookings b WHERE "+where, args, func(scan func(into ...any) error) error {
		b, err := scanBooking(scan)
		rows = append(rows, b)
		return err
	})
	return rows, err
}

// Slot reads a slot's live rows.
func (l *Ledger) Slot(ctx context.Context, slot allocator.SlotID, date allocator.Date) (day allocator.Day, rows []allocator.Booking, err error) {
	err = l.read(ctx, func(t *tx) (err error) {
		if day, err = t.day(allocator.DayID{Site: slot.Site, Date: date}); err != nil {
			return err
		}
		rows, err = t.bookings("b.site_id = ? AND b.starts_at = ? AND b.length = ? AND b.ended_at IS NULL",
			string(slot.Site), int64(slot.Start), int64(slot.Length))
		return err
	})
	return day, rows, err
}

// DayBookings reads a date's rows.
func (l *Ledger) DayBookings(ctx context.Context, site allocator.SiteID, date allocator.Date) (day allocator.Day, rows []allocator.Booking, err error) {
	err = l.read(ctx, func(t *tx) (err error) {
		if day, err = t.day(allocator.DayID{Site: site, Date: date}); err != nil {
			return err
		}
		live, err := t.bookings("b.site_id = ? AND b.starts_at BETWEEN ? AND ? AND b.date = ? AND b.ended_at IS NULL",
			string(site), int64(date)*1440-900, int64(date)*1440+2340, int64(date))
		if err != nil {
			return err
		}
		cancelled, err := t.bookings("b.site_id = ? AND b.date = ? AND b.status = 'cancelled'", string(site), int64(date))
		rows = append(live, cancelled...)
		return err
	})
	return day, rows, err
}

// SiteState reads all of a site from one snapshot.
func (l *Ledger) SiteState(ctx context.Context, id allocator.SiteID, from allocator.Minute, endedSince time.Time) (s allocator.SiteLedger, err error) {
	err = l.read(ctx, func(t *tx) (err error) {
		if s.Site, s.Found, err = t.site(id); err != nil || !s.Found {
			return err
		}
		zone, err := l.zone(s.Site.TimeZone)
		if err != nil {
			return err
		}
		s.Revisions = make(map[allocator.Date]int64)
		err = t.each("SELECT date, revision FROM days WHERE site_id = ? AND date >= ?",
			[]any{string(id), int64(allocator.DateOf(from.Time().In(zone)))}, func(scan func(into ...any) error) error {
				var date allocator.Date
				var revision int64
				err := scan(&date, &revision)
				s.Revisions[date] = revision
				return err
			})
		if err != nil {
			return err
		}
		if s.Live, err = t.bookings("b.site_id = ? AND b.starts_at >= ? AND b.ended_at IS NULL", string(id), int64(from)); err != nil {
			return err
		}
		s.Ended, err = t.ended(id, endedSince)
		return err
	})
	return s, err
}

// LivePlaces reads ranges one by one.
func (l *Ledger) LivePlaces(ctx context.Context, ranges []allocator.PlaceRange) (places []allocator.PlaceState, err error) {
	err = l.read(ctx, func(t *tx) error {
		places = places[:0]
		for _, r := range ranges {
			err := t.each(`SELECT place, service, hold FROM bookings
				WHERE site_id = ? AND starts_at = ? AND length = ? AND place BETWEEN ? AND ? AND ended_at IS NULL`,
				[]any{string(r.Slot.Site), int64(r.Slot.Start), int64(r.Slot.Length), int64(r.First), int64(r.Last)},
				func(scan func(into ...any) error) error {
					p := allocator.PlaceState{Slot: r.Slot, Booked: true}
					var hold []byte
					err := scan(&p.Place, &p.Service, &hold)
					p.Owner, _ = allocator.HoldIDFrom(hold)
					places = append(places, p)
					return err
				})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return places, err
}

// ended lists a site's grants that ended since a time. The row with the least key gives the reason.
func (t *tx) ended(site allocator.SiteID, since time.Time) (ended []allocator.EndedID, err error) {
	err = t.each(`
		SELECT e.booking_key, e.hold, e.status, e.reason FROM bookings e
		WHERE e.site_id = ? AND e.ended_at >= ? AND e.ended_at IS NOT NULL AND (e.claims = 1 OR NOT EXISTS (
			SELECT 1 FROM bookings f WHERE f.hold = e.hold AND f.claims > 1 AND f.site_id = e.site_id AND f.ended_at IS NULL))
		ORDER BY e.hold, e.booking_key`,
		[]any{string(site), since.UnixMicro()}, func(scan func(into ...any) error) error {
			var b allocator.Booking
			var hold []byte
			if err := scan(&b.Key, &hold, &b.Status, &b.Reason); err != nil {
				return err
			}
			id, ok := allocator.HoldIDFrom(hold)
			if !ok {
				return fmt.Errorf("booking %d: its hold is not an id", b.Key)
			}
			if n := len(ended); n == 0 || ended[n-1].ID != id {
				ended = append(ended, allocator.EndedID{ID: id, Reason: b.EndedReason()})
			}
			return nil
		})
	return ended, err
}

// Changed tells what changed since an instant. The instant to go on from is read first, and no open transaction has an
// earlier date.
func (l *Ledger) Changed(ctx context.Context, since time.Time) (c allocator.Changed, err error) {
	c.Now = instant(l.clock.present())
	err = l.read(ctx, func(t *tx) error {
		err := t.each("SELECT site_id, date, revision FROM days INDEXED BY days_changed WHERE changed_at >= ? ORDER BY site_id, date", []any{since.UnixMicro()},
			func(scan func(into ...any) error) error {
				var d allocator.DayRevision
				err := scan(&d.Site, &d.Date, &d.Revision)
				c.Days = append(c.Days, d)
				return err
			})
		if err != nil {
			return err
		}
		return t.each(`SELECT site_id, starts_at, length, hold FROM bookings INDEXED BY bookings_ended_anywhere
			WHERE ended_at >= ? AND ended_at IS NOT NULL`, []any{since.UnixMicro()},
			func(scan func(into ...any) error) error {
				var e allocator.EndedClaim
				var hold []byte
				err := scan(&e.Slot.Site, &e.Slot.Start, &e.Slot.Length, &hold)
				e.Owner, _ = allocator.HoldIDFrom(hold)
				c.Ended = append(c.Ended, e)
				return err
			})
	})
	return c, err
}
