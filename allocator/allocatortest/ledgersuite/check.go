package ledgersuite

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"muster/allocator"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// one drops a call's value.
func one[T any](_ T, err error) error { return err }

// same compares by text, in which an empty slice equals none.
func same(t testing.TB, what string, got, want any) {
	t.Helper()
	if g, w := textOf(got), textOf(want); g != w {
		t.Errorf("%s:\n got %s\nwant %s", what, g, w)
	}
}

// outcome checks what became of a record or a void.
func outcome(t testing.TB, what string, got allocator.RecordResult, want allocator.RecordOutcome) {
	t.Helper()
	if got.Outcome != want {
		t.Errorf("%s: outcome %d, want %d: %s", what, got.Outcome, want, textOf(got))
	}
}

// textOf writes values so that equal ones look equal: rows without their time, unordered lists sorted.
func textOf(v any) string {
	switch v := v.(type) {
	case allocator.Booking:
		v.RecordedAt = time.Time{}
		return fmt.Sprintf("%+v", v)
	case []allocator.Booking:
		out := ""
		for _, b := range v {
			out += "\n  " + textOf(b)
		}
		return out
	case allocator.RecordResult:
		rows, replaced := v.Rows, v.Replaced
		v.Raised = slices.Sorted(slices.Values(v.Raised))
		v.Rows, v.Replaced = nil, nil
		out := fmt.Sprintf("%+v", v) + textOf(rows)
		if replaced != nil {
			out += "\n  replaced " + textOf(*replaced)
		}
		return out
	case allocator.PublishResult:
		lists := textOf(v.NewlyUnsupported) + "\n newly supported" + textOf(v.NewlySupported) + "\n cancelled" + textOf(v.Cancelled)
		v.NewlyUnsupported, v.NewlySupported, v.Cancelled = nil, nil, nil
		return fmt.Sprintf("%+v", v) + "\n newly unsupported" + lists
	case allocator.TransitionResult:
		v.Booking.RecordedAt = time.Time{}
		return fmt.Sprintf("%+v", v)
	case allocator.Event:
		v.Cursor, v.At = "", time.Time{}
		return fmt.Sprintf("%+v", v)
	default:
		return fmt.Sprintf("%+v", v)
	}
}

// byKey sorts rows, which ledgers list in no particular order.
func byKey(rows []allocator.Booking) []allocator.Booking {
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b allocator.Booking) int { return cmp.Compare(a.Key, b.Key) })
	return rows
}

// rows reads bookings by key.
func (w *World) rows(t testing.TB, keys ...allocator.BookingKey) []allocator.Booking {
	t.Helper()
	found, err := w.Ledger.Bookings(t.Context(), keys)
	must(t, err)
	return byKey(found)
}

// row reads one booking.
func (w *World) row(t testing.TB, key allocator.BookingKey) allocator.Booking {
	t.Helper()
	found := w.rows(t, key)
	if len(found) != 1 {
		t.Fatalf("booking %d: %d rows", key, len(found))
	}
	return found[0]
}

func keysOf(rows []allocator.Booking) []allocator.BookingKey {
	keys := make([]allocator.BookingKey, len(rows))
	for i := range rows {
		keys[i] = rows[i].Key
	}
	return keys
}

// Race runs n callers at once and waits for all.
func Race(n int, caller func(i int)) {
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			<-start
			caller(i)
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
}

// definite repeats a call until its outcome is known, as callers must.
func definite[T any](t testing.TB, call func() (T, error)) (value T) {
	var err error
	for range 200 {
		value, err = call()
		if !errors.Is(err, allocator.ErrOutcomeUnknown) && !errors.Is(err, allocator.ErrUnavailable) {
			break
		}
	}
	if err != nil {
		t.Errorf("never definite: %v", err)
	}
	return value
}
