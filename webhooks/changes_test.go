package webhooks

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"muster/allocator"
)

// What the owner changes is heeded within seconds, by every server.
func TestChangesAreHeeded(t *testing.T) {
	inWorld(t, func(w *world) {
		h, _, _ := w.server()
		other, _, _ := w.server()
		made, e := w.subscribe(h, ofA, "a.test")
		change := func(s Settings) {
			t.Helper()
			s.URL = made.URL
			if _, err := other.Change(w.t.Context(), ofA, made.ID, s); err != nil {
				t.Fatal(err)
			}
			time.Sleep(soon)
		}
		event := func() { w.happen(allocator.EventBooked, "a1"); time.Sleep(soon) }
		event()
		change(Settings{Disabled: true})
		event()
		w.want("disabled", e.cursors(), []string{"1"})
		change(Settings{})
		w.want("enabled", e.cursors(), []string{"1", "2"})
		change(Settings{After: "0"})
		w.want("sent again", e.cursors(), []string{"1", "2", "1", "2"})
		secret := e.secret
		if _, fresh, err := other.Rotate(w.t.Context(), ofA, made.ID); err != nil || fresh == secret {
			t.Fatal(fresh, err)
		} else {
			time.Sleep(soon)
			event() // verified with the old secret
			e.trusts(fresh)
			event()
		}
		time.Sleep(24 * time.Hour)
		event()
		w.want("rotated", len(e.took()), 7)
		if verify(secret, e.took()[6].header, e.took()[6].body, e.took()[6].at) == nil {
			t.Error("the old secret still signs after a day")
		}
		if err := other.Remove(w.t.Context(), ofA, made.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(soon)
		event()
		w.want("removed", len(e.asked()), 7)
		w.want("known", h.count(stateDelivering), 0)
	})
}

// A subscriber of rare events does not make a server that starts read the whole feed again.
func TestCursorFollowsWhatIsSkipped(t *testing.T) {
	inWorld(t, func(w *world) {
		h, stop, _ := w.server()
		made, e := w.subscribe(h, ofB, "b.test")
		w.happen(allocator.EventBooked, slices.Repeat([]allocator.SiteID{"a1"}, persistAfter+1000)...)
		time.Sleep(time.Minute)
		if cursor, err := strconv.Atoi(w.see(h, made.ID).Progress.Cursor); err != nil || cursor < persistAfter {
			t.Errorf("the cursor is %d, %v", cursor, err)
		}
		stop()
		w.server()
		w.happen(allocator.EventBooked, "b1")
		time.Sleep(soon)
		w.want("messages", len(e.took()), 1)
	})
}

// The lag is that of endpoints which take what they are sent.
func TestLag(t *testing.T) {
	inWorld(t, func(w *world) {
		h, _, _ := w.server()
		_, dead := w.subscribe(h, ofA, "dead.test")
		dead.answers(status(500))
		_, slow := w.subscribe(h, ofB, "slow.test")
		slow.answers(func(context.Context, received) (int, http.Header) { time.Sleep(15 * time.Second); return 0, nil })
		w.happen(allocator.EventBooked, "a1")
		time.Sleep(soon)
		w.want("lag of the dead", h.lag(), time.Duration(0))
		w.happen(allocator.EventBooked, slices.Repeat([]allocator.SiteID{"b1"}, 20)...)
		time.Sleep(2 * time.Minute)
		if lag := h.lag(); lag < time.Minute || lag > 3*time.Minute {
			t.Errorf("lag of the slow: %v", lag)
		}
		w.want("failing", h.count(stateFailing), 1)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		w.want("lag at last", h.lag(), time.Duration(0))
	})
}
