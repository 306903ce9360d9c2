package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"

	"muster/admission"
	"muster/allocator"
)

// ask sends a request to a server's handler, without a network.
func ask(handler fasthttp.RequestHandler, method, path, body string, headers ...string) *fasthttp.Response {
	var ctx fasthttp.RequestCtx
	var r fasthttp.Request
	r.Header.SetMethod(method)
	r.SetRequestURI(path)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if body != "" {
		r.Header.SetContentType("application/json")
		r.SetBodyString(body)
	}
	ctx.Init(&r, nil, nil)
	handler(&ctx)
	return &ctx.Response
}

// stuck is an engine whose holds and searches hang until they are let go, and whose other answers come at once.
func stuck() (engine *fake, letGo func()) {
	engine = &fake{}
	release := make(chan struct{})
	engine.hold = func(ctx context.Context, _ allocator.HoldRequest) (allocator.Hold, error) {
		<-release
		return allocator.Hold{Token: "h1.t"}, nil
	}
	engine.search = func(context.Context, allocator.SearchRequest) (allocator.SearchReply, error) {
		<-release
		return allocator.SearchReply{}, nil
	}
	return engine, func() { close(release) }
}

const aSearch = "/v1/sites?lat=53.8&lon=-1.5&service=RSV:Adult"

// TestThoseInsideFinish: while nothing is left for holds and searches, which are refused with a reason and a time to come back,
// whoever is inside confirms, releases, looks up and cancels as ever.
func TestThoseInsideFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine, letGo := stuck()
		few := Gate{Concurrency: 2, Queue: 1, Wait: time.Minute, Target: time.Second}
		s, err := New(Options{Admission: Admission{Hold: few, Search: few}}, engine)
		if err != nil {
			t.Fatal(err)
		}
		handler := s.router()
		for range 4 {
			go ask(handler, "POST", "/v1/holds", goodHold)
			go ask(handler, "GET", aSearch, "")
		}
		synctest.Wait()
		for range 20 {
			for _, r := range []*fasthttp.Response{ask(handler, "POST", "/v1/holds", goodHold), ask(handler, "GET", aSearch, "")} {
				after := string(r.Header.Peek("Retry-After"))
				if r.StatusCode() != 503 || !strings.Contains(string(r.Body()), `"code":"OVERLOADED"`) || after == "" || after == "0" {
					t.Fatalf("%d after %q: %s", r.StatusCode(), after, r.Body())
				}
			}
			token, booking := []string{"Authorization", "Manage T"}, "/v1/bookings/"+someKey.Reference()
			for _, r := range []*fasthttp.Response{
				ask(handler, "POST", "/v1/holds/h1.x/confirm", `{"people":[`+goodPerson+`]}`), ask(handler, "GET", booking, "", token...),
				ask(handler, "POST", booking+"/cancel", "", token...),
			} {
				if r.StatusCode()/100 != 2 {
					t.Fatalf("%d: %s", r.StatusCode(), r.Body())
				}
			}
		}
		letGo()
		synctest.Wait()
		for _, state := range s.house.gate.States() {
			if state.Running != 0 || state.Queued != 0 {
				t.Errorf("%+v", state)
			}
		}
	})
}

// TestNoHoldsWhileConfirmsWait: where confirms wait for the ledger, a new hold would only be the next that waits.
func TestNoHoldsWhileConfirmsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := &fake{}
		release := make(chan struct{})
		engine.confirm = func(context.Context, allocator.ConfirmRequest) ([]allocator.BookingView, error) {
			<-release
			return []allocator.BookingView{someBooking()}, nil
		}
		s, err := New(Options{Admission: Admission{Finish: Gate{Concurrency: 1, Queue: 10}}}, engine)
		if err != nil {
			t.Fatal(err)
		}
		handler := s.router()
		confirmed := make(chan int, 2)
		for range 2 {
			go func() {
				confirmed <- ask(handler, "POST", "/v1/holds/h1.x/confirm", `{"people":[`+goodPerson+`]}`).StatusCode()
			}()
		}
		synctest.Wait()
		if r := ask(handler, "POST", "/v1/holds", goodHold); r.StatusCode() != 503 {
			t.Errorf("a hold was granted: %d", r.StatusCode())
		}
		if r := ask(handler, "GET", aSearch, ""); r.StatusCode() != 200 {
			t.Errorf("a search found its reserve taken: %d %s", r.StatusCode(), r.Body())
		}
		close(release)
		if a, b := <-confirmed, <-confirmed; a != 201 || b != 201 {
			t.Errorf("confirms %d and %d", a, b)
		}
		if r := ask(handler, "POST", "/v1/holds", goodHold); r.StatusCode() != 201 {
			t.Errorf("%d", r.StatusCode())
		}
	})
}

// TestRefusalsComeBeforeWork: a request for which there is no room is answered before its body is read.
func TestRefusalsComeBeforeWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine, letGo := stuck()
		s, err := New(Options{Admission: Admission{Hold: Gate{Concurrency: 1, Queue: 1, Wait: time.Minute, Target: time.Second}}}, engine)
		if err != nil {
			t.Fatal(err)
		}
		handler := s.router()
		for range 2 {
			go ask(handler, "POST", "/v1/holds", goodHold)
		}
		synctest.Wait()
		if r := ask(handler, "POST", "/v1/holds", "no JSON at all"); r.StatusCode() != 503 {
			t.Errorf("%d: the body was looked at", r.StatusCode())
		}
		letGo()
		synctest.Wait()
		if r := ask(handler, "POST", "/v1/holds", "no JSON at all"); r.StatusCode() != 400 {
			t.Errorf("%d", r.StatusCode())
		}
	})
}

// TestRetryAfterIsSpread: people who are refused together are not sent back together, and nobody before it makes sense.
func TestRetryAfterIsSpread(t *testing.T) {
	s, err := New(Options{}, &fake{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		code        allocator.Code
		status      int
		base        time.Duration
		least, most int
	}{
		{allocator.CodeOverloaded, 503, 0, 1, 2}, {allocator.CodeOverloaded, 503, 8 * time.Second, 8, 12}, {allocator.CodeLedgerUnavailable, 503, 1500 * time.Millisecond, 2, 3},
		{allocator.CodeRateLimited, 429, time.Minute, 60, 90}, {allocator.CodeInProgress, 409, time.Second, 1, 1}, {allocator.CodeSlotFull, 409, 0, 0, 0},
	} {
		seen := make(map[int]bool)
		for range 500 {
			seen[s.retryAfter(&allocator.Error{Code: c.code, RetryAfter: c.base}, c.status)] = true
		}
		for after := range seen {
			if after < c.least || after > c.most {
				t.Errorf("%s of %v: %d s, want %d to %d", c.code, c.base, after, c.least, c.most)
			}
		}
		if len(seen) != c.most-c.least+1 {
			t.Errorf("%s of %v: only %v", c.code, c.base, seen)
		}
	}
}

// TestSurgesAreLoggedInPart: the log has no line for each who is refused at a dead dependency, and the counters have all.
func TestSurgesAreLoggedInPart(t *testing.T) {
	engine := &fake{}
	engine.hold = func(context.Context, allocator.HoldRequest) (allocator.Hold, error) {
		return allocator.Hold{}, &allocator.Error{Code: allocator.CodeUnavailable, Cause: context.DeadlineExceeded}
	}
	now := time.Unix(1_800_000_000, 0)
	w := serve(t, Options{Now: func() time.Time { return now }}, engine)
	for range 300 {
		w.call("POST", "/v1/holds", goodHold).wants(http.StatusServiceUnavailable)
	}
	families, err := w.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if all := fmt.Sprint(families); !strings.Contains(all, "counter:{value:300") {
		t.Errorf("not all are counted: %s", all)
	}
	if lines := strings.Count(w.logs.String(), "\n"); lines != busyLines.Burst {
		t.Errorf("%d lines of 300 refusals in one moment, want %d", lines, busyLines.Burst)
	}
}

// TestAdmissionIsShown: how the classes stand, at every scrape.
func TestAdmissionIsShown(t *testing.T) {
	w := serve(t, Options{}, &fake{})
	families, err := w.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	shown := make(map[string]int)
	for _, f := range families {
		shown[f.GetName()] = len(f.GetMetric())
	}
	for name, samples := range map[string]int{
		"muster_admission_in_flight": int(classes), "muster_admission_queued": int(classes), "muster_admission_limit": int(classes),
		"muster_admission_dropped_total": int(classes) * len(admission.Reasons),
	} {
		if shown[name] != samples {
			t.Errorf("%d samples of %s, want %d", shown[name], name, samples)
		}
	}
}
