package allocator_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"muster/allocator"
)

// insistently repeats a request, on any server, until its answer is definite, as the contract tells clients to.
func insistently[T any](s *simulation, request func(a *allocator.Allocator) (T, error)) (T, error) {
	for {
		value, err := request(s.server().a)
		switch allocator.CodeOf(err) {
		case allocator.CodeOutcomeUnknown, allocator.CodeLedgerUnavailable, allocator.CodeUnavailable, allocator.CodeOverloaded, allocator.CodeInProgress:
			time.Sleep(time.Duration(100+s.intn(900)) * time.Millisecond)
			continue
		}
		return value, err
	}
}

// citizen walks one way through the protocol.
func (s *simulation) citizen() {
	s.mu.Lock()
	s.people++
	me := s.people
	s.mu.Unlock()
	if s.chance(10) {
		s.walkIn(me)
		return
	}
	var claims []allocator.ClaimRequest
	for range 1 + s.intn(2)*s.intn(3) {
		service := []allocator.ServiceCode{"RSV", "FLU", "COVID"}[s.intn(3)]
		claims = append(claims, s.claim(simulatedSites[s.intn(3)], service, s.intn(3)))
	}
	key := fmt.Sprint("key ", me)
	h, err := insistently(s, func(a *allocator.Allocator) (allocator.Hold, error) { return s.hold(a, key, claims...) })
	if err != nil {
		s.expect(err, allocator.CodeSlotFull, allocator.CodeSlotUnknown, allocator.CodeHoldExpired, allocator.CodeSessionClosed)
		return
	}
	if s.chance(20) {
		_, err := insistently(s, func(a *allocator.Allocator) (allocator.HoldView, error) {
			return a.Inspect(context.Background(), h.Token)
		})
		s.expect(err)
	}
	switch {
	case s.chance(10):
		return // abandoned
	case s.chance(10):
		_, err := insistently(s, func(a *allocator.Allocator) (bool, error) { return true, a.Release(context.Background(), h.Token) })
		s.expect(err)
		if s.chance(50) {
			return
		}
		time.Sleep(time.Duration(s.intn(5)) * time.Second) // and changes their mind
	case s.chance(15):
		_, err := insistently(s, func(a *allocator.Allocator) (allocator.Hold, error) { return a.Extend(context.Background(), h.Token) })
		s.expect(err, allocator.CodeHoldExpired, allocator.CodeHoldLost, allocator.CodeHoldReleased)
	}
	time.Sleep(time.Duration(s.intn(12)*s.intn(3)) * time.Second)
	people := make([]allocator.Person, len(claims))
	for i := range people {
		people[i] = person(1000*me + i)
	}
	if s.chance(15) {
		for i := range people {
			people[i] = person(1000*(1+s.intn(me)) + i) // somebody who may have a booking
		}
	}
	s.confirmAndGoOn(me, h, people)
}

// confirmAndGoOn confirms, perhaps twice at once, and perhaps ends the booking later.
func (s *simulation) confirmAndGoOn(me int, h allocator.Hold, people []allocator.Person) {
	confirm := func() ([]allocator.BookingView, error) {
		return insistently(s, func(a *allocator.Allocator) ([]allocator.BookingView, error) { return s.confirm(a, h.Token, people...) })
	}
	var other []allocator.BookingView
	var otherErr error
	var twin sync.WaitGroup
	doubled := s.chance(25)
	if doubled {
		twin.Go(func() { other, otherErr = confirm() })
	}
	views, err := confirm()
	twin.Wait()
	if doubled && (err == nil) != (otherErr == nil) {
		s.t.Errorf("one confirm says %v, its twin %v", err, otherErr)
	}
	if err != nil {
		s.expect(err, allocator.CodeHoldExpired, allocator.CodeHoldReleased, allocator.CodeHoldRevoked, allocator.CodeHoldLost,
			allocator.CodeSlotFull, allocator.CodeAlreadyBooked)
		_, again := confirm()
		if allocator.CodeOf(again) != allocator.CodeOf(err) && !(allocator.CodeOf(err) == allocator.CodeAlreadyBooked) {
			s.t.Errorf("a refused confirm said %v, and then %v", err, again)
		}
		return
	}
	for i := range views {
		if doubled && other[i].Reference != views[i].Reference {
			s.t.Errorf("twins got %s and %s", views[i].Reference, other[i].Reference)
		}
		s.mu.Lock()
		s.acknowledged[views[i].Reference] = &acknowledged{view: views[i], person: me}
		s.mu.Unlock()
	}
	switch {
	case s.chance(30):
		s.cancel(views[s.intn(len(views))])
	case s.chance(30):
		s.move(me, people, views)
	case s.chance(15):
		v := views[s.intn(len(views))]
		_, err := insistently(s, func(a *allocator.Allocator) (allocator.BookingView, error) {
			return a.SetStatus(context.Background(), v.Reference, allocator.StatusArrived, allocator.Caller{Staff: true})
		})
		s.expect(err, allocator.CodeBookingEnded)
	}
}

// walkIn books for someone who is there.
func (s *simulation) walkIn(me int) {
	r := allocator.WalkInRequest{
		IdempotencyKey: fmt.Sprint("walk ", me), Site: simulatedSites[s.intn(3)], Service: "RSV", Start: s.at(s.intn(3)), Length: 10,
		Person: person(1000 * me),
	}
	v, err := insistently(s, func(a *allocator.Allocator) (allocator.BookingView, error) { return a.WalkIn(context.Background(), r) })
	if err != nil {
		s.expect(err, allocator.CodeSlotFull, allocator.CodeSlotUnknown, allocator.CodeHoldExpired, allocator.CodeSessionClosed,
			allocator.CodeHoldRevoked, allocator.CodeHoldLost, allocator.CodeHoldReleased, allocator.CodeAlreadyBooked)
		return
	}
	s.mu.Lock()
	s.acknowledged[v.Reference] = &acknowledged{view: v, person: me}
	s.mu.Unlock()
	again, err := insistently(s, func(a *allocator.Allocator) (allocator.BookingView, error) { return a.WalkIn(context.Background(), r) })
	if err != nil || again.Reference != v.Reference {
		s.t.Errorf("a repeated walk-in: %v, %v; first %v", again.Reference, err, v.Reference)
	}
	if s.chance(30) {
		s.cancel(v)
	}
}

// move replaces one of the bookings by another.
func (s *simulation) move(me int, people []allocator.Person, views []allocator.BookingView) {
	i := s.intn(len(views))
	old := views[i]
	claim := s.claim(simulatedSites[s.intn(3)], old.Service, s.intn(3))
	h, err := insistently(s, func(a *allocator.Allocator) (allocator.Hold, error) { return s.hold(a, fmt.Sprint("move ", me), claim) })
	if err != nil {
		s.expect(err, allocator.CodeSlotFull, allocator.CodeSlotUnknown, allocator.CodeHoldExpired, allocator.CodeSessionClosed)
		return
	}
	time.Sleep(time.Duration(s.intn(6)) * time.Second)
	s.mu.Lock()
	known := s.acknowledged[old.Reference]
	known.mayHave = true
	s.mu.Unlock()
	confirm := func() ([]allocator.BookingView, error) {
		return insistently(s, func(a *allocator.Allocator) ([]allocator.BookingView, error) {
			return a.Confirm(context.Background(), allocator.ConfirmRequest{
				Token: h.Token, People: people[i : i+1], Replaces: &allocator.BookingAccess{Reference: old.Reference, ManageToken: old.ManageToken},
			})
		})
	}
	fresh, err := confirm()
	if err != nil {
		s.expect(err, allocator.CodeHoldExpired, allocator.CodeHoldReleased, allocator.CodeHoldRevoked, allocator.CodeHoldLost,
			allocator.CodeSlotFull, allocator.CodeAlreadyBooked, allocator.CodeBookingEnded)
		return
	}
	s.mu.Lock()
	known.mustHave = true
	s.acknowledged[fresh[0].Reference] = &acknowledged{view: fresh[0], person: me}
	s.mu.Unlock()
	if again, err := confirm(); err != nil || again[0].Reference != fresh[0].Reference {
		s.t.Errorf("a repeated move: %v, %v", again, err)
	}
}

func (s *simulation) cancel(v allocator.BookingView) {
	s.mu.Lock()
	known := s.acknowledged[v.Reference]
	known.mayHave = true
	s.mu.Unlock()
	access := allocator.BookingAccess{Reference: v.Reference, ManageToken: v.ManageToken}
	cancelled, err := insistently(s, func(a *allocator.Allocator) (allocator.BookingView, error) {
		return a.Cancel(context.Background(), access, "", allocator.Caller{})
	})
	if err != nil && s.cancelling[v.Slot.Site] && allocator.CodeOf(err) == allocator.CodeBookingEnded {
		return
	}
	if err != nil || cancelled.Status != allocator.StatusCancelled {
		s.t.Errorf("cancelling %s: %v, %v", v.Reference, cancelled.Status, err)
		return
	}
	s.mu.Lock()
	known.mustHave = true
	s.mu.Unlock()
}

// expect allows no error but some codes.
func (s *simulation) expect(err error, codes ...allocator.Code) {
	if err != nil && !slices.Contains(codes, allocator.CodeOf(err)) {
		s.t.Errorf("unexpected: %v", err)
	}
}

// checkAll checks the promises after the storm.
func (s *simulation) checkAll() {
	s.sameAsLedger(s.servers[0].a) // P5, P1 by place, uniqueness of persons
	ctx := context.Background()
	for reference, known := range s.acknowledged { // P2
		key, _ := allocator.ParseReference(reference)
		rows, err := s.ledger.Bookings(ctx, []allocator.BookingKey{key})
		switch {
		case err != nil || len(rows) == 0 || rows[0].Status == allocator.StatusVoid:
			s.t.Errorf("acknowledged booking %s is lost: %v, %v", reference, rows, err)
		case !known.mayHave && !rows[0].Status.Live() && !s.cancelling[rows[0].Slot.Site]:
			s.t.Errorf("acknowledged booking %s is %s", reference, rows[0].Status)
		case known.mustHave && rows[0].Status.Live():
			s.t.Errorf("cancelled booking %s is live again", reference)
		}
	}
	s.checkEvents()
}

// checkEvents: every transition has exactly one event (P12), and no place was ever granted beyond what the rule allows:
// replayed in order, each booking joined the live ones under the day's document of that moment (P1).
func (s *simulation) checkEvents() {
	ctx := context.Background()
	seen := make(map[string]bool)
	booked := make(map[allocator.BookingKey]int)
	docs, live := make(map[allocator.DayID]allocator.Day), make(map[allocator.SlotID]map[allocator.BookingKey]allocator.ServiceCode)
	after := ""
	for {
		events, next, err := s.ledger.Events(ctx, after, 1000)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, e := range events {
			if e.Type.Catalogue() {
				continue
			}
			id := fmt.Sprint(e.Booking, e.Site, e.Date, e.Version, e.Revision)
			if seen[id] {
				s.t.Errorf("two events for one transition: %+v", e)
			}
			seen[id] = true
			if e.Type == allocator.EventBooked {
				booked[e.Booking]++
			}
			s.replay(&e, docs, live)
		}
		if len(events) == 0 {
			break
		}
		after = next
	}
	for reference := range s.acknowledged {
		key, _ := allocator.ParseReference(reference)
		if booked[key] != 1 {
			s.t.Errorf("booking %s has %d events of its birth", reference, booked[key])
		}
	}
}

// replay checks that each booking joined the live ones under the document of that moment (P1).
func (s *simulation) replay(e *allocator.Event, docs map[allocator.DayID]allocator.Day, live map[allocator.SlotID]map[allocator.BookingKey]allocator.ServiceCode) {
	id := allocator.DayID{Site: e.Site, Date: e.Date}
	if e.Type == allocator.EventCapacity {
		sessions, ok := s.docs[fmt.Sprint(e.Site, e.Date, e.Revision)]
		if !ok {
			s.t.Errorf("revision %d of %s was never published", e.Revision, e.Site)
		}
		docs[id] = allocator.Day{Site: e.Site, Date: e.Date, Revision: e.Revision, Sessions: sessions}
		return
	}
	rows := live[e.Slot]
	if rows == nil {
		rows = make(map[allocator.BookingKey]allocator.ServiceCode)
		live[e.Slot] = rows
	}
	switch {
	case e.Type == allocator.EventBooked:
		counts := allocator.Counts{}
		for _, service := range rows {
			counts[service]++
		}
		slot, _ := docs[id].Slot(e.Slot, s.zone)
		if !allocator.Joins(slot.Pools, counts, []allocator.ServiceCode{e.Service}) {
			s.t.Errorf("P1: booking %s of %s at %v joined %v under revision %d, which is %v", e.Booking.Reference(), e.Service, e.Slot, counts, docs[id].Revision, slot.Pools)
		}
		rows[e.Booking] = e.Service
	case !e.Status.Live():
		delete(rows, e.Booking)
	}
}
