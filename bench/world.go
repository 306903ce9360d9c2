package bench

import (
	"fmt"
	"math/rand/v2"
	"time"

	"muster/allocator"
	"muster/bench/baseline"
	"muster/cmd/muster/sample"
)

// The one service and the slots of every site.
const (
	service     = "RSV:Adult"
	slotMinutes = 5
	firstSlot   = allocator.TimeOfDay(10 * 60)
	maxSlots    = 14 * 60 / slotMinutes // what is left of that day
	stormPlaces = 150
)

// world is what every engine publishes before it is measured.
type world struct {
	date   allocator.Date
	starts []start
	sites  []venue
	spread []venue // the real sites, with Slots each
	hot    []venue // one large slot a repetition
	storms []venue // one slot of 150 places a repetition
	byID   map[allocator.SiteID]*venue
}

// start is when a slot begins.
type start struct {
	text   string // as clients write it
	minute allocator.Minute
}

// venue is a site whose first so many slots have a capacity each.
type venue struct {
	allocator.Site
	slots, capacity int
	number          int // of its first slot, in a list of all slots
}

// place is a slot to be booked.
type place struct {
	site  allocator.SiteID
	start string
}

func newWorld(o Options) (*world, error) {
	sites, err := sitesOf(o.Sites)
	if err != nil {
		return nil, err
	}
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		return nil, err
	}
	w := &world{date: allocator.DateOf(time.Now().In(zone)) + 7}
	for i := range o.Slots {
		at := w.date.At(firstSlot+allocator.TimeOfDay(i*slotMinutes), zone).UTC()
		w.starts = append(w.starts, start{at.Format(time.RFC3339), allocator.MinuteOf(at)})
	}
	for _, site := range sites {
		w.sites = append(w.sites, venue{Site: site, slots: o.Slots, capacity: o.Capacity})
	}
	for _, large := range []struct {
		name     string
		capacity int
	}{{"HOT", o.HotCapacity}, {"STORM", stormPlaces}} {
		for i := range o.Repetitions {
			site := sites[0]
			site.ID = allocator.SiteID(fmt.Sprintf("%s%03d", large.name, i))
			w.sites = append(w.sites, venue{Site: site, slots: 1, capacity: large.capacity})
		}
	}
	n := len(sites)
	w.spread, w.hot, w.storms = w.sites[:n], w.sites[n:n+o.Repetitions], w.sites[n+o.Repetitions:]
	w.byID = make(map[allocator.SiteID]*venue, len(w.sites))
	next := 0
	for i := range w.sites {
		v := &w.sites[i]
		v.number = next
		next += v.slots
		w.byID[v.ID] = v
	}
	return w, nil
}

// sitesOf are the real sites, the first n of them; beyond their number, copies of them a few kilometres away.
func sitesOf(n int) ([]allocator.Site, error) {
	real, err := sample.Sites()
	if err != nil || n <= len(real) {
		return real[:min(n, len(real))], err
	}
	dice := rand.New(rand.NewPCG(1, uint64(n)))
	sites := make([]allocator.Site, n)
	for i := range sites {
		sites[i] = real[i%len(real)]
		if i >= len(real) {
			sites[i].ID = allocator.SiteID(fmt.Sprintf("X%06d", i))
			sites[i].Lat += dice.NormFloat64() * 0.05
			sites[i].Lon += dice.NormFloat64() * 0.08
		}
	}
	return sites, nil
}

// slot is the n-th slot of a venue.
func (w *world) slot(v *venue, n int) allocator.SlotID {
	return allocator.SlotID{Site: v.ID, Start: w.starts[n].minute, Length: slotMinutes}
}

// capacity is what was published of a slot; 0 where nothing was.
func (w *world) capacity(slot allocator.SlotID) int {
	v := w.byID[slot.Site]
	n := int(slot.Start-w.starts[0].minute) / slotMinutes
	if v == nil || n < 0 || n >= v.slots || w.slot(v, n) != slot {
		return 0
	}
	return v.capacity
}

// rows are the slots as baselines keep them; numbered finds a slot by its number in this list, from 1.
func (w *world) rows() (rows []baseline.Slot) {
	for i := range w.sites {
		v := &w.sites[i]
		for _, s := range w.starts[:v.slots] {
			rows = append(rows, baseline.Slot{Site: string(v.ID), Start: s.text, Capacity: v.capacity})
		}
	}
	return rows
}

func (w *world) numbered() (slots []allocator.SlotID) {
	for i := range w.sites {
		for n := range w.sites[i].slots {
			slots = append(slots, w.slot(&w.sites[i], n))
		}
	}
	return slots
}

// anyOf chooses among the slots of venues evenly.
func (w *world) anyOf(venues []venue) func() place {
	return func() place {
		v := &venues[rand.IntN(len(venues))]
		return place{v.ID, w.starts[rand.IntN(v.slots)].text}
	}
}
