package cockroachledger

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"muster/allocator"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

const (
	versionTable = "muster_schema"
	lockTable    = "muster_schema_lock"

	// migrateConnections are Migrate's own: it holds one while it waits for its turn, and for its turn needs others, so
	// callers that shared a small pool would wait for each other.
	migrateConnections = 4
)

// Migrate brings the schema up to this program's. Any number of programs may call it at once, and it may be repeated
// after a failure at any point. They take turns by a row in a table: advisory locks do not exist on CockroachDB.
func (l *Ledger) Migrate(ctx context.Context) error {
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return err
	}
	turns, err := lock.NewPostgresTableLocker(lock.WithTableName(lockTable),
		lock.WithTableLockTimeout(200*time.Millisecond, 600), lock.WithTableUnlockTimeout(200*time.Millisecond, 50))
	if err != nil {
		return err
	}
	config := l.pool.Config()
	config.MaxConns = migrateConnections
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	defer pool.Close()
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithTableName(versionTable), goose.WithLocker(turns), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return l.engine.afterMigrations(ctx, pool)
}

// schemaVersion is the version of the newest migration that this program brings along.
func schemaVersion(files fs.FS) (int64, error) {
	names, err := fs.Glob(files, "migrations/*.sql")
	if err != nil {
		return 0, err
	}
	var newest int64
	for _, name := range names {
		digits, _, _ := strings.Cut(path.Base(name), "_")
		version, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("migration %s has no version", name)
		}
		newest = max(newest, version)
	}
	return newest, nil
}

// Check fails with allocator.ErrSchema where the schema is older than this program's. A newer one is fine: migrations
// first add, and take away only what no running program uses.
func (l *Ledger) Check(ctx context.Context) error {
	var version int64
	err := l.read(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, l.q.SchemaVersion).Scan(&version)
	})
	switch {
	case errors.Is(err, allocator.ErrSchema):
		return fmt.Errorf("%w: it has not been migrated", allocator.ErrSchema)
	case err != nil:
		return err
	case version < l.schema:
		return fmt.Errorf("%w: it is at version %d, version %d is needed", allocator.ErrSchema, version, l.schema)
	}
	return nil
}
