package report

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"muster/loadtest/result"
)

// Progress writes a line about a run that goes on; length is the planned one.
func Progress(out io.Writer, at, length time.Duration, live result.Live) {
	t := live.Totals
	state := fmt.Sprintf("%3.0f%%", min(100, 100*at.Seconds()/length.Seconds()))
	if at > length {
		state = "last"
	}
	fmt.Fprintf(out, "%s %6.0fs  people %s  requests %s  booked %s  refused %s  failed %s  p50 %s  p99 %s  in flight %d\n", state, at.Seconds(),
		number(t.Started), number(t.Requests), number(t.Booked), number(t.Refused), number(t.Failed), ms(live.Recent.P50), ms(live.Recent.P99), live.InFlight)
}

// Text writes the result for a terminal.
func Text(out io.Writer, r *result.Result) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(out, "\n%s, scale %v, %s against %s\n\n", r.Profile.Title, r.Profile.Scale, r.Run.Engine, r.Run.Target)
	fmt.Fprintln(t, "step\trequests\tfailed\tp50\tp90\tp99\tp99.9\tmax\t")
	for _, name := range append(result.Steps(), "") {
		s, shown := result.Summarise(r.Latency(name)), name
		if s.Count == 0 {
			continue
		}
		if name == "" {
			shown = "all"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", shown, number(s.Count), number(r.Count(name, result.Failed)), ms(s.P50), ms(s.P90), ms(s.P99), ms(s.P999), ms(s.Max))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	n := r.Totals
	fmt.Fprintf(out, "\npeople    %s planned, %s came on time, %s never; %s found no place\n", number(n.Planned), number(n.OnTime), number(n.Unsent), number(n.Nothing))
	fmt.Fprintf(out, "bookings  %s acknowledged, %s cancelled, %s moved", number(n.Booked), number(n.Cancelled), number(n.Moved))
	if r.Places > 0 {
		fmt.Fprintf(out, ", of %s places", number(r.Places))
	}
	fmt.Fprintf(out, "\nrefusals  %s; phantom slots %s of %s holds\n", number(n.Refused), number(n.Phantom), number(n.Holds))
	g := r.Generator
	fmt.Fprintf(out, "generator %.1f of %d cores, 99th percentile of lag %s, at most %d in flight\n", g.CPUSeconds/max(0.001, g.WallSeconds), g.Cores,
		ms(float64(r.Lag.Percentile(99).Microseconds())/1000), g.InFlight)
	if k := r.Knee; k != nil {
		fmt.Fprintf(out, "knee      at %.0f arrivals and %.0f requests a second; then %s\n", k.Arrivals, k.Requests, k.Broke)
	}
	writeAudit(out, r)
	for _, v := range r.Thresholds {
		fmt.Fprintf(out, "%-9s %s: %s\n", map[bool]string{true: "held", false: "BREACHED"}[v.Held], v.Threshold, v.Shown)
	}
	for _, why := range r.Generator.Limited {
		fmt.Fprintf(out, "LIMITED   the generator, not the server: %s\n", why)
	}
	if r.Run.Broken != "" {
		fmt.Fprintf(out, "BROKEN    %s\n", r.Run.Broken)
	}
	if r.Hook != nil && r.Hook.Error != "" {
		fmt.Fprintf(out, "HOOK      %s: %s\n", r.Hook.Command, r.Hook.Error)
	}
	_, err := fmt.Fprintf(out, "\n%s\n", Judge(r))
	return err
}

func writeAudit(out io.Writer, r *result.Result) {
	for _, w := range r.Wrong {
		fmt.Fprintf(out, "WRONG     %s\n", w)
	}
	a := r.Audit
	if a == nil {
		fmt.Fprintln(out, "audit     none was made")
		return
	}
	fmt.Fprintf(out, "audit     %s of %s acknowledged bookings looked up; lost %d, oversold %d, leaked %d, other violations %d\n", number(a.Checked),
		number(a.Acknowledged), a.Lost, a.Oversold, a.Leaked, a.Violations()-a.Lost-a.Oversold-a.Leaked)
	for _, e := range a.Examples {
		fmt.Fprintf(out, "VIOLATION %s\n", e)
	}
	for _, u := range a.Unchecked {
		fmt.Fprintf(out, "          not checked: %s\n", u)
	}
}

// Compare writes two results side by side, with what changed from the first to the second.
func Compare(out io.Writer, a, b *result.Result) error {
	if a.Profile.Name != b.Profile.Name || a.Profile.Scale != b.Profile.Scale || a.Profile.LengthSeconds != b.Profile.LengthSeconds || a.Run.Engine != b.Run.Engine {
		fmt.Fprintf(out, "These are different loads: %s at %v for %v s by %s, and %s at %v for %v s by %s.\n\n", a.Profile.Name, a.Profile.Scale, a.Profile.LengthSeconds,
			a.Run.Engine, b.Profile.Name, b.Profile.Scale, b.Profile.LengthSeconds, b.Run.Engine)
	}
	if a.Run.Machine != b.Run.Machine {
		fmt.Fprintf(out, "These are different machines: %s, and %s.\n\n", a.Run.Machine, b.Run.Machine)
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tfirst\tsecond\tchange\t")
	row := func(name string, x, y float64, show func(float64) string) {
		change := "same"
		switch {
		case x == 0 && y != 0:
			change = "new"
		case x != y:
			change = fmt.Sprintf("%+.1f %%", 100*(y-x)/x)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t\n", name, show(x), show(y), change)
	}
	count := func(v float64) string { return number(int64(v)) }
	rate := func(v float64) string { return fmt.Sprintf("%.3g %%", 100*v) }
	for _, name := range append(result.Steps(), "") {
		x, y, shown := result.Summarise(a.Latency(name)), result.Summarise(b.Latency(name)), name
		if x.Count == 0 && y.Count == 0 {
			continue
		}
		if name == "" {
			shown = "all"
		}
		row(shown+" requests", float64(x.Count), float64(y.Count), count)
		row(shown+" p50", x.P50, y.P50, ms)
		row(shown+" p99", x.P99, y.P99, ms)
		row(shown+" errors", ratio(a.Count(name, result.Failed), x.Count), ratio(b.Count(name, result.Failed), y.Count), rate)
	}
	row("booked", float64(a.Totals.Booked), float64(b.Totals.Booked), count)
	row("phantom slots", ratio(a.Totals.Phantom, a.Totals.Holds), ratio(b.Totals.Phantom, b.Totals.Holds), rate)
	row("achieved", ratio(a.Totals.OnTime, a.Totals.Planned), ratio(b.Totals.OnTime, b.Totals.Planned), rate)
	row("violations", violations(a), violations(b), count)
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\nfirst:  %s\nsecond: %s\n", Judge(a), Judge(b))
	return err
}

func ratio(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

func violations(r *result.Result) float64 {
	n := r.Totals.Wrong
	if r.Audit != nil {
		n += r.Audit.Violations()
	}
	return float64(n)
}
