package allocator

import (
	"context"
	"maps"
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

// takeBehind takes only sites to rebuild, those that are wanted.
func (d *dirtySites) takeBehind(wanted func(SiteID) bool) (behind []SiteID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, site := range slices.Sorted(maps.Keys(d.behind)) {
		if wanted(site) {
			behind = append(behind, site)
			delete(d.behind, site)
		}
	}
	return behind
}

const (
	// sweepCycles is in how many rounds every site is reconciled once, even where nothing is known to have happened;
	sweepCycles = 30
	// mostSwept bounds how many of them in one round, in countries with more than 15,000 sites.
	mostSwept = 512
)

// sweep is the part of all sites that a round looks at anyway.
func sweep(sites []SiteID, round int) map[SiteID]bool {
	n := min(mostSwept, (len(sites)+sweepCycles-1)/sweepCycles)
	part := make(map[SiteID]bool, n)
	for i := range n {
		part[sites[(round*n+i)%len(sites)]] = true
	}
	return part
}

// reconcile brings the inventory back to the ledger (step 11). Each round looks at sites that are behind their epoch or
// generation, at those that are in doubt (a slot contradicts the ledger, see checking.go; a message did not get through;
// capacity changed), and at a slice of all others.
func (a *Allocator) reconcile(ctx context.Context) {
	round := 0
	a.pace.every(ctx, a.limits.ReconcileEvery, func(ctx context.Context) {
		generations, err := a.ledger.Generations(ctx)
		if err != nil {
			if ctx.Err() == nil {
				a.log.Warn("reconcile: generations not read", "error", err)
			}
			return
		}
		if epochs, err := a.ledger.Epochs(ctx); err == nil {
			a.epochs.compare(epochs)
		}
		dirty, behind := a.dirty.take()
		var due []SiteID
		sites := a.directory.allSites()
		swept := sweep(sites, round)
		for _, site := range sites {
			entry := a.directory.site(site)
			if swept[site] || dirty[site] || behind[site] || !entry.isTrusted() || generations[site] > entry.seenGeneration() {
				due = append(due, site)
			}
		}
		round++
		a.perShard(due, func(sites []SiteID) {
			rest := a.restBetween(len(sites))
			for i, site := range sites {
				began := a.clock.Now()
				if err := a.reconcileSite(ctx, site); err != nil && ctx.Err() == nil {
					a.observer.Count("reconcile_failed")
					a.log.Info("site not reconciled", "site", site, "error", err)
					for _, later := range sites[i:] { // the shard does not answer: the next round tries again
						a.dirty.add(later)
					}
					return
				}
				if rest(ctx, a.clock.Now().Sub(began)) != nil {
					return
				}
			}
		})
	})
}

// restBetween spreads a round over time: after each site it rests three times as long as that site took, so that holds do not
// wait behind a whole country's sites being read; less where there are so many sites that a round would take too long.
func (a *Allocator) restBetween(sites int) func(ctx context.Context, took time.Duration) error {
	most := a.limits.ReconcileEvery * 3 / 4 / time.Duration(max(1, sites))
	return func(ctx context.Context, took time.Duration) error {
		if pause := min(3*took, most); pause > 0 {
			return a.pace.wait(ctx, pause)
		}
		return ctx.Err()
	}
}

// perShard works on each shard's sites by itself, so that one that hangs holds up no other.
func (a *Allocator) perShard(sites []SiteID, work func(sites []SiteID)) {
	byShard := make([][]SiteID, a.inventory.Shards())
	for _, site := range sites {
		shard := a.Shard(site)
		byShard[shard] = append(byShard[shard], site)
	}
	var wg sync.WaitGroup
	for _, sites := range byShard {
		if len(sites) > 0 {
			wg.Go(func() { work(sites) })
		}
	}
	wg.Wait()
}

// reconcileSite reads the inventory, then the ledger, and corrects place by place what is still as it was read. Reading
// in this order is what makes it right: whatever the inventory shows as booked was recorded before the ledger is read, so
// a booking without a row has truly ended.
func (a *Allocator) reconcileSite(ctx context.Context, site SiteID) error {
	ctx, cancel := context.WithTimeout(ctx, rebuildTimeout)
	defer cancel()
	shard := a.Shard(site)
	entry := a.directory.site(site)
	var read *usageRead
	if entry != nil {
		read = entry.beginRead()
		defer entry.endRead(read)
	}
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
	for _, date := range slices.Sorted(maps.Keys(ledger.Revisions)) {
		if revision := ledger.Revisions[date]; revision > view.Revisions[date] {
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
	if entry != nil {
		entry.replaceUsage(&view, read)
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
