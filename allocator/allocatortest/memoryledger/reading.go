package memoryledger

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"muster/allocator"
)

// rowsOf copies rows of a site that are wanted, in order of their insertion.
func (l *Ledger) rowsOf(site allocator.SiteID, wanted func(r *row) bool) (rows []allocator.Booking) {
	for _, r := range l.bySite[site] {
		if wanted(r) {
			rows = append(rows, r.Booking)
		}
	}
	return rows
}

// day reads one; revision 0 where it was never published.
func (l *Ledger) day(id allocator.DayID) allocator.Day {
	if d, ok := l.days[id]; ok {
		return d
	}
	return allocator.Day{Site: id.Site, Date: id.Date}
}

// Day reads one.
func (l *Ledger) Day(ctx context.Context, site allocator.SiteID, date allocator.Date) (allocator.Day, error) {
	if err := l.enter(ctx); err != nil {
		return allocator.Day{}, err
	}
	defer l.leave()
	return l.day(allocator.DayID{Site: site, Date: date}), nil
}

// Days pages by site and date.
func (l *Ledger) Days(ctx context.Context, after allocator.DayRevision, from allocator.Date, limit int) ([]allocator.Day, error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.leave()
	compare := func(a, b allocator.DayID) int {
		return cmp.Or(cmp.Compare(a.Site, b.Site), cmp.Compare(a.Date, b.Date))
	}
	var page []allocator.Day
	for _, id := range slices.SortedFunc(maps.Keys(l.days), compare) {
		if compare(id, allocator.DayID{Site: after.Site, Date: after.Date}) > 0 && id.Date >= from && len(page) < limit {
			page = append(page, l.days[id])
		}
	}
	return page, nil
}

func compareDays(a, b allocator.DayID) int {
	return cmp.Or(cmp.Compare(a.Site, b.Site), cmp.Compare(a.Date, b.Date))
}

// Changed looks through everything.
func (l *Ledger) Changed(ctx context.Context, since time.Time) (allocator.Changed, error) {
	if err := l.enter(ctx); err != nil {
		return allocator.Changed{}, err
	}
	defer l.leave()
	c := allocator.Changed{Now: l.clock()}
	for _, id := range slices.SortedFunc(maps.Keys(l.changed), compareDays) {
		if !l.changed[id].Before(since) {
			c.Days = append(c.Days, allocator.DayRevision{Site: id.Site, Date: id.Date, Revision: l.days[id].Revision})
		}
	}
	for _, site := range slices.Sorted(maps.Keys(l.bySite)) {
		for _, r := range l.bySite[site] {
			if !r.Status.Live() && !r.since.Before(since) {
				c.Ended = append(c.Ended, allocator.EndedClaim{Slot: r.Slot, Owner: r.Hold})
			}
		}
	}
	return c, nil
}

// Bookings reads by key.
func (l *Ledger) Bookings(ctx context.Context, keys []allocator.BookingKey) ([]allocator.Booking, error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.leave()
	found := l.under(keys)
	rows := make([]allocator.Booking, 0, len(found))
	for _, key := range slices.Sorted(maps.Keys(found)) {
		rows = append(rows, found[key])
	}
	return rows, nil
}

// Slot reads a slot's live rows.
func (l *Ledger) Slot(ctx context.Context, slot allocator.SlotID, date allocator.Date) (allocator.Day, []allocator.Booking, error) {
	if err := l.enter(ctx); err != nil {
		return allocator.Day{}, nil, err
	}
	defer l.leave()
	rows := l.rowsOf(slot.Site, func(r *row) bool { return r.Status.Live() && r.Slot == slot })
	return l.day(allocator.DayID{Site: slot.Site, Date: date}), rows, nil
}

// DayBookings reads a date's rows.
func (l *Ledger) DayBookings(ctx context.Context, site allocator.SiteID, date allocator.Date) (allocator.Day, []allocator.Booking, error) {
	if err := l.enter(ctx); err != nil {
		return allocator.Day{}, nil, err
	}
	defer l.leave()
	rows := l.rowsOf(site, func(r *row) bool { return r.Status != allocator.StatusVoid && r.Date == date })
	return l.day(allocator.DayID{Site: site, Date: date}), rows, nil
}

// SiteState reads all of a site.
func (l *Ledger) SiteState(ctx context.Context, id allocator.SiteID, from allocator.Minute, endedSince time.Time) (allocator.SiteLedger, error) {
	if err := l.enter(ctx); err != nil {
		return allocator.SiteLedger{}, err
	}
	defer l.leave()
	site, found := l.sites[id]
	if !found {
		return allocator.SiteLedger{}, nil
	}
	state := allocator.SiteLedger{Site: site, Found: true, Revisions: make(map[allocator.Date]int64)}
	first := allocator.DateOf(from.Time().In(l.zones[site.TimeZone]))
	for day, d := range l.days {
		if day.Site == id && day.Date >= first {
			state.Revisions[day.Date] = d.Revision
		}
	}
	state.Live = l.rowsOf(id, func(r *row) bool { return r.Status.Live() && r.Slot.Start >= from })
	state.Ended = l.ended(id, endedSince)
	return state, nil
}

// LivePlaces reads ranges one by one.
func (l *Ledger) LivePlaces(ctx context.Context, ranges []allocator.PlaceRange) (places []allocator.PlaceState, err error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.leave()
	for _, q := range ranges {
		for _, r := range l.bySite[q.Slot.Site] {
			if r.Status.Live() && r.Slot == q.Slot && r.Place >= q.First && r.Place <= q.Last {
				places = append(places, allocator.PlaceState{Slot: r.Slot, Place: r.Place, Service: r.Service, Owner: r.Hold, Booked: true})
			}
		}
	}
	return places, nil
}

// ended lists a site's grants none of whose rows is live and one of whose rows ended since a time. The row with the least
// key gives the reason.
func (l *Ledger) ended(site allocator.SiteID, since time.Time) (ended []allocator.EndedID) {
	rows := slices.Clone(l.bySite[site])
	slices.SortFunc(rows, func(a, b *row) int {
		return cmp.Or(slices.Compare(a.Hold.Bytes(), b.Hold.Bytes()), cmp.Compare(a.Key, b.Key))
	})
	for len(rows) > 0 {
		n := slices.IndexFunc(rows, func(r *row) bool { return r.Hold != rows[0].Hold })
		if n < 0 {
			n = len(rows)
		}
		grant := rows[:n]
		rows = rows[n:]
		live := slices.ContainsFunc(grant, func(r *row) bool { return r.Status.Live() })
		recent := slices.ContainsFunc(grant, func(r *row) bool { return !r.since.Before(since) })
		if !live && recent {
			ended = append(ended, allocator.EndedID{ID: grant[0].Hold, Reason: grant[0].EndedReason()})
		}
	}
	return ended
}

// daysOf lists a site's published days from a date on, by date.
func (l *Ledger) daysOf(site allocator.SiteID, from allocator.Date) (days []allocator.Day) {
	for id, day := range l.days {
		if id.Site == site && id.Date >= from {
			days = append(days, day)
		}
	}
	slices.SortFunc(days, func(a, b allocator.Day) int { return int(a.Date) - int(b.Date) })
	return days
}
