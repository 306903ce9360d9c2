package allocator_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/allocator"
)

// boxes is a day of which the morning and the afternoon share a box of five RSV vials, two places in each slot. FLU has places
// of its own, and one maximum for itself.
func boxes() []allocator.Session {
	box := func(from, until allocator.TimeOfDay) allocator.Session {
		return allocator.Session{From: from, Until: until, SlotLength: 10, Capacity: 2, Services: []allocator.ServiceCode{"RSV"}, Maximum: 5, MaximumGroup: "box"}
	}
	return []allocator.Session{
		box(9*60, 10*60), box(14*60, 15*60),
		{From: 9 * 60, Until: 15 * 60, SlotLength: 10, Capacity: 1, Services: []allocator.ServiceCode{"FLU"}, Maximum: 3},
		{From: 16 * 60, Until: 17 * 60, SlotLength: 10, Capacity: 1, Services: []allocator.ServiceCode{"RSV"}},
	}
}

func (w *world) publishBoxes(a *allocator.Allocator, sessions []allocator.Session) {
	w.t.Helper()
	r := allocator.PublishRequest{Site: "S1", Date: w.day, Day: allocator.Day{Sessions: sessions}}
	if _, err := a.PublishDay(context.Background(), r); err != nil {
		w.t.Fatal(err)
	}
}

// free is what a search tells of a service at S1, which must be what planners are told, and in how many slots.
func (w *world) free(a *allocator.Allocator, service allocator.ServiceCode) (total, slots int) {
	w.t.Helper()
	time.Sleep(time.Second)
	for _, site := range w.search(a, allocator.SearchRequest{Service: service}).Sites {
		for _, day := range site.Days {
			total += day.Free
		}
	}
	reply, err := a.Availability(context.Background(), allocator.AvailabilityRequest{Site: "S1", Service: service})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, day := range reply.Days {
		slots += len(day.Slots)
	}
	planned, err := a.FreeCapacity(context.Background(), allocator.FreeCapacityRequest{By: allocator.AreaSite, Service: service, From: w.day, To: w.day})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, row := range planned.Rows {
		total -= row.Free
	}
	if total != 0 {
		w.t.Errorf("a search tells of %d free places more than planners are told of", total)
	}
	for _, row := range planned.Rows {
		total += row.Free
	}
	return total, slots
}

// A maximum is one for all slots of its sessions: for holds of any server, whatever was lost meanwhile, and not for others.
func TestMaximum(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a, b := w.serve(), w.serve()
		w.publishBoxes(a, boxes())
		if total, slots := w.free(b, "RSV"); total != 5+6 || slots != 12+6 {
			t.Errorf("%d free in %d slots", total, slots)
		}
		if told := w.suspend(a, allocator.SuspensionRequest{DryRun: true}); told.Free != 5+6 {
			t.Errorf("a suspension would concern %+v", told)
		}
		first := w.book(a, 1, w.claim("S1", "RSV", 0))[0]
		w.book(b, 2, w.claim("S1", "RSV", 0))
		w.book(a, 3, w.claim("S1", "RSV", 30))
		pair, err := w.hold(b, "", w.claim("S1", "RSV", 31), w.claim("S1", "RSV", 5))
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.hold(a, "", w.claim("S1", "RSV", 2))
		wantCode(t, err, allocator.CodeSlotFull)
		if total, slots := w.free(a, "RSV"); total != 6 || slots != 6 {
			t.Errorf("%d free in %d slots with the box empty", total, slots)
		}
		_, err = a.WalkIn(context.Background(), allocator.WalkInRequest{Site: "S1", Service: "RSV", Start: w.at(2), Person: person(9)})
		wantCode(t, err, allocator.CodeSlotFull)
		w.book(a, 4, w.claim("S1", "RSV", 42)) // the evening has no maximum
		for n := range 3 {
			w.book(b, 5+n, w.claim("S1", "FLU", n))
		}
		_, err = w.hold(b, "", w.claim("S1", "FLU", 20))
		wantCode(t, err, allocator.CodeSlotFull)

		if err := b.Release(context.Background(), pair.Token); err != nil {
			t.Fatal(err)
		}
		_, err = w.hold(a, "", w.claim("S1", "RSV", 1), w.claim("S1", "RSV", 2), w.claim("S1", "RSV", 3))
		wantCode(t, err, allocator.CodeSlotFull) // all or none
		access := allocator.BookingAccess{Reference: first.Reference, ManageToken: first.ManageToken}
		if _, err := a.Cancel(context.Background(), access, "citizen", allocator.Caller{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		w.inventory.Lose(a.Shard("S1"))
		if total, _ := w.free(a, "RSV"); total != 3+5 {
			t.Errorf("%d free after a cancellation and a loss", total)
		}
		three, err := w.hold(a, "", w.claim("S1", "RSV", 1), w.claim("S1", "RSV", 2), w.claim("S1", "RSV", 3))
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.hold(b, "", w.claim("S1", "RSV", 4))
		wantCode(t, err, allocator.CodeSlotFull)
		if err := a.Release(context.Background(), three.Token); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		w.sameAsLedger(a)
	})
}

// The ledger counts for itself where the inventory proves nothing: holds that were lost are booked while the box lasts.
func TestMaximumAfterALoss(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a := w.serve()
		w.publishBoxes(a, boxes())
		var tokens []string
		for n := range 5 {
			tokens = append(tokens, w.held(a, fmt.Sprint(n), w.claim("S1", "RSV", n)).Token)
		}
		w.inventory.Lose(a.Shard("S1"))
		for n := range 3 {
			w.book(a, 20+n, w.claim("S1", "RSV", 30+n))
		}
		booked := 0
		for n, token := range tokens {
			if _, err := w.confirm(a, token, person(n+1)); err == nil {
				booked++
			} else {
				wantCode(t, err, allocator.CodeHoldLost)
			}
		}
		if booked != 2 {
			t.Errorf("%d of the lost holds were booked; 2 vials were left", booked)
		}
		time.Sleep(7 * time.Minute)
		w.sameAsLedger(a)
	})
}

// A smaller maximum keeps what is booked, takes nothing new, and refuses holds that were granted under the larger one.
func TestMaximumIsCut(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a := w.serve()
		w.publishBoxes(a, boxes())
		booked := w.book(a, 1, w.claim("S1", "RSV", 0))[0]
		w.book(a, 2, w.claim("S1", "RSV", 1))
		held := w.held(a, "held", w.claim("S1", "RSV", 2))
		cut := boxes()
		cut[0].Maximum, cut[1].Maximum = 2, 2
		w.publishBoxes(a, cut)
		_, err := w.confirm(a, held.Token, person(3))
		wantCode(t, err, allocator.CodeHoldRevoked)
		_, err = w.hold(a, "", w.claim("S1", "RSV", 3))
		wantCode(t, err, allocator.CodeSlotFull)
		moved, err := a.Booking(context.Background(), allocator.BookingAccess{Reference: booked.Reference, ManageToken: booked.ManageToken})
		if err != nil || moved.Unsupported {
			t.Errorf("%+v, %v", moved, err)
		}
		time.Sleep(7 * time.Minute)
		w.sameAsLedger(a)
	})
}

// Many people at many slots of two servers: the box is given out to the last vial, and no further.
func TestMaximumUnderRaces(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		servers := []*allocator.Allocator{w.serve(), w.serve()}
		w.publishBoxes(servers[0], boxes())
		var running sync.WaitGroup
		var mu sync.Mutex
		granted := 0
		for n := range 24 {
			running.Go(func() {
				slot := n % 6
				if n >= 12 {
					slot += 30
				}
				h, err := w.hold(servers[n%2], "", w.claim("S1", "RSV", slot))
				if err != nil {
					wantCode(t, err, allocator.CodeSlotFull)
					return
				}
				if _, err := w.confirm(servers[(n+1)%2], h.Token, person(n+1)); err != nil {
					t.Error(err)
				}
				mu.Lock()
				granted++
				mu.Unlock()
			})
		}
		running.Wait()
		if granted != 5 {
			t.Errorf("%d bookings of a box of 5", granted)
		}
		time.Sleep(10 * time.Second)
		w.sameAsLedger(servers[0])
	})
}

// Documents in which a claim could count for two maxima, or for one or none, are refused.
func TestMaximaOfADocument(t *testing.T) {
	at := func(from, until allocator.TimeOfDay, maximum int, group string, services ...allocator.ServiceCode) allocator.Session {
		return allocator.Session{From: from, Until: until, SlotLength: 10, Capacity: 1, Services: services, Maximum: maximum, MaximumGroup: group}
	}
	for name, c := range map[string]struct {
		sessions []allocator.Session
		fault    string
	}{
		"one":               {[]allocator.Session{at(540, 600, 40, "", "RSV", "FLU")}, ""},
		"one after another": {[]allocator.Session{at(540, 600, 40, "", "RSV"), at(600, 660, 30, "", "RSV"), at(660, 700, 0, "", "RSV")}, ""},
		"side by side":      {[]allocator.Session{at(540, 600, 40, "", "RSV"), at(540, 600, 30, "", "FLU")}, ""},
		"shared":            {[]allocator.Session{at(540, 600, 40, "a", "RSV"), at(550, 700, 40, "a", "RSV")}, ""},
		"two numbers":       {[]allocator.Session{at(540, 600, 40, "a", "RSV"), at(600, 700, 30, "a", "RSV")}, "differs"},
		"two maxima":        {[]allocator.Session{at(540, 600, 40, "a", "RSV"), at(590, 700, 40, "b", "RSV", "FLU")}, "same time"},
		"one and none":      {[]allocator.Session{at(540, 600, 0, "", "RSV"), at(540, 600, 40, "", "RSV")}, "same time"},
		"a group of none":   {[]allocator.Session{at(540, 600, 0, "a", "RSV")}, "without a maximum"},
		"below 0":           {[]allocator.Session{at(540, 600, -1, "", "RSV")}, "must be 1"},
	} {
		day := allocator.Day{Site: "S1", Date: 20_000, Sessions: c.sessions}
		faults := fmt.Sprint(day.Validate(time.UTC))
		if c.fault == "" && faults != "[]" || c.fault != "" && !strings.Contains(faults, c.fault) {
			t.Errorf("%s: %s, want %q", name, faults, c.fault)
		}
	}
}
