package geo

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// TestMarksFindWhatBruteForceFinds: whatever is set and unset in whatever order, and the path above is as whole as in a new set.
func TestMarksFindWhatBruteForceFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		places := drawPlaces(t)
		x, err := NewIndex(places)
		if err != nil {
			t.Fatal(err)
		}
		marks := x.Marks()
		marked := make(map[int32]bool)
		for _, p := range places {
			marked[p.Position] = true
		}
		for step := range rapid.IntRange(0, 60).Draw(t, "steps") {
			if len(places) > 0 && step%4 != 3 {
				from := rapid.IntRange(0, len(places)-1).Draw(t, "from")
				set := rapid.Bool().Draw(t, "set")
				for _, p := range places[from : from+rapid.IntRange(1, len(places)-from).Draw(t, "many")] {
					changed := false
					if set {
						changed = marks.Set(p.Position)
					} else {
						changed = marks.Unset(p.Position)
					}
					if changed != (marked[p.Position] != set) || marks.Has(p.Position) != set {
						t.Fatalf("position %d: changed %v, was %v, set %v", p.Position, changed, marked[p.Position], set)
					}
					marked[p.Position] = set
				}
			}
			origin := drawPoint(t, "origin")
			radius := drawRadius(t, places, origin)
			k := rapid.IntRange(0, 130).Draw(t, "k")
			want := bruteForce(places, origin, radius, func(position int32) bool { return marked[position] })
			got := marks.NearestK(origin, radius, k, []Neighbour{{Position: 99}})
			if got[0].Position != 99 || !slices.Equal(got[1:], want[:min(k, len(want))]) {
				t.Fatalf("NearestK(%v, %v, %d)\n got %v\nwant %v", origin, radius, k, got[1:], want)
			}
		}
	})
}

func TestMarksOfUnknownPositions(t *testing.T) {
	x, _ := benchIndex(t, 10)
	marks := x.Marks()
	if marks.Set(77) || marks.Unset(-1) || marks.Has(10) {
		t.Error("a position that is not there was changed")
	}
	if empty := new(Index).Marks(); empty.Set(1) || len(empty.NearestK(Point{}, 1e9, 3, nil)) != 0 {
		t.Error("an empty index has marks")
	}
}

// TestMarksConcurrently: what nobody touches is found at any time, in order, and after Set returned so is what was set.
func TestMarksConcurrently(t *testing.T) {
	x, places := benchIndex(t, 3000)
	marks := x.Marks()
	var group sync.WaitGroup
	for worker := range int32(4) {
		group.Go(func() {
			for round := range 300 {
				position := int32(round%700)*4 + worker
				if position%10 == 0 {
					continue // never touched
				}
				marks.Unset(position)
				origin := places[position].Point
				if found := marks.NearestK(origin, 0, 3000, nil); slices.ContainsFunc(found, func(n Neighbour) bool { return n.Position == position }) {
					t.Errorf("%d is found after Unset", position)
				}
				marks.Set(position)
				if found := marks.NearestK(origin, 0, 3000, nil); !slices.ContainsFunc(found, func(n Neighbour) bool { return n.Position == position }) {
					t.Errorf("%d is not found after Set", position)
				}
			}
		})
	}
	for round := range 100 {
		found := marks.NearestK(places[round].Point, 1e9, 3000, nil)
		steady := 0
		for i, n := range found {
			if n.Position%10 == 0 {
				steady++
			}
			if i > 0 && n.DistanceMetres < found[i-1].DistanceMetres {
				t.Fatal("out of order")
			}
		}
		if steady != 300 {
			t.Fatalf("%d of 300 places that nobody touched", steady)
		}
	}
	group.Wait()
}

func TestMarksAllocateNothing(t *testing.T) {
	x, _ := benchIndex(t, 10_000)
	marks := x.Marks()
	dst := make([]Neighbour, 0, 10)
	allocations := testing.AllocsPerRun(100, func() {
		marks.Unset(17)
		marks.Set(17)
		dst = marks.NearestK(Point{52.5, -1.5}, 1e6, 10, dst[:0])
	})
	if allocations != 0 || len(dst) != 10 {
		t.Errorf("%v allocations, %d found", allocations, len(dst))
	}
}

// BenchmarkMarksNearestK finds the 10 nearest of those marked while another goroutine moves marks, 5,000 or so a second being
// the surge's pace and this as fast as it can.
func BenchmarkMarksNearestK(b *testing.B) {
	origins := benchOrigins(b)
	for _, c := range []struct {
		places, percent int
		changing        bool
	}{{10_000, 100, false}, {10_000, 5, false}, {10_000, 5, true}, {10_000, 1, false}, {10_000, 0, false}, {100_000, 5, false}} {
		x, _ := benchIndex(b, c.places)
		marks := x.Marks()
		for i, accepted := range acceptedShare(c.places, c.percent) {
			if !accepted {
				marks.Unset(int32(i))
			}
		}
		name := "places=" + strconv.Itoa(c.places) + "/marked=" + strconv.Itoa(c.percent) + "%"
		if c.changing {
			name += "/changing"
		}
		b.Run(name, func(b *testing.B) {
			stop := moveMarks(marks, c.places, c.changing)
			defer stop()
			b.ReportAllocs()
			var next atomic.Uint64
			b.RunParallel(func(pb *testing.PB) {
				dst := make([]Neighbour, 0, 10)
				for i := next.Add(1) * 77; pb.Next(); i++ {
					dst = marks.NearestK(origins[i%uint64(len(origins))], 1e5, 10, dst[:0])
				}
			})
		})
	}
}

// moveMarks takes marks from places that have one to places that have none, without end.
func moveMarks(marks *Marks, places int, changing bool) (stop func()) {
	if !changing {
		return func() {}
	}
	var ended atomic.Bool
	var group sync.WaitGroup
	group.Go(func() {
		random := rand.New(rand.NewPCG(43, 47))
		for !ended.Load() {
			from, to := int32(random.IntN(places)), int32(random.IntN(places))
			if marks.Has(from) && marks.Set(to) {
				marks.Unset(from)
			}
		}
	})
	return func() { ended.Store(true); group.Wait() }
}
