package crash

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest"
	"muster/allocator/allocatortest/checkers"
)

// at is whom an errand asks.
type at struct {
	servers []*server // in turn, beginning with the first
	leave   bool      // at the first silence nobody asks again: whoever wanted this has gone
}

// held is a hold that was granted.
type held struct {
	name, token string
	claims      []checkers.Claim
}

func (h *held) path(verb string) string { return "/v1/holds/" + url.PathEscape(h.token) + verb }

// booking is one that was acknowledged.
type booking struct {
	reference, manage string
	claim             checkers.Claim
}

const (
	serviceA allocator.ServiceCode = "RSV:Adult"
	serviceB allocator.ServiceCode = "COVID:18+"
)

// claims asks for places at one site, in slots by their number.
func (d *desk) claims(site allocator.SiteID, service allocator.ServiceCode, numbers ...int) (claims []checkers.Claim) {
	for _, n := range numbers {
		start := d.starts[n%len(d.starts)]
		claims = append(claims, checkers.Claim{Service: service, Slot: allocator.SlotID{Site: site, Start: allocator.MinuteOf(start), Length: slotMinutes}})
	}
	return claims
}

// hold asks for places; nil where they were refused.
func (d *desk) hold(to at, claims []checkers.Claim) *held {
	h := &held{name: fmt.Sprintf("hold-%d", d.serial.Add(1)), claims: claims}
	op := checkers.Op{Kind: checkers.KindHold, Call: d.now(), Hold: h.name, Claims: claims}
	a := d.insist(to, request{http.MethodPost, "/v1/holds", holdBody(claims), map[string]string{"Idempotency-Key": h.name}})
	if a.ok() {
		op.Deadline = d.granted(a, h)
	}
	d.record(op, a)
	if !a.ok() {
		return nil
	}
	return h
}

func holdBody(claims []checkers.Claim) object {
	var list []object
	for _, c := range claims {
		list = append(list, object{"siteId": c.Slot.Site, "service": c.Service, "length": c.Slot.Length,
			"start": c.Slot.Start.Time().Format(time.RFC3339)})
	}
	if len(list) == 1 {
		return list[0]
	}
	return object{"claims": list}
}

// granted takes a hold's token over and answers its deadline: servers, stores and desk share the machine's clock.
func (d *desk) granted(a answer, h *held) int64 {
	var got struct {
		HoldID    string
		ExpiresAt time.Time
	}
	if err := json.Unmarshal(a.body, &got); err != nil || got.HoldID == "" {
		d.complain("P11", "a hold was answered %v", a)
	}
	h.token = got.HoldID
	return got.ExpiresAt.UnixNano()
}

func (d *desk) extend(to at, h *held) {
	op := checkers.Op{Kind: checkers.KindExtend, Call: d.now(), Hold: h.name, Claims: h.claims}
	a := d.insist(to, request{method: http.MethodPost, path: h.path("/extend")})
	if a.ok() {
		op.Deadline = d.granted(a, h)
	}
	d.record(op, a)
}

func (d *desk) release(to at, h *held) {
	op := checkers.Op{Kind: checkers.KindRelease, Call: d.now(), Hold: h.name, Claims: h.claims}
	d.record(op, d.insist(to, request{method: http.MethodDelete, path: h.path("")}))
}

// somebody is a person whom nobody has asked for before.
func (d *desk) somebody() string { return allocatortest.NHSNumber(int(d.serial.Add(1))) }

func personBody(nhsNumber string) object {
	return object{"nhsNumber": nhsNumber, "givenName": "Ada", "familyName": "Example", "dateOfBirth": "1948-05-17"}
}

// confirm books a hold for people, one for each claim; replaced is the booking that it moves, if any.
func (d *desk) confirm(to at, h *held, replaced *booking, persons ...string) []booking {
	if h == nil {
		return nil
	}
	claims := make([]checkers.Claim, len(h.claims))
	var people []object
	for i := range claims {
		claims[i] = h.claims[i]
		claims[i].Person = persons[i]
		people = append(people, personBody(persons[i]))
	}
	body := object{"people": people}
	op := checkers.Op{Kind: checkers.KindConfirm, Call: d.now(), Hold: h.name, Claims: claims}
	if replaced != nil {
		body["replaces"] = object{"reference": replaced.reference, "manageToken": replaced.manage}
		op.Replaces = replaced.reference
	}
	a := d.insist(to, request{method: http.MethodPost, path: h.path("/confirm"), body: body})
	var booked []booking
	if a.ok() {
		op.Claims, booked = d.booked(a, claims)
	}
	d.record(op, a)
	return booked
}

type bookingBody struct {
	Reference, ManageToken string
	SiteID                 allocator.SiteID
	Service                allocator.ServiceCode
	Start                  time.Time
	Length                 int16
}

// booked reads the bookings of a confirm, which must be what was asked for.
func (d *desk) booked(a answer, asked []checkers.Claim) (claims []checkers.Claim, list []booking) {
	var got struct{ Bookings []bookingBody }
	if err := json.Unmarshal(a.body, &got); err != nil || len(got.Bookings) != len(asked) {
		d.complain("P7", "a confirm of %d claims was answered %v", len(asked), a)
		return asked, nil
	}
	for i, b := range got.Bookings {
		claim := asked[i]
		if slot := (allocator.SlotID{Site: b.SiteID, Start: allocator.MinuteOf(b.Start), Length: b.Length}); slot != claim.Slot || b.Service != claim.Service {
			d.complain("P3", "a claim of %v %s was booked as %v %s", claim.Slot, claim.Service, slot, b.Service)
		}
		claim.Reference = b.Reference
		claims = append(claims, claim)
		list = append(list, booking{b.Reference, b.ManageToken, claim})
	}
	return claims, list
}

// book is a hold and its confirm for somebody new; nil where there was no room.
func (d *desk) book(to at, claims []checkers.Claim) *booking {
	if list := d.confirm(to, d.hold(to, claims), nil, d.somebody()); len(list) == 1 {
		return &list[0]
	}
	return nil
}

func (d *desk) cancel(to at, b *booking) {
	if b == nil {
		return
	}
	op := checkers.Op{Kind: checkers.KindCancel, Call: d.now(), Cancels: b.reference}
	d.record(op, d.insist(to, cancelling(b)))
}

func cancelling(b *booking) request {
	return request{http.MethodPost, "/v1/bookings/" + b.reference + "/cancel", object{"reason": "citizen"},
		map[string]string{"Authorization": "Manage " + b.manage}}
}

func (d *desk) arrive(to at, b *booking) {
	if b == nil {
		return
	}
	op := checkers.Op{Kind: checkers.KindStatus, Call: d.now(), Cancels: b.reference}
	d.record(op, d.insist(to, request{http.MethodPost, "/v1/bookings/" + b.reference + "/status", object{"status": "arrived"}, staff}))
}

// walkIn books a place for somebody who stands at the counter.
func (d *desk) walkIn(to at, claim checkers.Claim) {
	claim.Person = d.somebody()
	name := fmt.Sprintf("walk-in-%d", d.serial.Add(1))
	op := checkers.Op{Kind: checkers.KindWalkIn, Call: d.now(), Hold: name, Claims: []checkers.Claim{claim}}
	body := holdBody(op.Claims)
	delete(body, "siteId")
	body["person"] = personBody(claim.Person)
	header := maps.Clone(staff)
	header["Idempotency-Key"] = name
	a := d.insist(to, request{http.MethodPost, "/v1/sites/" + string(claim.Slot.Site) + "/walkins", body, header})
	if a.ok() {
		var got bookingBody
		if err := json.Unmarshal(a.body, &got); err != nil || got.Reference == "" {
			d.complain("P11", "a walk-in was answered %v", a)
		}
		op.Claims[0].Reference = got.Reference
	}
	d.record(op, a)
}

// look asks for something that changes nothing, and wants it to succeed.
func (d *desk) look(to at, path string, header map[string]string) {
	if a := d.insist(to, request{method: http.MethodGet, path: path, header: header}); a.definite() && !a.ok() {
		d.complain("P11", "GET %s was answered %v", path, a)
	}
}

// put creates or replaces something that has no history.
func (d *desk) put(to at, path string, body any) { d.order(to, http.MethodPut, path, body) }

// erase takes somebody out whose only booking has ended.
func (d *desk) erase(to at, b *booking) {
	if b != nil {
		d.order(to, http.MethodPost, "/v1/people/erase", object{"nhsNumber": b.claim.Person})
	}
}

// order asks for what has no history, and wants it to succeed.
func (d *desk) order(to at, method, path string, body any) {
	if a := d.insist(to, request{method, path, body, staff}); a.definite() && !a.ok() {
		d.complain("P11", "%s %s was answered %v", method, path, a)
	}
}
