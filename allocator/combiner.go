package allocator

import (
	"context"
	"fmt"
	"runtime"
	"sync"
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
// before its call began is not sent.
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

	stop    chan struct{}
	stopped sync.WaitGroup
}

type waiting[I, O any] struct {
	ctx   context.Context
	item  I
	reply chan answer[O] // with room for the one answer; nil: nobody waits for it
}

type answer[O any] struct {
	value O
	err   error
}

// errNotStarted says that an item never left the queue: nothing happened.
var errNotStarted = &Error{Code: CodeOverloaded, Detail: "too much is waiting", RetryAfter: time.Second}

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

// submit hands in an item and waits for its answer, or for the end of ctx: then the item may or may not have happened.
func (c *combiner[I, O]) submit(ctx context.Context, item I) (O, error) {
	w := c.place()
	w.ctx, w.item = ctx, item
	select {
	case c.queue <- w:
	default:
		var none O
		return none, errNotStarted
	}
	select {
	case a := <-w.reply:
		*w = waiting[I, O]{reply: w.reply}
		c.places.Put(w)
		return a.value, a.err
	case <-ctx.Done():
		var none O
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

// gather takes what waits, up to a batch.
func (c *combiner[I, O]) gather(first *waiting[I, O]) []*waiting[I, O] {
	batch := append(c.batch[:0], first)
	defer func() { c.batch = batch }()
	for len(batch) < c.most {
		select {
		case w := <-c.queue:
			batch = append(batch, w)
		default:
			return batch
		}
	}
	return batch
}

func (c *combiner[I, O]) call(batch []*waiting[I, O]) {
	defer clear(batch) // or what has its answer would stay in memory until the next batch
	alive := batch[:0]
	for _, w := range batch {
		if w.ctx.Err() != nil {
			w.answer(answer[O]{err: errNotStarted})
			continue
		}
		alive = append(alive, w)
	}
	if len(alive) == 0 {
		return
	}
	items := make([]I, len(alive))
	for i, w := range alive {
		items[i] = w.item
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
	defer cancel()
	values, err := c.do(ctx, items)
	if err == nil && len(values) != len(items) {
		err = fmt.Errorf("%d answers to %d items: %w", len(values), len(items), ErrOutcomeUnknown)
	}
	for i, w := range alive {
		if err != nil {
			w.answer(answer[O]{err: err})
		} else {
			w.answer(answer[O]{value: values[i]})
		}
	}
}

// answer is the last that the lane does with an item.
func (w *waiting[I, O]) answer(a answer[O]) {
	if w.reply != nil {
		w.reply <- a
	}
}
