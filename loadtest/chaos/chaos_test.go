package chaos

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"muster/allocator/allocatortest/reliability"
	"muster/loadtest/installation"
)

var (
	seedFlag    = flag.Uint64("chaos.seed", 0, "run every scenario with this `seed`; 0: only where a report is asked for, with seed 1")
	minutesFlag = flag.Float64("chaos.minutes", 0, "how many `minutes` TestSoak runs")
	lanesFlag   = flag.Int("chaos.lanes", 4, "how many installations are used at once")
	reportFlag  = flag.String("chaos.report", "", "`folder` to write the report to")
)

func TestMain(m *testing.M) { installation.Main(m) }

// tally gathers what all scenarios of a test have shown.
type tally struct {
	mu   sync.Mutex
	part *reliability.Part
}

func newTally(suite, command string) *tally {
	part := reliability.New(suite, command)
	part.NotTested = notTested
	return &tally{part: part}
}

// command is what a reader types to repeat a test.
func command(test, flags string) string {
	return "deploy/testservers/run go test -count=1 -v -timeout 0 ./loadtest/chaos -run '^" + test + "$' " + flags
}

// notTested is what no scenario of this package tries.
var notTested = []string{
	"Clocks that jump or differ between machines: all processes share one clock.",
	"Loss of power: a killed process leaves what it wrote to the kernel, so fsync is not put to the test.",
	"Failover of the SQL database to a replica, and a real CockroachDB: the ledger is one PostgreSQL.",
	"A full disk under PostgreSQL or Redis; under the embedded ledger only where a tmpfs may be mounted.",
}

func (l *tally) add(do func(p *reliability.Part)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	do(l.part)
}

// finish prints the table and writes the report where one is asked for.
func (l *tally) finish(t *testing.T) {
	t.Helper()
	l.part.Seconds = time.Since(l.part.Started).Round(time.Millisecond).Seconds()
	if err := reliability.Sum([]reliability.Part{*l.part}).Table(os.Stdout); err != nil {
		t.Error(err)
	}
	if *reportFlag != "" {
		if err := reliability.Write(*reportFlag, l.part); err != nil {
			t.Error(err)
		}
	}
}

// inLanes runs tests side by side, so many at once.
func inLanes(t *testing.T, n int, names []string, run func(t *testing.T, name string)) {
	t.Helper()
	lanes := make(chan struct{}, n)
	t.Run("all", func(t *testing.T) {
		var running sync.WaitGroup
		for _, name := range names {
			lanes <- struct{}{}
			running.Go(func() {
				defer func() { <-lanes }()
				t.Run(name, func(t *testing.T) { run(t, name) })
			})
		}
		running.Wait()
	})
}

func TestChaos(t *testing.T) {
	seed := *seedFlag
	switch {
	case seed == 0 && *reportFlag == "":
		t.Skip("give -chaos.seed=1 to run every scenario; TestSmoke runs one")
	case seed == 0:
		seed = 1
	}
	all := newTally("chaos", command("TestChaos", fmt.Sprintf("-chaos.seed=%d", seed)))
	defer all.finish(t)
	var names []string
	byName := make(map[string]scenario)
	for _, s := range scenarios {
		names, byName[s.name] = append(names, s.name), s
	}
	inLanes(t, *lanesFlag, names, func(t *testing.T, name string) { byName[name].run(t, seed, all) })
}

// A server dies in mid-load: the shortest of all scenarios, for every run of the tests.
func TestSmoke(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes, and -short was asked for")
	}
	all := newTally("smoke", "go test ./loadtest/chaos")
	s := scenarios[0]
	s.short = true
	s.run(t, 1, all)
}

// TestSoak runs scenarios and mixtures of faults, each with a seed of its own, until its time is over.
func TestSoak(t *testing.T) {
	if *minutesFlag == 0 {
		t.Skip("give -chaos.minutes=30, and a -timeout above that")
	}
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	all := newTally("soak", command("TestSoak", fmt.Sprintf("-chaos.minutes=%g -chaos.seed=%d", *minutesFlag, seed)))
	defer all.finish(t)
	until := time.Now().Add(time.Duration(*minutesFlag * float64(time.Minute)))
	var lanes sync.WaitGroup
	for lane := range *lanesFlag {
		rng := rand.New(rand.NewPCG(seed, uint64(lane)))
		lanes.Go(func() {
			for round := 0; time.Now().Before(until); round++ {
				s, own := anyScenario(rng), rng.Uint64()>>16
				name := fmt.Sprintf("%s-%d", s.name, own)
				fmt.Printf("lane %d, round %d: %s\n", lane, round, name)
				t.Run(name, func(t *testing.T) { s.run(t, own, all) })
			}
		})
	}
	lanes.Wait()
}
