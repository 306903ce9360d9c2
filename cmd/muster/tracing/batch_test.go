package tracing

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"muster/allocator"
	"muster/allocator/observed"
)

// answering is both ports; its batches answer what they are told, and all else is not there.
type answering struct {
	allocator.Inventory
	allocator.Ledger
	err error
}

func (a answering) Hold(_ context.Context, _ int, _ int64, items []allocator.HoldItem) ([]allocator.HoldResult, error) {
	return make([]allocator.HoldResult, len(items)), a.err
}

func (a answering) Pin(_ context.Context, _ int, _ int64, items []allocator.PinItem) ([]allocator.PinResult, error) {
	return make([]allocator.PinResult, len(items)), a.err
}

func (a answering) Reseat(context.Context, int, int64, allocator.ReseatItem) (allocator.ReseatResult, error) {
	return allocator.ReseatResult{Outcome: allocator.HoldFull}, a.err
}

func (a answering) Settle(_ context.Context, _ int, _ int64, items []allocator.SettleItem) ([]allocator.ApplyOutcome, error) {
	return make([]allocator.ApplyOutcome, len(items)), a.err
}

func (a answering) Free(_ context.Context, _ int, _ int64, items []allocator.FreeItem) ([]allocator.ApplyOutcome, error) {
	return make([]allocator.ApplyOutcome, len(items)), a.err
}

func (a answering) Record(_ context.Context, items []allocator.Recording) ([]allocator.RecordResult, error) {
	return make([]allocator.RecordResult, len(items)), a.err
}

func (a answering) Void(_ context.Context, items []allocator.Voiding) ([]allocator.RecordResult, error) {
	return make([]allocator.RecordResult, len(items)), a.err
}

// batches calls each traced method with its number of items.
var batches = []struct {
	span  string
	items int
	call  func(ctx context.Context, i allocator.Inventory, l allocator.Ledger) (any, error)
}{
	{"inventory.Hold", 2, func(ctx context.Context, i allocator.Inventory, _ allocator.Ledger) (any, error) {
		return i.Hold(ctx, 3, 1, make([]allocator.HoldItem, 2))
	}},
	{"inventory.Pin", 3, func(ctx context.Context, i allocator.Inventory, _ allocator.Ledger) (any, error) {
		return i.Pin(ctx, 3, 1, make([]allocator.PinItem, 3))
	}},
	{"inventory.Reseat", 1, func(ctx context.Context, i allocator.Inventory, _ allocator.Ledger) (any, error) {
		return i.Reseat(ctx, 3, 1, allocator.ReseatItem{})
	}},
	{"inventory.Settle", 4, func(ctx context.Context, i allocator.Inventory, _ allocator.Ledger) (any, error) {
		return i.Settle(ctx, 3, 1, make([]allocator.SettleItem, 4))
	}},
	{"inventory.Free", 5, func(ctx context.Context, i allocator.Inventory, _ allocator.Ledger) (any, error) {
		return i.Free(ctx, 3, 1, make([]allocator.FreeItem, 5))
	}},
	{"ledger.Record", 6, func(ctx context.Context, _ allocator.Inventory, l allocator.Ledger) (any, error) {
		return l.Record(ctx, make([]allocator.Recording, 6))
	}},
	{"ledger.Void", 7, func(ctx context.Context, _ allocator.Inventory, l allocator.Ledger) (any, error) {
		return l.Void(ctx, make([]allocator.Voiding, 7))
	}},
}

// Each batch is a root with its size and its kind of failure, and nothing that the failure says; answers stay as they are.
func TestBatches(t *testing.T) {
	tracer, kept := recording(t, 1)
	around := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled,
	}))
	for _, b := range batches {
		for _, failure := range []error{nil, fmt.Errorf("person 9990000018: %w", allocator.ErrOutcomeUnknown), errors.New("person 9990000018")} {
			plain := answering{err: failure}
			want, _ := b.call(around, plain, plain)
			got, err := b.call(around, tracer.Inventory(plain), tracer.Ledger(plain))
			if err != failure || !reflect.DeepEqual(got, want) {
				t.Errorf("%s answers %v, %v, want %v, %v", b.span, got, err, want, failure)
			}
			span := only(t, kept)
			attributes, code := map[string]any{"muster.items": b.items}, codes.Unset
			if strings.HasPrefix(b.span, "inventory.") {
				attributes["muster.shard"] = 3
			}
			if failure != nil {
				attributes["error.type"], code = observed.KindOf(failure), codes.Error
			}
			has(t, span, attributes)
			if span.Name != b.span || span.SpanKind != trace.SpanKindClient || span.Parent.IsValid() {
				t.Errorf("%s: %+v", b.span, span)
			}
			if span.Status.Code != code || span.Status.Description != "" {
				t.Errorf("%s has the status %+v after %v", b.span, span.Status, failure)
			}
		}
	}
}

func TestKinds(t *testing.T) {
	for want, err := range map[string]error{
		"outcome_unknown": fmt.Errorf("commit: %w", allocator.ErrOutcomeUnknown), "unavailable": allocator.ErrUnavailable,
		"deadline": fmt.Errorf("%w: %w", allocator.ErrUnavailable, context.DeadlineExceeded), "other": errors.New("else"),
	} {
		if got := observed.KindOf(err); got != want {
			t.Errorf("%v is %s, want %s", err, got, want)
		}
	}
}
