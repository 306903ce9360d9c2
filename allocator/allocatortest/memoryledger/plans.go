package memoryledger

import (
	"context"
	"maps"
	"slices"

	"muster/allocator"
)

// storedPlan is a plan as other ledgers store it, so that nothing is shared with whoever put it.
type storedPlan struct {
	version, due int64
	document     string
}

func (s storedPlan) plan(site allocator.SiteID) (allocator.SitePlan, error) {
	return allocator.DecodePlan(site, s.version, s.due, s.document)
}

// SitePlan reads one.
func (l *Ledger) SitePlan(ctx context.Context, site allocator.SiteID) (allocator.SitePlan, error) {
	if err := l.enter(ctx); err != nil {
		return allocator.SitePlan{}, err
	}
	defer l.leave()
	return l.plans[site].plan(site)
}

// PutPlan compares and sets.
func (l *Ledger) PutPlan(ctx context.Context, plan allocator.SitePlan) (bool, error) {
	if err := l.enter(ctx); err != nil {
		return false, err
	}
	defer l.leave()
	next := storedPlan{plan.Version, plan.Due, string(allocator.EncodePlan(&plan))}
	if present := l.plans[plan.Site]; present.version != plan.Version-1 {
		return present == next, nil
	}
	l.plans[plan.Site] = next
	return true, nil
}

// DuePlans pages by site.
func (l *Ledger) DuePlans(ctx context.Context, by int64, after allocator.SiteID, limit int) ([]allocator.SitePlan, error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.leave()
	var page []allocator.SitePlan
	for _, site := range slices.Sorted(maps.Keys(l.plans)) {
		if stored := l.plans[site]; site > after && stored.due <= by && len(page) < limit {
			p, err := stored.plan(site)
			if err != nil {
				return nil, err
			}
			page = append(page, p)
		}
	}
	return page, nil
}
