package bench_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"muster/allocator/allocatortest/servers"
	"muster/bench"
	"muster/bench/baseline"
	"muster/loadtest/installation"
)

var (
	all         = flag.Bool("bench.all", false, "measure: without it, only whether measuring works is tested")
	quick       = flag.Bool("bench.quick", false, "one short turn each: about a minute and a half in all")
	engines     = flag.String("bench.engines", "", "comma-separated names; none: all")
	workloads   = flag.String("bench.workloads", "", "comma-separated names; none: all")
	clients     = flag.Int("bench.clients", 512, "clients at once")
	repetitions = flag.Int("bench.repetitions", 0, "turns of each engine under each workload; 0: 5, with -bench.quick 1")
	measure     = flag.Duration("bench.time", 0, "how long a turn is measured; 0: 5s, with -bench.quick 1.5s")
	output      = flag.String("bench.json", "", "file for the report")
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

// TestBench is `make bench`.
func TestBench(t *testing.T) {
	if !*all {
		t.Skip("measures for minutes; -bench.all asks for it")
	}
	o := options(t)
	if *quick {
		o = o.Quick()
	}
	o.Clients = *clients
	if *repetitions > 0 {
		o.Repetitions = *repetitions
	}
	if *measure > 0 {
		o.Measure = *measure
	}
	if *engines != "" {
		o.Engines = strings.Split(*engines, ",")
	}
	if *workloads != "" {
		for name := range strings.SplitSeq(*workloads, ",") {
			o.Workloads = append(o.Workloads, bench.Workload(name))
		}
	}
	o.Commit, o.Command = commit(), command()
	report, err := bench.Run(t.Context(), o)
	if err != nil && !errors.Is(err, bench.ErrDoesNotCount) {
		t.Fatal(err)
	}
	fmt.Println(report.Table())
	if *output != "" {
		write(t, *output, report)
	}
	if err != nil {
		t.Error(err)
	}
}

func write(t *testing.T, file string, report *bench.Report) {
	t.Helper()
	text, err := json.MarshalIndent(report, "", "  ")
	if err == nil {
		err = os.WriteFile(file, append(text, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// commit is the revision of the sources, with a note where they differ from it.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// command repeats this run.
func command() string {
	words := []string{"deploy/testservers/run", "go", "test", "-count=1", "-v", "-timeout=60m", "./bench", "-run='^TestBench$'"}
	for _, word := range os.Args[1:] {
		if strings.HasPrefix(word, "-bench.") && !strings.HasPrefix(word, "-bench.json") {
			words = append(words, word)
		}
	}
	return strings.Join(words, " ")
}

// Every engine can be measured, and its books are clean.
func TestSmoke(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	o := options(t)
	o.Clients, o.Repetitions, o.Sites, o.Slots, o.Capacity, o.HotCapacity = 16, 1, 12, 4, 1_000, 5_000
	o.Warm, o.Measure = 50*time.Millisecond, 150*time.Millisecond
	o.Workloads = []bench.Workload{bench.Spread}
	report, err := bench.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if want := len(bench.Engines); len(report.Turns) != want || !report.Counts {
		t.Fatalf("%d turns, want %d; counts: %v", len(report.Turns), want, report.Counts)
	}
	for _, turn := range report.Turns {
		if turn.Flows == 0 || turn.Flow.P50 <= 0 || turn.Audit == nil && turn.Engine != string(baseline.NoOp) {
			t.Errorf("%+v", turn)
		}
		if turn.Audit != nil && int64(turn.Audit.Bookings) < turn.Flows {
			t.Errorf("%s booked %d flows and has %d bookings", turn.Engine, turn.Flows, turn.Audit.Bookings)
		}
	}
	for _, name := range []string{"flows_vs_postgres", "flows_vs_uncombined", "embedded_vs_postgres"} {
		if report.Ratios[name] <= 0 {
			t.Errorf("no ratio %s", name)
		}
	}
	t.Log("\n" + report.Table())
}
