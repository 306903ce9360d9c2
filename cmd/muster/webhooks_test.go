package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"muster/allocator"
	"muster/cmd/muster/devissuer"
)

// receiver is a publisher's own system: it checks what comes by the specification alone.
type receiver struct {
	t    *testing.T
	base string

	mu      sync.Mutex
	secrets []string // any of which must have signed
	ids     map[string]int
	taken   []answer // body by body
}

func receive(t *testing.T) *receiver {
	r := &receiver{t: t, ids: map[string]int{}}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.base = server.URL
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	body, err := io.ReadAll(q.Body)
	id := q.Header.Get("webhook-id")
	if err != nil || id == "" || q.Method != http.MethodPost || q.Header.Get("Content-Type") != "application/json" {
		r.t.Errorf("%s %v %s, %v", q.Method, q.Header, body, err)
	}
	signed := id + "." + q.Header.Get("webhook-timestamp") + "." + string(body)
	for _, secret := range r.secrets {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		if err != nil {
			r.t.Error(err)
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(signed))
		if !strings.Contains(q.Header.Get("webhook-signature")+" ", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil))+" ") {
			r.t.Errorf("message %s is not signed by %s: %s", id, secret, q.Header.Get("webhook-signature"))
		}
	}
	if r.ids[id]++; r.ids[id] == 1 {
		r.taken = append(r.taken, answer{t: r.t, what: id, body: body})
	}
}

// types are those of what was taken, in order.
func (r *receiver) types() (all []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.taken {
		all = append(all, a.text("type"))
	}
	return all
}

func (r *receiver) trust(secrets ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secrets = secrets
}

// Two rival publishers are told of what happens at their own sites, by whichever server is there; what happens while none is
// there comes later.
func TestWebhooks(t *testing.T) {
	everywhere(t, func(t *testing.T, args []string) {
		scopes := strings.Fields(publisherScopes)
		_, issuer := serveDevIssuer(t, "muster", devissuer.Client{ID: "a", Secret: "s", Organisation: "chain-a", Scopes: scopes},
			devissuer.Client{ID: "b", Secret: "s", Organisation: "chain-b", Scopes: scopes})
		args = append(args, "--allow-private-webhooks", "--issuer", issuer, "--audience", "muster", "--jwks-url", issuer+"/jwks.json", "--organisation-claim", "org")
		s := serve(t, args...)
		a, b := bearer(tokenOf(t, issuer, "a", "s")), bearer(tokenOf(t, issuer, "b", "s"))
		s.staff("PUT", "/v1/services/RSV:Adult", object{"name": "RSV"}).want2xx()
		s.call("PUT", "/v1/sites/WA", siteBody(), a...).want(201)
		s.call("PUT", "/v1/sites/WB", siteBody(), b...).want(201)
		ofA, ofB := receive(t), receive(t)
		made := s.call("POST", "/v1/webhooks", object{"url": ofA.base, "description": "records"}, a...).want(201)
		hook := "/v1/webhooks/" + made.text("webhookId")
		if made.header.Get("Location") != hook || !strings.HasPrefix(made.text("secret"), "whsec_") || made.text("organisation") != "chain-a" {
			t.Fatalf("made: %s", made.body)
		}
		ofA.trust(made.text("secret"))
		ofB.trust(s.call("POST", "/v1/webhooks", object{"url": ofB.base, "types": []string{"booking.booked"}}, b...).want(201).text("secret"))
		s.call("POST", "/v1/webhooks", object{"url": ofB.base, "sites": []string{"WA"}}, b...).want(400, allocator.CodeInvalid)
		s.call("POST", "/v1/webhooks", object{"url": ofB.base, "types": []string{"booking.made"}}, b...).want(400, allocator.CodeInvalid)
		s.call("GET", hook, nil, b...).want(404, allocator.CodeWebhookUnknown)
		if tested := s.call("POST", hook+"/test", nil, a...).want(200); tested.at("delivered") != true || tested.number("status") != 200 {
			t.Errorf("the test: %s", tested.body)
		}
		book := func(site string, n int) string {
			return s.confirm(s.hold(site, soon()), person(n)).want(201).text("bookings.0.reference")
		}
		for _, site := range []string{"WA", "WB"} {
			s.staff("PUT", "/v1/sites/"+site+"/days/"+dayOf(soon()), object{"sessions": []object{session("10:00", "11:00", 10, 9, "RSV:Adult")}}).want(200)
		}
		reference := book("WA", 1)
		book("WB", 2)
		s.await("both are told", func() bool { return len(ofA.types()) == 3 && len(ofB.types()) == 1 })
		if got := strings.Join(ofA.types(), " "); got != "webhook.test capacity.changed booking.booked" {
			t.Errorf("a was told of %s", got)
		}
		if m := ofA.taken[2]; m.text("data.reference") != reference || m.text("data.siteId") != "WA" || m.text("timestamp")[:19] != m.text("data.at")[:19] {
			t.Errorf("the booking: %s", m.body)
		}
		if strings.Contains(string(ofA.taken[2].body), person(1)) || strings.Contains(string(ofA.taken[2].body), "Ada") {
			t.Errorf("the message tells who it is: %s", ofA.taken[2].body)
		}
		rotated := s.call("POST", hook+"/rotate-secret", nil, a...).want(200)
		if rotated.text("secret") == made.text("secret") || rotated.text("previousSecretUntil") == "" {
			t.Errorf("rotated: %s", rotated.body)
		}
		ofA.trust(made.text("secret"), rotated.text("secret")) // both sign
		s.call("PUT", hook, object{"url": ofA.base, "status": "disabled"}, a...).want(200)
		s.staff("POST", "/v1/bookings/"+reference+"/cancel", object{}).want(200)
		s.stop()
		s = serve(t, args...)
		shown := s.call("GET", hook, nil, a...).want(200)
		if shown.text("status") != "disabled" || shown.text("delivery.disabledBecause") != "owner" || len(ofA.types()) != 3 || shown.text("secret") != "" {
			t.Errorf("disabled: %s, told of %v", shown.body, ofA.types())
		}
		var document object
		if err := json.Unmarshal(shown.body, &document); err != nil {
			t.Fatal(err)
		}
		document["status"] = "enabled"
		s.call("PUT", hook, document, a...).want(200) // what GET shows, PUT takes
		s.await("a is told of what it missed", func() bool { return len(ofA.types()) == 4 })
		if m := ofA.taken[3]; m.text("type") != "booking.cancelled" || m.text("data.reference") != reference {
			t.Errorf("after the restart: %s", m.body)
		}
		if listed := s.staff("GET", "/v1/webhooks", nil).want(200); listed.count("webhooks") != 2 {
			t.Errorf("an operator sees %s", listed.body)
		}
		if listed := s.call("GET", "/v1/webhooks", nil, b...).want(200); listed.count("webhooks") != 1 || listed.text("webhooks.0.url") != ofB.base {
			t.Errorf("b sees %s", listed.body)
		}
		s.call("DELETE", hook, nil, a...).want(204)
		s.call("DELETE", hook, nil, a...).want(404, allocator.CodeWebhookUnknown)
	})
}

// A server that is killed in the middle sends at least what it had not sent.
func TestWebhooksSurviveAKill(t *testing.T) {
	args := append(embedded(t), "--allow-private-webhooks")
	s := spawn(t, args...)
	s.world("WK", 900)
	r := receive(t)
	r.trust(s.staff("POST", "/v1/webhooks", object{"url": r.base}).want(201).text("secret"))
	const events = 60
	for n := range events {
		s.publish("WK", soon().AddDate(0, 0, n%7), session("10:00", "12:00", 10, 100+n, "RSV:Adult")).want(200)
	}
	s.await("some came", func() bool { return len(r.types()) > 0 })
	s.signal(os.Kill)
	<-s.ended
	s = spawn(t, args...)
	// The dead server has its lease for a minute and a half; whoever changes the webhook ends that.
	hook := "/v1/webhooks/" + s.staff("GET", "/v1/webhooks", nil).text("webhooks.0.webhookId")
	s.staff("PUT", hook, object{"url": r.base}).want(200)
	s.await("all came", func() bool { return len(r.types()) == events })
	for i, m := range r.taken {
		if i > 0 && number(t, m) <= number(t, r.taken[i-1]) {
			t.Errorf("%s came after %s", m.what, r.taken[i-1].what)
		}
	}
}

func number(t *testing.T, m answer) int {
	n, err := strconv.Atoi(m.text("data.cursor"))
	if err != nil {
		t.Errorf("%s: %v", m.body, err)
	}
	return n
}

// Without the flag nothing of this machine is called.
func TestWebhooksStayPublic(t *testing.T) {
	s := serve(t, embedded(t)...)
	r := receive(t)
	s.staff("POST", "/v1/webhooks", object{"url": r.base}).want(400, allocator.CodeInvalid)
	s.staff("POST", "/v1/webhooks", object{"url": strings.Replace(r.base, "http://", "https://", 1)}).want(400, allocator.CodeInvalid)
	named := strings.NewReplacer("http://", "https://", "127.0.0.1", "localhost").Replace(r.base)
	made := s.staff("POST", "/v1/webhooks", object{"url": named}).want(201).text("webhookId")
	tested := s.staff("POST", "/v1/webhooks/"+made+"/test", nil).want(200)
	if tested.at("delivered") != false || !strings.Contains(tested.text("problem"), "not on the public internet") || len(r.taken) > 0 {
		t.Errorf("a private address by its name: %s, %v", tested.body, r.taken)
	}
}
