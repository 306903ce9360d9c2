package cockroachledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/allocator"
	"muster/allocator/allocatortest/ledgersuite"
	"muster/allocator/allocatortest/servers"
)

func openOn(t *testing.T, url string, options Options) *Ledger {
	t.Helper()
	l, err := Open(t.Context(), url, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if err := l.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

// TestTransactionFailsAnywhere fails each step of each kind of transaction in turn, the commit included, as a server does
// that cannot serialize it or has no room for another lock: the call succeeds all the same, and what it did is there
// exactly once.
func TestTransactionFailsAnywhere(t *testing.T) {
	for name, state := range map[string]string{"serialization": stateSerialization, "memory": stateOutOfMemory} {
		t.Run(name, func(t *testing.T) { failAnywhere(t, state) })
	}
}

func failAnywhere(t *testing.T, state string) {
	t.Helper()
	l := openOn(t, servers.Postgres(t), Options{})
	w := ledgersuite.NewWorld(t, l, "anywhere")
	w.Publish(t, ledgersuite.Open(1000, ledgersuite.Blue))
	n := 0 // slot and person of each try
	epoch := int64(0)
	calls := map[string]func(ctx context.Context) error{
		"record": func(ctx context.Context) error {
			r, err := l.Record(ctx, []allocator.Recording{w.Recording(ledgersuite.Spot{Slot: n % 18, Place: int32(n), Service: ledgersuite.Blue, Person: n})})
			return recorded(r, err, allocator.Recorded)
		},
		"void": func(ctx context.Context) error {
			item := w.Recording(ledgersuite.Spot{Slot: n % 18, Place: int32(n), Service: ledgersuite.Blue, Person: n})
			r, err := l.Void(ctx, []allocator.Voiding{ledgersuite.VoidingOf(item, allocator.CodeHoldExpired)})
			return recorded(r, err, allocator.Voided)
		},
		"transition": func(ctx context.Context) error {
			b := w.Book(t, ledgersuite.Spot{Slot: n % 18, Place: int32(n), Service: ledgersuite.Blue, Person: n})[0]
			r, err := l.Transition(ctx, allocator.Transition{Key: b.Key, To: allocator.StatusCancelled, Reason: "citizen", Actor: "a"})
			if err == nil && !r.Changed {
				err = fmt.Errorf("not changed: %+v", r)
			}
			return err
		},
		"publish": func(ctx context.Context) error {
			r, err := l.Publish(ctx, []allocator.DayChange{w.Change(ledgersuite.Open(1000+n, ledgersuite.Blue))})
			if err == nil && r[0].Revision != r[0].Previous.Revision+1 {
				err = fmt.Errorf("not published: %+v", r)
			}
			return err
		},
		"epoch": func(ctx context.Context) error {
			_, ok, err := l.OpenEpoch(ctx, 77, epoch, "incarnation")
			if epoch++; err == nil && !ok {
				err = errors.New("not opened")
			}
			return err
		},
		"site": func(ctx context.Context) error {
			_, err := l.PutSite(ctx, ledgersuite.SiteOf(allocator.SiteID(fmt.Sprintf("site-%d", n))), "a")
			return err
		},
		"state": func(ctx context.Context) error {
			_, err := l.SiteState(ctx, w.Site, 0, time.Time{})
			return err
		},
		"events": func(ctx context.Context) error {
			_, _, err := l.Events(ctx, "", 1<<20)
			return err
		},
	}
	for name, call := range calls {
		steps := 0
		for at := 1; ; at++ {
			n++
			faults := &transactionFaults{state: state, at: at}
			if err := call(faults.context(t.Context())); err != nil {
				t.Errorf("%s, step %d fails: %v", name, at, err)
			}
			if !faults.hit.Load() {
				break
			}
			steps++
		}
		if steps < 2 {
			t.Errorf("%s: only %d steps were seen to fail", name, steps)
		}
	}
	w.Audit(t)
}

func recorded(results []allocator.RecordResult, err error, want allocator.RecordOutcome) error {
	if err == nil && results[0].Outcome != want {
		err = fmt.Errorf("outcome %d, want %d", results[0].Outcome, want)
	}
	return err
}

// TestStatementsFail has the server refuse every second recording, whichever form it has.
func TestStatementsFail(t *testing.T) {
	for name, state := range map[string]string{"serialization": stateSerialization, "memory": stateOutOfMemory} {
		t.Run(name, func(t *testing.T) { failStatements(t, state) })
	}
}

func failStatements(t *testing.T, state string) {
	t.Helper()
	l := openOn(t, servers.Postgres(t), Options{})
	for _, statement := range []string{
		`CREATE SEQUENCE faults`,
		`CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF nextval('faults') % 2 = 1 THEN RAISE EXCEPTION 'injected' USING ERRCODE = '` + state + `'; END IF;
			RETURN NEW; END $$`,
		`CREATE TRIGGER fail BEFORE INSERT ON journal FOR EACH ROW EXECUTE FUNCTION fail()`,
	} {
		if _, err := l.pool.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	w := ledgersuite.NewWorld(t, l, "failing")
	w.Publish(t, ledgersuite.Open(10, ledgersuite.Blue))
	for i := range 8 {
		item := w.Pinned(t, ledgersuite.Spot{Slot: i, Place: 0, Service: ledgersuite.Blue, Person: i + 1})
		results, err := l.Record(t.Context(), []allocator.Recording{item})
		if err := recorded(results, err, allocator.Recorded); err != nil {
			t.Error(err)
		}
	}
	if live := w.Audit(t); len(live) != 8 {
		t.Errorf("%d live rows, want 8", len(live))
	}
}

// TestLostAfterCommit loses the answer of a commit that happened: the outcome is unknown, and asking again tells it.
func TestLostAfterCommit(t *testing.T) {
	network := new(network)
	l := openOn(t, servers.Postgres(t), Options{Dial: network.dial})
	w := ledgersuite.NewWorld(t, l, "lost")
	w.Publish(t, ledgersuite.Open(10, ledgersuite.Blue))
	spot := func(i int) ledgersuite.Spot {
		return ledgersuite.Spot{Slot: i, Place: 0, Service: ledgersuite.Blue, Person: i + 1}
	}
	w.Book(t, spot(17)) // every statement is prepared
	w.Record(t, w.Pinned(t, spot(16)))
	for i, try := range []struct {
		what string
		cut  cut
		item allocator.Recording
	}{
		{"in a transaction", afterCommit, w.Recording(spot(0))},
		{"in one statement", afterExecute, w.Pinned(t, spot(1))},
	} {
		if i == 1 {
			try.item = w.Pinned(t, spot(1)) // the first raised the generation
		}
		network.arm(try.cut)
		if _, err := l.Record(t.Context(), []allocator.Recording{try.item}); !errors.Is(err, allocator.ErrOutcomeUnknown) {
			t.Errorf("%s: %v, want an unknown outcome", try.what, err)
		}
		got := w.Record(t, try.item)[0]
		if got.Outcome != allocator.RecordedEver || len(got.Rows) != 1 || got.Rows[0].Key != try.item.Claims[0].Key {
			t.Errorf("%s, asked again: %+v", try.what, got)
		}
	}
	if live := w.Audit(t); len(live) != 4 {
		t.Errorf("%d live rows, want 4", len(live))
	}
}

// TestLostBefore loses connections before anything could happen, or has none: the ledger is unavailable, and nothing
// happened.
func TestLostBefore(t *testing.T) {
	network := new(network)
	l := openOn(t, servers.Postgres(t), Options{Dial: network.dial, Connections: 1})
	w := ledgersuite.NewWorld(t, l, "before")
	w.Publish(t, ledgersuite.Open(10, ledgersuite.Blue))
	item := w.Recording(ledgersuite.Spot{Slot: 0, Place: 0, Service: ledgersuite.Blue, Person: 1})
	network.arm(beforeExecute)
	if _, err := l.Record(t.Context(), []allocator.Recording{item}); !errors.Is(err, allocator.ErrUnavailable) {
		t.Errorf("lost within a transaction: %v", err)
	}
	network.arm(noneToBeHad)
	if _, err := l.Record(t.Context(), []allocator.Recording{item}); !errors.Is(err, allocator.ErrUnavailable) || errors.Is(err, allocator.ErrOutcomeUnknown) {
		t.Errorf("refused: %v", err)
	}
	if err := l.Check(t.Context()); !errors.Is(err, allocator.ErrUnavailable) {
		t.Errorf("check while refused: %v", err)
	}
	if _, err := Open(t.Context(), "postgresql://nobody@127.0.0.1:1/none", Options{ConnectTimeout: time.Second}); !errors.Is(err, allocator.ErrUnavailable) {
		t.Errorf("open where nobody listens: %v", err)
	}
	network.arm(whole)
	if live := w.Audit(t); len(live) != 0 {
		t.Errorf("%d rows of nothing", len(live))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Record(ctx, []allocator.Recording{item}); !errors.Is(err, allocator.ErrUnavailable) {
		t.Errorf("after the context ended: %v", err)
	}
}

// TestContextCancelsStatement: a caller that gives up has its statement ended on the server, and learns that nothing
// happened or that nobody knows.
func TestContextCancelsStatement(t *testing.T) {
	l := openOn(t, servers.Postgres(t), Options{})
	w := ledgersuite.NewWorld(t, l, "waiting")
	w.Publish(t, ledgersuite.Open(10, ledgersuite.Blue))
	blocker, err := l.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := blocker.Exec(t.Context(), "LOCK TABLE bookings"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	spot := ledgersuite.Spot{Slot: 0, Place: 0, Service: ledgersuite.Blue, Person: 1}
	_, err = l.Record(ctx, []allocator.Recording{w.Recording(spot)})
	if !errors.Is(err, allocator.ErrUnavailable) || errors.Is(err, allocator.ErrOutcomeUnknown) {
		t.Errorf("a transaction that waited too long: %v", err)
	}
	if err := blocker.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Book(t, spot)
	w.Audit(t)
}

// TestSchema: an older schema is refused, and any number of programs may migrate at once.
func TestSchema(t *testing.T) {
	url := servers.Postgres(t)
	l, err := Open(t.Context(), url, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if err := l.Check(t.Context()); !errors.Is(err, allocator.ErrSchema) {
		t.Errorf("check of an empty database: %v", err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if err := l.Migrate(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := l.Check(t.Context()); err != nil {
		t.Errorf("check after migration: %v", err)
	}
	if _, err := l.pool.Exec(t.Context(), "DELETE FROM muster_schema WHERE version_id = $1", l.schema); err != nil {
		t.Fatal(err)
	}
	if err := l.Check(t.Context()); !errors.Is(err, allocator.ErrSchema) {
		t.Errorf("check of an older schema: %v", err)
	}
	if err := l.Migrate(t.Context()); err != nil { // repeats a statement that was carried out
		t.Error(err)
	}
}

// rivalTx has a rival act before each writing batch of a transaction that reads in its first one.
type rivalTx struct {
	pgx.Tx
	batches int
	rival   func()
}

func (tx *rivalTx) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	if tx.batches++; tx.batches == 2 {
		tx.rival()
	}
	return tx.Tx.SendBatch(ctx, b)
}

// TestPublishIsNotStarved: a confirm for the day that changes comes between each reading and writing, so that the change
// loses every time, until it has the other writers wait.
func TestPublishIsNotStarved(t *testing.T) {
	l := openOn(t, servers.Postgres(t), Options{Attempts: 8})
	w := ledgersuite.NewWorld(t, l, "starved")
	w.Publish(t, ledgersuite.Open(50, ledgersuite.Blue))
	pin := w.Evidence(t)
	attempts, won := 0, 0
	rival := func() {
		attempts++
		item := w.Recording(ledgersuite.Spot{Slot: 0, Place: int32(attempts), Service: ledgersuite.Blue, Person: attempts})
		item.Pins = []allocator.Evidence{pin}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if _, err := l.Record(ctx, []allocator.Recording{item}); err == nil {
			won++
		}
	}
	ctx := context.WithValue(t.Context(), wrapTx{}, func(tx pgx.Tx) pgx.Tx { return &rivalTx{Tx: tx, rival: rival} })
	if _, err := l.Publish(ctx, []allocator.DayChange{w.Change(ledgersuite.Open(51, ledgersuite.Blue))}); err != nil {
		t.Fatalf("after %d attempts: %v", attempts, err)
	}
	if won != afterSerializationFailures || attempts != won+1 {
		t.Errorf("%d attempts, of which confirms won %d", attempts, won)
	}
	w.Audit(t)
}
