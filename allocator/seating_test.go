package allocator

import (
	"fmt"
	"math/bits"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The oracle: a graph's seatable counts are the sums of what each pool alone can seat. It knows neither augmenting paths
// nor bounds.

const oracleServices, oracleClaims = 4, 8

var serviceNames = [oracleServices]ServiceCode{"A", "B", "C", "D"}

type countVector [oracleServices]int8

func (v countVector) total() (n int) {
	for _, k := range v {
		n += int(k)
	}
	return n
}

func (v countVector) counts() Counts {
	c := Counts{}
	for i, k := range v {
		if k > 0 {
			c[serviceNames[i]] = int(k)
		}
	}
	return c
}

// graph is pools as (set of services as bits, capacity).
type graph []struct {
	set      uint8
	capacity int
}

func (g graph) pools() []Pool {
	pools := make([]Pool, len(g))
	for i, p := range g {
		for s := range oracleServices {
			if p.set&(1<<s) != 0 {
				pools[i].Services = append(pools[i].Services, serviceNames[s])
			}
		}
		pools[i].Capacity = p.capacity
	}
	slices.SortFunc(pools, comparePools)
	return pools
}

// ranks gives, for every count vector of up to `most` claims, how many of them can sit at once.
func (g graph) ranks(most int) map[countVector]int {
	seatable := map[countVector]bool{{}: true}
	for _, p := range g {
		next := make(map[countVector]bool)
		for v := range seatable {
			fill(v, p.set, p.capacity, most, func(w countVector) { next[w] = true })
		}
		seatable = next
	}
	ranks := make(map[countVector]int)
	fill(countVector{}, 1<<oracleServices-1, most, most, func(v countVector) { ranks[v] = -1 })
	var rank func(v countVector) int
	rank = func(v countVector) int {
		if r := ranks[v]; r >= 0 {
			return r
		}
		best := 0
		if seatable[v] {
			best = v.total()
		} else {
			for s := range v {
				if v[s] > 0 {
					w := v
					w[s]--
					best = max(best, rank(w))
				}
			}
		}
		ranks[v] = best
		return best
	}
	for v := range ranks {
		rank(v)
	}
	return ranks
}

// fill visits v with up to n more claims of the services of a set, each result once or more.
func fill(v countVector, set uint8, n, most int, visit func(countVector)) {
	if set == 0 || n == 0 || v.total() >= most {
		visit(v)
		return
	}
	s := bits.TrailingZeros8(set)
	for k := 0; k <= n && v.total() <= most; k++ {
		fill(v, set&^(1<<s), n-k, most, visit)
		v[s]++
	}
}

// check compares every answer of the seating rule on a graph with the oracle's.
func check(t interface{ Fatalf(string, ...any) }, g graph) {
	pools := g.pools()
	ranks := g.ranks(oracleClaims)
	bounds := make([][]Bound, oracleServices)
	for s, name := range serviceNames {
		bounds[s] = Bounds(pools, name, AccessPublic)
	}
	for v, rank := range ranks {
		counts := v.counts()
		for s, name := range serviceNames {
			want := 0
			for w, r := v, rank; w.total() < oracleClaims; {
				w[s]++
				if ranks[w] == r {
					break
				}
				want, r = want+1, ranks[w]
			}
			got := FreeWithin(bounds[s], counts)
			if v.total()+want < oracleClaims && got != want || got < want {
				t.Fatalf("graph %v, claims %v: free for %s is %d by bounds, %d by brute force", g, v, name, got, want)
			}
			if v.total() < oracleClaims {
				if joins := Joins(pools, counts, []ServiceCode{name}); joins != (want > 0) {
					t.Fatalf("graph %v, claims %v: one more %s joins: %v by matching, %v by brute force", g, v, name, joins, want > 0)
				}
			}
		}
	}
}

// TestSeatingEverySmallGraph tries every graph of up to four pools over up to four services with one or two places each,
// up to renaming of services, and every multiset of up to eight claims. The race detector makes it ten times as long and
// tells nothing of pure code, so then only a part is tried.
func TestSeatingEverySmallGraph(t *testing.T) {
	tried := 0
	var extend func(g graph, least uint8)
	extend = func(g graph, least uint8) {
		if len(g) > 0 && canonical(g) {
			for caps := range 1 << len(g) {
				h := slices.Clone(g)
				for i := range h {
					h[i].capacity = 1 + caps>>i&1
				}
				if tried++; !raceEnabled || tried%40 == 0 {
					check(t, h)
				}
			}
		}
		if len(g) == 4 {
			return
		}
		for set := least; set < 1<<oracleServices; set++ {
			extend(append(slices.Clone(g), struct {
				set      uint8
				capacity int
			}{set, 1}), set)
		}
	}
	extend(nil, 1)
	t.Logf("%d graphs", tried)
	if tried < 1000 {
		t.Fatalf("only %d graphs", tried)
	}
}

// canonical says whether no renaming of the services makes the sorted list of sets smaller.
func canonical(g graph) bool {
	own := make([]uint8, len(g))
	for i := range g {
		own[i] = g[i].set
	}
	ok := true
	permute([]int{0, 1, 2, 3}, 0, func(p []int) {
		renamed := make([]uint8, len(own))
		for i, set := range own {
			for s := range oracleServices {
				if set&(1<<s) != 0 {
					renamed[i] |= 1 << p[s]
				}
			}
		}
		slices.Sort(renamed)
		ok = ok && slices.Compare(own, renamed) <= 0
	})
	return ok
}

func permute(p []int, at int, visit func([]int)) {
	if at == len(p) {
		visit(p)
		return
	}
	for i := at; i < len(p); i++ {
		p[at], p[i] = p[i], p[at]
		permute(p, at+1, visit)
		p[at], p[i] = p[i], p[at]
	}
}

// TestSeatTakesEarlierFirst: the seated claims are those that join in order, each without unseating an earlier one.
func TestSeatTakesEarlierFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawGraph(t)
		ranks := g.ranks(oracleClaims)
		claims := rapid.SliceOfN(rapid.IntRange(0, oracleServices-1), 0, oracleClaims).Draw(t, "claims")
		var v countVector
		services := make([]ServiceCode, len(claims))
		want := make([]bool, len(claims))
		for i, s := range claims {
			services[i] = serviceNames[s]
			before := ranks[v]
			v[s]++
			if want[i] = ranks[v] > before; !want[i] {
				v[s]--
			}
		}
		if got := Seat(g.pools(), services); !slices.Equal(got, want) {
			t.Fatalf("graph %v, claims %v: seated %v, want %v", g, services, got, want)
		}
	})
}

func drawGraph(t *rapid.T) graph {
	var g graph
	for i := range rapid.IntRange(0, 4).Draw(t, "pools") {
		g = append(g, struct {
			set      uint8
			capacity int
		}{uint8(rapid.IntRange(1, 15).Draw(t, fmt.Sprint("set", i))), rapid.IntRange(0, 3).Draw(t, fmt.Sprint("capacity", i))})
	}
	return g
}

// TestSeatingExample is the example of the protocol that a greedy engine gets wrong.
func TestSeatingExample(t *testing.T) {
	pools := []Pool{
		{Services: []ServiceCode{"Blue", "Green"}, Capacity: 1},
		{Services: []ServiceCode{"Green", "Orange"}, Capacity: 1},
		{Services: []ServiceCode{"Blue", "Orange"}, Capacity: 1},
	}
	live := Counts{}
	for _, s := range []ServiceCode{"Blue", "Orange", "Blue"} {
		if Free(pools, live, s, AccessPublic) < 1 {
			t.Fatalf("%s is refused beside %v", s, live)
		}
		live[s]++
	}
	for _, s := range []ServiceCode{"Blue", "Green", "Orange"} {
		if n := Free(pools, live, s, AccessPublic); n != 0 {
			t.Errorf("%d more %s fit in a full slot", n, s)
		}
	}
}

// TestSeatingStopped: a stopped session keeps the places of what it had, leaves the others all of theirs, never takes what
// was booked later, and somebody new needs an open one.
func TestSeatingStopped(t *testing.T) {
	session := func(stopped bool) Session {
		return Session{From: 540, Until: 550, SlotLength: 10, Capacity: 3, Services: []ServiceCode{"A"}, Stopped: stopped}
	}
	slot := SlotID{"S", 20_000*1440 + 540, 10}
	st := &PublishState{SiteKnown: true, Current: Day{Site: "S", Date: 20_000, Revision: 1, Sessions: []Session{session(false), session(false)}}}
	live := func(n int) {
		st.Live = nil
		for i := range n {
			st.Live = append(st.Live, Booking{Key: BookingKey(i + 1), Slot: slot, Date: 20_000, Service: "A", Status: StatusBooked})
		}
	}
	publish := func(sessions ...Session) []Pool {
		_, r := DecidePublish(st, &DayChange{Day: Day{Site: "S", Date: 20_000, Sessions: sessions}, Zone: time.UTC})
		st.Current = r.Current
		s, _ := st.Current.Slot(slot, time.UTC)
		return s.Pools
	}
	free := func(what string, pools []Pool, want int) {
		t.Helper()
		if got := Free(pools, Counts{"A": len(st.Live)}, "A", AccessPublic); got != want {
			t.Errorf("%s: %d free, want %d", what, got, want)
		}
	}
	live(2)
	free("one of two stopped, with two bookings", publish(session(false), session(true)), 3)
	live(5)
	open := session(false)
	open.Until = 560 // any change
	free("changed when full", publish(open, session(true)), 0)
	live(1)
	free("after four cancelled", publish(open, session(true)), 4)
	if seated := Seat(st.Current.Slots(time.UTC)[0].Pools, []ServiceCode{"A", "A", "A", "A", "A", "A", "A"}); !slices.Equal(seated, []bool{true, true, true, true, true, true, false}) {
		t.Errorf("who has a claim already may sit up to the full capacity: %v", seated)
	}
	free("all stopped", publish(session(true), session(true)), 0)
	if bounds := Bounds(publish(session(true), session(true)), "A", AccessPublic); bounds != nil {
		t.Errorf("a stopped slot is open by %v", bounds)
	}
}

// TestSeatingInvited: invited people use public places too, and the public never theirs.
func TestSeatingInvited(t *testing.T) {
	pools := []Pool{
		{Services: []ServiceCode{"A"}, Capacity: 1},
		{Services: []ServiceCode{"A"}, Capacity: 1, Access: AccessInvited},
	}
	if got := Free(pools, Counts{}, "A", AccessPublic); got != 1 {
		t.Errorf("public: %d free, want 1", got)
	}
	if got := Free(pools, Counts{}, "A", AccessInvited); got != 2 {
		t.Errorf("invited: %d free, want 2", got)
	}
}

// TestSeatingUnsupported: where a cut left claims without a seat, what they could not use may still be granted, and what
// they could may not.
func TestSeatingUnsupported(t *testing.T) {
	pools := []Pool{
		{Services: []ServiceCode{"A"}, Capacity: 1},
		{Services: []ServiceCode{"B"}, Capacity: 2},
	}
	live := Counts{"A": 3, "C": 1}
	if got := Free(pools, live, "B", AccessPublic); got != 2 {
		t.Errorf("B: %d free, want 2", got)
	}
	if got := Free(pools, live, "A", AccessPublic); got != 0 {
		t.Errorf("A: %d free, want 0", got)
	}
	if got := Free(pools, live, "C", AccessPublic); got != 0 {
		t.Errorf("C: %d free, want 0: no pool offers it", got)
	}
}

func BenchmarkFreeWithin(b *testing.B) {
	g := graph{{0b0011, 5}, {0b0110, 5}, {0b1100, 5}}
	bounds := Bounds(g.pools(), "B", AccessPublic)
	counts := Counts{"A": 3, "B": 4, "C": 2}
	b.ReportAllocs()
	for b.Loop() {
		FreeWithin(bounds, counts)
	}
}
