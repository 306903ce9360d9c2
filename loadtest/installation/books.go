package installation

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/allocator"
	"muster/allocator/cockroachledger"
	"muster/allocator/redisinventory"
	"muster/allocator/sqliteledger"
)

// Books are an installation's ledger and inventory, read through the adapters and past every link. The inventory is nil
// where it is in a server's memory. Whoever opens them closes them.
type Books struct {
	Ledger    allocator.Ledger
	Inventory allocator.Inventory

	in     *Installation
	close  []func() error
	epochs map[int]allocator.ShardEpoch
}

// OpenBooks opens them as they are now.
func (in *Installation) OpenBooks(ctx context.Context) (*Books, error) {
	b := &Books{in: in}
	if in.Postgres == nil {
		ledger, err := sqliteledger.Open(ctx, in.ledgerFile(), sqliteledger.Options{ReadOnly: true})
		if err != nil {
			return nil, err
		}
		b.Ledger, b.close = ledger, []func() error{ledger.Close}
		return b, nil
	}
	ledger, err := cockroachledger.Open(ctx, in.Postgres.URL(), cockroachledger.Options{Connections: 4})
	if err != nil {
		return nil, err
	}
	inventory, err := redisinventory.New(redisinventory.Options{
		Addresses: in.redisAddresses(), Cluster: in.Options.Redis == RedisCluster, Shards: in.Options.Shards, Connections: 2,
	})
	if err != nil {
		return nil, errors.Join(err, ledger.Close())
	}
	b.Ledger, b.Inventory, b.close = ledger, inventory, []func() error{inventory.Close, ledger.Close}
	if b.epochs, err = ledger.Epochs(ctx); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	for shard := range in.Options.Shards {
		current := b.epochs[shard]
		if err := inventory.Open(ctx, shard, current.Epoch, current.Identity, false); err != nil {
			return nil, errors.Join(fmt.Errorf("shard %d at epoch %d: %w", shard, current.Epoch, err), b.Close())
		}
	}
	return b, nil
}

func (in *Installation) ledgerFile() string {
	return filepath.Join(in.Servers[0].Data, sqliteledger.FileName)
}

func (in *Installation) redisAddresses() (addresses []string) {
	if in.Options.Redis != RedisCluster {
		return []string{in.Primary().Addr()}
	}
	for _, n := range in.Redis {
		addresses = append(addresses, n.Link.Addr())
	}
	return addresses
}

// Close ends all connections.
func (b *Books) Close() (err error) {
	for _, shut := range b.close {
		err = errors.Join(err, shut())
	}
	return err
}

// Site reads what inventory and ledger know of a site, the inventory first.
func (b *Books) Site(ctx context.Context, site allocator.SiteID) (view allocator.SiteInventory, ledger allocator.SiteLedger, err error) {
	if b.Inventory != nil {
		shard := allocator.ShardOf(site, b.in.Options.Shards)
		if view, err = b.Inventory.ReadSite(ctx, shard, b.epochs[shard].Epoch, site); err != nil {
			return view, ledger, err
		}
	}
	now, err := b.Ledger.Now(ctx)
	if err != nil {
		return view, ledger, err
	}
	from := allocator.MinuteOf(now.Add(-24 * time.Hour))
	ledger, err = b.Ledger.SiteState(ctx, site, from, now.Add(-time.Hour))
	return view, ledger, err
}

// Differ says how inventory and ledger differ at a site; nil: not at all. Holds that no booking contradicts are no difference.
func (b *Books) Differ(ctx context.Context, site allocator.SiteID) error {
	if b.Inventory == nil {
		return nil
	}
	view, ledger, err := b.Site(ctx, site)
	if err != nil {
		return err
	}
	switch d := allocator.Compare(&view, &ledger); {
	case !view.Built:
		return fmt.Errorf("%s is not rebuilt", site)
	case view.Generation != ledger.Site.Generation:
		return fmt.Errorf("%s is at generation %d, the ledger at %d", site, view.Generation, ledger.Site.Generation)
	case len(d.Fixes) > 0 || len(d.Settle) > 0:
		return fmt.Errorf("%s: %d places and %d holds differ", site, len(d.Fixes), len(d.Settle))
	}
	for date, revision := range ledger.Revisions {
		if view.Revisions[date] != revision {
			return fmt.Errorf("%s: revision %d of %v, the ledger has %d", site, view.Revisions[date], date, revision)
		}
	}
	return nil
}

// Held counts the places of a site that are held or pinned.
func (b *Books) Held(ctx context.Context, site allocator.SiteID) (held int, err error) {
	if b.Inventory == nil {
		return 0, nil
	}
	view, _, err := b.Site(ctx, site)
	for _, place := range view.Places {
		if !place.Booked {
			held++
		}
	}
	return held, err
}

// Bookings reads every row of the ledger, void and ended ones included.
func (b *Books) Bookings(ctx context.Context) (rows []allocator.Booking, err error) {
	keys, err := b.in.bookingKeys(ctx)
	if err != nil {
		return nil, err
	}
	for piece := range slices.Chunk(keys, 500) {
		some, err := b.Ledger.Bookings(ctx, piece)
		if err != nil {
			return nil, err
		}
		rows = append(rows, some...)
	}
	if len(rows) != len(keys) {
		return nil, fmt.Errorf("the ledger has %d rows and shows %d", len(keys), len(rows))
	}
	return rows, nil
}

const allKeys = "SELECT booking_key FROM bookings ORDER BY booking_key"

// bookingKeys asks the database itself: no port of the allocator lists void rows.
func (in *Installation) bookingKeys(ctx context.Context) (keys []allocator.BookingKey, err error) {
	if in.Postgres == nil {
		return sqliteKeys(ctx, in.ledgerFile())
	}
	c, err := pgx.Connect(ctx, in.Postgres.URL())
	if err != nil {
		return nil, err
	}
	defer c.Close(ctx)
	rows, err := c.Query(ctx, allKeys)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[allocator.BookingKey])
}

func sqliteKeys(ctx context.Context, file string) (keys []allocator.BookingKey, err error) {
	db, err := sql.Open("sqlite", "file:"+file+"?mode=ro")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, allKeys)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var key allocator.BookingKey
		if err := rows.Scan(&key); err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, rows.Err()
}

// Events reads what the outbox says of bookings and capacity, all of it.
func (b *Books) Events(ctx context.Context) (all []allocator.Event, err error) {
	for cursor := ""; ; {
		some, next, err := b.Ledger.Events(ctx, cursor, 500)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		if len(some) == 0 || next == cursor {
			return slices.DeleteFunc(all, func(e allocator.Event) bool { return e.Type.Catalogue() }), nil
		}
		cursor = next
	}
}
