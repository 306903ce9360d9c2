package memoryinventory

import (
	"maps"
	"slices"

	"muster/allocator"
)

// Snapshot copies what a shard holds; the function it returns makes the shard serve that copy as another incarnation, as
// a restart from an older file or the promotion of a replica that lags would.
func (inv *Inventory) Snapshot(number int) (restore func()) {
	s := inv.shards[number]
	s.mu.Lock()
	defer s.mu.Unlock()
	c := clone(&s.state)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		micros := s.micros
		s.state = clone(&c)
		s.state.identity, s.state.epoch = newIdentity(), 0 // it answers NOSCRIPT until it is opened
		s.state.micros = max(micros, s.state.micros)       // clocks agree
	}
}

func clone(s *state) state {
	c := *s
	c.sites = make(map[allocator.SiteID]*site)
	for id, st := range s.sites {
		n := *st
		n.setAside = slices.Clone(st.setAside)
		n.revisions = maps.Clone(st.revisions)
		n.slots = make(map[allocator.SlotID]*slot)
		for k, sl := range st.slots {
			m := *sl
			m.counts = maps.Clone(sl.counts)
			m.places = make(map[int32]*place)
			for i, p := range sl.places {
				q := *p
				m.places[i] = &q
			}
			n.slots[k] = &m
		}
		c.sites[id] = &n
	}
	c.grants = make(map[allocator.RequestKey]*grant)
	for k, g := range s.grants {
		n := *g
		n.claims, n.gone = slices.Clone(g.claims), slices.Clone(g.gone)
		c.grants[k] = &n
	}
	c.lapsing, c.keeping, c.stuck = slices.Clone(s.lapsing), slices.Clone(s.keeping), slices.Clone(s.stuck)
	c.feed.changes = slices.Clone(s.feed.changes)
	return c
}
