package guarded

import (
	"context"
	"time"

	"muster/allocator"
)

// inventory guards what requests wait for, and who serves a shard, which they wait for too. The rest is background work.
type inventory struct {
	allocator.Inventory
	guard *Guard
	node  func(shard int) string
}

// Inventory gives an inventory that answers as next does. node names who serves a shard, as far as is known; it must not block.
func (g *Guard) Inventory(next allocator.Inventory, node func(shard int) string) allocator.Inventory {
	return &inventory{next, g, node}
}

func (i *inventory) call(shard int, call func() error) error {
	node := i.node(shard)
	return through(i.guard.node(node), func(time.Duration) error { return nodeDead(node) }, call)
}

func (i *inventory) Identity(ctx context.Context, shard int) (identity string, err error) {
	err = i.call(shard, func() (err error) {
		identity, err = i.Inventory.Identity(ctx, shard)
		return err
	})
	return identity, err
}

func (i *inventory) Open(ctx context.Context, shard int, epoch int64, identity string, fresh bool) error {
	return i.call(shard, func() error { return i.Inventory.Open(ctx, shard, epoch, identity, fresh) })
}

func (i *inventory) Hold(ctx context.Context, shard int, epoch int64, items []allocator.HoldItem) (results []allocator.HoldResult, err error) {
	err = i.call(shard, func() (err error) {
		results, err = i.Inventory.Hold(ctx, shard, epoch, items)
		return err
	})
	return results, err
}

func (i *inventory) Extend(ctx context.Context, shard int, epoch int64, id allocator.HoldID) (result allocator.HoldResult, err error) {
	err = i.call(shard, func() (err error) {
		result, err = i.Inventory.Extend(ctx, shard, epoch, id)
		return err
	})
	return result, err
}

func (i *inventory) Release(ctx context.Context, shard int, epoch int64, site allocator.SiteID, id allocator.HoldID, forget bool) (state allocator.GrantState, err error) {
	err = i.call(shard, func() (err error) {
		state, err = i.Inventory.Release(ctx, shard, epoch, site, id, forget)
		return err
	})
	return state, err
}

func (i *inventory) Pin(ctx context.Context, shard int, epoch int64, items []allocator.PinItem) (results []allocator.PinResult, err error) {
	err = i.call(shard, func() (err error) {
		results, err = i.Inventory.Pin(ctx, shard, epoch, items)
		return err
	})
	return results, err
}

func (i *inventory) Reseat(ctx context.Context, shard int, epoch int64, item allocator.ReseatItem) (result allocator.ReseatResult, err error) {
	err = i.call(shard, func() (err error) {
		result, err = i.Inventory.Reseat(ctx, shard, epoch, item)
		return err
	})
	return result, err
}

func (i *inventory) Settle(ctx context.Context, shard int, epoch int64, items []allocator.SettleItem) (outcomes []allocator.ApplyOutcome, err error) {
	err = i.call(shard, func() (err error) {
		outcomes, err = i.Inventory.Settle(ctx, shard, epoch, items)
		return err
	})
	return outcomes, err
}

func (i *inventory) Free(ctx context.Context, shard int, epoch int64, items []allocator.FreeItem) (outcomes []allocator.ApplyOutcome, err error) {
	err = i.call(shard, func() (err error) {
		outcomes, err = i.Inventory.Free(ctx, shard, epoch, items)
		return err
	})
	return outcomes, err
}

func (i *inventory) State(ctx context.Context, shard int, epoch int64, site allocator.SiteID, id allocator.HoldID) (state allocator.GrantState, err error) {
	err = i.call(shard, func() (err error) {
		state, err = i.Inventory.State(ctx, shard, epoch, site, id)
		return err
	})
	return state, err
}

// Changes is asked for all the time: it finds out that a node answers again before any person has to.
func (i *inventory) Changes(ctx context.Context, shard int, epoch int64, cursor string, limit int) (changes allocator.ChangeSet, err error) {
	err = i.call(shard, func() (err error) {
		changes, err = i.Inventory.Changes(ctx, shard, epoch, cursor, limit)
		return err
	})
	return changes, err
}
