package bench

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"muster/bench/baseline"
)

// The engines that are compared.
const (
	Ours     = "muster"
	Embedded = "muster-embedded"
)

// Engines lists every engine, in the order of their turns.
var Engines = []string{
	Ours, Embedded, string(baseline.SkipLocked), string(baseline.Counter), string(baseline.Script), string(baseline.Commands),
	string(baseline.NoOp),
}

// Workload is what clients ask for.
type Workload string

// The workloads.
const (
	Spread    Workload = "spread"    // flows at any slot of all sites, in a closed loop
	Hot       Workload = "hot"       // the same at one slot of large capacity
	Holds     Workload = "holds"     // Spread without confirms, of engines with Redis only: what a hold costs it
	Batch     Workload = "batch"     // Spread with many flows in each request, of muster only
	Steady    Workload = "steady"    // Spread in an open loop, at half the rate of the slowest engine's closed loop
	Surge     Workload = "surge"     // Spread in an open loop, at half the rate of muster's closed loop
	Search    Workload = "search"    // the nearest ten sites with free slots, from a postcode; of muster and the no-op only
	Storm     Workload = "storm"     // a crowd at one slot of 150 places, everyone trying once
	Sustained Workload = "sustained" // Spread for minutes, of muster only; only where asked for
)

// Workloads lists every workload that is measured unless others are asked for, in order.
var Workloads = []Workload{Spread, Hot, Holds, Batch, Steady, Surge, Search, Storm}

// Variant is a further installation of muster, beside Redis nodes and with sites of its own.
type Variant struct {
	Name      string
	Redis     []string   // URLs of empty nodes, of a Cluster where there are several
	Sites     int        // default: as Options say
	Workloads []Workload // default: as Options say
}

// SitesVariant names the variant of so many sites.
func SitesVariant(sites int) string { return fmt.Sprintf("%s-%d-sites", Ours, sites) }

// NodesVariant names the variant of so many Redis nodes.
func NodesVariant(nodes int) string { return fmt.Sprintf("%s-%d-nodes", Ours, nodes) }

// Options say what to measure and where. Every field of the first group must be set; zero fields of the second one have
// defaults.
type Options struct {
	Program  string // the muster executable
	Self     string // an executable that begins with Child: this one
	Folder   string // for files; the caller removes it
	Postgres string // URL whose user may create databases and checkpoint; "": engines without PostgreSQL only
	Redis    string // URL of an empty Redis of the run's own; "": engines without Redis only

	Engines     []string                         // default: every one
	Variants    []Variant                        // beside the engines
	Workloads   []Workload                       // default: every one but Sustained
	Only        map[Workload][]string            // engines of a workload; default: all that it is meant for
	Brief       bool                             // engines one after the other, each started once for all its workloads; no raw inserts
	Clients     int                              // at once; default 512
	PerRequest  int                              // flows in a request of Batch, by as many fewer clients; default 32
	Repetitions int                              // default 5
	Sites       int                              // default 2,833: all that are real
	Slots       int                              // per site; default 8
	Capacity    int                              // per slot; default 120
	HotCapacity int                              // of the large slots; default 200,000
	Contenders  int                              // of Storm; default 50,000
	Rate        float64                          // flows a second of Steady; default as told there
	Warm        time.Duration                    // default 1 s
	Rest        time.Duration                    // how long a server may catch up after its start, at most; default 10 s
	Measure     time.Duration                    // default 4 s
	Parts       bool                             // also measure single parts
	Cold        bool                             // in the end, lose the Redis of muster and see how long it takes to come back
	Profiles    string                           // folder for CPU profiles of muster in each turn; "": none
	Progress    func(format string, args ...any) // default: silence
	Commit      string                           // for the report
	Command     string                           // for the report
	Without     map[string]string                // for the report: why this run cannot have a ratio
}

// Quick shortens a run to less than a minute, of one turn each: fewer sites, and only the engines that a ratio compares. They do
// not take turns, but each is started once, and audited after each workload as ever.
func (o Options) Quick() Options {
	o.Repetitions, o.Warm, o.Measure, o.Rest = 1, 300*time.Millisecond, time.Second, 2*time.Second
	o.Sites, o.Capacity, o.HotCapacity, o.Brief = 600, 40, 40_000, true
	o.Workloads = []Workload{Spread, Hot, Holds, Batch, Search}
	skip, counter, script := string(baseline.SkipLocked), string(baseline.Counter), string(baseline.Script)
	o.Only = map[Workload][]string{
		Spread: {Ours, Embedded, skip, counter, script}, Hot: {Ours, skip, counter}, Holds: {Ours, script}, Batch: {Ours},
		Search: {Ours, string(baseline.NoOp)},
	}
	o.Without = maps.Clone(o.Without)
	if o.Without == nil {
		o.Without = make(map[string]string)
	}
	o.Without[SitesRatio] = "100,000 sites cannot be published within a minute: run without --quick"
	return o
}

func (o Options) withDefaults() Options {
	for field, value := range map[*int]int{
		&o.Clients: 512, &o.PerRequest: 32, &o.Repetitions: 5, &o.Sites: 2833, &o.Slots: 8, &o.Capacity: 120, &o.HotCapacity: 200_000,
		&o.Contenders: 50_000,
	} {
		if *field == 0 {
			*field = value
		}
	}
	if o.Warm == 0 {
		o.Warm = time.Second
	}
	if o.Rest == 0 {
		o.Rest = 10 * time.Second
	}
	if o.Measure == 0 {
		o.Measure = 4 * time.Second
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

// Needs tells which servers a run needs.
func (o Options) Needs() (postgres, redis bool) {
	for _, name := range o.withDefaults().Engines {
		p, r := needs(name)
		postgres, redis = postgres || p, redis || r
	}
	return postgres || len(o.Variants) > 0, redis
}

// faults collects what is wrong.
type faults []error

func (f *faults) check(ok bool, format string, args ...any) {
	if !ok {
		*f = append(*f, fmt.Errorf(format, args...))
	}
}

// validate finds what is wrong, servers included.
func (o Options) validate() error {
	f := faults{o.Check()}
	for _, name := range o.Engines {
		postgres, redis := needs(name)
		f.check(!postgres || o.Postgres != "", "%s needs PostgreSQL", name)
		f.check(!redis || o.Redis != "", "%s needs Redis", name)
	}
	for _, v := range o.Variants {
		f.check(v.Name != "" && !slices.Contains(Engines, v.Name) && len(v.Redis) > 0 && v.Sites >= 0, "%+v is no variant", v)
		f.check(o.Postgres != "", "%s needs PostgreSQL", v.Name)
	}
	return errors.Join(f...)
}

// Check finds what is wrong with options, before servers are started for them.
func (o Options) Check() error {
	o = o.withDefaults()
	var f faults
	check := f.check
	for _, name := range o.Engines {
		check(slices.Contains(Engines, name), "there is no engine %q: %s", name, strings.Join(Engines, ", "))
	}
	for _, w := range o.Workloads {
		check(w == Sustained || slices.Contains(Workloads, w), "there is no workload %q: %v", w, append(slices.Clone(Workloads), Sustained))
	}
	check(o.Clients > 0 && o.Repetitions > 0 && o.Sites > 0 && o.Slots > 0 && o.Capacity > 0 && o.HotCapacity > 0, "a number is below 1")
	check(o.PerRequest > 0 && o.PerRequest <= 128 && o.Contenders >= stormPlaces && o.Rate >= 0, "a number is out of bounds")
	check(o.Slots <= maxSlots, "%d slots do not fit into a day that opens at 10", o.Slots)
	check(o.Warm >= 0 && o.Measure > 0, "a time is not positive")
	return errors.Join(f...)
}

// needs tells what stands behind an engine.
func needs(name string) (postgres, redis bool) {
	switch name {
	case Ours, string(baseline.Script), string(baseline.Commands):
		return true, true
	case string(baseline.SkipLocked), string(baseline.Counter):
		return true, false
	}
	return false, false
}

// takes says whether this run measures an engine under a workload.
func (o Options) takes(c *contender, w Workload) bool {
	if only, ok := o.Only[w]; ok && !slices.Contains(only, c.Name) || c.only != nil && !slices.Contains(c.only, w) {
		return false
	}
	return takes(c.Name, w)
}

// takes says whether an engine is measured under a workload. Those that take long show the engines that they are about.
func takes(engine string, w Workload) bool {
	_, redis := needs(engine)
	variant := !slices.Contains(Engines, engine)
	muster := engine == Ours || engine == Embedded || variant
	switch w {
	case Hot:
		return engine != string(baseline.NoOp)
	case Holds:
		return redis || variant
	case Batch, Sustained, Storm:
		return muster
	case Steady:
		return engine != string(baseline.NoOp) && engine != string(baseline.Commands)
	case Surge:
		return muster || engine == string(baseline.SkipLocked)
	case Search:
		return muster && engine != Embedded || engine == string(baseline.NoOp)
	}
	return true
}
