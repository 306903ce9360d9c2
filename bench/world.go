package bench

import (
	"fmt"
	"time"

	"muster/allocator"
	"muster/bench/baseline"
	"muster/cmd/muster/sample"
)

// The one service and the slots of every site.
const (
	service     = "RSV:Adult"
	slotMinutes = 10
	firstSlot   = allocator.TimeOfDay(10 * 60)
)

// world is what every engine publishes before it is measured.
type world struct {
	date   allocator.Date
	spread []place // all slots of the real sites
	hot    []place // one large slot a repetition
	sites  []venue // of both
	starts []time.Time
}

// venue is a site and the capacity of each of its slots.
type venue struct {
	allocator.Site
	slots, capacity int
	first           place // the first of its slots
}

// place is a slot to be booked.
type place struct {
	site     allocator.SiteID
	start    string // as clients write it
	slot     allocator.SlotID
	capacity int
}

func newWorld(o Options) (*world, error) {
	sites, err := sample.Sites()
	if err != nil {
		return nil, err
	}
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		return nil, err
	}
	if o.Sites > len(sites) {
		return nil, fmt.Errorf("%d sites are asked for, and there are %d", o.Sites, len(sites))
	}
	w := &world{date: allocator.DateOf(time.Now().In(zone)) + 7}
	for i := range o.Slots {
		w.starts = append(w.starts, w.date.At(firstSlot+allocator.TimeOfDay(i*slotMinutes), zone).UTC())
	}
	for _, site := range sites[:o.Sites] {
		w.add(&w.spread, venue{Site: site, slots: o.Slots, capacity: o.Capacity})
	}
	for i := range o.Repetitions {
		site := sites[0]
		site.ID = allocator.SiteID(fmt.Sprintf("HOT%03d", i))
		w.add(&w.hot, venue{Site: site, slots: 1, capacity: o.HotCapacity})
	}
	return w, nil
}

func (w *world) add(to *[]place, v venue) {
	for _, start := range w.starts[:v.slots] {
		slot := allocator.SlotID{Site: v.ID, Start: allocator.MinuteOf(start), Length: slotMinutes}
		*to = append(*to, place{v.ID, start.Format(time.RFC3339), slot, v.capacity})
	}
	v.first = (*to)[len(*to)-v.slots]
	w.sites = append(w.sites, v)
}

// places are all slots there are.
func (w *world) places() []place { return append(w.spread[:len(w.spread):len(w.spread)], w.hot...) }

// rows are the slots as baselines keep them.
func (w *world) rows() []baseline.Slot {
	var rows []baseline.Slot
	for _, p := range w.places() {
		rows = append(rows, baseline.Slot{Site: string(p.site), Start: p.start, Capacity: p.capacity})
	}
	return rows
}

// nhsNumber makes a valid NHS number of a counter; ok is false for the one in eleven that has no check digit.
func nhsNumber(n int64) (number string, ok bool) {
	base := fmt.Sprintf("%09d", 400_000_000+n)
	sum := 0
	for i, digit := range base {
		sum += int(digit-'0') * (10 - i)
	}
	check := (11 - sum%11) % 11
	return fmt.Sprintf("%s%d", base, check), check < 10
}
