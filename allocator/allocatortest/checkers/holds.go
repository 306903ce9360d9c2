package checkers

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"

	"muster/allocator"
)

// Holds checks that acknowledged holds are worth what they say (P3): that a slot never had more of them, bookings
// included, than any document seats; and that a confirm in time is honoured, or refused with a reason that is true as far
// as a client can tell, and counted.
func Holds(r *Run) (violations []Violation) {
	r.collectHolds()
	for _, h := range r.lives {
		violations = append(violations, r.honoured(h)...)
	}
	violations = append(violations, r.counted()...)
	return append(violations, r.seated()...)
}

// holdLife is all that clients did with one hold.
type holdLife struct {
	name     string
	granted  []*Op // acknowledged
	extended []*Op // acknowledged
	released []*Op // whatever became of it
	confirms []*Op
}

func (r *Run) collectHolds() {
	if r.lives != nil {
		return
	}
	r.lives = make(map[string]*holdLife)
	for i := range r.History {
		op := &r.History[i]
		if op.Hold == "" {
			continue
		}
		h := r.lives[op.Hold]
		if h == nil {
			h = &holdLife{name: op.Hold}
			r.lives[op.Hold] = h
		}
		switch {
		case op.Kind == KindHold && op.acknowledged():
			h.granted = append(h.granted, op)
		case op.Kind == KindExtend && op.acknowledged():
			h.extended = append(h.extended, op)
		case op.Kind == KindRelease:
			h.released = append(h.released, op)
		case op.Kind == KindConfirm:
			h.confirms = append(h.confirms, op)
		}
	}
}

// lostWithin says whether an inventory may have lost something between two instants.
func (r *Run) lostWithin(from, to int64) bool {
	return slices.ContainsFunc(r.Evidence.Losses, func(at int64) bool { return from <= at && at <= to }) || r.splitWithin(from, to)
}

// splitWithin says whether an inventory may have been two between two instants.
func (r *Run) splitWithin(from, to int64) bool {
	return slices.ContainsFunc(r.Evidence.Splits, func(s Span) bool { return s.From <= to && from <= s.To })
}

// confirmRefusals are what a confirm of an acknowledged hold may be refused with.
var confirmRefusals = map[allocator.Code]bool{
	allocator.CodeInvalid: true, allocator.CodeNotEligible: true, allocator.CodeNHSNumberInvalid: true,
	allocator.CodeIdempotencyMismatch: true, allocator.CodeBookingUnknown: true, allocator.CodeUnauthorised: true,
	allocator.CodeForbidden: true,
}

// honoured checks the refusals of one hold's confirms.
func (r *Run) honoured(h *holdLife) (violations []Violation) {
	if len(h.granted) == 0 {
		return nil
	}
	for _, op := range h.confirms {
		switch {
		case !op.refused():
		case !final[op.Code] && !confirmRefusals[op.Code]:
			violations = append(violations, violated("P3", "confirming hold %q was refused with %s, which is no reason for a hold that was granted", h.name, op.Code))
		case op.Code == allocator.CodeHoldReleased && !slices.ContainsFunc(h.released, func(x *Op) bool { return x.Call <= op.Return }):
			violations = append(violations, violated("P3", "hold %q was refused as released, and nobody had released it", h.name))
		case op.Code == allocator.CodeHoldExpired && op.Return < r.expires(h, op):
			violations = append(violations, violated("P3", "hold %q was refused as expired at %d, and its deadline was %d", h.name, op.Return, r.expires(h, op)))
		}
	}
	return violations
}

// expires is the instant before which a hold cannot have expired for a confirm. An extension counts if it was acknowledged
// before the confirm, and nothing was lost since: the older token tells the older deadline.
func (r *Run) expires(h *holdLife, confirm *Op) int64 {
	deadline := int64(math.MaxInt64)
	for _, op := range h.granted {
		deadline = min(deadline, op.Deadline)
	}
	for _, op := range h.extended {
		if op.Return < confirm.Call && !r.lostWithin(h.granted[0].Call, confirm.Return) {
			deadline = max(deadline, op.Deadline)
		}
	}
	return deadline
}

// counted checks that each reason was counted at least as often as clients were told it: once for each hold at least.
func (r *Run) counted() (violations []Violation) {
	if r.Evidence.Counted == nil {
		return nil
	}
	told := make(map[allocator.Code]int)
	for _, h := range r.lives {
		heard := make(map[allocator.Code]bool)
		for _, op := range h.confirms {
			if r.refusedForEver(op) && !heard[op.Code] {
				heard[op.Code] = true
				told[op.Code]++
			}
		}
	}
	for code, n := range told {
		if c := max(r.Evidence.Counted[string(code)], r.Evidence.Counted["confirm_refused_"+string(code)]); c < n {
			violations = append(violations, violated("P3", "%d holds were refused with %s, and %d refusals were counted", n, code, c))
		}
	}
	return violations
}

// use is a time in which a place of a slot was certainly in use, by a hold or by its booking: half open.
type use struct {
	from, to int64
	service  allocator.ServiceCode
	hold     string
	booking  allocator.BookingKey // 0: a hold
}

func (u use) String() string {
	if u.booking != 0 {
		return fmt.Sprintf("[%s…%s] %s booked as %s", instant(u.from), instant(u.to), u.service, u.booking.Reference())
	}
	return fmt.Sprintf("[%s…%s] %s held as %q", instant(u.from), instant(u.to), u.service, u.hold)
}

// seated checks, slot by slot, that all that was in use at one time has a seat in the most generous document.
func (r *Run) seated() (violations []Violation) {
	uses := make(map[allocator.SlotID][]use)
	for _, h := range r.lives {
		r.usedByHold(h, uses)
	}
	for key, f := range r.fates {
		if row := r.rows[key]; row != nil && f.acks != nil && wasBooked(row) {
			if u, ok := r.usedByBooking(row, f); ok {
				uses[row.Slot] = append(uses[row.Slot], u)
			}
		}
	}
	for slot, list := range uses {
		if len(list) > 1 {
			violations = append(violations, r.crowded(slot, list)...)
		}
	}
	return violations
}

// usedByHold adds the time for which a hold certainly had its places: from its acknowledgement to its deadline, its
// release, its confirm or the next loss, whichever comes first. A hold that was refused for want of its place did not have
// it: that is what it was told, and what is counted.
func (r *Run) usedByHold(h *holdLife, uses map[allocator.SlotID][]use) {
	for i, op := range h.granted {
		if i > 0 && op.Deadline == h.granted[0].Deadline {
			continue // the same grant, told again
		}
		to := op.Deadline
		for _, x := range h.extended {
			to = max(to, x.Deadline)
		}
		for _, x := range h.released {
			to = min(to, x.Call)
		}
		if i+1 < len(h.granted) {
			to = min(to, h.granted[i+1].Call)
		}
		to = min(to, h.kept())
		for _, at := range r.Evidence.Losses {
			if at >= op.Call {
				to = min(to, at)
			}
		}
		for _, s := range r.Evidence.Splits {
			if s.From >= op.Call {
				to = min(to, s.From)
			}
		}
		if op.Return >= to || r.splitWithin(op.Call, op.Return) {
			continue
		}
		for j := range op.Claims {
			slot := op.Claims[j].Slot
			uses[slot] = append(uses[slot], use{from: op.Return, to: to, service: op.Claims[j].Service, hold: h.name})
		}
	}
}

// kept is the instant until which confirms certainly left the hold's places where they were. What a confirm recorded may
// have ended before its answer came.
func (h *holdLife) kept() int64 {
	first := int64(math.MaxInt64)
	for _, x := range h.confirms {
		switch x.Code {
		case allocator.CodeHoldLost, allocator.CodeHoldRevoked, allocator.CodeSlotFull, allocator.CodeHoldExpired:
			return math.MinInt64
		}
		first = min(first, x.Call)
	}
	return first
}

// usedByBooking is the time for which a booking certainly had a place that the inventory knew of: from its acknowledgement
// until somebody asked for its end. Where the inventory may have been out of reach, the booking may have been recorded past
// it: then its place was certain only until the deadline of its hold. One whose hold was lost, released or past its deadline
// is not counted: another hold may have had its place meanwhile, and will be refused.
func (r *Run) usedByBooking(row *allocator.Booking, f *fate) (use, bool) {
	u := use{from: f.booked.back, to: Never, service: row.Service, booking: row.Key}
	if !row.Status.Live() {
		u.to = r.ending(row).call
	}
	h := r.lives[f.acks[0].Hold]
	if h == nil || len(h.granted) == 0 {
		return u, r.Evidence.Steady && u.from < u.to // a walk-in
	}
	for _, op := range h.released {
		if op.Call <= u.from {
			return u, false
		}
	}
	from := f.booked.call
	for _, op := range h.granted {
		from = min(from, op.Call)
		if f.booked.back > op.Deadline {
			return u, false
		}
		if !r.Evidence.Steady {
			u.to = min(u.to, op.Deadline)
		}
	}
	return u, u.from < u.to && !r.lostWithin(from, u.from)
}

// crowded finds the instants at which a slot has more in use than fits. It looks at those at which a use ends after others
// began: only there can a set of uses be larger than all before.
func (r *Run) crowded(slot allocator.SlotID, list []use) []Violation {
	slices.SortFunc(list, func(a, b use) int { return cmp.Compare(a.from, b.from) })
	ends := make([]int64, len(list))
	for i := range list {
		ends[i] = list[i].to
	}
	slices.Sort(ends)
	day := allocator.DayID{Site: slot.Site, Date: allocator.DateOf(slot.Start.Time().In(r.documents.zone))}
	pools := r.documents.mostGenerous(day, slot)
	began := 0
	for _, end := range ends {
		next := sort.Search(len(list), func(i int) bool { return list[i].from >= end })
		if next == began {
			continue
		}
		began = next
		var at []allocator.ServiceCode
		var who []use
		for _, u := range list[:next] {
			if u.to >= end {
				at, who = append(at, u.service), append(who, u)
			}
		}
		if slices.Contains(allocator.Seat(pools, at), false) {
			return []Violation{violated("P3", "at %s just before %s clients had more, acknowledged, than any document seats: %v in %v", describeSlot(slot), instant(end), who, pools)}
		}
	}
	return nil
}
