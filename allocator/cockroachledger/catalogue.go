package cockroachledger

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/allocator"
)

// PutSite creates or replaces a site's details, never its generation. Equal details change nothing.
func (l *Ledger) PutSite(ctx context.Context, site allocator.Site, actor string) (created bool, err error) {
	return l.putSite(ctx, site, actor, false)
}

// PutOwnSite is PutSite that refuses another publisher's site.
func (l *Ledger) PutOwnSite(ctx context.Context, site allocator.Site, actor string) (created bool, err error) {
	return l.putSite(ctx, site, actor, true)
}

func (l *Ledger) putSite(ctx context.Context, site allocator.Site, actor string, own bool) (created bool, err error) {
	if _, err := l.zone(site.TimeZone); err != nil {
		return false, err
	}
	actor = storable(actor)
	err = l.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		before, err := l.stored(ctx, tx, l.q.SiteForUpdate, string(site.ID))
		if err != nil {
			return err
		}
		site := site // another attempt may meet another publisher
		created = before.version == 0
		if err := allocator.DecideStoredSite(before.details, &site, own); err != nil {
			return err
		}
		details := string(allocator.EncodeSite(&site))
		if before.details == details {
			return nil
		}
		version := before.version + 1
		batch := new(pgx.Batch)
		batch.Queue(l.q.PutSite, string(site.ID), version, site.TimeZone, actor, details, before.now)
		return l.note(ctx, tx, batch, allocator.SiteEvent(site.ID, version, actor, before.now))
	})
	return created, err
}

// PutService creates or replaces a service. Equal details change nothing.
func (l *Ledger) PutService(ctx context.Context, service allocator.Service, actor string) (created bool, err error) {
	actor = storable(actor)
	details := string(allocator.EncodeService(&service))
	err = l.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		before, err := l.stored(ctx, tx, l.q.ServiceForUpdate, string(service.Code))
		created = before.version == 0
		if err != nil || before.details == details {
			return err
		}
		version := before.version + 1
		batch := new(pgx.Batch)
		batch.Queue(l.q.PutService, string(service.Code), version, actor, details, before.now)
		return l.note(ctx, tx, batch, allocator.ServiceEvent(service.Code, version, actor, before.now))
	})
	return created, err
}

// document is what is stored of a site or service that is to change, and the instant at which that is dated. The version is
// 0 where there is nothing.
type document struct {
	version int64
	details string
	now     time.Time
}

func (l *Ledger) stored(ctx context.Context, tx pgx.Tx, query, id string) (d document, err error) {
	var changed time.Time
	batch := new(pgx.Batch)
	batch.Queue(l.q.Now).QueryRow(func(row pgx.Row) error { return row.Scan(&d.now) })
	batch.Queue(query, id).QueryRow(func(row pgx.Row) error {
		err := row.Scan(&d.version, &d.details, &changed)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	err = tx.SendBatch(ctx, batch).Close()
	d.now = after(d.now.UTC(), changed.UTC())
	return d, err
}

// note sends a batch together with the event of what it writes.
func (l *Ledger) note(ctx context.Context, tx pgx.Tx, batch *pgx.Batch, event allocator.Event) error {
	if err := l.queueJournal(batch, &changeSet{events: []allocator.Event{event}, now: event.At}); err != nil {
		return err
	}
	return tx.SendBatch(ctx, batch).Close()
}

// Services lists every service by code.
func (l *Ledger) Services(ctx context.Context) (services []allocator.Service, err error) {
	err = l.read(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, l.q.Services)
		if err != nil {
			return err
		}
		services, err = pgx.CollectRows(rows, scanService)
		return err
	})
	return services, err
}

// Sites lists up to limit sites by id, after the given one.
func (l *Ledger) Sites(ctx context.Context, after allocator.SiteID, limit int) (sites []allocator.Site, err error) {
	err = l.read(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, l.q.Sites, string(after), int64(limit))
		if err != nil {
			return err
		}
		sites, err = pgx.CollectRows(rows, scanSite)
		return err
	})
	return sites, err
}

// Site reads one.
func (l *Ledger) Site(ctx context.Context, id allocator.SiteID) (site allocator.Site, ok bool, err error) {
	err = l.read(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, l.q.Site, string(id))
		if err != nil {
			return err
		}
		site, err = pgx.CollectExactlyOneRow(rows, scanSite)
		ok = err == nil
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	return site, ok, err
}

// Days lists published days of sites in order of (site, date), after the given pair, from a date on.
func (l *Ledger) Days(ctx context.Context, after allocator.DayRevision, from allocator.Date, limit int) (days []allocator.Day, err error) {
	afterDate := int32(after.Date)
	if after.Site == "" {
		afterDate = math.MinInt32
	}
	err = l.read(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, l.q.Days, string(after.Site), afterDate, int32(from), int64(limit))
		if err != nil {
			return err
		}
		days, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (allocator.Day, error) { return scanDay(row) })
		return err
	})
	return days, err
}

// Day reads one; a day that was never published has revision 0.
func (l *Ledger) Day(ctx context.Context, site allocator.SiteID, date allocator.Date) (day allocator.Day, err error) {
	err = l.read(ctx, func(ctx context.Context, conn *pgx.Conn) (err error) {
		day, err = oneDay(conn.QueryRow(ctx, l.q.Day, string(site), int32(date)), site, date)
		return err
	})
	return day, err
}

func oneDay(row pgx.Row, site allocator.SiteID, date allocator.Date) (allocator.Day, error) {
	day, err := scanDay(row)
	if errors.Is(err, pgx.ErrNoRows) {
		return allocator.Day{Site: site, Date: date}, nil
	}
	return day, err
}

// Epochs lists the current epoch of each shard that has one.
func (l *Ledger) Epochs(ctx context.Context) (epochs map[int]allocator.ShardEpoch, err error) {
	err = l.read(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		epochs = make(map[int]allocator.ShardEpoch)
		rows, err := conn.Query(ctx, l.q.Epochs)
		if err != nil {
			return err
		}
		var shard int
		var e allocator.ShardEpoch
		_, err = pgx.ForEachRow(rows, []any{&shard, &e.Epoch, &e.Identity}, func() error {
			epochs[shard] = e
			return nil
		})
		return err
	})
	return epochs, err
}

// OpenEpoch makes expected+1 the shard's epoch. An incarnation that was replaced gets none while its successor is young; the
// present one may, for a flush that it survived.
func (l *Ledger) OpenEpoch(ctx context.Context, shard int, expected int64, identity string) (present allocator.ShardEpoch, opened bool, err error) {
	err = l.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		present, opened = allocator.ShardEpoch{}, false
		rows, err := tx.Query(ctx, l.q.EpochHistory, int64(shard))
		if err != nil {
			return err
		}
		had := make(map[string]bool)
		var e allocator.ShardEpoch
		var age time.Duration
		if _, err = pgx.ForEachRow(rows, []any{&e.Epoch, &e.Identity, &age}, func() error {
			had[e.Identity], present = true, e
			return nil
		}); err != nil {
			return err
		}
		switch {
		case had[identity] && identity != present.Identity && age < allocator.Quarantine:
			return fmt.Errorf("shard %d, incarnation %q: %w", shard, identity, allocator.ErrIdentitySuperseded)
		case present.Epoch != expected:
			return nil
		}
		next := allocator.ShardEpoch{Epoch: expected + 1, Identity: identity}
		if _, err := tx.Exec(ctx, l.q.OpenEpoch, int64(shard), next.Epoch, identity); err != nil {
			return err
		}
		present, opened = next, true
		return nil
	})
	return present, opened && err == nil, err
}
