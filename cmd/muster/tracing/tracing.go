// Package tracing sends OpenTelemetry traces of what a server does: a span for each request, and one for each batch that
// goes to the inventory or to the ledger.
//
// Spans carry closed lists only (operations, routes, statuses, codes, kinds of failure) and numbers: never a path as it was
// asked for, a token, a reference, an idempotency key, a person, or the text of an error, which may quote any of them.
//
// A program that does not trace makes no Tracer, wraps no port, and pays nothing.
package tracing

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Options say where traces go and how many there are.
type Options struct {
	// Endpoint is the http or https URL of an OTLP collector; without a path, /v1/traces is meant. Headers, certificates and
	// time-outs are those of the OTEL_EXPORTER_OTLP_* environment, which has credentials too: the URL must have none.
	Endpoint string
	Ratio    float64 // of traces that begin here, 0 … 1; one that a caller began is as the caller decided
	Version  string  // the program's
	// Failed is told of spans that could not be sent; nil: nobody is. The library has one such place for the whole process,
	// so the latest tracer's counts. Concurrent calls are possible.
	Failed func(error)
}

// Validate says what is wrong with the options.
func (o Options) Validate() error {
	_, err := o.collector()
	if !(o.Ratio >= 0 && o.Ratio <= 1) { // so that NaN is refused
		err = errors.Join(err, fmt.Errorf("the ratio of traces %v is not within 0 and 1", o.Ratio))
	}
	return err
}

// collector is the URL that spans are posted to. Errors do not repeat it.
func (o Options) collector() (string, error) {
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", errors.New("the collector's endpoint is not a URL such as http://localhost:4318")
	}
	if u.User != nil {
		return "", errors.New("the collector's endpoint has credentials: give them by OTEL_EXPORTER_OTLP_HEADERS")
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = "/v1/traces"
	}
	return u.String(), nil
}

// Tracer makes spans. Safe for concurrent use. It never waits for the collector: spans that cannot be sent in time are
// dropped.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// New makes a tracer that sends its spans to the collector, which need not answer yet. The caller stops it.
func New(ctx context.Context, o Options) (*Tracer, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	collector, err := o.collector()
	if err != nil {
		return nil, err
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(collector))
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	described, err := resource.New(ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", "muster"), attribute.String("service.version", o.Version)),
		resource.WithFromEnv()) // last, so that OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES have their way
	if err != nil {
		return nil, errors.Join(fmt.Errorf("traces: OTEL_RESOURCE_ATTRIBUTES: %w", err), exporter.Shutdown(ctx))
	}
	failed := o.Failed
	if failed == nil {
		failed = func(error) {}
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(failed))
	return newTracer(o, sdk.WithBatcher(exporter), sdk.WithResource(described)), nil
}

func newTracer(o Options, more ...sdk.TracerProviderOption) *Tracer {
	provider := sdk.NewTracerProvider(append(more, sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(o.Ratio))))...)
	return &Tracer{provider, provider.Tracer("muster", trace.WithInstrumentationVersion(o.Version))}
}

// Stop sends what is left, until ctx ends, and makes no more spans.
func (t *Tracer) Stop(ctx context.Context) error { return t.provider.Shutdown(ctx) }

// Span begins the span of a request, whose parent is in the W3C header traceparent where that is well-formed, and answers
// what ends it: to be called once, with the HTTP status and the problem code of the reply.
func (t *Tracer) Span(operation, method, route, traceparent string) func(status int, code string) {
	ctx := context.Background()
	if traceparent != "" { // never tracestate, in which there may be anything
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent})
	}
	_, span := t.tracer.Start(ctx, operation, trace.WithSpanKind(trace.SpanKindServer))
	if !span.IsRecording() {
		return func(int, string) { span.End() }
	}
	span.SetAttributes(attribute.String("http.request.method", method))
	if strings.HasPrefix(route, "/") { // what no route answers has none
		span.SetAttributes(attribute.String("http.route", route))
	}
	return func(status int, code string) {
		span.SetAttributes(attribute.Int("http.response.status_code", status), attribute.String("muster.code", code))
		if status >= 500 {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}
