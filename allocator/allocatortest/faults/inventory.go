package faults

import (
	"context"

	"muster/allocator"
)

// Inventory carries out the calls of an inventory under a plan.
type Inventory struct {
	allocator.Inventory
	Plan  Planner
	Carry Carrier // instead of Plan
}

type pair[A, B any] struct {
	first  A
	second B
}

// Identity implements allocator.Inventory.
func (f Inventory) Identity(ctx context.Context, shard int) (string, error) {
	return run(ctx, f.Plan, f.Carry, "Identity", what{shard}, func(ctx context.Context) (string, error) { return f.Inventory.Identity(ctx, shard) })
}

// Open implements allocator.Inventory.
func (f Inventory) Open(ctx context.Context, shard int, epoch int64, identity string, fresh bool) error {
	_, err := run(ctx, f.Plan, f.Carry, "Open", what{shard, epoch, identity, fresh}, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, f.Inventory.Open(ctx, shard, epoch, identity, fresh)
	})
	return err
}

// Hold implements allocator.Inventory.
func (f Inventory) Hold(ctx context.Context, shard int, epoch int64, items []allocator.HoldItem) ([]allocator.HoldResult, error) {
	return run(ctx, f.Plan, f.Carry, "Hold", what{shard, epoch, items}, func(ctx context.Context) ([]allocator.HoldResult, error) {
		return f.Inventory.Hold(ctx, shard, epoch, items)
	})
}

// Extend implements allocator.Inventory.
func (f Inventory) Extend(ctx context.Context, shard int, epoch int64, id allocator.HoldID) (allocator.HoldResult, error) {
	return run(ctx, f.Plan, f.Carry, "Extend", what{shard, epoch, id}, func(ctx context.Context) (allocator.HoldResult, error) {
		return f.Inventory.Extend(ctx, shard, epoch, id)
	})
}

// Release implements allocator.Inventory.
func (f Inventory) Release(ctx context.Context, shard int, epoch int64, site allocator.SiteID, id allocator.HoldID, forget bool) (allocator.GrantState, error) {
	return run(ctx, f.Plan, f.Carry, "Release", what{shard, epoch, site, id, forget}, func(ctx context.Context) (allocator.GrantState, error) {
		return f.Inventory.Release(ctx, shard, epoch, site, id, forget)
	})
}

// Pin implements allocator.Inventory.
func (f Inventory) Pin(ctx context.Context, shard int, epoch int64, items []allocator.PinItem) ([]allocator.PinResult, error) {
	return run(ctx, f.Plan, f.Carry, "Pin", what{shard, epoch, items}, func(ctx context.Context) ([]allocator.PinResult, error) {
		return f.Inventory.Pin(ctx, shard, epoch, items)
	})
}

// Reseat implements allocator.Inventory.
func (f Inventory) Reseat(ctx context.Context, shard int, epoch int64, item allocator.ReseatItem) (allocator.ReseatResult, error) {
	return run(ctx, f.Plan, f.Carry, "Reseat", what{shard, epoch, item}, func(ctx context.Context) (allocator.ReseatResult, error) {
		return f.Inventory.Reseat(ctx, shard, epoch, item)
	})
}

// Settle implements allocator.Inventory.
func (f Inventory) Settle(ctx context.Context, shard int, epoch int64, items []allocator.SettleItem) ([]allocator.ApplyOutcome, error) {
	return run(ctx, f.Plan, f.Carry, "Settle", what{shard, epoch, items}, func(ctx context.Context) ([]allocator.ApplyOutcome, error) {
		return f.Inventory.Settle(ctx, shard, epoch, items)
	})
}

// Free implements allocator.Inventory.
func (f Inventory) Free(ctx context.Context, shard int, epoch int64, items []allocator.FreeItem) ([]allocator.ApplyOutcome, error) {
	return run(ctx, f.Plan, f.Carry, "Free", what{shard, epoch, items}, func(ctx context.Context) ([]allocator.ApplyOutcome, error) {
		return f.Inventory.Free(ctx, shard, epoch, items)
	})
}

// State implements allocator.Inventory.
func (f Inventory) State(ctx context.Context, shard int, epoch int64, site allocator.SiteID, id allocator.HoldID) (allocator.GrantState, error) {
	return run(ctx, f.Plan, f.Carry, "State", what{shard, epoch, site, id}, func(ctx context.Context) (allocator.GrantState, error) {
		return f.Inventory.State(ctx, shard, epoch, site, id)
	})
}

// Reap implements allocator.Inventory.
func (f Inventory) Reap(ctx context.Context, shard int, epoch int64, limit int) (bool, error) {
	return run(ctx, f.Plan, f.Carry, "Reap", what{shard, epoch, limit}, func(ctx context.Context) (bool, error) { return f.Inventory.Reap(ctx, shard, epoch, limit) })
}

// StuckPins implements allocator.Inventory.
func (f Inventory) StuckPins(ctx context.Context, shard int, epoch int64, limit int) ([]allocator.StuckPin, error) {
	return run(ctx, f.Plan, f.Carry, "StuckPins", what{shard, epoch, limit}, func(ctx context.Context) ([]allocator.StuckPin, error) {
		return f.Inventory.StuckPins(ctx, shard, epoch, limit)
	})
}

// Apply implements allocator.Inventory.
func (f Inventory) Apply(ctx context.Context, shard int, epoch int64, site allocator.SiteID, date allocator.Date, revision int64) (allocator.ApplyOutcome, error) {
	return run(ctx, f.Plan, f.Carry, "Apply", what{shard, epoch, site, date, revision}, func(ctx context.Context) (allocator.ApplyOutcome, error) {
		return f.Inventory.Apply(ctx, shard, epoch, site, date, revision)
	})
}

// Begin implements allocator.Inventory.
func (f Inventory) Begin(ctx context.Context, shard int, epoch int64, site allocator.SiteID, builder string) ([]allocator.SlotID, error) {
	return run(ctx, f.Plan, f.Carry, "Begin", what{shard, epoch, site, builder}, func(ctx context.Context) ([]allocator.SlotID, error) {
		return f.Inventory.Begin(ctx, shard, epoch, site, builder)
	})
}

// Load implements allocator.Inventory.
func (f Inventory) Load(ctx context.Context, shard int, epoch int64, site allocator.SiteID, builder string, slots []allocator.SlotLoad, ended []allocator.EndedID) (bool, error) {
	return run(ctx, f.Plan, f.Carry, "Load", what{shard, epoch, site, builder, slots, ended}, func(ctx context.Context) (bool, error) {
		return f.Inventory.Load(ctx, shard, epoch, site, builder, slots, ended)
	})
}

// Finish implements allocator.Inventory.
func (f Inventory) Finish(ctx context.Context, shard int, epoch int64, site allocator.SiteID, builder string, generation int64, revisions map[allocator.Date]int64) (bool, error) {
	return run(ctx, f.Plan, f.Carry, "Finish", what{shard, epoch, site, builder, generation, revisions}, func(ctx context.Context) (bool, error) {
		return f.Inventory.Finish(ctx, shard, epoch, site, builder, generation, revisions)
	})
}

// ReadSite implements allocator.Inventory.
func (f Inventory) ReadSite(ctx context.Context, shard int, epoch int64, site allocator.SiteID) (allocator.SiteInventory, error) {
	return run(ctx, f.Plan, f.Carry, "ReadSite", what{shard, epoch, site}, func(ctx context.Context) (allocator.SiteInventory, error) {
		return f.Inventory.ReadSite(ctx, shard, epoch, site)
	})
}

// ReadPlaces implements allocator.Inventory.
func (f Inventory) ReadPlaces(ctx context.Context, shard int, epoch int64, ranges []allocator.PlaceRange) ([]allocator.PlaceState, []allocator.SiteID, error) {
	r, err := run(ctx, f.Plan, f.Carry, "ReadPlaces", what{shard, epoch, ranges}, func(ctx context.Context) (r pair[[]allocator.PlaceState, []allocator.SiteID], err error) {
		r.first, r.second, err = f.Inventory.ReadPlaces(ctx, shard, epoch, ranges)
		return r, err
	})
	return r.first, r.second, err
}

// Repair implements allocator.Inventory.
func (f Inventory) Repair(ctx context.Context, shard int, epoch int64, site allocator.SiteID, fixes []allocator.PlaceFix) (int, error) {
	return run(ctx, f.Plan, f.Carry, "Repair", what{shard, epoch, site, fixes}, func(ctx context.Context) (int, error) { return f.Inventory.Repair(ctx, shard, epoch, site, fixes) })
}

// Usage implements allocator.Inventory.
func (f Inventory) Usage(ctx context.Context, shard int, epoch int64, cursor string) ([]allocator.SlotUsage, string, error) {
	r, err := run(ctx, f.Plan, f.Carry, "Usage", what{shard, epoch, cursor}, func(ctx context.Context) (r pair[[]allocator.SlotUsage, string], err error) {
		r.first, r.second, err = f.Inventory.Usage(ctx, shard, epoch, cursor)
		return r, err
	})
	return r.first, r.second, err
}

// Changes implements allocator.Inventory.
func (f Inventory) Changes(ctx context.Context, shard int, epoch int64, cursor string, limit int) (allocator.ChangeSet, error) {
	return run(ctx, f.Plan, f.Carry, "Changes", what{shard, epoch, cursor, limit}, func(ctx context.Context) (allocator.ChangeSet, error) {
		return f.Inventory.Changes(ctx, shard, epoch, cursor, limit)
	})
}
