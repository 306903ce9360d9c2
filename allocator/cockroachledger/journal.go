package cockroachledger

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/allocator"
)

const (
	// journalBuckets spreads the rows that wait for a number over so many parts of their index.
	journalBuckets = 16
	// sequenceGroups is how many rows get numbers in one transaction.
	sequenceGroups = 256
	// maxGroupEvents bounds the events of one journal row, and so what one page of events may read.
	maxGroupEvents = 16_384
)

// newJournalID draws a journal row's key and its bucket.
func newJournalID() (id [16]byte, bucket int64) {
	_, _ = rand.Read(id[:]) // never fails
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id, int64(id[15]) % journalBuckets
}

// entry is one transition in a journal row's detail: what the booking's row does not keep. Its short names are stored.
type entry struct {
	Type    allocator.EventType `json:"t"`
	Actor   string              `json:"a,omitempty"`
	Status  allocator.Status    `json:"s,omitempty"`
	Version int                 `json:"v,omitempty"`
	Reason  string              `json:"r,omitempty"`
	// Of days, sites and services.
	Site     allocator.SiteID      `json:"site,omitempty"`
	Date     allocator.Date        `json:"date,omitempty"`
	Revision int64                 `json:"rev,omitempty"`
	Service  allocator.ServiceCode `json:"service,omitempty"`
}

// queueJournal writes a set's events as one journal row, or several where they are more than one may hold.
func (l *Ledger) queueJournal(batch *pgx.Batch, set *changeSet) error {
	for events := range slices.Chunk(set.events, maxGroupEvents) {
		keys, entries := make([]int64, len(events)), make([]entry, len(events))
		for i := range events {
			e := &events[i]
			keys[i] = int64(e.Booking)
			entries[i] = entry{Type: e.Type, Actor: e.Actor, Status: e.Status, Version: e.Version, Reason: e.Reason}
			if e.Booking == 0 {
				entries[i].Site, entries[i].Date, entries[i].Revision, entries[i].Service = e.Site, e.Date, e.Revision, e.Service
			}
		}
		detail, err := json.Marshal(entries)
		if err != nil {
			return err
		}
		id, bucket := newJournalID()
		batch.Queue(l.q.InsertJournal, id, bucket, int64(len(events)), set.now, keys, string(detail))
	}
	return nil
}

// Events lists the outbox in order, after a cursor, which is the number of an event. Events that have no number yet get
// theirs here, where the numbered ones do not fill the page.
func (l *Ledger) Events(ctx context.Context, after string, limit int) (events []allocator.Event, next string, err error) {
	var from int64
	if after != "" {
		if from, err = strconv.ParseInt(after, 10, 64); err != nil || from < 0 {
			return nil, "", allocator.Refuse(allocator.CodeInvalid, "not a cursor of the event feed")
		}
	}
	if limit <= 0 {
		return nil, after, nil
	}
	events, err = l.page(ctx, from, limit)
	for err == nil && len(events) < limit {
		var numbered int
		if numbered, err = l.sequence(ctx); err != nil || numbered == 0 {
			break
		}
		// Whoever numbers begins behind the last number, so nothing comes between what was read already.
		if n := len(events); n > 0 {
			if from, err = strconv.ParseInt(events[n-1].Cursor, 10, 64); err != nil {
				break
			}
		}
		var more []allocator.Event
		more, err = l.page(ctx, from, limit-len(events))
		events = append(events, more...)
	}
	if err != nil {
		return nil, "", err
	}
	if len(events) == 0 {
		return nil, after, nil
	}
	return events, events[len(events)-1].Cursor, nil
}

// sequence gives numbers to the oldest journal rows that have none, and says to how many. Readers that meet here collide
// on the last number or its unique index, and one of them runs again.
func (l *Ledger) sequence(ctx context.Context) (numbered int, err error) {
	buckets := make([]int64, journalBuckets)
	for i := range buckets {
		buckets[i] = int64(i)
	}
	err = l.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		var ids [][16]byte
		var seqs []int64
		rows, err := tx.Query(ctx, l.q.Unsequenced, buckets, int64(sequenceGroups))
		if err != nil {
			return err
		}
		var id [16]byte
		var count int64
		_, err = pgx.ForEachRow(rows, []any{&id, &count}, func() error {
			ids, seqs = append(ids, id), append(seqs, count)
			return nil
		})
		numbered = len(ids)
		if err != nil || numbered == 0 {
			return err
		}
		var last int64
		if err := tx.QueryRow(ctx, l.q.LastSeq).Scan(&last); err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		for i := range seqs {
			last += seqs[i]
			seqs[i] = last
		}
		tag, err := tx.Exec(ctx, l.q.Sequence, ids, seqs)
		if err == nil && int(tag.RowsAffected()) != numbered {
			return errLost
		}
		return err
	})
	if errors.Is(err, allocator.ErrOutcomeUnknown) {
		return 0, readOnly(err) // numbers given unseen do no harm: the next call finds them
	}
	return numbered, err
}

// group is one journal row.
type group struct {
	seq     int64 // number of its last event
	events  int64
	at      time.Time
	keys    []int64
	actors  []string
	entries []entry
}

// page reads numbered events after a number.
func (l *Ledger) page(ctx context.Context, from int64, limit int) (events []allocator.Event, err error) {
	err = l.snapshot(ctx, func(ctx context.Context, tx pgx.Tx) error {
		events = nil
		rows, err := tx.Query(ctx, l.q.JournalAfter, from, from+int64(limit)+maxGroupEvents, int64(limit))
		if err != nil {
			return err
		}
		groups, err := collectGroups(rows, from+int64(limit))
		if err != nil {
			return err
		}
		var keys []int64
		for _, g := range groups {
			keys = append(keys, g.keys...)
		}
		slices.Sort(keys)
		keys = slices.Compact(keys)
		found := make(map[allocator.BookingKey]allocator.Booking, len(keys))
		batch := new(pgx.Batch)
		batch.Queue(l.q.RowsByKey, keys).Query(keep(found, make(lastChanges)))
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
		for _, g := range groups {
			events = g.expand(events, found, from, limit)
		}
		return nil
	})
	return events, err
}

// collectGroups reads rows up to the one that has the last wanted number.
func collectGroups(rows pgx.Rows, until int64) (groups []group, err error) {
	defer rows.Close()
	for rows.Next() {
		var g group
		var detail *string
		if err := rows.Scan(&g.seq, &g.events, &g.at, &g.keys, &g.actors, &detail); err != nil {
			return nil, err
		}
		if detail != nil {
			if err := json.Unmarshal([]byte(*detail), &g.entries); err != nil {
				return nil, fmt.Errorf("journal row before event %d: %w", g.seq, err)
			}
		}
		groups = append(groups, g)
		if g.seq >= until {
			break
		}
	}
	rows.Close()
	return groups, rows.Err()
}

// expand appends a group's events after a number until there are limit.
func (g *group) expand(events []allocator.Event, rows map[allocator.BookingKey]allocator.Booking, from int64, limit int) []allocator.Event {
	for i, key := range g.keys {
		number := g.seq - g.events + int64(i) + 1
		if number <= from {
			continue
		}
		if len(events) == limit {
			break
		}
		e := entry{Type: allocator.EventBooked, Status: allocator.StatusBooked, Version: 1}
		if i < len(g.actors) {
			e.Actor = g.actors[i]
		}
		if i < len(g.entries) {
			e = g.entries[i]
		}
		event := allocator.Event{Type: e.Type, Site: e.Site, Date: e.Date, Revision: e.Revision, Service: e.Service}
		if key != 0 {
			b := rows[allocator.BookingKey(key)]
			b.Key, b.Status, b.Version, b.Reason = allocator.BookingKey(key), e.Status, e.Version, e.Reason
			event = allocator.EventOf(e.Type, &b, "", time.Time{})
		}
		event.Cursor, event.At = strconv.FormatInt(number, 10), g.at.UTC()
		event.Actor, event.Request = allocator.ReadAuthor(e.Actor)
		events = append(events, event)
	}
	return events
}
