package observed

import (
	"context"

	"muster/allocator"
)

type inventory struct {
	next allocator.Inventory
	port *port
}

// Inventory gives an inventory that answers exactly as next does, and measures it.
func (m *Metrics) Inventory(next allocator.Inventory) allocator.Inventory {
	return &inventory{next: next, port: m.inventory}
}

func (i *inventory) Shards() int { return i.next.Shards() }

func (i *inventory) Identity(ctx context.Context, shard int) (string, error) {
	c := i.port.begin("Identity")
	identity, err := i.next.Identity(ctx, shard)
	c.end(err)
	return identity, err
}

func (i *inventory) Open(ctx context.Context, shard int, epoch int64, identity string, fresh bool) error {
	c := i.port.begin("Open")
	err := i.next.Open(ctx, shard, epoch, identity, fresh)
	c.end(err)
	return err
}

func (i *inventory) Hold(ctx context.Context, shard int, epoch int64, items []allocator.HoldItem) ([]allocator.HoldResult, error) {
	c := i.port.beginBatch("Hold", len(items))
	results, err := i.next.Hold(ctx, shard, epoch, items)
	c.end(err)
	tally(c, holdOutcomes, results, err, func(r *allocator.HoldResult) allocator.HoldOutcome { return r.Outcome })
	return results, err
}

func (i *inventory) Extend(ctx context.Context, shard int, epoch int64, id allocator.HoldID) (allocator.HoldResult, error) {
	c := i.port.begin("Extend")
	result, err := i.next.Extend(ctx, shard, epoch, id)
	c.end(err)
	one(c, holdOutcomes, result.Outcome, err)
	return result, err
}

func (i *inventory) Release(ctx context.Context, shard int, epoch int64, site allocator.SiteID, id allocator.HoldID, forget bool) (allocator.GrantState, error) {
	c := i.port.begin("Release")
	state, err := i.next.Release(ctx, shard, epoch, site, id, forget)
	c.end(err)
	one(c, grantStates, state, err)
	return state, err
}

func (i *inventory) Pin(ctx context.Context, shard int, epoch int64, items []allocator.PinItem) ([]allocator.PinResult, error) {
	c := i.port.beginBatch("Pin", len(items))
	results, err := i.next.Pin(ctx, shard, epoch, items)
	c.end(err)
	tally(c, grantStates, results, err, func(r *allocator.PinResult) allocator.GrantState { return r.State })
	return results, err
}

func (i *inventory) Reseat(ctx context.Context, shard int, epoch int64, item allocator.ReseatItem) (allocator.ReseatResult, error) {
	c := i.port.begin("Reseat")
	result, err := i.next.Reseat(ctx, shard, epoch, item)
	c.end(err)
	one(c, holdOutcomes, result.Outcome, err)
	return result, err
}

func itself(o *allocator.ApplyOutcome) allocator.ApplyOutcome { return *o }

func (i *inventory) Settle(ctx context.Context, shard int, epoch int64, items []allocator.SettleItem) ([]allocator.ApplyOutcome, error) {
	c := i.port.beginBatch("Settle", len(items))
	outcomes, err := i.next.Settle(ctx, shard, epoch, items)
	c.end(err)
	tally(c, applyOutcomes, outcomes, err, itself)
	return outcomes, err
}

func (i *inventory) Free(ctx context.Context, shard int, epoch int64, items []allocator.FreeItem) ([]allocator.ApplyOutcome, error) {
	c := i.port.beginBatch("Free", len(items))
	outcomes, err := i.next.Free(ctx, shard, epoch, items)
	c.end(err)
	tally(c, applyOutcomes, outcomes, err, itself)
	return outcomes, err
}

func (i *inventory) State(ctx context.Context, shard int, epoch int64, site allocator.SiteID, id allocator.HoldID) (allocator.GrantState, error) {
	c := i.port.begin("State")
	state, err := i.next.State(ctx, shard, epoch, site, id)
	c.end(err)
	one(c, grantStates, state, err)
	return state, err
}

func (i *inventory) Reap(ctx context.Context, shard int, epoch int64, limit int) (bool, error) {
	c := i.port.begin("Reap")
	more, err := i.next.Reap(ctx, shard, epoch, limit)
	c.end(err)
	return more, err
}

func (i *inventory) StuckPins(ctx context.Context, shard int, epoch int64, limit int) ([]allocator.StuckPin, error) {
	c := i.port.begin("StuckPins")
	pins, err := i.next.StuckPins(ctx, shard, epoch, limit)
	c.end(err)
	return pins, err
}
