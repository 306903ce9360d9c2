package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
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
	if c := hold.Claims[0]; hold.IdempotencyKey != `a"b` || !c.Start.Equal(time.Date(2027, 6, 1, 9, 10, 0, 0, time.UTC)) || c.Length != 10 || hold.Caller != (allocator.Caller{Actor: "public"}) {
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
	if got, want := fmt.Sprintf("%+v", p.Day.Sessions[0]), "{ID:x From:09:00 Until:24:00 SlotLength:10 Capacity:2 Services:[S] Breaks:[{From:10:00 Until:10:30}] Stopped:true Invited:true}"; got != want {
		t.Errorf("%s", got)
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
