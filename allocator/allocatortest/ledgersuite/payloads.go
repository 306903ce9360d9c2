package ledgersuite

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"muster/allocator"
)

// testPayloads: who is shown a row, and what becomes of people's details.
func testPayloads(t *testing.T, l allocator.Ledger) {
	t.Run("Subject", func(t *testing.T) { testSubject(t, NewWorld(t, l, "payload-subject")) })
	t.Run("Person", func(t *testing.T) { testPersonBookings(t, NewWorld(t, l, "payload-person")) })
	t.Run("Pages", func(t *testing.T) { testPayloadPages(t, NewWorld(t, l, "payload-pages")) })
	t.Run("Reseal", func(t *testing.T) { testReseal(t, NewWorld(t, l, "payload-reseal")) })
	t.Run("Nobody", func(t *testing.T) { testNobody(t, NewWorld(t, l, "payload-nobody")) })
	t.Run("Amend", func(t *testing.T) { testAmend(t, l) })
	t.Run("Races", func(t *testing.T) { racePayloads(t, NewWorld(t, l, "payload-races")) })
}

// testSubject: a row is shown to anyone without a bound, to its site's publisher, and to no other; a void one to nobody.
func testSubject(t *testing.T, w *World) {
	w.Publish(t, Open(3, Blue))
	row := w.Book(t, Spot{0, 0, Blue, 1})[0]
	ended := w.Book(t, Spot{1, 0, Blue, 2})[0]
	ended = w.Turn(t, ended.Key, allocator.StatusCancelled, "citizen").Booking
	lost := w.Recording(Spot{2, 0, Blue, 3})
	must(t, one(w.Ledger.Void(t.Context(), []allocator.Voiding{VoidingOf(lost, allocator.CodeHoldLost)})))
	ownerless := SiteOf("payload-ownerless")
	ownerless.Publisher = ""
	must(t, one(w.Ledger.PutSite(t.Context(), ownerless, Actor)))
	nobodys := BareWorld(t, w.Ledger, "payload-ownerless")
	nobodys.Publish(t, Open(3, Blue))
	other := nobodys.Book(t, Spot{0, 0, Blue, 4})[0]
	for _, c := range []struct {
		name    string
		key     allocator.BookingKey
		subject allocator.Subject
		want    *allocator.Booking
	}{
		{"anyone", row.Key, allocator.Subject{}, &row},
		{"the publisher", row.Key, allocator.Subject{Bound: true, Publisher: "chain-1"}, &row},
		{"an ended one", ended.Key, allocator.Subject{Bound: true, Publisher: "chain-1"}, &ended},
		{"another publisher", row.Key, allocator.Subject{Bound: true, Publisher: "chain-2"}, nil},
		{"a publisher in quotes", row.Key, allocator.Subject{Bound: true, Publisher: `chain-1' OR '1'='1`}, nil},
		{"nobody", row.Key, allocator.Subject{Bound: true}, nil},
		{"nobody, at nobody's site", other.Key, allocator.Subject{Bound: true}, nil},
		{"an unknown key", row.Key ^ 1, allocator.Subject{}, nil},
		{"a void row", lost.Claims[0].Key, allocator.Subject{}, nil},
	} {
		got, ok, err := w.Ledger.Booking(t.Context(), c.key, c.subject)
		must(t, err)
		if ok != (c.want != nil) {
			t.Errorf("%s: shown %v", c.name, ok)
		}
		if c.want != nil {
			same(t, c.name, got, *c.want)
		} else {
			same(t, c.name, got, allocator.Booking{})
		}
	}
}

// testPersonBookings: all rows of a person, whatever became of them, and no others.
func testPersonBookings(t *testing.T, w *World) {
	w.Publish(t, Open(9, Blue, Green))
	live := w.Book(t, Spot{0, 0, Blue, 1})[0]
	again := w.Recording(Spot{1, 0, Blue, 1})
	again.Claims[0].OnePerson = false
	several := w.Record(t, again)[0].Rows[0]
	ended := w.Book(t, Spot{2, 0, Green, 1})[0]
	ended = w.Turn(t, ended.Key, allocator.StatusCancelled, "citizen").Booking
	w.Book(t, Spot{3, 0, Blue, 2})
	w.Book(t, Spot{4, 0, Blue, 0})
	rows, err := w.Ledger.PersonBookings(t.Context(), w.Person(1), 10)
	must(t, err)
	same(t, "a person's", rows, byKey([]allocator.Booking{live, several, ended}))
	rows, err = w.Ledger.PersonBookings(t.Context(), w.Person(1), 2)
	must(t, err)
	same(t, "the first two", rows, byKey([]allocator.Booking{live, several, ended})[:2])
	rows, err = w.Ledger.PersonBookings(t.Context(), allocator.PersonKey{}, 10)
	must(t, err)
	same(t, "nobody's", rows, []allocator.Booking(nil))
}

// testPayloadPages: pages by key have each row with a payload once.
func testPayloadPages(t *testing.T, w *World) {
	w.Publish(t, Open(20, Blue))
	want := make(map[allocator.BookingKey]allocator.Booking)
	for i := range 20 {
		row := w.Book(t, Spot{i % 10, int32(i / 10), Blue, i + 1})[0]
		if i%5 == 0 {
			must(t, one(w.Ledger.Reseal(t.Context(), []allocator.Resealing{{Key: row.Key, Was: row.Sealed}})))
			continue
		}
		if i%3 == 0 {
			row = w.Turn(t, row.Key, allocator.StatusCancelled, "citizen").Booking
		}
		want[row.Key] = row
	}
	for after := allocator.BookingKey(0); ; {
		page, err := w.Ledger.Payloads(t.Context(), after, 3)
		must(t, err)
		if len(page) > 3 {
			t.Fatalf("a page of %d", len(page))
		}
		for _, p := range page {
			if p.Key <= after {
				t.Fatalf("key %d comes after %d", p.Key, after)
			}
			after = p.Key
			if row, ok := want[p.Key]; ok { // other tests have rows of their own
				same(t, "a payload", p, allocator.Payload{Key: row.Key, Date: row.Date, Status: row.Status, Sealed: row.Sealed})
				delete(want, p.Key)
			}
		}
		if len(page) == 0 {
			break
		}
	}
	if len(want) > 0 {
		t.Errorf("no page has %d of the payloads", len(want))
	}
}

// testReseal: a payload is replaced where it is as it was, and nothing else of its row changes.
func testReseal(t *testing.T, w *World) {
	w.Publish(t, Open(9, Blue))
	row, other := w.Book(t, Spot{0, 0, Blue, 1})[0], w.Book(t, Spot{1, 0, Blue, 2})[0]
	reseal := func(want int, items ...allocator.Resealing) {
		t.Helper()
		n, err := w.Ledger.Reseal(t.Context(), items)
		must(t, err)
		if n != want {
			t.Errorf("%d payloads were replaced, want %d", n, want)
		}
	}
	first, second := []byte("the first"), []byte("the second")
	reseal(0)
	reseal(1, allocator.Resealing{Key: row.Key, Was: row.Sealed, Now: first}, allocator.Resealing{Key: other.Key, Was: first, Now: second},
		allocator.Resealing{Key: row.Key ^ 1, Now: first})
	w.wantRow(t, row, first)
	w.wantRow(t, other, other.Sealed)
	reseal(0, allocator.Resealing{Key: row.Key, Was: row.Sealed, Now: second})
	reseal(0, allocator.Resealing{Key: row.Key, Now: second})
	reseal(2, allocator.Resealing{Key: row.Key, Was: first}, allocator.Resealing{Key: other.Key, Was: other.Sealed, Now: second})
	w.wantRow(t, row, nil)
	w.wantRow(t, other, second)
	reseal(0, allocator.Resealing{Key: row.Key, Was: first, Now: second})
	reseal(1, allocator.Resealing{Key: row.Key})
	w.wantRow(t, row, nil)
	changed := w.Turn(t, other.Key, allocator.StatusCancelled, "citizen").Booking
	if changed.Version != 2 || !bytes.Equal(changed.Sealed, second) {
		t.Errorf("afterwards the row is cancelled as %s", textOf(changed))
	}
}

// wantRow checks that a row is as it was, with this payload.
func (w *World) wantRow(t *testing.T, row allocator.Booking, sealed []byte) {
	t.Helper()
	rows, err := w.Ledger.Bookings(t.Context(), []allocator.BookingKey{row.Key})
	must(t, err)
	row.Sealed = sealed
	same(t, "the row", rows, []allocator.Booking{row})
}

// testNobody: whose row is nobody's any more may book again, its events name nobody, and its place stays taken.
func testNobody(t *testing.T, w *World) {
	w.Publish(t, Open(9, Blue))
	row := w.Book(t, Spot{0, 0, Blue, 1})[0]
	must(t, one(w.Ledger.Reseal(t.Context(), []allocator.Resealing{{Key: row.Key, Was: row.Sealed, Nobody: true}})))
	kept := row
	kept.Person = allocator.PersonKey{}
	w.wantRow(t, kept, nil)
	rows, err := w.Ledger.PersonBookings(t.Context(), row.Person, 10)
	must(t, err)
	same(t, "the person's rows", rows, []allocator.Booking(nil))
	taken := w.Recording(Spot{0, 0, Blue, 2})
	outcome(t, "the place", w.Record(t, taken)[0], allocator.RecordTaken)
	w.Book(t, Spot{1, 0, Blue, 1})
	found := false
	for _, e := range AllEvents(t, w.Ledger) {
		if e.Booking == row.Key {
			found = true
			same(t, "who the event names", e.Person, allocator.PersonKey{})
		}
	}
	if !found {
		t.Error("the booking has no event any more")
	}
}

// testAmend: a setting changes from what it was, and callers that race count every change.
func testAmend(t *testing.T, l allocator.Ledger) {
	kept, err := l.Amend(t.Context(), "amended", []byte("0"), []byte("1"))
	must(t, err)
	same(t, "a setting that is not there", kept, []byte(nil))
	must(t, one(l.Agree(t.Context(), "amended", []byte("0"))))
	kept, err = l.Amend(t.Context(), "amended", []byte("7"), []byte("8"))
	must(t, err)
	same(t, "a setting that is another", string(kept), "0")
	const racers, times = 8, 5
	Race(racers, func(i int) {
		for n := range times {
			increase(t, l, fmt.Sprint(i, "/", n))
		}
	})
	kept, err = l.Agree(t.Context(), "amended", []byte("none"))
	must(t, err)
	number, _, _ := strings.Cut(string(kept), " ")
	same(t, "after all", number, strconv.Itoa(racers*times))
}

// increase raises the setting by one. Of several who would write the same number, one cannot tell itself from the others,
// so each writes a name of its own behind it.
func increase(t *testing.T, l allocator.Ledger, name string) {
	for {
		kept := definite(t, func() ([]byte, error) { return l.Agree(t.Context(), "amended", []byte("0")) })
		number, _, _ := strings.Cut(string(kept), " ")
		n, err := strconv.Atoi(number)
		if err != nil {
			t.Errorf("the setting is %q", kept)
			return
		}
		wanted := fmt.Sprintf("%d %s", n+1, name)
		if got := definite(t, func() ([]byte, error) { return l.Amend(t.Context(), "amended", kept, []byte(wanted)) }); string(got) == wanted {
			return
		}
	}
}

// racePayloads: of those who delete and those who seal anew at once, a deletion is never undone, and the row's own changes
// are not lost.
func racePayloads(t *testing.T, w *World) {
	w.Publish(t, Open(9, Blue))
	row := w.Book(t, Spot{0, 0, Blue, 1})[0]
	var deleted atomic.Bool
	Race(8, func(i int) {
		for n := range 5 {
			changed := definite(t, func() (int, error) {
				if i == 0 && n == 2 {
					return 0, one(w.Ledger.Transition(t.Context(), allocator.Transition{Key: row.Key, To: allocator.StatusCancelled, Actor: Actor}))
				}
				rows, err := w.Ledger.Bookings(t.Context(), []allocator.BookingKey{row.Key})
				if err != nil || len(rows[0].Sealed) == 0 {
					return 0, err
				}
				r := allocator.Resealing{Key: row.Key, Was: rows[0].Sealed, Now: fmt.Appendf(nil, "%d-%d", i, n)}
				if i == 1 && n == 3 {
					r.Was, r.Now, r.Nobody = rows[0].Sealed, nil, true
				}
				return w.Ledger.Reseal(t.Context(), []allocator.Resealing{r})
			})
			if i == 1 && n == 3 && changed == 1 {
				deleted.Store(true)
			}
		}
	})
	for {
		rows, err := w.Ledger.Bookings(t.Context(), []allocator.BookingKey{row.Key})
		must(t, err)
		if rows[0].Status != allocator.StatusCancelled || rows[0].Version != 2 {
			t.Errorf("the cancellation is lost: %s", textOf(rows))
		}
		if len(rows[0].Sealed) == 0 {
			same(t, "whose the deleted row is", rows[0].Person, allocator.PersonKey{})
			return
		}
		if deleted.Load() {
			t.Fatalf("a deletion was undone: %s", textOf(rows))
		}
		must(t, one(w.Ledger.Reseal(t.Context(), []allocator.Resealing{{Key: row.Key, Was: rows[0].Sealed, Nobody: true}})))
	}
}
