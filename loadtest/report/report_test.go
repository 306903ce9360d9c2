package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"muster/geo"
	"muster/loadtest/profile"
	"muster/loadtest/result"
	"muster/loadtest/threshold"
)

// finished is a result with something of everything, and of a nasty site.
func finished(t *testing.T) *result.Result {
	t.Helper()
	p, err := profile.Named("opening-bell")
	if err != nil {
		t.Fatal(err)
	}
	if p, err = p.Fit(30*time.Second, 0.0001); err != nil {
		t.Fatal(err)
	}
	c := result.NewRecorder(time.Second)
	c.Site(result.Supply{Site: "S1", Name: `<script>alert("x")</script>`, Lat: 53, Lon: -1})
	for i := range 60 {
		at := time.Duration(i) * 500 * time.Millisecond
		c.Arrive(at, at)
		for j, step := range result.Steps() {
			o := result.Observation{Step: step, Code: "200", Class: result.OK, Planned: at, Sent: at, Ended: at + time.Duration(i+j+1)*time.Millisecond}
			if i%7 == 0 {
				o.Code, o.Class = "SLOT_FULL", result.Refused
			}
			if i%20 == 0 {
				o.Code, o.Class = "TIMEOUT", result.Failed
			}
			c.Observe(o)
		}
		c.Booked("S1", at, 1)
		c.End(result.Ending{Journey: "book", Home: geo.Point{Lat: 52, Lon: -1.2}, Booked: i%3 > 0, Nothing: i%3 == 0})
	}
	r := c.Result()
	r.Profile, r.Places = result.ProfileOf(p), 100
	r.Run = result.Run{Target: "http://127.0.0.1:1", Engine: "lean", Command: "muster loadtest", Generators: []string{"1/1"}, Started: time.Unix(1e9, 0)}
	r.Audit = &result.Audit{Acknowledged: 60, Checked: 60, Sources: []string{"a test"}, Unchecked: []string{"the weather"}}
	rule, err := threshold.Parse("p99(confirm)<300ms")
	if err != nil {
		t.Fatal(err)
	}
	r.Thresholds = threshold.Evaluate([]threshold.Threshold{rule}, r.Measure)
	r.Hook = &result.Hook{Command: "kill 1", AtSeconds: 15}
	r.Finish()
	return r
}

func render(t *testing.T, r *result.Result) string {
	t.Helper()
	var out bytes.Buffer
	if err := HTML(&out, r, [][2]float64{{53, -1}, {80, 0}}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// The page needs nothing from elsewhere, runs no script, and says in words and tables what its pictures show.
func TestPage(t *testing.T) {
	text := render(t, finished(t))
	for _, banned := range []string{"<script", "src=", "@import", "url(", "NaN", "Inf", "%!", "<no value>", "ZgotmplZ"} {
		if strings.Contains(text, banned) {
			at := strings.Index(text, banned)
			t.Errorf("the page has %q: …%s…", banned, text[max(0, at-80):min(len(text), at+80)])
		}
	}
	pictures := strings.Count(text, `<svg viewBox`) + strings.Count(text, `<svg class="map"`)
	if titled := len(regexp.MustCompile(`<svg [^>]*role="img"[^>]*><title`).FindAllString(text, -1)); titled != 7 {
		t.Errorf("%d of %d pictures have a title at their beginning", titled, pictures)
	}
	if tables := strings.Count(text, "<caption>"); tables < 10 {
		t.Errorf("%d tables have a caption", tables)
	}
	for _, needed := range []string{`lang="en-GB"`, "Passed", "p99(confirm)", "the weather", "booking opens", "Open Government Licence", "hook: something fails", "&lt;script&gt;"} {
		if !strings.Contains(text, needed) {
			t.Errorf("the page does not say %q", needed)
		}
	}
}

// Every picture is well-formed.
func TestPicturesAreXML(t *testing.T) {
	text := render(t, finished(t))
	for _, picture := range regexp.MustCompile(`(?s)<svg .*?</svg>`).FindAllString(text, -1) {
		decoder := xml.NewDecoder(strings.NewReader(picture))
		for {
			if _, err := decoder.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%v in %.300s", err, picture)
			}
		}
	}
}

// A result in which nothing happened is a page too, and a text.
func TestEmptyResults(t *testing.T) {
	r := result.NewRecorder(time.Second).Result()
	if text := render(t, r); strings.Contains(text, "NaN") || !strings.Contains(text, "No audit was made") {
		t.Error("an empty result makes no sensible page")
	}
	var out bytes.Buffer
	if err := errors.Join(Text(&out, r), Compare(&out, r, r)); err != nil || strings.Contains(out.String(), "NaN") {
		t.Errorf("%v\n%s", err, &out)
	}
}

func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*result.Result)
		want  Verdict
	}{
		"well":          {func(*result.Result) {}, Held},
		"slow":          {func(r *result.Result) { r.Thresholds[0].Held = false }, Breached},
		"limited":       {func(r *result.Result) { r.Generator.Limited = []string{"x"}; r.Thresholds[0].Held = false }, Invalid},
		"broken":        {func(r *result.Result) { r.Run.Broken = "x" }, Invalid},
		"hook":          {func(r *result.Result) { r.Hook.Error = "x" }, Invalid},
		"wrong":         {func(r *result.Result) { r.Totals.Wrong = 1 }, Violated},
		"lost":          {func(r *result.Result) { r.Audit.Lost = 1; r.Run.Broken = "x" }, Violated},
		"leaked":        {func(r *result.Result) { r.Audit.Leaked = 1 }, Violated},
		"not audited":   {func(r *result.Result) { r.Audit = nil }, Held},
		"none were set": {func(r *result.Result) { r.Thresholds = nil }, Held},
	} {
		r := finished(t)
		c.spoil(r)
		if got := Judge(r); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
		if text := render(t, r); !strings.Contains(text, c.want.String()) {
			t.Errorf("%s: the page does not say %v", name, c.want)
		}
	}
}

func TestTextAndProgress(t *testing.T) {
	r := finished(t)
	r.Audit.Add(&r.Audit.Lost, "booking X is gone")
	r.Wrong = []string{"two and two is five"}
	r.Generator.Limited = []string{"it sleeps"}
	var out bytes.Buffer
	if err := Text(&out, r); err != nil {
		t.Fatal(err)
	}
	for _, needed := range []string{"confirm", "booking X is gone", "two and two is five", "it sleeps", "p99(confirm)<300ms", "Violations found", "of 100 places"} {
		if !strings.Contains(out.String(), needed) {
			t.Errorf("the text does not say %q:\n%s", needed, &out)
		}
	}
	out.Reset()
	Progress(&out, 15*time.Second, 30*time.Second, result.Live{Totals: r.Totals})
	Progress(&out, 31*time.Second, 30*time.Second, result.Live{})
	if lines := out.String(); strings.Count(lines, "\n") != 2 || !strings.Contains(lines, "50%") || !strings.Contains(lines, "last") {
		t.Errorf("progress is told as %q", lines)
	}
}

func TestCompare(t *testing.T) {
	a, b := finished(t), finished(t)
	b.Totals.Booked = 120
	b.Profile.Scale = 2
	b.Run.Machine = "another"
	var out bytes.Buffer
	if err := Compare(&out, a, b); err != nil {
		t.Fatal(err)
	}
	for _, needed := range []string{"+100.0 %", "same", "different loads", "different machines", "confirm p99"} {
		if !strings.Contains(out.String(), needed) {
			t.Errorf("the comparison does not say %q:\n%s", needed, &out)
		}
	}
}

func TestScales(t *testing.T) {
	for _, most := range []float64{0.3, 1, 7, 99, 101, 12_345} {
		c := chart{lines: []series{{points: [][2]float64{{0, most}}}}}
		s := c.scale()
		if s.to < most || s.to > 2*most || len(s.ticks) < 3 || len(s.ticks) > 7 {
			t.Errorf("up to %v: %+v", most, s)
		}
		c.log = true
		if s := c.scale(); s.from > most || s.to < most || math.IsNaN(s.y(most)) || s.y(most) < above-1 || s.y(most) > high-below+1 {
			t.Errorf("up to %v, logarithmic: %+v", most, s)
		}
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "−1,234"} {
		if got := number(n); got != want {
			t.Errorf("%d is written %q", n, got)
		}
	}
	if percent(0, 5) != "0 %" || percent(1, 1_000_000) != "below 0.01 %" || percent(1, 3) != "33.3 %" || percent(1, 0) != "none" {
		t.Error("percentages are written otherwise")
	}
}
