package result

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"muster/geo"
	"muster/loadtest/profile"
	"muster/loadtest/threshold"
)

// A histogram tells percentiles to a thousandth, and survives JSON and merging.
func TestHistogram(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.SliceOfN(rapid.Int64Range(1, 700e6), 1, 200).Draw(t, "µs")
		split := rapid.IntRange(0, len(times)).Draw(t, "split")
		one, two, all := new(Histogram), new(Histogram), new(Histogram)
		most := time.Duration(0)
		for i, micros := range times {
			d := time.Duration(micros) * time.Microsecond
			most = max(most, min(d, longest))
			all.Add(d)
			if i < split {
				one.Add(d)
			} else {
				two.Add(d)
			}
		}
		one.Merge(two)
		text, err := json.Marshal(one)
		if err != nil {
			t.Fatal(err)
		}
		back := new(Histogram)
		if err := json.Unmarshal(text, back); err != nil {
			t.Fatal(err)
		}
		for _, q := range []float64{1, 50, 99, 100} {
			if back.Percentile(q) != all.Percentile(q) {
				t.Fatalf("p%v is %v, and after JSON and merging %v", q, all.Percentile(q), back.Percentile(q))
			}
		}
		if back.Count() != int64(len(times)) || math.Abs(float64(back.Max()-most)) > 0.002*float64(most) {
			t.Fatalf("%d of %d times, longest %v of %v", back.Count(), len(times), back.Max(), most)
		}
	})
	empty := new(Histogram)
	if text, err := json.Marshal(empty); err != nil || string(text) != `""` || empty.Percentile(99) != 0 || empty.Mean() != 0 || empty.Max() != 0 {
		t.Errorf("an empty histogram is %s, %v", text, err)
	}
	for _, bad := range []string{`"x"`, `3`, `"HISTFAAAAB"`} {
		if json.Unmarshal([]byte(bad), new(Histogram)) == nil {
			t.Errorf("%s is read as a histogram", bad)
		}
	}
}

// recorded is a result of one generator of two.
func recorded(t *testing.T, generator string, bookings int) *Result {
	t.Helper()
	fitted, err := profile.Profile{Name: "x", Curve: profile.Storm()}.Fit(10*time.Second, 0.01)
	if err != nil {
		t.Fatal(err)
	}
	c := NewRecorder(time.Second)
	c.Site(Supply{Site: "S1", Name: "One", Lat: 53, Lon: -1})
	c.Site(Supply{Site: "S1", Name: "Another name"})
	for i := range bookings {
		at := time.Duration(i) * 100 * time.Millisecond
		c.Arrive(at, at+time.Millisecond)
		c.Observe(Observation{Step: Hold, Code: "201", Class: OK, Planned: at, Sent: at, Ended: at + 10*time.Millisecond})
		c.Observe(Observation{Step: Hold, Code: "SLOT_FULL", Class: Refused, Planned: at, Sent: at, Ended: at + 5*time.Millisecond})
		c.Observe(Observation{Step: Confirm, Code: "201", Class: OK, Planned: at, Sent: at + 200*time.Millisecond, Ended: at + 300*time.Millisecond})
		c.Booked("S1", at, 1)
		c.End(Ending{Journey: "book", Home: geo.Point{Lat: 53, Lon: -1}, Booked: true})
	}
	c.Observe(Observation{Step: Confirm, Code: "TIMEOUT", Class: Failed, Ended: 10 * time.Second})
	c.Ended("S1", time.Second, false)
	c.Ended("S1", time.Second, true)
	c.Arrive(9*time.Second, -1)
	c.Arrive(9*time.Second, 11*time.Second)
	c.End(Ending{Journey: "book", Cut: true})
	c.End(Ending{Journey: "poll", Nothing: true})
	c.Wrong("a thing")
	c.Unknown()
	if live := c.Look(); live.Recent.Count != int64(3*bookings+1) || c.Look().Recent.Count != 0 {
		t.Errorf("looked at %+v", live)
	}
	r := c.Result()
	r.Profile, r.Run = ProfileOf(fitted), Run{Seed: 3, Generators: []string{generator}, Started: time.Unix(100, 0).UTC()}
	r.Generator = Generator{CPUSeconds: 1, WallSeconds: 10, Cores: 2}
	r.Audit = &Audit{Acknowledged: int64(bookings), Checked: int64(bookings), Oversold: 1, Lost: 1}
	r.Finish()
	return r
}

func TestRecorderAndMeasures(t *testing.T) {
	r := recorded(t, "1/1", 20)
	for text, want := range map[string]float64{
		"p99(hold)<1s": 0.010, "max(confirm)<1s": 10, "p50(confirm)<1s": 0.3, "error_rate<1": 1.0 / 61, "error_rate(confirm)<1": 1.0 / 21, "refused_rate(hold)<1": 0.5,
		"requests==0": 61, "requests(confirm)==0": 21, "achieved_rate<1": 20.0 / 22, "late_rate<1": 20.0 / 61, "unsent==0": 1, "booked==0": 20,
		"oversold==0": 1, "lost==0": 1, "leaked==0": 0, "wrong==0": 1, "violations==0": 3, "generator_cpu<1": 0.05, "phantom_slot_rate<1": 0,
	} {
		rule, err := threshold.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := r.Measure(rule.Measure)
		if !ok || math.Abs(got-want) > 0.002*want+1e-9 {
			t.Errorf("%s: %v (%v), want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"p99(move)<1s", "error_rate(move)<1"} {
		rule, _ := threshold.Parse(text)
		if got, ok := r.Measure(rule.Measure); ok {
			t.Errorf("%s of a step that nobody took is %v", text, got)
		}
	}
	r.Audit = nil
	rule, _ := threshold.Parse("lost==0")
	if _, ok := r.Measure(rule.Measure); ok {
		t.Error("without an audit, nothing is lost")
	}
	if n := r.Totals; n.Cut != 1 || n.Finished != 21 || n.Nothing != 1 || n.Late != 20 || n.Cancelled != 1 || n.Moved != 1 || r.Map.Supply[0].Booked != 18 {
		t.Errorf("counted %+v, %+v", n, r.Map)
	}
}

// Every measure that thresholds know is answered by a result.
func TestEveryMeasureIsAnswered(t *testing.T) {
	r := recorded(t, "1/1", 5)
	for name, m := range threshold.Measures() {
		if _, ok := r.Measure(threshold.Measure{Name: name, Kind: m.Kind}); !ok {
			t.Errorf("%s is not measured", name)
		}
	}
}

func TestMerge(t *testing.T) {
	one, two := recorded(t, "1/2", 20), recorded(t, "2/2", 10)
	name := filepath.Join(t.TempDir(), "two.json")
	if err := two.Write(name); err != nil {
		t.Fatal(err)
	}
	read, err := Read(name)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := Merge(one, read)
	if err != nil {
		t.Fatal(err)
	}
	if sum.Totals.Booked != 30 || sum.Totals.Requests != 92 || sum.Latency("").Count() != 92 || sum.Steps[Confirm].Summary.Count != 32 || sum.Lag.Count() != 92 {
		t.Errorf("the sum is %+v", sum.Totals)
	}
	if a := sum.Audit; a.Acknowledged != 30 || a.Lost != 2 || a.Oversold != 1 {
		t.Errorf("the sum of the audits is %+v", a)
	}
	if !reflect.DeepEqual(sum.Run.Generators, []string{"1/2", "2/2"}) || sum.Generator.Cores != 4 || sum.Journeys["book"].People != 32 || sum.Map.Supply[0].Booked != 26 {
		t.Errorf("generators %v, %+v, journeys %v", sum.Run.Generators, sum.Generator, sum.Journeys)
	}
	var requests int64
	for _, w := range sum.Windows {
		requests += w.Requests
	}
	if requests != 92 {
		t.Errorf("the windows have %d of 92 requests", requests)
	}
	for what, spoil := range map[string]func(*Result){
		"a generator twice": func(r *Result) { r.Run.Generators = []string{"1/2"} }, "another seed": func(r *Result) { r.Run.Seed++ },
		"another profile": func(r *Result) { r.Profile.Name = "y" }, "other windows": func(r *Result) { r.Windows[0].LengthSeconds = 7 },
	} {
		other := recorded(t, "2/2", 3)
		spoil(other)
		if _, err := Merge(recorded(t, "1/2", 3), other); err == nil {
			t.Errorf("%s is merged", what)
		}
	}
	if _, err := Merge(); err == nil {
		t.Error("nothing is merged")
	}
}

func TestReadRefuses(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{"empty": "", "other": `{"format":99}`, "list": "[]"} {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := Read(path); err == nil {
			t.Errorf("%s is read as %+v", name, r)
		}
	}
	if _, err := Read(filepath.Join(folder, "missing")); err == nil {
		t.Error("a missing file is read")
	}
}

// windows with a load that rises and a server that breaks at a rate.
func rising(n int, breaks float64) []*Window {
	var list []*Window
	for i := range n {
		planned := int64(10 * (i + 1))
		w := &Window{FromSeconds: float64(i), LengthSeconds: 1, Planned: planned, Requests: 5 * planned, Latency: new(Histogram), Confirm: new(Histogram)}
		w.Latency.AddN(5*time.Millisecond, 99)
		if float64(planned) > breaks {
			w.Latency.AddN(3*time.Second, 50)
		}
		list = append(list, w)
	}
	return list
}

func TestKnee(t *testing.T) {
	k := findKnee(rising(30, 200))
	if k == nil || k.Arrivals != 200 || k.Requests != 1000 || k.Broke == "" {
		t.Errorf("a server that breaks above 200 has its knee at %+v", k)
	}
	failing := rising(30, 1e9)
	for _, w := range failing[15:] {
		w.Failed = w.Requests / 20
	}
	if k := findKnee(failing); k == nil || k.Arrivals != 150 {
		t.Errorf("one that fails above 150 has it at %+v", k)
	}
	if k := findKnee(rising(30, 1e9)); k != nil {
		t.Errorf("one that does not break has it at %+v", k)
	}
	if k := findKnee(rising(3, 10)); k != nil {
		t.Errorf("three windows have it at %+v", k)
	}
	hiccup := rising(30, 1e9)
	hiccup[20].Latency.AddN(9*time.Second, 99)
	if k := findKnee(hiccup); k != nil {
		t.Errorf("a hiccup is taken for a knee at %+v", k)
	}
	storm, ramp := Profile{Curve: [][2]float64{{0, 5}, {1, 3}}}, Profile{Curve: [][2]float64{{0, 5}, {1, 6}}}
	if storm.rises() || !ramp.rises() {
		t.Error("a storm rises, or a ramp does not")
	}
}

func TestWindowFor(t *testing.T) {
	for length, want := range map[time.Duration]time.Duration{time.Minute: time.Second, 2 * time.Minute: time.Second, 121 * time.Second: 2 * time.Second,
		24 * time.Hour: 720 * time.Second, 0: time.Second} {
		if got := WindowFor(length); got != want {
			t.Errorf("windows for %v are %v", length, got)
		}
	}
}
