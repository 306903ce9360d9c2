package checkers

import (
	"slices"
	"time"

	"muster/allocator"
)

// documents are the versions of every day, looked up as they are needed: most are never asked for.
type documents struct {
	zone      *time.Location
	versions  map[version]*document
	byDay     map[allocator.DayID][]*document
	withdrawn map[allocator.BookingKey]bool // bookings that a publisher cancelled with a change of capacity
}

type version struct {
	day      allocator.DayID
	revision int64
}

// document is one version of a day.
type document struct {
	day   *allocator.Day
	slots map[allocator.SlotID][]allocator.Pool // nil until asked for
}

func newDocuments(e *Evidence) *documents {
	d := &documents{
		zone: e.Zone, versions: make(map[version]*document, len(e.Days)), byDay: make(map[allocator.DayID][]*document),
		withdrawn: make(map[allocator.BookingKey]bool),
	}
	if d.zone == nil {
		d.zone = time.UTC
	}
	for i := range e.Days {
		day := &e.Days[i]
		id := allocator.DayID{Site: day.Site, Date: day.Date}
		if d.versions[version{id, day.Revision}] == nil {
			doc := &document{day: day}
			d.versions[version{id, day.Revision}] = doc
			d.byDay[id] = append(d.byDay[id], doc)
		}
	}
	d.findWithdrawn(e.Events)
	return d
}

// findWithdrawn finds what publishers cancelled: such a booking ends in the transaction that changed its day, so the two
// events share day, instant and actor.
func (d *documents) findWithdrawn(events []allocator.Event) {
	type change struct {
		day   allocator.DayID
		at    int64
		actor string
	}
	changes := make(map[change]bool)
	for i := range events {
		e := &events[i]
		c := change{allocator.DayID{Site: e.Site, Date: e.Date}, e.At.UnixNano(), e.Actor}
		switch {
		case e.Type == allocator.EventCapacity:
			changes[c] = true
		case e.Type == allocator.EventCancelled && e.Reason == "site" && changes[c]:
			d.withdrawn[e.Booking] = true
		}
	}
}

// pools are those of one slot in a version of its day.
func (d *documents) pools(doc *document, id allocator.SlotID) []allocator.Pool {
	if doc.slots == nil {
		doc.slots = make(map[allocator.SlotID][]allocator.Pool)
		for _, s := range doc.day.Slots(d.zone) {
			doc.slots[s.ID] = s.Pools
		}
	}
	return doc.slots[id]
}

// mostGenerous merges all versions of a day: for each set of services, the most places that any version had.
//
// Whatever was granted under one version after another has a seat in the merged one. Take claims in the order of their
// grants. Each grew the largest set that could sit under its own version. Were it unable to grow that under the merged
// one, a set of places there would be full of claims that have nowhere else to sit, as does the new one. Those of them that
// sit in places which its own version has too fill these there as well, and none of the claims could sit elsewhere: so it
// could not have grown under its own version either.
func (d *documents) mostGenerous(day allocator.DayID, id allocator.SlotID) []allocator.Pool {
	var merged []allocator.Pool
	for _, doc := range d.byDay[day] {
		var own []allocator.Pool // of this version, whatever their access
		for _, p := range d.pools(doc, id) {
			if i := sameServices(own, &p); i >= 0 {
				own[i].Capacity += p.Capacity
			} else {
				own = append(own, allocator.Pool{Services: p.Services, Capacity: p.Capacity})
			}
		}
		for _, p := range own {
			if i := sameServices(merged, &p); i >= 0 {
				merged[i].Capacity = max(merged[i].Capacity, p.Capacity)
			} else {
				merged = append(merged, p)
			}
		}
	}
	return merged
}

func sameServices(pools []allocator.Pool, p *allocator.Pool) int {
	return slices.IndexFunc(pools, func(o allocator.Pool) bool { return slices.Equal(o.Services, p.Services) })
}
