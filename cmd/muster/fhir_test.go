package main

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/allocator"
	"muster/api/fhir"
	"muster/api/fhir/fhirtest"
)

// fhir is call with FHIR's media types; the reply has to be what HL7's schema allows.
func (s *server) fhir(method, path string, body any, headers ...string) answer {
	s.t.Helper()
	a := s.call(method, "/fhir/R4"+path, body, append([]string{"Accept", fhir.MediaType, "Content-Type", fhir.MediaType}, headers...)...)
	if got := a.header.Get("Content-Type"); got != fhir.MediaType {
		s.t.Errorf("%s: %q\n%s", a.what, got, a.body)
	}
	if err := fhirtest.Validate(a.body); err != nil {
		s.t.Errorf("%s: %v\n%s", a.what, err, a.body)
	}
	return a
}

// outcome checks an OperationOutcome.
func (a answer) outcome(status int, bars string, code allocator.Code) answer {
	a.t.Helper()
	a.want(status)
	const coding = "issue.0.details.coding."
	if a.text(coding+"0.code") != bars || a.text(coding+"1.code") != string(code) {
		a.t.Fatalf("%s: %s, want %s and %s", a.what, a.body, bars, code)
	}
	return a
}

// patient is a Patient of the year.
func patient(nhsNumber string, year int) object {
	return object{
		"resourceType": "Patient", "id": "p", "identifier": []object{{"system": fhir.SystemNHSNumber, "value": nhsNumber}},
		"name": []object{{"family": "Example", "given": []string{"Ada"}}}, "birthDate": fmt.Sprintf("%d-05-17", year),
	}
}

func parameters(all ...object) object { return object{"resourceType": "Parameters", "parameter": all} }

func reference(id string) object {
	return object{"name": "appointment-reference", "valueReference": object{"reference": "Appointment/" + id}}
}

// appointment is one to create.
func appointment(slot, nhsNumber string, year int) object {
	return object{
		"resourceType": "Appointment", "status": "booked", "slot": []object{{"reference": "Slot/" + slot}},
		"participant": []object{{"actor": object{"reference": "#p"}, "status": "accepted"}}, "contained": []object{patient(nhsNumber, year)},
	}
}

// slotAt is the id of a Slot of the world.
func slotAt(site string, at time.Time) string {
	return fhir.Place{Offer: fhir.Offer{Site: allocator.SiteID(site), Service: "RSV:Adult"}, Start: allocator.MinuteOf(at), Length: 10}.ID()
}

// freeAt is the capacity that a Slot shows; 0 where it shows none.
func (s *server) freeAt(slot string) int {
	return s.fhir("GET", "/Slot/"+slot, nil).want(200).number("extension.0.valueInteger")
}

func (s *server) awaitFree(slot string, want int) {
	s.t.Helper()
	s.await(fmt.Sprintf("%s shows %d free", slot, want), func() bool { return s.freeAt(slot) == want })
}

// A client of FHIR finds, holds, books, reads and cancels; over each set of backends.
func TestFHIRStory(t *testing.T) {
	everywhere(t, func(t *testing.T, args []string) {
		s := serve(t, args...)
		s.world("A1", 2)
		s.search(t, "A1", 24)
		fhirSearch(t, s)
		fhirBooking(t, s)
		fhirCreate(t, s)
	})
}

func fhirSearch(t *testing.T, s *server) {
	t.Helper()
	day := dayOf(soon())
	found := s.fhir("GET", "/Slot?status=free&start=ge"+day+"T10:30&start=le"+day+"T11:00&Schedule.actor:HealthcareService=A1.RSV-cAdult"+
		"&_include=Slot:schedule&_include:iterate=Schedule:actor:HealthcareService&_include:iterate=Schedule:actor:Location", nil).want(200)
	if found.number("total") != 4 || found.count("entry") != 7 || found.text("entry.0.resource.id") != slotAt("A1", soon().Add(30*time.Minute)) {
		t.Errorf("%s", found.body)
	}
	for i, kind := range []string{"Schedule", "HealthcareService", "Location"} {
		entry := fmt.Sprintf("entry.%d.", 4+i)
		if found.text(entry+"resource.resourceType") != kind || found.text(entry+"search.mode") != "include" {
			t.Errorf("%s: %v", kind, found.at(entry+"resource"))
		}
		s.fhir("GET", strings.TrimPrefix(found.text(entry+"fullUrl"), s.base+"/fhir/R4"), nil).want(200)
	}
	near := s.fhir("GET", "/Appointment/$find?start="+day+"&end="+day+"&service-type=RSV:Adult&location-string=LS1%204AP&_count=3", nil).want(200)
	if near.number("total") != 12 || near.count("entry") != 3 || near.text("entry.0.resource.id") != slotAt("A1", soon()) {
		t.Errorf("%s", near.body)
	}
	s.fhir("GET", "/Slot?schedule=A1.FLU", nil).outcome(404, "REC_NOT_FOUND", allocator.CodeServiceUnknown)
}

func fhirBooking(t *testing.T, s *server) {
	t.Helper()
	slot := slotAt("A1", soon())
	held := s.fhir("POST", "/Appointment/$hold", parameters(reference(slot))).want(200)
	if held.text("entry.0.resource.status") != "pending" || held.text("entry.0.resource.identifier.0.system") != fhir.SystemHold {
		t.Fatalf("%s", held.body)
	}
	s.call("GET", "/v1/holds/"+held.text("entry.0.resource.identifier.0.value"), nil).want(200)
	pending := held.at("entry.0.resource")
	book := parameters(object{"name": "appointment-resource", "resource": pending}, object{"name": "patient-resource", "resource": patient(person(0), 1948)})
	booked := s.fhir("POST", "/Appointment/$book", book).want(200)
	if again := s.fhir("POST", "/Appointment/$book", book).want(200); string(again.body) != string(booked.body) {
		t.Errorf("a repeat is answered %s\nnot %s", again.body, booked.body)
	}
	if strings.Contains(string(booked.body), person(0)) || booked.count("entry") != 1 {
		t.Errorf("%s", booked.body)
	}
	id, token := booked.text("entry.0.resource.id"), booked.text("entry.0.resource.identifier.1.value")
	manage := []string{"Authorization", "Manage " + token}
	s.fhir("GET", "/Appointment/"+id, nil).outcome(401, "REC_UNAUTHORIZED", allocator.CodeUnauthorised)
	s.fhir("GET", "/Appointment/"+id, nil, "Authorization", "Manage x").outcome(404, "REC_NOT_FOUND", allocator.CodeBookingUnknown)
	read := s.fhir("GET", "/Appointment/"+id, nil, manage...).want(200)
	if read.text("contained.0.identifier.0.value") != person(0) || read.header.Get("ETag") != `W/"1"` || read.header.Get("Cache-Control") != "no-store" ||
		read.text("contained.0.birthDate") != "1948-05-17" || read.text("meta.versionId") != "1" || strings.Contains(string(read.body), token) {
		t.Errorf("%v %s", read.header, read.body)
	}
	if born := s.fhir("GET", "/Appointment/"+id+"?dateOfBirth=1948-05-17", nil).want(200); strings.Contains(string(born.body), person(0)) {
		t.Errorf("a date of birth shows %s", born.body)
	}
	list := s.fhir("GET", "/Appointment?location=Location/A1&date="+dayOf(soon())+"&status=booked", nil, "Authorization", "Bearer dev").want(200)
	if list.number("total") != 1 || list.text("entry.0.resource.contained.0.identifier.0.value") != person(0) {
		t.Errorf("%s", list.body)
	}
	s.fhir("GET", "/Appointment?location=A1&date="+dayOf(soon()), nil).outcome(401, "REC_UNAUTHORIZED", allocator.CodeUnauthorised)
	fhirCancel(t, s, id, manage)
	s.awaitFree(slot, 2)
}

func fhirCancel(t *testing.T, s *server, id string, manage []string) {
	t.Helper()
	cancel := object{"resourceType": "Appointment", "id": id, "status": "cancelled", "cancelationReason": object{"coding": []object{{"code": "better"}}}}
	s.fhir("PUT", "/Appointment/"+id, cancel, append(manage, "If-Match", `W/"7"`)...).outcome(412, "REC_CONFLICT", allocator.CodeRevisionMismatch)
	arrived := object{"resourceType": "Appointment", "id": id, "status": "arrived"}
	s.fhir("PUT", "/Appointment/"+id, arrived, manage...).outcome(400, "REC_BAD_REQUEST", allocator.CodeInvalid)
	for range 2 {
		done := s.fhir("PUT", "/Appointment/"+id, cancel, append(manage, "If-Match", `W/"1"`)...).want(200)
		if done.text("status") != "cancelled" || done.header.Get("ETag") != `W/"2"` || done.text("cancelationReason.coding.0.code") != "better" {
			t.Errorf("%v %s", done.header, done.body)
		}
	}
	s.fhir("PUT", "/Appointment/"+id, arrived, "Authorization", "Bearer dev").outcome(409, "REC_CONFLICT", allocator.CodeBookingEnded)
}

func fhirCreate(t *testing.T, s *server) {
	t.Helper()
	slot := slotAt("A1", soon().Add(10*time.Minute))
	one := appointment(slot, person(1), 1948)
	made := s.fhir("POST", "/Appointment", one, "Idempotency-Key", "k1").want(201)
	if at := made.header.Get("Location"); at != s.base+"/fhir/R4/Appointment/"+made.text("id") || made.header.Get("ETag") != `W/"1"` {
		t.Errorf("%v", made.header)
	}
	if again := s.fhir("POST", "/Appointment", one, "Idempotency-Key", "k1").want(201); string(again.body) != string(made.body) {
		t.Errorf("a repeat is answered %s\nnot %s", again.body, made.body)
	}
	s.call("GET", "/v1/bookings/"+made.text("id"), nil, "Authorization", "Manage "+made.text("identifier.1.value")).want(200)
	s.fhir("POST", "/Appointment", appointment(slot, person(1), 1948)).outcome(409, "REC_CONFLICT", allocator.CodeAlreadyBooked)
	s.fhir("POST", "/Appointment", appointment(slot, person(2), 1990)).outcome(422, "REC_UNPROCESSABLE_ENTITY", allocator.CodeNotEligible)
	s.fhir("POST", "/Appointment", appointment(slot, "1234567890", 1948)).outcome(422, "REC_UNPROCESSABLE_ENTITY", allocator.CodeNHSNumberInvalid)
	s.awaitFree(slot, 1) // what was refused keeps nothing
	s.fhir("POST", "/Appointment", appointment(slot, person(3), 1948)).want(201)
	full := s.fhir("POST", "/Appointment", appointment(slot, person(4), 1948)).outcome(409, "REC_CONFLICT", allocator.CodeSlotFull)
	if other := full.text("issue.1.details.coding.0.code"); full.text("issue.1.code") != "informational" || s.freeAt(other) == 0 {
		t.Errorf("%s", full.body)
	}
	s.fhir("POST", "/Appointment", appointment(slotAt("A1", soon().Add(-time.Hour)), person(4), 1948)).outcome(404, "REC_NOT_FOUND", allocator.CodeSlotUnknown)
	s.awaitFree(slot, 0)
	if full := s.fhir("GET", "/Slot/"+slot, nil).want(200); full.text("status") != "busy-unavailable" {
		t.Errorf("%s", full.body)
	}
}

// Fifty clients of FHIR and fifty of /v1 contend for ten places: exactly ten book.
func TestFHIRRace(t *testing.T) {
	everywhere(t, func(t *testing.T, args []string) {
		s := serve(t, args...)
		s.world("A1", 10)
		s.search(t, "A1", 120)
		at := soon().Add(30 * time.Minute)
		booked := make([]bool, 100)
		people := make([]string, len(booked))
		for i := range people {
			people[i] = person(i)
		}
		var start, clients sync.WaitGroup
		start.Add(1)
		for i := range booked {
			clients.Go(func() {
				start.Wait()
				booked[i] = s.raceOne(i%2 == 0, at, people[i])
			})
		}
		start.Done()
		clients.Wait()
		n := 0
		for _, b := range booked {
			if b {
				n++
			}
		}
		day := s.fhir("GET", "/Appointment?location=A1&status=booked&date="+dayOf(at), nil, "Authorization", "Bearer dev").want(200)
		if n != 10 || day.number("total") != 10 {
			t.Errorf("%d were told that they are booked, and %d are; want 10", n, day.number("total"))
		}
	})
}

// raceOne tries to book one place, by FHIR or by /v1.
func (s *server) raceOne(byFHIR bool, at time.Time, nhsNumber string) bool {
	s.t.Helper()
	if byFHIR {
		a := s.fhir("POST", "/Appointment", appointment(slotAt("A1", at), nhsNumber, 1948))
		if a.status != 201 && (a.status != 409 || a.text("issue.0.details.coding.1.code") != string(allocator.CodeSlotFull)) {
			s.t.Errorf("%d %s", a.status, a.body)
		}
		return a.status == 201
	}
	held := s.call("POST", "/v1/holds", claim("A1", at))
	if held.status == 201 {
		a := s.confirm(held.text("holdId"), nhsNumber)
		if a.status != 201 {
			s.t.Errorf("%d %s", a.status, a.body)
		}
		return a.status == 201
	}
	if held.status != 409 || held.text("code") != string(allocator.CodeSlotFull) {
		s.t.Errorf("%d %s", held.status, held.body)
	}
	return false
}
