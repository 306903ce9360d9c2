package main

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"muster/allocator"
)

// A batch is answered item by item as its items would be one by one, over each set of backends.
func TestBatches(t *testing.T) {
	everywhere(t, func(t *testing.T, args []string) {
		s := serve(t, args...)
		s.world("A1", 10)
		held := batchRace(t, s, soon())
		batchKeys(t, s, soon().Add(10*time.Minute))
		batchConfirms(t, s, held)
	})
}

func (s *server) batchHolds(items ...object) answer {
	s.t.Helper()
	return s.call("POST", "/v1/holds:batch", object{"holds": items}).want(200)
}

// batchRace lets 128 items of one batch contend for ten places, and gives the holds of the ten that get one.
func batchRace(t *testing.T, s *server, at time.Time) (held []string) {
	t.Helper()
	items := make([]object, 128)
	for i := range items {
		items[i] = claim("A1", at)
	}
	reply := s.batchHolds(items...)
	seen := make(map[string]bool)
	for i := range items {
		path := fmt.Sprintf("results.%d.", i)
		switch reply.number(path + "status") {
		case 201:
			id := reply.text(path + "hold.holdId")
			held, seen[id] = append(held, id), true
		case 409:
			if reply.text(path+"problem.code") != string(allocator.CodeSlotFull) || reply.count(path+"problem.alternatives") == 0 {
				t.Errorf("item %d is refused with %v", i, reply.at(path+"problem"))
			}
		default:
			t.Errorf("item %d is answered %v", i, reply.at(fmt.Sprintf("results.%d", i)))
		}
	}
	if reply.count("results") != len(items) || len(held) != 10 || len(seen) != 10 {
		t.Fatalf("%d results, %d holds, %d of them different; want 128, 10, 10", reply.count("results"), len(held), len(seen))
	}
	s.call("POST", "/v1/holds", claim("A1", at)).want(409, allocator.CodeSlotFull)
	return held
}

// batchKeys repeats keys within a batch, and between a batch and single requests.
func batchKeys(t *testing.T, s *server, at time.Time) {
	t.Helper()
	keyed := func(key string, at time.Time) object {
		item := claim("A1", at)
		item["idempotencyKey"] = key
		return item
	}
	family := object{"idempotencyKey": "family", "claims": []object{claim("A1", at), claim("A1", at.Add(10*time.Minute))}}
	first := keyed("first", at)
	reply := s.batchHolds(first, family, first, keyed("first", at.Add(time.Hour)), family, claim("nowhere", at), object{"siteId": "A1"}, first)
	for i, want := range []int{201, 201, 201, 422, 201, 404, 400, 201} {
		if got := reply.number(fmt.Sprintf("results.%d.status", i)); got != want {
			t.Errorf("item %d is answered %d, want %d\n%s", i, got, want, reply.body)
		}
	}
	same := func(a, b any) {
		t.Helper()
		if a == nil || !reflect.DeepEqual(a, b) {
			t.Errorf("%v and %v are not the same hold", a, b)
		}
	}
	same(reply.at("results.0.hold"), reply.at("results.2.hold"))
	same(reply.at("results.0.hold"), reply.at("results.7.hold"))
	same(reply.at("results.1.hold"), reply.at("results.4.hold"))
	if code := reply.text("results.3.problem.code"); code != string(allocator.CodeIdempotencyMismatch) {
		t.Errorf("another body under the same key is refused with %s", code)
	}
	single := s.call("POST", "/v1/holds", claim("A1", at), "Idempotency-Key", "first").want(201)
	if single.text("holdId") != reply.text("results.0.hold.holdId") {
		t.Errorf("singly the key gets %s, in a batch %s", single.body, reply.body)
	}
	if at := reply.text("results.6.problem.errors.0.pointer"); at != "/holds/6/service" {
		t.Errorf("the first fault of a malformed item is at %s", at)
	}
}

// batchConfirms books ten holds in one batch, with items among them that cannot be booked, and sends it again.
func batchConfirms(t *testing.T, s *server, held []string) {
	t.Helper()
	var items []object
	add := func(hold, nhsNumber string) {
		item := people(nhsNumber)
		item["holdId"] = hold
		items = append(items, item)
	}
	for i, hold := range held {
		add(hold, person(i))
	}
	add("h1.nothing", person(20))
	add(held[0], "1234567890")
	add(held[0], person(0))
	items = append(items, object{"holdId": held[0]})
	first := s.call("POST", "/v1/confirmations:batch", object{"confirmations": items}).want(200)
	again := s.call("POST", "/v1/confirmations:batch", object{"confirmations": items}).want(200)
	references := make(map[string]bool)
	for i := range items {
		path := fmt.Sprintf("results.%d.", i)
		want := 201
		switch i - len(held) {
		case 0:
			want = 404
		case 1:
			want = 422
		case 3:
			want = 400
		}
		if got := first.number(path + "status"); got != want {
			t.Errorf("item %d is answered %d, want %d\n%s", i, got, want, first.body)
		}
		if want == 201 {
			references[first.text(path+"bookings.0.reference")] = true
			s.view(first.text(path+"bookings.0.reference"), first.text(path+"bookings.0.manageToken")).want(200)
			if !reflect.DeepEqual(first.at(path+"bookings"), again.at(path+"bookings")) {
				t.Errorf("item %d is answered %v, repeated %v", i, first.at(path+"bookings"), again.at(path+"bookings"))
			}
		}
	}
	if len(references) != len(held) {
		t.Errorf("%d bookings, want %d", len(references), len(held))
	}
	if at := first.text(fmt.Sprintf("results.%d.problem.errors.0.pointer", len(held)+1)); at != fmt.Sprintf("/confirmations/%d/people/0/nhsNumber", len(held)+1) {
		t.Errorf("the engine's fault is at %s", at)
	}
}
