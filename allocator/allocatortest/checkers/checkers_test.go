package checkers_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest/checkers"
)

// find is the first operation of a kind on a hold, or on the booking that a hold was confirmed as.
func (s *script) find(kind checkers.Kind, hold string) *checkers.Op {
	reference := ""
	for i := range s.history {
		op := &s.history[i]
		if op.Hold == hold && op.Kind == kind || reference != "" && op.Cancels == reference && op.Kind == kind {
			return op
		}
		if op.Hold == hold && len(op.Claims) > 0 && op.Claims[0].Reference != "" {
			reference = op.Claims[0].Reference
		}
	}
	s.t.Fatalf("no %s of %q", kind, hold)
	return nil
}

// rowOf is the row of a hold's claim.
func (s *script) rowOf(hold string, index int) *allocator.Booking {
	n := 0
	for i := range s.e.Bookings {
		if s.e.Bookings[i].Hold.Key == holdID(hold, 0).Key {
			if n == index {
				return &s.e.Bookings[i]
			}
			n++
		}
	}
	s.t.Fatalf("hold %q has no row %d", hold, index)
	return nil
}

// eventOf finds an event of a hold's first booking.
func (s *script) eventOf(hold string, version int) int {
	row := s.rowOf(hold, 0)
	return slices.IndexFunc(s.e.Events, func(e allocator.Event) bool { return e.Booking == row.Key && e.Version == version })
}

func (s *script) drop(row *allocator.Booking) {
	s.e.Bookings = slices.DeleteFunc(s.e.Bookings, func(b allocator.Booking) bool { return b.Key == row.Key })
}

// broken is one thing wrong with the example, who must see it, and in what words.
type broken struct {
	name    string
	checker string
	promise string
	words   string
	wreck   func(s *script)
}

var wrecks = []broken{
	{"unlisted code", "codes", "P11", "no code", func(s *script) { s.find(checkers.KindRelease, "f").Code = "PERHAPS" }},
	{"internal", "codes", "P11", "INTERNAL", func(s *script) { s.find(checkers.KindRelease, "f").Code = allocator.CodeInternal }},

	{"row gone", "acknowledged", "P2", "not in the ledger", func(s *script) { s.drop(s.rowOf("bc", 1)) }},
	{"row void", "acknowledged", "P2", "is void", func(s *script) { s.rowOf("bc", 0).Status = allocator.StatusVoid }},
	{"ended by nobody", "acknowledged", "P2", "nobody asked", func(s *script) { s.rowOf("bc", 0).Status = allocator.StatusCancelled }},
	{"ended by a refused cancel", "acknowledged", "P2", "nobody asked", func(s *script) {
		s.find(checkers.KindCancel, "a").Code = allocator.CodeBookingUnknown
	}},
	{"withdrawn without a change of capacity", "acknowledged", "P2", "nobody asked", func(s *script) {
		s.e.Events[s.eventOf("h", 2)].At = time.Unix(0, s.now)
	}},
	{"live after its end", "acknowledged", "P2", "is live although", func(s *script) { s.rowOf("a", 0).Status = allocator.StatusBooked }},
	{"another slot than told", "acknowledged", "P2", "was acknowledged as", func(s *script) { s.rowOf("bc", 0).Slot = slot(2) }},
	{"another service than told", "acknowledged", "P2", "was acknowledged as", func(s *script) { s.rowOf("a4", 0).Service = "FLU" }},
	{"another person", "acknowledged", "P2", "recorded for", func(s *script) { s.rowOf("bc", 1).Person = personKey("B") }},
	{"moved elsewhere", "acknowledged", "P2", "told otherwise", func(s *script) { s.rowOf("a3", 0).ReplacedBy = s.rowOf("h", 0).Key }},

	{"booked after a refusal", "refused", "P6", "nobody's", func(s *script) {
		row := s.rowOf("a2", 0)
		row.Status, row.Person = allocator.StatusBooked, personKey("Z")
	}},
	{"booked after another answer", "refused", "P6", "nobody's", func(s *script) {
		s.history = append(s.history, checkers.Op{Kind: checkers.KindConfirm, Hold: "d", Call: s.now, Return: s.now + 1, Code: allocator.CodeSlotFull})
	}},
	{"nobody's row", "refused", "P6", "nobody's", func(s *script) {
		s.keys++
		s.e.Bookings = append(s.e.Bookings, allocator.Booking{Key: s.keys, Slot: slot(1), Service: "RSV", Place: 7, Status: allocator.StatusBooked, Version: 1})
	}},

	{"other references", "answers", "P6", "other references", func(s *script) {
		op := *s.find(checkers.KindConfirm, "bc")
		op.Claims = slices.Clone(op.Claims)
		slices.Reverse(op.Claims)
		s.history = append(s.history, op)
	}},
	{"booked and refused", "answers", "P6", "was booked, and refused", func(s *script) {
		s.history = append(s.history, checkers.Op{Kind: checkers.KindConfirm, Hold: "bc", Call: 1, Return: 2, Code: allocator.CodeHoldExpired})
	}},
	{"refused in two ways", "answers", "P6", "was refused with", func(s *script) {
		op := *s.find(checkers.KindConfirm, "g")
		op.Code = allocator.CodeHoldReleased
		s.history = append(s.history, op)
	}},
	{"no reference", "answers", "P6", "with the reference", func(s *script) { s.find(checkers.KindConfirm, "bc").Claims[1].Reference = "" }},
	{"one reference twice", "answers", "P6", "two claims", func(s *script) {
		claims := s.find(checkers.KindConfirm, "bc").Claims
		claims[1].Reference = claims[0].Reference
	}},
	{"two holds, one booking", "answers", "P6", "have one booking", func(s *script) {
		s.find(checkers.KindConfirm, "i").Claims[0].Reference = s.rowOf("a4", 0).Key.Reference()
	}},
	{"two bookings of one claim", "answers", "P6", "beside those", func(s *script) {
		second := *s.rowOf("i", 0)
		second.Key, second.Place = second.Key+1, second.Place+1
		s.e.Bookings = append(s.e.Bookings, second)
	}},

	{"half void", "groups", "P7", "in part", func(s *script) { s.rowOf("bc", 1).Status = allocator.StatusVoid }},
	{"half acknowledged", "groups", "P7", "acknowledged with 1", func(s *script) {
		op := s.find(checkers.KindConfirm, "bc")
		op.Claims = op.Claims[:1]
	}},
	{"half recorded", "groups", "P7", "of the 2 claims", func(s *script) { s.drop(s.rowOf("d", 1)) }},

	{"one place twice", "places", "P1", "two live bookings", func(s *script) {
		b := s.rowOf("bc", 1)
		b.Slot, b.Place = s.rowOf("a4", 0).Slot, s.rowOf("a4", 0).Place
	}},
	{"beyond what was published", "places", "P1", "nobody has a seat", func(s *script) {
		s.e.Days[0].Sessions = slices.Clone(s.e.Days[0].Sessions)
		for i := range s.e.Days[0].Sessions {
			s.e.Days[0].Sessions[i].Capacity = 1
			s.e.Days[0].Sessions[i].Services = []allocator.ServiceCode{"FLU"}
		}
	}},
	{"never published", "places", "P1", "not among the published", func(s *script) { s.e.Days = s.e.Days[:1] }},

	{"one person twice", "persons", "P1", "one person has two", func(s *script) {
		s.rowOf("h", 0).Status = allocator.StatusBooked
		s.rowOf("h", 0).Person = personKey("A")
	}},

	{"place booked before it was free", "linear-places", "P1", "not linearizable", func(s *script) {
		op := s.find(checkers.KindCancel, "a")
		op.Call, op.Return = s.now, s.now+1
	}},
	{"place booked twice in turn", "linear-places", "P1", "not linearizable", func(s *script) {
		b, other := s.rowOf("bc", 1), s.rowOf("a4", 0)
		b.Slot, b.Place = other.Slot, other.Place
	}},
	{"ended before it began", "linear-places", "P1", "not linearizable", func(s *script) {
		op := s.find(checkers.KindCancel, "a")
		op.Call, op.Return = 1, 2
	}},

	{"person booked twice in turn", "linear-persons", "P1", "not linearizable", func(s *script) {
		op := s.find(checkers.KindCancel, "a")
		op.Call, op.Return = s.now, s.now+1
	}},
	{"refused for nothing", "linear-persons", "P1", "not linearizable", func(s *script) {
		op := s.find(checkers.KindConfirm, "a2")
		op.Call, op.Return = 1, 2
	}},
	{"never booked", "linear-persons", "P11", "never was anything booked", func(s *script) {
		s.e.Persons = map[string]allocator.PersonKey{"N": personKey("N")}
		s.find(checkers.KindConfirm, "a2").Claims[0].Person = "N"
	}},
	{"somebody unknown", "linear-persons", "P11", "no booking can have been live", func(s *script) {
		s.find(checkers.KindConfirm, "a2").Claims[0].Person = "N"
	}},
	{"only its own booking stood in the way", "linear-persons", "P1", "not linearizable", func(s *script) {
		s.find(checkers.KindConfirm, "a2").Replaces = s.rowOf("a", 0).Key.Reference()
	}},

	{"two events", "events", "P12", "follows", func(s *script) { s.e.Events = append(s.e.Events, s.e.Events[s.eventOf("a", 1)]) }},
	{"no event", "events", "P12", "in the outbox", func(s *script) {
		i := s.eventOf("bc", 1)
		s.e.Events = slices.Delete(s.e.Events, i, i+1)
	}},
	{"a gap", "events", "P12", "follows", func(s *script) { s.e.Events[s.eventOf("a", 2)].Version = 3 }},
	{"no event of its end", "events", "P12", "in the outbox", func(s *script) {
		i := s.eventOf("a", 2)
		s.e.Events = slices.Delete(s.e.Events, i, i+1)
	}},
	{"an event of nothing", "events", "P12", "no row", func(s *script) { s.drop(s.rowOf("i", 0)) }},
	{"an event of something else", "events", "P12", "something else", func(s *script) { s.e.Events[s.eventOf("i", 1)].Slot = slot(0) }},
	{"an event of another status", "events", "P12", "last event", func(s *script) { s.rowOf("i", 0).Status = allocator.StatusNoShow }},
	{"an event of another type", "events", "P12", "says that it is", func(s *script) {
		s.e.Events[s.eventOf("a", 2)].Type = allocator.EventStatus
		s.e.Events[s.eventOf("a", 1)].Status = allocator.StatusVoid
		s.e.Events[s.eventOf("a", 1)].Type = allocator.EventMoved
	}},
	{"born otherwise", "events", "P12", "version 1 is", func(s *script) { s.e.Events[s.eventOf("i", 1)].Type = allocator.EventStatus }},
	{"a void row's event", "events", "P12", "void row", func(s *script) {
		e := allocator.EventOf(allocator.EventBooked, s.rowOf("a2", 0), "public", time.Unix(0, s.now))
		s.e.Events = append(s.e.Events, e)
	}},
	{"a revision twice", "events", "P12", "revision 1 follows", func(s *script) { s.e.Events = append(s.e.Events, s.e.Events[0]) }},
	{"a revision without event", "events", "P12", "has no event", func(s *script) {
		day := s.e.Days[1]
		day.Revision++
		s.e.Days = append(s.e.Days, day)
	}},
	{"a status without event", "events", "P12", "acknowledged, and has no event", func(s *script) {
		s.arrive(s.rowOf("bc", 0).Key.Reference())
		s.e.Events = s.e.Events[:len(s.e.Events)-1]
	}},

	{"expired too early", "holds", "P3", "refused as expired", func(s *script) {
		op, hold := s.find(checkers.KindConfirm, "g"), s.find(checkers.KindHold, "g")
		op.Call, op.Return = hold.Return+1, hold.Return+2
	}},
	{"expired in spite of its extension", "holds", "P3", "refused as expired", func(s *script) {
		hold := s.find(checkers.KindHold, "g")
		s.history = append(s.history, checkers.Op{Kind: checkers.KindExtend, Hold: "g", Call: hold.Return, Return: hold.Return + 1, Deadline: hold.Deadline + lifetime})
	}},
	{"released by nobody", "holds", "P3", "nobody had released", func(s *script) { s.find(checkers.KindConfirm, "g").Code = allocator.CodeHoldReleased }},
	{"no reason", "holds", "P3", "no reason for a hold", func(s *script) { s.find(checkers.KindConfirm, "g").Code = allocator.CodeHoldUnknown }},
	{"not counted", "holds", "P3", "refusals were counted", func(s *script) { s.e.Counted = map[string]int{"ALREADY_BOOKED": 1} }},
	{"one hold too many", "holds", "P3", "than any document seats", func(s *script) {
		for _, name := range []string{"w", "x", "y", "z"} {
			s.held[name] = []checkers.Claim{claim(1, "RSV", "")}
			s.did(checkers.Op{Kind: checkers.KindHold, Hold: name, Claims: s.held[name], Deadline: s.now + lifetime})
		}
	}},
	{"one hold too many beside bookings", "holds", "P3", "than any document seats", func(s *script) {
		for _, name := range []string{"w", "x", "y"} {
			s.did(checkers.Op{Kind: checkers.KindHold, Hold: name, Claims: []checkers.Claim{claim(1, "RSV", "")}, Deadline: s.now + lifetime})
		}
	}},

	{"left held", "inventory", "P5", "still held or pinned by", func(s *script) {
		s.e.Inventory[0].Places = append(s.e.Inventory[0].Places, allocator.PlaceState{Slot: slot(0), Place: 9, Service: "RSV", Owner: holdID("f", 1)})
	}},
	{"not settled", "inventory", "P5", "and recorded", func(s *script) { s.e.Inventory[0].Places[0].Booked = false }},
	{"booked by nobody", "inventory", "P5", "no live row", func(s *script) {
		s.e.Inventory[0].Places = append(s.e.Inventory[0].Places, allocator.PlaceState{Slot: slot(0), Place: 9, Service: "RSV", Owner: holdID("f", 1), Booked: true})
	}},
	{"booked by another", "inventory", "P5", "the ledger has", func(s *script) { s.e.Inventory[0].Places[0].Owner = holdID("f", 1) }},
	{"counted for another service", "inventory", "P5", "counted for", func(s *script) { s.e.Inventory[0].Places[0].Service = "COVID" }},
	{"unknown to the inventory", "inventory", "P5", "has nothing at", func(s *script) { s.e.Inventory[0].Places = s.e.Inventory[0].Places[1:] }},
	{"not built", "inventory", "P5", "not built", func(s *script) { s.e.Inventory[0].Built = false }},
	{"an older day", "inventory", "P5", "has revision", func(s *script) { s.e.Inventory[0].Revisions[date] = 1 }},
}

// checkBy runs one checker.
func checkBy(t *testing.T, name string, history []checkers.Op, e *checkers.Evidence) []checkers.Violation {
	t.Helper()
	for _, c := range checkers.All {
		if c.Name == name {
			return c.Check(checkers.NewRun(history, e))
		}
	}
	t.Fatalf("no checker %q", name)
	return nil
}

// Every wreck is seen by the checker that is there for it, and by Check.
func TestWrecksAreSeen(t *testing.T) {
	for _, w := range wrecks {
		t.Run(w.checker+"/"+w.name, func(t *testing.T) {
			s := example(t)
			s.finish()
			w.wreck(s)
			named := func(v checkers.Violation) bool { return v.Promise == w.promise && strings.Contains(v.Text, w.words) }
			if found := checkBy(t, w.checker, s.history, &s.e); !slices.ContainsFunc(found, named) {
				t.Errorf("not seen; %s says%s", w.checker, describeAll(found))
			}
			if found, _ := checkers.Check(s.history, &s.e); !slices.ContainsFunc(found, named) {
				t.Errorf("not seen; Check says%s", describeAll(found))
			}
		})
	}
}

// Every checker has its wrecks, and accuses nobody of the example.
func TestEveryCheckerIsTried(t *testing.T) {
	for _, c := range checkers.All {
		if !slices.ContainsFunc(wrecks, func(w broken) bool { return w.checker == c.Name }) {
			t.Errorf("no wreck is for checker %q", c.Name)
		}
		history, e := example(t).finish()
		if found := c.Check(checkers.NewRun(history, e)); len(found) > 0 {
			t.Errorf("%s accuses a correct run:%s", c.Name, describeAll(found))
		}
	}
}

// What looks wrong and is not.
var oddities = []struct {
	name string
	make func(s *script)
}{
	{"a confirm repeated, with the same answer", func(s *script) {
		op := *s.find(checkers.KindConfirm, "bc")
		op.Call, op.Return = s.now, s.now+1
		s.history = append(s.history, op)
	}},
	{"a refusal repeated long after its cause has gone", func(s *script) {
		op := *s.find(checkers.KindConfirm, "a2")
		op.Call, op.Return = s.now, s.now+1
		s.history = append(s.history, op)
	}},
	{"a cancel repeated", func(s *script) {
		op := *s.find(checkers.KindCancel, "a")
		op.Call, op.Return = s.now, s.now+1
		s.history = append(s.history, op)
	}},
	{"a cancel whose answer never came", func(s *script) {
		s.end(s.rowOf("bc", 0), allocator.EventCancelled, "citizen")
		s.did(checkers.Op{Kind: checkers.KindCancel, Cancels: s.rowOf("bc", 0).Key.Reference(), Return: checkers.Never})
		s.finish()
	}},
	{"a cancel whose answer never came, and that did not happen", func(s *script) {
		s.did(checkers.Op{Kind: checkers.KindCancel, Cancels: s.rowOf("bc", 0).Key.Reference(), Code: allocator.CodeOutcomeUnknown})
	}},
	{"a confirm whose answer never came, and that did not happen", func(s *script) {
		s.did(checkers.Op{Kind: checkers.KindConfirm, Hold: "q", Claims: []checkers.Claim{claim(0, "RSV", "Q")}, Return: checkers.Never})
	}},
	{"two of one person in one request", func(s *script) {
		s.did(checkers.Op{Kind: checkers.KindConfirm, Hold: "f", Claims: []checkers.Claim{claim(0, "RSV", "F"), claim(1, "RSV", "F")}, Code: allocator.CodeAlreadyBooked})
	}},
	{"an unknown person, booked without an answer, is booked already", func(s *script) {
		s.did(checkers.Op{Kind: checkers.KindConfirm, Hold: "d2", Claims: []checkers.Claim{claim(2, "RSV", "D")}, Code: allocator.CodeAlreadyBooked})
		s.e.Counted["ALREADY_BOOKED"]++
	}},
	{"holds of before a loss", func(s *script) {
		s.e.Steady, s.e.Losses = false, []int64{s.now + 15}
		for _, name := range []string{"w", "x", "y"} {
			s.did(checkers.Op{Kind: checkers.KindHold, Hold: name, Claims: []checkers.Claim{claim(1, "RSV", "")}, Deadline: s.now + lifetime})
		}
	}},
	{"holds that two incarnations gave", func(s *script) {
		s.e.Steady, s.e.Splits = false, []checkers.Span{{From: s.now, To: s.now + 8}}
		for _, name := range []string{"w", "x", "y", "z"} {
			s.did(checkers.Op{Kind: checkers.KindHold, Hold: name, Claims: []checkers.Claim{claim(1, "RSV", "")}, Deadline: s.now + lifetime})
		}
	}},
	{"an extension that only one incarnation knew", func(s *script) {
		hold := s.find(checkers.KindHold, "g")
		s.e.Splits = []checkers.Span{{From: hold.Return - 1, To: hold.Return + 5}}
		s.history = append(s.history, checkers.Op{Kind: checkers.KindExtend, Hold: "g", Call: hold.Return, Return: hold.Return + 1, Deadline: hold.Deadline + lifetime})
	}},
	{"a walk-in that takes any slot, and hears nothing", func(s *script) {
		s.hold("v", claim(1, "RSV", "V"))
		s.history = s.history[:len(s.history)-1]
		s.record("v", "")
		s.did(checkers.Op{Kind: checkers.KindWalkIn, Hold: "v", Claims: []checkers.Claim{{Slot: allocator.SlotID{Site: site}, Service: "RSV", Person: "V"}}, Return: checkers.Never})
		s.finish()
	}},
	{"a hold that was refused for want of a place", func(s *script) {
		for _, name := range []string{"x", "y", "z"} {
			s.did(checkers.Op{Kind: checkers.KindHold, Hold: name, Claims: []checkers.Claim{claim(1, "RSV", "")}, Deadline: s.now + lifetime})
		}
		s.did(checkers.Op{Kind: checkers.KindConfirm, Hold: "x", Claims: []checkers.Claim{claim(1, "RSV", "X")}, Code: allocator.CodeHoldRevoked})
		s.did(checkers.Op{Kind: checkers.KindConfirm, Hold: "y", Claims: []checkers.Claim{claim(1, "RSV", "Y")}, Code: allocator.CodeHoldRevoked})
		s.e.Counted["confirm_refused_HOLD_REVOKED"] = 2
	}},
	{"a booking that a cut left without a seat", func(s *script) {
		s.publish(map[string]int{"RSV": 1})
		s.finish()
	}},
	{"a site of which nothing was read", func(s *script) { s.e.Inventory = nil }},
	{"a day that is over", func(s *script) {
		s.e.Inventory[0].NowMs += 3 * 86_400_000
		s.e.Inventory[0].Places, s.e.Inventory[0].Revisions = nil, nil
	}},
}

func TestOdditiesAreNoViolations(t *testing.T) {
	for _, o := range oddities {
		t.Run(o.name, func(t *testing.T) {
			s := example(t)
			s.finish()
			o.make(s)
			if found, _ := checkers.Check(s.history, &s.e); len(found) > 0 {
				t.Errorf("accused:%s", describeAll(found))
			}
		})
	}
}
