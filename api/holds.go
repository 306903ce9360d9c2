package api

import (
	"context"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"muster/allocator"
)

type holdView struct {
	HoldID     string      `json:"holdId"`
	State      string      `json:"state,omitempty"`
	ExpiresAt  string      `json:"expiresAt"`
	ServerTime string      `json:"serverTime"`
	Claims     []claimView `json:"claims"`
}

type claimView struct {
	SiteID  allocator.SiteID      `json:"siteId"`
	Service allocator.ServiceCode `json:"service"`
	Start   string                `json:"start"`
	Length  int16                 `json:"length"`
}

func (s *Server) viewHold(h *allocator.Hold, state string) *holdView {
	v := &holdView{
		HoldID: h.Token, State: state, ExpiresAt: moment(h.ExpiresAt), ServerTime: moment(h.Server), Claims: make([]claimView, len(h.Claims)),
	}
	for i, c := range h.Claims {
		v.Claims[i] = claimView{c.Slot.Site, c.Service, s.zones.instant(c.Slot.Start.Time(), c.TimeZone), c.Slot.Length}
	}
	return v
}

const maxTokenBytes = 4096

// holdToken reads the path's hold id; what cannot be one is unknown.
func (x *exchange) holdToken() (string, error) {
	token := x.param("holdId")
	if err := checkToken(token); err != nil {
		return "", err
	}
	return token, x.noQuery()
}

func checkToken(token string) error {
	if token == "" || len(token) > maxTokenBytes || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return allocator.Refuse(allocator.CodeHoldUnknown, "no hold has this id")
	}
	return nil
}

func (s *Server) createHold(ctx context.Context, x *exchange) (reply, error) {
	req, err := x.decodeHold()
	if err != nil {
		return reply{}, err
	}
	h, err := x.hold(ctx, req)
	if err != nil {
		return reply{}, err
	}
	return reply{status: fasthttp.StatusCreated, body: s.viewHold(&h, "")}, nil
}

// decodeHold reads one claim, or a list of claims.
func (x *exchange) decodeHold() (allocator.HoldRequest, error) {
	req := allocator.HoldRequest{Caller: x.caller(), IdempotencyKey: x.idempotencyKey(), Pass: x.pass()}
	x.query()
	d, o := x.document(required)
	req.Claims = decodeClaims(o)
	return req, d.fail()
}

// decodeClaims reads a hold's claims out of an object that may have other fields besides.
func decodeClaims(o object, besides ...string) (claims []allocator.ClaimRequest) {
	if !o.has("claims") {
		return []allocator.ClaimRequest{decodeClaim(o, besides...)}
	}
	o.onlyBesides(besides, "claims")
	for _, c := range o.objects("claims", required, allocator.MaxClaimsPerHold) {
		claims = append(claims, decodeClaim(c))
	}
	if len(claims) == 0 && len(o.d.faults) == 0 {
		o.d.fault(o.pointer("claims"), "must have 1 to %d items", allocator.MaxClaimsPerHold)
	}
	return claims
}

func decodeClaim(o object, besides ...string) allocator.ClaimRequest {
	o.onlyBesides(besides, "siteId", "service", "start", "length")
	c := allocator.ClaimRequest{
		Site: o.site("siteId"), Service: o.service("service"),
		Length: o.integer("length", optional, allocator.MinSlotMinutes, allocator.MaxSlotMinutes, 0),
	}
	c.Start, _ = o.instant("start", required, time.Minute)
	return c
}

func (s *Server) getHold(ctx context.Context, x *exchange) (reply, error) {
	token, err := x.holdToken()
	if err != nil {
		return reply{}, err
	}
	h, err := s.engine.Inspect(ctx, token)
	if err != nil {
		return reply{}, err
	}
	return reply{body: s.viewHold(&h.Hold, h.State)}, nil
}

func (s *Server) releaseHold(ctx context.Context, x *exchange) (reply, error) {
	token, err := x.holdToken()
	if err != nil {
		return reply{}, err
	}
	return reply{status: fasthttp.StatusNoContent}, x.release(ctx, token)
}

func (s *Server) extendHold(ctx context.Context, x *exchange) (reply, error) {
	token, err := x.holdToken()
	if err != nil {
		return reply{}, err
	}
	h, err := s.engine.Extend(ctx, token)
	if err != nil {
		return reply{}, err
	}
	return reply{body: s.viewHold(&h, "")}, nil
}

func (s *Server) confirmHold(ctx context.Context, x *exchange) (reply, error) {
	token, err := x.holdToken()
	if err != nil {
		return reply{}, err
	}
	req, err := x.decodeConfirm(token)
	if err != nil {
		return reply{}, err
	}
	views, err := x.book(ctx, req)
	if err != nil {
		return reply{}, err
	}
	return reply{status: fasthttp.StatusCreated, body: &bookingsView{views}}, nil
}

// book confirms, and shows the bookings to whom they were made for.
func (x *exchange) book(ctx context.Context, req allocator.ConfirmRequest) ([]bookingView, error) {
	bookings, err := x.confirm(ctx, req)
	if err != nil {
		return nil, err
	}
	views := make([]bookingView, len(bookings))
	for i := range bookings {
		views[i] = x.server.viewBooking(&bookings[i], seesToken)
	}
	return views, nil
}

func (x *exchange) decodeConfirm(token string) (allocator.ConfirmRequest, error) {
	req := allocator.ConfirmRequest{Caller: x.caller(), Token: token}
	x.idempotencyKey() // the hold is the key, but what is given must be well-formed
	d, o := x.document(required)
	o.only("people", "replaces")
	decodePeople(o, &req, x.today())
	return req, d.fail()
}

// decodePeople reads whom a confirm books, and which booking it replaces.
func decodePeople(o object, req *allocator.ConfirmRequest, today allocator.Date) {
	for _, p := range o.objects("people", required, allocator.MaxClaimsPerHold) {
		req.People = append(req.People, decodePerson(p, required, today))
	}
	if len(req.People) == 0 && o.has("people") && len(o.d.faults) == 0 {
		o.d.fault(o.pointer("people"), "must have 1 to %d items", allocator.MaxClaimsPerHold)
	}
	if o.has("replaces") {
		r := o.child("replaces", required)
		r.only("reference", "manageToken")
		staff := req.Caller.Staff
		req.Replaces = &allocator.BookingAccess{
			Reference: r.text("reference", required, maxReferenceBytes), ManageToken: r.text("manageToken", !staff, maxWordBytes), Staff: staff,
			Caller: req.Caller,
		}
	}
}

// decodePerson reads a person. A booking names its person in full; a walk-in as far as is known.
func decodePerson(o object, need bool, today allocator.Date) allocator.Person {
	o.only("nhsNumber", "givenName", "familyName", "dateOfBirth", "contact")
	contact := o.child("contact", optional)
	contact.only("email", "phone", "landline")
	p := allocator.Person{
		NHSNumber: o.text("nhsNumber", need, 20),
		GivenName: o.text("givenName", need, allocator.MaxNameBytes), FamilyName: o.text("familyName", need, allocator.MaxNameBytes),
		Email: contact.text("email", optional, 254), Phone: contact.text("phone", optional, 40), Landline: contact.text("landline", optional, 40),
	}
	if at := strings.LastIndexByte(p.Email, '@'); p.Email != "" && (at < 1 || at == len(p.Email)-1) {
		o.d.fault(contact.pointer("email"), "is not an e-mail address")
	}
	p.DateOfBirth, p.HasBirth = o.born("dateOfBirth", need, today)
	return p
}
