package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/valyala/fasthttp"
	"pgregory.net/rapid"

	"muster/allocator"
)

// The replies as encoding/json would write them.
type originView struct {
	locationView
	Postcode  string `json:"postcode,omitempty"`
	Precision string `json:"precision,omitempty"`
}

type searchView struct {
	AsOf   string          `json:"asOf"`
	AgeMs  int64           `json:"ageMs"`
	Origin originView      `json:"origin"`
	Sites  []siteFoundView `json:"sites"`
}

type siteFoundView struct {
	foundView
	NextAvailable string        `json:"nextAvailable,omitempty"`
	Days          []dayFreeView `json:"days"`
}

type dayFreeView struct {
	Date string `json:"date"`
	Free int    `json:"free"`
}

type availabilityView struct {
	AsOf  string         `json:"asOf"`
	AgeMs int64          `json:"ageMs"`
	Days  []daySlotsView `json:"days"`
}

type daySlotsView struct {
	Date  string         `json:"date"`
	Slots []slotFreeView `json:"slots"`
}

type slotFreeView struct {
	Start  string `json:"start"`
	Length int16  `json:"length"`
	Free   int    `json:"free"`
}

func viewSearch(found *allocator.SearchReply, zones *zones) searchView {
	view := searchView{
		AsOf: moment(found.AsOf), AgeMs: found.Age.Milliseconds(),
		Origin: originView{locationView{found.Lat, found.Lon}, found.Postcode, found.Precision}, Sites: []siteFoundView{},
	}
	for _, f := range found.Sites {
		v := siteFoundView{foundView: foundView{
			f.Site.ID, f.Site.Name, f.DistanceMetres, locationView{f.Site.Lat, f.Site.Lon},
			addressView{list(f.Site.AddressLines), f.Site.Postcode}, list(f.Site.Accessibilities),
		}, Days: []dayFreeView{}}
		if !f.NextAvailable.IsZero() {
			v.NextAvailable = zones.instant(f.NextAvailable, f.Site.TimeZone)
		}
		for _, d := range f.Days {
			v.Days = append(v.Days, dayFreeView{d.Date.String(), d.Free})
		}
		view.Sites = append(view.Sites, v)
	}
	return view
}

func viewAvailability(found *allocator.AvailabilityReply) availabilityView {
	view := availabilityView{AsOf: moment(found.AsOf), AgeMs: found.Age.Milliseconds(), Days: []daySlotsView{}}
	for _, d := range found.Days {
		slots := []slotFreeView{}
		for _, f := range d.Slots {
			slots = append(slots, slotFreeView{instant(f.Start.Time().In(found.Zone)), f.Length, f.Free})
		}
		view.Days = append(view.Days, daySlotsView{d.Date.String(), slots})
	}
	return view
}

func drawInstant(t *rapid.T) time.Time {
	return time.UnixMilli(rapid.Int64Range(0, 4e12).Draw(t, "ms"))
}

func drawOffer(t *rapid.T) *allocator.SiteOffer {
	text := rapid.OneOf(rapid.String(), rapid.Just(`"distanceMetres":0 <&> \`))
	degrees := rapid.OneOf(rapid.Float64Range(-90, 90), rapid.SampledFrom([]float64{0, 1e-7, -1e-9, 53, 1e-6}))
	offer := &allocator.SiteOffer{SiteSheet: &allocator.SiteSheet{Site: allocator.Site{
		ID: allocator.SiteID(text.Draw(t, "id")), Name: text.Draw(t, "name"), Postcode: text.Draw(t, "postcode"),
		AddressLines: rapid.SliceOf(text).Draw(t, "lines"), Accessibilities: rapid.SliceOf(text).Draw(t, "accessibilities"),
		Lat: degrees.Draw(t, "lat"), Lon: degrees.Draw(t, "lon"), TimeZone: rapid.SampledFrom([]string{"Europe/London", "Asia/Kolkata", "nowhere"}).Draw(t, "zone"),
	}}}
	if rapid.Bool().Draw(t, "available") {
		offer.NextAvailable = drawInstant(t)
	}
	for range rapid.IntRange(0, 4).Draw(t, "days") {
		offer.Days = append(offer.Days, allocator.DayFree{Date: allocator.Date(rapid.Int32Range(-9, 60_000).Draw(t, "date")), Free: rapid.IntRange(0, 1e6).Draw(t, "free")})
	}
	return offer
}

func marshalled(t interface{ Fatal(...any) }, view any) []byte {
	b, err := json.Marshal(view)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSearchRepliesAsEncodingJSON: the pieces make what encoding/json makes of the whole, the first time and from memory.
func TestSearchRepliesAsEncodingJSON(t *testing.T) {
	s, err := New(Options{}, &fake{})
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		found := allocator.SearchReply{
			AsOf: drawInstant(t), Age: time.Duration(rapid.Int64Range(0, 1e15).Draw(t, "age")), Lat: rapid.Float64Range(-90, 90).Draw(t, "lat"),
			Lon: rapid.SampledFrom([]float64{-1.5, 0, 1e-7}).Draw(t, "lon"), Postcode: rapid.SampledFrom([]string{"", "LS1 4AP", "<"}).Draw(t, "postcode"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "sites") {
			found.Sites = append(found.Sites, allocator.SiteFound{SiteOffer: drawOffer(t), DistanceMetres: rapid.IntRange(0, 1e7).Draw(t, "metres")})
		}
		want := marshalled(t, viewSearch(&found, &s.zones))
		for range 2 {
			x := &exchange{server: s, http: new(fasthttp.RequestCtx)}
			x.writeSearch(&found)
			if got := x.http.Response.Body(); !bytes.Equal(got, want) {
				t.Fatalf("\n got %s\nwant %s", got, want)
			}
		}
	})
}

func TestAvailabilityAsEncodingJSON(t *testing.T) {
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		found := allocator.AvailabilityReply{AsOf: drawInstant(t), Age: 3 * time.Second, Zone: zone}
		for range rapid.IntRange(0, 3).Draw(t, "days") {
			day := allocator.DaySlots{Date: allocator.Date(rapid.Int32Range(0, 60_000).Draw(t, "date"))}
			for range rapid.IntRange(0, 3).Draw(t, "slots") {
				day.Slots = append(day.Slots, allocator.SlotFree{Start: allocator.MinuteOf(drawInstant(t)), Length: 10, Free: rapid.IntRange(1, 99).Draw(t, "free")})
			}
			found.Days = append(found.Days, day)
		}
		x := &exchange{http: new(fasthttp.RequestCtx)}
		x.writeAvailability(&found)
		if got, want := x.http.Response.Body(), marshalled(t, viewAvailability(&found)); !bytes.Equal(got, want) {
			t.Fatalf("\n got %s\nwant %s", got, want)
		}
	})
}

// TestPlainQueriesAreReadAlike: what is read without a map is what the general way reads, and what that reports is left to it.
func TestPlainQueriesAreReadAlike(t *testing.T) {
	piece := rapid.SampledFrom([]string{
		"postcode", "service", "limit", "unknown", "=", "=", "&", "&", ";", "+", "%20", "%2B", "%", "%zz", "%ff", "\xff", "LS1", "é", "10", "p%6Fstcode",
	})
	rapid.Check(t, func(t *rapid.T) {
		text := ""
		for _, p := range rapid.SliceOfN(piece, 0, 12).Draw(t, "pieces") {
			text += p
		}
		pairs, plain := appendPairs(nil, text, searchNames)
		if !plain {
			return
		}
		values, err := url.ParseQuery(text)
		if err != nil || len(values) != len(pairs) {
			t.Fatalf("%q: %v for %v, %v", text, pairs, values, err)
		}
		for _, p := range pairs {
			if all := values[p.name]; len(all) != 1 || all[0] != p.value || !utf8.ValidString(p.value) || !slices.Contains(searchNames, p.name) {
				t.Fatalf("%q: %v for %v", text, pairs, values)
			}
		}
	})
	if _, plain := appendPairs(nil, "postcode=LS1+4AP&service=FLU%3A65%2B&limit=10&radiusKm=50", searchNames); !plain {
		t.Error("an ordinary query was not read")
	}
}

// searching answers every search alike, as a snapshot does in which nothing changes.
type searching struct {
	Engine
	reply allocator.SearchReply
}

func (s *searching) Search(_ context.Context, r allocator.SearchRequest) (allocator.SearchReply, error) {
	reply := s.reply
	reply.Sites = append(r.Reuse[:0], s.reply.Sites...)
	return reply, nil
}

// BenchmarkSearchSites answers a search with ten sites of four weeks, without engine and network; no-op is a handler that only
// sends as many bytes.
func BenchmarkSearchSites(b *testing.B) {
	engine := &searching{reply: allocator.SearchReply{AsOf: slotStart, Lat: 53.79, Lon: -1.54, Postcode: "LS1 4AP", Precision: "unit"}}
	for range 10 {
		offer := &allocator.SiteOffer{SiteSheet: &allocator.SiteSheet{Site: allocator.Site{
			ID: "FA512", Name: "Example Pharmacy", TimeZone: "Europe/London", AddressLines: []string{"1 Street", "Leeds"}, Lat: 53.8, Lon: -1.5,
		}}, NextAvailable: slotStart}
		for date := range allocator.Date(20) {
			offer.Days = append(offer.Days, allocator.DayFree{Date: 20_900 + date, Free: 17})
		}
		engine.reply.Sites = append(engine.reply.Sites, allocator.SiteFound{SiteOffer: offer, DistanceMetres: 1234})
	}
	s, err := New(Options{}, engine)
	if err != nil {
		b.Fatal(err)
	}
	search := s.router()
	body := marshalled(b, viewSearch(&engine.reply, &s.zones))
	noop := func(ctx *fasthttp.RequestCtx) { ctx.SetContentType("application/json"); ctx.SetBody(body) }
	for name, handler := range map[string]fasthttp.RequestHandler{"search": search, "no-op": noop} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				var ctx fasthttp.RequestCtx
				var r fasthttp.Request
				r.SetRequestURI("/v1/sites?postcode=LS1%204AP&service=RSV:Adult")
				ctx.Init(&r, nil, nil)
				for pb.Next() {
					ctx.Response.Reset()
					ctx.ResetUserValues()
					handler(&ctx)
					if len(ctx.Response.Body()) != len(body) {
						b.Fatalf("%d: %s", ctx.Response.StatusCode(), ctx.Response.Body())
					}
				}
			})
		})
	}
}
