package simulation

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest/checkers"
	"muster/allocator/allocatortest/memoryledger"
)

// Options say which world to run.
type Options struct {
	Seed  uint64
	Steps int       // of trouble; starting up and healing come on top
	Trace io.Writer // nil: no trace; otherwise a line for every step
}

// Result is what a world came to.
type Result struct {
	Seed       uint64
	Steps      int // of the scheduler, all
	Operations int // of citizens and publishers
	Stats      checkers.Stats
	Violations []checkers.Violation
	Faults     map[string]int // that happened, by kind
	Paths      map[string]int // rare ways that were taken
	Digest     uint64         // of every step: the same for the same seed
	Recovery   time.Duration  // virtual, from the end of trouble until inventory and ledger agreed
}

// world is one installation and everybody around it. Only the scheduler's goroutine uses its fields, but for what mu guards.
type world struct {
	seed       uint64
	random     *rand.Rand // of the scheduler
	mix        mix
	network    *network
	lua        *interpreter
	ledger     *memoryledger.Ledger
	primary    *node
	old        *node // an isolated old primary, or nil
	nodes      []*node
	replica    *node // a copy of the primary's data of some moment
	promotions int
	zone       *time.Location
	day        allocator.Date
	sites      []allocator.SiteID

	servers   []*server
	born      int
	redisDown bool
	ledgDown  bool
	people    int
	ended     atomic.Bool

	mu       sync.Mutex
	active   int // citizens under way
	history  []*checkers.Op
	days     []allocator.Day
	losses   []int64
	split    int64 // since when servers use two primaries; 0: they use one
	splits   []checkers.Span
	faults   map[string]int
	paths    map[string]int
	failures []checkers.Violation
	unknown  map[allocator.BookingKey]bool // records whose answer was lost
	reseated map[allocator.HoldID]bool     // lost holds that got places anew

	steps  int
	digest uint64
	trace  io.Writer
}

// Run runs a world to its end. It must be called in a testing/synctest bubble, in a process with GOMAXPROCS 1 if it is to
// replay exactly, and with random identifiers drawn from the seed (testing/cryptotest).
func Run(lua *interpreter, o Options) (Result, error) {
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		return Result{}, err
	}
	w := &world{
		seed: o.Seed, random: rand.New(rand.NewPCG(o.Seed, 0)), network: newNetwork(), lua: lua, zone: zone, trace: o.Trace,
		day: allocator.DateOf(time.Now().In(zone)) + 1, faults: make(map[string]int), paths: make(map[string]int),
		unknown: make(map[allocator.BookingKey]bool), reseated: make(map[allocator.HoldID]bool),
	}
	w.mix = newMix(w.random)
	if err := w.open(); err != nil {
		return Result{}, err
	}
	w.calm(2 * time.Second) // the servers start
	for range o.Steps {
		w.step()
	}
	w.heal()
	recovery := w.settle()
	result := w.judge()
	result.Recovery = recovery
	w.close()
	return result, nil
}

// open makes the installation: a catalogue, published days, an empty Redis, servers that start.
func (w *world) open() error {
	ledgerSkew := w.skew(w.mix.nodeSkew)
	w.ledger = memoryledger.New(func() time.Time { return time.Now().Add(ledgerSkew) })
	if err := w.catalogue(); err != nil {
		return err
	}
	var err error
	if w.primary, err = w.newNode(); err != nil {
		return err
	}
	for range w.mix.servers {
		sv, err := w.newServer()
		if err != nil {
			return err
		}
		w.servers = append(w.servers, sv)
	}
	return nil
}

func (w *world) catalogue() error {
	ctx := context.Background()
	for i := range w.mix.sites {
		site := allocator.Site{ID: allocator.SiteID(fmt.Sprint("S", i+1)), Name: "Site", TimeZone: "Europe/London", Lat: 53, Lon: -1}
		if _, err := w.ledger.PutSite(ctx, site, "simulation"); err != nil {
			return err
		}
		w.sites = append(w.sites, site.ID)
	}
	for _, code := range services {
		if _, err := w.ledger.PutService(ctx, allocator.DefaultService(code), "simulation"); err != nil {
			return err
		}
	}
	for _, site := range w.sites {
		day := allocator.Day{Site: site, Date: w.day, Sessions: w.sessions(w.random)}
		if _, err := w.publishing().Publish(ctx, []allocator.DayChange{{Day: day, Zone: w.zone, Actor: "simulation"}}); err != nil {
			return err
		}
	}
	return nil
}

// skew draws how wrong a clock is.
func (w *world) skew(most time.Duration) time.Duration {
	return time.Duration(w.random.Int64N(int64(2*most)+1)) - most
}

func (w *world) newNode() (*node, error) {
	skew := w.skew(w.mix.nodeSkew)
	id := len(w.nodes) + 1
	n, err := newNode(w.lua, fmt.Sprintf("run%d", id), fmt.Sprintf("replication%d", id), func() time.Time { return time.Now().Add(skew) })
	if err == nil {
		w.nodes = append(w.nodes, n)
	}
	return n, err
}

// close ends every goroutine of the world.
func (w *world) close() {
	w.ended.Store(true)
	for _, sv := range w.servers {
		if !sv.isDead() {
			w.kill(sv)
		}
	}
	for _, n := range w.nodes {
		n.close()
	}
	w.lua.forget()
	synctest.Wait()
	time.Sleep(time.Minute) // what still waits for a time-out
}

// Count implements allocator.Observer.
func (w *world) Count(event string) { w.path(event) }

func (w *world) path(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.paths[name]++
}

func (w *world) fault(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults[name]++
}

// broken notes a broken promise that a checker after the run would not see.
func (w *world) broken(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failures = append(w.failures, checkers.Violation{Promise: "P5", Text: fmt.Sprintf(format, args...)})
}

// note takes a step into the digest, by its kind and instant, and into the trace, if there is one, in full.
func (w *world) note(format string, args ...any) {
	w.stir(format, time.Now().UnixNano())
	if w.trace != nil {
		line := fmt.Sprintf(format, args...)
		fmt.Fprintf(w.trace, "%5d %s %s\n", w.steps, time.Now().UTC().Format("04:05.000000"), line)
	}
}

// stir takes a word and numbers into the digest (FNV-1a, by words).
func (w *world) stir(word string, numbers ...int64) {
	const prime = 1099511628211
	for i := range len(word) {
		w.digest = (w.digest ^ uint64(word[i])) * prime
	}
	for _, n := range numbers {
		w.digest = (w.digest ^ uint64(n)) * prime
	}
}
