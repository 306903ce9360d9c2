// Package fakeserver is a small booking server for tests of the load test: right by default, and wrong on request, in the ways
// in which a fast server could be wrong. It keeps everything in one map behind one lock.
package fakeserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Faults are ways to be wrong.
type Faults struct {
	Forget       int           // every so manyth booking is acknowledged and not kept
	Oversell     bool          // capacity is not looked at
	OtherSlot    bool          // a confirm books another slot than was held, and says so
	SecretlySlot bool          // a confirm books another slot than was held, and does not say so
	Leak         int           // every so manyth hold that is given back keeps its place
	KeepEnded    bool          // a cancelled booking goes on
	NewBooking   bool          // a repeated confirm is another booking
	Uncalled     int           // every so manyth booking is made twice, under two references
	Unwell       int           // every so manyth request is answered 503
	Slow         time.Duration // of every answer
	StaleFor     time.Duration // availability shows what was free so long ago at first
	Garbage      bool          // answers are no JSON
	SameForAll   bool          // every confirm gets the same reference
}

// Server is an http.Handler. Safe for concurrent use.
type Server struct {
	Faults   Faults
	Service  string
	Site     string
	Slots    int // from nine on, of ten minutes
	Capacity int // of each
	Date     time.Time

	mu       sync.Mutex
	serial   int
	requests int
	holds    map[string]*hold
	bookings map[string]*booking
	leaked   map[string]int
	keys     map[string]string
	first    time.Time
}

type claim struct {
	SiteID  string `json:"siteId"`
	Service string `json:"service"`
	Start   string `json:"start"`
	Length  int    `json:"length"`
}

type hold struct {
	claims     []claim
	references []string // once confirmed
}

type booking struct {
	Reference   string            `json:"reference"`
	ManageToken string            `json:"manageToken,omitempty"`
	Status      string            `json:"status"`
	Person      map[string]string `json:"person,omitempty"`
	claim
}

// New is a right server with one site in the middle of England.
func New(slots, capacity int) *Server {
	return &Server{Service: "ANY", Site: "S1", Slots: slots, Capacity: capacity, Date: time.Now().UTC().AddDate(0, 0, 3).Truncate(24 * time.Hour),
		holds: make(map[string]*hold), bookings: make(map[string]*booking), leaked: make(map[string]int), keys: make(map[string]string)}
}

// Kept is how many bookings there are.
func (s *Server) Kept() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.bookings)
}

type object = map[string]any

// ServeHTTP is http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Faults.Slow > 0 {
		timer := time.NewTimer(s.Faults.Slow)
		defer timer.Stop()
		<-timer.C
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.requests++; s.Faults.Unwell > 0 && s.requests%s.Faults.Unwell == 0 {
		s.problem(w, 503, "OVERLOADED")
		return
	}
	if s.Faults.Garbage {
		w.WriteHeader(200)
		_, _ = w.Write([]byte("<html>")) // the client notices
		return
	}
	s.route(w, r, strings.Split(strings.TrimPrefix(r.URL.Path, "/v1/"), "/"))
}

func (s *Server) route(w http.ResponseWriter, r *http.Request, path []string) {
	switch n := len(path); {
	case path[0] == "services":
		answer(w, 200, object{"services": []object{{"service": s.Service}}})
	case path[0] == "sites" && n == 1:
		s.search(w)
	case path[0] == "sites" && n == 2:
		answer(w, 200, object{"siteId": s.Site, "timeZone": "UTC"})
	case path[0] == "sites" && path[2] == "availability":
		answer(w, 200, object{"days": []object{{"date": s.date(), "slots": s.free(r.URL.Query().Has("people"))}}})
	case path[0] == "sites" && n == 4:
		answer(w, 200, object{"sessions": []object{{"from": "09:00", "until": s.until(), "slotLength": 10, "capacity": s.Capacity, "services": []string{s.Service}}}})
	case path[0] == "sites":
		answer(w, 200, object{"bookings": s.list()})
	case path[0] == "holds" && n == 1:
		s.hold(w, r)
	case path[0] == "holds" && n == 2:
		s.release(w, path[1])
	case path[0] == "holds" && path[2] == "extend":
		s.granted(w, 200, path[1])
	case path[0] == "holds":
		s.confirm(w, r, path[1])
	case path[0] == "bookings" && n == 2:
		s.booking(w, path[1])
	default:
		s.cancel(w, path[1])
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that is gone misses nothing
}

func (s *Server) problem(w http.ResponseWriter, status int, code string) {
	answer(w, status, object{"code": code, "status": status})
}

func (s *Server) date() string { return s.Date.Format(time.DateOnly) }

func (s *Server) start(slot int) string {
	return s.Date.Add(9*time.Hour + time.Duration(slot)*10*time.Minute).Format(time.RFC3339)
}

func (s *Server) until() string {
	return s.Date.Add(9*time.Hour + time.Duration(s.Slots)*10*time.Minute).Format("15:04")
}

// taken is how many have a place at a start.
func (s *Server) taken(start string) (n int) {
	for _, h := range s.holds {
		if h.references == nil {
			for _, c := range h.claims {
				if c.Start == start {
					n++
				}
			}
		}
	}
	for _, b := range s.bookings {
		if b.Start == start && b.Status == "booked" {
			n++
		}
	}
	return n + s.leaked[start]
}

func (s *Server) free(many bool) []object {
	slots := []object{}
	if s.first.IsZero() {
		s.first = time.Now()
	}
	stale := time.Since(s.first) < s.Faults.StaleFor
	for i := range s.Slots {
		free := s.Capacity - s.taken(s.start(i))
		if stale {
			free = s.Capacity
		}
		if free > 0 && (!many || free > 3) {
			slots = append(slots, object{"start": s.start(i), "length": 10, "free": free})
		}
	}
	return slots
}

func (s *Server) search(w http.ResponseWriter) {
	sites := []object{}
	if n := len(s.free(false)); n > 0 {
		sites = append(sites, object{"siteId": s.Site, "name": "The only one", "location": object{"lat": 53.0, "lon": -1.5},
			"days": []object{{"date": s.date(), "free": n}}})
	}
	answer(w, 200, object{"sites": sites})
}

func (s *Server) list() []object {
	list := []object{}
	for _, b := range s.bookings {
		list = append(list, object{"reference": b.Reference, "status": b.Status, "siteId": b.SiteID, "service": b.Service, "start": b.Start,
			"length": b.Length, "person": b.Person})
	}
	return list
}

func (s *Server) hold(w http.ResponseWriter, r *http.Request) {
	var body struct {
		claim
		Claims []claim
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		s.problem(w, 400, "INVALID_REQUEST")
		return
	}
	claims := body.Claims
	if claims == nil {
		claims = []claim{body.claim}
	}
	key := r.Header.Get("Idempotency-Key")
	if token, known := s.keys[key]; known {
		s.granted(w, 201, token)
		return
	}
	wanted := make(map[string]int)
	for _, c := range claims {
		wanted[c.Start]++
	}
	for start, n := range wanted {
		if !s.Faults.Oversell && s.taken(start)+n > s.Capacity {
			s.problem(w, 409, "SLOT_FULL")
			return
		}
	}
	s.serial++
	token := fmt.Sprintf("h%d", s.serial)
	s.holds[token], s.keys[key] = &hold{claims: claims}, token
	s.granted(w, 201, token)
}

func (s *Server) granted(w http.ResponseWriter, status int, token string) {
	h, ok := s.holds[token]
	if !ok {
		s.problem(w, 410, "HOLD_RELEASED")
		return
	}
	answer(w, status, object{"holdId": token, "claims": h.claims})
}

func (s *Server) release(w http.ResponseWriter, token string) {
	if h, ok := s.holds[token]; ok && h.references == nil {
		if s.serial++; s.Faults.Leak > 0 && s.serial%s.Faults.Leak == 0 {
			s.leaked[h.claims[0].Start]++
		}
		delete(s.holds, token)
	}
	w.WriteHeader(204)
}

func (s *Server) confirm(w http.ResponseWriter, r *http.Request, token string) {
	var body struct {
		People   []map[string]string
		Replaces *struct{ Reference string }
	}
	h, ok := s.holds[token]
	switch {
	case !ok:
		s.problem(w, 410, "HOLD_RELEASED")
		return
	case json.NewDecoder(r.Body).Decode(&body) != nil || len(body.People) != len(h.claims):
		s.problem(w, 400, "INVALID_REQUEST")
		return
	}
	if h.references == nil || s.Faults.NewBooking {
		h.references = nil
		for i, c := range h.claims {
			h.references = append(h.references, s.book(c, body.People[i]))
		}
		if body.Replaces != nil && s.bookings[body.Replaces.Reference] != nil {
			s.bookings[body.Replaces.Reference].Status = "cancelled"
		}
	}
	var list []object
	for i, reference := range h.references {
		said := h.claims[i]
		if s.Faults.OtherSlot {
			said.Start = s.start(s.Slots)
		}
		list = append(list, object{"reference": reference, "manageToken": "m" + reference, "status": "booked", "siteId": said.SiteID, "service": said.Service,
			"start": said.Start, "length": said.Length})
	}
	answer(w, 201, object{"bookings": list})
}

// book keeps a booking, unless a fault forgets it.
func (s *Server) book(c claim, person map[string]string) string {
	s.serial++
	reference := fmt.Sprintf("R%d", s.serial)
	if s.Faults.SameForAll {
		reference = "R0"
	}
	if s.Faults.OtherSlot || s.Faults.SecretlySlot {
		c.Start = s.start(s.Slots)
	}
	b := &booking{Reference: reference, ManageToken: "m" + reference, Status: "booked", Person: person, claim: c}
	if s.Faults.Uncalled > 0 && s.serial%s.Faults.Uncalled == 0 {
		twin := *b
		twin.Reference += "-twin"
		twin.Person = nil
		s.bookings[twin.Reference] = &twin
	}
	if s.Faults.Forget == 0 || s.serial%s.Faults.Forget != 0 {
		s.bookings[reference] = b
	}
	return reference
}

func (s *Server) booking(w http.ResponseWriter, reference string) {
	b, ok := s.bookings[reference]
	if !ok {
		s.problem(w, 404, "BOOKING_UNKNOWN")
		return
	}
	answer(w, 200, b)
}

func (s *Server) cancel(w http.ResponseWriter, reference string) {
	b, ok := s.bookings[reference]
	if !ok {
		s.problem(w, 404, "BOOKING_UNKNOWN")
		return
	}
	if !s.Faults.KeepEnded {
		b.Status = "cancelled"
	}
	shown := *b
	shown.Status = "cancelled"
	answer(w, 200, shown)
}
