package checkers

import (
	"math"

	"muster/allocator"
)

// LinearPersons checks that the bookings of each person's dose are linearizable, together with the refusals that the
// person is booked already (P1, and P11: a refusal tells the truth).
func LinearPersons(r *Run) (violations []Violation) {
	persons := make(map[allocator.PersonDose][]linearOp, len(r.rows))
	for i := range r.Evidence.Bookings {
		b := &r.Evidence.Bookings[i]
		if p, once := b.PersonDose(); once && wasBooked(b) {
			persons[p] = append(persons[p], r.transitions(b)...)
		}
	}
	for _, refusal := range r.refusals() {
		doses, certain := r.dosesOf(refusal.op)
		if certain && len(doses) == 1 {
			persons[doses[0]] = append(persons[doses[0]], linearOp{window: refusal.window, kind: linearRefused, key: refusal.replaces, order: -1})
			if len(persons[doses[0]]) == 1 {
				violations = append(violations, violated("P11", "%s was refused as booked already, and never was anything booked", nameOf(refusal.op)))
			}
			continue
		}
		if !r.mayBeLive(persons, doses, refusal) {
			violations = append(violations, violated("P11", "%s was refused as booked already, and no booking can have been live then", nameOf(refusal.op)))
		}
	}
	for p, ops := range persons {
		if why := r.linearizable(ops); why != "" {
			violations = append(violations, violated("P1", "the bookings of %s, dose %d, of person %x are %s: %s", p.Programme, p.Dose, p.Person[:4], why, tell(ops)))
		}
	}
	return violations
}

// refusal is the decision that somebody is booked already: one for each hold, whose repeats only tell it again.
type refusal struct {
	window
	op       *Op
	replaces allocator.BookingKey
}

// refusals lists decisions. One was made after the first confirm of its hold was sent, answered or not, and before the
// first answer that told of it.
func (r *Run) refusals() (list []refusal) {
	done := make(map[string]bool)
	for i := range r.History {
		op := &r.History[i]
		if !op.books() || !op.refused() || op.Code != allocator.CodeAlreadyBooked || r.asksTwice(op) || op.Hold != "" && done[op.Hold] {
			continue
		}
		done[op.Hold] = true
		f := refusal{window: window{op.Call, op.Return}, op: op}
		for _, other := range r.confirms[op.Hold] {
			f.call = min(f.call, other.Call)
			if other.refused() && other.Code == allocator.CodeAlreadyBooked {
				f.back = min(f.back, other.Return)
			}
		}
		f.replaces, _ = allocator.ParseReference(op.Replaces)
		list = append(list, f)
	}
	return list
}

// dosesOf lists what a request's claims need to be free of. It is certain where every name's key is known; where one is not,
// the key of its dose is zero.
func (r *Run) dosesOf(op *Op) (doses []allocator.PersonDose, certain bool) {
	certain = true
	for i := range op.Claims {
		c := &op.Claims[i]
		programme, dose, once := r.programme(c.Service)
		if c.Person == "" || !once {
			continue
		}
		key, known := r.persons[c.Person]
		certain = certain && known
		doses = append(doses, allocator.PersonDose{Person: key, Programme: programme, Dose: dose})
	}
	return doses, certain
}

// mayBeLive says whether a booking that explains a refusal may have been live at an instant of its window: for a request
// of several claims, of any of them; for a person whose key is not known, anyone's whose name is not known.
func (r *Run) mayBeLive(persons map[allocator.PersonDose][]linearOp, doses []allocator.PersonDose, f refusal) bool {
	for _, d := range doses {
		if d.Person != (allocator.PersonKey{}) {
			if liveWithin(persons[d], f) {
				return true
			}
			continue
		}
		for p, ops := range persons {
			if _, named := r.names[p.Person]; !named && p.Programme == d.Programme && p.Dose == d.Dose && liveWithin(ops, f) {
				return true
			}
		}
	}
	return false
}

func liveWithin(ops []linearOp, f refusal) bool {
	lives := make(map[allocator.BookingKey]window)
	for i := range ops {
		switch op := &ops[i]; op.kind {
		case linearBook:
			lives[op.key] = window{op.call, math.MaxInt64}
		case linearEnd:
			lives[op.key] = window{lives[op.key].call, op.back}
		}
	}
	for key, w := range lives {
		if key != f.replaces && w.meets(f.window) {
			return true
		}
	}
	return false
}
