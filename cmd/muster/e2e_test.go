package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"muster/allocator"
)

// The whole journey, over HTTP, on each set of backends.
func TestJourney(t *testing.T) {
	everywhere(t, func(t *testing.T, args []string) {
		s := serve(t, args...)
		at := soon()
		s.world("A1", 2)
		first := s.search(t, "A1", 24)
		if first.text("sites.0.nextAvailable") != at.Format(time.RFC3339) {
			t.Errorf("next available %s, want %s", first.text("sites.0.nextAvailable"), at.Format(time.RFC3339))
		}
		open := s.call("GET", "/v1/sites/A1/availability?service=RSV:Adult", nil).want(200)
		if open.text("days.0.date") != dayOf(at) || open.count("days.0.slots") != 12 || open.number("days.0.slots.0.free") != 2 {
			t.Fatalf("availability: %s", open.body)
		}

		hold := s.hold("A1", at)
		s.search(t, "A1", 23)
		booked := s.confirm(hold, person(1)).want(201)
		reference, manage := booked.text("bookings.0.reference"), booked.text("bookings.0.manageToken")
		if again := s.confirm(hold, person(1)).want(201); again.text("bookings.0.manageToken") != manage {
			t.Errorf("a repeated confirm answers %s, want %s", again.body, booked.body)
		}
		s.view(reference, manage).want(200)
		s.call("GET", "/v1/bookings/"+reference, nil, "Authorization", "Manage "+strings.Repeat("0", len(manage))).want(404, allocator.CodeBookingUnknown)
		if found := s.call("GET", "/v1/bookings/"+reference+"?dateOfBirth=1948-05-17", nil).want(200); found.text("status") != "booked" {
			t.Errorf("by date of birth: %s", found.body)
		}
		s.confirm(s.hold("A1", at), person(1)).want(409, allocator.CodeAlreadyBooked)

		moved := s.move(t, reference, manage, at.Add(time.Hour))
		if old := s.view(reference, manage).want(200); old.text("status") != "cancelled" || old.text("replacedBy") != moved.text("bookings.0.reference") {
			t.Errorf("the moved booking is %s", old.body)
		}
		reference, manage = moved.text("bookings.0.reference"), moved.text("bookings.0.manageToken")
		for range 2 {
			cancelled := s.call("POST", "/v1/bookings/"+reference+"/cancel", object{"reason": "citizen"}, "Authorization", "Manage "+manage).want(200)
			if cancelled.text("status") != "cancelled" {
				t.Errorf("cancelled: %s", cancelled.body)
			}
		}
		s.search(t, "A1", 24)
		extendAndRelease(t, s, at)
		staffWork(t, s, at)
		upload(t, s, at)
	})
}

// search waits until the snapshot shows so many free places at the nearest site.
func (s *server) search(t testing.TB, site string, free int) (found answer) {
	t.Helper()
	s.await(fmt.Sprintf("%s shows %d free places", site, free), func() bool {
		found = s.call("GET", "/v1/sites?postcode=ls14ap&service=RSV:Adult&people=1", nil)
		if found.status == 404 && found.text("code") == string(allocator.CodeServiceUnknown) {
			return false // another server made the service, and this one asked for it just before
		}
		return found.want(200).text("sites.0.siteId") == site && found.number("sites.0.days.0.free") == free
	})
	return found
}

func (s *server) view(reference, manage string) answer {
	s.t.Helper()
	return s.call("GET", "/v1/bookings/"+reference, nil, "Authorization", "Manage "+manage)
}

func (s *server) move(t testing.TB, reference, manage string, to time.Time) answer {
	t.Helper()
	body := people(person(1))
	body["replaces"] = object{"reference": reference, "manageToken": manage}
	return s.call("POST", "/v1/holds/"+s.hold("A1", to)+"/confirm", body).want(201)
}

func extendAndRelease(t *testing.T, s *server, at time.Time) {
	t.Helper()
	hold := s.hold("A1", at)
	before := s.call("GET", "/v1/holds/"+hold, nil).want(200)
	longer := s.call("POST", "/v1/holds/"+hold+"/extend", nil).want(200)
	if before.text("state") != "held" || longer.text("expiresAt") <= before.text("expiresAt") {
		t.Errorf("extended from %s to %s", before.body, longer.body)
	}
	if again := s.call("POST", "/v1/holds/"+hold+"/extend", nil).want(200); again.text("expiresAt") != longer.text("expiresAt") {
		t.Errorf("a hold is extended once, and this one again: %s", again.body)
	}
	for _, id := range []string{hold, longer.text("holdId")} {
		s.call("DELETE", "/v1/holds/"+id, nil).want(204)
		s.call("DELETE", "/v1/holds/"+id, nil).want(204)
	}
	s.confirm(hold, person(2)).want(410, allocator.CodeHoldReleased)
	s.search(t, "A1", 24)
}

// staffWork notes who came, and books somebody who just walked in.
func staffWork(t *testing.T, s *server, at time.Time) {
	t.Helper()
	reference := s.confirm(s.hold("A1", at), person(3)).want(201).text("bookings.0.reference")
	s.call("POST", "/v1/bookings/"+reference+"/status", object{"status": "arrived"}).want(401)
	s.staff("POST", "/v1/bookings/"+reference+"/status", object{"status": "arrived"}).want(200)
	s.staff("POST", "/v1/bookings/"+reference+"/status", object{"status": "fulfilled"}).want(200)
	s.staff("POST", "/v1/bookings/"+reference+"/cancel", object{"reason": "site"}).want(409, allocator.CodeTransitionRefused)

	for _, day := range []time.Time{time.Now(), time.Now().Add(24 * time.Hour)} { // midnight may be near
		s.publish("A1", day, session("00:00", "24:00", 10, 1, "RSV:Adult")).want(200)
	}
	walkIn := s.staff("POST", "/v1/sites/A1/walkins", object{"service": "RSV:Adult", "person": people(person(4))["people"].([]object)[0]}).want(201)
	start, err := time.Parse(time.RFC3339, walkIn.text("start"))
	if err != nil {
		t.Fatal(err)
	}
	list := s.staff("GET", "/v1/sites/A1/days/"+dayOf(start)+"/bookings", nil).want(200)
	if list.count("bookings") != 1 || list.text("bookings.0.reference") != walkIn.text("reference") {
		t.Errorf("the day's list is %s, want the walk-in %s", list.body, walkIn.body)
	}
}

// upload publishes by NDJSON: each line its answer, in order, and a bad one hurts no other.
func upload(t *testing.T, s *server, at time.Time) {
	t.Helper()
	var lines []string
	for i := range 40 {
		lines = append(lines, fmt.Sprintf(`{"siteId":"A1","date":%q,"sessions":[{"from":"10:00","until":"12:00","slotLength":10,"capacity":%d,"services":["RSV:Adult"]}]}`,
			dayOf(at.AddDate(0, 0, 1+i%30)), 1+i))
	}
	lines[7], lines[8] = `{"siteId":"A1","da`, strings.Replace(lines[8], "A1", "B1", 1)
	reply := s.staff("POST", "/v1/capacity", strings.Join(lines, "\n"), "Content-Type", "application/x-ndjson").want(200)
	results := strings.Split(strings.TrimSpace(string(reply.body)), "\n")
	if len(results) != len(lines) {
		t.Fatalf("%d results for %d lines\n%s", len(results), len(lines), reply.body)
	}
	for i, text := range results {
		var result struct {
			Line     int
			Revision int64
			Problem  *struct{ Code allocator.Code }
		}
		if err := json.Unmarshal([]byte(text), &result); err != nil {
			t.Fatal(err)
		}
		bad := i == 7 || i == 8
		if result.Line != i+1 || (result.Problem != nil) != bad || !bad && result.Revision == 0 {
			t.Errorf("line %d is answered %s", i+1, text)
		}
	}
}

// 500 clients want a slot of ten places: ten get one, all others are offered alternatives.
func TestRaceForASlot(t *testing.T) {
	everywhere(t, func(t *testing.T, args []string) {
		s := serve(t, args...)
		raceForASlot(t, s)
	})
}

func raceForASlot(t *testing.T, fronts ...*server) {
	t.Helper()
	s := fronts[0]
	s.world("A1", 10)
	for _, f := range fronts {
		f.search(t, "A1", 120)
	}
	at := soon().Add(30 * time.Minute)
	replies := make([]answer, 500)
	var start, clients sync.WaitGroup
	start.Add(1)
	for i := range replies {
		clients.Go(func() {
			start.Wait()
			replies[i] = fronts[i%len(fronts)].call("POST", "/v1/holds", claim("A1", at))
		})
	}
	start.Done()
	clients.Wait()
	var holds []string
	for _, r := range replies {
		if r.status == 201 {
			holds = append(holds, r.text("holdId"))
		} else if r.want(409, allocator.CodeSlotFull).count("alternatives") == 0 {
			t.Errorf("a loser is offered nothing: %s", r.body)
		}
	}
	if len(holds) != 10 {
		t.Fatalf("%d holds were granted, want 10", len(holds))
	}
	booked := make([]answer, len(holds))
	for i, hold := range holds {
		clients.Go(func() { booked[i] = fronts[i%len(fronts)].confirm(hold, person(i)) })
	}
	clients.Wait()
	references := make(map[string]bool)
	for _, b := range booked {
		references[b.want(201).text("bookings.0.reference")] = true
	}
	if len(references) != 10 {
		t.Errorf("%d bookings, want 10", len(references))
	}
	s.call("POST", "/v1/holds", claim("A1", at)).want(409, allocator.CodeSlotFull)
}

// A killed server loses no acknowledged booking, and holds in flight are honoured through their tokens.
func TestRestart(t *testing.T) {
	args := embedded(t)
	s := spawn(t, args...)
	at := soon()
	s.world("A1", 3)
	var bookings []answer
	for i := range 5 {
		bookings = append(bookings, s.confirm(s.hold("A1", at.Add(time.Duration(i)*10*time.Minute)), person(i)).want(201))
	}
	held := s.hold("A1", at)
	released := s.hold("A1", at)
	s.call("DELETE", "/v1/holds/"+released, nil).want(204)
	s.signal(os.Kill)
	<-s.ended

	s = spawn(t, args...)
	for _, b := range bookings {
		found := s.view(b.text("bookings.0.reference"), b.text("bookings.0.manageToken")).want(200)
		if found.text("status") != "booked" || found.text("start") != b.text("bookings.0.start") {
			t.Errorf("booked %s, after the restart %s", b.body, found.body)
		}
	}
	s.confirm(held, person(10)).want(201)
	third := s.hold("A1", at)
	s.call("POST", "/v1/holds", claim("A1", at)).want(409, allocator.CodeSlotFull)
	s.confirm(third, person(11)).want(201)
	s.confirm(s.hold("A1", at.Add(time.Hour)), person(0)).want(409, allocator.CodeAlreadyBooked)
	s.stop()
	if code, out, _ := run(t, "audit", "--data", args[2]); code != 0 || !strings.Contains(out, "7 live bookings, 0 violations") {
		t.Errorf("audit: exit %d, %s", code, out)
	}
}

// Two servers on one Redis and one PostgreSQL are one system.
func TestTwoServers(t *testing.T) {
	args := external(t)
	a, b := serve(t, args...), serve(t, args...)
	at := soon()
	a.world("A1", 2)
	b.search(t, "A1", 24)
	booked := b.confirm(a.hold("A1", at), person(1)).want(201)
	reference, manage := booked.text("bookings.0.reference"), booked.text("bookings.0.manageToken")
	if again := a.view(reference, manage).want(200); again.text("status") != "booked" {
		t.Errorf("the other server shows %s", again.body)
	}
	a.confirm(a.hold("A1", at), person(1)).want(409, allocator.CodeAlreadyBooked)
	one := a.call("POST", "/v1/holds", claim("A1", at.Add(time.Hour)), "Idempotency-Key", "same").want(201)
	two := b.call("POST", "/v1/holds", claim("A1", at.Add(time.Hour)), "Idempotency-Key", "same").want(201)
	if one.text("claims.0.start") != two.text("claims.0.start") || one.text("expiresAt") != two.text("expiresAt") {
		t.Errorf("one request, two holds: %s and %s", one.body, two.body)
	}
	b.call("POST", "/v1/bookings/"+reference+"/cancel", object{"reason": "citizen"}, "Authorization", "Manage "+manage).want(200)
	a.publish("A1", at, session("10:00", "12:00", 10, 5, "RSV:Adult")).want(200)
	b.await("the other server's publication is seen", func() bool {
		free := b.call("GET", "/v1/sites/A1/availability?service=RSV:Adult", nil).want(200)
		return free.number("days.0.slots.0.free") >= 4
	})
	t.Run("race", func(t *testing.T) {
		args := external(t)
		raceForASlot(t, serve(t, args...), serve(t, args...))
	})
}

// begin sends a hold's head and waits until the server asks for its body.
func (s *server) begin(t testing.TB, body string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST /v1/holds HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", len(body))
	interim := make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))
	if _, err := io.ReadFull(conn, interim); err != nil || !strings.Contains(string(interim), " 100 ") {
		t.Fatalf("%q, %v", interim, err)
	}
	return conn
}

// SIGTERM: the server is not ready any more, what is in flight ends well, and the program says that it ended well too.
func TestTermDrains(t *testing.T) {
	s := spawn(t, embedded(t)...)
	s.world("A1", 2)
	body, err := json.Marshal(claim("A1", soon()))
	if err != nil {
		t.Fatal(err)
	}
	conn := s.begin(t, string(body))
	s.signal(syscall.SIGTERM)
	s.await("it is not ready any more", func() bool { return s.ready() != http.StatusOK })
	if _, err := conn.Write(body); err != nil {
		t.Fatal(err)
	}
	reply, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || reply.StatusCode != http.StatusCreated {
		t.Errorf("a request in flight is answered %v, %v", reply, err)
	}
	<-s.ended
	if s.exitCode != 0 || !strings.Contains(s.err.String(), `"msg":"stopped"`) {
		t.Errorf("exit %d (%s)\n%s", s.exitCode, s.exitSignal, s.err)
	}
}

// ready asks /readyz; 0: nobody answers.
func (s *server) ready() int {
	reply, err := client.Get(s.ops + "/readyz")
	if err != nil {
		return 0
	}
	_ = reply.Body.Close()
	return reply.StatusCode
}

// A second signal ends the program at once, whatever is in flight.
func TestSecondSignal(t *testing.T) {
	s := spawn(t, append(embedded(t), "--drain-seconds", "600")...)
	s.begin(t, "{}") // a body that never comes
	s.signal(syscall.SIGTERM)
	s.await("it drains", func() bool { return strings.Contains(s.err.String(), "draining") })
	s.signal(syscall.SIGTERM)
	<-s.ended
	if strings.Contains(s.err.String(), `"msg":"stopped"`) || !strings.Contains(s.exitSignal, "terminated") {
		t.Errorf("exit %d (%s)\n%s", s.exitCode, s.exitSignal, s.err)
	}
}
