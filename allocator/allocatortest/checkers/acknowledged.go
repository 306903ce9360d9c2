package checkers

import (
	"slices"

	"muster/allocator"
)

// Acknowledged checks that every acknowledged booking is in the ledger as it was told, and live unless someone who may
// asked for its end; and that what was acknowledged as ended stays so (P2).
func Acknowledged(r *Run) (violations []Violation) {
	for key, f := range r.fates {
		row := r.rows[key]
		if f.acks == nil && row == nil {
			continue // somebody asked for the end of what never was
		}
		switch {
		case row == nil:
			violations = append(violations, violated("P2", "acknowledged booking %s is not in the ledger", key.Reference()))
			continue
		case !wasBooked(row):
			violations = append(violations, violated("P2", "acknowledged booking %s is void (%s)", key.Reference(), row.Reason))
			continue
		}
		for _, op := range f.acks {
			violations = append(violations, r.asTold(row, op)...)
		}
		violations = append(violations, r.livesOn(row, f)...)
	}
	return violations
}

// asTold compares a row with what a client was told of it.
func (r *Run) asTold(row *allocator.Booking, op *Op) (violations []Violation) {
	i := slices.IndexFunc(op.Claims, func(c Claim) bool { key, ok := allocator.ParseReference(c.Reference); return ok && key == row.Key })
	c := &op.Claims[i]
	if row.Service != c.Service || row.Slot != c.Slot && (op.Kind != KindWalkIn || c.Slot.Start != 0) {
		violations = append(violations, violated("P2", "booking %s was acknowledged as %s at %v", describe(row), c.Service, c.Slot))
	}
	if key, known := r.persons[c.Person]; known && row.Person != key && !erased(row) {
		violations = append(violations, violated("P2", "booking %s of %s is recorded for somebody else", describe(row), c.Person))
	} else if name, named := r.names[row.Person]; named && c.Person != "" && name != c.Person {
		violations = append(violations, violated("P2", "booking %s of %s is recorded for %s", describe(row), c.Person, name))
	}
	return violations
}

// erased says whether a booking that has ended was made nobody's, details and all.
func erased(row *allocator.Booking) bool {
	return !row.Status.Live() && row.Person == allocator.PersonKey{} && len(row.Sealed) == 0
}

// livesOn checks that a booking is live exactly where it may be.
func (r *Run) livesOn(row *allocator.Booking, f *fate) (violations []Violation) {
	asked := f.ended.call != Never || r.documents.withdrawn[row.Key]
	switch live := row.Status.Live(); {
	case f.acks != nil && !live && !asked:
		violations = append(violations, violated("P2", "acknowledged booking %s has ended, and nobody asked for that", describe(row)))
	case f.gone && live:
		violations = append(violations, violated("P2", "booking %s is live although its end was acknowledged", describe(row)))
	}
	for _, move := range f.moves {
		to := func(c Claim) bool {
			key, ok := allocator.ParseReference(c.Reference)
			return ok && key == row.ReplacedBy
		}
		if !row.Status.Live() && row.ReplacedBy != 0 && !slices.ContainsFunc(move.Claims, to) {
			violations = append(violations, violated("P2", "booking %s was moved to %s, and its client was told otherwise", describe(row), row.ReplacedBy.Reference()))
		}
	}
	return violations
}
