package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp/fasthttputil"

	"muster/allocator"
)

// TestGracefulShutdown: what is in flight is answered, nothing new is let in, and readiness says so first.
func TestGracefulShutdown(t *testing.T) {
	engine := &fake{}
	entered, release := make(chan struct{}), make(chan struct{})
	engine.hold = func(context.Context, allocator.HoldRequest) (allocator.Hold, error) {
		close(entered)
		<-release
		return allocator.Hold{Token: "h1.late"}, nil
	}
	w := serve(t, Options{}, engine)
	w.call("GET", "/v1/services", "").wants(200) // leaves an idle connection, which must not hold up the shutdown
	c := w.dial()
	c.send(fmt.Sprintf("POST /v1/holds HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(goodHold), goodHold))
	<-entered
	done := make(chan error, 1)
	go func() { done <- w.server.Shutdown(t.Context()) }()
	if err := <-w.served; err != nil {
		t.Errorf("Serve ended with %v", err)
	}
	if !w.server.Draining() {
		t.Error("not draining")
	}
	if conn, err := w.listener.Dial(); err == nil {
		conn.Close()
		t.Error("the listener is still open")
	}
	select {
	case err := <-done:
		t.Errorf("shutdown did not wait: %v", err)
	default:
	}
	close(release)
	a := c.response().wants(201)
	if !strings.Contains(string(a.body), "h1.late") || a.header.Get("Connection") != "close" {
		t.Errorf("%v %s", a.header, a.body)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestShutdownGivesUp(t *testing.T) {
	engine := &fake{}
	entered, release := make(chan struct{}), make(chan struct{})
	engine.search = func(context.Context, allocator.SearchRequest) (allocator.SearchReply, error) {
		close(entered)
		<-release
		return allocator.SearchReply{}, nil
	}
	w := serve(t, Options{}, engine)
	c := w.dial()
	c.send("GET /v1/sites?service=S&postcode=LS1 HTTP/1.1\r\nHost: a\r\n\r\n")
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.server.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(release)
	c.response().wants(200)
}

// TestDrainEndsWaiting: long-polls and uploads end at their next step when the server drains.
func TestDrainEndsWaiting(t *testing.T) {
	engine := &fake{}
	polled := make(chan struct{}, 100)
	engine.events = func(context.Context, string, int) ([]allocator.Event, string, error) {
		polled <- struct{}{}
		return nil, "9", nil
	}
	w := serve(t, Options{Dev: true, PollEvery: time.Hour}, engine)
	poll := w.dial()
	poll.send("GET /v1/events?wait=30&after=9 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer dev\r\n\r\n")
	<-polled
	upload := w.dial()
	line := dayLine("A", "2027-06-01") + "\n"
	upload.send(fmt.Sprintf("POST /v1/capacity HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer dev\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(line), line))
	if b, err := upload.reader.Peek(1); err != nil || b[0] != 'H' {
		t.Fatal(b, err)
	}
	w.server.Drain()
	if a := poll.response().wants(200); string(a.body) != `{"events":[],"next":"9"}` {
		t.Errorf("%s", a.body)
	}
	got := results(t, upload.response().wants(200).body)
	last := got[len(got)-1]
	if last.Problem == nil || last.Problem.Code != allocator.CodeOverloaded || last.Line != len(got) {
		t.Errorf("%+v", got)
	}
}

func TestLongPoll(t *testing.T) {
	engine := &fake{}
	looks := 0
	engine.events = func(_ context.Context, after string, limit int) ([]allocator.Event, string, error) {
		looks++
		if after != "7" || limit != 5 {
			t.Errorf("after %q, limit %d", after, limit)
		}
		if looks < 3 {
			return nil, "7", nil
		}
		return []allocator.Event{{Cursor: "8", Site: "A"}}, "8", nil
	}
	w := serve(t, Options{Dev: true, PollEvery: time.Millisecond}, engine)
	a := w.staff("GET", "/v1/events?after=7&limit=5&wait=30", "").wants(200)
	if looks != 3 || !strings.Contains(string(a.body), `"next":"8"`) {
		t.Errorf("%d looks: %s", looks, a.body)
	}
	looks = 0
	if a := w.staff("GET", "/v1/events?after=7&limit=5", "").wants(200); looks != 1 || string(a.body) != `{"events":[],"next":"7"}` {
		t.Errorf("%d looks: %s", looks, a.body)
	}
}

func TestPanicsCostOneRequest(t *testing.T) {
	engine := &fake{}
	engine.site = func(context.Context, allocator.SiteID) (allocator.Site, error) { panic("9990000018") }
	w := serve(t, Options{}, engine)
	a := w.call("GET", "/v1/sites/A", "", "X-Request-Id", "panic-request")
	a.refused(500, allocator.CodeInternal)
	if all := string(a.body) + w.logs.String(); strings.Contains(all, "9990000018") || !strings.Contains(all, `"requestId":"panic-request"`) ||
		!strings.Contains(all, "TestPanicsCostOneRequest") {
		t.Errorf("reply %s, log %s", a.body, w.logs)
	}
	engine.site = func(context.Context, allocator.SiteID) (allocator.Site, error) {
		panic(make([]int, 1)[len(w.served)+1])
	}
	w.call("GET", "/v1/sites/A", "").refused(500, allocator.CodeInternal)
	if !strings.Contains(w.logs.String(), "index out of range [1] with length 1") {
		t.Errorf("the log does not tell what the runtime said: %s", w.logs)
	}
	w.call("GET", "/v1/services", "").wants(200)
}

func TestInternalErrorsAreLoggedOnly(t *testing.T) {
	engine := &fake{}
	engine.site = func(context.Context, allocator.SiteID) (allocator.Site, error) {
		return allocator.Site{}, fmt.Errorf("wrapped: %w", errors.New("dsn=secret"))
	}
	w := serve(t, Options{}, engine)
	a := w.call("GET", "/v1/sites/A", "")
	a.refused(500, allocator.CodeInternal)
	if strings.Contains(string(a.body), "secret") || !strings.Contains(w.logs.String(), "dsn=secret") {
		t.Errorf("reply %s, log %s", a.body, w.logs)
	}
	engine.site = func(context.Context, allocator.SiteID) (allocator.Site, error) {
		return allocator.Site{}, context.DeadlineExceeded
	}
	w.call("GET", "/v1/sites/A", "").refused(503, allocator.CodeOverloaded)
	engine.hold = func(context.Context, allocator.HoldRequest) (allocator.Hold, error) {
		return allocator.Hold{}, context.DeadlineExceeded
	}
	w.call("POST", "/v1/holds", goodHold).refused(503, allocator.CodeOutcomeUnknown)
}

// TestAdmission: as many as allowed run, as many as allowed wait, and the rest is refused at once; other classes go on.
func TestAdmission(t *testing.T) {
	engine := &fake{}
	entered, release := make(chan struct{}, 10), make(chan struct{})
	engine.hold = func(ctx context.Context, _ allocator.HoldRequest) (allocator.Hold, error) {
		if _, ok := ctx.Deadline(); !ok {
			t.Error("no deadline")
		}
		entered <- struct{}{}
		<-release
		return allocator.Hold{}, nil
	}
	w := serve(t, Options{Admission: Admission{Hold: Gate{Concurrency: 2, Queue: 1, Wait: time.Minute}}}, engine)
	status := make(chan int, 10)
	ask := func() {
		res, err := w.client.Post("http://muster.test/v1/holds", "application/json", strings.NewReader(goodHold))
		if err != nil {
			status <- 0
			return
		}
		res.Body.Close()
		status <- res.StatusCode
	}
	go ask()
	go ask()
	<-entered
	<-entered
	for range 4 {
		go ask()
	}
	for range 3 { // one of the four waits
		if s := <-status; s != 503 {
			t.Errorf("status %d", s)
		}
	}
	w.call("POST", "/v1/holds", goodHold).refused(503, allocator.CodeOverloaded)
	w.call("GET", "/v1/sites/A", "").wants(200)
	close(release)
	for range 3 {
		if s := <-status; s != 201 {
			t.Errorf("status %d", s)
		}
	}
}

// TestNothingPersonalIsLogged plants marks wherever a client can put them, and looks for them in logs and metrics.
func TestNothingPersonalIsLogged(t *testing.T) {
	engine := &fake{}
	engine.confirm = func(context.Context, allocator.ConfirmRequest) ([]allocator.BookingView, error) {
		return nil, &allocator.Error{Code: allocator.CodeLedgerUnavailable, Cause: errors.New("connection refused")}
	}
	w := serve(t, Options{Dev: true}, engine)
	const number, mark = "9000000009", "PLANTED"
	person := strings.NewReplacer("9000000009", number, `"A"`, `"`+mark+`"`).Replace(goodPerson)
	w.call("POST", "/v1/holds/h1."+mark+"/confirm", confirmWith(person), "X-Request-Id", number).refused(503, allocator.CodeLedgerUnavailable)
	w.call("POST", "/v1/holds/h1."+mark+"/confirm", `{"people":[`+person+`,{}]}`).refused(400, allocator.CodeInvalid)
	w.call("GET", "/v1/bookings/"+someKey.Reference(), "", "Authorization", "Manage "+mark).wants(200)
	w.call("GET", "/v1/bookings/"+someKey.Reference()+"?dateOfBirth=1950-02-01", "").wants(200)
	w.call("GET", "/v1/sites?service=S&postcode="+mark, "").wants(200)
	w.call("GET", "/"+mark+"/"+number, "").refused(404, CodeNotFound)
	w.staff("GET", "/v1/sites/A/days/2027-06-01/bookings", "").wants(200)
	families, err := w.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := w.logs.String() + fmt.Sprint(families)
	for _, planted := range []string{number, mark, someKey.Reference(), "1950-02-01", "Alex", "alex@", "Bearer"} {
		if strings.Contains(all, planted) {
			t.Errorf("%q is in logs or metrics", planted)
		}
	}
	if !strings.Contains(all, "connection refused") || !strings.Contains(all, `/v1/bookings/{reference}`) {
		t.Error("the log lacks causes or patterns")
	}
	for _, name := range []string{"muster_http_request_seconds", "muster_http_requests_total"} {
		if !strings.Contains(all, name) {
			t.Errorf("no metric %s", name)
		}
	}
}

func TestOperations(t *testing.T) {
	engine := &fake{missing: []string{"ledger"}}
	w := serve(t, Options{}, engine)
	w.call("GET", "/v1/services", "").wants(200)
	ops := NewOps(w.server, w.metrics)
	listener := fasthttputil.NewInmemoryListener()
	served := make(chan error, 1)
	go func() { served <- ops.Serve(listener) }()
	client := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return listener.Dial() }}}
	get := func(path string, status int) string {
		t.Helper()
		res, err := client.Get("http://ops.test" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != status {
			t.Errorf("%s: %d %v %s", path, res.StatusCode, err, body)
		}
		return string(body)
	}
	get("/healthz", 200)
	if got := get("/readyz", 503); got != `{"missing":["ledger"],"ready":false}` {
		t.Error(got)
	}
	engine.missing = nil
	if got := get("/readyz", 200); got != `{"missing":[],"ready":true}` {
		t.Error(got)
	}
	if got := get("/metrics", 200); !strings.Contains(got, `muster_http_requests_total{code="OK",operation="listServices",status="200"} 1`) {
		t.Error(got)
	}
	get("/debug/pprof/cmdline", 200)
	w.server.Drain()
	if got := get("/readyz", 503); !strings.Contains(got, "shutting down") {
		t.Error(got)
	}
	w.call("GET", "/v1/services", "").wants(200) // draining is not yet stopping
	if err := ops.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}
