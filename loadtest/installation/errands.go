package installation

import (
	"context"
	"fmt"
	"net/http"

	"muster/allocator"
	"muster/allocator/allocatortest"
	"muster/allocator/allocatortest/checkers"
)

// cancel ends a booking, as its owner or as staff.
func (c *citizen) cancel(ctx context.Context) {
	b, ok := c.crowd.take(c.rng)
	if !ok {
		return
	}
	header := map[string]string{"Authorization": "Manage " + b.manage}
	if c.rng.IntN(4) == 0 {
		header = staff
	}
	c.cancelBooking(ctx, b, header)
}

func (c *citizen) cancelBooking(ctx context.Context, b booking, header map[string]string) {
	op := checkers.Op{Kind: checkers.KindCancel, Call: c.crowd.now(), Cancels: b.reference}
	r := request{http.MethodPost, "/v1/bookings/" + b.reference + "/cancel", object{"reason": "citizen"}, header}
	a := c.insist(ctx, r)
	c.crowd.record(op, a)
	if a.ok() {
		c.echo(ctx, r, func(again answer) {
			if !again.ok() {
				c.crowd.complain("P6", "%s succeeded, and its repeat was answered %d %s", r.path, again.status, again.body)
			}
		})
	}
}

// move books another slot in place of a booking.
func (c *citizen) move(ctx context.Context) {
	b, ok := c.crowd.take(c.rng)
	if !ok {
		return
	}
	claim := c.claim(c.site(), c.rng.IntN(len(c.crowd.world.Starts)))
	claim.Service = b.claim.Service
	h, ok := c.hold(ctx, []checkers.Claim{claim})
	if !ok {
		c.crowd.keep(b)
		return
	}
	named := []checkers.Claim{h.claims[0]}
	named[0].Person = b.claim.Person
	if _, a := c.confirm(ctx, &h, named, &b); !a.ok() && a.definite() {
		c.crowd.keep(b) // a refused move leaves the old booking as it is
	}
}

// walkIn books a free place for somebody who stands at the counter.
func (c *citizen) walkIn(ctx context.Context) {
	claim := c.claim(c.site(), c.rng.IntN(len(c.crowd.world.Starts)))
	n := int(c.crowd.serial.Add(1))
	name := fmt.Sprintf("walk-in-%d", n)
	claim.Person = allocatortest.NHSNumber(1000 + n)
	op := checkers.Op{Kind: checkers.KindWalkIn, Call: c.crowd.now(), Hold: name, Claims: []checkers.Claim{claim}}
	body := holdBody(op.Claims)
	delete(body, "siteId")
	body["person"] = personBody(claim.Person)
	header := map[string]string{"Authorization": staff["Authorization"], "Idempotency-Key": c.key(name)}
	a := c.insist(ctx, request{http.MethodPost, "/v1/sites/" + string(claim.Slot.Site) + "/walkins", body, header})
	if a.ok() {
		var got bookingBody
		if err := a.decode(&got); err != nil || got.Reference == "" {
			c.crowd.complain("P11", "a walk-in was answered %d %s", a.status, a.body)
		}
		claim.Reference = got.Reference
		claim.Slot = allocator.SlotID{Site: got.SiteID, Start: allocator.MinuteOf(got.Start), Length: got.Length}
		op.Claims = []checkers.Claim{claim}
		c.crowd.keep(booking{reference: got.Reference, manage: got.ManageToken, claim: claim})
	}
	c.crowd.record(op, a)
}

// checkIn notes that somebody came, or did not.
func (c *citizen) checkIn(ctx context.Context) {
	b, ok := c.crowd.take(c.rng)
	if !ok {
		return
	}
	status := allocator.StatusArrived
	if c.rng.IntN(3) == 0 {
		status = allocator.StatusNoShow
	}
	op := checkers.Op{Kind: checkers.KindStatus, Call: c.crowd.now(), Cancels: b.reference}
	a := c.insist(ctx, request{http.MethodPost, "/v1/bookings/" + b.reference + "/status", object{"status": status}, staff})
	c.crowd.record(op, a)
	c.crowd.keep(b)
}
