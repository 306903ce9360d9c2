package mutants

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
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

// Runner builds and runs checks. Safe for concurrent use.
type Runner struct {
	Root    string        // of the module
	Folder  string        // for patched copies and test binaries
	Timeout time.Duration // of one check

	mu       sync.Mutex
	binaries map[string]*binary // of the tree as it is, by package
	controls map[string]*control
	serial   int
}

type binary struct {
	once sync.Once
	path string
	err  error
}

type control struct {
	once    sync.Once
	outcome Outcome
	err     error
}

// Try runs every check on the tree as it is, which must pass, and on the bug.
func (r *Runner) Try(ctx context.Context, b Bug) (result Result) {
	start := time.Now()
	result.Bug = b
	defer func() { result.Took = time.Since(start) }()
	overlay, err := r.overlay(&b)
	if err != nil {
		result.Err = err
		return result
	}
	built := make(map[string]string)
	defer func() { // a hundred of them would fill a disk
		for _, path := range built {
			_ = os.Remove(path)
		}
	}()
	for _, check := range b.By {
		o, err := r.control(ctx, check)
		if err == nil && o.Verdict != Survived && o.Verdict != Skipped {
			err = fmt.Errorf("%s fails on the tree as it is (%s): %s", check.Name, o.Verdict, o.Words)
		}
		if err != nil {
			result.Err = err
			return result
		}
		if o.Verdict == Survived {
			if o, err = r.onBug(ctx, overlay, built, check); err != nil {
				result.Err = err
				return result
			}
		}
		result.Outcomes = append(result.Outcomes, o)
	}
	return result
}

// onBug runs a check on a bug, with the binaries that were built for it before.
func (r *Runner) onBug(ctx context.Context, overlay string, built map[string]string, check Check) (Outcome, error) {
	path, ok := built[check.Package]
	if !ok {
		var err error
		path = r.name("bug.test")
		if err = r.build(ctx, check.Package, overlay, path); err != nil {
			var complaint *exec.ExitError
			if errors.As(err, &complaint) {
				return Outcome{Check: check, Verdict: Broken, Words: err.Error()}, nil
			}
			return Outcome{}, err
		}
		built[check.Package] = path
	}
	return r.run(ctx, path, check)
}

// Compile builds the tests of one of the bug's packages and tells what the compiler says.
func (r *Runner) Compile(ctx context.Context, b Bug) error {
	overlay, err := r.overlay(&b)
	if err != nil {
		return err
	}
	return r.build(ctx, b.By[0].Package, overlay, r.name("bug.test"))
}

// control runs a check on the tree as it is, once.
func (r *Runner) control(ctx context.Context, check Check) (Outcome, error) {
	if check.Backend != "" && os.Getenv(check.Backend) == "" {
		return Outcome{Check: check, Verdict: Skipped, Words: check.Backend + " is not set"}, nil
	}
	key := check.Package + " " + check.Run + " " + strings.Join(check.Args, " ")
	r.mu.Lock()
	if r.binaries == nil {
		r.binaries, r.controls = make(map[string]*binary), make(map[string]*control)
	}
	if r.binaries[check.Package] == nil {
		r.binaries[check.Package] = new(binary)
	}
	if r.controls[key] == nil {
		r.controls[key] = new(control)
	}
	bin, c := r.binaries[check.Package], r.controls[key]
	r.mu.Unlock()
	c.once.Do(func() {
		bin.once.Do(func() {
			bin.path = r.name("control.test")
			bin.err = r.build(ctx, check.Package, "", bin.path)
		})
		if c.err = bin.err; c.err == nil {
			c.outcome, c.err = r.run(ctx, bin.path, check)
		}
	})
	return c.outcome, c.err
}

// name is a new path in the folder.
func (r *Runner) name(suffix string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.serial++
	return filepath.Join(r.Folder, fmt.Sprintf("%d-%s", r.serial, suffix))
}

// overlay writes a bug's patched copies and the file that names them to the go command.
func (r *Runner) overlay(b *Bug) (string, error) {
	files, err := b.patched(r.Root)
	if err != nil {
		return "", err
	}
	replace := make(map[string]string, len(files))
	for file, text := range files {
		replace[filepath.Join(r.Root, file)] = r.name(filepath.Base(file))
		if err := os.WriteFile(replace[filepath.Join(r.Root, file)], []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := r.name("overlay.json")
	return path, os.WriteFile(path, list, 0o600)
}

// build compiles a package's tests. Debug information is left out: linking is most of the time that a bug costs.
func (r *Runner) build(ctx context.Context, pkg, overlay, to string) error {
	args := []string{"test", "-c", "-vet=off", "-ldflags=-s -w", "-o", to}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	c := exec.CommandContext(ctx, "go", append(args, "./"+pkg)...)
	c.Dir = r.Root
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// run runs a test binary as go test would, in its package's folder.
func (r *Runner) run(ctx context.Context, path string, check Check) (Outcome, error) {
	args := append([]string{
		"-test.run", check.Run, "-test.v", "-test.failfast", "-test.count=1", "-test.timeout", r.Timeout.String(),
	}, check.Args...)
	ctx, cancel := context.WithTimeout(ctx, r.Timeout+10*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, path, args...)
	c.Dir = filepath.Join(r.Root, check.Package)
	start := time.Now()
	out, err := c.CombinedOutput()
	o := Outcome{Check: check, Took: time.Since(start)}
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		return o, err
	}
	o.Verdict, o.Words = judge(string(out), err == nil, ctx.Err() != nil)
	return o, nil
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
