package webhooks

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/allocator"
)

func TestNewReportsEveryFault(t *testing.T) {
	_, err := New(Options{PollEvery: -1, Lease: time.Second})
	if err == nil || strings.Count(err.Error(), "\n") != 5 {
		t.Errorf("six faults: %v", err)
	}
}

// Whoever a webhook does not belong to cannot tell it from one that does not exist.
func TestWebhooksBelong(t *testing.T) {
	inWorld(t, func(w *world) {
		h, _, _ := w.server()
		made, _ := w.subscribe(h, ofA, "a.test")
		nobody := allocator.Caller{Client: "x", Bound: true}
		for name, c := range map[string]struct {
			caller allocator.Caller
			id     string
		}{"another's": {ofB, made.ID}, "nobody's": {ofA, "wh_none"}, "of no organisation": {nobody, made.ID}} {
			_, got := h.Get(w.t.Context(), c.caller, c.id)
			_, changed := h.Change(w.t.Context(), c.caller, c.id, Settings{URL: made.URL})
			_, _, rotated := h.Rotate(w.t.Context(), c.caller, c.id)
			_, tested := h.Test(w.t.Context(), c.caller, c.id)
			for _, err := range []error{got, changed, rotated, tested, h.Remove(w.t.Context(), c.caller, c.id)} {
				w.want(name, err, errUnknown)
			}
		}
		for caller, want := range map[*allocator.Caller]int{&ofA: 1, &ofB: 0, &nobody: 0, &all: 1} {
			found, err := h.List(w.t.Context(), *caller)
			if err != nil || len(found) != want {
				t.Errorf("%+v sees %v, %v", *caller, found, err)
			}
		}
	})
}

// The same key gives the same webhook with the same secret, also to racing callers; another request is refused.
func TestCreateIsRepeatable(t *testing.T) {
	inWorld(t, func(w *world) {
		h, _, _ := w.server(func(o *Options) { o.PerOrganisation = 2 })
		ask := Creation{Caller: ofA, IdempotencyKey: "k", Settings: Settings{URL: "https://a.test/", Types: []allocator.EventType{allocator.EventBooked}}}
		var mu sync.Mutex
		secrets := map[string]bool{}
		var racers sync.WaitGroup
		for range 8 {
			racers.Go(func() {
				made, secret, err := h.Create(w.t.Context(), ask)
				for allocator.CodeOf(err) == allocator.CodeInProgress {
					made, secret, err = h.Create(w.t.Context(), ask)
				}
				mu.Lock()
				defer mu.Unlock()
				if secrets[made.ID+secret] = true; err != nil {
					t.Error(err)
				}
			})
		}
		racers.Wait()
		w.want("webhooks", len(secrets), 1)
		other := ask
		other.URL = "https://b.test/"
		_, _, err := h.Create(w.t.Context(), other)
		w.want("another request", allocator.CodeOf(err), allocator.CodeIdempotencyMismatch)
		other.Caller.Client = "another"
		if _, _, err := h.Create(w.t.Context(), other); err != nil {
			t.Error(err)
		}
		_, _, err = h.Create(w.t.Context(), Creation{Caller: ofA, Settings: ask.Settings})
		w.want("one too many", allocator.CodeOf(err), allocator.CodeWebhookLimit)
		other.After, other.Caller, other.IdempotencyKey = "nonsense", ofB, ""
		_, _, err = h.Create(w.t.Context(), other)
		w.want("not a cursor", allocator.CodeOf(err), allocator.CodeInvalid)
	})
}

func TestCheckURL(t *testing.T) {
	inWorld(t, func(w *world) {
		careful, _, _ := w.server()
		lenient, _, _ := w.server(func(o *Options) { o.AllowPrivate = true })
		for url, want := range map[string][2]bool{
			"https://example.org/x?y=z": {true, true}, "https://example.org:8443": {true, true}, "https://8.8.8.8/": {true, true},
			"http://example.org/": {false, true}, "https://127.0.0.1/": {false, true}, "https://[::1]/": {false, true}, "https://[fd00::1]:1/": {false, true},
			"https://169.254.169.254/latest": {false, true}, "https://[::ffff:10.0.0.1]/": {false, true},
			"ftp://example.org/": {}, "https://": {}, "https://:443/": {}, "https://user@example.org/": {}, "https://example.org/#x": {}, "example.org": {}, "": {},
			"https://example.org/" + strings.Repeat("x", MaxURLBytes): {},
		} {
			w.want(url, [2]bool{careful.CheckURL(url) == "", lenient.CheckURL(url) == ""}, want)
		}
	})
}

func TestTest(t *testing.T) {
	inWorld(t, func(w *world) {
		h, _, _ := w.server()
		made, e := w.subscribe(h, ofA, "a.test", func(s *Settings) { s.Disabled = true })
		try := func() Attempt {
			a, err := h.Test(w.t.Context(), ofA, made.ID)
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
		w.want("taken", try(), Attempt{Delivered: true, Status: 200})
		w.want("what came", string(e.took()[0].body[:len(`{"type":"webhook.test"`)]), `{"type":"webhook.test"`)
		e.answers(status(404))
		w.want("refused", try(), Attempt{Status: 404, Problem: "the endpoint answered 404"})
		e.answers(func(ctx context.Context, _ received) (int, http.Header) { <-ctx.Done(); return 0, nil })
		w.want("silent", try(), Attempt{Took: testTime, Problem: "the endpoint did not answer in time"})
		time.Sleep(time.Hour)
		w.want("tries", len(e.asked()), 3)
		w.want("ids", e.asked()[0].id != e.asked()[1].id, true)
	})
}

// Over a real network: addresses of this machine are called only where that is allowed, and redirects never.
func TestRealNetwork(t *testing.T) {
	asked := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked[r.URL.Path]++
		if r.URL.Path == "/redirect" {
			http.Redirect(rw, r, "/trap", http.StatusTemporaryRedirect)
		}
	}))
	defer server.Close()
	m := message{id: "msg_1", body: func() ([]byte, error) { return body("x", time.Now(), nil) }}
	for _, c := range []struct {
		private   bool
		path      string
		delivered bool
		problem   string
	}{
		{true, "/in", true, ""}, {true, "/redirect", false, "the endpoint answered 307"},
		{false, "/in", false, "the URL's host is not known, or not on the public internet"},
	} {
		s := newSender(Options{AllowPrivate: c.private}.withDefaults().Transport, time.Now)
		at := strings.Replace(server.URL, "127.0.0.1", "localhost", 1) + c.path
		_, f, err := s.send(t.Context(), at, [][]byte{{1}}, &m)
		if err != nil || (f == nil) != c.delivered || f != nil && f.problem != c.problem {
			t.Errorf("%+v: %+v, %v", c, f, err)
		}
	}
	if asked["/in"] != 1 || asked["/redirect"] != 1 || asked["/trap"] != 0 {
		t.Errorf("asked: %v", asked)
	}
}
