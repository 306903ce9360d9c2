package smartlinks

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"muster/allocator"
	"muster/smartlinks/linkstest"
)

// town is a Source whose sites have slots as told, and that counts how often it is asked for them.
type town struct {
	now      time.Time
	sites    map[allocator.SiteID]*townSite
	services []allocator.Service
	asked    int
	before   uint64 // changes that this server saw of each site and others did not
}

type townSite struct {
	site    allocator.Site
	changes uint64
	undone  uint64 // of them: the site is as it was before
	unknown bool
	slots   map[allocator.ServiceCode][]allocator.SlotOffering
}

var london = func() *time.Location {
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		panic(err)
	}
	return zone
}()

func newTown(sites int) *town {
	t := &town{now: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC), sites: make(map[allocator.SiteID]*townSite)}
	for _, code := range []allocator.ServiceCode{"COVID:18+", "RSV:Adult"} {
		t.services = append(t.services, allocator.DefaultService(code))
	}
	for i := range sites {
		id := allocator.SiteID(fmt.Sprintf("S_%d", i))
		t.sites[id] = &townSite{site: allocator.Site{ID: id, Name: fmt.Sprintf("Chemist <%d> & \"Co\"", i), TimeZone: "Europe/London", Lat: 51, Version: 1},
			slots: make(map[allocator.ServiceCode][]allocator.SlotOffering)}
	}
	return t
}

func (t *town) SiteVersions(allocator.Date) (all []allocator.SiteVersion) {
	for id, s := range t.sites {
		all = append(all, allocator.SiteVersion{Site: id, Changes: t.before + s.changes, Details: s.site.Version, State: s.changes - s.undone})
	}
	slices.SortFunc(all, func(a, b allocator.SiteVersion) int { return strings.Compare(string(a.Site), string(b.Site)) })
	return all
}

func (t *town) Services(context.Context) ([]allocator.Service, error) { return t.services, nil }

func (t *town) Site(_ context.Context, id allocator.SiteID) (allocator.Site, error) {
	return t.sites[id].site, nil
}

func (t *town) Offering(_ context.Context, r allocator.OfferingRequest) (o allocator.Offering, ok bool) {
	t.asked++
	s := t.sites[r.Site]
	if s == nil || s.site.Offline {
		return o, false
	}
	o = allocator.Offering{Site: s.site, Zone: london, Known: !s.unknown, Changes: t.before + s.changes}
	for _, service := range t.services {
		var slots []allocator.SlotOffering
		for _, slot := range s.slots[service.Code] {
			if !slot.Start.Time().Before(r.Until) {
				slots = append(slots, slot)
			}
		}
		if len(slots) > 0 {
			o.Services = append(o.Services, allocator.ServiceOffering{Service: service, Slots: slots})
		}
	}
	return o, true
}

// fill gives every site n slots of each service, from the next day on.
func (t *town) fill(n int) {
	for _, s := range t.sites {
		for _, service := range t.services {
			for i := range n {
				start := allocator.MinuteOf(t.now) + 24*60 + allocator.Minute(10*i)
				s.slots[service.Code] = append(s.slots[service.Code], allocator.SlotOffering{Start: start, Length: 10, Free: i % 3, Places: 2})
			}
		}
		s.changes++
	}
}

func publisher(t testing.TB, s *town, o Options) *Publisher {
	t.Helper()
	o.BaseURL, o.Now = "https://muster.test", func() time.Time { return s.now }
	p, err := New(o, s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// readFile reads a file, and what it is unpacked; both ways have to give the same.
func readFile(t testing.TB, p *Publisher, name string) (text, etag string) {
	t.Helper()
	etag, open, ok, err := p.File(context.Background(), name)
	if err != nil || !ok {
		t.Fatalf("%s: %v, %v", name, ok, err)
	}
	plain, err := io.ReadAll(open(context.Background(), false))
	if err != nil {
		t.Fatal(err)
	}
	packed, err := gzip.NewReader(open(context.Background(), true))
	if err != nil {
		t.Fatal(err)
	}
	packed.Multistream(false)
	unpacked, err := io.ReadAll(packed)
	if err != nil {
		t.Fatalf("%s packed: %v", name, err)
	}
	if !bytes.Equal(plain, unpacked) {
		t.Fatalf("%s: packed %d bytes, plain %d", name, len(unpacked), len(plain))
	}
	return string(plain), etag
}

func files(t testing.TB, p *Publisher) map[string]string {
	t.Helper()
	body, _, err := p.Manifest(context.Background(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	var m manifest
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, o := range m.Output {
		name := strings.TrimPrefix(o.URL, "https://muster.test"+Root)
		all[name], _ = readFile(t, p, name)
	}
	return all
}

// What was kept and partly renewed is what a new publisher makes, whatever happened before; and a file that changed has
// another ETag.
func TestIncrementalIsFromScratch(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := newTown(rapid.IntRange(1, 8).Draw(r, "sites"))
		options := Options{Parts: 3, RefreshEvery: time.Second, KeepBytes: rapid.SampledFrom([]int{1, 700, 1 << 20}).Draw(r, "keep")}
		kept := publisher(t, s, options)
		before, tags := map[string]string{}, map[string]string{}
		for range rapid.IntRange(1, 8).Draw(r, "steps") {
			for range rapid.IntRange(0, 3).Draw(r, "changes") {
				s.change(r)
			}
			s.now = s.now.Add(time.Duration(rapid.SampledFrom([]int{1, 5, 600, 3600}).Draw(r, "seconds")) * time.Second)
			got, want := files(t, kept), files(t, publisher(t, s, options))
			for name := range want {
				if got[name] != want[name] {
					r.Fatalf("%s is\n%s\nand from scratch\n%s", name, got[name], want[name])
				}
				_, tag := readFile(t, kept, name)
				if withoutMeta(before[name]) != withoutMeta(got[name]) && tags[name] == tag {
					r.Fatalf("%s changed and has the same ETag", name)
				}
				before[name], tags[name] = got[name], tag
			}
			if len(got) != len(want) || kept.bytes > max(options.KeepBytes, 0) {
				r.Fatalf("%d files, %d from scratch; %d bytes are kept", len(got), len(want), kept.bytes)
			}
		}
	})
}

// withoutMeta takes the time of the look away, which is no change.
func withoutMeta(text string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(text, `"valueDateTime":"`) {
		_, rest, _ := strings.Cut(part, `"`)
		b.WriteString(rest)
	}
	return b.String()
}

func (t *town) change(r *rapid.T) {
	id := rapid.SampledFrom(slices.Sorted(func(yield func(allocator.SiteID) bool) {
		for id := range t.sites {
			if !yield(id) {
				return
			}
		}
	})).Draw(r, "site")
	s := t.sites[id]
	s.changes++
	switch rapid.IntRange(0, 4).Draw(r, "kind") {
	case 0:
		s.site.Name += "."
		s.site.Version++
	case 1:
		s.site.Offline = !s.site.Offline
		s.site.Version++
	case 2:
		s.unknown = !s.unknown
	case 3:
		t.services[0].Name += "!"
	default:
		code := t.services[rapid.IntRange(0, 1).Draw(r, "service")].Code
		start := allocator.MinuteOf(t.now) + allocator.Minute(rapid.IntRange(0, 90).Draw(r, "ahead"))
		s.slots[code] = append(s.slots[code], allocator.SlotOffering{Start: start, Length: 10, Free: rapid.IntRange(0, 2).Draw(r, "free"), Places: 2})
	}
}

// After one change one site is worked out, and only the files of its part are named to those who ask what changed since.
func TestOnlyWhatChanged(t *testing.T) {
	s := newTown(300)
	s.fill(3)
	p := publisher(t, s, Options{})
	all := files(t, p)
	if s.asked != 300 {
		t.Errorf("%d sites were worked out", s.asked)
	}
	before := s.now
	s.now = s.now.Add(time.Minute)
	s.asked = 0
	s.sites["S_7"].changes++
	again := files(t, p)
	if s.asked != 1 || len(all) != len(again) {
		t.Errorf("%d sites were worked out for one change", s.asked)
	}
	body, tag, err := p.Manifest(t.Context(), before.Add(31*time.Second))
	if err != nil || strings.Count(string(body), `"url"`) != 2 || !strings.Contains(string(body), fileName(slots, allocator.ShardOf("S_7", 64))) {
		t.Errorf("%s, %v", body, err)
	}
	if _, same, _ := p.Manifest(t.Context(), before.Add(31*time.Second)); same != tag {
		t.Error("the same manifest has two ETags")
	}
	if body, _, _ := p.Manifest(t.Context(), s.now.Add(time.Hour)); strings.Contains(string(body), "url") {
		t.Errorf("changed after an hour from now: %s", body)
	}
}

// Every file keeps to the specification, and says what the source says.
func TestIndependentReader(t *testing.T) {
	s := newTown(40)
	s.fill(6)
	s.sites["S_1"].unknown = true
	s.sites["S_2"].site.Offline = true
	s.sites["S_3"].site.Phone = `020 7946 "0000"`
	var p *Publisher
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, Root)
		w.Header().Set("Cache-Control", "max-age=60")
		if name == ManifestName {
			w.Header().Set("Content-Type", "application/json")
			body, _, err := p.Manifest(r.Context(), time.Time{})
			if err != nil {
				t.Error(err)
			}
			_, _ = w.Write(body)
			return
		}
		w.Header().Set("Content-Type", "application/fhir+ndjson")
		_, open, ok, err := p.File(r.Context(), name)
		if !ok || err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		_, _ = io.Copy(w, open(r.Context(), false))
	}))
	defer server.Close()
	p, err := New(Options{BaseURL: server.URL, Now: func() time.Time { return s.now }}, s)
	if err != nil {
		t.Fatal(err)
	}
	got, err := linkstest.Read(t.Context(), server.Client(), server.URL+Root+ManifestName)
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range got.Faults {
		t.Error(fault)
	}
	if len(got.Locations) != 40 || len(got.Schedules) != 2*39 || len(got.Slots) != 2*38*6 {
		t.Errorf("%d locations, %d schedules, %d slots", len(got.Locations), len(got.Schedules), len(got.Slots))
	}
	id := scheduleID("S_3", "COVID:18+")
	if got.Schedules[id].Service != "COVID:18+" || got.Schedules[id].Availability != "some" || got.Schedules[scheduleID("S_1", "RSV:Adult")].Availability != "unknown" {
		t.Errorf("%+v", got.Schedules[id])
	}
	free, busy := 0, 0
	for _, slot := range got.Slots {
		if slot.Schedule != id {
			continue
		}
		if slot.Status == "free" {
			free += slot.Capacity
		} else {
			busy += slot.Capacity
		}
		if want := server.URL + "/book?service=COVID%3A18%2B&site=S_3&start=" + strings.ReplaceAll(slot.Start.UTC().Format(time.RFC3339), ":", "%3A"); len(slot.Links) != 2 || slot.Links[0] != want || slot.Links[1] != want {
			t.Fatalf("links %v, want %s", slot.Links, want)
		}
	}
	if free != 1+2+1+2 || busy != 2+2 {
		t.Errorf("%d free and %d busy places", free, busy)
	}
}

func TestJoinedChecksums(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		a := rapid.SliceOf(rapid.Byte()).Draw(r, "a")
		b := rapid.SliceOf(rapid.Byte()).Draw(r, "b")
		if got, want := joined(crc32.ChecksumIEEE(a), crc32.ChecksumIEEE(b), int64(len(b))), crc32.ChecksumIEEE(append(a, b...)); got != want {
			r.Fatalf("%08x, want %08x", got, want)
		}
	})
}

func TestOptions(t *testing.T) {
	for _, bad := range []Options{{}, {BaseURL: "muster.test"}, {BaseURL: "ftp://muster.test"}, {BaseURL: "https://a:b@muster.test"}, {BaseURL: "https://muster.test", Days: 999}} {
		if _, err := New(bad, newTown(0)); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

func TestUnknownFiles(t *testing.T) {
	p := publisher(t, newTown(1), Options{})
	for _, name := range []string{"", "slot-64.ndjson", "slot-7.ndjson", "slot-+7.ndjson", "slot-07", "Slot-07.ndjson", "../slot-07.ndjson"} {
		if _, _, ok, err := p.File(t.Context(), name); ok || err != nil {
			t.Errorf("%q: %v, %v", name, ok, err)
		}
	}
}

// BenchmarkPublish measures 10,000 sites with 40 slots on each of 28 days: everything from nothing, and what all files cost
// after one site changed. The source's own work is not in it.
func BenchmarkPublish(b *testing.B) {
	s := newTown(10_000)
	s.services = s.services[:1]
	s.fill(28 * 40)
	read := func(p *Publisher) (size int64) {
		for i := range 64 {
			_, open, _, err := p.File(context.Background(), fileName(slots, i))
			if err != nil {
				b.Fatal(err)
			}
			n, err := io.Copy(io.Discard, open(context.Background(), true))
			if err != nil {
				b.Fatal(err)
			}
			size += n
		}
		return size
	}
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			p := publisher(b, s, Options{KeepBytes: 1 << 30})
			b.ReportMetric(float64(read(p)>>20), "MiB")
		}
	})
	b.Run("after one change", func(b *testing.B) {
		p := publisher(b, s, Options{KeepBytes: 1 << 30})
		read(p)
		for b.Loop() {
			s.sites[allocator.SiteID(fmt.Sprintf("S_%d", rand.IntN(10_000)))].changes++
			s.now = s.now.Add(10 * time.Millisecond)
			p.edition.at = time.Time{} // due
			read(p)
		}
	})
}
