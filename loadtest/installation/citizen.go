package installation

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest"
	"muster/allocator/allocatortest/checkers"
)

// citizen is one person at a screen after the other, and sometimes a pharmacist.
type citizen struct{ caller }

// turn does one thing that people do.
func (c *citizen) turn(ctx context.Context) {
	switch chance := c.rng.IntN(100); {
	case chance < 58:
		c.book(ctx)
	case chance < 74:
		c.cancel(ctx)
	case chance < 86:
		c.move(ctx)
	case chance < 95:
		c.walkIn(ctx)
	default:
		c.checkIn(ctx)
	}
}

// held is a hold that was granted.
type held struct {
	name, token string
	claims      []checkers.Claim
}

// hold asks for places; ok says that it was granted.
func (c *citizen) hold(ctx context.Context, claims []checkers.Claim) (h held, ok bool) {
	h = held{name: fmt.Sprintf("hold-%d", c.crowd.serial.Add(1)), claims: claims}
	op := checkers.Op{Kind: checkers.KindHold, Call: c.crowd.now(), Hold: h.name, Claims: claims}
	r := request{http.MethodPost, "/v1/holds", holdBody(claims), map[string]string{"Idempotency-Key": c.key(h.name)}}
	a := c.insist(ctx, r)
	if a.ok() {
		h.token, op.Deadline = c.granted(a)
		c.echo(ctx, r, func(answer) {}) // a repeat takes nothing; what it answers may have changed since
	}
	c.crowd.record(op, a)
	return h, a.ok()
}

func (c *citizen) key(name string) string { return fmt.Sprintf("%s-%d", name, c.crowd.options.Seed) }

func holdBody(claims []checkers.Claim) object {
	list := make([]object, len(claims))
	for i, claim := range claims {
		list[i] = object{"siteId": claim.Slot.Site, "service": claim.Service, "length": claim.Slot.Length,
			"start": claim.Slot.Start.Time().Format(time.RFC3339)}
	}
	if len(list) == 1 {
		return list[0]
	}
	return object{"claims": list}
}

// granted reads a hold's token, and its deadline in nanoseconds: servers, stores and crowd share the machine's clock.
func (c *citizen) granted(a answer) (token string, deadline int64) {
	var got struct {
		HoldID    string
		ExpiresAt time.Time
	}
	if err := a.decode(&got); err != nil || got.HoldID == "" {
		c.crowd.complain("P11", "a hold was answered %d %s", a.status, a.body)
	}
	return got.HoldID, got.ExpiresAt.UnixNano()
}

func (h *held) path(verb string) string { return "/v1/holds/" + url.PathEscape(h.token) + verb }

// book holds places and then does with them what people do: confirm, mostly.
func (c *citizen) book(ctx context.Context) {
	h, ok := c.hold(ctx, c.wishes())
	if !ok {
		return
	}
	switch chance := c.rng.IntN(100); {
	case chance < 8:
		return // closed the browser
	case chance < 18:
		c.release(ctx, &h)
		return
	case chance < 30:
		pause(ctx, time.Duration(c.rng.Int64N(int64(c.crowd.holds/4))))
		c.extend(ctx, &h)
	case chance < 34:
		pause(ctx, time.Duration(c.rng.Int64N(int64(c.crowd.holds*3/2)))) // may be too late
	}
	pause(ctx, time.Duration(c.rng.IntN(150))*time.Millisecond)
	c.confirm(ctx, &h, c.people(h.claims), nil)
}

// wishes are one to three claims, over one or two sites.
func (c *citizen) wishes() (claims []checkers.Claim) {
	n := 1
	switch chance := c.rng.IntN(100); {
	case chance < 10:
		n = 3
	case chance < 28:
		n = 2
	}
	site := c.site()
	start := c.rng.IntN(len(c.crowd.world.Starts))
	for i := range n {
		if i > 0 && c.rng.IntN(2) == 0 {
			site = c.site()
		}
		claims = append(claims, c.claim(site, (start+i*c.rng.IntN(2))%len(c.crowd.world.Starts)))
	}
	return claims
}

func (c *citizen) site() allocator.SiteID {
	sites := c.crowd.world.Sites
	return sites[c.rng.IntN(len(sites))]
}

func (c *citizen) claim(site allocator.SiteID, start int) checkers.Claim {
	service := ServiceA
	if c.rng.IntN(5) < 2 {
		service = ServiceB
	}
	slot := allocator.SlotID{Site: site, Start: allocator.MinuteOf(c.crowd.world.Starts[start]), Length: slotMinutes}
	return checkers.Claim{Slot: slot, Service: service}
}

// people gives each claim a person: mostly somebody new, sometimes one of a few who may have a booking already.
func (c *citizen) people(claims []checkers.Claim) []checkers.Claim {
	known := make(map[string]bool)
	named := make([]checkers.Claim, len(claims))
	for i, claim := range claims {
		number := 1000 + int(c.crowd.serial.Add(1))
		if c.rng.IntN(100) < 12 {
			number = c.rng.IntN(30)
		}
		claim.Person = allocatortest.NHSNumber(number)
		for known[claim.Person] {
			number = 1000 + int(c.crowd.serial.Add(1))
			claim.Person = allocatortest.NHSNumber(number)
		}
		known[claim.Person] = true
		named[i] = claim
	}
	return named
}

func personBody(nhsNumber string) object {
	return object{"nhsNumber": nhsNumber, "givenName": "Ada", "familyName": "Example", "dateOfBirth": "1948-05-17"}
}

// confirm books a hold for people; replaced is the booking that it moves, if any.
func (c *citizen) confirm(ctx context.Context, h *held, claims []checkers.Claim, replaced *booking) (booked []booking, a answer) {
	people := make([]object, len(claims))
	for i := range claims {
		people[i] = personBody(claims[i].Person)
	}
	body := object{"people": people}
	op := checkers.Op{Kind: checkers.KindConfirm, Call: c.crowd.now(), Hold: h.name, Claims: claims}
	if replaced != nil {
		body["replaces"] = object{"reference": replaced.reference, "manageToken": replaced.manage}
		op.Replaces = replaced.reference
	}
	r := request{method: http.MethodPost, path: h.path("/confirm"), body: body}
	a = c.insist(ctx, r)
	if a.ok() {
		op.Claims, booked = c.booked(a, claims)
		c.echo(ctx, r, func(again answer) { c.sameBookings(r, a, again) })
	}
	c.crowd.record(op, a)
	c.crowd.keep(booked...)
	return booked, a
}

// bookingBody is a booking in an answer.
type bookingBody struct {
	Reference, ManageToken, Status string
	SiteID                         allocator.SiteID
	Service                        allocator.ServiceCode
	Start                          time.Time
	Length                         int16
}

// booked reads the bookings of a confirm, which must be what was asked for.
func (c *citizen) booked(a answer, asked []checkers.Claim) (claims []checkers.Claim, list []booking) {
	var got struct{ Bookings []bookingBody }
	if err := a.decode(&got); err != nil || len(got.Bookings) != len(asked) {
		c.crowd.complain("P7", "a confirm of %d claims was answered %d %s", len(asked), a.status, a.body)
		return asked, nil
	}
	for i, b := range got.Bookings {
		slot := allocator.SlotID{Site: b.SiteID, Start: allocator.MinuteOf(b.Start), Length: b.Length}
		claim := asked[i]
		if slot != claim.Slot || b.Service != claim.Service {
			c.crowd.complain("P3", "a claim of %v %s was booked as %v %s", claim.Slot, claim.Service, slot, b.Service)
		}
		claim.Reference = b.Reference
		claims = append(claims, claim)
		list = append(list, booking{reference: b.Reference, manage: b.ManageToken, claim: claim})
	}
	return claims, list
}

// sameBookings compares the answer to a late repeat of a confirm with the first.
func (c *citizen) sameBookings(r request, first, again answer) {
	if !again.ok() {
		c.crowd.complain("P6", "%s succeeded, and its repeat was answered %d %s", r.path, again.status, again.body)
		return
	}
	c.crowd.compareTwins(r, []answer{first, again})
}

func (c *citizen) extend(ctx context.Context, h *held) {
	op := checkers.Op{Kind: checkers.KindExtend, Call: c.crowd.now(), Hold: h.name, Claims: h.claims}
	a := c.insist(ctx, request{method: http.MethodPost, path: h.path("/extend")})
	if a.ok() {
		h.token, op.Deadline = c.granted(a)
	}
	c.crowd.record(op, a)
}

func (c *citizen) release(ctx context.Context, h *held) {
	op := checkers.Op{Kind: checkers.KindRelease, Call: c.crowd.now(), Hold: h.name, Claims: h.claims}
	a := c.insist(ctx, request{method: http.MethodDelete, path: h.path("")})
	c.crowd.record(op, a)
}
