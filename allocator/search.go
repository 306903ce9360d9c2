package allocator

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Search lists the nearest sites that have a free slot, from this server's memory.
func (a *Allocator) Search(ctx context.Context, r SearchRequest) (SearchReply, error) {
	reply := SearchReply{Lat: r.Lat, Lon: r.Lon, Sites: r.Reuse[:0]}
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
	reply.AsOf = a.directory.asOf()
	reply.Age = max(0, now.Sub(reply.AsOf))
	key := a.keyOf(&service, r.From, r.To, r.People, r.IncludeFull, now)
	a.nearest(ctx, &r, &key, &reply)
	return reply, nil
}

// foundLists keep the memory of what indexes find.
var foundLists = sync.Pool{New: func() any { return new([]PointFound) }}

// nearest puts the sites into the reply. It asks the index for as many as are wanted, which mostly suffices, and for more
// where some of them have nothing to show: marks promise nothing.
func (a *Allocator) nearest(ctx context.Context, r *SearchRequest, k *viewKey, reply *SearchReply) {
	points := a.directory.near()
	set, marks := points.all, (*serviceMarks)(nil)
	if !r.IncludeFull {
		if marks = points.marks(k); marks != nil {
			set = marks.set
		}
	}
	list := foundLists.Get().(*[]PointFound)
	defer foundLists.Put(list)
	last := PointFound{Position: -1, DistanceMetres: -1}
	for want := r.Limit; ; want *= 4 {
		*list = set.Nearest(reply.Lat, reply.Lon, r.RadiusMetres, want, (*list)[:0])
		for _, p := range *list {
			if !last.before(p) {
				continue
			}
			last = p
			a.show(ctx, r, k, points.sites[p.Position], marks, p, reply)
			if len(reply.Sites) == r.Limit || ctx.Err() != nil {
				return
			}
		}
		if len(*list) < want {
			return
		}
	}
}

// show puts one site into the reply, if it has anything to show.
func (a *Allocator) show(ctx context.Context, r *SearchRequest, k *viewKey, entry *siteEntry, marks *serviceMarks, at PointFound, reply *SearchReply) {
	if len(r.Accessibilities) > 0 && !entry.has(r.Accessibilities) {
		return
	}
	v := entry.look(k, marks, at.Position)
	if v.first.Free > 0 && !v.trusted {
		a.ensureTrusted(ctx, entry)
		v = entry.look(k, marks, at.Position)
	}
	if v.offer != nil {
		reply.Sites = append(reply.Sites, SiteFound{v.offer, int(at.DistanceMetres + 0.5)})
	}
}

// before is the order in which an index finds points.
func (p PointFound) before(q PointFound) bool {
	return p.DistanceMetres < q.DistanceMetres || p.DistanceMetres == q.DistanceMetres && p.Position < q.Position
}

// SnapshotAge is how far searches lag behind the inventory at the moment.
func (a *Allocator) SnapshotAge() time.Duration {
	return max(0, a.clock.Now().Sub(a.directory.asOf()))
}

// complete fills in defaults and reports every fault.
func (r *SearchRequest) complete() error {
	if r.RadiusMetres == 0 {
		r.RadiusMetres = 50_000
	}
	if r.Limit == 0 {
		r.Limit = 10
	}
	if r.People == 0 {
		r.People = 1
	}
	valid := r.RadiusMetres > 0 && r.RadiusMetres <= 21_000_000 && r.Limit >= 1 && r.Limit <= MaxSearchLimit &&
		r.People >= 1 && r.People <= MaxPeoplePerSearch && r.somewhere() && r.inOrder() && len(r.Accessibilities) <= 20
	if valid {
		return nil
	}
	return r.faults()
}

func (r *SearchRequest) somewhere() bool {
	return r.Postcode != "" || r.Lat >= -90 && r.Lat <= 90 && r.Lon >= -180 && r.Lon <= 180
}

func (r *SearchRequest) inOrder() bool { return r.To == 0 || r.From == 0 || r.To >= r.From }

func (r *SearchRequest) faults() error {
	var faults []Fault
	check := func(ok bool, pointer, format string, args ...any) {
		if !ok {
			faults = append(faults, Fault{pointer, fmt.Sprintf(format, args...)})
		}
	}
	check(r.RadiusMetres > 0 && r.RadiusMetres <= 21_000_000, "/radiusKm", "must be more than 0 and at most 21000")
	check(r.Limit >= 1 && r.Limit <= MaxSearchLimit, "/limit", "must be 1 to %d", MaxSearchLimit)
	check(r.People >= 1 && r.People <= MaxPeoplePerSearch, "/people", "must be 1 to %d", MaxPeoplePerSearch)
	check(r.somewhere(), "/lat", "must be degrees")
	check(r.inOrder(), "/to", "is before from")
	check(len(r.Accessibilities) <= 20, "/access", "names too many")
	return &Error{Code: CodeInvalid, Detail: "the search is not valid", Faults: faults}
}

// has says whether the site offers every accessibility asked for.
func (e *siteEntry) has(wanted []string) bool {
	offered := e.sheet.Load().Site.Accessibilities
	for _, w := range wanted {
		if !slices.Contains(offered, w) {
			return false
		}
	}
	return true
}

// daysWithin lists the site's published days within the span, in order. The result is shared: do not change it.
func (e *siteEntry) daysWithin(sp span) []Date {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return within(e.dates, sp)
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
	reply := AvailabilityReply{AsOf: a.directory.asOf(), Zone: entry.zone()}
	reply.Age = max(0, now.Sub(reply.AsOf))
	key := a.keyOf(&service, r.From, r.To, r.People, false, now)
	sp := key.span(entry.zone())
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
	key := a.keyOf(&service, 0, 0, 1, false, a.clock.Now())
	want := a.limits.Alternatives
	same := entry.nearestInTime(&key, slot, want)
	half := min(len(same), (want+1)/2)
	list := make([]Alternative, 0, want)
	for _, s := range same[:half] {
		list = append(list, entry.alternative(code, s, 0))
	}
	near := a.directory.near()
	site := &entry.sheet.Load().Site
	seen := 0
	near.index.Visit(site.Lat, site.Lon, 50_000, func(position int, metres float64) bool {
		other := near.sites[position]
		if seen++; other == entry || seen > 200 {
			return seen <= 200
		}
		if v := other.look(&key, nil, 0); v.first.Free > 0 {
			list = append(list, other.alternative(code, v.first, int(metres+0.5)))
		}
		return len(list) < want
	})
	for _, s := range same[half:] {
		if len(list) < want {
			list = append(list, entry.alternative(code, s, 0))
		}
	}
	return list
}

// nearestInTime lists so many of the site's free slots within a week of one, without it, nearest first.
func (e *siteEntry) nearestInTime(k *viewKey, slot SlotID, want int) []SlotFree {
	sp := k.span(e.zone())
	day := DateOf(slot.Start.Time().In(e.zone()))
	sp.from, sp.to = max(sp.from, day-7), min(sp.to, day+7)
	nearer := func(x, y SlotFree) bool { return distance(x.Start, slot.Start) < distance(y.Start, slot.Start) }
	best := make([]SlotFree, 0, want+1)
	for _, date := range e.daysWithin(sp) {
		for _, s := range fitting(e.freeSlots(date, k.service), sp, 1) {
			if s.Start == slot.Start && s.Length == slot.Length || len(best) == want && (want == 0 || !nearer(s, best[want-1])) {
				continue
			}
			at := len(best)
			for at > 0 && nearer(s, best[at-1]) {
				at--
			}
			best = slices.Insert(best, at, s)
			best = best[:min(len(best), want)]
		}
	}
	return best
}

func (e *siteEntry) alternative(code ServiceCode, s SlotFree, metres int) Alternative {
	site := &e.sheet.Load().Site
	return Alternative{
		Site: site.ID, SiteName: site.Name, Service: code, DistanceMetres: metres, Start: s.Start, Length: s.Length, Free: s.Free,
		TimeZone: site.TimeZone,
	}
}
