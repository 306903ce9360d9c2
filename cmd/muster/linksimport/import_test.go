package linksimport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest/memoryledger"
	"muster/cmd/muster/bulk"
)

// now is the morning before the week in which the clocks go forward.
func now() time.Time { return time.Date(2027, 3, 21, 8, 0, 0, 0, time.UTC) }

// oneTown knows a single postcode.
type oneTown struct{}

func (oneTown) Locate(text string) (string, float64, float64, string, bool) {
	if strings.ReplaceAll(text, " ", "") != "LS14AP" {
		return "", 0, 0, "", false
	}
	return "LS1 4AP", 53.7963, -1.5477, "unit", true
}

// site is a publisher: paths and what is answered there.
type site map[string]http.HandlerFunc

func text(contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, body)
	}
}

func ndjson(lines ...string) http.HandlerFunc {
	return text("application/fhir+ndjson", strings.Join(lines, "\n")+"\n")
}

const manifestPath = "/$bulk-publish"

func manifestOf(outputs ...string) http.HandlerFunc {
	return text("application/json", `{"transactionTime":"2027-03-21T08:00:00Z","request":"x","output":[`+strings.Join(outputs, ",")+`]}`)
}

func named(kind, at string) string { return fmt.Sprintf(`{"type":%q,"url":%q}`, kind, at) }

func usual() site {
	return site{
		manifestPath: manifestOf(named("Location", "/l"), named("Schedule", "/c"), named("Slot", "/s")),
		"/l":         ndjson(locationLine("1")),
		"/c":         ndjson(scheduleLine("c1", "1", "FLU")),
		"/s":         ndjson(slotLineOf("c1", "free", "2027-03-22T09:00:00Z", "2027-03-22T09:10:00Z", 2)),
	}
}

func locationLine(id string) string {
	return fmt.Sprintf(`{"resourceType":"Location","id":%q,"name":"Chemist %s","telecom":[{"system":"phone","value":"1"}],"address":{"line":["1 Road"],"city":"Leeds","state":"Y","postalCode":"LS1 4AP"},"position":{"latitude":53.8,"longitude":-1.5}}`, id, id)
}

func scheduleLine(id, location, code string) string {
	return fmt.Sprintf(`{"resourceType":"Schedule","id":%q,"actor":[{"reference":"Location/%s"}],"serviceType":[{"coding":[{"system":"x","code":"57","display":"Immunization"},{"system":"x","code":%q}]}]}`, id, location, code)
}

func slotLineOf(schedule, status, start, end string, capacity int) string {
	return fmt.Sprintf(`{"resourceType":"Slot","id":"x","schedule":{"reference":"Schedule/%s"},"status":%q,"start":%q,"end":%q,"extension":[{"url":"http://fhir-registry.smarthealthit.org/StructureDefinition/slot-capacity","valueInteger":%d}]}`, schedule, status, start, end, capacity)
}

// offer serves a publisher until the test ends.
func (s site) offer(t testing.TB) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer := s[r.URL.Path]; answer != nil {
			answer(w, r)
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func job(base string, ledger allocator.Ledger) Job {
	return Job{
		Ledger: ledger, Postcodes: oneTown{}, URL: base + manifestPath, Messages: io.Discard, Actor: "test", Publisher: "them",
		CreateServices: true, AllowPrivate: true, Now: now, Limits: Limits{RetryAfter: time.Nanosecond},
	}
}

func date(t testing.TB, text string) allocator.Date {
	t.Helper()
	d, err := allocator.ParseDate(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func sessions(t testing.TB, l allocator.Ledger, location, on string) string {
	t.Helper()
	day, err := l.Day(t.Context(), siteID("them", location), date(t, on))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, s := range day.Sessions {
		text := fmt.Sprintf("%s-%s/%d×%d %s", s.From, s.Until, s.SlotLength, s.Capacity, s.Services[0])
		for _, b := range s.Breaks {
			text += fmt.Sprintf(" but %s-%s", b.From, b.Until)
		}
		if s.Stopped {
			text += " stopped"
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}

func TestSessions(t *testing.T) {
	s := usual()
	slot := func(status, from, until string, places int) string {
		return slotLineOf("c1", status, "2027-03-29T"+from+":00Z", "2027-03-29T"+until+":00Z", places) // an hour later by the clocks there
	}
	s["/s"] = ndjson(
		slot("free", "08:20", "08:30", 2), slot("free", "08:00", "08:10", 2), slot("free", "08:10", "08:20", 2), // in any order
		slot("free", "09:00", "09:10", 2),                                    // after a break
		slot("free", "08:40", "08:50", 1), slot("free", "08:40", "08:50", 2), // the same slot twice: three places
		slot("busy", "08:30", "08:40", 2),
		slot("free", "22:00", "23:00", 1),                                           // until midnight
		slot("free", "12:05", "12:15", 2),                                           // on no grid with the others
		slotLineOf("c1", "free", "2027-03-20T09:00:00Z", "2027-03-20T09:10:00Z", 2), // over
	)
	l := memoryledger.New(now)
	report, err := job(s.offer(t), l).Load(t.Context())
	if err != nil || report.Days != 1 || report.Past != 1 || report.Sites != 1 || len(report.Tolerated) != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	const want = "09:00-10:10/10×2 FLU but 09:30-10:00; 09:30-09:40/10×2 FLU stopped; 09:40-09:50/10×3 FLU; 13:05-13:15/10×2 FLU; 23:00-24:00/60×1 FLU"
	if got := sessions(t, l, "1", "2027-03-29"); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	again, err := job(s.offer(t), l).Load(t.Context())
	day, _ := l.Day(t.Context(), siteID("them", "1"), date(t, "2027-03-29"))
	if err != nil || day.Revision != 1 || again.Days != 1 {
		t.Errorf("the second time: %+v, %v, revision %d", again, err, day.Revision)
	}
	stored, _, _ := l.Site(t.Context(), siteID("them", "1"))
	if stored.Publisher != "them" || stored.Name != "Chemist 1" || stored.Phone != "1" || strings.Join(stored.AddressLines, "|") != "1 Road|Leeds" {
		t.Errorf("%+v", stored)
	}
}

// A site that was given to somebody else since is theirs: neither its details nor its days are touched, and the others are.
func TestSitesOfOthers(t *testing.T) {
	s := usual()
	s["/l"] = ndjson(locationLine("1"), locationLine("2"))
	s["/c"] = ndjson(scheduleLine("c1", "1", "FLU"), scheduleLine("c2", "2", "FLU"))
	offer := func(places int) {
		s["/s"] = ndjson(slotLineOf("c1", "free", "2027-03-22T09:00:00Z", "2027-03-22T09:10:00Z", places), slotLineOf("c2", "free", "2027-03-22T09:00:00Z", "2027-03-22T09:10:00Z", places))
	}
	offer(2)
	l := memoryledger.New(now)
	if report, err := job(s.offer(t), l).Load(t.Context()); err != nil || report.Days != 2 {
		t.Fatalf("%+v, %v", report, err)
	}
	given, _, err := l.Site(t.Context(), siteID("them", "1"))
	if err != nil {
		t.Fatal(err)
	}
	given.Publisher, given.Name = "others", "Given"
	if _, err := l.PutSite(t.Context(), given, "operator"); err != nil {
		t.Fatal(err)
	}
	offer(3)
	var messages bytes.Buffer
	j := job(s.offer(t), l)
	j.Messages = &messages
	report, err := j.Load(t.Context())
	if !errors.Is(err, bulk.ErrLinesFailed) || report.Failed != 1 || report.Sites != 1 || report.Days != 1 || !strings.Contains(messages.String(), "/l, line 1: ") {
		t.Fatalf("%+v, %v\n%s", report, err, messages.String())
	}
	if site, _, err := l.Site(t.Context(), given.ID); err != nil || site.Publisher != "others" || site.Name != "Given" {
		t.Errorf("%+v, %v", site, err)
	}
	for location, want := range map[string]string{"1": "09:00-09:10/10×2 FLU", "2": "09:00-09:10/10×3 FLU"} {
		if got := sessions(t, l, location, "2027-03-22"); got != want {
			t.Errorf("location %s has %s", location, got)
		}
	}
}

// What is wrong and plain all the same is taken, and counted by its name.
func TestTolerances(t *testing.T) {
	const free, start, end = "free", "2027-03-22T09:00:00Z", "2027-03-22T09:10:00Z"
	slot := func(old, new string) string {
		return strings.Replace(slotLineOf("c1", free, start, end, 2), old, new, 1)
	}
	for name, c := range map[string]struct {
		path   string
		answer http.HandlerFunc
	}{
		"relative-url":               {"/x", ndjson()}, // as usual
		"blank-line":                 {"/s", ndjson(slotLineOf("c1", free, start, end, 2), "", "  ")},
		"byte-order-mark":            {"/s", ndjson("\ufeff" + slotLineOf("c1", free, start, end, 2))},
		"wrong-content-type":         {"/s", text("text/plain", slotLineOf("c1", free, start, end, 2))},
		"capacity-missing":           {"/s", ndjson(slot("slot-capacity", "something"))},
		"number-in-quotes":           {"/s", ndjson(slot(`"valueInteger":2`, `"valueInteger":"2"`))},
		"schedule-missing":           {"/s", ndjson(slot(`"schedule":{"reference":"Schedule/c1"},`, ""))},
		"reference-with-address":     {"/s", ndjson(slot("Schedule/c1", "https://x.test/Schedule/c1"))},
		"reference-without-kind":     {"/s", ndjson(slot("Schedule/c1", "c1"))},
		"status-in-other-letters":    {"/s", ndjson(slot("free", "Free"))},
		"offset-without-minutes":     {"/s", ndjson(slot("09:00:00Z", "10:00:00+01"))},
		"offset-without-colon":       {"/s", ndjson(slot("09:00:00Z", "10:00:00+0100"))},
		"time-without-seconds":       {"/s", ndjson(slot("09:00:00Z", "09:00Z"))},
		"time-without-offset":        {"/s", ndjson(slot("09:00:00Z", "09:00:00"))},
		"slot-too-far-ahead":         {"/s", ndjson(slotLineOf("c1", free, start, end, 2), slotLineOf("c1", free, "2029-03-22T09:00:00Z", "2029-03-22T09:10:00Z", 2))},
		"position-missing":           {"/l", ndjson(strings.Replace(locationLine("1"), "position", "nothing", 1))},
		"address-line-not-in-a-list": {"/l", ndjson(strings.Replace(locationLine("1"), `["1 Road"]`, `"1 Road"`, 1))},
		"text-cut":                   {"/l", ndjson(strings.Replace(locationLine("1"), "1 Road", strings.Repeat("Road ", 99), 1))},
		"location-twice":             {"/l", ndjson(locationLine("1"), locationLine("1"))},
		"schedule-twice":             {"/c", ndjson(scheduleLine("c1", "1", "FLU"), scheduleLine("c1", "1", "RSV"))},
		"file-named-twice":           {manifestPath, manifestOf(named("Location", "/l"), named("Schedule", "/c"), named("Slot", "/s"), named("Slot", "s#2"))},
		"unknown-type-of-file":       {manifestPath, manifestOf(named("Location", "/l"), named("Schedule", "/c"), named("Slot", "/s"), named("PractitionerRole", "/p"))},
		"packed-without-saying-so":   {"/s", text("application/fhir+ndjson", string(gzipped(t, strings.NewReader(slotLineOf("c1", free, start, end, 2)))))},
	} {
		t.Run(name, func(t *testing.T) {
			s := usual()
			s[c.path] = c.answer
			base := s.offer(t)
			if name != "relative-url" && c.path != manifestPath {
				s[manifestPath] = manifestOf(named("Location", base+"/l"), named("Schedule", base+"/c"), named("Slot", base+"/s"))
			}
			l := memoryledger.New(now)
			report, err := job(base, l).Load(t.Context())
			if err != nil || report.Tolerated[name] == 0 || name != "relative-url" && c.path != manifestPath && len(report.Tolerated) != 1 {
				t.Fatalf("%+v, %v", report, err)
			}
			if got := sessions(t, l, "1", "2027-03-22"); !strings.HasPrefix(got, "09:00-09:10/10×") || !strings.HasSuffix(got, " FLU") {
				t.Errorf("%q", got)
			}
		})
	}
}

// What cannot be understood costs its own line, or day, and nothing else.
func TestFailedLines(t *testing.T) {
	good := slotLineOf("c1", "free", "2027-03-22T09:00:00Z", "2027-03-22T09:10:00Z", 2)
	slot := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	s := usual()
	s["/l"] = ndjson(locationLine("1"), `{"resourceType":"Location","id":"2","name":"Nowhere","address":{"postalCode":"XX"}}`, strings.Replace(locationLine("3"), "Chemist 3", "", 1), `{"resourceType":"Patient","id":"4"}`)
	s["/c"] = ndjson(scheduleLine("c1", "1", "FLU"), scheduleLine("c2", "2", "FLU"), scheduleLine("c3", "1", "57"), scheduleLine("", "1", "X"), `{"resourceType":"Schedule","id":"c5","actor":[{"reference":"Location/1"}]}`)
	bad := []string{
		"{", "[]", `"x"`, slot("Schedule/c1", "Schedule/c2"), slot("Schedule/c1", "Schedule/c9"), slot(`"free"`, `"open"`), slot("09:10", "09:00"), slot("09:10", "19:10"),
		slot("09:00:00", "09:00:30"), slot(`:2}`, `:0}`), slot(`:2}`, `:1.5}`), slot(`:2}`, `:99999999999}`), slot("2027-03-22T09:00:00Z", "tomorrow"),
		strings.Replace(good, "Slot", "Schedule", 1), `{"resourceType":"Slot","x":"` + strings.Repeat("x", 2<<20) + `"}`,
	}
	s["/s"] = ndjson(append(bad, good, slotLineOf("c1", "free", "2027-03-23T23:55:00Z", "2027-03-24T00:05:00Z", 1))...)
	l := memoryledger.New(now)
	var messages bytes.Buffer
	j := job(s.offer(t), l)
	j.Messages = &messages
	report, err := j.Load(t.Context())
	if !errors.Is(err, bulk.ErrLinesFailed) || report.Failed != 3+3+len(bad)+1 || report.Days != 1 {
		t.Fatalf("%+v, %v\n%s", report, err, messages.String())
	}
	if !strings.Contains(messages.String(), "/s, line 15: the line is longer") || !strings.Contains(messages.String(), "/l, line 2: has no position") {
		t.Errorf("%s", messages.String())
	}
	if got := sessions(t, l, "1", "2027-03-22"); got != "09:00-09:10/10×2 FLU" {
		t.Errorf("%q", got)
	}
}

// Without all files, no day is changed: what a broken file would have said is not known.
func TestNothingWithoutAll(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"missing": http.NotFound,
		"broken": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "{")
		},
		"wrongly packed": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "br")
			_, _ = io.WriteString(w, "{}")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := usual()
			s["/more"] = answer
			s[manifestPath] = manifestOf(named("Location", "/l"), named("Schedule", "/c"), named("Slot", "/s"), named("Slot", "/more"))
			l := memoryledger.New(now)
			report, err := job(s.offer(t), l).Load(t.Context())
			if err == nil || report.Days > 0 || sessions(t, l, "1", "2027-03-22") != "" {
				t.Errorf("%+v, %v", report, err)
			}
		})
	}
}

// A server that fails for a moment is asked again.
func TestTriesAgain(t *testing.T) {
	s, asked := usual(), 0
	whole := s["/s"]
	s["/s"] = func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked < tries {
			http.Error(w, "later", http.StatusServiceUnavailable)
			return
		}
		whole(w, r)
	}
	if report, err := job(s.offer(t), memoryledger.New(now)).Load(t.Context()); err != nil || report.Days != 1 {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := usual()
	s["/s"] = func(http.ResponseWriter, *http.Request) { cancel() }
	if _, err := job(s.offer(t), memoryledger.New(now)).Load(ctx); !errors.Is(err, bulk.ErrInterrupted) {
		t.Error(err)
	}
}
