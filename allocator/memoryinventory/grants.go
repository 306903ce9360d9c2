package memoryinventory

import (
	"bytes"
	"maps"

	"muster/allocator"
)

// hold decides one HoldItem.
func (s *state) hold(item *allocator.HoldItem) allocator.HoldResult {
	if g := s.grants[item.Key]; g != nil {
		if g.print != item.Print && g.print != ([8]byte{}) { // a mark alone does not know the body
			return allocator.HoldResult{Outcome: allocator.HoldMismatch}
		}
		return allocator.HoldResult{Outcome: allocator.HoldGranted, Repeated: true, Grant: s.view(g)}
	}
	st, building := s.ready(item.Site)
	if st == nil {
		if building {
			return allocator.HoldResult{Outcome: allocator.HoldBuilding}
		}
		return allocator.HoldResult{Outcome: allocator.HoldNotBuilt}
	}
	places, refusal := s.choose(st, item.Claims, nil)
	if refusal != nil {
		return *refusal
	}
	g := &grant{
		id:   allocator.HoldID{Key: item.Key, Stamp: allocator.MakeStamp(s.epoch, s.micros)},
		site: item.Site, print: item.Print, state: allocator.GrantHeld, epoch: s.epoch,
		deadlineMs: s.nowMs + item.LengthMs, lengthMs: item.LengthMs, graceMs: item.GraceMs,
	}
	for i, c := range item.Claims {
		g.claims = append(g.claims, claim{c.Slot, c.Service, places[i], c.Revision})
		s.take(c.Slot, places[i], place{owner: g.id, service: c.Service})
	}
	s.grants[item.Key] = g
	s.lapses(g)
	s.keep(g.id)
	return allocator.HoldResult{Outcome: allocator.HoldGranted, Grant: s.view(g)}
}

func (s *state) view(g *grant) allocator.Grant {
	v := allocator.Grant{ID: g.id, Epoch: g.epoch, State: s.stateOf(g), DeadlineMs: g.deadlineMs}
	if len(g.claims) > 0 {
		v.Places = make([]int32, len(g.claims))
	}
	for i, c := range g.claims {
		v.Places[i] = c.place
	}
	return v
}

// choose finds a place for each claim, in order, each on what the earlier ones leave, or says why one cannot join. It
// changes nothing. preferred, where given, names for each claim a place to take if it is free; −1 for none.
func (s *state) choose(st *site, claims []allocator.HoldClaim, preferred []int32) ([]int32, *allocator.HoldResult) {
	places := make([]int32, len(claims))
	for i := range claims {
		c := &claims[i]
		if now := st.revisions[c.Date]; now != c.Revision || now == 0 {
			return nil, &allocator.HoldResult{Outcome: allocator.HoldStale, Claim: i, Revision: now}
		}
		if !s.within(c) {
			return nil, &allocator.HoldResult{Outcome: allocator.HoldOutside, Claim: i}
		}
		var counts allocator.Counts // not to be changed: the slot's own, while no earlier claim is for it
		var taken map[int32]bool
		low := int32(0)
		sl := st.slots[c.Slot]
		if sl != nil {
			low, counts = sl.low, sl.counts
		}
		for j := range i {
			if claims[j].Slot != c.Slot {
				continue
			}
			if taken == nil {
				taken, counts = make(map[int32]bool), cloned(counts)
			}
			counts[claims[j].Service]++
			taken[places[j]] = true
		}
		if allocator.FreeWithin(c.Bounds, counts) < 1 || c.Limit != nil && st.claims(c.Limit)+earlier(claims[:i], c.Limit) >= c.Limit.Places {
			more := len(s.lapsing) > 0 && s.lapsing[0].dueMs <= s.nowMs
			return nil, &allocator.HoldResult{Outcome: allocator.HoldFull, Claim: i, More: more}
		}
		free := func(n int32) bool { return !taken[n] && (sl == nil || sl.places[n] == nil) }
		for !free(low) {
			low++
		}
		places[i] = low
		if preferred != nil && preferred[i] >= 0 && free(preferred[i]) {
			places[i] = preferred[i]
		}
	}
	return places, nil
}

// claims counts those that a limit is about.
func (st *site) claims(l *allocator.Limit) (n int) {
	for id, sl := range st.slots {
		n += l.Claims(id.Start, sl.counts)
	}
	return n
}

// earlier counts the claims of the same request that a limit is about.
func earlier(claims []allocator.HoldClaim, l *allocator.Limit) (n int) {
	for i := range claims {
		if l.Covers(claims[i].Slot.Start, claims[i].Service) {
			n++
		}
	}
	return n
}

// cloned is a copy that can be changed.
func cloned(counts allocator.Counts) allocator.Counts {
	if counts == nil {
		return allocator.Counts{}
	}
	return maps.Clone(counts)
}

// within checks a claim's window by the shard's clock.
func (s *state) within(c *allocator.HoldClaim) bool {
	lead := c.Slot.Start.Millis() - s.nowMs
	return (c.Window.OpensMs == 0 || s.nowMs >= c.Window.OpensMs) && lead >= c.Window.MinLeadMs &&
		(c.Window.MaxLeadMs == 0 || lead <= c.Window.MaxLeadMs)
}

func (s *state) extend(id allocator.HoldID) allocator.HoldResult {
	g := s.exact(id)
	if s.stateOf(g) != allocator.GrantHeld {
		return allocator.HoldResult{Outcome: allocator.HoldUnknown, Grant: allocator.Grant{ID: id, State: s.stateOf(g)}, NowMs: s.nowMs}
	}
	if !g.extended {
		g.extended = true
		g.deadlineMs += g.lengthMs
		s.lapses(g)
	}
	return allocator.HoldResult{Outcome: allocator.HoldGranted, Grant: s.view(g), NowMs: s.nowMs}
}

func (s *state) release(id allocator.HoldID, forget bool) allocator.GrantState {
	g := s.exact(id)
	if g == nil {
		return allocator.GrantAbsent
	}
	if g.state != allocator.GrantHeld {
		return g.state
	}
	s.giveAll(g, false)
	g.state = allocator.GrantReleased
	if forget {
		delete(s.grants, id.Key)
	}
	return allocator.GrantReleased
}

func (s *state) pin(item *allocator.PinItem) allocator.PinResult {
	r := allocator.PinResult{ID: item.ID, InTime: s.nowMs < item.DeadlineMs+item.GraceMs}
	st, building := s.ready(item.Site)
	if st == nil {
		r.Building, r.NotBuilt = building, !building
		return r
	}
	r.Epoch, r.Generation = st.epoch, st.generation
	g := s.grants[item.ID.Key]
	if g == nil {
		return r
	}
	if g.id != item.ID {
		if len(g.claims) > 0 {
			r.ID, r.Other = g.id, g.placed()
		}
		return r
	}
	r.State, r.Reason = s.stateOf(g), g.reason
	if r.State == allocator.GrantHeld {
		g.state, r.State = allocator.GrantPinned, allocator.GrantPinned
	}
	if r.State == allocator.GrantPinned || r.State == allocator.GrantBooked {
		r.Places, r.Revisions = s.view(g).Places, st.proven(g)
	}
	return r
}

// proven lists the revisions under which a grant's places were granted: none counts for a grant that is older than the
// site's last rebuild. It may have survived what the rebuild could not know (a newer state of the shard that was lost, a
// row recorded past the inventory), so only the ledger can tell whether it has a seat.
func (st *site) proven(g *grant) []int64 {
	list := make([]int64, len(g.claims))
	if bytes.Compare(g.id.Stamp[:], st.built[:]) <= 0 {
		return list
	}
	for i, c := range g.claims {
		list[i] = c.revision
	}
	return list
}

// placed lists a grant's claims.
func (g *grant) placed() []allocator.Placed {
	list := make([]allocator.Placed, len(g.claims))
	for i, c := range g.claims {
		list[i] = allocator.Placed{Slot: c.slot, Place: c.place, Service: c.service}
	}
	return list
}

func (s *state) reseat(item *allocator.ReseatItem) allocator.ReseatResult {
	st, building := s.ready(item.Site)
	if st == nil {
		if building {
			return allocator.ReseatResult{ID: item.ID, Outcome: allocator.HoldBuilding}
		}
		return allocator.ReseatResult{ID: item.ID, Outcome: allocator.HoldNotBuilt}
	}
	r := allocator.ReseatResult{ID: item.ID, Epoch: st.epoch, Generation: st.generation}
	g := s.grants[item.ID.Key]
	switch {
	case g != nil && g.id != item.ID:
		r.ID, r.Outcome = g.id, allocator.HoldUnknown
		return r
	case g == nil && s.nowMs >= item.DeadlineMs+item.GraceMs:
		r.Outcome, r.State = allocator.HoldUnknown, allocator.GrantExpired
		return r
	case g == nil && len(item.Claims) != item.Total:
		r.Outcome = allocator.HoldUnknown
		return r
	case g == nil:
		return s.reseatAbsent(st, item, r)
	}
	r.State, r.Reason = s.stateOf(g), g.reason
	if r.State != allocator.GrantHeld && r.State != allocator.GrantPinned {
		r.Outcome = allocator.HoldUnknown
		return r
	}
	return s.reseatPresent(st, item, g, r)
}

// reseatAbsent makes a lost grant anew, pinned.
func (s *state) reseatAbsent(st *site, item *allocator.ReseatItem, r allocator.ReseatResult) allocator.ReseatResult {
	claims, preferred := reseatClaims(item)
	places, refusal := s.choose(st, claims, preferred)
	if refusal != nil {
		r.Outcome, r.Claim, r.Revision = refusal.Outcome, item.Claims[refusal.Claim].Index, refusal.Revision
		return r
	}
	g := &grant{
		id: item.ID, site: item.Site, state: allocator.GrantPinned, epoch: s.epoch,
		deadlineMs: item.DeadlineMs, graceMs: item.GraceMs, extended: true,
	}
	for i, c := range claims {
		g.claims = append(g.claims, claim{c.Slot, c.Service, places[i], c.Revision})
		s.take(c.Slot, places[i], place{owner: g.id, service: c.Service})
	}
	s.grants[g.id.Key] = g
	s.lapses(g)
	s.keep(g.id)
	r.State, r.Places, r.Revisions = allocator.GrantPinned, places, st.proven(g)
	return r
}

// reseatPresent gives up the places of the listed claims, to their owner by the ledger where one is named, and finds
// others. Where there are none the grant stays as it was.
func (s *state) reseatPresent(st *site, item *allocator.ReseatItem, g *grant, r allocator.ReseatResult) allocator.ReseatResult {
	for _, c := range item.Claims {
		s.give(c.Slot, g.claims[c.Index].place, g.id, false)
		if c.Taken != (allocator.HoldID{}) && st.slotPlace(c.Slot, c.Place) == nil {
			s.take(c.Slot, c.Place, place{owner: c.Taken, service: c.TakenFor, booked: true})
		}
	}
	claims, _ := reseatClaims(item)
	places, refusal := s.choose(st, claims, nil)
	if refusal != nil {
		r.Outcome, r.Claim, r.Revision = refusal.Outcome, item.Claims[refusal.Claim].Index, refusal.Revision
		for _, c := range item.Claims {
			if old := &g.claims[c.Index]; st.slotPlace(old.slot, old.place) == nil {
				s.take(old.slot, old.place, place{owner: g.id, service: old.service})
			}
		}
		return r
	}
	for i, c := range item.Claims {
		g.claims[c.Index].place, g.claims[c.Index].revision = places[i], c.Revision
		s.take(c.Slot, places[i], place{owner: g.id, service: c.Service})
	}
	g.state, r.State, r.Places, r.Revisions = allocator.GrantPinned, allocator.GrantPinned, s.view(g).Places, st.proven(g)
	return r
}

func (st *site) slotPlace(id allocator.SlotID, number int32) *place {
	if sl := st.slots[id]; sl != nil {
		return sl.places[number]
	}
	return nil
}

// reseatClaims takes the claims apart. A lost hold was granted inside its window once: that is not asked again.
func reseatClaims(item *allocator.ReseatItem) (claims []allocator.HoldClaim, preferred []int32) {
	for _, c := range item.Claims {
		c.Window = allocator.Window{MinLeadMs: -1 << 62}
		claims = append(claims, c.HoldClaim)
		preferred = append(preferred, c.Place)
	}
	return claims, preferred
}
