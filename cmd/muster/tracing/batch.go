package tracing

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"muster/allocator/observed"
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
		span.SetAttributes(attribute.String("error.type", observed.KindOf(err)))
		span.SetStatus(codes.Error, "")
	}
	span.End()
}
