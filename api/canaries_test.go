package api

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"muster/allocator"
)

// aviary is an engine that keeps whatever it is given, as it is given, and answers people with their own marks.
type aviary struct {
	*fake
	mu       sync.Mutex
	holds    map[string]allocator.HoldRequest
	confirms map[string]allocator.ConfirmRequest
	sites    map[string]allocator.SiteID
	days     map[string]allocator.PublishRequest
}

func newAviary() *aviary {
	a := &aviary{&fake{}, sync.Mutex{}, map[string]allocator.HoldRequest{}, map[string]allocator.ConfirmRequest{}, map[string]allocator.SiteID{}, map[string]allocator.PublishRequest{}}
	a.hold = func(_ context.Context, req allocator.HoldRequest) (allocator.Hold, error) {
		site := req.Claims[0].Site
		keep(a, a.holds, string(site), req)
		return allocator.Hold{Token: "h1." + string(site), Claims: []allocator.HeldClaim{{Slot: allocator.SlotID{Site: site}, Service: req.Claims[0].Service}}}, nil
	}
	a.confirm = func(_ context.Context, req allocator.ConfirmRequest) ([]allocator.BookingView, error) {
		keep(a, a.confirms, strings.TrimPrefix(req.Token, "h1."), req)
		b := someBooking()
		b.ManageToken, b.Person = req.People[0].FamilyName, &req.People[0]
		return []allocator.BookingView{b}, nil
	}
	a.site = func(_ context.Context, id allocator.SiteID) (allocator.Site, error) {
		keep(a, a.sites, string(id), id)
		return allocator.Site{ID: id, Name: "name of " + string(id)}, nil
	}
	a.booking = func(_ context.Context, access allocator.BookingAccess) (allocator.BookingView, error) {
		return allocator.BookingView{}, allocator.Refuse(allocator.CodeBookingEnded, "token %s", access.ManageToken)
	}
	a.walkIn = func(_ context.Context, req allocator.WalkInRequest) (allocator.BookingView, error) {
		b := someBooking()
		b.Person = &req.Person
		b.ManageToken = req.Person.FamilyName
		return b, nil
	}
	a.publish = func(_ context.Context, req allocator.PublishRequest) (allocator.PublishReply, error) {
		keep(a, a.days, string(req.Site), req)
		return allocator.PublishReply{Revision: 1}, nil
	}
	return a
}

// keep copies the key only: what lies in the value stays where the server put it.
func keep[T any](a *aviary, in map[string]T, mark string, what T) {
	a.mu.Lock()
	defer a.mu.Unlock()
	in[strings.Clone(mark)] = what
}

// errand is one request of somebody's, with the mark wherever a mark may be.
type errand struct {
	method, path, body string
	headers            []string
}

func errandsOf(mark string) []errand {
	person := strings.NewReplacer(`"A"`, `"`+mark+`"`, `"B"`, `"`+mark+`"`).Replace(goodPerson)
	hold := holdWith("siteId", `"`+mark+`"`)
	confirm := with("holdId", "h1."+mark, confirmWith(person))
	return []errand{
		{"POST", "/v1/holds", hold, []string{"Idempotency-Key", mark}},
		{"GET", "/v1/holds/h1." + mark, "", nil},
		{"POST", "/v1/holds/h1." + mark + "/confirm", confirmWith(person), nil},
		{"POST", atHolds, holdsOf(with("idempotencyKey", mark, hold), with("idempotencyKey", mark, hold)), nil},
		{"POST", atConfirmations, confirmationsOf(confirm, confirm), nil},
		{"GET", "/v1/sites/" + mark, "", nil},
		{"GET", "/v1/bookings/" + someKey.Reference(), "", []string{"Authorization", "Manage " + mark}},
		{"POST", "/v1/sites/" + mark + "/walkins", `{"service":"RSV:Adult","person":` + person + `}`, []string{"Authorization", "Bearer dev", "Idempotency-Key", mark}},
		{"PUT", "/v1/sites/" + mark + "/days/2027-06-01", `{"sessions":[]}`, []string{"Authorization", "Bearer dev"}},
		{"POST", "/fhir/R4/Appointment", strings.Replace(fhirAppointment, "Example", mark, 1), []string{"Idempotency-Key", mark}},
		{"POST", "/v1/holds", `{"` + mark + `":1}`, nil},
		{"GET", "/v1/sites?" + mark + "=1", "", nil},
	}
}

// ask sends an errand, and finds marks of others in what comes back.
func (w *world) ask(e errand, mark string) error {
	a, err := w.try(e.method, e.path, e.body, append(e.headers, "X-Request-Id", mark)...)
	if err != nil {
		return err
	}
	text := string(a.body) + fmt.Sprint(a.header)
	if !strings.Contains(text, mark) || strings.Count(text, "canary-") != strings.Count(text, mark) || bytes.IndexByte([]byte(text), spoiled) >= 0 {
		return fmt.Errorf("%s %s of %s got %s", e.method, e.path, mark, text)
	}
	return nil
}

// TestCanaries: many clients at once, each with marks of its own in path, query, header and body, over connections that they
// share one after the other. Whatever the engine keeps and whatever anybody is answered, it is never another's mark, nor what
// memory is spoiled with once its request was answered.
func TestCanaries(t *testing.T) {
	engine := newAviary()
	w := serveEngine(t, Options{Dev: true}, engine, engine.fake)
	const clients, rounds = 24, 12
	var group sync.WaitGroup
	for client := range clients {
		group.Go(func() {
			for round := range rounds {
				mark := fmt.Sprintf("canary-%d-%d-%s-", client, round, strings.Repeat("x", (client*7+round)%30))
				for i, e := range errandsOf(mark) {
					if err := w.ask(e, mark); err != nil {
						t.Errorf("errand %d: %v", i, err)
					}
				}
			}
		})
	}
	group.Wait()
	const people = clients * rounds
	if min(len(engine.holds), len(engine.sites), len(engine.confirms), len(engine.days)) < people {
		t.Errorf("%d holds, %d confirms, %d sites and %d days, want %d of each or more", len(engine.holds), len(engine.confirms), len(engine.sites), len(engine.days), people)
	}
	engine.check(t)
}

// check looks at what the engine kept, long after.
func (a *aviary) check(t *testing.T) {
	t.Helper()
	for mark, req := range a.holds {
		if c := req.Claims[0]; strings.HasPrefix(mark, "canary-") && (string(c.Site) != mark || req.IdempotencyKey != mark || c.Service != "RSV:Adult") {
			t.Errorf("what the engine kept for %s became %+v", mark, req)
		}
	}
	for mark, req := range a.confirms {
		p := req.People[0]
		if strings.HasPrefix(mark, "canary-") && (p.GivenName != mark || p.FamilyName != mark || p.NHSNumber != "9000000009" || req.Token != "h1."+mark) {
			t.Errorf("whom the engine kept for %s became another", mark)
		}
	}
	for mark, id := range a.sites {
		if string(id) != mark {
			t.Errorf("what the engine kept for %s became %s", mark, id)
		}
	}
	for mark, req := range a.days {
		if string(req.Site) != mark {
			t.Errorf("the day that the engine kept for %s became that of %s", mark, req.Site)
		}
	}
}

// try is call for other goroutines than the test's.
func (w *world) try(method, path, body string, headers ...string) (answer, error) {
	req, err := http.NewRequest(method, "http://muster.test"+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := w.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	return answer{w.t, res.StatusCode, res.Header, data}, err
}
