package ledgersuite

import (
	"fmt"
	"testing"

	"muster/allocator"
)

// callers is how many race.
const callers = 64

// testRaces: whatever many callers do at once, one of them wins, and all are told the same.
func testRaces(t *testing.T, l allocator.Ledger) {
	t.Run("Person", func(t *testing.T) { racePerson(t, NewWorld(t, l, "race-person")) })
	t.Run("Place", func(t *testing.T) { racePlace(t, NewWorld(t, l, "race-place")) })
	t.Run("Seats", func(t *testing.T) { raceSeats(t, NewWorld(t, l, "race-seats")) })
	t.Run("Same", func(t *testing.T) { raceSame(t, NewWorld(t, l, "race-same")) })
	t.Run("Void", func(t *testing.T) { raceVoid(t, NewWorld(t, l, "race-void")) })
	t.Run("Move", func(t *testing.T) { raceMove(t, NewWorld(t, l, "race-move")) })
	t.Run("Transition", func(t *testing.T) { raceTransition(t, NewWorld(t, l, "race-transition")) })
	t.Run("Families", func(t *testing.T) { raceFamilies(t, NewWorld(t, l, "race-families")) })
}

// raceRecord records each item in a call of its own, all at once.
func raceRecord(t *testing.T, w *World, items []allocator.Recording) []allocator.RecordResult {
	t.Helper()
	results := make([]allocator.RecordResult, len(items))
	Race(len(items), func(i int) {
		r := definite(t, func() ([]allocator.RecordResult, error) {
			return w.Ledger.Record(t.Context(), items[i:i+1])
		})
		if len(r) == 1 {
			results[i] = r[0]
		}
	})
	return results
}

// tally counts outcomes. A winner that had to repeat its call is told of its row as of one that was there.
func tally(t *testing.T, results []allocator.RecordResult, winners, losers int, lost allocator.RecordOutcome) {
	t.Helper()
	counts := make(map[allocator.RecordOutcome]int)
	for _, r := range results {
		if r.Outcome == allocator.RecordedEver {
			r.Outcome = allocator.Recorded
		}
		counts[r.Outcome]++
	}
	if counts[allocator.Recorded] != winners || counts[lost] != losers {
		t.Errorf("outcomes %v, want %d winners and %d of %d", counts, winners, losers, lost)
	}
}

func racePerson(t *testing.T, w *World) {
	w.Publish(t, Open(callers, Blue))
	var items []allocator.Recording
	for i := range callers {
		spot := Spot{i % 4, int32(i), Blue, 1}
		if i%2 == 0 {
			items = append(items, w.Recording(spot))
		} else {
			items = append(items, w.Pinned(t, spot))
		}
	}
	results := raceRecord(t, w, items)
	tally(t, results, 1, callers-1, allocator.RecordPerson)
	live := w.Audit(t)
	for _, r := range results {
		if r.Outcome == allocator.RecordPerson && (len(live) != 1 || r.AlreadyHas != live[0].Key) {
			t.Errorf("a loser was told of booking %d, live is %v", r.AlreadyHas, keysOf(live))
		}
	}
}

func racePlace(t *testing.T, w *World) {
	w.Publish(t, Open(callers, Blue))
	var items []allocator.Recording
	for i := range callers {
		items = append(items, w.Pinned(t, Spot{0, 5, Blue, i + 1}))
	}
	results := raceRecord(t, w, items)
	tally(t, results, 1, callers-1, allocator.RecordTaken)
	if live := w.Audit(t); len(live) != 1 {
		t.Errorf("%d live rows of one place", len(live))
	}
}

// raceSeats: a slot of three intertwined pools, and more callers than seats, each with a place of its own.
func raceSeats(t *testing.T, w *World) {
	w.Publish(t, Open(5, Blue, Green), Open(5, Green, Orange), Open(5, Orange, Blue))
	services := []allocator.ServiceCode{Blue, Green, Orange}
	var items []allocator.Recording
	for i := range callers {
		items = append(items, w.Recording(Spot{0, int32(i), services[i%3], i + 1}))
	}
	tally(t, raceRecord(t, w, items), 15, callers-15, allocator.RecordUnseated)
	if live := w.Audit(t); len(live) != 15 {
		t.Errorf("%d live rows of 15 places", len(live))
	}
}

// raceSame: one request, many times at once.
func raceSame(t *testing.T, w *World) {
	w.Publish(t, Open(2, Blue))
	item := w.Recording(Spot{0, 0, Blue, 1}, Spot{1, 0, Blue, 2})
	items := make([]allocator.Recording, callers)
	for i := range items {
		items[i] = item
	}
	results := raceRecord(t, w, items)
	first := 0
	for _, r := range results {
		same(t, "rows", r.Rows, results[0].Rows)
		if r.Outcome == allocator.Recorded {
			first++
		}
	}
	if first > 1 {
		t.Errorf("%d callers recorded the same request", first)
	}
	if live := w.Audit(t); len(live) != 2 {
		t.Errorf("%d live rows of two claims", len(live))
	}
}

// raceVoid: for each of many requests some record and some void; one side wins, and both are told which.
func raceVoid(t *testing.T, w *World) {
	const requests, each = 16, 4
	w.Publish(t, Open(requests, Blue))
	var items []allocator.Recording
	for i := range requests {
		items = append(items, w.Recording(Spot{0, int32(i), Blue, 2*i + 1}, Spot{1, int32(i), Blue, 2*i + 2}))
	}
	results := make([]allocator.RecordResult, requests*each)
	Race(len(results), func(i int) {
		item := items[i%requests]
		r := definite(t, func() ([]allocator.RecordResult, error) {
			if i/requests%2 == 0 {
				return w.Ledger.Record(t.Context(), []allocator.Recording{item})
			}
			return w.Ledger.Void(t.Context(), []allocator.Voiding{VoidingOf(item, allocator.CodeHoldExpired)})
		})
		if len(r) == 1 {
			results[i] = r[0]
		}
	})
	w.Audit(t)
	for i, item := range items {
		rows := w.rows(t, keysOf(item.Claims)...)
		if len(rows) != 2 || rows[0].Status != rows[1].Status {
			t.Fatalf("request %d has rows %s", i, textOf(rows))
		}
		void := rows[0].Status == allocator.StatusVoid
		for j := i; j < len(results); j += requests {
			told := results[j].Outcome == allocator.Voided || results[j].Outcome == allocator.RecordVoid
			if told != void {
				t.Errorf("request %d: caller %d was told outcome %d, stored is %s", i, j, results[j].Outcome, rows[0].Status)
			}
		}
	}
}

// raceMove: one booking, many moves, and a cancellation among them.
func raceMove(t *testing.T, w *World) {
	w.Publish(t, Open(callers, Blue))
	old := w.Book(t, Spot{0, 0, Blue, 1})[0]
	items := make([]allocator.Recording, callers)
	for i := range items {
		items[i] = w.Recording(Spot{1, int32(i), Blue, 1})
		items[i].Replaces = old.Key
	}
	tally(t, raceRecord(t, w, items), 1, callers-1, allocator.RecordReplace)
	live := w.Audit(t)
	if ended := w.row(t, old.Key); len(live) != 1 || ended.ReplacedBy != live[0].Key || ended.Version != 2 {
		t.Errorf("after the moves: %s\nlive %s", textOf(ended), textOf(live))
	}
}

// raceTransition: many cancellations of one booking end it once.
func raceTransition(t *testing.T, w *World) {
	w.Publish(t, Open(1, Blue))
	row := w.Book(t, Spot{0, 0, Blue, 1})[0]
	Race(callers, func(i int) {
		r := definite(t, func() (allocator.TransitionResult, error) {
			return w.Ledger.Transition(t.Context(), allocator.Transition{
				Key: row.Key, To: allocator.StatusCancelled, Reason: fmt.Sprint(i), Actor: Actor,
			})
		})
		if !r.Found || r.Refused || r.Booking.Status != allocator.StatusCancelled || r.Booking.Version != 2 {
			t.Errorf("cancel: %s", textOf(r))
		}
	})
	w.Audit(t)
}

// raceFamilies: batches of families of three, which overlap in persons and places in opposite orders.
func raceFamilies(t *testing.T, w *World) {
	const batches, perBatch, people = 16, 4, 12
	w.Publish(t, Open(people, Blue))
	calls := make([][]allocator.Recording, batches)
	for i := range calls {
		for j := range perBatch {
			var spots []Spot
			for k := range 3 {
				n := (i*5 + j*3 + k*(1+i%2)) % people
				if i%2 == 1 {
					n = people - 1 - n
				}
				spots = append(spots, Spot{n % 2, int32(n), Blue, n + 1})
			}
			calls[i] = append(calls[i], w.Recording(spots...))
		}
	}
	results := make([][]allocator.RecordResult, batches)
	Race(batches, func(i int) {
		results[i] = definite(t, func() ([]allocator.RecordResult, error) { return w.Ledger.Record(t.Context(), calls[i]) })
	})
	booked := 0
	for i := range calls {
		for j, item := range calls[i] {
			rows := w.rows(t, keysOf(item.Claims)...)
			won := results[i][j].Outcome == allocator.Recorded || results[i][j].Outcome == allocator.RecordedEver
			if want := map[bool]int{true: 3, false: 0}[won]; len(rows) != want {
				t.Errorf("family %d of batch %d: outcome %d and %d rows", j, i, results[i][j].Outcome, len(rows))
			}
			booked += len(rows)
		}
	}
	if live := w.Audit(t); len(live) != booked || booked == 0 {
		t.Errorf("%d live rows, %d acknowledged", len(live), booked)
	}
}
