package api

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"muster/allocator"
	"muster/api/fhir"
)

// maxSearchDays bounds the days of one search for appointments.
const maxSearchDays = 7

var appointmentNames = []string{"location", "date", "status", "_count", "_after"}

// fhirReadAppointment shows a booking to whoever /v1 shows it to, and a place that $find proposed to anyone.
func (s *Server) fhirReadAppointment(ctx context.Context, x *exchange) (reply, error) {
	if p, ok := fhir.ParsePlace(x.param("reference")); ok {
		return s.readProposed(ctx, x, p)
	}
	b, sees, err := s.openBooking(ctx, x)
	if err != nil {
		return reply{}, err
	}
	return s.replyBooked(&b, sees), nil
}

func (s *Server) readProposed(ctx context.Context, x *exchange, p fhir.Place) (reply, error) {
	if err := x.noQuery(); err != nil {
		return reply{}, err
	}
	l := s.fhirLookup(ctx, x)
	f, err := l.place(p)
	if err != nil {
		return reply{}, err
	}
	if f.free == 0 {
		return reply{}, allocator.Refuse(allocator.CodeSlotUnknown, "nothing is free there")
	}
	site, err := l.site(p.Site)
	if err != nil {
		return reply{}, err
	}
	return reply{body: fhir.ProposedOf(p, site.Name, l.zone(site))}, nil
}

// bookedView is a booking with as much of its person as the reader sees.
func (s *Server) bookedView(b *allocator.BookingView, sees sight) fhir.Appointment {
	shown := *b
	shown.ManageToken = "" // known to whoever needed it here
	var person *allocator.Person
	if b.Person != nil {
		p := *b.Person
		if sees == seesNames {
			p.NHSNumber = ""
		}
		person = &p
	}
	return fhir.BookedOf(&shown, person, s.zones.find(b.TimeZone))
}

func (s *Server) replyBooked(b *allocator.BookingView, sees sight) reply {
	return reply{body: s.bookedView(b, sees), etag: fhir.ETag(b.Version)}
}

// fhirUpdateAppointment is the one way in which an Appointment changes: its status. Cancelled is for whoever may open the
// booking, the others for staff.
func (s *Server) fhirUpdateAppointment(ctx context.Context, x *exchange) (reply, error) {
	a, sees, err := x.access(ScopeBookingsWrite)
	if err != nil {
		return reply{}, err
	}
	b, err := s.update(ctx, x, a)
	x.looked(err)
	if err != nil {
		return reply{}, uniform(err)
	}
	return s.replyBooked(&b, sees), nil
}

func (s *Server) update(ctx context.Context, x *exchange, a allocator.BookingAccess) (allocator.BookingView, error) {
	d, o := x.document(required)
	o.resource("Appointment", appointmentElements)
	if key, ok := allocator.ParseReference(o.text("id", required, maxReferenceBytes)); d.fail() == nil && (!ok || key.Reference() != a.Reference) {
		d.fault("/id", "must be the same as in the path")
	}
	status := allocator.Status(o.choice("status", required, "cancelled", "arrived", "fulfilled", "noshow"))
	reason := o.reason(a.Staff)
	if status != allocator.StatusCancelled && !a.Staff && len(d.faults) == 0 {
		d.fault("/status", "must be cancelled, without a staff token")
	}
	if err := d.fail(); err != nil {
		return allocator.BookingView{}, err
	}
	b, err := s.engine.Booking(ctx, a)
	if err != nil || b.Status == status { // a repeat of what was done, whatever version it names
		return b, err
	}
	if err := x.matches(b.Version); err != nil {
		return b, err
	}
	if !sameStart(o, &b) {
		d.fault("/start", "is not that of the booking: to move it, book another and cancel this one")
		return b, d.fail()
	}
	if status == allocator.StatusCancelled {
		return s.engine.Cancel(ctx, a, reason, x.caller())
	}
	return s.engine.SetStatus(ctx, a.Reference, status, x.caller())
}

// reason reads why a booking is cancelled, as a code or text.
func (o object) reason(staff bool) string {
	concept := o.child("cancelationReason", optional)
	for _, c := range concept.objects("coding", optional, maxFHIRItems) {
		if code := c.text("code", optional, maxReasonBytes); code != "" {
			return code
		}
	}
	switch text := concept.text("text", optional, maxFHIRText); {
	case text != "" && len(text) <= maxReasonBytes:
		return text
	case staff:
		return "site"
	}
	return "citizen"
}

func sameStart(o object, b *allocator.BookingView) bool {
	text, given := o.raw("start", optional)
	t, err := parseInstant(text)
	return !given || err == nil && t.Equal(b.Slot.Start.Time())
}

// matches holds If-Match against the version: FHIR writes versions as weak tags, and compares them as if they were strong.
func (x *exchange) matches(version int) error {
	var tags []string
	for _, header := range x.http.Request.Header.PeekAll("If-Match") {
		tags = append(tags, entityTags.FindAllString(string(header), -1)...)
	}
	current := strings.TrimPrefix(fhir.ETag(version), "W/")
	if len(tags) == 0 && len(x.http.Request.Header.PeekAll("If-Match")) == 0 || slices.ContainsFunc(tags, func(tag string) bool {
		return tag == "*" || strings.TrimPrefix(tag, "W/") == current
	}) {
		return nil
	}
	return allocator.Refuse(allocator.CodeRevisionMismatch, "the booking has version %d", version)
}

// fhirSearchAppointments lists a site's bookings of some days, for staff.
func (s *Server) fhirSearchAppointments(ctx context.Context, x *exchange) (reply, error) {
	q, err := x.fhirQuery(appointmentNames...)
	if err != nil {
		return reply{}, err
	}
	l, count := s.fhirLookup(ctx, x), q.count()
	statuses, given := q.codes("status", "http://hl7.org/fhir/appointmentstatus")
	site, first, last, err := q.daysAt(l, x.caller())
	if err != nil {
		return reply{}, err
	}
	var bookings []allocator.BookingView
	for date := first; date <= last; date++ {
		day, err := s.engine.DayBookings(ctx, site.ID, date)
		if err != nil {
			return reply{}, err
		}
		within := q.starts("date", l.zone(site))
		bookings = append(bookings, slices.DeleteFunc(day, func(b allocator.BookingView) bool {
			return given && !slices.Contains(statuses, string(b.Status)) || !within.Has(b.Slot.Start.Time())
		})...)
	}
	b := fhir.NewBundle(time.Time{})
	after := q.bookingsAfter(bookings)
	page := pageOf(&q, b, l.base+"/Appointment", bookings, count, after, func(v allocator.BookingView) string { return v.Reference })
	for _, booking := range page {
		b.Add(l.base, "Appointment", booking.Reference, "match", s.bookedView(&booking, seesPerson))
	}
	q.tell(b)
	return reply{body: b}, q.d.fail()
}

// daysAt reads which site and days a search for appointments is about. The site must be one that the caller works at.
func (q *fhirParams) daysAt(l *fhirLookup, caller allocator.Caller) (site *allocator.Site, first, last allocator.Date, err error) {
	lists := q.ids("location", "Location", l.base)
	if len(lists) != 1 || len(lists[0]) != 1 {
		q.d.fault(q.at("location"), "is required, with one Location")
	}
	if len(q.values["date"]) == 0 {
		q.d.fault(q.at("date"), "is required")
	}
	q.starts("date", time.UTC)
	if err := q.d.fail(); err != nil {
		return nil, 0, 0, err
	}
	id, ok := fhir.ParseLocationID(lists[0][0])
	if !ok {
		return nil, 0, 0, errFHIRSite
	}
	if site, err = l.site(id); err != nil {
		return nil, 0, 0, err
	}
	if !caller.Sees(site) {
		return nil, 0, 0, errSite
	}
	within := q.starts("date", l.zone(site))
	if within.Low.IsZero() || within.High.IsZero() {
		q.d.fault(q.at("date"), "must have a beginning and an end, with ge and le or as one day")
		return nil, 0, 0, q.d.fail()
	}
	first, last = allocator.DateOf(within.Low.In(l.zone(site))), allocator.DateOf(within.High.Add(-1).In(l.zone(site)))
	if last-first >= maxSearchDays {
		return nil, 0, 0, refuseWith(422, "the search spans more than "+itoa(maxSearchDays)+" days")
	}
	return site, first, last, nil
}

// bookingsAfter puts bookings in the order of their slots, and finds where a page goes on after a reference.
func (q *fhirParams) bookingsAfter(bookings []allocator.BookingView) (after func(reference string) int) {
	slices.SortFunc(bookings, func(a, b allocator.BookingView) int {
		return cmp.Or(a.Slot.Compare(b.Slot), strings.Compare(a.Reference, b.Reference))
	})
	return func(reference string) int {
		i := slices.IndexFunc(bookings, func(v allocator.BookingView) bool { return v.Reference == reference })
		if i < 0 {
			q.d.fault(q.at("_after"), "is not from a link, or its booking has left the list: search again")
		}
		return i + 1
	}
}
