package checkers_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest/checkers"
)

// fataler is a test, or a property's one.
type fataler interface {
	Fatalf(format string, args ...any)
}

// script writes a correct run: everything happens at one instant of a serial execution, and operations get windows around it.
type script struct {
	t       fataler
	now     int64
	widen   func() (before, after int64)
	history []checkers.Op
	e       checkers.Evidence
	keys    allocator.BookingKey
	held    map[string][]checkers.Claim
	places  map[string][]int32 // of holds that are not recorded
	docs    map[allocator.SiteID]allocator.Day
}

const (
	site     = allocator.SiteID("S1")
	lifetime = 1000 // of holds
)

var (
	origin = time.Date(2030, 3, 4, 0, 0, 0, 0, time.UTC)
	date   = allocator.DateOf(origin)
)

func newScript(t fataler) *script {
	s := &script{
		t: t, now: 1000, widen: func() (int64, int64) { return 2, 2 },
		held: make(map[string][]checkers.Claim), places: make(map[string][]int32), docs: make(map[allocator.SiteID]allocator.Day),
	}
	s.e.Zone, s.e.Steady, s.e.Counted = time.UTC, true, make(map[string]int)
	return s
}

func slot(n int) allocator.SlotID {
	return allocator.SlotID{Site: site, Start: allocator.MinuteOf(origin) + 540 + allocator.Minute(10*n), Length: 10}
}

func claim(n int, service allocator.ServiceCode, person string) checkers.Claim {
	return checkers.Claim{Slot: slot(n), Service: service, Person: person}
}

func personKey(name string) (k allocator.PersonKey) {
	if name != "" {
		sum := sha256.Sum256([]byte(name))
		copy(k[:], sum[:])
	}
	return k
}

func holdID(name string, at int64) (id allocator.HoldID) {
	sum := sha256.Sum256([]byte("hold " + name))
	copy(id.Key[:], sum[:])
	id.Stamp = allocator.MakeStamp(1, at)
	return id
}

// did adds an operation that took effect now.
func (s *script) did(op checkers.Op) {
	before, after := s.widen()
	op.Call = s.now - before
	if op.Return != checkers.Never {
		op.Return = s.now + after
	}
	s.history = append(s.history, op)
	s.now += 10
}

func (s *script) event(kind allocator.EventType, b *allocator.Booking) {
	e := allocator.EventOf(kind, b, "public", time.Unix(0, s.now))
	s.e.Events = append(s.e.Events, e)
}

// publish makes a day of three slots current, with as many places for each set of services.
func (s *script) publish(sessions map[string]int) {
	day := allocator.Day{Site: site, Date: date, Revision: s.docs[site].Revision + 1}
	for _, services := range []string{"RSV", "FLU", "RSV FLU"} {
		if n := sessions[services]; n > 0 {
			set := map[string][]allocator.ServiceCode{"RSV": {"RSV"}, "FLU": {"FLU"}, "RSV FLU": {"RSV", "FLU"}}[services]
			day.Sessions = append(day.Sessions, allocator.Session{ID: services, From: 540, Until: 570, SlotLength: 10, Capacity: n, Services: set})
		}
	}
	s.docs[site] = day
	s.e.Days = append(s.e.Days, day)
	s.e.Events = append(s.e.Events, allocator.Event{
		Type: allocator.EventCapacity, At: time.Unix(0, s.now), Actor: "public", Site: site, Date: date, Revision: day.Revision,
	})
}

// used lists the services of a slot's holds and live bookings, and their places.
func (s *script) used(id allocator.SlotID) (services []allocator.ServiceCode, places map[int32]bool) {
	places = make(map[int32]bool)
	for i := range s.e.Bookings {
		if b := &s.e.Bookings[i]; b.Slot == id && b.Status.Live() {
			services, places[b.Place] = append(services, b.Service), true
		}
	}
	for name, list := range s.places {
		for i, c := range s.held[name] {
			if c.Slot == id {
				services, places[list[i]] = append(services, c.Service), true
			}
		}
	}
	return services, places
}

// hold takes places where they fit, and says whether it did.
func (s *script) hold(name string, claims ...checkers.Claim) bool {
	op := checkers.Op{Kind: checkers.KindHold, Hold: name, Claims: slices.Clone(claims), Deadline: s.now + lifetime}
	var places []int32
	for i, c := range claims {
		op.Claims[i].Person = ""
		live, used := s.used(c.Slot)
		counts := allocator.Counts{}
		for _, service := range live {
			counts[service]++
		}
		var joining []allocator.ServiceCode
		for j := range claims[:i+1] {
			if claims[j].Slot == c.Slot {
				joining = append(joining, claims[j].Service)
				if j < i {
					used[places[j]] = true
				}
			}
		}
		document, _ := s.docs[site].Slot(c.Slot, time.UTC)
		if !allocator.Joins(document.Pools, counts, joining) {
			op.Code, op.Deadline = allocator.CodeSlotFull, 0
			s.did(op)
			return false
		}
		place := int32(0)
		for used[place] {
			place++
		}
		places = append(places, place)
	}
	s.held[name], s.places[name] = claims, places
	s.did(op)
	return true
}

// live finds the live booking of a person's service; nil where there is none.
func (s *script) live(person string, service allocator.ServiceCode) *allocator.Booking {
	for i := range s.e.Bookings {
		if b := &s.e.Bookings[i]; person != "" && b.Person == personKey(person) && b.Service == service && b.Status.Live() {
			return b
		}
	}
	return nil
}

// revoked says whether a hold's claims have no seat in the present document, which may be another than that of the grant.
func (s *script) revoked(name string) allocator.Code {
	for _, c := range s.held[name] {
		live := allocator.Counts{}
		for i := range s.e.Bookings {
			if b := &s.e.Bookings[i]; b.Slot == c.Slot && b.Status.Live() {
				live[b.Service]++
			}
		}
		var joining []allocator.ServiceCode
		for _, other := range s.held[name] {
			if other.Slot == c.Slot {
				joining = append(joining, other.Service)
			}
		}
		if document, _ := s.docs[site].Slot(c.Slot, time.UTC); !allocator.Joins(document.Pools, live, joining) {
			return allocator.CodeHoldRevoked
		}
	}
	return ""
}

// record writes the rows of a hold: booked, or void for a reason.
func (s *script) record(name string, reason allocator.Code) (references []string) {
	for i, c := range s.held[name] {
		s.keys += 7919
		b := allocator.Booking{
			Key: s.keys, Hold: holdID(name, s.now), Slot: c.Slot, Date: date, Place: s.places[name][i], Service: c.Service,
			Programme: string(c.Service), Dose: 1, Person: personKey(c.Person), OnePerson: true, Status: allocator.StatusBooked, Version: 1,
		}
		if reason != "" {
			b.Status, b.Person, b.OnePerson, b.Reason = allocator.StatusVoid, allocator.PersonKey{}, false, string(reason)
		} else {
			s.event(allocator.EventBooked, &b)
		}
		s.e.Bookings = append(s.e.Bookings, b)
		references = append(references, b.Key.Reference())
	}
	delete(s.places, name)
	return references
}

// confirm records a hold, or refuses it where somebody is booked already, or for a given reason.
func (s *script) confirm(name string, reason allocator.Code) []string {
	op := checkers.Op{Kind: checkers.KindConfirm, Hold: name, Claims: slices.Clone(s.held[name]), Code: reason}
	for _, c := range op.Claims {
		if reason == "" && s.live(c.Person, c.Service) != nil {
			op.Code = allocator.CodeAlreadyBooked
		}
	}
	if op.Code == "" {
		op.Code = s.revoked(name)
	}
	references := s.record(name, op.Code)
	if op.Code == "" {
		for i := range op.Claims {
			op.Claims[i].Reference = references[i]
		}
	} else {
		s.e.Counted[string(op.Code)]++
		references = nil
	}
	s.did(op)
	return references
}

// unanswered records a hold whose client never hears of it.
func (s *script) unanswered(name string) {
	claims := slices.Clone(s.held[name])
	s.record(name, s.revoked(name))
	s.did(checkers.Op{Kind: checkers.KindConfirm, Hold: name, Claims: claims, Return: checkers.Never, Code: allocator.CodeOutcomeUnknown})
}

func (s *script) row(reference string) *allocator.Booking {
	key, _ := allocator.ParseReference(reference)
	i := slices.IndexFunc(s.e.Bookings, func(b allocator.Booking) bool { return b.Key == key })
	if i < 0 {
		s.t.Fatalf("no booking %s", reference)
	}
	return &s.e.Bookings[i]
}

func (s *script) end(b *allocator.Booking, kind allocator.EventType, reason string) {
	b.Status, b.Version, b.Reason = allocator.StatusCancelled, b.Version+1, reason
	s.event(kind, b)
}

func (s *script) cancel(reference string) {
	s.end(s.row(reference), allocator.EventCancelled, "citizen")
	s.did(checkers.Op{Kind: checkers.KindCancel, Cancels: reference})
}

func (s *script) arrive(reference string) {
	b := s.row(reference)
	b.Status, b.Version = allocator.StatusArrived, b.Version+1
	s.event(allocator.EventStatus, b)
	s.did(checkers.Op{Kind: checkers.KindStatus, Cancels: reference})
}

// move confirms a hold in place of a booking, where it has a seat beside all others.
func (s *script) move(name, old string) []string {
	if s.revoked(name) != "" {
		return s.confirm(name, allocator.CodeHoldRevoked)
	}
	s.end(s.row(old), allocator.EventMoved, "moved")
	references := s.record(name, "")
	key, _ := allocator.ParseReference(references[0])
	s.row(old).ReplacedBy = key
	claims := slices.Clone(s.held[name])
	claims[0].Reference = references[0]
	s.did(checkers.Op{Kind: checkers.KindConfirm, Hold: name, Claims: claims, Replaces: old})
	return references
}

func (s *script) release(name string) {
	delete(s.places, name)
	s.did(checkers.Op{Kind: checkers.KindRelease, Hold: name})
}

// walkIn books somebody at once where there is room, and says whether there was.
func (s *script) walkIn(name string, c checkers.Claim) bool {
	granted := s.hold(name, c)
	s.history = s.history[:len(s.history)-1] // nobody saw that hold
	if !granted {
		s.did(checkers.Op{Kind: checkers.KindWalkIn, Hold: name, Claims: []checkers.Claim{c}, Code: allocator.CodeSlotFull})
		return false
	}
	c.Reference = s.record(name, "")[0]
	s.did(checkers.Op{Kind: checkers.KindWalkIn, Hold: name, Claims: []checkers.Claim{c}})
	return true
}

// finish adds what the inventory knows when all is quiet, and gives the run.
func (s *script) finish() ([]checkers.Op, *checkers.Evidence) {
	view := allocator.SiteInventory{
		Built: true, Epoch: 1, Revisions: map[allocator.Date]int64{date: s.docs[site].Revision}, NowMs: origin.UnixMilli() - 86_400_000,
	}
	for i := range s.e.Bookings {
		if b := &s.e.Bookings[i]; b.Status.Live() {
			view.Places = append(view.Places, allocator.PlaceState{Slot: b.Slot, Place: b.Place, Service: b.Service, Owner: b.Hold, Booked: true})
		}
	}
	s.e.Inventory = []allocator.SiteInventory{view}
	return s.history, &s.e
}

// example is a run in which everything happens once:
//
//	A books RSV, B and C book FLU together, A is refused another RSV, A cancels and books again, moves it; D's confirm is
//	never answered but recorded; E walks in; F releases a hold; G's hold expires; the publisher cancels H; I arrives.
func example(t fataler) *script {
	s := newScript(t)
	s.publish(map[string]int{"RSV FLU": 3, "FLU": 1})
	s.hold("a", claim(0, "RSV", "A"))
	a := s.confirm("a", "")[0]
	s.hold("bc", claim(0, "FLU", "B"), claim(1, "FLU", "C"))
	s.confirm("bc", "")
	s.hold("a2", claim(1, "RSV", "A"))
	s.confirm("a2", "")
	s.cancel(a)
	s.hold("a3", claim(0, "RSV", "A"))
	a = s.confirm("a3", "")[0]
	s.hold("a4", claim(1, "RSV", "A"))
	s.move("a4", a)
	s.hold("d", claim(1, "RSV", "D"), claim(2, "FLU", "D"))
	s.unanswered("d")
	s.hold("h", claim(2, "RSV", "H"))
	h := s.confirm("h", "")[0]
	s.hold("i", claim(2, "FLU", "I"))
	s.arrive(s.confirm("i", "")[0])
	s.hold("f", claim(0, "RSV", "F"))
	s.release("f")
	s.hold("g", claim(0, "RSV", "G"))
	s.now += lifetime
	s.confirm("g", allocator.CodeHoldExpired)
	s.publish(map[string]int{"RSV FLU": 2, "FLU": 1})
	s.end(s.row(h), allocator.EventCancelled, "site")
	s.now += 10
	s.walkIn("e", claim(0, "RSV", "E"))
	return s
}

func describeAll(violations []checkers.Violation) (text string) {
	for _, v := range violations {
		text += fmt.Sprintf("\n  %s: %s", v.Promise, v.Text)
	}
	return text
}

func TestExampleHolds(t *testing.T) {
	history, e := example(t).finish()
	violations, stats := checkers.Check(history, e)
	if len(violations) > 0 {
		t.Errorf("a correct run is accused:%s", describeAll(violations))
	}
	if stats.Operations != len(history) || stats.Histories < 3 || stats.Refusals[allocator.CodeAlreadyBooked] != 1 || stats.Drift != 0 {
		t.Errorf("%+v of %d operations", stats, len(history))
	}
}

func BenchmarkCheck(b *testing.B) {
	s := example(b)
	for i := range 40 {
		name := fmt.Sprint("x", i)
		if s.hold(name, claim(i%3, "RSV", name)) {
			s.cancel(s.confirm(name, "")[0])
		}
	}
	history, e := s.finish()
	b.ReportMetric(float64(len(history)), "operations")
	for b.Loop() {
		if violations, _ := checkers.Check(history, e); len(violations) > 0 {
			b.Fatal(describeAll(violations))
		}
	}
}
