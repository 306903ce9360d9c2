package overload

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/loadtest/result"
)

// report is what a run found out.
type report struct {
	Started time.Time `json:"started"`
	Cores   int       `json:"cores"`
	DelayMs int64     `json:"redisDelayMs"` // there and back
	Peak    float64   `json:"peakBookingsPerSecond"`
	Calm    float64   `json:"calmConfirmP99Ms"` // at half of the knee, before any surge
	Levels  []level   `json:"levels"`
	Audit   string    `json:"audit"`
}

// level is one surge.
type level struct {
	Times           float64          `json:"times"`   // of the knee
	Offered         float64          `json:"offered"` // people a second
	Booked          float64          `json:"booked"`  // a second, during the surge
	Goodput         float64          `json:"goodput"` // the same as a share of the peak
	Refused         map[string]int64 `json:"refused"` // requests by step and code
	Unpaced         int64            `json:"unpaced"` // without Retry-After
	ConfirmsRefused int64            `json:"confirmsRefused"`
	ConfirmP50      float64          `json:"confirmP50Ms"` // of those who got their booking
	ConfirmP99      float64          `json:"confirmP99Ms"`
	RefusalP99      float64          `json:"refusalP99Ms"`
	Normal          float64          `json:"normalAfterSeconds"` // after the surge; below 0: not within the time it was looked at
	Limited         []string         `json:"limited,omitempty"`  // why figures are the generator's own
}

// peakWindows is over how many windows in a row the peak is taken: the best of few would be luck.
const peakWindows = 5

// peak is the highest rate of bookings that lasted.
func peak(windows []*result.Window) (highest float64) {
	for i := 0; i+peakWindows <= len(windows); i++ {
		highest = max(highest, bookedRate(windows[i:i+peakWindows]))
	}
	return highest
}

func bookedRate(windows []*result.Window) float64 {
	var booked, seconds float64
	for _, w := range windows {
		booked += float64(w.Booked)
		seconds += w.LengthSeconds
	}
	if seconds == 0 {
		return 0
	}
	return booked / seconds
}

// phases are when a surge begins and ends within a run.
type phases struct{ begins, ends time.Duration }

// within are the windows that lie between two instants.
func within(windows []*result.Window, from, to time.Duration) []*result.Window {
	return slices.DeleteFunc(slices.Clone(windows), func(w *result.Window) bool {
		return w.FromSeconds < from.Seconds() || w.FromSeconds+w.LengthSeconds > to.Seconds()
	})
}

// settling is how long the first people of a surge take to their confirm: goodput is measured after it.
const settling = 3 * time.Second

// judgeSurge reads one surge's result.
func judgeSurge(r *result.Result, times, offered, peak, calm float64, p phases) level {
	l := level{Times: times, Offered: offered, Refused: make(map[string]int64), Unpaced: r.Totals.Unpaced, Limited: r.Generator.Limited}
	l.Booked = bookedRate(within(r.Windows, p.begins+settling, p.ends))
	l.Goodput = l.Booked / peak
	refusals := new(result.Histogram)
	for name, step := range r.Steps {
		for code, c := range step.Codes {
			if c.Class != result.Failed {
				continue
			}
			l.Refused[name+" "+code] += c.Latency.Count()
			refusals.Merge(c.Latency)
			if name == result.Confirm && (code == "OVERLOADED" || code == "RATE_LIMITED") {
				l.ConfirmsRefused += c.Latency.Count()
			}
		}
	}
	l.RefusalP99 = ms(refusals.Percentile(99))
	if step := r.Steps[result.Confirm]; step != nil && step.Codes["201"] != nil {
		l.ConfirmP50, l.ConfirmP99 = ms(step.Codes["201"].Latency.Percentile(50)), ms(step.Codes["201"].Latency.Percentile(99))
	}
	l.Normal = normalAfter(r.Windows, p.ends, calm)
	return l
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// normalAfter is how many seconds after an instant three windows in a row are like quiet ones: nobody was refused, and confirms
// took no more than twice as long as before.
func normalAfter(windows []*result.Window, ends time.Duration, calm float64) float64 {
	after := within(windows, ends, time.Hour)
	for i := 0; i+3 <= len(after); i++ {
		good := true
		for _, w := range after[i : i+3] {
			good = good && w.Failed == 0 && w.Requests > 0 && ms(w.Confirm.Percentile(99)) <= 2*calm
		}
		if good {
			return max(0, after[i].FromSeconds-ends.Seconds())
		}
	}
	return -1
}

// markdown is the report as a table.
func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Peak %.0f bookings a second; %d ms to Redis and back; %d cores for generator, server, Redis and PostgreSQL together; %s. Confirms at half of the\n"+
		"knee: 99 %% within %.0f ms. Books: %s.\n\n", r.Peak, r.DelayMs, r.Cores, r.Started.Format("2 January 2006"), r.Calm, r.Audit)
	b.WriteString("| × knee | people/s | booked/s | of peak | refused | without Retry-After | confirms refused | confirm p50, p99 ms | refusal p99 ms | normal after |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|\n")
	for _, l := range r.Levels {
		var refused int64
		for _, n := range l.Refused {
			refused += n
		}
		normal := fmt.Sprintf("%.0f s", l.Normal)
		if l.Normal < 0 {
			normal = "not seen"
		}
		fmt.Fprintf(&b, "| %g | %.0f | %.0f | %.0f %% | %d | %d | %d | %.0f, %.0f | %.0f | %s |\n", l.Times, l.Offered, l.Booked, 100*l.Goodput, refused, l.Unpaced,
			l.ConfirmsRefused, l.ConfirmP50, l.ConfirmP99, l.RefusalP99, normal)
	}
	for _, l := range r.Levels {
		for _, why := range l.Limited {
			fmt.Fprintf(&b, "\nAt %g× the generator was a limit: %s.", l.Times, why)
		}
		for _, name := range slices.Sorted(maps.Keys(l.Refused)) {
			fmt.Fprintf(&b, "\nAt %g×: %s %d times.", l.Times, name, l.Refused[name])
		}
	}
	return b.String() + "\n"
}

// write leaves the report in a folder.
func (r *report) write(t *testing.T, folder string) {
	t.Helper()
	text, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = os.MkdirAll(folder, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "overload.json"), append(text, '\n'), 0o644)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "overload.md"), []byte(r.markdown()), 0o644)
	}
	if err != nil {
		t.Error(err)
	}
}

func newReport(delay time.Duration) *report {
	return &report{Started: time.Now(), Cores: runtime.NumCPU(), DelayMs: delay.Milliseconds()}
}

// window is one second of a made-up run.
func window(second int, booked, failed int64, confirm time.Duration) *result.Window {
	w := &result.Window{FromSeconds: float64(second), LengthSeconds: 1, Requests: 10, Failed: failed, Booked: booked, Confirm: new(result.Histogram)}
	w.Confirm.Add(confirm)
	return w
}

// TestFiguresAreReadRightly: peak, goodput and the return to normal of a run whose windows are known.
func TestFiguresAreReadRightly(t *testing.T) {
	r := &result.Result{Steps: map[string]*result.Step{result.Confirm: {Codes: map[string]*result.Code{
		"201": {Class: result.OK, Latency: new(result.Histogram)}, "OVERLOADED": {Class: result.Failed, Latency: new(result.Histogram)},
	}}}}
	r.Steps[result.Confirm].Codes["201"].Latency.Add(200 * time.Millisecond)
	r.Steps[result.Confirm].Codes["OVERLOADED"].Latency.AddN(time.Millisecond, 3)
	for second := range 20 {
		switch {
		case second < 5:
			r.Windows = append(r.Windows, window(second, 50, 0, 100*time.Millisecond))
		case second < 8: // the surge's first people think
			r.Windows = append(r.Windows, window(second, 0, 10, 100*time.Millisecond))
		case second < 12:
			r.Windows = append(r.Windows, window(second, 80, 10, 900*time.Millisecond))
		case second < 14: // still slow
			r.Windows = append(r.Windows, window(second, 50, 0, 900*time.Millisecond))
		default:
			r.Windows = append(r.Windows, window(second, 50, 0, 150*time.Millisecond))
		}
	}
	if got := peak(r.Windows); got != (4*80+50)/5 {
		t.Errorf("peak %v", got)
	}
	l := judgeSurge(r, 2, 200, 100, 100, phases{5 * time.Second, 12 * time.Second})
	if l.Booked != 80 || l.Goodput != 0.8 || l.ConfirmsRefused != 3 || l.Normal != 2 || l.ConfirmP99 < 199 || l.ConfirmP99 > 201 {
		t.Errorf("%+v", l)
	}
	if got := normalAfter(r.Windows[:14], 12*time.Second, 100); got != -1 {
		t.Errorf("normal after %v s, and it never was", got)
	}
	rep := &report{Levels: []level{l}}
	if text := rep.markdown(); !strings.Contains(text, "| 2 | 200 | 80 | 80 % | 3 | 0 | 3 | 200, 200 |") {
		t.Error(text)
	}
}
