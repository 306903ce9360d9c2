package bench

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
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
	PerRequest  int                `json:"perRequest"` // flows of a batch
	Repetitions int                `json:"repetitions"`
	Sites       int                `json:"sites"`
	Seconds     float64            `json:"seconds"` // measured in each turn
	Ratios      map[string]float64 `json:"ratios"`
	NotMeasured []NotMeasured      `json:"notMeasured"`
	Versus      map[string]string  `json:"versus"`    // what a ratio compares
	SlotBytes   map[string]float64 `json:"slotBytes"` // of Redis, by engine
	Figures     []Figure           `json:"figures"`   // of single parts
	Claims      []Claim            `json:"claims,omitempty"`
	Summaries   []Summary          `json:"summaries"`
	Turns       []Turn             `json:"turns"`

	without map[string]string
}

// NotMeasured tells why a run has none of the ratios that a full run has.
type NotMeasured struct {
	Ratio string `json:"ratio"`
	Why   string `json:"why"`
}

// SitesRatio is the ratio that compares installations of different sizes.
const SitesRatio = "sites_100k_vs_1k"

// FullRatios are the ratios of every full run.
var FullRatios = []string{
	"flows_vs_postgres", "hot_slot_vs_postgres", "hot_slot_vs_spread", "flows_vs_uncombined", "batch_vs_postgres", "redis_cpu_vs_single",
	"search_vs_noop", "nearest_vs_geosearch", SitesRatio, "embedded_vs_postgres",
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

// Figure is what a part by itself was measured at: the median of all.
type Figure struct {
	Name  string    `json:"name"`
	Value float64   `json:"value"`
	Unit  string    `json:"unit"`
	Note  string    `json:"note,omitempty"`
	All   []float64 `json:"all"`
}

// Turn is one measurement. Flows of the workload "holds" are holds, those of "search" searches, whose times stand under
// holds, and those of "storm" people who were answered.
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
	TimedFrom    string             `json:"timedFrom"`                   // "send", or "plan" where the load is open
	Slowest      float64            `json:"slowestTenSeconds,omitempty"` // flows/s; only of turns that are longer
	Planned      float64            `json:"planned,omitempty"`           // flows a second of an open loop
	Missed       int64              `json:"missed,omitempty"`            // flows of the plan that were due and had not begun
	Hold         Latency            `json:"holdMs"`
	Confirm      Latency            `json:"confirmMs"`
	Flow         Latency            `json:"flowMs"`
	CPU          map[string]float64 `json:"cpuMicrosPerFlow"` // by process
	OtherCores   float64            `json:"otherCores"`       // busy with anything else on this machine
	Allocations  float64            `json:"allocationsPerFlow,omitempty"`
	ClaimBytes   float64            `json:"redisBytesPerClaim,omitempty"`
	ReplyBytes   int64              `json:"replyBytes,omitempty"`
	Storm        *StormResult       `json:"storm,omitempty"`
	Audit        *Findings          `json:"audit,omitempty"`
}

// StormResult is what became of a crowd at one slot.
type StormResult struct {
	Contenders  int64   `json:"contenders"`
	Booked      int64   `json:"booked"`
	Refused     int64   `json:"refused"`
	SoldOut     float64 `json:"soldOutSeconds"`
	AllAnswered float64 `json:"allAnsweredSeconds"`
}

// Summary is the median of an engine's turns under a workload, and the spread of its flows/s.
type Summary struct {
	Engine      string             `json:"engine"`
	Workload    Workload           `json:"workload"`
	Counts      bool               `json:"counts"`
	Turns       int                `json:"turns"`
	TimedFrom   string             `json:"timedFrom"`
	Planned     float64            `json:"planned,omitempty"`
	Missed      float64            `json:"missed,omitempty"`
	Median      float64            `json:"flowsPerSecond"`
	Least       float64            `json:"least"`
	Most        float64            `json:"most"`
	Hold        Latency            `json:"holdMs"`
	Confirm     Latency            `json:"confirmMs"`
	Flow        Latency            `json:"flowMs"`
	CPU         map[string]float64 `json:"cpuMicrosPerFlow"`
	OtherCores  float64            `json:"otherCores"`
	Allocations float64            `json:"allocationsPerFlow,omitempty"`
	ClaimBytes  float64            `json:"redisBytesPerClaim,omitempty"`
	SoldOut     float64            `json:"soldOutSeconds,omitempty"`
	AllAnswered float64            `json:"allAnsweredSeconds,omitempty"`
}

func newReport(o Options) *Report {
	return &Report{
		Machine: Machine{CPU: cpuModel(), Cores: runtime.NumCPU(), System: system(), Go: runtime.Version()},
		Commit:  o.Commit, Command: o.Command, At: time.Now().UTC().Truncate(time.Second), Clients: o.Clients, PerRequest: o.PerRequest,
		Repetitions: o.Repetitions, Sites: o.Sites, Seconds: o.Measure.Seconds(),
		Ratios: make(map[string]float64), NotMeasured: []NotMeasured{}, Versus: make(map[string]string), SlotBytes: make(map[string]float64),
		Figures: []Figure{}, Summaries: []Summary{}, Turns: []Turn{}, without: o.Without,
	}
}

// turn is what was measured.
func (m *measurement) turn(engine string) Turn {
	l := m.load
	t := Turn{
		Engine: engine, Workload: m.workload, Repetition: m.repetition, Counts: true, Flows: l.flows.Load(), Failed: l.failed.Load(),
		FirstFailure: l.firstFailure, Hold: latency(&l.holds), Confirm: latency(&l.confirmed), Flow: latency(&l.both),
		TimedFrom: "send", Slowest: m.slowest, Missed: m.missed, CPU: make(map[string]float64), OtherCores: m.others.Seconds() / m.took.Seconds(),
	}
	flows := max(1, float64(t.Flows))
	t.FlowsPerSec = float64(t.Flows) / m.took.Seconds()
	t.Allocations = m.allocations / flows
	t.ReplyBytes = l.bytes.Load() / max(1, t.Flows)
	for process, used := range m.spent {
		t.CPU[process] = float64(used.Microseconds()) / flows
	}
	if m.plan != nil {
		t.TimedFrom, t.Planned = "plan", m.plan.rate
	}
	if s := m.crowd; s != nil {
		t.Storm = &StormResult{Contenders: int64(m.Contenders), Booked: s.booked.Load(), Refused: s.refused.Load(),
			SoldOut: s.lastBooked.Sub(m.began).Seconds(), AllAnswered: m.took.Seconds()}
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
	if t.Storm != nil {
		line += fmt.Sprintf(", sold out in %.2f s, all answered in %.2f s", t.Storm.SoldOut, t.Storm.AllAnswered)
	}
	if t.Planned > 0 {
		line += fmt.Sprintf(" of %.0f planned, p99 %.3g ms", t.Planned, t.Flow.P99)
	}
	if !t.Counts {
		line += " DOES NOT COUNT: " + t.Why
	}
	return line
}

// summarize computes medians and ratios from the turns.
func (r *Report) summarize() {
	r.Counts = !slices.ContainsFunc(r.Turns, func(t Turn) bool { return !t.Counts })
	engines := slices.Clone(Engines)
	for _, t := range r.Turns {
		if !slices.Contains(engines, t.Engine) {
			engines = append(engines, t.Engine)
		}
	}
	for _, w := range append(slices.Clone(Workloads), Sustained) {
		for _, engine := range engines {
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
	for _, name := range FullRatios {
		if _, ok := r.Ratios[name]; !ok {
			why := cmp.Or(r.without[name], "what it compares was not asked for, or does not count")
			r.NotMeasured = append(r.NotMeasured, NotMeasured{name, why})
		}
	}
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
		Engine: turns[0].Engine, Workload: turns[0].Workload, Turns: len(turns), TimedFrom: turns[0].TimedFrom,
		Median: median(rates), Least: rates[0], Most: rates[len(rates)-1],
		Hold: delay(func(t *Turn) Latency { return t.Hold }), Confirm: delay(func(t *Turn) Latency { return t.Confirm }),
		Flow: delay(func(t *Turn) Latency { return t.Flow }), CPU: make(map[string]float64),
		Counts:      !slices.ContainsFunc(turns, func(t Turn) bool { return !t.Counts }),
		Planned:     median(of(func(t *Turn) float64 { return t.Planned })),
		Missed:      median(of(func(t *Turn) float64 { return float64(t.Missed) })),
		OtherCores:  median(of(func(t *Turn) float64 { return t.OtherCores })),
		Allocations: median(of(func(t *Turn) float64 { return t.Allocations })),
		ClaimBytes:  median(of(func(t *Turn) float64 { return t.ClaimBytes })),
	}
	for process := range turns[0].CPU {
		s.CPU[process] = median(of(func(t *Turn) float64 { return t.CPU[process] }))
	}
	if turns[0].Storm != nil {
		s.SoldOut = median(of(func(t *Turn) float64 { return t.Storm.SoldOut }))
		s.AllAnswered = median(of(func(t *Turn) float64 { return t.Storm.AllAnswered }))
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

// figure is a part's median; 0 where it was not measured.
func (r *Report) figure(name string) float64 {
	for _, f := range r.Figures {
		if f.Name == name {
			return f.Value
		}
	}
	return 0
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
	ratio("cpu_vs_postgres", r.postgres(Spread), ours, func(s *Summary) (sum float64) {
		for process, micros := range s.CPU {
			if process != cpuGenerator {
				sum += micros
			}
		}
		return sum
	})
	ratio("hot_slot_vs_postgres", r.summary(Ours, Hot), r.postgres(Hot), rate)
	ratio("hot_slot_vs_spread", r.summary(Ours, Hot), ours, rate)
	ratio("flows_vs_uncombined", ours, r.summary(script, Spread), rate)
	ratio("embedded_vs_postgres", r.summary(Embedded, Spread), r.postgres(Spread), rate)
	ratio("redis_cpu_vs_single", r.summary(script, Holds), r.summary(Ours, Holds), func(s *Summary) float64 { return s.CPU[cpuRedis] })
	ratio("batch_vs_postgres", r.summary(Ours, Batch), r.postgres(Spread), rate)
	ratio("search_vs_noop", r.summary(Ours, Search), r.summary(string(baseline.NoOp), Search), rate)
	for name, of := range map[string]string{"nearest_vs_geosearch": "GEOSEARCH", "nearest_vs_geosearch_of_free": "GEOSEARCH among a key of the free"} {
		if theirs, own := r.figure(of), r.figure("our search"); own > 0 {
			r.Ratios[name], r.Versus[name] = theirs/own, of+" ÷ our search"
		}
	}
	ratio(SitesRatio, r.summary(SitesVariant(100_000), Spread), r.summary(SitesVariant(1_000), Spread), rate)
	ratio("hold_p99_vs_postgres", r.postgres(Spread), ours, func(s *Summary) float64 { return s.Hold.P99 })
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
