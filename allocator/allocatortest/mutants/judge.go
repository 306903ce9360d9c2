package mutants

import (
	"regexp"
	"slices"
	"strings"
	"time"
)

// Verdict is what became of a bug under one check.
type Verdict string

// The verdicts. Only Caught is good for a bug, only Survived for the tree as it is.
const (
	Caught   Verdict = "caught"
	Survived Verdict = "survived" // the check passed
	Broken   Verdict = "does not compile"
	Hung     Verdict = "hung"    // the check ran into its time limit, which proves nothing
	Skipped  Verdict = "skipped" // its backend is missing, or it ran no test
)

// Outcome is a verdict with its evidence.
type Outcome struct {
	Check   Check
	Verdict Verdict
	Words   string // the first failure's own
	Took    time.Duration
}

// Result is what became of a bug.
type Result struct {
	Bug      Bug
	Outcomes []Outcome
	Err      error // stale, or the go command itself failed
	Took     time.Duration
}

// Caught says whether every check of the bug caught it.
func (r *Result) Caught() bool {
	return r.Err == nil && len(r.Outcomes) == len(r.Bug.By) &&
		!slices.ContainsFunc(r.Outcomes, func(o Outcome) bool { return o.Verdict != Caught })
}

// Skipped says whether the only thing that kept the bug from being caught is a missing backend.
func (r *Result) Skipped() bool {
	return r.Err == nil && !r.Caught() &&
		!slices.ContainsFunc(r.Outcomes, func(o Outcome) bool { return o.Verdict != Caught && o.Verdict != Skipped })
}

var (
	failure  = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)
	passed   = regexp.MustCompile(`(?m)^--- PASS: `)
	said     = regexp.MustCompile(`(?m)^\s+(\w+\.go:\d+: .*)$`)
	panicked = regexp.MustCompile(`(?m)^(?:panic|fatal error): (.*)$`)
)

// judge reads what a test binary said.
func judge(out string, ok, killed bool) (Verdict, string) {
	name, words := "", ""
	before := out
	if at := failure.FindStringIndex(out); at != nil {
		before = out[:at[0]]
	}
	if at := said.FindAllStringSubmatch(before, -1); at != nil {
		words = at[len(at)-1][1] // what a test says stands before its result
	}
	for _, m := range failure.FindAllStringSubmatch(out, -1) {
		if len(m[1]) > len(name) {
			name = m[1]
		}
	}
	crash := panicked.FindStringSubmatch(out)
	switch {
	case killed || crash != nil && strings.HasPrefix(crash[1], "test timed out"):
		return Hung, words
	case ok && passed.MatchString(out):
		return Survived, ""
	case ok:
		return Skipped, words
	case crash != nil:
		return Caught, crash[1]
	case name != "":
		return Caught, name + ": " + words
	default:
		return Hung, "it ended without a word: " + lastLine(out)
	}
}

func lastLine(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return lines[len(lines)-1]
}
