package simulation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest"
	"muster/allocator/allocatortest/checkers"
)

// citizen is one person's way through the protocol, in a goroutine of its own with choices of its own.
type citizen struct {
	*world
	number int
	random *rand.Rand
}

func (w *world) newCitizen() {
	w.people++
	c := &citizen{world: w, number: w.people, random: rand.New(rand.NewPCG(w.seed, uint64(w.people)))}
	w.note("citizen %d sets out", c.number)
	w.work(func() {
		if c.chance(10) {
			c.walkIn()
			return
		}
		c.book()
	})
}

// work lets somebody act, and counts them until they are done.
func (w *world) work(act func()) {
	count := func(n int) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.active += n
	}
	count(1)
	go func() {
		defer count(-1)
		act()
	}()
}

func (c *citizen) chance(percent int) bool { return c.random.IntN(100) < percent }

func (c *citizen) think(most time.Duration) {
	time.Sleep(time.Duration(1 + c.random.Int64N(int64(most))))
}

// retryable codes ask for the same request again.
var retryable = []allocator.Code{
	allocator.CodeOutcomeUnknown, allocator.CodeLedgerUnavailable, allocator.CodeUnavailable, allocator.CodeOverloaded, allocator.CodeInProgress,
}

// begin notes that an operation begins.
func (w *world) begin(op checkers.Op) *checkers.Op {
	op.Call, op.Return = time.Now().UnixNano(), checkers.Never
	w.mu.Lock()
	defer w.mu.Unlock()
	w.history = append(w.history, &op)
	return &op
}

// end notes a definite answer.
func (w *world) end(op *checkers.Op, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	op.Return = time.Now().UnixNano()
	if err != nil {
		op.Code = allocator.CodeOf(err)
	}
}

// server is one that the citizen reaches.
func (c *citizen) server() *server {
	for {
		if c.ended.Load() {
			runtime.Goexit() // the world is over, and this citizen never had an answer
		}
		sv := c.serverAt(c.random.IntN(c.mix.servers))
		if sv.started.Load() && !sv.isDead() {
			return sv
		}
		c.think(200 * time.Millisecond)
	}
}

// insist repeats a request, on any server, until its answer is definite, as the contract tells clients to. Now and then it
// does not hear an answer, or asks again before it has heard one.
func insist[T any](c *citizen, request func(a *allocator.Allocator) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	for {
		sv := c.server()
		answers := make(chan answer, 2)
		send := func() {
			value, err := request(sv.a)
			answers <- answer{value, err}
		}
		go send()
		if c.chance(8) {
			c.fault("request repeated at once")
			go send()
		}
		select {
		case a := <-answers:
			if sv.isDead() || c.chance(4) {
				break // the answer does not come through
			}
			if !slices.Contains(retryable, allocator.CodeOf(a.err)) {
				return a.value, a.err
			}
		case <-sv.gone:
		}
		c.think(time.Second)
	}
}

func (c *citizen) claims() []allocator.ClaimRequest {
	n := 1
	if c.chance(25) {
		n = 2
	}
	var claims []allocator.ClaimRequest
	for range n {
		claims = append(claims, c.claim())
	}
	return claims
}

func (c *citizen) claim() allocator.ClaimRequest {
	return allocator.ClaimRequest{
		Site: c.sites[c.random.IntN(len(c.sites))], Service: services[c.random.IntN(len(services))],
		Start: c.day.At(allocator.TimeOfDay(9*60+10*c.random.IntN(c.mix.slots)), c.zone),
	}
}

func person(n int) allocator.Person {
	return allocator.Person{NHSNumber: allocatortest.NHSNumber(n), GivenName: "Test", FamilyName: fmt.Sprint("Person ", n), DateOfBirth: 3650, HasBirth: true}
}

// asked are claims as a history tells them.
func asked(claims []allocator.ClaimRequest) []checkers.Claim {
	out := make([]checkers.Claim, len(claims))
	for i, c := range claims {
		out[i] = checkers.Claim{Slot: allocator.SlotID{Site: c.Site, Start: allocator.MinuteOf(c.Start), Length: 10}, Service: c.Service}
	}
	return out
}

// hold asks for places; ok tells whether it got them.
func (c *citizen) hold(key string, claims []allocator.ClaimRequest) (allocator.Hold, bool) {
	op := c.begin(checkers.Op{Kind: checkers.KindHold, Hold: key, Claims: asked(claims)})
	h, err := insist(c, func(a *allocator.Allocator) (allocator.Hold, error) {
		return a.Hold(context.Background(), allocator.HoldRequest{IdempotencyKey: key, Claims: claims})
	})
	op.Deadline = h.ExpiresAt.UnixNano()
	c.end(op, err)
	return h, err == nil
}

// book holds places, and perhaps confirms them.
func (c *citizen) book() {
	claims := c.claims()
	key := fmt.Sprint("hold ", c.number)
	h, ok := c.hold(key, claims)
	if !ok {
		return
	}
	switch {
	case c.chance(10):
		return // abandoned
	case c.chance(8):
		c.release(key, h)
		if c.chance(50) {
			return
		}
	case c.chance(15):
		h = c.extend(key, h)
	case c.chance(10):
		_, _ = insist(c, func(a *allocator.Allocator) (allocator.HoldView, error) {
			return a.Inspect(context.Background(), h.Token)
		})
	}
	if c.chance(40) {
		c.think(c.mix.limits.HoldLength * 3 / 2)
	}
	people := c.persons(len(claims))
	confirmed := c.confirm(key, h, claims, people, nil)
	if confirmed == nil {
		return
	}
	i := c.random.IntN(len(claims))
	switch {
	case c.chance(25):
		c.cancel(confirmed[i])
	case c.chance(25):
		c.move(people[i], confirmed[i])
	case c.chance(10):
		c.checkIn(confirmed[i])
	}
}

// persons are whom a hold is for: mostly the citizen's own, sometimes somebody who may have a booking.
func (c *citizen) persons(n int) []allocator.Person {
	who := c.number
	if c.chance(20) {
		who = 1 + c.random.IntN(c.number)
	}
	people := make([]allocator.Person, n)
	for i := range people {
		people[i] = person(100*who + i)
	}
	return people
}

func (c *citizen) release(key string, h allocator.Hold) {
	op := c.begin(checkers.Op{Kind: checkers.KindRelease, Hold: key})
	_, err := insist(c, func(a *allocator.Allocator) (bool, error) { return true, a.Release(context.Background(), h.Token) })
	c.end(op, err)
}

// extend asks for more time, and answers the hold to go on with.
func (c *citizen) extend(key string, h allocator.Hold) allocator.Hold {
	op := c.begin(checkers.Op{Kind: checkers.KindExtend, Hold: key})
	longer, err := insist(c, func(a *allocator.Allocator) (allocator.Hold, error) { return a.Extend(context.Background(), h.Token) })
	op.Deadline = longer.ExpiresAt.UnixNano()
	c.end(op, err)
	if err != nil {
		return h
	}
	return longer
}

// confirm records a hold, sometimes twice over, and returns the bookings; nil where it was refused.
func (c *citizen) confirm(key string, h allocator.Hold, claims []allocator.ClaimRequest, people []allocator.Person, replaces *allocator.BookingAccess) []allocator.BookingView {
	var first []allocator.BookingView
	for range 1 + c.random.IntN(4)/3 {
		op := checkers.Op{Kind: checkers.KindConfirm, Hold: key, Claims: asked(claims)}
		for i := range op.Claims {
			op.Claims[i].Person = people[i].NHSNumber
		}
		if replaces != nil {
			op.Replaces = replaces.Reference
		}
		noted := c.begin(op)
		views, err := insist(c, func(a *allocator.Allocator) ([]allocator.BookingView, error) {
			return a.Confirm(context.Background(), allocator.ConfirmRequest{Token: h.Token, People: people, Replaces: replaces})
		})
		for i := range views {
			noted.Claims[i].Reference = views[i].Reference
		}
		c.end(noted, err)
		if err == nil {
			first = views
		}
	}
	return first
}

func (c *citizen) cancel(v allocator.BookingView) {
	op := c.begin(checkers.Op{Kind: checkers.KindCancel, Cancels: v.Reference})
	access := allocator.BookingAccess{Reference: v.Reference, ManageToken: v.ManageToken}
	_, err := insist(c, func(a *allocator.Allocator) (allocator.BookingView, error) {
		return a.Cancel(context.Background(), access, "", allocator.Caller{})
	})
	c.end(op, err)
}

// move replaces a booking by another.
func (c *citizen) move(who allocator.Person, old allocator.BookingView) {
	claim := c.claim()
	claim.Service = old.Service
	claims := []allocator.ClaimRequest{claim}
	key := fmt.Sprint("move ", c.number)
	h, ok := c.hold(key, claims)
	if !ok {
		return
	}
	if c.chance(30) {
		c.think(c.mix.limits.HoldLength)
	}
	c.confirm(key, h, claims, []allocator.Person{who}, &allocator.BookingAccess{Reference: old.Reference, ManageToken: old.ManageToken})
}

func (c *citizen) checkIn(v allocator.BookingView) {
	op := c.begin(checkers.Op{Kind: checkers.KindStatus, Cancels: v.Reference})
	_, err := insist(c, func(a *allocator.Allocator) (allocator.BookingView, error) {
		return a.SetStatus(context.Background(), v.Reference, allocator.StatusArrived, allocator.Caller{Staff: true})
	})
	c.end(op, err)
}

// walkIn books for someone who is there.
func (c *citizen) walkIn() {
	claim := c.claim()
	claims := []allocator.ClaimRequest{claim}
	op := checkers.Op{Kind: checkers.KindWalkIn, Hold: fmt.Sprint("walk-in ", c.number), Claims: asked(claims)}
	who := person(100 * c.number)
	op.Claims[0].Person = who.NHSNumber
	noted := c.begin(op)
	v, err := insist(c, func(a *allocator.Allocator) (allocator.BookingView, error) {
		return a.WalkIn(context.Background(), allocator.WalkInRequest{
			IdempotencyKey: op.Hold, Site: claim.Site, Service: claim.Service, Start: claim.Start, Length: 10, Person: who,
		})
	})
	noted.Claims[0].Reference = v.Reference
	c.end(noted, err)
	if err == nil && c.chance(30) {
		c.cancel(v)
	}
}
