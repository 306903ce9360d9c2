package crash

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest/checkers"
	"muster/loadtest/installation"
)

type (
	server = installation.Server
	claim  = checkers.Claim
)

// lane is an installation that serves one point after the other. What was told and done on it is judged as a whole after
// each.
type lane struct {
	n      int
	in     *installation.Installation
	victim *server
	other  *server // nil: embedded
	desk   *desk
	order  string // a file: while it is there, the victim dies where it says

	books *installation.Books // kept open; nil: not open, or embedded

	mu     sync.Mutex
	places []*place // that were opened
}

// holdSeconds is short, so that what a crash leaves pinned is resolved soon.
const holdSeconds = 3

func newLane(t *testing.T, n int, embedded bool) *lane {
	t.Helper()
	options := installation.Options{HoldSeconds: holdSeconds, Shards: 2, Build: []string{"-tags=crashpoints"}}
	if embedded {
		options.Redis, options.Ledger, options.Shards = installation.RedisNone, installation.LedgerEmbedded, 1
	}
	desk, err := newDesk()
	if err != nil {
		t.Fatal(err)
	}
	options.Flags, desk.publisher = newPublisher(t)
	t.Cleanup(desk.client.CloseIdleConnections)
	in := installation.Start(t, options)
	l := &lane{n: n, in: in, victim: in.Servers[0], desk: desk, order: filepath.Join(in.Dir, "order")}
	if !embedded {
		l.other = in.Servers[1]
	}
	t.Cleanup(l.shut)
	l.restart()
	return l
}

// open makes a site that nobody has used.
func (l *lane) open() *place {
	p := l.desk.open(l.victimFirst(), allocator.SiteID(fmt.Sprintf("L%d-%d", l.n, l.desk.serial.Add(1))))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.places = append(l.places, p)
	return p
}

// since is where a course's part of a lane's memory begins: nobody uses what earlier ones did any more.
type since struct{ places, history, complaints, days int }

func (l *lane) now() since {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.desk.mu.Lock()
	defer l.desk.mu.Unlock()
	return since{len(l.places), len(l.desk.history), len(l.desk.complaints), len(l.desk.days)}
}

func (l *lane) sites(from since) []*place {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.places[from.places:])
}

// victimFirst and otherFirst ask until they are answered.
func (l *lane) victimFirst() at { return inOrder(l.victim, l.other) }
func (l *lane) otherFirst() at  { return inOrder(l.other, l.victim) }

func inOrder(servers ...*server) (to at) {
	for _, s := range servers {
		if s != nil {
			to.servers = append(to.servers, s)
		}
	}
	return to
}

// guest is how those ask who lead the victim to its point. Who leaves asks nobody else: what was begun for him is for the
// servers to bring to an end.
func (c *course) guest() at {
	if c.insist {
		return c.victimFirst()
	}
	return at{servers: []*server{c.victim}, leave: true}
}

// company is whom the others ask meanwhile: where the guest is to be the one at the point, not the victim.
func (c *course) company() at {
	if c.insist || c.other == nil {
		return c.victimFirst()
	}
	return inOrder(c.other)
}

// restart starts the victim again, to await its next order. A memory of its own begins empty.
func (l *lane) restart() {
	since := l.desk.now()
	l.victim.Setenv("MUSTER_CRASH_FILE=" + l.order)
	l.victim.Restart()
	if l.other == nil {
		l.desk.lost(since)
	}
}

// course is the run of one point on a lane.
type course struct {
	*lane
	job
	t      *testing.T
	way    way
	began  since
	site   *place // of the traffic that leads to the point
	common *place // of everybody else
	holds  []*held
	cursor string         // how far the outbox was read
	going  sync.WaitGroup // traffic, which may outlive the victim: whoever has no answer goes on asking
}

// result is what a course has shown.
type result struct {
	died       bool          // at the point
	approach   time.Duration // until then
	whole      time.Duration // of the course
	recovery   time.Duration
	violations []checkers.Violation
	stats      checkers.Stats
}

// run kills the victim at a point and judges what follows.
func (l *lane) run(t *testing.T, j job) (r result) {
	began := time.Now()
	c := &course{lane: l, t: t, job: j}
	c.way, _, _ = wayTo(j.point, j.embedded)
	c.began = l.now()
	c.site, c.common = l.open(), l.open()
	if c.way.prepare != nil {
		c.way.prepare(c)
	}
	r.died = c.kill()
	death, lost := time.Now(), l.desk.now()
	r.approach = death.Sub(began)
	if l.other != nil {
		c.life(l.otherFirst())
	}
	l.restart()
	if l.other == nil {
		l.desk.lost(lost)
	}
	c.going.Wait()
	c.life(l.victimFirst())
	c.judge(death, &r)
	r.whole = time.Since(began)
	return r
}

// kill leads the victim to its point; true where it died there.
func (c *course) kill() bool {
	before := c.logSize()
	if c.way.alone && c.other != nil {
		c.other.Pause()
		defer c.other.Resume()
	}
	if c.way.start {
		c.victim.Setenv("MUSTER_CRASH_AT="+c.point, fmt.Sprint("MUSTER_CRASH_HIT=", c.hit))
		c.victim.Launch()
	} else if err := give(c.order, c.point, c.hit); err != nil {
		c.t.Fatal(err)
	}
	defer os.Remove(c.order)
	ended := c.victim.Ended()
	c.untilEnd(ended, func() { c.way.traffic(c) })
	if c.insist || c.other != nil && !c.way.alone {
		c.untilEnd(ended, func() { c.life(c.company()); pause(context.Background(), 300*time.Millisecond) })
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-ended:
		return c.diedThere(before)
	case <-timer.C:
		c.t.Errorf("the victim did not come to %s within %v", c.point, patience)
		c.victim.Kill()
		return false
	}
}

// untilEnd does something again and again beside all else, to the end of the victim.
func (c *course) untilEnd(ended <-chan struct{}, do func()) {
	c.going.Go(func() {
		for {
			do()
			select {
			case <-ended:
				return
			default:
			}
		}
	})
}

// give puts an order where the victim reads it, as a whole.
func give(file, point string, hit int) error {
	if err := os.WriteFile(file+".new", fmt.Appendf(nil, "%s %d\n", point, hit), 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

func (c *course) logSize() int64 {
	info, err := os.Stat(c.victim.LogPath)
	if err != nil {
		return 0
	}
	return info.Size()
}

// diedThere checks that it was the point that the victim died at: by SIGKILL, its own, with these last words.
func (c *course) diedThere(before int64) bool {
	text, err := os.ReadFile(c.victim.LogPath)
	if err != nil {
		c.t.Fatal(err)
	}
	words := fmt.Sprintf("crash point %s hit %d\n", c.point, c.hit)
	status, ok := c.victim.Exit().Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL || !strings.Contains(string(text[before:]), words) {
		c.t.Errorf("the victim ended by %v, not at %s; its last words:\n%s", c.victim.Exit(), c.point, text[max(int(before), len(text)-2000):])
		return false
	}
	return true
}

// judge waits until all is well and quiet, and has the checkers look at everything that the course has seen.
func (c *course) judge(death time.Time, r *result) {
	deadline := time.Now().Add(patience) // whoever insists may have taken his time until now
	fail := func(format string, args ...any) {
		r.violations = append(r.violations, checkers.Violation{Promise: "P5", Text: fmt.Sprintf(format, args...)})
	}
	for _, s := range inOrder(c.victim, c.other).servers {
		for c.desk.book(inOrder(s), c.places(serviceA)) == nil {
			if time.Now().After(deadline) {
				fail("server %d gives no place", s.Index)
				return
			}
		}
	}
	if err := c.consistent(c.began, deadline); err != nil {
		fail("inventory and ledger differ: %v", err)
	}
	if r.recovery = time.Since(death); r.recovery > soon {
		fail("recovery took %v", r.recovery)
	}
	if err := c.quiet(c.began, time.Now().Add(patience)); err != nil {
		fail("holds do not lapse: %v", err)
	}
	violations, stats, err := c.check(c.began)
	if err != nil {
		c.t.Fatal(err)
	}
	r.violations, r.stats = append(r.violations, violations...), stats
}

// judgeAll judges all courses of a lane together.
func (l *lane) judgeAll(t *testing.T) []checkers.Violation {
	t.Helper()
	deadline := time.Now().Add(patience)
	var late []checkers.Violation
	if err := errors.Join(l.consistent(since{}, deadline), l.quiet(since{}, deadline)); err != nil {
		late = append(late, checkers.Violation{Promise: "P5", Text: err.Error()})
	}
	violations, _, err := l.check(since{})
	if err != nil {
		t.Fatal(err)
	}
	return append(late, violations...)
}
