package api

import (
	"context"
	"slices"
	"strings"
	"time"

	"muster/allocator"
	"muster/api/fhir"
)

// fhirLookup finds what one request names, each thing once.
type fhirLookup struct {
	s        *Server
	ctx      context.Context
	base     string
	sites    map[allocator.SiteID]*allocator.Site
	services map[allocator.ServiceCode]*allocator.Service // nil: not read yet
	omitted  int                                          // slots whose ids FHIR has no room for
}

func (s *Server) fhirLookup(ctx context.Context, x *exchange) *fhirLookup {
	return &fhirLookup{s: s, ctx: ctx, base: x.fhirURL(), sites: map[allocator.SiteID]*allocator.Site{}}
}

func (l *fhirLookup) site(id allocator.SiteID) (*allocator.Site, error) {
	if known := l.sites[id]; known != nil {
		return known, nil
	}
	site, err := l.s.engine.Site(l.ctx, id)
	if err != nil {
		return nil, err
	}
	l.sites[id] = &site
	return &site, nil
}

// catalogue reads the services.
func (l *fhirLookup) catalogue() (map[allocator.ServiceCode]*allocator.Service, error) {
	if l.services != nil {
		return l.services, nil
	}
	all, err := l.s.engine.Services(l.ctx)
	if err != nil {
		return nil, err
	}
	l.services = make(map[allocator.ServiceCode]*allocator.Service, len(all))
	for i := range all {
		l.services[all[i].Code] = &all[i]
	}
	return l.services, nil
}

// offer finds both sides of an offer.
func (l *fhirLookup) offer(o fhir.Offer) (*allocator.Site, *allocator.Service, error) {
	site, err := l.site(o.Site)
	if err != nil {
		return nil, nil, err
	}
	services, err := l.catalogue()
	if err != nil {
		return nil, nil, err
	}
	if services[o.Service] == nil {
		return nil, nil, allocator.Refuse(allocator.CodeServiceUnknown, "no service has this code")
	}
	return site, services[o.Service], nil
}

func (l *fhirLookup) zone(site *allocator.Site) *time.Location {
	return l.s.zones.find(site.TimeZone)
}

// offersAt are all services of the catalogue at a site, in the order of their codes.
func (l *fhirLookup) offersAt(site allocator.SiteID) ([]fhir.Offer, error) {
	if _, err := l.site(site); err != nil {
		return nil, err
	}
	services, err := l.catalogue()
	if err != nil {
		return nil, err
	}
	offers := make([]fhir.Offer, 0, len(services))
	for code := range services {
		offers = append(offers, fhir.Offer{Site: site, Service: code})
	}
	slices.SortFunc(offers, func(a, b fhir.Offer) int { return strings.Compare(string(a.Service), string(b.Service)) })
	return offers, nil
}

// foundSlot is a free slot of a search.
type foundSlot struct {
	fhir.Place
	id   string
	free int
}

// compare is the order of searches: by start, then by id.
func (f *foundSlot) compare(g *foundSlot) int {
	if f.Start != g.Start {
		return int(min(1, max(-1, int64(f.Start-g.Start))))
	}
	return strings.Compare(f.id, g.id)
}

// free lists the free slots of an offer whose start is within the range, and the age of the answer.
func (l *fhirLookup) free(o fhir.Offer, within fhir.Range) (slots []foundSlot, asOf time.Time, err error) {
	site, _, err := l.offer(o)
	if err != nil {
		return nil, asOf, err
	}
	req := allocator.AvailabilityRequest{Site: o.Site, Service: o.Service}
	if !within.Low.IsZero() {
		req.From = max(1, allocator.DateOf(within.Low.In(l.zone(site))))
	}
	if !within.High.IsZero() {
		req.To = allocator.DateOf(within.High.Add(-1).In(l.zone(site)))
		if req.To < max(req.From, 1) {
			return nil, asOf, nil
		}
	}
	found, err := l.s.engine.Availability(l.ctx, req)
	if err != nil {
		return nil, asOf, err
	}
	for _, day := range found.Days {
		for _, slot := range day.Slots {
			f := foundSlot{Place: fhir.Place{Offer: o, Start: slot.Start, Length: slot.Length}, free: slot.Free}
			if !within.Has(slot.Start.Time()) {
				continue
			}
			if f.id = f.ID(); f.id == "" {
				l.omitted++
				continue
			}
			slots = append(slots, f)
		}
	}
	return slots, found.AsOf, nil
}

// tellOmitted says in a bundle that some slots are not in it.
func (l *fhirLookup) tellOmitted(b *fhir.Bundle) {
	if l.omitted > 0 {
		b.Tell("warning", "incomplete", itoa(l.omitted)+" slots are left out: the ids of their sites and services do not fit into an id of FHIR")
	}
}

// include adds to a bundle what the resources of the offers refer to, each once.
func (l *fhirLookup) include(b *fhir.Bundle, offers []fhir.Offer, wanted map[string]bool, schedules bool) error {
	services := wanted["Schedule:actor"] || wanted["Schedule:actor:HealthcareService"]
	direct := wanted["Schedule:actor"] || wanted["Schedule:actor:Location"]
	sites := map[allocator.SiteID]bool{}
	for _, o := range offers {
		site, service, err := l.offer(o)
		if err != nil {
			return err
		}
		if schedules {
			r := fhir.ScheduleOf(site, service)
			b.Add(l.base, "Schedule", r.ID, "include", r)
		}
		if services {
			r := fhir.HealthcareServiceOf(site, service)
			b.Add(l.base, "HealthcareService", r.ID, "include", r)
		}
		if (direct || services && wanted["HealthcareService:location"]) && !sites[o.Site] {
			sites[o.Site] = true
			r := fhir.LocationOf(site)
			b.Add(l.base, "Location", r.ID, "include", r)
		}
	}
	return nil
}
