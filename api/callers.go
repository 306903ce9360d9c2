package api

import (
	"context"
	"slices"
	"time"

	"muster/allocator"
	"muster/api/callers"
)

// Headers of the limits per caller. See docs/abuse.md.
const (
	visitorHeader   = "Visitor"   // a ticket, both ways
	challengeHeader = "Challenge" // of a refusal: CHALLENGE;bits=N
	proofHeader     = "Proof"     // CHALLENGE:NUMBERS
)

// limitCallers begins to limit callers, if the options want it.
func (s *Server) limitCallers() (err error) {
	if o := s.options.Callers; o != nil {
		with := *o
		with.Load = s.busy
		if s.limits, err = callers.New(with); err != nil {
			return err
		}
	}
	return s.options.Registerer.Register(callersCollector{s})
}

// batched says whether the request is many people's, who cannot be told apart.
func (x *exchange) batched() bool { return x.route.body == batchBody }

// who is the caller as the limits know it. Whoever shows no ticket is given one.
func (x *exchange) who() callers.Caller {
	c := callers.Caller{Client: x.grant.client}
	if c.Client != "" {
		return c
	}
	c.Address = x.address().String()
	if x.batched() {
		return c
	}
	if x.visitor == nil {
		now := x.server.options.Now()
		ticket, _ := x.header(visitorHeader)
		if x.visitor = x.server.limits.Visitor(ticket, now); x.visitor == nil {
			x.visitor = callers.NewVisitor(now)
			x.giveTicket()
		}
	}
	c.Visitor = x.visitor
	c.Proof, _ = x.header(proofHeader)
	return c
}

func (x *exchange) giveTicket() {
	x.http.Response.Header.Set(visitorHeader, x.server.limits.Ticket(x.visitor))
}

// keepPrivate takes what is this caller's alone off a reply that caches give to others: people with one ticket would be one visitor.
func (x *exchange) keepPrivate() {
	for _, name := range []string{visitorHeader, "RateLimit", "RateLimit-Policy"} {
		x.http.Response.Header.Del(name)
	}
}

// decided tells the caller of a decision, and makes the refusal where it is one.
func (x *exchange) decided(d *callers.Decision) error {
	if d.Changed {
		x.giveTicket()
	}
	if d.Limit == "" {
		return nil
	}
	detail := "too much at once from this " + d.Limit
	if d.Challenge != "" {
		detail = "a proof of work is asked for, see the header Challenge"
		x.http.Response.Header.Set(challengeHeader, d.Challenge+";bits="+itoa(d.Bits))
	}
	if x.batched() { // whose items run at the same time, and share the headers
		return overLimit(d, detail)
	}
	return x.allowance(d.Limit, Rate{Burst: d.Most, Every: d.Every}, d.Left, d.Wait, overLimit(d, detail))
}

// overLimit is the refusal of a decision; nil where it is none.
func overLimit(d *callers.Decision, detail string) error {
	if !d.Refused {
		return nil
	}
	return &allocator.Error{Code: allocator.CodeRateLimited, Detail: detail, RetryAfter: d.Wait}
}

// limitSearch refuses callers who search more than they may.
func (x *exchange) limitSearch() error {
	if x.server.limits == nil || x.route.class != classSearch {
		return nil
	}
	d := x.server.limits.Search(x.server.options.Now(), x.who())
	return x.decided(&d)
}

// hold asks the limits and then the engine for a hold. One that the visitor had of the same service is given back.
func (x *exchange) hold(ctx context.Context, req allocator.HoldRequest) (allocator.Hold, error) {
	s := x.server
	if s.limits == nil {
		return s.engine.Hold(ctx, req)
	}
	c := x.who()
	d := s.limits.Hold(s.options.Now(), c, len(req.Claims))
	if err := x.decided(&d); err != nil {
		return allocator.Hold{}, err
	}
	h, err := s.engine.Hold(ctx, req)
	if err != nil || h.Repeated {
		d.Undo()
		return h, err
	}
	held := callers.Held{Token: h.Token, Places: len(h.Claims), Expires: h.ExpiresAt}
	for _, claim := range h.Claims {
		if service := string(claim.Service); !slices.Contains(held.Services, service) {
			held.Services = append(held.Services, service)
		}
	}
	for _, old := range s.limits.Granted(c, held) {
		if s.engine.Release(ctx, old.Token) == nil { // what is over, or cannot be reached, ends by itself
			s.limits.Released(s.options.Now(), c, old)
		}
	}
	return h, nil
}

// confirm asks the limits and then the engine to book people.
func (x *exchange) confirm(ctx context.Context, req allocator.ConfirmRequest) ([]allocator.BookingView, error) {
	s := x.server
	if s.limits == nil {
		return s.engine.Confirm(ctx, req)
	}
	c := x.who()
	people := make([]string, len(req.People))
	for i := range req.People {
		people[i], _ = allocator.ValidNHSNumber(req.People[i].NHSNumber)
	}
	if req.Replaces == nil { // else their own manage token tells who asks
		d := s.limits.Confirm(s.options.Now(), people)
		if err := x.decided(&d); err != nil {
			return nil, err
		}
	}
	booked, err := s.engine.Confirm(ctx, req)
	if err != nil {
		if allocator.CodeOf(err) == allocator.CodeAlreadyBooked {
			s.limits.AlreadyBooked(s.options.Now(), people)
		}
		return nil, err
	}
	s.limits.Ended(c, req.Token)
	if s.limits.Booked(s.options.Now(), c, people) {
		x.giveTicket()
	}
	return booked, nil
}

// release gives a hold back.
func (x *exchange) release(ctx context.Context, token string) error {
	s := x.server
	err := s.engine.Release(ctx, token)
	if err != nil || s.limits == nil {
		return err
	}
	c := x.who()
	if h, ok := s.limits.Ended(c, token); ok {
		s.limits.Released(s.options.Now(), c, h)
	}
	return nil
}

// busyness is how much there is to do for holds, looked at now and then.
type busyness struct {
	at   time.Time
	load float64
}

// busy says how much of what the server can do for holds it does: 1 is all. It is looked at ten times a second.
func (s *Server) busy() float64 {
	const often = 100 * time.Millisecond
	now, last := time.Now(), s.busyness.Load()
	if last != nil && now.Sub(last.at) < often {
		return last.load
	}
	state := s.house.gate.States()[classHold]
	next := &busyness{now, float64(state.Running+state.Queued) / float64(state.Limit)}
	s.busyness.CompareAndSwap(last, next)
	return next.load
}
