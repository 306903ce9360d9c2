package allocator_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest/faults"
)

// What stands between a caller and what is not theirs to do, or not in time: each fails when its guard is taken out.

// TestOnlyTheSubjectCancels: neither the reference alone, nor another booking's token, nor a wrong date of birth opens,
// ends or moves a booking.
func TestOnlyTheSubjectCancels(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a := w.serve()
		w.publish(a, "S1", session(3, "RSV"))
		mine, other := w.book(a, 1, w.claim("S1", "RSV", 0))[0], w.book(a, 2, w.claim("S1", "RSV", 1))[0]
		h, err := w.hold(a, "", w.claim("S1", "RSV", 2))
		if err != nil {
			t.Fatal(err)
		}
		for name, access := range map[string]allocator.BookingAccess{
			"nothing":                {},
			"another booking's":      {ManageToken: other.ManageToken},
			"made up":                {ManageToken: "00000000000000000000000000"},
			"a wrong date of birth":  {DateOfBirth: 3651, HasBirth: true},
			"a token and wrong date": {ManageToken: "x", DateOfBirth: 3651, HasBirth: true},
		} {
			access.Reference = mine.Reference
			if _, err := a.Booking(t.Context(), access); allocator.CodeOf(err) != allocator.CodeBookingUnknown {
				t.Errorf("%s shows the booking: %v", name, err)
			}
			if _, err := a.Cancel(t.Context(), access, "", allocator.Caller{}); allocator.CodeOf(err) != allocator.CodeBookingUnknown {
				t.Errorf("%s cancels the booking: %v", name, err)
			}
			move := allocator.ConfirmRequest{Token: h.Token, People: []allocator.Person{person(1)}, Replaces: &access}
			if _, err := a.Confirm(t.Context(), move); allocator.CodeOf(err) != allocator.CodeBookingUnknown {
				t.Errorf("%s moves the booking: %v", name, err)
			}
		}
		move := allocator.ConfirmRequest{
			Token: h.Token, People: []allocator.Person{person(3)},
			Replaces: &allocator.BookingAccess{Reference: mine.Reference, ManageToken: mine.ManageToken},
		}
		_, err = a.Confirm(t.Context(), move)
		wantCode(t, err, allocator.CodeInvalid) // for somebody else
		access := allocator.BookingAccess{Reference: mine.Reference, DateOfBirth: 3650, HasBirth: true}
		if v, err := a.Cancel(t.Context(), access, "", allocator.Caller{}); err != nil || v.Status != allocator.StatusCancelled {
			t.Errorf("their own date of birth: %v, %v", v.Status, err)
		}
	})
}

// TestOutages: without the inventory a token confirms while it is in time by the ledger's clock, and not later; without the
// ledger new holds stop, and go on when it answers again.
func TestOutages(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var noInventory, noLedger atomic.Bool
		w.plan = func(method string) faults.Plan {
			if method == "Pin" && noInventory.Load() || method != "Pin" && noLedger.Load() && ledgerMethods[method] {
				return faults.Plan{Before: allocator.ErrUnavailable}
			}
			return faults.Plan{}
		}
		a := w.serve()
		w.publish(a, "S1", session(5, "RSV"))
		var tokens []string
		for range 2 {
			h, err := w.hold(a, "", w.claim("S1", "RSV", 0))
			if err != nil {
				t.Fatal(err)
			}
			tokens = append(tokens, h.Token)
		}
		noInventory.Store(true)
		time.Sleep(290 * time.Second)
		if _, err := w.confirm(a, tokens[0], person(1)); err != nil {
			t.Errorf("in time: %v", err)
		}
		time.Sleep(20 * time.Second)
		_, err := w.confirm(a, tokens[1], person(2))
		wantCode(t, err, allocator.CodeHoldExpired)
		noInventory.Store(false)

		noLedger.Store(true)
		time.Sleep(10 * time.Second)
		_, err = w.hold(a, "", w.claim("S1", "RSV", 1))
		wantCode(t, err, allocator.CodeLedgerUnavailable)
		noLedger.Store(false)
		time.Sleep(5 * time.Second)
		w.book(a, 3, w.claim("S1", "RSV", 1))
		time.Sleep(time.Minute)
		w.sameAsLedger(a)
	})
}

// ledgerMethods are those that TestOutages breaks: all that a server asks a ledger in the quiet, and Record.
var ledgerMethods = map[string]bool{
	"Now": true, "Record": true, "Changed": true, "Generations": true, "Epochs": true, "SiteState": true, "Services": true, "Sites": true,
	"Day": true, "Days": true,
}

// TestReleaseOfALostHold: a hold that is released after the inventory lost it is never booked.
func TestReleaseOfALostHold(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a := w.serve()
		w.publish(a, "S1", session(2, "RSV"))
		h, err := w.hold(a, "", w.claim("S1", "RSV", 0))
		if err != nil {
			t.Fatal(err)
		}
		w.inventory.Lose(a.Shard("S1"))
		for range 2 {
			if err := a.Release(t.Context(), h.Token); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			_, err = w.confirm(a, h.Token, person(1))
			wantCode(t, err, allocator.CodeHoldReleased)
		}
		w.book(a, 1, w.claim("S1", "RSV", 0))
	})
}

// TestOneRequestOneBooking: a request that is granted again after a loss is booked once, whichever of its tokens confirms, and
// whether before or after the loss; also when the first confirm comes late.
func TestOneRequestOneBooking(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a := w.serve()
		w.publish(a, "S1", session(5, "RSV"))
		var tokens []string
		for range 3 {
			h, err := w.hold(a, "key", w.claim("S1", "RSV", 0))
			if err != nil {
				t.Fatal(err)
			}
			tokens = append(tokens, h.Token)
			if len(tokens) == 2 {
				if _, err := w.confirm(a, h.Token, person(1)); err != nil {
					t.Fatal(err)
				}
			}
			w.inventory.Lose(a.Shard("S1"))
		}
		for _, token := range tokens {
			if _, err := w.confirm(a, token, person(1)); err != nil {
				t.Error(err)
			}
			if n := w.live("S1", 0)["RSV"]; n != 1 {
				t.Errorf("P6: one request has %d live bookings", n)
			}
		}
		time.Sleep(time.Minute)
		w.sameAsLedger(a)
	})
}

// skewed is the clock of a server that is wrong.
type skewed time.Duration

func (s skewed) Now() time.Time { return time.Now().Add(time.Duration(s)) }

// TestWrongClocks: no safety rule reads a server's own clock (P9). A server an hour ahead honours what is in time, lost holds
// and an outage included; one an hour behind refuses what has expired.
func TestWrongClocks(t *testing.T) {
	for _, skew := range []time.Duration{-time.Hour, time.Hour} {
		t.Run(skew.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				var noPin atomic.Bool
				w.plan = func(method string) faults.Plan {
					if method == "Pin" && noPin.Load() {
						return faults.Plan{Before: allocator.ErrUnavailable}
					}
					return faults.Plan{}
				}
				right := w.serve()
				c := w.config()
				c.Clock = skewed(skew)
				wrong, err := allocator.New(c)
				if err != nil {
					t.Fatal(err)
				}
				if err := wrong.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := wrong.Stop(context.Background()); err != nil {
						t.Error(err)
					}
				}()
				w.publish(right, "S1", session(9, "RSV"))
				confirms := func(n int, late bool, before func()) {
					t.Helper()
					h, err := w.hold(right, "", w.claim("S1", "RSV", 0))
					if err != nil {
						t.Fatal(err)
					}
					if late {
						time.Sleep(310 * time.Second)
					}
					before()
					_, err = w.confirm(wrong, h.Token, person(n))
					if late {
						wantCode(t, err, allocator.CodeHoldExpired)
					} else if err != nil {
						t.Errorf("hold %d is in time: %v", n, err)
					}
				}
				lose := func() { w.inventory.Lose(right.Shard("S1")) }
				for i, late := range []bool{false, true} {
					noPin.Store(false)
					confirms(10*i+1, late, func() {})
					confirms(10*i+2, late, lose)
					confirms(10*i+3, late, func() { noPin.Store(true) })
				}
			})
		})
	}
}
