package allocator

import (
	"maps"
	"slices"
)

// Seating decides who may have a place of a slot. It is pure.
//
// # The rule
//
// A claim of service s may sit in any pool that offers s and is open to the claim. A claim owns a place number and no
// pool, so everyone already there may change pools silently. A new claim is granted exactly when it can join without
// unseating anyone: when the largest set of claims that can sit at once grows by it. Where every live claim has a seat
// this is the same as "all claims, the new one included, can be seated". Where a capacity cut left some unsupported, it
// still grants what no unsupported claim could use, and never gives away a place that one could.
//
// Pools of a higher access than the claim's take no part in its decision, although live claims may fill them: what is kept
// for invited people is never given away, not even by pushing. A stopped pool takes part with as many places as
// it had bookings when it was stopped (Kept): so it seats those, and leaves the other pools all of theirs; but somebody new
// needs a pool that is open, and in which the service is not suspended. Whoever has a claim already may sit anywhere, up to
// the pool's full capacity (Seat, Joins).
//
// # Two forms of one answer
//
// Matching: augmenting paths over the graph (pools × services), which also tells who sits (Seat).
//
// Bounds: by the theorem of König and Hall the largest number of seated claims is the least, over all sets T of
// services, of places(T) + claims outside T, where places(T) are the places of pools that offer some service of T. With
// over(T) = claims(T) − places(T) and worst = max(0, max over(T)), one more claim of s fits iff over(T) < worst for
// every T with s in it; and exactly worst − max over(T∋s) fit one after the other. Only unions of the services' own pool
// sets matter, and only those connected to s. A slot with one pool has one bound. The bounds depend on the day's
// document alone, so the inventory needs nothing but the number of claims of each service: this is what lets the whole
// decision run inside one script, without any capacity being stored there.
//
// The two are checked against each other and against brute force for every small graph (seating_test.go).

// Counts is the number of live claims of each service at one slot.
type Counts map[ServiceCode]int

// Total is the number of live claims.
func (c Counts) Total() int {
	n := 0
	for _, k := range c {
		n += k
	}
	return n
}

// Bound says how many claims of some services a slot can seat at most.
type Bound struct {
	Services []ServiceCode
	Places   int
	Mine     bool // the claim's own service is one of them
}

// Bounds lists the bounds that decide about one more claim of the service with the given access, in a fixed order. It is
// empty where no pool is open to the claim.
func Bounds(pools []Pool, service ServiceCode, access Access) []Bound {
	if access != AccessStopped && !slices.ContainsFunc(pools, func(p Pool) bool { return p.takes(service, access) }) {
		return nil
	}
	open, masks := poolMasks(pools, access)
	own, ok := masks[service]
	if !ok {
		return nil
	}
	unions := connectedUnions(masks, own)
	services := slices.Sorted(maps.Keys(masks))
	bounds := make([]Bound, 0, len(unions))
	for _, union := range unions {
		b := Bound{Mine: own&^union == 0}
		for _, s := range services {
			if masks[s]&^union == 0 {
				b.Services = append(b.Services, s)
			}
		}
		for i, p := range open {
			if union&(1<<i) != 0 {
				b.Places += p.offered()
			}
		}
		bounds = append(bounds, b)
	}
	return bounds
}

// offered is how many places of a pool a new claim may count on.
func (p Pool) offered() int {
	if p.Access == AccessStopped {
		return p.Kept
	}
	return p.Capacity
}

// poolMasks gives the pools open to an access, stopped ones included, and for each service the set of those that offer it.
func poolMasks(pools []Pool, access Access) (open []Pool, masks map[ServiceCode]uint32) {
	masks = make(map[ServiceCode]uint32)
	for _, p := range pools {
		if p.Access > access && p.Access != AccessStopped {
			continue
		}
		for _, s := range p.Services {
			masks[s] |= 1 << len(open)
		}
		open = append(open, p)
	}
	return open, masks
}

// connectedUnions lists, ascending, every union of services' pool sets within the part of the graph connected to own.
func connectedUnions(masks map[ServiceCode]uint32, own uint32) []uint32 {
	component := own
	for grown := true; grown; {
		grown = false
		for _, m := range masks {
			if m&component != 0 && m&^component != 0 {
				component, grown = component|m, true
			}
		}
	}
	seen := map[uint32]bool{0: true}
	unions := []uint32{0}
	for _, m := range masks {
		if m&component == 0 {
			continue
		}
		for _, u := range slices.Clone(unions) {
			if !seen[u|m] {
				seen[u|m] = true
				unions = append(unions, u|m)
			}
		}
	}
	slices.Sort(unions)
	return unions[1:]
}

// FreeWithin is the number of further claims that would be granted one after the other under the bounds.
func FreeWithin(bounds []Bound, counts Counts) int {
	worst, mine := 0, 0
	first := true
	for _, b := range bounds {
		over := -b.Places
		for _, s := range b.Services {
			over += counts[s]
		}
		worst = max(worst, over)
		if b.Mine && (first || over > mine) {
			mine, first = over, false
		}
	}
	if first {
		return 0
	}
	return worst - mine
}

// Free is the number of further claims of the service that would be granted one after the other.
func Free(pools []Pool, counts Counts, service ServiceCode, access Access) int {
	return FreeWithin(Bounds(pools, service, access), counts)
}

// Seat tells for each claim, in the order given, whether it has a seat. A claim is seated when it can join without
// unseating an earlier one; this also gives the largest number of seated claims (transversal matroids are greedy).
// Every pool takes part, stopped ones included.
func Seat(pools []Pool, claims []ServiceCode) []bool {
	t := newTable(pools, AccessStopped)
	seated := make([]bool, len(claims))
	for i, s := range claims {
		seated[i] = t.seat(s, 1) == 1
	}
	return seated
}

// Joins says whether all new claims can join the live ones at a slot without unseating any: whether the largest number
// of seated claims grows by as many as are new. This is the ledger's own check.
func Joins(pools []Pool, live Counts, joining []ServiceCode) bool {
	t := newTable(pools, AccessStopped)
	for _, s := range slices.Sorted(maps.Keys(live)) {
		t.seat(s, live[s])
	}
	for _, s := range joining {
		if t.seat(s, 1) == 0 {
			return false
		}
	}
	return true
}

// table is a seating under construction: how many claims of each service sit in each pool.
type table struct {
	pools []Pool
	room  []int
	sits  []map[ServiceCode]int
}

func newTable(pools []Pool, access Access) *table {
	t := &table{}
	for _, p := range pools {
		if p.Access <= access {
			t.pools = append(t.pools, p)
			t.room = append(t.room, p.Capacity)
			t.sits = append(t.sits, make(map[ServiceCode]int))
		}
	}
	return t
}

// seat seats up to n claims of a service and returns how many it could.
func (t *table) seat(service ServiceCode, n int) int {
	done := 0
	for done < n {
		k := t.augment(service, n-done)
		if k == 0 {
			break
		}
		done += k
	}
	return done
}

// step is how a search reached a pool: from the pool before (−1: from the new claims), by moving claims of a service.
type step struct {
	from    int
	service ServiceCode
}

// augment looks, breadth first, for a chain of pools along which claims can move up so that new ones find room, and
// moves as many as the narrowest link lets through. Pools with the fewest services come first.
func (t *table) augment(service ServiceCode, want int) int {
	reached := make([]step, len(t.pools))
	seen := make([]bool, len(t.pools))
	var queue []int
	visit := func(from int, s ServiceCode) {
		for i, p := range t.pools {
			if !seen[i] && p.Offers(s) {
				seen[i], reached[i] = true, step{from, s}
				queue = append(queue, i)
			}
		}
	}
	visit(-1, service)
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		if t.room[at] > 0 {
			return t.move(reached, at, want)
		}
		for _, s := range slices.Sorted(maps.Keys(t.sits[at])) {
			visit(at, s)
		}
	}
	return 0
}

// move carries out a chain that ends at a pool with room.
func (t *table) move(reached []step, end, want int) int {
	k := min(want, t.room[end])
	for at := end; reached[at].from >= 0; at = reached[at].from {
		k = min(k, t.sits[reached[at].from][reached[at].service])
	}
	t.room[end] -= k
	for at := end; ; at = reached[at].from {
		s := reached[at]
		t.sits[at][s.service] += k
		if s.from < 0 {
			return k
		}
		if t.sits[s.from][s.service] -= k; t.sits[s.from][s.service] == 0 {
			delete(t.sits[s.from], s.service)
		}
	}
}
