package inventorysuite

import (
	"errors"
	"testing"

	"muster/allocator"
)

func (h *house) wantError(what string, err, want error) {
	h.Helper()
	if !errors.Is(err, want) {
		h.Fatalf("%s: got %v, want %v", what, err, want)
	}
}

// tryHold asks at an epoch and tells the error.
func (h *house) tryHold(epoch int64) error {
	_, err := h.Inventory.Hold(h.ctx, 0, epoch, []allocator.HoldItem{h.item(h.claim(0, 5))})
	return err
}

func testEpochs(t *testing.T, open Open) {
	h := &house{T: t, Opened: open(t, Settings{Shards: 2}), ctx: t.Context(), epoch: 5, site: "Site-1"}
	want(h, "shards", h.Inventory.Shards(), 2)
	identity, err := h.Inventory.Identity(h.ctx, 0)
	h.must(err)
	again, err := h.Inventory.Identity(h.ctx, 0)
	h.must(err)
	want(h, "identity again", again, identity)
	h.wantError("before any epoch", h.tryHold(5), allocator.ErrIncarnationLost)
	h.wantError("adopting nothing", h.Inventory.Open(h.ctx, 0, 5, identity, false), allocator.ErrIncarnationLost)
	h.wantError("another identity", h.Inventory.Open(h.ctx, 0, 5, identity+"x", true), allocator.ErrIncarnationLost)
	h.must(h.Inventory.Open(h.ctx, 0, 5, identity, true))
	h.must(h.Inventory.Open(h.ctx, 0, 5, identity, true))
	h.must(h.Inventory.Open(h.ctx, 0, 5, identity, false))
	h.wantError("an older epoch", h.Inventory.Open(h.ctx, 0, 4, identity, true), allocator.ErrEpochStale)
	h.wantError("adopting a newer epoch", h.Inventory.Open(h.ctx, 0, 6, identity, false), allocator.ErrIncarnationLost)
	h.wantError("a call of an older epoch", h.tryHold(4), allocator.ErrEpochStale)
	h.wantError("a call of a newer epoch", h.tryHold(6), allocator.ErrIncarnationLost)
	h.wantError("epoch 0", h.tryHold(0), allocator.ErrEpochStale)
	h.must(h.tryHold(5))

	h.build(h.site)
	g := h.grant(0, 5)
	h.pin(g)
	h.must(h.Inventory.Open(h.ctx, 0, 6, identity, true))
	h.wantError("the superseded epoch", h.tryHold(5), allocator.ErrEpochStale)
	h.epoch = 6
	want(h, "hold before a rebuild", h.hold(h.item(h.claim(0, 5)))[0].Outcome, allocator.HoldNotBuilt)
	want(h, "pin before a rebuild", h.pin(g).NotBuilt, true)
	want(h, "built", h.read().Built, false)
	want(h, "a settle of the old epoch's site", h.settle(g.ID, h.placed(0, 0)), allocator.Ignored)
	h.epoch = 5
	want(h, "a settle not newer than the site", h.settle(g.ID, h.placed(0, 0)), allocator.Applied)
	h.epoch = 6
	h.wantPlaces(is(0, 0, g.ID, "booked"))
	h.build(h.site)
	want(h, "built", h.read().Built, true)
	want(h, "next place", h.grant(0, 5).Places[0], int32(1))
}

func testLoss(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	if h.Lose == nil {
		t.Skip("this inventory cannot be made to lose its memory here")
	}
	g := h.grant(0, 5)
	h.Lose(0)
	h.wantError("after a loss", h.tryHold(1), allocator.ErrIncarnationLost)
	_, err := h.Inventory.Settle(h.ctx, 0, 1, []allocator.SettleItem{{ID: g.ID, Site: h.site}})
	h.wantError("settle after a loss", err, allocator.ErrIncarnationLost)
	_, err = h.Inventory.ReadSite(h.ctx, 0, 1, h.site)
	h.wantError("read after a loss", err, allocator.ErrIncarnationLost)
	identity, err := h.Inventory.Identity(h.ctx, 0)
	h.must(err)
	h.wantError("adopting after a loss", h.Inventory.Open(h.ctx, 0, 1, identity, false), allocator.ErrIncarnationLost)
	h.epoch = 2
	h.must(h.Inventory.Open(h.ctx, 0, 2, identity, true))
	want(h, "hold before a rebuild", h.hold(h.item(h.claim(0, 5)))[0].Outcome, allocator.HoldNotBuilt)
	h.build(h.site)
	r := h.pin(g)
	want(h, "a lost hold", r.State, allocator.GrantAbsent)
	want(h, "in time", r.InTime, true)
}
