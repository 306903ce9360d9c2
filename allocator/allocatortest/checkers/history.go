// Package checkers judges a run: what clients were told, against what the ledger and the inventory hold once all is quiet.
//
// A run is a history of operations, each as its client saw it, and the evidence that is left behind. The checkers know
// nothing of how either came about, so simulator, chaos and crash tests share them.
package checkers

import (
	"math"
	"time"

	"muster/allocator"
)

// Kind is what a client asked for.
type Kind string

// The kinds of operations.
const (
	KindHold    Kind = "hold"
	KindExtend  Kind = "extend"
	KindRelease Kind = "release"
	KindConfirm Kind = "confirm" // with Replaces: a move
	KindWalkIn  Kind = "walk-in"
	KindCancel  Kind = "cancel"
	KindStatus  Kind = "status"
)

// Never is the Return of an operation that had no definite answer.
const Never = int64(math.MaxInt64)

// Op is one operation as its client saw it, from its first sending to its definite answer, all repeats between included.
// Instants are in nanoseconds of one clock, the client side's.
type Op struct {
	Kind     Kind
	Call     int64
	Return   int64          // Never: no definite answer
	Code     allocator.Code // of the definite answer; "" is success
	Hold     string         // names the hold: the same for the hold, its extension, release and confirm
	Claims   []Claim        // what was asked for; of an acknowledged confirm or walk-in with references
	Deadline int64          // hold, extend: the advertised deadline, on the clock of Call
	Replaces string         // confirm: the reference of the booking that it moves
	Cancels  string         // cancel, status: the reference
	Ends     bool           // status: the new status ends the booking
}

// Claim is one place asked for, and for whom.
type Claim struct {
	Slot      allocator.SlotID
	Service   allocator.ServiceCode
	Person    string // names the person; "" before confirm
	Reference string // of the booking that was acknowledged; "" otherwise
}

// Evidence is what a run leaves behind, read when all was quiet.
type Evidence struct {
	// Bookings are all rows known to the ledger, void and ended ones included.
	Bookings []allocator.Booking
	// Events is the whole outbox in order.
	Events []allocator.Event
	// Days is every version of every day that was ever published.
	Days []allocator.Day
	// Inventory is what the inventory knows of each site. Empty where it was not read.
	Inventory []allocator.SiteInventory
	// Counted is how often each refusal was counted by the program's metrics, summed over its servers, crashed ones
	// included as far as they could be read; nil where it was not read.
	// A counter may be named by its code, or with the observer's prefix "confirm_refused_".
	Counted map[string]int
	// Losses are instants, on the clock of Op, at which an inventory is known to have lost something: a restart, a flush, a
	// failover. Holds that were acknowledged before one are not counted on after it.
	Losses []int64
	// Splits are times in which servers may have used two incarnations of one inventory, from a failover until nobody used the
	// old one any more. What was acknowledged within one is not counted on: the other incarnation may not know of it.
	Splits []Span
	// Steady says that no inventory was ever out of reach, failed or lost anything: then nothing was recorded past it.
	Steady bool
	// Persons is the key of each person named in claims, as far as it is known. Without it, names are matched to keys by
	// acknowledged bookings, which leaves some refusals less exactly explained.
	Persons map[string]allocator.PersonKey
	// Zone is the time zone of the sites.
	Zone *time.Location
}

// Span is a time on the clock of Op, both ends included.
type Span struct{ From, To int64 }

// Violation is one broken promise.
type Violation struct {
	Promise string // P1 … P12
	Text    string
}
