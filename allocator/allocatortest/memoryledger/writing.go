package memoryledger

import (
	"context"
	"slices"
	"time"

	"muster/allocator"
)

// Record reads what the batch needs, decides, and writes.
func (l *Ledger) Record(ctx context.Context, items []allocator.Recording) ([]allocator.RecordResult, error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.leave()
	st := l.state(allocator.NeedsOf(items))
	writes, results := allocator.DecideRecords(st, items)
	for _, b := range writes.Update {
		l.update(b, st.Now)
	}
	for _, b := range writes.Insert {
		l.insert(b)
	}
	for _, id := range writes.Raise {
		site := l.sites[id]
		site.Generation++
		l.sites[id] = site
	}
	l.emit(writes.Events...)
	return results, nil
}

// state copies what a batch touches.
func (l *Ledger) state(needs allocator.RecordNeeds) *allocator.RecordState {
	st := &allocator.RecordState{
		Rows:    l.under(needs.Keys),
		Persons: make(map[allocator.PersonDose]allocator.BookingKey),
		Slots:   make(map[allocator.SlotID][]allocator.Booking),
		Days:    make(map[allocator.DayID]allocator.Day),
		Sites:   make(map[allocator.SiteID]allocator.SiteFacts),
		Epochs:  make(map[int]int64),
		Now:     l.instant(),
	}
	for _, p := range needs.Persons {
		if key, ok := l.persons[p]; ok {
			st.Persons[p] = key
		}
	}
	for _, s := range needs.Slots {
		st.Slots[s] = l.rowsOf(s.Site, func(r *row) bool { return r.Status.Live() && r.Slot == s })
	}
	for _, d := range needs.Days {
		st.Days[d] = l.day(d)
	}
	for _, d := range st.LimitedDays() {
		for _, b := range l.rowsOf(d.Site, func(r *row) bool { return r.Status.Live() && r.Date == d.Date }) {
			if !slices.Contains(needs.Slots, b.Slot) {
				st.Slots[b.Slot] = append(st.Slots[b.Slot], b)
			}
		}
	}
	for _, id := range needs.Sites {
		if site, ok := l.sites[id]; ok {
			st.Sites[id] = allocator.SiteFacts{Generation: site.Generation, Zone: l.zones[site.TimeZone]}
		}
	}
	for _, shard := range needs.Shards {
		st.Epochs[shard] = l.epoch(shard).Epoch
	}
	return st
}

// under copies the rows of some keys.
func (l *Ledger) under(keys []allocator.BookingKey) map[allocator.BookingKey]allocator.Booking {
	rows := make(map[allocator.BookingKey]allocator.Booking, len(keys))
	for _, key := range keys {
		if r, ok := l.rows[key]; ok {
			rows[key] = r.Booking
		}
	}
	return rows
}

// insert adds a row as it came to be, at RecordedAt.
func (l *Ledger) insert(b allocator.Booking) {
	b.Sealed = slices.Clone(b.Sealed)
	r := &row{Booking: b, since: b.RecordedAt}
	l.rows[b.Key] = r
	l.bySite[b.Slot.Site] = append(l.bySite[b.Slot.Site], r)
	if p, ok := b.PersonDose(); ok && b.Status.Live() {
		l.persons[p] = b.Key
	}
}

// update writes a row's new status, reached at the given time.
func (l *Ledger) update(b allocator.Booking, at time.Time) {
	r := l.rows[b.Key]
	if p, ok := r.PersonDose(); ok && r.Status.Live() && !b.Status.Live() {
		delete(l.persons, p)
	}
	r.Status, r.Version, r.Reason, r.ReplacedBy, r.since = b.Status, b.Version, b.Reason, b.ReplacedBy, at
}

// Void decides item by item.
func (l *Ledger) Void(ctx context.Context, items []allocator.Voiding) ([]allocator.RecordResult, error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.leave()
	now := l.instant()
	results := make([]allocator.RecordResult, len(items))
	for i := range items {
		var keys []allocator.BookingKey
		for _, c := range items[i].Claims {
			keys = append(keys, c.Key)
		}
		var inserts []allocator.Booking
		inserts, results[i] = allocator.DecideVoid(l.under(keys), &items[i], now)
		for _, b := range inserts {
			l.insert(b)
		}
	}
	return results, nil
}

// Transition changes one status.
func (l *Ledger) Transition(ctx context.Context, t allocator.Transition) (allocator.TransitionResult, error) {
	if err := l.enter(ctx); err != nil {
		return allocator.TransitionResult{}, err
	}
	defer l.leave()
	var present *allocator.Booking
	if r, ok := l.rows[t.Key]; ok {
		b := r.Booking
		present = &b
	}
	now := l.instant()
	changed, event, result := allocator.DecideTransition(present, &t, now)
	if changed != nil {
		l.update(*changed, now)
		l.emit(event)
	}
	return result, nil
}

// Publish decides change by change.
func (l *Ledger) Publish(ctx context.Context, changes []allocator.DayChange) ([]allocator.PublishResult, error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.leave()
	results := make([]allocator.PublishResult, len(changes))
	for i := range changes {
		results[i] = l.publish(&changes[i])
	}
	return results, nil
}

func (l *Ledger) publish(change *allocator.DayChange) allocator.PublishResult {
	id := allocator.DayID{Site: change.Day.Site, Date: change.Day.Date}
	site, known := l.sites[id.Site]
	st := &allocator.PublishState{
		SiteKnown: known,
		Suspended: site.Suspended,
		Plan:      l.plans[id.Site].version,
		Current:   l.day(id),
		Live:      l.rowsOf(id.Site, func(r *row) bool { return r.Status.Live() && r.Date == id.Date }),
		Unknown:   l.unknown(change.Day.Sessions),
		Now:       l.instant(),
	}
	writes, result := allocator.DecidePublish(st, change)
	if writes == nil {
		return result
	}
	for _, code := range st.Unknown {
		service := allocator.DefaultService(code)
		service.Version = 1
		l.services[code] = service
	}
	for _, b := range writes.Update {
		l.update(b, st.Now)
	}
	l.emit(writes.Events...)
	l.days[id], l.changed[id] = stored(writes.Day), st.Now
	return result
}

// Suspend changes a site and its days.
func (l *Ledger) Suspend(ctx context.Context, change allocator.SuspensionChange) (allocator.SuspensionResult, error) {
	if err := l.enter(ctx); err != nil {
		return allocator.SuspensionResult{}, err
	}
	defer l.leave()
	site, ok := l.sites[change.Site]
	if !ok {
		return allocator.SuspensionResult{}, nil
	}
	now := l.instant()
	writes, result := allocator.DecideSuspension(site, l.daysOf(change.Site, change.From), &change, now)
	if writes == nil {
		return result, nil
	}
	result.Site.Version++
	l.sites[site.ID] = result.Site
	for _, day := range writes.Days {
		id := allocator.DayID{Site: day.Site, Date: day.Date}
		l.days[id], l.changed[id] = stored(day), now
	}
	l.emit(writes.Events...)
	return result, nil
}

// unknown lists the services of sessions that do not exist, by code.
func (l *Ledger) unknown(sessions []allocator.Session) (codes []allocator.ServiceCode) {
	for _, s := range sessions {
		for _, code := range s.Services {
			if _, ok := l.services[code]; !ok {
				codes = append(codes, code)
			}
		}
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// stored gives a day its own copy of its sessions, as a ledger on disk would read it back.
func stored(day allocator.Day) allocator.Day {
	sessions, err := allocator.DecodeSessions(allocator.EncodeSessions(day.Sessions))
	if err != nil {
		panic(err) // what was encoded decodes
	}
	day.Sessions = sessions
	return day
}
