// Package crashpoints kills the own process at a named point of the protocol, for tests of what is left behind.
//
// All that anybody can see of a server is its calls of the two ports, its commits and its answers. So a crash before and
// after each of them covers every step of the protocol. Decorators of the ports, of the connections to PostgreSQL, of
// SQLite's commits and of the clients' connections count how often each point is passed; at the one that was asked for
// the process writes a line that names it to stderr and sends itself SIGKILL: no deferred function runs, nothing is
// flushed.
//
// Only a program that was built with the tag crashpoints contains any of this.
package crashpoints

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// The variables that say where to die.
const (
	AtVariable   = "MUSTER_CRASH_AT"   // the point, such as record/after; none: nowhere
	HitVariable  = "MUSTER_CRASH_HIT"  // which passing of it counts, from 1; none: the first
	FileVariable = "MUSTER_CRASH_FILE" // in place of both, a file: while it is there, it says POINT HIT
	ListVariable = "MUSTER_CRASH_LIST" // set: the program lists the points and ends
)

// Plan says where the process dies. Safe for concurrent use.
type Plan struct {
	file  string                   // "": the order stands
	under map[string]*atomic.Int64 // calls under way of each step that writes

	mu     sync.Mutex
	text   string // as the file had it last
	order  order
	passed int // times that the ordered point was passed

	die func(point string, hit int) // does not return; tests replace it
}

// order is to die at a point, when it is passed for the so manieth time.
type order struct {
	point string // "": nowhere
	hit   int
}

// FromEnvironment reads the plan. An error says that a variable makes no sense: there is no such point, or no such hit.
func FromEnvironment(get func(name string) string) (p *Plan, err error) {
	p = &Plan{file: get(FileVariable), under: make(map[string]*atomic.Int64), die: die}
	for _, s := range steps {
		if s.writes {
			p.under[s.name] = new(atomic.Int64)
		}
	}
	if p.file == "" && get(AtVariable) != "" {
		p.order, err = parse(get(AtVariable) + " " + cmp.Or(get(HitVariable), "1"))
	}
	return p, err
}

// parse reads POINT HIT.
func parse(text string) (order, error) {
	point, number, _ := strings.Cut(strings.TrimSpace(text), " ")
	if !known(point) {
		return order{}, fmt.Errorf("%s: no such point (%s=1 lists them)", point, ListVariable)
	}
	hit, err := strconv.Atoi(number)
	if err != nil || hit < 1 {
		return order{}, fmt.Errorf("%s: %q is not a number from 1", point, number)
	}
	return order{point, hit}, nil
}

// List writes every point, one a line.
func List(to io.Writer) {
	for _, point := range Points() {
		fmt.Fprintln(to, point)
	}
}

// Announcement begins the line that a dying process writes; the point follows.
const Announcement = "crash point "

// die ends the process as kill -9 would.
func die(point string, hit int) {
	fmt.Fprintf(os.Stderr, "%s%s hit %d\n", Announcement, point, hit)
	if self, err := os.FindProcess(os.Getpid()); err != nil || self.Kill() != nil {
		os.Exit(3) // a system where no process may kill itself; the tests notice that it was no signal
	}
	select {} // until the signal comes
}

// pass notes that a point is passed, and does not return where it is the one to die at.
func (p *Plan) pass(step, moment string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file != "" && !p.reread() {
		return
	}
	if o := p.order; len(o.point) != len(step)+1+len(moment) || !strings.HasPrefix(o.point, step) || !strings.HasSuffix(o.point, moment) {
		return
	}
	if p.passed++; p.passed == p.order.hit {
		p.die(p.order.point, p.passed)
	}
}

// reread takes over what the file says now; false where it says nothing.
func (p *Plan) reread() bool {
	text, err := os.ReadFile(p.file)
	switch {
	case err != nil:
		p.text = ""
		return false
	case string(text) == p.text:
		return true
	}
	next, err := parse(string(text))
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", p.file, err)
		return false
	}
	p.text, p.order, p.passed = string(text), next, 0
	return true
}

// Around carries a step out between its two points. One that fails has not happened: its point after is not passed.
func (p *Plan) Around(step string, do func() error) error {
	if calls := p.under[step]; calls != nil {
		calls.Add(1)
		defer calls.Add(-1)
	}
	p.pass(step, before)
	err := do()
	if err == nil {
		p.pass(step, after)
	}
	return err
}

// around is Around for a call that answers something.
func around[T any](p *Plan, step string, do func() (T, error)) (value T, err error) {
	err = p.Around(step, func() error {
		value, err = do()
		return err
	})
	return value, err
}

// committing notes a moment of a commit: of each step of which a call is under way.
func (p *Plan) committing(moment string) {
	for step, calls := range p.under {
		if calls.Load() > 0 {
			p.pass(commitOf(step), moment)
		}
	}
}
