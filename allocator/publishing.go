package allocator

import (
	"cmp"
	"slices"
	"time"
)

// PublishState is what the ledger knows of a day that is to change, read in the transaction that changes it.
type PublishState struct {
	SiteKnown bool
	Suspended []Suspension // of the site
	Plan      int64        // version of the site's plan, where the change names one
	Current   Day
	Live      []Booking // every live row of the day
	Unknown   []ServiceCode
	Now       time.Time
}

// PublishWrites is what an adapter must write, in one transaction: the day's document with its revision, the bookings
// that were cancelled, and the events. Nil: nothing.
type PublishWrites struct {
	Day    Day
	Update []Booking
	Events []Event
}

// DecidePublish decides a change of capacity and what it does to the live bookings. A document equal to the current one
// changes nothing and keeps its revision, so that a repeated request is the same as one.
func DecidePublish(st *PublishState, change *DayChange) (*PublishWrites, PublishResult) {
	result := PublishResult{Revision: st.Current.Revision, Previous: st.Current, Current: st.Current}
	switch {
	case !st.SiteKnown:
		result.Outcome = PublishSiteUnknown
		return nil, result
	case change.IfMatch != nil && *change.IfMatch != st.Current.Revision, change.Plan != 0 && change.Plan != st.Plan:
		result.Outcome = PublishMismatch
		return nil, result
	case len(st.Unknown) > 0 && !change.Services:
		result.Outcome, result.Unknown = PublishServices, st.Unknown
		return nil, result
	}
	next := change.Day
	next.Revision = st.Current.Revision + 1
	next.Sessions = suspend(keep(st, change), st.Suspended, next.Date)
	unsupported := impact(st, change, &next, &result)
	same := sameSessions(st.Current.Sessions, next.Sessions)
	if change.Cancel {
		for _, b := range unsupported {
			if b.Status.MayFollow(StatusCancelled) {
				b.Status, b.Version, b.Reason, b.Unsupported = StatusCancelled, b.Version+1, "site", false
				result.Cancelled = append(result.Cancelled, b)
			}
		}
	}
	if same && len(result.Cancelled) == 0 {
		return nil, result
	}
	result.Revision, result.Current = next.Revision, next
	if change.DryRun {
		return nil, result
	}
	w := &PublishWrites{Day: next, Update: result.Cancelled}
	for _, code := range st.Unknown {
		w.Events = append(w.Events, ServiceEvent(code, 1, change.Actor, st.Now))
	}
	w.Events = append(w.Events, Event{
		Type: EventCapacity, At: st.Now, Actor: change.Actor, Site: next.Site, Date: next.Date, Revision: next.Revision,
	})
	for i := range result.Cancelled {
		w.Events = append(w.Events, EventOf(EventCancelled, &result.Cancelled[i], change.Actor, st.Now))
	}
	return w, result
}

// keep works out what each stopped session keeps: as many places of a slot as live bookings can sit in stopped sessions
// now, and never more than it kept before. So stopping one of two sessions leaves the other all of its places, and nothing
// booked later moves into the stopped one.
func keep(st *PublishState, change *DayChange) []Session {
	sessions := slices.Clone(change.Day.Sessions)
	if !slices.ContainsFunc(sessions, func(s Session) bool { return s.Stopped }) {
		return sessions
	}
	type seat struct {
		session int
		start   Minute
	}
	pools := make(map[SlotID][]Pool)
	owners := make(map[SlotID][]seat)
	for i := range sessions {
		s := &sessions[i]
		s.Kept = nil
		if !s.Stopped {
			continue
		}
		before := stoppedBefore(st.Current.Sessions, s)
		s.grid(change.Day.Date, change.Zone, func(start Minute) {
			id := SlotID{change.Day.Site, start, int16(s.SlotLength)}
			capacity := s.Capacity
			if before != nil {
				capacity = min(capacity, before.keeps(start))
			}
			pools[id] = append(pools[id], Pool{Services: s.Services, Capacity: capacity})
			owners[id] = append(owners[id], seat{i, start})
		})
	}
	for id, rows := range bySlot(st.Live) {
		t := newTable(pools[id], AccessStopped)
		for i := range rows {
			t.seat(rows[i].Service, 1)
		}
		for i, o := range owners[id] {
			if n := pools[id][i].Capacity - t.room[i]; n > 0 {
				sessions[o.session].Kept = append(sessions[o.session].Kept, KeptPlaces{o.start, n})
			}
		}
	}
	for i := range sessions {
		slices.SortFunc(sessions[i].Kept, func(a, b KeptPlaces) int { return cmp.Compare(a.Start, b.Start) })
	}
	return sessions
}

// stoppedBefore finds a session among earlier ones, where it was stopped already: by its id, or else by its times and
// services.
func stoppedBefore(earlier []Session, s *Session) *Session {
	for i := range earlier {
		e := &earlier[i]
		if e.Stopped && e.SlotLength == s.SlotLength && (s.ID != "" && e.ID == s.ID ||
			s.ID == e.ID && e.From == s.From && e.Until == s.Until && slices.Equal(e.Services, s.Services)) {
			return e
		}
	}
	return nil
}

// impact compares who has a seat before and after, and lists who has none after.
func impact(st *PublishState, change *DayChange, next *Day, result *PublishResult) (unsupported []Booking) {
	before, after := slotsByID(&st.Current, change.Zone), slotsByID(next, change.Zone)
	for id, s := range after {
		result.Added += max(0, s.places()-before[id].places())
	}
	for id, s := range before {
		result.Removed += max(0, s.places()-after[id].places())
	}
	for _, rows := range bySlot(st.Live) {
		was, is := supported(before[rows[0].Slot].Pools, rows), supported(after[rows[0].Slot].Pools, rows)
		for i := range rows {
			row := rows[i]
			row.Unsupported = !is[i]
			switch {
			case is[i] && !was[i]:
				result.NewlySupported = append(result.NewlySupported, row)
			case was[i] && !is[i]:
				result.NewlyUnsupported = append(result.NewlyUnsupported, row)
			}
			if is[i] {
				result.Supported++
			} else {
				unsupported = append(unsupported, row)
			}
		}
	}
	inOrder(result.NewlySupported)
	inOrder(result.NewlyUnsupported)
	inOrder(unsupported)
	return unsupported
}

func slotsByID(day *Day, zone *time.Location) map[SlotID]Slot {
	slots := make(map[SlotID]Slot)
	for _, s := range day.Slots(zone) {
		slots[s.ID] = s
	}
	return slots
}

// places is the slot's capacity that can keep bookings.
func (s Slot) places() (n int) {
	for _, p := range s.Pools {
		n += p.Capacity
	}
	return n
}

// bySlot groups live rows by slot, each group in the order of seating: older before newer.
func bySlot(rows []Booking) map[SlotID][]Booking {
	groups := make(map[SlotID][]Booking)
	for _, b := range rows {
		groups[b.Slot] = append(groups[b.Slot], b)
	}
	for _, g := range groups {
		inOrder(g)
	}
	return groups
}

// inOrder sorts rows older before newer; the key settles ties.
func inOrder(rows []Booking) {
	slices.SortFunc(rows, func(a, b Booking) int {
		return cmp.Or(a.RecordedAt.Compare(b.RecordedAt), cmp.Compare(a.Key, b.Key))
	})
}

// supported tells which rows, in their order, have a seat.
func supported(pools []Pool, rows []Booking) []bool {
	services := make([]ServiceCode, len(rows))
	for i := range rows {
		services[i] = rows[i].Service
	}
	return Seat(pools, services)
}

// MarkUnsupported sets Unsupported on live rows of one day by the day's document. Rows must be every live row of the
// slots in question; ended rows are left alone.
func MarkUnsupported(day *Day, zone *time.Location, rows []Booking) {
	slots := slotsByID(day, zone)
	var live []Booking
	for _, b := range rows {
		if b.Status.Live() {
			live = append(live, b)
		}
	}
	bad := make(map[BookingKey]bool)
	for _, group := range bySlot(live) {
		for i, ok := range supported(slots[group[0].Slot].Pools, group) {
			if !ok {
				bad[group[i].Key] = true
			}
		}
	}
	for i := range rows {
		rows[i].Unsupported = bad[rows[i].Key]
	}
}

func sameSessions(a, b []Session) bool {
	return slices.EqualFunc(a, b, func(x, y Session) bool {
		return x.ID == y.ID && x.From == y.From && x.Until == y.Until && x.SlotLength == y.SlotLength && x.Capacity == y.Capacity &&
			x.Stopped == y.Stopped && x.Invited == y.Invited && x.Maximum == y.Maximum && x.MaximumGroup == y.MaximumGroup && slices.Equal(x.Services, y.Services) && slices.Equal(x.Breaks, y.Breaks)
	})
}
