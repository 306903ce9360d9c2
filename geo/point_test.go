package geo

import (
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPointValidate(t *testing.T) {
	for _, p := range []Point{{}, {90, 180}, {-90, -180}, {53.79617, -1.55254}} {
		if err := p.Validate(); err != nil {
			t.Errorf("%v: %v", p, err)
		}
	}
	nan, inf := math.NaN(), math.Inf(1)
	for _, p := range []Point{{90.0001, 0}, {-91, 0}, {0, 180.1}, {0, -181}, {nan, 0}, {0, nan}, {inf, 0}, {0, -inf}} {
		if err := p.Validate(); !errors.Is(err, ErrPointInvalid) {
			t.Errorf("%v: %v, want ErrPointInvalid", p, err)
		}
	}
	err := Point{Lat: 100, Lon: 200}.Validate()
	if text := err.Error(); !strings.Contains(text, "latitude") || !strings.Contains(text, "longitude") {
		t.Errorf("want both faults, got %q", text)
	}
}

func TestDistanceMetresKnown(t *testing.T) {
	quarter := math.Pi / 2 * EarthRadiusMetres
	for _, c := range []struct {
		name             string
		a, b             Point
		metres, withinBy float64
	}{
		{"same", Point{51.5, -0.1}, Point{51.5, -0.1}, 0, 0},
		{"one degree of the equator", Point{0, 0}, Point{0, 1}, 111_195.08, 0.01},
		{"pole to equator", Point{90, 12}, Point{0, 77}, quarter, 1e-6},
		{"pole to pole", Point{90, 0}, Point{-90, 5}, 2 * quarter, 1e-6},
		{"antipodes", Point{10, 20}, Point{-10, -160}, 2 * quarter, 1},
		{"names of a pole", Point{90, -50}, Point{90, 110}, 0, 0},
		{"names of the antimeridian", Point{12, 180}, Point{12, -180}, 0, 0},
		{"across the antimeridian", Point{0, 179.5}, Point{0, -179.5}, 111_195.08, 0.01},
		// London to Leeds; the ellipsoid gives 272.9 km.
		{"London to Leeds", Point{51.5074, -0.1278}, Point{53.8008, -1.5491}, 272_600, 600},
	} {
		for _, got := range []float64{c.a.DistanceMetres(c.b), c.b.DistanceMetres(c.a)} {
			if !(math.Abs(got-c.metres) <= c.withinBy) {
				t.Errorf("%s: %v m, want %v ± %v", c.name, got, c.metres, c.withinBy)
			}
		}
	}
}

func TestDistanceMetresAgreesWithChord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawPoint(t, "a"), drawPoint(t, "b")
		d := a.DistanceMetres(b)
		if back := b.DistanceMetres(a); back != d {
			t.Fatalf("there %v, back %v", d, back)
		}
		if chord := metresOfChord(chordSquared(a.vector(), b.vector())); math.Abs(chord-d) > toleranceMetres(d) {
			t.Fatalf("haversine %v, chord %v", d, chord)
		}
	})
}

// toleranceMetres is what rounding may cost; both formulas are ill-conditioned
// towards the antipode.
func toleranceMetres(distance float64) float64 {
	if distance > 19_900_000 {
		return 1
	}
	return 1e-5
}

// drawPoint prefers what goes wrong: poles, the antimeridian, equal points,
// points at equal distances, and points very near to each other.
func drawPoint(t *rapid.T, label string) Point {
	corner := rapid.SampledFrom([]float64{-180, -90, -45, 0, 45, 90, 180})
	switch rapid.IntRange(0, 4).Draw(t, label+" kind") {
	case 0: // corners, many of them equal
		return Point{rapid.SampledFrom([]float64{-90, -45, 0, 45, 90}).Draw(t, label), corner.Draw(t, label)}
	case 1: // next to a pole
		lat := 90 - rapid.Float64Range(0, 1e-3).Draw(t, label)
		return Point{math.Copysign(lat, corner.Draw(t, label)), rapid.Float64Range(-180, 180).Draw(t, label)}
	case 2: // next to the antimeridian
		lon := 180 - rapid.Float64Range(0, 1e-3).Draw(t, label)
		return Point{rapid.Float64Range(-90, 90).Draw(t, label), math.Copysign(lon, corner.Draw(t, label))}
	case 3: // a small grid in a town
		return Point{53.8 + float64(rapid.IntRange(0, 5).Draw(t, label))*1e-5, -1.5 + float64(rapid.IntRange(0, 5).Draw(t, label))*1e-5}
	}
	return Point{rapid.Float64Range(-90, 90).Draw(t, label), rapid.Float64Range(-180, 180).Draw(t, label)}
}
