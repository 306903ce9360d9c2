package allocator

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Search lists the nearest sites that have a free slot, from this server's memory.
func (a *Allocator) Search(ctx context.Context, r SearchRequest) (SearchReply, error) {
	reply := SearchReply{Lat: r.Lat, Lon: r.Lon}
	if err := r.complete(); err != nil {
		return reply, err
	}
	service, err := a.knownService(ctx, r.Service)
	if err != nil {
		return reply, err
	}
	if r.Postcode != "" {
		if reply.Postcode, reply.Lat, reply.Lon, reply.Precision, err = a.Locate(r.Postcode); err != nil {
			return reply, err
		}
	}
	now := a.clock.Now()
	reply.AsOf = a.directory.asOf(a.inventory.Shards())
	reply.Age = max(0, now.Sub(reply.AsOf))
	near := a.directory.near()
	near.index.Visit(reply.Lat, reply.Lon, r.RadiusMetres, func(position int, metres float64) bool {
		entry := near.sites[position]
		if !entry.has(r.Accessibilities) {
			return true
		}
		found := SiteFound{Site: entry.details(), DistanceMetres: int(metres + 0.5)}
		if found.Site.Offline {
			return true
		}
		found.Days, found.NextAvailable = a.freeDays(entry, &service, &r, now)
		if !found.NextAvailable.IsZero() && !entry.isTrusted() {
			a.ensureTrusted(ctx, entry)
			found.Days, found.NextAvailable = a.freeDays(entry, &service, &r, now)
		}
		if found.NextAvailable.IsZero() && !(r.IncludeFull && entry.everOffers(r.Service)) {
			return ctx.Err() == nil
		}
		reply.Sites = append(reply.Sites, found)
		return len(reply.Sites) < r.Limit && ctx.Err() == nil
	})
	return reply, nil
}

// SnapshotAge is how far searches lag behind the inventory at the moment.
func (a *Allocator) SnapshotAge() time.Duration {
	return max(0, a.clock.Now().Sub(a.directory.asOf(a.inventory.Shards())))
}

// complete fills in defaults and reports every fault.
func (r *SearchRequest) complete() error {
	var faults []Fault
	check := func(ok bool, pointer, format string, args ...any) {
		if !ok {
			faults = append(faults, Fault{pointer, fmt.Sprintf(format, args...)})
		}
	}
	if r.RadiusMetres == 0 {
		r.RadiusMetres = 50_000
	}
	if r.Limit == 0 {
		r.Limit = 10
	}
	if r.People == 0 {
		r.People = 1
	}
	check(r.RadiusMetres > 0 && r.RadiusMetres <= 21_000_000, "/radiusKm", "must be more than 0 and at most 21000")
	check(r.Limit >= 1 && r.Limit <= MaxSearchLimit, "/limit", "must be 1 to %d", MaxSearchLimit)
	check(r.People >= 1 && r.People <= MaxPeoplePerSearch, "/people", "must be 1 to %d", MaxPeoplePerSearch)
	check(r.Postcode != "" || r.Lat >= -90 && r.Lat <= 90 && r.Lon >= -180 && r.Lon <= 180, "/lat", "must be degrees")
	check(r.To == 0 || r.From == 0 || r.To >= r.From, "/to", "is before from")
	check(len(r.Accessibilities) <= 20, "/access", "names too many")
	if len(faults) > 0 {
		return &Error{Code: CodeInvalid, Detail: "the search is not valid", Faults: faults}
	}
	return nil
}

// has says whether the site offers every accessibility asked for.
func (e *siteEntry) has(wanted []string) bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, w := range wanted {
		if !slices.Contains(e.site.Accessibilities, w) {
			return false
		}
	}
	return true
}

// everOffers says whether any day of the site offers the service.
func (e *siteEntry) everOffers(service ServiceCode) bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, day := range e.days {
		for _, s := range day.day.Sessions {
			if slices.Contains(s.Services, service) {
				return true
			}
		}
	}
	return false
}

// span is what of the calendar a search may show.
type span struct {
	from, to  Date   // site-local
	notBefore Minute // starts
	notAfter  Minute
	open      bool
}

// bookable narrows the dates asked for to those that the service lets one book now.
func (a *Allocator) bookable(s *Service, zone *time.Location, from, to Date, now time.Time) span {
	w := a.window(s, Caller{})
	sp := span{
		notBefore: MinuteOf(now.Add(time.Duration(w.MinLeadMs)*time.Millisecond + time.Minute - time.Nanosecond)),
		notAfter:  MinuteOf(now.Add(time.Duration(w.MaxLeadMs) * time.Millisecond)),
		open:      w.OpensMs == 0 || now.UnixMilli() >= w.OpensMs,
	}
	sp.from, sp.to = DateOf(sp.notBefore.Time().In(zone)), DateOf(sp.notAfter.Time().In(zone))
	sp.from = max(sp.from, from, s.FirstDate)
	if to != 0 {
		sp.to = min(sp.to, to)
	}
	if s.LastDate != 0 {
		sp.to = min(sp.to, s.LastDate)
	}
	return sp
}

// days lists the site's published days within the span, in order.
func (e *siteEntry) daysWithin(sp span) []Date {
	e.mu.RLock()
	defer e.mu.RUnlock()
	var dates []Date
	if !sp.open {
		return nil
	}
	for date := range e.days {
		if date >= sp.from && date <= sp.to {
			dates = append(dates, date)
		}
	}
	slices.Sort(dates)
	return dates
}

// freeDays adds up what is free day by day; next is the first free start.
func (a *Allocator) freeDays(entry *siteEntry, s *Service, r *SearchRequest, now time.Time) (days []DayFree, next time.Time) {
	sp := a.bookable(s, entry.zone(), r.From, r.To, now)
	for _, date := range entry.daysWithin(sp) {
		free := 0
		for _, slot := range fitting(entry.freeSlots(date, s.Code), sp, r.People) {
			free += slot.Free
			if next.IsZero() {
				next = slot.Start.Time().In(entry.zone())
			}
		}
		if free > 0 || r.IncludeFull {
			days = append(days, DayFree{date, free})
		}
	}
	return days, next
}

// fitting keeps the slots within the span from which so many people fit: each has room for one at least, and together
// with the slots that follow without a gap, each of the same length and with room, for all.
func fitting(slots []SlotFree, sp span, people int) []SlotFree {
	first := 0
	for first < len(slots) && slots[first].Start < sp.notBefore {
		first++
	}
	last := len(slots)
	for last > first && slots[last-1].Start > sp.notAfter {
		last--
	}
	slots = slots[first:last]
	if people <= 1 {
		return slots
	}
	at := make(map[slotKey]int, len(slots))
	for _, s := range slots {
		at[slotKey{s.Start, s.Length}] = s.Free
	}
	var fit []SlotFree
	for _, s := range slots {
		room := 0
		for k := (slotKey{s.Start, s.Length}); room < people && at[k] > 0; k.start += Minute(k.length) {
			room += at[k]
		}
		if room >= people {
			fit = append(fit, s)
		}
	}
	return fit
}

// Availability lists a site's free slots, from this server's memory.
func (a *Allocator) Availability(ctx context.Context, r AvailabilityRequest) (AvailabilityReply, error) {
	if r.People == 0 {
		r.People = 1
	}
	if r.People < 1 || r.People > MaxPeoplePerSearch || r.To != 0 && r.From != 0 && r.To < r.From {
		return AvailabilityReply{}, &Error{Code: CodeInvalid, Detail: "people must be 1 to 5, and to not before from", Faults: []Fault{{"/people", "or from and to are out of bounds"}}}
	}
	entry, err := a.knownSite(ctx, r.Site)
	if err != nil {
		return AvailabilityReply{}, err
	}
	service, err := a.knownService(ctx, r.Service)
	if err != nil {
		return AvailabilityReply{}, err
	}
	a.ensureTrusted(ctx, entry)
	now := a.clock.Now()
	reply := AvailabilityReply{AsOf: a.directory.asOf(a.inventory.Shards()), Zone: entry.zone()}
	reply.Age = max(0, now.Sub(reply.AsOf))
	sp := a.bookable(&service, entry.zone(), r.From, r.To, now)
	for _, date := range entry.daysWithin(sp) {
		if slots := fitting(entry.freeSlots(date, r.Service), sp, r.People); len(slots) > 0 {
			reply.Days = append(reply.Days, DaySlots{date, slices.Clone(slots)})
		}
	}
	return reply, nil
}

// alternatives offers other slots: at the same site nearest in time, then the next one of the nearest sites.
func (a *Allocator) alternatives(entry *siteEntry, slot SlotID, code ServiceCode) []Alternative {
	service, ok := a.directory.service(code)
	if !ok {
		return nil
	}
	now := a.clock.Now()
	sp := a.bookable(&service, entry.zone(), 0, 0, now)
	day := DateOf(slot.Start.Time().In(entry.zone()))
	sp.from, sp.to = max(sp.from, day-7), min(sp.to, day+7)
	var same []Alternative
	site := entry.details()
	for _, date := range entry.daysWithin(sp) {
		for _, s := range fitting(entry.freeSlots(date, code), sp, 1) {
			if s.Start != slot.Start || s.Length != slot.Length {
				same = append(same, Alternative{Site: site.ID, SiteName: site.Name, Service: code, Start: s.Start, Length: s.Length, Free: s.Free, TimeZone: site.TimeZone})
			}
		}
	}
	slices.SortStableFunc(same, func(x, y Alternative) int {
		return int(min(1, max(-1, distance(x.Start, slot.Start)-distance(y.Start, slot.Start))))
	})
	want := a.limits.Alternatives
	list := slices.Clone(same[:min(len(same), (want+1)/2)])
	near := a.directory.near()
	seen := 0
	near.index.Visit(site.Lat, site.Lon, 50_000, func(position int, metres float64) bool {
		other := near.sites[position]
		if seen++; other == entry || seen > 200 {
			return seen <= 200
		}
		if alt, ok := a.nextAt(other, &service, now, int(metres+0.5)); ok {
			list = append(list, alt)
		}
		return len(list) < want
	})
	if rest := want - len(list); rest > 0 && len(same) > (want+1)/2 {
		list = append(list, same[(want+1)/2:min(len(same), (want+1)/2+rest)]...)
	}
	return list
}

// nextAt is a site's first free slot.
func (a *Allocator) nextAt(entry *siteEntry, s *Service, now time.Time, metres int) (Alternative, bool) {
	if entry.offline() {
		return Alternative{}, false
	}
	sp := a.bookable(s, entry.zone(), 0, 0, now)
	for _, date := range entry.daysWithin(sp) {
		if slots := fitting(entry.freeSlots(date, s.Code), sp, 1); len(slots) > 0 {
			site := entry.details()
			return Alternative{
				Site: site.ID, SiteName: site.Name, Service: s.Code, DistanceMetres: metres, Start: slots[0].Start, Length: slots[0].Length,
				Free: slots[0].Free, TimeZone: site.TimeZone,
			}, true
		}
	}
	return Alternative{}, false
}
