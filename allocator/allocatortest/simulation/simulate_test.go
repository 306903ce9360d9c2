package simulation

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"muster/allocator/allocatortest/reliability"
)

var (
	flagSeed    = flag.Uint64("simulate.seed", 0, "run this one seed, and show every step on standard error")
	flagSteps   = flag.Int("simulate.steps", 220, "steps of trouble of each seed")
	flagSeeds   = flag.Int("simulate.seeds", 60, "how many seeds to run")
	flagFirst   = flag.Uint64("simulate.first", 1, "the first of them")
	flagMinutes = flag.Int("simulate.minutes", 0, "run seeds for so long, however many")
	flagReport  = flag.String("simulate.report", "", "the folder to write simulate.json to")
)

// rarely are the ways that seeds must have taken, or the simulation has become too gentle. Plenty of seeds take each many times.
var rarely = []string{
	"re-seated", "void beats record", "record beats void", "double rebuild", "unknown became known",
	"lost hold confirmed by its token", "confirm_without_inventory", "generation raised", "refused by seating",
	"person has a booking", "moved", "set aside", "displaced", "epoch refused", "pin_settled", "pin_freed", "place_repaired",
	"hold_lost", "hold_lost_full", "place_taken", "reseat", "confirm_refused_HOLD_REVOKED", "confirm_refused_HOLD_LOST",
}

// TestMain lets the test binary be its own worker: a world replays exactly only where one thread runs its goroutines.
func TestMain(m *testing.M) {
	if os.Getenv(workerEnv) != "" {
		runtime.GOMAXPROCS(1)
		debug.SetGCPercent(-1) // between worlds only: its workers would take turns with ours
	}
	flag.Parse()
	os.Exit(m.Run())
}

// TestSimulate runs worlds and judges them. It fails at any broken promise, with the seed that shows it.
func TestSimulate(t *testing.T) {
	if *flagSeed != 0 {
		one(t)
		return
	}
	command := fmt.Sprintf("make simulate SEEDS=%d STEPS=%d", *flagSeeds, *flagSteps)
	if *flagMinutes > 0 {
		command = fmt.Sprintf("make soak MINUTES=%d", 2**flagMinutes)
	}
	part := reliability.New("simulate", command)
	for _, path := range rarely {
		part.Reached(path, 0)
	}
	part.NotTested = []string{
		"The simulator's SQL ledger is a model whose transactions are serial; contention inside a real database is for the ledgers' own suites and for chaos.",
	}
	work(t, func(r *Result) {
		part.Seeds++
		part.Steps += r.Steps
		part.Judged(fmt.Sprintf("make simulate SEED=%d STEPS=%d", r.Seed, *flagSteps), r.Violations, r.Stats)
		part.Recovered("simulated trouble (virtual time)", r.Recovery)
		for fault, n := range r.Faults {
			part.Injected(fault, n)
		}
		for path, n := range r.Paths {
			part.Reached(path, n)
		}
	})
	part.Seconds = time.Since(part.Started).Seconds()
	tell(t, part)
}

// tell prints and keeps what came of it, and fails the test where something was broken or never tried.
func tell(t *testing.T, part *reliability.Part) {
	t.Helper()
	t.Logf("%d seeds, %d steps, %d operations, %d histories judged, in %.0f s", part.Seeds, part.Steps, part.Operations, part.Histories, part.Seconds)
	for _, v := range part.Violations {
		t.Errorf("%s: %s (%s)", v.Promise, v.Text, v.Where)
	}
	if part.Seeds >= 2000 {
		for _, path := range rarely {
			if part.RarePaths[path] == 0 {
				t.Errorf("no seed took the way %q: the simulation has become too gentle", path)
			}
		}
	}
	if *flagReport != "" {
		if err := reliability.Write(*flagReport, part); err != nil {
			t.Error(err)
		}
	}
}

// one runs the asked seed in this process and prints its trace.
func one(t *testing.T) {
	lua := newLua(t)
	var trace bytes.Buffer
	r := runWorld(t, lua, Options{Seed: *flagSeed, Steps: *flagSteps, Trace: &trace})
	_, _ = io.Copy(os.Stderr, &trace)
	t.Logf("seed %d: %d steps, %d operations, digest %x, faults %v, paths %v", r.Seed, r.Steps, r.Operations, r.Digest, r.Faults, r.Paths)
	for _, v := range r.Violations {
		t.Errorf("%s: %s", v.Promise, v.Text)
	}
}

func newLua(t *testing.T) *interpreter {
	t.Helper()
	in, err := newInterpreter()
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// runWorld runs one seed.
func runWorld(t *testing.T, lua *interpreter, o Options) (r Result) {
	t.Helper()
	cryptotest.SetGlobalRandom(t, o.Seed)
	synctest.Test(t, func(t *testing.T) {
		var err error
		if r, err = Run(lua, o); err != nil {
			t.Fatal(err)
		}
	})
	return r
}
