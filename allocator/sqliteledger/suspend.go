package sqliteledger

import (
	"context"

	"muster/allocator"
)

// Suspend changes a site and its days in one transaction.
func (l *Ledger) Suspend(ctx context.Context, change allocator.SuspensionChange) (result allocator.SuspensionResult, err error) {
	err = l.write(ctx, func(t *tx) error {
		result = allocator.SuspensionResult{}
		site, ok, err := t.site(change.Site)
		if err != nil || !ok {
			return err
		}
		var days []allocator.Day
		err = t.each("SELECT site_id, date, revision, sessions FROM days WHERE site_id = ? AND date >= ? ORDER BY date",
			[]any{string(change.Site), int64(change.From)}, func(scan func(into ...any) error) error {
				d, err := scanDay(scan)
				days = append(days, d)
				return err
			})
		if err != nil {
			return err
		}
		var writes *allocator.SuspensionWrites
		if writes, result = allocator.DecideSuspension(site, days, &change, instant(t.now)); writes == nil {
			return nil
		}
		result.Site.Version++
		t.touchSite(site.ID)
		err = t.exec("UPDATE sites SET version = ?, details = ?, changed_at = ?, changed_by = ? WHERE site_id = ?",
			result.Site.Version, string(allocator.EncodeSite(&writes.Site)), t.now, change.Actor, string(site.ID))
		if err != nil {
			return err
		}
		p := &publishing{
			t: t, now: t.now, events: writes.Events, days: make(map[allocator.DayID]allocator.Day), dated: make(map[allocator.DayID]int64),
		}
		for _, day := range writes.Days {
			p.put(day)
		}
		return p.write()
	})
	if err != nil {
		return allocator.SuspensionResult{}, err
	}
	return result, nil
}
