package ledgersuite

import (
	"testing"

	"muster/allocator"
)

// testVoid: Record and Void share their keys; the first to commit wins, and everybody is told the same.
func testVoid(t *testing.T, l allocator.Ledger) {
	w := NewWorld(t, l, "void")
	w.Publish(t, Open(2, Blue))
	void := func(items ...allocator.Voiding) []allocator.RecordResult {
		t.Helper()
		results, err := l.Void(t.Context(), items)
		must(t, err)
		return results
	}
	lost := w.Recording(Spot{0, 0, Blue, 1}, Spot{0, 1, Blue, 2})
	same(t, "void", void(VoidingOf(lost, allocator.CodeSlotFull))[0],
		allocator.RecordResult{Outcome: allocator.Voided, Reason: allocator.CodeSlotFull})
	ever := allocator.RecordResult{Outcome: allocator.RecordVoid, Reason: allocator.CodeSlotFull}
	same(t, "void again, for another reason", void(VoidingOf(lost, allocator.CodeHoldLost))[0], ever)
	same(t, "record after void", w.Record(t, lost)[0], ever)
	for _, b := range w.rows(t, keysOf(lost.Claims)...) {
		if b.Status != allocator.StatusVoid || b.Version != 1 || b.Reason != string(allocator.CodeSlotFull) ||
			b.Person != (allocator.PersonKey{}) || b.OnePerson || len(b.Sealed) > 0 || b.Hold != lost.Claims[0].Hold ||
			b.Slot != w.Slot(0) || b.Date != w.Date || b.Service != Blue {
			t.Errorf("void row %s", textOf(b))
		}
	}
	w.Book(t, Spot{0, 0, Blue, 1}, Spot{0, 1, Blue, 2}) // void rows take up neither place nor person

	kept := w.Recording(Spot{1, 0, Blue, 3})
	rows := w.Record(t, kept)[0].Rows
	same(t, "void after record", void(VoidingOf(kept, allocator.CodeHoldExpired))[0],
		allocator.RecordResult{Outcome: allocator.RecordedEver, Rows: rows})
	rows[0] = w.Turn(t, rows[0].Key, allocator.StatusCancelled, "citizen").Booking
	same(t, "void after cancellation", void(VoidingOf(kept, allocator.CodeHoldExpired))[0],
		allocator.RecordResult{Outcome: allocator.RecordedEver, Rows: rows})

	fresh := VoidingOf(w.Recording(Spot{2, 0, Blue, 4}), allocator.CodeHoldLost)
	elsewhere := VoidingOf(BareWorld(t, l, "void-unknown").Recording(Spot{0, 0, Blue, 1}), allocator.CodeHoldExpired)
	got := void(fresh, VoidingOf(lost, allocator.CodeHoldLost), fresh, elsewhere, VoidingOf(kept, allocator.CodeHoldLost))
	for i, want := range []allocator.RecordOutcome{
		allocator.Voided, allocator.RecordVoid, allocator.RecordVoid, allocator.Voided, allocator.RecordedEver,
	} {
		outcome(t, textOf(i), got[i], want)
	}
	_, listed, err := l.DayBookings(t.Context(), w.Site, w.Date)
	must(t, err)
	if len(listed) != 3 {
		t.Errorf("%d bookings of the day, want 3: void rows are none", len(listed))
	}
	w.Audit(t)
}

// testTransition: which status may follow which; a repeat changes nothing.
func testTransition(t *testing.T, l allocator.Ledger) {
	w := NewWorld(t, l, "transition")
	w.Publish(t, Open(20, Blue))
	all := []allocator.Status{
		allocator.StatusBooked, allocator.StatusArrived, allocator.StatusFulfilled, allocator.StatusNoShow, allocator.StatusCancelled,
	}
	place := int32(0)
	for _, from := range all {
		for _, to := range append(all, allocator.StatusVoid) {
			place++
			b := w.Book(t, Spot{0, place % 20, Blue, 1})[0]
			if from != allocator.StatusBooked {
				b = w.Turn(t, b.Key, from, "first").Booking
			}
			got := w.Turn(t, b.Key, to, "second")
			want := allocator.TransitionResult{Found: true, Booking: b}
			switch {
			case from == to:
			case from.MayFollow(to):
				want.Changed = true
				want.Booking.Status, want.Booking.Version, want.Booking.Reason = to, b.Version+1, "second"
			default:
				want.Refused = true
			}
			what := string(from) + " → " + string(to)
			same(t, what, got, want)
			same(t, what+", stored", w.row(t, b.Key), want.Booking)
			want.Changed = false
			same(t, what+", again", w.Turn(t, b.Key, to, "third"), want)
			w.Audit(t)
			w.clear(t, b.Key)
		}
	}
	same(t, "an unknown booking", w.Turn(t, 1, allocator.StatusCancelled, ""), allocator.TransitionResult{})
	lost := w.Recording(Spot{0, 0, Blue, 1})
	must(t, one(l.Void(t.Context(), []allocator.Voiding{VoidingOf(lost, allocator.CodeHoldLost)})))
	same(t, "a void one", w.Turn(t, lost.Claims[0].Key, allocator.StatusCancelled, ""), allocator.TransitionResult{})
}

// clear ends a booking, by way of a status that can end.
func (w *World) clear(t *testing.T, key allocator.BookingKey) {
	t.Helper()
	w.Turn(t, key, allocator.StatusNoShow, "")
	w.Turn(t, key, allocator.StatusCancelled, "")
}

// testMove: the old booking ends and the new one is recorded together, or nothing happens.
func testMove(t *testing.T, l allocator.Ledger) {
	w := NewWorld(t, l, "move")
	w.Publish(t, Open(1, Blue))
	old := w.Book(t, Spot{0, 0, Blue, 1})[0]
	move := func(key allocator.BookingKey, spots ...Spot) allocator.Recording {
		item := w.Recording(spots...)
		item.Replaces = key
		return item
	}
	item := move(old.Key, Spot{1, 0, Blue, 1})
	got := w.Record(t, item)[0]
	ended := old
	ended.Status, ended.Version, ended.Reason, ended.ReplacedBy = allocator.StatusCancelled, 2, "moved", item.Claims[0].Key
	outcome(t, "move", got, allocator.Recorded)
	if got.Replaced == nil {
		t.Fatal("the replaced row is not answered")
	}
	same(t, "the old one", *got.Replaced, ended)
	same(t, "the old one, stored", w.row(t, old.Key), ended)
	same(t, "repeated", w.Record(t, item)[0], allocator.RecordResult{Outcome: allocator.RecordedEver, Rows: got.Rows})

	current := got.Rows[0]
	got = w.Record(t, move(current.Key, Spot{1, 0, Blue, 1}))[0] // the same place of a full slot
	outcome(t, "onto its own place", got, allocator.Recorded)
	current = got.Rows[0]
	got = w.Record(t, move(current.Key, Spot{1, 5, Blue, 1}))[0]
	outcome(t, "within a full slot", got, allocator.Recorded)
	current = got.Rows[0]

	for _, refused := range []struct {
		what string
		item allocator.Recording
		want allocator.RecordOutcome
	}{
		{"of an ended one", move(old.Key, Spot{2, 0, Blue, 1}), allocator.RecordReplace},
		{"of an unknown one", move(1, Spot{2, 0, Blue, 2}), allocator.RecordReplace},
		{"for a person who has another", move(w.Book(t, Spot{3, 0, Blue, 3})[0].Key, Spot{2, 0, Blue, 1}), allocator.RecordPerson},
		{"onto a taken place", move(current.Key, Spot{3, 0, Blue, 1}), allocator.RecordTaken},
		{"into a full slot", move(current.Key, Spot{3, 1, Blue, 1}), allocator.RecordUnseated},
	} {
		outcome(t, refused.what, w.Record(t, refused.item)[0], refused.want)
	}
	same(t, "after refused moves", w.row(t, current.Key), current)

	both := w.Record(t, move(current.Key, Spot{4, 0, Blue, 1}), move(current.Key, Spot{5, 0, Blue, 1}), w.Recording(Spot{1, 5, Blue, 7}))
	outcome(t, "first of two moves", both[0], allocator.Recorded)
	outcome(t, "second of two moves", both[1], allocator.RecordReplace)
	outcome(t, "into the place left in the same batch", both[2], allocator.Recorded)
	w.Turn(t, both[0].Rows[0].Key, allocator.StatusFulfilled, "")
	outcome(t, "of a fulfilled one", w.Record(t, move(both[0].Rows[0].Key, Spot{2, 0, Blue, 1}))[0], allocator.RecordReplace)
	testMoveOfMove(t, w)
	w.Audit(t)
}

// testMoveOfMove: one batch may move what it has just recorded; each step has its event.
func testMoveOfMove(t *testing.T, w *World) {
	first := w.Recording(Spot{10, 0, Blue, 9})
	second, third := w.Recording(Spot{11, 0, Blue, 9}), w.Recording(Spot{10, 0, Blue, 9})
	second.Replaces, third.Replaces = first.Claims[0].Key, second.Claims[0].Key
	for i, r := range w.Record(t, first, second, third) {
		outcome(t, textOf(i), r, allocator.Recorded)
	}
	for _, step := range []struct {
		item   allocator.Recording
		status allocator.Status
	}{{first, allocator.StatusCancelled}, {second, allocator.StatusCancelled}, {third, allocator.StatusBooked}} {
		if b := w.row(t, step.item.Claims[0].Key); b.Status != step.status {
			t.Errorf("a chain of moves left %s", textOf(b))
		}
	}
}
