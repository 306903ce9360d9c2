package world

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// However many places are wanted, so many are there, and few more.
func TestLay(t *testing.T) {
	for _, plan := range []Plan{{Places: 1}, {Places: 15, Sites: 1}, {Places: 150, Sites: 1}, {Places: 700}, {Places: 12_345}, {Places: 1_000_000}, {Places: 3, Sites: 40}} {
		sites, err := lay(plan)
		if err != nil {
			t.Fatal(err)
		}
		places := 0
		known := make(map[string]bool)
		for i := range sites {
			s := &sites[i]
			places += s.places()
			if s.places() < 1 || s.slots > mostSlots || s.capacity < 1 || s.days > days || known[string(s.ID)] {
				t.Fatalf("%+v: a site has %d slots of %d on %d days", plan, s.slots, s.capacity, s.days)
			}
			known[string(s.ID)] = true
		}
		if places < plan.Places || float64(places) > 1.6*float64(plan.Places)+20 {
			t.Errorf("%+v: %d places at %d sites", plan, places, len(sites))
		}
		if plan.Sites > 0 && len(sites) > plan.Sites {
			t.Errorf("%+v: %d sites", plan, len(sites))
		}
	}
	if _, err := lay(Plan{}); err == nil {
		t.Error("a world of nothing is laid out")
	}
	one, _ := lay(Plan{Places: 500, Seed: 3})
	two, _ := lay(Plan{Places: 500, Seed: 3})
	for i := range one {
		if one[i].ID != two[i].ID {
			t.Fatal("the same seed chooses other sites")
		}
	}
}

// fake takes what publishers send.
type fake struct {
	mu      sync.Mutex
	puts    map[string]int
	lines   int
	failing string // a path that is refused
	problem bool   // in a line
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	kind := strings.Split(r.URL.Path, "/")[2]
	f.puts[kind]++
	switch {
	case r.Header.Get("Authorization") != "Bearer secret":
		w.WriteHeader(401)
	case f.failing != "" && strings.HasPrefix(r.URL.Path, f.failing):
		w.WriteHeader(400)
	case kind == "capacity":
		w.WriteHeader(200)
		for range strings.Count(string(body), "\n") {
			f.lines++
			line := map[string]any{"line": f.lines}
			if f.problem && f.lines == 2 {
				line["problem"] = "no"
			}
			_ = json.NewEncoder(w).Encode(line)
		}
	}
}

func TestPrepare(t *testing.T) {
	f := &fake{puts: make(map[string]int)}
	server := httptest.NewServer(f)
	defer server.Close()
	p := &Publisher{Base: server.URL, Token: "secret", Client: server.Client()}
	plan := Plan{Places: 800, First: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)}
	w, err := p.Prepare(context.Background(), plan)
	if err != nil {
		t.Fatal(err)
	}
	if w.Places < 800 || len(w.Sites) != f.puts["sites"] || f.puts["services"] != len(w.Services) || f.lines == 0 || w.From != "2026-12-01" || w.To != "2026-12-05" {
		t.Errorf("published %+v, and the world says %d places, %d sites, %v", f, w.Places, len(w.Sites), w.Services)
	}
	for _, spoil := range []func(){func() { f.problem, f.lines = true, 0 }, func() { f.failing = "/v1/sites" }, func() { f.failing = "/v1/services" },
		func() { f.failing = "/v1/capacity" }, func() { p.Token = "wrong" }} {
		f.mu.Lock()
		spoil()
		f.mu.Unlock()
		if _, err := p.Prepare(context.Background(), plan); err == nil {
			t.Error("a publisher who is refused is no failure")
		}
	}
}

func TestLearn(t *testing.T) {
	answer := `{"services":[{"service":"RSV:Adult","eligibility":{"minAge":75}}]}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, answer) }))
	defer server.Close()
	w, err := Learn(context.Background(), server.Client(), server.URL)
	if err != nil || len(w.Services) != 1 || w.Services[0].Code != "RSV:Adult" || w.Services[0].MinAge != 75 {
		t.Errorf("learned %+v, %v", w, err)
	}
	for _, answer = range []string{`{"services":[]}`, `{`} {
		if w, err := Learn(context.Background(), server.Client(), server.URL); err == nil {
			t.Errorf("%s teaches %+v", answer, w)
		}
	}
}
