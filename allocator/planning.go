package allocator

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// Area is what planners add sites up by.
type Area string

// The areas.
const (
	AreaRegion Area = "region"
	AreaICB    Area = "icb" // integrated care board
	AreaSite   Area = "site"
)

// maxPlannedDays bounds what one request adds up.
const maxPlannedDays = 92

// FreeCapacityRequest asks how much is still free, for those who plan. Zero fields: every service, from today, four weeks.
type FreeCapacityRequest struct {
	Service  ServiceCode
	By       Area
	From, To Date // site-local, both included
}

// FreeCapacityReply answers from this server's memory, as of an instant.
type FreeCapacityReply struct {
	AsOf     time.Time // Age before it was asked for
	Age      time.Duration
	From, To Date
	Rows     []FreeCapacity // by area, service and week
}

// FreeCapacity is what an area has of one service in one week, in slots that have not begun. A place that several services
// may use counts for each of them.
type FreeCapacity struct {
	Area    string // as the sites say; "" where they say nothing
	Service ServiceCode
	Week    Date // its Monday
	Sites   int  // that offer the service then
	Open    int  // of them, with a free place
	Places  int  // published for the public, of sessions that take new bookings
	Booked  int  // claims: live bookings and holds
	Free    int  // further claims that would be granted to the public now
}

type areaKey struct {
	area    string
	service ServiceCode
	week    Date
}

// FreeCapacity adds up what is free by area, service and week (Monday to Sunday). It looks at every slot of the country, so it
// is nothing for citizens to call. Safe for concurrent use; it fails only with ctx, or where the request makes no sense.
func (a *Allocator) FreeCapacity(ctx context.Context, r FreeCapacityRequest) (FreeCapacityReply, error) {
	now := a.clock.Now()
	if r.From == 0 {
		r.From = DateOf(now.UTC())
	}
	if r.To == 0 {
		r.To = r.From + 27
	}
	if r.To < r.From || r.To-r.From >= maxPlannedDays {
		return FreeCapacityReply{}, &Error{Code: CodeInvalid, Detail: "from and to are out of bounds", Faults: []Fault{{"/to", "must be from, or up to 91 days later"}}}
	}
	if r.Service != "" {
		if _, err := a.knownService(ctx, r.Service); err != nil {
			return FreeCapacityReply{}, err
		}
	}
	reply := FreeCapacityReply{From: r.From, To: r.To}
	reply.AsOf = a.directory.asOf()
	reply.Age = max(0, now.Sub(reply.AsOf))
	sums := make(map[areaKey]*FreeCapacity)
	for _, id := range a.directory.allSites() {
		if err := ctx.Err(); err != nil {
			return reply, ledgerError(err)
		}
		if entry := a.directory.site(id); entry != nil && !entry.offline() {
			area := areaOf(entry.details(), r.By)
			for key, sum := range entry.planned(&r, MinuteOf(now)) {
				key.area = area
				add(sums, key, sum)
			}
		}
	}
	for key, sum := range sums {
		sum.Area, sum.Service, sum.Week = key.area, key.service, key.week
		reply.Rows = append(reply.Rows, *sum)
	}
	slices.SortFunc(reply.Rows, func(x, y FreeCapacity) int {
		return cmp.Or(cmp.Compare(x.Area, y.Area), cmp.Compare(x.Service, y.Service), cmp.Compare(x.Week, y.Week))
	})
	return reply, nil
}

func areaOf(site Site, by Area) string {
	switch by {
	case AreaICB:
		return site.ICB
	case AreaSite:
		return string(site.ID)
	}
	return site.Region
}

// add adds what one site has in a week.
func add(sums map[areaKey]*FreeCapacity, key areaKey, of *FreeCapacity) {
	sum := sums[key]
	if sum == nil {
		sum = new(FreeCapacity)
		sums[key] = sum
	}
	sum.Sites++
	if of.Free > 0 {
		sum.Open++
	}
	sum.Places += of.Places
	sum.Booked += of.Booked
	sum.Free += of.Free
}

// planned adds up a site's slots by service and week.
func (e *siteEntry) planned(r *FreeCapacityRequest, notBefore Minute) map[areaKey]*FreeCapacity {
	e.mu.Lock()
	defer e.mu.Unlock()
	sums, limited := make(map[areaKey]*FreeCapacity), make(map[ServiceCode]*FreeCapacity)
	for _, date := range e.dates {
		if date < r.From || date > r.To {
			continue
		}
		day := e.days[date]
		var pools *Pool // of the slot before: neighbours of one session share theirs
		var kinds []plannedKind
		for _, s := range day.allSlots(e.zone()) {
			if s.ID.Start < notBefore {
				continue
			}
			if &s.Pools[0] != pools {
				pools, kinds = &s.Pools[0], day.plannedKinds(s, r.Service, sums)
			}
			counts := e.usage[slotKey{s.ID.Start, s.ID.Length}]
			for _, k := range kinds {
				k.sum.Booked += counts[k.service]
				k.sum.Places += k.places
				if len(day.limits) == 0 {
					k.sum.Free += FreeWithin(k.bounds, counts)
				} else {
					limited[k.service] = k.sum
				}
			}
		}
		for service, sum := range limited { // a maximum may allow less than the slots have together
			sum.Free += e.freeOn(day, service).from(notBefore)
		}
		clear(limited)
	}
	return sums
}

// plannedKind is a service that slots of the same pools offer, and where it is added up.
type plannedKind struct {
	service ServiceCode
	bounds  []Bound
	places  int // in each slot, for the public
	sum     *FreeCapacity
}

// plannedKinds are the services that the slot offers, or the one asked for where it does. The site's lock is held.
func (d *dayEntry) plannedKinds(s Slot, only ServiceCode, sums map[areaKey]*FreeCapacity) (kinds []plannedKind) {
	week := d.day.Date - Date(d.day.Date.Weekday()+6)%7
	for _, p := range s.Pools {
		for _, service := range p.Services {
			if only != "" && only != service {
				continue
			}
			i := slices.IndexFunc(kinds, func(k plannedKind) bool { return k.service == service })
			if i < 0 {
				key := areaKey{service: service, week: week}
				if sums[key] == nil {
					sums[key] = new(FreeCapacity)
				}
				i = len(kinds)
				kinds = append(kinds, plannedKind{service: service, bounds: d.boundsOf(s, service, AccessPublic), sum: sums[key]})
			}
			if p.takes(service, AccessPublic) {
				kinds[i].places += p.Capacity
			}
		}
	}
	return kinds
}
