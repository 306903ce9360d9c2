package sqliteledger

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest/ledgersuite"
)

// TestOrdinaryIsDecided: batches of which some items lose answer, and leave behind, what they do where each is decided.
// The same batches go to two ledgers, of which one knows the general way only.
func TestOrdinaryIsDecided(t *testing.T) {
	ordinary, decided := opened(t, t.TempDir()), opened(t, t.TempDir())
	one, other := ledgersuite.NewWorld(t, ordinary, "same"), ledgersuite.NewWorld(t, decided, "same")
	for _, w := range []*ledgersuite.World{one, other} {
		w.Publish(t, ledgersuite.Open(30, ledgersuite.Blue))
	}
	random := rand.New(rand.NewPCG(1, 2))
	var past []allocator.Recording
	ways := map[bool]int{}
	for range 120 {
		batch := make([]allocator.Recording, 1+random.IntN(6))
		for i := range batch {
			batch[i] = randomItem(t, one, random, past)
			past = append(past, batch[i])
		}
		var results []allocator.RecordResult
		err := errContested
		if mayBeOrdinary(batch) {
			results, err = ordinary.recordOrdinary(t.Context(), batch)
		}
		if ways[err == nil]++; err == errContested {
			results, err = ordinary.Record(t.Context(), batch)
		}
		want, wantErr := decided.recordDecided(t.Context(), batch)
		if err != nil || wantErr != nil {
			t.Fatal(err, wantErr)
		}
		for i, got := range timeless(results) {
			if want := timeless(want)[i]; !reflect.DeepEqual(got, want) {
				t.Fatalf("%+v:\nanswered %+v\nwant     %+v", batch[i], got, want)
			}
		}
	}
	if ways[true] < 20 || ways[false] < 20 {
		t.Errorf("%d batches went the ordinary way and %d the general one", ways[true], ways[false])
	}
	one.Audit(t)
	got, want := eventsOf(t, ordinary), eventsOf(t, decided)
	if !slices.Equal(got, want) {
		t.Errorf("events %v\nwant   %v", got, want)
	}
	if got, want := siteOf(t, one), siteOf(t, other); !reflect.DeepEqual(got, want) {
		t.Errorf("rows %+v\nwant %+v", got, want)
	}
}

// randomItem is mostly new, and sometimes an earlier one again, a move, or one that wants somebody's place or has somebody's
// person.
func randomItem(t *testing.T, w *ledgersuite.World, random *rand.Rand, past []allocator.Recording) allocator.Recording {
	if len(past) > 0 && random.IntN(12) == 0 {
		return past[random.IntN(len(past))]
	}
	spot := func() ledgersuite.Spot {
		return ledgersuite.Spot{
			Slot: random.IntN(18), Place: random.Int32N(200), Service: ledgersuite.Blue, Person: random.IntN(2500),
		}
	}
	if random.IntN(8) == 0 {
		return w.Pinned(t, spot(), spot())
	}
	item := w.Pinned(t, spot())
	if len(past) > 0 && random.IntN(12) == 0 {
		item.Replaces = past[random.IntN(len(past))].Claims[0].Key
	}
	return item
}

// timeless is what answers say, but for the time.
func timeless(results []allocator.RecordResult) []allocator.RecordResult {
	results = slices.Clone(results)
	for i := range results {
		results[i].Rows = slices.Clone(results[i].Rows)
		if row := results[i].Replaced; row != nil {
			replaced := *row
			replaced.RecordedAt = time.Time{}
			results[i].Replaced = &replaced
		}
		for j := range results[i].Rows {
			results[i].Rows[j].RecordedAt = time.Time{}
		}
	}
	return results
}

func eventsOf(t *testing.T, l *Ledger) []allocator.Event {
	t.Helper()
	var all []allocator.Event
	for cursor := ""; ; {
		events, next, err := l.Events(t.Context(), cursor, 7)
		if err != nil {
			t.Fatal(err)
		}
		if len(events) == 0 {
			return all
		}
		for i := range events {
			events[i].At = time.Time{}
		}
		all, cursor = append(all, events...), next
	}
}

func siteOf(t *testing.T, w *ledgersuite.World) []allocator.Booking {
	t.Helper()
	_, rows, err := w.Ledger.DayBookings(t.Context(), w.Site, w.Date)
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		rows[i].RecordedAt = time.Time{}
	}
	slices.SortFunc(rows, func(a, b allocator.Booking) int { return int(a.Key - b.Key) })
	return rows
}
