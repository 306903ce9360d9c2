package waitingroom

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"muster/allocator"
)

// Engine is what of an engine goes through the door: see the api's.
type Engine interface {
	Hold(ctx context.Context, req allocator.HoldRequest) (allocator.Hold, error)
	Release(ctx context.Context, token string) error
	Extend(ctx context.Context, token string) (allocator.Hold, error)
	Confirm(ctx context.Context, req allocator.ConfirmRequest) ([]allocator.BookingView, error)
}

// Door is an engine behind the waiting rooms: holds of services whose room is in force need a pass, but those of staff. It
// measures what the engine can do. Safe for concurrent use where the engine is.
type Door struct {
	engine Engine
	rooms  *Rooms
}

// Door puts the rooms before an engine.
func (r *Rooms) Door(engine Engine) *Door { return &Door{engine, r} }

// counts are totals of this server, for metrics.
type counts struct{ joined, looks, entered, refused, held, booked atomic.Int64 }

// Counts are what happened at this server since it began.
type Counts struct{ Joined, Looks, Entered, Refused, Held, Booked int64 }

// Counts tells them.
func (r *Rooms) Counts() Counts {
	c := &r.counts
	return Counts{c.joined.Load(), c.looks.Load(), c.entered.Load(), c.refused.Load(), c.held.Load(), c.booked.Load()}
}

// Hold lets those in who have a pass for every service with a room in force.
func (d *Door) Hold(ctx context.Context, req allocator.HoldRequest) (allocator.Hold, error) {
	guests, rooms, err := d.letIn(&req)
	if err != nil {
		d.rooms.counts.refused.Add(1)
		return allocator.Hold{}, err
	}
	began := d.rooms.options.Now()
	h, err := d.engine.Hold(ctx, req)
	d.rooms.answered(d.rooms.options.Now().Sub(began), codeOf(err))
	for i, g := range guests {
		switch {
		case err != nil:
			d.rooms.desk.failed(g)
		case d.rooms.desk.held(g, h.Token, req.IdempotencyKey, h.ExpiresAt):
			d.rooms.placed(rooms[i], instantOf(g.passEnds).plus(-PassLife))
			d.rooms.counts.held.Add(1)
		}
	}
	return h, err
}

// letIn finds the passes that a request needs. What it answers is to be given back by held or failed.
func (d *Door) letIn(req *allocator.HoldRequest) (guests []*guest, rooms []RoomID, err error) {
	all := d.rooms.views.Load()
	if len(all.byService) == 0 || req.Caller.Staff {
		return nil, nil, nil
	}
	defer func() {
		if err != nil {
			for _, g := range guests {
				d.rooms.desk.failed(g)
			}
		}
	}()
	for i := range req.Claims {
		v := all.byService[req.Claims[i].Service]
		if v == nil || !v.Active || slices.Contains(rooms, v.ID) {
			continue
		}
		g, err := d.show(req, v)
		if err != nil {
			return guests, rooms, err
		}
		guests, rooms = append(guests, g), append(rooms, v.ID)
	}
	return guests, rooms, nil
}

// show finds the request's pass for a room. A request may bring several passes, with commas between them.
func (d *Door) show(req *allocator.HoldRequest, v *view) (*guest, error) {
	now := d.rooms.options.Now()
	for text := range strings.SplitSeq(req.Pass, ",") {
		pass, err := read(d.rooms.options.Seals, passKind, []byte(strings.TrimSpace(text)))
		if err == nil && pass.Room == v.ID && instantOf(now) < pass.At {
			return d.rooms.desk.begin(pass.ID, pass.At.Time(), req.IdempotencyKey, now)
		}
	}
	return nil, &allocator.Error{
		Code: allocator.CodeWaitingRoom, Detail: "so many people want to book that there is a queue; POST /v1/waiting-room/tickets gives a ticket", RetryAfter: time.Second,
	}
}

// Release gives a hold back, after which its pass is good for another one.
func (d *Door) Release(ctx context.Context, token string) error {
	err := d.engine.Release(ctx, token)
	if err == nil {
		d.rooms.desk.over(token, false)
	}
	return err
}

// Extend passes on.
func (d *Door) Extend(ctx context.Context, token string) (allocator.Hold, error) {
	h, err := d.engine.Extend(ctx, token)
	if err == nil {
		d.rooms.desk.extended(token, h.Token, h.ExpiresAt)
	}
	return h, err
}

// Confirm passes on and measures.
func (d *Door) Confirm(ctx context.Context, req allocator.ConfirmRequest) ([]allocator.BookingView, error) {
	began := d.rooms.options.Now()
	booked, err := d.engine.Confirm(ctx, req)
	code := codeOf(err)
	d.rooms.answered(d.rooms.options.Now().Sub(began), code)
	switch code {
	case "":
		d.rooms.counts.booked.Add(1)
		d.rooms.desk.over(req.Token, true)
	case allocator.CodeHoldExpired, allocator.CodeHoldReleased, allocator.CodeHoldRevoked, allocator.CodeHoldLost, allocator.CodeAlreadyBooked:
		d.rooms.desk.over(req.Token, false)
	}
	return booked, err
}

// codeOf is the code of an answer; "" where it is good.
func codeOf(err error) allocator.Code {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, context.DeadlineExceeded):
		return allocator.CodeOverloaded
	}
	return allocator.CodeOf(err)
}
