package allocator_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"muster/allocator"
	"muster/allocator/allocatortest"
	"muster/allocator/allocatortest/memoryledger"
	"muster/allocator/memoryinventory"
	"muster/geo"
)

// places is the index that the program uses.
type places struct{}

func (places) Index(lats, lons []float64) allocator.NearestIndex {
	list := make([]geo.Place, len(lats))
	for i := range lats {
		list[i] = geo.Place{Position: int32(i), Point: geo.Point{Lat: lats[i], Lon: lons[i]}}
	}
	index, err := geo.NewIndex(list)
	if err != nil {
		panic(err)
	}
	return placesIndex{index}
}

type placesIndex struct{ *geo.Index }

func (x placesIndex) Visit(lat, lon, radius float64, visit func(int, float64) bool) {
	x.Nearest(geo.Point{Lat: lat, Lon: lon}, radius, func(p int32, metres float64) bool { return visit(int(p), metres) })
}

func (x placesIndex) Marks() allocator.PointMarks { return placeMarks{x.Index.Marks()} }

type placeMarks struct{ *geo.Marks }

func (m placeMarks) Set(p int) { m.Marks.Set(int32(p)) }

func (m placeMarks) Unset(p int) { m.Marks.Unset(int32(p)) }

func (m placeMarks) Nearest(lat, lon, radius float64, k int, dst []allocator.PointFound) []allocator.PointFound {
	var room [64]geo.Neighbour
	for _, n := range m.NearestK(geo.Point{Lat: lat, Lon: lon}, radius, k, room[:0]) {
		dst = append(dst, allocator.PointFound{Position: int(n.Position), DistanceMetres: n.DistanceMetres})
	}
	return dst
}

// atlas is a snapshot beside the plain data that it was made from, and the search as it reads in the contract: site by site,
// day by day, slot by slot, with nothing kept.
type atlas struct {
	now      atomic.Int64 // Unix milliseconds
	zone     *time.Location
	nearest  allocator.Nearest
	engine   *allocator.Allocator
	snapshot allocator.Snapshot
	sites    map[allocator.SiteID]allocator.Site
	services map[allocator.ServiceCode]allocator.Service
	days     map[allocator.SiteID]map[allocator.Date]allocator.Day
	usage    map[allocator.SlotID]allocator.Counts
	version  int64
}

// Now implements allocator.Clock.
func (m *atlas) Now() time.Time { return time.UnixMilli(m.now.Load()).UTC() }

func newAtlas(t testing.TB, nearest allocator.Nearest) *atlas {
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	m := &atlas{
		nearest: nearest,
		zone:    zone, sites: make(map[allocator.SiteID]allocator.Site), services: make(map[allocator.ServiceCode]allocator.Service),
		days: make(map[allocator.SiteID]map[allocator.Date]allocator.Day), usage: make(map[allocator.SlotID]allocator.Counts),
	}
	m.now.Store(time.Date(2027, 3, 26, 21, 30, 30, 0, zone).UnixMilli()) // the clocks change on the 28th
	m.engine, err = allocator.New(allocator.Config{
		Inventory: memoryinventory.New(memoryinventory.Options{Shards: 2, Now: m.Now}), Ledger: memoryledger.New(m.Now),
		Secret: []byte("sixteen bytes or more"), Postcodes: allocatortest.Postcodes{"LS1 4AP": {53.8, -1.5}}, Nearest: nearest, Clock: m,
	})
	if err != nil {
		t.Fatal(err)
	}
	m.snapshot = allocator.SnapshotOf(m.engine)
	m.snapshot.Fed(m.Now())
	return m
}

func (m *atlas) today() allocator.Date { return allocator.DateOf(m.Now().In(m.zone)) }

func (m *atlas) putSite(t interface{ Fatal(...any) }, site allocator.Site) {
	m.version++
	site.Version, site.TimeZone = m.version, m.zone.String()
	m.sites[site.ID] = site
	if err := m.snapshot.PutSite(site); err != nil {
		t.Fatal(err)
	}
}

func (m *atlas) putService(s allocator.Service) {
	m.version++
	s.Version = m.version
	m.services[s.Code] = s
	m.snapshot.PutServices(s)
}

func (m *atlas) putDay(day allocator.Day) {
	m.version++
	day.Revision = m.version
	if m.days[day.Site] == nil {
		m.days[day.Site] = make(map[allocator.Date]allocator.Day)
	}
	m.days[day.Site][day.Date] = day
	m.snapshot.PutDay(day)
}

func (m *atlas) use(id allocator.SlotID, counts allocator.Counts) {
	m.usage[id] = counts
	m.snapshot.SetUsage(id, maps.Clone(counts))
}

// search is what Search must answer.
func (m *atlas) search(r allocator.SearchRequest) (rows []string) {
	ids := slices.Sorted(maps.Keys(m.sites))
	lats, lons := make([]float64, len(ids)), make([]float64, len(ids))
	for i, id := range ids {
		lats[i], lons[i] = m.sites[id].Lat, m.sites[id].Lon
	}
	m.nearest.Index(lats, lons).Visit(53.8, -1.5, r.RadiusMetres, func(position int, metres float64) bool {
		site := m.sites[ids[position]]
		for _, a := range r.Accessibilities {
			if !slices.Contains(site.Accessibilities, a) {
				return true
			}
		}
		days, next := m.freeDays(site, r)
		if site.Offline || next.IsZero() && !(r.IncludeFull && m.everOffers(site.ID, r.Service)) {
			return true
		}
		rows = append(rows, row(site, int(metres+0.5), next, days))
		return len(rows) < r.Limit
	})
	return rows
}

func row(site allocator.Site, metres int, next time.Time, days []allocator.DayFree) string {
	return fmt.Sprintf("%+v at %d m: %s %v", site, metres, next.Format(time.RFC3339), days)
}

func (m *atlas) everOffers(id allocator.SiteID, service allocator.ServiceCode) bool {
	for _, day := range m.days[id] {
		for _, s := range day.Sessions {
			if slices.Contains(s.Services, service) {
				return true
			}
		}
	}
	return false
}

func (m *atlas) freeDays(site allocator.Site, r allocator.SearchRequest) (days []allocator.DayFree, next time.Time) {
	s, now := m.services[r.Service], m.Now()
	if s.BookingOpens > now.UnixMilli() {
		return nil, next
	}
	earliest := now.Add(time.Duration(s.MinLeadHours) * time.Hour)
	latest := now.Add(time.Duration(s.WindowDays) * 24 * time.Hour)
	bookable := func(at time.Time) bool { return !at.Before(earliest) && !at.After(latest) }
	// A start lies on a whole minute, so the first one that may be booked may lie on the next date already.
	soonest := allocator.DateOf(earliest.Add(time.Minute - time.Nanosecond).Truncate(time.Minute).In(m.zone))
	for _, date := range slices.Sorted(maps.Keys(m.days[site.ID])) {
		if date < soonest || date > allocator.DateOf(latest.In(m.zone)) || date < r.From || r.To != 0 && date > r.To ||
			date < s.FirstDate || s.LastDate != 0 && date > s.LastDate {
			continue
		}
		free := 0
		for _, slot := range m.slotsFor(m.days[site.ID][date], r, bookable) {
			if free += slot.Free; next.IsZero() {
				next = slot.Start.Time().In(m.zone)
			}
		}
		if free > 0 || r.IncludeFull {
			days = append(days, allocator.DayFree{Date: date, Free: free})
		}
	}
	return days, next
}

// slotsFor lists the slots from which all people fit.
func (m *atlas) slotsFor(day allocator.Day, r allocator.SearchRequest, bookable func(time.Time) bool) (fit []allocator.SlotFree) {
	free := func(id allocator.SlotID) int {
		slot, ok := day.Slot(id, m.zone)
		if !ok || !bookable(id.Start.Time()) {
			return 0
		}
		return allocator.Free(slot.Pools, m.usage[id], r.Service, allocator.AccessPublic)
	}
	for _, slot := range day.Slots(m.zone) {
		room := 0
		for id := slot.ID; room < r.People; id.Start += allocator.Minute(id.Length) {
			n := free(id)
			if n == 0 {
				break
			}
			room += n
		}
		if room >= r.People {
			fit = append(fit, allocator.SlotFree{Start: slot.ID.Start, Length: slot.ID.Length, Free: free(slot.ID)})
		}
	}
	return fit
}

func rowsOf(reply allocator.SearchReply) (rows []string) {
	for _, s := range reply.Sites {
		rows = append(rows, row(s.Site, s.DistanceMetres, s.NextAvailable, s.Days))
	}
	return rows
}

var atlasServices = []allocator.ServiceCode{"RSV", "FLU", "COVID"}

func drawSite(t *rapid.T, id allocator.SiteID) allocator.Site {
	site := allocator.Site{
		ID: id, Name: string(id) + rapid.SampledFrom([]string{"", " <b>"}).Draw(t, "name"), Offline: rapid.IntRange(0, 9).Draw(t, "offline") == 0,
		Lat: 53.8 + float64(rapid.IntRange(-3, 3).Draw(t, "north"))/50, Lon: -1.5 + float64(rapid.IntRange(-3, 3).Draw(t, "east"))/50,
	}
	if rapid.Bool().Draw(t, "parking") {
		site.Accessibilities = []string{"parking"}
	}
	return site
}

func drawService(t *rapid.T, code allocator.ServiceCode, m *atlas) allocator.Service {
	s := allocator.DefaultService(code)
	s.MinLeadHours = rapid.SampledFrom([]int{0, 0, 1, 24}).Draw(t, "lead")
	s.WindowDays = rapid.SampledFrom([]int{2, 90}).Draw(t, "window")
	switch rapid.IntRange(0, 5).Draw(t, "limits") {
	case 0:
		s.FirstDate = m.today() + 1
	case 1:
		s.LastDate = m.today() + 1
	case 2:
		s.BookingOpens = m.now.Load() + 60_000
	}
	return s
}

func drawDay(t *rapid.T, id allocator.SiteID, m *atlas) allocator.Day {
	day := allocator.Day{Site: id, Date: m.today() + allocator.Date(rapid.IntRange(-2, 4).Draw(t, "date"))}
	for range rapid.IntRange(0, 2).Draw(t, "sessions") {
		from := allocator.TimeOfDay(60 * rapid.IntRange(0, 22).Draw(t, "from"))
		s := allocator.Session{
			From: from, Until: min(24*60, from+allocator.TimeOfDay(rapid.SampledFrom([]int{30, 60, 200}).Draw(t, "minutes"))), SlotLength: 10,
			Capacity: rapid.IntRange(1, 2).Draw(t, "capacity"), Invited: rapid.IntRange(0, 9).Draw(t, "invited") == 0,
			Services: rapid.SampledFrom([][]allocator.ServiceCode{{"RSV"}, {"FLU"}, {"FLU", "RSV"}, {"COVID", "FLU", "RSV"}}).Draw(t, "services"),
		}
		day.Sessions = append(day.Sessions, s)
	}
	return day
}

func drawSearch(t *rapid.T, m *atlas) allocator.SearchRequest {
	r := allocator.SearchRequest{
		Postcode: "LS1 4AP", Service: rapid.SampledFrom(atlasServices).Draw(t, "service"), People: 1,
		RadiusMetres: rapid.SampledFrom([]float64{50_000, 3_000}).Draw(t, "radius"), Limit: rapid.SampledFrom([]int{10, 1, 3}).Draw(t, "limit"),
	}
	if rapid.Bool().Draw(t, "plain") { // what most people ask
		return r
	}
	if rapid.Bool().Draw(t, "dated") {
		r.From = m.today() + allocator.Date(rapid.IntRange(-1, 3).Draw(t, "first"))
		r.To = r.From + allocator.Date(rapid.IntRange(0, 2).Draw(t, "days"))
	}
	r.People = rapid.SampledFrom([]int{1, 2, 4}).Draw(t, "people")
	r.IncludeFull = rapid.Bool().Draw(t, "full")
	if rapid.IntRange(0, 4).Draw(t, "parks") == 0 {
		r.Accessibilities = []string{"parking"}
	}
	return r
}

// change changes something.
func (m *atlas) change(t *rapid.T) {
	id := rapid.SampledFrom(slices.Sorted(maps.Keys(m.sites))).Draw(t, "site")
	switch what := rapid.IntRange(0, 19).Draw(t, "change"); {
	case what == 0:
		m.putSite(t, drawSite(t, id))
	case what == 1:
		m.putSite(t, drawSite(t, allocator.SiteID(fmt.Sprintf("N%d", rapid.IntRange(0, 5).Draw(t, "new")))))
	case what == 2:
		m.putService(drawService(t, rapid.SampledFrom(atlasServices).Draw(t, "service"), m))
	case what <= 5:
		m.putDay(drawDay(t, id, m))
	case what == 6: // also back
		m.now.Add(rapid.SampledFrom([]int64{1, 59_000, 60_000, 600_000, 4 * 3_600_000, -1, -60_000, -600_000}).Draw(t, "ms"))
	case what == 7:
		before := m.today() - 2
		m.snapshot.ForgetBefore(id, before)
		maps.DeleteFunc(m.days[id], func(date allocator.Date, _ allocator.Day) bool { return date < before })
	case what == 8:
		m.snapshot.Replace(id)
		maps.DeleteFunc(m.usage, func(slot allocator.SlotID, _ allocator.Counts) bool { return slot.Site == id })
	default:
		m.claims(t, id)
	}
}

// claims fills or empties slots of one day, one after the other.
func (m *atlas) claims(t *rapid.T, id allocator.SiteID) {
	if len(m.days[id]) == 0 {
		return
	}
	day := m.days[id][rapid.SampledFrom(slices.Sorted(maps.Keys(m.days[id]))).Draw(t, "date")]
	slots := day.Slots(m.zone)
	if len(slots) == 0 {
		return
	}
	from := rapid.IntRange(0, len(slots)-1).Draw(t, "from")
	counts := allocator.Counts{rapid.SampledFrom(atlasServices).Draw(t, "service"): rapid.IntRange(0, 4).Draw(t, "claims")}
	for _, slot := range slots[from:rapid.IntRange(from+1, len(slots)).Draw(t, "to")] {
		m.use(slot.ID, counts)
	}
}

// TestSearchAnswersAsIfNothingWereKept: whatever changes between searches, they answer what is worked out anew from the data.
func TestSearchAnswersAsIfNothingWereKept(t *testing.T) {
	for name, nearest := range map[string]allocator.Nearest{"tree": places{}, "list": allocatortest.Nearest{}} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				m := newAtlas(t, nearest)
				for _, code := range atlasServices {
					m.putService(allocator.DefaultService(code))
				}
				for i := range rapid.IntRange(1, 8).Draw(rt, "sites") {
					id := allocator.SiteID(fmt.Sprintf("S%d", i))
					m.putSite(rt, drawSite(rt, id))
					m.putDay(drawDay(rt, id, m))
				}
				var reuse []allocator.SiteFound
				for range rapid.IntRange(1, 30).Draw(rt, "steps") {
					m.change(rt)
					r := drawSearch(rt, m)
					want := m.search(r)
					r.Reuse = reuse
					reply, err := m.engine.Search(t.Context(), r)
					if got := rowsOf(reply); err != nil || !reflect.DeepEqual(got, want) {
						rt.Fatalf("%s: %+v\n got %q, %v\nwant %q", m.Now().In(m.zone), r, got, err, want)
					}
					reuse = reply.Sites
				}
			})
		})
	}
}

// TestMarksHeedTheClockAndTheNotice: a site that was passed by because its last slot was too soon is found where the clock is
// set back, by a little or a lot, or where the service may be booked at shorter notice.
func TestMarksHeedTheClockAndTheNotice(t *testing.T) {
	m := newAtlas(t, places{})
	service := allocator.DefaultService("RSV")
	m.putService(service)
	m.putSite(t, allocator.Site{ID: "S1", Lat: 53.8, Lon: -1.5})
	m.putDay(allocator.Day{Site: "S1", Date: m.today(), Sessions: []allocator.Session{{From: 22 * 60, Until: 22*60 + 10, SlotLength: 10, Capacity: 1, Services: []allocator.ServiceCode{"RSV"}}}})
	expect := func(when string, sites int) {
		t.Helper()
		reply, err := m.engine.Search(t.Context(), allocator.SearchRequest{Postcode: "LS1 4AP", Service: "RSV"})
		if err != nil || len(reply.Sites) != sites {
			t.Errorf("%s: %v, %v", when, rowsOf(reply), err)
		}
	}
	begun := m.now.Load()
	expect("half an hour before", 1)
	m.now.Add(30 * 60_000)
	expect("just after", 0)
	m.now.Add(-60_000)
	expect("a minute back", 1)
	m.now.Add(3_600_000)
	expect("an hour later", 0)
	m.now.Store(begun)
	expect("back at the beginning", 1)
	service.MinLeadHours = 24
	m.putService(service)
	expect("at a day's notice", 0)
	service.MinLeadHours = 0
	m.putService(service)
	expect("at no notice", 1)
}
