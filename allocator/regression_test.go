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

// live counts the live bookings of a slot of S1 by service.
func (w *world) live(site allocator.SiteID, n int) allocator.Counts {
	_, rows, err := w.ledger.Slot(context.Background(), allocator.SlotID{Site: site, Start: allocator.MinuteOf(w.at(n)), Length: 10}, w.day)
	if err != nil {
		w.t.Fatal(err)
	}
	c := allocator.Counts{}
	for _, r := range rows {
		c[r.Service]++
	}
	return c
}

// soldOnce fails where the one place for RSV in the first slot of S1 was sold twice (P1).
func (w *world) soldOnce() {
	w.t.Helper()
	if n := w.live("S1", 0)["RSV"]; n > 1 {
		w.t.Errorf("P1: %d live RSV bookings where 1 place for RSV was ever published", n)
	}
}

// A: a hold that survives a rebuild passes for proven although a booking was recorded past it: P1.
func TestMendedSurvivorOversells(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var down atomic.Bool
		w.plan = nil
		a := w.serve()
		w.plan = func(method string) faults.Plan {
			if down.Load() && method == "Pin" {
				return faults.Plan{Before: allocator.ErrUnavailable}
			}
			return faults.Plan{}
		}
		b := w.serve()
		w.publish(a, "S1", session(1, "RSV"), session(1, "FLU"))
		d, err := w.hold(a, "d", w.claim("S1", "RSV", 0)) // place 0
		if err != nil {
			t.Fatal(err)
		}
		w.inventory.Lose(a.Shard("S1"))
		f, err := w.hold(a, "f", w.claim("S1", "FLU", 0)) // place 0 again
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
		down.Store(true) // one server cannot reach Redis for a moment
		if _, err := w.confirm(b, d.Token, person(1)); err != nil {
			t.Fatal(err)
		}
		down.Store(false)
		time.Sleep(3 * time.Second) // the site is rebuilt
		_, err = w.confirm(a, x.Token, person(2))
		t.Log("second confirm:", err)
		w.soldOnce()
	})
}

// B: a token whose key was forgotten pins a newer grant of the same key and another body: P1, without any fault.
func TestMendedTokenOfOtherBody(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.plan = nil
		a := w.serve()
		w.publish(a, "S1", session(1, "RSV"), session(1, "FLU"))
		old, err := w.hold(a, "key", w.claim("S1", "RSV", 0))
		if err != nil {
			t.Fatal(err)
		}
		// Forgotten: by a loss here (KeyLifetime, an hour, does the same without any fault).
		w.inventory.Lose(a.Shard("S1"))
		w.book(a, 1, w.claim("S1", "RSV", 0)) // the slot is full now
		w.book(a, 2, w.claim("S1", "FLU", 1)) // place 0 of slot 1
		if _, err := w.hold(a, "key", w.claim("S1", "RSV", 1)); err != nil {
			t.Fatal(err)
		}
		v, err := w.confirm(a, old.Token, person(3))
		t.Logf("confirm of the old token: %+v %v", v, err)
		w.soldOnce()
	})
}

func TestMendedTokenOfOtherBodyNoFault(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a := w.serveWith(allocator.Limits{HoldLength: 20 * time.Second, Grace: time.Second, KeyLifetime: 2 * time.Minute})
		w.publish(a, "S1", session(1, "RSV"), session(1, "FLU"))
		old, err := w.hold(a, "key", w.claim("S1", "RSV", 0))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(61 * time.Minute)          // memory inventory keeps keys for an hour
		w.book(a, 1, w.claim("S1", "RSV", 0)) // the slot is full now
		w.book(a, 2, w.claim("S1", "FLU", 1)) // place 0 of slot 1
		if _, err := w.hold(a, "key", w.claim("S1", "RSV", 1)); err != nil {
			t.Fatal(err)
		}
		v, err := w.confirm(a, old.Token, person(3))
		t.Logf("confirm of the old token: %+v %v", v, err)
		w.soldOnce()
	})
}

// C: one extended hold stands in the way of all holds that lapse before it.
func TestMendedExtendBlocksReaping(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a := w.serve()
		w.publish(a, "S1", session(1, "RSV"))
		h, err := w.hold(a, "", w.claim("S1", "RSV", 0))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Extend(t.Context(), h.Token); err != nil { // lapses at 605 s, queued now
			t.Fatal(err)
		}
		if _, err := w.hold(a, "", w.claim("S1", "RSV", 1)); err != nil { // lapses at 305 s, queued behind
			t.Fatal(err)
		}
		time.Sleep(370 * time.Second) // 65 s after the second lapsed
		if _, err := w.hold(a, "", w.claim("S1", "RSV", 1)); err != nil {
			t.Errorf("P5/P8: 65 s after it lapsed the place is still taken: %v", err)
		}
	})
}

// F1: a family whose inventory is lost between pin and record is refused as expired.
func TestMendedFamilyLostBetweenPinAndRecord(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var a, b *allocator.Allocator
		var once sync.Once
		var armed atomic.Bool
		b = w.serve()
		w.plan = func(method string) faults.Plan {
			if method == "Record" && armed.Load() {
				once.Do(func() {
					w.inventory.Lose(b.Shard("S1"))
					w.book(b, 9, w.claim("S1", "RSV", 0)) // takes place 0
				})
			}
			return faults.Plan{}
		}
		a = w.serve()
		w.publish(a, "S1", session(10, "RSV"))
		h, err := w.hold(a, "", w.claim("S1", "RSV", 0), w.claim("S1", "RSV", 0))
		if err != nil {
			t.Fatal(err)
		}
		armed.Store(true)
		if _, err := w.confirm(a, h.Token, person(1), person(2)); err != nil {
			t.Errorf("P3/P8: 9 of 10 places are free and the hold is seconds old: %v", err)
		}
	})
}

// F2: a family of five, its places all taken by others after a loss, Redis unreachable: only three are reseated.
func TestMendedFamilyWithoutInventory(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var down atomic.Bool
		w.plan = func(method string) faults.Plan {
			if down.Load() && method == "Pin" {
				return faults.Plan{Before: allocator.ErrUnavailable}
			}
			return faults.Plan{}
		}
		a := w.serve()
		w.publish(a, "S1", session(20, "RSV"))
		c := w.claim("S1", "RSV", 0)
		h, err := w.hold(a, "", c, c, c, c, c)
		if err != nil {
			t.Fatal(err)
		}
		w.inventory.Lose(a.Shard("S1"))
		for i := range 5 {
			w.book(a, 10+i, c)
		}
		down.Store(true)
		if _, err := w.confirm(a, h.Token, person(1), person(2), person(3), person(4), person(5)); err != nil {
			t.Errorf("P3/P8: 15 of 20 places are free: %v", err)
		}
	})
}

// G: a repeat of a hold after the day changed is not answered with the hold.
func TestMendedRepeatAfterChange(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a := w.serve()
		w.publish(a, "S1", session(1, "RSV"))
		h, err := w.hold(a, "key", w.claim("S1", "RSV", 0))
		if err != nil {
			t.Fatal(err)
		}
		s := session(1, "RSV")
		s.Stopped = true
		w.publish(a, "S1", s)
		again, err := w.hold(a, "key", w.claim("S1", "RSV", 0))
		if err != nil || again.Token != h.Token {
			t.Errorf("P6: same key, same body: %v", err)
		}
		if _, err := w.confirm(a, h.Token, person(1)); err != nil {
			t.Errorf("the hold itself is good: %v", err)
		}
	})
}

// H: a key that was used for a booking, used for another slot once it is forgotten: 201 with the other slot's booking;
// with one claim more: INTERNAL for ever.
func TestMendedKeyReused(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a := w.serve()
		w.publish(a, "S1", session(5, "RSV", "FLU"))
		h, err := w.hold(a, "key", w.claim("S1", "RSV", 0))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.confirm(a, h.Token, person(1)); err != nil {
			t.Fatal(err)
		}
		w.inventory.Lose(a.Shard("S1")) // or an hour
		h, err = w.hold(a, "key", w.claim("S1", "FLU", 2))
		t.Log("other body within the key's lifetime, after a loss:", err)
		if err == nil {
			v, err := w.confirm(a, h.Token, person(1))
			if err == nil && (!v[0].Slot.Start.Time().Equal(w.at(2)) || v[0].Service != "FLU") {
				t.Errorf("P6: held FLU at %v, was told booked: %s at %v", w.at(2), v[0].Service, v[0].Slot.Start.Time())
			}
		}
		w.inventory.Lose(a.Shard("S1"))
		h, err = w.hold(a, "key", w.claim("S1", "RSV", 0), w.claim("S1", "FLU", 1))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			_, err = w.confirm(a, h.Token, person(1))
			t.Log("two claims under a key that has one row:", err)
			if allocator.CodeOf(err) == allocator.CodeInternal {
				t.Errorf("P11: %v", err)
			}
		}
	})
}

// E: a rebuild that takes longer than builderPatience is taken over for ever while two servers want the site.
func TestMendedRebuildPingPong(t *testing.T) {
	for _, servers := range []int{1, 2, 4} {
		for _, read := range []time.Duration{100 * time.Millisecond, 700 * time.Millisecond, 1500 * time.Millisecond, 2500 * time.Millisecond} {
			t.Run(fmt.Sprint(servers, " servers, ledger read ", read), func(t *testing.T) {
				inBubble(t, func(t *testing.T, w *world) {
					var mu sync.Mutex
					seed := uint64(7)
					var slow atomic.Bool
					begins := 0
					w.plan = func(method string) faults.Plan {
						mu.Lock()
						defer mu.Unlock()
						seed = seed*6364136223846793005 + 1442695040888963407
						d := 2 * time.Millisecond
						if slow.Load() && method == "SiteState" {
							d = read
						}
						if method == "Begin" {
							begins++
						}
						return faults.Plan{Delay: d + d*time.Duration(int(seed>>33)%21)/100}
					}
					var all []*allocator.Allocator
					for range servers {
						all = append(all, w.serve())
					}
					w.publish(all[0], "S1", session(100, "RSV"))
					time.Sleep(30 * time.Second)
					w.book(all[0], 1, w.claim("S1", "RSV", 0))
					time.Sleep(time.Second)
					slow.Store(true)
					w.inventory.Lose(all[0].Shard("S1"))
					mu.Lock()
					begins = 0
					mu.Unlock()
					start := time.Now()
					var wg sync.WaitGroup
					var failed counter
					var first time.Duration
					for _, a := range all {
						wg.Go(func() { // citizens keep coming to every server
							for time.Since(start) < 120*time.Second {
								_, err := w.hold(a, "", w.claim("S1", "RSV", 1))
								mu.Lock()
								done := first != 0
								if err == nil && !done {
									first = time.Since(start)
									done = true
								}
								mu.Unlock()
								if done {
									return
								}
								failed.add()
								time.Sleep(50 * time.Millisecond)
							}
						})
					}
					wg.Wait()
					t.Logf("first hold after %v; %d begins, %d refused", first, begins, failed.get())
					if first == 0 || first > 5*read+2*time.Second {
						t.Errorf("a rebuild of %v kept the site shut for %v", read, first)
					}
					slow.Store(false)
					time.Sleep(time.Minute)
				})
			})
		}
	}
}

// K: publishing with cancel, outcome unknown: who was cancelled is not told.
func TestMendedPublishCancelUnknown(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var armed atomic.Bool
		w.plan = func(method string) faults.Plan {
			if armed.Load() && method == "Publish" {
				armed.Store(false)
				return faults.Plan{After: allocator.ErrOutcomeUnknown}
			}
			return faults.Plan{}
		}
		a := w.serve()
		w.publish(a, "S1", session(1, "RSV"))
		w.book(a, 1, w.claim("S1", "RSV", 0))
		armed.Store(true)
		r, err := a.PublishDay(t.Context(), allocator.PublishRequest{Site: "S1", Date: w.day, Cancel: true})
		if err != nil || len(r.Cancelled) != 1 || r.Revision != 2 {
			t.Errorf("closed the day, told: %+v, %v", r, err)
		}
		r, err = a.PublishDay(t.Context(), allocator.PublishRequest{Site: "S1", Date: w.day, Day: allocator.Day{Sessions: []allocator.Session{{From: 540, Until: 570, SlotLength: 10, Capacity: 2, Services: []allocator.ServiceCode{"RSV"}}}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.hold(a, "", w.claim("S1", "RSV", 0)); err != nil {
			t.Error(err)
		}
	})
}

// L: stopping a session with bookings closes the others of the slot too.
func TestMendedStoppedEatsOthers(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a := w.serve()
		w.publish(a, "S1", session(2, "RSV"))
		w.book(a, 1, w.claim("S1", "RSV", 0))
		w.book(a, 2, w.claim("S1", "RSV", 0))
		s := session(2, "RSV")
		s.Stopped = true
		r := w.publish(a, "S1", s, session(2, "RSV"))
		t.Logf("%+v", r)
		if _, err := w.hold(a, "", w.claim("S1", "RSV", 0)); err != nil {
			t.Errorf("P8: the stopped session keeps its two, the open one has two free places: %v", err)
		}
	})
}
