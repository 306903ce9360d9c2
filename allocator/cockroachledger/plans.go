package cockroachledger

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"muster/allocator"
)

// planRow is a plan as it is stored.
type planRow struct {
	Site         string
	Version, Due int64
	Document     string
}

func (r planRow) plan() (allocator.SitePlan, error) {
	return allocator.DecodePlan(allocator.SiteID(r.Site), r.Version, r.Due, r.Document)
}

// onePlan reads a row, which has version 0 where there is none.
func onePlan(ctx context.Context, q interface {
	Query(ctx context.Context, text string, args ...any) (pgx.Rows, error)
}, text string, site allocator.SiteID) (planRow, error) {
	rows, err := q.Query(ctx, text, string(site))
	if err != nil {
		return planRow{}, err
	}
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[planRow])
	if errors.Is(err, pgx.ErrNoRows) {
		return planRow{Site: string(site)}, nil
	}
	return row, err
}

// SitePlan reads a site's plan; one that was never written has version 0.
func (l *Ledger) SitePlan(ctx context.Context, site allocator.SiteID) (plan allocator.SitePlan, err error) {
	err = l.read(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		row, err := onePlan(ctx, conn, l.q.SitePlan, site)
		if err != nil {
			return err
		}
		plan, err = row.plan()
		return err
	})
	return plan, err
}

// PutPlan stores the next version of a plan, by a compare-and-set.
func (l *Ledger) PutPlan(ctx context.Context, plan allocator.SitePlan) (stored bool, err error) {
	next := planRow{string(plan.Site), plan.Version, plan.Due, string(allocator.EncodePlan(&plan))}
	err = l.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		present, err := onePlan(ctx, tx, l.q.PlanForUpdate, plan.Site)
		if stored = present == next || present.Version == next.Version-1; err != nil || present == next || !stored {
			return err
		}
		_, err = tx.Exec(ctx, l.q.PutPlan, next.Site, next.Version, next.Due, next.Document)
		return err
	})
	return stored && err == nil, err
}

// DuePlans lists plans that are due, by site.
func (l *Ledger) DuePlans(ctx context.Context, by int64, after allocator.SiteID, limit int) (plans []allocator.SitePlan, err error) {
	err = l.read(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, l.q.DuePlans, by, string(after), int64(limit))
		if err != nil {
			return err
		}
		plans, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (allocator.SitePlan, error) {
			r, err := pgx.RowToStructByPos[planRow](row)
			if err != nil {
				return allocator.SitePlan{}, err
			}
			return r.plan()
		})
		return err
	})
	return plans, err
}
