package main

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"muster/allocator"
	"muster/api/fhir"
)

// workday is a day of both rivals from its publication to its evening: they publish, citizens book, A blocks an hour after
// it saw what that would do, checks people in and takes in who comes without an appointment; B gets nowhere near it.
func (r *rivals) workday() {
	r.t.Helper()
	at := soon().AddDate(0, 0, 3)
	day := "/v1/sites/RA/days/" + dayOf(at)
	for site, by := range map[string][]string{"RA": r.a, "RB": r.b} {
		body := object{"sessions": []object{session("10:00", "12:00", 10, 3, "RSV:Adult")}}
		r.call("PUT", "/v1/sites/"+site+"/days/"+dayOf(at), body, by...).want(200)
	}
	early := r.book("RA", at, 20)
	late := r.book("RA", at.Add(time.Hour), 21)
	r.book("RB", at, 22)
	r.block(day, dayOf(at), late)
	r.trespass(dayOf(at), early)

	walkIn := r.call("POST", "/v1/sites/RA/walkins", object{"service": "RSV:Adult", "start": at.Format(time.RFC3339)}, r.a...).want(201).text("reference")
	for _, seen := range [][2]string{{early, "arrived"}, {walkIn, "arrived"}, {early, "fulfilled"}} {
		r.call("POST", "/v1/bookings/"+seen[0]+"/status", object{"status": seen[1]}, r.a...).want(200)
	}
	r.call("POST", "/v1/bookings/"+late+"/cancel", nil, r.a...).want(200)
	byFHIR := r.fhirDay(at)
	want := map[string]string{early: "fulfilled", late: "cancelled", walkIn: "arrived", byFHIR: "cancelled"}
	r.worklist(day, want)
	r.history(want)
	r.published(at)
}

// book is a citizen's way to a booking; it gives the reference.
func (r *rivals) book(site string, at time.Time, n int) string {
	r.t.Helper()
	return r.confirm(r.hold(site, at), person(n)).want(201).text("bookings.0.reference")
}

// block takes an hour out of a day: first to look, and then as it was told.
func (r *rivals) block(day, date, without string) {
	r.t.Helper()
	edit := object{"from": date, "until": date, "edit": "block", "times": object{"from": "11:00", "until": "12:00"}}
	before := r.call("GET", day, nil, r.a...).want(200)
	told := r.call("POST", "/v1/sites/RA/days:edit?dryRun=true", edit, r.a...).want(200)
	if after := r.call("GET", day, nil, r.a...).want(200); string(after.body) != string(before.body) {
		r.t.Errorf("a dry run makes %s of %s", after.body, before.body)
	}
	done := r.call("POST", "/v1/sites/RA/days:edit", edit, r.a...).want(200)
	if told.text("days.0.impact.newlyUnsupported.0") != without || told.number("removed") != 18 {
		r.t.Errorf("the dry run tells %s", told.body)
	}
	for _, what := range []string{"changed", "failed", "added", "removed", "newlyUnsupported", "cancelled"} {
		if told.number(what) != done.number(what) {
			r.t.Errorf("%s: %d by the dry run, and %d then", what, told.number(what), done.number(what))
		}
	}
}

// trespass is everything that B can try at A's site: each answer is, to the letter, that about a site or booking which does
// not exist.
func (r *rivals) trespass(date, booking string) {
	r.t.Helper()
	nobodys := allocator.BookingKey(123456789).Reference()
	cancel := object{"resourceType": "Appointment", "id": booking, "status": "cancelled"}
	for _, try := range []struct {
		method, path string
		body         any
	}{
		{"GET", "/v1/sites/RA/days/" + date, nil},
		{"PUT", "/v1/sites/RA/days/" + date, object{"sessions": []object{}}},
		{"PUT", "/v1/sites/RA/days/" + date + "?dryRun=true", object{"sessions": []object{}}},
		{"DELETE", "/v1/sites/RA/days/" + date + "?bookings=cancel", nil},
		{"POST", "/v1/sites/RA/days:edit", object{"from": date, "until": date, "edit": "close"}},
		{"GET", "/v1/sites/RA/days/" + date + "/bookings", nil},
		{"GET", "/v1/sites/RA/days/" + date + "/bookings?format=csv", nil},
		{"GET", "/v1/sites/RA/days/" + date + "/bookings?format=signed", nil},
		{"POST", "/v1/sites/RA/walkins", object{"service": "RSV:Adult"}},
		{"GET", "/v1/bookings/" + booking, nil},
		{"POST", "/v1/bookings/" + booking + "/cancel", nil},
		{"POST", "/v1/bookings/" + booking + "/status", object{"status": "noshow"}},
		{"GET", "/fhir/R4/Appointment?location=RA&date=" + date, nil},
		{"GET", "/fhir/R4/Appointment/" + booking, nil},
		{"PUT", "/fhir/R4/Appointment/" + booking, cancel},
	} {
		headers := append(slices.Clone(r.b), "X-Request-Id", "rival-1")
		foreign := r.call(try.method, try.path, try.body, headers...).want(404)
		nothing := r.call(try.method, strings.NewReplacer("RA", "RX", booking, nobodys).Replace(try.path), renamed(try.body, nobodys), headers...).want(404)
		if string(foreign.body) != string(nothing.body) {
			r.t.Errorf("%s %s answers a rival %s\nand about nothing %s", try.method, try.path, foreign.body, nothing.body)
		}
	}
}

// renamed is a body about another resource, where it names one.
func renamed(body any, id string) any {
	o, ok := body.(object)
	if !ok || o["id"] == nil {
		return body
	}
	other := object{"id": id}
	for name, value := range o {
		if name != "id" {
			other[name] = value
		}
	}
	return other
}

// fhirDay is another system's citizen, who finds, holds, books and cancels at A's site; it gives the reference.
func (r *rivals) fhirDay(at time.Time) string {
	r.t.Helper()
	found := r.fhir("GET", "/Appointment/$find?start="+dayOf(at)+"&end="+dayOf(at)+"&service-type=RSV:Adult&location-reference=RA&_count=1", nil).want(200)
	held := r.fhir("POST", "/Appointment/$hold", parameters(reference(found.text("entry.0.resource.id")))).want(200)
	booked := r.fhir("POST", "/Appointment/$book", parameters(object{"name": "appointment-resource", "resource": held.at("entry.0.resource")},
		object{"name": "patient-resource", "resource": patient(person(23), 1948)})).want(200)
	id, manage := booked.text("entry.0.resource.id"), "Manage "+booked.text("entry.0.resource.identifier.1.value")
	r.fhir("GET", "/Appointment/"+id, nil, r.b...).outcome(404, "REC_NOT_FOUND", allocator.CodeBookingUnknown)
	if seen := r.fhir("GET", "/Appointment/"+id, nil, r.a...).want(200); seen.text("contained.0.identifier.0.value") != person(23) || seen.header.Get("ETag") != fhir.ETag(1) {
		r.t.Errorf("A reads %v %s", seen.header, seen.body)
	}
	cancel := object{"resourceType": "Appointment", "id": id, "status": "cancelled"}
	if done := r.fhir("PUT", "/Appointment/"+id, cancel, "Authorization", manage, "If-Match", fhir.ETag(1)).want(200); done.text("status") != "cancelled" {
		r.t.Errorf("%s", done.body)
	}
	return id
}

// worklist: A's day has everybody of that day in it, in each of its forms, and nobody else.
func (r *rivals) worklist(day string, want map[string]string) {
	r.t.Helper()
	list := r.call("GET", day+"/bookings", nil, r.a...).want(200)
	var got struct {
		Bookings []struct{ Reference, Status string }
	}
	if err := json.Unmarshal(list.body, &got); err != nil || len(got.Bookings) != len(want) {
		r.t.Fatalf("%v: %s", err, list.body)
	}
	table, page := r.call("GET", day+"/bookings?format=csv", nil, r.a...).want(200), r.call("GET", day+"/bookings?format=html", nil, r.a...).want(200)
	for _, b := range got.Bookings {
		if b.Status != want[b.Reference] {
			r.t.Errorf("%s is %s, want %s", b.Reference, b.Status, want[b.Reference])
		}
		if live := b.Status != "cancelled"; !strings.Contains(string(table.body), b.Reference) || live && !strings.Contains(string(page.body), b.Reference) {
			r.t.Errorf("%s is not on the list to print, or not in the spreadsheet", b.Reference)
		}
	}
}

// history: the last that A's feed says of each booking is what became of it, and B's feed says nothing of them.
func (r *rivals) history(want map[string]string) {
	r.t.Helper()
	read := func(by []string) map[string]string {
		feed := r.call("GET", "/v1/events?limit=1000", nil, by...).want(200)
		var got struct {
			Events []struct{ Reference, Status string }
		}
		if err := json.Unmarshal(feed.body, &got); err != nil {
			r.t.Fatal(err)
		}
		last := make(map[string]string)
		for _, e := range got.Events {
			last[e.Reference] = e.Status
		}
		return last
	}
	mine, theirs := read(r.a), read(r.b)
	for reference, status := range want {
		if mine[reference] != status {
			r.t.Errorf("%s: A's feed ends with %q, want %s", reference, mine[reference], status)
		}
		if _, told := theirs[reference]; told {
			r.t.Errorf("%s: B is told of it", reference)
		}
	}
}

// published: an independent reader sees what is free at both sites, and where it is booked.
func (r *rivals) published(at time.Time) {
	r.t.Helper()
	free := func(site string) (first, slots int) {
		links := r.links(r.t)
		for _, slot := range links.Slots {
			if links.Locations[links.Schedules[slot.Schedule].Location].SiteID != site || dayOf(slot.Start) != dayOf(at) || slot.Status != "free" {
				continue
			}
			if slots++; slot.Start.Equal(at) {
				first = slot.Capacity
			}
		}
		return first, slots
	}
	r.await("the day shows in the links", func() bool {
		first, slots := free("RA")
		other, others := free("RB")
		return first == 1 && slots == 6 && other == 2 && others == 12
	})
}
