package api

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"muster/allocator"
	"muster/api/fhir/fhirtest"
)

// reached records what a create, $hold or $book asked the engine for.
type reached struct {
	hold     allocator.HoldRequest
	confirm  allocator.ConfirmRequest
	held     int
	released int
}

type recording struct {
	*fake
	*reached
}

func (r recording) Release(ctx context.Context, token string) error {
	r.released++
	return r.fake.Release(ctx, token)
}

// record makes an engine that records, and whose confirms end in an error where there is one.
func record(refusal error) recording {
	r := recording{&fake{}, &reached{}}
	plain := &fake{}
	r.fake.hold = func(ctx context.Context, req allocator.HoldRequest) (allocator.Hold, error) {
		r.reached.hold, r.held = req, r.held+1
		return plain.Hold(ctx, req)
	}
	r.fake.confirm = func(_ context.Context, req allocator.ConfirmRequest) ([]allocator.BookingView, error) {
		r.reached.confirm = req
		return []allocator.BookingView{someBooking()}, refusal
	}
	return r
}

func TestFHIRBooking(t *testing.T) {
	r := record(nil)
	w := serveEngine(t, Options{}, r, r.fake)
	made := w.call("POST", "/fhir/R4/Appointment", fhirAppointment, "Idempotency-Key", "k").wants(201)
	validFHIR(t, made)
	claim, person := r.reached.hold.Claims[0], r.reached.confirm.People[0]
	if r.reached.hold.IdempotencyKey != "k" || claim.Site != "FA512" || claim.Service != "RSV:Adult" || !claim.Start.Equal(slotStart) || claim.Length != 10 {
		t.Errorf("%+v", r.reached.hold)
	}
	if person.NHSNumber != "900 000 0009" || person.GivenName != "Alex Jo" || person.FamilyName != "Example" || person.DateOfBirth.String() != "1950-02-01" ||
		person.Email != "a@b" || person.Phone != "07700 900000" || person.Landline != "0113 496 0000" || r.reached.confirm.Token != "h1.token" {
		t.Errorf("%+v", r.reached.confirm)
	}
	if strings.Contains(string(made.body), "9000000009") || made.header.Get("Location") != "http://muster.test/fhir/R4/Appointment/"+someKey.Reference() {
		t.Errorf("%v %s", made.header, made.body)
	}
	const hold = `"identifier":[{"system":"urn:muster:hold-id","value":"h1.mine"}]`
	byHold := strings.Replace(fhirAppointment, fhirOutOfSlot, hold, 1)
	for _, body := range []string{
		`{"resourceType":"Parameters","parameter":[{"name":"appointment-resource","resource":` + byHold + `}]}`,
		`{"resourceType":"Parameters","parameter":[{"name":"appointment-reference","valueReference":{"identifier":{"system":"urn:muster:hold-id","value":"h1.mine"}}},{"name":"patient-resource","resource":` + fhirPatient + `}]}`,
	} {
		r.held, r.reached.confirm = 0, allocator.ConfirmRequest{}
		validFHIR(t, w.call("POST", "/fhir/R4/Appointment/$book", body).wants(200))
		if r.reached.confirm.Token != "h1.mine" {
			t.Errorf("%s confirms %+v", body, r.reached.confirm)
		}
	}
	w.call("POST", "/fhir/R4/Appointment", byHold).wants(201)
	w.call("POST", "/fhir/R4/Appointment", strings.Replace(byHold, "h1.mine", "x", 1)).refused(404, allocator.CodeHoldUnknown)
}

// What was held for a person who is refused is given back; what the client held itself, and what may yet be, is not.
func TestFHIRGivesBack(t *testing.T) {
	for code, want := range map[allocator.Code]int{
		allocator.CodeNotEligible: 1, allocator.CodeNHSNumberInvalid: 1, allocator.CodeInvalid: 1, allocator.CodeOutcomeUnknown: 0, allocator.CodeAlreadyBooked: 0,
		allocator.CodeOverloaded: 0, allocator.CodeInProgress: 0,
	} {
		r := record(allocator.Refuse(code, "no"))
		w := serveEngine(t, Options{}, r, r.fake)
		w.call("POST", "/fhir/R4/Appointment", fhirAppointment).refused(meanings[code].status, code)
		if r.released != want {
			t.Errorf("%s: released %d times, want %d", code, r.released, want)
		}
		r.released = 0
		byHold := strings.Replace(fhirAppointment, fhirOutOfSlot, `"identifier":[{"system":"urn:muster:hold-id","value":"h1.mine"}]`, 1)
		w.call("POST", "/fhir/R4/Appointment", byHold).refused(meanings[code].status, code)
		if r.released != 0 {
			t.Errorf("%s: the client's hold was released", code)
		}
	}
	r := record(nil)
	w := serveEngine(t, Options{}, r, r.fake)
	w.call("POST", "/fhir/R4/Appointment", strings.Replace(fhirAppointment, "900 000 0009", "9000000008", 1)).refused(422, allocator.CodeNHSNumberInvalid)
	if r.held != 0 {
		t.Error("a place was held for a number that is none")
	}
}

func TestFHIRBookingRefusals(t *testing.T) {
	w := serve(t, Options{}, &fake{})
	change := func(old, new string) string { return strings.Replace(fhirAppointment, old, new, 1) }
	for body, want := range map[string]string{
		`[]`: "must be an object", `{`: "is not valid JSON",
		change(`"Appointment"`, `"Slot"`): "resourceType", change(`"booked"`, `"cancelled"`): "status", change(`"status"`, `"colour":1,"status"`): "colour",
		change(`"status"`, `"modifierExtension":[],"status"`): "modifierExtension", change(fhirOutOfSlot, `"slot":[]`): "slot",
		change(fhirOutOfSlot, `"comment":"x"`): "slot", change("Slot/FA512", "Slot/x/FA512"): "slot[0].reference", change(".10\"", ".0\""): "slot[0].reference",
		change("09:10:00+01:00", "09:20:00+01:00"): "start", change(`"contained":[`, `"contained":[`+fhirPatient+`,`): "contained", change(`"#p"`, `"#q"`): "contained",
		change(`"birthDate":"1950-02-01",`, ``): "contained[0].birthDate", change("1950-02-01", "1950"): "contained[0].birthDate", change(`Id/nhs-number`, `Id/other`): "contained[0].identifier",
		change(`"family":"Example"`, `"text":"Example"`): "contained[0].name[1].family", change(`["Alex","Jo"]`, `[]`): "contained[0].name[1].given", change(`"a@b"`, `"a"`): "contained[0].telecom[0].value",
	} {
		a := w.call("POST", "/fhir/R4/Appointment", body)
		if p := a.refused(400, allocator.CodeInvalid); !strings.Contains(pointers(p)+p.Detail, want) {
			t.Errorf("%s\nis refused with %s, want %s", body, a.body, want)
		}
	}
	reference, patient := `{"name":"appointment-reference","valueReference":{"reference":"Appointment/`+fhirSlot+`"}}`, `{"name":"patient-resource","resource":`+fhirPatient+`}`
	resource := `{"name":"appointment-resource","resource":` + fhirAppointment + `}`
	for _, all := range []string{"", reference, patient, reference + "," + resource + "," + patient, resource + "," + patient, reference + "," + reference + "," + patient,
		reference + "," + patient + `,{"name":"comment","valueString":"x"}`, strings.Replace(reference, fhirSlot, "x", 1) + "," + patient, `{"name":"appointment-reference","valueString":"x"},` + patient} {
		w.call("POST", "/fhir/R4/Appointment/$book", `{"resourceType":"Parameters","parameter":[`+all+`]}`).refused(400, allocator.CodeInvalid)
	}
	w.call("POST", "/fhir/R4/Appointment/$hold", `{"resourceType":"Parameters"}`).refused(400, allocator.CodeInvalid)
	w.call("POST", "/fhir/R4/Appointment/$hold", fhirHoldBody, "Idempotency-Key", "a b").refused(400, allocator.CodeInvalid)
	for _, query := range []string{"", "start=2027-06-01&end=2027-06-01&visit-type=RSV:Adult", "start=2027-06-01&end=2027-06-01&visit-type=RSV:Adult&location-string=LS1&location-reference=Location/A",
		"start=2027-06-02&end=2027-06-01&visit-type=A&location-string=LS1", "start=x&end=2027-06-01&visit-type=A&location-string=LS1", "start=2027-06-01&end=2027-06-01&visit-type=other%7CA&location-string=LS1",
		"start=2027-06-01&end=2027-06-01&visit-type=A&visit-type=B&location-string=LS1", "start=2027-06-01&end=2027-06-01&visit-type=A&location-string=LS1&practitioner=x"} {
		w.call("GET", "/fhir/R4/Appointment/$find?"+query, "").refused(400, allocator.CodeInvalid)
	}
}

func TestFHIRUpdate(t *testing.T) {
	engine := &fake{}
	w := serve(t, Options{Dev: true}, engine)
	path := "/fhir/R4/Appointment/" + someKey.Reference()
	body := func(more string) string {
		return fmt.Sprintf(`{"resourceType":"Appointment","id":%q,%s}`, someKey.Reference(), more)
	}
	manage := []string{"Authorization", "Manage TOKEN"}
	for reason, want := range map[string]string{`"cancelationReason":{"text":"moved away"}`: "moved away", `"cancelationReason":{"coding":[{"code":"ill"}]}`: "ill", `"comment":"x"`: "citizen"} {
		a := w.call("PUT", path, body(`"status":"cancelled",`+reason), manage...).wants(200)
		validFHIR(t, a)
		if engine.lastReason != want {
			t.Errorf("reason %q, want %q", engine.lastReason, want)
		}
	}
	for _, tag := range []string{`W/"0"`, `"0"`, `*`, `W/"9", W/"0"`} {
		w.call("PUT", path, body(`"status":"cancelled"`), append(manage, "If-Match", tag)...).wants(200)
	}
	for _, tag := range []string{`W/"1"`, `""`, `x`, ``} {
		w.call("PUT", path, body(`"status":"cancelled"`), append(manage, "If-Match", tag)...).refused(412, allocator.CodeRevisionMismatch)
	}
	for _, bad := range []string{body(`"status":"booked"`), body(`"status":"arrived"`), body(`"status":"cancelled","start":"2027-06-01T10:10:00+01:00"`), `{"resourceType":"Appointment","status":"cancelled"}`,
		`{"resourceType":"Appointment","id":"1000-003N-QK8N-5","status":"cancelled"}`, ``} {
		w.call("PUT", path, bad, manage...).refused(400, allocator.CodeInvalid)
	}
	if a := w.staff("PUT", path, body(`"status":"arrived"`)).wants(200); !strings.Contains(string(a.body), `"status":"arrived"`) || !strings.Contains(string(a.body), "urn:muster:unsupported") {
		t.Errorf("%s", a.body)
	}
	w.call("PUT", path, body(`"status":"cancelled"`)).refused(401, allocator.CodeUnauthorised)
	w.call("PUT", "/fhir/R4/Appointment/nothing", body(`"status":"cancelled"`), manage...).refused(404, allocator.CodeBookingUnknown)
	if a := w.call("GET", path+"?dateOfBirth=1950-02-01", "").wants(200); strings.Contains(string(a.body), "9000000009") || strings.Contains(string(a.body), "TOKEN0") {
		t.Errorf("%s", a.body)
	}
}

func TestFHIRAppointmentSearch(t *testing.T) {
	w := serve(t, Options{Dev: true}, &fake{})
	for query, want := range map[string]int{
		"location=Location/FA512&date=2027-06-01": 1, "location=FA512&date=ge2027-06-01&date=lt2027-06-02&status=booked,arrived": 1,
		"location=FA512&date=2027-06-01&status=cancelled": 0, "location=FA512&date=2027-06-01&_count=0": 0,
	} {
		a := w.staff("GET", "/fhir/R4/Appointment?"+query, "")
		if ids, _ := a.bundle(); len(ids) != want {
			t.Errorf("%s finds %v", query, ids)
		}
	}
	for _, query := range []string{"", "location=FA512", "date=2027-06-01", "location=A,B&date=2027-06-01", "location=FA512&date=ge2027-06-01", "location=FA512&date=x", "location=FA512&date=2027-06-01&_after=x"} {
		w.staff("GET", "/fhir/R4/Appointment?"+query, "").refused(400, allocator.CodeInvalid)
	}
	w.staff("GET", "/fhir/R4/Appointment?location=FA512&date=2027-06", "").refused(422, allocator.CodeInvalid)
	w.call("GET", "/fhir/R4/Appointment?location=FA512&date=2027-06-01", "").refused(401, allocator.CodeUnauthorised)
}

// FuzzFHIRBodies: whatever the body, the answer is FHIR's, and is no fault of ours.
func FuzzFHIRBodies(f *testing.F) {
	for _, s := range []string{fhirAppointment, fhirHoldBody, fhirFindBody, fhirBookBody, `{"resourceType":"Parameters","parameter":[{"name":"appointment-resource","resource":` + fhirAppointment + `}]}`,
		`{"resourceType":"Appointment","id":"` + someKey.Reference() + `","status":"cancelled"}`, `{}`, `{"resourceType":"Parameters","parameter":[{}]}`,
		"schedule=FA512.RSV-cAdult&start=ge2027-06-01&_include=Slot:schedule&_count=1&_summary=count", "location=FA512&date=2027-06-01&_after=" + someKey.Reference(), "actor:Location=FA512&_after=x&_count=-1", "%zz&_format=;"} {
		f.Add(s)
	}
	w := serve(f, Options{Dev: true}, &fake{})
	f.Fuzz(func(t *testing.T, body string) {
		w := *w
		w.t = t
		for _, to := range [][3]string{
			{"POST", "Appointment", fhirTypes[0]}, {"POST", "Appointment/$find", fhirTypes[0]}, {"POST", "Appointment/$hold", fhirTypes[0]}, {"POST", "Appointment/$book", fhirTypes[0]},
			{"PUT", "Appointment/" + someKey.Reference(), fhirTypes[0]}, {"POST", "Appointment/_search", formTypes[0]}, {"POST", "Slot/_search", formTypes[0]}, {"POST", "Schedule/_search", formTypes[0]},
		} {
			method, path := to[0], to[1]
			a := w.staff(method, "/fhir/R4/"+path, body, "Content-Type", to[2])
			if a.status >= 500 {
				t.Fatalf("%s %s %q: %d %s", method, path, body, a.status, a.body)
			}
			if err := fhirtest.Validate(a.body); err != nil {
				t.Fatalf("%s %s %q: %s: %v", method, path, body, a.body, err)
			}
		}
	})
}
