package tracing

import (
	"context"

	"muster/allocator"
)

// inventory makes a span for each batch; all other calls go straight to the inventory within.
type inventory struct {
	allocator.Inventory
	tracer *Tracer
}

// Inventory gives an inventory that answers exactly as next does, and traces its batches.
func (t *Tracer) Inventory(next allocator.Inventory) allocator.Inventory { return &inventory{next, t} }

func (i *inventory) Hold(ctx context.Context, shard int, epoch int64, items []allocator.HoldItem) ([]allocator.HoldResult, error) {
	span := i.tracer.batch("inventory.Hold", shard, len(items))
	results, err := i.Inventory.Hold(ctx, shard, epoch, items)
	end(span, err)
	return results, err
}

func (i *inventory) Pin(ctx context.Context, shard int, epoch int64, items []allocator.PinItem) ([]allocator.PinResult, error) {
	span := i.tracer.batch("inventory.Pin", shard, len(items))
	results, err := i.Inventory.Pin(ctx, shard, epoch, items)
	end(span, err)
	return results, err
}

// Reseat is a batch of one.
func (i *inventory) Reseat(ctx context.Context, shard int, epoch int64, item allocator.ReseatItem) (allocator.ReseatResult, error) {
	span := i.tracer.batch("inventory.Reseat", shard, 1)
	result, err := i.Inventory.Reseat(ctx, shard, epoch, item)
	end(span, err)
	return result, err
}

func (i *inventory) Settle(ctx context.Context, shard int, epoch int64, items []allocator.SettleItem) ([]allocator.ApplyOutcome, error) {
	span := i.tracer.batch("inventory.Settle", shard, len(items))
	outcomes, err := i.Inventory.Settle(ctx, shard, epoch, items)
	end(span, err)
	return outcomes, err
}

func (i *inventory) Free(ctx context.Context, shard int, epoch int64, items []allocator.FreeItem) ([]allocator.ApplyOutcome, error) {
	span := i.tracer.batch("inventory.Free", shard, len(items))
	outcomes, err := i.Inventory.Free(ctx, shard, epoch, items)
	end(span, err)
	return outcomes, err
}
