package bench_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"muster/allocator/allocatortest/servers"
	"muster/bench"
	"muster/bench/baseline"
	"muster/loadtest/installation"
)

// TestMain lets this program be the server of a baseline too.
func TestMain(m *testing.M) {
	if ok, err := bench.Child(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	} else if ok {
		os.Exit(0)
	}
	installation.Main(m)
}

func options(t *testing.T) bench.Options {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return bench.Options{
		Program: installation.Program(t), Self: self, Folder: t.TempDir(), Postgres: servers.Postgres(t),
		Redis: "redis://" + servers.Redis(t).Addr(), Progress: t.Logf,
	}
}

// Every engine can be measured, under each kind of load that it takes, and its books are clean.
func TestSmoke(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	o := options(t)
	o.Clients, o.PerRequest, o.Repetitions, o.Sites, o.Slots, o.Capacity, o.HotCapacity = 16, 4, 1, 40, 4, 1_000, 5_000
	o.Warm, o.Measure, o.Contenders, o.Rate, o.Parts = 50*time.Millisecond, 150*time.Millisecond, 400, 100, true
	o.Workloads = []bench.Workload{bench.Spread, bench.Batch, bench.Search, bench.Storm}
	report, err := bench.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	turns := make(map[bench.Workload]int)
	for _, turn := range report.Turns {
		turns[turn.Workload]++
		if turn.Flows == 0 || turn.Flow.P50 <= 0 || turn.Audit == nil && turn.Engine != string(baseline.NoOp) {
			t.Errorf("%+v", turn)
		}
		if turn.Workload == bench.Spread && turn.Audit != nil && int64(turn.Audit.Bookings) < turn.Flows {
			t.Errorf("%s booked %d flows and has %d bookings", turn.Engine, turn.Flows, turn.Audit.Bookings)
		}
		if s := turn.Storm; s != nil && (s.Booked != 150 || s.Refused != 250 || s.SoldOut <= 0 || s.AllAnswered < s.SoldOut) {
			t.Errorf("%s in a storm: %+v", turn.Engine, *s)
		}
	}
	want := map[bench.Workload]int{bench.Spread: len(bench.Engines), bench.Batch: 2, bench.Search: 2, bench.Storm: 2}
	if !maps.Equal(turns, want) || !report.Counts {
		t.Fatalf("turns: %v, want %v; counts: %v", turns, want, report.Counts)
	}
	for _, name := range []string{"flows_vs_postgres", "flows_vs_uncombined", "embedded_vs_postgres", "batch_vs_postgres", "search_vs_noop", "nearest_vs_geosearch"} {
		if report.Ratios[name] <= 0 {
			t.Errorf("no ratio %s", name)
		}
	}
	t.Log("\n" + report.Table())
}

// A load can be open: times count from the plan, and a profile of the server is taken meanwhile.
func TestSmokeOpen(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	o := options(t)
	o.Clients, o.Repetitions, o.Sites, o.Slots, o.Capacity, o.HotCapacity = 16, 1, 12, 4, 1_000, 5_000
	o.Warm, o.Measure, o.Rate, o.Profiles = 50*time.Millisecond, 300*time.Millisecond, 200, t.TempDir()
	o.Engines, o.Workloads = []string{bench.Ours}, []bench.Workload{bench.Steady, bench.Surge}
	report, err := bench.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Turns) != 1 {
		t.Fatalf("%d turns: without a closed loop a surge has no rate", len(report.Turns))
	}
	turn := report.Turns[0]
	if turn.TimedFrom != "plan" || turn.Planned != 200 || turn.Flows == 0 || turn.Flow.P50 <= 0 {
		t.Errorf("%+v", turn)
	}
	if turn.Allocations <= 0 {
		t.Error("nobody counted allocations")
	}
	profile, err := os.ReadFile(filepath.Join(o.Profiles, "muster-steady-1.pprof"))
	if err != nil || len(profile) < 100 {
		t.Errorf("a profile of %d bytes: %v", len(profile), err)
	}
}

// A brief run starts each engine once, measures what ratios compare and names what it could not.
func TestSmokeQuick(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	o := options(t)
	o = o.Quick()
	o.Clients, o.PerRequest, o.Sites, o.Slots, o.Capacity, o.HotCapacity = 16, 4, 40, 4, 1_000, 5_000
	o.Warm, o.Measure, o.Rest, o.Parts = 50*time.Millisecond, 150*time.Millisecond, time.Nanosecond, true
	report, err := bench.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range bench.FullRatios {
		if report.Ratios[name] <= 0 && name != bench.SitesRatio {
			t.Errorf("no ratio %s", name)
		}
	}
	if n := report.NotMeasured; len(n) != 1 || n[0].Ratio != bench.SitesRatio || n[0].Why != o.Without[bench.SitesRatio] {
		t.Errorf("not measured: %+v", n)
	}
	if n := len(report.Turns); n != 13 || !report.Counts {
		t.Errorf("%d turns, counts %v", n, report.Counts)
	}
}

// Wrong options are found before anything is started.
func TestCheck(t *testing.T) {
	if err := (bench.Options{}).Check(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	for name, o := range map[string]bench.Options{
		"engine": {Engines: []string{"steam"}}, "workload": {Workloads: []bench.Workload{"rest"}}, "clients": {Clients: -1},
		"slots": {Slots: 1_000}, "contenders": {Contenders: 10}, "time": {Measure: -1},
	} {
		if o.Check() == nil {
			t.Errorf("%s: nothing is found wrong", name)
		}
	}
}
