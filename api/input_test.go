package api

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"muster/allocator"
)

const goodHold = `{"siteId":"FA512","service":"RSV:Adult","start":"2027-06-01T09:10:00Z","length":10}`

func holdWith(field, value string) string {
	fields := map[string]string{"siteId": `"FA512"`, "service": `"RSV:Adult"`, "start": `"2027-06-01T09:10:00Z"`, "length": "10"}
	fields[field] = value
	var parts []string
	for name, v := range fields {
		if v != "" {
			parts = append(parts, `"`+name+`":`+v)
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func confirmWith(person string) string { return `{"people":[` + person + `]}` }

const goodPerson = `{"nhsNumber":"9000000009","givenName":"A","familyName":"B","dateOfBirth":"1950-02-01"}`

const (
	atHold    = "POST /v1/holds"
	atConfirm = "POST /v1/holds/h1.x/confirm"
	atDay     = "PUT /v1/sites/A/days/2027-06-01"
	atSite    = "PUT /v1/sites/A"
	atService = "PUT /v1/services/RSV"
)

func sessionWith(more string) string {
	return `{"sessions":[{"from":"09:00","until":"12:00","slotLength":10,"capacity":2,"services":["RSV:Adult"]` + more + `}]}`
}

// badBodies lists where a body is sent, the body, and where its faults are; "[]": wherever.
var badBodies = []struct{ at, body, pointers string }{
	{atHold, "", "[]"},
	{atHold, "null", "[]"},
	{atHold, "[]", "[]"},
	{atHold, `"text"`, "[]"},
	{atHold, "{", "[]"},
	{atHold, goodHold + "x", "[]"},
	{atHold, goodHold + goodHold, "[]"},
	{atHold, `{"siteId":"A",}`, "[]"},
	{atHold, `{'siteId':1}`, "[]"},
	{atHold, "{\"siteId\":\"\xff\"}", "[]"},
	{atHold, `{"siteId":"\ud800"}`, "[/siteId]"},
	{atHold, "{\"siteId\":\"a\nb\"}", "[/siteId]"},
	{atHold, holdWith("length", "01"), "[]"},
	{atHold, holdWith("length", "NaN"), "[]"},
	{atHold, strings.Repeat(`{"a":`, 17) + "1" + strings.Repeat("}", 17), "[/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a]"},
	{atHold, strings.Repeat("[", 30_000), "[" + strings.Repeat("/0", 16) + "]"},
	{atHold, `{"claims":[` + strings.TrimSuffix(strings.Repeat("1,", 30_000), ",") + `]}`, "[/claims]"},
	{atHold, `{"siteId":"A","siteId":"B","service":"S","start":"2027-06-01T09:10:00Z"}`, "[/siteId]"},
	{atHold, `{"claims":[{"siteId":"A","service":"S","start":"2027-06-01T09:10:00Z","\u0073iteId":"B"}]}`, "[/claims/0/siteId]"},
	{atHold, holdWith("more/~", "1"), "[/more~1~0]"},
	{atHold, holdWith("siteId", "7"), "[/siteId]"},
	{atHold, holdWith("siteId", "null"), "[/siteId]"},
	{atHold, holdWith("siteId", `"a b"`), "[/siteId]"},
	{atHold, holdWith("siteId", ""), "[/siteId]"},
	{atHold, holdWith("siteId", `".."`), "[/siteId]"},
	{atHold, holdWith("service", `"ß"`), "[/service]"},
	{atHold, holdWith("length", `"10"`), "[/length]"},
	{atHold, holdWith("length", "10.5"), "[/length]"},
	{atHold, holdWith("length", "1e1"), "[/length]"},
	{atHold, holdWith("length", "-10"), "[/length]"},
	{atHold, holdWith("length", "0"), "[/length]"},
	{atHold, holdWith("length", "481"), "[/length]"},
	{atHold, holdWith("length", "99999999999999999999"), "[/length]"},
	{atHold, holdWith("start", `"2027-06-01"`), "[/start]"},
	{atHold, holdWith("start", `"2027-06-01T09:10:30Z"`), "[/start]"},
	{atHold, holdWith("start", `"2027-06-01T09:10:00.5Z"`), "[/start]"},
	{atHold, holdWith("start", `"2027-06-01T09:10:00"`), "[/start]"},
	{atHold, holdWith("start", `"2027-02-29T09:10:00Z"`), "[/start]"},
	{atHold, holdWith("start", `"2027-06-01T25:10:00Z"`), "[/start]"},
	{atHold, holdWith("start", `"2027-06-01T9:10:00Z"`), "[/start]"},
	{atHold, holdWith("start", `"2027-06-01T09:10:00,0Z"`), "[/start]"},
	{atHold, holdWith("start", "1811841000"), "[/start]"},
	{atHold, `{"claims":[]}`, "[/claims]"},
	{atHold, `{"claims":{}}`, "[/claims]"},
	{atHold, `{"claims":[1]}`, "[/claims/0]"},
	{atHold, `{"claims":[` + strings.TrimSuffix(strings.Repeat(goodHold+",", 11), ",") + `]}`, "[/claims]"},
	{atHold, `{"claims":[` + goodHold + `],"siteId":"A"}`, "[/siteId]"},
	{atHold, `{"siteId":1,"service":2,"start":3,"length":"4","more":5}`, "[/more /siteId /service /length /start]"},
	{atConfirm, `{}`, "[/people]"},
	{atConfirm, `{"people":[]}`, "[/people]"},
	{atConfirm, confirmWith(`{}`), "[/people/0/nhsNumber /people/0/givenName /people/0/familyName /people/0/dateOfBirth]"},
	{atConfirm, confirmWith(strings.Replace(goodPerson, `"A"`, `" "`, 1)), "[/people/0/givenName]"},
	{atConfirm, confirmWith(strings.Replace(goodPerson, `"A"`, `"\u0000"`, 1)), "[/people/0/givenName]"},
	{atConfirm, confirmWith(strings.Replace(goodPerson, `"A"`, `"`+strings.Repeat("x", 201)+`"`, 1)), "[/people/0/givenName]"},
	{atConfirm, confirmWith(strings.Replace(goodPerson, "1950-02-01", "01/02/1950", 1)), "[/people/0/dateOfBirth]"},
	{atConfirm, confirmWith(strings.Replace(goodPerson, "1950-02-01", "1879-12-31", 1)), "[/people/0/dateOfBirth]"},
	{atConfirm, confirmWith(strings.Replace(goodPerson, "1950-02-01", "2999-02-01", 1)), "[/people/0/dateOfBirth]"},
	{"POST /v1/sites/A/walkins", `{"service":"S","person":{"dateOfBirth":"2999-02-01"}}`, "[/person/dateOfBirth]"},
	{atConfirm, confirmWith(strings.Replace(goodPerson, `"A"`, `"A","contact":{"email":"x","fax":"1"}`, 1)), "[/people/0/contact/fax /people/0/contact/email]"},
	{atConfirm, `{"people":[` + goodPerson + `],"replaces":{}}`, "[/replaces/reference]"},
	{atDay, `{}`, "[/sessions]"},
	{atDay, `{"siteId":"B","date":"2027-06-02","revision":"7","sessions":[]}`, "[/siteId /date /revision]"},
	{atSite, `{"name":"A","siteId":"B"}`, "[/siteId]"},
	{atSite, `{"name":"A","siteId":7}`, "[/siteId]"},
	{atService, `{"service":"FLU"}`, "[/service]"},
	{atDay, sessionWith(`,"status":"paused"`), "[/sessions/0/status]"},
	{atDay, sessionWith(`,"breaks":[{"from":"9:00","until":"25:00"}]`), "[/sessions/0/breaks/0/from /sessions/0/breaks/0/until]"},
	{atDay, strings.Replace(sessionWith(""), `"capacity":2`, `"capacity":1e9`, 1), "[/sessions/0/capacity]"},
	{atDay, strings.Replace(sessionWith(""), `"services":["RSV:Adult"]`, `"services":"RSV:Adult"`, 1), "[/sessions/0/services]"},
	{atDay, `{"sessions":[` + strings.TrimSuffix(strings.Repeat("{},", 201), ",") + `]}`, "[/sessions]"},
	{atSite, `{"name":"A","timeZone":"Mars/Base"}`, "[/timeZone]"},
	{atSite, `{"name":"A","location":{"lat":91,"lon":"x"}}`, "[/location/lat /location/lon]"},
	{atSite, `{"name":"A","address":{"lines":[1]}}`, "[/address/lines/0]"},
	{atService, `{"dose":0,"windowDays":367,"onePerPerson":"yes","firstDate":"2027-02-30","eligibility":{"minAge":9,"maxAge":5}}`,
		"[/dose /onePerPerson /firstDate /windowDays /eligibility/maxAge]"},
	{"POST /v1/bookings/" + someKey.Reference() + "/status", `{"status":"booked"}`, "[/status]"},
	{"POST /v1/bookings/" + someKey.Reference() + "/cancel", `{"why":"x"}`, "[/why]"},
}

// TestBadBodies: every broken body is answered with the place of the fault, and never reaches the engine.
func TestBadBodies(t *testing.T) {
	engine := &fake{}
	engine.hold = func(_ context.Context, r allocator.HoldRequest) (allocator.Hold, error) {
		t.Errorf("the engine got %+v", r)
		return allocator.Hold{}, nil
	}
	engine.confirm = func(context.Context, allocator.ConfirmRequest) ([]allocator.BookingView, error) {
		t.Error("the engine got a confirm")
		return nil, nil
	}
	engine.publish = func(_ context.Context, r allocator.PublishRequest) (allocator.PublishReply, error) {
		t.Errorf("the engine got %+v", r)
		return allocator.PublishReply{}, nil
	}
	w := serve(t, Options{Dev: true}, engine)
	for _, c := range badBodies {
		method, path, _ := strings.Cut(c.at, " ")
		p := w.staff(method, path, c.body).refused(400, allocator.CodeInvalid)
		if len(p.Errors) == 0 || c.pointers != "[]" && pointers(p) != c.pointers {
			t.Errorf("%s %.200s: faults at %s, want %s", c.at, c.body, pointers(p), c.pointers)
		}
	}
}

// badQueries lists requests whose faults are not in their body.
var badQueries = []struct{ method, path, body, header, value, pointers string }{
	{"GET", "/v1/sites", "", "", "", "[/query/service]"},
	{"GET", "/v1/sites?service=S", "", "", "", "[/query]"},
	{"GET", "/v1/sites?service=S&lat=1", "", "", "", "[/query]"},
	{"GET", "/v1/sites?service=S&postcode=LS1&lat=1&lon=1", "", "", "", "[/query/postcode]"},
	{"GET", "/v1/sites?service=S&lat=NaN&lon=181", "", "", "", "[/query/lat /query/lon]"},
	{"GET", "/v1/sites?service=S&postcode=LS1&limit=51", "", "", "", "[/query/limit]"},
	{"GET", "/v1/sites?service=S&postcode=LS1&people=6", "", "", "", "[/query/people]"},
	{"GET", "/v1/sites?service=S&postcode=LS1&people=6&people=2", "", "", "", "[/query/people]"},
	{"GET", "/v1/sites?service=S&postcode=LS1&Limit=5", "", "", "", "[/query/Limit]"},
	{"GET", "/v1/sites?service=S&postcode=LS1&radiusKm=0", "", "", "", "[/query/radiusKm]"},
	{"GET", "/v1/sites?service=S&postcode=LS1&from=2027-13-01", "", "", "", "[/query/from]"},
	{"GET", "/v1/sites?service=S&postcode=LS1&from=1970-01-01", "", "", "", "[/query/from]"},
	{"GET", "/v1/sites?service=S&postcode=LS1&from=2027-06-02&to=2027-06-01", "", "", "", "[/query/to]"},
	{"GET", "/v1/sites?service=S&postcode=%FF", "", "", "", "[/query/postcode]"},
	{"GET", "/v1/sites?service=S&postcode=LS1&includeFull=yes", "", "", "", "[/query/includeFull]"},
	{"GET", "/v1/sites/A/availability?service=a%2Cb", "", "", "", "[/query/service]"},
	{"GET", "/v1/sites/A/days/2027-02-30", "", "", "", "[/path/date]"},
	{"GET", "/v1/sites/A/days/tomorrow", "", "", "", "[/path/date]"},
	{"PUT", "/v1/sites/A%20B", `{"name":"A"}`, "", "", "[/path/siteId]"},
	{"PUT", "/v1/sites/..", `{"name":"A"}`, "", "", "[/path/siteId]"},
	{"PUT", "/v1/sites/%2E", `{"name":"A"}`, "", "", "[/path/siteId]"},
	{"GET", "/v1/sites/.", "", "", "", "[/path/siteId]"},
	{"GET", "/v1/sites/../availability?service=S", "", "", "", "[/path/siteId]"},
	{"PUT", "/v1/sites/./days/2027-06-01", `{"sessions":[]}`, "", "", "[/path/siteId]"},
	{"GET", "/v1/bookings/" + someKey.Reference() + "?dateOfBirth=2999-01-01", "", "Authorization", "", "[/query/dateOfBirth]"},
	{"GET", "/v1/bookings/" + someKey.Reference() + "?dateOfBirth=1879-12-31", "", "Authorization", "", "[/query/dateOfBirth]"},
	{"PUT", "/v1/services/%C3%9F", `{}`, "", "", "[/path/service]"},
	{"DELETE", "/v1/sites/A/days/2027-06-01?bookings=drop", "", "", "", "[/query/bookings]"},
	{"DELETE", "/v1/sites/A/days/2027-06-01?dryRun=1", "", "", "", "[/query/dryRun]"},
	{"POST", "/v1/holds", goodHold, "Idempotency-Key", `"open`, "[/header/Idempotency-Key]"},
	{"POST", "/v1/holds", goodHold, "Idempotency-Key", strings.Repeat("k", 256), "[/header/Idempotency-Key]"},
	{"POST", "/v1/holds", goodHold, "Idempotency-Key", "two words", "[/header/Idempotency-Key]"},
	{"GET", "/v1/events?wait=31", "", "", "", "[/query/wait]"},
	{"GET", "/v1/events?limit=0", "", "", "", "[/query/limit]"},
	{"GET", "/v1/bookings/" + someKey.Reference() + "?dateOfBirth=x", "", "Authorization", "", "[/query/dateOfBirth]"},
}

func TestBadQueriesAndHeaders(t *testing.T) {
	w := serve(t, Options{Dev: true}, &fake{})
	for _, c := range badQueries {
		headers := []string{"Authorization", "Bearer dev"}
		if c.header == "Authorization" {
			headers = nil
		} else if c.header != "" {
			headers = append(headers, c.header, c.value)
		}
		p := w.call(c.method, c.path, c.body, headers...).refused(400, allocator.CodeInvalid)
		if pointers(p) != c.pointers {
			t.Errorf("%s %s: faults at %s, want %s", c.method, c.path, pointers(p), c.pointers)
		}
	}
	twice := w.staff("POST", "/v1/holds", goodHold, "Idempotency-Key", "a", "Idempotency-Key", "b").refused(400, allocator.CodeInvalid)
	if pointers(twice) != "[/header/Idempotency-Key]" {
		t.Error(pointers(twice))
	}
}

func TestUnknownThings(t *testing.T) {
	w := serve(t, Options{Dev: true}, &fake{})
	w.call("GET", "/v1/nothing", "").refused(404, CodeNotFound)
	w.call("GET", "/V1/sites", "").refused(404, CodeNotFound)
	w.call("GET", "/v1/sites/", "").refused(404, CodeNotFound)
	a := w.call("POST", "/v1/services", "{}")
	a.refused(405, CodeMethodNotAllowed)
	if allow := a.header.Get("Allow"); !strings.Contains(allow, "GET") {
		t.Errorf("Allow %q", allow)
	}
	w.call("GET", "/v1/sites/a%20b", "").refused(404, allocator.CodeSiteUnknown)
	w.call("GET", "/v1/sites/%ff", "").refused(404, allocator.CodeSiteUnknown)
	w.call("GET", "/v1/holds/%00", "").refused(404, allocator.CodeHoldUnknown)
	w.call("DELETE", "/v1/holds/"+strings.Repeat("x", 5000), "").refused(404, allocator.CodeHoldUnknown)
	w.call("GET", "/v1/postcodes/"+strings.Repeat("x", 17), "").refused(404, allocator.CodePostcodeUnknown)
	w.call("GET", "/v1/bookings/nothing", "", "Authorization", "Manage x").refused(404, allocator.CodeBookingUnknown)
	if h := w.call("HEAD", "/v1/sites/FA512", "").wants(200); len(h.body) > 0 {
		t.Error("HEAD has a body")
	}
}

func TestOptions(t *testing.T) {
	w := serve(t, Options{}, &fake{})
	for path, allow := range map[string]string{
		"/v1/sites": "GET, HEAD, OPTIONS", "/v1/sites/A": "GET, HEAD, OPTIONS, PUT", "/v1/capacity": "OPTIONS, POST",
		"/v1/sites/A/days/2027-06-01": "DELETE, GET, HEAD, OPTIONS, PUT",
	} {
		a := w.call("OPTIONS", path, "", "X-Request-Id", "options-1").wants(204)
		if a.header.Get("Allow") != allow || len(a.body) > 0 || a.header.Get("X-Request-Id") != "options-1" || a.header.Get("X-Content-Type-Options") == "" {
			t.Errorf("%s: %v %q", path, a.header, a.body)
		}
	}
	a := w.call("OPTIONS", "/v1/nothing", "")
	a.refused(404, CodeNotFound)
	if a.header.Get("Allow") != "" {
		t.Errorf("%v", a.header)
	}
}

// TestAnnouncedTooLarge: a body that is announced too large is refused before any of it is sent, also in place of
// 100 Continue, and what comes after it is never taken for a request.
func TestAnnouncedTooLarge(t *testing.T) {
	for _, r := range routes() {
		if most := mostAt([]byte(r.path)); r.body != noBody && r.body != most {
			t.Errorf("%s takes %d bytes, and mostAt says %d", r.operation, r.body, most)
		}
	}
	w := serve(t, Options{Dev: true, ReadTimeout: time.Hour}, &fake{})
	const bearer = "Authorization: Bearer dev\r\n"
	for _, c := range []struct {
		head   string
		status int
		code   allocator.Code
	}{
		{"POST /v1/holds HTTP/1.1\r\nContent-Length: 65537\r\n", 413, allocator.CodeInvalid},
		{"POST /v1/holds HTTP/1.1\r\nContent-Length: 9000000000\r\n", 413, allocator.CodeInvalid},
		{"POST /v1/holds HTTP/1.1\r\nContent-Length: 2000000\r\nExpect: 100-continue\r\n", 413, allocator.CodeInvalid},
		{"PUT /v1/sites/A/days/2027-06-01?dryRun=true HTTP/1.1\r\nContent-Length: 1048577\r\n" + bearer, 413, allocator.CodeInvalid},
		{"PUT /v1/sites/A/days/2027-06-01 HTTP/1.1\r\nContent-Length: 1048577\r\n", 401, allocator.CodeUnauthorised},
		{"POST /v1/nothing HTTP/1.1\r\nContent-Length: 1048577\r\n", 404, CodeNotFound},
	} {
		conn := w.dial()
		conn.send(c.head + "Host: a\r\n\r\n")
		a := conn.response()
		a.refused(c.status, c.code)
		if a.header.Get("Connection") != "close" || a.header.Get("X-Request-Id") == "" {
			t.Errorf("%s: %v", c.head, a.header)
		}
		conn.send("GET /v1/services HTTP/1.1\r\nHost: a\r\n\r\n")
		conn.Close()
	}
	conn := w.dial()
	defer conn.Close()
	conn.send("GET /v1/services HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n")
	conn.response().wants(200) // does not look at bodies
	if families, err := w.metrics.Gather(); err != nil || strings.Count(fmt.Sprint(families), `"listServices"`) == 0 {
		t.Error(err)
	}
	if strings.Count(w.logs.String(), `"operation":"listServices"`) > 1 {
		t.Error("part of a body was taken for a request")
	}
}

func TestBodyLimits(t *testing.T) {
	engine := &fake{}
	w := serve(t, Options{Dev: true}, engine)
	big := `{"siteId":"` + strings.Repeat("x", 10<<20) + `"}`
	w.call("POST", "/v1/holds", big).refused(413, allocator.CodeInvalid)
	w.staff("PUT", "/v1/sites/A/days/2027-06-01", big).refused(413, allocator.CodeInvalid)
	w.staff("PUT", "/v1/sites/A/days/2027-06-01", `{"sessions":[]`+strings.Repeat(" ", 900<<10)+`}`).wants(200)
	w.call("POST", "/v1/holds", goodHold+strings.Repeat(" ", 70<<10)).refused(413, allocator.CodeInvalid)
	w.call("POST", "/v1/holds", goodHold+strings.Repeat(" ", 60<<10)).wants(201)
	w.call("PUT", "/v1/sites/A/days/2027-06-01", big).refused(401, allocator.CodeUnauthorised)

	w.call("POST", "/v1/holds", goodHold, "Content-Type", "text/plain").refused(415, allocator.CodeInvalid)
	w.call("POST", "/v1/holds", goodHold, "Content-Type", "application/json; charset=latin1").refused(415, allocator.CodeInvalid)
	w.call("POST", "/v1/holds", goodHold, "Content-Encoding", "gzip").refused(415, allocator.CodeInvalid)
	w.staff("POST", "/v1/capacity", "{}").refused(415, allocator.CodeInvalid)
	w.call("POST", "/v1/holds", goodHold, "Content-Type", "application/json; charset=UTF-8").wants(201)
	w.call("GET", "/v1/services", "", "X-Long", strings.Repeat("x", 20<<10)).refused(431, allocator.CodeInvalid)
}

// TestChunkedBodyLimit: a body without declared length is refused when it exceeds the limit, however it goes on.
func TestChunkedBodyLimit(t *testing.T) {
	w := serve(t, Options{}, &fake{})
	c := w.dial()
	defer c.Close()
	c.send("POST /v1/holds HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
	go func() {
		piece := "1000\r\n" + strings.Repeat("x", 0x1000) + "\r\n"
		for range 20 {
			if _, err := c.Write([]byte(piece)); err != nil {
				return
			}
		}
	}()
	c.response().refused(413, allocator.CodeInvalid)
}

// TestBrokenTransport: what is not HTTP, or ends early, is answered with a problem where an answer can be sent.
func TestBrokenTransport(t *testing.T) {
	engine := &fake{}
	engine.hold = func(context.Context, allocator.HoldRequest) (allocator.Hold, error) {
		t.Error("half a body reached the engine")
		return allocator.Hold{}, nil
	}
	w := serve(t, Options{ReadTimeout: 300 * time.Millisecond}, engine)
	for _, c := range []struct {
		text   string
		status int
	}{
		{"NONSENSE\r\n\r\n", 400},
		{"POST /v1/holds HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400},
		{"POST /v1/holds HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n" + goodHold, 408},
		{"POST /v1/holds HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
	} {
		conn := w.dial()
		conn.send(c.text)
		conn.response().refused(c.status, allocator.CodeInvalid)
		conn.Close()
	}
}

func TestRequestIDs(t *testing.T) {
	w := serve(t, Options{}, &fake{})
	for given, mirrored := range map[string]bool{
		"abcdefgh": true, "a-b_c.d-1234": true, "short": true, "test-1": true, "abc": true, "a": true, "7": true, "12345678": true,
		"123456789": true, "12345678901": true, "trace:a/b+c=d@e": true, "9000000009a": true, strings.Repeat("a", 128): true,
		"9000000009": false, "900-000-0009": false, "900.000.0009": false, "9:0/0+0=0@0_0-0.0..9": false, "has space inside": false,
		"a\"b": false, "a,b": false, "é": false, strings.Repeat("a", 129): false, "": false,
	} {
		got := w.call("GET", "/v1/services", "", "X-Request-Id", given).header.Get("X-Request-Id")
		if (got == given) != mirrored || got == "" {
			t.Errorf("%q gives %q", given, got)
		}
	}
}
