package profile

import (
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Every profile plans as many people as it says, in order, and within its time.
func TestProfilesPlanTheirPeople(t *testing.T) {
	for _, p := range All() {
		t.Run(p.Name, func(t *testing.T) {
			fitted, err := p.Fit(time.Minute, p.Scale)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Mix.Validate(); err != nil {
				t.Error(err)
			}
			hits, last := plan(t, fitted.Curve)
			if math.Abs(float64(hits)-fitted.Curve.People()) > 1 {
				t.Errorf("%d arrivals are planned, and the curve says %v", hits, fitted.Curve)
			}
			if last > time.Minute {
				t.Errorf("the last arrival is planned at %v of a minute", last)
			}
			if p.Places <= 0 || p.Title == "" || p.Oldest <= p.Youngest {
				t.Errorf("%+v is not complete", p)
			}
		})
	}
}

// plan walks through a pacer as Vegeta does, on a clock that is always right.
func plan(t interface{ Fatalf(string, ...any) }, c *Curve) (hits uint64, last time.Duration) {
	for elapsed := time.Duration(0); ; hits++ {
		wait, stop := c.Pace(elapsed, hits)
		if stop {
			return hits, elapsed
		}
		if wait < 0 {
			t.Fatalf("a wait of %v", wait)
		}
		elapsed += wait
	}
}

// The figures that the sources give are the figures of the curves.
func TestKnownFigures(t *testing.T) {
	near := func(what string, got, want, tolerance float64) {
		t.Helper()
		if math.Abs(got-want) > tolerance*want {
			t.Errorf("%s: %.0f, and the source says %.0f", what, got, want)
		}
	}
	england := England20210608()
	near("England's day", england.People()*bookingsPerPerson, 1_082_596, 1e-6)
	near("England by noon", england.Arrived(12*time.Hour)*bookingsPerPerson, 493_000, 0.08)
	near("England's hour from seven", (england.Arrived(8*time.Hour)-england.Arrived(7*time.Hour))*bookingsPerPerson, 100_000, 0.1)
	doctolib := Doctolib20210712()
	near("Doctolib's evening", doctolib.People()*bookingsPerPerson, 926_000, 1e-6)
	near("Doctolib's peak a minute", doctolib.Peak()*60*bookingsPerPerson, 20_000, 0.05)
	near("Doctolib at half past eight", doctolib.Rate(30*time.Minute)*60*bookingsPerPerson, 17_000, 0.05)
	cowin := CoWIN20210428()
	near("CoWIN's requests", cowin.People()*requestsPerReader, 383e6, 1e-6)
	near("CoWIN's peak", cowin.Peak()*requestsPerReader, 55_000, 0.1)
	near("the storm", Storm().People(), 50_000, 1e-6)
}

// Whatever the curve: arrivals never go back in time, none is forgotten, the area and the plan agree, and two plans are equal.
func TestPacerProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := curves().Draw(t, "curve")
		var before time.Duration
		hits := uint64(0)
		for ; hits < 2_000; hits++ {
			wait, stop := c.Pace(before, hits)
			again, stopAgain := c.Pace(before, hits)
			if wait != again || stop != stopAgain {
				t.Fatalf("the same question is answered %v %v and %v %v", wait, stop, again, stopAgain)
			}
			if stop {
				break
			}
			if wait < 0 {
				t.Fatalf("arrival %d lies %v before the last", hits, -wait)
			}
			before += wait
			if arrived := c.Arrived(before); math.Abs(arrived-float64(hits+1)) > 1e-3*max(1, c.Peak())+1e-3 {
				t.Fatalf("arrival %d is planned at %v, where %.4f have arrived", hits+1, before, arrived)
			}
		}
		if hits < 2_000 && float64(hits) < math.Floor(c.People()) {
			t.Fatalf("%d of %.3f people were planned", hits, c.People())
		}
	})
}

// The rate is the slope of what has arrived.
func TestRateIsTheSlope(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := curves().Draw(t, "curve")
		const steps = 4000
		sum, width := 0.0, c.Length().Seconds()/steps
		for i := range steps {
			sum += c.Rate(time.Duration((float64(i)+0.5)*width*1e9)) * width
		}
		if math.Abs(sum-c.People()) > 2*c.Peak()*width*float64(len(c.points))+1e-6 {
			t.Fatalf("the rates sum up to %.4f of %.4f people", sum, c.People())
		}
	})
}

func curves() *rapid.Generator[*Curve] {
	return rapid.Custom(func(t *rapid.T) *Curve {
		at := time.Duration(0)
		points := []Point{{0, rapid.Float64Range(0, 500).Draw(t, "first")}}
		for range rapid.IntRange(1, 8).Draw(t, "points") {
			at += time.Duration(rapid.IntRange(0, 5_000).Draw(t, "ms")) * time.Millisecond
			points = append(points, Point{at, rapid.Float64Range(0, 500).Draw(t, "rate")})
		}
		points = append(points, Point{at + time.Second, 1})
		return mustCurve(points...)
	})
}

func TestFitKeepsPeopleOrRates(t *testing.T) {
	event, err := Profile{Name: "x", Curve: Storm(), Bell: 30 * time.Second}.Fit(30*time.Second, 0.5)
	if err != nil || math.Abs(event.Curve.People()-25_000) > 1e-3 || event.Curve.Length() != 30*time.Second || event.Bell != 2500*time.Millisecond {
		t.Errorf("half of a storm in half a minute: %v, bell %v, %v", event.Curve, event.Bell, err)
	}
	steady, err := Profile{Name: "y", Curve: Steady(), Rates: true}.Fit(2*time.Minute, 0.1)
	if err != nil || math.Abs(steady.Curve.Rate(time.Minute)-100) > 1e-6 || math.Abs(steady.Curve.People()-12_000) > 1e-3 {
		t.Errorf("a tenth for two minutes: %v, %v", steady.Curve, err)
	}
	for _, bad := range []float64{0, -1, math.NaN(), 1e-9} {
		if _, err := (Profile{Name: "x", Curve: Storm()}).Fit(time.Minute, bad); err == nil {
			t.Errorf("a share of %v is taken", bad)
		}
	}
}

func TestNamed(t *testing.T) {
	if _, err := Named("opening-bel"); err == nil || !strings.Contains(err.Error(), "opening-bell") {
		t.Errorf("a slip of the finger is answered %v, which does not help", err)
	}
	for _, name := range []string{"england-2021-06-08", "doctolib-2021-07-12", "cowin-2021-04-28", "opening-bell", "single-site-storm",
		"steady", "ramp-to-break", "soak", "failover"} {
		if _, err := Named(name); err != nil {
			t.Error(err)
		}
	}
}

func TestParse(t *testing.T) {
	p, err := Parse([]byte("name: mine\nstages:\n- {for: 10s, to: 100}\n- {for: 20s}\n- {for: 5s, at: 10}\nmix: {book: 3, browse: 1}\nages: [18, 40]\nplaces: 0.5\n"))
	if err != nil {
		t.Fatal(err)
	}
	if p.Curve.Length() != 35*time.Second || math.Abs(p.Curve.People()-2_550) > 1e-6 || p.Curve.Rate(15*time.Second) != 100 || p.Curve.Rate(31*time.Second) != 10 {
		t.Errorf("the stages make %v", p.Curve)
	}
	if p.Name != "mine" || p.Mix.Pick(0.7) != Book || p.Mix.Pick(0.8) != Browse || p.Youngest != 18 || p.Places != 0.5 {
		t.Errorf("read as %+v", p)
	}
	like, err := Parse([]byte(`{"like":"opening-bell","people":500,"scale":1}`))
	if err != nil || math.Abs(like.Curve.People()-500) > 1e-6 || like.Bell != bell {
		t.Errorf("a small opening bell is %v, %v", like.Curve, err)
	}
	for _, bad := range []string{"", "stages: []", "like: nothing", "stages: [{for: soon, to: 3}]", "stages: [{for: 10s, to: -3}]", "sages: [{for: 10s, to: 3}]",
		"stages: [{for: 10s, to: 3, at: 3}]", "stages: [{for: 10s, to: 3}]\nmix: {sing: 1}", "stages: [{for: 10s, to: 3}]\nages: [40]",
		"stages: [{for: 10s, to: 3}]\nbell: 11s", "stages: [{for: 10s, to: 3}]\nplaces: 0", "{"} {
		if p, err := Parse([]byte(bad)); err == nil {
			t.Errorf("%q is taken for %+v", bad, p)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("stages:\n- {for: 10s, to: 100}"))
	f.Add([]byte(`{"like":"opening-bell","people":500}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		if p.Curve == nil || p.Mix.Validate() != nil || p.Curve.People() <= 0 {
			t.Errorf("%q is taken for %+v", text, p)
		}
	})
}

func TestPickFollowsTheWeights(t *testing.T) {
	m := Mix{Book: 1, Move: 3}
	counts := map[Journey]int{}
	for i := range 1000 {
		counts[m.Pick(float64(i)/1000)]++
	}
	if counts[Book] != 250 || counts[Move] != 750 {
		t.Errorf("weights 1 and 3 give %v", counts)
	}
	if got := m.String(); got != "book 25 %, move 75 %" {
		t.Errorf("told as %q", got)
	}
}

// docs/loadtest.md shows the curves as they are.
func TestDocumentedPlots(t *testing.T) {
	text, err := os.ReadFile("../../docs/loadtest.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range All() {
		if plot := indented(p.Curve.Plot(64, 4)); !strings.Contains(string(text), p.Name+"\n"+plot) {
			t.Errorf("docs/loadtest.md shows %s otherwise than\n%s\n%s", p.Name, p.Name, plot)
		}
	}
}

func indented(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n    ")
}

func TestPlotShowsThePeak(t *testing.T) {
	lines := strings.Split(OpeningBell().Plot(60, 6), "\n")
	top := lines[0]
	if !strings.Contains(top, "█") && !strings.ContainsAny(top, "▁▂▃▄▅▆▇") {
		t.Errorf("the peak is not to be seen in\n%s", strings.Join(lines, "\n"))
	}
	if at := len([]rune(top)); at < 25 || at > 40 {
		t.Errorf("the bell rings at column %d:\n%s", at, strings.Join(lines, "\n"))
	}
}
