package cockroachledger

import (
	"context"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/allocator"
)

// AppendTrail compares and appends.
func (l *Ledger) AppendTrail(ctx context.Context, after int64, entries []allocator.TrailEntry) (appended bool, err error) {
	args, err := trailArrays(entries)
	if err != nil {
		return false, err
	}
	err = l.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, l.q.AppendTrail, append(args, after)...)
		appended = int(tag.RowsAffected()) == len(entries)
		return err
	})
	return appended && err == nil, err
}

// trailArrays are entries as the arrays that unnest takes.
func trailArrays(entries []allocator.TrailEntry) ([]any, error) {
	var seqs, cursors, bookings, starts, revisions []int64
	var times []time.Time
	var actions, actors, requests, sites, services, statuses, reasons []string
	var lengths []int16
	var dates, versions []int32
	var digests, previous, hashes, seals [][]byte
	for i := range entries {
		t, e := &entries[i], &entries[i].Event
		cursor, err := strconv.ParseInt(e.Cursor, 10, 64)
		if err != nil {
			return nil, err
		}
		seqs, cursors, times = append(seqs, t.Seq), append(cursors, cursor), append(times, e.At)
		actions, actors, requests = append(actions, string(e.Type)), append(actors, e.Actor), append(requests, e.Request)
		sites, bookings = append(sites, string(e.Site)), append(bookings, int64(e.Booking))
		starts, lengths, dates = append(starts, int64(e.Slot.Start)), append(lengths, e.Slot.Length), append(dates, int32(e.Date))
		services, statuses = append(services, string(e.Service)), append(statuses, string(e.Status))
		versions, reasons, revisions = append(versions, int32(e.Version)), append(reasons, e.Reason), append(revisions, e.Revision)
		digests, previous, hashes = append(digests, t.Digest[:]), append(previous, t.Previous[:]), append(hashes, t.Hash[:])
		seals = append(seals, t.Seal)
	}
	return []any{
		seqs, cursors, times, actions, actors, requests, sites, bookings, starts, lengths, dates, services, statuses, versions,
		reasons, revisions, digests, previous, hashes, seals,
	}, nil
}

// Trail asks by the condition that leads to the fewest entries; the others sort out what it finds.
func (l *Ledger) Trail(ctx context.Context, q allocator.TrailQuery) ([]allocator.TrailEntry, error) {
	query := l.q.Trail
	switch {
	case q.Booking != 0:
		query = l.q.TrailOfBooking
	case q.Site != "":
		query = l.q.TrailOfSite
	case q.Actor != "":
		query = l.q.TrailOfActor
	}
	if q.To.IsZero() {
		q.To = time.Unix(math.MaxInt32*100, 0) // long after every event
	}
	return l.trail(ctx, query, q.After, q.From, q.To, string(q.Site), int64(q.Booking), q.Actor, int64(q.Limit))
}

// TrailEnd reads the last entry.
func (l *Ledger) TrailEnd(ctx context.Context) (end allocator.TrailEntry, err error) {
	entries, err := l.trail(ctx, l.q.TrailEnd)
	if len(entries) > 0 {
		end = entries[0]
	}
	return end, err
}

func (l *Ledger) trail(ctx context.Context, query string, args ...any) (entries []allocator.TrailEntry, err error) {
	err = l.read(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		entries, err = pgx.CollectRows(rows, scanTrail)
		return err
	})
	return entries, err
}

func scanTrail(row pgx.CollectableRow) (entry allocator.TrailEntry, err error) {
	var cursor int64
	var date, version int32
	var action, status string
	var digest, previous, hash []byte
	e := &entry.Event
	err = row.Scan(&entry.Seq, &cursor, &e.At, &action, &e.Actor, &e.Request, &e.Site, &e.Booking, &e.Slot.Start, &e.Slot.Length, &date,
		&e.Service, &status, &version, &e.Reason, &e.Revision, &digest, &previous, &hash, &entry.Seal)
	e.Cursor, e.At, e.Type, e.Status = strconv.FormatInt(cursor, 10), e.At.UTC(), allocator.EventType(action), allocator.Status(status)
	e.Date, e.Version = allocator.Date(date), int(version)
	if e.Booking != 0 {
		e.Slot.Site = e.Site
	}
	if copy(entry.Digest[:], digest)+copy(entry.Previous[:], previous)+copy(entry.Hash[:], hash) != 3*len(entry.Hash) {
		err = errors.Join(err, errors.New("an entry of the audit trail has a hash of another length"))
	}
	return entry, err
}
