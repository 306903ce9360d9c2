package bench

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"muster/bench/baseline"
)

// The engines that are compared.
const (
	Ours     = "muster"
	Embedded = "muster-embedded"
)

// Engines lists every engine, in the order of their turns.
var Engines = []string{Ours, Embedded, string(baseline.SkipLocked), string(baseline.Counter), string(baseline.Script), string(baseline.NoOp)}

// Workload is what clients ask for.
type Workload string

// The workloads.
const (
	Spread Workload = "spread" // flows at any slot of all sites
	Hot    Workload = "hot"    // flows at one slot of large capacity
	Holds  Workload = "holds"  // Spread without confirms, of engines with Redis only: what a hold costs it
)

// Workloads lists every workload, in order.
var Workloads = []Workload{Spread, Hot, Holds}

// Options say what to measure and where. Every field of the first group must be set; zero fields of the second one have
// defaults.
type Options struct {
	Program  string // the muster executable
	Self     string // an executable that begins with Child: this one
	Folder   string // for files; the caller removes it
	Postgres string // URL whose user may create databases and checkpoint; "": engines without PostgreSQL only
	Redis    string // URL of an empty Redis of the run's own; "": engines without Redis only

	Engines     []string   // default: every one
	Workloads   []Workload // default: every one
	Clients     int        // at once; default 512
	Repetitions int        // default 5
	Sites       int        // default 2,833: all there are
	Slots       int        // per site; default 8
	Capacity    int        // per slot; default 60
	HotCapacity int        // of the large slots; default 150,000
	Warm        time.Duration
	Measure     time.Duration                    // default 5 s after a second of warming up
	Progress    func(format string, args ...any) // default: silence
	Commit      string                           // for the report
	Command     string                           // for the report
}

// Quick shortens a run to about a minute.
func (o Options) Quick() Options {
	o.Repetitions, o.Warm, o.Measure = 1, 500*time.Millisecond, 1500*time.Millisecond
	o.Capacity, o.HotCapacity = 20, 60_000
	return o
}

func (o Options) withDefaults() Options {
	for field, value := range map[*int]int{
		&o.Clients: 512, &o.Repetitions: 5, &o.Sites: 2833, &o.Slots: 8, &o.Capacity: 60, &o.HotCapacity: 150_000,
	} {
		if *field == 0 {
			*field = value
		}
	}
	if o.Warm == 0 {
		o.Warm = time.Second
	}
	if o.Measure == 0 {
		o.Measure = 5 * time.Second
	}
	if o.Engines == nil {
		o.Engines = Engines
	}
	if o.Workloads == nil {
		o.Workloads = Workloads
	}
	if o.Progress == nil {
		o.Progress = func(string, ...any) {}
	}
	return o
}

func (o Options) validate() error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	for _, name := range o.Engines {
		postgres, redis := needs(name)
		check(slices.Contains(Engines, name), "there is no engine %q", name)
		check(!postgres || o.Postgres != "", "%s needs PostgreSQL", name)
		check(!redis || o.Redis != "", "%s needs Redis", name)
	}
	for _, w := range o.Workloads {
		check(slices.Contains(Workloads, w), "there is no workload %q", w)
	}
	check(o.Clients > 0 && o.Repetitions > 0 && o.Sites > 0 && o.Slots > 0 && o.Capacity > 0 && o.HotCapacity > 0, "a number is below 1")
	check(o.Slots <= 60, "%d slots do not fit into a day that opens at 10", o.Slots)
	check(o.Warm >= 0 && o.Measure > 0, "a time is not positive")
	return errors.Join(faults...)
}

// needs tells what stands behind an engine.
func needs(name string) (postgres, redis bool) {
	switch name {
	case Ours, string(baseline.Script):
		return true, true
	case string(baseline.SkipLocked), string(baseline.Counter):
		return true, false
	}
	return false, false
}

// takes says whether an engine is measured under a workload.
func takes(name string, w Workload) bool {
	_, redis := needs(name)
	switch w {
	case Hot:
		return name != string(baseline.NoOp)
	case Holds:
		return redis
	}
	return true
}
