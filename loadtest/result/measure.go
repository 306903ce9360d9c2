package result

import (
	"time"

	"muster/loadtest/threshold"
)

// Finish works out the summaries and the knee, once all has been counted.
func (r *Result) Finish() {
	for _, step := range r.Steps {
		step.Summary = Summarise(step.Latency())
	}
	r.Knee = nil
	if r.Profile.rises() {
		r.Knee = findKnee(r.Windows)
	}
}

// Summarise reads the usual figures.
func Summarise(h *Histogram) Summary {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return Summary{Count: h.Count(), Mean: ms(h.Mean()), P50: ms(h.Percentile(50)), P90: ms(h.Percentile(90)), P95: ms(h.Percentile(95)),
		P99: ms(h.Percentile(99)), P999: ms(h.Percentile(99.9)), Max: ms(h.Max())}
}

// Latency is the histogram of a step, or of all requests, from the planned start.
func (r *Result) Latency(step string) *Histogram {
	all := new(Histogram)
	for name, s := range r.Steps {
		if step == "" || name == step {
			all.Merge(s.Latency())
		}
	}
	return all
}

// Count is how many requests of a step (all: "") were answered with a class (any: "").
func (r *Result) Count(step string, class Class) (n int64) {
	for name, s := range r.Steps {
		if step != "" && name != step {
			continue
		}
		for _, code := range s.Codes {
			if class == "" || code.Class == class {
				n += code.Latency.Count()
			}
		}
	}
	return n
}

// Measure answers what thresholds ask. A step that nobody took was not measured, nor was anything of an audit that was not made.
func (r *Result) Measure(m threshold.Measure) (float64, bool) {
	switch m.Name {
	case "time", "mean", "max":
		return r.time(m)
	case "error_rate":
		return share(r.Count(m.Of, Failed), r.Count(m.Of, ""))
	case "refused_rate":
		return share(r.Count(m.Of, Refused), r.Count(m.Of, ""))
	case "requests":
		return float64(r.Count(m.Of, "")), true
	case "achieved_rate":
		return share(r.Totals.OnTime, r.Totals.Planned)
	case "late_rate":
		return share(r.Totals.Late, r.Totals.Requests)
	case "phantom_slot_rate":
		return share(r.Totals.Phantom, r.Totals.Holds)
	case "unsent":
		return float64(r.Totals.Unsent), true
	case "booked":
		return float64(r.Totals.Booked), true
	case "generator_cpu":
		cores := r.Generator.WallSeconds * float64(r.Generator.Cores)
		return r.Generator.CPUSeconds / cores, cores > 0
	}
	return r.audited(m.Name)
}

func (r *Result) time(m threshold.Measure) (float64, bool) {
	h := r.Latency(m.Of)
	d := h.Percentile(m.Q)
	switch m.Name {
	case "mean":
		d = h.Mean()
	case "max":
		d = h.Max()
	}
	return d.Seconds(), h.Count() > 0
}

func (r *Result) audited(name string) (float64, bool) {
	a := r.Audit
	if name == "wrong" {
		if a == nil {
			return float64(r.Totals.Wrong), true
		}
		return float64(r.Totals.Wrong + a.Altered + a.NotEnded + a.Uncalled), true
	}
	if a == nil {
		return 0, false
	}
	switch name {
	case "oversold":
		return float64(a.Oversold), true
	case "lost":
		return float64(a.Lost), true
	case "leaked":
		return float64(a.Leaked), true
	case "violations":
		return float64(a.Violations() + r.Totals.Wrong), true
	}
	return 0, false
}

func share(part, whole int64) (float64, bool) {
	if whole == 0 {
		return 0, false
	}
	return float64(part) / float64(whole), true
}
