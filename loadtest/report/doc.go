// Package report shows what a load test found out: to a terminal while it goes on and at its end, and as one page of HTML that
// needs nothing from elsewhere. The page works without JavaScript, in print, and for people who cannot see its pictures: every
// chart has a title, a description and its figures as a table.
package report

import (
	"strconv"
	"strings"

	"muster/loadtest/profile"
	"muster/loadtest/result"
)

// Verdict is what a run comes to.
type Verdict int

// The verdicts, the worst last.
const (
	Held     Verdict = iota // thresholds held, and the audit is clean
	Breached                // a threshold was breached
	Invalid                 // the generator was the limit, or the run broke off: the figures are not the server's
	Violated                // the audit found what may not be
)

// Judge decides. What may not be counts whatever else was wrong; then whether the figures mean anything; then thresholds.
func Judge(r *result.Result) Verdict {
	switch {
	case r.Totals.Wrong > 0 || r.Audit != nil && r.Audit.Violations() > 0:
		return Violated
	case len(r.Generator.Limited) > 0 || r.Run.Broken != "" || r.Hook != nil && r.Hook.Error != "":
		return Invalid
	}
	for _, v := range r.Thresholds {
		if !v.Held {
			return Breached
		}
	}
	return Held
}

// String names the verdict.
func (v Verdict) String() string {
	return [...]string{"Passed", "Thresholds breached", "Not a valid measurement", "Violations found"}[v]
}

// number writes a whole number with separators.
func number[T int | int64](n T) string {
	text := strconv.FormatInt(int64(n), 10)
	sign := ""
	if strings.HasPrefix(text, "-") {
		sign, text = "−", text[1:]
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return sign + text
}

// percent writes a share of one with few digits.
func percent(part, whole int64) string {
	if whole == 0 {
		return "none"
	}
	share := 100 * float64(part) / float64(whole)
	switch {
	case part == 0:
		return "0 %"
	case share < 0.01:
		return "below 0.01 %"
	}
	return strconv.FormatFloat(share, 'g', 3, 64) + " %"
}

// ms writes milliseconds with three digits.
func ms(value float64) string {
	switch {
	case value >= 1000:
		return strconv.FormatFloat(value/1000, 'f', 2, 64) + " s"
	case value >= 100:
		return strconv.FormatFloat(value, 'f', 0, 64) + " ms"
	case value >= 10:
		return strconv.FormatFloat(value, 'f', 1, 64) + " ms"
	}
	return strconv.FormatFloat(value, 'f', 2, 64) + " ms"
}

// seconds writes a length of time as people say it.
func seconds(s float64) string {
	whole := int64(s + 0.5)
	switch {
	case whole >= 2*3600:
		return strconv.FormatFloat(s/3600, 'g', 3, 64) + " hours"
	case whole >= 120:
		return strconv.FormatFloat(s/60, 'g', 3, 64) + " minutes"
	case whole == 1:
		return "1 second"
	}
	return number(whole) + " seconds"
}

// journeys lists those that were taken, in the usual order.
func journeys(r *result.Result) (names []string) {
	for _, j := range profile.Journeys() {
		if _, ok := r.Journeys[string(j)]; ok {
			names = append(names, string(j))
		}
	}
	return names
}
