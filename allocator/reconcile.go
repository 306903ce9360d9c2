package allocator

import (
	"context"
	"slices"
	"sync"
	"time"
)

// dirtySites are the sites at which something happened since they were last reconciled.
type dirtySites struct {
	mu     sync.Mutex
	sites  map[SiteID]bool
	behind map[SiteID]bool // their generation was raised: rebuild
}

func (d *dirtySites) add(site SiteID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sites == nil {
		d.sites = make(map[SiteID]bool)
	}
	d.sites[site] = true
}

// raise notes that a site's generation was raised.
func (d *dirtySites) raise(site SiteID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.behind == nil {
		d.behind = make(map[SiteID]bool)
	}
	d.behind[site] = true
}

func (d *dirtySites) take() (dirty, behind map[SiteID]bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	dirty, behind = d.sites, d.behind
	d.sites, d.behind = nil, nil
	return dirty, behind
}

// takeBehind takes only the sites to rebuild.
func (d *dirtySites) takeBehind() map[SiteID]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	behind := d.behind
	d.behind = nil
	return behind
}

// sweepCycles is in how many rounds every site is reconciled once, even where nothing is known to have happened.
const sweepCycles = 30

// reconcile brings the inventory back to the ledger (step 11). Each round looks at sites that are behind their epoch or
// generation, at those where something happened lately (by the inventory's changes, by bookings that ended in the ledger,
// by messages that did not get through), and at a slice of all others.
func (a *Allocator) reconcile(ctx context.Context) {
	round := 0
	every(ctx, a.limits.ReconcileEvery, func(ctx context.Context) {
		generations, err := a.ledger.Generations(ctx)
		if err != nil {
			if ctx.Err() == nil {
				a.log.Warn("reconcile: generations not read", "error", err)
			}
			return
		}
		dirty, behind := a.dirty.take()
		var due []SiteID
		for i, site := range a.directory.allSites() {
			entry := a.directory.site(site)
			if i%sweepCycles == round%sweepCycles || dirty[site] || behind[site] || !entry.isTrusted() || generations[site] > entry.seenGeneration() {
				due = append(due, site)
			}
		}
		round++
		inParallel(ctx, 4, due, func(site SiteID) {
			if err := a.reconcileSite(ctx, site); err != nil && ctx.Err() == nil {
				a.dirty.add(site)
				a.observer.Count("reconcile_failed")
				a.log.Info("site not reconciled", "site", site, "error", err)
			}
		})
	})
}

// reconcileSite reads the inventory, then the ledger, and corrects place by place what is still as it was read. Reading
// in this order is what makes it right: whatever the inventory shows as booked was recorded before the ledger is read, so
// a booking without a row has truly ended.
func (a *Allocator) reconcileSite(ctx context.Context, site SiteID) error {
	ctx, cancel := context.WithTimeout(ctx, rebuildTimeout)
	defer cancel()
	shard := a.Shard(site)
	view, err := onShard(ctx, a.epochs, shard, func(epoch int64) (SiteInventory, error) {
		return a.inventory.ReadSite(ctx, shard, epoch, site)
	})
	if err != nil {
		return err
	}
	if !view.Built {
		return a.rebuild(ctx, site)
	}
	ledger, err := a.readLedger(ctx, site)
	if err != nil || !ledger.Found {
		return err
	}
	if ledger.Site.Generation > view.Generation {
		return a.rebuild(ctx, site)
	}
	for date, revision := range ledger.Revisions {
		if revision > view.Revisions[date] {
			if _, err := onShard(ctx, a.epochs, shard, func(epoch int64) (ApplyOutcome, error) {
				return a.inventory.Apply(ctx, shard, epoch, site, date, revision)
			}); err != nil {
				return err
			}
		}
	}
	d := Compare(&view, &ledger)
	for _, item := range d.Settle {
		a.postSettle(shard, item)
	}
	if len(d.Fixes) > 0 {
		fixed, err := onShard(ctx, a.epochs, shard, func(epoch int64) (int, error) {
			return a.inventory.Repair(ctx, shard, epoch, site, d.Fixes)
		})
		if err != nil {
			return err
		}
		for range fixed {
			a.observer.Count("place_repaired")
		}
		a.log.Info("places repaired", "site", site, "found", len(d.Fixes), "fixed", fixed)
		a.trust(ctx, site)
		return nil
	}
	if entry := a.directory.site(site); entry != nil {
		entry.replaceUsage(&view)
	}
	return nil
}

// Differences is what a comparison of inventory and ledger says must be done.
type Differences struct {
	Fixes  []PlaceFix
	Settle []SettleItem // recorded grants that the inventory still has as held or pinned
}

type placeKey struct {
	slot  SlotID
	place int32
}

// Compare finds where a site's inventory contradicts its ledger. Holds and pins that no row contradicts are fine.
func Compare(view *SiteInventory, ledger *SiteLedger) Differences {
	rows := make(map[placeKey]*Booking, len(ledger.Live))
	byHold := make(map[HoldID][]Placed)
	for i := range ledger.Live {
		b := &ledger.Live[i]
		rows[placeKey{b.Slot, b.Place}] = b
		byHold[b.Hold] = append(byHold[b.Hold], Placed{b.Slot, b.Place, b.Service})
	}
	ended := make(map[HoldID]Code, len(ledger.Ended))
	for _, e := range ledger.Ended {
		ended[e.ID] = e.Reason
	}
	var d Differences
	settled := make(map[HoldID]bool)
	seen := make(map[placeKey]bool, len(view.Places))
	for i := range view.Places {
		p := &view.Places[i]
		key := placeKey{p.Slot, p.Place}
		seen[key] = true
		row := rows[key]
		fix := PlaceFix{Slot: p.Slot, Place: p.Place, Was: p}
		if row != nil {
			fix.Now = &PlaceState{Slot: row.Slot, Place: row.Place, Service: row.Service, Owner: row.Hold, Booked: true}
		}
		reason, gone := ended[p.Owner]
		own := row != nil && row.Hold == p.Owner
		switch {
		case own && p.Booked && p.Service == row.Service:
			continue
		case p.Booked || row != nil && !own:
		case gone:
			fix.FreeGrant, fix.Reason = true, reason
		case byHold[p.Owner] != nil:
			// All rows of the hold at once: place by place, the first would give back the places of the others.
			if !settled[p.Owner] {
				settled[p.Owner] = true
				d.Settle = append(d.Settle, SettleItem{ID: p.Owner, Site: p.Slot.Site, Places: byHold[p.Owner]})
			}
			continue
		default:
			continue
		}
		d.Fixes = append(d.Fixes, fix)
	}
	for i := range ledger.Live {
		b := &ledger.Live[i]
		if key := (placeKey{b.Slot, b.Place}); !seen[key] {
			now := &PlaceState{Slot: b.Slot, Place: b.Place, Service: b.Service, Owner: b.Hold, Booked: true}
			d.Fixes = append(d.Fixes, PlaceFix{Slot: b.Slot, Place: b.Place, Now: now})
		}
	}
	return d
}

// resolve is a shard's housekeeping: lapsed holds are freed, and pins whose time has passed are resolved (step 7).
func (a *Allocator) resolve(ctx context.Context, shard int) {
	every(ctx, a.limits.ResolveEvery, func(ctx context.Context) {
		if err := a.reap(ctx, shard); err != nil && ctx.Err() == nil {
			a.log.Debug("not reaped", "shard", shard, "error", err)
			return
		}
		if err := a.resolvePins(ctx, shard); err != nil && ctx.Err() == nil {
			a.observer.Count("resolve_failed")
			a.log.Info("pins not resolved", "shard", shard, "error", err)
		}
		if shard == 0 {
			for site := range a.dirty.takeBehind() {
				if err := a.rebuild(ctx, site); err != nil && ctx.Err() == nil {
					a.dirty.raise(site)
				}
			}
		}
	})
}

// maxReaps bounds how many script calls one round of reaping makes.
const maxReaps = 64

// reap frees lapsed holds until none is left.
func (a *Allocator) reap(ctx context.Context, shard int) error {
	for range maxReaps {
		more, err := onShard(ctx, a.epochs, shard, func(epoch int64) (bool, error) {
			return a.inventory.Reap(ctx, shard, epoch, a.limits.ReapBatch)
		})
		if err != nil || !more {
			return err
		}
	}
	return nil
}

const resolveBatch = 64

// resolvePins asks the ledger about pins past their deadline, by voiding them: a request that was recorded answers with
// its rows, any other can never be recorded from then on.
func (a *Allocator) resolvePins(ctx context.Context, shard int) error {
	ctx, cancel := context.WithTimeout(ctx, a.limits.ConfirmDeadline)
	defer cancel()
	pins, err := onShard(ctx, a.epochs, shard, func(epoch int64) ([]StuckPin, error) {
		return a.inventory.StuckPins(ctx, shard, epoch, resolveBatch)
	})
	if err != nil || len(pins) == 0 {
		return err
	}
	items := make([]Voiding, len(pins))
	for i := range pins {
		items[i] = a.voiding(&pins[i])
	}
	results, err := a.ledger.Void(ctx, items)
	if err != nil {
		return err
	}
	for i := range pins {
		a.resolved(ctx, shard, &pins[i], &results[i])
	}
	return nil
}

// voiding is the void of a pin's claims. Their keys are all that blocks the request; of a hold of several sites each
// site's pin is resolved by itself, and any void claim refuses the whole request.
func (a *Allocator) voiding(pin *StuckPin) Voiding {
	zone := time.UTC
	if entry := a.directory.site(pin.Site); entry != nil {
		zone = entry.zone()
	}
	v := Voiding{Reason: CodeHoldExpired}
	for i, p := range pin.Places {
		v.Claims = append(v.Claims, Booking{
			Key: a.secret.Booking(pin.ID.Key, i), Hold: pin.ID, Slot: p.Slot, Date: DateOf(p.Slot.Start.Time().In(zone)),
			Place: p.Place, Service: p.Service,
		})
	}
	return v
}

func (a *Allocator) resolved(ctx context.Context, shard int, pin *StuckPin, r *RecordResult) {
	var live []Placed
	for i := range r.Rows {
		if b := &r.Rows[i]; b.Status.Live() && b.Hold == pin.ID {
			live = append(live, Placed{b.Slot, b.Place, b.Service})
		}
	}
	if len(live) > 0 {
		a.observer.Count("pin_settled")
		if _, err := a.settles[shard].submit(ctx, SettleItem{ID: pin.ID, Site: pin.Site, Places: live}); err != nil {
			a.dirty.add(pin.Site)
		}
		return
	}
	reason := CodeBookingEnded
	if r.Outcome == Voided || r.Outcome == RecordVoid {
		reason = r.Reason
	}
	a.observer.Count("pin_freed")
	if _, err := a.frees[shard].submit(ctx, FreeItem{ID: pin.ID, Site: pin.Site, Places: pin.Places, Reason: reason}); err != nil {
		a.dirty.add(pin.Site)
	}
}

// nudgeSpacing is the shortest time between two looks at a shard's changes.
const nudgeSpacing = 20 * time.Millisecond

// follow reads a shard's changes into the directory: soon after this server changed something, and otherwise as often as
// the limits say.
func (a *Allocator) follow(ctx context.Context, shard int) {
	cursor := ""
	for ctx.Err() == nil {
		cursor = a.followOnce(ctx, shard, cursor)
		if wait(ctx, nudgeSpacing) != nil {
			return
		}
		timer := time.NewTimer(a.limits.SnapshotEvery - nudgeSpacing)
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
			a.dirty.add(s.Slot.Site)
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
	view, err := onShard(ctx, a.epochs, shard, func(epoch int64) (SiteInventory, error) {
		return a.inventory.ReadSite(ctx, shard, epoch, site)
	})
	switch {
	case err != nil:
	case view.Built:
		entry.replaceUsage(&view)
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
