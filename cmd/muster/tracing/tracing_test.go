package tracing

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// recording makes a tracer whose spans are kept.
func recording(t *testing.T, ratio float64) (*Tracer, *tracetest.InMemoryExporter) {
	t.Helper()
	kept := tracetest.NewInMemoryExporter()
	tracer := newTracer(Options{Ratio: ratio}, sdk.WithSyncer(kept))
	t.Cleanup(func() {
		if err := tracer.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return tracer, kept
}

const (
	parentTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	parentSpan  = "00f067aa0ba902b7"
	sampled     = "00-" + parentTrace + "-" + parentSpan + "-01"
	unsampled   = "00-" + parentTrace + "-" + parentSpan + "-00"
)

// only finds the one span that was kept.
func only(t *testing.T, kept *tracetest.InMemoryExporter) tracetest.SpanStub {
	t.Helper()
	spans := kept.GetSpans()
	if len(spans) != 1 {
		t.Fatalf("%d spans, want one", len(spans))
	}
	kept.Reset()
	return spans[0]
}

// has compares all attributes of a span.
func has(t *testing.T, span tracetest.SpanStub, want map[string]any) {
	t.Helper()
	got := make(map[string]any)
	for _, a := range span.Attributes {
		got[string(a.Key)] = a.Value.AsInterface()
	}
	for name, value := range want {
		if n, ok := value.(int); ok {
			value = int64(n)
		}
		if got[name] != value {
			t.Errorf("%s: %s is %v, want %v", span.Name, name, got[name], value)
		}
		delete(got, name)
	}
	if len(got) != 0 || len(span.Events) != 0 || len(span.Links) != 0 {
		t.Errorf("%s also has %v %v %v", span.Name, got, span.Events, span.Links)
	}
}

func TestSpanOfRequest(t *testing.T) {
	tracer, kept := recording(t, 1)
	tracer.Span("createHold", "POST", "/v1/holds", sampled)(409, "SLOT_FULL")
	span := only(t, kept)
	has(t, span, map[string]any{
		"http.request.method": "POST", "http.route": "/v1/holds", "http.response.status_code": 409, "muster.code": "SLOT_FULL",
	})
	if span.Name != "createHold" || span.SpanKind != trace.SpanKindServer || span.Status.Code != codes.Unset {
		t.Errorf("%+v", span)
	}
	if p := span.Parent; p.TraceID().String() != parentTrace || p.SpanID().String() != parentSpan || !p.IsRemote() {
		t.Errorf("the parent is %v", p)
	}

	tracer.Span("unknown", "_OTHER", "-", "")(503, "OVERLOADED")
	span = only(t, kept)
	has(t, span, map[string]any{"http.request.method": "_OTHER", "http.response.status_code": 503, "muster.code": "OVERLOADED"})
	if span.Status.Code != codes.Error || span.Status.Description != "" || span.Parent.IsValid() {
		t.Errorf("%+v", span)
	}
}

// A caller's header decides only where it is well-formed.
func TestSampling(t *testing.T) {
	for _, c := range []struct {
		ratio  float64
		header string
		kept   int
		parent bool
	}{
		{0, "", 0, false}, {1, "", 1, false}, {0, sampled, 1, true}, {1, unsampled, 0, true}, {0, unsampled, 0, true},
		{1, "00-nonsense", 1, false}, {0, "00-nonsense", 0, false}, {1, "00-" + parentTrace + "-0000000000000000-01", 1, false},
	} {
		tracer, kept := recording(t, c.ratio)
		tracer.Span("getSite", "GET", "/v1/sites/{siteId}", c.header)(200, "OK")
		spans := kept.GetSpans()
		if len(spans) != c.kept {
			t.Errorf("ratio %v and header %q: %d spans, want %d", c.ratio, c.header, len(spans), c.kept)
		} else if c.kept == 1 && spans[0].Parent.IsValid() != c.parent {
			t.Errorf("ratio %v and header %q: parent %v, want one: %v", c.ratio, c.header, spans[0].Parent, c.parent)
		}
	}
}

func TestOptions(t *testing.T) {
	for endpoint, want := range map[string]string{
		"http://localhost:4318": "http://localhost:4318/v1/traces", "http://localhost:4318/": "http://localhost:4318/v1/traces",
		"https://collector/at/v1/traces": "https://collector/at/v1/traces",
		"":                               "", "localhost:4318": "", "grpc://localhost:4317": "", "http://": "", "http://a:b@localhost": "", "http://local host": "",
	} {
		got, err := Options{Endpoint: endpoint}.collector()
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v, want %q", endpoint, got, err, want)
		}
	}
	for _, ratio := range []float64{-0.1, 1.1, math.NaN(), math.Inf(1)} {
		o := Options{Endpoint: "http://localhost", Ratio: ratio}
		if o.Validate() == nil {
			t.Errorf("the ratio %v is taken", ratio)
		}
		if tracer, err := New(t.Context(), o); err == nil {
			t.Errorf("a tracer of the ratio %v: %v", ratio, tracer)
		}
	}
}

// A collector that does not answer keeps the program at its end for as long as it is given.
func TestStopIsBounded(t *testing.T) {
	asked, done := make(chan struct{}, 8), make(chan struct{})
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-done
	}))
	defer collector.Close()
	defer close(done)
	tracer, err := New(t.Context(), Options{Endpoint: collector.URL, Ratio: 1})
	if err != nil {
		t.Fatal(err)
	}
	tracer.Span("getSite", "GET", "/v1/sites/{siteId}", "")(200, "OK")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	if err := tracer.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Stop answers %v, want that its time was over", err)
	}
}

// What an operator says of the program by the standard environment counts.
func TestResource(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "nonsense")
	if _, err := New(t.Context(), Options{Endpoint: "http://localhost"}); err == nil {
		t.Error("nonsense in OTEL_RESOURCE_ATTRIBUTES is taken")
	}
}
