package sqliteledger

import (
	"cmp"
	"context"
	"fmt"

	"muster/allocator"
)

func compareDays(a, b allocator.DayID) int {
	return cmp.Or(cmp.Compare(a.Site, b.Site), cmp.Compare(a.Date, b.Date))
}

// Agree stores the first candidate of a name. What was agreed is told by a file that is open for reading only too.
func (l *Ledger) Agree(ctx context.Context, name string, candidate []byte) (agreed []byte, err error) {
	var found bool
	err = l.read(ctx, func(t *tx) error {
		found, err = t.one("SELECT value FROM settings WHERE name = ?", []any{name}, &agreed)
		return err
	})
	if err != nil || found {
		return agreed, err
	}
	err = l.write(ctx, func(t *tx) error {
		if err := t.exec("INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING", name, candidate); err != nil {
			return err
		}
		_, err := t.one("SELECT value FROM settings WHERE name = ?", []any{name}, &agreed)
		return err
	})
	return agreed, err
}

// Amend compares and stores.
func (l *Ledger) Amend(ctx context.Context, name string, was, now []byte) (amended []byte, err error) {
	err = l.write(ctx, func(t *tx) error {
		if err := t.exec("UPDATE settings SET value = ? WHERE name = ? AND value = ?", now, name, was); err != nil {
			return err
		}
		_, err := t.one("SELECT value FROM settings WHERE name = ?", []any{name}, &amended)
		return err
	})
	return amended, err
}

// Epochs lists the current epochs.
func (l *Ledger) Epochs(ctx context.Context) (map[int]allocator.ShardEpoch, error) {
	current := make(map[int]allocator.ShardEpoch)
	err := l.read(ctx, func(t *tx) error {
		return t.each("SELECT shard, epoch, identity FROM shard_epochs ORDER BY shard, epoch", nil,
			func(scan func(into ...any) error) error {
				var shard int
				var e allocator.ShardEpoch
				err := scan(&shard, &e.Epoch, &e.Identity)
				current[shard] = e
				return err
			})
	})
	return current, err
}

// OpenEpoch compares and sets.
func (l *Ledger) OpenEpoch(ctx context.Context, shard int, expected int64, identity string) (e allocator.ShardEpoch, opened bool, err error) {
	err = l.write(ctx, func(t *tx) error {
		var openedAt int64
		_, err := t.one("SELECT epoch, identity, opened_at FROM shard_epochs WHERE shard = ? ORDER BY epoch DESC LIMIT 1", []any{shard},
			&e.Epoch, &e.Identity, &openedAt)
		if err != nil {
			return err
		}
		var known int64
		had, err := t.one("SELECT epoch FROM shard_epochs WHERE shard = ? AND identity = ? LIMIT 1", []any{shard, identity}, &known)
		if err != nil {
			return err
		}
		if had && e.Identity != identity && t.now-openedAt < allocator.Quarantine.Microseconds() {
			return fmt.Errorf("shard %d, incarnation %q: %w", shard, identity, allocator.ErrIdentitySuperseded)
		}
		if e.Epoch != expected {
			return nil
		}
		e, opened = allocator.ShardEpoch{Epoch: expected + 1, Identity: identity}, true
		t.touchEpoch(shard)
		return t.exec("INSERT INTO shard_epochs (shard, epoch, identity, opened_at) VALUES (?, ?, ?, ?)",
			shard, e.Epoch, identity, t.now)
	})
	return e, opened && err == nil, err
}

// PutSite keeps the generation and counts versions.
func (l *Ledger) PutSite(ctx context.Context, site allocator.Site, actor string) (created bool, err error) {
	return l.putSite(ctx, site, actor, false)
}

// PutOwnSite refuses another publisher's site.
func (l *Ledger) PutOwnSite(ctx context.Context, site allocator.Site, actor string) (created bool, err error) {
	return l.putSite(ctx, site, actor, true)
}

func (l *Ledger) putSite(ctx context.Context, site allocator.Site, actor string, own bool) (created bool, err error) {
	if _, err := l.zone(site.TimeZone); err != nil {
		return false, fmt.Errorf("site %s: %w", site.ID, err)
	}
	err = l.write(ctx, func(t *tx) error {
		var version int64
		var stored string
		site := site // another attempt may meet another publisher
		found, err := t.one("SELECT version, details FROM sites WHERE site_id = ?", []any{string(site.ID)}, &version, &stored)
		if err != nil {
			return err
		}
		created = !found
		if err := allocator.DecideStoredSite(stored, &site, own); err != nil {
			return err
		}
		details := string(allocator.EncodeSite(&site))
		if stored == details {
			return nil
		}
		t.touchSite(site.ID)
		err = t.exec(`INSERT INTO sites (site_id, version, time_zone, details, changed_at, changed_by) VALUES (?, 1, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET version = version + 1, time_zone = excluded.time_zone, details = excluded.details,
				changed_at = excluded.changed_at, changed_by = excluded.changed_by`,
			string(site.ID), site.TimeZone, details, t.now, actor)
		if err != nil {
			return err
		}
		return t.emit([]allocator.Event{allocator.SiteEvent(site.ID, version+1, actor, instant(t.now))})
	})
	return created, err
}

// PutService counts versions.
func (l *Ledger) PutService(ctx context.Context, service allocator.Service, actor string) (created bool, err error) {
	err = l.write(ctx, func(t *tx) error {
		var version int64
		found, err := t.one("SELECT version FROM services WHERE service = ?", []any{string(service.Code)}, &version)
		if err != nil {
			return err
		}
		created = !found
		changed, err := t.putService(service, actor)
		if err != nil || !changed {
			return err
		}
		return t.emit([]allocator.Event{allocator.ServiceEvent(service.Code, version+1, actor, instant(t.now))})
	})
	return created, err
}

// putService writes a service, and says whether that changed it.
func (t *tx) putService(service allocator.Service, actor string) (changed bool, err error) {
	details := string(allocator.EncodeService(&service))
	n, err := t.change(`INSERT INTO services (service, version, details, changed_at, changed_by) VALUES (?, 1, ?, ?, ?)
		ON CONFLICT DO UPDATE SET version = version + 1, details = excluded.details, changed_at = excluded.changed_at,
			changed_by = excluded.changed_by
		WHERE details <> excluded.details`, string(service.Code), details, t.now, actor)
	return n > 0, err
}

// Services lists by code.
func (l *Ledger) Services(ctx context.Context) (services []allocator.Service, err error) {
	err = l.read(ctx, func(t *tx) error {
		return t.each("SELECT version, details FROM services ORDER BY service", nil,
			func(scan func(into ...any) error) error {
				s, err := scanService(scan)
				services = append(services, s)
				return err
			})
	})
	return services, err
}

// Sites pages by id.
func (l *Ledger) Sites(ctx context.Context, after allocator.SiteID, limit int) (sites []allocator.Site, err error) {
	err = l.read(ctx, func(t *tx) error {
		return t.each("SELECT "+siteColumns+" FROM sites s WHERE s.site_id > ? ORDER BY s.site_id LIMIT ?",
			[]any{string(after), limit}, func(scan func(into ...any) error) error {
				s, err := scanSite(scan)
				sites = append(sites, s)
				return err
			})
	})
	return sites, err
}

// Site reads one.
func (l *Ledger) Site(ctx context.Context, id allocator.SiteID) (site allocator.Site, ok bool, err error) {
	err = l.read(ctx, func(t *tx) (err error) {
		site, ok, err = t.site(id)
		return err
	})
	return site, ok, err
}

func (t *tx) site(id allocator.SiteID) (site allocator.Site, ok bool, err error) {
	err = t.each("SELECT "+siteColumns+" FROM sites s WHERE s.site_id = ?", []any{string(id)},
		func(scan func(into ...any) error) (err error) {
			ok = true
			site, err = scanSite(scan)
			return err
		})
	return site, ok, err
}

// Generations lists those above 0.
func (l *Ledger) Generations(ctx context.Context) (map[allocator.SiteID]int64, error) {
	raised := make(map[allocator.SiteID]int64)
	err := l.read(ctx, func(t *tx) error {
		return t.each("SELECT site_id, generation FROM sites WHERE generation > 0", nil,
			func(scan func(into ...any) error) error {
				var id allocator.SiteID
				var generation int64
				err := scan(&id, &generation)
				raised[id] = generation
				return err
			})
	})
	return raised, err
}

// Days pages by site and date.
func (l *Ledger) Days(ctx context.Context, after allocator.DayRevision, from allocator.Date, limit int) (days []allocator.Day, err error) {
	err = l.read(ctx, func(t *tx) error {
		return t.each(`SELECT site_id, date, revision, sessions FROM days
			WHERE (site_id, date) > (?, ?) AND date >= ? ORDER BY site_id, date LIMIT ?`,
			[]any{string(after.Site), int64(after.Date), int64(from), limit},
			func(scan func(into ...any) error) error {
				d, err := scanDay(scan)
				days = append(days, d)
				return err
			})
	})
	return days, err
}

// Day reads one.
func (l *Ledger) Day(ctx context.Context, site allocator.SiteID, date allocator.Date) (day allocator.Day, err error) {
	err = l.read(ctx, func(t *tx) (err error) {
		day, err = t.day(allocator.DayID{Site: site, Date: date})
		return err
	})
	return day, err
}

func (t *tx) day(id allocator.DayID) (allocator.Day, error) {
	days, err := t.days([]allocator.DayID{id})
	if day, ok := days[id]; ok {
		return day, err
	}
	return allocator.Day{Site: id.Site, Date: id.Date}, err
}
