package allocator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// builds lets each site be rebuilt by one goroutine of this server at a time; others wait for it. That two servers
// rebuild one site at once is harmless: the later takes over, and the earlier starts again.
type builds struct {
	mu      sync.Mutex
	running map[SiteID]*build
	foreign map[SiteID]foreignBuild
}

// foreignBuild is another server's rebuild: since when it was seen under way, and when last.
type foreignBuild struct{ since, seen time.Time }

type build struct {
	done chan struct{}
	err  error
}

const (
	rebuildTimeout = 20 * time.Second
	// builderPatience is how long another server's rebuild is waited for before it is taken over.
	builderPatience = 5 * time.Second
	loadChunkSlots  = 256
	loadChunkRows   = 1024
	// keptBehind is how far back the inventory remembers slots.
	keptBehind = 48 * 60 // minutes
)

// rebuild makes a site current at its shard's epoch from the ledger: begin, read, load, finish.
func (a *Allocator) rebuild(ctx context.Context, site SiteID) error {
	a.builds.mu.Lock()
	b := a.builds.running[site]
	if b == nil {
		b = &build{done: make(chan struct{})}
		if a.builds.running == nil {
			a.builds.running = make(map[SiteID]*build)
		}
		a.builds.running[site] = b
		go a.build(site, b)
	}
	a.builds.mu.Unlock()
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return fmt.Errorf("rebuilding site %s: %w (%w)", site, ErrUnavailable, ctx.Err())
	}
}

// awaitOrBuild waits a little for another server's rebuild, or rebuilds the site.
func (a *Allocator) awaitOrBuild(ctx context.Context, site SiteID, building bool) error {
	if building {
		return a.awaitBuild(ctx, site)
	}
	return a.rebuild(ctx, site)
}

// awaitBuild joins a rebuild of this server, or waits a moment for another's; one that takes too long is taken over.
func (a *Allocator) awaitBuild(ctx context.Context, site SiteID) error {
	now := a.clock.Now()
	a.dirty.add(site) // should its builder be dead, reconciliation finds that when nobody else comes
	a.builds.mu.Lock()
	own := a.builds.running[site] != nil
	if a.builds.foreign == nil {
		a.builds.foreign = make(map[SiteID]foreignBuild)
	}
	other, known := a.builds.foreign[site]
	if !known || now.Sub(other.seen) > 2*builderPatience {
		other.since = now // a new one: nobody waited for it lately
	}
	other.seen = now
	a.builds.foreign[site] = other
	impatient := own || now.Sub(other.since) > builderPatience
	a.builds.mu.Unlock()
	if impatient {
		return a.rebuild(ctx, site)
	}
	if err := a.pace.wait(ctx, 100*time.Millisecond); err != nil {
		return fmt.Errorf("waiting for the rebuild of site %s: %w (%w)", site, ErrUnavailable, err)
	}
	return nil
}

func (a *Allocator) build(site SiteID, b *build) {
	ctx, cancel := context.WithTimeout(a.lifetime, rebuildTimeout)
	defer cancel()
	for try := range 4 {
		var done bool
		done, b.err = a.buildOnce(ctx, site)
		if errors.Is(b.err, errEpochMoved) {
			continue
		}
		if done || b.err != nil {
			break
		}
		b.err = fmt.Errorf("the rebuild of site %s was taken over %d times: %w", site, try+1, ErrUnavailable)
		if a.builtByAnother(ctx, site) {
			b.err = nil
			break
		}
	}
	if b.err != nil {
		a.observer.Count("rebuild_failed")
		a.log.Warn("site not rebuilt", "site", site, "error", b.err)
	} else {
		a.observer.Count("rebuild")
	}
	a.builds.mu.Lock()
	delete(a.builds.running, site)
	delete(a.builds.foreign, site)
	a.builds.mu.Unlock()
	close(b.done)
}

// errEpochMoved says that a rebuild's epoch ended before it did.
var errEpochMoved = fmt.Errorf("the shard's epoch changed during a rebuild: %w", ErrUnavailable)

// builtByAnother lets whoever took a rebuild over finish it, instead of taking it back at once: so servers cannot take one
// site from each other without end.
func (a *Allocator) builtByAnother(ctx context.Context, site SiteID) bool {
	shard := a.Shard(site)
	for began := a.clock.Now(); a.clock.Now().Sub(began) < builderPatience; {
		if a.pace.wait(ctx, 200*time.Millisecond) != nil {
			return false
		}
		view, err := onShard(ctx, a.epochs, shard, func(epoch int64) (SiteInventory, error) {
			return a.inventory.ReadSite(ctx, shard, epoch, site)
		})
		if err == nil && view.Built {
			a.trust(ctx, site)
			return true
		}
	}
	return false
}

// buildOnce is one attempt; false: another builder took over, or too much was set aside.
func (a *Allocator) buildOnce(ctx context.Context, site SiteID) (bool, error) {
	shard := a.Shard(site)
	builder := a.pace.name()
	var began int64 // a rebuild belongs to one epoch: what an older one was told, a newer one may have lost
	used, err := onShard(ctx, a.epochs, shard, func(epoch int64) ([]SlotID, error) {
		began = epoch
		return a.inventory.Begin(ctx, shard, epoch, site, builder)
	})
	if err != nil {
		return false, err
	}
	ledger, err := a.readLedger(ctx, site) // after Begin: what is settled or freed from now on is set aside
	if err != nil {
		return false, err
	}
	ended := ledger.Ended
	for _, chunk := range loadChunks(used, ledger.Live) {
		ok, err := onShard(ctx, a.epochs, shard, func(epoch int64) (bool, error) {
			if epoch != began {
				return false, errEpochMoved
			}
			return a.inventory.Load(ctx, shard, epoch, site, builder, chunk, ended)
		})
		if err != nil || !ok {
			return false, err
		}
		ended = nil
	}
	ok, err := onShard(ctx, a.epochs, shard, func(epoch int64) (bool, error) {
		if epoch != began {
			return false, errEpochMoved
		}
		return a.inventory.Finish(ctx, shard, epoch, site, builder, ledger.Site.Generation, ledger.Revisions)
	})
	if ok && err == nil {
		a.trust(ctx, site)
	}
	return ok, err
}

// readLedger reads what a rebuild or a reconcile compares the inventory with. How far back is by the ledger's clock.
func (a *Allocator) readLedger(ctx context.Context, site SiteID) (SiteLedger, error) {
	now, err := a.ledger.Now(ctx)
	if err != nil {
		return SiteLedger{}, err
	}
	state, err := a.ledger.SiteState(ctx, site, MinuteOf(now)-keptBehind, now.Add(-a.limits.KeyLifetime-time.Minute))
	if err == nil {
		a.ledgerAnswered()
	}
	return state, err
}

// loadChunks parts the slots that either side has anything in; there is at least one chunk, to carry the ended ids.
func loadChunks(used []SlotID, live []Booking) [][]SlotLoad {
	rows := make(map[SlotID][]LoadRow)
	for _, id := range used {
		rows[id] = nil
	}
	for i := range live {
		b := &live[i]
		rows[b.Slot] = append(rows[b.Slot], LoadRow{Place: b.Place, Service: b.Service, Owner: b.Hold})
	}
	chunks := [][]SlotLoad{nil}
	size := 0
	for _, id := range slices.SortedFunc(maps.Keys(rows), SlotID.Compare) {
		last := &chunks[len(chunks)-1]
		if len(*last) >= loadChunkSlots || size >= loadChunkRows {
			chunks = append(chunks, nil)
			last, size = &chunks[len(chunks)-1], 0
		}
		*last = append(*last, SlotLoad{Slot: id, Rows: rows[id]})
		size += len(rows[id])
	}
	return chunks
}

// trust reads a site's use afresh for searches, after it was seen to be built.
func (a *Allocator) trust(ctx context.Context, site SiteID) {
	entry := a.directory.site(site)
	if entry == nil {
		return
	}
	shard := a.Shard(site)
	read := entry.beginRead()
	defer entry.endRead(read)
	view, err := onShard(ctx, a.epochs, shard, func(epoch int64) (SiteInventory, error) {
		return a.inventory.ReadSite(ctx, shard, epoch, site)
	})
	if err == nil && view.Built {
		entry.replaceUsage(&view, read)
	}
}

// RebuildSite rebuilds one site's inventory from the ledger, whatever its state.
func (a *Allocator) RebuildSite(ctx context.Context, site SiteID) error {
	if _, err := a.knownSite(ctx, site); err != nil {
		return err
	}
	return asError(a.rebuild(ctx, site), false)
}

// RebuildAll rebuilds every site, a few at a time, and returns the first failure after trying all. It works without Start
// too.
func (a *Allocator) RebuildAll(ctx context.Context, progress func(done, total int)) error {
	if err := a.knowSites(ctx); err != nil {
		return ledgerError(err)
	}
	sites := a.directory.allSites()
	var mu sync.Mutex
	var first error
	done := 0
	inParallel(ctx, 4, sites, func(site SiteID) {
		err := a.rebuild(ctx, site)
		mu.Lock()
		defer mu.Unlock()
		if done++; progress != nil {
			progress(done, len(sites))
		}
		if err != nil && first == nil {
			first = err
		}
	})
	if first == nil {
		first = ctx.Err()
	}
	return asError(first, false)
}

// inParallel works on items, n at a time, until they are done or ctx ends.
func inParallel[T any](ctx context.Context, n int, items []T, work func(T)) {
	var wg sync.WaitGroup
	next := make(chan T)
	for range min(n, len(items)) {
		wg.Go(func() {
			for item := range next {
				work(item)
			}
		})
	}
	for _, item := range items {
		select {
		case next <- item:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(next)
	wg.Wait()
}
