// Package threshold reads and decides what a load test must keep to, in the language of its reports:
//
//	p99(confirm)<300ms   oversold==0   lost==0   error_rate<0.1%   phantom_slot_rate<1%   achieved_rate>99%
//
// A threshold is a measure, an operator and a value. Measures of times are p50, p99.9, mean and max, of a step in brackets or of
// all steps without; their values have a unit (ms, s, us). Rates take per cent, or a share of one. All else are plain numbers.
// What a run could not measure is no success: such a threshold is breached.
package threshold

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Kind is what a measure's values are.
type Kind int

// The kinds.
const (
	Count Kind = iota
	Share      // 0.01 is one per cent
	Time       // seconds
)

// Measure names what is compared.
type Measure struct {
	Name string  // without percentile: "time", "mean", "max", "error_rate", "oversold" …
	Of   string  // step or code in brackets; "" for all
	Q    float64 // of "time": the percentile, 0 < Q ≤ 100
	Kind Kind
}

// Threshold is one rule.
type Threshold struct {
	Text     string // as it was written, without spaces
	Measure  Measure
	Operator string
	Value    float64 // seconds, share, or number
}

// Measures lists the names that are known beside percentiles, and whether they may be asked for one step.
func Measures() map[string]struct {
	Kind   Kind
	OfStep bool
	About  string
} {
	type m = struct {
		Kind   Kind
		OfStep bool
		About  string
	}
	return map[string]m{
		"mean":              {Time, true, "mean time from the planned start to the answer"},
		"max":               {Time, true, "longest time from the planned start to the answer"},
		"error_rate":        {Share, true, "share of requests that failed: 5xx, 429, 400, no answer"},
		"refused_rate":      {Share, true, "share of requests that were refused for a reason that people must expect"},
		"requests":          {Count, true, "requests that were answered or failed"},
		"achieved_rate":     {Share, false, "share of the planned arrivals that began within a second of their time"},
		"late_rate":         {Share, false, "share of the requests that were sent later than planned, by 100 ms or more"},
		"phantom_slot_rate": {Share, false, "share of holds refused as full of a slot that was listed as free a second or more after others were told that it is full"},
		"unsent":            {Count, false, "planned arrivals that never began"},
		"booked":            {Count, false, "bookings that were acknowledged"},
		"oversold":          {Count, false, "bookings beyond capacity, by the audit"},
		"lost":              {Count, false, "acknowledged bookings that the audit did not find"},
		"leaked":            {Count, false, "places that nobody has and nobody can get, by the audit"},
		"wrong":             {Count, false, "answers that contradict the request, an earlier answer or the audit"},
		"violations":        {Count, false, "all that the audit found"},
		"generator_cpu":     {Share, false, "share of its cores that the generator used"},
	}
}

// maxBytes bounds a rule; no sensible one is longer.
const maxBytes = 200

// Parse reads one threshold. Spaces do not count. The error says what would be right.
func Parse(text string) (Threshold, error) {
	compact := strings.Join(strings.Fields(text), "")
	if len(compact) > maxBytes {
		return Threshold{}, fmt.Errorf("a threshold of %d bytes is none", len(compact))
	}
	at := strings.IndexAny(compact, "<>=!")
	if at <= 0 {
		return Threshold{}, fmt.Errorf("%.60q has no measure or no operator: write it like p99(confirm)<300ms or lost==0", compact)
	}
	end := at + 1
	if end < len(compact) && compact[end] == '=' {
		end++
	}
	t := Threshold{Text: compact, Operator: compact[at:end]}
	switch t.Operator {
	case "<", "<=", ">", ">=", "==", "!=":
	default:
		return Threshold{}, fmt.Errorf("%.60q: %q is no operator: there are < <= > >= == !=", compact, t.Operator)
	}
	var err error
	if t.Measure, err = parseMeasure(compact[:at]); err == nil {
		t.Value, err = parseValue(compact[end:], t.Measure.Kind)
	}
	if err != nil {
		return Threshold{}, fmt.Errorf("%.60q: %w", compact, err)
	}
	return t, nil
}

// ParseAll reads the lines of a file; empty ones and those that begin with # do not count.
func ParseAll(text string) ([]Threshold, error) {
	var all []Threshold
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		t, err := Parse(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		all = append(all, t)
	}
	return all, nil
}

func parseMeasure(text string) (Measure, error) {
	name, rest, bracket := strings.Cut(text, "(")
	of, after, closed := strings.Cut(rest, ")")
	if bracket && (!closed || after != "" || !word(of)) {
		return Measure{}, fmt.Errorf("%q has brackets that hold no step", text)
	}
	if digits, ok := strings.CutPrefix(name, "p"); ok && digits != "" && strings.Trim(digits, "0123456789.") == "" {
		q, err := strconv.ParseFloat(digits, 64)
		if err != nil || !(q > 0 && q <= 100) {
			return Measure{}, fmt.Errorf("p%s is no percentile: they go from above 0 to 100", digits)
		}
		return Measure{"time", of, q, Time}, nil
	}
	known, ok := Measures()[name]
	if !ok {
		return Measure{}, fmt.Errorf("%.40q is no measure", name)
	}
	if of != "" && !known.OfStep {
		return Measure{}, fmt.Errorf("%s is not told step by step", name)
	}
	return Measure{name, of, 0, known.Kind}, nil
}

func word(text string) bool {
	return text != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz_") == ""
}

func parseValue(text string, kind Kind) (float64, error) {
	var value float64
	var err error
	switch percent, isPercent := strings.CutSuffix(text, "%"); {
	case kind == Time:
		var d time.Duration
		if d, err = time.ParseDuration(text); err != nil || text == "0" {
			return 0, fmt.Errorf("%.40q is no time: give it a unit, such as 300ms", text)
		}
		value = d.Seconds()
	case isPercent && kind == Count:
		return 0, fmt.Errorf("%.40q is a percentage of nothing: this measure is a number", text)
	default:
		value, err = strconv.ParseFloat(percent, 64)
		if isPercent {
			value /= 100
		}
	}
	if err != nil || math.IsNaN(value) || math.IsInf(value, 0) || value < 0 {
		return 0, fmt.Errorf("%.40q is no value for it", text)
	}
	return value, nil
}

// Verdict is what became of a threshold.
type Verdict struct {
	Threshold string  `json:"threshold"`
	Value     float64 `json:"value"`
	Shown     string  `json:"shown"` // the value with its unit, or why there is none
	Held      bool    `json:"held"`
}

// Source answers measures: false where a run did not measure it. Times are in seconds.
type Source func(m Measure) (value float64, ok bool)

// Evaluate decides thresholds, in their order.
func Evaluate(rules []Threshold, measured Source) []Verdict {
	verdicts := make([]Verdict, len(rules))
	for i, rule := range rules {
		v := Verdict{Threshold: rule.Text, Shown: "not measured"}
		if value, ok := measured(rule.Measure); ok && !math.IsNaN(value) {
			v.Value, v.Shown, v.Held = value, Show(value, rule.Measure.Kind), rule.holds(value)
		}
		verdicts[i] = v
	}
	return verdicts
}

func (t Threshold) holds(value float64) bool {
	switch t.Operator {
	case "<":
		return value < t.Value
	case "<=":
		return value <= t.Value
	case ">":
		return value > t.Value
	case ">=":
		return value >= t.Value
	case "==":
		return value == t.Value
	default:
		return value != t.Value
	}
}

// Show writes a value as people read it.
func Show(value float64, kind Kind) string {
	switch kind {
	case Time:
		return ShowTime(time.Duration(value * float64(time.Second)))
	case Share:
		return strconv.FormatFloat(100*value, 'g', 4, 64) + " %"
	default:
		return strconv.FormatFloat(value, 'f', -1, 64)
	}
}

// ShowTime writes a time with three digits.
func ShowTime(d time.Duration) string {
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{time.Second, "s"}, {time.Millisecond, "ms"}, {time.Microsecond, "µs"}} {
		if d >= unit.size {
			return strconv.FormatFloat(d.Seconds()/unit.size.Seconds(), 'g', 3, 64) + " " + unit.name
		}
	}
	return "0"
}
