package checkers

import (
	"fmt"
	"math"

	"muster/allocator"
)

// Run is a history with its evidence, indexed once for all checkers. Checkers add to its statistics; so a Run serves one
// goroutine.
type Run struct {
	History  []Op
	Evidence *Evidence

	rows      map[allocator.BookingKey]*allocator.Booking
	fates     map[allocator.BookingKey]*fate
	confirms  map[string][]*Op // confirms and walk-ins by the name of their hold, where it has one
	open      []*Op            // confirms and walk-ins without a definite answer
	events    map[allocator.BookingKey][]int
	persons   map[string]allocator.PersonKey
	names     map[allocator.PersonKey]string
	services  map[allocator.ServiceCode]*allocator.Booking // a row of each service
	held      map[string]int                               // claims of each acknowledged hold
	lives     map[string]*holdLife
	documents *documents
	stats     Stats
}

// fate is what clients asked and were told about one booking, all operations together.
type fate struct {
	acks   []*Op  // that were answered with it
	claim  *Claim // as it was first acknowledged
	booked window // in which it was recorded
	ended  window // in which a client's wish ended it; call is math.MaxInt64 where none asked
	gone   bool   // its end was acknowledged
	moves  []*Op  // acknowledged moves of it
}

// window is a closed interval of client time in which something happened at one instant.
type window struct{ call, back int64 }

func (w window) meets(o window) bool { return w.call <= o.back && o.call <= w.back }

// indefinite are the codes after which a request may have been, or may yet be, done: the client must repeat it.
var indefinite = map[allocator.Code]bool{
	allocator.CodeOutcomeUnknown: true, allocator.CodeInProgress: true, allocator.CodeLedgerUnavailable: true,
	allocator.CodeUnavailable: true, allocator.CodeOverloaded: true, allocator.CodeRateLimited: true, allocator.CodeInternal: true,
}

func (o *Op) definite() bool     { return o.Return != Never && !indefinite[o.Code] }
func (o *Op) acknowledged() bool { return o.definite() && o.Code == "" }
func (o *Op) refused() bool      { return o.definite() && o.Code != "" }
func (o *Op) books() bool        { return o.Kind == KindConfirm || o.Kind == KindWalkIn }
func (o *Op) ends() bool {
	return o.Cancels != "" && (o.Kind == KindCancel || o.Kind == KindStatus && o.Ends)
}

// NewRun indexes a run.
func NewRun(history []Op, e *Evidence) *Run {
	r := &Run{
		History: history, Evidence: e,
		rows:     make(map[allocator.BookingKey]*allocator.Booking, len(e.Bookings)),
		fates:    make(map[allocator.BookingKey]*fate, len(e.Bookings)),
		confirms: make(map[string][]*Op),
		held:     make(map[string]int),
		events:   make(map[allocator.BookingKey][]int, len(e.Bookings)),
		persons:  make(map[string]allocator.PersonKey),
		names:    make(map[allocator.PersonKey]string),
		services: make(map[allocator.ServiceCode]*allocator.Booking),
	}
	r.documents = newDocuments(e)
	r.stats = Stats{Operations: len(history), Refusals: make(map[allocator.Code]int)}
	for i := range e.Bookings {
		b := &e.Bookings[i]
		r.rows[b.Key] = b
		if r.services[b.Service] == nil || wasBooked(b) {
			r.services[b.Service] = b // a void row does not tell whether the service is once per person
		}
	}
	for i := range e.Events {
		if key := e.Events[i].Booking; key != 0 {
			r.events[key] = append(r.events[key], i)
		}
	}
	r.indexHistory()
	r.indexPersons()
	return r
}

func (r *Run) indexHistory() {
	for i := range r.History {
		op := &r.History[i]
		if op.refused() {
			r.stats.Refusals[op.Code]++
		}
		if op.Kind == KindHold && op.acknowledged() && op.Hold != "" {
			r.held[op.Hold] = len(op.Claims)
		}
		if !op.books() {
			continue
		}
		if op.Hold != "" {
			r.confirms[op.Hold] = append(r.confirms[op.Hold], op)
		}
		if !op.definite() {
			r.open = append(r.open, op)
		}
	}
	for i := range r.History {
		op := &r.History[i]
		if op.books() && op.acknowledged() {
			r.bookedBy(op)
		}
		if ref := op.Replaces; ref != "" && op.books() && !op.refused() {
			if f := r.fateOf(ref); f != nil {
				f.endedBy(op)
				if op.acknowledged() {
					f.moves = append(f.moves, op)
				}
			}
		}
		if op.ends() && !op.refused() {
			if f := r.fateOf(op.Cancels); f != nil {
				f.endedBy(op)
			}
		}
	}
}

// fateOf finds a booking's fate by its reference; nil where that is none.
func (r *Run) fateOf(reference string) *fate {
	key, ok := allocator.ParseReference(reference)
	if !ok {
		return nil
	}
	f := r.fates[key]
	if f == nil {
		f = &fate{booked: window{math.MinInt64, Never}, ended: window{math.MaxInt64, Never}}
		r.fates[key] = f
	}
	return f
}

// bookedBy notes an acknowledgement. The commit lies between the first sending of any confirm of that hold, answered or
// not, and the first answer that told of it.
func (r *Run) bookedBy(op *Op) {
	call := op.Call
	for _, other := range r.confirms[op.Hold] {
		call = min(call, other.Call)
	}
	for i := range op.Claims {
		f := r.fateOf(op.Claims[i].Reference)
		if f == nil {
			continue
		}
		if f.acks == nil {
			f.claim, f.booked.call = &op.Claims[i], call
		}
		f.acks = append(f.acks, op)
		f.booked.call = min(f.booked.call, call)
		f.booked.back = min(f.booked.back, op.Return)
	}
}

func (f *fate) endedBy(op *Op) {
	f.ended.call = min(f.ended.call, op.Call)
	if op.acknowledged() {
		f.ended.back, f.gone = min(f.ended.back, op.Return), true
	}
}

// indexPersons matches the names of people with their keys.
func (r *Run) indexPersons() {
	know := func(name string, key allocator.PersonKey) {
		if _, known := r.persons[name]; name != "" && !known && key != (allocator.PersonKey{}) {
			r.persons[name], r.names[key] = key, name
		}
	}
	for name, key := range r.Evidence.Persons {
		know(name, key)
	}
	for i := range r.History {
		op := &r.History[i]
		if !op.books() || !op.acknowledged() {
			continue
		}
		for j := range op.Claims {
			if key, ok := allocator.ParseReference(op.Claims[j].Reference); ok && r.rows[key] != nil {
				know(op.Claims[j].Person, r.rows[key].Person)
			}
		}
	}
}

// wasBooked says whether a row is or was a booking.
func wasBooked(b *allocator.Booking) bool { return b.Status != allocator.StatusVoid }

// recorded is the window in which a booking was recorded. One that was never acknowledged belongs to a request that nobody
// answered, and may have been recorded at any time after that was sent first.
func (r *Run) recorded(b *allocator.Booking) window {
	if f := r.fates[b.Key]; f != nil && f.acks != nil {
		return f.booked
	}
	w := window{math.MinInt64, Never}
	for _, op := range r.open {
		for i := range op.Claims {
			if r.mayBe(b, &op.Claims[i]) && (w.call == math.MinInt64 || op.Call < w.call) {
				w.call = op.Call
			}
		}
	}
	return w
}

// ending is the window in which a booking that is not live ended: by a client's wish, or else at any time.
func (r *Run) ending(b *allocator.Booking) window {
	w := window{math.MinInt64, Never}
	f := r.fates[b.Key]
	if f == nil {
		return w
	}
	w.back = f.ended.back
	if f.ended.call != math.MaxInt64 && !r.documents.withdrawn[b.Key] {
		w.call = f.ended.call
	}
	return w
}

// mayBe says whether a row may be what a claim asked for. A walk-in may not know its slot.
func (r *Run) mayBe(b *allocator.Booking, c *Claim) bool {
	if b.Service != c.Service || b.Slot != c.Slot && (c.Slot.Start != 0 || c.Slot.Site != b.Slot.Site) {
		return false
	}
	key, known := r.persons[c.Person]
	return !known || key == b.Person
}

func violated(promise, format string, args ...any) Violation {
	return Violation{Promise: promise, Text: fmt.Sprintf(format, args...)}
}

// describeSlot names a slot for people.
func describeSlot(s allocator.SlotID) string {
	return fmt.Sprintf("%s %s+%d", s.Site, s.Start.Time().Format("2006-01-02T15:04Z"), s.Length)
}

// describe names a row for people.
func describe(b *allocator.Booking) string {
	return fmt.Sprintf("%s (%s at %s, place %d, %s)", b.Key.Reference(), b.Service, describeSlot(b.Slot), b.Place, b.Status)
}
