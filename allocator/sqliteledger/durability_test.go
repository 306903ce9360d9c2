package sqliteledger_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest/ledgersuite"
	"muster/allocator/sqliteledger"
)

// childVariable and siteVariable tell a copy of this test binary, which is going to be killed, where to record.
const (
	childVariable = "MUSTER_TEST_SQLITE_CHILD"
	siteVariable  = "MUSTER_TEST_SQLITE_SITE"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		recordUntilKilled(dir, os.Getenv(siteVariable))
		return
	}
	os.Exit(m.Run())
}

// recorders is how many record at once in the child; batch is how many bookings each call has.
const recorders, batch = 4, 8

// childBatch is what recorder r asks for in its nth call.
func childBatch(w *ledgersuite.World, pin allocator.Evidence, r, n int) []allocator.Recording {
	items := make([]allocator.Recording, batch)
	for i := range items {
		place := int32((n*recorders+r)*batch + i)
		items[i] = w.Recording(ledgersuite.Spot{Slot: n % 18, Place: place, Service: ledgersuite.Blue, Person: int(place) + 1})
		items[i].Pins = []allocator.Evidence{pin}
	}
	return items
}

// recordUntilKilled records from several goroutines, and prints each key once its record is acknowledged.
func recordUntilKilled(dir, site string) {
	ctx := context.Background()
	l, err := sqliteledger.Open(ctx, dir, sqliteledger.Options{})
	if err != nil {
		panic(err)
	}
	t := &childTB{}
	w := ledgersuite.BareWorld(t, l, site)
	pin := allocator.Evidence{Site: w.Site, Shard: w.Shard, Pinned: true, Revisions: map[allocator.Date]int64{w.Date: 1}}
	var mu sync.Mutex // items are made and keys are printed one at a time
	var all sync.WaitGroup
	for r := range recorders {
		all.Go(func() {
			for n := 0; ; n++ {
				mu.Lock()
				items := childBatch(w, pin, r, n)
				mu.Unlock()
				results, err := l.Record(ctx, items)
				if err != nil {
					panic(err)
				}
				mu.Lock()
				for _, result := range results {
					fmt.Println(int(result.Outcome), int64(result.Rows[0].Key))
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
}

// childTB lets the child use the suite's data.
type childTB struct{ testing.TB }

func (*childTB) Helper()                  {}
func (*childTB) Context() context.Context { return context.Background() }
func (*childTB) Fatal(args ...any)        { panic(fmt.Sprint(args...)) }

// TestKilled kills a process in the middle of its records, several times over: whatever it acknowledged is there.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, sqliteledger.Options{})
	for _, enough := range []int{20, 300, 1000} {
		w := ledgersuite.NewWorld(t, l, fmt.Sprint("killed-", enough))
		w.Publish(t, ledgersuite.Open(allocator.MaxSessionCapacity, ledgersuite.Blue))
		must(t, l.Close())
		keys := killAfter(t, dir, string(w.Site), enough)
		l = open(t, dir, sqliteledger.Options{})
		w.Ledger = l
		rows, err := l.Bookings(t.Context(), keys)
		must(t, err)
		if len(rows) != len(keys) || len(keys) < enough {
			t.Errorf("%d acknowledged, %d there", len(keys), len(rows))
		}
		live := w.Audit(t)
		if len(live) < len(keys) || len(live)%batch != 0 {
			t.Errorf("%d live rows after %d acknowledged ones, in batches of %d", len(live), len(keys), batch)
		}
		t.Logf("killed after %d acknowledged rows, found %d", len(keys), len(live))
	}
}

// killAfter starts a child, reads so many acknowledgements, kills it, and reads the rest of what it said.
func killAfter(t *testing.T, dir, site string, enough int) (keys []allocator.BookingKey) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childVariable+"="+dir, siteVariable+"="+site)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil { // a line without its end was not finished before the kill
			if err != io.EOF {
				t.Error(err)
			}
			break
		}
		outcome, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		key, err := strconv.ParseInt(number, 10, 64)
		must(t, err)
		if outcome != strconv.Itoa(int(allocator.Recorded)) && outcome != strconv.Itoa(int(allocator.RecordedEver)) {
			t.Fatalf("the child was told outcome %s", outcome)
		}
		if keys = append(keys, allocator.BookingKey(key)); len(keys) == enough {
			must(t, child.Process.Kill())
		}
	}
	if err := child.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("the child ended by itself: %v", err)
	}
	return keys
}

// TestReopened: everything is found again, and the clock goes on.
func TestReopened(t *testing.T) {
	file := filepath.Join(t.TempDir(), "made", "for", "it", "some ?#% name.db")
	l := open(t, file, sqliteledger.Options{})
	w := ledgersuite.NewWorld(t, l, "reopened")
	w.Publish(t, ledgersuite.Open(3, ledgersuite.Blue))
	secret, err := l.Agree(t.Context(), "secret", []byte("first"))
	must(t, err)
	if _, _, err := l.OpenEpoch(t.Context(), w.Shard, 0, "node"); err != nil {
		t.Fatal(err)
	}
	rows := w.Book(t, ledgersuite.Spot{Service: ledgersuite.Blue, Person: 1}, ledgersuite.Spot{Slot: 1, Service: ledgersuite.Blue})
	must(t, l.Close())
	if _, err := l.Epochs(t.Context()); !errors.Is(err, allocator.ErrUnavailable) {
		t.Errorf("after Close: %v", err)
	}
	if _, err := l.Record(t.Context(), []allocator.Recording{w.Recording()}); !errors.Is(err, allocator.ErrUnavailable) {
		t.Errorf("after Close: %v", err)
	}

	yesterday := func() time.Time { return time.Now().Add(-24 * time.Hour) }
	l = open(t, file, sqliteledger.Options{Now: yesterday})
	w.Ledger = l
	must(t, l.Check(t.Context()))
	again, err := l.Agree(t.Context(), "secret", []byte("second"))
	must(t, err)
	if string(again) != string(secret) {
		t.Errorf("the secret became %q", again)
	}
	if e := w.Evidence(t); e.Epoch != 1 || e.Generation != 1 || e.Revisions[w.Date] != 1 {
		t.Errorf("after reopening: %+v", e)
	}
	if live := w.Audit(t); len(live) != len(rows) {
		t.Errorf("%d live rows, were %d", len(live), len(rows))
	}
	now, err := l.Now(t.Context())
	must(t, err)
	later := w.Book(t, ledgersuite.Spot{Slot: 2, Service: ledgersuite.Blue})[0].RecordedAt
	if now.Before(rows[0].RecordedAt) || !later.After(rows[0].RecordedAt) {
		t.Errorf("the clock went back: %v, then %v and %v", rows[0].RecordedAt, now, later)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
