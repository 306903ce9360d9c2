package sqliteledger

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"github.com/pressly/goose/v3"

	"muster/allocator"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// versionTable is where migrations are noted.
const versionTable = "muster_schema"

// Migrate brings the schema up to this program's. It may be repeated.
func (l *Ledger) Migrate(ctx context.Context) error {
	c, err := take(ctx, l.writers)
	if err != nil {
		return unavailable(err)
	}
	defer func() { l.writers <- c }()
	if err := c.close(); err != nil { // goose wants the pool, and the pool has one connection
		return err
	}
	return l.migrate(ctx)
}

func (l *Ledger) migrate(ctx context.Context) error {
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, l.writeDB, files,
		goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	if current, newest, err := provider.GetVersions(ctx); err == nil && current > newest {
		return fmt.Errorf("%w: it is at version %d, this program knows %d", allocator.ErrSchema, current, newest)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// Check fails with allocator.ErrSchema where the schema is not exactly this program's: a file has one program.
func (l *Ledger) Check(ctx context.Context) error {
	var version int64
	err := l.read(ctx, func(t *tx) error {
		_, err := t.one("SELECT coalesce(max(version_id), 0) FROM "+versionTable+" WHERE is_applied = 1", nil, &version)
		return err
	})
	switch want := newestMigration(); {
	case errors.Is(err, allocator.ErrSchema):
		return fmt.Errorf("%w: it has not been migrated", allocator.ErrSchema)
	case err != nil:
		return err
	case version != want:
		return fmt.Errorf("%w: it is at version %d, this program needs %d", allocator.ErrSchema, version, want)
	}
	return nil
}

// newestMigration is the version of the last file: they are listed by name, which begins with five digits.
func newestMigration() int64 {
	files, err := migrationFiles.ReadDir("migrations")
	if err != nil {
		panic(err) // embedded
	}
	version, err := strconv.ParseInt(files[len(files)-1].Name()[:5], 10, 64)
	if err != nil {
		panic(err) // a test checks their names
	}
	return version
}
