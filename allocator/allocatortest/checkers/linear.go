package checkers

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"muster/allocator"
)

// Linearizability of places and of persons.
//
// A history of one place has a "book" and perhaps an "end" of every booking that the ledger ever had there. Each has a
// window of client time in which it took effect at one instant: it was committed after its request was first sent, and
// before any client was told of it; without an answer the window stays open. The sequential rule is that only a free place
// can be booked, and only its owner can end. The histories of a person's dose are the same, and have besides them the
// refusals that the person is booked already, which may happen only while another booking is live.
//
// Places are independent of each other, and so are persons, so each is a partition of its own. A move ends one booking and
// records another in one instant; its two sides mostly lie in different partitions. Where they meet (a person's dose), both
// have the same window, and the rule leaves them only one order.
//
// A history is linearizable if some order of its operations obeys the rule and the windows. The outbox suggests one: the
// order of the commits. If that order is itself a witness, nothing needs to be searched: putting each operation at the
// earliest instant that its own window and its predecessors allow, every one of them still lies in its window. Where it is no
// witness (or there are refusals, which leave no event), Porcupine searches all orders. So both ways give the answer that
// Porcupine alone would give, and most partitions take a microsecond.

// searchPatience bounds one search, which takes exponential time at worst. A search that is not done by then is reported.
const searchPatience = 20 * time.Second

type linearKind int8

const (
	linearBook linearKind = iota
	linearEnd
	linearRefused // because another booking is live
)

// linearOp is one operation of a partition.
type linearOp struct {
	window
	kind  linearKind
	key   allocator.BookingKey // refused: the booking that would have been replaced, which is no obstacle
	order int                  // in the outbox; −1: has no event
}

// obey is the sequential rule: the state is the key of the live booking, 0 where there is none.
func obey(state allocator.BookingKey, op *linearOp) (allocator.BookingKey, bool) {
	switch op.kind {
	case linearBook:
		return op.key, state == 0
	case linearEnd:
		return 0, state == op.key
	default:
		return state, state != 0 && state != op.key
	}
}

// transitions are the operations of one row.
func (r *Run) transitions(b *allocator.Booking) []linearOp {
	booked := linearOp{window: r.recorded(b), kind: linearBook, key: b.Key, order: -1}
	events := r.events[b.Key]
	if len(events) > 0 {
		booked.order = events[0]
	}
	if b.Status.Live() {
		return []linearOp{booked}
	}
	ended := linearOp{window: r.ending(b), kind: linearEnd, key: b.Key, order: -1}
	if len(events) > 1 {
		ended.order = events[len(events)-1]
	}
	return []linearOp{booked, ended}
}

// LinearPlaces checks that the bookings of each place are linearizable (P1).
func LinearPlaces(r *Run) (violations []Violation) {
	places := make(map[placeKey][]linearOp, len(r.rows))
	for i := range r.Evidence.Bookings {
		if b := &r.Evidence.Bookings[i]; wasBooked(b) {
			places[placeKey{b.Slot, b.Place}] = append(places[placeKey{b.Slot, b.Place}], r.transitions(b)...)
		}
	}
	for place, ops := range places {
		if why := r.linearizable(ops); why != "" {
			violations = append(violations, violated("P1", "the bookings of place %d at %s are %s: %s",
				place.place, describeSlot(place.slot), why, tell(ops)))
		}
	}
	return violations
}

// linearizable judges one partition; "" is yes.
func (r *Run) linearizable(ops []linearOp) string {
	if len(ops) < 2 {
		return "" // one booking, at any instant of its window
	}
	r.stats.Histories++
	if witnessed(ops) {
		return ""
	}
	r.stats.Searched++
	switch search(ops) {
	case porcupine.Ok:
		return ""
	case porcupine.Unknown:
		return fmt.Sprintf("not judged within %s", searchPatience)
	default:
		return "not linearizable"
	}
}

// witnessed says whether the order of the outbox is a linearization.
func witnessed(ops []linearOp) bool {
	slices.SortStableFunc(ops, func(a, b linearOp) int { return cmp.Compare(a.order, b.order) })
	if ops[0].order < 0 {
		return false
	}
	at, state := int64(math.MinInt64), allocator.BookingKey(0)
	for i := range ops {
		at = max(at, ops[i].call)
		next, ok := obey(state, &ops[i])
		if !ok || at > ops[i].back {
			return false
		}
		state = next
	}
	return true
}

var linearModel = porcupine.Model{
	Init: func() any { return allocator.BookingKey(0) },
	Step: func(state, input, _ any) (bool, any) {
		next, ok := obey(state.(allocator.BookingKey), input.(*linearOp))
		return ok, next
	},
}

// search asks Porcupine.
func search(ops []linearOp) porcupine.CheckResult {
	history := make([]porcupine.Operation, len(ops))
	for i := range ops {
		history[i] = porcupine.Operation{ClientId: i, Input: &ops[i], Call: ops[i].call, Return: ops[i].back}
	}
	return porcupine.CheckOperationsTimeout(linearModel, history, searchPatience)
}

// tell writes a partition for people, in order of its windows.
func tell(ops []linearOp) (text string) {
	ops = slices.Clone(ops)
	slices.SortStableFunc(ops, func(a, b linearOp) int { return cmp.Or(cmp.Compare(a.call, b.call), cmp.Compare(a.back, b.back)) })
	for i := range ops {
		what := [...]string{linearBook: "book", linearEnd: "end", linearRefused: "refuse, replacing"}[ops[i].kind]
		text += fmt.Sprintf("[%s…%s] %s %s; ", instant(ops[i].call), instant(ops[i].back), what, ops[i].key.Reference())
	}
	return text
}

func instant(at int64) string {
	switch at {
	case math.MinInt64:
		return ""
	case Never:
		return "never"
	}
	return fmt.Sprint(at)
}
