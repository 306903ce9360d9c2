package memoryinventory

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"muster/allocator"
)

// lateMessage is a settle or a free: something that the ledger recorded.
type lateMessage struct {
	settle *allocator.SettleItem
	free   *allocator.FreeItem
}

// late applies a settle or free, or sets it aside while the site is being rebuilt.
func (s *state) late(epoch int64, id allocator.SiteID, m lateMessage) allocator.ApplyOutcome {
	st := s.sites[id]
	switch {
	case st == nil:
		return allocator.Ignored
	case st.builder != "":
		if len(st.setAside) >= s.options.SetAside {
			st.overflowed = true
			return allocator.Ignored
		}
		st.setAside = append(st.setAside, m)
		return allocator.SetAside
	case epoch > st.epoch:
		return allocator.Ignored
	case m.settle != nil:
		return s.settle(st, m.settle)
	default:
		return s.free(m.free)
	}
}

// settle books the rows' places that are free or the grant's own, and gives back its others.
func (s *state) settle(st *site, item *allocator.SettleItem) allocator.ApplyOutcome {
	g := s.exact(item.ID)
	if g != nil && g.state == allocator.GrantEnded {
		return allocator.Applied
	}
	outcome := allocator.Applied
	var mine []allocator.Placed
	for _, row := range item.Places {
		if g != nil && g.lost(row) || len(mine) == 0 && s.book(st, g, row) { // an earlier row may be of the same place
			continue
		}
		if p := st.slotPlace(row.Slot, row.Place); p == nil || p.owner == item.ID {
			mine = append(mine, row)
		} else {
			outcome = allocator.Displaced
		}
	}
	s.recorded(item.ID)
	for _, row := range mine {
		if st.slotPlace(row.Slot, row.Place) == nil {
			s.take(row.Slot, row.Place, place{owner: item.ID, service: row.Service, booked: true})
		}
	}
	return outcome
}

// book books a place where it is the grant's already, for that service: what nearly every row finds. To give it back and
// take it again would look for the lowest free place anew, past all that are taken.
func (s *state) book(st *site, g *grant, row allocator.Placed) bool {
	p := st.slotPlace(row.Slot, row.Place)
	if p == nil || g == nil || p.owner != g.id || p.booked || p.service != row.Service || !g.has(row) {
		return false
	}
	p.booked = true
	s.feed.slot(row.Slot, s.options.Feed)
	return true
}

// has says whether a row's place is one of the grant's claims.
func (g *grant) has(row allocator.Placed) bool {
	return slices.ContainsFunc(g.claims, func(c claim) bool { return c.slot == row.Slot && c.place == row.Place })
}

// lost says whether this row of the grant ended before.
func (g *grant) lost(row allocator.Placed) bool {
	return slices.ContainsFunc(g.gone, func(p allocator.Placed) bool { return p.Slot == row.Slot && p.Place == row.Place })
}

func (s *state) free(item *allocator.FreeItem) allocator.ApplyOutcome {
	if item.Partial {
		if g := s.markable(item.ID, item.Site); g.id == item.ID {
			for _, row := range item.Places {
				if !g.lost(row) {
					g.gone = append(g.gone, row)
				}
			}
		}
	} else {
		s.end(item.ID, item.Site, item.Reason)
	}
	for _, row := range item.Places {
		s.give(row.Slot, row.Place, item.ID, true)
	}
	return allocator.Applied
}

// Apply implements allocator.Inventory.
func (inv *Inventory) Apply(_ context.Context, number int, epoch int64, id allocator.SiteID, date allocator.Date, revision int64) (allocator.ApplyOutcome, error) {
	s, err := inv.enter(number, epoch)
	if err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	st := s.sites[id]
	if st == nil || st.builder == "" && st.epoch != s.epoch {
		return allocator.Ignored, nil
	}
	if revision > st.revisions[date] {
		st.revisions[date] = revision
		s.feed.day(allocator.DayRevision{Site: id, Date: date, Revision: revision}, s.options.Feed)
	}
	return allocator.Applied, nil
}

// Begin implements allocator.Inventory.
func (inv *Inventory) Begin(_ context.Context, number int, epoch int64, id allocator.SiteID, builder string) ([]allocator.SlotID, error) {
	s, err := inv.enter(number, epoch)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	st := s.sites[id]
	if st == nil {
		st = &site{slots: make(map[allocator.SlotID]*slot)}
		s.sites[id] = st
	}
	if st.builder != builder {
		st.builder, st.setAside, st.overflowed = builder, nil, false
		st.revisions = make(map[allocator.Date]int64)
	}
	return st.slotsInUse(), nil
}

// Load implements allocator.Inventory.
func (inv *Inventory) Load(_ context.Context, number int, epoch int64, id allocator.SiteID, builder string, slots []allocator.SlotLoad, ended []allocator.EndedID) (bool, error) {
	s, err := inv.enter(number, epoch)
	if err != nil {
		return false, err
	}
	defer s.mu.Unlock()
	st := s.sites[id]
	if st == nil || st.builder != builder {
		return false, nil
	}
	for _, e := range ended {
		s.end(e.ID, id, e.Reason)
	}
	for _, l := range slots {
		s.load(st, l)
	}
	return true, nil
}

// load replaces one slot: rows come in, what they contradict goes, holds and pins that fit beside them stay. A hold that a
// row pushes out goes as a whole and counts as lost; a pin loses that place only.
func (s *state) load(st *site, l allocator.SlotLoad) {
	rows := make(map[int32]allocator.LoadRow, len(l.Rows))
	for _, row := range l.Rows {
		rows[row.Place] = row
		if g := s.exact(row.Owner); g != nil && (g.state == allocator.GrantHeld || g.state == allocator.GrantPinned) {
			s.recorded(row.Owner)
		}
	}
	if sl := st.slots[l.Slot]; sl != nil {
		for _, number := range slices.Sorted(maps.Keys(sl.places)) {
			p := sl.places[number]
			if p == nil {
				continue // went with a grant just dropped
			}
			row, has := rows[number]
			g := s.exact(p.owner)
			alive := g != nil && (g.state == allocator.GrantHeld || g.state == allocator.GrantPinned)
			switch {
			case has && row.Owner == p.owner && p.booked:
			case p.booked || !alive:
				s.give(l.Slot, number, p.owner, true)
			case has && g.state == allocator.GrantPinned:
				s.give(l.Slot, number, p.owner, false) // the rest of a pin stays: it may be recorded at this moment
			case has:
				s.drop(p.owner)
			}
		}
	}
	for _, row := range l.Rows {
		if st.slotPlace(l.Slot, row.Place) == nil {
			s.take(l.Slot, row.Place, place{owner: row.Owner, service: row.Service, booked: true})
		}
	}
}

// Finish implements allocator.Inventory.
func (inv *Inventory) Finish(_ context.Context, number int, epoch int64, id allocator.SiteID, builder string, generation int64, revisions map[allocator.Date]int64) (bool, error) {
	s, err := inv.enter(number, epoch)
	if err != nil {
		return false, err
	}
	defer s.mu.Unlock()
	st := s.sites[id]
	if st == nil || st.builder != builder {
		return st != nil && st.builder == "" && st.lastBuilder == builder && st.epoch == epoch, nil
	}
	if st.overflowed {
		return false, nil
	}
	ended := make(map[allocator.HoldID]bool)
	for _, m := range st.setAside { // ended beats settled: frees first
		if m.free != nil {
			ended[m.free.ID] = ended[m.free.ID] || !m.free.Partial
			s.free(m.free)
		}
	}
	for _, m := range st.setAside {
		if m.settle != nil && !ended[m.settle.ID] {
			s.settle(st, m.settle)
		}
	}
	for date, revision := range revisions {
		st.revisions[date] = max(st.revisions[date], revision)
	}
	for _, date := range slices.Sorted(maps.Keys(st.revisions)) {
		s.feed.day(allocator.DayRevision{Site: id, Date: date, Revision: st.revisions[date]}, s.options.Feed)
	}
	st.built = allocator.MakeStamp(s.epoch, s.micros)
	st.epoch, st.generation, st.builder, st.lastBuilder, st.setAside = s.epoch, generation, "", builder, nil
	return true, nil
}

// ReadSite implements allocator.Inventory.
func (inv *Inventory) ReadSite(_ context.Context, number int, epoch int64, id allocator.SiteID) (allocator.SiteInventory, error) {
	s, err := inv.enter(number, epoch)
	if err != nil {
		return allocator.SiteInventory{}, err
	}
	defer s.mu.Unlock()
	view := allocator.SiteInventory{NowMs: s.nowMs}
	st := s.sites[id]
	if st == nil {
		return view, nil
	}
	view.Built = st.builder == "" && st.epoch == s.epoch
	view.Epoch, view.Generation, view.Revisions = st.epoch, st.generation, maps.Clone(st.revisions)
	for _, slotID := range st.slotsInUse() {
		sl := st.slots[slotID]
		for _, number := range slices.Sorted(maps.Keys(sl.places)) {
			p := sl.places[number]
			view.Places = append(view.Places, allocator.PlaceState{
				Slot: slotID, Place: number, Service: p.service, Owner: p.owner, Booked: p.booked,
			})
		}
	}
	return view, nil
}

// ReadPlaces implements allocator.Inventory.
func (inv *Inventory) ReadPlaces(_ context.Context, number int, epoch int64, ranges []allocator.PlaceRange) (places []allocator.PlaceState, notBuilt []allocator.SiteID, err error) {
	s, err := inv.enter(number, epoch)
	if err != nil {
		return nil, nil, err
	}
	defer s.mu.Unlock()
	told := make(map[allocator.SiteID]bool)
	for _, r := range ranges {
		st, _ := s.ready(r.Slot.Site)
		if st == nil {
			if !told[r.Slot.Site] {
				told[r.Slot.Site] = true
				notBuilt = append(notBuilt, r.Slot.Site)
			}
			continue
		}
		sl := st.slots[r.Slot]
		if sl == nil {
			continue
		}
		first := len(places)
		for number, p := range sl.places {
			if number >= r.First && number <= r.Last {
				places = append(places, allocator.PlaceState{Slot: r.Slot, Place: number, Service: p.service, Owner: p.owner, Booked: p.booked})
			}
		}
		slices.SortFunc(places[first:], func(a, b allocator.PlaceState) int { return cmp.Compare(a.Place, b.Place) })
	}
	return places, notBuilt, nil
}

// Repair implements allocator.Inventory.
func (inv *Inventory) Repair(_ context.Context, number int, epoch int64, id allocator.SiteID, fixes []allocator.PlaceFix) (int, error) {
	s, err := inv.enter(number, epoch)
	if err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	st, _ := s.ready(id)
	if st == nil {
		return 0, nil
	}
	done := 0
	for i := range fixes {
		if s.repair(st, &fixes[i]) {
			done++
		}
	}
	return done, nil
}

func (s *state) repair(st *site, fix *allocator.PlaceFix) bool {
	p := st.slotPlace(fix.Slot, fix.Place)
	if (p == nil) != (fix.Was == nil) || p != nil && (p.owner != fix.Was.Owner || p.booked != fix.Was.Booked) {
		return false
	}
	if fix.Now != nil {
		row := allocator.Placed{Slot: fix.Slot, Place: fix.Place, Service: fix.Now.Service}
		if g := s.exact(fix.Now.Owner); g != nil && (g.state == allocator.GrantEnded || g.lost(row)) {
			return false // it ended after the caller read the ledger
		}
	}
	switch {
	case fix.FreeGrant && fix.Was != nil:
		s.end(fix.Was.Owner, fix.Slot.Site, fix.Reason)
		s.give(fix.Slot, fix.Place, fix.Was.Owner, true)
		return true
	case fix.Was != nil && fix.Was.Booked:
		s.give(fix.Slot, fix.Place, fix.Was.Owner, true)
	case fix.Was != nil:
		if g := s.exact(fix.Was.Owner); g != nil && g.state == allocator.GrantPinned {
			return false // it may be recorded at this moment: only the ledger's evidence ends it
		}
		s.drop(fix.Was.Owner)
		s.give(fix.Slot, fix.Place, fix.Was.Owner, true)
	}
	if fix.Now == nil {
		return true
	}
	if st.slotPlace(fix.Slot, fix.Place) == nil {
		s.take(fix.Slot, fix.Place, place{owner: fix.Now.Owner, service: fix.Now.Service, booked: true})
	}
	return true
}
