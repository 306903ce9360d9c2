package checkers

import (
	"muster/allocator"
)

// Inventory checks that what the inventory knows is what the ledger has: every place in use is a live booking's, and every
// live booking that is yet to come has its place (P5). It judges nothing where no inventory was read.
func Inventory(r *Run) (violations []Violation) {
	if len(r.Evidence.Inventory) == 0 {
		return nil
	}
	rows := make(map[placeKey]*allocator.Booking, len(r.rows))
	now := int64(0)
	for _, view := range r.Evidence.Inventory {
		now = max(now, view.NowMs)
	}
	for i := range r.Evidence.Bookings {
		if b := &r.Evidence.Bookings[i]; b.Status.Live() {
			rows[placeKey{b.Slot, b.Place}] = b
		}
	}
	drift := make(map[placeKey]bool)
	for i := range r.Evidence.Inventory {
		view := &r.Evidence.Inventory[i]
		if !view.Built {
			violations = append(violations, violated("P5", "a site's inventory is not built at generation %d (%d places)", view.Generation, len(view.Places)))
		}
		for j := range view.Places {
			p := &view.Places[j]
			key := placeKey{p.Slot, p.Place}
			if why := Unlike(p, rows[key]); why != "" {
				drift[key] = true
				violations = append(violations, violated("P5", "place %d at %s: %s", p.Place, describeSlot(p.Slot), why))
			}
			delete(rows, key)
		}
		violations = append(violations, r.checkRevisions(view)...)
	}
	for key, b := range rows {
		if b.Slot.Start.Millis() >= now {
			drift[key] = true
			violations = append(violations, violated("P5", "the inventory has nothing at the place of live booking %s", describe(b)))
		}
	}
	r.stats.Drift += len(drift)
	return violations
}

// Unlike says in what a used place differs from the live row there (nil: none); "" where it does not.
func Unlike(p *allocator.PlaceState, row *allocator.Booking) string {
	switch {
	case !p.Booked && row != nil && row.Hold == p.Owner:
		return "is still held or pinned, and recorded: " + describe(row)
	case !p.Booked:
		return "is still held or pinned by " + p.Owner.String() + ", although all is quiet"
	case row == nil:
		return "is booked by " + p.Owner.String() + ", which has no live row there"
	case row.Hold != p.Owner:
		return "is booked by " + p.Owner.String() + ", and the ledger has " + describe(row) + " of " + row.Hold.String()
	case row.Service != p.Service:
		return "is counted for " + string(p.Service) + ", and the ledger has " + describe(row)
	}
	return ""
}

// checkRevisions compares the revisions of a site's coming days with the newest that were published. The site of a view
// without places is not known.
func (r *Run) checkRevisions(view *allocator.SiteInventory) (violations []Violation) {
	if len(view.Places) == 0 {
		return nil
	}
	site := view.Places[0].Slot.Site
	for day, versions := range r.documents.byDay {
		newest := int64(0)
		for _, doc := range versions {
			newest = max(newest, doc.day.Revision)
		}
		over := day.Date.Begins(r.documents.zone).UnixMilli() < view.NowMs
		if known := view.Revisions[day.Date]; day.Site == site && (known > newest || known < newest && !over) {
			violations = append(violations, violated("P5", "the inventory has revision %d of %s %s, the ledger %d", known, day.Site, day.Date, newest))
		}
	}
	return violations
}
