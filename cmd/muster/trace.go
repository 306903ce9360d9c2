package main

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"muster/cmd/muster/tracing"
)

// traceFlags say where traces go.
type traceFlags struct {
	OtlpEndpoint string  `name:"otlp-endpoint" placeholder:"URL" help:"OTLP/HTTP collector for OpenTelemetry traces, such as http://localhost:4318; none: nothing is traced."`
	TraceRatio   float64 `default:"0.01" help:"With --otlp-endpoint: the share of traces that are sent, 0 to 1 (${default}); callers' own traces are as they decided."`
}

func (f traceFlags) options() tracing.Options {
	return tracing.Options{Endpoint: f.OtlpEndpoint, Ratio: f.TraceRatio, Version: cmp.Or(version, "devel")}
}

func (f traceFlags) check() error {
	if f.OtlpEndpoint == "" {
		return nil
	}
	if err := f.options().Validate(); err != nil {
		return usage("--otlp-endpoint, --trace-ratio: %w", err)
	}
	return nil
}

// start makes the tracer; nil where nothing is to be traced.
func (f traceFlags) start(ctx context.Context, log *slog.Logger) (*tracing.Tracer, error) {
	if f.OtlpEndpoint == "" {
		return nil, nil
	}
	o := f.options()
	o.Failed = func(err error) { log.Warn("traces could not be sent", "error", err) }
	return tracing.New(ctx, o)
}

// traceFlush is how long the server waits at its end for a collector that does not answer.
const traceFlush = 3 * time.Second

// stopTracing sends what is left. Traces that are lost do not make a run a failure.
func stopTracing(t *tracing.Tracer, log *slog.Logger) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), traceFlush)
	defer cancel()
	if err := t.Stop(ctx); err != nil {
		log.Warn("the last traces could not be sent", "error", err)
	}
}
