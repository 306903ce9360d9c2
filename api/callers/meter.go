package callers

import (
	"hash/maphash"
	"sync"
	"time"
)

// ways is how many places there are for a key.
const ways = 8

// Meter keeps a debt for each key, which decays by one unit in each interval: the generic cell rate algorithm.
//
// Memory is fixed. Where all places for a key are taken by keys in debt, it takes the place of the one that owes least, and
// inherits that debt. So no flood of keys can make a meter grow, or a debt smaller: whoever comes back after losing a place
// owes as much as the least of those who have one. Keys are hashed by a seed that nobody knows. Safe for concurrent use.
type Meter struct {
	every int64 // nanoseconds in which a unit decays
	seed  maphash.Seed
	locks [64]sync.Mutex // of places, by turns
	table [][ways]debt
}

// debt is a key's, by its hash.
type debt struct {
	key   uint64
	until int64 // when it is gone, in nanoseconds since 1970
}

// NewMeter makes a meter in which a unit decays in each interval, for so many keys in debt: a power of two, from 8 on. It takes
// 16 bytes for each.
func NewMeter(every time.Duration, keys int) *Meter {
	return &Meter{every: int64(every), seed: maphash.MakeSeed(), table: make([][ways]debt, keys/ways)}
}

// account is a key's debt. It is to be closed.
type account struct {
	key  uint64
	debt *debt // the key's own, or the least where it has none
	lock *sync.Mutex
}

func (m *Meter) open(key string) account {
	sum := maphash.String(m.seed, key)
	at := sum & uint64(len(m.table)-1)
	a := account{key: sum, lock: &m.locks[at%uint64(len(m.locks))]}
	a.lock.Lock()
	places := &m.table[at]
	a.debt = &places[0]
	for i := range places {
		switch d := &places[i]; {
		case d.key == sum:
			a.debt = d
			return a
		case d.until < a.debt.until:
			a.debt = d
		}
	}
	return a
}

func (a *account) close() { a.lock.Unlock() }

// owe takes the place, if it is not the key's yet.
func (a *account) owe(until int64) { *a.debt = debt{a.key, until} }

// Take adds price units to the key's debt, unless not even one would fit below most. Left is how many fit after that, and
// wait how long it takes until there is room for one.
func (m *Meter) Take(key string, now time.Time, price, most int) (left int, wait time.Duration, ok bool) {
	a, at := m.open(key), now.UnixNano()
	defer a.close()
	owed, allowed := max(a.debt.until, at)-at, m.every*int64(most)
	if ahead := owed + m.every - allowed; ahead > 0 {
		return 0, time.Duration(ahead), false
	}
	if owed += m.every * int64(price); price > 0 {
		a.owe(at + owed)
	}
	return int(max(0, allowed-owed) / m.every), time.Duration(max(0, owed+m.every-allowed)), true
}

// Add adds units to the key's debt, whatever it is.
func (m *Meter) Add(key string, now time.Time, units int) {
	a := m.open(key)
	defer a.close()
	a.owe(max(a.debt.until, now.UnixNano()) + m.every*int64(units))
}

// GiveBack takes units off the key's debt.
func (m *Meter) GiveBack(key string, units int) {
	a := m.open(key)
	defer a.close()
	if a.debt.key == a.key {
		a.debt.until -= m.every * int64(units)
	}
}

// Debt is how many units the key owes, begun ones included.
func (m *Meter) Debt(key string, now time.Time) int {
	a := m.open(key)
	defer a.close()
	return int((max(0, a.debt.until-now.UnixNano()) + m.every - 1) / m.every)
}

// Once is true at most once in an interval for each key. Where there is no place for the key it is not true even once.
func (m *Meter) Once(key string, now time.Time) bool {
	a, at := m.open(key), now.UnixNano()
	defer a.close()
	if a.debt.until > at {
		return false
	}
	a.owe(at + m.every)
	return true
}
