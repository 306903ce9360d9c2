package ledgersuite

import (
	"errors"
	"testing"

	"muster/allocator"
)

// testPublishRaces: confirms beside changes of capacity. A record that the ledger checks never joins above the capacity
// at its commit; a cut lists every booking that it leaves without a seat.
func testPublishRaces(t *testing.T, l allocator.Ledger) {
	t.Run("Cut", func(t *testing.T) {
		for round, name := range []string{"cut-0", "cut-1", "cut-2", "cut-3"} {
			raceCut(t, NewWorld(t, l, name), 4*round)
		}
	})
	t.Run("Editors", func(t *testing.T) { raceEditors(t, NewWorld(t, l, "editors")) })
}

// raceCut: pinned records under the revision before the cut, unpinned ones, and the cut itself, all at once.
func raceCut(t *testing.T, w *World, keep int) {
	const before = 16
	w.Publish(t, Open(before, Blue))
	var items []allocator.Recording
	for i := range callers {
		spot := Spot{0, int32(i), Blue, i + 1}
		if i%2 == 1 && i < before { // no more than the inventory would have granted: a good pin is not checked
			items = append(items, w.Pinned(t, spot))
		} else {
			items = append(items, w.Recording(spot))
		}
	}
	results := make([]allocator.RecordResult, callers)
	cut := []allocator.DayChange{w.Change()}
	if keep > 0 {
		cut[0] = w.Change(Open(keep, Blue))
	}
	listed := make(map[allocator.BookingKey]bool)
	Race(callers+1, func(i int) {
		if i == callers {
			r, err := w.Ledger.Publish(t.Context(), cut)
			for errors.Is(err, allocator.ErrUnavailable) { // nothing happened
				r, err = w.Ledger.Publish(t.Context(), cut)
			}
			if err != nil || len(r) != 1 || r[0].Outcome != allocator.Published {
				t.Errorf("cut: %v, %v", r, err)
				return
			}
			for _, b := range r[0].NewlyUnsupported {
				listed[b.Key] = true
			}
			return
		}
		r := definite(t, func() ([]allocator.RecordResult, error) { return w.Ledger.Record(t.Context(), items[i:i+1]) })
		if len(r) == 1 {
			results[i] = r[0]
		}
	})
	live := w.Audit(t)
	acknowledged := 0
	for _, r := range results {
		acknowledged += len(r.Rows)
	}
	if acknowledged != len(live) {
		t.Errorf("%d rows acknowledged, %d live", acknowledged, len(live))
	}
	for _, b := range live {
		if b.Unsupported != listed[b.Key] {
			t.Errorf("keeping %d: unsupported %v, listed %v: %s", keep, b.Unsupported, listed[b.Key], textOf(b))
		}
	}
	if len(live)-len(listed) > keep {
		t.Errorf("%d live, %d listed, %d places", len(live), len(listed), keep)
	}
}

// raceEditors: of many changes with the same If-Match one is made; without it all are, one after the other.
func raceEditors(t *testing.T, w *World) {
	w.Publish(t, Open(1, Blue))
	match := int64(1)
	outcomes := make([]allocator.PublishResult, 16)
	Race(len(outcomes), func(i int) {
		change := w.Change(Open(10+i, Blue))
		change.IfMatch = &match
		r := definite(t, func() ([]allocator.PublishResult, error) {
			return w.Ledger.Publish(t.Context(), []allocator.DayChange{change})
		})
		if len(r) == 1 {
			outcomes[i] = r[0]
		}
	})
	made := 0
	for _, r := range outcomes {
		if r.Outcome == allocator.Published {
			made++
		}
	}
	if made > 1 {
		t.Errorf("%d changes were made on one revision", made)
	}
	w.Audit(t)
	Race(len(outcomes), func(i int) {
		definite(t, func() ([]allocator.PublishResult, error) {
			return w.Ledger.Publish(t.Context(), []allocator.DayChange{w.Change(Open(100+i, Blue))})
		})
	})
	day, err := w.Ledger.Day(t.Context(), w.Site, w.Date)
	must(t, err)
	if day.Revision < 2+int64(len(outcomes)) {
		t.Errorf("revision %d after %d changes", day.Revision, 1+len(outcomes))
	}
	w.Audit(t)
}
