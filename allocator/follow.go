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
	ctx, cancel := context.WithTimeout(ctx, a.limits.HoldDeadline)
	defer cancel()
	for {
		began := a.clock.Now()
		set, err := onShard(ctx, a.epochs, shard, func(epoch int64) (ChangeSet, error) {
			return a.inventory.Changes(ctx, shard, epoch, cursor, 4096)
		})
		if err != nil {
			if ctx.Err() == nil {
				a.log.Debug("changes not read", "shard", shard, "error", err)
			}
			return cursor
		}
		if set.Reset || cursor == "" {
			// Usage after the new cursor was taken: what changes meanwhile is told again.
			a.distrust(shard)
			if err := a.readUsage(ctx, shard); err != nil {
				return cursor
			}
		}
		cursor = set.Next
		a.learn(ctx, &set)
		if !set.More {
			a.directory.setFed(shard, began)
			return cursor
		}
	}
}

// distrust makes every site of a shard be looked at before searches rely on it.
func (a *Allocator) distrust(shard int) {
	for _, site := range a.directory.allSites() {
		if a.Shard(site) == shard {
			if entry := a.directory.site(site); entry != nil {
				entry.setTrusted(false)
			}
		}
	}
}

// readUsage reads how much of every slot of a shard is used.
func (a *Allocator) readUsage(ctx context.Context, shard int) error {
	cursor := ""
	for {
		var next string
		slots, err := onShard(ctx, a.epochs, shard, func(epoch int64) (slots []SlotUsage, err error) {
			slots, next, err = a.inventory.Usage(ctx, shard, epoch, cursor)
			return slots, err
		})
		if err != nil {
			return err
		}
		for _, s := range slots {
			if entry := a.directory.site(s.Slot.Site); entry != nil {
				entry.setUsage(s.Slot, s.Counts)
			}
		}
		if cursor = next; cursor == "" {
			return nil
		}
	}
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
