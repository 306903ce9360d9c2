package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"muster/allocator"
)

// collector receives what servers export, over OTLP.
type collector struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
	raw      bytes.Buffer // all that was received
	resource []*commonv1.KeyValue
	spans    []*tracev1.Span
}

func collect(t *testing.T) *collector {
	t.Helper()
	c := new(collector)
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(r.Body)
		received := new(collectorv1.ExportTraceServiceRequest)
		if err != nil || proto.Unmarshal(data, received) != nil {
			t.Errorf("what was exported cannot be read: %v", err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.requests = append(c.requests, r)
		c.raw.Write(data)
		for _, from := range received.ResourceSpans {
			c.resource = from.Resource.Attributes
			for _, scope := range from.ScopeSpans {
				c.spans = append(c.spans, scope.Spans...)
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(c.Close)
	return c
}

// named finds the spans of one name.
func (c *collector) named(name string) []*tracev1.Span {
	return slices.DeleteFunc(slices.Clone(c.spans), func(s *tracev1.Span) bool { return s.Name != name })
}

// attributesOf writes attributes as text, to be compared.
func attributesOf(all []*commonv1.KeyValue) map[string]string {
	found := make(map[string]string)
	for _, a := range all {
		switch v := a.Value.Value.(type) {
		case *commonv1.AnyValue_StringValue:
			found[a.Key] = v.StringValue
		case *commonv1.AnyValue_IntValue:
			found[a.Key] = fmt.Sprint(v.IntValue)
		default:
			found[a.Key] = fmt.Sprintf("%T", v)
		}
	}
	return found
}

// wants looks for attributes among those given.
func wants(t *testing.T, what string, all []*commonv1.KeyValue, pairs ...string) {
	t.Helper()
	found := attributesOf(all)
	for i := 0; i+1 < len(pairs); i += 2 {
		if found[pairs[i]] != pairs[i+1] {
			t.Errorf("%s: %s is %q, want %q", what, pairs[i], found[pairs[i]], pairs[i+1])
		}
	}
}

const (
	callersTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	callersSpan  = "00f067aa0ba902b7"
	callersRoot  = "00-" + callersTrace + "-" + callersSpan + "-01"
)

// journey holds and confirms, and is refused once; it answers all that no trace may tell.
func journey(t *testing.T, s *server) []string {
	t.Helper()
	s.world("A1", 2)
	hold := s.call("POST", "/v1/holds", claim("A1", soon()), "Traceparent", callersRoot, "Tracestate", "who=statesecret",
		"Idempotency-Key", "keysecret").want(201).text("holdId")
	booked := s.call("POST", "/v1/holds/"+hold+"/confirm", people(person(1)), "Traceparent", callersRoot).want(201)
	reference, manage := booked.text("bookings.0.reference"), booked.text("bookings.0.manageToken")
	s.view(reference, manage).want(200)
	s.call("GET", "/v1/bookings/"+reference+"?dateOfBirth=1948-05-17", nil).want(200)
	s.call("GET", "/v1/nothing/"+person(1), nil).want(404)
	s.call("PERSON"+person(1), "/v1/holds", nil).want(405)
	return []string{hold, reference, manage, person(1), "Ada", "Example", "1948", "statesecret", "keysecret"}
}

// A server that traces tells the collector what it did, and nothing of whom for.
func TestTraces(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1") // the flag counts
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-credentials=letmein")
	c := collect(t)
	s := serve(t, append(embedded(t), "--otlp-endpoint", c.URL, "--trace-ratio", "1")...)
	secrets := journey(t, s)
	s.stop() // which sends the rest

	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.requests {
		if r.Method != "POST" || r.URL.Path != "/v1/traces" || r.Header.Get("X-Credentials") != "letmein" {
			t.Errorf("exported by %s %s %v", r.Method, r.URL, r.Header)
		}
	}
	for _, secret := range secrets {
		if secret == "" || bytes.Contains(c.raw.Bytes(), []byte(secret)) {
			t.Errorf("%q is in what was exported, or is nothing", secret)
		}
	}
	wants(t, "resource", c.resource, "service.name", "muster", "service.version", "devel")
	requestSpans(t, c)
	batchSpans(t, c)
}

func requestSpans(t *testing.T, c *collector) {
	t.Helper()
	for operation, route := range map[string]string{"createHold": "/v1/holds", "confirmHold": "/v1/holds/{holdId}/confirm"} {
		found := c.named(operation)
		if len(found) != 1 {
			t.Fatalf("%d spans of %s", len(found), operation)
		}
		wants(t, operation, found[0].Attributes, "http.request.method", "POST", "http.route", route, "http.response.status_code", "201", "muster.code", "OK")
		if trace, parent := fmt.Sprintf("%x", found[0].TraceId), fmt.Sprintf("%x", found[0].ParentSpanId); trace != callersTrace || parent != callersSpan {
			t.Errorf("%s has the parent %s in %s, want the caller's", operation, parent, trace)
		}
	}
	if found := c.named("getBooking"); len(found) != 2 || len(found[0].ParentSpanId) != 0 {
		t.Errorf("spans of getBooking: %v", found)
	}
	unknown := c.named("unknown")
	if len(unknown) != 2 {
		t.Fatalf("%d spans of unknown routes", len(unknown))
	}
	wants(t, "no route", unknown[0].Attributes, "http.request.method", "GET", "http.response.status_code", "404", "muster.code", "NOT_FOUND", "http.route", "")
	wants(t, "no method", unknown[1].Attributes, "http.request.method", "_OTHER", "http.response.status_code", "405", "muster.code", "METHOD_NOT_ALLOWED")
}

func batchSpans(t *testing.T, c *collector) {
	t.Helper()
	for _, name := range []string{"inventory.Hold", "inventory.Pin", "inventory.Settle", "ledger.Record"} {
		found := c.named(name)
		if len(found) == 0 {
			t.Errorf("no span of %s", name)
			continue
		}
		wants(t, name, found[0].Attributes, "muster.items", "1", "error.type", "")
		if fmt.Sprintf("%x", found[0].TraceId) == callersTrace || len(found[0].ParentSpanId) != 0 {
			t.Errorf("%s is part of another trace: %v", name, found[0])
		}
		if strings.HasPrefix(name, "inventory.") {
			wants(t, name, found[0].Attributes, "muster.shard", "0")
		}
	}
}

// Without the flag nothing is traced, whatever the environment says, and nothing is in the way of requests.
func TestNoTraces(t *testing.T) {
	c := collect(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	s := serve(t, append(embedded(t), "--trace-ratio", "1")...)
	journey(t, s)
	s.stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.requests) != 0 {
		t.Errorf("exported %d times", len(c.requests))
	}
	if tracer, err := new(traceFlags).start(t.Context(), slog.Default()); tracer != nil || err != nil {
		t.Errorf("a tracer without an endpoint: %v, %v", tracer, err)
	}
	if o := new(serveCommand).options(&engine{Allocator: new(allocator.Allocator)}, nil); o.Tracer != nil {
		t.Errorf("the server's tracer is %v, want none", o.Tracer)
	}
}

// A collector that is not there costs spans, and neither requests nor the exit code.
func TestNoCollector(t *testing.T) {
	c := httptest.NewServer(nil)
	c.Close()
	s := serve(t, append(embedded(t), "--otlp-endpoint", c.URL, "--trace-ratio", "1")...)
	journey(t, s)
	s.stop()
	if !strings.Contains(s.err.String(), "traces could not be sent") {
		t.Errorf("the log does not tell: %s", s.err)
	}
}

func TestTraceFlags(t *testing.T) {
	for _, args := range [][]string{
		{"--otlp-endpoint", "localhost:4318"}, {"--otlp-endpoint", "http://user:hidden@localhost"}, {"--otlp-endpoint", "http://localhost", "--trace-ratio", "2"},
	} {
		out := new(output)
		if code := Main(t.Context(), serveArgs(append(embedded(t), args...)), out, out); code != exitUsage || strings.Contains(out.String(), "hidden") {
			t.Errorf("%v: exit %d\n%s", args, code, out)
		}
	}
}
