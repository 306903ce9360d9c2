package bench

import (
	"fmt"
	"sync"

	"muster/allocator"
)

// row is a live booking as an engine's books have it.
type row struct {
	reference string
	person    string // whatever tells people apart in these books
	slot      allocator.SlotID
	place     int32 // noPlace where the engine numbers none
}

// noPlace marks a booking of an engine that counts places and numbers none.
const noPlace = -1

// acknowledged is what an engine's clients were told, over all of its turns. Safe for concurrent use.
type acknowledged struct {
	mu         sync.Mutex
	references map[string]struct{}
	twice      int // references that were given to two people
	unknown    int // confirms without a definite answer
}

func (a *acknowledged) booked(reference string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.references[reference]; ok {
		a.twice++
	}
	a.references[reference] = struct{}{}
}

func (a *acknowledged) perhaps() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unknown++
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
func judge(rows []row, places []place, told *acknowledged) Findings {
	told.mu.Lock()
	defer told.mu.Unlock()
	type seat struct {
		slot  allocator.SlotID
		place int32
	}
	f := Findings{Bookings: len(rows), Duplicates: told.twice, Unknown: told.unknown}
	free := make(map[allocator.SlotID]int, len(places))
	for _, p := range places {
		free[p.slot] = p.capacity
	}
	seats, people, kept := make(map[seat]bool), make(map[string]bool), make(map[string]bool)
	for _, r := range rows {
		if free[r.slot]--; free[r.slot] < 0 {
			f.Oversold++
		}
		if s := (seat{r.slot, r.place}); r.place != noPlace {
			f.Duplicates += count(seats[s])
			seats[s] = true
		}
		f.People += count(people[r.person])
		f.Duplicates += count(kept[r.reference])
		people[r.person], kept[r.reference] = true, true
	}
	for reference := range told.references {
		f.Lost += count(!kept[reference])
	}
	for reference := range kept {
		_, ok := told.references[reference]
		f.Strays += count(!ok)
	}
	f.Strays = max(0, f.Strays-told.unknown) // each may have been booked without its client hearing of it
	return f
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}
