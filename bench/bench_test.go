package bench_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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
	output      = flag.String("bench.report", "", "folder for the report: text, JSON, Markdown and pictures")
	profiles    = flag.String("bench.profile", "", "folder for a CPU profile of muster in each turn")
	parts       = flag.Bool("bench.parts", true, "also measure single parts: inserts alone, the search for the nearest")
	scale       = flag.Bool("bench.scale", false, "measure how muster grows instead: sites, Redis nodes, live claims, cold starts")
	scaleSites  = flag.String("bench.scale.sites", "1000,10000,100000", "numbers of sites, with 140 slots each")
	scaleNodes  = flag.String("bench.scale.nodes", "1,3,6", "numbers of Redis nodes")
	scaleClaims = flag.Int("bench.scale.claims", 10_000_000, "live claims, as far as memory allows")
	sustained   = flag.Duration("bench.sustained", 0, "measure flows for so long without a break instead, 10m for example")
	rate        = flag.Float64("bench.rate", 0, "flows a second of the workload steady; 0: half of the slowest engine's closed loop")
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
	o.Clients, o.Rate, o.Profiles, o.Parts = *clients, *rate, *profiles, *parts
	if *profiles != "" {
		if err := os.MkdirAll(*profiles, 0o755); err != nil {
			t.Fatal(err)
		}
	}
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
	run := bench.Run
	switch {
	case *scale:
		run = runScale(t)
	case *sustained > 0:
		o = sustain(o)
	}
	report, err := run(t.Context(), o)
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

// sustain asks for one long turn of muster, with room for 14 million bookings.
func sustain(o bench.Options) bench.Options {
	o.Engines, o.Workloads, o.Repetitions, o.Measure = []string{bench.Ours}, []bench.Workload{bench.Sustained}, 1, *sustained
	o.Slots, o.Capacity, o.Parts = 50, 100, false
	return o
}

// runScale measures installations of several sizes, each beside Redis of its own, and what many claims cost.
func runScale(t *testing.T) func(context.Context, bench.Options) (*bench.Report, error) {
	return func(ctx context.Context, o bench.Options) (*bench.Report, error) {
		o.Engines, o.Parts, o.Cold = []string{}, false, true
		if o.Workloads == nil {
			o.Workloads = []bench.Workload{bench.Spread, bench.Holds, bench.Search}
		}
		o.Slots, o.Capacity, o.HotCapacity, o.Redis = 140, 10, 1, ""
		if *repetitions == 0 {
			o.Repetitions = 3
		}
		for _, n := range numbers(t, *scaleSites) {
			url := "redis://" + servers.Redis(t).Addr()
			o.Variants = append(o.Variants, bench.Variant{Name: bench.SitesVariant(n), Redis: []string{url}, Sites: n})
		}
		for _, n := range numbers(t, *scaleNodes) {
			v := bench.Variant{Name: bench.NodesVariant(n)}
			for _, address := range nodes(t, n) {
				v.Redis = append(v.Redis, "redis://"+address)
			}
			o.Variants = append(o.Variants, v)
		}
		report, err := bench.Run(ctx, o)
		if err != nil && report == nil {
			return nil, err
		}
		var failed error
		report.Claims, failed = bench.LiveClaims(ctx, servers.Redis(t, "--appendonly", "no").Addr(), *scaleClaims, t.Logf)
		return report, errors.Join(err, failed)
	}
}

// nodes are the addresses of a Cluster; one node is none.
func nodes(t *testing.T, n int) []string {
	if n == 1 {
		return []string{servers.Redis(t).Addr()}
	}
	return servers.RedisCluster(t, n)
}

func numbers(t *testing.T, list string) (all []int) {
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("%q is no list of numbers", list)
		}
		all = append(all, n)
	}
	return all
}

// write leaves the report in a folder, in every form.
func write(t *testing.T, folder string, report *bench.Report) {
	t.Helper()
	kind := "bench"
	switch {
	case *scale:
		kind = "scale"
	case *sustained > 0:
		kind = "sustained"
	}
	text, err := json.MarshalIndent(report, "", "  ")
	err = errors.Join(err, os.MkdirAll(folder, 0o755))
	for name, content := range map[string]string{
		".json": string(text) + "\n", ".txt": report.Table(), ".md": report.Markdown(), "-flows.svg": report.FlowsPicture(),
		"-latency.svg": report.LatencyPicture(),
	} {
		err = errors.Join(err, os.WriteFile(filepath.Join(folder, kind+name), []byte(content), 0o644))
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
		if strings.HasPrefix(word, "-bench.") && !strings.HasPrefix(word, "-bench.report") {
			words = append(words, word)
		}
	}
	return strings.Join(words, " ")
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
