package tracing

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"muster/allocator"
)

// noShard marks the calls of a ledger, which has none.
const noShard = -1

// batch begins the span of a call that carries items of many requests. It is a root of its own: none of them is its parent.
func (t *Tracer) batch(name string, shard, items int) trace.Span {
	_, span := t.tracer.Start(context.Background(), name, trace.WithSpanKind(trace.SpanKindClient))
	if span.IsRecording() {
		span.SetAttributes(attribute.Int("muster.items", items))
		if shard != noShard {
			span.SetAttributes(attribute.Int("muster.shard", shard))
		}
	}
	return span
}

// end ends a batch's span with the kind of its failure.
func end(span trace.Span, err error) {
	if err != nil && span.IsRecording() {
		span.SetAttributes(attribute.String("error.type", kindOf(err)))
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

// kinds names failures as the label kind of the metrics muster_PORT_errors_total does; the first that fits is the kind.
var kinds = []struct {
	err  error
	name string
}{
	{allocator.ErrOutcomeUnknown, "outcome_unknown"},
	{allocator.ErrIncarnationLost, "incarnation_lost"},
	{allocator.ErrEpochStale, "epoch_stale"},
	{allocator.ErrIdentitySuperseded, "identity_superseded"},
	{allocator.ErrSchema, "schema"},
	{context.Canceled, "cancelled"},
	{context.DeadlineExceeded, "deadline"},
	{allocator.ErrUnavailable, "unavailable"},
}

func kindOf(err error) string {
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return k.name
		}
	}
	return "other"
}
