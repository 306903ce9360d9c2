package geo

import (
	"cmp"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// bruteForce is what the index must find: everything, sorted by squared chord
// and position, within the radius.
func bruteForce(places []Place, origin Point, radiusMetres float64, accept func(int32) bool) []Neighbour {
	within, ok := newReach(origin, radiusMetres)
	if !ok {
		return nil
	}
	var found []Neighbour
	for _, p := range places {
		chord := chordSquared(origin.vector(), p.Point.vector())
		if within.holds(chord) && (accept == nil || accept(p.Position)) {
			found = append(found, Neighbour{p.Position, chord})
		}
	}
	slices.SortFunc(found, func(a, b Neighbour) int {
		return cmp.Or(cmp.Compare(a.DistanceMetres, b.DistanceMetres), cmp.Compare(a.Position, b.Position))
	})
	last := 0.0
	for i := range found {
		last = math.Max(last, metresOfChord(found[i].DistanceMetres))
		found[i].DistanceMetres = last
	}
	return found
}

func drawPlaces(t *rapid.T) []Place {
	places := make([]Place, rapid.IntRange(0, 120).Draw(t, "places"))
	for i := range places {
		places[i] = Place{Position: int32(i*7 - 50), Point: drawPoint(t, "place")}
		if i > 0 && rapid.IntRange(0, 9).Draw(t, "repeat") == 0 {
			places[i].Point = places[rapid.IntRange(0, i-1).Draw(t, "of")].Point
		}
	}
	rand.New(rand.NewPCG(1, uint64(len(places)))).Shuffle(len(places), func(i, j int) {
		places[i], places[j] = places[j], places[i]
	})
	return places
}

func drawRadius(t *rapid.T, places []Place, origin Point) float64 {
	switch rapid.IntRange(0, 4).Draw(t, "radius kind") {
	case 0:
		return rapid.SampledFrom([]float64{0, 1, 1e3, 5e4, 1e7, 2e7, 2.1e7, 1e9, math.Inf(1)}).Draw(t, "radius")
	case 1: // exactly that of a place
		if len(places) > 0 {
			p := places[rapid.IntRange(0, len(places)-1).Draw(t, "radius of")]
			return metresOfChord(chordSquared(origin.vector(), p.Point.vector()))
		}
	}
	return rapid.Float64Range(0, 2.2e7).Draw(t, "radius")
}

func nearestAll(x *Index, origin Point, radiusMetres float64) []Neighbour {
	var found []Neighbour
	x.Nearest(origin, radiusMetres, func(position int32, metres float64) bool {
		found = append(found, Neighbour{position, metres})
		return true
	})
	return found
}

func TestIndexFindsWhatBruteForceFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		places := drawPlaces(t)
		x, err := NewIndex(places)
		if err != nil {
			t.Fatal(err)
		}
		origin := drawPoint(t, "origin")
		radius := drawRadius(t, places, origin)
		want := bruteForce(places, origin, radius, nil)
		if got := nearestAll(x, origin, radius); !slices.Equal(got, want) {
			t.Fatalf("Nearest(%v, %v)\n got %v\nwant %v", origin, radius, got, want)
		}

		modulus := rapid.Int32Range(1, 5).Draw(t, "modulus")
		accept := func(position int32) bool { return position%modulus == 0 }
		want = bruteForce(places, origin, radius, accept)
		k := rapid.IntRange(0, 130).Draw(t, "k")
		kept := []Neighbour{{Position: 99, DistanceMetres: 3}}
		got := x.NearestK(origin, radius, k, accept, kept)
		if got[0] != kept[0] || !slices.Equal(got[1:], want[:min(k, len(want))]) {
			t.Fatalf("NearestK(%v, %v, %d)\n got %v\nwant %v", origin, radius, k, got[1:], want)
		}
	})
}

func TestIndexAgreesWithHaversine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		places := drawPlaces(t)
		x, _ := NewIndex(places)
		origin := drawPoint(t, "origin")
		radius := rapid.Float64Range(0, 2.2e7).Draw(t, "radius")
		found := map[int32]float64{}
		last := 0.0
		for _, n := range nearestAll(x, origin, radius) {
			if n.DistanceMetres < last || n.DistanceMetres > radius {
				t.Fatalf("%v m after %v m within %v m", n.DistanceMetres, last, radius)
			}
			last = n.DistanceMetres
			found[n.Position] = n.DistanceMetres
		}
		for _, p := range places {
			metres := origin.DistanceMetres(p.Point)
			got, ok := found[p.Position]
			if ok && math.Abs(got-metres) > toleranceMetres(metres) {
				t.Fatalf("%v: %v m, haversine %v m", p, got, metres)
			}
			if outside := metres - radius; !ok && outside < -toleranceMetres(metres) {
				t.Fatalf("%v at %v m is missing within %v m", p, metres, radius)
			}
		}
	})
}

func TestIndexEdges(t *testing.T) {
	visited := func(x *Index, origin Point, radius float64) []int32 {
		var positions []int32
		for _, n := range nearestAll(x, origin, radius) {
			positions = append(positions, n.Position)
		}
		return positions
	}
	empty, err := NewIndex(nil)
	if err != nil || empty.Len() != 0 {
		t.Fatal(empty.Len(), err)
	}
	for _, x := range []*Index{empty, {}} {
		if got := visited(x, Point{}, math.Inf(1)); got != nil {
			t.Errorf("empty index found %v", got)
		}
		if got := x.NearestK(Point{}, 1e9, 5, nil, nil); got != nil {
			t.Errorf("empty index found %v", got)
		}
	}

	// Thirty of one place, the poles by two names each, both sides of the antimeridian.
	var places []Place
	for i := range int32(30) {
		places = append(places, Place{29 - i, Point{53.8, -1.5}})
	}
	places = append(places,
		Place{100, Point{90, 10}}, Place{101, Point{90, -120}},
		Place{102, Point{5, 180}}, Place{103, Point{5, -180}}, Place{104, Point{5, -179.999}})
	x, err := NewIndex(places)
	if err != nil || x.Len() != 35 {
		t.Fatal(x.Len(), err)
	}
	ascending := make([]int32, 30)
	for i := range ascending {
		ascending[i] = int32(i)
	}
	nan := math.NaN()
	for _, c := range []struct {
		name   string
		origin Point
		radius float64
		want   []int32
	}{
		{"radius 0, duplicates by position", Point{53.8, -1.5}, 0, ascending},
		{"radius 0, nothing there", Point{53.8, -1.50001}, 0, nil},
		{"the pole by a third name", Point{90, 77}, 0, []int32{100, 101}},
		{"the antimeridian", Point{5, -180}, 0, []int32{102, 103}},
		{"across the antimeridian", Point{5, 179.999}, 500, []int32{102, 103, 104}},
		{"negative radius", Point{53.8, -1.5}, -1, nil},
		{"radius not a number", Point{53.8, -1.5}, nan, nil},
		{"origin not a number", Point{nan, -1.5}, 1e9, nil},
		{"origin off the earth", Point{91, 0}, 1e9, nil},
	} {
		if got := visited(x, c.origin, c.radius); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if got := visited(x, Point{-53.8, 178.5}, 3e7); len(got) != 35 {
		t.Errorf("radius larger than the earth: %d of 35", len(got))
	}
	if got := x.NearestK(Point{53.8, -1.5}, 0, 3, nil, nil); len(got) != 3 || got[0].Position != 0 || got[2].Position != 2 {
		t.Errorf("three of thirty duplicates: %v", got)
	}
	for _, k := range []int{0, -1} {
		if got := x.NearestK(Point{53.8, -1.5}, 1e9, k, nil, nil); got != nil {
			t.Errorf("k %d: %v", k, got)
		}
	}
}

func TestNewIndexNamesBadPlaces(t *testing.T) {
	_, err := NewIndex([]Place{{1, Point{0, 0}}, {7, Point{91, 0}}, {8, Point{0, math.NaN()}}})
	if !errors.Is(err, ErrPointInvalid) {
		t.Fatal(err)
	}
	const want = "position 7: geo: point invalid: latitude 91 is outside -90…90 degrees\n" +
		"position 8: geo: point invalid: longitude NaN is outside -180…180 degrees"
	if err.Error() != want {
		t.Errorf("got  %q\nwant %q", err, want)
	}
}

func TestNearestStopsWhenTold(t *testing.T) {
	x, _ := benchIndex(t, 1000)
	visits := 0
	x.Nearest(Point{53, -1.5}, 1e9, func(int32, float64) bool {
		visits++
		return visits < 5
	})
	if visits != 5 {
		t.Errorf("%d visits after the fifth said no", visits)
	}
}

func TestIndexConcurrently(t *testing.T) {
	x, places := benchIndex(t, 2000)
	want := bruteForce(places, Point{52, -1}, 80_000, nil)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 20 {
				got := nearestAll(x, Point{52, -1}, 80_000)
				k := x.NearestK(Point{52, -1}, 80_000, len(want), nil, nil)
				if !slices.Equal(got, want) || !slices.Equal(k, want) {
					t.Error("differs from brute force")
				}
				// A search within a search must not share its queue.
				x.Nearest(Point{52, -1}, 80_000, func(position int32, _ float64) bool {
					inner := x.NearestK(Point{52, -1}, 80_000, 1, nil, nil)
					x.Nearest(Point{52, -1}, 80_000, func(innermost int32, _ float64) bool {
						if innermost != position || inner[0].Position != position {
							t.Error("nested search differs")
						}
						return false
					})
					return false
				})
			}
		})
	}
	group.Wait()
}

func TestNearestKAllocatesNothing(t *testing.T) {
	x, _ := benchIndex(t, 10_000)
	dst := make([]Neighbour, 0, 10)
	allocations := testing.AllocsPerRun(100, func() {
		dst = x.NearestK(Point{52.5, -1.5}, 1e6, 10, func(position int32) bool { return position%20 == 0 }, dst[:0])
	})
	if allocations != 0 || len(dst) != 10 {
		t.Errorf("%v allocations, %d found", allocations, len(dst))
	}
}
