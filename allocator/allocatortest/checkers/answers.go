package checkers

import (
	"muster/allocator"
)

// Answers checks that a hold has one answer: it is booked at most once per claim, every confirm of it tells the same
// references or the same refusal, and no two holds share a booking (P6).
func Answers(r *Run) (violations []Violation) {
	owner := make(map[allocator.BookingKey]string)
	for i := range r.History {
		op := &r.History[i]
		if op.books() && op.acknowledged() {
			violations = append(violations, r.checkReferences(op, owner)...)
		}
	}
	for hold, ops := range r.confirms {
		violations = append(violations, r.sameAnswers(hold, ops)...)
	}
	return append(violations, r.onePerClaim(owner)...)
}

// checkReferences checks one acknowledgement by itself, and against those of other holds.
func (r *Run) checkReferences(op *Op, owner map[allocator.BookingKey]string) (violations []Violation) {
	seen := make(map[allocator.BookingKey]bool, len(op.Claims))
	for i := range op.Claims {
		reference := op.Claims[i].Reference
		key, ok := allocator.ParseReference(reference)
		switch other, known := owner[key]; {
		case !ok:
			violations = append(violations, violated("P6", "a %s of hold %q was acknowledged with the reference %q", op.Kind, op.Hold, reference))
			continue
		case seen[key]:
			violations = append(violations, violated("P6", "two claims of hold %q have the reference %s", op.Hold, reference))
		case known && op.Hold != "" && other != op.Hold:
			violations = append(violations, violated("P6", "holds %q and %q have one booking, %s", other, op.Hold, reference))
		}
		seen[key] = true
		owner[key] = op.Hold
	}
	return violations
}

// sameAnswers compares all definite answers of one hold's confirms.
func (r *Run) sameAnswers(hold string, ops []*Op) (violations []Violation) {
	var booked, refused *Op
	for _, op := range ops {
		switch {
		case op.acknowledged() && booked == nil:
			booked = op
		case op.acknowledged() && !sameReferences(booked.Claims, op.Claims):
			violations = append(violations, violated("P6", "hold %q was confirmed twice, with other references", hold))
		case r.refusedForEver(op) && refused == nil:
			refused = op
		case r.refusedForEver(op) && refused.Code != op.Code:
			violations = append(violations, violated("P6", "hold %q was refused with %s and with %s", hold, refused.Code, op.Code))
		}
	}
	if booked != nil && refused != nil {
		violations = append(violations, violated("P6", "hold %q was booked, and refused with %s", hold, refused.Code))
	}
	return violations
}

func sameReferences(a, b []Claim) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Reference != b[i].Reference {
			return false
		}
	}
	return true
}

// onePerClaim finds bookings of an acknowledged hold's request beside those that were acknowledged.
func (r *Run) onePerClaim(owner map[allocator.BookingKey]string) (violations []Violation) {
	requests := make(map[allocator.RequestKey]bool, len(owner))
	for key := range owner {
		if row := r.rows[key]; row != nil {
			requests[row.Hold.Key] = true
		}
	}
	for i := range r.Evidence.Bookings {
		b := &r.Evidence.Bookings[i]
		if _, told := owner[b.Key]; !told && wasBooked(b) && requests[b.Hold.Key] {
			violations = append(violations, violated("P6", "hold %s has a booking beside those that were acknowledged: %s", b.Hold, describe(b)))
		}
	}
	return violations
}
