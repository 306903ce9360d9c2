// Package audit finds out whether a server kept what it said during a load test: every acknowledged booking is there, as it was
// acknowledged; no slot and no person has more than there may be; nothing was booked that nobody was told of; and no place was
// lost on the way. A server that answers fast and wrong fails here, whatever its latencies are.
package audit

import (
	"sync"
	"time"
)

// Slot is a time at a site. Start is in minutes since 1970.
type Slot struct {
	Site   string
	Start  int64
	Length int
}

// Date is the slot's date, at a site's own time.
func (s Slot) Date(zone *time.Location) string {
	return time.Unix(s.Start*60, 0).In(zone).Format(time.DateOnly)
}

// State is what is known of a booking.
type State int

// The states.
const (
	Live    State = iota // acknowledged
	Ended                // acknowledged, and its end too
	Perhaps              // acknowledged, and its end was asked for without a definite answer
)

// Booking is one that was acknowledged.
type Booking struct {
	Reference, ManageToken string
	Slot                   Slot
	Service                string
	NHSNumber              string
	State                  State
}

// Hold is one that was granted and neither confirmed nor given back.
type Hold struct {
	Token string
	Slots []Slot
}

// Evidence is what citizens were told. Safe for concurrent use.
type Evidence struct {
	mu       sync.Mutex
	bookings map[string]*Booking
	holds    map[string]Hold
	unknown  map[Slot]int // claims of which nobody knows what became
	twice    []string
}

// NewEvidence is empty.
func NewEvidence() *Evidence {
	return &Evidence{bookings: make(map[string]*Booking), holds: make(map[string]Hold), unknown: make(map[Slot]int)}
}

// Booked takes note of an acknowledged booking. False: the reference was given to somebody else before.
func (e *Evidence) Booked(b Booking) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if known, ok := e.bookings[b.Reference]; ok && (known.NHSNumber != b.NHSNumber || known.Slot != b.Slot) {
		e.twice = append(e.twice, b.Reference)
		return false
	}
	e.bookings[b.Reference] = &b
	return true
}

// Ended takes note of a booking's end; sure is false where the answer was not definite.
func (e *Evidence) Ended(reference string, sure bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if b, ok := e.bookings[reference]; ok {
		b.State = Perhaps
		if sure {
			b.State = Ended
		}
	}
}

// Held takes note of a hold that its owner left.
func (e *Evidence) Held(h Hold) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.holds[h.Token] = h
}

// Unknown takes note of claims of a hold or confirm without a definite answer.
func (e *Evidence) Unknown(slots []Slot) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, slot := range slots {
		e.unknown[slot]++
	}
}

// Acknowledged is how many bookings were acknowledged.
func (e *Evidence) Acknowledged() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.bookings)
}
