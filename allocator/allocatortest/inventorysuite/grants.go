package inventorysuite

import (
	"testing"
	"time"

	"muster/allocator"
)

func testHold(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	item := h.item(h.claim(0, 3))
	r := h.hold(item)[0]
	want(h, "outcome", r.Outcome, allocator.HoldGranted)
	want(h, "deadline", r.Grant.DeadlineMs, r.NowMs+hold)
	want(h, "epoch", r.Grant.Epoch, int64(1))
	want(h, "state", r.Grant.State, allocator.GrantHeld)
	want(h, "key", r.Grant.ID.Key, item.Key)
	want(h, "repeated", r.Repeated, false)
	h.wantPlaces(is(0, 0, r.Grant.ID, "held"))

	again := h.hold(item)[0]
	want(h, "repeated", again.Repeated, true)
	want(h, "the same grant", again.Grant.ID, r.Grant.ID)
	want(h, "the same place", again.Grant.Places[0], r.Grant.Places[0])
	other := item
	other.Print[3]++
	want(h, "another body", h.hold(other)[0].Outcome, allocator.HoldMismatch)

	second, third := h.grant(0, 3), h.grant(0, 3)
	want(h, "second place", second.Places[0], int32(1))
	h.release(second.ID, false, allocator.GrantReleased)
	want(h, "lowest free place", h.grant(0, 3).Places[0], int32(1))
	want(h, "third place", third.Places[0], int32(2))
	want(h, "a full slot", h.hold(h.item(h.claim(0, 3)))[0].Outcome, allocator.HoldFull)
	want(h, "another slot", h.grant(1, 3).Places[0], int32(0))
}

func (h *house) release(id allocator.HoldID, forget bool, state allocator.GrantState) {
	h.Helper()
	got, err := h.Inventory.Release(h.ctx, 0, h.epoch, h.site, id, forget)
	h.must(err)
	want(h, "release", got, state)
}

func testHoldBatch(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	var items []allocator.HoldItem
	for range 5 {
		items = append(items, h.item(h.claim(0, 3)))
	}
	items = append(items, items[0], h.item(h.claim(1, 1)))
	mismatch := items[1]
	mismatch.Print[5]++
	items = append(items, mismatch)
	results := h.hold(items...)
	for i, outcome := range []allocator.HoldOutcome{0, 0, 0, allocator.HoldFull, allocator.HoldFull, 0, 0, allocator.HoldMismatch} {
		want(h, "outcome", results[i].Outcome, outcome)
	}
	for i := range 3 {
		want(h, "place", results[i].Grant.Places[0], int32(i))
	}
	want(h, "repeated within the batch", results[5].Repeated, true)
	want(h, "its grant", results[5].Grant.ID, results[0].Grant.ID)
	none, err := h.Inventory.Hold(h.ctx, 0, 1, nil)
	h.must(err)
	want(h, "an empty batch", len(none), 0)
}

func testHoldRefusals(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	stale := h.claim(0, 3)
	stale.Revision = 2
	r := h.hold(h.item(h.claim(1, 3), stale))[0]
	want(h, "outcome", r.Outcome, allocator.HoldStale)
	want(h, "claim", r.Claim, 1)
	want(h, "revision", r.Revision, int64(1))
	stale.Date++
	r = h.hold(h.item(stale))[0]
	want(h, "a day nobody knows", r.Outcome, allocator.HoldStale)
	want(h, "its revision", r.Revision, int64(0))
	nobody := h.claim(0, 3)
	nobody.Bounds = nil
	want(h, "no pool is open", h.hold(h.item(nobody))[0].Outcome, allocator.HoldFull)
	item := h.item(h.claim(0, 3))
	item.Site = "Nowhere"
	want(h, "a site nobody built", h.hold(item)[0].Outcome, allocator.HoldNotBuilt)
	_, err := h.Inventory.Begin(h.ctx, 0, 1, h.site, "other")
	h.must(err)
	want(h, "a site being rebuilt", h.hold(h.item(h.claim(0, 3)))[0].Outcome, allocator.HoldBuilding)
	h.wantPlaces()
}

func testWindows(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	now := h.read().NowMs
	lead := h.slot(0).Start.Millis() - now
	const minute = 60_000
	for _, c := range []struct {
		window allocator.Window
		want   allocator.HoldOutcome
	}{
		{allocator.Window{}, allocator.HoldGranted},
		{allocator.Window{OpensMs: now}, allocator.HoldGranted},
		{allocator.Window{OpensMs: now + 10*minute}, allocator.HoldOutside},
		{allocator.Window{MinLeadMs: lead - 10*minute}, allocator.HoldGranted},
		{allocator.Window{MinLeadMs: lead + minute}, allocator.HoldOutside},
		{allocator.Window{MaxLeadMs: lead + minute}, allocator.HoldGranted},
		{allocator.Window{MaxLeadMs: lead - 10*minute}, allocator.HoldOutside},
	} {
		claim := h.claim(0, 100)
		claim.Window = c.window
		if got := h.hold(h.item(claim))[0]; got.Outcome != c.want {
			t.Errorf("window %+v at lead %d: %v, want %v", c.window, lead, got.Outcome, c.want)
		}
	}
	past := h.claim(0, 100)
	past.Slot.Start = allocator.Minute(now/minute) - 30
	past.Window = allocator.Window{}
	want(h, "a start in the past", h.hold(h.item(past))[0].Outcome, allocator.HoldOutside)
	past.Window.MinLeadMs = -60 * minute
	want(h, "a start let pass", h.hold(h.item(past))[0].Outcome, allocator.HoldGranted)
}

func (h *house) service(n int, pools []allocator.Pool, s allocator.ServiceCode, access allocator.Access) allocator.HoldClaim {
	c := h.claim(n, 0)
	c.Service, c.Bounds = s, allocator.Bounds(pools, s, access)
	return c
}

func testSeating(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	pools := []allocator.Pool{
		{Services: []allocator.ServiceCode{"Blue", "Green"}, Capacity: 1},
		{Services: []allocator.ServiceCode{"Green", "Orange"}, Capacity: 1},
		{Services: []allocator.ServiceCode{"Blue", "Orange"}, Capacity: 1},
	}
	for n, order := range [][]allocator.ServiceCode{{"Blue", "Orange", "Blue"}, {"Green", "Green", "Blue"}, {"Orange", "Blue", "Orange"}} {
		for i, s := range order {
			r := h.hold(h.item(h.service(n, pools, s, 0)))[0]
			if r.Outcome != allocator.HoldGranted || r.Grant.Places[0] != int32(i) {
				t.Fatalf("claim %d of %v: %+v", i, order, r)
			}
		}
	}
	n := 1000
	for i := range 3 {
		r := h.hold(h.item(h.service(n, pools, "Blue", 0)))[0]
		outcome := allocator.HoldGranted
		if i == 2 {
			outcome = allocator.HoldFull // two pools offer Blue
		}
		want(h, "Blue", r.Outcome, outcome)
	}
	want(h, "Orange beside two Blue", h.hold(h.item(h.service(n, pools, "Orange", 0)))[0].Outcome, allocator.HoldGranted)
	want(h, "a fourth", h.hold(h.item(h.service(n, pools, "Green", 0)))[0].Outcome, allocator.HoldFull)
}

func testAccess(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	pools := []allocator.Pool{
		{Services: []allocator.ServiceCode{"A"}, Capacity: 1}, {Services: []allocator.ServiceCode{"A"}, Capacity: 1, Access: allocator.AccessInvited},
		{Services: []allocator.ServiceCode{"A"}, Capacity: 1, Access: allocator.AccessStopped},
	}
	take := func(access allocator.Access) allocator.HoldOutcome {
		return h.hold(h.item(h.service(0, pools, "A", access)))[0].Outcome
	}
	want(h, "public", take(allocator.AccessPublic), allocator.HoldGranted)
	want(h, "public again", take(allocator.AccessPublic), allocator.HoldFull)
	want(h, "invited", take(allocator.AccessInvited), allocator.HoldGranted)
	want(h, "nobody takes stopped places", take(allocator.AccessInvited), allocator.HoldFull)
}

func testSeveralClaims(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	r := h.hold(h.item(h.claim(0, 3), h.claim(1, 1), h.claim(0, 3)))[0]
	want(h, "outcome", r.Outcome, allocator.HoldGranted)
	h.wantPlaces(is(0, 0, r.Grant.ID, "held"), is(0, 1, r.Grant.ID, "held"), is(1, 0, r.Grant.ID, "held"))
	refused := h.hold(h.item(h.claim(0, 3), h.claim(2, 1), h.claim(0, 3)))[0]
	want(h, "one too many", refused.Outcome, allocator.HoldFull)
	want(h, "claim", refused.Claim, 2)
	want(h, "all or none", len(h.read().Places), 3)
	two := h.hold(h.item(h.claim(0, 3)), h.item(h.claim(0, 3)), h.item(h.claim(2, 1)))
	want(h, "the room it did not take", two[0].Outcome, allocator.HoldGranted)
	want(h, "and no more", two[1].Outcome, allocator.HoldFull)
	want(h, "a neighbour", two[2].Outcome, allocator.HoldGranted)
	h.release(r.Grant.ID, false, allocator.GrantReleased)
	want(h, "both places are back", h.hold(h.item(h.claim(0, 3), h.claim(0, 3)))[0].Outcome, allocator.HoldGranted)
}

// testLimit: a limit counts the claims of its services at all slots of the site within its spans, whatever made them, and a
// lapsed hold gives way to it.
func testLimit(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	limit := &allocator.Limit{Services: []allocator.ServiceCode{"FLU"}, Places: 3, Spans: []allocator.Span{
		{From: h.slot(0).Start, Until: h.slot(2).Start}, {From: h.slot(5).Start, Until: h.slot(200).Start}, // until after midnight
	}}
	claim := func(n int) allocator.HoldClaim {
		c := h.claim(n, 9)
		c.Limit = limit
		return c
	}
	h.grant(2, 9) // between the spans
	other := claim(0)
	other.Service, other.Limit = "RSV", nil
	other.Bounds = allocator.Bounds([]allocator.Pool{{Services: []allocator.ServiceCode{"RSV"}, Capacity: 9}}, "RSV", 0)
	want(h, "another service", h.hold(h.item(other))[0].Outcome, allocator.HoldGranted)
	h.build("Site-10")
	elsewhere := h.item(claim(0))
	elsewhere.Site, elsewhere.Claims[0].Slot.Site = "Site-10", "Site-10"
	want(h, "another site", h.hold(elsewhere)[0].Outcome, allocator.HoldGranted)

	first := h.hold(h.item(claim(0)), h.item(claim(1), claim(199)), h.item(claim(5)))
	want(h, "one", first[0].Outcome, allocator.HoldGranted)
	want(h, "two in one request", first[1].Outcome, allocator.HoldGranted)
	want(h, "a fourth in the same call", first[2].Outcome, allocator.HoldFull)
	want(h, "a fourth in another", h.hold(h.item(claim(6)))[0].Outcome, allocator.HoldFull)
	want(h, "between the spans", h.hold(h.item(h.claim(3, 9)))[0].Outcome, allocator.HoldGranted)
	want(h, "settled", h.settle(first[0].Grant.ID, h.placed(0, first[0].Grant.Places[0])), allocator.Applied)
	want(h, "with a booking", h.hold(h.item(claim(6)))[0].Outcome, allocator.HoldFull)
	h.release(first[1].Grant.ID, false, allocator.GrantReleased)
	refused := h.hold(h.item(claim(5), claim(6), claim(7)))[0]
	want(h, "three where two fit", refused.Outcome, allocator.HoldFull)
	want(h, "the third", refused.Claim, 2)

	brief := h.hold(h.brief(claim(8), claim(9)))[0]
	want(h, "two", brief.Outcome, allocator.HoldGranted)
	lost := allocator.ReseatItem{ID: first[1].Grant.ID, Site: h.site, DeadlineMs: first[0].Grant.DeadlineMs, GraceMs: grace, Total: 1}
	lost.ID.Key = keyOf(9_999)
	lost.Claims = []allocator.ReseatClaim{{HoldClaim: claim(7)}}
	reseat := func() allocator.HoldOutcome {
		r, err := h.Inventory.Reseat(h.ctx, 0, h.epoch, lost)
		h.must(err)
		return r.Outcome
	}
	want(h, "a lost hold", reseat(), allocator.HoldFull)
	h.pass(lapsed)
	more, err := h.Inventory.Reap(h.ctx, 0, h.epoch, 100)
	h.must(err)
	want(h, "more to reap", more, false)
	want(h, "a lost hold with room", reseat(), allocator.HoldGranted)
	want(h, "the last", h.hold(h.item(claim(5)))[0].Outcome, allocator.HoldGranted)
	want(h, "one too many", h.hold(h.item(claim(5)))[0].Outcome, allocator.HoldFull)
}

// brief is an item with a short life.
func (h *house) brief(claims ...allocator.HoldClaim) allocator.HoldItem {
	item := h.item(claims...)
	item.LengthMs, item.GraceMs = 150, 50
	return item
}

const lapsed = 210 * time.Millisecond

func testExpiry(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	item := h.brief(h.claim(0, 1))
	g := h.hold(item)[0].Grant
	h.pass(lapsed)
	want(h, "state", h.state(g.ID), allocator.GrantExpired)
	want(h, "pin", h.pin(g).State, allocator.GrantExpired)
	next := h.hold(h.item(h.claim(0, 1)))[0]
	want(h, "the place is free again", next.Outcome, allocator.HoldGranted)
	h.wantPlaces(is(0, 0, next.Grant.ID, "held"))
	again := h.hold(item)[0]
	want(h, "a repeat", again.Repeated, true)
	want(h, "its state", again.Grant.State, allocator.GrantExpired)
	h.release(g.ID, false, allocator.GrantExpired)
	h.wantPlaces(is(0, 0, next.Grant.ID, "held"))
}

func testReapBounded(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{ReapBatch: 2})
	var items []allocator.HoldItem
	for range 7 {
		items = append(items, h.brief(h.claim(0, 7)))
	}
	h.hold(items...)
	h.pass(lapsed)
	full := h.claim(0, 0)
	r := h.hold(h.item(full))[0]
	want(h, "full", r.Outcome, allocator.HoldFull)
	want(h, "more lapsed ones remain", r.More, true)
	want(h, "two went", len(h.read().Places), 5)
	more, err := h.Inventory.Reap(h.ctx, 0, 1, 3)
	h.must(err)
	want(h, "more", more, true)
	want(h, "three went", len(h.read().Places), 2)
	more, err = h.Inventory.Reap(h.ctx, 0, 1, 3)
	h.must(err)
	want(h, "more", more, false)
	h.wantPlaces()
	r = h.hold(h.item(full))[0]
	want(h, "none remain", r.More, false)
}

// A hold that is due later, because it was extended or is longer, is no obstacle for those that lapse before it.
func testLapsingOrder(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{ReapBatch: 2})
	long := h.item(h.claim(0, 9))
	first := h.hold(long)[0].Grant
	extended := h.hold(h.brief(h.claim(1, 9)))[0].Grant
	r, err := h.Inventory.Extend(h.ctx, 0, 1, extended.ID)
	h.must(err)
	want(h, "extended", r.Outcome, allocator.HoldGranted)
	reseated := h.reseatItem(h.lostGrant(), allocator.ReseatClaim{HoldClaim: h.claim(2, 9)})
	want(h, "reseated", h.reseat(reseated).Outcome, allocator.HoldGranted)
	var brief []allocator.Grant
	for range 3 {
		brief = append(brief, h.hold(h.brief(h.claim(3, 3)))[0].Grant)
	}
	h.pin(brief[2])
	h.pass(lapsed)
	for _, state := range []bool{true, false} {
		more, err := h.Inventory.Reap(h.ctx, 0, 1, 2)
		h.must(err)
		if h.Advance != nil { // else the extended one may be due by now
			want(h, "more", more, state)
		}
	}
	for _, g := range brief[:2] {
		want(h, "state", h.state(g.ID), allocator.GrantExpired)
	}
	_, err = h.Inventory.Reap(h.ctx, 0, 1, 2)
	h.must(err)
	pins, err := h.Inventory.StuckPins(h.ctx, 0, 1, 9)
	h.must(err)
	want(h, "stuck pins", len(pins), 1)
	want(h, "the stuck one", pins[0].ID, brief[2].ID)
	h.pass(lapsed)
	next := h.hold(h.item(h.claim(3, 2)))[0]
	want(h, "the places are free", next.Outcome, allocator.HoldGranted)
	h.wantPlaces(is(0, 0, first.ID, "held"), is(2, 0, reseated.ID, "held"), is(3, 0, next.Grant.ID, "held"), is(3, 2, brief[2].ID, "held"))
	want(h, "the extended one lapsed in its turn", h.state(extended.ID), allocator.GrantExpired)
}

func testExtension(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	item := h.item(h.claim(0, 1))
	item.LengthMs, item.GraceMs = 400, 100
	g := h.hold(item)[0].Grant
	for range 2 {
		r, err := h.Inventory.Extend(h.ctx, 0, 1, g.ID)
		h.must(err)
		want(h, "outcome", r.Outcome, allocator.HoldGranted)
		want(h, "deadline", r.Grant.DeadlineMs, g.DeadlineMs+400)
		want(h, "place", r.Grant.Places[0], int32(0))
	}
	unknown := g.ID
	unknown.Stamp[8]++
	r, err := h.Inventory.Extend(h.ctx, 0, 1, unknown)
	h.must(err)
	want(h, "another id", r.Outcome, allocator.HoldUnknown)
	want(h, "its state", r.Grant.State, allocator.GrantAbsent)
	h.pass(900 * time.Millisecond)
	want(h, "state", h.state(g.ID), allocator.GrantExpired)
	r, err = h.Inventory.Extend(h.ctx, 0, 1, g.ID)
	h.must(err)
	want(h, "too late", r.Outcome, allocator.HoldUnknown)
	more, err := h.Inventory.Reap(h.ctx, 0, 1, 100)
	h.must(err)
	want(h, "more", more, false)
	h.wantPlaces()
}

func testKeyMemory(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{KeyLifetime: 1200 * time.Millisecond})
	item := h.brief(h.claim(0, 5))
	g := h.hold(item)[0].Grant
	pinned := h.hold(h.item(h.claim(1, 5)))[0].Grant
	h.pin(pinned)
	h.pass(lapsed)
	want(h, "known", h.hold(item)[0].Repeated, true)
	h.pass(1300 * time.Millisecond)
	_, err := h.Inventory.Reap(h.ctx, 0, 1, 100)
	h.must(err)
	want(h, "forgotten", h.state(g.ID), allocator.GrantAbsent)
	want(h, "a pin is not", h.state(pinned.ID), allocator.GrantPinned)
	r := h.hold(item)[0]
	want(h, "granted anew", r.Repeated, false)
	if r.Grant.ID == g.ID {
		t.Fatal("two grants have one id")
	}
}

func testRelease(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	item := h.item(h.claim(0, 1))
	g := h.hold(item)[0].Grant
	stranger := g.ID
	stranger.Stamp[8]++
	h.release(stranger, false, allocator.GrantAbsent)
	h.release(g.ID, false, allocator.GrantReleased)
	h.release(g.ID, false, allocator.GrantReleased)
	want(h, "a repeat tells", h.hold(item)[0].Grant.State, allocator.GrantReleased)
	h.wantPlaces()

	item = h.item(h.claim(0, 1))
	first := h.hold(item)[0].Grant
	h.release(first.ID, true, allocator.GrantReleased)
	want(h, "forgotten", h.state(first.ID), allocator.GrantAbsent)
	second := h.hold(item)[0]
	want(h, "granted anew", second.Repeated, false)
	if second.Grant.ID == first.ID {
		t.Fatal("two grants have one id")
	}
	h.release(first.ID, true, allocator.GrantAbsent)
	want(h, "the second stands", h.state(second.Grant.ID), allocator.GrantHeld)
	h.pin(second.Grant)
	h.release(second.Grant.ID, true, allocator.GrantPinned)
	h.settle(second.Grant.ID, h.placed(0, 0))
	h.release(second.Grant.ID, true, allocator.GrantBooked)
	h.wantPlaces(is(0, 0, second.Grant.ID, "booked"))
}
