package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/allocator"
	"muster/api/callers"
)

// releases is an engine that grants each hold another token, and remembers what was released.
type releases struct {
	*fake
	mu       sync.Mutex
	released []string
}

func (r *releases) Release(_ context.Context, token string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.released = append(r.released, token)
	return nil
}

// limited is a server that limits callers, with addresses of the header's.
func limited(t *testing.T, o callers.Options) (*world, *releases, *time.Time) {
	t.Helper()
	now := time.Unix(1_800_000_000, 0)
	granted := 0
	r := &releases{fake: &fake{}}
	r.fake.hold = func(_ context.Context, req allocator.HoldRequest) (allocator.Hold, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		granted++
		h := allocator.Hold{Token: fmt.Sprintf("h1.%d", granted), ExpiresAt: now.Add(5 * time.Minute)}
		for _, c := range req.Claims {
			if c.Site == "FULL" {
				return h, allocator.Refuse(allocator.CodeSlotFull, "full")
			}
			h.Claims = append(h.Claims, allocator.HeldClaim{Service: c.Service, TimeZone: "Europe/London"})
		}
		return h, nil
	}
	w := serveEngine(t, Options{
		Dev: true, AddressHeader: "X-Forwarded-For", Callers: &o, Now: func() time.Time { return now },
	}, r, r.fake)
	return w, r, &now
}

const holdBody = `{"siteId":"FA512","service":"RSV:Adult","start":"2027-06-01T08:10:00Z"}`

// TestNoLimitsUnlessAsked: a server that limits nobody gives no tickets, and looks at none.
func TestNoLimitsUnlessAsked(t *testing.T) {
	w := serve(t, Options{}, &fake{})
	for range 50 {
		a := w.call("POST", "/v1/holds", holdBody, "Visitor", "x", "Proof", "y").wants(201)
		if a.header.Get("Visitor") != "" || a.header.Get("RateLimit") != "" {
			t.Fatalf("%v", a.header)
		}
	}
}

// TestVisitors: who shows no ticket gets one; who shows it has one live hold of a service.
func TestVisitors(t *testing.T) {
	w, r, _ := limited(t, callers.Options{})
	a := w.call("POST", "/v1/holds", holdBody).wants(201)
	ticket := a.header.Get("Visitor")
	if ticket == "" || a.header.Get("RateLimit") == "" || a.header.Get("RateLimit-Policy") == "" {
		t.Fatalf("%v", a.header)
	}
	again := w.call("POST", "/v1/holds", holdBody, "Visitor", ticket).wants(201)
	if again.header.Get("Visitor") != "" || !slices.Equal(r.released, []string{"h1.1"}) {
		t.Errorf("released %v; %v", r.released, again.header)
	}
	w.call("POST", "/v1/holds", strings.Replace(holdBody, "RSV:Adult", "FLU:65+", 1), "Visitor", ticket).wants(201)
	w.call("POST", "/v1/holds", holdBody).wants(201) // somebody else
	w.call("DELETE", "/v1/holds/h1.2", "", "Visitor", ticket).wants(204)
	w.call("POST", "/v1/holds", holdBody, "Visitor", ticket).wants(201)
	if !slices.Equal(r.released, []string{"h1.1", "h1.2"}) {
		t.Errorf("released %v", r.released)
	}
	a = w.call("POST", "/v1/holds/h1.5/confirm", confirmBody, "Visitor", ticket).wants(201)
	if got := a.header.Get("Visitor"); got == "" || got == ticket {
		t.Errorf("after a booking the ticket is %q", got)
	}
}

const confirmBody = `{"people":[{"nhsNumber":"9000000009","givenName":"A","familyName":"B","dateOfBirth":"1950-02-01"}]}`

// TestChallenges: an address that is through is asked for a proof; with it, and only once by it, its visitors get in. Staff are
// not asked, and what is not granted costs nothing.
func TestChallenges(t *testing.T) {
	w, _, _ := limited(t, callers.Options{AddressHolds: 2, ProofBits: 4})
	for range 5 {
		w.call("POST", "/v1/holds", strings.Replace(holdBody, "FA512", "FULL", 1)).refused(409, allocator.CodeSlotFull)
	}
	w.call("POST", "/v1/holds", holdBody).wants(201)
	w.call("POST", "/v1/holds", holdBody).wants(201)
	w.call("POST", "/v1/holds", holdBody, "X-Forwarded-For", "192.0.2.1").wants(201)
	w.staff("POST", "/v1/holds", holdBody).wants(201)

	a := w.call("POST", "/v1/holds", holdBody)
	a.refused(429, allocator.CodeRateLimited)
	ticket, proof := a.header.Get("Visitor"), solved(t, a.header)
	w.call("POST", "/v1/holds", holdBody, "Proof", proof).refused(429, allocator.CodeRateLimited) // of another visitor
	a = w.call("POST", "/v1/holds", holdBody, "Visitor", ticket, "Proof", proof).wants(201)
	if better := a.header.Get("Visitor"); better == "" || better == ticket {
		t.Errorf("the standing is not on the ticket: %q", better)
	}
	w.call("POST", "/v1/holds", holdBody, "Visitor", ticket, "Proof", proof).refused(429, allocator.CodeRateLimited) // replayed
	a = w.call("POST", "/fhir/R4/Appointment/$hold", fhirHoldBody)
	a.refused(429, allocator.CodeRateLimited)
	solved(t, a.header)
}

// solved answers the challenge of a refusal.
func solved(t *testing.T, h http.Header) string {
	t.Helper()
	challenge, price, found := strings.Cut(h.Get("Challenge"), ";bits=")
	bits, err := strconv.Atoi(price)
	if !found || err != nil {
		t.Fatalf("no challenge: %v", h)
	}
	return callers.Solve(challenge, bits)
}

// TestBatchesAreLimited: each item of a batch is charged to its address, for nobody in it can be told from others.
func TestBatchesAreLimited(t *testing.T) {
	w, r, _ := limited(t, callers.Options{AddressHolds: 3})
	items := strings.Repeat(","+holdBody, 8)[1:]
	a := w.call("POST", "/v1/holds:batch", `{"holds":[`+items+`]}`).wants(200)
	if got := strings.Count(string(a.body), `"status":201`); got != 3 || strings.Count(string(a.body), `"RATE_LIMITED"`) != 5 {
		t.Errorf("%d of 8 were granted: %s", got, a.body)
	}
	if len(r.released) > 0 || a.header.Get("Visitor") != "" {
		t.Errorf("released %v, %v", r.released, a.header)
	}
	a = w.staff("POST", "/v1/holds:batch", `{"holds":[`+items+`]}`).wants(200)
	if got := strings.Count(string(a.body), `"status":201`); got != 8 {
		t.Errorf("staff got %d of 8", got)
	}
}

// TestSearchesAreLimited: searches of an address are bounded, in FHIR too; a proof opens them to a visitor.
func TestSearchesAreLimited(t *testing.T) {
	w, _, now := limited(t, callers.Options{AddressSearches: 5, ProofBits: 4})
	const path = "/v1/sites/FA512/availability?service=RSV:Adult"
	for range 5 {
		w.call("GET", path, "").wants(200)
	}
	a := w.call("GET", path, "")
	a.refused(429, allocator.CodeRateLimited)
	w.call("GET", "/fhir/R4/Slot", "").refused(429, allocator.CodeRateLimited)
	ticket, proof := a.header.Get("Visitor"), solved(t, a.header)
	a = w.call("GET", path, "", "Visitor", ticket, "Proof", proof).wants(200)
	for range 20 {
		w.call("GET", path, "", "Visitor", a.header.Get("Visitor")).wants(200)
	}
	w.call("GET", path, "").refused(429, allocator.CodeRateLimited)
	*now = now.Add(time.Second)
	w.call("GET", path, "").wants(200)
}

// TestCachedRepliesAreNobodys: a reply that caches may give to others has nobody's ticket.
func TestCachedRepliesAreNobodys(t *testing.T) {
	w, _, _ := limited(t, callers.Options{})
	a := w.call("GET", "/v1/services", "").wants(200)
	if !strings.HasPrefix(a.header.Get("Cache-Control"), "public") || a.header.Get("Visitor") != "" || a.header.Get("RateLimit") != "" {
		t.Errorf("%v", a.header)
	}
	if a = w.call("GET", "/v1/sites/FA512", "").wants(200); a.header.Get("Visitor") == "" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", a.header)
	}
}

// TestOnePersonManyConfirms: that a person is booked is not told again and again; but tries that tell nothing keep nobody from
// booking, and whoever shows the manage token may move a booking all along.
func TestOnePersonManyConfirms(t *testing.T) {
	w, r, _ := limited(t, callers.Options{})
	code := allocator.CodeHoldUnknown
	r.fake.confirm = func(context.Context, allocator.ConfirmRequest) ([]allocator.BookingView, error) {
		return nil, allocator.Refuse(code, "refused")
	}
	try := func(n int, body string) (limited int) {
		for i := range n {
			a := w.call("POST", fmt.Sprintf("/v1/holds/h1.%d/confirm", i), body, "X-Forwarded-For", fmt.Sprintf("192.0.2.%d", i))
			if a.status == 429 {
				limited++
			}
		}
		return limited
	}
	if n := try(30, confirmBody); n != 0 {
		t.Errorf("%d of 30 were limited that told nothing", n)
	}
	code = allocator.CodeAlreadyBooked
	if n := try(15, confirmBody); n != 5 {
		t.Errorf("%d of 15 were limited", n)
	}
	moving := strings.TrimSuffix(confirmBody, "}") + `,"replaces":{"reference":"` + someKey.Reference() + `","manageToken":"TOKEN0TOKEN0TOKEN0TOKEN000"}}`
	if n := try(5, moving); n != 0 {
		t.Errorf("%d of 5 moves were limited", n)
	}
}

// TestGuessesCoolDown: the pause between dates of birth that are tried at one reference doubles.
func TestGuessesCoolDown(t *testing.T) {
	g := newGuesses(Rate{Burst: 5, Every: 3 * time.Minute})
	now, tries := time.Unix(1_800_000_000, 0), 0
	for end := now.AddDate(0, 0, 30); now.Before(end); now = now.Add(time.Minute) {
		if _, _, undo := g.guess("reference", now); undo != nil {
			tries++
		}
	}
	if tries < 60 || tries > 120 {
		t.Errorf("%d dates were tried in a month", tries)
	}
	for range 100 {
		_, _, undo := g.guess("another", now)
		if undo == nil {
			t.Fatal("right dates are counted")
		}
		undo()
	}
}
