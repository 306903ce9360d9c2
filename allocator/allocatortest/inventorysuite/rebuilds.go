package inventorysuite

import (
	"fmt"
	"maps"
	"testing"

	"muster/allocator"
)

func testApply(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	apply := func(date allocator.Date, revision int64) allocator.ApplyOutcome {
		outcome, err := h.Inventory.Apply(h.ctx, 0, 1, h.site, date, revision)
		h.must(err)
		return outcome
	}
	want(h, "newer", apply(day, 3), allocator.Applied)
	want(h, "older", apply(day, 2), allocator.Applied)
	want(h, "another day", apply(day+1, 1), allocator.Applied)
	if got := h.read().Revisions; !maps.Equal(got, map[allocator.Date]int64{day: 3, day + 1: 1}) {
		t.Fatalf("revisions %v", got)
	}
	r := h.hold(h.item(h.claim(0, 3)))[0]
	want(h, "a claim of the old revision", r.Outcome, allocator.HoldStale)
	want(h, "revision", r.Revision, int64(3))
	outcome, err := h.Inventory.Apply(h.ctx, 0, 1, "Nowhere", day, 1)
	h.must(err)
	want(h, "a site nobody built", outcome, allocator.Ignored)
}

func (h *house) begin(builder string) []allocator.SlotID {
	h.Helper()
	slots, err := h.Inventory.Begin(h.ctx, 0, h.epoch, h.site, builder)
	h.must(err)
	return slots
}

func (h *house) load(builder string, ended []allocator.EndedID, slots ...allocator.SlotLoad) bool {
	h.Helper()
	ok, err := h.Inventory.Load(h.ctx, 0, h.epoch, h.site, builder, slots, ended)
	h.must(err)
	return ok
}

func (h *house) finish(builder string) bool {
	h.Helper()
	ok, err := h.Inventory.Finish(h.ctx, 0, h.epoch, h.site, builder, 8, map[allocator.Date]int64{day: 1})
	h.must(err)
	return ok
}

func row(place int32, owner allocator.HoldID) allocator.LoadRow {
	return allocator.LoadRow{Place: place, Service: "FLU", Owner: owner}
}

func testRebuild(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	held, pinned := h.grant(0, 9), h.grant(1, 9)
	h.pin(pinned)
	booked := h.grant(2, 9)
	h.settle(booked.ID, h.placed(2, 0))
	slots := h.begin("b")
	if len(slots) != 3 || slots[0] != h.slot(0) || slots[2] != h.slot(2) {
		t.Fatalf("Begin lists %v", slots)
	}
	_, err := h.Inventory.Apply(h.ctx, 0, 1, h.site, day, 4)
	h.must(err)
	ledger := h.lostGrant()
	want(h, "load", h.load("b", nil, allocator.SlotLoad{Slot: h.slot(0)}, allocator.SlotLoad{Slot: h.slot(1)},
		allocator.SlotLoad{Slot: h.slot(2)}, allocator.SlotLoad{Slot: h.slot(3), Rows: []allocator.LoadRow{row(0, ledger)}}), true)
	for range 2 {
		want(h, "finish", h.finish("b"), true)
		h.wantPlaces(is(0, 0, held.ID, "held"), is(1, 0, pinned.ID, "held"), is(3, 0, ledger, "booked"))
	}
	view := h.read()
	want(h, "built", view.Built, true)
	want(h, "generation", view.Generation, int64(8))
	want(h, "a revision that came meanwhile", view.Revisions[day], int64(4))
	want(h, "a surviving hold", h.pin(held).State, allocator.GrantPinned)
}

// What was granted before a rebuild ended may have survived something: its revision is unproven. See PinResult.
func testSurvivors(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	revisions := func(what string, got []int64, revision int64) {
		t.Helper()
		want(h, what, len(got), 2)
		want(h, what, got[0], revision)
		want(h, what, got[1], revision)
	}
	two := func() allocator.Grant { return h.hold(h.item(h.claim(0, 9), h.claim(1, 9)))[0].Grant }
	old, moved, booked, fresh := two(), two(), two(), two()
	h.settle(booked.ID, h.placed(0, booked.Places[0]), h.placed(1, booked.Places[1]))
	revisions("before any other rebuild", h.pin(fresh).Revisions, 1)
	reseat := func(g allocator.Grant) allocator.ReseatResult {
		item := h.reseatItem(g.ID, allocator.ReseatClaim{Index: 1, HoldClaim: h.claim(1, 9), Place: g.Places[1]})
		item.Total = 2
		r := h.reseat(item)
		want(h, "reseat", r.Outcome, allocator.HoldGranted)
		return r
	}
	h.begin("b")
	for range 2 {
		want(h, "finish", h.finish("b"), true)
		revisions("a survivor", h.pin(old).Revisions, 0)
		revisions("a survivor that has another place", reseat(moved).Revisions, 0)
		revisions("a survivor that is booked", h.pin(booked).Revisions, 0)
		late := two()
		revisions("a new grant", h.pin(late).Revisions, 1)
		revisions("a new grant that has another place", reseat(late).Revisions, 1)
	}
	newest := two()
	h.begin("c")
	want(h, "finish", h.finish("c"), true)
	revisions("a survivor of the next rebuild", h.pin(newest).Revisions, 0)

	h.epoch++
	identity, err := h.Inventory.Identity(h.ctx, 0)
	h.must(err)
	h.must(h.Inventory.Open(h.ctx, 0, h.epoch, identity, true))
	h.build(h.site)
	revisions("a survivor of another epoch", h.pin(newest).Revisions, 0)
	revisions("a grant of this epoch", h.pin(two()).Revisions, 1)
}

func testBuilders(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	g := h.grant(0, 9)
	h.begin("one")
	want(h, "set aside", h.settle(g.ID, h.placed(0, 0)), allocator.SetAside)
	h.begin("one") // changes nothing
	h.begin("two") // takes over, with nothing set aside
	want(h, "load by the first", h.load("one", nil), false)
	want(h, "finish by the first", h.finish("one"), false)
	want(h, "finish", h.finish("two"), true)
	want(h, "finish by the first", h.finish("one"), false)
	h.wantPlaces(is(0, 0, g.ID, "held"))
	want(h, "load after the end", h.load("two", nil), false)
}

func testSetAside(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{SetAside: 4})
	a, b := h.grant(0, 9), h.grant(1, 9)
	h.begin("b")
	want(h, "free", h.free(a.ID, allocator.CodeAlreadyBooked), allocator.SetAside)
	want(h, "settle", h.settle(a.ID, h.placed(0, 0)), allocator.SetAside)
	want(h, "settle", h.settle(b.ID, h.placed(1, 0)), allocator.SetAside)
	h.wantPlaces(is(0, 0, a.ID, "held"), is(1, 0, b.ID, "held"))
	want(h, "finish", h.finish("b"), true)
	h.wantPlaces(is(1, 0, b.ID, "booked"))
	want(h, "ended beats settled", h.state(a.ID), allocator.GrantEnded)

	h.begin("c")
	for range 4 {
		want(h, "set aside", h.settle(b.ID, h.placed(1, 0)), allocator.SetAside)
	}
	want(h, "one too many", h.free(b.ID, allocator.CodeBookingEnded), allocator.Ignored)
	want(h, "begin again", h.finish("c"), false)
	want(h, "still building", h.hold(h.item(h.claim(2, 9)))[0].Outcome, allocator.HoldBuilding)
	h.begin("d")
	want(h, "finish", h.finish("d"), true)
	h.wantPlaces(is(1, 0, b.ID, "booked"))
}

func testLoad(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	fits, collides := h.grant(0, 9), h.hold(h.item(h.claim(0, 9), h.claim(1, 9)))[0].Grant
	recorded, ended := h.grant(0, 9), h.grant(0, 9)
	stale := h.grant(0, 9)
	h.settle(stale.ID, h.placed(0, 4))
	h.begin("b")
	owner := h.lostGrant()
	for range 2 {
		want(h, "load", h.load("b", []allocator.EndedID{{ID: ended.ID, Reason: allocator.CodeBookingEnded}},
			allocator.SlotLoad{Slot: h.slot(0), Rows: []allocator.LoadRow{row(1, owner), row(2, recorded.ID)}}), true)
		h.wantPlaces(is(0, 0, fits.ID, "held"), is(0, 1, owner, "booked"), is(0, 2, recorded.ID, "booked"))
	}
	want(h, "finish", h.finish("b"), true)
	want(h, "a hold that collides goes as a whole and unmarked", h.state(collides.ID), allocator.GrantAbsent)
	want(h, "recorded", h.state(recorded.ID), allocator.GrantBooked)
	want(h, "ended", h.state(ended.ID), allocator.GrantEnded)
	want(h, "the rest", h.state(fits.ID), allocator.GrantHeld)
}

// testReadPlaces: what is asked for, by range and place, of sites that are built.
func testReadPlaces(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	a, b := h.hold(h.item(h.claim(0, 9), h.claim(1, 9)))[0].Grant, h.grant(0, 9)
	h.settle(b.ID, h.placed(0, 1))
	elsewhere := h.slot(0)
	elsewhere.Site = "Site-never-built"
	read := func(ranges ...allocator.PlaceRange) (places []allocator.PlaceState, notBuilt []allocator.SiteID) {
		t.Helper()
		places, notBuilt, err := h.Inventory.ReadPlaces(h.ctx, 0, 1, ranges)
		h.must(err)
		return places, notBuilt
	}
	state := func(n int, place int32, owner allocator.HoldID, booked bool) allocator.PlaceState {
		return allocator.PlaceState{Slot: h.slot(n), Place: place, Service: "FLU", Owner: owner, Booked: booked}
	}
	all := []allocator.PlaceRange{
		{Slot: h.slot(1), Last: 9}, {Slot: elsewhere, Last: 9}, {Slot: h.slot(2), Last: 9}, {Slot: h.slot(0), Last: 9}, {Slot: elsewhere, First: 10, Last: 19},
	}
	places, notBuilt := read(all...)
	want(h, "places", fmt.Sprint(places), fmt.Sprint([]allocator.PlaceState{state(1, 0, a.ID, false), state(0, 0, a.ID, false), state(0, 1, b.ID, true)}))
	want(h, "not built", fmt.Sprint(notBuilt), fmt.Sprint([]allocator.SiteID{elsewhere.Site}))
	places, notBuilt = read(allocator.PlaceRange{Slot: h.slot(0), First: 1, Last: 1}, allocator.PlaceRange{Slot: h.slot(0), First: 2, Last: 9})
	want(h, "part", fmt.Sprint(places), fmt.Sprint([]allocator.PlaceState{state(0, 1, b.ID, true)}))
	want(h, "all built", len(notBuilt), 0)
	places, notBuilt = read()
	want(h, "nothing asked", len(places)+len(notBuilt), 0)
	h.begin("b")
	places, notBuilt = read(all...)
	want(h, "while building", len(places), 0)
	want(h, "while building", fmt.Sprint(notBuilt), fmt.Sprint([]allocator.SiteID{h.site, elsewhere.Site}))
	_, _, err := h.Inventory.ReadPlaces(h.ctx, 0, 2, all)
	if err == nil {
		t.Error("an epoch that is not the shard's reads")
	}
}

func testRepair(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	a, b, c := h.hold(h.item(h.claim(0, 9), h.claim(1, 9)))[0].Grant, h.grant(0, 9), h.grant(0, 9)
	h.settle(b.ID, h.placed(0, 1))
	ledger := h.lostGrant()
	side := func(place int32, owner allocator.HoldID, booked bool) *allocator.PlaceState {
		return &allocator.PlaceState{Slot: h.slot(0), Place: place, Service: "FLU", Owner: owner, Booked: booked}
	}
	fixes := []allocator.PlaceFix{
		{Slot: h.slot(0), Place: 1, Was: side(1, b.ID, false), Now: side(1, ledger, true)},                         // it is booked
		{Slot: h.slot(0), Place: 5, Was: side(5, b.ID, true)},                                                      // it is free
		{Slot: h.slot(0), Place: 0, Was: side(0, a.ID, false), Now: side(0, ledger, true)},                         // a goes as a whole
		{Slot: h.slot(0), Place: 1, Was: side(1, b.ID, true)},                                                      // booked without row
		{Slot: h.slot(0), Place: 2, Was: side(2, c.ID, false), FreeGrant: true, Reason: allocator.CodeHoldRevoked}, // ended
		{Slot: h.slot(0), Place: 6, Now: side(6, ledger, true)},                                                    // a row that nobody knew
		{Slot: h.slot(0), Place: 6, Now: side(6, b.ID, true)},                                                      // no longer free
	}
	done, err := h.Inventory.Repair(h.ctx, 0, 1, h.site, fixes)
	h.must(err)
	want(h, "changed", done, 4)
	h.wantPlaces(is(0, 0, ledger, "booked"), is(0, 6, ledger, "booked"))
	want(h, "pushed out: lost", h.state(a.ID), allocator.GrantAbsent)
	want(h, "ended", h.state(c.ID), allocator.GrantEnded)
	done, err = h.Inventory.Repair(h.ctx, 0, 1, h.site, fixes)
	h.must(err)
	want(h, "repeated", done, 0)
	h.begin("b")
	done, err = h.Inventory.Repair(h.ctx, 0, 1, h.site, []allocator.PlaceFix{{Slot: h.slot(0), Place: 8, Now: side(8, ledger, true)}})
	h.must(err)
	want(h, "while building", done, 0)
}

// A pin may be recorded at this moment: what collides with it takes one place at most, and never the pin.
func testPinsStay(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	pin := h.hold(h.item(h.claim(0, 9), h.claim(1, 9)))[0].Grant
	h.pin(pin)
	ledger := h.lostGrant()
	side := func(owner allocator.HoldID, booked bool) *allocator.PlaceState {
		return &allocator.PlaceState{Slot: h.slot(0), Service: "FLU", Owner: owner, Booked: booked}
	}
	done, err := h.Inventory.Repair(h.ctx, 0, 1, h.site, []allocator.PlaceFix{
		{Slot: h.slot(0), Was: side(pin.ID, false), Now: side(ledger, true)}, {Slot: h.slot(0), Was: side(pin.ID, false)}})
	h.must(err)
	want(h, "repair of a pin", done, 0)
	h.wantPlaces(is(0, 0, pin.ID, "held"), is(1, 0, pin.ID, "held"))
	h.begin("b")
	want(h, "load", h.load("b", nil, allocator.SlotLoad{Slot: h.slot(0), Rows: []allocator.LoadRow{row(0, ledger)}}), true)
	want(h, "finish", h.finish("b"), true)
	h.wantPlaces(is(0, 0, ledger, "booked"), is(1, 0, pin.ID, "held"))
	want(h, "the pin", h.state(pin.ID), allocator.GrantPinned)
	done, err = h.Inventory.Repair(h.ctx, 0, 1, h.site, []allocator.PlaceFix{{Slot: h.slot(1), FreeGrant: true, Reason: allocator.CodeHoldRevoked,
		Was: &allocator.PlaceState{Slot: h.slot(1), Owner: pin.ID}}})
	h.must(err)
	want(h, "the ledger's evidence", done, 1)
	want(h, "ended", h.state(pin.ID), allocator.GrantEnded)
}

func testUsageAndChanges(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	first, err := h.Inventory.Changes(h.ctx, 0, 1, "", 10)
	h.must(err)
	want(h, "from now on", len(first.Slots)+len(first.Days), 0)
	usage := make(map[allocator.SlotID]string)
	var grants []allocator.Grant
	for i := range 40 {
		grants = append(grants, h.grant(i%9, 50))
	}
	for i := range 12 {
		h.release(grants[i*3].ID, false, allocator.GrantReleased)
	}
	_, err = h.Inventory.Apply(h.ctx, 0, 1, h.site, day, 2)
	h.must(err)
	revision, cursor := int64(0), first.Next
	for rounds := 0; ; rounds++ {
		c, err := h.Inventory.Changes(h.ctx, 0, 1, cursor, 7)
		h.must(err)
		want(h, "reset", c.Reset, false)
		for _, s := range c.Slots {
			applyUsage(usage, s)
		}
		for _, d := range c.Days {
			want(h, "day", d.Date, day)
			revision = d.Revision
		}
		if cursor = c.Next; !c.More {
			break
		}
		if rounds > 1000 {
			t.Fatal("Changes never ends")
		}
	}
	want(h, "revision", revision, int64(2))
	all, err := allUsage(h.Inventory, 1)
	h.must(err)
	if !maps.Equal(all, usage) {
		t.Fatalf("changes add up to %v, usage is %v", usage, all)
	}
	total := 0
	for _, p := range h.read().Places {
		total++
		if _, ok := all[p.Slot]; !ok {
			t.Fatalf("usage leaves out %v", p.Slot)
		}
	}
	want(h, "places", total, 28)
	quiet, err := h.Inventory.Changes(h.ctx, 0, 1, cursor, 7)
	h.must(err)
	want(h, "nothing new", len(quiet.Slots)+len(quiet.Days), 0)
	broken, err := h.Inventory.Changes(h.ctx, 0, 1, "nonsense", 7)
	h.must(err)
	want(h, "a cursor of another's", broken.Reset, true)
}

func testChangesForgotten(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{Feed: 50})
	first, err := h.Inventory.Changes(h.ctx, 0, 1, "", 10)
	h.must(err)
	for i := range 400 {
		g := h.grant(i%5, 500)
		if i%2 == 0 {
			h.release(g.ID, false, allocator.GrantReleased)
		}
	}
	late, err := h.Inventory.Changes(h.ctx, 0, 1, first.Next, 10)
	h.must(err)
	want(h, "reset", late.Reset, true)
	h.grant(6, 9)
	c, err := h.Inventory.Changes(h.ctx, 0, 1, late.Next, 10)
	h.must(err)
	want(h, "goes on from there", len(c.Slots), 1)
	want(h, "the slot", c.Slots[0].Slot, h.slot(6))
}

func testLargeSlot(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	const places = 5000 // more than two pieces of a bitmap
	var grants []allocator.Grant
	for len(grants) < places {
		var items []allocator.HoldItem
		for range 250 {
			var claims []allocator.HoldClaim
			for range 10 {
				claims = append(claims, h.claim(0, places))
			}
			items = append(items, h.item(claims...))
			if len(items)*10+len(grants) == places {
				break
			}
		}
		for _, r := range h.hold(items...) {
			want(h, "outcome", r.Outcome, allocator.HoldGranted)
			for i, place := range r.Grant.Places {
				want(h, "place", place, int32(len(grants)))
				grants = append(grants, r.Grant)
				_ = i
			}
		}
	}
	want(h, "full", h.hold(h.item(h.claim(0, places)))[0].Outcome, allocator.HoldFull)
	for _, n := range []int{4990, 2040, 30} {
		h.release(grants[n].ID, false, allocator.GrantReleased)
		want(h, "the lowest free place", h.grant(0, places).Places[0], int32(n))
	}
	want(h, "all are read", len(h.read().Places), places-27)
	ranges := []allocator.PlaceRange{
		{Slot: h.slot(0), Last: allocator.MaxSlotCapacity}, {Slot: h.slot(0), First: 2049, Last: 4095}, {Slot: h.slot(0), First: 4980, Last: 9000},
	}
	for i, n := range []int{places - 27, 4095 - 2049, 11} {
		found, _, err := h.Inventory.ReadPlaces(h.ctx, 0, 1, ranges[i:i+1])
		h.must(err)
		want(h, fmt.Sprintf("places of %v", ranges[i]), len(found), n)
	}
}
