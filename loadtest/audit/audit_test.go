package audit

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"muster/allocator"
	"muster/loadtest/result"
)

// books of a test.
type books struct {
	day  Day
	fail error
}

func (b *books) Name() string { return "a test" }

func (b *books) Zone(context.Context, string) (*time.Location, error) { return time.UTC, nil }

func (b *books) Day(context.Context, string, string) (Day, error) { return b.day, b.fail }

var nine = Slot{"S", time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC).Unix() / 60, 10}

func offered(capacity int, services ...allocator.ServiceCode) []allocator.Slot {
	return []allocator.Slot{{ID: allocator.SlotID{Site: "S", Start: allocator.Minute(nine.Start), Length: 10}, Pools: []allocator.Pool{{Services: services, Capacity: capacity}}}}
}

func row(n int) Row {
	return Row{Reference: fmt.Sprint("R", n), Slot: nine, Service: "A", Live: true, Person: fmt.Sprint("P", n), Place: n}
}

func acknowledged(n int) Booking {
	return Booking{Reference: fmt.Sprint("R", n), Slot: nine, Service: "A", NHSNumber: fmt.Sprint(n)}
}

// Each thing that may not be is found, once and under its name.
func TestFindings(t *testing.T) {
	type verdict = func(*result.Audit) int64
	for name, c := range map[string]struct {
		rows   []Row
		slots  []allocator.Slot
		spoil  func(*Evidence)
		counts verdict
		want   int64
	}{
		"all well":        {rows: []Row{row(1), row(2)}, counts: (*result.Audit).Violations, want: 0},
		"lost":            {rows: []Row{row(1)}, counts: func(a *result.Audit) int64 { return a.Lost }, want: 1},
		"ended by nobody": {rows: []Row{row(1), {Reference: "R2", Slot: nine, Service: "A", Place: -1}}, counts: func(a *result.Audit) int64 { return a.Lost }, want: 1},
		"another service": {rows: []Row{row(1), {Reference: "R2", Slot: nine, Service: "B", Live: true, Place: 2}}, slots: offered(4, "A", "B"),
			counts: func(a *result.Audit) int64 { return a.Altered }, want: 1},
		"oversold by two": {rows: []Row{row(1), row(2), row(3), row(4)}, slots: offered(2, "A"), counts: func(a *result.Audit) int64 { return a.Oversold }, want: 2,
			spoil: func(e *Evidence) { e.Booked(acknowledged(3)); e.Booked(acknowledged(4)) }},
		"no such service there": {rows: []Row{row(1), row(2)}, slots: offered(9, "B"), counts: func(a *result.Audit) int64 { return a.Oversold }, want: 2},
		"a place twice": {rows: []Row{row(1), {Reference: "R2", Slot: nine, Service: "A", Live: true, Place: 1}},
			counts: func(a *result.Audit) int64 { return a.Twice }, want: 1},
		"a person twice": {rows: []Row{row(1), {Reference: "R2", Slot: nine, Service: "A", Live: true, Place: 2, Person: "P1"}},
			counts: func(a *result.Audit) int64 { return a.Twice }, want: 1},
		"not ended": {rows: []Row{row(1), row(2)}, spoil: func(e *Evidence) { e.Ended("R2", true) }, counts: func(a *result.Audit) int64 { return a.NotEnded }, want: 1},
		"perhaps ended": {rows: []Row{row(1), {Reference: "R2", Slot: nine, Service: "A", Place: -1}}, spoil: func(e *Evidence) { e.Ended("R2", false) },
			counts: (*result.Audit).Violations, want: 0},
		"a stranger": {rows: []Row{row(1), row(2), row(3)}, counts: func(a *result.Audit) int64 { return a.Uncalled }, want: 1},
		"a stranger whose confirm was not answered": {rows: []Row{row(1), row(2), row(3)}, spoil: func(e *Evidence) { e.Unknown([]Slot{nine}) },
			counts: (*result.Audit).Violations, want: 0},
	} {
		e := NewEvidence()
		e.Booked(acknowledged(1))
		e.Booked(acknowledged(2))
		if c.spoil != nil {
			c.spoil(e)
		}
		if c.slots == nil {
			c.slots = offered(5, "A")
		}
		a, err := Run(t.Context(), e, Options{Books: &books{day: Day{c.rows, c.slots}}, Exclusive: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.counts(a); got != c.want || a.Violations() != c.want {
			t.Errorf("%s: found %d of %d, %+v", name, got, c.want, a)
		}
		if a.Violations() > 0 && len(a.Examples) == 0 {
			t.Errorf("%s: no words for it", name)
		}
	}
}

func TestOneReferenceForTwoPeople(t *testing.T) {
	e := NewEvidence()
	one, two := acknowledged(1), acknowledged(2)
	two.Reference = one.Reference
	for i, b := range []Booking{one, one, two} {
		if first := i < 2; e.Booked(b) != first {
			t.Errorf("booking %d: a repeat is no second one, and another person's is", i)
		}
	}
	a, err := Run(t.Context(), e, Options{Books: &books{day: Day{[]Row{row(1)}, offered(5, "A")}}})
	if err != nil || a.Twice != 1 {
		t.Errorf("found %+v, %v", a, err)
	}
}

// What could not be looked at is an error or is told, never a clean audit.
func TestBlindness(t *testing.T) {
	e := NewEvidence()
	e.Booked(acknowledged(1))
	if a, err := Run(t.Context(), e, Options{Books: &books{fail: fmt.Errorf("broken")}}); err == nil {
		t.Errorf("books that cannot be read give %+v", a)
	}
	if a, err := Run(t.Context(), e, Options{}); err == nil {
		t.Errorf("nothing to look at gives %+v", a)
	}
	down := &API{Base: "http://127.0.0.1:1", Client: http.DefaultClient}
	if a, err := Run(t.Context(), e, Options{API: down}); err == nil {
		t.Errorf("a server that is down gives %+v", a)
	}
}

// Without books, single bookings are looked up with their tokens; of many, a few, and that is told.
func TestByTokens(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reference := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
		if r.Header.Get("Authorization") != "Manage token-"+reference || reference == "R3" {
			w.WriteHeader(404)
			return
		}
		fmt.Fprintf(w, `{"reference":%q,"status":"booked","siteId":"S","service":"A","start":"2026-12-01T09:00:00Z","length":10}`, reference)
	}))
	defer server.Close()
	e := NewEvidence()
	for n := range 6 {
		b := acknowledged(n)
		b.ManageToken = "token-" + b.Reference
		e.Booked(b)
	}
	api := &API{Base: server.URL, Client: server.Client()}
	a, err := Run(t.Context(), e, Options{API: api})
	if err != nil || a.Checked != 6 || a.Lost != 1 || a.Violations() != 1 || len(a.Unchecked) != 1 {
		t.Errorf("of six, one of which is lost, found %+v, %v", a, err)
	}
	a, err = Run(t.Context(), e, Options{API: api, Most: 4})
	if err != nil || a.Checked != 4 || a.Acknowledged != 6 || len(a.Unchecked) != 2 {
		t.Errorf("four of six: %+v, %v", a, err)
	}
}

func TestSumTakesTheWorse(t *testing.T) {
	a := Sum(&result.Audit{Checked: 3, Lost: 2, Examples: []string{"x"}, Sources: []string{"one"}}, &result.Audit{Checked: 3, Lost: 1, Oversold: 4, Examples: []string{"x", "y"}, Sources: []string{"two"}})
	if a.Checked != 3 || a.Lost != 2 || a.Oversold != 4 || len(a.Examples) != 2 || len(a.Sources) != 2 {
		t.Errorf("the sum is %+v", a)
	}
}
