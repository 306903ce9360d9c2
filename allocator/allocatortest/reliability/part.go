// Package reliability is the report of what was tried to break the engine and what came of it: one part per suite, written by
// the suite when it is done, and all parts of a folder merged into one.
//
// The documents are JSON of version 1. Fields are only ever added to a version.
package reliability

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"muster/allocator/allocatortest/checkers"
)

// Version is that of the documents.
const Version = 1

// Part is what one suite did and found. It serves one goroutine at a time.
type Part struct {
	Version      int            `json:"version"`              // of the document
	Suite        string         `json:"suite"`                // simulate, chaos, crashpoints, mutants, soak; names the file
	Command      string         `json:"command"`              // that reproduces it
	Commit       string         `json:"commit"`               // of the program; with "+changes" where files differed from it; "" where unknown
	Machine      Machine        `json:"machine"`              // that it ran on
	Started      time.Time      `json:"started"`              // UTC
	Seconds      float64        `json:"seconds"`              // how long it took
	Seeds        int            `json:"seeds"`                // of simulations; of chaos, scenarios
	Steps        int            `json:"steps"`                // of all seeds
	Operations   int            `json:"operations"`           // of clients, as they saw them
	Histories    int            `json:"histories"`            // places and persons judged linearizable or not
	Searched     int            `json:"searched"`             // of these, how many took a search by Porcupine
	Refusals     map[string]int `json:"refusals,omitempty"`   // operations by the code of their refusal
	Oversells    int            `json:"oversells"`            // violations of P1
	LostBookings int            `json:"lostBookings"`         // violations of P2
	Drift        int            `json:"drift"`                // places at which inventory and ledger differed after all was quiet
	Violations   []Violation    `json:"violations"`           // of any promise
	Faults       map[string]int `json:"faults,omitempty"`     // how often each kind was injected
	CrashPoints  CrashPoints    `json:"crashPoints,omitzero"` // named places in the code
	RarePaths    map[string]int `json:"rarePaths,omitempty"`  // how often each was taken; 0 is a failure
	SeededBugs   []SeededBug    `json:"seededBugs,omitempty"` // deliberately broken builds
	Recoveries   []Recovery     `json:"recoveries,omitempty"` // each time from the end of a fault until all was well
	NotTested    []string       `json:"notTested,omitempty"`  // in sentences
}

// Machine is what a suite ran on.
type Machine struct {
	Cores int    `json:"cores"`
	OS    string `json:"os"` // GOOS/GOARCH
	Go    string `json:"go"` // version
}

// Violation is one broken promise, and where it was seen.
type Violation struct {
	Promise string `json:"promise"` // P1 … P12
	Text    string `json:"text"`
	Where   string `json:"where"` // seed, scenario or crash point that shows it again
}

// CrashPoints are named places at which processes were killed.
type CrashPoints struct {
	Known   []string `json:"known"`
	Covered []string `json:"covered"` // a process was killed there, and all was well afterwards
}

// SeededBug is one deliberately broken build.
type SeededBug struct {
	Name     string  `json:"name"`
	Sentence string  `json:"sentence"` // of the protocol that it breaks
	Caught   bool    `json:"caught"`
	By       string  `json:"by,omitempty"` // what caught it: a checker, a test, a seed
	Seconds  float64 `json:"seconds"`
}

// Recovery is one time that the system needed to be whole again without help.
type Recovery struct {
	Fault        string `json:"fault"`
	Milliseconds int64  `json:"milliseconds"`
}

// New begins a part now. The command is what a reader types to repeat it.
func New(suite, command string) *Part {
	return &Part{
		Version: Version, Suite: suite, Command: command, Commit: commit(), Started: time.Now().UTC().Truncate(time.Millisecond),
		Machine: Machine{runtime.NumCPU(), runtime.GOOS + "/" + runtime.GOARCH, runtime.Version()}, Violations: []Violation{},
	}
}

// Judged adds what the checkers said of one run. Where says which: a seed, a scenario.
func (p *Part) Judged(where string, violations []checkers.Violation, stats checkers.Stats) {
	p.Operations += stats.Operations
	p.Histories += stats.Histories
	p.Searched += stats.Searched
	p.Drift += stats.Drift
	for code, n := range stats.Refusals {
		p.Refusals = add(p.Refusals, string(code), n)
	}
	for _, v := range violations {
		p.Violated(v.Promise, v.Text, where)
	}
}

// Violated adds one violation. P1 counts as an oversell, P2 as a lost booking.
func (p *Part) Violated(promise, text, where string) {
	p.Violations = append(p.Violations, Violation{promise, text, where})
	switch promise {
	case "P1":
		p.Oversells++
	case "P2":
		p.LostBookings++
	}
}

// Injected counts faults of one kind.
func (p *Part) Injected(fault string, n int) { p.Faults = add(p.Faults, fault, n) }

// Reached counts how often a rare path was taken. A path that must be taken is named with 0 first.
func (p *Part) Reached(path string, n int) { p.RarePaths = add(p.RarePaths, path, n) }

// Recovered adds one recovery.
func (p *Part) Recovered(fault string, took time.Duration) {
	p.Recoveries = append(p.Recoveries, Recovery{fault, took.Milliseconds()})
}

func add(m map[string]int, key string, n int) map[string]int {
	if m == nil {
		m = make(map[string]int)
	}
	m[key] += n
	return m
}

// commit is the version of the program: of the build, or, where that carries none (tests), of the checked out files.
func commit() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		values := make(map[string]string)
		for _, s := range info.Settings {
			values[s.Key] = s.Value
		}
		if values["vcs.revision"] != "" {
			return named(values["vcs.revision"], values["vcs.modified"] == "true")
		}
	}
	revision, err := exec.Command("git", "rev-parse", "HEAD").Output()
	if err != nil {
		return ""
	}
	changes, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no").Output()
	return named(strings.TrimSpace(string(revision)), err != nil || len(changes) > 0)
}

func named(revision string, changed bool) string {
	if changed {
		return revision + "+changes"
	}
	return revision
}

// errSuite says that a suite's name cannot name a file.
var errSuite = errors.New("a suite is named by lower-case letters, digits and hyphens, and not \"reliability\"")

// Write writes the part as DIR/SUITE.json, replacing an earlier one as a whole. It creates the folder, and notes how long
// the suite took where that is not set.
func Write(dir string, p *Part) error {
	if p.Suite == "" || p.Suite == merged || strings.Trim(p.Suite, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return fmt.Errorf("%q: %w", p.Suite, errSuite)
	}
	if p.Seconds == 0 {
		p.Seconds = time.Since(p.Started).Round(time.Millisecond).Seconds()
	}
	return write(dir, p.Suite, p)
}

// write replaces a document at once: readers see the old one or the new one.
func write(dir, name string, document any) error {
	text, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		return fmt.Errorf("report %s: %w", name, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("report %s: %w", name, err)
	}
	file, err := os.CreateTemp(dir, "."+name+"-*")
	if err != nil {
		return fmt.Errorf("report %s: %w", name, err)
	}
	_, err = file.Write(append(text, '\n'))
	err = errors.Join(err, file.Chmod(0o644), file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), filepath.Join(dir, name+".json"))
	}
	if err != nil {
		return fmt.Errorf("report %s: %w", name, errors.Join(err, os.Remove(file.Name())))
	}
	return nil
}
