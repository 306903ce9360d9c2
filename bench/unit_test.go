package bench

import (
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"muster/allocator"
	"muster/bench/baseline"
)

// Quantiles are at most 1.6 % above those of the sorted durations, and never below.
func TestHistogram(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	h := new(Histogram)
	if h.Quantile(0.5) != 0 {
		t.Error("an empty histogram has a median")
	}
	var all []time.Duration
	for range 20_000 {
		d := time.Duration(rng.ExpFloat64()*float64(20*time.Millisecond)) / time.Microsecond * time.Microsecond
		h.Add(d)
		all = append(all, d)
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.01, 0.5, 0.99, 0.999, 1} {
		exact := all[max(0, int(q*float64(len(all)))-1)]
		if got := h.Quantile(q); got < exact || float64(got) > 1.016*float64(exact)+1000 {
			t.Errorf("quantile %g is %v, want %v", q, got, exact)
		}
	}
	if h.Count() != 20_000 {
		t.Errorf("%d counted", h.Count())
	}
}

func TestBuckets(t *testing.T) {
	for micros := int64(0); micros < 1<<20; micros++ {
		b := bucketOf(micros)
		if upperEdge(b) < micros || b > 0 && upperEdge(b-1) >= micros {
			t.Fatalf("%d µs is in bucket %d, between %d and %d", micros, b, upperEdge(b-1), upperEdge(b))
		}
	}
	if b := bucketOf(1 << 62); b != buckets-1 {
		t.Errorf("a very long time is in bucket %d of %d", b, buckets)
	}
}

// Every fault that books can have is found, and sound books are clean.
func TestJudge(t *testing.T) {
	slot := func(n int) allocator.SlotID {
		return allocator.SlotID{Site: "A", Start: allocator.Minute(n), Length: slotMinutes}
	}
	capacity := func(s allocator.SlotID) int { return map[allocator.SlotID]int{slot(1): 2, slot(2): 1}[s] }
	named := func(text string) name {
		n, ok := nameOf(text)
		if !ok {
			t.Fatal(text)
		}
		return n
	}
	booked := func(reference, person string, n int, place int32) row {
		return row{named(reference), named(person), slot(n), place}
	}
	sound := []row{booked("r1", "p1", 1, 1), booked("r2", "p2", 1, 2), booked("r3", "p3", 2, 1)}
	with := func(rows ...row) []row { return append(slices.Clone(sound), rows...) }
	told := func(references ...string) *acknowledged {
		a := new(acknowledged)
		for _, r := range references {
			a.add([]name{named(r)}, 0)
		}
		return a
	}
	maybe := told("r1", "r2")
	maybe.add(nil, 1)
	counted := []row{booked("r1", "p1", 1, noPlace), booked("r2", "p2", 1, noPlace)}
	for name, c := range map[string]struct {
		rows []row
		told *acknowledged
		want Findings
	}{
		"sound":           {sound, told("r1", "r2", "r3"), Findings{Bookings: 3}},
		"unknown":         {sound, maybe, Findings{Bookings: 3, Unknown: 1}},
		"no places":       {counted, told("r1", "r2"), Findings{Bookings: 2}},
		"oversold":        {with(booked("r4", "p4", 2, 2)), told("r1", "r2", "r3", "r4"), Findings{Bookings: 4, Oversold: 1}},
		"not published":   {with(booked("r4", "p4", 9, 1)), told("r1", "r2", "r3", "r4"), Findings{Bookings: 4, Oversold: 1}},
		"place twice":     {[]row{sound[0], booked("r2", "p2", 1, 1)}, told("r1", "r2"), Findings{Bookings: 2, Duplicates: 1}},
		"person twice":    {[]row{sound[0], booked("r2", "p1", 1, 2)}, told("r1", "r2"), Findings{Bookings: 2, People: 1}},
		"lost":            {sound[:2], told("r1", "r2", "r3"), Findings{Bookings: 2, Lost: 1}},
		"stray":           {sound, told("r1", "r3"), Findings{Bookings: 3, Strays: 1}},
		"reference twice": {sound, told("r1", "r2", "r3", "r3"), Findings{Bookings: 3, Duplicates: 1}},
	} {
		got := judge(c.rows, capacity, c.told)
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
		faulty := c.want.Oversold+c.want.Duplicates+c.want.People+c.want.Lost+c.want.Strays > 0
		if got.Clean() == faulty {
			t.Errorf("%s: clean is %v", name, got.Clean())
		}
	}
}

// Ratios compare medians, with the faster of the two engines on PostgreSQL alone, and only of figures that count.
func TestRatios(t *testing.T) {
	r := newReport(Options{})
	add := func(engine string, w Workload, counts bool, rates ...float64) {
		for i, rate := range rates {
			cpu := map[string]float64{cpuRedis: rate / 10, cpuGenerator: 5000}
			r.Turns = append(r.Turns, Turn{Engine: engine, Workload: w, Repetition: i, Counts: counts, FlowsPerSec: rate, CPU: cpu,
				Hold: Latency{P99: 1000 / rate}})
		}
	}
	add(Ours, Spread, true, 900, 100, 800)
	add(Ours, Hot, true, 400)
	add(Ours, Holds, true, 50)
	add(string(baseline.SkipLocked), Spread, true, 100, 80, 300)
	add(string(baseline.Counter), Spread, true, 200)
	add(string(baseline.SkipLocked), Hot, true, 10)
	add(string(baseline.Counter), Hot, false, 5)
	add(string(baseline.Script), Holds, true, 300)
	add(string(baseline.Script), Spread, true, 100, 300)
	add(SitesVariant(1_000), Spread, true, 200)
	add(SitesVariant(100_000), Spread, true, 190)
	r.summarize()
	want := map[string]float64{SitesRatio: 0.95, "flows_vs_postgres": 4, "cpu_vs_postgres": 0.25, "hot_slot_vs_spread": 0.5, "flows_vs_uncombined": 4, "redis_cpu_vs_single": 6, "hold_p99_vs_postgres": 4}
	for name, ratio := range want {
		if got := r.Ratios[name]; got < 0.999*ratio || got > 1.001*ratio {
			t.Errorf("%s is %g, want %g", name, got, ratio)
		}
	}
	if len(r.Ratios) != len(want) {
		t.Errorf("ratios are %v: what does not count must not be compared", r.Ratios)
	}
	missing := []string{"hot_slot_vs_postgres", "batch_vs_postgres", "search_vs_noop", "nearest_vs_geosearch", "embedded_vs_postgres"}
	if !slices.EqualFunc(r.NotMeasured, missing, func(n NotMeasured, name string) bool { return n.Ratio == name && n.Why != "" }) {
		t.Errorf("not measured: %+v", r.NotMeasured)
	}
	if r.Counts {
		t.Error("a report with a turn that does not count counts")
	}
}

// People's numbers are valid and never the same.
func TestNHSNumbers(t *testing.T) {
	seen, missing := make(map[[10]byte]bool), 0
	for n := range int64(5_000) {
		number, ok := nhsNumber(n)
		if !ok {
			missing++
			continue
		}
		if _, valid := allocator.ValidNHSNumber(string(number[:])); !valid || seen[number] {
			t.Fatalf("number %d is %s, invalid or not the only one", n, number)
		}
		seen[number] = true
	}
	if missing < 350 || missing > 550 {
		t.Errorf("%d of 5000 are left out, and one in eleven has no check digit", missing)
	}
}

// Both ways to read a process's CPU time agree: work of a fifth of a second is more than the ticks that may lie between.
func TestProcessCPU(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc")
	}
	start, begun := ownCPU(), cpuOf(t, os.Getpid())
	digits := 0
	for ownCPU() < start+200*time.Millisecond {
		for i := range 100_000 {
			digits += len(strconv.Itoa(i))
		}
	}
	read := cpuOf(t, os.Getpid()) - begun
	if own := ownCPU() - start; read < 150*time.Millisecond || read > own+50*time.Millisecond {
		t.Errorf("/proc tells %v, getrusage %v, after writing %d digits", read, own, digits)
	}
	if _, err := familyCPU(os.Getpid()); err != nil {
		t.Error(err)
	}
}

func cpuOf(t *testing.T, pid int) time.Duration {
	t.Helper()
	self, _, err := processCPU(pid)
	if err != nil {
		t.Fatal(err)
	}
	return self
}
