package api

import (
	"bytes"
	"context"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"muster/allocator"
)

func TestOptionsReportEveryFault(t *testing.T) {
	err := Options{Issuer: "x", MaxConnections: -1, MaxHeaderBytes: 1, ReadTimeout: -1, Admission: Admission{Hold: Gate{Concurrency: -1}}}.Validate()
	for _, want := range []string{"belong together", "connections", "header limit", "read time-out", "admission"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
	if err := (Options{}).Validate(); err != nil {
		t.Error(err)
	}
	if _, err := New(Options{ReadTimeout: -1}, &fake{}); err == nil {
		t.Error("New takes what Validate refuses")
	}
}

func TestDecodedRequests(t *testing.T) {
	engine := &fake{}
	var hold allocator.HoldRequest
	engine.hold = func(_ context.Context, r allocator.HoldRequest) (allocator.Hold, error) {
		hold = r
		return allocator.Hold{}, allocator.Refuse(allocator.CodeSlotFull, "full")
	}
	w := serve(t, Options{Dev: true}, engine)
	w.call("POST", "/v1/holds", holdWith("start", `"2027-06-01T10:10:00.000+01:00"`), "Idempotency-Key", `"a\"b"`).refused(409, allocator.CodeSlotFull)
	if c := hold.Claims[0]; hold.IdempotencyKey != `a"b` || !c.Start.Equal(time.Date(2027, 6, 1, 9, 10, 0, 0, time.UTC)) || c.Length != 10 || hold.Caller.Request == "" || hold.Caller != (allocator.Caller{Actor: "public", Request: hold.Caller.Request}) {
		t.Errorf("%+v", hold)
	}
	w.call("GET", "/v1/sites?postcode=LS1%204AP&service=FLU:65%2B&access=a,b&radiusKm=2.5&limit=50&people=5&from=2027-06-01&to=2027-06-01&includeFull=true", "").wants(200)
	want := `{"Postcode":"LS1 4AP","Lat":0,"Lon":0,"Service":"FLU:65+","From":20970,"To":20970,"RadiusMetres":2500,"Limit":50,"People":5,"Accessibilities":["a","b"],"IncludeFull":true}`
	if got, err := json.Marshal(engine.lastSearch); err != nil || string(got) != want {
		t.Errorf("%s %v", got, err)
	}
	w.staff("PUT", "/v1/sites/A/days/2027-06-01?dryRun=true&bookings=cancel", `{"sessions":[{"id":"x","from":"09:00","until":"24:00","slotLength":10,"capacity":2,"services":["S"],"breaks":[{"from":"10:00","until":"10:30"}],"status":"stopped","access":"invited"}]}`, "If-Match", `"6"`).wants(200)
	p := engine.lastPublish
	if p.IfMatch == nil || *p.IfMatch != 6 || !p.DryRun || !p.Cancel || p.Date != 20970 || p.Day.Date != 20970 || len(p.Day.Sessions) != 1 {
		t.Errorf("%+v", p)
	}
	session := allocator.Session{
		ID: "x", From: 540, Until: 1440, SlotLength: 10, Capacity: 2, Services: []allocator.ServiceCode{"S"},
		Breaks: []allocator.Break{{From: 600, Until: 630}}, Stopped: true, Invited: true,
	}
	if got := p.Day.Sessions[0]; !reflect.DeepEqual(got, session) {
		t.Errorf("%+v", got)
	}
	w.staff("PUT", "/v1/services/RSV:X", `{"bookingOpens":"2026-09-01T08:00:00+01:00","onePerPerson":false,"eligibility":{"minAge":75}}`).wants(200)
	if s := engine.lastService; s.Programme != "RSV" || s.Dose != 1 || s.OnePerPerson || s.BookingOpens != time.Date(2026, 9, 1, 7, 0, 0, 0, time.UTC).UnixMilli() || s.Eligibility.MinAge != 75 {
		t.Errorf("%+v", s)
	}
	w.staff("PUT", "/v1/sites/A", `{"name":"N","informationForCitizens":"two\nlines","location":{"lat":-1.5,"lon":2e1}}`).wants(201)
	if s := engine.lastSite; s.TimeZone != "Europe/London" || s.Information != "two\nlines" || s.Lat != -1.5 || s.Lon != 20 || s.Offline {
		t.Errorf("%+v", s)
	}
	if a := w.staff("GET", "/v1/sites/A/days/2027-06-01", "").wants(200); a.header.Get("ETag") != `"7"` || !bytes.Contains(a.body, []byte(`"access":"invited"`)) {
		t.Errorf("%v %s", a.header, a.body)
	}
}

// TestDocumentsRoundTrip: what GET shows, PUT takes.
func TestDocumentsRoundTrip(t *testing.T) {
	engine := &fake{}
	w := serve(t, Options{Dev: true}, engine)
	day := w.staff("GET", "/v1/sites/A/days/2027-06-01", "").wants(200)
	w.staff("PUT", "/v1/sites/A/days/2027-06-01", string(day.body)).wants(200)
	if p := engine.lastPublish; p.IfMatch != nil || len(p.Day.Sessions) != 1 || p.Day.Sessions[0].Until != 1440 {
		t.Errorf("%+v", p)
	}
	site := w.call("GET", "/v1/sites/A", "").wants(200)
	if again := w.staff("PUT", "/v1/sites/A", string(site.body)).wants(201); !bytes.Equal(again.body, site.body) {
		t.Errorf("%s became %s", site.body, again.body)
	}
	var listed struct{ Services []json.RawMessage }
	w.call("GET", "/v1/services", "").wants(200).json(&listed)
	again := w.staff("PUT", "/v1/services/RSV:Adult", string(listed.Services[0])).wants(200)
	if !bytes.Equal(again.body, listed.Services[0]) {
		t.Errorf("%s became %s", listed.Services[0], again.body)
	}
}

// TestConditions: the fake's day has revision 7, and its engine compares nothing.
func TestConditions(t *testing.T) {
	engine := &fake{}
	w := serve(t, Options{Dev: true}, engine)
	none := int64(-1)
	for _, c := range []struct {
		headers []string
		status  int
		want    int64 // what the engine is to compare
	}{
		{nil, 200, none}, {[]string{`"7"`}, 200, 7}, {[]string{"7"}, 200, 7}, {[]string{`"6"`}, 200, 6}, {[]string{`"0"`}, 200, 0},
		{[]string{"*"}, 200, none}, {[]string{" * "}, 200, none},
		{[]string{`"6", "7"`}, 200, 7}, {[]string{`"6"`, `"7"`}, 200, 7}, {[]string{`W/"7", "a,b", "6" ,"7"`}, 200, 7},
		{[]string{`"5", "6"`}, 412, 0}, {[]string{`W/"7"`}, 412, 0}, {[]string{`w/"7"`}, 412, 0}, {[]string{`"abc"`}, 412, 0},
		{[]string{`"-1"`}, 412, 0}, {[]string{`"007"`}, 412, 0}, {[]string{`"7`}, 412, 0}, {[]string{`"*"`}, 412, 0}, {[]string{`"8,7"`}, 412, 0},
		{[]string{`"99999999999999999999"`}, 412, 0}, {[]string{""}, 412, 0}, {[]string{","}, 412, 0},
	} {
		for _, method := range []string{"PUT", "DELETE"} {
			engine.lastPublish = allocator.PublishRequest{Site: "none"}
			body := map[string]string{"PUT": `{"sessions":[]}`}[method]
			var headers []string
			for _, h := range c.headers {
				headers = append(headers, "If-Match", h)
			}
			a := w.staff(method, "/v1/sites/A/days/2027-06-01", body, headers...)
			if c.status == 412 {
				a.refused(412, allocator.CodeRevisionMismatch)
				if engine.lastPublish.Site != "none" {
					t.Errorf("%q reached the engine", c.headers)
				}
				continue
			}
			a.wants(200)
			got := none
			if p := engine.lastPublish.IfMatch; p != nil {
				got = *p
			}
			if got != c.want || engine.lastPublish.Site != "A" {
				t.Errorf("%q asks for %d, want %d", c.headers, got, c.want)
			}
		}
	}
	engine.unpublished = true
	w.staff("DELETE", "/v1/sites/A/days/2027-06-01", "", "If-Match", "*").refused(412, allocator.CodeRevisionMismatch)
	w.staff("DELETE", "/v1/sites/A/days/2027-06-01", "", "If-Match", `"7", "0"`).wants(200)
	w.staff("PUT", "/v1/sites/A/days/2027-06-01", `{}`, "If-Match", "*").refused(400, allocator.CodeInvalid) // before the condition
}

func TestLineConditions(t *testing.T) {
	for text, ok := range map[string]bool{
		`7`: true, `"7"`: true, `"\"7\""`: true, `"\"7"`: false, `"W/\"7\""`: false, `"*"`: false, `-7`: false, `7.0`: false, `""`: false, `null`: false,
	} {
		req, err := DecodeCapacity([]byte(`{"siteId":"A","date":"2027-06-01","ifMatch":` + text + `,"sessions":[]}`))
		if (err == nil) != ok || ok && (req.IfMatch == nil || *req.IfMatch != 7) {
			t.Errorf("%s: %v %v", text, req.IfMatch, err)
		}
	}
}

// TestServicesWithPlus: a + in a query arrives as a space unless it was encoded.
func TestServicesWithPlus(t *testing.T) {
	engine := &fake{}
	w := serve(t, Options{}, engine)
	for _, service := range []string{"FLU:65+", "FLU:65%2B", "FLU:65%20"} {
		w.call("GET", "/v1/sites?postcode=LS1+4AP&service="+service, "").wants(200)
		if s := engine.lastSearch; s.Service != "FLU:65+" || s.Postcode != "LS1 4AP" {
			t.Errorf("%s: %+v", service, s)
		}
		w.call("GET", "/v1/sites/A/availability?service="+service, "").wants(200)
	}
}

// TestBirthday: today, by the clock of the country, is the last possible date of birth.
func TestBirthday(t *testing.T) {
	now := time.Date(2027, 6, 1, 23, 30, 0, 0, time.UTC) // half past midnight in London
	w := serve(t, Options{Now: func() time.Time { return now }}, &fake{})
	for born, status := range map[string]int{"1879-12-31": 400, "1880-01-01": 201, "2027-06-02": 201, "2027-06-03": 400} {
		w.call("POST", "/v1/holds/h1.x/confirm", confirmWith(strings.Replace(goodPerson, "1950-02-01", born, 1))).wants(status)
	}
}
