package geo

import "math"

// Neighbour is a place found by an Index.
type Neighbour struct {
	Position       int32
	DistanceMetres float64
}

// Nearest visits the places within radiusMetres of the origin (inclusive), the
// nearest first, places of equal distance by rising position, until visit
// returns false. It does no more work than the visits so far need, so it suits
// a caller that cannot tell in advance how many it will look at; who can, and
// wants the few best, calls NearestK, which is several times faster.
//
// A negative radius, one that is not a number, or an invalid origin finds
// nothing; a radius beyond half the earth's circumference finds everything.
// Distances are those of Point.DistanceMetres up to rounding. Visit may call
// back into the index.
//
// The queue is a heap of nodes and places by squared chord. What leaves it
// first is the nearest of all that is left, since a node is never farther than
// its places. Of equal chords nodes leave before places: they might hold a
// place of that very distance and a lower position.
func (x *Index) Nearest(origin Point, radiusMetres float64, visit func(position int32, distanceMetres float64) (more bool)) {
	within, ok := newReach(origin, radiusMetres)
	if !ok || len(x.nodes) == 0 {
		return
	}
	q, _ := x.queues.Get().(*queue)
	if q == nil {
		q = new(queue)
	}
	defer func() {
		q.items = q.items[:0]
		x.queues.Put(q)
	}()

	from := origin.vector()
	last := 0.0
	q.push(queued{chord: x.nodes[0].chordSquared(&from), ref: ^0})
	for len(q.items) > 0 {
		top := q.pop()
		switch {
		case top.chord > within.outer:
			return
		case top.ref < 0:
			x.open(q, int(^top.ref), from, within)
		default:
			// The arc sine may round a step down where the chord went up.
			last = math.Max(last, metresOfChord(top.chord))
			if last > radiusMetres || !visit(top.position, last) {
				return
			}
		}
	}
}

// open replaces a node by its children, or a leaf by its places.
func (x *Index) open(q *queue, number int, from vector, within reach) {
	n := &x.nodes[number]
	if n.isLeaf() {
		for i := n.from; i < n.to; i++ {
			p := &x.places[i]
			if chord := chordSquared(from, p.at); chord <= within.outer {
				q.push(queued{chord: chord, ref: i, position: p.position})
			}
		}
		return
	}
	for child := 2*number + 1; child <= 2*number+2; child++ {
		if chord := x.nodes[child].chordSquared(&from); chord <= within.outer {
			q.push(queued{chord: chord, ref: ^int32(child)})
		}
	}
}

// NearestK appends to dst the k nearest places within radiusMetres of the
// origin (inclusive) that accept admits, ordered as by Nearest, and returns the
// extended slice; a nil accept admits all. It allocates only to grow dst, and
// calls accept only for places nearer than the k best so far, in no particular
// order, at most once each: accept must give the same answer whenever asked
// during the call, and is best a test of one bit.
//
// Radius and origin are treated as by Nearest; k below 1 finds nothing.
//
// The search descends into the nearer child first and keeps the farther on a
// stack; the k best so far are a heap with the worst on top, in dst itself,
// holding squared chords until the end.
func (x *Index) NearestK(origin Point, radiusMetres float64, k int, accept func(position int32) bool, dst []Neighbour) []Neighbour {
	within, ok := newReach(origin, radiusMetres)
	if !ok || k < 1 || len(x.nodes) == 0 {
		return dst
	}
	type pending struct {
		chord  float64
		number int32
	}
	// Each level leaves at most one sibling behind, and 2^26 places are 23 levels.
	var stack [32]pending
	from := origin.vector()
	start, depth := len(dst), 1
	stack[0] = pending{chord: x.nodes[0].chordSquared(&from), number: 0}
	worst := within.outer
	for depth > 0 {
		depth--
		if stack[depth].chord > worst {
			continue
		}
		number := stack[depth].number
		for !x.nodes[number].isLeaf() {
			near, far := 2*number+1, 2*number+2
			nearChord, farChord := x.nodes[near].chordSquared(&from), x.nodes[far].chordSquared(&from)
			if farChord < nearChord {
				near, far, nearChord, farChord = far, near, farChord, nearChord
			}
			if farChord <= worst {
				stack[depth] = pending{chord: farChord, number: far}
				depth++
			}
			number = near
		}
		dst = x.collect(&x.nodes[number], from, within, k, accept, dst, start)
		if len(dst)-start == k {
			worst = dst[start].DistanceMetres
		}
	}
	finish(dst[start:])
	return dst
}

// collect puts the leaf's places that are among the k best into the heap
// dst[start:]. Most places are too far, so the first comparison alone must
// settle those; the exact rules follow for the rest.
func (x *Index) collect(leaf *node, from vector, within reach, k int, accept func(int32) bool, dst []Neighbour, start int) []Neighbour {
	full := len(dst)-start == k
	limit := within.outer
	if full {
		limit = dst[start].DistanceMetres
	}
	places := x.places[leaf.from:leaf.to]
	for i := range places {
		chord := chordSquared(from, places[i].at)
		if chord > limit {
			continue
		}
		found := Neighbour{Position: places[i].position, DistanceMetres: chord}
		if full && !farther(dst[start], found) || !within.holds(chord) {
			continue
		}
		if accept != nil && !accept(found.Position) {
			continue
		}
		dst = keep(dst, start, k, found)
		if full = len(dst)-start == k; full {
			limit = dst[start].DistanceMetres
		}
	}
	return dst
}

// keep puts a place into the heap dst[start:] of the k best, instead of the worst where there are k.
func keep(dst []Neighbour, start, k int, found Neighbour) []Neighbour {
	if len(dst)-start == k {
		dst[start] = found
		siftDown(dst[start:])
		return dst
	}
	dst = append(dst, found)
	siftUp(dst[start:])
	return dst
}

// finish sorts the heap, nearest first, and turns squared chords into metres.
func finish(heap []Neighbour) {
	for n := len(heap) - 1; n > 0; n-- {
		heap[0], heap[n] = heap[n], heap[0]
		siftDown(heap[:n])
	}
	last := 0.0
	for i := range heap {
		// As in Nearest: never less than the one before.
		last = math.Max(last, metresOfChord(heap[i].DistanceMetres))
		heap[i].DistanceMetres = last
	}
}

func farther(a, b Neighbour) bool {
	if a.DistanceMetres != b.DistanceMetres {
		return a.DistanceMetres > b.DistanceMetres
	}
	return a.Position > b.Position
}

func siftUp(heap []Neighbour) {
	i := len(heap) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !farther(heap[i], heap[parent]) {
			return
		}
		heap[i], heap[parent] = heap[parent], heap[i]
		i = parent
	}
}

func siftDown(heap []Neighbour) {
	i := 0
	for {
		child := 2*i + 1
		if child >= len(heap) {
			return
		}
		if child+1 < len(heap) && farther(heap[child+1], heap[child]) {
			child++
		}
		if !farther(heap[child], heap[i]) {
			return
		}
		heap[i], heap[child] = heap[child], heap[i]
		i = child
	}
}

// reach is a radius as squared chords: surely inside up to inner, surely
// outside beyond outer, and in between (a rounding error wide) the distance in
// metres decides, so that a radius copied from a found distance finds it again.
type reach struct {
	radiusMetres float64
	inner, outer float64
}

func newReach(origin Point, radiusMetres float64) (reach, bool) {
	if !origin.valid() || !(radiusMetres >= 0) {
		return reach{}, false
	}
	if radiusMetres >= math.Pi*EarthRadiusMetres {
		return reach{radiusMetres: radiusMetres, inner: math.Inf(1), outer: math.Inf(1)}, true
	}
	half := math.Sin(radiusMetres / (2 * EarthRadiusMetres))
	chord := 4 * half * half
	return reach{radiusMetres: radiusMetres, inner: chord * (1 - 1e-9), outer: chord * (1 + 1e-9)}, true
}

func (r reach) holds(chord float64) bool {
	return chord < r.inner || chord <= r.outer && metresOfChord(chord) <= r.radiusMetres
}

// queue is a binary heap, least chord first. container/heap would box each item.
type queue struct{ items []queued }

type queued struct {
	chord    float64
	ref      int32 // a place, or ^node
	position int32
}

func (a queued) before(b queued) bool {
	if a.chord != b.chord {
		return a.chord < b.chord
	}
	if (a.ref < 0) != (b.ref < 0) {
		return a.ref < 0
	}
	return a.position < b.position
}

func (q *queue) push(item queued) {
	q.items = append(q.items, item)
	i := len(q.items) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !item.before(q.items[parent]) {
			break
		}
		q.items[i] = q.items[parent]
		i = parent
	}
	q.items[i] = item
}

func (q *queue) pop() queued {
	top := q.items[0]
	last := len(q.items) - 1
	item := q.items[last]
	q.items = q.items[:last]
	i := 0
	for {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && q.items[child+1].before(q.items[child]) {
			child++
		}
		if !q.items[child].before(item) {
			break
		}
		q.items[i] = q.items[child]
		i = child
	}
	if last > 0 {
		q.items[i] = item
	}
	return top
}
