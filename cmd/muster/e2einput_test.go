package main

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"muster/allocator"
)

// clockChanges finds the next two days on which London's clocks change: 2027-03-28 and 2027-10-31 for whoever reads this
// in time.
func clockChanges(t *testing.T) (days []time.Time) {
	t.Helper()
	y, m, d := time.Now().In(london).Date()
	for i := 2; i < allocator.MaxHorizonDays-2; i++ {
		day := time.Date(y, m, d+i, 0, 0, 0, 0, london)
		if next := time.Date(y, m, d+i+1, 0, 0, 0, 0, london); next.Sub(day) != 24*time.Hour {
			days = append(days, day)
		}
	}
	if len(days) != 2 {
		t.Fatalf("the clocks change on %v", days)
	}
	return days
}

// A day of 23 or 25 hours has as many slots as it has time for, each is one instant, and each is booked by its own name.
func TestClockChanges(t *testing.T) {
	everywhere(t, func(t *testing.T, args []string) {
		s := serve(t, args...)
		s.world("A1", 2)
		n := 0
		for _, day := range clockChanges(t) {
			s.publish("A1", day, session("00:00", "06:00", 60, 1, "RSV:Adult")).want(200)
			first, last := day, time.Date(day.Year(), day.Month(), day.Day(), 6, 0, 0, 0, london)
			want := int(last.Sub(first) / time.Hour) // five or seven
			var open answer
			s.await("the day is on offer", func() bool {
				open = s.call("GET", fmt.Sprintf("/v1/sites/A1/availability?service=RSV:Adult&from=%[1]s&to=%[1]s", dayOf(day)), nil).want(200)
				return open.count("days.0.slots") == want
			})
			for i := range want {
				start := open.text(fmt.Sprintf("days.0.slots.%d.start", i))
				if instant := day.Add(time.Duration(i) * time.Hour).Format(time.RFC3339); start != instant {
					t.Errorf("slot %d starts at %s, want %s", i, start, instant)
				}
				n++
				hold := s.call("POST", "/v1/holds", object{"siteId": "A1", "service": "RSV:Adult", "start": start}).want(201)
				if got := s.confirm(hold.text("holdId"), person(n)).want(201).text("bookings.0.start"); got != start {
					t.Errorf("booked %s, want %s", got, start)
				}
			}
			list := s.staff("GET", "/v1/sites/A1/days/"+dayOf(day)+"/bookings", nil).want(200)
			if list.count("bookings") != want {
				t.Errorf("%s has %d bookings, want %d", dayOf(day), list.count("bookings"), want)
			}
		}
	})
}

// The same key with the same body gets the same hold and takes no place again; with another body it is refused.
func TestIdempotencyKey(t *testing.T) {
	everywhere(t, func(t *testing.T, args []string) {
		s := serve(t, args...)
		s.world("A1", 2)
		at := soon()
		var ids []string
		for range 3 {
			ids = append(ids, s.call("POST", "/v1/holds", claim("A1", at), "Idempotency-Key", `"key-1"`).want(201).text("holdId"))
		}
		if ids[0] != ids[1] || ids[1] != ids[2] {
			t.Errorf("one request has holds %v", ids)
		}
		s.call("POST", "/v1/holds", claim("A1", at.Add(10*time.Minute)), "Idempotency-Key", "key-1").want(422, allocator.CodeIdempotencyMismatch)
		s.hold("A1", at)
		s.call("POST", "/v1/holds", claim("A1", at)).want(409, allocator.CodeSlotFull)
	})
}

// No byte of a token can be changed: not of a hold's, not of a booking's.
func TestFlippedTokens(t *testing.T) {
	everywhere(t, func(t *testing.T, args []string) {
		s := serve(t, args...)
		s.world("A1", 2)
		at := soon()
		hold := s.hold("A1", at)
		for i := range len(hold) {
			flipped := flip(hold, i)
			s.call("GET", "/v1/holds/"+flipped, nil).want(404, allocator.CodeHoldUnknown)
			s.confirm(flipped, person(1)).want(404, allocator.CodeHoldUnknown)
			s.call("DELETE", "/v1/holds/"+flipped, nil).want(404, allocator.CodeHoldUnknown)
		}
		booked := s.confirm(hold, person(1)).want(201)
		reference, manage := booked.text("bookings.0.reference"), booked.text("bookings.0.manageToken")
		for i := range len(manage) {
			s.view(reference, flip(manage, i)).want(404, allocator.CodeBookingUnknown)
		}
		for i := range len(reference) {
			if reference[i] != '-' {
				s.view(flip(reference, i), manage).want(404, allocator.CodeBookingUnknown)
			}
		}
		s.view(reference, manage).want(200)
	})
}

// flip changes one character into another of the same kind.
func flip(text string, i int) string {
	other := byte('Z')
	if text[i] == other {
		other = 'Y'
	}
	return text[:i] + string(other) + text[i+1:]
}

// Unknown things, wrong starts and wrong people get their code.
func TestRefusals(t *testing.T) {
	s := serve(t, embedded(t)...)
	s.world("A1", 2)
	at := soon()
	s.call("GET", "/v1/sites?postcode=XX9 9XX&service=RSV:Adult", nil).want(400)
	s.call("GET", "/v1/sites?postcode=XX9%209XX&service=RSV:Adult", nil).want(404, allocator.CodePostcodeUnknown)
	s.call("POST", "/v1/holds", claim("B1", at)).want(404, allocator.CodeSiteUnknown)
	s.call("POST", "/v1/holds", claim("A1", at.Add(time.Minute))).want(404, allocator.CodeSlotUnknown)
	s.confirm(s.hold("A1", at), "9990000000").want(422, allocator.CodeNHSNumberInvalid)
	young := people(person(1))
	young["people"].([]object)[0]["dateOfBirth"] = "2001-01-01"
	s.call("POST", "/v1/holds/"+s.hold("A1", at)+"/confirm", young).want(422, allocator.CodeNotEligible)
	s.call("POST", "/v1/holds", strings.Repeat(" ", 10<<20)).want(413)
	s.call("POST", "/v1/holds", "{\"siteId\":\"\xff\"}").want(400, allocator.CodeInvalid)
}

// Whoever has no token publishes nothing; without --dev and without keys nobody has one, and the server says so.
func TestWithoutDev(t *testing.T) {
	s := serve(t, "--data", t.TempDir())
	s.staff("PUT", "/v1/sites/A1", object{"name": "A"}).want(401, allocator.CodeUnauthorised)
	if !strings.Contains(s.err.String(), "no --issuer") {
		t.Errorf("it does not say so:\n%s", s.err)
	}
	if strings.Contains(s.out.String(), "DEVELOPMENT") {
		t.Errorf("it says that it is what it is not:\n%s", s.out)
	}
}

// What `serve --dev --sample` prints really works when it is pasted into a shell, on the real sites of England.
func TestSampleTour(t *testing.T) {
	data := t.TempDir()
	s := serve(t, "--dev", "--sample", "--data", data)
	for _, must := range []string{"bearer token `dev`", "Open Government Licence", "NHS England", "ODI Leeds", "Crown copyright"} {
		if !strings.Contains(s.out.String(), must) {
			t.Errorf("%q is not said:\n%s", must, s.out)
		}
	}
	var script []string
	for line := range strings.Lines(s.out.String()) {
		if strings.HasPrefix(line, "  curl ") || strings.HasPrefix(line, "  HOLD=") {
			script = append(script, line)
		}
	}
	if len(script) != 3 {
		t.Fatalf("%d lines to try:\n%s", len(script), s.out)
	}
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not here to try the lines")
	}
	pasted, err := exec.CommandContext(t.Context(), "sh", "-c", strings.Join(script, "")).CombinedOutput()
	if err != nil || !strings.Contains(string(pasted), `"sites":[{`) || !strings.Contains(string(pasted), `"status":"booked"`) {
		t.Errorf("%v\n%s\n%s", err, strings.Join(script, ""), pasted)
	}
	s.stop()
	again := serve(t, "--dev", "--sample", "--data", data)
	if strings.Contains(again.err.String(), "loaded") {
		t.Errorf("the sample is loaded twice:\n%s", again.err)
	}
}
