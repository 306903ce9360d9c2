package result

import (
	"slices"
	"time"
)

// Knee is the last moment at which the server kept up with a load that rose.
type Knee struct {
	AtSeconds float64 `json:"atSeconds"`
	Arrivals  float64 `json:"arrivals"` // planned a second
	Requests  float64 `json:"requests"` // a second
	P99       float64 `json:"p99Ms"`
	Broke     string  `json:"broke"` // what happened after it
}

// rises says that the load only ever grows: of any other, nobody can say which rate was too much.
func (p *Profile) rises() bool {
	for i := 1; i < len(p.Curve); i++ {
		if p.Curve[i][1] < p.Curve[i-1][1] {
			return false
		}
	}
	return len(p.Curve) > 1
}

const (
	kneeFloor    = 250 * time.Millisecond // below this, nobody minds that it is more than at first
	kneeFactor   = 5                      // times the usual 99th percentile of the first windows
	kneeFailures = 0.01
	kneeLasting  = 2 // windows in a row that are bad, so that one hiccup is none
)

// findKnee looks for the window after which two in a row were too slow or failed too often, and in between had more to do than
// ever before: nil where the load did not rise to at least twice what it began with, or nothing broke.
func findKnee(windows []*Window) *Knee {
	var busy []*Window
	for _, w := range windows {
		if w.Planned > 0 && w.Requests > 0 {
			busy = append(busy, w)
		}
	}
	if len(busy) < 2*kneeLasting+2 {
		return nil
	}
	limit := max(kneeFloor, kneeFactor*usual(busy[:max(2, len(busy)/10)]))
	bad := 0
	for i, w := range busy {
		why := complaint(w, limit)
		if why == "" {
			bad = 0
			continue
		}
		if bad++; bad < kneeLasting || i < kneeLasting {
			continue
		}
		last := busy[i-kneeLasting]
		if rate(last) < 2*rate(busy[0]) {
			return nil
		}
		return &Knee{AtSeconds: last.FromSeconds, Arrivals: rate(last), Requests: float64(last.Requests) / last.LengthSeconds,
			P99: Summarise(last.Latency).P99, Broke: why}
	}
	return nil
}

func rate(w *Window) float64 { return float64(w.Planned) / w.LengthSeconds }

func usual(windows []*Window) time.Duration {
	var all []time.Duration
	for _, w := range windows {
		all = append(all, w.Latency.Percentile(99))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

func complaint(w *Window, limit time.Duration) string {
	switch {
	case float64(w.Failed) > kneeFailures*float64(w.Requests):
		return "more than one request in a hundred failed"
	case w.Latency.Percentile(99) > limit:
		return "the 99th percentile rose above " + limit.Round(time.Millisecond).String()
	}
	return ""
}
