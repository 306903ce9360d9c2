package main

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// canary is a name that nobody else has, and that names its owner.
var canary = regexp.MustCompile(`Canary\d+x`)

// bird books, looks, moves and cancels, over and over; every reply has its own name in it, or none, and what it was told of its
// booking stays so.
type bird struct {
	*server
	name    string
	details object
	at      time.Time
}

func newBird(s *server, n int) *bird {
	name := fmt.Sprintf("Canary%dx", n)
	details := object{"nhsNumber": person(n), "givenName": name, "familyName": name, "dateOfBirth": "1948-05-17", "contact": object{"email": name + "@example.org"}}
	return &bird{s, name, details, soon().Add(time.Duration(n%12) * 10 * time.Minute)}
}

// ask sends a request and looks for others' names in its reply.
func (b *bird) ask(status int, method, path string, body any, headers ...string) answer {
	b.t.Helper()
	a := b.call(method, path, body, headers...)
	if a.status != status {
		b.t.Errorf("%s: %s: status %d, want %d: %s", b.name, a.what, a.status, status, a.body)
	}
	for _, found := range canary.FindAllString(fmt.Sprint(a.header)+string(a.body), -1) {
		if found != b.name {
			b.t.Errorf("%s: %s has %s in it: %s", b.name, a.what, found, a.body)
		}
	}
	return a
}

// book gives reference and manage token; empty where it failed, which is told.
func (b *bird) book(replaces object) (reference, manage string) {
	b.t.Helper()
	hold := b.ask(201, "POST", "/v1/holds", claim("A1", b.at)).text("holdId")
	body := object{"people": []object{b.details}}
	if replaces != nil {
		body["replaces"] = replaces
	}
	booked := b.ask(201, "POST", "/v1/holds/"+hold+"/confirm", body)
	return booked.text("bookings.0.reference"), booked.text("bookings.0.manageToken")
}

func (b *bird) live(rounds int) {
	for range rounds {
		reference, manage := b.book(nil)
		seen := b.ask(200, "GET", "/v1/bookings/"+reference, nil, "Authorization", "Manage "+manage)
		if seen.text("person.familyName") != b.name || seen.text("person.nhsNumber") != b.details["nhsNumber"] || seen.text("person.contact.email") != b.name+"@example.org" {
			b.t.Errorf("%s sees %s", b.name, seen.body)
		}
		b.ask(404, "GET", "/v1/bookings/"+reference, nil, "Authorization", "Manage "+strings.Repeat("0", len(manage)))
		moved, token := b.book(object{"reference": reference, "manageToken": manage})
		if old := b.ask(200, "GET", "/v1/bookings/"+reference, nil, "Authorization", "Manage "+manage); old.text("replacedBy") != moved {
			b.t.Errorf("%s moved, and the old one is %s", b.name, old.body)
		}
		ended := b.ask(200, "POST", "/v1/bookings/"+moved+"/cancel", object{"reason": "citizen"}, "Authorization", "Manage "+token)
		if ended.text("status") != "cancelled" {
			b.t.Errorf("%s cancelled, and has %s", b.name, ended.body)
		}
	}
}

// Many people at once, on the whole server: nobody's reply has anybody else in it.
func TestEverybodyGetsTheirOwn(t *testing.T) {
	everywhere(t, func(t *testing.T, args []string) {
		s := serve(t, args...)
		const people, rounds = 36, 4
		s.world("A1", people)
		var all sync.WaitGroup
		for n := range people {
			b := newBird(s, n+1)
			all.Go(func() { b.live(rounds) })
		}
		all.Wait()
	})
}
