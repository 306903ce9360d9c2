package bench

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// atLeast are the ratios that this project promises itself.
var atLeast = map[string]float64{
	"flows_vs_postgres": 8, "hold_p99_vs_postgres": 5, "hot_slot_vs_postgres": 30, "hot_slot_vs_spread": 0.9, "flows_vs_uncombined": 6,
	"batch_vs_postgres": 25, "redis_cpu_vs_single": 6, "search_vs_noop": 0.6, "nearest_vs_geosearch": 50, "sites_100k_vs_1k": 0.9,
	"embedded_vs_postgres": 8,
}

// heading says what was measured, where and how.
func (r *Report) heading() []string {
	m := &r.Machine
	others := 0.0
	for _, t := range r.Turns {
		others += t.OtherCores / float64(len(r.Turns))
	}
	return []string{
		fmt.Sprintf("%s, %d cores, %s, %s, PostgreSQL %s; %s", m.CPU, m.Cores, m.System, m.Go, m.Postgres, r.At.Format("2006-01-02 15:04 UTC")),
		"commit " + r.Commit, r.Command,
		fmt.Sprintf("%d clients (batch: %d of %d flows a request), %d sites, %d turns of %.3g s each; medians; %.2f cores were busy with other things on average",
			r.Clients, max(1, r.Clients/max(1, r.PerRequest)), r.PerRequest, r.Sites, r.Repetitions, r.Seconds, others),
		"times count from the send in closed loops, from the plan in steady and surge",
	}
}

var columns = []string{"workload", "engine", "flows/s", "least–most", "hold p50/p99/p99.9 ms", "confirm p50/p99/p99.9 ms",
	"CPU µs/flow: server", "Redis", "PostgreSQL", "generator", "allocations/flow", "Redis B/claim", "other cores"}

func (s *Summary) cells() []string {
	rate := fmt.Sprintf("%.0f", s.Median)
	if s.Planned > 0 {
		rate += fmt.Sprintf(" of %.0f", s.Planned)
	}
	if !s.Counts {
		rate += " DOES NOT COUNT"
	}
	cells := []string{string(s.Workload), s.Engine, rate, fmt.Sprintf("%.0f–%.0f", s.Least, s.Most), s.Hold.String(), s.Confirm.String()}
	for _, process := range []string{cpuServer, cpuRedis, cpuPostgres, cpuGenerator} {
		cell := "–"
		if value, ok := s.CPU[process]; ok {
			cell = short(value)
		}
		cells = append(cells, cell)
	}
	for _, value := range []float64{s.Allocations, s.ClaimBytes} {
		cell := "–"
		if value > 0 {
			cell = fmt.Sprintf("%.0f", value)
		}
		cells = append(cells, cell)
	}
	return append(cells, fmt.Sprintf("%.2f", s.OtherCores))
}

// notes are lines on what does not fit the table.
func (r *Report) notes() (lines []string) {
	missing := make(map[string][]string) // by the reason
	for _, n := range r.NotMeasured {
		missing[n.Why] = append(missing[n.Why], n.Ratio)
	}
	for _, why := range slices.Sorted(maps.Keys(missing)) {
		lines = append(lines, fmt.Sprintf("not measured: %s (%s)", strings.Join(missing[why], ", "), why))
	}
	for _, s := range r.Summaries {
		if s.Workload == Storm {
			lines = append(lines, fmt.Sprintf("storm on %s: sold out after %.2f s, all answered after %.2f s", s.Engine, s.SoldOut, s.AllAnswered))
		}
		if s.Missed > 0 {
			lines = append(lines, fmt.Sprintf("%s on %s: %.0f flows of the plan were due and had not begun", s.Workload, s.Engine, s.Missed))
		}
	}
	for _, engine := range slices.Sorted(maps.Keys(r.SlotBytes)) {
		if bytes := r.SlotBytes[engine]; bytes >= 0.05 {
			lines = append(lines, fmt.Sprintf("Redis bytes per published slot, %s: %.1f", engine, bytes))
		}
	}
	for _, f := range r.Figures {
		line := fmt.Sprintf("%s: %.4g %s", f.Name, f.Value, f.Unit)
		if f.Note != "" {
			line += " (" + f.Note + ")"
		}
		lines = append(lines, line)
	}
	for _, t := range r.Turns {
		if t.Slowest > 0 {
			lines = append(lines, fmt.Sprintf("%s on %s: %d flows, %.0f/s in the slowest ten seconds; %s", t.Workload, t.Engine, t.Flows, t.Slowest, t.Audit))
		}
	}
	for _, c := range r.Claims {
		lines = append(lines, fmt.Sprintf("%d live claims: %.2f µs of Redis per hold (%d a call), %.0f bytes per claim", c.Live, c.RedisMicro, claimsAtOnce, c.Bytes))
	}
	for _, t := range r.Turns {
		if !t.Counts {
			lines = append(lines, t.String())
		}
	}
	return lines
}

// ratios are name, value, what is promised, and what is compared.
func (r *Report) ratios() (rows [][]string) {
	for _, name := range slices.Sorted(maps.Keys(r.Ratios)) {
		promised := "–"
		if least, ok := atLeast[name]; ok {
			promised = fmt.Sprintf("%g", least)
		}
		rows = append(rows, []string{name, fmt.Sprintf("%.2f", r.Ratios[name]), promised, r.Versus[name]})
	}
	return rows
}

var ratioColumns = []string{"ratio", "measured", "at least", "of"}

// Table is the report for people at a terminal.
func (r *Report) Table() string {
	var text strings.Builder
	fmt.Fprintln(&text, strings.Join(r.heading(), "\n")+"\n")
	table := func(header []string, rows [][]string) {
		if len(rows) == 0 {
			return
		}
		w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
		for _, row := range append([][]string{header}, rows...) {
			fmt.Fprintln(w, strings.Join(row, "\t")+"\t")
		}
		_ = w.Flush() // a strings.Builder takes everything
		text.WriteByte('\n')
	}
	table(columns, r.rows())
	table(ratioColumns, r.ratios())
	for _, line := range r.notes() {
		fmt.Fprintln(&text, line)
	}
	return text.String()
}

func (r *Report) rows() (rows [][]string) {
	for i := range r.Summaries {
		rows = append(rows, r.Summaries[i].cells())
	}
	return rows
}

// Markdown is the report for docs/performance.md.
func (r *Report) Markdown() string {
	var text strings.Builder
	heading := r.heading()
	fmt.Fprintf(&text, "%s, %s.\n%s; %s.\n\n    %s\n", heading[0], heading[1], heading[3], heading[4], heading[2])
	table := func(header []string, rows [][]string) {
		if len(rows) == 0 {
			return
		}
		fmt.Fprintf(&text, "\n| %s |\n|%s\n", strings.Join(header, " | "), strings.Repeat("---|", len(header)))
		for _, row := range rows {
			fmt.Fprintf(&text, "| %s |\n", strings.Join(row, " | "))
		}
	}
	table(ratioColumns, r.ratios())
	table(columns, r.rows())
	table(sizingColumns, r.sizing())
	text.WriteByte('\n')
	for _, line := range r.notes() {
		fmt.Fprintf(&text, "- %s\n", line)
	}
	return text.String()
}

func (l Latency) String() string {
	if l == (Latency{}) {
		return "–"
	}
	return short(l.P50) + "/" + short(l.P99) + "/" + short(l.P999)
}

// short writes three digits, or all before the point.
func short(value float64) string {
	if value >= 100 {
		return fmt.Sprintf("%.0f", value)
	}
	return fmt.Sprintf("%.3g", value)
}
