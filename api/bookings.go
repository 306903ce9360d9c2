package api

import (
	"context"
	"time"

	"github.com/valyala/fasthttp"

	"muster/allocator"
)

type bookingView struct {
	Reference   string                `json:"reference"`
	ManageToken string                `json:"manageToken,omitempty"`
	Status      allocator.Status      `json:"status"`
	SiteID      allocator.SiteID      `json:"siteId"`
	SiteName    string                `json:"siteName,omitempty"`
	Service     allocator.ServiceCode `json:"service"`
	Start       string                `json:"start"`
	Length      int16                 `json:"length"`
	Unsupported bool                  `json:"unsupported,omitempty"`
	Reason      string                `json:"reason,omitempty"`
	ReplacedBy  string                `json:"replacedBy,omitempty"`
	Person      *personView           `json:"person,omitempty"`
}

type personView struct {
	NHSNumber   string       `json:"nhsNumber,omitempty"`
	GivenName   string       `json:"givenName,omitempty"`
	FamilyName  string       `json:"familyName,omitempty"`
	DateOfBirth string       `json:"dateOfBirth,omitempty"`
	Contact     *contactView `json:"contact,omitempty"`
}

type contactView struct {
	Email    string `json:"email,omitempty"`
	Phone    string `json:"phone,omitempty"`
	Landline string `json:"landline,omitempty"`
}

// sight is how much of a booking its reader sees.
type sight int

const (
	seesToken  sight = iota // whoever confirmed: the manage token, once; the person is known to them
	seesPerson              // whoever has the manage token, and staff
	seesNames               // whoever knew the date of birth: everything but the NHS number
)

func (s *Server) viewBooking(b *allocator.BookingView, sees sight) bookingView {
	v := bookingView{
		Reference: b.Reference, Status: b.Status, SiteID: b.Slot.Site, SiteName: b.SiteName, Service: b.Service,
		Start: s.zones.instant(b.Slot.Start.Time(), b.TimeZone), Length: b.Slot.Length, Unsupported: b.Unsupported,
		Reason: b.Reason, ReplacedBy: b.ReplacedBy,
	}
	if sees == seesToken {
		v.ManageToken = b.ManageToken
		return v
	}
	if b.Person == nil {
		return v
	}
	p := b.Person
	v.Person = &personView{NHSNumber: p.NHSNumber, GivenName: p.GivenName, FamilyName: p.FamilyName}
	if sees == seesNames {
		v.Person.NHSNumber = ""
	}
	if p.HasBirth {
		v.Person.DateOfBirth = p.DateOfBirth.String()
	}
	if contact := (contactView{p.Email, p.Phone, p.Landline}); contact != (contactView{}) {
		v.Person.Contact = &contact
	}
	return v
}

const (
	maxReferenceBytes = 40
	maxReasonBytes    = 40
)

var errBooking = allocator.Refuse(allocator.CodeBookingUnknown, "no booking is known by this reference and these credentials")

// access finds out what opens the path's booking: a manage token, a date of birth, or a scope. Staff need the scope.
func (x *exchange) access(scope string) (allocator.BookingAccess, sight, error) {
	reference := x.param("reference")
	q := x.query("dateOfBirth")
	a := allocator.BookingAccess{Reference: reference}
	header, once := x.header("Authorization")
	scheme, token, ok := parseAuthorization(header)
	born, byBirth := q.values["dateOfBirth"]
	sees := seesPerson
	switch {
	case x.grant.known():
		if err := x.require(scope); err != nil {
			return a, 0, err
		}
		a.Staff, a.Caller = true, x.caller()
	case ok && once && scheme == "manage":
		a.ManageToken = token
	case header == "" && byBirth:
		sees = seesNames
		if a.DateOfBirth, a.HasBirth = q.d.date(q.at("dateOfBirth"), born); a.HasBirth {
			q.d.alive(q.at("dateOfBirth"), a.DateOfBirth, x.today())
		}
	default:
		x.http.Response.Header.Set("WWW-Authenticate", `Manage realm="muster", Bearer realm="muster"`)
		return a, 0, allocator.Refuse(allocator.CodeUnauthorised, "the booking's manage token, or the date of birth, is needed")
	}
	if err := q.d.fail(); err != nil {
		return a, 0, err
	}
	key, ok := allocator.ParseReference(reference)
	if ok {
		a.Reference = key.Reference() // so that all spellings share one allowance
	}
	if sees == seesNames {
		if err := x.lookup(a.Reference); err != nil {
			return a, 0, err
		}
	}
	if !ok {
		return a, 0, errBooking
	}
	return a, sees, nil
}

// openBooking reads the path's booking for whoever may see it.
func (s *Server) openBooking(ctx context.Context, x *exchange) (allocator.BookingView, sight, error) {
	a, sees, err := x.access(ScopeBookingsRead)
	if err != nil {
		return allocator.BookingView{}, 0, err
	}
	b, err := s.engine.Booking(ctx, a)
	x.looked(err)
	return b, sees, uniform(err)
}

func (s *Server) getBooking(ctx context.Context, x *exchange) (reply, error) {
	b, sees, err := s.openBooking(ctx, x)
	if err != nil {
		return reply{}, err
	}
	return reply{body: s.viewBooking(&b, sees)}, nil
}

// uniform makes one answer of all that would tell a wrong reference from a wrong secret.
func uniform(err error) error {
	switch allocator.CodeOf(err) {
	case allocator.CodeBookingUnknown, allocator.CodeForbidden, allocator.CodeUnauthorised:
		return errBooking
	}
	return err
}

func (s *Server) cancelBooking(ctx context.Context, x *exchange) (reply, error) {
	a, sees, err := x.access(ScopeBookingsWrite)
	if err != nil {
		return reply{}, err
	}
	x.idempotencyKey() // repeating a cancellation is safe without it
	d, o := x.document(optional)
	o.only("reason")
	reason := o.text("reason", optional, maxReasonBytes)
	if err := d.fail(); err != nil {
		x.looked(err)
		return reply{}, err
	}
	if reason == "" {
		reason = "citizen"
		if a.Staff {
			reason = "site"
		}
	}
	b, err := s.engine.Cancel(ctx, a, reason, x.caller())
	x.looked(err)
	if err != nil {
		return reply{}, uniform(err)
	}
	return reply{body: s.viewBooking(&b, sees)}, nil
}

func (s *Server) setBookingStatus(ctx context.Context, x *exchange) (reply, error) {
	key, ok := allocator.ParseReference(x.param("reference"))
	if !ok {
		return reply{}, errBooking
	}
	x.query()
	d, o := x.document(required)
	o.only("status")
	status := o.choice("status", required, string(allocator.StatusArrived), string(allocator.StatusFulfilled), string(allocator.StatusNoShow))
	if err := d.fail(); err != nil {
		return reply{}, err
	}
	b, err := s.engine.SetStatus(ctx, key.Reference(), allocator.Status(status), x.caller())
	if err != nil {
		return reply{}, uniform(err)
	}
	return reply{body: s.viewBooking(&b, seesPerson)}, nil
}

func (s *Server) bookWalkIn(ctx context.Context, x *exchange) (reply, error) {
	site, err := x.siteID()
	if err != nil {
		return reply{}, err
	}
	req := allocator.WalkInRequest{Caller: x.caller(), IdempotencyKey: x.idempotencyKey(), Site: site}
	x.query()
	d, o := x.document(required)
	o.only("service", "start", "length", "person")
	req.Service = o.service("service")
	req.Start, _ = o.instant("start", optional, time.Minute)
	req.Length = o.integer("length", optional, allocator.MinSlotMinutes, allocator.MaxSlotMinutes, 0)
	req.Person = decodePerson(o.child("person", optional), optional, x.today())
	if err := d.fail(); err != nil {
		return reply{}, err
	}
	b, err := s.engine.WalkIn(ctx, req)
	if err != nil {
		return reply{}, err
	}
	view := s.viewBooking(&b, seesPerson)
	view.ManageToken = b.ManageToken // for the person, who has no other way to it
	return reply{status: fasthttp.StatusCreated, body: view}, nil
}
