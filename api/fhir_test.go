package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3filter"

	"muster/allocator"
	"muster/api/fhir"
	"muster/api/fhir/fhirtest"
)

const (
	fhirSlot      = "FA512.RSV-cAdult.202706010810.10"
	fhirPatient   = `{"resourceType":"Patient","id":"p","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"900 000 0009"}],"name":[{"use":"old","family":"Former","given":["A"]},{"use":"official","family":"Example","given":["Alex","Jo"]}],"birthDate":"1950-02-01","gender":"other","telecom":[{"system":"email","value":"a@b"},{"system":"phone","use":"mobile","value":"07700 900000"},{"system":"phone","use":"home","value":"0113 496 0000"}]}`
	fhirHoldBody  = `{"resourceType":"Parameters","parameter":[{"name":"appointment-reference","valueReference":{"reference":"Appointment/` + fhirSlot + `"}}]}`
	fhirFindBody  = `{"resourceType":"Parameters","parameter":[{"name":"start","valueDateTime":"2027-06-01T00:00:00Z"},{"name":"end","valueDateTime":"2027-06-02"},{"name":"visit-type","valueString":"RSV:Adult"},{"name":"location-reference","valueReference":{"reference":"Location/FA512"}}]}`
	fhirBookBody  = `{"resourceType":"Parameters","parameter":[{"name":"appointment-reference","valueReference":{"reference":"Appointment/` + fhirSlot + `"}},{"name":"patient-resource","resource":` + fhirPatient + `}]}`
	fhirOutOfSlot = `"slot":[{"reference":"Slot/` + fhirSlot + `"}]`

	fhirAppointment = `{"resourceType":"Appointment","status":"booked",` + fhirOutOfSlot + `,"start":"2027-06-01T09:10:00+01:00","participant":[{"actor":{"reference":"#p"},"status":"accepted"}],"contained":[` + fhirPatient + `]}`
)

func init() { openapi3filter.RegisterBodyDecoder(fhir.MediaType, openapi3filter.JSONBodyDecoder) }

// validFHIR holds a reply against HL7's schema.
func validFHIR(t testing.TB, a answer) {
	t.Helper()
	if got := a.header.Get("Content-Type"); got != fhir.MediaType {
		t.Errorf("content type %q", got)
	}
	if got := a.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("cache control %q", got)
	}
	if err := fhirtest.Validate(a.body); err != nil {
		t.Errorf("%s: %v", a.body, err)
	}
}

// The statement and the routes say the same.
func TestCapabilities(t *testing.T) {
	w := serve(t, Options{PublicURL: "https://booking.example/"}, &fake{})
	a := w.call("GET", "/fhir/R4/metadata?mode=full", "").wants(200)
	validFHIR(t, a)
	var statement fhir.CapabilityStatement
	a.json(&statement)
	if got := statement.Implementation.URL; got != "https://booking.example/fhir/R4" {
		t.Errorf("address %q", got)
	}
	stated := map[string]bool{"GET /metadata": true}
	for _, r := range statement.Rest[0].Resource {
		for _, i := range r.Interaction {
			stated[map[string]string{"read": "GET /" + r.Type + "/", "search-type": "GET /" + r.Type, "create": "POST /" + r.Type, "update": "PUT /" + r.Type + "/"}[i.Code]] = true
		}
		if slices.Contains(r.Interaction, fhir.Interaction{Code: "search-type"}) {
			stated["POST /"+r.Type+"/_search"] = true
		}
		for _, o := range r.Operation {
			stated["POST /"+r.Type+"/$"+o.Name] = true
		}
	}
	stated["GET /Appointment/$find"] = true // an operation that changes nothing
	for _, r := range routes() {
		path, ok := strings.CutPrefix(r.path, fhirBase)
		if !ok {
			continue
		}
		path, _, _ = strings.Cut(path, "{")
		if at := r.method + " " + path; !stated[at] {
			t.Errorf("%s is no part of the statement: add it to api/fhir/capability.go", at)
		} else {
			delete(stated, at)
		}
	}
	for at := range stated {
		t.Errorf("%s is stated, and no route", at)
	}
	for resource, names := range map[string][]string{"Slot": slotNames, "Schedule": scheduleNames, "Appointment": appointmentNames} {
		for _, p := range fhir.Searches[resource] {
			if !slices.Contains(names, p.Name) {
				t.Errorf("%s is stated to be searched by %s, and is not", resource, p.Name)
			}
		}
		for _, name := range names {
			common := strings.HasPrefix(name, "_include") || name == "_count" || name == "_after" || strings.HasPrefix(name, "Schedule.")
			if !common && !slices.ContainsFunc(fhir.Searches[resource], func(p fhir.SearchParam) bool { return p.Name == name }) {
				t.Errorf("%s is searched by %s, which the statement does not say", resource, name)
			}
		}
	}
}

// offered makes a fake engine offer slots every ten minutes from slotStart.
func offered(slots int) *offering {
	o := &offering{fake: &fake{}}
	for i := range slots {
		o.slots = append(o.slots, allocator.SlotFree{Start: allocator.MinuteOf(slotStart) + allocator.Minute(10*i), Length: 10, Free: i + 1})
	}
	return o
}

type offering struct {
	*fake
	slots []allocator.SlotFree
	asked []allocator.AvailabilityRequest
}

func (o *offering) Availability(_ context.Context, r allocator.AvailabilityRequest) (allocator.AvailabilityReply, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked = append(o.asked, r)
	return allocator.AvailabilityReply{AsOf: slotStart, Zone: time.UTC, Days: []allocator.DaySlots{{Date: 20970, Slots: o.slots}}}, nil
}

// bundle reads a searchset.
func (a answer) bundle() (ids []string, b fhir.Bundle) {
	a.t.Helper()
	a.wants(200)
	validFHIR(a.t, a)
	a.json(&b)
	for _, e := range b.Entry {
		r := e.Resource.(map[string]any)
		id, _ := r["id"].(string)
		ids = append(ids, e.Search.Mode+" "+r["resourceType"].(string)+"/"+id)
	}
	return ids, b
}

func linkOf(b *fhir.Bundle, relation string) string {
	for _, l := range b.Link {
		if l.Relation == relation {
			return strings.TrimPrefix(l.URL, "http://muster.test")
		}
	}
	return ""
}

// A search as BaRS sends it: bounds, includes, pages.
func TestSlotSearch(t *testing.T) {
	engine := offered(7)
	w := serveEngine(t, Options{}, engine, engine.fake)
	search := "/fhir/R4/Slot?status=free&start=ge2027-06-01T09:20:00%2B01:00&start=le2027-06-01T09:00:00Z" +
		"&Schedule.actor:HealthcareService=FA512.RSV-cAdult&_include=Slot:schedule&_include:iterate=Schedule:actor:HealthcareService&_include=HealthcareService:location"
	ids, b := w.call("GET", search, "").bundle()
	if len(ids) != 5+3 || ids[0] != "match Slot/FA512.RSV-cAdult.202706010820.10" || ids[4] != "match Slot/FA512.RSV-cAdult.202706010900.10" {
		t.Fatalf("%v", ids)
	}
	if got := ids[5:]; !slices.Equal(got, []string{"include Schedule/FA512.RSV-cAdult", "include HealthcareService/FA512.RSV-cAdult", "include Location/FA512"}) {
		t.Errorf("%v", got)
	}
	if *b.Total != 5 || b.Entry[0].FullURL != "http://muster.test/fhir/R4/Slot/FA512.RSV-cAdult.202706010820.10" || linkOf(&b, "next") != "" {
		t.Errorf("%+v", b)
	}
	if again, _ := w.call("GET", linkOf(&b, "self"), "").bundle(); !slices.Equal(again, ids) {
		t.Errorf("self gives %v", again)
	}
	if a := engine.asked[0]; a.From.String() != "2027-06-01" || a.To.String() != "2027-06-01" {
		t.Errorf("asked %+v", a)
	}
	var paged []string
	for at := search + "&_count=2"; at != ""; {
		some, page := w.call("GET", at, "").bundle()
		for _, id := range some {
			if strings.HasPrefix(id, "match ") {
				paged = append(paged, id)
			}
		}
		if at = linkOf(&page, "next"); len(paged) > 5 {
			t.Fatal("pages repeat")
		}
	}
	if !slices.Equal(paged, ids[:5]) {
		t.Errorf("by pages %v", paged)
	}
	if none, _ := w.call("GET", search+"&_count=0", "").bundle(); len(none) != 0 {
		t.Errorf("count 0 gives %v", none)
	}
	for query, want := range map[string]int{
		"schedule=Schedule/FA512.RSV-cAdult": 7, "schedule=http://muster.test/fhir/R4/Schedule/FA512.RSV-cAdult": 7, "schedule.actor:Location=FA512": 7,
		"schedule.actor:Location=FA512&service-type=urn:muster:service%7CRSV:Adult": 7, "schedule.actor:Location=FA512&service-type=FLU": 0,
		"schedule=FA512.RSV-cAdult&schedule.actor:Location=B1": 0, "schedule=FA512.RSV-cAdult,B1.RSV-cAdult": 14, "schedule=FA512.RSV-cAdult&status=free,busy": 8,
		"schedule=FA512.RSV-cAdult&status=http://hl7.org/fhir/slotstatus%7Cbusy": 1, "schedule=FA512.RSV-cAdult&start=2027-06-01": 7,
		"schedule=FA512.RSV-cAdult&start=2027-06-02": 0, "schedule=FA512.RSV-cAdult&start=gt2027-06-01T08:10Z&start=lt2027-06-01T08:30:00Z": 1,
		"schedule=FA512.RSV-cAdult&start=ge2027-06-01T09:10:00+01:00&start=eb2027-06-01T08:20:00Z": 1, "schedule=FA512.RSV-cAdult&start=ge2028&start=le2026": 0,
		"schedule=FA512.RSV-cAdult&_format=json&_pretty=true": 7,
	} {
		if ids, _ := w.call("GET", "/fhir/R4/Slot?"+query, "").bundle(); len(ids) != want {
			t.Errorf("%s finds %v", query, ids)
		}
	}
}

func TestSlotSearchRefusals(t *testing.T) {
	engine := offered(1)
	w := serveEngine(t, Options{}, engine, engine.fake)
	const good = "/fhir/R4/Slot?schedule=FA512.RSV-cAdult"
	for query, want := range map[string]string{
		"/fhir/R4/Slot": "query schedule is required", good + "&colour=red": "query colour is not a known parameter", good + "&status=maybe": "query status must be",
		good + "&start=tomorrow": "query start is not a date", good + "&_include=Slot:colour": "query _include must be", good + "&_count=-1": "query _count must be",
		good + "&_after=x": "query _after is not from a link", good + "&schedule=Location/FA512": "query schedule must name a Schedule", good + "&start=": "query start must not be empty",
		good + "&status=%00": "query status must not contain", good + "&_count=1&_count=2": "query _count is given twice", good + "&schedule=http://elsewhere/fhir/R4/Schedule/FA512.RSV-cAdult": "query schedule must name",
	} {
		p := w.call("GET", query, "").refused(400, allocator.CodeInvalid)
		if !strings.Contains(p.Detail, want) {
			t.Errorf("%s: %q, want %q", query, p.Detail, want)
		}
	}
	w.call("GET", "/fhir/R4/Slot?schedule=nothing", "").refused(404, allocator.CodeServiceUnknown)
	w.call("GET", "/fhir/R4/Slot?schedule=FA512.FLU", "").refused(404, allocator.CodeServiceUnknown)
	w.call("GET", "/fhir/R4/Slot?schedule.actor:Location=a_b", "").refused(404, allocator.CodeSiteUnknown)
	ids, b := w.call("GET", good+"&colour=red&_include=Slot:colour", "", "Prefer", "respond-async, handling=lenient").bundle()
	if len(ids) != 2 || ids[1] != "outcome OperationOutcome/" || strings.Contains(linkOf(&b, "self"), "red") {
		t.Errorf("%v %v", ids, b.Link)
	}
}

func TestReads(t *testing.T) {
	engine := offered(1)
	w := serveEngine(t, Options{}, engine, engine.fake)
	for path, want := range map[string]string{
		"Slot/" + fhirSlot: `"status":"free"`, "Slot/FA512.RSV-cAdult.202706010811.10": `"status":"busy-unavailable"`, "Appointment/" + fhirSlot: `"status":"proposed"`,
		"Location/a-ub": `"id":"a-ub"`,
	} {
		a := w.call("GET", "/fhir/R4/"+path, "").wants(200)
		validFHIR(t, a)
		if !strings.Contains(string(a.body), want) {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	for path, code := range map[string]allocator.Code{
		"Slot/x": allocator.CodeSlotUnknown, "Slot/FA512.RSV-cAdult.202706010810.0": allocator.CodeSlotUnknown, "Schedule/FA512": allocator.CodeServiceUnknown,
		"HealthcareService/FA512.NO": allocator.CodeServiceUnknown, "Location/_": allocator.CodeSiteUnknown, "Location/-d": allocator.CodeSiteUnknown,
		"Appointment/FA512.RSV-cAdult.202706010811.10": allocator.CodeSlotUnknown, "Patient/1": CodeNotFound, "Slot/" + fhirSlot + "/_history": CodeNotFound,
	} {
		w.call("GET", "/fhir/R4/"+path, "").refused(404, code)
	}
	a := w.call("PATCH", "/fhir/R4/Appointment/x", "{}")
	a.refused(405, CodeMethodNotAllowed)
	w.call("GET", "/fhir/R4/Slot/"+fhirSlot+"?a=b", "").refused(400, allocator.CodeInvalid)
}

// What is neither read nor written is refused, and correlation is mirrored.
func TestMediaTypes(t *testing.T) {
	w := serve(t, Options{}, &fake{})
	for _, accept := range []string{"application/fhir+json", "application/json", "*/*", "text/html, application/fhir+json;fhirVersion=4.0;q=0.5", "application/*;q=0.1"} {
		w.call("GET", "/fhir/R4/metadata", "", "Accept", accept).wants(200)
	}
	for _, accept := range []string{"application/fhir+xml", "text/html", "application/json;q=0", "nonsense/"} {
		w.call("GET", "/fhir/R4/metadata", "", "Accept", accept).refused(406, allocator.CodeInvalid)
	}
	w.call("GET", "/fhir/R4/metadata?_format=xml", "").refused(406, allocator.CodeInvalid)
	w.call("GET", "/fhir/R4/metadata?_format=application/fhir%2Bjson", "", "Accept", "application/fhir+xml").wants(200)
	for _, kind := range []string{"application/fhir+json; fhirVersion=4.0", "application/json; charset=utf-8"} {
		w.call("POST", "/fhir/R4/Appointment/$hold", fhirHoldBody, "Content-Type", kind).wants(200)
	}
	w.call("POST", "/fhir/R4/Appointment/$hold", "<Parameters/>", "Content-Type", "application/fhir+xml").refused(415, allocator.CodeInvalid)
	w.call("POST", "/fhir/R4/Appointment/%24hold", fhirHoldBody).wants(200)
	a := w.call("GET", "/fhir/R4/metadata", "", "X-Correlation-Id", "c-1", "X-Request-Id", "r-1")
	if a.header.Get("X-Correlation-Id") != "c-1" || a.header.Get("X-Request-Id") != "r-1" {
		t.Errorf("%v", a.header)
	}
}

// Every code of the engine becomes an outcome that the schema allows, with its status and the alternatives.
func TestOutcomes(t *testing.T) {
	engine := &fake{}
	w := serve(t, Options{}, engine)
	for _, code := range allocator.Codes {
		engine.hold = func(context.Context, allocator.HoldRequest) (allocator.Hold, error) {
			return allocator.Hold{}, &allocator.Error{Code: code, Detail: "detail", Alternatives: []allocator.Alternative{
				{Site: "B", SiteName: "Other", DistanceMetres: 5, Start: allocator.MinuteOf(slotStart), Length: 10, Free: 2, TimeZone: "Europe/London", Service: "RSV:Adult"}}}
		}
		a := w.call("POST", "/fhir/R4/Appointment/$hold", fhirHoldBody)
		p := a.refused(meanings[code].status, code)
		if code != allocator.CodeInternal && p.Detail != "detail" {
			t.Errorf("%s: %s", code, a.body)
		}
		if told := strings.Contains(string(a.body), `"code":"B.RSV-cAdult.202706010810.10"`); told == (code == allocator.CodeInternal) {
			t.Errorf("%s: %s", code, a.body)
		}
	}
}

func TestNoPublicAddress(t *testing.T) {
	for _, bad := range []string{"booking.example", "ftp://a", "https://a/?b", "https://u:p@a", "https://"} {
		if (Options{PublicURL: bad}).Validate() == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	w := serve(t, Options{}, &fake{})
	req, err := http.NewRequest("GET", "http://muster.test/fhir/R4/metadata", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "evil.example/<script>"
	if a := w.do(req); strings.Contains(string(a.body), "evil") {
		t.Errorf("%s", a.body)
	}
}
