package api

import (
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
	bounds  Gate
	slots   chan struct{}
	waiting atomic.Int64
}

func newGate(g Gate) *gate { return &gate{bounds: g, slots: make(chan struct{}, g.Concurrency)} }

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
