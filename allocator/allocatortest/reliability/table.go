package reliability

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// section is one table of the report.
type section struct {
	title string
	head  []string
	rows  [][]string
}

// sections are what people read. Empty ones are left out.
func (r *Report) sections() (list []section) {
	put := func(title string, head []string, rows [][]string) {
		if len(rows) > 0 {
			list = append(list, section{title, head, rows})
		}
	}
	put("Suites", []string{"suite", "seeds", "steps", "operations", "histories", "searched", "oversells", "lost", "drift", "violations", "seconds", "commit", "machine"}, r.suites())
	put("Faults injected", []string{"fault", "times"}, counts(r.Faults))
	put("Recovery without hands, in milliseconds from the end of the fault", []string{"fault", "times", "p50", "p99", "max"}, r.recoveryRows())
	put("Rare paths", []string{"path", "times taken"}, counts(r.RarePaths))
	put("Refusals that clients were told", []string{"code", "times"}, counts(r.Refusals))
	put("Crash points", []string{"point", "covered"}, r.crashRows())
	put("Seeded bugs", []string{"bug", "what it breaks", "caught by", "seconds"}, r.bugRows())
	put("Not tested", []string{"what"}, single(r.NotTested))
	put("Failures", []string{"why this report is not clean"}, single(r.Failures))
	put("Commands", []string{"suite", "command"}, r.commands())
	return list
}

func (r *Report) suites() (rows [][]string) {
	row := func(suite string, commit, machine string, seconds float64, numbers ...int) {
		cells := []string{suite}
		for _, n := range numbers {
			cells = append(cells, fmt.Sprint(n))
		}
		rows = append(rows, append(cells, fmt.Sprintf("%.0f", seconds), commit, machine))
	}
	for i := range r.Parts {
		p := &r.Parts[i]
		row(p.Suite, short(p.Commit), fmt.Sprintf("%d cores, %s, %s", p.Machine.Cores, p.Machine.OS, p.Machine.Go), p.Seconds,
			p.Seeds, p.Steps, p.Operations, p.Histories, p.Searched, p.Oversells, p.LostBookings, p.Drift, len(p.Violations))
	}
	row("all", "", "", r.Seconds, r.Seeds, r.Steps, r.Operations, r.Histories, r.Searched, r.Oversells, r.LostBookings, r.Drift, len(r.Violations))
	return rows
}

// short is a commit as people write it.
func short(commit string) string {
	revision, changes, changed := strings.Cut(commit, "+")
	revision = revision[:min(len(revision), 10)]
	if changed {
		return revision + "+" + changes
	}
	return revision
}

func counts(m map[string]int) (rows [][]string) {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		rows = append(rows, []string{key, fmt.Sprint(m[key])})
	}
	return rows
}

func single(lines []string) (rows [][]string) {
	for _, line := range lines {
		rows = append(rows, []string{line})
	}
	return rows
}

func (r *Report) recoveryRows() (rows [][]string) {
	for _, p := range r.Recoveries {
		rows = append(rows, []string{p.Fault, fmt.Sprint(p.Times), fmt.Sprint(p.P50Ms), fmt.Sprint(p.P99Ms), fmt.Sprint(p.MaxMs)})
	}
	return rows
}

func (r *Report) crashRows() (rows [][]string) {
	for _, point := range r.CrashPoints.Known {
		rows = append(rows, []string{point, yes(slices.Contains(r.CrashPoints.Covered, point))})
	}
	return rows
}

func (r *Report) bugRows() (rows [][]string) {
	for _, b := range r.SeededBugs {
		by := "NOT CAUGHT"
		if b.Caught {
			by = b.By
		}
		rows = append(rows, []string{b.Name, b.Sentence, by, fmt.Sprintf("%.1f", b.Seconds)})
	}
	return rows
}

func (r *Report) commands() (rows [][]string) {
	for i := range r.Parts {
		rows = append(rows, []string{r.Parts[i].Suite, r.Parts[i].Command})
	}
	return rows
}

func yes(ok bool) string {
	if ok {
		return "yes"
	}
	return "NO"
}

// Table writes the report for a terminal.
func (r *Report) Table(w io.Writer) error {
	out := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, s := range r.sections() {
		fmt.Fprintf(out, "%s\n", s.title)
		for _, row := range append([][]string{s.head}, s.rows...) {
			fmt.Fprintf(out, "  %s\n", strings.Join(row, "\t"))
		}
		fmt.Fprintln(out)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// Markdown writes the report as tables for a document.
func (r *Report) Markdown(w io.Writer) error {
	var text strings.Builder
	line := func(cells []string) {
		text.WriteString("|")
		for _, c := range cells {
			c = strings.NewReplacer("|", "\\|", "\n", " ").Replace(c)
			fmt.Fprintf(&text, " %s |", c)
		}
		text.WriteString("\n")
	}
	for _, s := range r.sections() {
		fmt.Fprintf(&text, "## %s\n\n", s.title)
		line(s.head)
		line(slices.Repeat([]string{"---"}, len(s.head)))
		for _, row := range s.rows {
			line(row)
		}
		text.WriteString("\n")
	}
	if _, err := io.WriteString(w, strings.TrimSuffix(text.String(), "\n")); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}
