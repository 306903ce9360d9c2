package linksimport

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"muster/allocator/allocatortest/memoryledger"
	"muster/cmd/muster/bulk"
	"muster/publicweb"
)

func gzipped(t testing.TB, body io.Reader) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.Copy(w, body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
}

// Whatever could do harm ends the import, and no day is changed.
func TestDangers(t *testing.T) {
	bomb := gzipped(t, io.LimitReader(zeros{}, 64<<20))
	for name, c := range map[string]struct {
		change func(s site)
		limit  func(j *Job)
	}{
		"the manifest names itself":        {change: func(s site) { s[manifestPath] = manifestOf(named("Slot", manifestPath)) }},
		"the manifest names another":       {change: func(s site) { s[manifestPath] = manifestOf(named("Slot", "/other/$bulk-publish")) }},
		"redirects in a circle":            {change: func(s site) { s["/s"] = redirect("/s") }},
		"a file outside the web":           {change: func(s site) { s[manifestPath] = manifestOf(named("Slot", "file:///etc/passwd")) }},
		"a redirect out of the web":        {change: func(s site) { s["/s"] = redirect("gopher://127.0.0.1/") }},
		"credentials in a file's address":  {change: func(s site) { s[manifestPath] = manifestOf(named("Slot", "https://a:b@example.org/")) }},
		"credentials in a redirect":        {change: func(s site) { s["/s"] = redirect("https://a:b@example.org/") }},
		"an address without a host":        {change: func(s site) { s[manifestPath] = manifestOf(named("Slot", "http:///x")) }},
		"a bomb":                           {change: func(s site) { s["/s"] = packed(bomb) }, limit: func(j *Job) { j.Limits.PlainBytes = 1 << 20 }},
		"a bomb that does not say so":      {change: func(s site) { s["/s"] = text("application/fhir+ndjson", string(bomb)) }, limit: func(j *Job) { j.Limits.PlainBytes = 1 << 20 }},
		"a manifest that is a bomb":        {change: func(s site) { s[manifestPath] = packed(bomb) }, limit: func(j *Job) { j.Limits.ManifestBytes = 1 << 20 }},
		"a body without end":               {change: func(s site) { s["/s"] = endless }, limit: func(j *Job) { j.Limits.PackedBytes = 1 << 20 }},
		"too many files":                   {limit: func(j *Job) { j.Limits.Files = 2 }},
		"too many locations":               {change: func(s site) { s["/l"] = ndjson(locationLine("1"), locationLine("2")) }, limit: func(j *Job) { j.Limits.Names = 1 }},
		"too many slots":                   {change: twoSlots, limit: func(j *Job) { j.Limits.Slots = 1 }},
		"too many slots of a location":     {change: twoSlots, limit: func(j *Job) { j.Limits.SlotsPerSite = 1 }},
		"the loopback address":             {limit: func(j *Job) { j.AllowPrivate = false }},
		"the loopback address by its name": {limit: func(j *Job) { j.AllowPrivate, j.URL = false, strings.Replace(j.URL, "127.0.0.1", "localhost", 1) }},
	} {
		t.Run(name, func(t *testing.T) {
			s := usual()
			if c.change != nil {
				c.change(s)
			}
			l := memoryledger.New(now)
			j := job(s.offer(t), l)
			if c.limit != nil {
				c.limit(&j)
			}
			report, err := j.Load(t.Context())
			if !errors.Is(err, publicweb.ErrRefused) || report.Days > 0 || sessions(t, l, "1", "2027-03-22") != "" {
				t.Errorf("%+v, %v", report, err)
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func packed(body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(body)
	}
}

func endless(w http.ResponseWriter, _ *http.Request) {
	for {
		if _, err := io.WriteString(w, strings.Repeat(" \n", 1000)); err != nil {
			return
		}
	}
}

func twoSlots(s site) {
	s["/s"] = ndjson(slotLineOf("c1", "free", "2027-03-22T09:00:00Z", "2027-03-22T09:10:00Z", 2), slotLineOf("c1", "free", "2027-03-22T09:10:00Z", "2027-03-22T09:20:00Z", 2))
}

// The address that is dialled decides, also that of a redirect: this server calls itself by an address that looks public to
// whoever only reads the URL.
func TestDialledAddressDecides(t *testing.T) {
	f := newFetcher(mustParse(t, "http://example.org/"), false, Limits{}.withDefaults())
	asked := 0
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ })}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	for _, at := range []string{"http://localhost:" + port, "http://127.1.2.3:" + port, "http://[::ffff:127.0.0.1]:" + port, "http://[::1]:" + port, "http://0.0.0.0:" + port, "http://2130706433:" + port} {
		if d, err := f.open(t.Context(), mustParse(t, at), "", 1); err == nil {
			d.close()
			t.Errorf("%s is called", at)
		}
	}
	if asked > 0 {
		t.Errorf("called %d times", asked)
	}
}

// Credentials go to the manifest's own host and port, and nowhere else.
func TestCredentialsStay(t *testing.T) {
	var elsewhere atomic.Value
	other := usual()
	note := func(next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization")+r.Header.Get("Referer") != "" {
				elsewhere.Store(r.URL.Path)
			}
			next(w, r)
		}
	}
	for path, answer := range other {
		other[path] = note(answer)
	}
	otherBase := other.offer(t)
	s, unknown := usual(), 0
	s["/c"] = redirect(otherBase + "/c")
	s[manifestPath] = manifestOf(named("Location", "/l"), named("Schedule", "/c"), named("Slot", otherBase+"/s"))
	for path, answer := range s {
		s[path] = func(w http.ResponseWriter, r *http.Request) {
			if user, password, _ := r.BasicAuth(); user != "me" || password != "secret" {
				unknown++
			}
			answer(w, r)
		}
	}
	var messages bytes.Buffer
	j := job(strings.Replace(s.offer(t), "http://", "http://me:secret@", 1), memoryledger.New(now))
	j.Messages = &messages
	report, err := j.Load(t.Context())
	if err != nil || report.Days != 1 || unknown > 0 {
		t.Errorf("%+v, %v, %d requests without credentials", report, err, unknown)
	}
	if at := elsewhere.Load(); at != nil {
		t.Errorf("another host got them at %v", at)
	}
	if strings.Contains(messages.String(), "secret") {
		t.Errorf("told to people: %s", messages.String())
	}
}

// A server that stops in the middle does not hold the import for ever.
func TestStall(t *testing.T) {
	s := usual()
	release := make(chan struct{})
	s["/s"] = func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "{")
		w.(http.Flusher).Flush()
		<-release
	}
	j := job(s.offer(t), memoryledger.New(now))
	t.Cleanup(func() { close(release) }) // before the server closes
	j.Limits.Stall = 50 * time.Millisecond
	if report, err := j.Load(t.Context()); err == nil || report.Days > 0 {
		t.Errorf("%+v, %v", report, err)
	}
}

// A line of 50 MB costs itself, and no memory.
func TestLongLineIsNotKept(t *testing.T) {
	s := usual()
	good := slotLineOf("c1", "free", "2027-03-22T09:00:00Z", "2027-03-22T09:10:00Z", 2)
	s["/s"] = func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"resourceType":"Slot","x":"`)
		_, _ = io.Copy(w, io.LimitReader(strings.NewReader(strings.Repeat("x", 50<<20)), 50<<20))
		_, _ = fmt.Fprintf(w, "\"}\n%s\n", good)
	}
	report, err := job(s.offer(t), memoryledger.New(now)).Load(t.Context())
	if !errors.Is(err, bulk.ErrLinesFailed) || report.Failed != 1 || report.Days != 1 {
		t.Errorf("%+v, %v", report, err)
	}
	lines := &lineReader{source: bufio.NewReader(io.MultiReader(io.LimitReader(zeros{}, 50<<20), strings.NewReader("\nx\n"))), most: 1 << 20}
	if _, err := lines.next(); !errors.Is(err, errLongLine) || cap(lines.long) > 4<<20 {
		t.Errorf("%v, %d bytes are kept", err, cap(lines.long))
	}
	if line, err := lines.next(); string(line) != "x" || err != nil {
		t.Errorf("%q, %v", line, err)
	}
}

func mustParse(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
