package inventorysuite

import (
	"slices"
	"testing"

	"muster/allocator"
)

func testPin(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	g := h.hold(h.item(h.claim(0, 3), h.claim(1, 3)))[0].Grant
	for range 2 {
		r := h.pin(g)
		want(h, "state", r.State, allocator.GrantPinned)
		want(h, "in time", r.InTime, true)
		want(h, "epoch", r.Epoch, int64(1))
		want(h, "generation", r.Generation, int64(7))
		want(h, "id", r.ID, g.ID)
		want(h, "places", len(r.Places), 2)
		want(h, "revision", r.Revisions[1], int64(1))
	}
	lost := g
	lost.ID.Key[3]++
	r := h.pin(lost)
	want(h, "an unknown grant", r.State, allocator.GrantAbsent)
	want(h, "in time: lost", r.InTime, true)
	lost.DeadlineMs = h.read().NowMs - 2*grace
	want(h, "past its time", h.pin(lost).InTime, false)
	newer := g
	newer.ID.Stamp[8]++
	r = h.pin(newer)
	want(h, "another grant of the same request", r.ID, g.ID)
	want(h, "does not stand for it", r.State, allocator.GrantAbsent)

	short := h.hold(h.brief(h.claim(0, 3)))[0].Grant
	h.pin(short)
	h.pass(lapsed)
	_, err := h.Inventory.Reap(h.ctx, 0, 1, 100)
	h.must(err)
	want(h, "a pin does not expire", h.state(short.ID), allocator.GrantPinned)
	results, err := h.Inventory.Pin(h.ctx, 0, 1, []allocator.PinItem{{ID: short.ID, Site: h.site, DeadlineMs: short.DeadlineMs, GraceMs: 50}, {ID: g.ID, Site: "Nowhere"}, h.pinItem(g)})
	h.must(err)
	want(h, "late", results[0].InTime, false)
	want(h, "but pinned", results[0].State, allocator.GrantPinned)
	want(h, "a site nobody built", results[1].NotBuilt, true)
	want(h, "its neighbour", results[2].State, allocator.GrantPinned)
}

// The key's grant is another than the asked one: it is told of and left alone.
func testOtherGrant(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	item := h.item(h.claim(0, 9), h.claim(1, 9))
	first := h.hold(item)[0].Grant
	h.release(first.ID, true, allocator.GrantReleased)
	h.grant(1, 9)
	second := h.hold(item)[0].Grant
	lost := allocator.ReseatClaim{Index: 0, HoldClaim: h.claim(0, 9), Place: 0}
	claims := []allocator.Placed{h.placed(0, 0), h.placed(1, 1)}
	told := func(state allocator.GrantState) {
		t.Helper()
		late := h.pinItem(first)
		late.DeadlineMs = h.read().NowMs - 2*grace
		results, err := h.Inventory.Pin(h.ctx, 0, 1, []allocator.PinItem{h.pinItem(first), late})
		h.must(err)
		for i, r := range results {
			want(h, "pin", r.State, allocator.GrantAbsent)
			want(h, "the grant that is there", r.ID, second.ID)
			want(h, "in time", r.InTime, i == 0)
			want(h, "generation", r.Generation, int64(7))
			want(h, "places", len(r.Places)+len(r.Revisions), 0)
			want(h, "reason", r.Reason, allocator.Code(""))
			if !slices.Equal(r.Other, claims) {
				t.Fatalf("its claims are %v, not %v", claims, r.Other)
			}
		}
		r := h.reseat(h.reseatItem(first.ID, lost))
		want(h, "reseat", r.Outcome, allocator.HoldUnknown)
		want(h, "state", r.State, allocator.GrantAbsent)
		want(h, "the grant that is there", r.ID, second.ID)
		want(h, "places", len(r.Places)+len(r.Revisions), 0)
		want(h, "nothing was done", h.state(second.ID), state)
	}
	told(allocator.GrantHeld)
	own := h.pin(second)
	want(h, "its own pin", own.State, allocator.GrantPinned)
	want(h, "no other", len(own.Other), 0)
	told(allocator.GrantPinned)
	h.settle(second.ID, claims...)
	told(allocator.GrantBooked)
	h.free(second.ID, allocator.CodeBookingEnded)
	told(allocator.GrantEnded)

	marked, asked := h.lostGrant(), allocator.Grant{DeadlineMs: h.read().NowMs + hold}
	h.free(marked, allocator.CodeBookingEnded)
	asked.ID = marked
	asked.ID.Stamp[8]++
	r := h.pin(asked)
	want(h, "beside a mark without claims", r.State, allocator.GrantAbsent)
	want(h, "id", r.ID, asked.ID)
	want(h, "no other", len(r.Other), 0)
	reseat := h.reseat(h.reseatItem(asked.ID, lost))
	want(h, "reseat", reseat.Outcome, allocator.HoldUnknown)
	want(h, "state", reseat.State, allocator.GrantAbsent)
	want(h, "the mark's id", reseat.ID, marked)
	want(h, "the mark stays", h.state(marked), allocator.GrantEnded)
	want(h, "nothing was made", h.state(asked.ID), allocator.GrantAbsent)
}

func testSettle(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	g := h.hold(h.item(h.claim(0, 9), h.claim(1, 9)))[0].Grant
	h.pin(g)
	for range 2 {
		want(h, "settle", h.settle(g.ID, h.placed(0, 0)), allocator.Applied)
		h.wantPlaces(is(0, 0, g.ID, "booked")) // the other place has no row: it goes back
		want(h, "state", h.state(g.ID), allocator.GrantBooked)
	}
	want(h, "a booked pin", h.pin(g).State, allocator.GrantBooked)

	other := h.grant(0, 9)
	want(h, "a row at another place", h.settle(other.ID, h.placed(0, 5)), allocator.Applied)
	h.wantPlaces(is(0, 0, g.ID, "booked"), is(0, 5, other.ID, "booked"))
	third := h.grant(0, 9)
	want(h, "a row at another's place", h.settle(third.ID, h.placed(0, 5)), allocator.Displaced)
	h.wantPlaces(is(0, 0, g.ID, "booked"), is(0, 5, other.ID, "booked"))

	nobody := g.ID
	nobody.Key[4]++
	want(h, "a row whose grant is gone", h.settle(nobody, h.placed(2, 3)), allocator.Applied)
	h.wantPlaces(is(0, 0, g.ID, "booked"), is(0, 5, other.ID, "booked"), is(2, 3, nobody, "booked"))
	outcomes, err := h.Inventory.Settle(h.ctx, 0, 1, []allocator.SettleItem{{ID: g.ID, Site: "Nowhere"}, {ID: g.ID, Site: h.site}})
	h.must(err)
	want(h, "a site nobody built", outcomes[0], allocator.Ignored)
}

func testFree(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	item := h.item(h.claim(0, 9), h.claim(1, 9))
	g := h.hold(item)[0].Grant
	h.pin(g)
	h.settle(g.ID, h.placed(0, 0), h.placed(1, 0))
	for range 2 {
		want(h, "free", h.free(g.ID, allocator.CodeBookingEnded), allocator.Applied)
		h.wantPlaces()
		want(h, "state", h.state(g.ID), allocator.GrantEnded)
	}
	h.free(g.ID, allocator.CodeAlreadyBooked)
	r := h.pin(g)
	want(h, "ended", r.State, allocator.GrantEnded)
	want(h, "the first reason stands", r.Reason, allocator.CodeBookingEnded)
	want(h, "a repeat of the request", h.hold(item)[0].Grant.State, allocator.GrantEnded)

	gone := g.ID
	gone.Key[4]++
	h.settle(gone, h.placed(2, 3))
	want(h, "a grant whose record is gone", h.free(gone, allocator.CodeBookingEnded, h.placed(2, 3)), allocator.Applied)
	h.wantPlaces()
	want(h, "it is marked", h.state(gone), allocator.GrantEnded)
}

func testFences(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	g := h.grant(0, 9)
	h.pin(g)
	h.free(g.ID, allocator.CodeAlreadyBooked)
	want(h, "a late settle of an ended id", h.settle(g.ID, h.placed(0, 0)), allocator.Applied)
	h.wantPlaces()
	next := h.grant(0, 9)
	want(h, "its place", next.Places[0], int32(0))
	h.free(g.ID, allocator.CodeAlreadyBooked, h.placed(0, 0))
	h.wantPlaces(is(0, 0, next.ID, "held"))
	h.release(g.ID, true, allocator.GrantEnded)
	h.wantPlaces(is(0, 0, next.ID, "held"))

	item := h.item(h.claim(1, 1))
	first := h.hold(item)[0].Grant
	h.release(first.ID, true, allocator.GrantReleased)
	second := h.hold(item)[0].Grant
	h.free(first.ID, allocator.CodeAlreadyBooked, h.placed(1, 0))
	want(h, "another grant of the request", h.state(second.ID), allocator.GrantHeld)
	want(h, "settle of the first", h.settle(first.ID, h.placed(1, 0)), allocator.Displaced)
	h.wantPlaces(is(0, 0, next.ID, "held"), is(1, 0, second.ID, "held"))
}

func testStuckPins(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	var grants []allocator.Grant
	for i := range 4 {
		grants = append(grants, h.hold(h.brief(h.claim(i, 9), h.claim(7, 9)))[0].Grant)
		h.pin(grants[i])
	}
	stuck := func(limit int) []allocator.StuckPin {
		pins, err := h.Inventory.StuckPins(h.ctx, 0, 1, limit)
		h.must(err)
		return pins
	}
	want(h, "before their time", len(stuck(10)), 0)
	h.pass(lapsed)
	_, err := h.Inventory.Reap(h.ctx, 0, 1, 100)
	h.must(err)
	for range 2 {
		pins := stuck(3)
		want(h, "limit", len(pins), 3)
		for i, p := range pins {
			want(h, "oldest first", p.ID, grants[i].ID)
			want(h, "site", p.Site, h.site)
			want(h, "claims", len(p.Places), 2)
			want(h, "a claim", p.Places[1], allocator.Placed{Slot: h.slot(7), Place: int32(i), Service: "FLU"})
		}
	}
	h.settle(grants[0].ID, h.placed(0, 0))
	h.free(grants[2].ID, allocator.CodeAlreadyBooked)
	pins := stuck(10)
	want(h, "two are left", len(pins), 2)
	want(h, "the second", pins[0].ID, grants[1].ID)
	want(h, "the fourth", pins[1].ID, grants[3].ID)
}

func (h *house) reseat(item allocator.ReseatItem) allocator.ReseatResult {
	h.Helper()
	r, err := h.Inventory.Reseat(h.ctx, 0, h.epoch, item)
	h.must(err)
	return r
}

// lostGrant is a grant that this inventory never made.
func (h *house) lostGrant() allocator.HoldID {
	h.keys++
	return allocator.HoldID{Key: keyOf(h.keys), Stamp: allocator.MakeStamp(1, 77)}
}

func (h *house) reseatItem(id allocator.HoldID, claims ...allocator.ReseatClaim) allocator.ReseatItem {
	return allocator.ReseatItem{ID: id, Site: h.site, DeadlineMs: h.read().NowMs + hold, GraceMs: grace, Claims: claims, Total: len(claims)}
}

func testReseatLost(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	taken := h.grant(0, 9)
	item := h.reseatItem(h.lostGrant(),
		allocator.ReseatClaim{Index: 0, HoldClaim: h.claim(0, 9), Place: 0}, allocator.ReseatClaim{Index: 1, HoldClaim: h.claim(1, 9), Place: 4})
	r := h.reseat(item)
	want(h, "outcome", r.Outcome, allocator.HoldGranted)
	want(h, "id", r.ID, item.ID)
	want(h, "state", r.State, allocator.GrantPinned)
	want(h, "generation", r.Generation, int64(7))
	h.wantPlaces(is(0, 0, taken.ID, "held"), is(0, 1, item.ID, "held"), is(1, 4, item.ID, "held"))
	want(h, "pinned", h.state(item.ID), allocator.GrantPinned)
	for _, revision := range append(r.Revisions, h.pin(allocator.Grant{ID: item.ID}).Revisions...) {
		want(h, "it is older than the rebuild", revision, int64(0))
	}
	want(h, "settles", h.settle(item.ID, h.placed(0, 1), h.placed(1, 4)), allocator.Applied)
	h.wantPlaces(is(0, 0, taken.ID, "held"), is(0, 1, item.ID, "booked"), is(1, 4, item.ID, "booked"))
	r = h.reseat(item)
	want(h, "booked meanwhile", r.Outcome, allocator.HoldUnknown)
	want(h, "state", r.State, allocator.GrantBooked)
}

func testReseatTaken(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	g := h.hold(h.item(h.claim(0, 3), h.claim(1, 3)))[0].Grant
	h.pin(g)
	owner := h.lostGrant()
	item := h.reseatItem(g.ID, allocator.ReseatClaim{Index: 0, HoldClaim: h.claim(0, 3), Place: 0, Taken: owner, TakenFor: "COVID"})
	item.Total = 2
	r := h.reseat(item)
	want(h, "outcome", r.Outcome, allocator.HoldGranted)
	want(h, "new place", r.Places[0], int32(1))
	want(h, "kept place", r.Places[1], int32(0))
	want(h, "revision", r.Revisions[0], int64(1))
	h.wantPlaces(is(0, 0, owner, "booked"), is(0, 1, g.ID, "held"), is(1, 0, g.ID, "held"))
	want(h, "the owner's service", h.read().Places[0].Service, allocator.ServiceCode("COVID"))
}

func testReseatRefusals(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	other := h.grant(0, 1)
	lost := h.lostGrant()
	claim := allocator.ReseatClaim{Index: 0, HoldClaim: h.claim(0, 1), Place: 0}
	want(h, "full", h.reseat(h.reseatItem(lost, claim)).Outcome, allocator.HoldFull)
	stale := claim
	stale.Revision = 5
	r := h.reseat(h.reseatItem(lost, stale))
	want(h, "stale", r.Outcome, allocator.HoldStale)
	want(h, "revision", r.Revision, int64(1))
	late := h.reseatItem(lost, claim)
	late.DeadlineMs -= hold + 2*grace
	r = h.reseat(late)
	want(h, "late", r.Outcome, allocator.HoldUnknown)
	want(h, "its state", r.State, allocator.GrantExpired)
	part := h.reseatItem(lost, claim)
	part.Total = 2
	r = h.reseat(part)
	want(h, "one claim of a lost family", r.Outcome, allocator.HoldUnknown)
	want(h, "its state: not expired", r.State, allocator.GrantAbsent)
	want(h, "its id", r.ID, lost)
	part.DeadlineMs -= hold + 2*grace
	want(h, "past its time", h.reseat(part).State, allocator.GrantExpired)
	want(h, "nothing was made", h.state(lost), allocator.GrantAbsent)
	h.wantPlaces(is(0, 0, other.ID, "held"))

	full := h.reseat(h.reseatItem(other.ID, allocator.ReseatClaim{Index: 0, HoldClaim: h.claim(0, 0), Place: 0}))
	want(h, "no other place", full.Outcome, allocator.HoldFull)
	h.wantPlaces(is(0, 0, other.ID, "held"))
	h.free(other.ID, allocator.CodeHoldRevoked)
	r = h.reseat(h.reseatItem(other.ID, claim))
	want(h, "ended", r.Outcome, allocator.HoldUnknown)
	want(h, "state", r.State, allocator.GrantEnded)
	want(h, "reason", r.Reason, allocator.CodeHoldRevoked)
	elsewhere := h.reseatItem(lost, claim)
	elsewhere.Site = "Nowhere"
	want(h, "a site nobody built", h.reseat(elsewhere).Outcome, allocator.HoldNotBuilt)
}

// One booking of a family is cancelled: its place goes and stays gone, the others stay.
func testFreePartly(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	g := h.hold(h.item(h.claim(0, 9), h.claim(1, 9)))[0].Grant
	h.pin(g)
	h.settle(g.ID, h.placed(0, 0), h.placed(1, 0))
	for range 2 {
		outcomes, err := h.Inventory.Free(h.ctx, 0, 1, []allocator.FreeItem{{ID: g.ID, Site: h.site, Places: []allocator.Placed{h.placed(0, 0)}, Partial: true}})
		h.must(err)
		want(h, "free", outcomes[0], allocator.Applied)
		h.wantPlaces(is(1, 0, g.ID, "booked"))
		want(h, "state", h.state(g.ID), allocator.GrantBooked)
		want(h, "a late settle", h.settle(g.ID, h.placed(0, 0), h.placed(1, 0)), allocator.Applied)
		h.wantPlaces(is(1, 0, g.ID, "booked"))
	}
	done, err := h.Inventory.Repair(h.ctx, 0, 1, h.site, []allocator.PlaceFix{{Slot: h.slot(0), Place: 0,
		Now: &allocator.PlaceState{Slot: h.slot(0), Service: "FLU", Owner: g.ID, Booked: true}}})
	h.must(err)
	want(h, "a late repair", done, 0)
}
