package sqliteledger

import (
	"context"

	"muster/allocator"
)

// planRow is a plan as it is stored.
type planRow struct {
	version, due int64
	document     string
}

const planColumns = "version, due, document"

func (r *planRow) plan(site allocator.SiteID) (allocator.SitePlan, error) {
	return allocator.DecodePlan(site, r.version, r.due, r.document)
}

// planRow reads a row, which has version 0 where there is none.
func (t *tx) planRow(site allocator.SiteID) (r planRow, err error) {
	_, err = t.one("SELECT "+planColumns+" FROM plans WHERE site_id = ?", []any{string(site)}, &r.version, &r.due, &r.document)
	return r, err
}

// SitePlan reads one.
func (l *Ledger) SitePlan(ctx context.Context, site allocator.SiteID) (plan allocator.SitePlan, err error) {
	err = l.read(ctx, func(t *tx) error {
		r, err := t.planRow(site)
		if err != nil {
			return err
		}
		plan, err = r.plan(site)
		return err
	})
	return plan, err
}

// PutPlan compares and sets.
func (l *Ledger) PutPlan(ctx context.Context, plan allocator.SitePlan) (stored bool, err error) {
	next := planRow{plan.Version, plan.Due, string(allocator.EncodePlan(&plan))}
	err = l.write(ctx, func(t *tx) error {
		present, err := t.planRow(plan.Site)
		if stored = present == next || present.version == next.version-1; err != nil || present == next || !stored {
			return err
		}
		return t.exec(`INSERT INTO plans (site_id, version, due, document, changed_at) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET version = excluded.version, due = excluded.due, document = excluded.document, changed_at = excluded.changed_at`,
			string(plan.Site), next.version, next.due, next.document, t.now)
	})
	return stored && err == nil, err
}

// DuePlans pages by site.
func (l *Ledger) DuePlans(ctx context.Context, by int64, after allocator.SiteID, limit int) (plans []allocator.SitePlan, err error) {
	err = l.read(ctx, func(t *tx) error {
		return t.each("SELECT site_id, "+planColumns+" FROM plans WHERE due <= ? AND site_id > ? ORDER BY site_id LIMIT ?",
			[]any{by, string(after), limit}, func(scan func(into ...any) error) error {
				var site allocator.SiteID
				var r planRow
				if err := scan(&site, &r.version, &r.due, &r.document); err != nil {
					return err
				}
				p, err := r.plan(site)
				plans = append(plans, p)
				return err
			})
	})
	return plans, err
}
