package waitingroom

import (
	"encoding/hex"
	"time"

	"muster/allocator"
)

// Public is what anybody may know of a room.
type Public struct {
	Settings
	Service  allocator.ServiceCode
	ID       RoomID
	Active   bool
	Waiting  int
	Drawn    int     // tickets of the draw
	Frontier Instant // who came before may enter; before the draw, none
	Free     int     // negative: unknown
	Pace     [2]float64
	// Commitment is the SHA-256 of the seed; Seed is "" before the draw. Both in hexadecimal digits.
	Commitment, Seed string
}

// Public tells of a service's room as this server last saw it; ok is false where there is none.
func (r *Rooms) Public(service allocator.ServiceCode) (p Public, ok bool) {
	v := r.views.Load().byService[service]
	if v == nil {
		return p, false
	}
	seed := r.seed(v.ID)
	commitment := Commitment(seed)
	p = Public{
		Settings: v.Settings, Service: service, ID: v.ID, Active: v.Active, Waiting: int(v.waits), Drawn: int(v.Crowd.Drawn), Frontier: v.Frontier,
		Free: v.free, Pace: v.perhaps, Commitment: hex.EncodeToString(commitment[:]),
	}
	if v.isDrawn && v.Crowd.Opens != 0 {
		p.Seed = hex.EncodeToString(seed[:])
	}
	return p, true
}

// Services lists those that have a room.
func (r *Rooms) Services() (all []allocator.ServiceCode) {
	for service := range r.views.Load().byService {
		all = append(all, service)
	}
	return all
}

// Join gives a ticket. Where the room is not in force there is none, and the status says that the way is open. Before the room
// gives tickets it refuses with CodeWaitingRoom and the time to wait.
func (r *Rooms) Join(service allocator.ServiceCode, area Area) (ticket string, s Status, err error) {
	v := r.views.Load().byService[service]
	clock := r.options.Now()
	now := instantOf(clock)
	switch {
	case v == nil || !v.Active:
		return "", Status{Service: service, Phase: Open, Free: -1, Near: -1, Outlook: Unknown}, nil
	case clock.Before(v.LotteryFrom):
		return "", s, &allocator.Error{Code: allocator.CodeWaitingRoom, Detail: "tickets are given from lotteryFrom on", RetryAfter: v.LotteryFrom.Sub(clock)}
	}
	t := slip{Kind: ticketKind, Room: v.ID, ID: newTicketID(), Area: area}
	r.arrive(v, &t, now)
	r.counts.joined.Add(1)
	return t.write(r.options.Seals), v.status(&t, now), nil
}

// arrive gives a ticket its instant, and counts it.
func (r *Rooms) arrive(v *view, t *slip, now Instant) {
	r.mu.Lock()
	defer r.mu.Unlock()
	crowd := &r.tally(v.ID).crowd
	if v.draws(now) {
		crowd.Drawn++
		return
	}
	r.latest = max(r.latest+1, now)
	t.At = r.latest
	crowd.add(t.At, 1)
}

// tally is where a room's happenings are counted; the caller has mu.
func (r *Rooms) tally(id RoomID) *tally {
	t := r.open[id]
	if t == nil {
		t = new(tally)
		r.open[id] = t
	}
	return t
}

// ErrTicket is for texts that are no ticket or pass, or are of a room that is over.
var ErrTicket = allocator.Refuse(allocator.CodeTicketUnknown, "no ticket of this waiting room; ask for one")

// Look tells the owner of a ticket where they stand. It allocates nothing.
func (r *Rooms) Look(ticket []byte) (Status, error) {
	t, v, err := r.find(ticketKind, ticket)
	if err != nil {
		return Status{}, err
	}
	r.counts.looks.Add(1)
	return v.status(&t, instantOf(r.options.Now())), nil
}

func (r *Rooms) find(k kind, text []byte) (slip, *view, error) {
	t, err := read(r.options.Seals, k, text)
	if err != nil {
		return t, nil, ErrTicket
	}
	v := r.views.Load().byRoom[t.Room]
	if v == nil {
		return t, nil, ErrTicket
	}
	return t, v, nil
}

// Enter exchanges the ticket of somebody who was called for a pass. Who was not is refused with CodeWaitingRoom, and whose call
// is over with CodeTicketUnknown. Repeated while the call is good, it gives another pass of the same ticket.
func (r *Rooms) Enter(ticket []byte) (pass string, ends time.Time, err error) {
	t, v, err := r.find(ticketKind, ticket)
	if err != nil {
		return "", ends, err
	}
	clock := r.options.Now()
	now := instantOf(clock)
	switch s := v.status(&t, now); s.Phase {
	case Called, Open:
	case Lapsed:
		return "", ends, allocator.Refuse(allocator.CodeTicketUnknown, "you were called, and the time to enter has passed: ask for another ticket")
	default:
		return "", ends, &allocator.Error{Code: allocator.CodeWaitingRoom, Detail: "you have not been called yet", RetryAfter: s.Poll}
	}
	ends = clock.Add(PassLife)
	if r.desk.admit(t.ID, ends) {
		r.happened(v.ID, cell{Entered: 1})
		r.counts.entered.Add(1)
	}
	p := slip{Kind: passKind, Room: v.ID, ID: t.ID, At: instantOf(ends)}
	return p.write(r.options.Seals), ends, nil
}

func (r *Rooms) happened(id RoomID, c cell) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tally(id).cell.join(&c)
}

// placed counts somebody's first hold.
func (r *Rooms) placed(id RoomID, entered Instant) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.tally(id)
	t.cell.Held++
	if t.placed == nil {
		t.placed = make(map[Instant]int)
	}
	t.placed[entered-entered%cellWidth]++
}

// answered counts what the engine said to a hold or confirm.
func (r *Rooms) answered(took time.Duration, code allocator.Code) {
	c := cell{Done: 1, TookMs: took.Milliseconds()}
	switch code {
	case allocator.CodeOverloaded, allocator.CodeUnavailable, allocator.CodeLedgerUnavailable, allocator.CodeOutcomeUnknown:
		c = cell{Failed: 1}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.load.join(&c)
}

// Shed tells that a request was turned away for want of capacity before the engine saw it: of somebody who would finish, or who
// would begin.
func (r *Rooms) Shed(finishing bool) {
	c := cell{Shed: 1}
	if finishing {
		c = cell{Failed: 1}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.load.join(&c)
}
