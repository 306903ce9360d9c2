package cockroachledger

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/allocator"
)

// publishTogether is how many days change in one transaction. Each change is decided on its own; together they save
// commits. Two changes of one day never share a transaction.
const publishTogether = 64

// Publish decides and writes changes of days. Where some were written and a later transaction failed, the error is
// ErrOutcomeUnknown: repeating the changes tells.
func (l *Ledger) Publish(ctx context.Context, changes []allocator.DayChange) ([]allocator.PublishResult, error) {
	results := make([]allocator.PublishResult, 0, len(changes))
	for len(changes) > 0 {
		n := together(changes)
		part, err := l.publish(ctx, changes[:n])
		if err != nil {
			if len(results) > 0 {
				err = fmt.Errorf("%w: %d changes are made: %w", allocator.ErrOutcomeUnknown, len(results), err)
			}
			return nil, err
		}
		results = append(results, part...)
		changes = changes[n:]
	}
	return results, nil
}

// together is how many of the first changes may share a transaction.
func together(changes []allocator.DayChange) int {
	seen := make(map[allocator.DayID]bool)
	for i := range changes {
		day := allocator.DayID{Site: changes[i].Day.Site, Date: changes[i].Day.Date}
		if i == publishTogether || seen[day] {
			return i
		}
		seen[day] = true
	}
	return len(changes)
}

// publishState is what publish reads.
type publishState struct {
	now      time.Time
	days     map[allocator.DayID]allocator.Day
	sites    map[allocator.SiteID]allocator.Site
	live     map[allocator.DayID][]allocator.Booking
	services map[allocator.ServiceCode]bool
	plans    map[allocator.SiteID]int64 // versions, where a change names one
	changed  []time.Time                // of the days and their live rows
}

func (l *Ledger) publish(ctx context.Context, changes []allocator.DayChange) (results []allocator.PublishResult, err error) {
	decide := func(ctx context.Context, tx pgx.Tx) error {
		st, err := l.readForPublish(ctx, tx, changes)
		if err != nil {
			return err
		}
		set := &changeSet{now: after(st.now, st.changed...)}
		results = make([]allocator.PublishResult, len(changes))
		for i := range changes {
			results[i] = st.decide(&changes[i], set)
		}
		return l.write(ctx, tx, set)
	}
	err = l.transact(ctx, decide)
	return results, err
}

func (st *publishState) decide(change *allocator.DayChange, set *changeSet) allocator.PublishResult {
	id := allocator.DayID{Site: change.Day.Site, Date: change.Day.Date}
	current, ok := st.days[id]
	if !ok {
		current = allocator.Day{Site: id.Site, Date: id.Date}
	}
	var unknown []allocator.ServiceCode
	for _, s := range change.Day.Sessions {
		for _, code := range s.Services {
			if !st.services[code] && !slices.Contains(unknown, code) {
				unknown = append(unknown, code)
			}
		}
	}
	slices.Sort(unknown)
	site, known := st.sites[id.Site]
	writes, result := allocator.DecidePublish(&allocator.PublishState{
		SiteKnown: known, Suspended: site.Suspended, Plan: st.plans[id.Site], Current: current, Live: st.live[id], Unknown: unknown, Now: set.now,
	}, change)
	if writes == nil {
		return result
	}
	set.days = append(set.days, writes.Day)
	set.update = append(set.update, writes.Update...)
	for _, e := range writes.Events {
		e.Actor = storable(e.Actor)
		set.events = append(set.events, e)
	}
	set.services, set.actor = append(set.services, unknown...), change.Actor
	for _, code := range unknown {
		st.services[code] = true
	}
	return result
}

// readForPublish reads what changes of days are decided on, in one round trip. Days are locked, so that on CockroachDB
// the confirms that compare their revisions wait for the outcome.
func (l *Ledger) readForPublish(ctx context.Context, tx pgx.Tx, changes []allocator.DayChange) (*publishState, error) {
	st := &publishState{
		days: make(map[allocator.DayID]allocator.Day), sites: make(map[allocator.SiteID]allocator.Site),
		live: make(map[allocator.DayID][]allocator.Booking), services: make(map[allocator.ServiceCode]bool),
		plans: make(map[allocator.SiteID]int64),
	}
	ids := make([]allocator.DayID, len(changes))
	var codes []string
	var firsts, lasts []int64
	for i := range changes {
		ids[i] = allocator.DayID{Site: changes[i].Day.Site, Date: changes[i].Day.Date}
		first, last := span(ids[i].Date)
		firsts, lasts = append(firsts, first), append(lasts, last)
		for _, s := range changes[i].Day.Sessions {
			codes = append(codes, convertText(s.Services)...)
		}
	}
	slices.Sort(codes)
	codes = slices.Compact(codes)
	sites, dates := dayArrays(ids)
	batch := new(pgx.Batch)
	batch.Queue(l.q.Now).QueryRow(func(row pgx.Row) error { return row.Scan(&st.now) })
	batch.Queue(l.q.DaysForUpdate, sites, dates).Query(st.keepDays)
	batch.Queue(l.q.SiteDetails, sites).Query(st.keepSites)
	batch.Queue(l.q.KnownServices, codes).Query(func(rows pgx.Rows) error {
		var code string
		_, err := pgx.ForEachRow(rows, []any{&code}, func() error {
			st.services[allocator.ServiceCode(code)] = true
			return nil
		})
		return err
	})
	if slices.ContainsFunc(changes, func(c allocator.DayChange) bool { return c.Plan != 0 }) {
		batch.Queue(l.q.PlanVersions, sites).Query(st.keepPlans)
	}
	batch.Queue(l.q.LiveByDay, sites, dates, firsts, lasts).Query(st.keepLive)
	err := tx.SendBatch(ctx, batch).Close()
	st.now = st.now.UTC()
	return st, err
}

func (st *publishState) keepSites(rows pgx.Rows) error {
	var id, details string
	_, err := pgx.ForEachRow(rows, []any{&id, &details}, func() error {
		site, err := allocator.DecodeSite([]byte(details))
		st.sites[allocator.SiteID(id)] = site
		return err
	})
	return err
}

func (st *publishState) keepDays(rows pgx.Rows) error {
	for rows.Next() {
		var changed time.Time
		day, err := scanDay(rows, &changed)
		if err != nil {
			return err
		}
		st.days[allocator.DayID{Site: day.Site, Date: day.Date}] = day
		st.changed = append(st.changed, changed.UTC())
	}
	return rows.Err()
}

func (st *publishState) keepPlans(rows pgx.Rows) error {
	var site string
	var version int64
	_, err := pgx.ForEachRow(rows, []any{&site, &version}, func() error {
		st.plans[allocator.SiteID(site)] = version
		return nil
	})
	return err
}

func (st *publishState) keepLive(rows pgx.Rows) error {
	for rows.Next() {
		b, changed, err := scanBooking(rows)
		if err != nil {
			return err
		}
		id := allocator.DayID{Site: b.Slot.Site, Date: b.Date}
		st.live[id] = append(st.live[id], b)
		st.changed = append(st.changed, changed)
	}
	return rows.Err()
}

// span is the minutes in which a slot of a civil date can start, whatever the time zone: offsets reach from −12 to +14
// hours, and a start may follow the clock's change.
func span(date allocator.Date) (first, last int64) {
	return int64(date)*24*60 - 15*60, (int64(date)+1)*24*60 + 13*60
}
