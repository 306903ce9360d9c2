package allocator_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest"
	"muster/allocator/allocatortest/faults"
	"muster/allocator/allocatortest/memoryledger"
	"muster/allocator/memoryinventory"
)

// world is an installation in memory, on a bubble's clock: one inventory, one ledger, any number of servers.
type world struct {
	t         *testing.T
	inventory *memoryinventory.Inventory
	ledger    *memoryledger.Ledger
	plan      faults.Planner // nil: nothing fails
	ahead     atomic.Int32   // days that the servers' clocks are ahead of the bubble's
	zone      *time.Location
	day       allocator.Date // tomorrow
	events    sync.Map       // counted by the observer
}

func newWorld(t *testing.T) *world {
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, zone: zone, day: allocator.DateOf(time.Now().In(zone)) + 1,
		inventory: memoryinventory.New(memoryinventory.Options{Shards: 2, Now: time.Now}),
		ledger:    memoryledger.New(time.Now),
	}
	ctx := context.Background()
	for i, id := range []allocator.SiteID{"S1", "S2", "S3"} {
		site := allocator.Site{ID: id, Name: string(id), TimeZone: "Europe/London", Lat: 53.8 + float64(i)/100, Lon: -1.5}
		if _, err := w.ledger.PutSite(ctx, site, "test"); err != nil {
			t.Fatal(err)
		}
	}
	for _, code := range []allocator.ServiceCode{"RSV", "FLU", "COVID"} {
		if _, err := w.ledger.PutService(ctx, allocator.DefaultService(code), "test"); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// Count implements allocator.Observer.
func (w *world) Count(event string) {
	n, _ := w.events.LoadOrStore(event, new(counter))
	n.(*counter).add()
}

// counted is how often an event was counted.
func (w *world) counted(event string) int {
	n, ok := w.events.Load(event)
	if !ok {
		return 0
	}
	return n.(*counter).get()
}

type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) add() { c.mu.Lock(); c.n++; c.mu.Unlock() }

func (c *counter) get() int { c.mu.Lock(); defer c.mu.Unlock(); return c.n }

// Now implements allocator.Clock.
func (w *world) Now() time.Time { return time.Now().AddDate(0, 0, int(w.ahead.Load())) }

// today is the date by the servers' clocks.
func (w *world) today() allocator.Date { return allocator.DateOf(w.Now().In(w.zone)) }

// config is a server's configuration.
func (w *world) config() allocator.Config {
	c := allocator.Config{
		Inventory: w.inventory, Ledger: w.ledger, Secret: []byte("a secret of the tests"), Observer: w, Clock: w,
		Postcodes: allocatortest.Postcodes{"LS1 4AP": {53.8, -1.5}}, Nearest: allocatortest.Nearest{},
	}
	if w.plan != nil {
		c.Inventory, c.Ledger = faults.Inventory{Inventory: w.inventory, Plan: w.plan}, faults.Ledger{Ledger: w.ledger, Plan: w.plan}
	}
	return c
}

// serve starts a server that stops with the test.
func (w *world) serve() *allocator.Allocator {
	w.t.Helper()
	return w.serveWith(allocator.Limits{})
}

// serveWith starts a server with limits of its own.
func (w *world) serveWith(limits allocator.Limits) *allocator.Allocator {
	w.t.Helper()
	config := w.config()
	config.Limits = limits
	a, err := allocator.New(config)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := a.Start(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := a.Stop(context.Background()); err != nil {
			w.t.Error(err)
		}
	})
	return a
}

// publish gives a site's day sessions from 09:00 in slots of ten minutes.
func (w *world) publish(a *allocator.Allocator, site allocator.SiteID, sessions ...allocator.Session) allocator.PublishReply {
	w.t.Helper()
	for i := range sessions {
		if sessions[i].Until == 0 {
			sessions[i].From, sessions[i].Until = 9*60, 9*60+30
		}
		sessions[i].SlotLength = 10
	}
	r, err := a.PublishDay(context.Background(), allocator.PublishRequest{Site: site, Date: w.day, Day: allocator.Day{Sessions: sessions}})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func session(capacity int, services ...allocator.ServiceCode) allocator.Session {
	return allocator.Session{Capacity: capacity, Services: services}
}

// at is a start time of the day: the n-th slot.
func (w *world) at(n int) time.Time { return w.day.At(allocator.TimeOfDay(9*60+10*n), w.zone) }

func (w *world) hold(a *allocator.Allocator, key string, claims ...allocator.ClaimRequest) (allocator.Hold, error) {
	return a.Hold(context.Background(), allocator.HoldRequest{IdempotencyKey: key, Claims: claims})
}

func (w *world) claim(site allocator.SiteID, service allocator.ServiceCode, n int) allocator.ClaimRequest {
	return allocator.ClaimRequest{Site: site, Service: service, Start: w.at(n)}
}

func person(n int) allocator.Person {
	return allocator.Person{NHSNumber: allocatortest.NHSNumber(n), GivenName: "Test", FamilyName: fmt.Sprint("Person ", n), DateOfBirth: 3650, HasBirth: true}
}

func (w *world) confirm(a *allocator.Allocator, token string, people ...allocator.Person) ([]allocator.BookingView, error) {
	return a.Confirm(context.Background(), allocator.ConfirmRequest{Token: token, People: people})
}

// book holds and confirms.
func (w *world) book(a *allocator.Allocator, n int, claims ...allocator.ClaimRequest) []allocator.BookingView {
	w.t.Helper()
	h, err := w.hold(a, "", claims...)
	if err != nil {
		w.t.Fatal(err)
	}
	views, err := w.confirm(a, h.Token, person(n))
	if err != nil {
		w.t.Fatal(err)
	}
	return views
}

// sameAsLedger fails unless, now that all is quiet, inventory and ledger agree about every place.
func (w *world) sameAsLedger(a *allocator.Allocator) {
	w.t.Helper()
	report, err := a.Audit(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, v := range report.Violations {
		w.t.Errorf("%+v", v)
	}
	ctx := context.Background()
	for _, site := range []allocator.SiteID{"S1", "S2", "S3"} {
		// A rebuild that a dead server began late may stand open: whoever wants a place ends it.
		h, err := w.hold(a, "", w.claim(site, "RSV", 0))
		for n := 0; n < 20 && allocator.CodeOf(err) == allocator.CodeUnavailable; n++ {
			time.Sleep(time.Second)
			h, err = w.hold(a, "", w.claim(site, "RSV", 0))
		}
		if err == nil {
			if err := a.Release(ctx, h.Token); err != nil {
				w.t.Error(err)
			}
		} else if code := allocator.CodeOf(err); code == allocator.CodeSlotUnknown || code == allocator.CodeSessionClosed {
			if err := a.RebuildSite(ctx, site); err != nil { // nobody can want a place there
				w.t.Error(err)
			}
		} else if code != allocator.CodeSlotFull {
			w.t.Errorf("site %s does not answer: %v", site, err)
		}
		shard := a.Shard(site)
		epochs, _ := w.ledger.Epochs(ctx)
		view, err := w.inventory.ReadSite(ctx, shard, epochs[shard].Epoch, site)
		if err != nil {
			w.t.Fatal(err)
		}
		if !view.Built && view.Epoch != 0 {
			w.t.Errorf("site %s is not built", site)
		}
		for _, p := range view.Places {
			if !p.Booked {
				w.t.Errorf("a place leaked: %+v", p)
			}
		}
	}
}

func wantCode(t *testing.T, err error, code allocator.Code) {
	t.Helper()
	if err == nil || allocator.CodeOf(err) != code {
		t.Errorf("got %v, want %s", err, code)
	}
}

// inBubble runs a test on a virtual clock.
func inBubble(t *testing.T, test func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) { test(t, newWorld(t)) })
}

func TestHoldConfirmCancel(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a := w.serve()
		w.publish(a, "S1", session(2, "RSV"))
		h, err := w.hold(a, "key", w.claim("S1", "RSV", 0))
		if err != nil {
			t.Fatal(err)
		}
		again, err := w.hold(a, "key", w.claim("S1", "RSV", 0))
		if err != nil || again.Token != h.Token || !again.ExpiresAt.Equal(h.ExpiresAt) {
			t.Errorf("repeated: %+v, %v; first %+v", again, err, h)
		}
		_, err = w.hold(a, "key", w.claim("S1", "RSV", 1))
		wantCode(t, err, allocator.CodeIdempotencyMismatch)
		first, err := w.confirm(a, h.Token, person(1))
		if err != nil {
			t.Fatal(err)
		}
		second, err := w.confirm(a, h.Token, person(1))
		if err != nil || second[0].Reference != first[0].Reference || second[0].ManageToken != first[0].ManageToken {
			t.Errorf("confirmed twice: %+v, %v", second, err)
		}
		_, err = w.confirm(a, h.Token, person(2))
		wantCode(t, err, allocator.CodeIdempotencyMismatch)
		wantCode(t, a.Release(t.Context(), h.Token), allocator.CodeHoldBooked)
		access := allocator.BookingAccess{Reference: first[0].Reference, ManageToken: first[0].ManageToken}
		for range 2 {
			v, err := a.Cancel(t.Context(), access, "", allocator.Caller{})
			if err != nil || v.Status != allocator.StatusCancelled {
				t.Errorf("cancelled: %+v, %v", v, err)
			}
		}
		time.Sleep(time.Minute)
		w.sameAsLedger(a)
		w.book(a, 1, w.claim("S1", "RSV", 0))
	})
}

func TestRaceForOneSlot(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a, b := w.serve(), w.serve()
		w.publish(a, "S1", session(10, "RSV"))
		var granted, full counter
		var wg sync.WaitGroup
		for i := range 500 {
			server := a
			if i%2 == 0 {
				server = b
			}
			wg.Go(func() {
				h, err := w.hold(server, fmt.Sprint(i), w.claim("S1", "RSV", 0))
				switch {
				case err == nil:
					granted.add()
					if _, err := w.confirm(server, h.Token, person(i)); err != nil {
						t.Error(err)
					}
				case allocator.CodeOf(err) == allocator.CodeSlotFull:
					full.add()
					if len(err.(*allocator.Error).Alternatives) == 0 {
						t.Error("no alternatives")
					}
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if granted.get() != 10 || full.get() != 490 {
			t.Errorf("%d granted, %d full", granted.get(), full.get())
		}
		time.Sleep(time.Minute)
		w.sameAsLedger(a)
	})
}

// TestFamilyAcrossSites: all or none, and one booking of several can be cancelled.
func TestFamilyAcrossSites(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a := w.serve()
		for _, site := range []allocator.SiteID{"S1", "S2", "S3"} {
			w.publish(a, site, session(1, "RSV"))
		}
		w.book(a, 1, w.claim("S3", "RSV", 0))
		_, err := w.hold(a, "family", w.claim("S1", "RSV", 0), w.claim("S2", "RSV", 0), w.claim("S3", "RSV", 0))
		wantCode(t, err, allocator.CodeSlotFull)
		h, err := w.hold(a, "family", w.claim("S2", "RSV", 0), w.claim("S1", "RSV", 0), w.claim("S1", "RSV", 1))
		if err != nil {
			t.Fatal(err)
		}
		views, err := w.confirm(a, h.Token, person(2), person(3), person(4))
		if err != nil {
			t.Fatal(err)
		}
		if views[0].Slot.Site != "S2" || views[1].Slot.Site != "S1" || !views[2].Slot.Start.Time().Equal(w.at(1)) {
			t.Errorf("not in the order of the request: %+v", views)
		}
		if _, err := a.Cancel(t.Context(), allocator.BookingAccess{Reference: views[1].Reference, ManageToken: views[1].ManageToken}, "", allocator.Caller{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		w.sameAsLedger(a)
		w.book(a, 5, w.claim("S1", "RSV", 0))
		_, err = w.hold(a, "", w.claim("S1", "RSV", 1))
		wantCode(t, err, allocator.CodeSlotFull)
	})
}

func TestMove(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a := w.serve()
		w.publish(a, "S1", session(1, "RSV"))
		old := w.book(a, 1, w.claim("S1", "RSV", 0))[0]
		h, err := w.hold(a, "", w.claim("S1", "RSV", 1))
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.confirm(a, h.Token, person(1))
		wantCode(t, err, allocator.CodeAlreadyBooked)
		h, err = w.hold(a, "", w.claim("S1", "RSV", 1))
		if err != nil {
			t.Fatal(err)
		}
		request := allocator.ConfirmRequest{
			Token: h.Token, People: []allocator.Person{person(1)},
			Replaces: &allocator.BookingAccess{Reference: old.Reference, ManageToken: old.ManageToken},
		}
		for range 2 {
			if _, err := a.Confirm(t.Context(), request); err != nil {
				t.Fatal(err)
			}
		}
		v, err := a.Booking(t.Context(), allocator.BookingAccess{Reference: old.Reference, ManageToken: old.ManageToken})
		if err != nil || v.Status != allocator.StatusCancelled || v.ReplacedBy == "" {
			t.Errorf("the old booking: %+v, %v", v, err)
		}
		time.Sleep(time.Minute)
		w.sameAsLedger(a)
		w.book(a, 2, w.claim("S1", "RSV", 0))
	})
}

// TestExpiry: an unconfirmed hold gives its place back, its late confirm is refused for ever, extended ones live longer.
func TestExpiry(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a := w.serve()
		w.publish(a, "S1", session(1, "RSV"))
		h, err := w.hold(a, "", w.claim("S1", "RSV", 0))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(299 * time.Second)
		longer, err := a.Extend(t.Context(), h.Token)
		if err != nil || longer.ExpiresAt.Sub(h.ExpiresAt) != 300*time.Second {
			t.Fatalf("extended to %v, %v", longer.ExpiresAt, err)
		}
		if again, err := a.Extend(t.Context(), h.Token); err != nil || !again.ExpiresAt.Equal(longer.ExpiresAt) {
			t.Errorf("extended twice: %v, %v", again.ExpiresAt, err)
		}
		time.Sleep(299 * time.Second)
		if v, err := a.Inspect(t.Context(), h.Token); err != nil || v.State != "held" {
			t.Errorf("state %q, %v", v.State, err)
		}
		time.Sleep(20 * time.Second)
		if v, err := a.Inspect(t.Context(), h.Token); err != nil || v.State != "expired" {
			t.Errorf("state %q, %v", v.State, err)
		}
		for range 2 {
			_, err = w.confirm(a, h.Token, person(1))
			wantCode(t, err, allocator.CodeHoldExpired)
		}
		w.book(a, 1, w.claim("S1", "RSV", 0))
		time.Sleep(time.Minute)
		w.sameAsLedger(a)
	})
}

// TestLostHold: a hold that the inventory lost is honoured through its token while there is room, and refused with a
// reason when there is none.
func TestLostHold(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a := w.serve()
		w.publish(a, "S1", session(2, "RSV"))
		var holds []allocator.Hold
		for range 2 {
			h, err := w.hold(a, "", w.claim("S1", "RSV", 0))
			if err != nil {
				t.Fatal(err)
			}
			holds = append(holds, h)
		}
		w.inventory.Lose(a.Shard("S1"))
		if v, err := a.Inspect(t.Context(), holds[0].Token); err != nil || v.State != "lost" {
			t.Errorf("state %q, %v", v.State, err)
		}
		w.book(a, 7, w.claim("S1", "RSV", 0)) // takes a lost hold's place
		if _, err := w.confirm(a, holds[0].Token, person(1)); err != nil {
			t.Errorf("a lost hold with room: %v", err)
		}
		_, err := w.confirm(a, holds[1].Token, person(2))
		wantCode(t, err, allocator.CodeHoldLost)
		time.Sleep(time.Minute)
		w.sameAsLedger(a)
	})
}

// TestCapacityCut: bookings stay and are reported, holds without a seat are revoked, an increase supports the oldest first.
func TestCapacityCut(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a, b := w.serve(), w.serve()
		w.publish(a, "S1", session(3, "RSV"))
		first := w.book(a, 1, w.claim("S1", "RSV", 0))[0]
		time.Sleep(time.Second)
		second := w.book(a, 2, w.claim("S1", "RSV", 0))[0]
		h, err := w.hold(a, "", w.claim("S1", "RSV", 0))
		if err != nil {
			t.Fatal(err)
		}
		r := w.publish(b, "S1", session(1, "RSV"))
		if len(r.NewlyUnsupported) != 1 || r.NewlyUnsupported[0] != second.Reference || r.Supported != 1 || r.HeldAffected != 1 || r.Removed != 6 {
			t.Errorf("impact: %+v", r)
		}
		_, err = w.confirm(a, h.Token, person(3))
		wantCode(t, err, allocator.CodeHoldRevoked)
		v, err := a.Booking(t.Context(), allocator.BookingAccess{Reference: second.Reference, Staff: true})
		if err != nil || !v.Unsupported || v.Status != allocator.StatusBooked {
			t.Errorf("the younger booking: %+v, %v", v, err)
		}
		_, err = w.hold(a, "", w.claim("S1", "RSV", 0))
		wantCode(t, err, allocator.CodeSlotFull)
		if _, err := a.Cancel(t.Context(), allocator.BookingAccess{Reference: first.Reference, Staff: true}, "site", allocator.Caller{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		_, err = w.hold(a, "", w.claim("S1", "RSV", 0))
		wantCode(t, err, allocator.CodeSlotFull)
		if v, err = a.Booking(t.Context(), allocator.BookingAccess{Reference: second.Reference, Staff: true}); err != nil || v.Unsupported {
			t.Errorf("the younger booking has a seat now: %+v, %v", v, err)
		}
		w.publish(b, "S1", session(2, "RSV"))
		w.book(a, 4, w.claim("S1", "RSV", 0))
		time.Sleep(time.Minute)
		w.sameAsLedger(a)
	})
}
