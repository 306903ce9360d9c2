package tracing

import (
	"context"

	"muster/allocator"
)

// ledger makes a span for each batch; all other calls go straight to the ledger within.
type ledger struct {
	allocator.Ledger
	tracer *Tracer
}

// Ledger gives a ledger that answers exactly as next does, and traces its batches.
func (t *Tracer) Ledger(next allocator.Ledger) allocator.Ledger { return &ledger{next, t} }

func (l *ledger) Record(ctx context.Context, items []allocator.Recording) ([]allocator.RecordResult, error) {
	span := l.tracer.batch("ledger.Record", noShard, len(items))
	results, err := l.Ledger.Record(ctx, items)
	end(span, err)
	return results, err
}

func (l *ledger) Void(ctx context.Context, items []allocator.Voiding) ([]allocator.RecordResult, error) {
	span := l.tracer.batch("ledger.Void", noShard, len(items))
	results, err := l.Ledger.Void(ctx, items)
	end(span, err)
	return results, err
}
