package geo

import (
	"math/rand/v2"
	"strconv"
	"testing"
)

// benchIndex spreads places like people: at random postcodes.
func benchIndex(t testing.TB, n int) (*Index, []Place) {
	t.Helper()
	postcodes := embedded(t)
	random := rand.New(rand.NewPCG(7, 11))
	places := make([]Place, n)
	for i := range places {
		places[i] = Place{int32(i), postcodes.At(random.IntN(postcodes.Len())).Point}
	}
	x, err := NewIndex(places)
	if err != nil {
		t.Fatal(err)
	}
	return x, places
}

// benchOrigins are 1,024 random postcodes.
func benchOrigins(b *testing.B) []Point {
	postcodes := embedded(b)
	random := rand.New(rand.NewPCG(13, 17))
	origins := make([]Point, 1024)
	for i := range origins {
		origins[i] = postcodes.At(random.IntN(postcodes.Len())).Point
	}
	return origins
}

// acceptedShare marks a random share (in percent) of the positions.
func acceptedShare(n, percent int) []bool {
	random := rand.New(rand.NewPCG(19, 23))
	accepted := make([]bool, n)
	for i := range accepted {
		accepted[i] = random.IntN(100) < percent
	}
	return accepted
}

func BenchmarkNearestK(b *testing.B) {
	origins := benchOrigins(b)
	for _, c := range []struct{ places, percent int }{
		{1_000, 5}, {10_000, 100}, {10_000, 5}, {10_000, 1}, {100_000, 5},
	} {
		x, _ := benchIndex(b, c.places)
		accepted := acceptedShare(c.places, c.percent)
		b.Run("places="+strconv.Itoa(c.places)+"/accepted="+strconv.Itoa(c.percent)+"%", func(b *testing.B) {
			b.ReportAllocs()
			dst := make([]Neighbour, 0, 10)
			for i := 0; b.Loop(); i++ {
				dst = x.NearestK(origins[i%len(origins)], 1e6, 10, func(p int32) bool { return accepted[p] }, dst[:0])
			}
		})
	}
}

func BenchmarkNearest(b *testing.B) {
	origins := benchOrigins(b)
	x, _ := benchIndex(b, 10_000)
	accepted := acceptedShare(10_000, 5)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		found := 0
		x.Nearest(origins[i%len(origins)], 1e6, func(p int32, _ float64) bool {
			if accepted[p] {
				found++
			}
			return found < 10
		})
	}
}

// BenchmarkBruteForce is what the index is to be compared with: a scan of the
// same points into the same heap.
func BenchmarkBruteForce(b *testing.B) {
	origins := benchOrigins(b)
	x, _ := benchIndex(b, 10_000)
	accepted := acceptedShare(10_000, 5)
	everything := node{from: 0, to: int32(len(x.places))}
	b.ReportAllocs()
	dst := make([]Neighbour, 0, 10)
	for i := 0; b.Loop(); i++ {
		origin := origins[i%len(origins)]
		within, _ := newReach(origin, 1e6)
		dst = x.collect(&everything, origin.vector(), within, 10, func(p int32) bool { return accepted[p] }, dst[:0], 0)
		finish(dst)
	}
}

func BenchmarkNewIndex(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		_, places := benchIndex(b, n)
		b.Run("places="+strconv.Itoa(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := NewIndex(places); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// With few postcodes their pages stay in the processor's caches, with many not.
func BenchmarkPostcodesLookup(b *testing.B) {
	postcodes := embedded(b)
	for _, n := range []int{16, 1 << 14} {
		random := rand.New(rand.NewPCG(29, 31))
		texts := make([]string, n)
		for i := range texts {
			texts[i] = postcodes.At(random.IntN(postcodes.Len())).Postcode
		}
		b.Run("postcodes="+strconv.Itoa(n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := postcodes.Lookup(texts[i%len(texts)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParsePostcode(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParsePostcode("ls1 4ap"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPostcodesAt(b *testing.B) {
	postcodes := embedded(b)
	random := rand.New(rand.NewPCG(37, 41))
	b.ReportAllocs()
	for b.Loop() {
		postcodes.At(random.IntN(postcodes.Len()))
	}
}

func BenchmarkEmbeddedPostcodes(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := EmbeddedPostcodes(); err != nil {
			b.Fatal(err)
		}
	}
}
