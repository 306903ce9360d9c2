package geo

import (
	"bytes"
	"encoding/csv"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func embedded(t testing.TB) *Postcodes {
	t.Helper()
	postcodes, err := EmbeddedPostcodes()
	if err != nil {
		t.Fatal(err)
	}
	return postcodes
}

// The golden rows were drawn and averaged by another program from the source.
func TestEmbeddedPostcodesGolden(t *testing.T) {
	file, err := os.Open("testdata/postcodes-golden.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil || len(rows) < 300 {
		t.Fatal(len(rows), err)
	}
	postcodes := embedded(t)
	for _, row := range rows[1:] {
		asked, canonical, precision := row[0], row[1], row[4]
		got, err := postcodes.Lookup(asked)
		if precision == "unknown" {
			if !errors.Is(err, ErrPostcodeUnknown) {
				t.Errorf("%s: %+v %v, want ErrPostcodeUnknown", asked, got, err)
			}
			continue
		}
		if err != nil || got.Postcode != canonical || got.Precision.String() != precision {
			t.Errorf("%s: %+v %v, want %s by %s", asked, got, err, canonical, precision)
			continue
		}
		want, err := parsePoint(row[2], row[3])
		tolerance, err2 := strconv.ParseFloat(row[5], 64)
		if err != nil || err2 != nil {
			t.Fatal(asked, err, err2)
		}
		if metres := got.Point.DistanceMetres(want); metres > tolerance {
			t.Errorf("%s: %v is %v m from %v", asked, got.Point, metres, want)
		}
		if got.Precision == PrecisionUnit && got.Point != want {
			t.Errorf("%s: %v, want exactly %v", asked, got.Point, want)
		}
	}
}

// Reads every unit there is, so that a damaged file cannot be checked in, and
// locates a tenth of them (all of them, where postcodesource_test.go has its source).
func TestEmbeddedPostcodesWhole(t *testing.T) {
	postcodes := embedded(t)
	if postcodes.Len() < 2_600_000 {
		t.Fatalf("%d postcodes", postcodes.Len())
	}
	i := 0
	for _, o := range postcodes.outcodes {
		name := Postcode{outcode: o.key}.String()
		if strings.HasPrefix(name, "BT") {
			t.Fatalf("%s: postcodes of Northern Ireland may not be shipped", name)
		}
		units := o.block.appendUnits(nil)
		if len(units) != int(o.units) || int(o.first) != i {
			t.Fatalf("%s: %d units from %d, want %d from %d", name, len(units), i, o.units, o.first)
		}
		for n, u := range units {
			if n > 0 && units[n-1].inward >= u.inward {
				t.Fatalf("%s: out of order", name)
			}
			if p := u.at.point(); p.Lat < 49.8 || p.Lat > 60.9 || p.Lon < -8.7 || p.Lon > 1.8 {
				t.Fatalf("%s: %v is not in Great Britain", Postcode{o.key, u.inward}, p)
			}
			if (i+n)%10 != 0 {
				continue
			}
			if at, precision := o.locate(Postcode{o.key, u.inward}); at != u.at || precision != PrecisionUnit {
				t.Fatalf("%s: located at %v by %v, listed at %v", Postcode{o.key, u.inward}, at, precision, u.at)
			}
		}
		i += len(units)
	}
	if i != postcodes.Len() {
		t.Fatalf("%d units, Len %d", i, postcodes.Len())
	}
}

func TestPostcodesAt(t *testing.T) {
	postcodes := embedded(t)
	random := rand.New(rand.NewPCG(1, 2))
	picks := []int{0, 1, postcodes.Len() - 1}
	for range 2000 {
		picks = append(picks, random.IntN(postcodes.Len()))
	}
	for _, i := range picks {
		at := postcodes.At(i)
		found, err := postcodes.Lookup(at.Postcode)
		if err != nil || found != at {
			t.Fatalf("At(%d) = %+v, Lookup finds %+v, %v", i, at, found, err)
		}
	}
	for _, i := range []int{-1, postcodes.Len()} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("At(%d) did not panic", i)
				}
			}()
			postcodes.At(i)
		}()
	}
}

func TestLookupErrors(t *testing.T) {
	postcodes := embedded(t)
	for text, want := range map[string]error{
		"BT1 1AA": ErrPostcodeUnknown, "ZZ9 9ZZ": ErrPostcodeUnknown, "GIR 0AA": ErrPostcodeUnknown,
		"": ErrPostcodeMalformed, "LS1 4A!": ErrPostcodeMalformed,
	} {
		if got, err := postcodes.Lookup(text); !errors.Is(err, want) || got != (Located{}) {
			t.Errorf("%q: %+v %v, want %v", text, got, err, want)
		}
	}
	if _, err := new(Postcodes).Lookup("LS1 4AP"); !errors.Is(err, ErrPostcodeUnknown) {
		t.Errorf("zero value: %v", err)
	}
	if _, err := postcodes.Locate(Postcode{}); !errors.Is(err, ErrPostcodeUnknown) {
		t.Errorf("zero postcode: %v", err)
	}
}

func TestLookupConcurrently(t *testing.T) {
	postcodes := embedded(t)
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			random := rand.New(rand.NewPCG(3, uint64(worker)))
			for range 500 {
				at := postcodes.At(random.IntN(postcodes.Len()))
				if found, err := postcodes.Lookup(at.Postcode); err != nil || found != at {
					t.Errorf("%+v, then %+v %v", at, found, err)
				}
			}
		})
	}
	group.Wait()
}

// A set of postcodes is a map: whatever is loaded, in whatever order, is found,
// the last of equal ones wins, and survives being written and opened.
func TestPostcodesAreAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model := map[Postcode]fixed{}
		drawOverlay := func() *Overlay {
			overlay := new(Overlay)
			for range rapid.IntRange(0, 60).Draw(t, "entries") {
				out := rapid.SampledFrom([]string{"A1", "LS1", "LS14", "EC1A", "NPT"}).Draw(t, "outcode")
				p, err := ParsePostcode(out + rapid.StringMatching(`[0-9][ABVZ][ADVYZ]`).Draw(t, "inward"))
				if err != nil {
					t.Fatal(err)
				}
				at := fixed{
					rapid.OneOf(rapid.Int32Range(-90_00000, 90_00000), rapid.Int32Range(53_80000, 53_80003)).Draw(t, "lat"),
					rapid.OneOf(rapid.Int32Range(-180_00000, 180_00000), rapid.Int32Range(-1_50000, -1_49999)).Draw(t, "lon"),
				}
				overlay.entries = append(overlay.entries, overlayEntry{p, at})
				model[p] = at
			}
			return overlay
		}
		before := new(Postcodes).With(drawOverlay())
		length := before.Len()
		after := before.With(drawOverlay(), drawOverlay())
		if before.Len() != length {
			t.Fatal("With changed what it was called on")
		}
		var file bytes.Buffer
		if n, err := after.WriteTo(&file); err != nil || n != int64(file.Len()) {
			t.Fatal(n, file.Len(), err)
		}
		opened, err := openPostcodes(file.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		for _, postcodes := range []*Postcodes{after, opened} {
			checkAgainstModel(t, postcodes, model)
		}
	})
}

func checkAgainstModel(t *rapid.T, postcodes *Postcodes, model map[Postcode]fixed) {
	if postcodes.Len() != len(model) {
		t.Fatalf("Len %d, want %d", postcodes.Len(), len(model))
	}
	sums := map[string][3]float64{}
	for p, at := range model {
		got, err := postcodes.Locate(p)
		if want := (Located{p.String(), at.point(), PrecisionUnit}); err != nil || got != want {
			t.Fatalf("%s: %+v %v, want %+v", p, got, err, want)
		}
		text := p.String()
		for _, part := range []string{text[:len(text)-2], text[:len(text)-4]} {
			s := sums[part]
			sums[part] = [3]float64{s[0] + at.point().Lat, s[1] + at.point().Lon, s[2] + 1}
		}
	}
	for part, s := range sums {
		got, err := postcodes.Lookup(part)
		if err != nil || math.Abs(got.Point.Lat-s[0]/s[2]) > 1e-5 || math.Abs(got.Point.Lon-s[1]/s[2]) > 1e-5 {
			t.Fatalf("%s: %+v %v, want the mean of %v", part, got, err, s)
		}
	}
	seen := map[string]bool{}
	for i := range postcodes.Len() {
		at := postcodes.At(i)
		p, _ := ParsePostcode(at.Postcode)
		if want, ok := model[p]; !ok || at.Point != want.point() || seen[at.Postcode] {
			t.Fatalf("At(%d) = %+v", i, at)
		}
		seen[at.Postcode] = true
	}
}

func TestOpenPostcodesRefusesDamage(t *testing.T) {
	overlay, _, _ := LoadPostcodes(strings.NewReader("LS1 4AP,53.8,-1.5\nLS2 4AP,53.9,-1.6\n"))
	var file bytes.Buffer
	if _, err := new(Postcodes).With(overlay).WriteTo(&file); err != nil {
		t.Fatal(err)
	}
	good := file.Bytes()
	for length := range len(good) {
		if _, err := openPostcodes(good[:length]); err == nil {
			t.Errorf("%d of %d bytes opened", length, len(good))
		}
	}
	for name, at := range map[string]int{"magic": 0, "outcodes": 11, "units": 12, "key": 19, "block": 34} {
		bad := bytes.Clone(good)
		bad[at] ^= 0xff
		if _, err := openPostcodes(bad); err == nil {
			t.Errorf("damaged %s opened", name)
		}
	}
	if _, err := new(Postcodes).With(overlay).WriteTo(failingWriter{}); err == nil {
		t.Error("a failing writer went unnoticed")
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestLookupOfCanonicalTextAllocatesNothing(t *testing.T) {
	postcodes := embedded(t)
	for _, text := range []string{"LS1 4AP", "LS1 4", "LS1"} {
		if n := testing.AllocsPerRun(100, func() {
			if located, err := postcodes.Lookup(text); err != nil || located.Postcode != text {
				t.Error(located, err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", text, n)
		}
	}
}
