package allocator_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/allocator"
	"muster/allocator/keyring"
)

// serveKeys starts a server with keys of its own, which stops with the test, or before.
func (w *world) serveKeys(ring *keyring.Ring) (a *allocator.Allocator, stop func()) {
	return w.serveUpkeep(ring, allocator.Upkeep{})
}

func (w *world) serveUpkeep(ring *keyring.Ring, u allocator.Upkeep) (a *allocator.Allocator, stop func()) {
	w.t.Helper()
	config := w.config()
	config.Keys, config.Upkeep = ring, u
	a, err := allocator.New(config)
	if err == nil {
		err = a.Start(context.Background())
	}
	if err != nil {
		w.t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		if err := a.Stop(context.Background()); err != nil {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(stop)
	return a, stop
}

// rotations are a ring and what the steps of a rotation of payloads' keys make of it: as it was, with a next key, rotated.
func rotations(t *testing.T, ring *keyring.Ring) (stages [3]*keyring.Ring) {
	t.Helper()
	for i := range stages {
		var err error
		if stages[i], err = keyring.Parse(ring.Encode()); err == nil && i < len(stages)-1 {
			_, err = ring.Rotate(keyring.Payload)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return stages
}

// keysInUse counts the ledger's payloads by the key that they need; 999 stands for none.
func (w *world) keysInUse() map[int]int {
	w.t.Helper()
	payloads, err := w.ledger.Payloads(context.Background(), 0, 100_000)
	if err != nil {
		w.t.Fatal(err)
	}
	count := make(map[int]int)
	for _, p := range payloads {
		id, ok := keyring.KeyOf(p.Sealed)
		if !ok {
			id = 999
		}
		count[id]++
	}
	return count
}

func wantEqual(t *testing.T, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// TestRotationWithRacingServers: while two servers of different active keys book, and others seal anew, every booking opens
// everywhere, and in the end all is of the newest key.
func TestRotationWithRacingServers(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		rings := rotations(t, keyring.New(true))
		var servers []*allocator.Allocator
		for _, ring := range []*keyring.Ring{keyring.Derived(), rings[1], rings[2]} {
			a, _ := w.serveKeys(ring)
			servers = append(servers, a)
		}
		w.publish(servers[0], "S1", session(60, "RSV"))
		before := w.book(servers[0], 900, w.claim("S1", "RSV", 0))[0]
		var views sync.Map
		var work sync.WaitGroup
		for n := range 20 {
			for i, a := range servers[1:] {
				work.Go(func() {
					v := w.book(a, 2*n+i+1, w.claim("S1", "RSV", n%3))[0]
					views.Store(v.Reference, v)
				})
				work.Go(func() {
					if _, err := allocator.CustodianOf(a).Sweep(t.Context(), allocator.SweepTask{Rewrap: true}); err != nil {
						t.Error(err)
					}
				})
			}
		}
		work.Wait()
		views.Store(before.Reference, before)
		check := func() {
			t.Helper()
			views.Range(func(_, value any) bool {
				v := value.(allocator.BookingView)
				for _, a := range servers[1:] {
					access := allocator.BookingAccess{Reference: v.Reference, ManageToken: v.ManageToken}
					if got, err := a.Booking(t.Context(), access); err != nil || !strings.HasPrefix(got.Person.FamilyName, "Person ") {
						t.Errorf("%s: %+v, %v", v.Reference, got.Person, err)
					}
				}
				return true
			})
		}
		check()
		report, err := allocator.CustodianOf(servers[2]).Sweep(t.Context(), allocator.SweepTask{Rewrap: true})
		if err != nil || report.Read != 41 || report.Rewrapped != report.Changed || report.Unreadable != 0 || report.Keys[2] != 41 {
			t.Errorf("%+v, %v", report, err)
		}
		wantEqual(t, "keys in use", w.keysInUse(), map[int]int{2: 41})
		check()
		if again, err := allocator.CustodianOf(servers[1]).Sweep(t.Context(), allocator.SweepTask{Rewrap: true}); err != nil || again.Changed != 0 {
			t.Errorf("a server with an older key changes what has the newer: %+v, %v", again, err)
		}
		wantEqual(t, "what did not open", w.counted("details_unreadable"), 0)
	})
}

// TestTamperedDetails: details that were changed, or moved from another booking, are shown to nobody, and counted.
func TestTamperedDetails(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a, _ := w.serveKeys(keyring.New(false))
		w.publish(a, "S1", session(3, "RSV"))
		mine, other := w.book(a, 1, w.claim("S1", "RSV", 0))[0], w.book(a, 2, w.claim("S1", "RSV", 1))[0]
		flipped := bytes.Clone(mine.Sealed)
		flipped[len(flipped)-20] ^= 1
		was := mine.Sealed
		for i, sealed := range [][]byte{other.Sealed, flipped, {2, 1, 0}} {
			if n, err := w.ledger.Reseal(t.Context(), []allocator.Resealing{{Key: mine.Key, Was: was, Now: sealed}}); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			was = sealed
			v, err := a.Booking(t.Context(), allocator.BookingAccess{Reference: mine.Reference, ManageToken: mine.ManageToken})
			if err != nil || *v.Person != (allocator.Person{}) {
				t.Errorf("case %d shows %+v, %v", i, v.Person, err)
			}
			for _, born := range []allocator.Date{3650, 0} {
				_, err = a.Booking(t.Context(), allocator.BookingAccess{Reference: mine.Reference, DateOfBirth: born, HasBirth: true})
				wantCode(t, err, allocator.CodeBookingUnknown)
			}
			wantEqual(t, "counted", w.counted("details_unreadable"), 3*(i+1))
		}
		report, err := allocator.CustodianOf(a).Sweep(t.Context(), allocator.SweepTask{Rewrap: true})
		if err != nil || report.Unreadable != 1 || report.Changed != 0 {
			t.Errorf("%+v, %v", report, err)
		}
	})
}

// TestUpkeepIsShared: servers pass through all details once between them, go on where another one stopped, and leave the
// work to those with the newest key.
func TestUpkeepIsShared(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		rings := rotations(t, keyring.New(false))
		older, stopOlder := w.serveKeys(rings[1])
		newer, stopNewer := w.serveKeys(rings[2])
		third, stopThird := w.serveKeys(rings[2])
		w.publish(older, "S1", session(900, "RSV"))
		const people = 2*allocator.SweepPage + 7
		for n := range people {
			w.book(older, n+1, w.claim("S1", "RSV", n%3))
		}
		u := allocator.Upkeep{Every: time.Hour}
		step := func(a *allocator.Allocator, want bool) {
			t.Helper()
			if more, err := allocator.CustodianOf(a).UpkeepStep(t.Context(), u); err != nil || more != want {
				t.Errorf("more: %v, %v", more, err)
			}
		}
		step(older, true)
		wantEqual(t, "the older key's pass", w.keysInUse(), map[int]int{1: people})
		step(newer, true)
		wantEqual(t, "a page", w.keysInUse(), map[int]int{1: people - allocator.SweepPage, 2: allocator.SweepPage})
		step(older, false)
		step(third, true)
		step(newer, false)
		wantEqual(t, "all pages", w.keysInUse(), map[int]int{2: people})
		w.book(older, people+1, w.claim("S1", "RSV", 0))
		step(newer, false)
		wantEqual(t, "within the hour", w.keysInUse(), map[int]int{1: 1, 2: people})
		stopOlder()
		stopNewer()
		stopThird()
		time.Sleep(time.Hour + time.Minute) // the ledger's clock is ahead by a microsecond per booking
		for range 2 {
			step(newer, true)
		}
		step(newer, false)
		wantEqual(t, "after it", w.keysInUse(), map[int]int{2: people + 1})
	})
}

// TestUpkeepRuns: a server does it by itself.
func TestUpkeepRuns(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		rings, u := rotations(t, keyring.New(false)), allocator.Upkeep{Every: 24 * time.Hour, Retention: allocator.Retention{Attended: 2}}
		before, stopBefore := w.serveKeys(rings[0])
		w.publish(before, "S1", session(9, "RSV"))
		w.book(before, 1, w.claim("S1", "RSV", 0))
		wantEqual(t, "before", w.keysInUse(), map[int]int{1: 1})
		a, stop := w.serveUpkeep(rings[2], u)
		time.Sleep(time.Minute)
		wantEqual(t, "after a minute", w.keysInUse(), map[int]int{2: 1})
		stop()
		stopBefore() // or five days of its background work would be done
		time.Sleep(5 * 24 * time.Hour)
		if more, err := allocator.CustodianOf(a).UpkeepStep(t.Context(), u); more || err != nil {
			t.Error(more, err)
		}
		wantEqual(t, "after five days", w.keysInUse(), map[int]int{})
	})
}

// TestEnrol: a ledger from before there were registers needs what made its rows; servers that race are all noted.
func TestEnrol(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		before := w.serve()
		w.publish(before, "S1", session(9, "RSV"))
		w.book(before, 1, w.claim("S1", "RSV", 0))
		fresh, adopted := keyring.New(false), rotations(t, keyring.New(true))
		if err := allocator.Enrol(t.Context(), w.ledger, fresh); err == nil || !strings.Contains(err.Error(), "payload/0 is in use, and this ring lacks it") {
			t.Errorf("keys that lack what made the rows: %v", err)
		}
		var work sync.WaitGroup
		for i := range 6 {
			work.Go(func() {
				if err := allocator.Enrol(t.Context(), w.ledger, adopted[i%3]); err != nil && i%3 != 0 {
					t.Error(err) // those without the second key may come too late
				}
			})
		}
		work.Wait()
		if err := allocator.Admits(t.Context(), w.ledger, adopted[0]); err == nil || !strings.Contains(err.Error(), "payload/2 is in use") {
			t.Errorf("without the second key: %v", err)
		}
		last := adopted[2]
		c := allocator.NewCustodian(w.ledger, allocator.NewSecretWith(w.config().Secret, last), nil, nil)
		if err := c.ForgetKey(t.Context(), keyring.Payload, 0); err == nil || !strings.Contains(err.Error(), "1 payloads still need key payload/0") {
			t.Errorf("forgetting a key that is needed: %v", err)
		}
		if _, err := c.Sweep(t.Context(), allocator.SweepTask{Rewrap: true}); err != nil {
			t.Fatal(err)
		}
		if err := c.ForgetKey(t.Context(), keyring.Payload, 0); err != nil {
			t.Error(err)
		}
		if err := last.Forget(keyring.Payload, 0); err != nil {
			t.Fatal(err)
		}
		if err := allocator.Admits(t.Context(), w.ledger, last); err != nil {
			t.Errorf("without the forgotten key: %v", err)
		}
	})
}
