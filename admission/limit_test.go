package admission

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// dependency answers one call after the other on so many workers, each of which takes so long.
type dependency struct {
	workers chan struct{}
	takes   atomic.Int64 // nanoseconds
	calls   atomic.Int64
}

func newDependency(workers int, takes time.Duration) *dependency {
	d := &dependency{workers: make(chan struct{}, workers)}
	d.takes.Store(int64(takes))
	return d
}

func (d *dependency) call() {
	d.workers <- struct{}{}
	time.Sleep(time.Duration(d.takes.Load()))
	<-d.workers
	d.calls.Add(1)
}

// press has so many clients ask for work of a class all the time, until stop is closed.
func press(g *Gate, class, clients int, work func(), stop <-chan struct{}) *sync.WaitGroup {
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if g.Enter(class, time.Now().Add(time.Hour)) != Admitted {
					time.Sleep(5 * time.Millisecond)
					continue
				}
				began := time.Now()
				work()
				g.Leave(class, time.Since(began))
			}
		})
	}
	return &all
}

func mustGate(t *testing.T, shared int, classes ...Bounds) *Gate {
	t.Helper()
	g, err := New(shared, classes...)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestLimitFollowsLatency: a dependency that slows down to a quarter gets less at once, so that what it does take is answered
// about as fast as is allowed, and none of what it can do is lost; when it recovers it gets more again.
func TestLimitFollowsLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustGate(t, 1000, Bounds{Name: "only", Floor: 8, Ceiling: 400, Latency: 50 * time.Millisecond, Queue: 10, Wait: 20 * time.Millisecond, Target: 5 * time.Millisecond})
		d := newDependency(20, 10*time.Millisecond)
		stop := make(chan struct{})
		few := press(g, 0, 4, d.call, stop) // so the gate knows how fast it is when nobody queues
		time.Sleep(time.Second)
		clients := press(g, 0, 396, d.call, stop)
		settled := func(during time.Duration) (limit int, perSecond float64) { // a limit goes up and down about its mean
			time.Sleep(during)
			before := d.calls.Load()
			for range 50 {
				time.Sleep(100 * time.Millisecond)
				limit += g.States()[0].Limit
			}
			return limit / 50, float64(d.calls.Load()-before) / 5
		}
		fast, rate := settled(10 * time.Second)
		if fast < 50 || fast > 200 || rate < 0.9*2000 {
			t.Errorf("fast: a limit of %d and %.0f calls a second; 100 and 2000 are right", fast, rate)
		}
		d.takes.Store(int64(40 * time.Millisecond))
		slow, rate := settled(10 * time.Second)
		if slow > fast/2 || rate < 0.8*500 {
			t.Errorf("slow: a limit of %d after %d, and %.0f calls a second of 500", slow, fast, rate)
		}
		d.takes.Store(int64(10 * time.Millisecond))
		again, rate := settled(10 * time.Second)
		if again < 3*fast/4 || rate < 0.9*2000 {
			t.Errorf("recovered: a limit of %d, and it was %d; %.0f calls a second", again, fast, rate)
		}
		close(stop)
		few.Wait()
		clients.Wait()
	})
}

// TestFarIsNotSlow: a dependency that always takes long gets as many at once as it can use.
func TestFarIsNotSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustGate(t, 1000, Bounds{Name: "only", Floor: 4, Ceiling: 100, Latency: 50 * time.Millisecond, Queue: 0, Wait: 0})
		stop := make(chan struct{})
		clients := press(g, 0, 100, func() { time.Sleep(300 * time.Millisecond) }, stop)
		time.Sleep(time.Minute)
		if limit := g.States()[0].Limit; limit < 90 {
			t.Errorf("a limit of %d", limit)
		}
		close(stop)
		clients.Wait()
	})
}

// TestLimitFallsFromWhatRan: where the limit is far above what runs, the first fall counts, and so it ends before those who wait
// give up.
func TestLimitFallsFromWhatRan(t *testing.T) {
	l := newLimit(256, 4096, 300*time.Millisecond, 1500*time.Millisecond)
	now := time.Unix(1_800_000_000, 0)
	observe := func(took time.Duration, running int) {
		for range 2 * leastSamples {
			now = now.Add(took / leastSamples)
			l.observe(now, took, running)
		}
	}
	for range 10 {
		observe(800*time.Millisecond, 200) // far: three times that would be more than half of anybody's patience
	}
	if l.now() != 4096 {
		t.Fatalf("calm: a limit of %d", l.now())
	}
	for range 2 {
		observe(2*time.Second, 640)
	}
	if l.now() > 480 {
		t.Errorf("640 took 2 s instead of 1.5: a limit of %d, and 480 is right", l.now())
	}
}

// TestLimitStaysWithinBounds however the latency jumps.
func TestLimitStaysWithinBounds(t *testing.T) {
	l := newLimit(8, 64, 10*time.Millisecond, 0)
	now := time.Unix(1_800_000_000, 0)
	lowest, highest := l.now(), 0
	for i := range 20_000 {
		now = now.Add(20 * time.Millisecond)
		took := time.Millisecond
		if i/2_000%2 == 1 {
			took = 10 * time.Second
		}
		l.observe(now, took, l.now())
		lowest, highest = min(lowest, l.now()), max(highest, l.now())
	}
	if lowest != 8 || highest != 64 {
		t.Errorf("between %d and %d", lowest, highest)
	}
}
