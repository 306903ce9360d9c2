package sqliteledger

import (
	"context"
	"slices"

	"muster/allocator"
)

// Void decides item by item, on what earlier ones left.
func (l *Ledger) Void(ctx context.Context, items []allocator.Voiding) ([]allocator.RecordResult, error) {
	if len(items) == 0 {
		return nil, nil
	}
	results := make([]allocator.RecordResult, len(items))
	err := l.write(ctx, func(t *tx) error {
		var keys []allocator.BookingKey
		for i := range items {
			for j := range items[i].Claims {
				keys = append(keys, items[i].Claims[j].Key)
			}
		}
		rows, err := t.rowsUnder(keys)
		if err != nil {
			return err
		}
		var inserts []allocator.Booking
		for i := range items {
			var more []allocator.Booking
			more, results[i] = allocator.DecideVoid(rows, &items[i], instant(t.now))
			inserts = append(inserts, more...)
		}
		return t.append(inserts, nil)
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// Transition changes one status.
func (l *Ledger) Transition(ctx context.Context, change allocator.Transition) (result allocator.TransitionResult, err error) {
	err = l.write(ctx, func(t *tx) error {
		rows, err := t.rowsUnder([]allocator.BookingKey{change.Key})
		if err != nil {
			return err
		}
		var present *allocator.Booking
		if b, ok := rows[change.Key]; ok {
			present = &b
		}
		changed, event, r := allocator.DecideTransition(present, &change, instant(t.now))
		result = r
		if changed == nil {
			return nil
		}
		if err := t.update([]allocator.Booking{*changed}); err != nil {
			return err
		}
		return t.emit([]allocator.Event{event})
	})
	if err != nil {
		return allocator.TransitionResult{}, err
	}
	return result, nil
}

// Publish decides and writes all changes in one transaction, each on what the earlier ones left: so either all that were
// decided happened, or nothing did.
func (l *Ledger) Publish(ctx context.Context, changes []allocator.DayChange) ([]allocator.PublishResult, error) {
	if len(changes) == 0 {
		return nil, nil
	}
	results := make([]allocator.PublishResult, len(changes))
	err := l.write(ctx, func(t *tx) error {
		p, err := t.publishing(changes)
		if err != nil {
			return err
		}
		for i := range changes {
			if results[i], err = p.decide(&changes[i]); err != nil {
				return err
			}
		}
		return p.write()
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// publishing is a batch of changes under way: what the ledger knows of their days, and what is to be written.
type publishing struct {
	t        *tx
	now      int64
	sites    map[allocator.SiteID]allocator.Site
	services map[allocator.ServiceCode]bool
	plans    map[allocator.SiteID]int64 // versions, where a change names one
	days     map[allocator.DayID]allocator.Day
	live     map[allocator.DayID][]allocator.Booking
	dated    map[allocator.DayID]int64 // days to write, and when they changed
	order    []allocator.DayID         // of the days to write
	events   []allocator.Event
}

// publishing reads what a batch of changes needs.
func (t *tx) publishing(changes []allocator.DayChange) (p *publishing, err error) {
	p = &publishing{
		t: t, now: t.now, sites: make(map[allocator.SiteID]allocator.Site), services: make(map[allocator.ServiceCode]bool),
		plans: make(map[allocator.SiteID]int64), live: make(map[allocator.DayID][]allocator.Booking), dated: make(map[allocator.DayID]int64),
	}
	ids := make([]allocator.DayID, len(changes))
	var sites, services list
	seen := make(map[string]bool)
	first := func(name string) bool {
		again := seen[name]
		seen[name] = true
		return !again
	}
	for i := range changes {
		day := &changes[i].Day
		ids[i] = allocator.DayID{Site: day.Site, Date: day.Date}
		if changes[i].Plan != 0 && p.plans[day.Site] == 0 {
			r, err := t.planRow(day.Site)
			if err != nil {
				return nil, err
			}
			p.plans[day.Site] = r.version
		}
		if first("site " + string(day.Site)) {
			sites.string(string(day.Site))
		}
		for _, s := range day.Sessions {
			for _, code := range s.Services {
				if first("service " + string(code)) {
					services.string(string(code))
				}
			}
		}
	}
	err = t.each("SELECT "+siteColumns+" FROM sites s WHERE s.site_id IN (SELECT value FROM json_each(?))", sites.argument(),
		func(scan func(into ...any) error) error {
			site, err := scanSite(scan)
			p.sites[site.ID] = site
			return err
		})
	if err != nil {
		return nil, err
	}
	err = t.each("SELECT service FROM services WHERE service IN (SELECT value FROM json_each(?))", services.argument(),
		func(scan func(into ...any) error) error {
			var code allocator.ServiceCode
			err := scan(&code)
			p.services[code] = true
			return err
		})
	if err != nil {
		return nil, err
	}
	if p.days, err = t.days(ids); err != nil {
		return nil, err
	}
	return p, t.readLive(p, ids)
}

// readLive reads the live rows of days, by way of the index of places: see the CHECK on starts_at.
func (t *tx) readLive(p *publishing, ids []allocator.DayID) error {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, compareDays)
	return t.each("SELECT "+bookingColumns+` FROM json_each(?) j CROSS JOIN bookings b
		ON b.site_id = j.value ->> 0 AND b.starts_at BETWEEN (j.value ->> 1) * 1440 - 900 AND (j.value ->> 1) * 1440 + 2340
			AND b.date = j.value ->> 1 AND b.ended_at IS NULL`,
		dayList(slices.Compact(ids)), func(scan func(into ...any) error) error {
			b, err := scanBooking(scan)
			id := allocator.DayID{Site: b.Slot.Site, Date: b.Date}
			p.live[id] = append(p.live[id], b)
			return err
		})
}

// decide decides one change, dated later than the one before.
func (p *publishing) decide(change *allocator.DayChange) (allocator.PublishResult, error) {
	id := allocator.DayID{Site: change.Day.Site, Date: change.Day.Date}
	current, ok := p.days[id]
	if !ok {
		current = allocator.Day{Site: id.Site, Date: id.Date}
	}
	site, known := p.sites[id.Site]
	st := &allocator.PublishState{
		SiteKnown: known, Suspended: site.Suspended, Plan: p.plans[id.Site], Current: current, Live: p.live[id], Unknown: p.unknown(change.Day.Sessions),
		Now: instant(p.now),
	}
	writes, result := allocator.DecidePublish(st, change)
	if writes == nil {
		return result, nil
	}
	for _, code := range st.Unknown {
		if _, err := p.t.putService(allocator.DefaultService(code), change.Actor); err != nil {
			return result, err
		}
		p.services[code] = true
	}
	if err := p.t.update(writes.Update); err != nil {
		return result, err
	}
	ended := make(map[allocator.BookingKey]bool)
	for _, b := range writes.Update {
		ended[b.Key] = true
	}
	p.live[id] = slices.DeleteFunc(slices.Clone(p.live[id]), func(b allocator.Booking) bool { return ended[b.Key] })
	p.put(writes.Day)
	p.events = append(p.events, writes.Events...)
	p.now = p.t.l.clock.next()
	return result, nil
}

// put lets a day be written as it is now.
func (p *publishing) put(day allocator.Day) {
	id := allocator.DayID{Site: day.Site, Date: day.Date}
	if _, again := p.dated[id]; !again {
		p.order = append(p.order, id)
	}
	p.days[id], p.dated[id] = day, p.now
}

// unknown lists the services of sessions that do not exist, by code.
func (p *publishing) unknown(sessions []allocator.Session) (codes []allocator.ServiceCode) {
	for _, s := range sessions {
		for _, code := range s.Services {
			if !p.services[code] {
				codes = append(codes, code)
			}
		}
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// write writes the days as they are in the end, and every event on the way.
func (p *publishing) write() error {
	rows := make([][]any, len(p.order))
	for i, id := range p.order {
		day := p.days[id]
		p.t.touchDay(id)
		rows[i] = []any{string(id.Site), int64(id.Date), day.Revision, string(allocator.EncodeSessions(day.Sessions)), p.dated[id]}
	}
	err := p.t.insert("INSERT INTO days (site_id, date, revision, sessions, changed_at) VALUES ", rows, `
		ON CONFLICT DO UPDATE SET revision = excluded.revision, sessions = excluded.sessions, changed_at = excluded.changed_at`)
	if err != nil {
		return err
	}
	return p.t.emit(p.events)
}
