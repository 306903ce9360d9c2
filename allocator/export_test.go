package allocator

import "time"

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
