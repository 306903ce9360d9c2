package api

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"muster/allocator"
	"muster/api/fhir"
)

// maxFindSites is how many sites near a postcode, or named, $find looks at.
const maxFindSites = 10

// fhirFind is what $find asks for, however it was sent.
type fhirFind struct {
	start, end string
	services   []string // system|code
	locations  []string // ids
	postcode   string
	count      int
	at         func(name string) string // pointer to a parameter
}

var findNames = []string{"start", "end", "visit-type", "service-type", "location-reference", "location-string", "_count"}

// fhirFindByQuery is GET Appointment/$find.
func (s *Server) fhirFindByQuery(ctx context.Context, x *exchange) (reply, error) {
	q, err := x.fhirQuery(findNames...)
	if err != nil {
		return reply{}, err
	}
	f := fhirFind{start: q.one("start"), end: q.one("end"), postcode: q.one("location-string"), count: q.count(), at: q.at}
	f.services = append(slices.Clone(q.values["visit-type"]), q.values["service-type"]...)
	for _, ids := range q.ids("location-reference", "Location", x.fhirURL()) {
		f.locations = append(f.locations, ids...)
	}
	return s.find(ctx, x, &f, &q)
}

// fhirFindByBody is POST Appointment/$find.
func (s *Server) fhirFindByBody(ctx context.Context, x *exchange) (reply, error) {
	q, err := x.fhirQuery("_count")
	if err != nil {
		return reply{}, err
	}
	d, found := x.fhirParameters(map[string]int{
		"start": 1, "end": 1, "visit-type": maxFHIRItems, "service-type": maxFHIRItems, "location-reference": maxFindSites, "location-string": 1, "_count": 1,
	})
	f := fhirFind{count: q.count(), at: func(name string) string {
		if all := found[name]; len(all) > 0 {
			return all[0].at
		}
		return "/parameter"
	}}
	text := func(name, value string) string {
		p, ok := single(found, name, value)
		if !ok {
			return ""
		}
		return p.text(value, required, maxFHIRText)
	}
	f.start, f.end, f.postcode = text("start", "valueDateTime"), text("end", "valueDateTime"), text("location-string", "valueString")
	for _, name := range []string{"visit-type", "service-type"} {
		for _, p := range found[name] {
			f.services = append(f.services, p.text("valueString", required, maxFHIRText))
		}
	}
	for _, p := range found["location-reference"] {
		if id, ok := p.child("valueReference", required).fhirID("reference", "Location", x.fhirURL()); ok {
			f.locations = append(f.locations, id)
		}
	}
	if p, ok := single(found, "_count", "valueInteger"); ok {
		f.count = p.integer("valueInteger", required, 0, maxPage, defaultPage)
	}
	if err := d.fail(); err != nil {
		return reply{}, err
	}
	return s.find(ctx, x, &f, &q)
}

// find answers with proposed Appointments, the earliest first.
func (s *Server) find(ctx context.Context, x *exchange, f *fhirFind, q *fhirParams) (reply, error) {
	l := s.fhirLookup(ctx, x)
	service := f.service(q.d)
	f.within(q.d, time.UTC)
	if (len(f.locations) == 0) == (f.postcode == "") {
		q.d.fault(f.at("location-reference"), "is required, or location-string with a postcode, and not both")
	}
	if len(f.locations) > maxFindSites {
		q.d.fault(f.at("location-reference"), "is given more than %d times", maxFindSites)
	}
	if err := q.d.fail(); err != nil {
		return reply{}, err
	}
	sites, err := l.sitesFor(f, service, x)
	if err != nil {
		return reply{}, err
	}
	b := fhir.NewBundle(time.Time{})
	var slots []foundSlot
	for _, id := range sites {
		site, err := l.site(id)
		if err != nil {
			return reply{}, err
		}
		within := f.within(q.d, l.zone(site))
		more, _, err := l.free(fhir.Offer{Site: id, Service: service}, within)
		if err != nil {
			return reply{}, err
		}
		slots = append(slots, slices.DeleteFunc(more, func(s foundSlot) bool {
			return (s.Start + allocator.Minute(s.Length)).Time().After(within.High)
		})...)
	}
	slices.SortFunc(slots, func(a, b foundSlot) int { return a.compare(&b) })
	total := len(slots)
	b.Total = &total
	if x.route.method == get {
		b.Link = []fhir.Link{{Relation: "self", URL: q.link(l.base+"/Appointment/$find", "", "")}}
	}
	for _, p := range slots[:min(f.count, total)] {
		site, err := l.site(p.Site)
		if err != nil {
			return reply{}, err
		}
		b.Add(l.base, "Appointment", p.id, "match", fhir.ProposedOf(p.Place, site.Name, l.zone(site)))
	}
	l.tellOmitted(b)
	q.tell(b)
	return reply{body: b}, nil
}

// service is the one service that is asked for.
func (f *fhirFind) service(d *decoder) allocator.ServiceCode {
	if len(f.services) == 0 {
		d.fault(f.at("visit-type"), "is required")
		return ""
	}
	system, code, ok := strings.Cut(f.services[0], "|")
	if !ok {
		system, code = fhir.SystemService, system
	}
	service := allocator.ServiceCode(strings.ReplaceAll(code, " ", "+"))
	if len(f.services) > 1 || system != fhir.SystemService || !service.Valid() {
		d.fault(f.at("visit-type"), "must be one service, as %s|code", fhir.SystemService)
	}
	return service
}

// within reads the period that appointments have to lie in: dates name whole days of the zone.
func (f *fhirFind) within(d *decoder, zone *time.Location) (r fhir.Range) {
	read := func(name, text string) (low, high time.Time) {
		if text == "" {
			d.fault(f.at(name), "is required")
			return low, high
		}
		low, high, err := fhir.ParseDate(strings.ReplaceAll(text, " ", "+"), zone)
		if err != nil {
			d.fault(f.at(name), "%s", err)
		}
		if high.Sub(low) <= time.Minute { // an instant ends a period as it is
			high = low
		}
		return low, high
	}
	r.Low, _ = read("start", f.start)
	_, r.High = read("end", f.end)
	if len(d.faults) == 0 && !r.High.After(r.Low) {
		d.fault(f.at("end"), "is not after start")
	}
	return r
}

// sitesFor are the sites that were named, or those nearest to a postcode that have something free.
func (l *fhirLookup) sitesFor(f *fhirFind, service allocator.ServiceCode, x *exchange) (sites []allocator.SiteID, err error) {
	for _, id := range f.locations {
		site, ok := fhir.ParseLocationID(id)
		if !ok {
			return nil, errFHIRSite
		}
		if !slices.Contains(sites, site) {
			sites = append(sites, site)
		}
	}
	if f.postcode == "" {
		return sites, nil
	}
	if len(f.postcode) > maxPostcodeBytes {
		return nil, allocator.Refuse(allocator.CodePostcodeUnknown, "that is not a postcode")
	}
	within := f.within(x.input(), x.server.zones.find(defaultZone))
	found, err := l.s.engine.Search(l.ctx, allocator.SearchRequest{
		Postcode: f.postcode, Service: service, Limit: maxFindSites,
		From: max(1, dateIn(within.Low, x)), To: max(1, dateIn(within.High.Add(-1), x)),
	})
	for i := range found.Sites {
		sites = append(sites, found.Sites[i].Site.ID)
	}
	return sites, err
}

func dateIn(t time.Time, x *exchange) allocator.Date {
	return allocator.DateOf(t.In(x.server.zones.find(defaultZone)))
}

// fhirHold is POST Appointment/$hold.
func (s *Server) fhirHold(ctx context.Context, x *exchange) (reply, error) {
	key := x.idempotencyKey()
	x.query()
	d, found := x.fhirParameters(map[string]int{"appointment-reference": 1})
	p, ok := single(found, "appointment-reference", "valueReference")
	if !ok {
		d.fault("/parameter", "must have appointment-reference")
	}
	place := x.decodePlace(p.orMissing(d).child("valueReference", required), "reference", "Appointment")
	if err := d.fail(); err != nil {
		return reply{}, err
	}
	h, err := x.holdPlace(ctx, key, place)
	if err != nil {
		return reply{}, err
	}
	a := fhir.PendingOf(&h, s.zones.find(h.Claims[0].TimeZone))
	return reply{body: oneIn(x.fhirURL(), a)}, nil
}

// orMissing makes an object out of none, in which nothing is found and nothing reported.
func (o object) orMissing(d *decoder) object {
	if o.d == nil {
		return object{d: d}
	}
	return o
}

func (x *exchange) holdPlace(ctx context.Context, key string, p fhir.Place) (allocator.Hold, error) {
	return x.hold(ctx, allocator.HoldRequest{Caller: x.caller(), IdempotencyKey: key, Pass: x.pass(), Claims: []allocator.ClaimRequest{{
		Site: p.Site, Service: p.Service, Start: p.Start.Time(), Length: int(p.Length),
	}}})
}

// oneIn is a searchset with one Appointment.
func oneIn(base string, a fhir.Appointment) *fhir.Bundle {
	b, one := fhir.NewBundle(time.Time{}), 1
	b.Total = &one
	b.Add(base, "Appointment", a.ID, "match", a)
	return b
}

// fhirBook is POST Appointment/$book: a place that $find proposed, or what $hold answered, and a Patient.
func (s *Server) fhirBook(ctx context.Context, x *exchange) (reply, error) {
	key := x.idempotencyKey()
	x.query()
	d, found := x.fhirParameters(map[string]int{"appointment-reference": 1, "appointment-resource": 1, "patient-resource": 1})
	var b fhirBooking
	reference, byReference := single(found, "appointment-reference", "valueReference")
	resource, byResource := single(found, "appointment-resource", "resource")
	switch {
	case byReference == byResource:
		d.fault("/parameter", "must have appointment-reference or appointment-resource, and not both")
	case byReference:
		o := reference.child("valueReference", required)
		if h := o.child("identifier", optional); h.value != nil {
			h.choice("system", required, fhir.SystemHold)
			b.token = h.text("value", required, maxTokenBytes)
		} else {
			b.place = x.decodePlace(o, "reference", "Appointment")
		}
	default:
		b = x.decodeAppointment(resource.child("resource", required), "pending", "proposed", "booked")
	}
	if p, ok := single(found, "patient-resource", "resource"); ok {
		if b.named {
			d.fault(p.at, "is given beside a contained Patient; give one of them")
		}
		b.person, b.named = decodePatient(p.child("resource", required), x.today()), true
	}
	if !b.named && len(d.faults) == 0 {
		d.fault("/parameter", "must have patient-resource, or a Patient contained in appointment-resource")
	}
	if err := d.fail(); err != nil {
		return reply{}, err
	}
	a, err := s.book(ctx, x, key, &b)
	if err != nil {
		return reply{}, err
	}
	return reply{body: oneIn(x.fhirURL(), a)}, nil
}

// fhirCreate is POST Appointment.
func (s *Server) fhirCreate(ctx context.Context, x *exchange) (reply, error) {
	key := x.idempotencyKey()
	x.query()
	d, o := x.document(required)
	b := x.decodeAppointment(o, "booked", "proposed", "pending")
	if !b.named && len(d.faults) == 0 {
		d.fault("/contained", "must have the Patient")
	}
	if err := d.fail(); err != nil {
		return reply{}, err
	}
	a, err := s.book(ctx, x, key, &b)
	if err != nil {
		return reply{}, err
	}
	return reply{status: fasthttp.StatusCreated, body: a, place: x.fhirURL() + "/Appointment/" + a.ID, etag: `W/"` + a.Meta.VersionID + `"`}, nil
}

// book holds where nothing is held yet, and confirms. What it held itself it gives back when the person's data are refused:
// nobody else knows of it. After any other failure the same request, with its key, goes on where this one stopped.
func (s *Server) book(ctx context.Context, x *exchange, key string, b *fhirBooking) (fhir.Appointment, error) {
	if _, ok := allocator.ValidNHSNumber(b.person.NHSNumber); !ok {
		return fhir.Appointment{}, allocator.Refuse(allocator.CodeNHSNumberInvalid, "the NHS number is not valid")
	}
	token := b.token
	if token == "" {
		h, err := x.holdPlace(ctx, key, b.place)
		if err != nil {
			return fhir.Appointment{}, err
		}
		token = h.Token
	} else if err := s.holdsOne(ctx, token); err != nil {
		return fhir.Appointment{}, err
	}
	views, err := x.confirm(ctx, allocator.ConfirmRequest{Caller: x.caller(), Token: token, People: []allocator.Person{b.person}})
	if err != nil {
		if b.token == "" {
			s.abandon(ctx, x, token, err)
		}
		return fhir.Appointment{}, err
	}
	return fhir.BookedOf(&views[0], nil, s.zones.find(views[0].TimeZone)), nil
}

// abandon gives a hold back whose person was refused.
func (s *Server) abandon(ctx context.Context, x *exchange, token string, refusal error) {
	if status := meanings[allocator.CodeOf(refusal)].status; status != fasthttp.StatusUnprocessableEntity && status != fasthttp.StatusBadRequest {
		return
	}
	if err := x.release(ctx, token); err != nil {
		s.log.Info("a hold stays until it expires", "requestId", x.id, "cause", err.Error())
	}
}

// holdsOne refuses a hold of several places: an Appointment is one.
func (s *Server) holdsOne(ctx context.Context, token string) error {
	if err := checkToken(token); err != nil {
		return err
	}
	h, err := s.engine.Inspect(ctx, token)
	if err == nil && len(h.Claims) != 1 {
		return refuseWith(fasthttp.StatusUnprocessableEntity, "the hold has several places; /v1 confirms it")
	}
	return err
}
