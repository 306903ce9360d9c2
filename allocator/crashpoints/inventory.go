package crashpoints

import (
	"context"

	"muster/allocator"
)

// Inventory gives an inventory that answers exactly as next does, between its points.
func (p *Plan) Inventory(next allocator.Inventory) allocator.Inventory { return &inventory{next, p} }

type inventory struct {
	next allocator.Inventory
	plan *Plan
}

func (i *inventory) Shards() int { return i.next.Shards() }

func (i *inventory) Identity(ctx context.Context, shard int) (string, error) {
	return around(i.plan, "identity", func() (string, error) { return i.next.Identity(ctx, shard) })
}

func (i *inventory) Open(ctx context.Context, shard int, epoch int64, identity string, fresh bool) error {
	return i.plan.Around("open", func() error { return i.next.Open(ctx, shard, epoch, identity, fresh) })
}

func (i *inventory) Hold(ctx context.Context, shard int, epoch int64, items []allocator.HoldItem) ([]allocator.HoldResult, error) {
	return around(i.plan, "hold", func() ([]allocator.HoldResult, error) { return i.next.Hold(ctx, shard, epoch, items) })
}

func (i *inventory) Extend(ctx context.Context, shard int, epoch int64, id allocator.HoldID) (allocator.HoldResult, error) {
	return around(i.plan, "extend", func() (allocator.HoldResult, error) { return i.next.Extend(ctx, shard, epoch, id) })
}

func (i *inventory) Release(ctx context.Context, shard int, epoch int64, site allocator.SiteID, id allocator.HoldID, forget bool) (allocator.GrantState, error) {
	return around(i.plan, "release", func() (allocator.GrantState, error) { return i.next.Release(ctx, shard, epoch, site, id, forget) })
}

func (i *inventory) Pin(ctx context.Context, shard int, epoch int64, items []allocator.PinItem) ([]allocator.PinResult, error) {
	return around(i.plan, "pin", func() ([]allocator.PinResult, error) { return i.next.Pin(ctx, shard, epoch, items) })
}

func (i *inventory) Reseat(ctx context.Context, shard int, epoch int64, item allocator.ReseatItem) (allocator.ReseatResult, error) {
	return around(i.plan, "reseat", func() (allocator.ReseatResult, error) { return i.next.Reseat(ctx, shard, epoch, item) })
}

func (i *inventory) Settle(ctx context.Context, shard int, epoch int64, items []allocator.SettleItem) ([]allocator.ApplyOutcome, error) {
	return around(i.plan, "settle", func() ([]allocator.ApplyOutcome, error) { return i.next.Settle(ctx, shard, epoch, items) })
}

func (i *inventory) Free(ctx context.Context, shard int, epoch int64, items []allocator.FreeItem) ([]allocator.ApplyOutcome, error) {
	return around(i.plan, "free", func() ([]allocator.ApplyOutcome, error) { return i.next.Free(ctx, shard, epoch, items) })
}

func (i *inventory) State(ctx context.Context, shard int, epoch int64, site allocator.SiteID, id allocator.HoldID) (allocator.GrantState, error) {
	return around(i.plan, "state", func() (allocator.GrantState, error) { return i.next.State(ctx, shard, epoch, site, id) })
}

func (i *inventory) Reap(ctx context.Context, shard int, epoch int64, limit int) (bool, error) {
	return around(i.plan, "reap", func() (bool, error) { return i.next.Reap(ctx, shard, epoch, limit) })
}

func (i *inventory) StuckPins(ctx context.Context, shard int, epoch int64, limit int) ([]allocator.StuckPin, error) {
	return around(i.plan, "stuck", func() ([]allocator.StuckPin, error) { return i.next.StuckPins(ctx, shard, epoch, limit) })
}

func (i *inventory) Apply(ctx context.Context, shard int, epoch int64, site allocator.SiteID, date allocator.Date, revision int64) (allocator.ApplyOutcome, error) {
	return around(i.plan, "apply", func() (allocator.ApplyOutcome, error) {
		return i.next.Apply(ctx, shard, epoch, site, date, revision)
	})
}

func (i *inventory) Begin(ctx context.Context, shard int, epoch int64, site allocator.SiteID, builder string) ([]allocator.SlotID, error) {
	return around(i.plan, "begin", func() ([]allocator.SlotID, error) { return i.next.Begin(ctx, shard, epoch, site, builder) })
}

func (i *inventory) Load(ctx context.Context, shard int, epoch int64, site allocator.SiteID, builder string, slots []allocator.SlotLoad, ended []allocator.EndedID) (bool, error) {
	return around(i.plan, "load", func() (bool, error) { return i.next.Load(ctx, shard, epoch, site, builder, slots, ended) })
}

func (i *inventory) Finish(ctx context.Context, shard int, epoch int64, site allocator.SiteID, builder string, generation int64, revisions map[allocator.Date]int64) (bool, error) {
	return around(i.plan, "finish", func() (bool, error) {
		return i.next.Finish(ctx, shard, epoch, site, builder, generation, revisions)
	})
}

func (i *inventory) ReadSite(ctx context.Context, shard int, epoch int64, site allocator.SiteID) (allocator.SiteInventory, error) {
	return around(i.plan, "read-site", func() (allocator.SiteInventory, error) { return i.next.ReadSite(ctx, shard, epoch, site) })
}

func (i *inventory) ReadPlaces(ctx context.Context, shard int, epoch int64, ranges []allocator.PlaceRange) (places []allocator.PlaceState, notBuilt []allocator.SiteID, err error) {
	err = i.plan.Around("read-places", func() error {
		places, notBuilt, err = i.next.ReadPlaces(ctx, shard, epoch, ranges)
		return err
	})
	return places, notBuilt, err
}

func (i *inventory) Repair(ctx context.Context, shard int, epoch int64, site allocator.SiteID, fixes []allocator.PlaceFix) (int, error) {
	return around(i.plan, "repair", func() (int, error) { return i.next.Repair(ctx, shard, epoch, site, fixes) })
}

func (i *inventory) Usage(ctx context.Context, shard int, epoch int64, cursor string) (slots []allocator.SlotUsage, next string, err error) {
	err = i.plan.Around("usage", func() error {
		slots, next, err = i.next.Usage(ctx, shard, epoch, cursor)
		return err
	})
	return slots, next, err
}

func (i *inventory) Changes(ctx context.Context, shard int, epoch int64, cursor string, limit int) (allocator.ChangeSet, error) {
	return around(i.plan, "changes", func() (allocator.ChangeSet, error) { return i.next.Changes(ctx, shard, epoch, cursor, limit) })
}
