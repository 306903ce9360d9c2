package bench

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"muster/bench/baseline"
)

// Report is all that a run found.
type Report struct {
	Counts      bool               `json:"counts"` // false: an audit found something, or too much failed
	Machine     Machine            `json:"machine"`
	Commit      string             `json:"commit"`
	Command     string             `json:"command"`
	At          time.Time          `json:"at"`
	Clients     int                `json:"clients"`
	Repetitions int                `json:"repetitions"`
	Sites       int                `json:"sites"`
	Seconds     float64            `json:"seconds"` // measured in each turn
	Ratios      map[string]float64 `json:"ratios"`
	Versus      map[string]string  `json:"versus"` // which engines a ratio compares
	Summaries   []Summary          `json:"summaries"`
	Turns       []Turn             `json:"turns"`
}

// Machine is where a run took place.
type Machine struct {
	CPU      string `json:"cpu"`
	Cores    int    `json:"cores"`
	System   string `json:"system"`
	Go       string `json:"go"`
	Postgres string `json:"postgres,omitempty"`
}

// Latency is in milliseconds.
type Latency struct {
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
}

// Turn is one measurement. Flows of the workload "holds" are holds.
type Turn struct {
	Engine       string             `json:"engine"`
	Workload     Workload           `json:"workload"`
	Repetition   int                `json:"repetition"`
	Counts       bool               `json:"counts"`
	Why          string             `json:"why,omitempty"` // it does not
	Flows        int64              `json:"flows"`
	Failed       int64              `json:"failed"`
	FirstFailure string             `json:"firstFailure,omitempty"`
	FlowsPerSec  float64            `json:"flowsPerSecond"`
	Hold         Latency            `json:"holdMs"`
	Confirm      Latency            `json:"confirmMs"`
	Flow         Latency            `json:"flowMs"`
	CPU          map[string]float64 `json:"cpuMicrosPerFlow"` // by process
	Audit        *Findings          `json:"audit,omitempty"`
}

// Summary is the median of an engine's turns under a workload, and the spread of its flows/s.
type Summary struct {
	Engine   string             `json:"engine"`
	Workload Workload           `json:"workload"`
	Counts   bool               `json:"counts"`
	Turns    int                `json:"turns"`
	Median   float64            `json:"flowsPerSecond"`
	Least    float64            `json:"least"`
	Most     float64            `json:"most"`
	Hold     Latency            `json:"holdMs"`
	Confirm  Latency            `json:"confirmMs"`
	Flow     Latency            `json:"flowMs"`
	CPU      map[string]float64 `json:"cpuMicrosPerFlow"`
}

func newReport(o Options) *Report {
	return &Report{
		Machine: Machine{CPU: cpuModel(), Cores: runtime.NumCPU(), System: system(), Go: runtime.Version()},
		Commit:  o.Commit, Command: o.Command, At: time.Now().UTC().Truncate(time.Second), Clients: o.Clients,
		Repetitions: o.Repetitions, Sites: o.Sites, Seconds: o.Measure.Seconds(),
		Ratios: make(map[string]float64), Versus: make(map[string]string),
	}
}

func newTurn(engine string, w Workload, repetition int, l *load, spent usage, took time.Duration) Turn {
	t := Turn{
		Engine: engine, Workload: w, Repetition: repetition, Counts: true, Flows: l.flows.Load(), Failed: l.failed.Load(),
		FirstFailure: l.firstFailure, Hold: latency(&l.holds), Confirm: latency(&l.confirms), Flow: latency(&l.both),
		CPU: make(map[string]float64),
	}
	t.FlowsPerSec = float64(t.Flows) / took.Seconds()
	for process, used := range spent {
		t.CPU[process] = float64(used.Microseconds()) / max(1, float64(t.Flows))
	}
	return t
}

func latency(h *Histogram) Latency {
	ms := func(q float64) float64 { return float64(h.Quantile(q).Microseconds()) / 1000 }
	return Latency{ms(0.5), ms(0.99), ms(0.999)}
}

func (t *Turn) doesNotCount(why string) {
	t.Counts = false
	t.Why = strings.TrimPrefix(t.Why+"; "+why, "; ")
}

func (t Turn) String() string {
	line := fmt.Sprintf("%d %s %s: %.0f flows/s", t.Repetition+1, t.Workload, t.Engine, t.FlowsPerSec)
	if !t.Counts {
		line += " DOES NOT COUNT: " + t.Why
	}
	return line
}

// summarize computes medians and ratios from the turns.
func (r *Report) summarize() {
	r.Counts = !slices.ContainsFunc(r.Turns, func(t Turn) bool { return !t.Counts })
	for _, w := range Workloads {
		for _, engine := range Engines {
			var turns []Turn
			for _, t := range r.Turns {
				if t.Engine == engine && t.Workload == w {
					turns = append(turns, t)
				}
			}
			if len(turns) > 0 {
				r.Summaries = append(r.Summaries, summaryOf(turns))
			}
		}
	}
	r.compare()
}

func summaryOf(turns []Turn) Summary {
	of := func(figure func(t *Turn) float64) (all []float64) {
		for i := range turns {
			all = append(all, figure(&turns[i]))
		}
		slices.Sort(all)
		return all
	}
	delay := func(l func(t *Turn) Latency) Latency {
		return Latency{
			median(of(func(t *Turn) float64 { return l(t).P50 })), median(of(func(t *Turn) float64 { return l(t).P99 })),
			median(of(func(t *Turn) float64 { return l(t).P999 })),
		}
	}
	rates := of(func(t *Turn) float64 { return t.FlowsPerSec })
	s := Summary{
		Engine: turns[0].Engine, Workload: turns[0].Workload, Turns: len(turns), Median: median(rates), Least: rates[0],
		Most: rates[len(rates)-1], Hold: delay(func(t *Turn) Latency { return t.Hold }),
		Confirm: delay(func(t *Turn) Latency { return t.Confirm }), Flow: delay(func(t *Turn) Latency { return t.Flow }),
		CPU: make(map[string]float64), Counts: !slices.ContainsFunc(turns, func(t Turn) bool { return !t.Counts }),
	}
	for process := range turns[0].CPU {
		s.CPU[process] = median(of(func(t *Turn) float64 { return t.CPU[process] }))
	}
	return s
}

// median of sorted figures.
func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// summary finds one that counts.
func (r *Report) summary(engine string, w Workload) *Summary {
	for i := range r.Summaries {
		if s := &r.Summaries[i]; s.Engine == engine && s.Workload == w && s.Counts {
			return s
		}
	}
	return nil
}

// postgres is the faster engine on PostgreSQL alone, so that ours is compared with the best of them; nil unless both count.
func (r *Report) postgres(w Workload) *Summary {
	a, b := r.summary(string(baseline.SkipLocked), w), r.summary(string(baseline.Counter), w)
	switch {
	case a == nil || b == nil:
		return nil
	case a.Median > b.Median:
		return a
	}
	return b
}

// compare fills in the ratios of all that was measured and counts. Each is the first engine's figure over the second's.
func (r *Report) compare() {
	rate := func(s *Summary) float64 { return s.Median }
	ratio := func(name string, above, below *Summary, figure func(s *Summary) float64) {
		if above == nil || below == nil || figure(below) == 0 {
			return
		}
		r.Ratios[name] = figure(above) / figure(below)
		r.Versus[name] = fmt.Sprintf("%s %s ÷ %s %s", above.Engine, above.Workload, below.Engine, below.Workload)
	}
	ours, script := r.summary(Ours, Spread), string(baseline.Script)
	ratio("flows_vs_postgres", ours, r.postgres(Spread), rate)
	ratio("hot_slot_vs_postgres", r.summary(Ours, Hot), r.postgres(Hot), rate)
	ratio("hot_slot_vs_spread", r.summary(Ours, Hot), ours, rate)
	ratio("flows_vs_uncombined", ours, r.summary(script, Spread), rate)
	ratio("embedded_vs_postgres", r.summary(Embedded, Spread), r.postgres(Spread), rate)
	ratio("redis_cpu_vs_single", r.summary(script, Holds), r.summary(Ours, Holds), func(s *Summary) float64 { return s.CPU[cpuRedis] })
	ratio("hold_p99_vs_postgres", r.postgres(Spread), ours, func(s *Summary) float64 { return s.Hold.P99 })
}

// Table is the report for people.
func (r *Report) Table() string {
	var text strings.Builder
	m := &r.Machine
	fmt.Fprintf(&text, "%s, %d cores, %s, %s, PostgreSQL %s\ncommit %s\n%s\n", m.CPU, m.Cores, m.System, m.Go, m.Postgres, r.Commit, r.Command)
	fmt.Fprintf(&text, "%d clients in a closed loop, %d sites, %d turns of %.3g s each; medians\n\n", r.Clients, r.Sites, r.Repetitions, r.Seconds)
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "workload\tengine\tflows/s\tleast–most\thold p50/p99/p99.9 ms\tconfirm p50/p99/p99.9 ms\t",
		"CPU µs/flow: server\tRedis\tPostgreSQL\tgenerator\t\n")
	for _, s := range r.Summaries {
		note := ""
		if !s.Counts {
			note = " DOES NOT COUNT"
		}
		fmt.Fprintf(table, "%s\t%s\t%.0f%s\t%.0f–%.0f\t%s\t%s\t%s\t%s\t%s\t%s\t\n", s.Workload, s.Engine, s.Median, note, s.Least, s.Most,
			s.Hold, s.Confirm, figure(s.CPU, cpuServer), figure(s.CPU, cpuRedis), figure(s.CPU, cpuPostgres), figure(s.CPU, cpuGenerator))
	}
	_ = table.Flush() // a strings.Builder takes everything
	text.WriteByte('\n')
	for _, name := range slices.Sorted(maps.Keys(r.Ratios)) {
		fmt.Fprintf(&text, "%-22s %8.2f  %s\n", name, r.Ratios[name], r.Versus[name])
	}
	return text.String()
}

func (l Latency) String() string { return fmt.Sprintf("%.3g/%.3g/%.3g", l.P50, l.P99, l.P999) }

func figure(figures map[string]float64, name string) string {
	if value, ok := figures[name]; ok {
		return fmt.Sprintf("%.0f", value)
	}
	return "–"
}

// cpuModel names the processor, as far as the system tells.
func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func system() string {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return runtime.GOOS
	}
	return runtime.GOOS + " " + strings.TrimSpace(string(release))
}
