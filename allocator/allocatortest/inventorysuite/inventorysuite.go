// Package inventorysuite is the conformance suite of allocator.Inventory: every promise, every outcome, races, and seeded
// histories that compare the inventory under test with the model, answer by answer.
package inventorysuite

import (
	"context"
	"fmt"
	"testing"
	"time"

	"muster/allocator"
)

// Settings are what a test needs of the inventory that it asks for. Zero fields mean the inventory's defaults.
type Settings struct {
	Shards      int
	KeyLifetime time.Duration
	SetAside    int
	ReapBatch   int
	Feed        int
}

// Opened is an empty inventory without any epoch.
type Opened struct {
	Inventory allocator.Inventory
	// Advance moves its clock on. Nil: its clock is the world's, and tests wait.
	Advance func(d time.Duration)
	// Now tells a scripted clock's time. Nil where Advance is.
	Now func() time.Time
	// Lose makes a shard forget everything, as a flush or a restart with an empty memory does. Nil: it cannot be made to.
	Lose func(shard int)
}

// Open makes an inventory for one test.
type Open func(tb testing.TB, s Settings) Opened

// Run runs the whole suite.
func Run(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, open Open)
	}{
		{"epochs", testEpochs}, {"loss", testLoss},
		{"hold", testHold}, {"hold batches", testHoldBatch}, {"hold refusals", testHoldRefusals}, {"windows", testWindows},
		{"seating", testSeating}, {"access", testAccess}, {"several claims", testSeveralClaims}, {"limit", testLimit},
		{"expiry", testExpiry}, {"grace", testGrace}, {"reaping is bounded", testReapBounded}, {"extension", testExtension}, {"lapsing order", testLapsingOrder},
		{"key memory", testKeyMemory}, {"release", testRelease},
		{"pin", testPin}, {"other grant", testOtherGrant}, {"settle", testSettle}, {"free", testFree}, {"free partly", testFreePartly}, {"fences", testFences}, {"stuck pins", testStuckPins},
		{"reseat lost", testReseatLost}, {"reseat taken", testReseatTaken}, {"reseat refusals", testReseatRefusals},
		{"apply", testApply}, {"rebuild", testRebuild}, {"survivors", testSurvivors}, {"builders", testBuilders}, {"set aside", testSetAside},
		{"load", testLoad}, {"read places", testReadPlaces}, {"repair", testRepair}, {"pins stay", testPinsStay}, {"usage and changes", testUsageAndChanges}, {"changes forgotten", testChangesForgotten},
		{"large slot", testLargeSlot},
		{"race for one slot", testRaceOneSlot}, {"race of owners", testRaceOwners},
		{"histories", testHistories},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open) })
	}
}

const (
	hold  = 60_000 // ms; long enough never to lapse in a test that does not want it
	grace = 1_000
	day   = allocator.Date(30_000) // 2052-02-20
)

// house is an inventory with one site built, and what tests say about it.
type house struct {
	*testing.T
	Opened
	ctx   context.Context
	epoch int64
	site  allocator.SiteID
	keys  int
}

func newHouse(t *testing.T, open Open, s Settings) *house {
	t.Helper()
	h := &house{T: t, Opened: open(t, s), ctx: context.Background(), epoch: 1, site: "Site-1"}
	identity, err := h.Inventory.Identity(h.ctx, 0)
	h.must(err)
	h.must(h.Inventory.Open(h.ctx, 0, h.epoch, identity, true))
	h.build(h.site)
	return h
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// build makes a site current with its day at revision 1.
func (h *house) build(site allocator.SiteID) {
	h.Helper()
	_, err := h.Inventory.Begin(h.ctx, 0, h.epoch, site, "builder")
	h.must(err)
	ok, err := h.Inventory.Finish(h.ctx, 0, h.epoch, site, "builder", 7, map[allocator.Date]int64{day: 1})
	h.must(err)
	if !ok {
		h.Fatal("Finish by the only builder answers false")
	}
}

func (h *house) slot(n int) allocator.SlotID {
	return allocator.SlotID{Site: h.site, Start: allocator.Minute(int64(day)*1440 + int64(n)*10), Length: 10}
}

func onePool(places int) []allocator.Bound {
	return allocator.Bounds([]allocator.Pool{{Services: []allocator.ServiceCode{"FLU"}, Capacity: places}}, "FLU", 0)
}

func (h *house) claim(n, places int) allocator.HoldClaim {
	return allocator.HoldClaim{Slot: h.slot(n), Date: day, Revision: 1, Service: "FLU", Bounds: onePool(places),
		Window: allocator.Window{MinLeadMs: -1 << 60}}
}

func keyOf(n int) (k allocator.RequestKey) {
	copy(k[:], fmt.Sprintf("K%08d", n))
	return k
}

// item is a new request for the claims.
func (h *house) item(claims ...allocator.HoldClaim) allocator.HoldItem {
	h.keys++
	return allocator.HoldItem{Key: keyOf(h.keys), Print: [8]byte{1, byte(h.keys), byte(h.keys >> 8)}, Site: h.site,
		Claims: claims, LengthMs: hold, GraceMs: grace}
}

func (h *house) hold(items ...allocator.HoldItem) []allocator.HoldResult {
	h.Helper()
	results, err := h.Inventory.Hold(h.ctx, 0, h.epoch, items)
	h.must(err)
	if len(results) != len(items) {
		h.Fatalf("%d results for %d items", len(results), len(items))
	}
	return results
}

// grant holds one place of a slot, which must succeed.
func (h *house) grant(n, places int) allocator.Grant {
	h.Helper()
	r := h.hold(h.item(h.claim(n, places)))[0]
	if r.Outcome != allocator.HoldGranted || r.Repeated || len(r.Grant.Places) != 1 {
		h.Fatalf("hold of slot %d: %+v", n, r)
	}
	return r.Grant
}

func (h *house) pinItem(g allocator.Grant) allocator.PinItem {
	return allocator.PinItem{ID: g.ID, Site: h.site, DeadlineMs: g.DeadlineMs, GraceMs: grace}
}

func (h *house) pin(g allocator.Grant) allocator.PinResult {
	h.Helper()
	results, err := h.Inventory.Pin(h.ctx, 0, h.epoch, []allocator.PinItem{h.pinItem(g)})
	h.must(err)
	return results[0]
}

func (h *house) placed(n int, place int32) allocator.Placed {
	return allocator.Placed{Slot: h.slot(n), Place: place, Service: "FLU"}
}

func (h *house) settle(id allocator.HoldID, places ...allocator.Placed) allocator.ApplyOutcome {
	h.Helper()
	outcomes, err := h.Inventory.Settle(h.ctx, 0, h.epoch, []allocator.SettleItem{{ID: id, Site: h.site, Places: places}})
	h.must(err)
	return outcomes[0]
}

func (h *house) free(id allocator.HoldID, reason allocator.Code, places ...allocator.Placed) allocator.ApplyOutcome {
	h.Helper()
	outcomes, err := h.Inventory.Free(h.ctx, 0, h.epoch, []allocator.FreeItem{{ID: id, Site: h.site, Places: places, Reason: reason}})
	h.must(err)
	return outcomes[0]
}

func (h *house) state(id allocator.HoldID) allocator.GrantState {
	h.Helper()
	state, err := h.Inventory.State(h.ctx, 0, h.epoch, h.site, id)
	h.must(err)
	return state
}

func (h *house) read() allocator.SiteInventory {
	h.Helper()
	view, err := h.Inventory.ReadSite(h.ctx, 0, h.epoch, h.site)
	h.must(err)
	return view
}

// pass lets at least so much of the inventory's time go by.
func (h *house) pass(d time.Duration) {
	h.Helper()
	if h.Advance != nil {
		h.Advance(d)
		return
	}
	end := h.read().NowMs + d.Milliseconds()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30*time.Second + d)
	for h.read().NowMs < end {
		select {
		case <-tick.C:
		case <-deadline:
			h.Fatalf("the inventory's clock did not move on by %v", d)
		}
	}
}

// wantPlaces checks the site's places: "slot/place/owner's key/state" for each, in order.
func (h *house) wantPlaces(want ...string) {
	h.Helper()
	var got []string
	for _, p := range h.read().Places {
		state := "held"
		if p.Booked {
			state = "booked"
		}
		got = append(got, fmt.Sprintf("%d/%d/%s/%s", (int64(p.Slot.Start)-int64(day)*1440)/10, p.Place, p.Owner.Key[1:], state))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		h.Fatalf("the site has %v, not %v", got, want)
	}
}

// is describes a place for wantPlaces.
func is(n int, place int32, g allocator.HoldID, state string) string {
	return fmt.Sprintf("%d/%d/%s/%s", n, place, g.Key[1:], state)
}

func want[T comparable](h *house, what string, got, want T) {
	h.Helper()
	if got != want {
		h.Fatalf("%s: got %v, want %v", what, got, want)
	}
}
