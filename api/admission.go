package api

import (
	"context"
	"sync/atomic"
	"time"
)

// class is a kind of work with bounds of its own.
type class int

const (
	classFree class = iota // answered from memory; not bounded
	classConfirm
	classHold
	classSearch
	classStaff
	classBulk
	classFeed
)

func (a Admission) gates() map[class]Gate {
	return map[class]Gate{
		classConfirm: a.Confirm, classHold: a.Hold, classSearch: a.Search, classStaff: a.Staff, classBulk: a.Bulk, classFeed: a.Feed,
	}
}

// gate lets a bounded number of requests in, and a bounded number wait a bounded time.
type gate struct {
	bounds   Gate
	slots    chan struct{}
	waiting  atomic.Int64
	deadline deadline
}

func newGate(g Gate) *gate {
	return &gate{bounds: g, slots: make(chan struct{}, g.Concurrency), deadline: deadline{after: g.Deadline}}
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

// enter says whether the caller is in; whoever is in must leave. It blocks for at most the gate's wait.
func (g *gate) enter() bool {
	select {
	case g.slots <- struct{}{}:
		return true
	default:
	}
	if g.waiting.Add(1) > int64(g.bounds.Queue) {
		g.waiting.Add(-1)
		return false
	}
	defer g.waiting.Add(-1)
	timer := time.NewTimer(g.bounds.Wait)
	defer timer.Stop()
	select {
	case g.slots <- struct{}{}:
		return true
	case <-timer.C:
		return false
	}
}

func (g *gate) leave() { <-g.slots }
