package cockroachledger

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"muster/allocator"
)

// changeSet is what one transaction writes.
type changeSet struct {
	insert   []allocator.Booking
	siblings map[allocator.BookingKey][]byte // of inserted rows
	update   []allocator.Booking
	raise    []allocator.SiteID // each as often as it is raised
	days     []allocator.Day
	services []allocator.ServiceCode // created with their defaults where they are not there
	events   []allocator.Event
	actor    string // who creates the services
	now      time.Time
}

// write sends a change set in one round trip. Rows are ended before others take their places.
func (l *Ledger) write(ctx context.Context, tx pgx.Tx, set *changeSet) error {
	batch := new(pgx.Batch)
	l.queueUpdate(batch, set.update, set.now)
	l.queueInsert(batch, set)
	if len(set.raise) > 0 {
		sites, by := raises(set.raise)
		batch.Queue(l.q.RaiseGenerations, sites, by)
	}
	for _, code := range set.services {
		service := allocator.DefaultService(code)
		batch.Queue(l.q.CreateService, string(code), storable(set.actor), string(allocator.EncodeService(&service)))
	}
	l.queueDayWrites(batch, set)
	if len(set.events) > 0 {
		if err := l.queueJournal(batch, set); err != nil {
			return err
		}
	}
	if batch.Len() == 0 {
		return nil
	}
	return tx.SendBatch(ctx, batch).Close()
}

func (l *Ledger) queueInsert(batch *pgx.Batch, set *changeSet) {
	if len(set.insert) == 0 {
		return
	}
	c := newColumns(len(set.insert))
	var statuses, reasons []string
	var versions []int32
	var replaced []int64
	for i := range set.insert {
		b := &set.insert[i]
		c.add(b, set.siblings[b.Key])
		statuses, reasons = append(statuses, string(b.Status)), append(reasons, storable(b.Reason))
		versions, replaced = append(versions, int32(b.Version)), append(replaced, int64(b.ReplacedBy))
	}
	batch.Queue(l.q.InsertBookings, c.keys, c.holds, c.sites, c.starts, c.lengths, c.dates, c.places, c.services,
		c.programmes, c.doses, c.persons, c.onePerson, c.sealed, c.siblings, statuses, versions, reasons, replaced,
		set.insert[0].RecordedAt, set.now) // one transaction dates all its rows alike
}

func (l *Ledger) queueUpdate(batch *pgx.Batch, update []allocator.Booking, now time.Time) {
	if len(update) == 0 {
		return
	}
	var keys, replaced []int64
	var statuses, reasons []string
	var versions []int32
	for i := range update {
		b := &update[i]
		keys, replaced = append(keys, int64(b.Key)), append(replaced, int64(b.ReplacedBy))
		statuses, reasons = append(statuses, string(b.Status)), append(reasons, storable(b.Reason))
		versions = append(versions, int32(b.Version))
	}
	batch.Queue(l.q.UpdateBookings, keys, statuses, versions, reasons, replaced, now).
		Exec(func(tag pgconn.CommandTag) error {
			if int(tag.RowsAffected()) != len(keys) {
				return fmt.Errorf("%w: %d of %d bookings were as read", errLost, tag.RowsAffected(), len(keys))
			}
			return nil
		})
}

func (l *Ledger) queueDayWrites(batch *pgx.Batch, set *changeSet) {
	if len(set.days) == 0 {
		return
	}
	var sites, documents []string
	var dates []int32
	var revisions []int64
	for i := range set.days {
		d := &set.days[i]
		sites, dates = append(sites, string(d.Site)), append(dates, int32(d.Date))
		revisions, documents = append(revisions, d.Revision), append(documents, string(allocator.EncodeSessions(d.Sessions)))
	}
	batch.Queue(l.q.PutDays, sites, dates, revisions, documents, set.now)
}

// raises counts how often each site is raised.
func raises(sites []allocator.SiteID) (names []string, by []int64) {
	counts := make(map[allocator.SiteID]int64)
	for _, site := range sites {
		counts[site]++
	}
	for _, site := range slices.Sorted(maps.Keys(counts)) {
		names, by = append(names, string(site)), append(by, counts[site])
	}
	return names, by
}
