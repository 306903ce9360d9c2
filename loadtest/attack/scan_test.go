package attack

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

const (
	sitesText = `{"asOf":"2026-11-30T10:00:00.120Z","ageMs":85,"origin":{"lat":53.7963,"lon":-1.5477},"sites":[{"siteId":"FA512","name":"A \"name\" \u00e9",
 "distanceMetres":812,"location":{"lat":53.79,"lon":-1.54},"address":{"lines":["1, High Street","]}"],"postcode":"LS1 4AP"},"accessibilities":[],
 "nextAvailable":null,"days":[{"date":"2026-12-01","free":17},{"date":"2026-12-02","free":1}]},{}]}`
	slotsText = `{"asOf":"x","ageMs":1.5e1,"days":[{"date":"2026-12-01","slots":[{"start":"2026-12-01T09:10:00Z","length":10,"free":3}]},{"date":"2026-12-02","slots":[]}]}`
)

func TestScan(t *testing.T) {
	sites, ok := scanSites([]byte(sitesText))
	want := []foundSite{{SiteID: "FA512", Name: `A "name" é`, Lat: 53.79, Lon: -1.54, Days: []foundDay{{"2026-12-01", 17}, {"2026-12-02", 1}}}, {}}
	if !ok || !reflect.DeepEqual(sites, want) {
		t.Errorf("sites are read as %+v, %v", sites, ok)
	}
	slots, ok := scanSlots([]byte(slotsText))
	if !ok || !reflect.DeepEqual(slots, []offer{{Start: "2026-12-01T09:10:00Z", Length: 10, Free: 3}}) {
		t.Errorf("slots are read as %+v, %v", slots, ok)
	}
	for _, bad := range []string{"", "<html>", "[]", `{"sites":[}`, `{"sites":3}`, `{"sites":[{"siteId":3}]}`, `{"sites":[{"location":{"lat":"x"}}]}`, `{"sites":[]`, `{"sites":[]}x`,
		`{"sites":[{}{}]}`, `{"sites":[],}`, `{"a":}`, `{"sites":[{"name":"\x"}]}`, `{"sites":[{"name":"a}]}`,
		`{"x":` + strings.Repeat("[", 99) + strings.Repeat("]", 99) + `}`} {
		if sites, ok := scanSites([]byte(bad)); ok {
			t.Errorf("%q is read as %+v", bad, sites)
		}
	}
}

// What encoding/json reads, the scanner reads as well, and alike.
func FuzzScan(f *testing.F) {
	f.Add([]byte(sitesText))
	f.Add([]byte(slotsText))
	f.Add([]byte(`{"sites":[{"days":[{"free":-1e3}]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		sites, ok := scanSites(text)
		_, _ = scanSlots(text) // ends, whatever it is
		if !json.Valid(text) || !ok {
			return
		}
		var anything struct{ Sites json.RawMessage }
		if json.Unmarshal(text, &anything) != nil || len(sites) == 0 {
			return
		}
		for _, s := range sites {
			again, err := json.Marshal(map[string]any{"sites": []any{map[string]any{"siteId": s.SiteID, "name": s.Name}}})
			if err != nil {
				t.Fatal(err)
			}
			back, ok := scanSites(again)
			if !ok || len(back) != 1 {
				t.Errorf("%q is read as %+v, and written %s", text, sites, again)
			}
		}
	})
}

// Every valid document of a site's form is read as encoding/json reads it.
func TestScanAgreesWithJSON(t *testing.T) {
	for _, text := range []string{sitesText, `{"sites":[]}`, ` { "sites" : [ { "siteId" : "a" , "days" : [ ] } ] } `, `{"x":[1,true,null,{"y":"\\\""}],"sites":[{"name":"\ud83d\ude00"}]}`} {
		var want struct {
			Sites []struct {
				SiteID, Name string
				Location     struct{ Lat, Lon float64 }
				Days         []foundDay
			}
		}
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		got, ok := scanSites([]byte(text))
		if !ok || len(got) != len(want.Sites) {
			t.Fatalf("%s is read as %+v, %v", text, got, ok)
		}
		for i, w := range want.Sites {
			if g := got[i]; g.SiteID != w.SiteID || g.Name != w.Name || g.Lat != w.Location.Lat || g.Lon != w.Location.Lon || len(g.Days) != len(w.Days) {
				t.Errorf("%s: %+v is read as %+v", text, w, g)
			}
		}
	}
}
