package attack

import (
	"slices"
	"sync"
	"time"
)

// staleness is how long after a slot was known to be full a list may show it as free and not count as wrong: search may lag.
const staleness = time.Second

// phantoms finds slots that were listed as free and were not there. From the moment at which somebody was told that a slot is
// full, it is full until somebody gets a place there. A list that was asked for more than a second later, shows the slot, and
// leads to another refusal, showed a phantom: unless somebody else got a place there meanwhile, and was simply faster. Answers
// may overtake each other, so that is decided at the end. Services may share places, so they are not told apart. Safe for concurrent use.
type phantoms struct {
	mu       sync.Mutex
	full     map[phantomKey]time.Duration
	granted  map[phantomKey][]time.Duration
	suspects []suspect
}

type phantomKey struct {
	site, start string
	length      int
}

// suspect is a refusal of a slot that was known to be full since long before it was listed.
type suspect struct {
	key       phantomKey
	since, at time.Duration
}

func newPhantoms() *phantoms {
	return &phantoms{full: make(map[phantomKey]time.Duration), granted: make(map[phantomKey][]time.Duration)}
}

// refuse takes note of a slot that is full. Listed is when the list was asked for that showed it; negative for none.
func (p *phantoms) refuse(o offer, listed, at time.Duration) {
	key := phantomKey{o.SiteID, o.Start, o.Length}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch since, known := p.full[key]; {
	case !known:
		p.full[key] = at
	case listed >= since+staleness:
		p.suspects = append(p.suspects, suspect{key, since, at})
	}
}

// grant takes note of slots in which somebody got a place.
func (p *phantoms) grant(slots []offer, at time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range slots {
		key := phantomKey{o.SiteID, o.Start, o.Length}
		delete(p.full, key)
		p.granted[key] = append(p.granted[key], at)
	}
}

// count is how many of the refusals were of phantoms.
func (p *phantoms) count() (n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.suspects {
		faster := slices.ContainsFunc(p.granted[s.key], func(at time.Duration) bool { return at > s.since && at <= s.at+staleness })
		if !faster {
			n++
		}
	}
	return n
}
