package checkers

import (
	"muster/allocator"
)

// Persons checks that nobody has two live bookings of one programme and dose, where the service is once per person (P1).
func Persons(r *Run) (violations []Violation) {
	owners := make(map[allocator.PersonDose]*allocator.Booking, len(r.Evidence.Bookings))
	for i := range r.Evidence.Bookings {
		b := &r.Evidence.Bookings[i]
		p, once := b.PersonDose()
		if !once || !b.Status.Live() {
			continue
		}
		if other := owners[p]; other != nil {
			violations = append(violations, violated("P1", "one person has two live bookings of %s, dose %d: %s and %s", p.Programme, p.Dose, describe(other), describe(b)))
		}
		owners[p] = b
	}
	return violations
}
