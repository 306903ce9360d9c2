package allocator

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Audit compares ledger, inventory and capacity of every site. While bookings go on it may report a drift that is only a
// message under way; on a quiet system everything that it reports is wrong. It works without Start too, and then finds
// what a server's background work would mend.
func (a *Allocator) Audit(ctx context.Context) (AuditReport, error) {
	var report AuditReport
	if err := a.knowSites(ctx); err != nil {
		return report, ledgerError(err)
	}
	var mu sync.Mutex
	var first error
	persons := make(map[PersonDose]BookingKey)
	sites := a.directory.allSites()
	inParallel(ctx, 4, sites, func(site SiteID) {
		part, rows, err := a.auditSite(ctx, site)
		mu.Lock()
		defer mu.Unlock()
		if err != nil && first == nil {
			first = err
		}
		report.Sites++
		report.Slots += part.Slots
		report.Bookings += part.Bookings
		report.Violations = append(report.Violations, part.Violations...)
		for i := range rows {
			p, ok := rows[i].PersonDose()
			if !ok {
				continue
			}
			if other, twice := persons[p]; twice && other != rows[i].Key {
				report.Violations = append(report.Violations, Violation{"person-twice", site, rows[i].Slot,
					fmt.Sprintf("bookings %s and %s are the same person's", other.Reference(), rows[i].Key.Reference())})
			}
			persons[p] = rows[i].Key
		}
	})
	if first == nil {
		first = ctx.Err()
	}
	return report, ledgerError(first)
}

// knowSites reads the sites where Start has not.
func (a *Allocator) knowSites(ctx context.Context) error {
	if a.loaded.Load() {
		return nil
	}
	if err := a.ledger.Check(ctx); err != nil {
		return err
	}
	return a.readSites(ctx)
}

// auditSite audits one site from a day before now on.
func (a *Allocator) auditSite(ctx context.Context, site SiteID) (AuditReport, []Booking, error) {
	shard := a.Shard(site)
	view, viewErr := onShard(ctx, a.epochs, shard, func(epoch int64) (SiteInventory, error) {
		return a.inventory.ReadSite(ctx, shard, epoch, site)
	})
	ledger, err := a.readLedger(ctx, site)
	if err != nil {
		return AuditReport{}, nil, err
	}
	days := make(map[Date]Day)
	for i := range ledger.Live {
		date := ledger.Live[i].Date
		if _, ok := days[date]; !ok {
			if days[date], err = a.ledger.Day(ctx, site, date); err != nil {
				return AuditReport{}, nil, err
			}
		}
	}
	zone := time.UTC
	if entry := a.directory.site(site); entry != nil {
		zone = entry.zone()
	}
	report := AuditRows(&ledger, days, zone)
	switch {
	case viewErr != nil:
		report.Violations = append(report.Violations, Violation{Kind: "inventory-unreachable", Site: site, Detail: viewErr.Error()})
	case view.Built && ledger.Site.Generation == view.Generation:
		// A site that is not built, or behind, is rebuilt before it grants: nothing can be wrong there yet.
		report.Violations = append(report.Violations, auditDrift(site, &view, &ledger)...)
	}
	return report, ledger.Live, nil
}

// AuditRows checks a site's live bookings against its published capacity: no place twice, and none without a seat unless
// its day's capacity was changed after it was first published.
func AuditRows(ledger *SiteLedger, days map[Date]Day, zone *time.Location) AuditReport {
	report := AuditReport{Bookings: len(ledger.Live)}
	owners := make(map[placeKey]BookingKey)
	for i := range ledger.Live {
		b := &ledger.Live[i]
		key := placeKey{b.Slot, b.Place}
		if other, twice := owners[key]; twice {
			report.Violations = append(report.Violations, Violation{"place-twice", b.Slot.Site, b.Slot,
				fmt.Sprintf("place %d has bookings %s and %s", b.Place, other.Reference(), b.Key.Reference())})
		}
		owners[key] = b.Key
	}
	slots := make(map[Date]map[SlotID]Slot)
	for id, rows := range bySlot(ledger.Live) {
		report.Slots++
		day := days[rows[0].Date]
		if slots[day.Date] == nil {
			slots[day.Date] = slotsByID(&day, zone)
		}
		if day.Revision > 1 {
			continue // what a later cut left without a seat is kept, and reported to the publisher
		}
		for i, ok := range supported(slots[day.Date][id].Pools, rows) {
			if !ok {
				report.Violations = append(report.Violations, Violation{"oversold", id.Site, id,
					fmt.Sprintf("booking %s has no seat", rows[i].Key.Reference())})
			}
		}
	}
	report.Violations = append(report.Violations, auditMaxima(ledger, days, zone)...)
	return report
}

// auditMaxima checks the maxima of days whose capacity was never changed.
func auditMaxima(ledger *SiteLedger, days map[Date]Day, zone *time.Location) (list []Violation) {
	for _, day := range days {
		if day.Revision > 1 {
			continue
		}
		for _, limit := range day.Limits(zone) {
			n := 0
			for i := range ledger.Live {
				if b := &ledger.Live[i]; limit.Covers(b.Slot.Start, b.Service) {
					n++
				}
			}
			if n > limit.Places {
				list = append(list, Violation{Kind: "oversold", Site: day.Site, Detail: fmt.Sprintf("%s has %d bookings of a maximum of %d", day.Date, n, limit.Places)})
			}
		}
	}
	return list
}

func auditDrift(site SiteID, view *SiteInventory, ledger *SiteLedger) (list []Violation) {
	d := Compare(view, ledger)
	for _, fix := range d.Fixes {
		detail := "the ledger has a booking at place %d that the inventory does not show"
		if fix.Was != nil {
			detail = "the inventory shows place %d in a way that the ledger contradicts"
		}
		list = append(list, Violation{"drift", site, fix.Slot, fmt.Sprintf(detail, fix.Place)})
	}
	for _, s := range d.Settle {
		list = append(list, Violation{"drift", site, s.Places[0].Slot, "a recorded hold still shows as pinned"})
	}
	for date, revision := range ledger.Revisions {
		if known := view.Revisions[date]; known > revision {
			list = append(list, Violation{Kind: "drift", Site: site, Detail: fmt.Sprintf("the inventory has revision %d of %s, the ledger %d", known, date, revision)})
		}
	}
	return list
}
