package attack

import (
	"container/heap"
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"muster/loadtest/people"
	"muster/loadtest/profile"
	"muster/loadtest/result"
)

// shot is a request with its plan.
type shot struct {
	id      uint64
	planned time.Duration // since the beginning
	sent    atomic.Int64  // the same, in nanoseconds
	number  uint64        // of the citizen, where the journey has not begun
	journey *journey
	settled atomic.Bool
}

// scheduler hands out requests when they are due, arrivals and later steps alike, and takes the answers. One goroutine asks for
// the next; answers may come from any.
type scheduler struct {
	world   *world
	crowd   *people.Crowd
	curve   *profile.Curve
	began   time.Time
	drained time.Duration // when journeys are cut
	stride  uint64        // generators
	most    int           // in flight

	mu        sync.Mutex
	waiting   shots
	arrival   uint64 // the next one's number
	inFlight  int
	peak      int
	exhausted int64
	ids       uint64
	wake      chan struct{}
}

func newScheduler(c *Config, w *world, began time.Time) *scheduler {
	return &scheduler{
		world: w, crowd: c.Crowd, curve: c.Profile.Curve, began: began, drained: c.Profile.Curve.Length() + c.Grace,
		stride: uint64(c.Generators), arrival: uint64(c.Generator - 1), most: c.MaxWorkers, wake: make(chan struct{}, 1),
	}
}

func (s *scheduler) now() time.Duration { return time.Since(s.began) }

// next waits until a request is due and hands it out; false at the end: nothing is planned and nothing is in flight, or the
// time is over, or ctx is.
func (s *scheduler) next(ctx context.Context) (*shot, bool) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		s.mu.Lock()
		now := s.now()
		due, something := s.due()
		switch {
		case now >= s.drained, !something && s.inFlight == 0:
			s.mu.Unlock()
			return nil, false
		case something && due <= now:
			sh := s.take(now)
			s.mu.Unlock()
			return sh, true
		}
		s.mu.Unlock()
		wait := s.drained - now
		if something {
			wait = min(wait, due-now)
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-s.wake:
		case <-ctx.Done():
		}
	}
	return nil, false
}

// due is when the next request is; the caller has the lock.
func (s *scheduler) due() (at time.Duration, ok bool) {
	at, ok = s.curve.When(float64(s.arrival) + 1)
	if len(s.waiting) > 0 && (!ok || s.waiting[0].planned < at) {
		return s.waiting[0].planned, true
	}
	return at, ok
}

// take removes the next request; the caller has the lock, and knows that there is one.
func (s *scheduler) take(now time.Duration) *shot {
	if s.inFlight >= s.most {
		s.exhausted++
	}
	s.inFlight++
	s.peak = max(s.peak, s.inFlight)
	s.ids++
	at, ok := s.curve.When(float64(s.arrival) + 1)
	if len(s.waiting) > 0 && (!ok || s.waiting[0].planned <= at) {
		sh := heap.Pop(&s.waiting).(*shot)
		sh.id = s.ids
		return sh
	}
	sh := &shot{id: s.ids, planned: at, number: s.arrival}
	s.arrival += s.stride
	s.world.recorder.Arrive(at, now)
	return sh
}

// prepare makes the citizen of an arrival, in the goroutine that sends their request.
func (s *scheduler) prepare(sh *shot) *Request {
	if sh.journey == nil {
		sh.journey = s.world.begin(s.crowd.Citizen(sh.number))
	}
	return &sh.journey.request
}

// sending takes the time of sending.
func (s *scheduler) sending(sh *shot) { sh.sent.Store(int64(s.now())) }

// done takes an answer that ended at an instant since the beginning, and plans what follows. A second answer is not heard.
func (s *scheduler) done(sh *shot, r Reply, ended time.Duration) {
	if sh.settled.Swap(true) {
		return
	}
	j := sh.journey
	code, class, _ := classify(r)
	o := result.Observation{Step: j.request.Step, Code: code, Class: class, Planned: sh.planned, Sent: time.Duration(sh.sent.Load()), Ended: ended}
	o.Unpaced = (r.Status == http.StatusTooManyRequests || r.Status == http.StatusServiceUnavailable) && r.RetryAfter <= 0
	if o.Sent == 0 {
		o.Sent = ended
	}
	j.sent = o.Sent
	s.world.recorder.Observe(o)
	j.heard(r, ended)
	s.mu.Lock()
	s.inFlight--
	if !j.over {
		heap.Push(&s.waiting, &shot{planned: ended + j.after, journey: j})
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// finish counts what was planned and is not sent any more, and ends the journeys that wait.
func (s *scheduler) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ; ; s.arrival += s.stride {
		at, ok := s.curve.When(float64(s.arrival) + 1)
		if !ok {
			break
		}
		s.world.recorder.Arrive(at, -1)
	}
	for _, sh := range s.waiting {
		sh.journey.cut()
	}
	s.waiting = nil
}

// shots is a heap by plan.
type shots []*shot

func (h shots) Len() int           { return len(h) }
func (h shots) Less(a, b int) bool { return h[a].planned < h[b].planned }
func (h shots) Swap(a, b int)      { h[a], h[b] = h[b], h[a] }
func (h *shots) Push(x any)        { *h = append(*h, x.(*shot)) }
func (h *shots) Pop() any {
	last := (*h)[len(*h)-1]
	(*h)[len(*h)-1] = nil
	*h = (*h)[:len(*h)-1]
	return last
}
