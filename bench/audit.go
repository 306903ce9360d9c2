package bench

import (
	"fmt"
	"sync"

	"muster/allocator"
)

// row is a live booking as an engine's books have it.
type row struct {
	reference name
	person    name // whatever tells people apart in these books
	slot      allocator.SlotID
	place     int32 // noPlace where the engine numbers none
}

// noPlace marks a booking of an engine that counts places and numbers none.
const noPlace = -1

// acknowledged is what an engine's clients were told, over all of its turns. Safe for concurrent use.
type acknowledged struct {
	mu         sync.Mutex
	references map[name]struct{}
	twice      int // references that were given to two people
	unknown    int // confirms without a definite answer
}

// add takes over what a client was told in a turn: references, and how many confirms had no definite answer.
func (a *acknowledged) add(references []name, unknown int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.references == nil {
		a.references = make(map[name]struct{})
	}
	for _, r := range references {
		if _, ok := a.references[r]; ok {
			a.twice++
		}
		a.references[r] = struct{}{}
	}
	a.unknown += unknown
}

// count is how many bookings were acknowledged.
func (a *acknowledged) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.references)
}

// Findings are what an audit counted. Anything but zeros in the first five means that figures do not count.
type Findings struct {
	Oversold   int `json:"oversold"`   // bookings beyond a slot's capacity
	Duplicates int `json:"duplicates"` // places booked twice, references given twice
	People     int `json:"people"`     // people booked twice
	Lost       int `json:"lost"`       // acknowledged and not in the books
	Strays     int `json:"strays"`     // in the books, and asked for by nobody
	Bookings   int `json:"bookings"`   // in the books
	Unknown    int `json:"unknown"`    // confirms that got no definite answer
}

// Clean says whether nothing is wrong.
func (f Findings) Clean() bool { return f.Oversold+f.Duplicates+f.People+f.Lost+f.Strays == 0 }

func (f Findings) String() string {
	return fmt.Sprintf("%d oversold, %d duplicates, %d people twice, %d lost, %d strays among %d bookings (%d unknown)",
		f.Oversold, f.Duplicates, f.People, f.Lost, f.Strays, f.Bookings, f.Unknown)
}

// judge compares an engine's books with what was published and with what clients were told. The load must have ended.
func judge(rows []row, capacity func(allocator.SlotID) int, told *acknowledged) Findings {
	told.mu.Lock()
	defer told.mu.Unlock()
	type seat struct {
		slot  allocator.SlotID
		place int32
	}
	f := Findings{Bookings: len(rows), Duplicates: told.twice, Unknown: told.unknown}
	booked, seats := make(map[allocator.SlotID]int), make(map[seat]struct{}, len(rows))
	people, kept := make(map[name]struct{}, len(rows)), make(map[name]struct{}, len(rows))
	for _, r := range rows {
		if booked[r.slot]++; booked[r.slot] > capacity(r.slot) {
			f.Oversold++
		}
		if r.place != noPlace {
			f.Duplicates += again(seats, seat{r.slot, r.place})
		}
		f.People += again(people, r.person)
		f.Duplicates += again(kept, r.reference)
	}
	for reference := range told.references {
		if _, ok := kept[reference]; !ok {
			f.Lost++
		}
	}
	for reference := range kept {
		if _, ok := told.references[reference]; !ok {
			f.Strays++
		}
	}
	f.Strays = max(0, f.Strays-told.unknown) // each may have been booked without its client hearing of it
	return f
}

// again is 1 where something is in a set already, into which it is put.
func again[T comparable](set map[T]struct{}, value T) int {
	before := len(set)
	set[value] = struct{}{}
	return 1 - (len(set) - before)
}
