package admission

import (
	"container/list"
	"time"
)

// waiter is somebody who waits to be let in.
type waiter struct {
	since    time.Time
	deadline time.Time
	answer   chan Reason   // with room for the one answer
	place    *list.Element // in the queue; nil: it has its answer
}

// queue is who waits for one class. It reads no clock. Not safe for concurrent use.
type queue struct {
	bound   int           // while it is calm
	wait    time.Duration // while it is calm
	target  time.Duration // while it is overloaded
	waiting list.List     // of *waiter, the oldest first
	filled  time.Time     // when it was empty last
}

func (q *queue) len() int { return q.waiting.Len() }

// overloaded says that more comes than goes: the queue has not been empty for as long as one may wait in it.
func (q *queue) overloaded(now time.Time) bool {
	return q.len() > 0 && now.Sub(q.filled) >= q.wait
}

// patience is how long one may wait at present.
func (q *queue) patience(now time.Time) time.Duration {
	if q.overloaded(now) {
		return q.target
	}
	return q.wait
}

// room says whether one more may wait, where so many are let in a second. While more comes than goes, no more wait than are let in
// within the target: the others are told so at once, which costs least.
func (q *queue) room(now time.Time, rate int) bool {
	bound := q.bound
	if q.overloaded(now) {
		bound = min(bound, max(1, int(float64(rate)*q.target.Seconds())))
	}
	return q.len() < bound
}

// push appends somebody.
func (q *queue) push(w *waiter, now time.Time) {
	if q.len() == 0 {
		q.filled = now
	}
	w.since, w.place = now, q.waiting.PushBack(w)
}

// stale takes out somebody who has waited too long; nil: nobody has.
func (q *queue) stale(now time.Time) *waiter {
	if q.len() == 0 || now.Sub(q.oldest().since) <= q.patience(now) {
		return nil
	}
	w := q.oldest()
	q.remove(w)
	return w
}

// pop takes out who is next; nil: nobody waits.
func (q *queue) pop(now time.Time) *waiter {
	if q.len() == 0 {
		return nil
	}
	w := q.oldest()
	if q.overloaded(now) {
		w = q.waiting.Back().Value.(*waiter)
	}
	q.remove(w)
	return w
}

func (q *queue) oldest() *waiter { return q.waiting.Front().Value.(*waiter) }

func (q *queue) remove(w *waiter) {
	q.waiting.Remove(w.place)
	w.place = nil
}
