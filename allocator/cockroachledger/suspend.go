package cockroachledger

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/allocator"
)

// Suspend changes a site and its days in one transaction.
func (l *Ledger) Suspend(ctx context.Context, change allocator.SuspensionChange) (result allocator.SuspensionResult, err error) {
	change.Actor, change.Suspension.Reason = storable(change.Actor), storable(change.Suspension.Reason)
	err = l.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		result = allocator.SuspensionResult{}
		rows, err := tx.Query(ctx, l.q.Site, string(change.Site))
		if err != nil {
			return err
		}
		site, err := pgx.CollectExactlyOneRow(rows, scanSite)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		set := &changeSet{}
		days, err := l.readForSuspend(ctx, tx, &change, set)
		if err != nil {
			return err
		}
		var writes *allocator.SuspensionWrites
		if writes, result = allocator.DecideSuspension(site, days, &change, set.now); writes == nil {
			return nil
		}
		result.Site.Version++
		_, err = tx.Exec(ctx, l.q.PutSite, string(site.ID), result.Site.Version, site.TimeZone, change.Actor,
			string(allocator.EncodeSite(&writes.Site)), set.now)
		if err != nil {
			return err
		}
		set.days, set.events = writes.Days, writes.Events
		return l.write(ctx, tx, set)
	})
	return result, err
}

// readForSuspend reads and locks the days that may change, and dates the change.
func (l *Ledger) readForSuspend(ctx context.Context, tx pgx.Tx, change *allocator.SuspensionChange, set *changeSet) (days []allocator.Day, err error) {
	site, err := l.stored(ctx, tx, l.q.SiteForUpdate, string(change.Site))
	if err != nil {
		return nil, err
	}
	set.now = site.now
	rows, err := tx.Query(ctx, l.q.SiteDaysForUpdate, string(change.Site), int32(change.From))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (allocator.Day, error) {
		var changed time.Time
		day, err := scanDay(row, &changed)
		set.now = after(set.now, changed.UTC())
		return day, err
	})
}
