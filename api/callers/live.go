package callers

import (
	"container/list"
	"slices"
	"sync"
	"time"
)

const (
	// maxLive is of how many visitors the live holds are known. With more, those who held longest ago are forgotten: they
	// may then have two.
	maxLive = 1 << 16
	// maxLiveEach is how many of one visitor's.
	maxLiveEach = 8
)

// Held is a visitor's live hold.
type Held struct {
	Token    string
	Services []string
	Places   int
	Expires  time.Time

	address string
}

// live knows visitors' live holds, the latest visitor first.
type live struct {
	mu     sync.Mutex
	byID   map[[12]byte]*list.Element
	recent *list.List // of *theirs
}

// theirs is one visitor's holds.
type theirs struct {
	id    [12]byte
	holds []Held
}

func newLive() live { return live{byID: make(map[[12]byte]*list.Element), recent: list.New()} }

// swap puts a hold in, and takes out those that share a service with it.
func (l *live) swap(id [12]byte, h Held) (out []Held) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.byID[id]
	if e == nil {
		if l.recent.Len() >= maxLive {
			oldest := l.recent.Remove(l.recent.Back()).(*theirs)
			delete(l.byID, oldest.id)
		}
		e = l.recent.PushFront(&theirs{id: id})
		l.byID[id] = e
	}
	l.recent.MoveToFront(e)
	v := e.Value.(*theirs)
	v.holds = slices.DeleteFunc(v.holds, func(old Held) bool {
		same := slices.ContainsFunc(old.Services, func(s string) bool { return slices.Contains(h.Services, s) })
		if same && old.Token != h.Token {
			out = append(out, old)
		}
		return same
	})
	if len(v.holds) == maxLiveEach {
		v.holds = v.holds[1:]
	}
	v.holds = append(v.holds, h)
	return out
}

// remove takes a hold out, once.
func (l *live) remove(id [12]byte, token string) (h Held, found bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.byID[id]
	if e == nil {
		return h, false
	}
	v := e.Value.(*theirs)
	i := slices.IndexFunc(v.holds, func(h Held) bool { return h.Token == token })
	if i < 0 {
		return h, false
	}
	h = v.holds[i]
	if v.holds = slices.Delete(v.holds, i, i+1); len(v.holds) == 0 {
		l.recent.Remove(e)
		delete(l.byID, id)
	}
	return h, true
}

// Granted tells of a visitor's new hold, and answers those whose place it takes: release them, and tell Released of it.
func (l *Limits) Granted(c Caller, h Held) []Held {
	if c.Visitor == nil {
		return nil
	}
	h.address = c.Address
	out := l.live.swap(c.Visitor.id, h)
	l.replaced.Add(uint64(len(out)))
	return out
}

// Ended tells that a visitor's hold ended by the visitor's own will, and answers it where it was known.
func (l *Limits) Ended(c Caller, token string) (Held, bool) {
	if c.Visitor == nil {
		return Held{}, false
	}
	return l.live.remove(c.Visitor.id, token)
}

// Released takes a hold off the debts of its visitor and of the address that it was made from, unless it lapsed before.
func (l *Limits) Released(now time.Time, c Caller, h Held) {
	if now.After(h.Expires) {
		return
	}
	l.addresses[ToHold].GiveBack(h.address, h.Places)
	l.records.GiveBack(c.Visitor.key(), 1)
	l.pulse.redeem(now, h.Places)
}
