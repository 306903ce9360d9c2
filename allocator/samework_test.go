package allocator_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"muster/allocator"
	"muster/allocator/allocatortest/faults"
	"muster/allocator/keyring"
)

// asked is what somebody asks of a booking.
type asked struct {
	what   string
	access allocator.BookingAccess
}

// TestSameWorkForWhatIsNot: whether a booking is there or not, is somebody else's, was erased, moved or never made, its
// refusal takes the same statements, the same tokens computed, and the same payloads opened.
func TestSameWorkForWhatIsNot(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var calls []string
		var mu sync.Mutex
		watched := false
		w.plan = func(method string) faults.Plan {
			mu.Lock()
			defer mu.Unlock()
			if watched && method != "Now" {
				calls = append(calls, method)
			}
			return faults.Plan{}
		}
		a, _ := w.serveKeys(keyring.New(true))
		w.publish(a, "S1", session(9, "RSV"))
		there := w.book(a, 1, w.claim("S1", "RSV", 0))[0]
		ended := w.book(a, 2, w.claim("S1", "RSV", 1))[0]
		erased := w.book(a, 3, w.claim("S1", "RSV", 2))[0]
		for _, v := range []allocator.BookingView{ended, erased} {
			if _, err := a.Cancel(t.Context(), allocator.BookingAccess{Reference: v.Reference, ManageToken: v.ManageToken}, "", allocator.Caller{}); err != nil {
				t.Fatal(err)
			}
		}
		if done, err := a.ErasePerson(t.Context(), person(3).NHSNumber, allocator.Caller{}); err != nil || done.Erased != 1 {
			t.Fatal(done, err)
		}
		voided := there.Booking
		voided.Key = 4242
		if _, err := w.ledger.Void(t.Context(), []allocator.Voiding{{Claims: []allocator.Booking{voided}, Reason: allocator.CodeHoldLost}}); err != nil {
			t.Fatal(err)
		}
		references := map[string]string{
			"there": there.Reference, "ended": ended.Reference, "erased": erased.Reference,
			"void": voided.Key.Reference(), "nobody's": allocator.BookingKey(77).Reference(),
		}
		stranger := allocator.Caller{Client: "c", Staff: true, Bound: true, Organisation: "another"}
		homeless := allocator.Caller{Client: "c", Staff: true, Bound: true}
		work := allocator.CountWork(a)
		synctest.Wait() // what the server does by itself is done until time passes
		for _, q := range []asked{
			{"a wrong date of birth", allocator.BookingAccess{DateOfBirth: 1, HasBirth: true}},
			{"a wrong token", allocator.BookingAccess{ManageToken: there.ManageToken[:27] + "!"}},
			{"a token of an unknown key", allocator.BookingAccess{ManageToken: "09" + there.ManageToken[2:]}},
			{"a token of another length", allocator.BookingAccess{ManageToken: "x"}},
			{"a wrong token and date", allocator.BookingAccess{ManageToken: "x", DateOfBirth: 1, HasBirth: true}},
			{"staff of another site", allocator.BookingAccess{Staff: true, Caller: stranger}},
			{"staff of nobody", allocator.BookingAccess{Staff: true, Caller: homeless}},
			{"nothing", allocator.BookingAccess{}},
		} {
			costs := make(map[string][]string)
			for name, reference := range references {
				q.access.Reference = reference
				mu.Lock()
				calls, watched = nil, true
				mu.Unlock()
				tokens, opened := work.Manage.Load(), work.Opened.Load()
				_, err := a.Booking(t.Context(), q.access)
				wantCode(t, err, allocator.CodeBookingUnknown)
				if err.Error() != "BOOKING_UNKNOWN: no such booking" {
					t.Errorf("%s, %s: %v", q.what, name, err)
				}
				mu.Lock()
				cost := fmt.Sprintf("statements %v, tokens %d, payloads %d", calls, work.Manage.Load()-tokens, work.Opened.Load()-opened)
				watched = false
				mu.Unlock()
				costs[cost] = append(costs[cost], name)
			}
			if len(costs) != 1 {
				t.Errorf("%s is told apart by its work: %v", q.what, costs)
			}
			for cost := range costs {
				t.Logf("%-26s %s", q.what, cost)
			}
		}
	})
}

// BenchmarkRefusedLookup: what a refusal takes where the booking is there, and where it is not.
func BenchmarkRefusedLookup(b *testing.B) {
	a, claim := benchWorld(b)
	h, err := a.Hold(b.Context(), allocator.HoldRequest{Claims: []allocator.ClaimRequest{claim}})
	if err != nil {
		b.Fatal(err)
	}
	views, err := a.Confirm(b.Context(), allocator.ConfirmRequest{Token: h.Token, People: []allocator.Person{person(1)}})
	if err != nil {
		b.Fatal(err)
	}
	for name, reference := range map[string]string{"there": views[0].Reference, "nobodys": allocator.BookingKey(77).Reference()} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, err := a.Booking(b.Context(), allocator.BookingAccess{Reference: reference, DateOfBirth: 1, HasBirth: true})
				if allocator.CodeOf(err) != allocator.CodeBookingUnknown {
					b.Fatal(err)
				}
			}
		})
	}
}
