package sample_test

import (
	"reflect"
	"testing"
	"time"
	"unicode/utf8"

	"muster/allocator"
	"muster/cmd/muster/sample"
)

func TestSites(t *testing.T) {
	sites, err := sample.Sites()
	if err != nil {
		t.Fatal(err)
	}
	if len(sites) != 2833 {
		t.Fatalf("%d sites, want 2833", len(sites))
	}
	seen := make(map[allocator.SiteID]bool)
	for _, s := range sites {
		switch {
		case !s.ID.Valid() || seen[s.ID]:
			t.Errorf("site id %q is bad or not the only one", s.ID)
		case s.Name == "" || len(s.Name) > allocator.MaxNameBytes || !utf8.ValidString(s.Name):
			t.Errorf("%s: name %q", s.ID, s.Name)
		case s.Lat < 49.8 || s.Lat > 55.9 || s.Lon < -6.5 || s.Lon > 1.8:
			t.Errorf("%s lies at %g, %g, which is not in England", s.ID, s.Lat, s.Lon)
		}
		seen[s.ID] = true
	}
}

// Four weeks of every site are valid documents of known services, alike each time they are made, and of a plausible size.
func TestDays(t *testing.T) {
	sites, err := sample.Sites()
	if err != nil {
		t.Fatal(err)
	}
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	known, used := make(map[allocator.ServiceCode]bool), make(map[allocator.ServiceCode]bool)
	for _, s := range sample.Services() {
		known[s.Code] = true
	}
	first := allocator.DateOf(time.Date(2027, 3, 15, 0, 0, 0, 0, time.UTC)) // the clocks change in the second week
	days, slots, places := 0, 0, 0
	for i := 0; i < len(sites); i += 7 { // every seventh: all take seconds under the race detector
		for date := first; date < first+28; date++ {
			day, open := sample.Day(&sites[i], date)
			again, _ := sample.Day(&sites[i], date)
			if !reflect.DeepEqual(day, again) {
				t.Fatalf("%s %s differs each time", sites[i].ID, date)
			}
			if !open {
				continue
			}
			days++
			if faults := day.Validate(zone); len(faults) > 0 {
				t.Fatalf("%s %s: %v", sites[i].ID, date, faults)
			}
			for _, s := range day.Sessions {
				for _, code := range s.Services {
					used[code] = true
				}
			}
			for _, s := range day.Slots(zone) {
				slots++
				for _, p := range s.Pools {
					places += p.Capacity
				}
			}
		}
	}
	if !reflect.DeepEqual(known, used) {
		t.Errorf("services on offer are %v, and %v are known", used, known)
	}
	if days < 30_000/7 || days > 60_000/7 || slots > 3_000_000/7 {
		t.Errorf("%d days with %d slots and %d places are not plausible of a seventh", days, slots, places)
	}
	t.Logf("%d days, %d slots, %d places", days, slots, places)
}

func TestHolidaysAreClosed(t *testing.T) {
	sites, err := sample.Sites()
	if err != nil {
		t.Fatal(err)
	}
	christmas := allocator.DateOf(time.Date(2026, 12, 25, 0, 0, 0, 0, time.UTC))
	for i := range sites {
		if _, open := sample.Day(&sites[i], christmas); open {
			t.Fatalf("%s is open at Christmas", sites[i].ID)
		}
	}
}
