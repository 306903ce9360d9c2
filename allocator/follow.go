package allocator

import (
	"context"
	"slices"
	"time"
)

// nudgeSpacing is the shortest time between two looks at a shard's changes.
const nudgeSpacing = 20 * time.Millisecond

// follow reads a shard's changes into the directory: soon after this server changed something, and otherwise as often as
// the limits say.
func (a *Allocator) follow(ctx context.Context, shard int) {
	cursor := ""
	for ctx.Err() == nil {
		cursor = a.followOnce(ctx, shard, cursor)
		if a.pace.wait(ctx, nudgeSpacing) != nil {
			return
		}
		timer := time.NewTimer(a.pace.jittered(a.limits.SnapshotEvery - nudgeSpacing))
		select {
		case <-a.nudges[shard]:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// followOnce reads what changed after a cursor and returns the next one.
func (a *Allocator) followOnce(ctx context.Context, shard int, cursor string) string {
	for {
		began := a.clock.Now()
		set, err := a.readChanges(ctx, shard, cursor)
		if err == nil && (set.Reset || cursor == "") {
			// Usage after the new cursor was taken: what changes meanwhile is told again.
			a.distrust(shard)
			err = a.readUsage(ctx, shard)
		}
		if err != nil {
			if ctx.Err() == nil {
				a.log.Debug("changes not read", "shard", shard, "error", err)
			}
			return cursor
		}
		cursor = set.Next
		a.learn(ctx, &set)
		if !set.More {
			a.directory.setFed(shard, began)
			return cursor
		}
	}
}

func (a *Allocator) readChanges(ctx context.Context, shard int, cursor string) (ChangeSet, error) {
	ctx, cancel := context.WithTimeout(ctx, a.limits.HoldDeadline)
	defer cancel()
	return onShard(ctx, a.epochs, shard, func(epoch int64) (ChangeSet, error) {
		return a.inventory.Changes(ctx, shard, epoch, cursor, 4096)
	})
}

// sitesOf lists the sites of a shard.
func (a *Allocator) sitesOf(shard int) (entries []*siteEntry) {
	for _, site := range a.directory.allSites() {
		if a.Shard(site) == shard {
			if entry := a.directory.site(site); entry != nil {
				entries = append(entries, entry)
			}
		}
	}
	return entries
}

// distrust makes every site of a shard be looked at before searches rely on it.
func (a *Allocator) distrust(shard int) {
	for _, entry := range a.sitesOf(shard) {
		entry.setTrusted(false)
	}
}

// readUsage reads how much of every slot of a shard is used, and which of its sites are built: these are trusted from then on.
func (a *Allocator) readUsage(ctx context.Context, shard int) error {
	entries := a.sitesOf(shard)
	usage := make(map[SiteID]map[slotKey]Counts, len(entries))
	reads := make([]*usageRead, len(entries))
	for i, entry := range entries {
		reads[i] = entry.beginRead()
		defer entry.endRead(reads[i])
	}
	inventory := &oneEpoch{a: a, shard: shard} // what an older one knew says nothing about what a newer one has
	notBuilt, err := inventory.notBuilt(ctx, entries)
	for cursor, more := "", true; more && err == nil; more = cursor != "" {
		var slots []SlotUsage
		slots, cursor, err = inventory.usage(ctx, cursor)
		for _, s := range slots {
			if s.Counts.Total() == 0 {
				continue
			}
			if usage[s.Slot.Site] == nil {
				usage[s.Slot.Site] = make(map[slotKey]Counts)
			}
			usage[s.Slot.Site][slotKey{s.Slot.Start, s.Slot.Length}] = s.Counts
		}
	}
	if err != nil {
		return err
	}
	for i, entry := range entries {
		if !notBuilt[entry.id()] {
			entry.replaceCounts(usage[entry.id()], entry.seenGeneration(), reads[i])
		}
	}
	return nil
}

// oneEpoch reads a shard's inventory at one epoch: where that ends meanwhile, it fails.
type oneEpoch struct {
	a     *Allocator
	shard int
	epoch int64 // 0: not known yet
}

func (o *oneEpoch) read(ctx context.Context, read func(ctx context.Context, epoch int64) error) error {
	ctx, cancel := context.WithTimeout(ctx, o.a.limits.HoldDeadline)
	defer cancel()
	_, err := onShard(ctx, o.a.epochs, o.shard, func(epoch int64) (struct{}, error) {
		if o.epoch == 0 {
			o.epoch = epoch
		}
		if o.epoch != epoch {
			return struct{}{}, errEpochMoved
		}
		return struct{}{}, read(ctx, epoch)
	})
	return err
}

// notBuilt finds the sites that must be rebuilt first.
func (o *oneEpoch) notBuilt(ctx context.Context, entries []*siteEntry) (map[SiteID]bool, error) {
	found := make(map[SiteID]bool)
	for chunk := range slices.Chunk(entries, 512) {
		ranges := make([]PlaceRange, len(chunk)) // of a slot that no site has
		for i, entry := range chunk {
			ranges[i].Slot.Site = entry.id()
		}
		err := o.read(ctx, func(ctx context.Context, epoch int64) error {
			_, sites, err := o.a.inventory.ReadPlaces(ctx, o.shard, epoch, ranges)
			for _, site := range sites {
				found[site] = true
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (o *oneEpoch) usage(ctx context.Context, cursor string) (slots []SlotUsage, next string, err error) {
	err = o.read(ctx, func(ctx context.Context, epoch int64) (err error) {
		slots, next, err = o.a.inventory.Usage(ctx, o.shard, epoch, cursor)
		return err
	})
	return slots, next, err
}

// learn takes over a piece of the change feed.
func (a *Allocator) learn(ctx context.Context, set *ChangeSet) {
	for _, s := range set.Slots {
		if entry := a.directory.site(s.Slot.Site); entry != nil {
			entry.setUsage(s.Slot, s.Counts)
			a.checkSlot(s.Slot, s.Counts.Total())
		}
	}
	for _, d := range set.Days {
		if entry := a.directory.site(d.Site); entry != nil && entry.revision(d.Date) < d.Revision {
			if day, err := a.ledger.Day(ctx, d.Site, d.Date); err == nil {
				entry.putDay(day)
			}
		}
	}
}

// ensureTrusted makes sure that a site's use is known from a built inventory before it is shown.
func (a *Allocator) ensureTrusted(ctx context.Context, entry *siteEntry) {
	if entry.isTrusted() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	site := entry.id()
	shard := a.Shard(site)
	read := entry.beginRead()
	defer entry.endRead(read)
	view, err := onShard(ctx, a.epochs, shard, func(epoch int64) (SiteInventory, error) {
		return a.inventory.ReadSite(ctx, shard, epoch, site)
	})
	switch {
	case err != nil:
	case view.Built:
		entry.replaceUsage(&view, read)
	default:
		_ = a.rebuild(ctx, site) // a failure is logged there; the site is shown as it is known
	}
}

// changedDays brings the directory up to days that changed in the ledger, in few reads.
func (a *Allocator) changedDays(ctx context.Context, days []DayRevision) error {
	days = slices.DeleteFunc(days, func(d DayRevision) bool {
		entry := a.directory.site(d.Site)
		return entry != nil && entry.revision(d.Date) >= d.Revision
	})
	if len(days) > 200 {
		return a.readDays(ctx)
	}
	for _, d := range days {
		entry, err := a.knownSite(ctx, d.Site)
		if err != nil {
			return err
		}
		day, err := a.ledger.Day(ctx, d.Site, d.Date)
		if err != nil {
			return err
		}
		entry.putDay(day)
		a.dirty.add(d.Site)
	}
	return nil
}
