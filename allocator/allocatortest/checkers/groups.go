package checkers

import (
	"fmt"

	"muster/allocator"
)

// Groups checks that the claims of one hold are recorded all or none (P7).
func Groups(r *Run) (violations []Violation) {
	booked, void := make(map[allocator.RequestKey]bool), make(map[allocator.RequestKey]bool)
	for i := range r.Evidence.Bookings {
		b := &r.Evidence.Bookings[i]
		if wasBooked(b) {
			booked[b.Hold.Key] = true
		} else {
			void[b.Hold.Key] = true
		}
	}
	for key := range booked {
		if void[key] {
			violations = append(violations, violated("P7", "request %x is booked in part and void in part", key))
		}
	}
	for _, ops := range r.confirms {
		for _, op := range ops {
			if held := r.held[op.Hold]; op.acknowledged() && op.Kind == KindConfirm && held > 0 && held != len(op.Claims) {
				violations = append(violations, violated("P7", "hold %q of %d claims was acknowledged with %d bookings", op.Hold, held, len(op.Claims)))
			}
		}
	}
	return append(violations, r.halfRecorded()...)
}

// halfRecorded looks at requests that were never answered. Where no other such request may have asked for the same, the
// rows that nobody was told of are this one's: all of its claims have one, or none has.
func (r *Run) halfRecorded() (violations []Violation) {
	askers := make(map[claimKind]map[string]bool)
	for _, op := range r.open {
		for j := range op.Claims {
			kind := kindOf(&op.Claims[j])
			if askers[kind] == nil {
				askers[kind] = make(map[string]bool)
			}
			askers[kind][nameOf(op)] = true
		}
	}
	rows := make(map[claimKind]int)
	for i := range r.Evidence.Bookings {
		b := &r.Evidence.Bookings[i]
		if f := r.fates[b.Key]; wasBooked(b) && (f == nil || f.acks == nil) {
			rows[claimKind{b.Slot, b.Service}]++
		}
	}
	for _, op := range r.open {
		if len(op.Claims) < 2 || r.answeredOtherwise(op) {
			continue
		}
		n, alone := 0, true
		seen := make(map[claimKind]bool)
		for j := range op.Claims {
			kind := kindOf(&op.Claims[j])
			alone = alone && kind.slot.Start != 0 && len(askers[kind]) == 1 && len(askers[kind.anywhere()]) == 0
			if !seen[kind] {
				n += rows[kind]
			}
			seen[kind] = true
		}
		if alone && n > 0 && n < len(op.Claims) {
			violations = append(violations, violated("P7", "of the %d claims of %s, which nobody answered, %d are recorded", len(op.Claims), nameOf(op), n))
		}
	}
	return violations
}

// nameOf tells requests apart: confirms of one hold are one request.
func nameOf(op *Op) string {
	if op.Hold != "" {
		return fmt.Sprintf("hold %q", op.Hold)
	}
	return fmt.Sprintf("the %s of %d", op.Kind, op.Call)
}
