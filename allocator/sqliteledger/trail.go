package sqliteledger

import (
	"context"
	"strconv"
	"strings"

	"muster/allocator"
)

const trailColumns = `seq, event, happened_at, action, actor, request, site_id, booking_key, starts_at, length, date, service,
	status, version, reason, revision, digest, previous, hash, seal`

// AppendTrail compares and appends.
func (l *Ledger) AppendTrail(ctx context.Context, after int64, entries []allocator.TrailEntry) (appended bool, err error) {
	err = l.write(ctx, func(t *tx) error {
		var last int64
		if _, err := t.one("SELECT coalesce(max(seq), 0) FROM trail", nil, &last); err != nil || last != after {
			return err
		}
		rows := make([][]any, len(entries))
		for i := range entries {
			if rows[i], err = trailRow(&entries[i]); err != nil {
				return err
			}
		}
		appended = true
		return t.insert("INSERT INTO trail ("+trailColumns+") VALUES ", rows, "")
	})
	return appended && err == nil, err
}

func trailRow(entry *allocator.TrailEntry) ([]any, error) {
	e := &entry.Event
	cursor, err := strconv.ParseInt(e.Cursor, 10, 64)
	if err != nil {
		return nil, err
	}
	var seal any
	if entry.Seal != nil {
		seal = entry.Seal
	}
	return []any{
		entry.Seq, cursor, e.At.UnixMicro(), string(e.Type), e.Actor, e.Request, string(e.Site), int64(e.Booking), int64(e.Slot.Start),
		int64(e.Slot.Length), int64(e.Date), string(e.Service), string(e.Status), int64(e.Version), e.Reason, e.Revision,
		entry.Digest[:], entry.Previous[:], entry.Hash[:], seal,
	}, nil
}

// Trail asks by the conditions that are set.
func (l *Ledger) Trail(ctx context.Context, q allocator.TrailQuery) (entries []allocator.TrailEntry, err error) {
	conditions, args := []string{"seq > ?"}, []any{q.After}
	where := func(set bool, condition string, arg any) {
		if set {
			conditions, args = append(conditions, condition), append(args, arg)
		}
	}
	where(q.Site != "", "site_id = ?", string(q.Site))
	where(q.Booking != 0, "booking_key = ? AND booking_key <> 0", int64(q.Booking))
	where(q.Actor != "", "actor = ?", q.Actor)
	where(!q.From.IsZero(), "happened_at >= ?", q.From.UnixMicro())
	where(!q.To.IsZero(), "happened_at < ?", q.To.UnixMicro())
	return l.trail(ctx, strings.Join(conditions, " AND ")+" ORDER BY seq LIMIT ?", append(args, q.Limit))
}

// TrailEnd reads the last entry.
func (l *Ledger) TrailEnd(ctx context.Context) (end allocator.TrailEntry, err error) {
	entries, err := l.trail(ctx, "true ORDER BY seq DESC LIMIT 1", nil)
	if len(entries) > 0 {
		end = entries[0]
	}
	return end, err
}

func (l *Ledger) trail(ctx context.Context, where string, args []any) (entries []allocator.TrailEntry, err error) {
	err = l.read(ctx, func(t *tx) error {
		return t.each("SELECT "+trailColumns+" FROM trail WHERE "+where, args, func(scan func(into ...any) error) error {
			entry, err := scanTrail(scan)
			entries = append(entries, entry)
			return err
		})
	})
	return entries, err
}

func scanTrail(scan func(into ...any) error) (entry allocator.TrailEntry, err error) {
	var cursor, at int64
	var digest, previous, hash []byte
	e := &entry.Event
	err = scan(&entry.Seq, &cursor, &at, &e.Type, &e.Actor, &e.Request, &e.Site, &e.Booking, &e.Slot.Start, &e.Slot.Length, &e.Date,
		&e.Service, &e.Status, &e.Version, &e.Reason, &e.Revision, &digest, &previous, &hash, &entry.Seal)
	e.Cursor, e.At = strconv.FormatInt(cursor, 10), instant(at)
	if e.Booking != 0 {
		e.Slot.Site = e.Site
	}
	copy(entry.Digest[:], digest)
	copy(entry.Previous[:], previous)
	copy(entry.Hash[:], hash)
	return entry, err
}
