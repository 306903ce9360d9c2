package waitingroom

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"muster/allocator"
)

// endless is an engine that has everything, or fails as it is told.
type endless struct {
	fail  error
	holds int
	now   func() time.Time
}

func (e *endless) Hold(context.Context, allocator.HoldRequest) (allocator.Hold, error) {
	if e.fail != nil {
		return allocator.Hold{}, e.fail
	}
	e.holds++
	return allocator.Hold{Token: fmt.Sprint("hold", e.holds), ExpiresAt: e.now().Add(5 * time.Minute)}, nil
}

func (e *endless) Release(context.Context, string) error { return e.fail }

func (e *endless) Extend(_ context.Context, token string) (allocator.Hold, error) {
	return allocator.Hold{Token: token + "+", ExpiresAt: e.now().Add(10 * time.Minute)}, e.fail
}

func (e *endless) Confirm(context.Context, allocator.ConfirmRequest) ([]allocator.BookingView, error) {
	return make([]allocator.BookingView, 1), e.fail
}

type doorway struct {
	*world
	rooms  *Rooms
	engine *endless
	door   *Door
}

func newDoorway(t *testing.T) *doorway {
	w := newWorld(t)
	d := &doorway{world: w, rooms: w.server(0), engine: &endless{now: func() time.Time { return w.now }}}
	d.door = d.rooms.Door(d.engine)
	d.put(d.rooms, Settings{Mode: On})
	return d
}

// enter queues, and comes in.
func (d *doorway) enter() (pass string) {
	d.t.Helper()
	ticket := d.join(d.rooms)
	d.pass(4, d.rooms)
	pass, ends, err := d.rooms.Enter([]byte(ticket))
	if err != nil || !ends.Equal(d.now.Add(PassLife)) {
		d.t.Fatal(ends, err)
	}
	return pass
}

func (d *doorway) hold(pass, key string) (string, error) {
	h, err := d.door.Hold(d.t.Context(), allocator.HoldRequest{Pass: pass, IdempotencyKey: key, Claims: []allocator.ClaimRequest{{Service: service}, {Service: service}}})
	return h.Token, err
}

func (d *doorway) mustHold(pass, key string) string {
	d.t.Helper()
	token, err := d.hold(pass, key)
	if err != nil {
		d.t.Fatal(err)
	}
	return token
}

func (d *doorway) refused(pass, key string) {
	d.t.Helper()
	_, err := d.hold(pass, key)
	refusedWith(d.t, err, allocator.CodeWaitingRoom)
	if e := (*allocator.Error)(nil); !errors.As(err, &e) || e.RetryAfter < 0 {
		d.t.Errorf("%v", err)
	}
}

func TestHoldsNeedAPass(t *testing.T) {
	d := newDoorway(t)
	d.refused("", "")
	d.refused("nonsense", "")
	ticket := d.join(d.rooms)
	d.refused(ticket, "")
	_, _, err := d.rooms.Enter([]byte(ticket))
	refusedWith(t, err, allocator.CodeWaitingRoom)
	_, _, err = d.rooms.Enter([]byte("nonsense"))
	refusedWith(t, err, allocator.CodeTicketUnknown)
	pass := d.enter()
	d.mustHold("nonsense, "+pass, "")
	late := d.enter()
	d.now = d.now.Add(PassLife)
	d.refused(late, "")
	if _, err := d.door.Hold(t.Context(), allocator.HoldRequest{Caller: allocator.Caller{Staff: true}, Claims: []allocator.ClaimRequest{{Service: service}}}); err != nil {
		t.Errorf("staff: %v", err)
	}
	if _, err := d.door.Hold(t.Context(), allocator.HoldRequest{Claims: []allocator.ClaimRequest{{Service: "COVID:Adult"}}}); err != nil {
		t.Errorf("a service without a room: %v", err)
	}
	if c := d.rooms.Counts(); c.Entered != 2 || c.Held != 1 || c.Refused != 4 || c.Joined != 3 {
		t.Errorf("%+v", c)
	}
}

// A pass of another opening is none.
func TestPassOfAnotherRoom(t *testing.T) {
	d := newDoorway(t)
	pass := d.enter()
	d.put(d.rooms, Settings{Mode: Off})
	d.mustHold("", "")
	d.put(d.rooms, Settings{Mode: On, OpenAt: d.now.Add(time.Minute)})
	d.refused(pass, "")
}

// A ticket holds one thing at a time, however often it is exchanged, and books once.
func TestOneHoldPerTicket(t *testing.T) {
	d := newDoorway(t)
	pass := d.enter()
	first := d.mustHold(pass, "a")
	d.refused(pass, "b")
	d.refused(pass, "")
	d.mustHold(pass, "a") // the same request again; the engine answers the same
	if err := d.door.Release(t.Context(), "hold2"); err != nil {
		t.Fatal(err)
	}
	second := d.mustHold(pass, "b")
	next, err := d.door.Extend(t.Context(), second)
	if err != nil {
		t.Fatal(err)
	}
	d.now = d.now.Add(6 * time.Minute)
	d.refused(pass, "c") // extended
	d.engine.fail = allocator.Refuse(allocator.CodeLedgerUnavailable, "away")
	if _, err := d.door.Confirm(t.Context(), allocator.ConfirmRequest{Token: next.Token}); err == nil {
		t.Fatal("confirmed")
	}
	d.refused(pass, "c")
	d.engine.fail = nil
	if _, err := d.door.Confirm(t.Context(), allocator.ConfirmRequest{Token: next.Token}); err != nil {
		t.Fatal(err)
	}
	d.refused(pass, "c")
	if first == second {
		t.Error("two holds have one name")
	}
}

// A hold that failed, lapsed or was lost leaves its ticket free.
func TestFailedHoldsAreNone(t *testing.T) {
	d := newDoorway(t)
	pass := d.enter()
	d.engine.fail = allocator.Refuse(allocator.CodeSlotFull, "full")
	if _, err := d.hold(pass, "a"); allocator.CodeOf(err) != allocator.CodeSlotFull {
		t.Fatal(err)
	}
	d.engine.fail = nil
	d.mustHold(pass, "b")
	d.now = d.now.Add(5 * time.Minute)
	token := d.mustHold(pass, "c")
	d.engine.fail = allocator.Refuse(allocator.CodeHoldLost, "lost")
	if _, err := d.door.Confirm(t.Context(), allocator.ConfirmRequest{Token: token}); err == nil {
		t.Fatal("confirmed")
	}
	d.engine.fail = nil
	d.mustHold(pass, "d")
}

// The desk forgets those whose pass has ended.
func TestDeskForgets(t *testing.T) {
	d := newDoorway(t)
	d.mustHold(d.enter(), "a")
	d.now = d.now.Add(PassLife + 2*time.Minute)
	d.step(d.rooms)
	if desk := &d.rooms.desk; len(desk.inside) != 0 || len(desk.holds) != 0 {
		t.Errorf("%d people and %d holds are remembered", len(desk.inside), len(desk.holds))
	}
}
