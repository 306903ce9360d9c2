package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"muster/allocator"
	"muster/cmd/muster/devissuer"
)

// tokenOf asks a development issuer for a token, as a client does.
func tokenOf(t testing.TB, issuer, id, secret string) string {
	t.Helper()
	reply, err := client.PostForm(issuer+"/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}})
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	var got struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(reply.Body).Decode(&got); err != nil || reply.StatusCode != http.StatusOK || got.Token == "" {
		t.Fatalf("no token: %d, %v", reply.StatusCode, err)
	}
	return got.Token
}

// Two rival publishers, each with a token of its own: they make sites, publish, read their bookings and their events, and
// cannot touch each other's.
func TestRivals(t *testing.T) {
	everywhere(t, func(t *testing.T, args []string) {
		scopes := strings.Fields(publisherScopes)
		_, issuer := serveDevIssuer(t, "muster", devissuer.Client{ID: "a", Secret: "s", Organisation: "chain-a", Scopes: scopes},
			devissuer.Client{ID: "b", Secret: "s", Organisation: "chain-b", Scopes: scopes})
		s := serve(t, append(args, "--issuer", issuer, "--audience", "muster", "--jwks-url", issuer+"/jwks.json", "--organisation-claim", "org")...)
		s.staff("PUT", "/v1/services/RSV:Adult", object{"name": "RSV"}).want2xx()
		r := &rivals{server: s, a: bearer(tokenOf(t, issuer, "a", "s")), b: bearer(tokenOf(t, issuer, "b", "s"))}
		r.sites()
		r.uploads()
		r.invitations()
		r.moves()
		r.workday()
		r.feeds()
		r.handover()
	})
}

type rivals struct {
	*server
	a, b []string
}

func (r *rivals) day(site string) string { return "/v1/sites/" + site + "/days/" + dayOf(soon()) }

// sites: whoever makes a site has it, and nobody takes it.
func (r *rivals) sites() {
	r.t.Helper()
	invited := session("11:00", "12:00", 10, 2, "RSV:Adult")
	invited["access"] = "invited"
	day := object{"sessions": []object{session("10:00", "11:00", 10, 2, "RSV:Adult"), invited}}
	made := r.call("PUT", "/v1/sites/RA", siteBody(), r.a...).want(201)
	if made.text("publisher") != "chain-a" {
		r.t.Errorf("made by a: %s", made.body)
	}
	r.call("PUT", "/v1/sites/RB", siteBody(), r.b...).want(201)
	r.call("PUT", "/v1/sites/RA", siteBody(), r.b...).want(404, allocator.CodeSiteUnknown)
	mine := siteBody()
	mine["publisher"] = "chain-b"
	r.call("PUT", "/v1/sites/RA", mine, r.a...).want(400, allocator.CodeInvalid)
	for _, own := range []struct {
		site string
		by   []string
	}{{"RA", r.a}, {"RB", r.b}} {
		r.call("PUT", r.day(own.site), day, own.by...).want(200)
	}
	if got := r.call("GET", "/v1/sites/RA", nil, r.b...).want(200); got.text("publisher") != "" {
		r.t.Errorf("a rival is told whose site it is: %s", got.body)
	}
	if got := r.call("GET", "/v1/sites/RA", nil).want(200); got.text("publisher") != "" {
		r.t.Errorf("the public is told whose site it is: %s", got.body)
	}
}

// uploads: a rival's line fails alone, and as one of a site that does not exist.
func (r *rivals) uploads() {
	r.t.Helper()
	line := func(site string) string {
		return dayLine(r.t, site, soon().AddDate(0, 0, 1), session("10:00", "11:00", 10, 1, "RSV:Adult"), nil)
	}
	got := r.call("POST", "/v1/capacity", line("RA")+line("RB")+line("RX")+line("RA"), append(r.a, "Content-Type", "application/x-ndjson")...).want(200)
	lines := strings.Split(strings.TrimSpace(string(got.body)), "\n")
	if len(lines) != 4 {
		r.t.Fatalf("%d results: %s", len(lines), got.body)
	}
	foreign := strings.NewReplacer(`"line":2`, `"line":3`, "RB", "RX").Replace(lines[1])
	if foreign != lines[2] || !strings.Contains(foreign, string(allocator.CodeSiteUnknown)) {
		r.t.Errorf("a rival's line and one of no site:\n%s\n%s", lines[1], lines[2])
	}
	if !strings.Contains(lines[0], `"added":6`) || !strings.Contains(lines[3], `"revision":1`) {
		r.t.Errorf("own lines: %s\n%s", lines[0], lines[3])
	}
}

// invitations: staff use places for invited people at their own sites only.
func (r *rivals) invitations() {
	r.t.Helper()
	place := func(site string) object { return claim(site, soon().Add(time.Hour)) }
	r.call("POST", "/v1/holds", place("RB"), r.a...).want(409, allocator.CodeSessionClosed)
	held := r.call("POST", "/v1/holds", place("RA"), r.a...).want(201).text("holdId")
	r.call("DELETE", "/v1/holds/"+held, nil).want(204)
}

// moves: a booking moves with its own site's staff, or with its manage token.
func (r *rivals) moves() {
	r.t.Helper()
	booked := r.confirm(r.hold("RB", soon()), person(7)).want(201)
	reference, manage := booked.text("bookings.0.reference"), booked.text("bookings.0.manageToken")
	r.call("GET", "/v1/bookings/"+reference, nil, r.b...).want(200)
	r.call("GET", "/v1/bookings/"+reference, nil, r.a...).want(404, allocator.CodeBookingUnknown)
	move := people(person(7))
	move["replaces"] = object{"reference": reference}
	r.call("POST", "/v1/holds/"+r.hold("RA", soon())+"/confirm", move, r.a...).want(404, allocator.CodeBookingUnknown)
	move["replaces"] = object{"reference": reference, "manageToken": manage}
	r.call("POST", "/v1/holds/"+r.hold("RA", soon())+"/confirm", move, r.a...).want(201)
}

// feeds: each reads what happened at its own sites, page by page, and all of it.
func (r *rivals) feeds() {
	r.t.Helper()
	read := func(by []string, limit string) (seen []string) {
		for after := ""; ; {
			page := r.call("GET", "/v1/events?limit="+limit+"&after="+after, nil, by...).want(200)
			for i := range page.count("events") {
				var e struct {
					Events []struct{ Cursor, SiteID string }
				}
				if err := json.Unmarshal(page.body, &e); err != nil {
					r.t.Fatal(err)
				}
				seen = append(seen, e.Events[i].SiteID+" "+e.Events[i].Cursor)
			}
			if page.text("next") == after {
				return seen
			}
			after = page.text("next")
		}
	}
	all, shown := read(bearer("dev"), "100"), 0
	for site, by := range map[string][]string{"RA": r.a, "RB": r.b} {
		var want []string
		for _, e := range all {
			if strings.HasPrefix(e, site+" ") {
				want = append(want, e)
			}
		}
		for _, limit := range []string{"1", "2", "1000"} {
			if got := read(by, limit); strings.Join(got, ",") != strings.Join(want, ",") || len(got) == 0 {
				r.t.Errorf("%s by pages of %s: %v, want %v", site, limit, got, want)
			}
		}
		shown += len(want)
	}
	if shown != len(all) {
		r.t.Errorf("%d events, of which the rivals see %d", len(all), shown)
	}
}

// handover: an operator gives a site to another publisher, and changes others without taking them.
func (r *rivals) handover() {
	r.t.Helper()
	if kept := r.staff("PUT", "/v1/sites/RA", siteBody()).want(200); kept.text("publisher") != "chain-a" {
		r.t.Errorf("an operator's change: %s", kept.body)
	}
	given := siteBody()
	given["publisher"] = "chain-b"
	r.staff("PUT", "/v1/sites/RA", given).want(200)
	r.call("GET", r.day("RA"), nil, r.a...).want(404, allocator.CodeSiteUnknown)
	r.call("GET", r.day("RA"), nil, r.b...).want(200)
	r.call("PUT", "/v1/sites/RA", siteBody(), r.a...).want(404, allocator.CodeSiteUnknown)
}

// Keys rotate while a publisher publishes: no token that is good is refused, and what a forgotten key signed is.
func TestRotationWhilePublishing(t *testing.T) {
	_, issuer := serveDevIssuer(t, "muster", devissuer.Client{ID: "a", Secret: "s", Organisation: "chain-a", Scopes: strings.Fields(publisherScopes)})
	s := serve(t, append(embedded(t), "--issuer", issuer, "--audience", "muster", "--jwks-url", issuer+"/jwks.json", "--organisation-claim", "org")...)
	s.staff("PUT", "/v1/services/RSV:Adult", object{"name": "RSV"}).want2xx()
	rotate := func(query string) {
		t.Helper()
		reply, err := client.Post(issuer+"/rotate"+query, "", nil)
		if err != nil || reply.StatusCode != http.StatusOK {
			t.Fatalf("rotate: %v", err)
		}
		reply.Body.Close()
	}
	publish := func(token string, capacity int) answer {
		return s.call("PUT", "/v1/sites/RA/days/"+dayOf(soon()), object{"sessions": []object{session("10:00", "11:00", 10, capacity, "RSV:Adult")}}, bearer(token)...)
	}
	first := tokenOf(t, issuer, "a", "s")
	s.call("PUT", "/v1/sites/RA", siteBody(), bearer(first)...).want(201)
	publish(first, 1).want(200)
	rotate("")
	second := tokenOf(t, issuer, "a", "s")
	published := 1
	s.await("a token of the new key is taken", func() bool {
		published++
		publish(first, published).want(200) // the key before is still published
		return publish(second, published+1000).status == 200
	})
	rotate("?forget=true")
	third := tokenOf(t, issuer, "a", "s")
	s.await("a token of the newest key is taken", func() bool { return publish(third, 1).status == 200 })
	publish(first, 2).want(401, allocator.CodeUnauthorised)
	publish(second, 2).want(401, allocator.CodeUnauthorised)
}
