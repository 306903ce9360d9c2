package allocator

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// combiner gathers concurrent requests for one place into calls of many.
//
// Why: an empty script call costs the store as much as deciding several holds inside it, and a commit costs the ledger as
// much for one row as for a hundred. So while one call is under way the next batch forms, by itself: no timer delays a
// lone request, and the busier the place the larger its batches. Before it takes a batch the lane lets every request run
// that is ready to: on a busy machine many are about to hand in an item, above all those of one batch of a client's, whose
// first item would otherwise leave alone. On an idle one nobody is ready, and this costs next to nothing.
//
// Why it is correct: the store decides the items of a call in order, each on the state that the earlier ones left, so a
// batch is the same as its items one after the other. Each item gets its own answer; one that is refused changes nothing.
// A failure of the whole call is every item's failure, and each may or may not have happened: callers repeat, which is
// safe for every item by the promises of the ports.
//
// Bounds: at most cap(queue) wait and at most `most` go in one call; beyond that a request is refused at once, which costs
// no more than a channel's fullness check. First come, first served, whatever the site. An item whose caller gave up
// before its call began is not sent, and the caller knows that nothing happened. Nor is one sent whose caller would give up
// before the answer comes, by what calls take at present: a queue as long as people's patience would fill every call with
// items that nobody waits for any more, and of all that the store decides nothing would come. The one that can wait
// longest goes whatever calls take, or nobody would find out that they are faster again.
//
// Memory: a place in the queue, with the channel of its answer, is used again by whoever got that answer, since the lane does
// not touch it any more. One whose caller gave up stays the lane's, and one that was posted is never used again.
type combiner[I, O any] struct {
	queue   chan *waiting[I, O]
	most    int
	timeout time.Duration
	do      func(ctx context.Context, items []I) ([]O, error)
	places  sync.Pool // of *waiting[I, O] that nobody else has

	batch []*waiting[I, O] // the lane's own, for its next call
	takes time.Duration    // the lane's own: what a call takes, smoothed; 0: not known yet

	stop    chan struct{}
	stopped sync.WaitGroup
}

type waiting[I, O any] struct {
	ctx   context.Context
	item  I
	reply chan answer[O] // with room for the one answer; nil: nobody waits for it
	state atomic.Int32   // queued, until either the lane takes it or its caller leaves it
}

const (
	queued int32 = iota
	taken        // by a call, or refused
	left         // by its caller: it is never sent
)

type answer[O any] struct {
	value O
	err   error
}

// errNotStarted says that an item never left the queue: nothing happened.
var errNotStarted = &Error{Code: CodeOverloaded, Detail: "too much is waiting", RetryAfter: time.Second}

// errTooLate says that an item's caller had no time left for a call: nothing happened.
var errTooLate = fmt.Errorf("no call could begin in time: %w", ErrUnavailable)

func newCombiner[I, O any](pace pacer, queue, most int, timeout time.Duration, do func(context.Context, []I) ([]O, error)) *combiner[I, O] {
	return &combiner[I, O]{
		queue: make(chan *waiting[I, O], queue), most: most, do: do, stop: make(chan struct{}),
		timeout: pace.jittered(timeout), // its callers hear of it before they give up
	}
}

func (c *combiner[I, O]) start() {
	c.stopped.Go(c.run)
}

// end lets what waits go out, and returns when it has its answers.
func (c *combiner[I, O]) end() {
	close(c.stop)
	c.stopped.Wait()
}

// submit hands in an item and waits for its answer, or for the end of ctx: then the item did not happen where no call had
// begun with it, and otherwise may or may not have happened.
func (c *combiner[I, O]) submit(ctx context.Context, item I) (O, error) {
	return c.hand(ctx, ctx, item)
}

// deliver is submit for an item that goes however long its caller waits.
func (c *combiner[I, O]) deliver(ctx context.Context, item I) (O, error) {
	return c.hand(ctx, context.Background(), item)
}

// hand hands in an item that goes while the second context lasts, and waits as long as the first.
func (c *combiner[I, O]) hand(ctx, goes context.Context, item I) (O, error) {
	w := c.place()
	w.ctx, w.item = goes, item
	select {
	case c.queue <- w:
	default:
		var none O
		return none, errNotStarted
	}
	select {
	case a := <-w.reply:
		c.again(w)
		return a.value, a.err
	case <-ctx.Done():
		var none O
		if ctx == goes && w.state.CompareAndSwap(queued, left) {
			return none, errTooLate
		}
		return none, fmt.Errorf("waiting for a batch: %w (%w)", ErrOutcomeUnknown, ctx.Err())
	}
}

// place is one in the queue that nobody else has.
func (c *combiner[I, O]) place() *waiting[I, O] {
	if w, ok := c.places.Get().(*waiting[I, O]); ok {
		return w
	}
	return &waiting[I, O]{reply: make(chan answer[O], 1)}
}

// again keeps a place whose answer was read: nobody else has it any more.
func (c *combiner[I, O]) again(w *waiting[I, O]) {
	var none I
	w.ctx, w.item = nil, none
	w.state.Store(queued)
	c.places.Put(w)
}

// post hands in an item whose answer nobody waits for; false when the queue is full.
func (c *combiner[I, O]) post(item I) bool {
	select {
	case c.queue <- &waiting[I, O]{ctx: context.Background(), item: item}:
		return true
	default:
		return false
	}
}

func (c *combiner[I, O]) run() {
	for {
		select {
		case w := <-c.queue:
			c.letOthersJoin()
			c.call(c.gather(w))
		case <-c.stop:
			for {
				select {
				case w := <-c.queue:
					c.call(c.gather(w))
				default:
					return
				}
			}
		}
	}
}

// letOthersJoin yields as long as that brings more items than there were, up to a batch, a bounded number of times.
func (c *combiner[I, O]) letOthersJoin() {
	const most = 8
	for range most {
		before := len(c.queue)
		if runtime.Gosched(); len(c.queue) == before || len(c.queue) >= c.most {
			return
		}
	}
}

// gather takes what waits, up to a batch, and refuses whose callers would have left when the answer comes.
func (c *combiner[I, O]) gather(first *waiting[I, O]) []*waiting[I, O] {
	end := machineTime().Add(c.takes + c.takes/4)
	batch := c.batch[:0]
	var patient *waiting[I, O] // of those that come too late, the one that waits longest
	for w := first; w != nil; w = c.next(len(batch)) {
		switch deadline, ok := w.ctx.Deadline(); {
		case !ok && w.ctx.Err() == nil || ok && !deadline.Before(end):
			if w.state.CompareAndSwap(queued, taken) {
				batch = append(batch, w)
			}
		case ok && (patient == nil || patient.outlived(deadline)):
			patient.refuse()
			patient = w
		default:
			w.refuse()
		}
	}
	if len(batch) == 0 && patient != nil && patient.ctx.Err() == nil && patient.state.CompareAndSwap(queued, taken) {
		batch = append(batch, patient)
	} else {
		patient.refuse()
	}
	c.batch = batch
	return batch
}

// next is one more for a batch of so many; nil: it is full, or nobody waits.
func (c *combiner[I, O]) next(has int) *waiting[I, O] {
	if has >= c.most {
		return nil
	}
	select {
	case w := <-c.queue:
		return w
	default:
		return nil
	}
}

// outlived says that another deadline is later.
func (w *waiting[I, O]) outlived(other time.Time) bool {
	deadline, _ := w.ctx.Deadline()
	return other.After(deadline)
}

// refuse tells that an item was never sent, where anybody still waits for it; nil is none.
func (w *waiting[I, O]) refuse() {
	if w != nil && w.state.CompareAndSwap(queued, taken) {
		w.answer(answer[O]{err: errTooLate})
	}
}

func (c *combiner[I, O]) call(batch []*waiting[I, O]) {
	defer clear(batch) // or what has its answer would stay in memory until the next batch
	if len(batch) == 0 {
		return
	}
	items := make([]I, len(batch))
	for i, w := range batch {
		items[i] = w.item
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
	defer cancel()
	began := machineTime()
	values, err := c.do(ctx, items)
	c.learn(machineTime().Sub(began), err)
	if err == nil && len(values) != len(items) {
		err = fmt.Errorf("%d answers to %d items: %w", len(values), len(items), ErrOutcomeUnknown)
	}
	for i, w := range batch {
		if err != nil {
			w.answer(answer[O]{err: err})
		} else {
			w.answer(answer[O]{value: values[i]})
		}
	}
}

// machineTime is by which contexts end; no rule of the protocol reads it.
func machineTime() time.Time { return time.Now() }

// learn follows what calls take. One that failed says nothing of those that will succeed.
func (c *combiner[I, O]) learn(took time.Duration, err error) {
	switch {
	case err != nil:
	case c.takes == 0:
		c.takes = took
	default:
		c.takes += (took - c.takes) / 4
	}
}

// answer is the last that the lane does with an item.
func (w *waiting[I, O]) answer(a answer[O]) {
	if w.reply != nil {
		w.reply <- a
	}
}
