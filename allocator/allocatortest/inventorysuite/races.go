package inventorysuite

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"muster/allocator"
)

func testRaceOneSlot(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	const callers, places = 500, 10
	items := make([]allocator.HoldItem, callers)
	for i := range items {
		items[i] = h.item(h.claim(0, places))
	}
	results := make([]allocator.HoldResult, callers)
	errs := make([]error, callers)
	var start, done sync.WaitGroup
	start.Add(1)
	for i := range items {
		done.Go(func() {
			start.Wait()
			r, err := h.Inventory.Hold(h.ctx, 0, 1, items[i:i+1])
			if errs[i] = err; err == nil {
				results[i] = r[0]
			}
		})
	}
	start.Done()
	done.Wait()
	seen := make(map[int32]bool)
	for i, r := range results {
		h.must(errs[i])
		if r.Outcome == allocator.HoldGranted {
			place := r.Grant.Places[0]
			if seen[place] || place >= places {
				t.Fatalf("place %d was granted twice, or is none", place)
			}
			seen[place] = true
		}
	}
	want(h, "granted", len(seen), places)
	want(h, "places in use", len(h.read().Places), places)
}

// testRaceOwners lets many owners do what owners do, and repeat it, at once; then checks what must always hold.
func testRaceOwners(t *testing.T, open Open) {
	h := newHouse(t, open, Settings{})
	const owners, rounds = 32, 25
	var mu sync.Mutex
	booked, free := map[allocator.HoldID]int32{}, map[allocator.HoldID]bool{}
	var all sync.WaitGroup
	errs := make(chan error, owners)
	for o := range owners {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(7, uint64(o)))
			for r := range rounds {
				item := allocator.HoldItem{Key: keyOf(10_000 + o*rounds + r), Print: [8]byte{9}, Site: h.site, LengthMs: hold, GraceMs: grace,
					Claims: []allocator.HoldClaim{h.claim(rng.IntN(3), 15)}}
				id, place, end, err := h.live(rng, item)
				if err != nil {
					errs <- err
					return
				}
				mu.Lock()
				switch end {
				case allocator.GrantBooked:
					booked[id] = place
				case allocator.GrantEnded, allocator.GrantReleased:
					free[id] = true
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	select {
	case err := <-errs:
		t.Fatal(err)
	default:
	}
	h.checkPlaces(booked, free)
}

// live is the life of one hold, with every message sent once or twice.
func (h *house) live(rng *rand.Rand, item allocator.HoldItem) (id allocator.HoldID, place int32, end allocator.GrantState, err error) {
	results, err := h.Inventory.Hold(h.ctx, 0, 1, []allocator.HoldItem{item})
	if err != nil || results[0].Outcome != allocator.HoldGranted {
		return id, 0, allocator.GrantAbsent, err
	}
	id, place = results[0].Grant.ID, results[0].Grant.Places[0]
	rows := []allocator.Placed{{Slot: item.Claims[0].Slot, Place: place, Service: "FLU"}}
	for range 1 + rng.IntN(2) {
		switch end = []allocator.GrantState{allocator.GrantReleased, allocator.GrantBooked, allocator.GrantEnded}[int(item.Key[8])%3]; end {
		case allocator.GrantReleased:
			_, err = h.Inventory.Release(h.ctx, 0, 1, h.site, id, false)
		case allocator.GrantBooked:
			if _, err = h.Inventory.Pin(h.ctx, 0, 1, []allocator.PinItem{{ID: id, Site: h.site, DeadlineMs: results[0].Grant.DeadlineMs}}); err == nil {
				_, err = h.Inventory.Settle(h.ctx, 0, 1, []allocator.SettleItem{{ID: id, Site: h.site, Places: rows}})
			}
		default:
			_, err = h.Inventory.Free(h.ctx, 0, 1, []allocator.FreeItem{{ID: id, Site: h.site, Places: rows, Reason: allocator.CodeAlreadyBooked}})
		}
		if err != nil {
			return id, place, end, fmt.Errorf("end %v: %w", end, err)
		}
	}
	return id, place, end, nil
}

// checkPlaces: every booked one has its place, no place has two owners, what went back is free, counts are places.
func (h *house) checkPlaces(booked map[allocator.HoldID]int32, free map[allocator.HoldID]bool) {
	h.Helper()
	type at struct {
		slot  allocator.SlotID
		place int32
	}
	seen := make(map[at]bool)
	perSlot := make(map[allocator.SlotID]int)
	view := h.read()
	for _, p := range view.Places {
		if seen[at{p.Slot, p.Place}] || free[p.Owner] {
			h.Fatalf("%+v: listed twice, or given back before", p)
		}
		seen[at{p.Slot, p.Place}] = true
		perSlot[p.Slot]++
		if place, ok := booked[p.Owner]; !ok || place != p.Place || !p.Booked {
			h.Fatalf("%+v: booked at %d, %v", p, place, ok)
		}
		delete(booked, p.Owner)
	}
	want(h, "bookings without their place", len(booked), 0)
	usage, err := allUsage(h.Inventory, 1)
	h.must(err)
	want(h, "slots in use", len(usage), len(perSlot))
	for slot, n := range perSlot {
		want(h, "count", usage[slot], countsText(allocator.Counts{"FLU": n}))
	}
}
