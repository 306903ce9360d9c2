package api

import (
	"context"
	"slices"
	"strings"
	"time"

	"muster/allocator"
	"muster/api/fhir"
)

// maxOffers bounds the services at sites that one search looks at.
const maxOffers = 64

// fhirInclude are the spellings of _include: what includes bring in is always followed on.
var fhirInclude = []string{"_include", "_include:iterate", "_include:recurse"}

// named is a filter of a search by reference: what it is called, and which type it names.
type named struct{ name, resource string }

var (
	slotFilters = []named{
		{"schedule", "Schedule"}, {"schedule.actor:HealthcareService", "HealthcareService"}, {"Schedule.actor:HealthcareService", "HealthcareService"},
		{"schedule.actor:Location", "Location"}, {"Schedule.actor:Location", "Location"},
	}
	scheduleFilters = []named{{"_id", "Schedule"}, {"actor:HealthcareService", "HealthcareService"}, {"actor:Location", "Location"}}
	slotStatuses    = []string{"free", "busy", "busy-unavailable", "busy-tentative", "entered-in-error"}
)

func searchNamesOf(filters []named, more ...string) []string {
	names := append(slices.Clone(fhirInclude), "_count", "_after", "service-type")
	for _, f := range filters {
		names = append(names, f.name)
	}
	return append(names, more...)
}

var (
	slotNames     = searchNamesOf(slotFilters, "status", "start")
	scheduleNames = searchNamesOf(scheduleFilters)
)

// includes reads what is to be brought in.
func (q *fhirParams) includes(resource string, lenient bool) map[string]bool {
	wanted := map[string]bool{}
	for _, name := range fhirInclude {
		for _, text := range q.values[name] {
			i := slices.IndexFunc(fhir.Includes[resource], func(known string) bool { return strings.EqualFold(known, text) })
			switch {
			case i >= 0:
				wanted[fhir.Includes[resource][i]] = true
			case lenient:
				q.ignored = append(q.ignored, name)
			default:
				q.d.fault(q.at(name), "must be one of: %s", strings.Join(fhir.Includes[resource], ", "))
			}
		}
	}
	return wanted
}

// offers finds the services at sites that all filters name; located says whether a whole site was asked for.
func (q *fhirParams) offers(l *fhirLookup, filters []named) (offers []fhir.Offer, err error) {
	filtered := false
	for _, f := range filters {
		for _, ids := range q.ids(f.name, f.resource, l.base) {
			found, err := l.named(f.resource, ids)
			if err != nil {
				return nil, err
			}
			if filtered {
				found = slices.DeleteFunc(found, func(o fhir.Offer) bool { return !slices.Contains(offers, o) })
			}
			offers, filtered = found, true
		}
	}
	if !filtered {
		q.d.fault(q.at(filters[0].name), "is required, or another parameter that names a HealthcareService or a Location")
	}
	if codes, given := q.codes("service-type", fhir.SystemService); given {
		offers = slices.DeleteFunc(offers, func(o fhir.Offer) bool { return !slices.Contains(codes, string(o.Service)) })
	}
	if len(offers) > maxOffers {
		return nil, refuseWith(422, "the search looks at more than "+itoa(maxOffers)+" services at sites; name fewer")
	}
	return offers, q.d.fail()
}

// named finds the offers of resources of one type, each once.
func (l *fhirLookup) named(resource string, ids []string) (offers []fhir.Offer, err error) {
	for _, id := range ids {
		more, err := l.namedOne(resource, id)
		if err != nil {
			return nil, err
		}
		for _, o := range more {
			if !slices.Contains(offers, o) {
				offers = append(offers, o)
			}
		}
		if len(offers) > 16*maxOffers {
			return nil, refuseWith(422, "the search names too many services at sites")
		}
	}
	return offers, nil
}

func (l *fhirLookup) namedOne(resource, id string) ([]fhir.Offer, error) {
	if resource == "Location" {
		site, ok := fhir.ParseLocationID(id)
		if !ok {
			return nil, errFHIRSite
		}
		return l.offersAt(site)
	}
	o, ok := fhir.ParseOffer(id)
	if !ok {
		return nil, errFHIROffer
	}
	_, _, err := l.offer(o)
	return []fhir.Offer{o}, err
}

var (
	errFHIRSite  = allocator.Refuse(allocator.CodeSiteUnknown, "no Location has this id")
	errFHIROffer = allocator.Refuse(allocator.CodeServiceUnknown, "no HealthcareService or Schedule has this id")
	errFHIRSlot  = allocator.Refuse(allocator.CodeSlotUnknown, "no Slot has this id")
)

// starts reads the bounds of starts. Dates without an offset are those of the zone.
func (q *fhirParams) starts(name string, zone *time.Location) (within fhir.Range) {
	for _, text := range q.values[name] {
		if err := within.Narrow(strings.ReplaceAll(text, " ", "+"), zone); err != nil { // a + that was not encoded
			q.d.fault(q.at(name), "%s", err)
		}
	}
	return within
}

func (s *Server) fhirSearchSlots(ctx context.Context, x *exchange) (reply, error) {
	q, err := x.fhirQuery(slotNames...)
	if err != nil {
		return reply{}, err
	}
	l := s.fhirLookup(ctx, x)
	wanted, count := q.includes("Slot", x.prefersLenient()), q.count()
	statuses, given := q.codes("status", "http://hl7.org/fhir/slotstatus")
	for _, status := range statuses {
		if !slices.Contains(slotStatuses, status) {
			q.d.fault(q.at("status"), "must be of: %s", strings.Join(slotStatuses, ", "))
		}
	}
	q.starts("start", time.UTC)
	offers, err := q.offers(l, slotFilters)
	if err != nil {
		return reply{}, err
	}
	var slots []foundSlot
	var asOf time.Time
	if !given || slices.Contains(statuses, "free") {
		if slots, asOf, err = q.freeSlots(l, offers); err != nil {
			return reply{}, err
		}
	}
	b := fhir.NewBundle(asOf)
	page := pageOf(&q, b, l.base+"/Slot", slots, count, q.slotsAfter(slots), func(f foundSlot) string { return f.id })
	if err := l.addSlots(b, page, wanted); err != nil {
		return reply{}, err
	}
	if given && (len(statuses) > 1 || !slices.Contains(statuses, "free")) {
		b.Tell("information", "informational", "only free slots are kept track of: others are not listed")
	}
	l.tellOmitted(b)
	q.tell(b)
	return reply{body: b}, q.d.fail()
}

// freeSlots gathers the free slots of all offers, in order.
func (q *fhirParams) freeSlots(l *fhirLookup, offers []fhir.Offer) (slots []foundSlot, asOf time.Time, err error) {
	for _, o := range offers {
		site, err := l.site(o.Site)
		if err != nil {
			return nil, asOf, err
		}
		more, at, err := l.free(o, q.starts("start", l.zone(site)))
		if err != nil {
			return nil, asOf, err
		}
		slots = append(slots, more...)
		if asOf.IsZero() || !at.IsZero() && at.Before(asOf) {
			asOf = at
		}
	}
	slices.SortFunc(slots, func(a, b foundSlot) int { return a.compare(&b) })
	return slots, asOf, nil
}

// pageOf picks of all that was found what a page shows, and links to it and to the next one. Pages go on after an item, which
// after finds by its id, so that what is taken or given back meanwhile neither repeats nor hides another.
func pageOf[T any](q *fhirParams, b *fhir.Bundle, address string, found []T, count int, after func(id string) int, id func(T) string) []T {
	total := len(found)
	b.Total = &total
	if last := q.one("_after"); last != "" {
		found = found[after(last):]
	}
	b.Link = append(b.Link, fhir.Link{Relation: "self", URL: q.link(address, "", "")})
	if len(found) > count {
		if found = found[:count]; count > 0 {
			b.Link = append(b.Link, fhir.Link{Relation: "next", URL: q.link(address, "_after", id(found[count-1]))})
		}
	}
	return found
}

// slotsAfter finds where a page of slots goes on after a slot, which need not be free any more.
func (q *fhirParams) slotsAfter(slots []foundSlot) (after func(id string) int) {
	return func(id string) int {
		p, ok := fhir.ParsePlace(id)
		if !ok {
			q.d.fault(q.at("_after"), "is not from a link")
		}
		last := foundSlot{Place: p, id: id}
		i, found := slices.BinarySearchFunc(slots, last, func(s, t foundSlot) int { return s.compare(&t) })
		if found {
			i++
		}
		return i
	}
}

// addSlots writes a page with what it is to bring in.
func (l *fhirLookup) addSlots(b *fhir.Bundle, slots []foundSlot, wanted map[string]bool) error {
	var offers []fhir.Offer
	for _, f := range slots {
		site, service, err := l.offer(f.Offer)
		if err != nil {
			return err
		}
		b.Add(l.base, "Slot", f.id, "match", fhir.SlotOf(f.Place, service.Name, f.free, l.zone(site)))
		if !slices.Contains(offers, f.Offer) {
			offers = append(offers, f.Offer)
		}
	}
	if !wanted["Slot:schedule"] {
		return nil
	}
	return l.include(b, offers, wanted, true)
}

func (s *Server) fhirSearchSchedules(ctx context.Context, x *exchange) (reply, error) {
	q, err := x.fhirQuery(scheduleNames...)
	if err != nil {
		return reply{}, err
	}
	l := s.fhirLookup(ctx, x)
	wanted, count := q.includes("Schedule", x.prefersLenient()), q.count()
	offers, err := q.offers(l, scheduleFilters)
	if err != nil {
		return reply{}, err
	}
	if len(q.values["actor:Location"]) > 0 {
		if offers, err = l.withFree(offers); err != nil {
			return reply{}, err
		}
	}
	b := fhir.NewBundle(time.Time{})
	page := pageOf(&q, b, l.base+"/Schedule", offers, count, offersAfter(offers), fhir.Offer.ID)
	for _, o := range page {
		site, service, err := l.offer(o)
		if err != nil {
			return reply{}, err
		}
		b.Add(l.base, "Schedule", o.ID(), "match", fhir.ScheduleOf(site, service))
	}
	if err := l.include(b, page, wanted, false); err != nil {
		return reply{}, err
	}
	l.tellOmitted(b)
	q.tell(b)
	return reply{body: b}, q.d.fail()
}

// withFree keeps the offers that have something free: a catalogue has services that a site never gives.
func (l *fhirLookup) withFree(offers []fhir.Offer) (with []fhir.Offer, err error) {
	for _, o := range offers {
		slots, _, err := l.free(o, fhir.Range{})
		if err != nil {
			return nil, err
		}
		if len(slots) > 0 {
			with = append(with, o)
		}
	}
	return with, nil
}

// offersAfter puts offers in the order of their ids, and finds where a page goes on after one.
func offersAfter(offers []fhir.Offer) (after func(id string) int) {
	slices.SortFunc(offers, func(a, b fhir.Offer) int { return strings.Compare(a.ID(), b.ID()) })
	return func(id string) int {
		i := slices.IndexFunc(offers, func(o fhir.Offer) bool { return o.ID() > id })
		if i < 0 {
			return len(offers)
		}
		return i
	}
}

func (s *Server) fhirReadSlot(ctx context.Context, x *exchange) (reply, error) {
	p, ok := fhir.ParsePlace(x.param("id"))
	if err := x.noQuery(); err != nil || !ok {
		return reply{}, orElse(err, errFHIRSlot)
	}
	l := s.fhirLookup(ctx, x)
	f, err := l.place(p)
	if err != nil {
		return reply{}, err
	}
	site, service, err := l.offer(p.Offer)
	if err != nil {
		return reply{}, err
	}
	return reply{body: fhir.SlotOf(p, service.Name, f.free, l.zone(site))}, nil
}

// place looks at one slot; without anything free where it is full, or was never offered.
func (l *fhirLookup) place(p fhir.Place) (foundSlot, error) {
	start := p.Start.Time()
	slots, _, err := l.free(p.Offer, fhir.Range{Low: start, High: start.Add(time.Minute)})
	i := slices.IndexFunc(slots, func(f foundSlot) bool { return f.Place == p })
	if err != nil || i < 0 {
		return foundSlot{Place: p}, err
	}
	return slots[i], nil
}

func orElse(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// readOffer finds the offer of the path.
func (s *Server) readOffer(ctx context.Context, x *exchange) (*allocator.Site, *allocator.Service, error) {
	o, ok := fhir.ParseOffer(x.param("id"))
	if err := x.noQuery(); err != nil || !ok {
		return nil, nil, orElse(err, errFHIROffer)
	}
	return s.fhirLookup(ctx, x).offer(o)
}

func (s *Server) fhirReadSchedule(ctx context.Context, x *exchange) (reply, error) {
	site, service, err := s.readOffer(ctx, x)
	if err != nil {
		return reply{}, err
	}
	return reply{body: fhir.ScheduleOf(site, service)}, nil
}

func (s *Server) fhirReadHealthcareService(ctx context.Context, x *exchange) (reply, error) {
	site, service, err := s.readOffer(ctx, x)
	if err != nil {
		return reply{}, err
	}
	return reply{body: fhir.HealthcareServiceOf(site, service)}, nil
}

func (s *Server) fhirReadLocation(ctx context.Context, x *exchange) (reply, error) {
	id, ok := fhir.ParseLocationID(x.param("id"))
	if err := x.noQuery(); err != nil || !ok {
		return reply{}, orElse(err, errFHIRSite)
	}
	site, err := s.engine.Site(ctx, id)
	if err != nil {
		return reply{}, err
	}
	return reply{body: fhir.LocationOf(&site)}, nil
}
