package observed

import (
	"context"

	"muster/allocator"
)

func (i *inventory) Apply(ctx context.Context, shard int, epoch int64, site allocator.SiteID, date allocator.Date, revision int64) (allocator.ApplyOutcome, error) {
	c := i.port.begin("Apply")
	outcome, err := i.next.Apply(ctx, shard, epoch, site, date, revision)
	c.end(err)
	one(c, applyOutcomes, outcome, err)
	return outcome, err
}

func (i *inventory) Begin(ctx context.Context, shard int, epoch int64, site allocator.SiteID, builder string) ([]allocator.SlotID, error) {
	c := i.port.begin("Begin")
	slots, err := i.next.Begin(ctx, shard, epoch, site, builder)
	c.end(err)
	return slots, err
}

func (i *inventory) Load(ctx context.Context, shard int, epoch int64, site allocator.SiteID, builder string, slots []allocator.SlotLoad, ended []allocator.EndedID) (bool, error) {
	c := i.port.beginBatch("Load", len(slots))
	ok, err := i.next.Load(ctx, shard, epoch, site, builder, slots, ended)
	c.end(err)
	one(c, builderOutcomes, boolean(ok), err)
	return ok, err
}

func (i *inventory) Finish(ctx context.Context, shard int, epoch int64, site allocator.SiteID, builder string, generation int64, revisions map[allocator.Date]int64) (bool, error) {
	c := i.port.begin("Finish")
	ok, err := i.next.Finish(ctx, shard, epoch, site, builder, generation, revisions)
	c.end(err)
	one(c, builderOutcomes, boolean(ok), err)
	return ok, err
}

func boolean(b bool) int8 {
	if b {
		return 1
	}
	return 0
}

func (i *inventory) ReadSite(ctx context.Context, shard int, epoch int64, site allocator.SiteID) (allocator.SiteInventory, error) {
	c := i.port.begin("ReadSite")
	known, err := i.next.ReadSite(ctx, shard, epoch, site)
	c.end(err)
	return known, err
}

func (i *inventory) ReadPlaces(ctx context.Context, shard int, epoch int64, ranges []allocator.PlaceRange) ([]allocator.PlaceState, []allocator.SiteID, error) {
	c := i.port.beginBatch("ReadPlaces", len(ranges))
	places, notBuilt, err := i.next.ReadPlaces(ctx, shard, epoch, ranges)
	c.end(err)
	return places, notBuilt, err
}

func (i *inventory) Repair(ctx context.Context, shard int, epoch int64, site allocator.SiteID, fixes []allocator.PlaceFix) (int, error) {
	c := i.port.beginBatch("Repair", len(fixes))
	changed, err := i.next.Repair(ctx, shard, epoch, site, fixes)
	c.end(err)
	if err == nil {
		c.port.items.WithLabelValues(c.method, "changed").Add(float64(changed))
		c.port.items.WithLabelValues(c.method, "unchanged").Add(float64(max(0, len(fixes)-changed)))
	}
	return changed, err
}

func (i *inventory) Usage(ctx context.Context, shard int, epoch int64, cursor string) ([]allocator.SlotUsage, string, error) {
	c := i.port.begin("Usage")
	slots, next, err := i.next.Usage(ctx, shard, epoch, cursor)
	c.end(err)
	return slots, next, err
}

func (i *inventory) Changes(ctx context.Context, shard int, epoch int64, cursor string, limit int) (allocator.ChangeSet, error) {
	c := i.port.begin("Changes")
	changes, err := i.next.Changes(ctx, shard, epoch, cursor, limit)
	c.end(err)
	return changes, err
}
