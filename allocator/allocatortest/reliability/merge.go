package reliability

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// merged is the name of the document of all parts.
const merged = "reliability"

// MaxRecoveryMs is how long a recovery may take, in milliseconds.
const MaxRecoveryMs = 60_000

// Report is all parts of a folder, and their sums.
type Report struct {
	Version      int            `json:"version"`
	Commits      []string       `json:"commits"` // of the parts; more than one means that they are not of one program
	Started      time.Time      `json:"started"` // of the earliest part
	Seconds      float64        `json:"seconds"` // of all parts
	Seeds        int            `json:"seeds"`
	Steps        int            `json:"steps"`
	Operations   int            `json:"operations"`
	Histories    int            `json:"histories"`
	Searched     int            `json:"searched"`
	Refusals     map[string]int `json:"refusals,omitempty"`
	Oversells    int            `json:"oversells"`
	LostBookings int            `json:"lostBookings"`
	Drift        int            `json:"drift"`
	Violations   []Violation    `json:"violations"` // where begins with the suite
	Faults       map[string]int `json:"faults,omitempty"`
	CrashPoints  CrashPoints    `json:"crashPoints,omitzero"`
	RarePaths    map[string]int `json:"rarePaths,omitempty"`
	SeededBugs   []SeededBug    `json:"seededBugs,omitempty"`
	Recoveries   []Percentiles  `json:"recoveries,omitempty"` // by fault
	NotTested    []string       `json:"notTested,omitempty"`
	Failures     []string       `json:"failures"` // why the report is not clean; none where it is
	Parts        []Part         `json:"parts"`    // by suite
}

// Percentiles tells how long recoveries from one fault took, by nearest rank.
type Percentiles struct {
	Fault string `json:"fault"`
	Times int    `json:"times"`
	P50Ms int64  `json:"p50Milliseconds"`
	P99Ms int64  `json:"p99Milliseconds"`
	MaxMs int64  `json:"maxMilliseconds"`
}

// errNothing says that a folder has no parts.
var errNothing = errors.New("no suite has left a report there")

// Merge reads every part in a folder, adds them up, and writes the sum beside them as reliability.json. It fails where there
// is none, or where one cannot be read.
func Merge(dir string) (*Report, error) {
	parts, err := read(dir)
	if err != nil {
		return nil, err
	}
	r := Sum(parts)
	return r, write(dir, merged, r)
}

// read reads the parts of a folder by suite.
func read(dir string) (parts []Part, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("reports in %s: %w", dir, err)
	}
	for _, name := range files {
		if filepath.Base(name) == merged+".json" {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("report: %w", err)
		}
		var p Part
		if err := json.Unmarshal(text, &p); err != nil {
			return nil, fmt.Errorf("report %s: %w", name, err)
		}
		if p.Version != Version || p.Suite != strings.TrimSuffix(filepath.Base(name), ".json") {
			return nil, fmt.Errorf("report %s: is of suite %q, version %d: %w", name, p.Suite, p.Version, errors.ErrUnsupported)
		}
		parts = append(parts, p)
	}
	if len(parts) == 0 {
		return nil, fmt.Errorf("%s: %w", dir, errNothing)
	}
	return parts, nil
}

// Sum adds parts up.
func Sum(parts []Part) *Report {
	r := &Report{Version: Version, Parts: parts, Violations: []Violation{}}
	recoveries := make(map[string][]int64)
	for i := range parts {
		p := &parts[i]
		r.add(p)
		for _, one := range p.Recoveries {
			recoveries[one.Fault] = append(recoveries[one.Fault], one.Milliseconds)
		}
	}
	for _, list := range []*[]string{&r.Commits, &r.CrashPoints.Known, &r.CrashPoints.Covered, &r.NotTested} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	for _, fault := range slices.Sorted(maps.Keys(recoveries)) {
		r.Recoveries = append(r.Recoveries, percentiles(fault, recoveries[fault]))
	}
	slices.SortStableFunc(r.SeededBugs, func(a, b SeededBug) int { return cmp.Compare(a.Name, b.Name) })
	r.Failures = r.failures()
	return r
}

func (r *Report) add(p *Part) {
	if r.Started.IsZero() || p.Started.Before(r.Started) {
		r.Started = p.Started
	}
	r.Commits = append(r.Commits, p.Commit)
	r.Seconds += p.Seconds
	r.Seeds += p.Seeds
	r.Steps += p.Steps
	r.Operations += p.Operations
	r.Histories += p.Histories
	r.Searched += p.Searched
	r.Oversells += p.Oversells
	r.LostBookings += p.LostBookings
	r.Drift += p.Drift
	for _, v := range p.Violations {
		v.Where = strings.TrimSpace(p.Suite + " " + v.Where)
		r.Violations = append(r.Violations, v)
	}
	for code, n := range p.Refusals {
		r.Refusals = add(r.Refusals, code, n)
	}
	for fault, n := range p.Faults {
		r.Faults = add(r.Faults, fault, n)
	}
	for path, n := range p.RarePaths {
		r.RarePaths = add(r.RarePaths, path, n)
	}
	r.CrashPoints.Known = append(r.CrashPoints.Known, p.CrashPoints.Known...)
	r.CrashPoints.Covered = append(r.CrashPoints.Covered, p.CrashPoints.Covered...)
	r.SeededBugs = append(r.SeededBugs, p.SeededBugs...)
	r.NotTested = append(r.NotTested, p.NotTested...)
}

// percentiles sorts the times.
func percentiles(fault string, times []int64) Percentiles {
	slices.Sort(times)
	rank := func(percent int) int64 { return times[max(0, (len(times)*percent+99)/100-1)] }
	return Percentiles{fault, len(times), rank(50), rank(99), times[len(times)-1]}
}

// failures lists every reason for which the report is not clean.
func (r *Report) failures() []string {
	list := []string{}
	fail := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	for _, v := range r.Violations {
		fail("%s is broken (%s): %s", v.Promise, v.Where, v.Text)
	}
	if r.Oversells > 0 {
		fail("%d oversells", r.Oversells)
	}
	if r.LostBookings > 0 {
		fail("%d acknowledged bookings lost", r.LostBookings)
	}
	for _, b := range r.SeededBugs {
		if !b.Caught {
			fail("seeded bug %s was not caught", b.Name)
		}
	}
	for _, point := range r.CrashPoints.Known {
		if !slices.Contains(r.CrashPoints.Covered, point) {
			fail("crash point %s was not covered", point)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(r.RarePaths)) {
		if r.RarePaths[path] == 0 {
			fail("rare path %s was never taken", path)
		}
	}
	for _, p := range r.Recoveries {
		if p.MaxMs > MaxRecoveryMs {
			fail("recovery from %s took %.1f s", p.Fault, float64(p.MaxMs)/1000)
		}
	}
	return list
}
