package allocator

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// directory is this server's picture of the world, in memory: sites, services, the documents of their days and how much
// of each slot is used. Searches are answered from it alone. Nothing is decided by it: a hold carries the revision it was
// made from, and the inventory refuses another one.
//
// Safe for concurrent use: one lock for the lists, one per site for its days. What searches read has no lock: it is
// replaced as a whole (see snapshot.go).
type directory struct {
	mu       sync.RWMutex
	sites    map[SiteID]*siteEntry
	services atomic.Pointer[map[ServiceCode]*Service] // neither the map nor what is in it changes
	zones    map[string]*time.Location
	points   atomic.Pointer[pointIndex] // nil where sites came or moved: made when next wanted
	nearest  Nearest
	fed      []time.Time               // per shard: when its changes were last read
	began    time.Time                 // when this server did
	oldest   atomic.Pointer[time.Time] // of fed, and no older than began
	asked    map[string]*question      // what the ledger was asked about lately
}

// siteEntry is one site.
type siteEntry struct {
	key        SiteID
	tz         atomic.Pointer[time.Location]
	sheet      atomic.Pointer[SiteSheet]
	views      atomic.Pointer[views]
	mu         sync.RWMutex
	days       map[Date]*dayEntry
	dates      []Date             // of days, in order; replaced, never changed
	usage      map[slotKey]Counts // of slots that have any claim
	trusted    bool               // usage was read from a built inventory
	generation int64              // at which the inventory was then
	reads      []*usageRead       // of the site's use that are under way
	unmarked   []unmarked         // where searches pass the site by
	changes    atomic.Uint64      // how often anything of the site changed here
	state      atomic.Pointer[siteState]
}

// slotKey is a slot within a site.
type slotKey struct {
	start  Minute
	length int16
}

// dayEntry is one day's document, with what was worked out from it so far.
type dayEntry struct {
	day    Day
	slots  []Slot                   // nil until first wanted
	free   map[ServiceCode]*freeDay // for the public; forgotten when a claim changes
	bounds map[boundsKey][]Bound
	limits []Limit // worked out with slots
}

// freeDay is what a service has free on a day. It never changes.
type freeDay struct {
	slots []SlotFree // by start and length
	total int
}

// from counts what is free from a start on.
func (f *freeDay) from(notBefore Minute) (n int) {
	for _, s := range f.slots {
		if s.Start >= notBefore {
			n += s.Free
		}
	}
	return min(n, f.total)
}

type boundsKey struct {
	pools   *Pool // the first of a list of pools that equal slots share
	service ServiceCode
	access  Access
}

func newDirectory(nearest Nearest, shards int, now time.Time) *directory {
	d := &directory{
		sites: make(map[SiteID]*siteEntry), zones: make(map[string]*time.Location),
		nearest: nearest, fed: make([]time.Time, shards), asked: make(map[string]*question), began: now,
	}
	d.services.Store(&map[ServiceCode]*Service{})
	d.oldest.Store(&now)
	return d
}

// zone finds a time zone by name, remembering it.
func (d *directory) zone(name string) (*time.Location, error) {
	d.mu.RLock()
	zone := d.zones[name]
	d.mu.RUnlock()
	if zone != nil {
		return zone, nil
	}
	if name == "" || name == "Local" {
		return nil, fmt.Errorf("time zone %q is not an IANA name", name)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("time zone %q is not an IANA name", clip(name))
	}
	d.mu.Lock()
	d.zones[name] = zone
	d.mu.Unlock()
	return zone, nil
}

// site finds a site; nil where it is not known here.
func (d *directory) site(id SiteID) *siteEntry {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.sites[id]
}

// putSites takes over sites as the ledger has them. Older versions than the ones known change nothing.
func (d *directory) putSites(sites ...Site) error {
	for i := range sites {
		zone, err := d.zone(sites[i].TimeZone)
		if err != nil {
			return fmt.Errorf("site %s: %w", sites[i].ID, err)
		}
		d.putSite(&sites[i], zone)
	}
	return nil
}

func (d *directory) putSite(s *Site, zone *time.Location) {
	e := d.site(s.ID)
	if e != nil && reflect.DeepEqual(e.sheet.Load().Site, *s) {
		return // all sites are read again and again, and hardly any has changed
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if e = d.sites[s.ID]; e == nil {
		e = &siteEntry{key: s.ID, days: make(map[Date]*dayEntry), usage: make(map[slotKey]Counts)}
		e.sheet.Store(&SiteSheet{Site: *s})
		e.tz.Store(zone)
		d.sites[s.ID] = e
		d.points.Store(nil)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	known := &e.sheet.Load().Site
	if s.Version < known.Version {
		return
	}
	if known.Lat != s.Lat || known.Lon != s.Lon {
		d.points.Store(nil)
	}
	if e.zone() != zone {
		for _, day := range e.days {
			day.slots, day.free, day.bounds, day.limits = nil, nil, nil, nil
		}
	}
	e.sheet.Store(&SiteSheet{Site: *s})
	e.tz.Store(zone)
	e.changed()
}

// service finds a service.
func (d *directory) service(code ServiceCode) (Service, bool) {
	if s := (*d.services.Load())[code]; s != nil {
		return *s, true
	}
	return Service{}, false
}

// putServices takes over services as the ledger has them. Older versions than the ones known change nothing.
func (d *directory) putServices(services ...Service) {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := maps.Clone(*d.services.Load())
	for _, s := range services {
		if known := all[s.Code]; known == nil || s.Version >= known.Version {
			all[s.Code] = &s
		}
	}
	d.services.Store(&all)
}

// allServices lists the services by code.
func (d *directory) allServices() []Service {
	all := *d.services.Load()
	list := make([]Service, 0, len(all))
	for _, s := range all {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b Service) int { return cmp.Compare(a.Code, b.Code) })
	return list
}

// allSites lists the sites by id.
func (d *directory) allSites() []SiteID {
	d.mu.RLock()
	defer d.mu.RUnlock()
	ids := make([]SiteID, 0, len(d.sites))
	for id := range d.sites {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// putDay takes over a day's document; an older revision than the one known changes nothing.
func (e *siteEntry) putDay(day Day) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if known := e.days[day.Date]; known == nil || day.Revision > known.day.Revision {
		e.days[day.Date] = &dayEntry{day: day}
		if known == nil {
			e.dates = slices.Sorted(maps.Keys(e.days))
		}
		e.changed()
	}
}

// revision is the revision of a day as it is known here.
func (e *siteEntry) revision(date Date) int64 {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if day := e.days[date]; day != nil {
		return day.day.Revision
	}
	return 0
}

// forgetBefore drops days that have passed.
func (e *siteEntry) forgetBefore(date Date) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for d := range e.days {
		if d < date {
			delete(e.days, d)
		}
	}
	if len(e.dates) != len(e.days) {
		e.dates = slices.Sorted(maps.Keys(e.days))
		e.changed()
	}
	for k := range e.usage {
		if DateOf(k.start.Time().In(e.zone())) < date {
			delete(e.usage, k)
		}
	}
}

// setUsage takes over the number of claims of a slot.
func (e *siteEntry) setUsage(id SlotID, counts Counts) {
	e.mu.Lock()
	defer e.mu.Unlock()
	key := slotKey{id.Start, id.Length}
	for _, r := range e.reads {
		r.newer = append(r.newer, key)
	}
	if maps.Equal(e.usage[key], counts) {
		return
	}
	if counts.Total() == 0 {
		delete(e.usage, key)
	} else {
		e.usage[key] = counts
	}
	if day := e.days[DateOf(id.Start.Time().In(e.zone()))]; day != nil {
		day.free = nil
		e.changed()
	}
}

// offer is a slot as a claim sees it.
type offer struct {
	slot     Slot
	revision int64
	bounds   []Bound
	limit    *Limit
	closed   bool // pools offer the service, but none is open to the claim
}

// offer looks a slot up for a claim; known is false where no pool offers the service there. Length 0 stands for the only
// length offered at that start; where there are several, several is true.
func (e *siteEntry) offer(start Minute, length int16, service ServiceCode, access Access) (o offer, known, several bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	date := DateOf(start.Time().In(e.zone()))
	day := e.days[date]
	if day == nil {
		return offer{}, false, false
	}
	for _, s := range day.allSlots(e.zone()) {
		if s.ID.Start != start || length != 0 && s.ID.Length != length || !s.offers(service) {
			continue
		}
		if known {
			return offer{}, false, true
		}
		known = true
		o = offer{slot: s, revision: day.day.Revision, bounds: day.boundsOf(s, service, access), limit: limitOf(day.limits, start, service)}
		o.closed = len(o.bounds) == 0
	}
	return o, known, false
}

func (s *Slot) offers(service ServiceCode) bool {
	return slices.ContainsFunc(s.Pools, func(p Pool) bool { return p.Offers(service) })
}

// allSlots works the day's slots out once. The site's lock is held.
func (d *dayEntry) allSlots(zone *time.Location) []Slot {
	if d.slots == nil {
		d.slots, d.limits = d.day.Slots(zone), d.day.Limits(zone)
	}
	return d.slots
}

// boundsOf works the bounds of a kind of slot out once. The site's lock is held.
func (d *dayEntry) boundsOf(s Slot, service ServiceCode, access Access) []Bound {
	key := boundsKey{&s.Pools[0], service, access}
	bounds, ok := d.bounds[key]
	if !ok {
		bounds = Bounds(s.Pools, service, access)
		if d.bounds == nil {
			d.bounds = make(map[boundsKey][]Bound)
		}
		d.bounds[key] = bounds
	}
	return bounds
}

// freeSlots lists the free slots of a day for the public. The result is shared: do not change it.
func (e *siteEntry) freeSlots(date Date, service ServiceCode) []SlotFree {
	if e.offline() {
		return nil
	}
	e.mu.RLock()
	day := e.days[date]
	if day == nil {
		e.mu.RUnlock()
		return nil
	}
	free := day.free[service]
	e.mu.RUnlock()
	if free != nil {
		return free.slots
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if day = e.days[date]; day == nil {
		return nil
	}
	return e.freeOn(day, service).slots
}

// freeOn works out what a day has free. The site's lock is held.
func (e *siteEntry) freeOn(day *dayEntry, service ServiceCode) *freeDay {
	if free := day.free[service]; free != nil {
		return free
	}
	free := new(freeDay)
	var pools *Pool
	var bounds []Bound
	slots := day.allSlots(e.zone())
	left, sums := leftOf(day.limits, e.usage), make(map[*Limit]int)
	for i := range slots {
		s := &slots[i]
		if pools != &s.Pools[0] { // neighbours mostly share theirs
			pools, bounds = &s.Pools[0], day.boundsOf(*s, service, AccessPublic)
		}
		n := FreeWithin(bounds, e.usage[slotKey{s.ID.Start, s.ID.Length}])
		if limit := limitOf(day.limits, s.ID.Start, service); limit != nil {
			n = min(n, left[limit])
			free.total -= max(0, sums[limit]+n-left[limit]) - max(0, sums[limit]-left[limit])
			sums[limit] += n
		}
		if n > 0 {
			if free.slots == nil {
				free.slots = make([]SlotFree, 0, len(slots)-i)
			}
			free.slots = append(free.slots, SlotFree{s.ID.Start, s.ID.Length, n})
			free.total += n
		}
	}
	if day.free == nil {
		day.free = make(map[ServiceCode]*freeDay)
	}
	day.free[service] = free
	return free
}
