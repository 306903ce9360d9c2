package allocator

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// SiteID names a site: 1 … 64 letters, digits, '-', '_' or '.'.
type SiteID string

// ServiceCode names a service, e.g. "RSV:Adult": 1 … 40 letters, digits, or one of ": _ + . -".
type ServiceCode string

// Site is a place with a location, a time zone and one publisher.
type Site struct {
	ID              SiteID
	Name            string
	Type            string
	AddressLines    []string
	Postcode        string
	Lat, Lon        float64 // degrees, WGS 84
	TimeZone        string  // IANA name
	ODSCode         string
	Region          string
	ICB             string
	Phone           string
	Accessibilities []string
	Information     string       // for citizens
	Offline         bool         // an offline site keeps its bookings, and takes and shows no new ones
	Suspended       []Suspension // by service; changed by Ledger.Suspend alone
	Publisher       string       // the organisation that may change its capacity
	Generation      int64        // raised when something was recorded past the inventory
	Version         int64        // raised by each change of these details
}

// Service is what is given and to whom.
type Service struct {
	Code         ServiceCode
	Name         string
	Programme    string // default: the code up to ':'
	Dose         int    // default 1
	OnePerPerson bool   // one live booking per person, programme and dose
	BookingOpens int64  // instant in milliseconds since 1970 before which nobody can book; 0: always open
	FirstDate    Date   // site-local; 0: none
	LastDate     Date   // site-local; 0: none
	MinLeadHours int    // hours between booking and start, at least
	WindowDays   int    // a start may lie at most so many times 24 hours ahead; default 365
	Eligibility  Eligibility
	Version      int64
}

// Eligibility limits a service by age on the day of the appointment, in completed years. Zero values do not limit.
type Eligibility struct {
	MinAge int
	MaxAge int
}

// Allows says whether a person born on the given date may have the service on the day of the appointment.
func (e Eligibility) Allows(born, day Date) bool {
	age := ageOn(born, day)
	return (e.MinAge == 0 || age >= e.MinAge) && (e.MaxAge == 0 || age <= e.MaxAge)
}

func ageOn(born, day Date) int {
	b, d := time.Unix(int64(born)*86_400, 0).UTC(), time.Unix(int64(day)*86_400, 0).UTC()
	age := d.Year() - b.Year()
	if d.Month() < b.Month() || d.Month() == b.Month() && d.Day() < b.Day() {
		age--
	}
	return age
}

// DefaultService is what an unknown code stands for under --dev.
func DefaultService(code ServiceCode) Service {
	programme, _, _ := strings.Cut(string(code), ":")
	return Service{Code: code, Name: string(code), Programme: programme, Dose: 1, OnePerPerson: true, WindowDays: 365}
}

// Access says who may take a place of a session. A claim of one access may use places of that access and of every
// lower one.
type Access int8

const (
	AccessPublic  Access = iota // anyone
	AccessInvited               // people who were invited, and staff
	AccessStopped               // nobody new: the session keeps what it has
)

// Break is a pause within a session, site-local.
type Break struct{ From, Until TimeOfDay }

// Session is published capacity of one site on one date.
type Session struct {
	ID           string
	From         TimeOfDay
	Until        TimeOfDay
	SlotLength   int // minutes
	Capacity     int // places per slot
	Services     []ServiceCode
	Breaks       []Break
	Stopped      bool
	Invited      bool
	Kept         []KeptPlaces  // of a stopped session: what it had when it was stopped. Set by DecidePublish, never by publishers
	Maximum      int           // of live claims in all its slots together; 0: as many as have a place
	MaximumGroup string        // sessions of a day with the same one have one Maximum together; "": this session alone
	Suspended    []ServiceCode // by code: those of its services that the site has suspended. Set by ledgers, never by publishers
}

// KeptPlaces is how many places of one slot a stopped session keeps.
type KeptPlaces struct {
	Start  Minute `json:"start"`
	Places int    `json:"places"`
}

// keeps is how many places of one of its slots a stopped session keeps; an open one has no need to.
func (s Session) keeps(start Minute) int {
	for _, k := range s.Kept {
		if k.Start == start {
			return min(k.Places, s.Capacity)
		}
	}
	return 0
}

func (s Session) access() Access {
	switch {
	case s.Stopped:
		return AccessStopped
	case s.Invited:
		return AccessInvited
	default:
		return AccessPublic
	}
}

// Day is a site's day: one versioned document. A day that was never published has revision 0 and no sessions.
type Day struct {
	Site     SiteID
	Date     Date
	Revision int64
	Sessions []Session
}

// SlotID is one (site, start, length); all sessions of the site that offer that start and length add up in it.
type SlotID struct {
	Site   SiteID
	Start  Minute
	Length int16 // minutes
}

// Compare orders slots by site, start and length.
func (s SlotID) Compare(o SlotID) int {
	if c := strings.Compare(string(s.Site), string(o.Site)); c != 0 {
		return c
	}
	if s.Start != o.Start {
		return int(min(1, max(-1, int64(s.Start-o.Start))))
	}
	return int(s.Length) - int(o.Length)
}

// Slot is a slot with its pools.
type Slot struct {
	ID    SlotID
	Pools []Pool
}

// Pool is the places of one slot that share one set of services and one access.
type Pool struct {
	Services []ServiceCode // sorted, no repeats
	Capacity int
	Access   Access
	Kept     int // of a stopped pool: places that new claims may count on, by moving older ones there

	Suspended []ServiceCode // services whose claims may sit here, but of which there shall be no new ones
}

// Offers says whether the pool's places may be used by the service.
func (p Pool) Offers(service ServiceCode) bool { return slices.Contains(p.Services, service) }

// takes says whether the pool may be granted to a new claim of the service with the given access.
func (p Pool) takes(service ServiceCode, access Access) bool {
	return p.Access <= access && p.Access != AccessStopped && p.Offers(service) && !slices.Contains(p.Suspended, service)
}

// mostSlots is no less than the number of the session's slots on a day without a change of the clock.
func (s *Session) mostSlots() int {
	return max(0, int(s.Until-s.From)/max(1, int(s.SlotLength)))
}

// grid calls visit with each start of the session's slots. Slots follow each other in elapsed time from the session's
// first instant, so a day of 23 or 25 hours has as many slots as it has time for; a slot that touches a break is left out.
func (s Session) grid(date Date, zone *time.Location, visit func(start Minute)) {
	from, until := MinuteOf(date.At(s.From, zone)), MinuteOf(endOf(date, s.Until, zone))
	type span struct{ from, until Minute }
	breaks := make([]span, 0, len(s.Breaks))
	for _, b := range s.Breaks {
		breaks = append(breaks, span{MinuteOf(date.At(b.From, zone)), MinuteOf(endOf(date, b.Until, zone))})
	}
	length := Minute(s.SlotLength)
	for start := from; start+length <= until; start += length {
		if !slices.ContainsFunc(breaks, func(b span) bool { return start < b.until && b.from < start+length }) {
			visit(start)
		}
	}
}

// endOf is the instant at which a wall time of the date comes; 24:00 is the next day's first instant.
func endOf(date Date, of TimeOfDay, zone *time.Location) time.Time {
	if of >= 24*60 {
		return (date + 1).Begins(zone)
	}
	return date.At(of, zone)
}

// Slots lists the day's slots by start and length, with their pools in a fixed order: fewest services first, then by
// name, then by access. Slots with equal pools share one slice of them.
func (d Day) Slots(zone *time.Location) []Slot {
	// A server does this for each day that it is first asked about, so it makes few objects, however many slots a day has.
	type place struct {
		start   Minute
		length  int16
		session int
	}
	total := 0
	for i := range d.Sessions {
		total += d.Sessions[i].mostSlots()
	}
	places, services := make([]place, 0, total), make([][]ServiceCode, len(d.Sessions))
	for i, s := range d.Sessions {
		services[i] = slices.Clone(s.Services)
		slices.Sort(services[i])
		services[i] = slices.Compact(services[i])
		s.grid(d.Date, zone, func(start Minute) { places = append(places, place{start, int16(s.SlotLength), i}) })
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.length, b.length), cmp.Compare(a.session, b.session))
	})
	var slots []Slot
	var distinct [][]Pool
	pools := make([]Pool, 0, len(d.Sessions)) // of the slot that is being put together
	for i, at := range places {
		s := &d.Sessions[at.session]
		pools = addPool(pools, Pool{Services: services[at.session], Capacity: s.Capacity, Access: s.access(), Kept: s.keeps(at.start), Suspended: s.Suspended})
		if next := i + 1; next < len(places) && places[next].start == at.start && places[next].length == at.length {
			continue
		}
		slices.SortFunc(pools, comparePools)
		if slots == nil {
			slots = make([]Slot, 0, len(places))
		}
		slots = append(slots, Slot{ID: SlotID{Site: d.Site, Start: at.start, Length: at.length}, Pools: intern(&distinct, pools)})
		pools = pools[:0]
	}
	return slots
}

// intern gives equal lists of pools one slice, a copy: a day has few kinds of slots, and what is worked out of one serves all.
func intern(distinct *[][]Pool, pools []Pool) []Pool {
	for _, known := range *distinct {
		if slices.EqualFunc(known, pools, func(a, b Pool) bool {
			return comparePools(a, b) == 0 && a.Capacity == b.Capacity && a.Kept == b.Kept && slices.Equal(a.Suspended, b.Suspended)
		}) {
			return known
		}
	}
	pools = slices.Clone(pools)
	*distinct = append(*distinct, pools)
	return pools
}

// Slot finds one slot of the day.
func (d Day) Slot(id SlotID, zone *time.Location) (Slot, bool) {
	slots := d.Slots(zone)
	i, ok := slices.BinarySearchFunc(slots, id, func(s Slot, id SlotID) int { return s.ID.Compare(id) })
	if !ok {
		return Slot{ID: id}, false
	}
	return slots[i], true
}

// addPool puts a pool to others of a slot: those of one access and of the same services are one.
func addPool(pools []Pool, p Pool) []Pool {
	for i := range pools {
		if pools[i].Access == p.Access && slices.Equal(pools[i].Services, p.Services) {
			pools[i].Capacity += p.Capacity
			pools[i].Kept += p.Kept
			return pools
		}
	}
	return append(pools, p)
}

func comparePools(a, b Pool) int {
	if len(a.Services) != len(b.Services) {
		return len(a.Services) - len(b.Services)
	}
	if c := slices.Compare(a.Services, b.Services); c != 0 {
		return c
	}
	return int(a.Access) - int(b.Access)
}

// Fault is one thing wrong with a document: where (a JSON pointer) and what.
type Fault struct {
	Pointer string
	Detail  string
}

// Validate lists every fault of the day's document, against the bounds of limits.go. It does not know which services
// exist; the ledger refuses unknown ones.
func (d Day) Validate(zone *time.Location) []Fault {
	var faults []Fault
	add := func(pointer, format string, args ...any) {
		faults = append(faults, Fault{pointer, fmt.Sprintf(format, args...)})
	}
	if len(d.Sessions) > MaxSessionsPerDay {
		add("/sessions", "at most %d sessions a day", MaxSessionsPerDay)
		return faults
	}
	ids := make(map[string]bool)
	for i, s := range d.Sessions {
		at := fmt.Sprintf("/sessions/%d", i)
		s.validate(at, add)
		if s.ID != "" && ids[s.ID] {
			add(at+"/id", "another session of the day has this id")
		}
		ids[s.ID] = true
	}
	d.validateMaxima(add)
	if len(faults) == 0 {
		d.validateSlots(zone, add)
	}
	return faults
}

func (s Session) validate(at string, add func(pointer, format string, args ...any)) {
	if s.SlotLength < MinSlotMinutes || s.SlotLength > MaxSlotMinutes {
		add(at+"/slotLength", "must be %d to %d minutes", MinSlotMinutes, MaxSlotMinutes)
	}
	if s.Until <= s.From {
		add(at+"/until", "must be after from; a session ends on the day it starts")
	} else if s.SlotLength > 0 && int(s.Until-s.From) < s.SlotLength {
		add(at+"/slotLength", "is longer than the session")
	}
	if s.Capacity < 1 || s.Capacity > MaxSessionCapacity {
		add(at+"/capacity", "must be 1 to %d; leave a session out, or stop it, where there is none", MaxSessionCapacity)
	}
	if len(s.Services) == 0 || len(s.Services) > MaxServicesPerSession {
		add(at+"/services", "must name 1 to %d services", MaxServicesPerSession)
	}
	for j, code := range s.Services {
		if !code.Valid() {
			add(fmt.Sprintf("%s/services/%d", at, j), "is not a service code")
		}
		if slices.Contains(s.Services[:j], code) {
			add(fmt.Sprintf("%s/services/%d", at, j), "is named twice")
		}
	}
	if len(s.ID) > MaxNameBytes {
		add(at+"/id", "is longer than %d bytes", MaxNameBytes)
	}
	if len(s.Breaks) > MaxBreaksPerSession {
		add(at+"/breaks", "at most %d breaks", MaxBreaksPerSession)
	}
	for j, b := range s.Breaks {
		if b.Until <= b.From || b.From < s.From || b.Until > s.Until {
			add(fmt.Sprintf("%s/breaks/%d", at, j), "must lie within the session and end after it starts")
		}
	}
}

func (d Day) validateSlots(zone *time.Location, add func(pointer, format string, args ...any)) {
	slots := d.Slots(zone)
	if len(slots) == 0 && len(d.Sessions) > 0 {
		add("/sessions", "no slot is left of these sessions on this date")
	}
	if len(slots) > MaxSlotsPerDay {
		add("/sessions", "make %d slots, more than %d", len(slots), MaxSlotsPerDay)
		return
	}
	for _, s := range slots {
		total := 0
		for _, p := range s.Pools {
			total += p.Capacity
		}
		if total > MaxSlotCapacity {
			add("/sessions", "give the slot at %s %d places, more than %d", s.ID.Start.Time().In(zone).Format("15:04"), total, MaxSlotCapacity)
			return
		}
		if len(s.Pools) > MaxPoolsPerSlot {
			add("/sessions", "give the slot at %s %d different sets of services, more than %d", s.ID.Start.Time().In(zone).Format("15:04"), len(s.Pools), MaxPoolsPerSlot)
			return
		}
	}
}

// Valid says whether the code has the form of a service code.
func (c ServiceCode) Valid() bool {
	return len(c) >= 1 && len(c) <= 40 && strings.IndexFunc(string(c), func(r rune) bool {
		return !alphanumeric(r) && !strings.ContainsRune(":_+.-", r)
	}) < 0
}

// Valid says whether the id has the form of a site id.
func (s SiteID) Valid() bool {
	return len(s) >= 1 && len(s) <= 64 && strings.IndexFunc(string(s), func(r rune) bool {
		return !alphanumeric(r) && !strings.ContainsRune("-_.", r)
	}) < 0
}

func alphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}
