package bench

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// load is what clients do to a server in one turn.
type load struct {
	address    string
	clients    int
	choose     func() place
	persons    *atomic.Int64 // counts people over all turns of an engine
	keys       string        // begins every Idempotency-Key
	confirms   bool          // false: holds only
	perRequest int           // flows of a batch
	questions  []question    // of a search
	told       *acknowledged

	measuring              atomic.Bool
	flows, failed          atomic.Int64 // that ended while measuring
	holds, confirmed, both Histogram
	bytes                  atomic.Int64 // of the replies to searches
	mu                     sync.Mutex
	firstFailure           string
}

// shape is how one client works: until ctx ends, or until it has nothing more to do.
type shape func(ctx context.Context, c *client)

// run lets clients work, and returns when the last answer is there.
func (l *load) run(ctx context.Context, work shape) {
	var working sync.WaitGroup
	for range l.clients {
		working.Go(func() {
			c := l.client()
			defer c.close()
			work(ctx, c)
			l.told.add(c.references, c.unknown)
		})
	}
	working.Wait()
}

func (l *load) client() *client { return &client{load: l, connection: newConnection(l.address)} }

// closed is a closed loop: the next flow begins when the last one has ended. Times count from when a request is sent.
func closed(ctx context.Context, c *client) {
	for ctx.Err() == nil {
		began := time.Now()
		err := c.flow(began)
		c.count(began, 1, err)
	}
}

// batches is a closed loop of batches.
func batches(ctx context.Context, c *client) {
	for ctx.Err() == nil {
		began := time.Now()
		booked, err := c.batch(began)
		c.count(began, booked, nil)
		if err != nil {
			c.fail(c.perRequest-booked, err)
		}
	}
}

// open is an open loop: flows are planned at a steady rate, whatever became of those before. Times count from the plan, so
// that a server that cannot keep up with it shows how long people wait, and not only how long it works.
func open(s *schedule) shape {
	return func(ctx context.Context, c *client) {
		timer := time.NewTimer(0)
		defer timer.Stop()
		for {
			planned := s.next()
			timer.Reset(time.Until(planned))
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
			if ctx.Err() != nil {
				return
			}
			err := c.flow(planned)
			c.count(planned, 1, err)
		}
	}
}

// schedule plans flows. Safe for concurrent use.
type schedule struct {
	start time.Time
	rate  float64 // a second
	taken atomic.Int64
}

func (s *schedule) next() time.Time {
	return s.start.Add(time.Duration(float64(s.taken.Add(1)-1) / s.rate * float64(time.Second)))
}

// missed is how many flows were due by an instant and have not even begun. Nobody takes one while others are due before it.
func (s *schedule) missed(until time.Time) int64 {
	due := int64(math.Floor(until.Sub(s.start).Seconds()*s.rate)) + 1
	return max(0, due-s.taken.Load())
}

// crowd is a number of people who each try once for one slot.
type crowd struct {
	left            atomic.Int64
	booked, refused atomic.Int64
	mu              sync.Mutex
	lastBooked      time.Time
}

func (s *crowd) work(ctx context.Context, c *client) {
	for s.left.Add(-1) >= 0 && ctx.Err() == nil {
		began := time.Now()
		err := c.flow(began)
		switch {
		case err == nil:
			s.booked.Add(1)
			s.mu.Lock()
			s.lastBooked = time.Now()
			s.mu.Unlock()
		case errors.Is(err, errFull):
			s.refused.Add(1)
			err = nil
		}
		c.count(began, 1, err)
	}
}

// count takes note of flows that ended, well or not.
func (l *load) count(began time.Time, n int, err error) {
	switch {
	case err != nil:
		l.fail(n, err)
	case n > 0 && l.measuring.Load():
		l.flows.Add(int64(n))
		l.both.AddN(time.Since(began), int64(n))
	}
}

// ended is how many flows have ended while measuring, well or not.
func (l *load) ended() int64 { return l.flows.Load() + l.failed.Load() }

func (l *load) fail(n int, err error) {
	if !l.measuring.Load() {
		return
	}
	l.failed.Add(int64(n))
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.firstFailure == "" {
		l.firstFailure = err.Error()
	}
}

func (l *load) time(h *Histogram, began time.Time, n int64) {
	if l.measuring.Load() {
		h.AddN(time.Since(began), n)
	}
}
