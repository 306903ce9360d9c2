package memoryinventory

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"muster/allocator"
)

// state is everything a shard knows; the shard's mutex guards it.
type state struct {
	options  *Options
	identity string
	epoch    int64 // 0: none yet
	nowMs    int64
	micros   int64 // of the last stamp: stamps never repeat
	sites    map[allocator.SiteID]*site
	grants   map[allocator.RequestKey]*grant
	lapsing  []appointment // by due time
	keeping  []appointment // when a key may be forgotten
	stuck    []allocator.HoldID
	feed     feed
}

// appointment is something to look at when its time has come.
type appointment struct {
	dueMs int64
	id    allocator.HoldID
}

type site struct {
	epoch       int64
	generation  int64
	built       allocator.Stamp // when the last rebuild ended
	builder     string          // "" unless the site is being rebuilt
	lastBuilder string          // that finished
	setAside    []lateMessage
	overflowed  bool
	revisions   map[allocator.Date]int64
	slots       map[allocator.SlotID]*slot
}

type slot struct {
	counts allocator.Counts
	places map[int32]*place
	low    int32 // no place below is free
}

type place struct {
	owner   allocator.HoldID
	service allocator.ServiceCode
	booked  bool
}

type grant struct {
	id         allocator.HoldID
	site       allocator.SiteID
	print      [8]byte
	state      allocator.GrantState
	epoch      int64
	deadlineMs int64 // advertised
	lengthMs   int64
	graceMs    int64
	extended   bool
	reason     allocator.Code
	claims     []claim
	gone       []allocator.Placed // rows that ended while others of the grant live on
}

type claim struct {
	slot     allocator.SlotID
	service  allocator.ServiceCode
	place    int32
	revision int64 // of the day, when the place was granted
}

func (g *grant) enforcedMs() int64 { return g.deadlineMs + g.graceMs }

func newShard(options *Options) *shard {
	return &shard{state: state{
		options: options, identity: newIdentity(),
		sites: make(map[allocator.SiteID]*site), grants: make(map[allocator.RequestKey]*grant),
	}}
}

func (s *state) gate(epoch int64) error {
	switch {
	case s.epoch == epoch && epoch != 0:
		return nil
	case s.epoch < epoch || s.epoch == 0:
		return fmt.Errorf("the shard has epoch %d, not %d: %w", s.epoch, epoch, allocator.ErrIncarnationLost)
	default:
		return fmt.Errorf("the shard has epoch %d, not %d: %w", s.epoch, epoch, allocator.ErrEpochStale)
	}
}

// tick reads the clock, once per call.
func (s *state) tick() {
	now := s.options.Now()
	s.nowMs = now.UnixMilli()
	s.micros = max(now.UnixMicro(), s.micros+1)
}

// exact finds the grant with this very id.
func (s *state) exact(id allocator.HoldID) *grant {
	if g := s.grants[id.Key]; g != nil && g.id == id {
		return g
	}
	return nil
}

// stateOf is a grant's state as anyone may see it: a hold whose time is up is expired, reaped or not.
func (s *state) stateOf(g *grant) allocator.GrantState {
	switch {
	case g == nil:
		return allocator.GrantAbsent
	case g.state == allocator.GrantHeld && s.nowMs >= g.enforcedMs():
		return allocator.GrantExpired
	default:
		return g.state
	}
}

// ready says whether a site grants and pins: it is built at the shard's epoch.
func (s *state) ready(id allocator.SiteID) (st *site, building bool) {
	st = s.sites[id]
	if st != nil && st.builder != "" {
		return nil, true
	}
	if st == nil || st.epoch != s.epoch {
		return nil, false
	}
	return st, false
}

func (st *site) slot(id allocator.SlotID) *slot {
	sl := st.slots[id]
	if sl == nil {
		sl = &slot{counts: allocator.Counts{}, places: make(map[int32]*place)}
		st.slots[id] = sl
	}
	return sl
}

// take makes a place a claim's.
func (s *state) take(id allocator.SlotID, number int32, p place) {
	sl := s.sites[id.Site].slot(id)
	sl.places[number] = &p
	sl.counts[p.service]++
	for sl.places[sl.low] != nil {
		sl.low++
	}
	s.feed.slot(id, s.options.Feed)
}

// give makes a place free, if it is still the owner's; unless booked says otherwise, only a place that is not booked.
func (s *state) give(id allocator.SlotID, number int32, owner allocator.HoldID, booked bool) {
	st := s.sites[id.Site]
	if st == nil || st.slots[id] == nil {
		return
	}
	sl := st.slots[id]
	p := sl.places[number]
	if p == nil || p.owner != owner || p.booked && !booked {
		return
	}
	delete(sl.places, number)
	if sl.counts[p.service]--; sl.counts[p.service] == 0 {
		delete(sl.counts, p.service)
	}
	sl.low = min(sl.low, number)
	if len(sl.places) == 0 {
		delete(st.slots, id)
	}
	s.feed.slot(id, s.options.Feed)
}

// giveAll frees every place of a grant; booked ones too where asked.
func (s *state) giveAll(g *grant, booked bool) {
	for _, c := range g.claims {
		s.give(c.slot, c.place, g.id, booked)
	}
}

// drop removes a hold or pin that a row or a repair pushed out: it counts as lost from now on.
func (s *state) drop(id allocator.HoldID) {
	g := s.exact(id)
	if g == nil || g.state != allocator.GrantHeld && g.state != allocator.GrantPinned {
		return
	}
	s.giveAll(g, false)
	delete(s.grants, id.Key)
}

// recorded marks a grant as booked: the places that it holds without a row go back.
func (s *state) recorded(id allocator.HoldID) {
	if g := s.exact(id); g != nil && g.state != allocator.GrantEnded {
		s.giveAll(g, false)
		g.state = allocator.GrantBooked
	}
}

// end gives back every place of a grant and marks it ended.
func (s *state) end(id allocator.HoldID, site allocator.SiteID, reason allocator.Code) {
	g := s.markable(id, site)
	if g.id != id {
		return
	}
	s.giveAll(g, true)
	if g.state != allocator.GrantEnded {
		g.state, g.reason = allocator.GrantEnded, reason
	}
}

// markable finds the record of a request's grant, or makes an empty one that can carry a mark.
func (s *state) markable(id allocator.HoldID, site allocator.SiteID) *grant {
	g := s.grants[id.Key]
	if g == nil {
		g = &grant{id: id, site: site, epoch: s.epoch, state: allocator.GrantBooked}
		s.grants[id.Key] = g
		s.keep(id)
	}
	return g
}

// lapses makes a note of when a grant lapses.
func (s *state) lapses(g *grant) {
	at, _ := slices.BinarySearchFunc(s.lapsing, g.enforcedMs()+1, func(a appointment, due int64) int { return cmp.Compare(a.dueMs, due) })
	s.lapsing = slices.Insert(s.lapsing, at, appointment{g.enforcedMs(), g.id})
}

func (s *state) keep(id allocator.HoldID) {
	s.keeping = append(s.keeping, appointment{s.nowMs + s.options.KeyLifetime.Milliseconds(), id})
}

// reap frees at most limit lapsed holds, moves lapsed pins to the list of stuck ones, and forgets at most limit keys.
func (s *state) reap(limit int) (more bool) {
	for n := 0; n < limit && len(s.lapsing) > 0 && s.lapsing[0].dueMs <= s.nowMs; n++ {
		g := s.exact(s.lapsing[0].id)
		s.lapsing = s.lapsing[1:]
		if g == nil || g.enforcedMs() > s.nowMs {
			continue
		}
		switch g.state {
		case allocator.GrantHeld:
			s.giveAll(g, false)
			g.state = allocator.GrantExpired
		case allocator.GrantPinned:
			s.stuck = append(s.stuck, g.id)
		}
	}
	for n := 0; n < limit && len(s.keeping) > 0 && s.keeping[0].dueMs <= s.nowMs; n++ {
		id := s.keeping[0].id
		s.keeping = s.keeping[1:]
		switch g := s.exact(id); {
		case g == nil:
		case g.state == allocator.GrantHeld || g.state == allocator.GrantPinned:
			s.keep(id)
		default:
			delete(s.grants, id.Key)
		}
	}
	return len(s.lapsing) > 0 && s.lapsing[0].dueMs <= s.nowMs
}

func (s *state) stuckPins(limit int) []allocator.StuckPin {
	seen := make(map[allocator.HoldID]bool)
	s.stuck = slices.DeleteFunc(s.stuck, func(id allocator.HoldID) bool {
		g := s.exact(id)
		gone := g == nil || g.state != allocator.GrantPinned || seen[id]
		seen[id] = true
		return gone
	})
	var pins []allocator.StuckPin
	for _, id := range s.stuck[:min(limit, len(s.stuck))] {
		g := s.grants[id.Key]
		pins = append(pins, allocator.StuckPin{Site: g.site, ID: id, Places: g.placed()})
	}
	return pins
}

// slotsInUse lists a site's slots that have any claim, in order.
func (st *site) slotsInUse() []allocator.SlotID {
	return slices.SortedFunc(maps.Keys(st.slots), allocator.SlotID.Compare)
}
