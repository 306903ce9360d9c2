package allocator

import (
	"cmp"
	"slices"
	"time"
)

// The ledger's decisions, pure. An adapter reads a RecordState in a SERIALIZABLE transaction, lets these functions decide,
// and writes what they say in the same transaction. All ledgers so share one rule; a ledger that answers the common case
// in a single statement must give the same answers, which the conformance suite checks.

// PersonDose names a person's one live booking of a programme and dose.
type PersonDose struct {
	Person    PersonKey
	Programme string
	Dose      int
}

// PersonDose is the booking's key of uniqueness; ok is false where it has none.
func (b *Booking) PersonDose() (PersonDose, bool) {
	return PersonDose{b.Person, b.Programme, b.Dose}, b.OnePerson && b.Person != PersonKey{}
}

// DayID names a site's day.
type DayID struct {
	Site SiteID
	Date Date
}

// RecordNeeds is what an adapter must read for a batch: rows under Keys; live rows that hold one of Persons; live rows of
// Slots; documents of Days; generation and time zone of Sites; epochs of Shards.
type RecordNeeds struct {
	Keys    []BookingKey
	Persons []PersonDose
	Slots   []SlotID
	Days    []DayID
	Sites   []SiteID
	Shards  []int
}

// NeedsOf collects what a batch touches, without repeats.
func NeedsOf(items []Recording) RecordNeeds {
	var n RecordNeeds
	for i := range items {
		for j := range items[i].Claims {
			c := &items[i].Claims[j]
			n.Keys = append(n.Keys, c.Key)
			n.Slots = append(n.Slots, c.Slot)
			n.Days = append(n.Days, DayID{c.Slot.Site, c.Date})
			n.Sites = append(n.Sites, c.Slot.Site)
			if p, ok := c.PersonDose(); ok {
				n.Persons = append(n.Persons, p)
			}
		}
		for _, e := range items[i].Pins {
			n.Shards = append(n.Shards, e.Shard)
		}
		if items[i].Replaces != 0 {
			n.Keys = append(n.Keys, items[i].Replaces)
		}
	}
	n.Keys = unique(n.Keys, cmp.Compare[BookingKey])
	n.Slots = unique(n.Slots, SlotID.Compare)
	n.Sites = unique(n.Sites, cmp.Compare[SiteID])
	n.Shards = unique(n.Shards, cmp.Compare[int])
	n.Days = unique(n.Days, func(a, b DayID) int {
		return cmp.Or(cmp.Compare(a.Site, b.Site), cmp.Compare(a.Date, b.Date))
	})
	n.Persons = unique(n.Persons, func(a, b PersonDose) int {
		return cmp.Or(slices.Compare(a.Person[:], b.Person[:]), cmp.Compare(a.Programme, b.Programme), cmp.Compare(a.Dose, b.Dose))
	})
	return n
}

func unique[T comparable](values []T, compare func(a, b T) int) []T {
	slices.SortFunc(values, compare)
	return slices.Compact(values)
}

// SiteFacts is what a record needs of a site. A site that is missing is unknown.
type SiteFacts struct {
	Generation int64
	Zone       *time.Location
}

// RecordState is what the ledger knows of what a batch touches. Decisions write into it, so that later items of the batch
// see what earlier ones did.
type RecordState struct {
	Rows    map[BookingKey]Booking
	Persons map[PersonDose]BookingKey
	Slots   map[SlotID][]Booking // live rows; see also LimitedDays
	Days    map[DayID]Day
	Sites   map[SiteID]SiteFacts
	Epochs  map[int]int64
	Now     time.Time // the ledger's clock
}

// RecordWrites is what an adapter must write for a batch, in one transaction and in this order: Update rows in place
// (status, version, reason, replaced by), which frees what they held; Insert rows, among them ended ones that a later item
// of the batch has moved already; raise the generation of a site by one for each time that it is listed; and append the
// events.
type RecordWrites struct {
	Insert []Booking
	Update []Booking
	Raise  []SiteID
	Events []Event
}

// DecideRecords decides a batch in order.
//
//  1. Rows under the request's own keys answer: void, or recorded before (by whichever grant).
//  2. A booking to be replaced must be live; it ends in the same transaction, so it takes up neither place nor person.
//  3. No person may have two live bookings of a programme and dose, where the service asks for it.
//  4. No place may have two live owners.
//  5. Unless each site's pin proves that the inventory had seen everything (epoch, generation and revisions equal to the
//     ledger's), the slot's live rows and the new ones must seat in the day's document, and the day's maxima have room
//     for them. A pin of another epoch or
//     generation, or none, raises the site's generation: the site rebuilds.
func DecideRecords(st *RecordState, items []Recording) (RecordWrites, []RecordResult) {
	var w RecordWrites
	results := make([]RecordResult, len(items))
	for i := range items {
		results[i] = st.decide(&items[i], &w)
	}
	return w, results
}

func (st *RecordState) decide(item *Recording, w *RecordWrites) RecordResult {
	if r, ok := st.ownRows(item.Claims); ok {
		return r
	}
	var replaced *Booking
	if item.Replaces != 0 {
		row, ok := st.Rows[item.Replaces]
		if !ok || !row.Status.MayFollow(StatusCancelled) {
			return RecordResult{Outcome: RecordReplace}
		}
		replaced = &row
	}
	if r, ok := st.conflict(item, replaced); ok {
		return r
	}
	fast, raise := st.proven(item)
	if !fast {
		if claim, ok := st.unseated(item, replaced); ok {
			return RecordResult{Outcome: RecordUnseated, Claim: claim}
		}
	}
	result := RecordResult{Outcome: Recorded, Raised: raise}
	for _, site := range raise {
		f := st.Sites[site]
		f.Generation++
		st.Sites[site] = f
		w.Raise = append(w.Raise, site)
	}
	if replaced != nil {
		st.end(replaced, item, w)
		result.Replaced = replaced
	}
	for _, c := range item.Claims {
		c.Status, c.Version, c.RecordedAt = StatusBooked, 1, st.Now
		st.insert(c)
		w.Insert = append(w.Insert, c)
		w.Events = append(w.Events, EventOf(EventBooked, &c, item.Actor, st.Now))
		result.Rows = append(result.Rows, c)
	}
	return result
}

// ownRows answers from rows that the request already has. All of its claims have one, or none has; where they are of other
// people, slots or services, the key was used for another request before.
func (st *RecordState) ownRows(claims []Booking) (RecordResult, bool) {
	var rows []Booking
	foreign := false
	for i := range claims {
		row, ok := st.Rows[claims[i].Key]
		if !ok {
			continue
		}
		if row.Status == StatusVoid {
			return RecordResult{Outcome: RecordVoid, Reason: Code(row.Reason)}, true
		}
		foreign = foreign || !row.Answers(&claims[i])
		rows = append(rows, row)
	}
	switch {
	case len(rows) == 0:
		return RecordResult{}, false
	case foreign || len(rows) != len(claims):
		return RecordResult{Outcome: RecordForeign}, true
	default:
		return RecordResult{Outcome: RecordedEver, Rows: rows}, true
	}
}

// conflict finds the first claim whose person or place is another live row's.
func (st *RecordState) conflict(item *Recording, replaced *Booking) (RecordResult, bool) {
	seen := make(map[PersonDose]bool)
	for i := range item.Claims {
		p, ok := item.Claims[i].PersonDose()
		if !ok {
			continue
		}
		owner, taken := st.Persons[p]
		if taken && (replaced == nil || owner != replaced.Key) || seen[p] {
			return RecordResult{Outcome: RecordPerson, Claim: i, AlreadyHas: owner}, true
		}
		seen[p] = true
	}
	for i := range item.Claims {
		if slices.ContainsFunc(item.Claims[:i], func(c Booking) bool { return c.Key == item.Claims[i].Key }) {
			return RecordResult{Outcome: RecordForeign, Claim: i}, true // two claims met in 60 bits: no row can be both
		}
		for _, row := range st.Slots[item.Claims[i].Slot] {
			if row.Place == item.Claims[i].Place && (replaced == nil || row.Key != replaced.Key) {
				return RecordResult{Outcome: RecordTaken, Claim: i, Taken: row.Hold, TakenFor: row.Service}, true
			}
		}
		for j := range i {
			if item.Claims[j].Slot == item.Claims[i].Slot && item.Claims[j].Place == item.Claims[i].Place {
				return RecordResult{Outcome: RecordTaken, Claim: i}, true
			}
		}
	}
	return RecordResult{}, false
}

// proven says whether the pins prove that the inventory granted on the ledger's present state, and which sites must be
// rebuilt because something is recorded past their inventory.
func (st *RecordState) proven(item *Recording) (fast bool, raise []SiteID) {
	fast = true
	covered := make(map[SiteID]*Evidence, len(item.Pins))
	for i := range item.Pins {
		e := &item.Pins[i]
		covered[e.Site] = e
		if !e.Pinned || e.Epoch != st.Epochs[e.Shard] || e.Generation != st.Sites[e.Site].Generation {
			fast = false
			raise = append(raise, e.Site)
		}
	}
	for i := range item.Claims {
		c := &item.Claims[i]
		e := covered[c.Slot.Site]
		if e == nil {
			fast = false
			if !slices.Contains(raise, c.Slot.Site) {
				raise = append(raise, c.Slot.Site)
			}
			continue
		}
		day := st.Days[DayID{c.Slot.Site, c.Date}]
		if e.Revisions[c.Date] != day.Revision || day.Revision == 0 {
			fast = false
		}
	}
	return fast, raise
}

// Proven says whether the pins of every item prove that the inventory granted on the ledger's present state, by Epochs,
// Sites and Days alone. A batch of which this is true needs no more of Slots than the rows at its claims' own places,
// and no more of Days than their revisions.
func (st *RecordState) Proven(items []Recording) bool {
	for i := range items {
		if fast, _ := st.proven(&items[i]); !fast {
			return false
		}
	}
	return true
}

// unseated finds a slot in which the new claims do not join the live rows.
func (st *RecordState) unseated(item *Recording, replaced *Booking) (claim int, found bool) {
	done := make(map[SlotID]bool)
	for i := range item.Claims {
		c := &item.Claims[i]
		site, known := st.Sites[c.Slot.Site]
		if !known {
			return i, true
		}
		day := st.Days[DayID{c.Slot.Site, c.Date}]
		if st.overLimit(item, c, &day, site.Zone, replaced) {
			return i, true
		}
		if done[c.Slot] {
			continue
		}
		done[c.Slot] = true
		slot, _ := day.Slot(c.Slot, site.Zone)
		live := Counts{}
		for _, row := range st.Slots[c.Slot] {
			if replaced == nil || row.Key != replaced.Key {
				live[row.Service]++
			}
		}
		var joining []ServiceCode
		for j := range item.Claims {
			if item.Claims[j].Slot == c.Slot {
				joining = append(joining, item.Claims[j].Service)
			}
		}
		if !Joins(slot.Pools, live, joining) {
			return i, true
		}
	}
	return 0, false
}

// end ends a booking that a move replaces.
func (st *RecordState) end(row *Booking, item *Recording, w *RecordWrites) {
	st.remove(row)
	row.Status, row.Version, row.Reason, row.ReplacedBy = StatusCancelled, row.Version+1, "moved", item.Claims[0].Key
	st.Rows[row.Key] = *row
	if i := slices.IndexFunc(w.Insert, func(b Booking) bool { return b.Key == row.Key }); i >= 0 {
		w.Insert[i] = *row
	} else {
		w.Update = append(w.Update, *row)
	}
	w.Events = append(w.Events, EventOf(EventMoved, row, item.Actor, st.Now))
}

func (st *RecordState) insert(c Booking) {
	st.Rows[c.Key] = c
	if !c.Status.Live() {
		return
	}
	st.Slots[c.Slot] = append(st.Slots[c.Slot], c)
	if p, ok := c.PersonDose(); ok {
		st.Persons[p] = c.Key
	}
}

func (st *RecordState) remove(row *Booking) {
	st.Slots[row.Slot] = slices.DeleteFunc(slices.Clone(st.Slots[row.Slot]), func(b Booking) bool { return b.Key == row.Key })
	if p, ok := row.PersonDose(); ok && st.Persons[p] == row.Key {
		delete(st.Persons, p)
	}
}

// EventOf describes a booking's transition.
func EventOf(kind EventType, b *Booking, actor string, at time.Time) Event {
	return Event{
		Type: kind, At: at, Actor: actor, Site: b.Slot.Site, Booking: b.Key, Slot: b.Slot, Service: b.Service,
		Person: b.Person, Status: b.Status, Version: b.Version, Reason: b.Reason, Date: b.Date,
	}
}

// DecideVoid decides whether a request can still be voided, given the rows under its keys: rows that are there answer,
// otherwise every claim gets a void row. Record and Void share their keys, so the first of them to commit wins.
func DecideVoid(rows map[BookingKey]Booking, item *Voiding, now time.Time) ([]Booking, RecordResult) {
	var found []Booking
	for i := range item.Claims {
		row, ok := rows[item.Claims[i].Key]
		if !ok {
			continue
		}
		if row.Status == StatusVoid {
			return nil, RecordResult{Outcome: RecordVoid, Reason: Code(row.Reason)}
		}
		found = append(found, row)
	}
	if len(found) > 0 {
		return nil, RecordResult{Outcome: RecordedEver, Rows: found}
	}
	inserts := make([]Booking, len(item.Claims))
	for i, c := range item.Claims {
		c.Status, c.Version, c.RecordedAt, c.Reason = StatusVoid, 1, now, string(item.Reason)
		c.Person, c.OnePerson, c.Sealed = PersonKey{}, false, nil
		inserts[i] = c
		rows[c.Key] = c
	}
	return inserts, RecordResult{Outcome: Voided, Reason: item.Reason}
}

// DecideTransition decides a change of status; changed is the row to write, nil where nothing is.
func DecideTransition(row *Booking, t *Transition, now time.Time) (changed *Booking, event Event, result TransitionResult) {
	if row == nil || row.Status == StatusVoid {
		return nil, Event{}, TransitionResult{}
	}
	if row.Status == t.To {
		return nil, Event{}, TransitionResult{Found: true, Booking: *row}
	}
	if !row.Status.MayFollow(t.To) {
		return nil, Event{}, TransitionResult{Found: true, Refused: true, Booking: *row}
	}
	next := *row
	next.Status, next.Version, next.Reason = t.To, row.Version+1, t.Reason
	kind := EventStatus
	if t.To == StatusCancelled {
		kind = EventCancelled
	}
	return &next, EventOf(kind, &next, t.Actor, now), TransitionResult{Found: true, Changed: true, Booking: next}
}
