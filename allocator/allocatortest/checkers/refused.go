package checkers

import (
	"muster/allocator"
)

// final are the refusals of a confirm before which the ledger writes that the hold will never be booked.
var final = map[allocator.Code]bool{
	allocator.CodeHoldExpired: true, allocator.CodeHoldReleased: true, allocator.CodeHoldRevoked: true, allocator.CodeHoldLost: true,
	allocator.CodeSlotFull: true, allocator.CodeAlreadyBooked: true, allocator.CodeBookingEnded: true,
}

// refusedForEver says whether a confirm was refused in a way that nothing can change. Somebody who asks for two bookings of
// one programme and dose in one request hears that they are booked already, and may go on with the hold.
func (r *Run) refusedForEver(op *Op) bool {
	return op.Kind == KindConfirm && op.refused() && final[op.Code] && !(op.Code == allocator.CodeAlreadyBooked && r.asksTwice(op))
}

// asksTwice says whether a request names a person twice for one programme and dose.
func (r *Run) asksTwice(op *Op) bool {
	type dose struct {
		person, programme string
		dose              int
	}
	seen := make(map[dose]bool, len(op.Claims))
	for i := range op.Claims {
		programme, n, _ := r.programme(op.Claims[i].Service)
		d := dose{op.Claims[i].Person, programme, n}
		if d.person != "" && seen[d] {
			return true
		}
		seen[d] = true
	}
	return false
}

// programme is what a service belongs to, as its rows say, and whether a person may have only one of it.
func (r *Run) programme(service allocator.ServiceCode) (string, int, bool) {
	if row := r.services[service]; row != nil {
		return row.Programme, row.Dose, row.OnePerson || !wasBooked(row)
	}
	d := allocator.DefaultService(service)
	return d.Programme, d.Dose, d.OnePerPerson
}

// claimKind is what rows are matched with claims by. A walk-in that does not know its slot has one without a start.
type claimKind struct {
	slot    allocator.SlotID
	service allocator.ServiceCode
}

func kindOf(c *Claim) claimKind {
	if c.Slot.Start == 0 {
		return claimKind{allocator.SlotID{Site: c.Slot.Site}, c.Service}
	}
	return claimKind{c.Slot, c.Service}
}

// anywhere is the kind of a claim at that site that does not know its slot.
func (k claimKind) anywhere() claimKind {
	return claimKind{allocator.SlotID{Site: k.slot.Site}, k.service}
}

// Refused checks that a refusal stays one: every row of the ledger was acknowledged, or is one of a request that nobody
// answered. So nothing is recorded of what was refused, given up by the engine itself, or never asked for (P6).
func Refused(r *Run) (violations []Violation) {
	waiting := make(map[claimKind]int)
	for _, op := range r.open {
		if !r.answeredOtherwise(op) {
			for i := range op.Claims {
				waiting[kindOf(&op.Claims[i])]++
			}
		}
	}
	for i := range r.Evidence.Bookings {
		b := &r.Evidence.Bookings[i]
		if f := r.fates[b.Key]; !wasBooked(b) || f != nil && f.acks != nil {
			continue
		}
		switch kind := (claimKind{b.Slot, b.Service}); {
		case waiting[kind] > 0:
			waiting[kind]--
		case waiting[kind.anywhere()] > 0:
			waiting[kind.anywhere()]--
		default:
			violations = append(violations, violated("P6", "booking %s is nobody's: its request was refused, or never made", describe(b)))
		}
	}
	return violations
}

// answeredOtherwise says whether another confirm of the same hold had a final answer: this one can then have no other.
func (r *Run) answeredOtherwise(op *Op) bool {
	for _, other := range r.confirms[op.Hold] {
		if other.acknowledged() || r.refusedForEver(other) {
			return true
		}
	}
	return false
}
