package cockroachledger

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/allocator"
)

// Bookings reads rows by key, void ones included; unknown keys are left out.
func (l *Ledger) Bookings(ctx context.Context, keys []allocator.BookingKey) ([]allocator.Booking, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	return l.list(ctx, l.q.RowsByKey, convert[int64](keys))
}

// Slot reads a day's document and the live rows of one of its slots, as of one instant.
func (l *Ledger) Slot(ctx context.Context, slot allocator.SlotID, date allocator.Date) (day allocator.Day, rows []allocator.Booking, err error) {
	err = l.snapshot(ctx, func(ctx context.Context, tx pgx.Tx) error {
		batch := new(pgx.Batch)
		l.queueDay(batch, slot.Site, date, &day)
		rows = nil
		batch.Queue(l.q.SlotRows, string(slot.Site), int64(slot.Start), slot.Length).Query(appendTo(&rows))
		return tx.SendBatch(ctx, batch).Close()
	})
	return day, rows, err
}

// DayBookings reads a day's document and every row of that date but void ones, as of one instant.
func (l *Ledger) DayBookings(ctx context.Context, site allocator.SiteID, date allocator.Date) (day allocator.Day, rows []allocator.Booking, err error) {
	first, last := span(date)
	err = l.snapshot(ctx, func(ctx context.Context, tx pgx.Tx) error {
		batch := new(pgx.Batch)
		l.queueDay(batch, site, date, &day)
		rows = nil
		batch.Queue(l.q.LiveByDay, []string{string(site)}, []int32{int32(date)}, []int64{first}, []int64{last}).
			Query(appendTo(&rows))
		batch.Queue(l.q.CancelledByDay, string(site), int32(date), first, last).Query(appendTo(&rows))
		return tx.SendBatch(ctx, batch).Close()
	})
	return day, rows, err
}

func (l *Ledger) queueDay(batch *pgx.Batch, site allocator.SiteID, date allocator.Date, day *allocator.Day) {
	batch.Queue(l.q.Day, string(site), int32(date)).QueryRow(func(row pgx.Row) (err error) {
		*day, err = oneDay(row, site, date)
		return err
	})
}

func appendTo(all *[]allocator.Booking) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		found, err := collectBookings(rows)
		*all = append(*all, found...)
		return err
	}
}

// SiteState reads, as of one instant and never from a follower, what a rebuild or reconcile of a site needs.
func (l *Ledger) SiteState(ctx context.Context, site allocator.SiteID, from allocator.Minute, endedSince time.Time) (allocator.SiteLedger, error) {
	var state allocator.SiteLedger
	err := l.snapshot(ctx, func(ctx context.Context, tx pgx.Tx) error {
		state = allocator.SiteLedger{}
		err := l.siteOf(ctx, tx, site, &state)
		if err != nil || !state.Found {
			return err
		}
		state.Revisions = make(map[allocator.Date]int64)
		zone, err := l.zone(state.Site.TimeZone)
		if err != nil {
			return err
		}
		day := allocator.DateOf(from.Time().In(zone))
		var ended []endedRow
		batch := new(pgx.Batch)
		batch.Queue(l.q.LiveBySite, string(site), int64(from)).Query(appendTo(&state.Live))
		batch.Queue(l.q.RevisionsFrom, string(site), int32(day)).Query(func(rows pgx.Rows) error {
			var date int32
			var revision int64
			_, err := pgx.ForEachRow(rows, []any{&date, &revision}, func() error {
				state.Revisions[allocator.Date(date)] = revision
				return nil
			})
			return err
		})
		batch.Queue(l.q.EndedSince, string(site), endedSince).Query(func(rows pgx.Rows) error {
			return collectEnded(rows, &ended)
		})
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
		state.Ended, err = l.endedGrants(ctx, tx, ended)
		return err
	})
	return state, err
}

func (l *Ledger) siteOf(ctx context.Context, tx pgx.Tx, site allocator.SiteID, state *allocator.SiteLedger) error {
	rows, err := tx.Query(ctx, l.q.Site, string(site))
	if err != nil {
		return err
	}
	found, err := pgx.CollectRows(rows, scanSite)
	if len(found) > 0 {
		state.Site, state.Found = found[0], true
	}
	return err
}

// endedRow is what is left of a claim whose place is free again.
type endedRow struct {
	allocator.EndedID
	siblings []byte
}

func collectEnded(rows pgx.Rows, ended *[]endedRow) error {
	for rows.Next() {
		var b allocator.Booking
		var hold, siblings []byte
		var status string
		err := rows.Scan(&hold, &status, &b.Reason, &siblings, &b.Key)
		if err != nil {
			return err
		}
		if b.Hold, err = holdID(hold); err != nil {
			return err
		}
		b.Status = allocator.Status(status)
		*ended = append(*ended, endedRow{allocator.EndedID{ID: b.Hold, Reason: b.EndedReason()}, siblings})
	}
	return rows.Err()
}

// endedGrants lists each grant once, without those of which another claim is live.
func (l *Ledger) endedGrants(ctx context.Context, tx pgx.Tx, rows []endedRow) ([]allocator.EndedID, error) {
	var others []int64
	for _, e := range rows {
		others = append(others, unpackSiblings(e.siblings)...)
	}
	seen := make(map[allocator.HoldID]bool)
	if len(others) > 0 {
		live, err := tx.Query(ctx, l.q.LiveHolds, others)
		if err != nil {
			return nil, err
		}
		var hold []byte
		if _, err := pgx.ForEachRow(live, []any{&hold}, func() error {
			id, err := holdID(hold)
			seen[id] = true
			return err
		}); err != nil {
			return nil, err
		}
	}
	var ended []allocator.EndedID
	for _, e := range rows {
		if !seen[e.ID] {
			seen[e.ID] = true
			ended = append(ended, e.EndedID)
		}
	}
	return ended, nil
}

// LivePlaces reads what live rows say of some slots' places.
func (l *Ledger) LivePlaces(ctx context.Context, ranges []allocator.PlaceRange) (places []allocator.PlaceState, err error) {
	var sites []string
	var starts []int64
	var lengths []int16
	var firsts, lasts []int32
	for _, r := range ranges {
		sites, starts, lengths = append(sites, string(r.Slot.Site)), append(starts, int64(r.Slot.Start)), append(lengths, r.Slot.Length)
		firsts, lasts = append(firsts, r.First), append(lasts, r.Last)
	}
	err = l.read(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		places = places[:0]
		rows, err := conn.Query(ctx, l.q.LivePlaces, sites, starts, lengths, firsts, lasts)
		if err != nil {
			return err
		}
		p := allocator.PlaceState{Booked: true}
		var n int64
		var hold []byte
		_, err = pgx.ForEachRow(rows, []any{&n, &p.Place, &p.Service, &hold}, func() (err error) {
			p.Slot = ranges[n-1].Slot
			p.Owner, err = holdID(hold)
			places = append(places, p)
			return err
		})
		return err
	})
	return places, err
}

// Generations lists the sites whose generation is above 0.
func (l *Ledger) Generations(ctx context.Context) (generations map[allocator.SiteID]int64, err error) {
	err = l.read(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		generations = make(map[allocator.SiteID]int64)
		rows, err := conn.Query(ctx, l.q.Generations)
		if err != nil {
			return err
		}
		var site allocator.SiteID
		var generation int64
		_, err = pgx.ForEachRow(rows, []any{&site, &generation}, func() error {
			generations[site] = generation
			return nil
		})
		return err
	})
	return generations, err
}

// lookBack is how long a transaction may take from its beginning, at which what it changes is dated, to its commit, and
// still be told of by Changed. Reconcile finds what took longer.
const lookBack = 3 * time.Second

// Changed tells what changed since an instant, and again what changed shortly before, for transactions that were open
// then: whoever asks from the last Now each time misses nothing.
func (l *Ledger) Changed(ctx context.Context, since time.Time) (changed allocator.Changed, err error) {
	buckets := make([]int64, changeBuckets)
	for i := range buckets {
		buckets[i] = int64(i)
	}
	since = since.Add(-lookBack)
	err = l.snapshot(ctx, func(ctx context.Context, tx pgx.Tx) error {
		changed = allocator.Changed{}
		batch := new(pgx.Batch)
		batch.Queue(l.q.Now).QueryRow(func(row pgx.Row) error { return row.Scan(&changed.Now) })
		batch.Queue(l.q.ChangedDays, buckets, since).Query(func(rows pgx.Rows) error {
			var d allocator.DayRevision
			_, err := pgx.ForEachRow(rows, []any{&d.Site, (*int32)(&d.Date), &d.Revision}, func() error {
				changed.Days = append(changed.Days, d)
				return nil
			})
			return err
		})
		batch.Queue(l.q.EndedClaims, buckets, since).Query(func(rows pgx.Rows) error {
			var slot allocator.SlotID
			var hold []byte
			_, err := pgx.ForEachRow(rows, []any{&slot.Site, (*int64)(&slot.Start), &slot.Length, &hold}, func() error {
				owner, err := holdID(hold)
				changed.Ended = append(changed.Ended, allocator.EndedClaim{Slot: slot, Owner: owner})
				return err
			})
			return err
		})
		return tx.SendBatch(ctx, batch).Close()
	})
	changed.Now = changed.Now.UTC()
	return changed, err
}

// changeBuckets is into how many parts the indexes of what changed lately are cut; the migrations say the same.
const changeBuckets = 16
