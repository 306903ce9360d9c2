package allocator_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/allocator"
	"muster/allocator/keyring"
)

// TestExportAndErase: a person gets all that is kept of them; afterwards nothing names them, and the books still balance.
func TestExportAndErase(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a, stop := w.serveKeys(keyring.New(false))
		for _, site := range []allocator.SiteID{"S1", "S2"} {
			w.publish(a, site, session(5, "RSV", "FLU", "COVID"))
		}
		past := w.book(a, 1, w.claim("S1", "RSV", 0))[0]
		cancelled := w.book(a, 1, w.claim("S2", "FLU", 1))[0]
		other := w.book(a, 2, w.claim("S1", "RSV", 1))[0]
		if _, err := a.Cancel(t.Context(), allocator.BookingAccess{Reference: cancelled.Reference, ManageToken: cancelled.ManageToken}, "", allocator.Caller{}); err != nil {
			t.Fatal(err)
		}
		events := allEvents(t, w)
		export, err := a.ExportPerson(t.Context(), person(1).NHSNumber, allocator.Caller{})
		if err != nil || len(export.Bookings) != 2 {
			t.Fatalf("%+v, %v", export, err)
		}
		text, _ := json.Marshal(export)
		for _, part := range []string{past.Reference, cancelled.Reference, person(1).NHSNumber, `"familyName":"Person 1"`, `"dateOfBirth":"1979-12-30"`, `"status":"cancelled"`} {
			if !strings.Contains(string(text), part) {
				t.Errorf("the export lacks %s:\n%s", part, text)
			}
		}
		done, err := a.ErasePerson(t.Context(), person(1).NHSNumber, allocator.Caller{})
		if err != nil || done.Erased != 1 || !slices.Equal(done.Upcoming, []string{past.Reference}) {
			t.Errorf("before the appointment: %+v, %v", done, err)
		}
		stop()                     // the ledger is enough for what follows, and days pass faster
		time.Sleep(48 * time.Hour) // on the bubble's clock
		for _, want := range []int{1, 0} {
			if done, err = a.ErasePerson(t.Context(), person(1).NHSNumber, allocator.Caller{}); err != nil || done.Erased != want || len(done.Upcoming) != 0 {
				t.Errorf("after it: %+v, %v", done, err)
			}
		}
		if export, err = a.ExportPerson(t.Context(), person(1).NHSNumber, allocator.Caller{}); err != nil || len(export.Bookings) != 0 {
			t.Errorf("erased: %+v, %v", export, err)
		}
		rows, err := w.ledger.Bookings(t.Context(), []allocator.BookingKey{past.Key, cancelled.Key, other.Key})
		if err != nil || len(rows) != 3 {
			t.Fatal(rows, err)
		}
		for _, row := range rows {
			if gone := row.Key != other.Key; gone != (len(row.Sealed) == 0) || gone != (row.Person == allocator.PersonKey{}) {
				t.Errorf("%s is left with %d bytes, person %x", row.Key.Reference(), len(row.Sealed), row.Person)
			}
		}
		after := allEvents(t, w)
		if len(after) != len(events) {
			t.Errorf("%d events were %d", len(after), len(events))
		}
		for i, e := range after {
			if e.Cursor != events[i].Cursor || e.Type != events[i].Type || e.Booking != events[i].Booking || e.Version != events[i].Version {
				t.Errorf("event %+v was %+v", e, events[i])
			}
			if e.Booking != other.Key && e.Person != (allocator.PersonKey{}) {
				t.Errorf("event %+v names a person", e)
			}
		}
		_, err = a.Booking(t.Context(), allocator.BookingAccess{Reference: past.Reference, DateOfBirth: 3650, HasBirth: true})
		wantCode(t, err, allocator.CodeBookingUnknown)
		wantEqual(t, "what did not open", w.counted("details_unreadable"), 0)
		_, err = a.ErasePerson(t.Context(), "9434765918", allocator.Caller{})
		wantCode(t, err, allocator.CodeNHSNumberInvalid)
	})
}

func allEvents(t *testing.T, w *world) []allocator.Event {
	t.Helper()
	events, _, err := w.ledger.Events(t.Context(), "", 10_000)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// TestRetention: details go by what became of the booking, so many days after it; a dry run only counts.
func TestRetention(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a, stop := w.serveKeys(keyring.New(false))
		w.publish(a, "S1", session(9, "RSV", "FLU", "COVID"))
		kept := make(map[string]allocator.BookingView)
		for i, became := range []allocator.Status{allocator.StatusBooked, allocator.StatusNoShow, allocator.StatusCancelled, allocator.StatusFulfilled} {
			v := w.book(a, i+1, w.claim("S1", "RSV", i%3))[0]
			kept[string(became)] = v
			if became == allocator.StatusBooked {
				continue
			}
			if _, err := w.ledger.Transition(t.Context(), allocator.Transition{Key: v.Key, To: became, Actor: "test"}); err != nil {
				t.Fatal(err)
			}
		}
		stop()
		c := allocator.CustodianOf(a)
		task := allocator.SweepTask{Retention: allocator.Retention{Attended: 20, Missed: 10, Cancelled: 5}}
		left := func() (names []string) {
			for name, v := range kept {
				if rows, err := w.ledger.Bookings(t.Context(), []allocator.BookingKey{v.Key}); err != nil || len(rows[0].Sealed) > 0 {
					names = append(names, name)
				}
			}
			slices.Sort(names)
			return names
		}
		day := 24 * time.Hour
		for _, step := range []struct {
			sleep time.Duration
			want  string
		}{{0, "[booked cancelled fulfilled noshow]"}, {6 * day, "[booked cancelled fulfilled noshow]"}, {day, "[booked fulfilled noshow]"},
			{5 * day, "[booked fulfilled]"}, {9 * day, "[booked fulfilled]"}, {day, "[]"}} {
			time.Sleep(step.sleep)
			task.DryRun = true
			had := left()
			dry, err := c.Sweep(t.Context(), task)
			wantEqual(t, "after a dry run", left(), had)
			task.DryRun = false
			wet, wetErr := c.Sweep(t.Context(), task)
			if err := errors.Join(err, wetErr); err != nil || dry.Lapsed != wet.Lapsed || wet.Changed != wet.Lapsed || dry.Changed != 0 {
				t.Errorf("dry %+v, wet %+v, %v", dry, wet, err)
			}
			wantEqual(t, fmt.Sprintf("left after %v more", step.sleep), left(), step.want)
		}
		for name, v := range kept {
			rows, err := w.ledger.Bookings(t.Context(), []allocator.BookingKey{v.Key})
			if err != nil || (name == "cancelled") != (rows[0].Person == allocator.PersonKey{}) {
				t.Errorf("%s is person %x's, %v", name, rows[0].Person, err)
			}
		}
		if err := (allocator.Retention{Attended: -1, Cancelled: 99_999}).Validate(); err == nil || strings.Count(err.Error(), "not within") != 2 {
			t.Errorf("%v", err)
		}
	})
}
