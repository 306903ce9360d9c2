package admission

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

const long = time.Hour

func fixed(name string, limit, reserve, queue int, wait time.Duration) Bounds {
	return Bounds{Name: name, Reserve: reserve, Floor: limit, Ceiling: limit, Latency: time.Second, Queue: queue, Wait: wait, Target: wait / 10}
}

// waits enters on a goroutine of its own; the answer comes on the channel.
func waits(g *Gate, class int) <-chan Reason {
	answer := make(chan Reason, 1)
	go func() { answer <- g.Enter(class, time.Now().Add(long)) }()
	synctest.Wait()
	return answer
}

// TestPrecedence: while a higher class waits, a lower one gets its reserve and no more.
func TestPrecedence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustGate(t, 100, fixed("high", 1, 0, 10, time.Minute), fixed("low", 10, 2, 10, time.Minute))
		first := waits(g, 0)
		second := waits(g, 0) // its dependency has no room
		if len(first) != 1 || len(second) != 0 {
			t.Fatal("one runs and one waits")
		}
		var low []<-chan Reason
		for range 4 {
			low = append(low, waits(g, 1))
		}
		if len(low[0])+len(low[1])+len(low[2])+len(low[3]) != 2 {
			t.Error("the lower class got another number than its reserve of 2")
		}
		g.Leave(0, time.Millisecond)
		synctest.Wait()
		if len(second) != 1 || len(low[3]) != 1 {
			t.Error("nobody of the higher class waits any more, and the lower ones still do")
		}
	})
}

// TestYield: long work makes way while a higher class waits, and not for ever.
func TestYield(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustGate(t, 100, fixed("high", 1, 0, 10, time.Minute), fixed("low", 10, 0, 10, time.Minute))
		took := func() time.Duration {
			began := time.Now()
			g.Yield(1, time.Second)
			return time.Since(began)
		}
		if waited := took(); waited != 0 {
			t.Errorf("nobody waits, and it waited %v", waited)
		}
		waits(g, 0)
		waits(g, 0)
		if waited := took(); waited != time.Second {
			t.Errorf("waited %v", waited)
		}
		go func() {
			time.Sleep(100 * time.Millisecond)
			g.Leave(0, time.Millisecond)
		}()
		if waited := took(); waited < 100*time.Millisecond || waited > 110*time.Millisecond {
			t.Errorf("waited %v for somebody who was let in after 100 ms", waited)
		}
	})
}

// TestReserve: what a class has reserved nobody else takes, and beyond that they share.
func TestReserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustGate(t, 3, fixed("high", 10, 2, 0, 0), fixed("low", 10, 1, 0, 0))
		low := 0
		for g.Enter(1, time.Now().Add(long)) == Admitted {
			low++
		}
		high := 0
		for g.Enter(0, time.Now().Add(long)) == Admitted {
			high++
		}
		if low != 4 || high != 2 {
			t.Errorf("%d and %d run, want 4 and 2", low, high)
		}
	})
}

// TestNewestFirstUnderOverload: the oldest is next while the queue is calm; once it has not been empty for as long as one may
// wait, the newest is, and those before it go soon.
func TestNewestFirstUnderOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustGate(t, 100, fixed("only", 1, 0, 100, time.Second))
		for range 50 { // so that some may wait within the target
			if g.Enter(0, time.Now().Add(long)) != Admitted {
				t.Fatal("an empty gate refuses")
			}
			g.Leave(0, time.Millisecond)
		}
		g.Enter(0, time.Now().Add(long))
		early := waits(g, 0)
		time.Sleep(500 * time.Millisecond)
		kept := waits(g, 0)
		g.Leave(0, time.Millisecond)
		synctest.Wait()
		if len(early) != 1 || <-early != Admitted {
			t.Fatal("in a calm queue the oldest is next")
		}
		time.Sleep(450 * time.Millisecond)
		older := waits(g, 0)
		time.Sleep(60 * time.Millisecond)
		newest := waits(g, 0)
		g.Leave(0, time.Millisecond)
		synctest.Wait()
		if len(newest) != 1 || <-newest != Admitted {
			t.Error("in an overloaded queue the newest is next")
		}
		if len(kept) != 1 || <-kept != Waited {
			t.Error("who has waited for longer than the target stays in an overloaded queue")
		}
		time.Sleep(50 * time.Millisecond)
		g.Leave(0, time.Millisecond)
		synctest.Wait()
		if len(older) != 1 || <-older != Waited {
			t.Error("who has waited for longer than the target is let in from an overloaded queue")
		}
	})
}

// TestLateWorkIsNotStarted: work that takes longer than its deadline leaves is dropped, unless hardly anything runs.
func TestLateWorkIsNotStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustGate(t, 100, Bounds{Name: "only", Floor: 2, Ceiling: 50, Latency: 10 * time.Second, Queue: 10, Wait: time.Second, Target: time.Second})
		for range 2 * leastSamples { // all of them take two seconds
			if g.Enter(0, time.Now().Add(long)) != Admitted {
				t.Fatal("refused")
			}
			time.Sleep(2 * time.Second)
			g.Leave(0, 2*time.Second)
		}
		soon := func() Reason { return g.Enter(0, time.Now().Add(time.Second)) }
		if a, b, c := soon(), soon(), soon(); a != Admitted || b != Admitted || c != Late {
			t.Errorf("%q, %q and %q: the first two find out, the third would be late", a, b, c)
		}
		if g.Enter(0, time.Now().Add(5*time.Second)) != Admitted {
			t.Error("there was time enough")
		}
	})
}

// TestShut: a full queue is told beforehand, and only that.
func TestShut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustGate(t, 100, fixed("only", 1, 0, 1, time.Second))
		if g.Shut(0) || g.Enter(0, time.Now().Add(long)) != Admitted || g.Shut(0) {
			t.Fatal("there is room")
		}
		waiting := waits(g, 0)
		if !g.Shut(0) || g.Enter(0, time.Now().Add(long)) != Full {
			t.Error("the queue is full")
		}
		if dropped := g.States()[0].Dropped[Full]; dropped != 2 {
			t.Errorf("%d dropped", dropped)
		}
		if back := g.Back(0); back != 3*time.Second {
			t.Errorf("two refused of one admitted: back after %v", back)
		}
		time.Sleep(1001 * time.Millisecond)
		if <-waiting != Waited || g.Shut(0) {
			t.Error("nobody waits any more")
		}
		time.Sleep(5 * time.Second)
		if back := g.Back(0); back != time.Second {
			t.Errorf("nothing was refused lately: back after %v", back)
		}
	})
}

// TestGateKeepsItsPromises: whatever comes and goes, queues and classes are bounded, nobody waits longer than the class allows,
// a class that waits is never overtaken by a lower one beyond its reserve, and in the end every place is free again.
func TestGateKeepsItsPromises(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(struct{ testing.TB }{t}, func(t *rapid.T) { // a bubble has no deadline to ask for
			const wait = time.Second
			var bounds []Bounds
			for _, name := range []string{"high", "middle", "low"} {
				limit := rapid.IntRange(1, 4).Draw(t, name)
				bounds = append(bounds, fixed(name, limit, rapid.IntRange(0, limit).Draw(t, "reserve"), rapid.IntRange(0, 4).Draw(t, "queue"), wait))
			}
			shared := rapid.IntRange(1, 6).Draw(t, "shared")
			g, err := New(shared, bounds...)
			if err != nil {
				t.Fatal(err)
			}
			var all sync.WaitGroup
			running := make([][]chan struct{}, 3)
			var mu sync.Mutex
			for range rapid.IntRange(1, 60).Draw(t, "steps") {
				class := rapid.IntRange(0, 2).Draw(t, "class")
				before := g.States()
				switch rapid.IntRange(0, 3).Draw(t, "action") {
				case 0, 1:
					all.Go(func() {
						arrived := time.Now()
						reason := g.Enter(class, arrived.Add(long))
						if waited := time.Since(arrived); waited > wait {
							t.Errorf("waited %v", waited)
						}
						if reason != Admitted {
							return
						}
						leave := make(chan struct{})
						mu.Lock()
						running[class] = append(running[class], leave)
						mu.Unlock()
						<-leave
						g.Leave(class, time.Millisecond)
					})
				case 2:
					mu.Lock()
					if n := len(running[class]); n > 0 {
						close(running[class][n-1])
						running[class] = running[class][:n-1]
					}
					mu.Unlock()
				default:
					time.Sleep(time.Duration(rapid.IntRange(1, 700).Draw(t, "ms")) * time.Millisecond)
				}
				synctest.Wait()
				judge(t, bounds, shared, before, g.States())
			}
			leaveAll := func() {
				mu.Lock()
				defer mu.Unlock()
				for class := range running {
					for _, leave := range running[class] {
						close(leave)
					}
					running[class] = nil
				}
			}
			for queued := true; queued; {
				leaveAll()
				time.Sleep(wait)
				synctest.Wait()
				queued = slices.ContainsFunc(g.States(), func(s State) bool { return s.Queued > 0 })
			}
			leaveAll() // of those who were let in last
			all.Wait()
			for _, s := range g.States() {
				if s.Running != 0 || s.Queued != 0 {
					t.Fatalf("at the end %+v", s)
				}
			}
		})
	})
}

// judge compares how a gate stood before a step and after it.
func judge(t *rapid.T, bounds []Bounds, shared int, before, after []State) {
	beyond, waiting := 0, false
	for c, s := range after {
		extra := max(0, s.Running-bounds[c].Reserve)
		beyond += extra
		switch {
		case s.Queued > bounds[c].Queue || s.Running > bounds[c].Ceiling:
			t.Fatalf("%+v of %+v", s, bounds[c])
		case waiting && extra > max(0, before[c].Running-bounds[c].Reserve):
			t.Fatalf("%s overtakes a class that waits: %+v, then %+v", s.Class, before, after)
		}
		waiting = waiting || s.Queued > 0 && before[c].Queued > 0
	}
	if beyond > shared {
		t.Fatalf("%d run beyond the reserves, of %d: %+v", beyond, shared, after)
	}
}

// TestBoundsAreChecked: all faults at once.
func TestBoundsAreChecked(t *testing.T) {
	good := fixed("good", 4, 1, 1, time.Second)
	_, err := New(0, good, Bounds{Name: "empty"}, Bounds{Name: "reserve", Floor: 1, Ceiling: 2, Reserve: 3}, Bounds{Name: "queue", Floor: 1, Ceiling: 2, Queue: -1},
		Bounds{Name: "latency", Floor: 1, Ceiling: 2})
	for _, name := range []string{"shared", "empty", "reserve", "queue", "latency"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not tell of %s", err, name)
		}
	}
}
