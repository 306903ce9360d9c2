package waitingroom

import (
	"sync"
	"time"

	"muster/allocator"
)

// desk knows who is inside, from their pass until it ends, so that a ticket holds one place at a time. It is this server's memory, of
// people who were let in and not of those who wait; with several servers a ticket may hold once at each. Safe for concurrent
// use.
type desk struct {
	mu     sync.Mutex
	inside map[TicketID]*guest
	holds  map[string]*guest // by the hold's token
	swept  time.Time
}

// guest is somebody inside.
type guest struct {
	until    time.Time // the pass, or the hold where that is later, ends
	passEnds time.Time
	held     bool      // has held a place before
	hold     string    // token of the live hold; "": none
	ends     time.Time // of that hold
	key      string    // its Idempotency-Key
	busy     bool      // a hold is being asked for
	done     bool      // has booked
	loose    bool      // is not remembered: there are too many
}

// maxInside bounds the memory. Above, people are let in and not remembered.
const maxInside = 1 << 20

// admit says whether a ticket's owner comes in for the first time.
func (d *desk) admit(id TicketID, until time.Time) (first bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.inside[id]
	if g == nil && len(d.inside) < maxInside {
		d.meet(id).until = until
		return true
	}
	if g != nil {
		g.until = until
	}
	return g == nil
}

func (d *desk) meet(id TicketID) *guest {
	if d.inside == nil {
		d.inside, d.holds = make(map[TicketID]*guest), make(map[string]*guest)
	}
	g := new(guest)
	d.inside[id] = g
	return g
}

// errHolds tells somebody what they have already.
var (
	errHolds = allocator.Refuse(allocator.CodeWaitingRoom, "this pass holds a place already: confirm or release it first")
	errSpent = allocator.Refuse(allocator.CodeWaitingRoom, "this pass has been used for a booking; for another one, queue again")
)

// begin lets a ticket ask for a hold, which ends with held or with failed. The same request again, by its key, is let through.
func (d *desk) begin(id TicketID, until time.Time, key string, now time.Time) (*guest, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.inside[id]
	if g == nil { // came in at another server
		if len(d.inside) >= maxInside {
			return &guest{loose: true, passEnds: until}, nil
		}
		g = d.meet(id)
		g.until = until
	}
	again := key != "" && key == g.key
	switch {
	case g.done && !again:
		return nil, errSpent
	case g.busy, g.hold != "" && now.Before(g.ends) && !again:
		e := *errHolds
		e.RetryAfter = max(time.Second, g.ends.Sub(now))
		return nil, &e
	}
	g.busy, g.passEnds = true, until
	return g, nil
}

func (d *desk) failed(g *guest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	g.busy = false
}

// held says whether it is the first time.
func (d *desk) held(g *guest, hold, key string, ends time.Time) (first bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	first = !g.held
	g.busy, g.held, g.key = false, true, key
	d.move(g, hold, ends)
	return first
}

// move makes a hold the guest's; "" for none. The caller has mu.
func (d *desk) move(g *guest, hold string, ends time.Time) {
	delete(d.holds, g.hold)
	g.hold, g.ends = hold, ends
	if hold != "" && !g.loose {
		d.holds[hold] = g
		if g.until.Before(ends) {
			g.until = ends
		}
	}
}

// extended tells that a hold has another token.
func (d *desk) extended(hold, next string, ends time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if g := d.holds[hold]; g != nil {
		d.move(g, next, ends)
	}
}

// over tells that a hold has ended: by a booking, or else.
func (d *desk) over(hold string, booked bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if g := d.holds[hold]; g != nil {
		g.done = g.done || booked
		d.move(g, "", time.Time{})
	}
}

// sweep forgets those whose pass has ended, now and then.
func (d *desk) sweep(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now.Sub(d.swept) < 10*time.Second {
		return
	}
	d.swept = now
	for id, g := range d.inside {
		if now.Sub(g.until) > time.Minute { // more than any hold takes that is being asked for
			d.move(g, "", time.Time{})
			delete(d.inside, id)
		}
	}
}
