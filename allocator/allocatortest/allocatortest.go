// Package allocatortest has what tests of the allocator share. Its folders hold the conformance suites of the ports, the
// models, and decorators that make calls fail.
package allocatortest

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"sync"

	"muster/allocator"
)

// Postcodes knows one postcode, by name.
type Postcodes map[string][2]float64

// Locate implements allocator.Postcodes.
func (p Postcodes) Locate(postcode string) (string, float64, float64, string, bool) {
	postcode = strings.ToUpper(strings.TrimSpace(postcode))
	at, ok := p[postcode]
	return postcode, at[0], at[1], "unit", ok
}

// Nearest finds points by looking at all of them.
type Nearest struct{}

// Index implements allocator.Nearest.
func (Nearest) Index(lats, lons []float64) allocator.NearestIndex {
	return points{slices.Clone(lats), slices.Clone(lons)}
}

type points struct{ lats, lons []float64 }

// Visit implements allocator.NearestIndex.
func (p points) Visit(lat, lon, radius float64, visit func(int, float64) bool) {
	type found struct {
		position int
		metres   float64
	}
	var all []found
	for i := range p.lats {
		if d := metres(lat, lon, p.lats[i], p.lons[i]); d <= radius {
			all = append(all, found{i, d})
		}
	}
	slices.SortFunc(all, func(a, b found) int {
		return cmp.Or(cmp.Compare(a.metres, b.metres), cmp.Compare(a.position, b.position))
	})
	for _, f := range all {
		if !visit(f.position, f.metres) {
			return
		}
	}
}

// Marks implements allocator.NearestIndex.
func (p points) Marks() allocator.PointMarks {
	return &marks{points: p, without: make(map[int]bool)}
}

// marks looks at all points, and leaves out some.
type marks struct {
	points
	mu      sync.Mutex
	without map[int]bool
}

func (m *marks) Set(position int) { m.put(position, false) }

func (m *marks) Unset(position int) { m.put(position, true) }

func (m *marks) put(position int, without bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.without[position] = without
}

func (m *marks) Nearest(lat, lon, radius float64, k int, dst []allocator.PointFound) []allocator.PointFound {
	m.mu.Lock()
	defer m.mu.Unlock()
	room := len(dst) + k
	m.Visit(lat, lon, radius, func(position int, metres float64) bool {
		if !m.without[position] && len(dst) < room {
			dst = append(dst, allocator.PointFound{Position: position, DistanceMetres: metres})
		}
		return len(dst) < room
	})
	return dst
}

func metres(lat1, lon1, lat2, lon2 float64) float64 {
	const radius, degree = 6_371_008.8, math.Pi / 180
	s := math.Pow(math.Sin((lat2-lat1)*degree/2), 2) + math.Cos(lat1*degree)*math.Cos(lat2*degree)*math.Pow(math.Sin((lon2-lon1)*degree/2), 2)
	return 2 * radius * math.Asin(math.Sqrt(min(1, s)))
}

// NHSNumber makes a valid NHS number of the test range 999… from a counter.
func NHSNumber(n int) string {
	for {
		digits := []byte{'9', '9', '9'}
		for i, m := 0, n; i < 6; i++ {
			digits = append(digits, byte('0'+m%10))
			m /= 10
		}
		for check := byte('0'); check <= '9'; check++ {
			if number, ok := allocator.ValidNHSNumber(string(append(slices.Clone(digits), check))); ok {
				return number
			}
		}
		n += 500_000 // no check digit fits: take another
	}
}
