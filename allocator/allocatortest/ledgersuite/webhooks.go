package ledgersuite

import (
	"fmt"
	"sync/atomic"
	"testing"

	"muster/allocator"
)

// testWebhooks: subscriptions are compared and set by version, and the last event is the end of the outbox.
func testWebhooks(t *testing.T, l allocator.Ledger) {
	t.Run("Swap", func(t *testing.T) { testSwapWebhook(t, l) })
	t.Run("List", func(t *testing.T) { testListWebhooks(t, l) })
	t.Run("Race", func(t *testing.T) { testRaceWebhook(t, l) })
	t.Run("LastEvent", func(t *testing.T) { testLastEvent(t, l) })
}

func webhookRow(id string, version int64, note string) allocator.WebhookRow {
	return allocator.WebhookRow{ID: id, Version: version, Details: fmt.Sprintf(`{"note": %q}`, note)}
}

func webhooksAfter(t *testing.T, l allocator.Ledger, after string, limit int) []allocator.WebhookRow {
	t.Helper()
	rows, err := l.Webhooks(t.Context(), after, limit)
	must(t, err)
	return rows
}

func testSwapWebhook(t *testing.T, l allocator.Ledger) {
	swap := func(what string, row allocator.WebhookRow, want bool, left ...allocator.WebhookRow) {
		t.Helper()
		done, err := l.SwapWebhook(t.Context(), row)
		must(t, err)
		same(t, what, fmt.Sprint(done, webhooksAfter(t, l, "", 9)), fmt.Sprint(want, left))
	}
	first, second := webhookRow("w", 1, "the ‘first’"), webhookRow("w", 2, "second")
	gone := allocator.WebhookRow{ID: "w", Version: 3}
	swap("a change of nothing", second, false)
	swap("the first", first, true, first)
	swap("the first again", first, true, first)
	swap("another first", webhookRow("w", 1, "rival"), false, first)
	swap("the second", second, true, second)
	swap("the first after the second", first, false, second)
	swap("a removal of an older one", allocator.WebhookRow{ID: "w", Version: 2}, false, second)
	swap("a removal", gone, true)
	swap("a removal again", gone, true)
	swap("a change of what was removed", webhookRow("w", 4, "late"), false)
}

func testListWebhooks(t *testing.T, l allocator.Ledger) {
	var want []allocator.WebhookRow
	for i := range 5 {
		row := webhookRow(fmt.Sprintf("list-%d", i), 1, "x")
		if _, err := l.SwapWebhook(t.Context(), row); err != nil {
			t.Fatal(err)
		}
		want = append(want, row)
	}
	same(t, "a page", webhooksAfter(t, l, "", 2), want[:2])
	same(t, "the next", webhooksAfter(t, l, want[1].ID, 3), want[2:])
	if row, ok, err := l.Webhook(t.Context(), "list-3"); err != nil || !ok || row != want[3] {
		t.Errorf("one of them: %v, %v, %v", row, ok, err)
	}
	if row, ok, err := l.Webhook(t.Context(), "list-"); err != nil || ok {
		t.Errorf("one that is not there: %v, %v, %v", row, ok, err)
	}
	same(t, "after the last", webhooksAfter(t, l, want[4].ID, 3), []allocator.WebhookRow{})
}

// testRaceWebhook: of racing writers of a version, one has it.
func testRaceWebhook(t *testing.T, l allocator.Ledger) {
	for version := int64(1); version <= 3; version++ {
		var winners atomic.Int64
		Race(8, func(i int) {
			row := webhookRow("race", version, fmt.Sprint("writer ", i))
			if definite(t, func() (bool, error) { return l.SwapWebhook(t.Context(), row) }) {
				winners.Add(1)
			}
		})
		if rows := webhooksAfter(t, l, "r", 9); winners.Load() != 1 || len(rows) != 1 || rows[0].Version != version {
			t.Errorf("version %d: %d winners, and %v", version, winners.Load(), rows)
		}
	}
}

// testLastEvent: what is recorded afterwards comes after it, all of it.
func testLastEvent(t *testing.T, l allocator.Ledger) {
	w := NewWorld(t, l, "last")
	w.Publish(t, Open(1, Blue))
	for cursor := ""; ; { // whoever reads to the end leaves nothing that comes late
		page, next, err := l.Events(t.Context(), cursor, 100)
		must(t, err)
		if cursor = next; len(page) == 0 {
			break
		}
	}
	last, err := l.LastEvent(t.Context())
	must(t, err)
	row := w.Book(t, Spot{0, 0, Blue, 1})[0]
	page, _, err := l.Events(t.Context(), last, 10)
	must(t, err)
	if len(page) != 1 || page[0].Booking != row.Key {
		t.Errorf("after the last event: %+v", page)
	}
	if end, err := l.LastEvent(t.Context()); err != nil || end != page[0].Cursor {
		t.Errorf("the last event is %q, %v, want %q", end, err, page[0].Cursor)
	}
}
