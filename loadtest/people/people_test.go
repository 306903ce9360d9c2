package people

import (
	"math"
	"testing"
	"time"

	"muster/allocator"
	"muster/geo"
	"muster/loadtest/profile"
)

func crowd(t testing.TB, seed uint64) *Crowd {
	t.Helper()
	postcodes, err := geo.EmbeddedPostcodes()
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewCrowd(Options{Seed: seed, Postcodes: postcodes, Youngest: 0, Oldest: 90, Mix: profile.Mix{profile.Book: 8, profile.Family: 2},
		Think: time.Second, Today: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The same seed makes the same people, who throw the same dice; another seed makes others.
func TestSeedsReplay(t *testing.T) {
	one, two, other := crowd(t, 7), crowd(t, 7), crowd(t, 8)
	different := 0
	for n := range uint64(300) {
		a, b, c := one.Citizen(n), two.Citizen(n), other.Citizen(n)
		if a.Postcode != b.Postcode || a.Age != b.Age || a.NHSNumber != b.NHSNumber || a.Journey != b.Journey || a.BirthDate != b.BirthDate ||
			a.Family != b.Family || a.Think() != b.Think() || a.Dice.Uint64() != b.Dice.Uint64() {
			t.Fatalf("citizen %d is %+v, and again %+v", n, a, b)
		}
		if a.Postcode != c.Postcode && a.NHSNumber != c.NHSNumber {
			different++
		}
	}
	if different < 290 {
		t.Errorf("another seed changes only %d of 300 people", different)
	}
}

// No two people share a number, and every number is a valid one.
func TestNHSNumbers(t *testing.T) {
	for _, seed := range []uint64{0, 1, 99} {
		known := make(map[string]uint64)
		for n := range uint64(20_000) {
			number := NHSNumber(seed, n)
			if _, ok := allocator.ValidNHSNumber(number); !ok || number[0] != '9' {
				t.Fatalf("seed %d, person %d: %q", seed, n, number)
			}
			if before, twice := known[number]; twice {
				t.Fatalf("seed %d: persons %d and %d share %s", seed, before, n, number)
			}
			known[number] = n
		}
	}
	if NHSNumber(3, 0) == NHSNumber(3, Numbers-1) || NHSNumber(3, 1) != NHSNumber(3, 1+Numbers) {
		t.Error("the walk does not return to its beginning after all numbers")
	}
}

func TestPeopleAreAsOldAsThePopulation(t *testing.T) {
	all, err := AgesBetween(0, 90)
	if err != nil {
		t.Fatal(err)
	}
	if millions := float64(all.People()) / 1e6; math.Abs(millions-59.7) > 0.1 {
		t.Errorf("%.2f million people", millions)
	}
	c := crowd(t, 5)
	const n = 4_000
	old := 0
	for i := range uint64(n) {
		p := c.Citizen(i)
		if p.Age >= 65 {
			old++
		}
		born, err := time.Parse(time.DateOnly, p.BirthDate)
		if err != nil || born.AddDate(p.Age, 0, 0).After(c.today) || !born.AddDate(p.Age+1, 0, 0).After(c.today) {
			t.Fatalf("a person of %d was born on %s, which is %v (%v)", p.Age, p.BirthDate, born, err)
		}
	}
	if share := float64(old) / n; math.Abs(share-11.1/59.7) > 0.03 {
		t.Errorf("%.3f of the people are 65 or older, and %.3f of the population", share, 11.1/59.7)
	}
	if _, err := AgesBetween(30, 91); err == nil {
		t.Error("91 is in no row of the table, and is taken")
	}
	if some, err := AgesBetween(25, 29); err != nil || some.Pick(0) != 25 || some.Pick(some.People()-1) != 29 {
		t.Errorf("ages of 25 to 29 are drawn as %+v, %v", some, err)
	}
}

func TestPeopleLiveInEngland(t *testing.T) {
	c := crowd(t, 2)
	london := 0
	for i := range uint64(2_000) {
		p := c.Citizen(i)
		if !inEngland(p.Postcode) || p.Home.Lat < 49.8 || p.Home.Lat > 55.9 || p.Home.Lon < -6.5 || p.Home.Lon > 1.9 {
			t.Fatalf("%s at %v is not in England", p.Postcode, p.Home)
		}
		if p.Home.Lat > 51.3 && p.Home.Lat < 51.7 && p.Home.Lon > -0.5 && p.Home.Lon < 0.3 {
			london++
		}
	}
	if london < 150 || london > 600 { // one in seven or eight people, and more of the postcodes ever used
		t.Errorf("%d of 2000 live in London", london)
	}
	for postcode, english := range map[string]bool{"G1 1AA": false, "GL1 1AA": true, "BT1 1AA": false, "B1 1AA": true, "LS1 4AP": true, "LL11 1AA": false} {
		if inEngland(postcode) != english {
			t.Errorf("%s in England: %v", postcode, !english)
		}
	}
}

func TestFamiliesHaveDifferentPeople(t *testing.T) {
	c := crowd(t, 4)
	known := make(map[string]bool)
	families := 0
	for n := range uint64(500) {
		p := c.Citizen(n)
		if (p.Journey == profile.Family) != (p.Family > 1) {
			t.Fatalf("journey %s for %d", p.Journey, p.Family)
		}
		if p.Family > 1 {
			families++
		}
		for i := range p.Family {
			number, name, born := p.Member(i)
			if known[number] || name == "" || born == "" {
				t.Fatalf("member %d of %d is %q %q %q", i, n, number, name, born)
			}
			known[number] = true
		}
	}
	if families < 60 || families > 140 {
		t.Errorf("%d of 500 book for a family, of a fifth", families)
	}
}

func TestThinkingHasATail(t *testing.T) {
	p := crowd(t, 1).Citizen(1)
	long, short := 0, 0
	for range 2_000 {
		switch d := p.Think(); {
		case d <= 0 || d > 8*time.Second:
			t.Fatalf("somebody thinks for %v", d)
		case d > 2*time.Second:
			long++
		case d < time.Second:
			short++
		}
	}
	if short < 800 || short > 1_200 || long < 120 || long > 400 {
		t.Errorf("of 2000 thoughts about a second long, %d are shorter and %d take more than two", short, long)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	postcodes, err := geo.EmbeddedPostcodes()
	if err != nil {
		t.Fatal(err)
	}
	good := Options{Postcodes: postcodes, Oldest: 90, Mix: profile.Mix{profile.Book: 1}}
	if _, err := NewCrowd(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Options){
		"ages": func(o *Options) { o.Youngest = 91 }, "mix": func(o *Options) { o.Mix = nil },
		"postcodes": func(o *Options) { o.Postcodes = nil }, "think": func(o *Options) { o.Think = -1 },
	} {
		o := good
		spoil(&o)
		if _, err := NewCrowd(o); err == nil {
			t.Errorf("wrong %s are taken", name)
		}
	}
}
