package cockroachledger

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/allocator"
)

// Record decides and writes bookings: see the package's description for the order of statements. Where some requests of
// the batch were recorded and the rest then failed, the error is ErrOutcomeUnknown: repeating the batch tells.
func (l *Ledger) Record(ctx context.Context, items []allocator.Recording) ([]allocator.RecordResult, error) {
	results := make([]allocator.RecordResult, len(items))
	if len(items) == 0 {
		return results, nil
	}
	pinned, rest := split(items)
	var at time.Time // of what is recorded already
	if len(pinned) > 0 {
		var left []int
		var err error
		if left, at, err = l.recordPinned(ctx, items, pinned, results); err != nil {
			return nil, err
		}
		rest = append(rest, left...)
		slices.Sort(rest)
	}
	if len(rest) == 0 {
		return results, nil
	}
	if err := l.recordGenerally(ctx, items, rest, at, results); err != nil {
		if !at.IsZero() {
			return nil, fmt.Errorf("%w: part of the batch is recorded: %w", allocator.ErrOutcomeUnknown, err)
		}
		return nil, err
	}
	return results, nil
}

type slotPlace struct {
	slot  allocator.SlotID
	place int32
}

// split tells the requests of a batch that one statement may record together from those that must be decided after them,
// one by one.
func split(items []allocator.Recording) (pinned, rest []int) {
	claims := 0
	for i := range items {
		claims += len(items[i].Claims)
	}
	keys := make(map[allocator.BookingKey]bool, claims)
	places := make(map[slotPlace]bool, claims)
	persons := make(map[allocator.PersonDose]bool, claims)
	var behind map[allocator.SiteID]bool // sites that an earlier request of the rest may change
	for i := range items {
		item := &items[i]
		alone := pinnedWholly(item)
		for j := range item.Claims {
			c := &item.Claims[j]
			at := slotPlace{c.Slot, c.Place}
			if keys[c.Key] || places[at] || behind[c.Slot.Site] {
				alone = false
			}
			keys[c.Key], places[at] = true, true
			if p, ok := c.PersonDose(); ok {
				if persons[p] {
					alone = false
				}
				persons[p] = true
			}
		}
		if alone {
			pinned = append(pinned, i)
			continue
		}
		rest = append(rest, i)
		if behind == nil {
			behind = make(map[allocator.SiteID]bool)
		}
		for j := range item.Claims {
			behind[item.Claims[j].Slot.Site] = true
		}
		if item.Replaces != 0 {
			keys[item.Replaces] = true
		}
	}
	return pinned, rest
}

// pinnedWholly says whether a request's pins cover exactly the sites of its claims, each once, so that facts about these
// sites' days are all that proves it.
func pinnedWholly(item *allocator.Recording) bool {
	if item.Replaces != 0 || len(item.Claims) == 0 {
		return false
	}
	for i := range item.Pins {
		site := item.Pins[i].Site
		if !item.Pins[i].Pinned || slices.ContainsFunc(item.Pins[:i], func(e allocator.Evidence) bool { return e.Site == site }) ||
			!slices.ContainsFunc(item.Claims, func(c allocator.Booking) bool { return c.Slot.Site == site }) {
			return false
		}
	}
	for i := range item.Claims {
		e := evidence(item, item.Claims[i].Slot.Site)
		if e == nil || e.Revisions[item.Claims[i].Date] <= 0 {
			return false
		}
	}
	return true
}

func evidence(item *allocator.Recording, site allocator.SiteID) *allocator.Evidence {
	for i := range item.Pins {
		if item.Pins[i].Site == site {
			return &item.Pins[i]
		}
	}
	return nil
}

// recordGenerally decides the chosen requests in order, in one transaction. Rows are dated at the given instant, unless it
// is zero: those of one batch have the same age, whichever way they took.
func (l *Ledger) recordGenerally(ctx context.Context, items []allocator.Recording, chosen []int, at time.Time, results []allocator.RecordResult) error {
	batch := make([]allocator.Recording, len(chosen))
	for i, n := range chosen {
		batch[i] = items[n]
	}
	var decided []allocator.RecordResult
	err := l.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		state, changes, err := l.recordState(ctx, tx, batch)
		if err != nil {
			return err
		}
		now := after(state.Now, changes.of(batch)...)
		if state.Now = now; !at.IsZero() {
			state.Now = at
		}
		var writes allocator.RecordWrites
		writes, decided = allocator.DecideRecords(state, batch)
		return l.write(ctx, tx, &changeSet{
			insert: writes.Insert, siblings: siblingsIn(batch), update: writes.Update, raise: writes.Raise, events: writes.Events,
			now: now,
		})
	})
	if err != nil {
		return err
	}
	for i, n := range chosen {
		results[n] = decided[i]
	}
	return nil
}

// siblingsIn maps the keys of grants with several claims to their siblings.
func siblingsIn(items []allocator.Recording) map[allocator.BookingKey][]byte {
	var all map[allocator.BookingKey][]byte
	for i := range items {
		for j := range items[i].Claims {
			if packed := siblingsOf(items[i].Claims, j); packed != nil {
				if all == nil {
					all = make(map[allocator.BookingKey][]byte)
				}
				all[items[i].Claims[j].Key] = packed
			}
		}
	}
	return all
}

// lastChanges is when rows last changed.
type lastChanges map[allocator.BookingKey]time.Time

// of lists the last changes of the rows that requests replace.
func (c lastChanges) of(items []allocator.Recording) (times []time.Time) {
	for i := range items {
		if at, ok := c[items[i].Replaces]; ok && items[i].Replaces != 0 {
			times = append(times, at)
		}
	}
	return times
}

// Void makes sure that requests will never be booked, unless they are already.
func (l *Ledger) Void(ctx context.Context, items []allocator.Voiding) ([]allocator.RecordResult, error) {
	results := make([]allocator.RecordResult, len(items))
	if len(items) == 0 {
		return results, nil
	}
	var keys []int64
	for i := range items {
		for j := range items[i].Claims {
			keys = append(keys, int64(items[i].Claims[j].Key))
		}
	}
	err := l.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		now, rows, _, err := l.rowsByKey(ctx, tx, keys)
		if err != nil {
			return err
		}
		set := &changeSet{now: now}
		for i := range items {
			inserts, result := allocator.DecideVoid(rows, &items[i], now)
			set.insert = append(set.insert, inserts...)
			results[i] = result
		}
		return l.write(ctx, tx, set)
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// rowsByKey reads rows and the ledger's clock.
func (l *Ledger) rowsByKey(ctx context.Context, tx pgx.Tx, keys []int64) (now time.Time, rows map[allocator.BookingKey]allocator.Booking, changes lastChanges, err error) {
	rows, changes = make(map[allocator.BookingKey]allocator.Booking, len(keys)), make(lastChanges)
	batch := new(pgx.Batch)
	batch.Queue(l.q.Now).QueryRow(func(row pgx.Row) error { return row.Scan(&now) })
	batch.Queue(l.q.RowsByKey, keys).Query(keep(rows, changes))
	err = tx.SendBatch(ctx, batch).Close()
	return now.UTC(), rows, changes, err
}

func keep(rows map[allocator.BookingKey]allocator.Booking, changes lastChanges) func(pgx.Rows) error {
	return func(found pgx.Rows) error {
		for found.Next() {
			b, changed, err := scanBooking(found)
			if err != nil {
				return err
			}
			rows[b.Key], changes[b.Key] = b, changed
		}
		return found.Err()
	}
}

// Transition changes a booking's status.
func (l *Ledger) Transition(ctx context.Context, t allocator.Transition) (result allocator.TransitionResult, err error) {
	t.Reason, t.Actor = storable(t.Reason), storable(t.Actor)
	err = l.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		var now, changed time.Time
		rows, changes := make(map[allocator.BookingKey]allocator.Booking), make(lastChanges)
		batch := new(pgx.Batch)
		batch.Queue(l.q.Now).QueryRow(func(row pgx.Row) error { return row.Scan(&now) })
		batch.Queue(l.q.RowForUpdate, int64(t.Key)).Query(keep(rows, changes))
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
		var found *allocator.Booking
		if row, ok := rows[t.Key]; ok {
			found, changed = &row, changes[t.Key]
		}
		now = after(now.UTC(), changed)
		next, event, decided := allocator.DecideTransition(found, &t, now)
		result = decided
		if next == nil {
			return nil
		}
		return l.write(ctx, tx, &changeSet{update: []allocator.Booking{*next}, events: []allocator.Event{event}, now: now})
	})
	return result, err
}
