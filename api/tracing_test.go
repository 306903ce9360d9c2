package api

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"muster/allocator"
)

// spans is a tracer that writes down what it is told, one line for each span that ended.
type spans struct {
	mu    sync.Mutex
	begun int
	ended []string
}

func (s *spans) Span(operation, method, route, traceparent string) func(status int, code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun++
	return func(status int, code string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ended = append(s.ended, fmt.Sprintf("%s %s %s %q: %d %s", operation, method, route, traceparent, status, code))
	}
}

// Every request has one span that ends once with what was answered, however it went; nothing that the client chose is in it
// but the header.
func TestRequestsAreTraced(t *testing.T) {
	engine := &fake{site: func(context.Context, allocator.SiteID) (allocator.Site, error) { panic("internals") }}
	tracer := new(spans)
	w := serve(t, Options{Dev: true, Tracer: tracer}, engine)
	w.call("POST", "/v1/holds", goodHold, "Traceparent", "00-a-b-01", "Tracestate", "not=taken").wants(201)
	w.call("HEAD", "/v1/services", "", "Traceparent", "one", "Traceparent", "two").wants(200)
	w.call("GET", "/v1/sites/A", "").refused(500, allocator.CodeInternal)
	w.call("GET", "/v1/nothing/9990000018", "").refused(404, CodeNotFound)
	w.call("P9990000018", "/v1/holds", "").refused(405, CodeMethodNotAllowed)
	w.call("OPTIONS", "/v1/holds", "").wants(204)
	w.staff("POST", "/v1/capacity", dayLine("A", "2027-06-01")+"\n", "Content-Type", "application/x-ndjson").wants(200)
	w.call("GET", "/v1/events", "").refused(401, allocator.CodeUnauthorised)
	if err := w.server.Shutdown(t.Context()); err != nil { // after which all have ended
		t.Fatal(err)
	}
	want := []string{
		`createHold POST /v1/holds "00-a-b-01": 201 OK`,
		`listServices HEAD /v1/services "": 200 OK`,
		`getSite GET /v1/sites/{siteId} "": 500 INTERNAL`,
		`unknown GET - "": 404 NOT_FOUND`,
		`unknown _OTHER - "": 405 METHOD_NOT_ALLOWED`,
		`options OPTIONS - "": 204 OK`,
		`uploadCapacity POST /v1/capacity "": 200 OK`,
		`listEvents GET /v1/events "": 401 UNAUTHORISED`,
	}
	tracer.mu.Lock()
	defer tracer.mu.Unlock()
	slices.Sort(want)
	slices.Sort(tracer.ended)
	if !slices.Equal(tracer.ended, want) || tracer.begun != len(want) {
		t.Errorf("%d spans begun, and ended:\n%q\nwant\n%q", tracer.begun, tracer.ended, want)
	}
}
