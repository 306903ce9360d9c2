package inventorysuite

import (
	"testing"

	"muster/allocator"
)

// testGrace: past its advertised deadline a hold still has its place and can be pinned, as long as its grace lasts.
func testGrace(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	item := h.brief(h.claim(0, 1))
	item.GraceMs = hold
	g := h.hold(item)[0].Grant
	h.pass(lapsed)
	if now := h.read().NowMs; now < g.DeadlineMs {
		t.Fatalf("it is %d, and the deadline is %d", now, g.DeadlineMs)
	}
	more, err := h.Inventory.Reap(h.ctx, 0, 1, 9)
	h.must(err)
	want(h, "lapsed ones are left", more, false)
	want(h, "state", h.state(g.ID), allocator.GrantHeld)
	h.wantPlaces(is(0, 0, g.ID, "held"))
	want(h, "pin", h.pin(g).State, allocator.GrantPinned)
	want(h, "a repeat", h.hold(item)[0].Grant.State, allocator.GrantPinned)
	h.wantPlaces(is(0, 0, g.ID, "held"))
}
