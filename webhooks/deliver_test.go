package webhooks

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"muster/allocator"
)

const soon = 10 * time.Second

// rarely lets days pass in little time.
func rarely(o *Options) { o.PollEvery = 5 * time.Second }

// counted is what a registry shows of a counter with one label.
func counted(t *testing.T, r *prometheus.Registry, name, label string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && m.GetLabel()[0].GetValue() == label {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no %s of %s", name, label)
	return 0
}

func status(code int) func(context.Context, received) (int, http.Header) {
	return func(context.Context, received) (int, http.Header) { return code, nil }
}

// sorted are the cursors of what was taken, which come in order for each site only.
func sorted(e *endpoint) []string { return slices.Sorted(slices.Values(e.cursors())) }

// Everybody is sent the events of their own sites, of the types and sites that they chose, from now on, each once.
func TestDelivers(t *testing.T) {
	inWorld(t, func(w *world) {
		h, _, _ := w.server()
		w.happen(allocator.EventBooked, "a1", "b1")
		time.Sleep(time.Second)
		_, whole := w.subscribe(h, ofA, "whole.test")
		_, types := w.subscribe(h, ofA, "types.test", func(s *Settings) { s.Types = []allocator.EventType{allocator.EventCapacity} })
		_, sites := w.subscribe(h, ofA, "sites.test", func(s *Settings) { s.Sites = []allocator.SiteID{"a2", "b1"} })
		_, again := w.subscribe(h, ofA, "again.test", func(s *Settings) { s.After = "0" })
		_, other := w.subscribe(h, ofB, "other.test")
		_, whoever := w.subscribe(h, all, "whoever.test")
		w.happen(allocator.EventBooked, "a1", "a2", "b1", "nobodys")
		w.happen(allocator.EventCapacity, "a1")
		time.Sleep(soon)
		w.want("the whole", sorted(whole), []string{"3", "4", "7"})
		w.want("a type", sorted(types), []string{"7"})
		w.want("a site", sorted(sites), []string{"4"})
		w.want("from the beginning", sorted(again), []string{"1", "3", "4", "7"})
		w.want("another publisher", sorted(other), []string{"5"})
		w.want("all sites", sorted(whoever), []string{"3", "4", "5", "6", "7"})
		m := whole.took()[slices.Index(whole.cursors(), "3")]
		w.want("the body", string(m.body), fmt.Sprintf(`{"type":"booking.booked","timestamp":%q,"data":{"cursor":"3","siteId":"a1"}}`, w.events[2].At.Format(time.RFC3339Nano)))
		w.want("tries", len(whole.tried()), 3)
	})
}

// A message is tried by the schedule, and then the webhook is disabled. Enabled again, it goes on with the same message.
func TestSchedule(t *testing.T) {
	inWorld(t, func(w *world) {
		registry := prometheus.NewRegistry()
		h, _, _ := w.server(rarely, func(o *Options) { o.Registerer = registry })
		made, e := w.subscribe(h, ofA, "a.test")
		e.answers(status(500))
		w.happen(allocator.EventBooked, "a1", "a1")
		time.Sleep(200 * time.Hour)
		want := []int64{0, 5, 305, 2105, 9305, 27305, 63305, 113705, 185705, 272105}
		for i, at := range e.tried() {
			if i >= len(want) || at < want[i] || at > want[i]+int64(10*i) {
				t.Errorf("try %d after %d s", i, at)
			}
		}
		w.want("tries", len(e.tried()), len(want))
		found := w.see(h, made.ID)
		w.want("it is", fmt.Sprint(found.Disabled, found.Progress.Failures, found.Progress.Problem), "failing10the endpoint answered 500")
		w.want("disabled", counted(t, registry, "muster_webhooks_disabled_total", DisabledFailing), 1)
		w.want("state", h.count(stateDisabled), 1)
		e.answers(nil)
		if _, err := h.Change(w.t.Context(), ofA, made.ID, Settings{URL: made.URL}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(soon)
		w.want("after it was enabled", e.cursors(), []string{"1", "2"})
		w.want("ids", e.took()[0].id == e.asked()[0].id && e.took()[1].id != e.took()[0].id, true)
	})
}

// What an endpoint says about trying again is heeded.
func TestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		status   int
		header   http.Header
		tries    []int64 // in half an hour
		disabled string
	}{
		"gone":                    {410, nil, []int64{0}, DisabledGone},
		"too many":                {429, http.Header{"Retry-After": {"600"}}, []int64{0, 600, 1200, 1800 + 1800}, ""},
		"unavailable, no header":  {503, nil, []int64{0, 5, 305}, ""},
		"a redirect":              {302, http.Header{"Location": {"https://trap.test/"}}, []int64{0, 5, 305}, ""},
		"a redirect that insists": {308, http.Header{"Location": {"https://trap.test/"}}, []int64{0, 5, 305}, ""},
		"not modified":            {304, nil, []int64{0, 5, 305}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				h, _, _ := w.server()
				trap := &endpoint{t: t}
				w.endpoints["trap.test"] = trap
				made, e := w.subscribe(h, ofA, "a.test")
				e.answers(func(context.Context, received) (int, http.Header) { return c.status, c.header })
				w.happen(allocator.EventBooked, "a1")
				time.Sleep(30 * time.Minute)
				tried := e.tried()
				var want []int64
				for _, at := range c.tries {
					if at < 1800 {
						want = append(want, at)
					}
				}
				near := len(tried) == len(want)
				for i := range min(len(tried), len(want)) {
					near = near && tried[i] >= want[i] && tried[i] <= want[i]+10
				}
				if !near {
					t.Errorf("tried after %v s, want %v", tried, want)
				}
				w.want("it is", w.see(h, made.ID).Disabled, c.disabled)
				w.want("followed", len(trap.asked()), 0)
			})
		})
	}
}

// Endpoints that hang, however many, keep no other waiting.
func TestSlowEndpointsDelayNobody(t *testing.T) {
	inWorld(t, func(w *world) {
		h, _, _ := w.server(func(o *Options) { o.PerOrganisation = 1000 })
		for i := range 300 {
			_, e := w.subscribe(h, ofA, fmt.Sprintf("hangs%d.test", i))
			e.answers(func(ctx context.Context, _ received) (int, http.Header) { <-ctx.Done(); return 0, nil })
		}
		_, good := w.subscribe(h, ofA, "good.test")
		for range 150 {
			w.happen(allocator.EventBooked, "a1")
			time.Sleep(time.Second)
		}
		time.Sleep(soon)
		w.want("messages", len(good.took()), 150)
		for i, m := range good.took() {
			if late := m.at.Sub(w.events[i].At); late > 3*time.Second {
				t.Errorf("message %d came after %v", i, late)
			}
		}
	})
}

// inOrder checks that the messages of each site were taken in the order in which they happened.
func (w *world) inOrder(e *endpoint) {
	w.t.Helper()
	last := map[allocator.SiteID]int{}
	for _, m := range e.took() {
		n, err := strconv.Atoi(m.cursor)
		if err != nil || n < last[m.site] {
			w.t.Errorf("site %s: %s after %d", m.site, m.cursor, last[m.site])
		}
		last[m.site] = n
	}
}

// Of several servers one delivers to a webhook, and every event comes once.
func TestRacingServers(t *testing.T) {
	inWorld(t, func(w *world) {
		h, _, _ := w.server()
		for range 3 {
			w.server()
		}
		var endpoints []*endpoint
		for i := range 5 {
			_, e := w.subscribe(h, ofA, fmt.Sprintf("a%d.test", i))
			e.answers(func(context.Context, received) (int, http.Header) { time.Sleep(30 * time.Millisecond); return 0, nil })
			endpoints = append(endpoints, e)
		}
		for range 100 {
			w.happen(allocator.EventBooked, "a1", "a2", "b1", "a3")
			time.Sleep(200 * time.Millisecond)
		}
		time.Sleep(2 * time.Minute)
		for _, e := range endpoints {
			w.inOrder(e)
			w.want("messages", len(e.took()), 300)
			w.want("tries", len(e.asked()), 300)
		}
	})
}

// A server that ends gives its lease back, and the next one goes on where it was.
func TestRestartGoesOn(t *testing.T) {
	inWorld(t, func(w *world) {
		h, stop, _ := w.server()
		_, e := w.subscribe(h, ofA, "a.test")
		e.answers(func(context.Context, received) (int, http.Header) { time.Sleep(time.Second); return 0, nil })
		w.happen(allocator.EventBooked, slices.Repeat([]allocator.SiteID{"a1"}, 30)...)
		time.Sleep(10*time.Second + 500*time.Millisecond)
		stop()
		before := len(e.took())
		w.server()
		time.Sleep(time.Minute)
		w.inOrder(e)
		if before < 5 || before > 12 {
			t.Errorf("%d came before the restart", before)
		}
		w.want("messages", len(e.took()), 30)
		w.want("tries", len(e.asked()), 30) // the one that was under way was waited for
	})
}

// A server that dies holds a lease: when that is over, another one goes on, and sends again at most what was not noted.
func TestAnotherServerTakesOver(t *testing.T) {
	inWorld(t, func(w *world) {
		h, _, kill := w.server()
		_, e := w.subscribe(h, ofA, "a.test")
		e.answers(func(context.Context, received) (int, http.Header) { time.Sleep(100 * time.Millisecond); return 0, nil })
		w.happen(allocator.EventBooked, slices.Repeat([]allocator.SiteID{"a1"}, 200)...)
		time.Sleep(10 * time.Second)
		kill()
		time.Sleep(time.Second) // what was on its way arrives
		before := len(e.took())
		w.server()
		time.Sleep(75 * time.Second)
		w.want("before the lease is over", len(e.took()), before)
		time.Sleep(time.Minute)
		seen := map[string]bool{}
		for _, m := range e.took() {
			seen[m.cursor] = true
		}
		if again := len(e.took()) - 200; len(seen) != 200 || again < 0 || again > batchMessages {
			t.Errorf("%d of 200 events came, %d of them again", len(seen), again)
		}
	})
}

// One message that is never taken keeps back those of its own site, and few others; none of them comes twice.
func TestRefusedMessage(t *testing.T) {
	inWorld(t, func(w *world) {
		h, _, _ := w.server()
		made, e := w.subscribe(h, ofA, "a.test")
		e.answers(func(_ context.Context, m received) (int, http.Header) {
			if m.cursor == "3" {
				return 422, nil
			}
			return 0, nil
		})
		w.happen(allocator.EventBooked, "a1", "a2", "a1", "a2", "a1", "a3")
		time.Sleep(time.Minute)
		if p := w.see(h, made.ID).Progress; p.Cursor != "2" || p.Failures != 2 {
			t.Errorf("meanwhile: %+v", p)
		}
		e.answers(nil)
		time.Sleep(10 * time.Minute)
		w.inOrder(e)
		w.want("messages", sorted(e), []string{"1", "2", "3", "4", "5", "6"})
		if p := w.see(h, made.ID).Progress; p.Cursor != "6" || p.Failures != 0 || len(p.Ahead) > 0 {
			t.Errorf("at last: %+v", p)
		}
	})
}

// With any failures, what is taken is taken in order for each site, every event of it, and none twice.
func TestRandomFailures(t *testing.T) {
	for seed := range uint64(6) {
		inWorld(t, func(w *world) {
			random, endpoints := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2))
			h, _, _ := w.server(rarely)
			w.server(rarely)
			made, e := w.subscribe(h, ofA, "a.test")
			e.answers(func(ctx context.Context, _ received) (int, http.Header) {
				e.mu.Lock()
				n, pause := endpoints.IntN(100), time.Duration(endpoints.IntN(3000))*time.Millisecond
				e.mu.Unlock()
				time.Sleep(pause)
				switch {
				case n < 5:
					<-ctx.Done()
					return 0, nil
				case n < 15:
					return 500, nil
				}
				return 0, nil
			})
			wanted := 0
			for range 60 {
				for range random.IntN(8) {
					site := []allocator.SiteID{"a1", "a2", "a3", "b1"}[random.IntN(4)]
					w.happen(allocator.EventBooked, site)
					if site != "b1" {
						wanted++
					}
				}
				time.Sleep(time.Duration(random.IntN(20)) * time.Second)
			}
			for range 200 {
				time.Sleep(time.Hour)
				if len(e.cursors()) == wanted {
					break
				}
				if found := w.see(h, made.ID); found.Disabled != "" {
					if _, err := h.Change(w.t.Context(), ofA, made.ID, Settings{URL: made.URL}); err != nil {
						t.Fatal(err)
					}
				}
			}
			w.inOrder(e)
			seen := map[string]bool{}
			for _, m := range e.took() {
				seen[m.cursor] = true
			}
			if len(e.took()) != wanted || len(seen) != wanted {
				t.Errorf("seed %d: %d messages for %d of %d events", seed, len(e.took()), len(seen), wanted)
			}
		})
	}
}
