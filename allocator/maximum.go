package allocator

import (
	"fmt"
	"slices"
	"time"
)

// A session, or several of a day together, may take no more than so many bookings although each slot has room for more: a
// pharmacy has one box of forty vials, and is open from nine to five. Who has a place there counts, hold or booking, supported or
// not. Sessions that offer a service at the same time have the same maximum or none (Day.Validate), so that a claim's service and
// start tell which maximum it counts for. What can be seated under the maxima is so a matroid again, the seating of the slots cut off
// at a number of claims, and the rule of allocation stays what it is: a claim joins where it can sit and its maximum has room.
//
// Like the bounds, the limit follows from the day's document: a hold carries it to the inventory together with the revision, and
// the inventory counts the claims of the slots concerned, which are all of one site and so of one shard.

// Limit is how many claims of some services a site takes at starts within some spans, at whatever slots.
type Limit struct {
	Services []ServiceCode // sorted, no repeats
	Places   int
	Spans    []Span
}

// maxLimitServices bounds the services that sessions of one maximum name together, repeats included.
const maxLimitServices = 250

// Span is a time: From belongs to it, Until does not.
type Span struct{ From, Until Minute }

// Covers says whether a claim of a service at a slot with that start counts.
func (l *Limit) Covers(start Minute, service ServiceCode) bool {
	return slices.Contains(l.Services, service) &&
		slices.ContainsFunc(l.Spans, func(s Span) bool { return s.From <= start && start < s.Until })
}

// Claims counts those of a slot's claims that the limit is about.
func (l *Limit) Claims(start Minute, counts Counts) (n int) {
	for _, service := range l.Services {
		if counts[service] > 0 && l.Covers(start, service) {
			n += counts[service]
		}
	}
	return n
}

// Limited says whether a session of the day has a maximum.
func (d *Day) Limited() bool {
	return slices.ContainsFunc(d.Sessions, func(s Session) bool { return s.Maximum > 0 })
}

// Limits lists the day's maxima in the order of their first sessions.
func (d *Day) Limits(zone *time.Location) []Limit {
	var limits []Limit
	groups := make(map[string]int)
	for _, s := range d.Sessions {
		if s.Maximum == 0 {
			continue
		}
		i, shared := groups[s.MaximumGroup]
		if !shared || s.MaximumGroup == "" {
			i = len(limits)
			groups[s.MaximumGroup] = i
			limits = append(limits, Limit{Places: s.Maximum})
		}
		l := &limits[i]
		l.Spans = append(l.Spans, Span{MinuteOf(d.Date.At(s.From, zone)), MinuteOf(endOf(d.Date, s.Until, zone))})
		l.Services = append(l.Services, s.Services...)
		slices.Sort(l.Services)
		l.Services = slices.Compact(l.Services)
	}
	return limits
}

// limitOf finds the limit that a claim counts for; nil: none.
func limitOf(limits []Limit, start Minute, service ServiceCode) *Limit {
	for i := range limits {
		if limits[i].Covers(start, service) {
			return &limits[i]
		}
	}
	return nil
}

// leftOf tells how many further claims each limit takes when a site is used so much.
func leftOf(limits []Limit, usage map[slotKey]Counts) map[*Limit]int {
	left := make(map[*Limit]int, len(limits))
	for i := range limits {
		l := &limits[i]
		n := l.Places
		for key, counts := range usage {
			n -= l.Claims(key.start, counts)
		}
		left[l] = max(0, n)
	}
	return left
}

// validateMaxima checks that it is clear which maximum a claim counts for.
func (d Day) validateMaxima(add func(pointer, format string, args ...any)) {
	services := make(map[string]int)
	for i, s := range d.Sessions {
		at := fmt.Sprintf("/sessions/%d", i)
		if s.MaximumGroup != "" {
			services[s.MaximumGroup] += len(s.Services)
		}
		switch {
		case services[s.MaximumGroup] > maxLimitServices:
			add(at+"/maximumGroup", "has sessions of more than %d services together", maxLimitServices)
		case s.Maximum < 0 || s.Maximum > MaxSlotCapacity:
			add(at+"/maximum", "must be 1 to %d", MaxSlotCapacity)
		case s.MaximumGroup != "" && s.Maximum == 0:
			add(at+"/maximumGroup", "is of no use without a maximum")
		case len(s.MaximumGroup) > MaxNameBytes:
			add(at+"/maximumGroup", "is longer than %d bytes", MaxNameBytes)
		}
		for _, o := range d.Sessions[:i] {
			same := s.MaximumGroup != "" && s.MaximumGroup == o.MaximumGroup
			switch {
			case same && s.Maximum != o.Maximum:
				add(at+"/maximum", "differs from that of another session of the same maximumGroup")
			case !same && (s.Maximum > 0 || o.Maximum > 0) && s.From < o.Until && o.From < s.Until &&
				slices.ContainsFunc(s.Services, func(code ServiceCode) bool { return slices.Contains(o.Services, code) }):
				add(at+"/maximum", "another session offers one of the services at the same time: give both the same maximum and maximumGroup")
			}
		}
	}
}

// LimitedDays lists the days of a batch whose documents have a maximum. An adapter reads all their live rows into Slots,
// where the pins do not prove the batch.
func (st *RecordState) LimitedDays() (days []DayID) {
	for id, day := range st.Days {
		if day.Limited() {
			days = append(days, id)
		}
	}
	return days
}

// overLimit says whether the new claims that count for the same limit as one of them are too many for it.
func (st *RecordState) overLimit(item *Recording, claim *Booking, day *Day, zone *time.Location, replaced *Booking) bool {
	limit := limitOf(day.Limits(zone), claim.Slot.Start, claim.Service)
	if limit == nil {
		return false
	}
	n := 0
	count := func(b *Booking) {
		if b.Slot.Site == claim.Slot.Site && limit.Covers(b.Slot.Start, b.Service) {
			n++
		}
	}
	for _, rows := range st.Slots {
		for i := range rows {
			if replaced == nil || rows[i].Key != replaced.Key {
				count(&rows[i])
			}
		}
	}
	for i := range item.Claims {
		count(&item.Claims[i])
	}
	return n > limit.Places
}
