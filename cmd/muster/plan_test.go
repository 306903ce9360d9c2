package main

import (
	"fmt"
	"testing"
	"time"

	"muster/allocator"
)

// A pharmacy's winter, over HTTP, on each set of backends: a series, a day stopped by hand, Christmas, and a colleague who
// has an old copy of the plan.
func TestSeries(t *testing.T) {
	everywhere(t, func(t *testing.T, args []string) {
		s := serve(t, args...)
		at := soon()
		s.world("A1", 2)
		s.site("P1")
		const plan = "/v1/sites/P1/plan"
		none := s.staff("GET", plan, nil).want(200)
		if none.number("revision") != 0 || none.count("series") != 0 {
			t.Errorf("before the first plan: %s", none.body)
		}
		winter := winterPlan(at, 2)
		told := s.staff("PUT", plan+"?dryRun=true", winter).want(200)
		done := s.staff("PUT", plan, winter, "If-Match", `"0"`).want(200)
		if string(told.body) != string(done.body) || done.number("revision") != 1 || done.number("added") != 21*24 {
			t.Errorf("told %s\ndone %s", told.body, done.body)
		}
		reference := s.confirm(s.hold("P1", at), person(7)).want(201).text("bookings.0.reference")
		s.staff("POST", "/v1/sites/P1/days:edit", object{"from": dayOf(at.AddDate(0, 0, 1)), "until": dayOf(at.AddDate(0, 0, 1)), "edit": "stop"}).want(200)

		christmas := winterPlan(at, 3)
		christmas["closures"] = []object{{"from": dayOf(at), "until": dayOf(at), "reason": "Christmas"}}
		old := s.staff("PUT", plan, christmas, "If-Match", `"0"`).want(412, allocator.CodeRevisionMismatch)
		if old.number("current.revision") != 1 || old.number("current.series.0.sessions.0.capacity") != 2 {
			t.Errorf("a colleague with an old copy is shown %s", old.body)
		}
		told = s.staff("PUT", plan+"?dryRun=true&bookings=cancel", christmas, "If-Match", `"1"`).want(200)
		if told.number("changed") != 20 || told.number("cancelled") != 1 || told.text("days.0.impact.newlyUnsupported.0") != reference {
			t.Errorf("Christmas would do %s", told.body)
		}
		done = s.staff("PUT", plan+"?bookings=cancel", christmas, "If-Match", `"1"`).want(200)
		if string(told.body) != string(done.body) {
			t.Errorf("told %s\ndone %s", told.body, done.body)
		}
		if b := s.staff("GET", "/v1/bookings/"+reference, nil).want(200); b.text("status") != "cancelled" {
			t.Errorf("the booking at Christmas: %s", b.body)
		}
		shown := s.staff("GET", plan, nil).want(200)
		if shown.count("edited") != 1 || shown.text("edited.0") != dayOf(at.AddDate(0, 0, 1)) {
			t.Errorf("edited by hand: %s", shown.body)
		}
		s.refusedPlans(plan, at)
		done = s.staff("PUT", plan+"?edited=replace", string(shown.body)).want(200)
		if done.number("changed") != 1 || s.staff("GET", plan, nil).want(200).count("edited") != 0 {
			t.Errorf("taking the edited day over: %s", done.body)
		}
	})
}

// winterPlan is two hours on each of 21 days.
func winterPlan(at time.Time, capacity int) object {
	morning := session("10:00", "12:00", 10, capacity, "RSV:Adult")
	return object{"series": []object{{
		"id": "winter", "from": dayOf(at), "until": dayOf(at.AddDate(0, 0, 20)),
		"weekdays": []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}, "sessions": []object{morning},
	}}}
}

// refusedPlans changes nothing: each is refused where it is wrong.
func (s *server) refusedPlans(plan string, at time.Time) {
	s.t.Helper()
	for pointer, change := range map[string]func(series object) object{
		"/series/0/sessions/0/until": func(series object) object {
			series["sessions"] = []object{session("22:00", "02:00", 10, 1, "RSV:Adult")}
			return series
		},
		"/series/0/until": func(series object) object {
			series["until"] = dayOf(at.AddDate(2, 0, 0))
			return series
		},
		"/series/0/sessions/0/breaks/0": func(series object) object {
			late := session("10:00", "12:00", 10, 1, "RSV:Adult")
			late["breaks"] = []object{{"from": "11:50", "until": "12:10"}}
			series["sessions"] = []object{late}
			return series
		},
	} {
		p := winterPlan(at, 1)
		p["series"] = []object{change(p["series"].([]object)[0])}
		if a := s.staff("PUT", plan, p).want(400, allocator.CodeInvalid); a.text("errors.0.pointer") != pointer {
			s.t.Errorf("want a fault at %s: %s", pointer, a.body)
		}
	}
	twice := winterPlan(at, 1)
	second := winterPlan(at, 1)["series"].([]object)[0]
	second["id"] = "other"
	twice["series"] = append(twice["series"].([]object), second)
	a := s.staff("PUT", plan, twice).want(400, allocator.CodeInvalid)
	if got := fmt.Sprint(a.at("errors.0.pointer"), a.at("errors.1.pointer")); got != "/series/0/sessions/0/series/1/sessions/0" {
		s.t.Errorf("two series at one time: %s", a.body)
	}
}
