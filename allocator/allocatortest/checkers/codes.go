package checkers

import (
	"slices"

	"muster/allocator"
)

// Codes checks that every answer is of the closed list, and that none is INTERNAL, which states no reason (P11).
func Codes(r *Run) (violations []Violation) {
	for i := range r.History {
		switch op := &r.History[i]; {
		case op.Code == "":
		case !slices.Contains(allocator.Codes, op.Code):
			violations = append(violations, violated("P11", "a %s was answered with %q, which is no code", op.Kind, op.Code))
		case op.Code == allocator.CodeInternal:
			violations = append(violations, violated("P11", "a %s was answered with INTERNAL", op.Kind))
		}
	}
	return violations
}
