package sqliteledger_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/allocator"
	"muster/allocator/allocatortest/ledgersuite"
	"muster/allocator/sqliteledger"
)

// TestInUse: one server at a time writes to a ledger; who comes second is told.
func TestInUse(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, sqliteledger.Options{})
	if _, err := sqliteledger.Open(t.Context(), dir, sqliteledger.Options{}); !errors.Is(err, sqliteledger.ErrInUse) {
		t.Fatalf("opened twice: %v", err)
	}
	must(t, l.Check(t.Context()))
	must(t, l.Close())
	open(t, dir, sqliteledger.Options{})
}

// TestReadOnly: a look at a ledger beside the server that writes to it, and after it.
func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, sqliteledger.Options{})
	w := ledgersuite.NewWorld(t, l, "looked-at")
	w.Publish(t, ledgersuite.Open(1, ledgersuite.Blue))
	for _, state := range []string{"beside the server", "without it"} {
		look, err := sqliteledger.Open(t.Context(), dir, sqliteledger.Options{ReadOnly: true})
		must(t, err)
		must(t, look.Check(t.Context()))
		day, err := look.Day(t.Context(), w.Site, w.Date)
		must(t, err)
		if day.Revision != 1 {
			t.Errorf("%s: read revision %d", state, day.Revision)
		}
		if _, err := look.Agree(t.Context(), "secret", []byte("x")); !errors.Is(err, allocator.ErrUnavailable) {
			t.Errorf("%s: wrote: %v", state, err)
		}
		must(t, look.Close())
		must(t, l.Close())
	}
	nowhere := filepath.Join(dir, "nowhere")
	if _, err := sqliteledger.Open(t.Context(), nowhere, sqliteledger.Options{ReadOnly: true}); err == nil {
		t.Error("looked at nothing")
	}
	if _, err := os.Stat(nowhere); err == nil {
		t.Error("looking made a directory")
	}
}

// TestSchema: a file of no schema, an older one or a newer one is refused.
func TestSchema(t *testing.T) {
	dir := t.TempDir()
	l, err := sqliteledger.Open(t.Context(), dir, sqliteledger.Options{})
	must(t, err)
	if err := l.Check(t.Context()); !errors.Is(err, allocator.ErrSchema) {
		t.Errorf("no schema: %v", err)
	}
	if _, err := l.Agree(t.Context(), "secret", []byte("x")); !errors.Is(err, allocator.ErrSchema) {
		t.Errorf("used without a schema: %v", err)
	}
	must(t, l.Migrate(t.Context()))
	must(t, l.Migrate(t.Context()))
	must(t, l.Check(t.Context()))
	for _, change := range []string{
		"INSERT INTO muster_schema (version_id, is_applied) VALUES (999, 1)",
		"DELETE FROM muster_schema WHERE version_id > 0",
	} {
		must(t, l.Close())
		raw(t, dir, change)
		l, err = sqliteledger.Open(t.Context(), dir, sqliteledger.Options{})
		must(t, err)
		if err := l.Check(t.Context()); !errors.Is(err, allocator.ErrSchema) {
			t.Errorf("after %s: %v", change, err)
		}
		if strings.Contains(change, "999") {
			if err := l.Migrate(t.Context()); !errors.Is(err, allocator.ErrSchema) {
				t.Errorf("migrated a newer schema: %v", err)
			}
		}
	}
	must(t, l.Close())
}

// raw runs a statement on the file, past the ledger.
func raw(t *testing.T, dir, statement string, args ...any) error {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, sqliteledger.FileName))
	must(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), statement, args...)
	return err
}

// TestSecondGuard: the file itself refuses what a wrong decision would write.
func TestSecondGuard(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, sqliteledger.Options{})
	w := ledgersuite.NewWorld(t, l, "guarded")
	w.Publish(t, ledgersuite.Open(3, ledgersuite.Blue))
	key := w.Book(t, ledgersuite.Spot{Service: ledgersuite.Blue, Person: 1})[0].Key
	w.Turn(t, key, allocator.StatusArrived, "") // a booking's row is its first event
	must(t, l.Close())
	copied := func(changes ...string) string {
		values := map[string]string{}
		columns := strings.Fields("id booking_key hold claims site_id starts_at length date place service programme dose person " +
			"one_person sealed status version reason replaced_by recorded_at booked_by ended_at")
		for _, c := range columns {
			values[c] = c
		}
		values["id"] = "NULL"
		values["booking_key"], values["place"], values["person"] = "abs(random() >> 4) | 1", "abs(random() % 100000) + 1", "randomblob(16)"
		for i := 0; i < len(changes); i += 2 {
			values[changes[i]] = changes[i+1]
		}
		list := make([]string, len(columns))
		for i, c := range columns {
			list[i] = values[c]
		}
		return fmt.Sprintf("INSERT INTO bookings SELECT %s FROM bookings WHERE booking_key = %d", strings.Join(list, ", "), key)
	}
	must(t, raw(t, dir, copied()))
	for what, changes := range map[string][]string{
		"a place twice":             {"place", "place"},
		"a person twice":            {"person", "person"},
		"a key twice":               {"booking_key", "booking_key"},
		"no key":                    {"booking_key", "0"},
		"a negative place":          {"place", "-1"},
		"version 0":                 {"version", "0"},
		"an unknown status":         {"status", "'gone'"},
		"cancelled and not ended":   {"status", "'cancelled'"},
		"live and ended":            {"ended_at", "1"},
		"void with a person":        {"status", "'void'", "ended_at", "1", "booked_by", "NULL", "sealed", "NULL"},
		"void and booked":           {"status", "'void'", "ended_at", "1", "person", "NULL", "sealed", "NULL"},
		"booked by nobody":          {"booked_by", "NULL"},
		"an event's id twice":       {"id", "id"},
		"a hold that is no id":      {"hold", "x'00'"},
		"a person that is no key":   {"person", "x'00'"},
		"a start on another day":    {"starts_at", "starts_at + 4000"},
		"a start that is no number": {"starts_at", "'nine'"},
	} {
		if err := raw(t, dir, copied(changes...)); err == nil || !strings.Contains(strings.ToLower(err.Error()), "constraint") && !strings.Contains(err.Error(), "cannot store") {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, statement := range map[string]string{
		"an event twice":       "INSERT INTO events SELECT id + 1000, type, at, actor, reason, booking_key, status, version, site_id, date, revision, service FROM events WHERE booking_key IS NOT NULL",
		"a first event twice":  "INSERT INTO events SELECT id + 1000, type, at, actor, reason, booking_key, status, 1, site_id, date, revision, service FROM events WHERE booking_key IS NOT NULL",
		"a revision twice":     "INSERT INTO events SELECT id + 1000, type, at, actor, reason, booking_key, status, version, site_id, date, revision, service FROM events WHERE revision IS NOT NULL",
		"revision 0":           "UPDATE days SET revision = 0",
		"sessions not of JSON": "UPDATE days SET sessions = '['",
		"an epoch twice":       "INSERT INTO shard_epochs VALUES (1, 1, 'a', 0), (1, 1, 'b', 0)",
	} {
		if err := raw(t, dir, statement); err == nil {
			t.Errorf("%s was let in", what)
		}
	}
}

// TestDiskFull: nothing of the batch is there, the error says so, and all is well once there is room.
func TestDiskFull(t *testing.T) {
	l := open(t, t.TempDir(), sqliteledger.Options{})
	w := ledgersuite.NewWorld(t, l, "full")
	w.Publish(t, ledgersuite.Open(5000, ledgersuite.Blue))
	before := w.Book(t, ledgersuite.Spot{Service: ledgersuite.Blue, Person: 1})
	var items []allocator.Recording
	for i := range 1000 {
		items = append(items, w.Recording(ledgersuite.Spot{Slot: 1, Place: int32(i), Service: ledgersuite.Blue, Person: i + 2}))
	}
	allow := l.LimitPages(t, 2)
	if _, err := l.Record(t.Context(), items); !errors.Is(err, allocator.ErrUnavailable) {
		t.Fatalf("on a full disk: %v", err)
	}
	if live := w.Audit(t); len(live) != len(before) {
		t.Errorf("%d live rows after a refused batch, want %d", len(live), len(before))
	}
	allow()
	for i, r := range w.Record(t, items...) {
		if r.Outcome != allocator.Recorded {
			t.Fatalf("item %d afterwards: outcome %d", i, r.Outcome)
		}
	}
	w.Audit(t)
}

// TestGivenUp: whoever gives up before their turn changes nothing, and hurts nobody.
func TestGivenUp(t *testing.T) {
	l := open(t, t.TempDir(), sqliteledger.Options{Readers: 1})
	w := ledgersuite.NewWorld(t, l, "given-up")
	w.Publish(t, ledgersuite.Open(200, ledgersuite.Blue))
	items := make([]allocator.Recording, 128)
	for i := range items {
		items[i] = w.Recording(ledgersuite.Spot{Place: int32(i), Service: ledgersuite.Blue, Person: i + 1})
	}
	errs := make([]error, len(items))
	ledgersuite.Race(len(items), func(i int) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if i%2 == 0 {
			go cancel()
		}
		_, errs[i] = l.Record(ctx, items[i:i+1])
		_, _, _ = l.DayBookings(ctx, w.Site, w.Date)
	})
	for i, err := range errs {
		rows, readErr := l.Bookings(t.Context(), []allocator.BookingKey{items[i].Claims[0].Key})
		must(t, readErr)
		if err != nil && !errors.Is(err, allocator.ErrUnavailable) || err == nil && len(rows) != 1 || err != nil && len(rows) != 0 {
			t.Errorf("call %d: %v, and %d rows", i, err, len(rows))
		}
		if err != nil && i%2 == 1 {
			t.Errorf("call %d: %v", i, err)
		}
	}
	w.Audit(t)
}
