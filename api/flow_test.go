package api

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"muster/allocator"
)

// conversation is requests that together touch every route, with the replies that are due.
var conversation = []struct {
	operation, method, path, body string
	status                        int
	want                          string // part of the reply
}{
	{"searchSites", "GET", "/v1/sites?postcode=LS1%204AP&service=RSV:Adult&people=2&access=step_free,parking", "", 200, `"nextAvailable":"2027-06-01T09:10:00+01:00"`},
	{"searchSites", "GET", "/v1/sites?lat=53.79&lon=-1.55&service=RSV%3AAdult&from=2027-06-01&to=2027-06-02&radiusKm=1.5&includeFull=true", "", 200, `"origin":{"lat":53.8,"lon":-1.5,"postcode":"LS1 4AP","precision":"unit"}`},
	{"getSite", "GET", "/v1/sites/FA512", "", 200, `"status":"online"`},
	{"getAvailability", "GET", "/v1/sites/FA512/availability?service=RSV:Adult", "", 200, `{"start":"2027-06-01T09:10:00+01:00","length":10,"free":3}`},
	{"listServices", "GET", "/v1/services", "", 200, `"bookingOpens":"2027-06-01T08:10:00Z"`},
	{"getWaitingRoom", "GET", roomPath, "", 200, `{"service":"RSV:Adult","mode":"off"}`},
	{"putWaitingRoom", "PUT", roomPath, `{"mode":"on","startPerSecond":20,"openAt":"2099-06-01T08:00:00Z","lotteryFrom":"2027-06-01T08:00:00Z","beacon":"dice"}`, 200, `"state":{"roomId":"`},
	{"joinWaitingRoom", "POST", ticketsPath, joining, 429, `"WAITING_ROOM"`},
	{"putWaitingRoom", "PUT", roomPath, `{"mode":"by_load"}`, 200, `"active":false,"waiting":0,"drawn":0,"free":5,"commitment":"`},
	{"putWaitingRoom", "PUT", roomPath, `{"mode":"on"}`, 200, `"active":true`},
	{"putWaitingRoom", "PUT", roomPath, `{"mode":"perhaps"}`, 400, `"pointer":"/mode"`},
	{"getWaitingRoom", "GET", roomPath, "", 200, `"calledTo":"`},
	{"getWaitingRoom", "GET", "/v1/services/NO:Such/waiting-room", "", 404, `"SERVICE_UNKNOWN"`},
	{"joinWaitingRoom", "POST", ticketsPath, joining, 201, `"service":"RSV:Adult","phase":"waiting","position":1,"waiting":1,"pollAfterMs":`},
	{"joinWaitingRoom", "POST", ticketsPath, `{"service":"FLU:65+"}`, 200, `{"service":"FLU:65+","phase":"open","waiting":0,"outlook":"unknown"`},
	{"lookWaitingRoom", "GET", "/v1/waiting-room/ticket", "", 404, `"TICKET_UNKNOWN"`},
	{"enterWaitingRoom", "POST", "/v1/waiting-room/passes", "", 404, `"TICKET_UNKNOWN"`},
	{"getPostcode", "GET", "/v1/postcodes/LS1%204AP", "", 200, `{"postcode":"LS1 4AP","lat":53.7963,"lon":-1.5477,"precision":"unit"}`},
	{"getPostcode", "GET", "/v1/postcodes/XX9", "", 404, `"code":"POSTCODE_UNKNOWN"`},
	{"createHold", "POST", "/v1/holds", `{"siteId":"FA512","service":"RSV:Adult","start":"2027-06-01T10:10:00+02:00","length":10}`, 201,
		`{"holdId":"h1.token","expiresAt":"2027-06-01T08:15:00.000Z","serverTime":"2027-06-01T08:10:00.000Z","claims":[{"siteId":"FA512","service":"RSV:Adult","start":"2027-06-01T09:10:00+01:00","length":10}]}`},
	{"createHold", "POST", "/v1/holds", `{"claims":[{"siteId":"A","service":"FLU:65+","start":"2026-12-01T09:10:00Z"},{"siteId":"B","service":"FLU:65+","start":"2026-12-01T09:10:00Z"}]}`, 201, `"start":"2026-12-01T09:10:00Z"`},
	{"getHold", "GET", "/v1/holds/h1.token", "", 200, `"state":"held"`},
	{"getHold", "GET", "/v1/holds/wrong", "", 404, `"HOLD_UNKNOWN"`},
	{"extendHold", "POST", "/v1/holds/h1.token/extend", "", 200, `"holdId":"h1.token"`},
	{"confirmHold", "POST", "/v1/holds/h1.token/confirm", `{"people":[{"nhsNumber":"900 000 0009","givenName":"Alex","familyName":"Ex","dateOfBirth":"1950-02-01","contact":{"email":"a@b"}}]}`, 201,
		`"manageToken":"TOKEN0TOKEN0TOKEN0TOKEN000","status":"booked"`},
	{"batchHolds", "POST", "/v1/holds:batch", `{"holds":[{"idempotencyKey":"k","siteId":"FA512","service":"RSV:Adult","start":"2027-06-01T10:10:00+02:00"},{"siteId":"A"}]}`, 200,
		`{"results":[{"status":201,"hold":{"holdId":"h1.token","expiresAt":"2027-06-01T08:15:00.000Z","serverTime":"2027-06-01T08:10:00.000Z","claims":[{"siteId":"FA512","service":"RSV:Adult","start":"2027-06-01T09:10:00+01:00","length":10}]}},{"status":400,"problem":{"type":"urn:muster:problem:INVALID_REQUEST",`},
	{"batchConfirmations", "POST", "/v1/confirmations:batch", `{"confirmations":[{"holdId":"h1.token","people":[{"nhsNumber":"9000000009","givenName":"A","familyName":"B","dateOfBirth":"1950-02-01"}]},{"holdId":""}]}`, 200,
		`"code":"HOLD_UNKNOWN"`},
	{"releaseHold", "DELETE", "/v1/holds/h1.token", "", 204, ""},
	{"getBooking", "GET", "/v1/bookings/" + someKey.Reference(), "", 200, `"nhsNumber":"9000000009"`},
	{"cancelBooking", "POST", "/v1/bookings/" + someKey.Reference() + "/cancel", "", 200, `"status":"cancelled"`},
	{"setBookingStatus", "POST", "/v1/bookings/" + someKey.Reference() + "/status", `{"status":"fulfilled"}`, 200, `"unsupported":true`},
	{"putSite", "PUT", "/v1/sites/FA512", `{"name":"Example","address":{"lines":[],"postcode":"LS1 4AP"},"status":"offline"}`, 201, `"status":"offline"`},
	{"putService", "PUT", "/v1/services/RSV:Adult", `{}`, 200, `"windowDays":365`},
	{"getDay", "GET", "/v1/sites/FA512/days/2027-06-01", "", 200, `"until":"24:00"`},
	{"putDay", "PUT", "/v1/sites/FA512/days/2027-06-01?dryRun=true", `{"sessions":[]}`, 200, `"impact":{"supported":3,"newlyUnsupported":[],"newlySupported":[],"heldAffected":0}`},
	{"closeDay", "DELETE", "/v1/sites/FA512/days/2027-06-01?bookings=cancel", "", 200, `"revision":7`},
	{"listDayBookings", "GET", "/v1/sites/FA512/days/2027-06-01/bookings", "", 200, `"contact":{"email":"alex@example.org"}`},
	{"listDayBookings", "GET", "/v1/sites/FA512/days/2027-06-01/bookings?format=csv", "", 200, "09:10,10,RSV:Adult,booked,"},
	{"listDayBookings", "GET", "/v1/sites/FA512/days/2027-06-01/bookings?format=html", "", 200, "Tuesday 1 June 2027"},
	{"listDayBookings", "GET", "/v1/sites/FA512/days/2027-06-01/bookings?format=signed", "", 200, "eyJ"},
	{"listDayBookings", "GET", "/v1/sites/FA512/days/2027-06-01/bookings?format=pdf", "", 400, `"pointer":"/query/format"`},
	{"getWorklistKeys", "GET", "/v1/worklist-keys", "", 200, `{"keys":[{"use":"sig","kty":"OKP","kid":"`},
	{"exportPerson", "POST", "/v1/people/export", `{"nhsNumber":"900 000 0009"}`, 200, `"recordedAt":"2027-06-01T08:10:00Z","details":null}`},
	{"exportPerson", "POST", "/v1/people/export", `{"nhsNumber":"9000000008"}`, 422, `"code":"NHS_NUMBER_INVALID"`},
	{"exportPerson", "POST", "/v1/people/export?nhsNumber=9000000009", `{"nhsNumber":"9000000009"}`, 400, `"pointer":"/query/nhsNumber"`},
	{"erasePerson", "POST", "/v1/people/erase", `{"nhsNumber":"9000000009"}`, 200, `{"erased":2,"upcoming":["` + someKey.Reference() + `"]}`},
	{"getFreeCapacity", "GET", "/v1/free-capacity?by=icb&service=RSV:Adult&from=2027-06-01", "", 200, `{"area":"icb =1","service":"RSV:Adult","week":"2027-05-31","sites":3,"open":2,"places":40,"booked":11,"free":29}`},
	{"getFreeCapacity", "GET", "/v1/free-capacity?format=csv", "", 200, "region =1,RSV:Adult,2027-05-31,3,2,40,11,29,2027-06-01T08:10:00.000Z"},
	{"getFreeCapacity", "GET", "/v1/free-capacity?format=ndjson", "", 200, `{"area":"region =1",`},
	{"getFreeCapacity", "GET", "/v1/free-capacity?by=country", "", 400, `"pointer":"/query/by"`},
	{"editDays", "POST", "/v1/sites/FA512/days:edit?dryRun=true", `{"from":"2027-06-01","until":"2027-06-30","weekdays":["mon"],"edit":"block","times":{"from":"12:00","until":"13:00"},"sessions":["a"]}`, 200,
		`{"changed":1,"failed":1,"added":0,"removed":12,"newlyUnsupported":1,"cancelled":0,"days":[{"date":"2027-06-01","revision":3,"added":0,"removed":12,"impact":{"supported":0,"newlyUnsupported":["` + someKey.Reference() + `"],`},
	{"listSuspensions", "GET", "/v1/sites/FA512/suspensions", "", 200, `{"suspensions":[{"service":"FLU:65+"},{"service":"RSV:Adult","until":"2027-06-01","reason":"no vials"}]}`},
	{"suspendService", "PUT", "/v1/sites/FA512/suspensions/RSV:Adult?dryRun=true", `{"until":"2027-06-30","reason":"no vials"}`, 200,
		`{"service":"RSV:Adult","changed":true,"days":28,"bookings":12,"free":340}`},
	{"suspendService", "PUT", "/v1/sites/FA512/suspensions/RSV:Adult", "", 200, `"changed":true`},
	{"suspendService", "PUT", "/v1/sites/FA512/suspensions/RSV:Adult", `{"until":"Friday"}`, 400, `"pointer":"/until"`},
	{"suspendService", "PUT", "/v1/sites/FA512/suspensions/RSV:Adult", `{"service":"FLU:65+"}`, 400, `"pointer":"/service"`},
	{"suspendService", "PUT", "/v1/sites/FA512/suspensions/*", "", 404, `"SERVICE_UNKNOWN"`},
	{"resumeService", "DELETE", "/v1/sites/FA512/suspensions/RSV:Adult", "", 200, `"changed":false`},
	{"editDays", "POST", "/v1/sites/FA512/days:edit", `{"from":"2027-06-01","until":"2027-06-01","edit":"explode"}`, 400, `"pointer":"/edit"`},
	{"getPlan", "GET", "/v1/sites/FA512/plan", "", 200, `"overrides":[{"date":"2024-10-25","sessions":[]},{"date":"2024-10-26","edits":[{"edit":"block","sessions":["a"],"times":{"from":"09:00","until":"10:00"}},{"edit":"capacity","capacity":1},{"edit":"stop"}]}],"closures":[{"from":`},
	{"putPlan", "PUT", "/v1/sites/FA512/plan?edited=replace", somePlan, 200, `{"revision":8,"changed":1,"failed":0,"added":0,"removed":12,"newlyUnsupported":1,"cancelled":0,"days":[{"date":`},
	{"putPlan", "PUT", "/v1/sites/FA512/plan", `{"series":[{"id":"a","from":"2027-06-01","until":"2027-06-30","weekdays":["someday"],"sessions":[]}]}`, 400, `"pointer":"/series/0/weekdays/0"`},
	{"bookWalkIn", "POST", "/v1/sites/FA512/walkins", `{"service":"RSV:Adult","person":{"givenName":"Alex"}}`, 201, `"manageToken":"TOKEN0TOKEN0TOKEN0TOKEN000","status":"arrived"`},
	{"uploadCapacity", "POST", "/v1/capacity", "", 200, ""},
	{"listEvents", "GET", "/v1/events", "", 200, `"reference":"` + someKey.Reference() + `"`},
	{"createWebhook", "POST", "/v1/webhooks", `{"url":"https://example.org/in","types":["booking.booked"],"sites":["FA512"],"description":"records"}`, 201, `"secret":"whsec_`},
	{"createWebhook", "POST", "/v1/webhooks", `{"url":"https://127.0.0.1/"}`, 400, `"pointer":"/url"`},
	{"listWebhooks", "GET", "/v1/webhooks", "", 200, `"sites":["FA512"]`},
	{"getWebhook", "GET", "/v1/webhooks/" + someHook, "", 200, `"status":"enabled"`},
	{"getWebhook", "GET", "/v1/webhooks/wh_none", "", 404, `"code":"WEBHOOK_UNKNOWN"`},
	{"rotateWebhookSecret", "POST", "/v1/webhooks/" + someHook + "/rotate-secret", "", 200, `"secret":"whsec_`},
	{"rotateWebhookSecret", "POST", "/v1/webhooks/" + someHook + "/rotate-secret", "", 200, `"previousSecretUntil":"`},
	{"testWebhook", "POST", "/v1/webhooks/" + someHook + "/test", "", 200, `{"delivered":true,"status":204,"tookMs":`},
	{"putWebhook", "PUT", "/v1/webhooks/" + someHook, `{"url":"https://example.org/","status":"disabled"}`, 200, `"disabledBecause":"owner"`},
	{"deleteWebhook", "DELETE", "/v1/webhooks/" + someHook, "", 204, ""},
	{"getAuditTrail", "GET", "/v1/audit-trail?limit=2", "", 200, `{"entries":[{"seq":1,"at":"2027-06-01T08:10:00.000000Z","actor":"publisher:dev","action":"site.changed","requestId":"R1","siteId":"FA512","revision":3,"event":"1",`},
	{"getAuditTrail", "GET", "/v1/audit-trail?reference=" + someKey.Reference() + "&from=2027-01-01T00:00:00Z", "", 200, `"reference":"` + someKey.Reference() + `","service":"RSV:Adult","start":"2027-06-01T08:10:00Z","length":10,"status":"booked","version":1,"event":"5","digest":"0100`},
	{"getAuditTrail", "GET", "/v1/audit-trail?after=2&format=ndjson", "", 200, `,"seal":"cd"}` + "\n"},
	{"getAuditTrail", "GET", "/v1/audit-trail?reference=nonsense", "", 404, `"BOOKING_UNKNOWN"`},
	{"getAuditTrail", "GET", "/v1/audit-trail?from=yesterday", "", 400, `"pointer":"/query/from"`},
	{"fhirMetadata", "GET", "/fhir/R4/metadata", "", 200, `"fhirVersion":"4.0.1"`},
	{"fhirSearchSlots", "GET", "/fhir/R4/Slot?schedule=FA512.RSV-cAdult", "", 200, `"start":"2027-06-01T09:10:00+01:00","end":"2027-06-01T09:20:00+01:00"`},
	{"fhirSearchSlotsByForm", "POST", "/fhir/R4/Slot/_search", "schedule=FA512.RSV-cAdult", 200, `"start":"2027-06-01T09:10:00+01:00","end":"2027-06-01T09:20:00+01:00"`},
	{"fhirReadSlot", "GET", "/fhir/R4/Slot/" + fhirSlot, "", 200, `"status":"free"`},
	{"fhirSearchSchedules", "GET", "/fhir/R4/Schedule?actor:Location=FA512", "", 200, `"id":"FA512.RSV-cAdult"`},
	{"fhirSearchSchedulesByForm", "POST", "/fhir/R4/Schedule/_search", "actor:Location=FA512", 200, `"id":"FA512.RSV-cAdult"`},
	{"fhirReadSchedule", "GET", "/fhir/R4/Schedule/FA512.RSV-cAdult", "", 200, `"reference":"Location/FA512"`},
	{"fhirReadHealthcareService", "GET", "/fhir/R4/HealthcareService/FA512.RSV-cAdult", "", 200, `"system":"urn:muster:service","code":"RSV:Adult"`},
	{"fhirReadLocation", "GET", "/fhir/R4/Location/FA512", "", 200, `"position":{"longitude":-1.54,"latitude":53.79}`},
	{"fhirSearchAppointments", "GET", "/fhir/R4/Appointment?location=FA512&date=2027-06-01", "", 200, `"value":"9000000009"`},
	{"fhirSearchAppointmentsByForm", "POST", "/fhir/R4/Appointment/_search", "location=FA512&date=2027-06-01", 200, `"value":"9000000009"`},
	{"fhirCreateAppointment", "POST", "/fhir/R4/Appointment", fhirAppointment, 201, `"system":"urn:muster:manage-token","value":"TOKEN0TOKEN0TOKEN0TOKEN000"`},
	{"fhirReadAppointment", "GET", "/fhir/R4/Appointment/" + someKey.Reference(), "", 200, `"family":"Example"`},
	{"fhirUpdateAppointment", "PUT", "/fhir/R4/Appointment/" + someKey.Reference(), `{"resourceType":"Appointment","id":"` + someKey.Reference() + `","status":"cancelled"}`, 200, `"status":"cancelled","cancelationReason"`},
	{"fhirFind", "GET", "/fhir/R4/Appointment/$find?start=2027-06-01&end=2027-06-01&visit-type=urn:muster:service%7CRSV:Adult&location-string=LS1%204AP", "", 200, `"status":"proposed"`},
	{"fhirFindByBody", "POST", "/fhir/R4/Appointment/$find", fhirFindBody, 200, `"status":"proposed"`},
	{"fhirHold", "POST", "/fhir/R4/Appointment/$hold", fhirHoldBody, 200, `{"use":"temp","system":"urn:muster:hold-id","value":"h1.token","period":{"end":"2027-06-01T08:15:00.000Z"}}`},
	{"fhirBook", "POST", "/fhir/R4/Appointment/$book", fhirBookBody, 200, `"status":"booked"`},
	{"getLinksManifest", "GET", "/smart-scheduling/$bulk-publish?_since=2026-11-30T10:00:00.120Z", "", 200, `"request":"https://muster.test/"`},
	{"getLinksFile", "GET", "/smart-scheduling/slot-00.ndjson", "", 200, `"resourceType":"Slot"`},
	{"getLinksFile", "GET", "/smart-scheduling/slot-99.ndjson", "", 404, `"NOT_FOUND"`},
	{"getDocument", "GET", "/openapi.json", "", 200, `"openapi"`},
}

const somePlan = `{"series":[{"id":"weekly","from":"2027-06-01","until":"2027-09-30","weekdays":["mon","thu"],"everyWeeks":2,` +
	`"sessions":[{"id":"a","from":"09:00","until":"12:00","slotLength":10,"capacity":2,"services":["RSV:Adult"]}],` +
	`"overrides":[{"date":"2027-06-14","edits":[{"edit":"block","times":{"from":"09:00","until":"09:30"}}]},{"date":"2027-06-28","sessions":[]}],` +
	`"closures":[{"from":"2027-07-01","until":"2027-07-14"}]}],"closures":[{"from":"2027-08-30","until":"2027-08-30","reason":"Bank holiday"}]}`

// TestConversation validates every reply against the document, headers and status included, by JSON Schema 2020-12.
func TestConversation(t *testing.T) {
	w := serve(t, Options{Dev: true, WorklistKeys: []ed25519.PrivateKey{ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}, Links: &fakeLinks{}, Webhooks: fakeHooks(t), Rooms: newQueue(t).Rooms}, &fake{})
	doc := spec(t)
	said := map[string]bool{}
	for _, c := range conversation {
		said[c.operation] = true
		headers := []string{"X-Request-Id", "conversation-1"}
		if strings.HasSuffix(c.path, fhirSearchSuffix) {
			headers = append(headers, "Content-Type", formTypes[0])
		}
		a := w.staff(c.method, c.path, c.body, headers...).wants(c.status)
		if !strings.Contains(string(a.body), c.want) {
			t.Errorf("%s %s answers %s\nwithout %s", c.method, c.path, a.body, c.want)
		}
		if got := a.header.Get("X-Request-Id"); got != "conversation-1" {
			t.Errorf("request id %q", got)
		}
		if a.header.Get("Server") != "" || a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", c.operation, a.header)
		}
		if public := slices.Contains([]string{"getDocument", "listServices", "getWaitingRoom", "getLinksManifest", "getLinksFile"}, c.operation); !public && a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be cached: %q", c.operation, a.header.Get("Cache-Control"))
		}
		validate(t, doc, c.operation, a)
		if strings.HasPrefix(c.operation, "fhir") {
			validFHIR(t, a)
		}
	}
	for _, r := range routes() {
		if !said[r.operation] {
			t.Errorf("%s is missing in the conversation", r.operation)
		}
	}
}

// validate checks a reply against the document as it was served.
func validate(t *testing.T, doc *openapi3.T, operation string, a answer) {
	t.Helper()
	i := slices.IndexFunc(routes(), func(r route) bool { return r.operation == operation })
	r := routes()[i]
	item := doc.Paths.Value(r.path)
	op := item.GetOperation(r.method)
	if op.Responses.Value(itoa(a.status)) == nil {
		t.Errorf("%s: status %d is not in openapi.yaml", operation, a.status)
	}
	if kind, _, _ := strings.Cut(a.header.Get("Content-Type"), ";"); a.status == 204 || kind != "application/problem+json" && kind != "application/json" {
		return
	}
	req, err := http.NewRequest(r.method, "http://muster.test"+r.path, nil)
	if err != nil {
		t.Fatal(err)
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: req, Route: &routers.Route{Spec: doc, Path: r.path, PathItem: item, Method: r.method, Operation: op},
			QueryParams: url.Values{},
		},
		Status: a.status, Header: a.header,
	}
	input.SetBodyBytes(a.body)
	if err := openapi3filter.ValidateResponse(t.Context(), input); err != nil {
		t.Errorf("%s: %v", operation, err)
	}
}

func TestValidationBites(t *testing.T) {
	doc := spec(t)
	schema := doc.Components.Schemas["Booking"].Value
	for _, bad := range []string{`{}`, `{"reference":"r","status":"lost","siteId":"A","service":"B","start":"2027-06-01T09:10:00Z","length":1}`,
		`{"reference":"r","status":"booked","siteId":"A","service":"B","start":"2027-06-01T09:10:00Z","length":1,"more":1}`} {
		var v any
		if err := json.Unmarshal([]byte(bad), &v); err != nil {
			t.Fatal(err)
		}
		if schema.VisitJSON(v, openapi3.EnableJSONSchema2020()) == nil {
			t.Errorf("%s passes", bad)
		}
	}
}

func TestEngineRefusals(t *testing.T) {
	doc := spec(t)
	engine := &fake{}
	w := serve(t, Options{}, engine)
	var refusal error
	engine.booking = func(_ context.Context, _ allocator.BookingAccess) (allocator.BookingView, error) {
		return allocator.BookingView{}, refusal
	}
	for _, code := range allocator.Codes {
		refusal = &allocator.Error{
			Code: code, Detail: "detail", RetryAfter: 1500 * time.Millisecond, Faults: []allocator.Fault{{Pointer: "/a", Detail: "b"}},
			Alternatives: []allocator.Alternative{{Site: "B", SiteName: "Other", DistanceMetres: 5, Start: allocator.MinuteOf(slotStart), Length: 10, Free: 2, TimeZone: "Europe/London", Service: "RSV:Adult"}},
		}
		a := w.call("GET", "/v1/bookings/"+someKey.Reference(), "", "Authorization", "Manage TOKEN")
		wantCode := code
		if code == allocator.CodeForbidden || code == allocator.CodeUnauthorised {
			wantCode = allocator.CodeBookingUnknown // told apart from nothing
		}
		p := a.refused(meanings[wantCode].status, wantCode)
		if code == allocator.CodeSlotFull {
			if len(p.Alternatives) != 1 || p.Alternatives[0].Start != "2027-06-01T09:10:00+01:00" || p.Alternatives[0].Service != "RSV:Adult" || p.Errors[0].Pointer != "/a" || p.Detail != "detail" {
				t.Errorf("%s", a.body)
			}
		}
		if p.Status >= 500 && p.Status != 500 && a.header.Get("Retry-After") != "2" {
			t.Errorf("%s: Retry-After %q", code, a.header.Get("Retry-After"))
		}
		if code == allocator.CodeInternal && (bytes.Contains(a.body, []byte(`"detail":"detail"`)) || len(p.Errors) > 0) {
			t.Errorf("an internal error tells %s", a.body)
		}
		schema := doc.Components.Schemas["Problem"].Value
		var v any
		a.json(&v)
		if err := schema.VisitJSON(v, openapi3.EnableJSONSchema2020()); err != nil {
			t.Errorf("%s: %v", code, err)
		}
	}
}
