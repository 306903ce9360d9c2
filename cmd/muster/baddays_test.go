package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"muster/allocator"
)

// What cannot be a day is refused where it is wrong, by itself and as a line of an upload, and leaves the day that is there
// as it is.
func TestBadDays(t *testing.T) {
	i := newTrust(t)
	s := serve(t, append([]string{"--data", t.TempDir()}, i.bare...)...)
	s.call("PUT", "/v1/services/RSV:Adult", object{"name": "RSV"}, bearer(i.client("", "admin"))...).want2xx()
	by, at := bearer(i.client("A", publisherScopes)), soon()
	s.call("PUT", "/v1/sites/A1", siteBody(), by...).want(201)
	spring := clockChanges(t)[0]
	if _, before := spring.Zone(); before != 0 {
		spring = clockChanges(t)[1]
	}
	with := func(name string, value any) object {
		o := session("10:00", "12:00", 10, 2, "RSV:Adult")
		o[name] = value
		return o
	}
	for _, day := range []time.Time{at, spring} {
		s.call("PUT", "/v1/sites/A1/days/"+dayOf(day), object{"sessions": []object{session("10:00", "12:00", 10, 2, "RSV:Adult")}}, by...).want(200)
	}
	for name, c := range map[string]struct {
		day     time.Time
		session object
		pointer string
	}{
		"across midnight":    {at, session("22:00", "02:00", 10, 2, "RSV:Adult"), "/sessions/0/until"},
		"beyond midnight":    {at, session("22:00", "25:00", 10, 2, "RSV:Adult"), "/sessions/0/until"},
		"ends before it is":  {at, session("12:00", "10:00", 10, 2, "RSV:Adult"), "/sessions/0/until"},
		"the skipped hour":   {spring, session("01:00", "02:00", 10, 2, "RSV:Adult"), "/sessions"},
		"break outside":      {at, with("breaks", []object{{"from": "09:00", "until": "10:30"}}), "/sessions/0/breaks/0"},
		"break backwards":    {at, with("breaks", []object{{"from": "11:00", "until": "10:30"}}), "/sessions/0/breaks/0"},
		"unknown service":    {at, with("services", []string{"RSV:Adult", "NOPE"}), "/sessions/0/services/1"},
		"no service":         {at, with("services", []string{}), "/sessions/0/services"},
		"more than anything": {at, with("capacity", 1_000_000), "/sessions/0/capacity"},
	} {
		t.Run(name, func(t *testing.T) {
			path, body := "/v1/sites/A1/days/"+dayOf(c.day), object{"sessions": []object{c.session}}
			before := s.call("GET", path, nil, by...).want(200)
			alone := s.call("PUT", path, body, by...).want(400, allocator.CodeInvalid)
			line := s.upload(by, dayLine(t, "A1", c.day, c.session, nil))
			if alone.text("errors.0.pointer") != c.pointer || len(line) != 1 || line[0].text("problem.code") != string(allocator.CodeInvalid) || line[0].text("problem.errors.0.pointer") != c.pointer {
				t.Errorf("alone: %s\nas a line: %v", alone.body, line)
			}
			if after := s.call("GET", path, nil, by...).want(200); string(after.body) != string(before.body) {
				t.Errorf("%s became %s", before.body, after.body)
			}
		})
	}
}

// A revision of last week, and a line of 50 MB, fail alone: the lines around them are done.
func TestBadLines(t *testing.T) {
	s := serve(t, embedded(t)...)
	s.world("A1", 1)
	by, at := bearer("dev"), soon()
	good := session("10:00", "12:00", 10, 2, "RSV:Adult")
	for range 2 {
		good["capacity"] = good["capacity"].(int) + 1
		s.publish("A1", at, good).want(200)
	}
	s.call("PUT", "/v1/sites/A1/days/"+dayOf(at), object{"sessions": []object{}}, append(by, "If-Match", `"1"`)...).want(412, allocator.CodeRevisionMismatch)
	next := at.AddDate(0, 0, 1)
	lines := s.upload(by, dayLine(t, "A1", next, good, nil)+dayLine(t, "A1", at, session("10:00", "11:00", 10, 1, "RSV:Adult"), 1)+
		`{"siteId":"`+strings.Repeat("x", 50<<20)+`"}`+"\n"+dayLine(t, "A1", next.AddDate(0, 0, 1), good, 0))
	if len(lines) != 4 {
		t.Fatalf("%d results: %v", len(lines), lines)
	}
	for i, code := range []allocator.Code{"", allocator.CodeRevisionMismatch, allocator.CodeInvalid, ""} {
		if l := lines[i]; l.number("line") != i+1 || l.text("problem.code") != string(code) || code == "" && l.number("revision") != 1 {
			t.Errorf("line %d: %s", i+1, l.body)
		}
	}
	if lines[2].number("problem.status") != 413 {
		t.Errorf("the line of 50 MB: %s", lines[2].body)
	}
	if day := s.call("GET", "/v1/sites/A1/days/"+dayOf(at), nil, by...).want(200); day.number("revision") != 3 || day.count("sessions") != 1 {
		t.Errorf("%s", day.body)
	}
}

// dayLine is a day of one session as a line of an upload; ifMatch nil: whatever is there.
func dayLine(t testing.TB, site string, day time.Time, session object, ifMatch any) string {
	t.Helper()
	o := object{"siteId": site, "date": dayOf(day), "sessions": []object{session}}
	if ifMatch != nil {
		o["ifMatch"] = ifMatch
	}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

// upload sends lines, and gives what each is answered.
func (s *server) upload(by []string, lines string) (answers []answer) {
	s.t.Helper()
	got := s.call("POST", "/v1/capacity", lines, append([]string{"Content-Type", "application/x-ndjson"}, by...)...).want(200)
	for line := range strings.Lines(string(got.body)) {
		answers = append(answers, answer{t: s.t, what: "a line", status: 200, body: []byte(line)})
	}
	return answers
}
