package api

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"muster/admission"
	"muster/allocator"
)

// class is a kind of work with bounds of its own, in order of precedence.
type class int

const (
	classFinish class = iota // of those who are inside: confirm, cancel, release, extend, and what they look up
	classHold
	classSearch
	classStaff
	classBulk
	classFeed
	classes
	classFree class = -1 // answered from memory; not bounded
)

// gates are the bounds of all classes, by class.
func (a Admission) gates() [classes]Gate {
	return [classes]Gate{classFinish: a.Finish, classHold: a.Hold, classSearch: a.Search, classStaff: a.Staff, classBulk: a.Bulk, classFeed: a.Feed}
}

var classNames = [classes]string{classFinish: "finish", classHold: "hold", classSearch: "search", classStaff: "staff", classBulk: "bulk", classFeed: "feed"}

// house is where requests are let in, class by class.
type house struct {
	gate      *admission.Gate
	deadlines [classes]deadline
}

func newHouse(a Admission) (*house, error) {
	h := new(house)
	var bounds [classes]admission.Bounds
	for c, g := range a.gates() {
		h.deadlines[c].after = g.Deadline
		bounds[c] = admission.Bounds{
			Name: classNames[c], Reserve: min(g.Reserve, g.Concurrency), Floor: min(g.Floor, g.Concurrency), Ceiling: g.Concurrency, Latency: g.Latency, Slow: max(g.Latency, g.Deadline/2),
			Queue: g.Queue, Wait: g.Wait, Target: min(g.Target, g.Wait),
		}
	}
	var err error
	if h.gate, err = admission.New(a.Shared, bounds[:]...); err != nil {
		return nil, fmt.Errorf("admission: %w", err)
	}
	return h, nil
}

// stay is a place that somebody was let into. The zero value is none.
type stay struct {
	class class
	since time.Time
}

// enter waits for a place, as long as the class allows.
func (h *house) enter(c class) (stay, context.Context, admission.Reason) {
	arrived := time.Now()
	d := &h.deadlines[c]
	if reason := h.gate.Enter(int(c), arrived.Add(d.after)); reason != admission.Admitted {
		return stay{}, nil, reason
	}
	return stay{c, time.Now()}, d.from(arrived), admission.Admitted
}

// leave gives a place back, once.
func (h *house) leave(s *stay) {
	if !s.since.IsZero() {
		h.gate.Leave(int(s.class), time.Since(s.since))
		*s = stay{}
	}
}

// refuse is the answer to a request, or to an item of a batch, that was not let in.
func (s *Server) refuse(r *route) error {
	s.metrics.refused.WithLabelValues(r.operation).Inc()
	if rooms := s.options.Rooms; rooms != nil && r.class <= classHold {
		rooms.Shed(r.class == classFinish)
	}
	return &allocator.Error{Code: allocator.CodeOverloaded, Detail: overloaded, RetryAfter: s.house.gate.Back(int(r.class))}
}

const overloaded = "too many requests of this kind are running"

// admit waits for a place of the route's class, which whoever is let in gives back.
func (s *Server) admit(r *route) (stay, context.Context, error) {
	in, ctx, reason := s.house.enter(r.class)
	if reason != admission.Admitted {
		return in, nil, s.refuse(r)
	}
	return in, ctx, nil
}

// deadline gives requests their time. A timer and a channel for each would cost more than many a request: those that
// begin close together, within a 64th of their time, share a context, and the later ones have that much less.
//
// So the context is not cancelled when a request is done. What a handler leaves running keeps it until its time is over,
// and a handler that wants its own parts to stop earlier derives a context for them.
type deadline struct {
	after   time.Duration
	present atomic.Pointer[shared]
}

type shared struct {
	until time.Time // for whoever begins before
	ctx   context.Context
}

// from is the context of a request that begins now.
func (d *deadline) from(now time.Time) context.Context {
	s := d.present.Load()
	if s != nil && now.Before(s.until) {
		return s.ctx
	}
	ctx, cancel := context.WithDeadline(context.Background(), now.Add(d.after))
	context.AfterFunc(ctx, cancel)
	next := &shared{now.Add(d.after / 64), ctx}
	if !d.present.CompareAndSwap(s, next) { // somebody else began one at the same time
		cancel()
		return d.present.Load().ctx
	}
	return ctx
}
