package threshold

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Threshold{
		"p99(confirm)<300ms":    {"p99(confirm)<300ms", Measure{"time", "confirm", 99, Time}, "<", 0.3},
		" p99.9 <= 1.5s ":       {"p99.9<=1.5s", Measure{"time", "", 99.9, Time}, "<=", 1.5},
		"oversold==0":           {"oversold==0", Measure{"oversold", "", 0, Count}, "==", 0},
		"error_rate<0.1%":       {"error_rate<0.1%", Measure{"error_rate", "", 0, Share}, "<", 0.001},
		"error_rate(hold)<0.01": {"error_rate(hold)<0.01", Measure{"error_rate", "hold", 0, Share}, "<", 0.01},
		"achieved_rate>99%":     {"achieved_rate>99%", Measure{"achieved_rate", "", 0, Share}, ">", 0.99},
		"lost!=1":               {"lost!=1", Measure{"lost", "", 0, Count}, "!=", 1},
		"mean(search)>=10us":    {"mean(search)>=10us", Measure{"mean", "search", 0, Time}, ">=", 1e-5},
	} {
		got, err := Parse(text)
		if err != nil || got.Text != want.Text || got.Measure != want.Measure || got.Operator != want.Operator || !close(got.Value, want.Value) {
			t.Errorf("%q is read as %+v, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "p99", "<3", "p99(confirm)<300", "p99(confirm)<0", "p101<1s", "p0<1s", "p99(<1s", "p99()<1s", "p99(a)b<1s", "p99(A)<1s",
		"oversold==1%", "oversold=0", "oversold=>0", "lost(confirm)==0", "speed>3", "lost==-1", "lost==NaN", "error_rate<inf", "lost==", "p.<1s", "p99<1s<2s",
		strings.Repeat("p", 300) + "<1s"} {
		if got, err := Parse(bad); err == nil {
			t.Errorf("%q is taken for %+v", bad, got)
		}
	}
}

func close(a, b float64) bool { return a-b < 1e-12 && b-a < 1e-12 }

func TestParseAll(t *testing.T) {
	all, err := ParseAll("# national\n\nlost==0\n  p99<1s\n")
	if err != nil || len(all) != 2 || all[1].Text != "p99<1s" {
		t.Errorf("read as %+v, %v", all, err)
	}
	if _, err := ParseAll("lost==0\nlost=0"); err == nil || !strings.HasPrefix(err.Error(), "line 2") {
		t.Errorf("a wrong second line is answered %v", err)
	}
}

func TestEvaluate(t *testing.T) {
	measured := func(m Measure) (float64, bool) {
		switch {
		case m.Name == "time" && m.Of == "confirm" && m.Q == 99:
			return 0.3, true
		case m.Name == "lost":
			return 0, true
		case m.Name == "error_rate":
			return 0.0005, true
		}
		return 0, false
	}
	want := map[string]bool{
		"p99(confirm)<300ms": false, "p99(confirm)<=300ms": true, "p99(confirm)>300ms": false, "p99(confirm)>=300ms": true,
		"lost==0": true, "lost!=0": false, "error_rate<0.1%": true, "error_rate<0.05%": false,
		"oversold==0": false, "p50(confirm)<10s": false, // not measured is not held
	}
	for text, held := range want {
		rule, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if v := Evaluate([]Threshold{rule}, measured)[0]; v.Held != held || v.Shown == "" {
			t.Errorf("%s: %+v", text, v)
		}
	}
}

func TestShow(t *testing.T) {
	for _, c := range []struct {
		value float64
		kind  Kind
		want  string
	}{{0.3, Time, "300 ms"}, {1.2345, Time, "1.23 s"}, {0.0000421, Time, "42.1 µs"}, {0, Time, "0"}, {0.00123, Share, "0.123 %"}, {1, Share, "100 %"}, {12345, Count, "12345"}} {
		if got := Show(c.value, c.kind); got != c.want {
			t.Errorf("%v is shown as %q", c.value, got)
		}
	}
	if got := ShowTime(90 * time.Second); got != "90 s" {
		t.Errorf("a minute and a half is shown as %q", got)
	}
}

// Every measure is documented and can be written.
func TestMeasuresAreKnown(t *testing.T) {
	for name, m := range Measures() {
		value := "1"
		if m.Kind == Time {
			value = "1s"
		}
		if _, err := Parse(name + "<" + value); err != nil || m.About == "" {
			t.Errorf("%s: %q, %v", name, m.About, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"p99(confirm)<300ms", "oversold==0", "error_rate<0.1%", "p99.99>=1h", "x", "p1e3<1s"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rule, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(rule.Text)
		if err != nil || again != rule {
			t.Errorf("%q is read as %+v, and that as %+v, %v", text, rule, again, err)
		}
		if !slices.Contains([]string{"<", "<=", ">", ">=", "==", "!="}, rule.Operator) || rule.Value < 0 {
			t.Errorf("%q is read as %+v", text, rule)
		}
	})
}
