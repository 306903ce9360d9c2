package checkers_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"muster/allocator"
	"muster/allocator/allocatortest/checkers"
)

var people = []string{"A", "B", "C", "D", "E", "F"}

// random writes a correct run of any order and any windows.
func random(t *rapid.T) *script {
	s := newScript(t)
	width := rapid.Int64Range(0, 60)
	s.widen = func() (int64, int64) { return width.Draw(t, "before"), width.Draw(t, "after") }
	capacity := func() map[string]int {
		return map[string]int{
			"RSV": rapid.IntRange(0, 2).Draw(t, "RSV"), "FLU": rapid.IntRange(0, 2).Draw(t, "FLU"), "RSV FLU": rapid.IntRange(1, 3).Draw(t, "both"),
		}
	}
	s.publish(capacity())
	for i := range rapid.IntRange(5, 60).Draw(t, "steps") {
		s.randomStep(t, fmt.Sprint("h", i), capacity)
	}
	return s
}

func randomClaim(t *rapid.T, person string) checkers.Claim {
	return claim(rapid.IntRange(0, 2).Draw(t, "slot"), rapid.SampledFrom([]allocator.ServiceCode{"RSV", "FLU"}).Draw(t, "service"), person)
}

// held are the names of holds that wait.
func (s *script) waiting() (names []string) {
	for name := range s.places {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// told are the live bookings that a client knows of.
func (s *script) told() (references []string) {
	for _, op := range s.history {
		for _, c := range op.Claims {
			if c.Reference != "" && s.row(c.Reference).Status.Live() {
				references = append(references, c.Reference)
			}
		}
	}
	return references
}

func (s *script) randomStep(t *rapid.T, name string, capacity func() map[string]int) {
	who := func() string { return rapid.SampledFrom(people).Draw(t, "who") }
	waiting, told := s.waiting(), s.told()
	step := rapid.IntRange(0, 11).Draw(t, "step")
	switch {
	case step == 0:
		s.publish(capacity())
		for _, reference := range told {
			if rapid.IntRange(0, 5).Draw(t, "withdrawn") == 0 {
				s.end(s.row(reference), allocator.EventCancelled, "site")
			}
		}
		s.now += 10
	case step == 1 && s.live(people[0], "RSV") == nil:
		s.walkIn(name, claim(1, "RSV", people[0]))
	case step <= 5 && len(waiting) > 0:
		s.finishHold(t, rapid.SampledFrom(waiting).Draw(t, "hold"))
	case step <= 7 && len(told) > 0:
		s.changeBooking(t, name, rapid.SampledFrom(told).Draw(t, "booking"))
	case step == 8:
		s.now += lifetime + 1
		for _, lapsed := range waiting {
			if rapid.Bool().Draw(t, "late") {
				s.confirm(lapsed, allocator.CodeHoldExpired)
			} else {
				delete(s.places, lapsed)
			}
		}
	case step == 9:
		first := randomClaim(t, people[1])
		second := randomClaim(t, people[2])
		s.hold(name, first, second)
	default:
		s.hold(name, randomClaim(t, who()))
	}
}

// finishHold confirms a hold, gives it up, or never hears of it.
func (s *script) finishHold(t *rapid.T, name string) {
	free := true
	for _, c := range s.held[name] {
		free = free && s.live(c.Person, c.Service) == nil
	}
	switch n := rapid.IntRange(0, 5).Draw(t, "then"); {
	case n == 0:
		s.release(name)
	case n == 1 && free:
		s.unanswered(name)
	case n == 2:
		s.confirm(name, rapid.SampledFrom([]allocator.Code{allocator.CodeHoldRevoked, allocator.CodeHoldLost}).Draw(t, "reason"))
	default:
		s.confirm(name, "")
	}
}

// changeBooking ends a booking, moves it or lets its person arrive.
func (s *script) changeBooking(t *rapid.T, name, reference string) {
	b := s.row(reference)
	switch rapid.IntRange(0, 3).Draw(t, "change") {
	case 0:
		if b.Status == allocator.StatusBooked {
			s.arrive(reference)
		}
	case 1:
		i := slices.IndexFunc(people, func(p string) bool { return personKey(p) == b.Person })
		if s.hold(name, claim(rapid.IntRange(0, 2).Draw(t, "slot"), b.Service, people[i])) {
			s.move(name, reference)
		}
	default:
		s.cancel(reference)
	}
}

// Whatever happened in order is not accused, however wide the windows are.
func TestCorrectRunsAreAccepted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		history, e := random(t).finish()
		if found, _ := checkers.Check(history, e); len(found) > 0 {
			t.Fatalf("accused:%s", describeAll(found))
		}
	})
}

// lies change one answer of a correct run. They say whether there was one to change.
var lies = map[string]func(t *rapid.T, s *script) bool{
	"success told as refusal": func(t *rapid.T, s *script) bool {
		op := s.any(t, func(op *checkers.Op) bool { return op.Kind == checkers.KindConfirm && op.Code == "" })
		if op == nil {
			return false
		}
		op.Code = allocator.CodeSlotFull
		for i := range op.Claims {
			op.Claims[i].Reference = ""
		}
		return true
	},
	"refusal told as success": func(t *rapid.T, s *script) bool {
		op := s.any(t, func(op *checkers.Op) bool {
			return op.Kind == checkers.KindConfirm && op.Code != "" && op.Return != checkers.Never
		})
		if op == nil {
			return false
		}
		op.Code = ""
		for i := range op.Claims {
			op.Claims[i].Reference = s.rowOf(op.Hold, i).Key.Reference()
		}
		return true
	},
	"another's booking": func(t *rapid.T, s *script) bool {
		booked := func(op *checkers.Op) bool { return op.Kind == checkers.KindConfirm && op.Code == "" }
		one, other := s.any(t, booked), s.any(t, booked)
		if one == nil || one == other {
			return false
		}
		one.Claims[0].Reference = other.Claims[0].Reference
		return true
	},
	"cancel told and not done": func(t *rapid.T, s *script) bool {
		op := s.any(t, func(op *checkers.Op) bool { return op.Kind == checkers.KindCancel })
		if op == nil {
			return false
		}
		row := s.row(op.Cancels)
		row.Status, row.Version = allocator.StatusBooked, row.Version-1
		s.e.Events = slices.DeleteFunc(s.e.Events, func(e allocator.Event) bool { return e.Booking == row.Key && e.Version > row.Version })
		return true
	},
	"booking told and lost": func(t *rapid.T, s *script) bool {
		op := s.any(t, func(op *checkers.Op) bool { return op.Kind == checkers.KindConfirm && op.Code == "" })
		if op == nil {
			return false
		}
		row := s.row(op.Claims[0].Reference)
		s.e.Events = slices.DeleteFunc(s.e.Events, func(e allocator.Event) bool { return e.Booking == row.Key })
		s.drop(row)
		return true
	},
	"refused as booked already by somebody who never was": func(t *rapid.T, s *script) bool {
		s.e.Persons = map[string]allocator.PersonKey{"nobody": personKey("nobody")}
		s.did(checkers.Op{Kind: checkers.KindConfirm, Hold: "nobody's", Claims: []checkers.Claim{randomClaim(t, "nobody")}, Code: allocator.CodeAlreadyBooked})
		return true
	},
	"place sold twice": func(t *rapid.T, s *script) bool {
		op := s.any(t, func(op *checkers.Op) bool {
			return op.Kind == checkers.KindConfirm && op.Code == "" && s.row(op.Claims[0].Reference).Status.Live()
		})
		if op == nil {
			return false
		}
		b := *s.row(op.Claims[0].Reference)
		s.keys++
		b.Key, b.Hold, b.Person = s.keys, holdID("twin", s.now), personKey("twin")
		s.e.Bookings = append(s.e.Bookings, b)
		c := op.Claims[0]
		c.Person, c.Reference = "twin", b.Key.Reference()
		s.did(checkers.Op{Kind: checkers.KindConfirm, Hold: "twin", Claims: []checkers.Claim{c}})
		return true
	},
}

// any draws one of the operations that are asked for; nil where there is none.
func (s *script) any(t *rapid.T, asked func(op *checkers.Op) bool) *checkers.Op {
	var found []*checkers.Op
	for i := range s.history {
		if asked(&s.history[i]) {
			found = append(found, &s.history[i])
		}
	}
	if len(found) == 0 {
		return nil
	}
	return rapid.SampledFrom(found).Draw(t, "operation")
}

// One changed answer is found.
func TestOneLieIsFound(t *testing.T) {
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			told := 0
			rapid.Check(t, func(t *rapid.T) {
				s := random(t)
				s.finish()
				if !lie(t, s) {
					return
				}
				told++
				if found, _ := checkers.Check(s.history, &s.e); len(found) == 0 {
					t.Fatalf("not found")
				}
			})
			if told == 0 {
				t.Error("no run had anything to lie about")
			}
		})
	}
}
