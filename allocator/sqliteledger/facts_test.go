package sqliteledger

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest/ledgersuite"
)

// opened is a ledger with a schema.
func opened(t *testing.T, dir string) *Ledger {
	t.Helper()
	l, err := Open(t.Context(), dir, Options{Readers: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if err := l.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

// kept is a copy of what is kept at the moment, for the turn that this takes.
func kept(t *testing.T, l *Ledger) (known allocator.RecordState) {
	t.Helper()
	c, err := take(t.Context(), l.writers)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { l.writers <- c }()
	return c.facts.known
}

// sameAsFile fails where a fact that is kept is not what the file says.
func sameAsFile(t *testing.T, l *Ledger, when string) {
	t.Helper()
	known := kept(t, l)
	epochs, err := l.Epochs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for shard, epoch := range known.Epochs {
		if epochs[shard].Epoch != epoch {
			t.Errorf("%s: epoch %d of shard %d is kept, the file has %d", when, epoch, shard, epochs[shard].Epoch)
		}
	}
	for id, facts := range known.Sites {
		site, ok, err := l.Site(t.Context(), id)
		if err != nil || !ok || site.Generation != facts.Generation || site.TimeZone != facts.Zone.String() {
			t.Errorf("%s: of site %s %+v is kept, the file has %+v, %v", when, id, facts, site, err)
		}
	}
	for id, day := range known.Days {
		filed, err := l.Day(t.Context(), id.Site, id.Date)
		if err != nil || filed.Revision != day.Revision {
			t.Errorf("%s: revision %d of %v is kept, the file has %d, %v", when, day.Revision, id, filed.Revision, err)
		}
	}
}

// ordinarily records an item, and says whether that went the ordinary way.
func ordinarily(t *testing.T, l *Ledger, item allocator.Recording) bool {
	t.Helper()
	results, err := l.recordOrdinary(t.Context(), []allocator.Recording{item})
	if err != nil && err != errContested {
		t.Fatal(err)
	}
	return err == nil && results[0].Outcome == allocator.Recorded
}

// TestFactsAreForgotten: whatever changes an epoch, a generation, a time zone or a revision, the next batch is compared
// with what it is now. A pin that was right before does not pass, and one that is right now does.
func TestFactsAreForgotten(t *testing.T) {
	l := opened(t, t.TempDir())
	changes := map[string]func(t *testing.T, w *ledgersuite.World){
		"an epoch was opened": func(t *testing.T, w *ledgersuite.World) {
			if _, ok, err := l.OpenEpoch(t.Context(), w.Shard, w.Evidence(t).Epoch, "node"); err != nil || !ok {
				t.Fatal(ok, err)
			}
		},
		"a generation was raised": func(t *testing.T, w *ledgersuite.World) {
			w.Book(t, ledgersuite.Spot{Slot: 3, Service: ledgersuite.Blue})
		},
		"a day was published": func(t *testing.T, w *ledgersuite.World) { w.Publish(t, ledgersuite.Open(8, ledgersuite.Blue)) },
		"a day was published twice": func(t *testing.T, w *ledgersuite.World) {
			w.PublishAll(t, w.Change(ledgersuite.Open(7, ledgersuite.Blue)), w.Change(ledgersuite.Open(6, ledgersuite.Blue)))
		},
	}
	for what, change := range changes {
		t.Run(what, func(t *testing.T) {
			w := ledgersuite.NewWorld(t, l, "facts-"+what)
			w.Publish(t, ledgersuite.Open(9, ledgersuite.Blue))
			pinned := func(place int32) allocator.Recording {
				return w.Pinned(t, ledgersuite.Spot{Place: place, Service: ledgersuite.Blue})
			}
			before := pinned(1)
			if !ordinarily(t, l, pinned(0)) || len(kept(t, l).Sites) == 0 {
				t.Fatal("an ordinary item did not go the ordinary way")
			}
			change(t, w)
			sameAsFile(t, l, what)
			if ordinarily(t, l, before) {
				t.Error("an old pin passed")
			}
			if !ordinarily(t, l, pinned(2)) {
				t.Error("a present pin did not pass")
			}
			sameAsFile(t, l, what+", and read again")
		})
	}
}

// TestTimeZoneIsForgotten: a site's details are replaced.
func TestTimeZoneIsForgotten(t *testing.T) {
	l := opened(t, t.TempDir())
	w := ledgersuite.NewWorld(t, l, "moved")
	w.Publish(t, ledgersuite.Open(9, ledgersuite.Blue))
	if !ordinarily(t, l, w.Pinned(t, ledgersuite.Spot{Service: ledgersuite.Blue})) {
		t.Fatal("an ordinary item did not go the ordinary way")
	}
	if _, err := l.PutSite(t.Context(), allocator.Site{ID: w.Site, TimeZone: "Asia/Tokyo"}, "somebody"); err != nil {
		t.Fatal(err)
	}
	sameAsFile(t, l, "a site was put")
	if !ordinarily(t, l, w.Pinned(t, ledgersuite.Spot{Place: 1, Service: ledgersuite.Blue})) {
		t.Error("a present pin did not pass")
	}
	sameAsFile(t, l, "and read again")
}

// TestFactsOfTransactionsThatFailed: what a transaction read of its own changes does not outlive it, neither where it is
// rolled back nor where its commit is refused.
func TestFactsOfTransactionsThatFailed(t *testing.T) {
	l := opened(t, t.TempDir())
	w := ledgersuite.NewWorld(t, l, "failing")
	w.Publish(t, ledgersuite.Open(9, ledgersuite.Blue))
	item := w.Pinned(t, ledgersuite.Spot{Service: ledgersuite.Blue})
	failure := errors.New("the disk is on fire")
	raise := func(tx *tx) error {
		if _, err := tx.proves([]allocator.Recording{item}); err != nil {
			return err
		}
		if err := tx.apply(&allocator.RecordWrites{Raise: []allocator.SiteID{w.Site}}); err != nil {
			return err
		}
		if proven, err := tx.proves([]allocator.Recording{item}); err != nil || proven {
			return fmt.Errorf("an old pin passed in the transaction itself: %w", errors.Join(err, errContested))
		}
		return nil
	}
	for end, fail := range map[string]func(tx *tx) error{
		"rolled back": func(*tx) error { return failure },
		"refused at its commit": func(tx *tx) error {
			return errors.Join(tx.exec("PRAGMA defer_foreign_keys = 1"),
				tx.exec("INSERT INTO days (site_id, date, revision, sessions, changed_at) VALUES ('nowhere', 1, 1, '[]', 1)"))
		},
		"rolled back by SQLite": func(tx *tx) error { return errors.Join(tx.exec("ROLLBACK"), failure) },
	} {
		err := l.write(t.Context(), func(tx *tx) error {
			if err := raise(tx); err != nil {
				return err
			}
			return fail(tx)
		})
		if !errors.Is(err, allocator.ErrUnavailable) {
			t.Errorf("%s: %v", end, err)
		}
		sameAsFile(t, l, end)
	}
	if !ordinarily(t, l, item) {
		t.Error("the pin did not pass, although every change to its site was taken back")
	}
}

// TestFactsOnAFullDisk: a publication and a raise that did not fit leave nothing behind.
func TestFactsOnAFullDisk(t *testing.T) {
	l := opened(t, t.TempDir())
	w := ledgersuite.NewWorld(t, l, "full")
	w.Publish(t, ledgersuite.Open(5000, ledgersuite.Blue))
	probe := w.Pinned(t, ledgersuite.Spot{Service: ledgersuite.Blue})
	if !ordinarily(t, l, probe) {
		t.Fatal("an ordinary item did not go the ordinary way")
	}
	items := make([]allocator.Recording, 1000)
	for i := range items {
		items[i] = w.Recording(ledgersuite.Spot{Slot: 1, Place: int32(i), Service: ledgersuite.Blue, Person: i + 1})
	}
	lift := l.LimitPages(t, 2)
	if _, err := l.Record(t.Context(), items); !errors.Is(err, allocator.ErrUnavailable) {
		t.Fatalf("on a full disk: %v", err)
	}
	sameAsFile(t, l, "on a full disk")
	for i := range items {
		items[i].Pins = probe.Pins
	}
	if _, err := l.Record(t.Context(), items); !errors.Is(err, allocator.ErrUnavailable) {
		t.Fatalf("on a full disk, the ordinary way: %v", err)
	}
	if rows := w.Audit(t); len(rows) != 1 {
		t.Errorf("%d rows after refused batches, want 1", len(rows))
	}
	lift()
	for i, r := range w.Record(t, items...) {
		if r.Outcome != allocator.Recorded || len(r.Raised) > 0 {
			t.Fatalf("item %d afterwards: %+v", i, r)
		}
	}
	w.Audit(t)
}

// TestFactsBehindTheLock: another program wrote to the file in spite of the lock.
func TestFactsBehindTheLock(t *testing.T) {
	dir := t.TempDir()
	l := opened(t, dir)
	w := ledgersuite.NewWorld(t, l, "behind")
	w.Publish(t, ledgersuite.Open(9, ledgersuite.Blue))
	before := w.Pinned(t, ledgersuite.Spot{Place: 1, Service: ledgersuite.Blue})
	if !ordinarily(t, l, w.Pinned(t, ledgersuite.Spot{Service: ledgersuite.Blue})) {
		t.Fatal("an ordinary item did not go the ordinary way")
	}
	other, err := l.readDB.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{"PRAGMA query_only = 0", "UPDATE sites SET generation = 7", "PRAGMA query_only = 1"} {
		if _, err := other.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if ordinarily(t, l, before) {
		t.Error("an old pin passed")
	}
	sameAsFile(t, l, "after another program's write")
}

// TestFactsAreBounded: a ledger of very many days does not keep them all.
func TestFactsAreBounded(t *testing.T) {
	l := opened(t, t.TempDir())
	w := ledgersuite.NewWorld(t, l, "many")
	w.Publish(t, ledgersuite.Open(9, ledgersuite.Blue))
	if !ordinarily(t, l, w.Pinned(t, ledgersuite.Spot{Service: ledgersuite.Blue})) {
		t.Fatal("an ordinary item did not go the ordinary way")
	}
	days := kept(t, l).Days // the map itself
	for i := range allocator.Date(maxFacts) {
		days[allocator.DayID{Site: "elsewhere", Date: i}] = allocator.Day{}
	}
	if !ordinarily(t, l, w.Pinned(t, ledgersuite.Spot{Place: 1, Service: ledgersuite.Blue})) || len(kept(t, l).Days) != 1 {
		t.Errorf("%d days are kept", len(kept(t, l).Days))
	}
}

// TestFactsOfAnotherProcess: a ledger that is opened again knows nothing, and reads what is there.
func TestFactsOfAnotherProcess(t *testing.T) {
	dir := t.TempDir()
	l := opened(t, dir)
	w := ledgersuite.NewWorld(t, l, "again")
	w.Publish(t, ledgersuite.Open(9, ledgersuite.Blue))
	before := w.Pinned(t, ledgersuite.Spot{Place: 1, Service: ledgersuite.Blue})
	w.Book(t, ledgersuite.Spot{Slot: 1, Service: ledgersuite.Blue})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = opened(t, dir)
	w.Ledger = l
	if len(kept(t, l).Sites) > 0 || ordinarily(t, l, before) {
		t.Error("something was known, or an old pin passed")
	}
	if !ordinarily(t, l, w.Pinned(t, ledgersuite.Spot{Place: 2, Service: ledgersuite.Blue})) {
		t.Error("a present pin did not pass")
	}
	sameAsFile(t, l, "after it was opened again")
}

// TestRaceOfFacts: pinned records race with everything that changes what they are compared with. Whatever is kept is what
// the file says, and nobody has a place too many.
func TestRaceOfFacts(t *testing.T) {
	l := opened(t, t.TempDir())
	w := ledgersuite.NewWorld(t, l, "racing")
	w.Publish(t, ledgersuite.Open(400, ledgersuite.Blue))
	const callers = 8
	items := make([][]allocator.Recording, callers)
	for i := range items {
		for n := range 20 {
			at := int32(i*20 + n)
			items[i] = append(items[i], w.Pinned(t, ledgersuite.Spot{Place: at, Service: ledgersuite.Blue, Person: int(at) + 1}))
		}
	}
	epoch := w.Evidence(t).Epoch
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	errs := make([]error, callers+1)
	ledgersuite.Race(callers+1, func(i int) {
		if i == callers {
			_, _, err := l.OpenEpoch(ctx, w.Shard, epoch, "another node")
			w.Publish(t, ledgersuite.Open(500, ledgersuite.Blue))
			errs[i] = err
			return
		}
		for n := range items[i] {
			if _, err := l.Record(ctx, items[i][n:n+1]); err != nil {
				errs[i] = err
			}
		}
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	sameAsFile(t, l, "after the race")
	if live := w.Audit(t); len(live) != callers*20 {
		t.Errorf("%d rows, want %d", len(live), callers*20)
	}
}
