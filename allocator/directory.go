package allocator

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// directory is this server's picture of the world, in memory: sites, services, the documents of their days and how much
// of each slot is used. Searches are answered from it alone. Nothing is decided by it: a hold carries the revision it was
// made from, and the inventory refuses another one.
//
// Safe for concurrent use: one lock for the lists, one per site for its days.
type directory struct {
	mu       sync.RWMutex
	sites    map[SiteID]*siteEntry
	services map[ServiceCode]Service
	zones    map[string]*time.Location
	points   *pointIndex // rebuilt when sites come or move
	nearest  Nearest
	fed      map[int]time.Time    // per shard: when its changes were last read
	asked    map[string]*question // what the ledger was asked about lately
}

// pointIndex finds sites by distance.
type pointIndex struct {
	index NearestIndex
	sites []*siteEntry
}

// siteEntry is one site.
type siteEntry struct {
	key        SiteID
	tz         atomic.Pointer[time.Location]
	mu         sync.RWMutex
	site       Site
	days       map[Date]*dayEntry
	usage      map[slotKey]Counts // of slots that have any claim
	trusted    bool               // usage was read from a built inventory
	generation int64              // at which the inventory was then
}

// slotKey is a slot within a site.
type slotKey struct {
	start  Minute
	length int16
}

// dayEntry is one day's document, with what was worked out from it so far.
type dayEntry struct {
	day    Day
	slots  []Slot                     // nil until first wanted
	free   map[ServiceCode][]SlotFree // for the public, by start and length; forgotten when a claim changes
	bounds map[boundsKey][]Bound
}

type boundsKey struct {
	pools   *Pool // the first of a list of pools that equal slots share
	service ServiceCode
	access  Access
}

func newDirectory(nearest Nearest) *directory {
	return &directory{
		sites: make(map[SiteID]*siteEntry), services: make(map[ServiceCode]Service), zones: make(map[string]*time.Location),
		nearest: nearest, fed: make(map[int]time.Time), asked: make(map[string]*question),
	}
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
	for _, s := range sites {
		zone, err := d.zone(s.TimeZone)
		if err != nil {
			return fmt.Errorf("site %s: %w", s.ID, err)
		}
		d.mu.Lock()
		e := d.sites[s.ID]
		if e == nil {
			e = &siteEntry{key: s.ID, days: make(map[Date]*dayEntry), usage: make(map[slotKey]Counts)}
			d.sites[s.ID] = e
		}
		e.mu.Lock()
		known := e.zone()
		moved := e.site.Lat != s.Lat || e.site.Lon != s.Lon || known == nil
		if known == nil || s.Version >= e.site.Version {
			if known != nil && known != zone {
				for _, day := range e.days {
					day.slots, day.free, day.bounds = nil, nil, nil
				}
			}
			e.site = s
			e.tz.Store(zone)
		}
		e.mu.Unlock()
		if moved {
			d.points = nil
		}
		d.mu.Unlock()
	}
	return nil
}

// near gives the index of all sites by place, making it where sites have come or moved.
func (d *directory) near() *pointIndex {
	d.mu.RLock()
	p := d.points
	d.mu.RUnlock()
	if p != nil {
		return p
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.points != nil {
		return d.points
	}
	p = &pointIndex{}
	for _, e := range d.sites {
		p.sites = append(p.sites, e)
	}
	slices.SortFunc(p.sites, func(a, b *siteEntry) int { return cmp.Compare(a.key, b.key) })
	lats, lons := make([]float64, len(p.sites)), make([]float64, len(p.sites))
	for i, e := range p.sites {
		site := e.details()
		lats[i], lons[i] = site.Lat, site.Lon
	}
	p.index = d.nearest.Index(lats, lons)
	d.points = p
	return p
}

// service finds a service.
func (d *directory) service(code ServiceCode) (Service, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	s, ok := d.services[code]
	return s, ok
}

func (d *directory) putServices(services ...Service) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range services {
		if s.Version >= d.services[s.Code].Version {
			d.services[s.Code] = s
		}
	}
}

// allServices lists the services by code.
func (d *directory) allServices() []Service {
	d.mu.RLock()
	defer d.mu.RUnlock()
	list := make([]Service, 0, len(d.services))
	for _, s := range d.services {
		list = append(list, s)
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
	if counts.Total() == 0 {
		delete(e.usage, key)
	} else {
		e.usage[key] = counts
	}
	if day := e.days[DateOf(id.Start.Time().In(e.zone()))]; day != nil {
		day.free = nil
	}
}

// offer is a slot as a claim sees it.
type offer struct {
	slot     Slot
	revision int64
	bounds   []Bound
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
		o = offer{slot: s, revision: day.day.Revision, bounds: day.boundsOf(s, service, access)}
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
		d.slots = d.day.Slots(zone)
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
	e.mu.RLock()
	day := e.days[date]
	if day == nil || e.site.Offline {
		e.mu.RUnlock()
		return nil
	}
	free, ok := day.free[service]
	e.mu.RUnlock()
	if ok {
		return free
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if day = e.days[date]; day == nil {
		return nil
	}
	for _, s := range day.allSlots(e.zone()) {
		bounds := day.boundsOf(s, service, AccessPublic)
		if n := FreeWithin(bounds, e.usage[slotKey{s.ID.Start, s.ID.Length}]); n > 0 {
			free = append(free, SlotFree{s.ID.Start, s.ID.Length, n})
		}
	}
	if day.free == nil {
		day.free = make(map[ServiceCode][]SlotFree)
	}
	day.free[service] = free
	return free
}
