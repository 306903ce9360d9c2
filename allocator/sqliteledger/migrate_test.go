package sqliteledger

import (
	"io/fs"
	"slices"
	"testing"

	"github.com/pressly/goose/v3"

	"muster/allocator"
)

// atVersion1 is what a ledger of the first version had: a booking that was cancelled, one that lives, a move, a void row,
// two revisions of a day, and a booking that was recorded in between.
const atVersion1 = `
INSERT INTO sites (site_id, generation, version, time_zone, details, changed_at, changed_by) VALUES ('s', 4, 1, 'UTC', '{}', 1, 'p');
INSERT INTO days VALUES ('s', 10, 2, '[]', 6);
INSERT INTO bookings VALUES
	(900, zeroblob(18), 1, 's', 14700, 10, 10, 0, 'blue', 'v', 1, x'01010101010101010101010101010101', 1, x'aa', 'cancelled', 2, 'ill', NULL, 2, 5),
	(100, zeroblob(18), 2, 's', 14700, 10, 10, 1, 'blue', 'v', 1, NULL, 0, NULL, 'cancelled', 2, 'moved', 500, 3, 7),
	(300, zeroblob(18), 2, 's', 14700, 10, 10, 2, 'blue', 'v', 2, NULL, 0, NULL, 'void', 1, 'HOLD_LOST', NULL, 4, 4),
	(200, zeroblob(18), 1, 's', 14700, 10, 10, 9, 'blue', 'v', 2, NULL, 0, NULL, 'void', 1, 'HOLD_LOST', NULL, 4, 4),
	(500, zeroblob(18), 1, 's', 14710, 10, 10, 0, 'blue', 'v', 1, x'02020202020202020202020202020202', 1, x'bb', 'booked', 1, '', NULL, 7, NULL);
INSERT INTO events (id, type, at, actor, reason, booking_key, status, version, site_id, date, revision) VALUES
	(1, 'capacity.changed', 1, 'pub', '', NULL, NULL, NULL, 's', 10, 1),
	(2, 'booking.booked', 2, 'ann', '', 900, 'booked', 1, NULL, NULL, NULL),
	(3, 'booking.booked', 3, 'bob', '', 100, 'booked', 1, NULL, NULL, NULL),
	(4, 'booking.cancelled', 5, 'ann', 'ill', 900, 'cancelled', 2, NULL, NULL, NULL),
	(6, 'capacity.changed', 6, 'pub', '', NULL, NULL, NULL, 's', 10, 2),
	(7, 'booking.moved', 7, 'bob', 'moved', 100, 'cancelled', 2, NULL, NULL, NULL),
	(8, 'booking.booked', 7, 'bob', '', 500, 'booked', 1, NULL, NULL, NULL);`

// firstVersion makes a file of the first version.
func firstVersion(t *testing.T, l *Ledger) {
	t.Helper()
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, l.writeDB, files,
		goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := l.writeDB.ExecContext(t.Context(), atVersion1); err != nil {
		t.Fatal(err)
	}
}

// TestMigrateOrigins: no event is lost, doubled, renumbered or out of order, and every row is as it was.
func TestMigrateOrigins(t *testing.T) {
	l, err := Open(t.Context(), t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	firstVersion(t, l)
	for range 2 {
		if err := l.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	events, next, err := l.Events(t.Context(), "", 100)
	if err != nil || next != "8" {
		t.Fatal(next, err)
	}
	type line struct {
		cursor, kind, actor, reason string
		key                         allocator.BookingKey
		at                          int64
		version                     int
		revision                    int64
		start                       allocator.Minute
		person                      byte
	}
	var got []line
	for i := range events {
		e := &events[i]
		got = append(got, line{e.Cursor, string(e.Type) + " " + string(e.Status), e.Actor, e.Reason, e.Booking, e.At.UnixMicro(),
			e.Version, e.Revision, e.Slot.Start, e.Person[0]})
	}
	want := []line{
		{"1", "capacity.changed ", "pub", "", 0, 1, 0, 1, 0, 0},
		{"2", "booking.booked booked", "ann", "", 900, 2, 1, 0, 14700, 1},
		{"3", "booking.booked booked", "bob", "", 100, 3, 1, 0, 14700, 0},
		{"4", "booking.cancelled cancelled", "ann", "ill", 900, 5, 2, 0, 14700, 1},
		{"6", "capacity.changed ", "pub", "", 0, 6, 0, 2, 0, 0},
		{"7", "booking.moved cancelled", "bob", "moved", 100, 7, 2, 0, 14700, 0},
		{"8", "booking.booked booked", "bob", "", 500, 7, 1, 0, 14710, 2},
	}
	if !slices.Equal(got, want) {
		t.Errorf("events %v\nwant   %v", got, want)
	}
	checkMigratedRows(t, l)
}

// checkMigratedRows looks at what the events do not show, and that the next row has a number of its own.
func checkMigratedRows(t *testing.T, l *Ledger) {
	t.Helper()
	rows, err := l.Bookings(t.Context(), []allocator.BookingKey{900, 100, 300, 200, 500})
	if err != nil || len(rows) != 5 {
		t.Fatal(rows, err)
	}
	if r := rows[1]; r.ReplacedBy != 500 || r.Reason != "moved" || r.Version != 2 || r.Status != allocator.StatusCancelled {
		t.Errorf("the moved booking: %+v", r)
	}
	if r := rows[4]; string(r.Sealed) != "\xbb" || !r.OnePerson || r.Person[15] != 2 || r.RecordedAt.UnixMicro() != 7 || r.Slot.Start != 14710 {
		t.Errorf("the live booking: %+v", r)
	}
	if a, b := rows[2], rows[3]; a.Status != allocator.StatusVoid || b.Status != allocator.StatusVoid || a.Reason != "HOLD_LOST" {
		t.Errorf("the void rows: %+v, %+v", a, b)
	}
	err = l.write(t.Context(), func(tx *tx) error {
		for _, check := range []string{"PRAGMA integrity_check", "SELECT count(*) FROM pragma_foreign_key_check"} {
			var found string
			if _, err := tx.one(check, nil, &found); err != nil || found != "ok" && found != "0" {
				t.Errorf("%s: %s, %v", check, found, err)
			}
		}
		id, err := tx.nextID()
		if err != nil || id != 11 {
			t.Errorf("the next id is %d, %v", id, err)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, found, err := l.Site(t.Context(), "s"); err != nil || !found {
		t.Error(found, err)
	}
}
