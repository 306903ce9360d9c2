package allocator_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest/faults"
)

// The interleavings that a sentence of the protocol exists for, one by one: random schedules meet some of them once in
// thousands of seeds. Each fails when its sentence is dropped.

// view is what the inventory knows of a site now.
func (w *world) view(a *allocator.Allocator, site allocator.SiteID) allocator.SiteInventory {
	w.t.Helper()
	shard := a.Shard(site)
	epochs, err := w.ledger.Epochs(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	view, err := w.inventory.ReadSite(context.Background(), shard, epochs[shard].Epoch, site)
	if err != nil {
		w.t.Fatal(err)
	}
	return view
}

// held holds a place, which must succeed.
func (w *world) held(a *allocator.Allocator, key string, claims ...allocator.ClaimRequest) allocator.Hold {
	w.t.Helper()
	h, err := w.hold(a, key, claims...)
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}

// A record that arrives long after its pin was resolved finds the void row, and books nothing.
func TestLateRecordMeetsAVoid(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var slow atomic.Bool
		a := w.serve()
		w.plan = func(method string) faults.Plan {
			if method == "Record" && slow.Load() {
				return faults.Plan{After: allocator.ErrOutcomeUnknown, Late: 90 * time.Second}
			}
			return faults.Plan{}
		}
		b := w.serve()
		w.publish(a, "S1", session(1, "RSV"), session(1, "FLU"))
		f := w.held(a, "f", w.claim("S1", "FLU", 0)) // place 0
		x := w.held(a, "x", w.claim("S1", "RSV", 0)) // place 1
		if err := a.Release(t.Context(), f.Token); err != nil {
			t.Fatal(err)
		}
		time.Sleep(290 * time.Second)
		slow.Store(true)
		_, err := w.confirm(b, x.Token, person(1))
		wantCode(t, err, allocator.CodeOutcomeUnknown)
		time.Sleep(30 * time.Second) // the pin's deadline has passed: it is resolved
		w.book(a, 2, w.claim("S1", "RSV", 0))
		time.Sleep(90 * time.Second) // the records arrive
		w.soldOnce()
		_, err = w.confirm(a, x.Token, person(1))
		wantCode(t, err, allocator.CodeHoldExpired)
	})
}

// What is booked just before a rebuild begins is in the inventory after it.
func TestBookedJustBeforeBegin(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var armed atomic.Bool
		other := w.serve()
		w.plan = func(method string) faults.Plan {
			if method == "Begin" && armed.CompareAndSwap(true, false) {
				w.book(other, 1, w.claim("S1", "RSV", 0))
				time.Sleep(time.Second) // it is settled
			}
			return faults.Plan{}
		}
		a := w.serve()
		w.publish(a, "S1", session(1, "RSV"))
		time.Sleep(5 * time.Second) // reconcile has looked, and will not soon
		armed.Store(true)
		if err := a.RebuildSite(t.Context(), "S1"); err != nil {
			t.Fatal(err)
		}
		_, err := w.hold(a, "", w.claim("S1", "RSV", 0))
		wantCode(t, err, allocator.CodeSlotFull)
	})
}

// looks lets a test do something before a server's second look at S1: reconcile looks once at the inventory, once at the ledger.
type looks struct {
	n      atomic.Int32
	second func()
}

func (l *looks) at(site allocator.SiteID) {
	if site == "S1" && l.n.Load() > 0 && l.n.Add(1) == 3 {
		l.second()
		l.n.Store(0)
	}
}

type seenInventory struct {
	allocator.Inventory
	*looks
}

func (i seenInventory) ReadSite(ctx context.Context, shard int, epoch int64, site allocator.SiteID) (allocator.SiteInventory, error) {
	i.at(site)
	return i.Inventory.ReadSite(ctx, shard, epoch, site)
}

type seenLedger struct {
	allocator.Ledger
	*looks
}

func (l seenLedger) SiteState(ctx context.Context, site allocator.SiteID, from allocator.Minute, ended time.Time) (allocator.SiteLedger, error) {
	l.at(site)
	return l.Ledger.SiteState(ctx, site, from, ended)
}

// What is booked between reconcile's two looks is not taken for a booking without a row.
func TestBookedWhileReconciling(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		other := w.serve()
		l := &looks{second: func() {
			w.book(other, 1, w.claim("S1", "RSV", 0))
			time.Sleep(time.Second) // it is settled
		}}
		c := w.config()
		c.Inventory, c.Ledger = seenInventory{c.Inventory, l}, seenLedger{c.Ledger, l}
		a, err := allocator.New(c)
		if err == nil {
			err = a.Start(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		w.publish(a, "S1", session(1, "RSV"))
		time.Sleep(5 * time.Second)
		l.n.Store(1)
		for l.n.Load() > 0 {
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(10 * time.Millisecond)
		_, err = w.hold(a, "", w.claim("S1", "RSV", 0))
		wantCode(t, err, allocator.CodeSlotFull)
		if err := a.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// A lost hold whose own place is free is refused all the same where its service has no seat left.
func TestLostHoldNeedsASeat(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a := w.serve()
		w.publish(a, "S1", session(1, "RSV"), session(1, "FLU"))
		w.held(a, "f", w.claim("S1", "FLU", 0))      // place 0
		x := w.held(a, "x", w.claim("S1", "RSV", 0)) // place 1
		w.inventory.Lose(a.Shard("S1"))
		w.book(a, 2, w.claim("S1", "RSV", 0)) // place 0
		_, err := w.confirm(a, x.Token, person(1))
		wantCode(t, err, allocator.CodeHoldLost)
		w.soldOnce()
	})
}

// A request that is granted again after a loss is confirmed by the older token too, and refused to nobody.
func TestNewerGrantStandsForALostOne(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a := w.serve()
		w.publish(a, "S1", session(1, "RSV"))
		older := w.held(a, "key", w.claim("S1", "RSV", 0))
		w.inventory.Lose(a.Shard("S1"))
		newer := w.held(a, "key", w.claim("S1", "RSV", 0))
		first, err := w.confirm(a, older.Token, person(1))
		if err != nil {
			t.Fatal(err)
		}
		second, err := w.confirm(a, newer.Token, person(1))
		if err != nil || second[0].Reference != first[0].Reference {
			t.Errorf("%+v, %v; first %s", second, err, first[0].Reference)
		}
	})
}

// Repeating the confirm of a booking that was cancelled since takes its place from nobody, even where the inventory has
// forgotten the cancellation.
func TestRepeatedConfirmOfACancelled(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a := w.serve()
		w.publish(a, "S1", session(2, "RSV"))
		time.Sleep(5 * time.Second) // reconcile has looked, and will not soon
		h := w.held(a, "family", w.claim("S1", "RSV", 0), w.claim("S1", "RSV", 0))
		views, err := w.confirm(a, h.Token, person(1), person(2))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Cancel(t.Context(), allocator.BookingAccess{Reference: views[1].Reference, Staff: true}, "", allocator.Caller{}); err != nil {
			t.Fatal(err)
		}
		w.inventory.Lose(a.Shard("S1"))
		if err := a.RebuildSite(t.Context(), "S1"); err != nil {
			t.Fatal(err)
		}
		if again, err := w.confirm(a, h.Token, person(1), person(2)); err != nil || again[1].Status != allocator.StatusCancelled {
			t.Errorf("%+v, %v", again, err)
		}
		time.Sleep(time.Second)
		w.held(a, "", w.claim("S1", "RSV", 0))
	})
}

// Reconcile brings back what the inventory lacks, takes away what no row explains, and lets the newest revision be known.
func TestReconcileMendsDrift(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a := w.serve()
		w.publish(a, "S1", session(2, "RSV"))
		w.book(a, 1, w.claim("S1", "RSV", 0))
		time.Sleep(time.Second)
		ctx, shard := context.Background(), a.Shard("S1")
		view := w.view(a, "S1")
		was := view.Places[0]
		n, err := w.inventory.Repair(ctx, shard, view.Epoch, "S1", []allocator.PlaceFix{{Slot: was.Slot, Place: was.Place, Was: &was}})
		if n != 1 || err != nil {
			t.Fatal(n, err)
		}
		nobody := allocator.HoldID{Key: allocator.RequestKey{9}, Stamp: was.Owner.Stamp}
		_, err = w.inventory.Settle(ctx, shard, view.Epoch, []allocator.SettleItem{{
			ID: nobody, Site: "S1", Places: []allocator.Placed{{Slot: was.Slot, Place: 1, Service: "RSV"}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		sessions := []allocator.Session{{From: 540, Until: 570, SlotLength: 10, Capacity: 3, Services: []allocator.ServiceCode{"RSV"}}}
		day := allocator.Day{Site: "S1", Date: w.day, Sessions: sessions}
		if _, err := w.ledger.Publish(ctx, []allocator.DayChange{{Day: day, Zone: w.zone}}); err != nil { // by a server that died of it
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		view = w.view(a, "S1")
		if len(view.Places) != 1 || view.Places[0] != was {
			t.Errorf("P5: the inventory has %+v, the ledger one booking at %+v", view.Places, was)
		}
		if view.Revisions[w.day] != 2 {
			t.Errorf("P5: the inventory has %v, the ledger revision 2", view.Revisions)
		}
	})
}

// Where something happened, drift is found within a minute in a country of many sites, most of which no round sweeps.
func TestChangedSlotsAreCompared(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var lost atomic.Bool
		w.plan = func(method string) faults.Plan {
			if lost.Load() && (method == "Free" || method == "Settle") {
				return faults.Plan{Before: allocator.ErrUnavailable}
			}
			return faults.Plan{}
		}
		for i := range 300 {
			site := allocator.Site{ID: allocator.SiteID(fmt.Sprintf("A%03d", i)), Name: "A", TimeZone: "Europe/London", Lat: 52, Lon: -1}
			if _, err := w.ledger.PutSite(t.Context(), site, "test"); err != nil {
				t.Fatal(err)
			}
		}
		a := w.serve()
		sites := []allocator.SiteID{"S1", "S2", "S3"} // the last in any order: no round of the first minutes sweeps them
		for _, site := range sites {
			w.publish(a, site, session(3, "RSV"))
		}
		w.book(a, 1, w.claim("S1", "RSV", 0))
		time.Sleep(2 * time.Minute)

		ctx, shard := context.Background(), a.Shard("S1")
		was := w.view(a, "S1").Places[0]
		if n, err := w.inventory.Repair(ctx, shard, w.view(a, "S1").Epoch, "S1", []allocator.PlaceFix{{Slot: was.Slot, Place: was.Place, Was: &was}}); n != 1 || err != nil {
			t.Fatal(n, err) // a row that the inventory lacks
		}
		lost.Store(true)
		w.held(a, "", w.claim("S2", "RSV", 0))
		held := w.view(a, "S2").Places[0]
		secret := allocator.NewSecret(w.config().Secret)
		void, err := w.ledger.Void(ctx, []allocator.Voiding{{Reason: allocator.CodeHoldRevoked, Claims: []allocator.Booking{{ // by a server that died of it
			Key: secret.Booking(held.Owner.Key, 0), Hold: held.Owner, Slot: held.Slot, Date: w.day, Place: held.Place, Service: held.Service,
		}}}})
		if err != nil || void[0].Outcome != allocator.Voided {
			t.Fatal(void, err)
		}
		nobody := allocator.HoldID{Key: allocator.RequestKey{9}, Stamp: was.Owner.Stamp}
		slot := was.Slot
		slot.Site = "S3"
		if _, err := w.inventory.Settle(ctx, a.Shard("S3"), w.view(a, "S3").Epoch, []allocator.SettleItem{{
			ID: nobody, Site: "S3", Places: []allocator.Placed{{Slot: slot, Place: 1, Service: "RSV"}}, // a booking without a row
		}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		lost.Store(false)
		time.Sleep(55 * time.Second)
		if places := w.view(a, "S1").Places; len(places) != 1 || places[0] != was {
			t.Errorf("P5: the ledger has a booking at %+v, the inventory %+v", was, places)
		}
		if places := w.view(a, "S2").Places; len(places) != 0 {
			t.Errorf("P5: the ledger ended a hold, the inventory has %+v", places)
		}
		if places := w.view(a, "S3").Places; len(places) != 0 {
			t.Errorf("P5: nobody booked, the inventory has %+v", places)
		}
	})
}

// A site that nobody visits is rebuilt within a minute of a loss, and of a record past its inventory.
func TestQuietSitesAreRebuilt(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a := w.serve()
		w.publish(a, "S1", session(5, "RSV"))
		w.book(a, 1, w.claim("S1", "RSV", 0))
		w.inventory.Lose(a.Shard("S1"))
		time.Sleep(time.Minute)
		if view := w.view(a, "S1"); !view.Built || len(view.Places) != 1 {
			t.Errorf("P5: a minute after a loss the site is built: %v, and has %+v", view.Built, view.Places)
		}
		w.recordPast(w.held(a, "", w.claim("S1", "RSV", 0)))
		time.Sleep(time.Minute)
		site, _, err := w.ledger.Site(t.Context(), "S1")
		if view := w.view(a, "S1"); err != nil || site.Generation == 0 || view.Generation != site.Generation {
			t.Errorf("P5: the site has generation %d, its inventory %d, %v", site.Generation, view.Generation, err)
		}
	})
}

// recordPast confirms a hold by a server that cannot reach the inventory, and dies of it.
func (w *world) recordPast(h allocator.Hold) {
	w.t.Helper()
	w.plan = func(method string) faults.Plan {
		if inventoryMethods[method] {
			return faults.Plan{Before: allocator.ErrUnavailable}
		}
		return faults.Plan{}
	}
	c, err := allocator.New(w.config())
	w.plan = nil
	if err == nil {
		err = c.Start(context.Background())
	}
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = w.confirm(c, h.Token, person(2))
	if err := errors.Join(err, c.Stop(context.Background())); err != nil {
		w.t.Fatal(err)
	}
}

// inventoryMethods are those of a confirm, a rebuild and a reconcile.
var inventoryMethods = map[string]bool{
	"Identity": true, "Open": true, "Pin": true, "Reseat": true, "Settle": true, "Free": true, "Begin": true, "Load": true,
	"Finish": true, "ReadSite": true, "Repair": true, "Reap": true, "StuckPins": true, "Hold": true,
}

// A family that was recorded, and whose settle was lost, is settled as a whole within a minute, long before its deadline.
func TestLostSettleIsMendedWhole(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var lost atomic.Bool
		w.plan = func(method string) faults.Plan {
			if method == "Settle" && lost.Load() {
				return faults.Plan{Before: allocator.ErrUnavailable}
			}
			return faults.Plan{}
		}
		a := w.serve()
		w.publish(a, "S1", session(5, "RSV"))
		lost.Store(true)
		h := w.held(a, "", w.claim("S1", "RSV", 0), w.claim("S1", "RSV", 0))
		if _, err := w.confirm(a, h.Token, person(1), person(2)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		lost.Store(false)
		time.Sleep(time.Minute)
		for _, p := range w.view(a, "S1").Places {
			if !p.Booked {
				t.Errorf("P5: recorded a minute ago and still not booked: %+v", p)
			}
		}
	})
}
