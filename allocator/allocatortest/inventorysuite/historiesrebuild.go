package inventorysuite

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"muster/allocator"
)

// The rest of a history's actions: time, rebuild, repair, and the comparison of the two inventories.

func (p *pair) begin() {
	if p.rng.IntN(3) == 0 {
		p.builder = fmt.Sprintf("b%d", p.rng.IntN(4))
	}
	m, err1 := p.model.Begin(context.Background(), 0, p.epoch, p.site, p.builder)
	s, err2 := p.sut.Begin(context.Background(), 0, p.epoch, p.site, p.builder)
	p.same("begin "+p.builder, m, s, err1, err2)
}

func (p *pair) load() {
	var loads [2][]allocator.SlotLoad
	for n := range 4 {
		if p.rng.IntN(2) == 0 {
			continue
		}
		l := allocator.SlotLoad{Slot: p.slotID(n)}
		twin := l
		for place := range int32(4) {
			if g, ok := p.any(); ok && p.rng.IntN(3) == 0 {
				row := allocator.LoadRow{Place: place, Service: historyServices[p.rng.IntN(3)], Owner: g.ID}
				l.Rows = append(l.Rows, row)
				row.Owner = p.twin(row.Owner)
				twin.Rows = append(twin.Rows, row)
			}
		}
		loads[0], loads[1] = append(loads[0], l), append(loads[1], twin)
	}
	var ended [2][]allocator.EndedID
	if g, ok := p.any(); ok && p.rng.IntN(2) == 0 {
		ended[0] = []allocator.EndedID{{ID: g.ID, Reason: allocator.CodeHoldRevoked}}
		ended[1] = []allocator.EndedID{{ID: p.twin(g.ID), Reason: allocator.CodeHoldRevoked}}
	}
	m, err1 := p.model.Load(context.Background(), 0, p.epoch, p.site, p.builder, loads[0], ended[0])
	s, err2 := p.sut.Load(context.Background(), 0, p.epoch, p.site, p.builder, loads[1], ended[1])
	p.same(fmt.Sprintf("load %+v %v", loads[0], ended[0]), m, s, err1, err2)
}

func (p *pair) finish() {
	revisions := map[allocator.Date]int64{day: p.revision}
	generation := p.rng.Int64N(1000)
	m, err1 := p.model.Finish(context.Background(), 0, p.epoch, p.site, p.builder, generation, revisions)
	s, err2 := p.sut.Finish(context.Background(), 0, p.epoch, p.site, p.builder, generation, revisions)
	p.same("finish "+p.builder, m, s, err1, err2)
}

func (p *pair) repair() {
	view, err := p.model.ReadSite(context.Background(), 0, p.epoch, p.site)
	if err != nil {
		p.fail("read: %v", err)
	}
	var fixes [2][]allocator.PlaceFix
	for range 1 + p.rng.IntN(3) {
		f := allocator.PlaceFix{Slot: p.slotID(p.rng.IntN(4)), Place: int32(p.rng.IntN(5)), FreeGrant: p.rng.IntN(3) == 0, Reason: allocator.CodeHoldRevoked}
		if len(view.Places) > 0 && p.rng.IntN(5) > 0 {
			was := view.Places[p.rng.IntN(len(view.Places))]
			f.Slot, f.Place, f.Was = was.Slot, was.Place, &was
		}
		if g, ok := p.any(); ok && p.rng.IntN(2) == 0 {
			f.Now = &allocator.PlaceState{Slot: f.Slot, Place: f.Place, Service: historyServices[p.rng.IntN(3)], Owner: g.ID, Booked: true}
		}
		twin := f
		for _, side := range []**allocator.PlaceState{&twin.Was, &twin.Now} {
			if *side != nil {
				copied := **side
				copied.Owner = p.twin(copied.Owner)
				*side = &copied
			}
		}
		fixes[0], fixes[1] = append(fixes[0], f), append(fixes[1], twin)
	}
	m, err1 := p.model.Repair(context.Background(), 0, p.epoch, p.site, fixes[0])
	s, err2 := p.sut.Repair(context.Background(), 0, p.epoch, p.site, fixes[1])
	p.same(fmt.Sprintf("repair %+v", fixes[0]), m, s, err1, err2)
}

// compareSite compares all that both know of the site.
func (p *pair) compareSite() {
	m, err1 := p.model.ReadSite(context.Background(), 0, p.epoch, p.site)
	s, err2 := p.sut.ReadSite(context.Background(), 0, p.epoch, p.site)
	m.NowMs, s.NowMs = 0, 0
	for i := range s.Places {
		s.Places[i].Owner = p.model1(s.Places[i].Owner)
	}
	if fmt.Sprintf("%+v", m) != fmt.Sprintf("%+v", s) || err1 != nil || err2 != nil {
		p.fail("the site differs: %v %v\nmodel: %+v\nsut:   %+v", err1, err2, m, s)
	}
	p.compareRanges(&m)
}

// compareRanges compares what both know of parts of slots with what they know of the site.
func (p *pair) compareRanges(view *allocator.SiteInventory) {
	var ranges []allocator.PlaceRange
	for n := range 4 {
		first := int32(p.rng.IntN(3))
		ranges = append(ranges, allocator.PlaceRange{Slot: p.slotID(n), First: first, Last: first + int32(p.rng.IntN(4))})
	}
	var want []allocator.PlaceState
	for _, r := range ranges {
		for _, place := range view.Places {
			if view.Built && place.Slot == r.Slot && place.Place >= r.First && place.Place <= r.Last {
				want = append(want, place)
			}
		}
	}
	m, notBuilt1, err1 := p.model.ReadPlaces(context.Background(), 0, p.epoch, ranges)
	s, notBuilt2, err2 := p.sut.ReadPlaces(context.Background(), 0, p.epoch, ranges)
	for i := range s {
		s[i].Owner = p.model1(s[i].Owner)
	}
	p.same("not built", notBuilt1, notBuilt2, err1, err2)
	if fmt.Sprint(m) != fmt.Sprint(want) || fmt.Sprint(s) != fmt.Sprint(want) {
		p.fail("places of %v differ\nwant:  %v\nmodel: %v\nsut:   %v", ranges, want, m, s)
	}
}

// compareFeed compares usage in both, and what each has put together from its changes with its usage.
func (p *pair) compareFeed() {
	var usages [2]map[allocator.SlotID]string
	for i, inv := range []allocator.Inventory{p.model, p.sut} {
		usage, err := allUsage(inv, p.epoch)
		if err != nil {
			p.fail("usage: %v", err)
		}
		usages[i] = usage
		p.followFeed(i, inv)
		if !maps.Equal(p.snapshots[i], usage) {
			p.fail("inventory %d: changes add up to %v, usage is %v", i, p.snapshots[i], usage)
		}
	}
	if !maps.Equal(usages[0], usages[1]) {
		p.fail("usage differs\nmodel: %v\nsut:   %v", usages[0], usages[1])
	}
}

// followFeed brings a snapshot up to date.
func (p *pair) followFeed(i int, inv allocator.Inventory) {
	for {
		c, err := inv.Changes(context.Background(), 0, p.epoch, p.cursors[i], 50)
		if err != nil {
			p.fail("changes: %v", err)
		}
		if c.Reset || p.cursors[i] == "" {
			usage, err := allUsage(inv, p.epoch)
			if err != nil {
				p.fail("usage: %v", err)
			}
			p.snapshots[i] = usage
		}
		for _, s := range c.Slots {
			applyUsage(p.snapshots[i], s)
		}
		p.cursors[i] = c.Next
		if !c.More {
			return
		}
	}
}

func applyUsage(to map[allocator.SlotID]string, s allocator.SlotUsage) {
	if s.Counts.Total() == 0 {
		delete(to, s.Slot)
		return
	}
	to[s.Slot] = countsText(s.Counts)
}

func countsText(c allocator.Counts) (text string) {
	for _, s := range slices.Sorted(maps.Keys(c)) {
		text += fmt.Sprintf("%s=%d ", s, c[s])
	}
	return text
}

// allUsage reads Usage to its end.
func allUsage(inv allocator.Inventory, epoch int64) (map[allocator.SlotID]string, error) {
	usage := make(map[allocator.SlotID]string)
	for cursor := ""; ; {
		slots, next, err := inv.Usage(context.Background(), 0, epoch, cursor)
		if err != nil {
			return nil, err
		}
		for _, s := range slots {
			applyUsage(usage, s)
		}
		if cursor = next; cursor == "" {
			return usage, nil
		}
	}
}

func (p *pair) apply() {
	revision := p.revision + int64(p.rng.IntN(3)) - 1
	m, err1 := p.model.Apply(context.Background(), 0, p.epoch, p.site, day, revision)
	s, err2 := p.sut.Apply(context.Background(), 0, p.epoch, p.site, day, revision)
	if m == allocator.Applied {
		p.revision = max(p.revision, revision)
	}
	p.same(fmt.Sprintf("apply %d", revision), m, s, err1, err2)
}

func (p *pair) wait() {
	d := time.Duration(p.rng.Int64N(historyHold/2)) * time.Millisecond
	p.timed(d)
	p.note("wait %v", d)
}

func (p *pair) reap() {
	limit := p.rng.IntN(6)
	m, err1 := p.model.Reap(context.Background(), 0, p.epoch, limit)
	s, err2 := p.sut.Reap(context.Background(), 0, p.epoch, limit)
	p.same(fmt.Sprintf("reap %d", limit), m, s, err1, err2)
}

func (p *pair) stuck() {
	limit := 1 + p.rng.IntN(8)
	m, err1 := p.model.StuckPins(context.Background(), 0, p.epoch, limit)
	s, err2 := p.sut.StuckPins(context.Background(), 0, p.epoch, limit)
	for i := range s {
		s[i].ID = p.model1(s[i].ID)
	}
	p.same(fmt.Sprintf("stuck %d", limit), m, s, err1, err2)
}

func (p *pair) newEpoch() {
	if p.rng.IntN(3) == 0 {
		p.epoch++
		p.open()
		p.note("epoch %d", p.epoch)
	}
}

func (p *pair) reseatAny() {
	g, ok := p.any()
	if !ok {
		return
	}
	claims := p.items[g.ID].Claims
	item := allocator.ReseatItem{ID: g.ID, Site: p.site, DeadlineMs: g.DeadlineMs, GraceMs: 1000, Total: len(claims)}
	if p.timed == nil {
		item.DeadlineMs = 1 << 45
	} else {
		item.DeadlineMs += int64(len(p.log)) // no two are due at once: which lapses first is left open then
	}
	for i, c := range claims {
		if p.rng.IntN(4) > 0 {
			c.Revision = p.revision
			r := allocator.ReseatClaim{Index: i, HoldClaim: c, Place: g.Places[i]}
			if other, ok := p.any(); ok && p.rng.IntN(2) == 0 {
				r.Taken, r.TakenFor = other.ID, historyServices[p.rng.IntN(3)]
			}
			item.Claims = append(item.Claims, r)
		}
	}
	twin := item
	twin.ID = p.twin(g.ID)
	twin.Claims = slices.Clone(item.Claims)
	for i := range twin.Claims {
		twin.Claims[i].Taken = p.twin(twin.Claims[i].Taken)
	}
	m, err1 := p.model.Reseat(context.Background(), 0, p.epoch, item)
	s, err2 := p.sut.Reseat(context.Background(), 0, p.epoch, twin)
	s.ID = p.model1(s.ID)
	p.same(fmt.Sprintf("reseat %+v", item), m, s, err1, err2)
}
