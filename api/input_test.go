package api

import (
	"context"
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
	{atConfirm, confirmWith(strings.Replace(goodPerson, "1950-02-01", "1850-02-01", 1)), "[/people/0/dateOfBirth]"},
	{atConfirm, confirmWith(strings.Replace(goodPerson, `"A"`, `"A","contact":{"email":"x","fax":"1"}`, 1)), "[/people/0/contact/fax /people/0/contact/email]"},
	{atConfirm, `{"people":[` + goodPerson + `],"replaces":{}}`, "[/replaces/reference]"},
	{atDay, `{}`, "[/sessions]"},
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
	{"GET", "/v1/sites/A/availability?service=a%20b", "", "", "", "[/query/service]"},
	{"GET", "/v1/sites/A/days/2027-02-30", "", "", "", "[/path/date]"},
	{"GET", "/v1/sites/A/days/tomorrow", "", "", "", "[/path/date]"},
	{"PUT", "/v1/sites/A%20B", `{"name":"A"}`, "", "", "[/path/siteId]"},
	{"PUT", "/v1/services/%C3%9F", `{}`, "", "", "[/path/service]"},
	{"DELETE", "/v1/sites/A/days/2027-06-01?bookings=drop", "", "", "", "[/query/bookings]"},
	{"DELETE", "/v1/sites/A/days/2027-06-01?dryRun=1", "", "", "", "[/query/dryRun]"},
	{"DELETE", "/v1/sites/A/days/2027-06-01", "", "If-Match", "*", "[/header/If-Match]"},
	{"DELETE", "/v1/sites/A/days/2027-06-01", "", "If-Match", `W/"7"`, "[/header/If-Match]"},
	{"PUT", "/v1/sites/A/days/2027-06-01", `{"sessions":[]}`, "If-Match", `"-1"`, "[/header/If-Match]"},
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
		"abcdefgh": true, "a-b_c.d-1234": true, "short": false, "9000000009": false, "has space inside": false,
		strings.Repeat("a", 65): false, "": false,
	} {
		got := w.call("GET", "/v1/services", "", "X-Request-Id", given).header.Get("X-Request-Id")
		if (got == given) != mirrored || got == "" {
			t.Errorf("%q gives %q", given, got)
		}
	}
}
