// Package sqliteledger keeps the ledger in one SQLite file: the embedded default, durable without a server.
//
// # What it rests on
//
// One connection writes, in BEGIN IMMEDIATE transactions that take turns; so every transaction is serializable, and none
// is ever tried twice. Others read, each from a snapshot of its own (write-ahead log). With synchronous=FULL a commit is
// acknowledged only when the log is on disk, so neither a killed process nor a lost power supply takes an acknowledged
// row back. Batching is the caller's: one call is one transaction and one flush, however many items it has.
//
// What costs is pages: each row touches one of every tree, and each page that a transaction touched goes to the log. So
// rows come in the order in which they are written, a booking's row is its first event too, and three trees are left whose
// order is random: keys, places, persons. Ordinary batches are not read for first (ordinary.go, facts.go).
//
// A write that has begun runs to its end whatever becomes of its context: an interrupted commit would leave an unknown
// outcome where there was none.
//
// # Time
//
// The ledger's clock is the process's, in microseconds, and never goes back: each transaction is dated later than all
// before it, those of earlier processes included. Now answers no later than the date of a transaction that is still open,
// so that "since Now" misses nothing.
package sqliteledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"muster/allocator"
)

// Options tune a ledger. The zero value is good.
type Options struct {
	Readers     int              // connections that read at once; default 4
	BusyTimeout time.Duration    // how long to wait for another process's lock; default 5 s
	Now         func() time.Time // default time.Now
	ReadOnly    bool             // for looking at a file that a server may have open: everything that writes fails
}

func (o Options) withDefaults() Options {
	if o.Readers == 0 {
		o.Readers = 4
	}
	if o.BusyTimeout == 0 {
		o.BusyTimeout = 5 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Validate reports every fault at once.
func (o Options) Validate() error {
	var faults []error
	if o.Readers < 0 || o.Readers > 256 {
		faults = append(faults, fmt.Errorf("readers: %d is not within 1 and 256", o.Readers))
	}
	if o.BusyTimeout < 0 || o.BusyTimeout > time.Minute {
		faults = append(faults, fmt.Errorf("busy timeout: %v is not within 0 and 1 min", o.BusyTimeout))
	}
	return errors.Join(faults...)
}

// ErrInUse says that another process, or another ledger of this one, has the file open for writing.
var ErrInUse = errors.New("the ledger is in use")

// FileName is the file's name within a data directory.
const FileName = "ledger.db"

// Ledger is an allocator.Ledger in a file.
type Ledger struct {
	options Options
	lock    *os.File
	clock   clock
	zones   sync.Map // of *time.Location by name

	writeDB *sql.DB
	readDB  *sql.DB
	writers chan *connection // the one that writes: whoever has it has the turn
	readers chan *connection
	opened  bool // both are full
}

var _ allocator.Ledger = (*Ledger)(nil)

// Open opens the ledger at path: a file where that ends in .db, else a directory, made where there is none. Migrate must
// run before a new ledger is used. ErrInUse where somebody else writes to it.
func Open(ctx context.Context, path string, options Options) (*Ledger, error) {
	if err := options.Validate(); err != nil {
		return nil, err
	}
	file, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if filepath.Ext(file) != ".db" {
		file = filepath.Join(file, FileName)
	}
	l := &Ledger{options: options.withDefaults()}
	l.writers, l.readers = make(chan *connection, 1), make(chan *connection, l.options.Readers)
	l.clock.now = l.options.Now
	if err := l.open(ctx, file); err != nil {
		return nil, errors.Join(fmt.Errorf("open ledger %s: %w", file, err), l.Close())
	}
	return l, nil
}

func (l *Ledger) open(ctx context.Context, file string) (err error) {
	if !l.options.ReadOnly {
		if err := create(file); err != nil {
			return err
		}
		if l.lock, err = lockFile(file + ".lock"); err != nil {
			return err
		}
		if l.writeDB, err = sql.Open("sqlite", l.source(file, true)); err != nil {
			return err
		}
		l.writeDB.SetMaxOpenConns(1)
		if err := checkDurable(ctx, l.writeDB); err != nil {
			return err
		}
	}
	if l.readDB, err = sql.Open("sqlite", l.source(file, false)); err != nil {
		return err
	}
	l.writers <- &connection{db: l.writeDB}
	for range l.options.Readers {
		l.readers <- &connection{db: l.readDB}
	}
	l.opened = true
	return l.restoreClock(ctx)
}

// create makes the file and its directory, for the owner's eyes only, and makes sure that they outlive a crash.
func create(file string) error {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// source names the file and how its connections are set up.
func (l *Ledger) source(file string, writes bool) string {
	q := url.Values{"mode": {"rw"}, "_dqs": {"0"}}
	q.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", l.options.BusyTimeout.Milliseconds()))
	q.Add("_pragma", "foreign_keys(1)")
	q.Add("_pragma", "cache_size(-32768)")
	q.Add("_pragma", "temp_store(MEMORY)") // statement journals, which a multi-row insert needs
	if writes {
		q.Add("_pragma", "journal_mode(WAL)")
		q.Add("_pragma", "synchronous(FULL)")
		q.Add("_pragma", "wal_autocheckpoint(16000)")
	} else {
		q.Add("_pragma", "query_only(1)")
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(file), RawQuery: q.Encode()}).String()
}

// checkDurable fails where the file system or the file did not take the settings on which durability rests.
func checkDurable(ctx context.Context, db *sql.DB) error {
	var mode, synchronous string
	err := errors.Join(
		db.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode),
		db.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&synchronous))
	if err == nil && (mode != "wal" || synchronous != "2") {
		err = fmt.Errorf("journal mode is %s and synchronous %s, want wal and 2", mode, synchronous)
	}
	return err
}

// Close waits for what runs, and closes every connection. Whatever is called after it fails with ErrUnavailable.
func (l *Ledger) Close() error {
	var errs []error
	if l.opened {
		for _, pool := range []chan *connection{l.readers, l.writers} {
			for range cap(pool) {
				c := <-pool
				c.db = nil
				errs = append(errs, c.close())
				defer func() { pool <- c }()
			}
		}
	}
	for _, db := range []*sql.DB{l.readDB, l.writeDB} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if l.lock != nil {
		errs = append(errs, l.lock.Close())
		l.lock = nil
	}
	return errors.Join(errs...)
}
