package allocator_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest/faults"
)

// D: a rebuild that began before a failover is finished after it, by what the old primary was told: P1.
func TestMendedRebuildAcrossEpochs(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var a *allocator.Allocator
		var restore func()
		var stage atomic.Int32
		w.plan = func(method string) faults.Plan {
			switch {
			case stage.Load() == 1 && method == "SiteState": // Begin was done, and reached the replica
				restore = w.inventory.Snapshot(a.Shard("S1"))
				stage.Store(2)
			case stage.Load() == 2 && method == "Finish": // Load was done, and did not: the replica is promoted
				restore()
				stage.Store(3)
			}
			return faults.Plan{}
		}
		a = w.serve()
		w.plan = nil
		w.publish(a, "S1", session(1, "RSV"), session(1, "FLU"))
		f, err := w.hold(a, "f", w.claim("S1", "FLU", 0))
		if err != nil {
			t.Fatal(err)
		}
		w.book(a, 1, w.claim("S1", "RSV", 0)) // place 1
		if err := a.Release(t.Context(), f.Token); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		w.inventory.Lose(a.Shard("S1")) // so the inventory knows nothing of the booking until the rebuild
		stage.Store(1)
		h, err := w.hold(a, "h", w.claim("S1", "RSV", 0))
		t.Log("stage", stage.Load(), "hold in the full slot:", err)
		if err == nil {
			_, err = w.confirm(a, h.Token, person(2))
			t.Log("confirm:", err)
		}
		w.soldOnce()
	})
}

// M: a hold that was released on the old primary lives on the promoted replica, and passes for proven: P1.
func TestMendedZombieHoldAfterFailover(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a := w.serve()
		w.publish(a, "S1", session(1, "RSV"), session(1, "FLU"))
		f, err := w.hold(a, "f", w.claim("S1", "FLU", 0)) // place 0
		if err != nil {
			t.Fatal(err)
		}
		x, err := w.hold(a, "x", w.claim("S1", "RSV", 0)) // place 1
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Release(t.Context(), f.Token); err != nil {
			t.Fatal(err)
		}
		promote := w.inventory.Snapshot(a.Shard("S1")) // replication stops
		if err := a.Release(t.Context(), x.Token); err != nil {
			t.Fatal(err)
		}
		w.book(a, 1, w.claim("S1", "RSV", 0)) // place 0
		promote()
		_, err = w.confirm(a, x.Token, person(2))
		t.Log("confirm of the released hold:", err)
		w.soldOnce()
	})
}

// shardFaults makes one shard's calls hang.
type shardFaults struct {
	allocator.Inventory
	hang func(shard int) bool
}

func (s shardFaults) wait(ctx context.Context, shard int) error {
	if s.hang(shard) {
		<-ctx.Done()
		return fmt.Errorf("%w: %w", allocator.ErrUnavailable, ctx.Err())
	}
	return nil
}
func (s shardFaults) Identity(ctx context.Context, shard int) (string, error) {
	if err := s.wait(ctx, shard); err != nil {
		return "", err
	}
	return s.Inventory.Identity(ctx, shard)
}
func (s shardFaults) Pin(ctx context.Context, shard int, epoch int64, items []allocator.PinItem) ([]allocator.PinResult, error) {
	if err := s.wait(ctx, shard); err != nil {
		return nil, err
	}
	return s.Inventory.Pin(ctx, shard, epoch, items)
}
func (s shardFaults) Begin(ctx context.Context, shard int, epoch int64, site allocator.SiteID, builder string) ([]allocator.SlotID, error) {
	if err := s.wait(ctx, shard); err != nil {
		return nil, err
	}
	return s.Inventory.Begin(ctx, shard, epoch, site, builder)
}

// I: sites of a node that hangs keep the housekeeping of shard 0 from its own lapsed holds.
func TestMendedShardZeroStuck(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var hung atomic.Bool
		c := w.config()
		probe, err := allocator.New(c)
		if err != nil {
			t.Fatal(err)
		}
		// sites of shard 1, and one of shard 0
		var there []allocator.SiteID
		var here allocator.SiteID
		for i := 0; len(there) < 60 || here == ""; i++ {
			id := allocator.SiteID(fmt.Sprint("X", i))
			if probe.Shard(id) == 1 && len(there) < 60 {
				there = append(there, id)
			} else if probe.Shard(id) == 0 && here == "" {
				here = id
			} else {
				continue
			}
			if _, err := w.ledger.PutSite(context.Background(), allocator.Site{ID: id, Name: "x", TimeZone: "Europe/London", Lat: 53, Lon: -1}, "test"); err != nil {
				t.Fatal(err)
			}
		}
		c.Inventory = shardFaults{w.inventory, func(shard int) bool { return hung.Load() && shard == 1 }}
		a, err := allocator.New(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.publish(a, here, session(1, "RSV"))
		var tokens []string
		for i, id := range there {
			w.publish(a, id, session(1, "RSV"))
			h, err := w.hold(a, fmt.Sprint(i), w.claim(id, "RSV", 0))
			if err != nil {
				t.Fatal(err)
			}
			tokens = append(tokens, h.Token)
		}
		h, err := w.hold(a, "here", w.claim(here, "RSV", 0))
		if err != nil {
			t.Fatal(err)
		}
		_ = h
		time.Sleep(247 * time.Second)
		hung.Store(true)
		t.Log("hung", time.Now())
		var wg sync.WaitGroup
		for i, token := range tokens {
			wg.Go(func() {
				if _, err := w.confirm(a, token, person(i)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		time.Sleep(121 * time.Second) // the hold lapsed 65 s ago or more
		epochs, _ := w.ledger.Epochs(t.Context())
		view, err := w.inventory.ReadSite(t.Context(), 0, epochs[0].Epoch, here)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(time.Now(), view.Places, "rebuild_failed", w.counted("rebuild_failed"), "direct", w.counted("confirm_without_inventory"))
		if len(view.Places) != 0 {
			t.Errorf("P5: on a healthy shard a lapsed hold still has its place: %+v", view.Places)
		}
		hung.Store(false)
		_ = a.Stop(context.Background())
		time.Sleep(time.Minute)
	})
}

// N: a server dies between opening an epoch in the ledger and in the inventory, while the others go on at the older one.
func TestMendedEpochOnlyInLedger(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a := w.serve()
		w.publish(a, "S1", session(50, "RSV"))
		shard := a.Shard("S1")
		w.book(a, 100, w.claim("S1", "RSV", 0))
		identity, _ := w.inventory.Identity(t.Context(), shard)
		epochs, _ := w.ledger.Epochs(t.Context())
		if _, won, err := w.ledger.OpenEpoch(t.Context(), shard, epochs[shard].Epoch, identity); !won || err != nil {
			t.Fatal(won, err)
		}
		for i := range 8 {
			time.Sleep(time.Minute)
			w.book(a, i, w.claim("S1", "RSV", 0))
		}
		site, _, _ := w.ledger.Site(t.Context(), "S1")
		if site.Generation > 2 {
			t.Errorf("after eight minutes every confirm still raises the generation, now %d, and rebuilds the site", site.Generation)
		}
	})
}

// A walk-in that was refused stays refused under its key: a copy of the request that was still under way booked a place that
// was given back meanwhile, for somebody who had been told that there is none. The simulator found it (seed 4575).
func TestMendedWalkInRefusalIsFinal(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a := w.serve()
		w.publish(a, "S1", session(1, "RSV"))
		only := w.book(a, 1, w.claim("S1", "RSV", 0))[0]
		r := allocator.WalkInRequest{IdempotencyKey: "once", Site: "S1", Service: "RSV", Start: w.at(0), Length: 10, Person: person(2)}
		_, err := a.WalkIn(t.Context(), r)
		wantCode(t, err, allocator.CodeSlotFull)
		access := allocator.BookingAccess{Reference: only.Reference, ManageToken: only.ManageToken}
		if _, err := a.Cancel(t.Context(), access, "", allocator.Caller{}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			_, err = a.WalkIn(t.Context(), r)
			wantCode(t, err, allocator.CodeSlotFull)
		}
		r.IdempotencyKey = "again"
		if _, err := a.WalkIn(t.Context(), r); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		w.sameAsLedger(a)
	})
}
