package allocator

import (
	"context"
	"hash"
	"sync"
	"sync/atomic"
	"time"
)

// Snapshot lets tests put into a server's memory what otherwise the ledger and the change feed tell.
type Snapshot struct{ a *Allocator }

// SnapshotOf is a server's memory.
func SnapshotOf(a *Allocator) Snapshot { return Snapshot{a} }

// PutSite takes over a site, whose use is trusted from now on.
func (s Snapshot) PutSite(site Site) error {
	err := s.a.directory.putSites(site)
	if err == nil {
		if entry := s.a.directory.site(site.ID); !entry.isTrusted() {
			entry.setTrusted(true)
		}
	}
	return err
}

// PutServices takes over services.
func (s Snapshot) PutServices(services ...Service) { s.a.directory.putServices(services...) }

// PutDay takes over a day.
func (s Snapshot) PutDay(day Day) { s.a.directory.site(day.Site).putDay(day) }

// SetUsage takes over a slot's claims.
func (s Snapshot) SetUsage(id SlotID, counts Counts) {
	s.a.directory.site(id.Site).setUsage(id, counts)
}

// Replace takes over all of a site's claims.
func (s Snapshot) Replace(site SiteID, places ...PlaceState) {
	e := s.a.directory.site(site)
	read := e.beginRead()
	defer e.endRead(read)
	e.replaceUsage(&SiteInventory{Built: true, Places: places}, read)
}

// ForgetBefore drops what has passed.
func (s Snapshot) ForgetBefore(site SiteID, date Date) { s.a.directory.site(site).forgetBefore(date) }

// Fed notes that every shard's changes are known up to an instant.
func (s Snapshot) Fed(at time.Time) {
	for shard := range s.a.inventory.Shards() {
		s.a.directory.setFed(shard, at)
	}
}

// RaceEnabled says whether the race detector watches.
const RaceEnabled = raceEnabled

// Work is what a server computed to show that somebody may open a booking.
type Work struct{ Manage, Opened, OpenedBytes atomic.Int64 }

// CountWork counts a server's work from now on.
func CountWork(a *Allocator) *Work {
	w := new(Work)
	for i, key := range a.secret.manage.keys {
		a.secret.manage.keys[i] = macKey{&sync.Pool{New: func() any {
			s := key.states.Get().(*macState)
			return &macState{hash: countedHash{s.hash, &w.Manage}}
		}}}
	}
	open := a.secret.opens
	a.secret.opens = func(bind, sealed []byte) ([]byte, error) {
		w.Opened.Add(1)
		w.OpenedBytes.Add(int64(len(sealed)))
		return open(bind, sealed)
	}
	return w
}

// countedHash counts sums.
type countedHash struct {
	hash.Hash
	sums *atomic.Int64
}

func (h countedHash) Sum(b []byte) []byte {
	h.sums.Add(1)
	return h.Hash.Sum(b)
}

// CustodianOf is a server's own.
func CustodianOf(a *Allocator) *Custodian { return a.custodian }

// UpkeepStep sweeps one page, where a pass is due.
func (c *Custodian) UpkeepStep(ctx context.Context, u Upkeep) (bool, error) {
	return c.upkeepStep(ctx, u)
}

// SweepPage is how many payloads are swept at once.
const SweepPage = sweepPage
