package bulk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest/memoryledger"
	"muster/api"
	"muster/cmd/muster/bulk"
)

// noon is the present of these tests: the evening before the week in which the clocks change.
var noon = time.Date(2027, 3, 21, 12, 0, 0, 0, time.UTC)

func now() time.Time { return noon }

// oneTown knows a single postcode.
type oneTown struct{}

func (oneTown) Locate(text string) (string, float64, float64, string, bool) {
	if strings.ReplaceAll(strings.ToUpper(text), " ", "") != "LS14AP" {
		return "", 0, 0, "", false
	}
	return "LS1 4AP", 53.7963, -1.5477, "unit", true
}

func file(t testing.TB, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func job(l allocator.Ledger, path string, messages *bytes.Buffer) bulk.Job {
	return bulk.Job{Ledger: l, Path: path, Target: "test", Actor: "test", Messages: messages, RetryAfter: time.Nanosecond}
}

func loadSites(t testing.TB, l allocator.Ledger, lines ...string) (bulk.Report, string, error) {
	t.Helper()
	var messages bytes.Buffer
	report, err := bulk.Sites{Postcodes: oneTown{}, Publisher: "someone"}.Load(t.Context(), job(l, file(t, lines...), &messages))
	return report, messages.String(), err
}

var capacity = bulk.Capacity{Decode: api.DecodeCapacity, Now: now}

func site(t testing.TB, l allocator.Ledger, id allocator.SiteID) allocator.Site {
	t.Helper()
	s, ok, err := l.Site(t.Context(), id)
	if err != nil || !ok {
		t.Fatalf("site %s: found %v, %v", id, ok, err)
	}
	return s
}

// world is a ledger with n sites and one service.
func world(t testing.TB, n int) *memoryledger.Ledger {
	t.Helper()
	l := memoryledger.New(now)
	if _, err := l.PutService(t.Context(), allocator.DefaultService("RSV:Adult"), "test"); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		s := allocator.Site{ID: siteID(i), Name: "Site", TimeZone: "Europe/London", Lat: 51, Lon: 0}
		if _, err := l.PutSite(t.Context(), s, "test"); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func siteID(i int) allocator.SiteID { return allocator.SiteID(fmt.Sprintf("A%03d", i)) }

func capacityLine(site int, day int) string {
	date := allocator.DateOf(noon) + allocator.Date(day)
	return fmt.Sprintf(`{"siteId":%q,"date":%q,"sessions":[{"from":"09:00","until":"12:00","slotLength":10,"capacity":2,"services":["RSV:Adult"]}]}`,
		siteID(site), date)
}

func TestSitesOfTheRealList(t *testing.T) {
	l := memoryledger.New(now)
	lines := []string{
		"type,name,postcode,latitude,longitude,adminDistrict,msoa,lsoa",
		"Pharmacies,Acorn Pharmacy - Luton,LU4 8BN,51.886173,-0.430353,E06000032,E02003274,E01015725",
		`Pharmacies,"Pearl Chemist,  Mitcham Road ",SW17 9PG,51.424001,-0.16238,E09000032,E02000957,E01004528`,
	}
	for range 2 { // the second time finds the same sites
		if report, said, err := loadSites(t, l, lines...); err != nil || report.Lines != 3 || strings.Contains(said, "not used") {
			t.Fatalf("%+v, %v\n%s", report, err, said)
		}
	}
	sites, err := l.Sites(t.Context(), "", 10)
	if err != nil || len(sites) != 2 {
		t.Fatalf("%d sites, %v", len(sites), err)
	}
	for _, s := range sites {
		if s.Version != 1 || !s.ID.Valid() || s.TimeZone != "Europe/London" || s.Publisher != "someone" {
			t.Errorf("%+v", s)
		}
	}
}

func TestSitesWithTheContractsFields(t *testing.T) {
	l := memoryledger.New(now)
	report, said, err := loadSites(t, l,
		"\ufeffsiteId,name,address.lines,postcode,timeZone,odsCode,region,icb,phone,accessibilities,informationForCitizens,status,shoe size\r",
		"FA512,Boots,1 High Street; Leeds,ls14ap,Europe/London,FA512,North East,QWO,0113 496 0000,step_free;parking,Ring the bell,offline,44\r")
	if err != nil || report.Failed != 0 || !strings.Contains(said, "columns that are not used: shoe size") {
		t.Fatalf("%+v, %v\n%s", report, err, said)
	}
	s := site(t, l, "FA512")
	if s.Postcode != "LS1 4AP" || s.Lat != 53.7963 || len(s.AddressLines) != 2 || len(s.Accessibilities) != 2 || !s.Offline ||
		s.ODSCode != "FA512" || s.Information != "Ring the bell" || s.Phone != "0113 496 0000" {
		t.Errorf("%+v", s)
	}
}

// Each bad line is told with its number and its fault, and the good ones are loaded.
func TestBadSites(t *testing.T) {
	l := memoryledger.New(now)
	lines := []string{"id,name,postcode,lat,lon,status,timeZone"}
	want := map[int]string{}
	bad := func(text, fault string) {
		lines = append(lines, text)
		want[len(lines)] = fault
	}
	lines = append(lines, "A1,Good,LS1 4AP,,,,")
	bad("A2,Nowhere,XX9 9XX,,,,", "POSTCODE_UNKNOWN")
	bad("A3,Off the earth,LS1 4AP,91,0,,", "latitude")
	bad("A4,Half,LS1 4AP,1,,,", "longitude")
	bad("A 5,Bad id,LS1 4AP,,,,", "site id")
	bad("A6,,LS1 4AP,,,,", "no name")
	bad("A7,Asleep,LS1 4AP,,,asleep,", "neither online nor offline")
	bad("A8,Nowhen,LS1 4AP,,,,Mars/Olympus", "time zone")
	bad(`A9,"Stray,LS1 4AP,,,,`, "quotes")
	bad("A10,Bytes \xff\xfe,LS1 4AP,,,,", "UTF-8")
	bad("A11,"+strings.Repeat("x", bulk.MaxLineBytes)+",LS1 4AP,,,,", "longer than")
	bad("A12,Not a number,LS1 4AP,NaN,0,,", "latitude")
	bad("A1,Again,LS1 4AP,,,,", "same site")
	lines = append(lines, "", "A13,Good too,LS1 4AP,,,,")
	bad("A14,Cut in the mid", "has 2 fields")
	report, said, err := loadSites(t, l, lines...)
	if !errors.Is(err, bulk.ErrLinesFailed) || report.Failed != len(want) || report.Lines != len(lines) {
		t.Errorf("%+v, %v, want %d of %d lines to fail", report, err, len(want), len(lines))
	}
	for number, fault := range want {
		if !told(said, number, fault) {
			t.Errorf("line %d is not told with %q", number, fault)
		}
	}
	if sites, err := l.Sites(t.Context(), "", 100); err != nil || len(sites) != 2 {
		t.Errorf("%d sites were loaded, %v; want the 2 good ones", len(sites), err)
	}
}

func told(said string, number int, fault string) bool {
	for text := range strings.Lines(said) {
		if strings.Contains(text, fmt.Sprintf("line %d: ", number)) && strings.Contains(text, fault) {
			return true
		}
	}
	return false
}

func TestSitesNeedAHeader(t *testing.T) {
	for _, header := range []string{"", "a,b,c", "name,lat", "name,postcode,Name"} {
		if _, _, err := loadSites(t, memoryledger.New(now), header, "x,y,z"); err == nil {
			t.Errorf("header %q was taken", header)
		}
	}
}

func TestBadCapacity(t *testing.T) {
	l := world(t, 2)
	var lines []string
	want := map[int]string{}
	bad := func(text, fault string) {
		lines = append(lines, text)
		want[len(lines)] = fault
	}
	good := capacityLine(0, 1)
	lines = append(lines, good)
	bad(good[:len(good)/2], "INVALID_REQUEST")
	bad(strings.Replace(good, "A000", "B000", 1), "SITE_UNKNOWN")
	bad(strings.Replace(good, "RSV:Adult", "MMR", 1), "SERVICE_UNKNOWN")
	bad(strings.Replace(good, `"capacity":2`, `"capacity":0`, 1), "capacity")
	bad(strings.Replace(good, `"capacity":2`, `"capacity":2,"capacity":3`, 1), "capacity")
	bad(strings.Replace(good, `"capacity"`, `"Capacity"`, 1), "not a known field")
	bad(strings.Replace(good, `"date"`, `"ifMatch":7,"date"`, 1), "REVISION_MISMATCH")
	bad(capacityLine(0, -1), "is over")
	bad(capacityLine(0, 400), "days ahead")
	bad("\xff\xfe{}", "UTF-8")
	bad(strings.Repeat(" ", 10<<20)+good, "longer than")
	bad("[]", "INVALID_REQUEST")
	lines = append(lines, "", capacityLine(1, 7)) // the day of the clock change
	bad(`{"siteId":"A001","date":"2027-`, "INVALID_REQUEST")
	var said bytes.Buffer
	report, err := capacity.Load(t.Context(), job(l, file(t, lines...), &said))
	if !errors.Is(err, bulk.ErrLinesFailed) || report.Failed != len(want) || report.Lines != len(lines) {
		t.Errorf("%+v, %v, want %d of %d lines to fail", report, err, len(want), len(lines))
	}
	for number, fault := range want {
		if !told(said.String(), number, fault) {
			t.Errorf("line %d is not told with %q in:\n%s", number, fault, said.String())
		}
	}
	if days, err := l.Days(t.Context(), allocator.DayRevision{}, 0, 100); err != nil || len(days) != 2 || days[0].Revision != 1 {
		t.Errorf("%d days were loaded, %v; want the 2 good ones", len(days), err)
	}
}

// Lines of one day are loaded one after the other, whatever batch they fall into.
func TestSameDayTwice(t *testing.T) {
	l := world(t, 1)
	second := strings.Replace(capacityLine(0, 1), `"capacity":2`, `"capacity":5`, 1)
	var said bytes.Buffer
	if _, err := capacity.Load(t.Context(), job(l, file(t, capacityLine(0, 1), second, capacityLine(0, 2)), &said)); err != nil {
		t.Fatal(err)
	}
	day, err := l.Day(t.Context(), siteID(0), allocator.DateOf(noon)+1)
	if err != nil || day.Revision != 2 || day.Sessions[0].Capacity != 5 {
		t.Errorf("%+v, %v", day, err)
	}
}

func TestCreateServices(t *testing.T) {
	l := world(t, 1)
	lenient := capacity
	lenient.CreateServices = true
	var said bytes.Buffer
	if _, err := lenient.Load(t.Context(), job(l, file(t, strings.Replace(capacityLine(0, 1), "RSV:Adult", "MMR", 1)), &said)); err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
}

// flaky is a ledger that breaks down at a chosen call, before or after the effect, and may end the run there.
type flaky struct {
	allocator.Ledger
	calls, failAt, failures int
	after                   bool
	interrupt               context.CancelFunc
	most                    int // changes in one call
}

func (f *flaky) Publish(ctx context.Context, changes []allocator.DayChange) ([]allocator.PublishResult, error) {
	f.calls++
	f.most = max(f.most, len(changes))
	if f.interrupt != nil && f.calls == f.failAt {
		f.interrupt()
	} else if f.calls >= f.failAt && f.calls < f.failAt+f.failures {
		if f.after {
			_, _ = f.Ledger.Publish(ctx, changes)
			return nil, allocator.ErrOutcomeUnknown
		}
		return nil, allocator.ErrUnavailable
	}
	return f.Ledger.Publish(ctx, changes)
}

// manyDays is sites × 28 days, with one bad line.
func manyDays(sites int) []string {
	var lines []string
	for s := range sites {
		for d := range 28 {
			lines = append(lines, capacityLine(s, d))
		}
	}
	lines[100] = "nonsense"
	return lines
}

func TestLedgerFailuresAreRetried(t *testing.T) {
	for _, after := range []bool{false, true} {
		l := &flaky{Ledger: world(t, 40), failAt: 2, failures: 3, after: after}
		var said bytes.Buffer
		report, err := capacity.Load(t.Context(), job(l, file(t, manyDays(40)...), &said))
		if !errors.Is(err, bulk.ErrLinesFailed) || report.Failed != 1 || report.Lines != 40*28 {
			t.Fatalf("%+v, %v\n%s", report, err, said.String())
		}
		wantAllOnce(t, l, 40*28-1)
	}
}

func wantAllOnce(t *testing.T, l allocator.Ledger, want int) {
	t.Helper()
	days, err := l.Days(t.Context(), allocator.DayRevision{}, 0, 10_000)
	if err != nil || len(days) != want {
		t.Fatalf("%d days, %v, want %d", len(days), err, want)
	}
	for _, d := range days {
		if d.Revision != 1 {
			t.Fatalf("%s %s has revision %d: it was written more than once", d.Site, d.Date, d.Revision)
		}
	}
}

// A run that is interrupted, or whose ledger stays away, tells where it ended; the next one goes on there and counts the
// lines that failed before too.
func TestResume(t *testing.T) {
	for name, broken := range map[string]func(*flaky, context.CancelFunc){
		"interrupt": func(f *flaky, cancel context.CancelFunc) { f.interrupt = cancel },
		"ledger":    func(f *flaky, _ context.CancelFunc) { f.failures = 1000 },
	} {
		t.Run(name, func(t *testing.T) {
			real := world(t, 60)
			path := file(t, manyDays(60)...)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			l := &flaky{Ledger: real, failAt: 3}
			broken(l, cancel)
			var said bytes.Buffer
			report, err := capacity.Load(ctx, job(l, path, &said))
			if err == nil || errors.Is(err, bulk.ErrLinesFailed) || report.Lines < 256 || report.Lines >= 60*28 {
				t.Fatalf("%+v, %v", report, err)
			}
			hint := fmt.Sprintf("--resume-from %d", report.Lines+1)
			if !strings.Contains(said.String(), hint) {
				t.Errorf("%q is not said in:\n%s", hint, said.String())
			}
			again := &flaky{Ledger: real, failAt: -1}
			said.Reset()
			whole, err := capacity.Load(t.Context(), job(again, path, &said))
			if !errors.Is(err, bulk.ErrLinesFailed) || whole.Failed != 1 || whole.Lines != 60*28 {
				t.Fatalf("%+v, %v\n%s", whole, err, said.String())
			}
			if want := (60*28 - report.Lines + 255) / 256; again.calls != want {
				t.Errorf("the second run made %d calls, want %d: it did not go on where the first ended", again.calls, want)
			}
			wantAllOnce(t, real, 60*28-1)
			if _, err := os.Stat(path + ".muster-resume"); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the checkpoint stays: %v", err)
			}
		})
	}
}

// A checkpoint counts only for the same file and the same ledger, and --resume-from overrules it.
func TestStaleCheckpoint(t *testing.T) {
	path := file(t, manyDays(40)...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var said bytes.Buffer
	if _, err := capacity.Load(ctx, job(&flaky{Ledger: world(t, 40), failAt: 2, interrupt: cancel}, path, &said)); !errors.Is(err, bulk.ErrInterrupted) {
		t.Fatal(err)
	}
	other := job(world(t, 40), path, &said)
	other.Target = "another ledger"
	if _, err := capacity.Load(t.Context(), other); !errors.Is(err, bulk.ErrLinesFailed) {
		t.Fatal(err)
	}
	wantAllOnce(t, other.Ledger, 40*28-1)
	from := job(world(t, 40), path, &said)
	from.ResumeFrom = 40*28 - 1
	report, err := capacity.Load(t.Context(), from)
	if err != nil || report.Lines != 40*28 {
		t.Fatalf("%+v, %v", report, err)
	}
	wantAllOnce(t, from.Ledger, 2)
}

// However long the file, no call to the ledger grows.
func TestBatchesAreBounded(t *testing.T) {
	l := &flaky{Ledger: world(t, 100), failAt: -1}
	var said bytes.Buffer
	if _, err := capacity.Load(t.Context(), job(l, file(t, manyDays(100)...), &said)); !errors.Is(err, bulk.ErrLinesFailed) {
		t.Fatal(err)
	}
	if l.most > 256 {
		t.Errorf("%d days in one call", l.most)
	}
}
