package admission

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// Reason is why work was not started.
type Reason string

// The reasons. Admitted is none.
const (
	Admitted Reason = ""
	Full     Reason = "full"   // no room in the queue
	Waited   Reason = "waited" // too long in the queue
	Late     Reason = "late"   // its deadline could not be met any more
)

// Reasons lists those for which work is dropped.
var Reasons = []Reason{Full, Waited, Late}

// Bounds are what one class may do.
type Bounds struct {
	Name    string
	Reserve int           // so many run whatever the others do; never more than the limit
	Floor   int           // of the limit: it never falls below
	Ceiling int           // of the limit, and where it begins; equal to Floor: the limit is fixed
	Latency time.Duration // up to this the work counts as fast
	Slow    time.Duration // and from this on as slow, however far its dependency is; 0: no such bound
	Queue   int           // so many wait
	Wait    time.Duration // for so long at most
	Target  time.Duration // and for so long while more comes than goes
}

func (b *Bounds) validate() error {
	switch {
	case b.Floor < 1 || b.Ceiling < b.Floor:
		return fmt.Errorf("class %s: a limit between %d and %d", b.Name, b.Floor, b.Ceiling)
	case b.Reserve < 0 || b.Reserve > b.Ceiling:
		return fmt.Errorf("class %s: a reserve of %d of %d", b.Name, b.Reserve, b.Ceiling)
	case b.Queue < 0 || b.Wait < 0 || b.Target < 0 || b.Target > b.Wait:
		return fmt.Errorf("class %s: a queue of %d for %v, %v under overload", b.Name, b.Queue, b.Wait, b.Target)
	case b.Latency <= 0 || b.Slow < 0 || b.Slow > 0 && b.Slow < b.Latency:
		return fmt.Errorf("class %s: %v is fast and %v is slow", b.Name, b.Latency, b.Slow)
	}
	return nil
}

// Gate lets work in, class by class. Safe for concurrent use.
type Gate struct {
	mu      sync.Mutex
	shared  int // places beyond the reserves
	classes []class
}

// class is one class's state; the gate's lock guards it.
type class struct {
	bounds  Bounds
	limit   limit
	queue   queue
	running int
	dropped map[Reason]uint64
	second  second
}

// New makes a gate of classes in order of precedence, the highest first, which share so many places beyond their reserves. It
// fails on bounds that make no sense, and reports all of them.
func New(shared int, classes ...Bounds) (*Gate, error) {
	var faults []error
	if shared < 1 {
		faults = append(faults, fmt.Errorf("%d shared places", shared))
	}
	g := &Gate{shared: shared}
	for _, b := range classes {
		faults = append(faults, b.validate())
		g.classes = append(g.classes, class{
			bounds: b, limit: newLimit(b.Floor, b.Ceiling, b.Latency, b.Slow), queue: queue{bound: b.Queue, wait: b.Wait, target: b.Target},
			dropped: make(map[Reason]uint64),
		})
	}
	return g, errors.Join(faults...)
}

// Enter says whether work of a class may start now: Admitted, or why not. Whoever is admitted must Leave. It blocks for the
// class's Wait at most. Work that could not end by its deadline is dropped.
func (g *Gate) Enter(c int, deadline time.Time) Reason {
	now := time.Now()
	g.mu.Lock()
	k := &g.classes[c]
	if k.queue.len() == 0 && g.mayStart(c) {
		reason := k.start(now, deadline)
		g.mu.Unlock()
		return reason
	}
	k.dropStale(now)
	if !k.queue.room(now, k.second.rate(now)) {
		k.drop(Full, now)
		g.mu.Unlock()
		return Full
	}
	w := &waiter{deadline: deadline, answer: make(chan Reason, 1)}
	k.queue.push(w, now)
	g.mu.Unlock()
	return g.await(k, w)
}

// await waits for a waiter's answer, for as long as the class allows.
func (g *Gate) await(k *class, w *waiter) Reason {
	timer := time.NewTimer(k.bounds.Wait)
	defer timer.Stop()
	select {
	case reason := <-w.answer:
		return reason
	case <-timer.C:
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.place == nil { // answered in the same moment
		return <-w.answer
	}
	k.queue.remove(w)
	k.drop(Waited, time.Now())
	g.letIn(time.Now()) // lower classes do not wait for this one any more
	return Waited
}

// Leave ends work of a class that was admitted and took so long.
func (g *Gate) Leave(c int, took time.Duration) {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	k := &g.classes[c]
	k.limit.observe(now, took, k.running)
	k.running--
	g.letIn(now)
}

// Shut says that work of a class would be refused at once: it costs less to ask first than to prepare work in vain.
func (g *Gate) Shut(c int) bool {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	k := &g.classes[c]
	k.dropStale(now)
	if k.queue.room(now, k.second.rate(now)) || k.queue.len() == 0 && g.mayStart(c) {
		return false
	}
	k.drop(Full, now)
	return true
}

// Yield lets long work that was admitted make way between two of its parts: it blocks while a higher class waits, for a bounded
// time.
func (g *Gate) Yield(c int, most time.Duration) {
	const look = 5 * time.Millisecond
	for until := time.Now().Add(most); g.higherWaits(c) && time.Now().Before(until); {
		time.Sleep(look)
	}
}

func (g *Gate) higherWaits(c int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waitsAbove(c)
}

// letIn starts what may start, the highest class first; the caller has the lock.
func (g *Gate) letIn(now time.Time) {
	for c := range g.classes {
		k := &g.classes[c]
		k.dropStale(now)
		for k.queue.len() > 0 && g.mayStart(c) {
			w := k.queue.pop(now)
			w.answer <- k.start(now, w.deadline)
		}
	}
}

// mayStart says whether a class has a place to give; the caller has the lock.
func (g *Gate) mayStart(c int) bool {
	k := &g.classes[c]
	if k.running >= k.limit.now() {
		return false
	}
	if k.running < k.bounds.Reserve {
		return true
	}
	taken := 0
	for i := range g.classes {
		taken += max(0, g.classes[i].running-g.classes[i].bounds.Reserve)
	}
	return taken < g.shared && !g.waitsAbove(c)
}

// waitsAbove says whether anybody of a higher class waits; the caller has the lock.
func (g *Gate) waitsAbove(c int) bool {
	for i := range c {
		if g.classes[i].queue.len() > 0 {
			return true
		}
	}
	return false
}

// start begins a piece of work, unless it would end too late. As many as the floor begin whatever they took lately: or nobody
// would find out that it is faster again.
func (k *class) start(now, deadline time.Time) Reason {
	if k.running >= k.limit.floor && now.Add(k.limit.typical).After(deadline) {
		k.drop(Late, now)
		return Late
	}
	k.running++
	k.second.count(now, true)
	return Admitted
}

func (k *class) dropStale(now time.Time) {
	for w := k.queue.stale(now); w != nil; w = k.queue.stale(now) {
		k.drop(Waited, now)
		w.answer <- Waited
	}
}

func (k *class) drop(reason Reason, now time.Time) {
	k.dropped[reason]++
	k.second.count(now, false)
}
