package sqliteledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"testing"

	"muster/allocator"
	"muster/allocator/allocatortest/ledgersuite"
)

// LimitPages lets the file grow by no more than some pages, until the returned function lifts that.
func (l *Ledger) LimitPages(t *testing.T, more int) (lift func()) {
	t.Helper()
	limit := func(pages int) {
		c, err := take(t.Context(), l.writers)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { l.writers <- c }()
		if _, err := c.conn.ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages)); err != nil {
			t.Fatal(err)
		}
	}
	var pages int
	err := l.read(t.Context(), func(t *tx) error {
		_, err := t.one("PRAGMA page_count", nil, &pages)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	limit(pages + more)
	return func() { limit(1 << 30) }
}

// TestRolledBack: on a full disk SQLite ends a transaction by itself, and has none to roll back. The ledger goes on.
func TestRolledBack(t *testing.T) {
	l, err := Open(t.Context(), t.TempDir(), Options{Readers: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if err := l.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	full := errors.New("the disk is full")
	fails := func(tx *tx) error {
		if err := tx.exec("DELETE FROM settings WHERE name = 'nobody'"); err != nil { // leaves a prepared statement
			return err
		}
		return errors.Join(tx.exec("ROLLBACK"), full)
	}
	if err := l.write(t.Context(), fails); !errors.Is(err, full) {
		t.Errorf("wrote: %v", err)
	}
	if err := l.read(t.Context(), func(tx *tx) error { return errors.Join(tx.exec("ROLLBACK"), full) }); !errors.Is(err, full) {
		t.Errorf("read: %v", err)
	}
	if _, err := l.Agree(t.Context(), "secret", []byte("x")); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestPlans: no statement that the suite runs reads a whole table, but for those that list one.
func TestPlans(t *testing.T) {
	l, err := Open(t.Context(), t.TempDir(), Options{Readers: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	useAll(t, l)
	listing := []string{"FROM services ORDER BY", "FROM shard_epochs ORDER BY", "FROM sites WHERE generation > 0", "FROM muster_schema"}
	for _, pool := range []chan *connection{l.writers, l.readers} {
		c := <-pool
		texts := make([]string, 0, len(c.statements))
		for text := range c.statements {
			texts = append(texts, text)
		}
		if len(texts) < 10 {
			t.Errorf("only %d statements were run", len(texts))
		}
		for _, text := range texts {
			plan := planOf(t, c, text)
			allowed := false
			for _, l := range listing {
				allowed = allowed || strings.Contains(text, l)
			}
			for line := range strings.Lines(plan) {
				scans := strings.HasPrefix(line, "SCAN") && !strings.HasPrefix(line, "SCAN j ") && !strings.Contains(line, "json_each") &&
					!strings.Contains(line, "CONSTANT ROW") && !strings.Contains(line, "SCAN e USING")
				if scans && !allowed {
					t.Errorf("%s\nreads a whole table:\n%s", text, plan)
				}
			}
		}
		pool <- c
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func planOf(t *testing.T, c *connection, text string) (plan string) {
	t.Helper()
	if strings.HasPrefix(text, "BEGIN") || strings.HasPrefix(text, "COMMIT") {
		return ""
	}
	args := make([]any, strings.Count(text, "?"))
	rows, err := c.conn.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+text, args...)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan += detail + "\n"
	}
	return plan
}

// useAll calls every method once.
func useAll(t *testing.T, l *Ledger) {
	t.Helper()
	w := ledgersuite.NewWorld(t, l, "plans")
	w.Publish(t, ledgersuite.Open(9, ledgersuite.Blue))
	row := w.Book(t, ledgersuite.Spot{Service: ledgersuite.Blue, Person: 1})[0]
	w.Record(t, w.Pinned(t, ledgersuite.Spot{Place: 1, Service: ledgersuite.Blue, Person: 2}))
	w.Turn(t, row.Key, allocator.StatusCancelled, "")
	lost := w.Recording(ledgersuite.Spot{Service: ledgersuite.Blue})
	_, void := l.Void(t.Context(), []allocator.Voiding{ledgersuite.VoidingOf(lost, allocator.CodeHoldLost)})
	_, _, epoch := l.OpenEpoch(t.Context(), 0, 0, "node")
	_, secret := l.Agree(t.Context(), "secret", []byte("secret"))
	_, sites := l.Sites(t.Context(), "", 10)
	_, services := l.Services(t.Context())
	_, days := l.Days(t.Context(), allocator.DayRevision{}, 0, 10)
	_, bookings := l.Bookings(t.Context(), []allocator.BookingKey{row.Key})
	_, _, booking := l.Booking(t.Context(), row.Key, allocator.Subject{Bound: true, Publisher: "chain-1"})
	_, person := l.PersonBookings(t.Context(), row.Person, 10)
	_, payloads := l.Payloads(t.Context(), 0, 10)
	_, reseal := l.Reseal(t.Context(), []allocator.Resealing{{Key: row.Key, Was: row.Sealed}})
	_, amend := l.Amend(t.Context(), "secret", []byte("secret"), []byte("other"))
	_, _, slot := l.Slot(t.Context(), row.Slot, row.Date)
	_, _, day := l.DayBookings(t.Context(), w.Site, w.Date)
	change := w.Change()
	change.Plan = 1
	_, plan := l.PutPlan(t.Context(), allocator.SitePlan{Site: w.Site, Version: 1})
	_, planned := l.Publish(t.Context(), []allocator.DayChange{change})
	_, due := l.DuePlans(t.Context(), 1, "", 10)
	_, state := l.SiteState(t.Context(), w.Site, 0, row.RecordedAt)
	_, generations := l.Generations(t.Context())
	_, changed := l.Changed(t.Context(), row.RecordedAt)
	_, _, events := l.Events(t.Context(), "", 10)
	err := errors.Join(l.Check(t.Context()), void, epoch, secret, sites, services, days, bookings, slot, day, state, generations,
		changed, events, plan, planned, due, booking, person, payloads, reseal, amend)
	if err != nil {
		t.Fatal(err)
	}
}

// TestNowBesideAWrite: no transaction that commits after Now was asked is dated before its answer.
func TestNowBesideAWrite(t *testing.T) {
	l, err := Open(t.Context(), t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var date int64
	for range 2 { // the second time, nothing of the first is left
		err = l.write(t.Context(), func(t *tx) error {
			date = t.now
			l.clock.next()
			now, err := l.Now(t.ctx)
			if err == nil && now.UnixMicro() != date {
				err = fmt.Errorf("now is %d in a transaction of %d", now.UnixMicro(), date)
			}
			return err
		})
		if now, nowErr := l.Now(t.Context()); err != nil || nowErr != nil || now.UnixMicro() <= date {
			t.Errorf("after a transaction of %d: %v, %v, %v", date, now, err, nowErr)
		}
	}
}

// TestMigrations: each has a number of its own, in five digits, the last one is the newest, and all are forward-only.
func TestMigrations(t *testing.T) {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql")
	if err != nil || len(names) == 0 {
		t.Fatalf("%v: %v", names, err)
	}
	var last int64
	for _, name := range names {
		digits, _, _ := strings.Cut(strings.TrimPrefix(name, "migrations/"), "_")
		number, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || len(digits) != 5 || number <= last {
			t.Errorf("%s comes after number %d: %v", name, last, err)
		}
		last = number
		text, err := migrationFiles.ReadFile(name)
		if err != nil || strings.Contains(string(text), "goose Down") {
			t.Errorf("%s must only go forward: %v", name, err)
		}
	}
	if last != newestMigration() {
		t.Errorf("the newest is %d, and newestMigration says %d", last, newestMigration())
	}
}

// TestCommitError: only an I/O error at COMMIT leaves the outcome open.
func TestCommitError(t *testing.T) {
	l, err := Open(t.Context(), t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := commitError(errors.New("no error of SQLite's")); !errors.Is(err, allocator.ErrUnavailable) {
		t.Error(err)
	}
	// A deferred foreign key fails at COMMIT: the transaction is rolled back, and the connection goes on.
	if err := l.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	err = l.write(t.Context(), func(t *tx) error {
		return errors.Join(
			t.exec("PRAGMA defer_foreign_keys = 1"),
			t.exec("INSERT INTO days (site_id, date, revision, sessions, changed_at) VALUES ('nowhere', 1, 1, '[]', 1)"))
	})
	if !errors.Is(err, allocator.ErrUnavailable) || errors.Is(err, allocator.ErrOutcomeUnknown) {
		t.Errorf("a commit that was refused: %v", err)
	}
	day, err := l.Day(context.Background(), "nowhere", 1)
	if err != nil || day.Revision != 0 {
		t.Errorf("after a refused commit: %+v, %v", day, err)
	}
	if _, err := l.Agree(t.Context(), "secret", []byte("x")); err != nil {
		t.Errorf("the next write: %v", err)
	}
}
