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
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
)

// The variables that say where to die.
const (
	AtVariable   = "MUSTER_CRASH_AT"   // the point, such as record/after; none: nowhere
	HitVariable  = "MUSTER_CRASH_HIT"  // which passing of it counts, from 1; none: the first
	WhenVariable = "MUSTER_CRASH_WHEN" // a file: only what is passed while it is there counts; none: all
	ListVariable = "MUSTER_CRASH_LIST" // set: the program lists the points and ends
)

// Plan says where the process dies. The zero value lets it live. Safe for concurrent use.
type Plan struct {
	at   string
	hit  int64
	when string

	passed atomic.Int64 // of the point, as far as it counted
	commit string       // the step whose commit is the point, if it is one
	under  atomic.Int64 // calls of that step under way

	die func(point string, hit int64) // does not return; tests replace it
}

// FromEnvironment reads the plan. An error says that a variable makes no sense: there is no such point, or no such hit.
func FromEnvironment(get func(name string) string) (*Plan, error) {
	p := &Plan{at: get(AtVariable), hit: 1, when: get(WhenVariable), die: die}
	if p.at != "" && !known(p.at) {
		return nil, fmt.Errorf("%s=%s: no such point (%s=1 lists them)", AtVariable, p.at, ListVariable)
	}
	if text := get(HitVariable); text != "" {
		hit, err := strconv.ParseInt(text, 10, 64)
		if err != nil || hit < 1 {
			return nil, fmt.Errorf("%s=%s is not a number from 1", HitVariable, text)
		}
		p.hit = hit
	}
	step, _, _ := strings.Cut(p.at, "/")
	for _, s := range steps {
		if s.writes && commitOf(s.name) == step {
			p.commit = s.name
		}
	}
	return p, nil
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
func die(point string, hit int64) {
	fmt.Fprintf(os.Stderr, "%s%s hit %d\n", Announcement, point, hit)
	if self, err := os.FindProcess(os.Getpid()); err != nil || self.Kill() != nil {
		os.Exit(3) // a system where no process may kill itself; the tests notice that it was no signal
	}
	select {} // until the signal comes
}

// pass notes that a point is passed, and does not return where it is the one to die at.
func (p *Plan) pass(step, moment string) {
	if p.at == "" || len(p.at) != len(step)+1+len(moment) || !strings.HasPrefix(p.at, step) || !strings.HasSuffix(p.at, moment) {
		return
	}
	if p.when != "" {
		if _, err := os.Stat(p.when); err != nil {
			return
		}
	}
	if n := p.passed.Add(1); n == p.hit {
		p.die(p.at, n)
	}
}

// Around carries a step out between its two points. One that fails has not happened: its point after is not passed.
func (p *Plan) Around(step string, do func() error) error {
	if p.commit == step {
		p.under.Add(1)
		defer p.under.Add(-1)
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

// committing notes a moment of a commit: of the step whose commit is the point, while a call of it is under way.
func (p *Plan) committing(moment string) {
	if p.commit != "" && p.under.Load() > 0 {
		p.pass(commitOf(p.commit), moment)
	}
}
