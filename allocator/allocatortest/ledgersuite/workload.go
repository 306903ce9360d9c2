package ledgersuite

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"muster/allocator"
	"muster/allocator/allocatortest/memoryledger"
)

// testWorkload gives a ledger and the model the same random calls, one after the other, and compares every answer and
// what is stored in the end. Each history has a site of its own in the same two ledgers.
func testWorkload(t *testing.T, l allocator.Ledger) {
	ticks := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	model := memoryledger.New(func() time.Time {
		ticks = ticks.Add(time.Millisecond)
		return ticks
	})
	histories := 0
	var cursors [2]string
	rapid.Check(t, func(rt *rapid.T) {
		histories++
		name := fmt.Sprintf("workload-%d", histories)
		NewWorld(t, model, name)
		d := &duel{T: rt, t: t, w: NewWorld(t, l, name), ledgers: [2]allocator.Ledger{l, model}}
		d.publish()
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			steps := []func(){d.record, d.record, d.record, d.void, d.transition, d.publish}
			rapid.SampledFrom(steps).Draw(rt, "step")()
		}
		d.compareState()
		d.compareEvents(&cursors)
	})
}

// duel is one history of two ledgers.
type duel struct {
	*rapid.T
	t       *testing.T
	w       *World
	ledgers [2]allocator.Ledger
	sent    []allocator.Recording
}

// both makes one call on each ledger, and fails where the answers differ.
func both[R any](d *duel, what string, call func(ctx context.Context, l allocator.Ledger) (R, error)) R {
	d.Helper()
	var answers [2]R
	for i, l := range d.ledgers {
		var err error
		if answers[i], err = call(d.t.Context(), l); err != nil {
			d.Fatalf("%s: %v", what, err)
		}
	}
	if got, want := textOf(answers[0]), textOf(answers[1]); got != want {
		d.Fatalf("%s:\n got %s\nwant %s", what, got, want)
	}
	return answers[0]
}

func (d *duel) number(what string, low, high int) int {
	return rapid.IntRange(low, high).Draw(d.T, what)
}

func (d *duel) service() allocator.ServiceCode {
	return rapid.SampledFrom([]allocator.ServiceCode{Blue, Green, Orange}).Draw(d.T, "service")
}

func (d *duel) publish() {
	var sessions []allocator.Session
	for range d.number("sessions", 0, 3) {
		s := Open(d.number("capacity", 1, 2), d.service())
		if other := d.service(); other != s.Services[0] {
			s.Services = append(s.Services, other)
		}
		s.Stopped = d.number("stopped", 0, 5) == 5
		sessions = append(sessions, s)
	}
	change := d.w.Change(sessions...)
	change.DryRun, change.Cancel = d.number("dry run", 0, 4) == 4, d.number("cancel", 0, 2) == 2
	if d.number("if match", 0, 3) == 3 {
		revision := int64(d.number("revision", 0, 3))
		change.IfMatch = &revision
	}
	both(d, "publish", func(ctx context.Context, l allocator.Ledger) (allocator.PublishResult, error) {
		r, err := l.Publish(ctx, []allocator.DayChange{change})
		if err != nil || len(r) != 1 {
			return allocator.PublishResult{}, fmt.Errorf("%d results: %w", len(r), err)
		}
		return r[0], nil
	})
}

// recording is a fresh request, or an earlier one again, or one with the keys of another.
func (d *duel) recording() allocator.Recording {
	if len(d.sent) > 0 && d.number("again", 0, 4) == 4 {
		item := rapid.SampledFrom(d.sent).Draw(d.T, "which")
		if d.number("by another", 0, 3) == 3 {
			item.Claims = slices.Clone(item.Claims)
			item.Claims[0].Person = d.w.Person(d.number("other person", 1, 4))
		}
		return item
	}
	var spots []Spot
	for range d.number("claims", 1, 3) {
		spots = append(spots, Spot{d.number("slot", 0, 1), int32(d.number("place", 0, 4)), d.service(), d.number("person", 0, 4)})
	}
	item := d.w.Recording(spots...)
	if d.number("evidence", 0, 2) > 0 {
		item.Pins = []allocator.Evidence{d.w.Evidence(d.t)}
		item.Pins[0].Generation -= int64(d.number("generations ago", 0, 3) / 3)
		item.Pins[0].Revisions[d.w.Date] -= int64(d.number("revisions ago", 0, 3) / 3)
	}
	if len(d.sent) > 0 && d.number("move", 0, 3) == 3 {
		item.Replaces = d.key()
	}
	return item
}

// key is that of any claim sent before.
func (d *duel) key() allocator.BookingKey {
	return rapid.SampledFrom(rapid.SampledFrom(d.sent).Draw(d.T, "of").Claims).Draw(d.T, "claim").Key
}

func (d *duel) record() {
	var items []allocator.Recording
	for range d.number("items", 1, 4) {
		item := d.recording()
		d.sent = append(d.sent, item)
		items = append(items, item)
	}
	both(d, "record", func(ctx context.Context, l allocator.Ledger) (answers, error) { return l.Record(ctx, items) })
}

func (d *duel) void() {
	var items []allocator.Voiding
	for range d.number("items", 1, 3) {
		item := d.recording()
		d.sent = append(d.sent, item)
		items = append(items, VoidingOf(item, allocator.CodeHoldExpired))
	}
	both(d, "void", func(ctx context.Context, l allocator.Ledger) (answers, error) { return l.Void(ctx, items) })
}

// answers is a list of results that writes itself as textOf does.
type answers []allocator.RecordResult

func (a answers) String() string {
	var out strings.Builder
	for _, r := range a {
		out.WriteString("\n " + textOf(r))
	}
	return out.String()
}

func (d *duel) transition() {
	if len(d.sent) == 0 {
		return
	}
	change := allocator.Transition{
		Key: d.key(), Reason: "why", Actor: Actor,
		To: rapid.SampledFrom([]allocator.Status{
			allocator.StatusCancelled, allocator.StatusCancelled, allocator.StatusArrived, allocator.StatusNoShow,
			allocator.StatusFulfilled, allocator.StatusBooked,
		}).Draw(d.T, "to"),
	}
	both(d, "transition", func(ctx context.Context, l allocator.Ledger) (allocator.TransitionResult, error) {
		return l.Transition(ctx, change)
	})
}

// compareState compares all that is stored of the site.
func (d *duel) compareState() {
	both(d, "bookings", func(ctx context.Context, l allocator.Ledger) (string, error) {
		var keys []allocator.BookingKey
		for _, item := range d.sent {
			keys = append(keys, keysOf(item.Claims)...)
		}
		rows, err := l.Bookings(ctx, keys)
		return textOf(byKey(rows)), err
	})
	both(d, "day", func(ctx context.Context, l allocator.Ledger) (string, error) {
		day, rows, err := l.DayBookings(ctx, d.w.Site, d.w.Date)
		return textOf(day) + textOf(byKey(rows)), err
	})
	both(d, "slot", func(ctx context.Context, l allocator.Ledger) (string, error) {
		day, rows, err := l.Slot(ctx, d.w.Slot(1), d.w.Date)
		return textOf(day) + textOf(byKey(rows)), err
	})
	both(d, "site", func(ctx context.Context, l allocator.Ledger) (string, error) {
		s, err := l.SiteState(ctx, d.w.Site, 0, time.Unix(0, 0))
		slices.SortFunc(s.Ended, func(a, b allocator.EndedID) int { return slices.Compare(a.ID.Bytes(), b.ID.Bytes()) })
		return fmt.Sprintf("%+v %v %+v %s", s.Site, s.Revisions, s.Ended, textOf(byKey(s.Live))), err
	})
}

// compareEvents compares what came to the outbox since the cursors, and moves them on. Events of one transaction are in
// no particular order.
func (d *duel) compareEvents(cursors *[2]string) {
	var lists [2][]string
	for i, l := range d.ledgers {
		for {
			page, next, err := l.Events(d.t.Context(), cursors[i], 100)
			if err != nil {
				d.Fatalf("events: %v", err)
			}
			if len(page) == 0 {
				break
			}
			for _, e := range page {
				lists[i] = append(lists[i], textOf(e))
			}
			cursors[i] = next
		}
		slices.Sort(lists[i])
	}
	if !slices.Equal(lists[0], lists[1]) {
		d.Fatalf("events:\n got %s\nwant %s", strings.Join(lists[0], "\n     "), strings.Join(lists[1], "\n     "))
	}
}
