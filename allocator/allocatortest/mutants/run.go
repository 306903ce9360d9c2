package mutants

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Runner builds and runs checks. Safe for concurrent use.
type Runner struct {
	Root    string        // of the module
	Folder  string        // for patched copies and test binaries
	Timeout time.Duration // of one check

	mu       sync.Mutex
	serial   int
	binaries map[string]*once[string] // that several bugs share
	controls map[string]*once[Outcome]
}

// once is something that is found out once, by whoever needs it first.
type once[T any] struct {
	sync.Once
	value T
	err   error
}

func (o *once[T]) get(find func() (T, error)) (T, error) {
	o.Do(func() { o.value, o.err = find() })
	return o.value, o.err
}

// entry finds or makes what a map has under a key.
func entry[T any](r *Runner, m *map[string]*once[T], key string) *once[T] {
	r.mu.Lock()
	defer r.mu.Unlock()
	if *m == nil {
		*m = make(map[string]*once[T])
	}
	if (*m)[key] == nil {
		(*m)[key] = new(once[T])
	}
	return (*m)[key]
}

// Try runs every check on the tree as it is, which must pass, and on the bug.
func (r *Runner) Try(ctx context.Context, b Bug) (result Result) {
	start := time.Now()
	result.Bug = b
	defer func() { result.Took = time.Since(start) }()
	var own []string
	defer func() { // a hundred of them would fill a disk
		for _, path := range own {
			_ = os.RemoveAll(path)
		}
	}()
	built := make(map[string]string)
	for _, check := range b.By {
		o, err := r.control(ctx, check)
		if err == nil && o.Verdict != Survived && o.Verdict != Skipped {
			err = fmt.Errorf("%s fails on the tree as it is (%s): %s", check.Name, o.Verdict, o.Words)
		}
		if err == nil && o.Verdict == Survived {
			if b.inScripts() {
				o, err = r.onScripts(ctx, &b, check, &own)
			} else {
				o, err = r.onBuild(ctx, &b, check, built, &own)
			}
		}
		if err != nil {
			result.Err = err
			return result
		}
		result.Outcomes = append(result.Outcomes, o)
	}
	return result
}

// onScripts runs a check on a bug that changes scripts only.
func (r *Runner) onScripts(ctx context.Context, b *Bug, check Check, own *[]string) (Outcome, error) {
	path, err := entry(r, &r.binaries, "scripts "+check.Package).get(func() (string, error) { return r.build(ctx, check.Package, &readsScripts) })
	if err != nil {
		return Outcome{}, err
	}
	dir, err := r.scripts(b)
	if err != nil {
		return Outcome{}, err
	}
	*own = append(*own, dir)
	return r.run(ctx, path, check, scriptsEnv+"="+dir)
}

// onBuild runs a check on a bug that needs a build of its own; its checks of one package share that.
func (r *Runner) onBuild(ctx context.Context, b *Bug, check Check, built map[string]string, own *[]string) (Outcome, error) {
	path, ok := built[check.Package]
	if !ok {
		var err error
		path, err = r.build(ctx, check.Package, b)
		var complaint *exec.ExitError
		if errors.As(err, &complaint) {
			return Outcome{Check: check, Verdict: Broken, Words: err.Error()}, nil
		}
		if err != nil {
			return Outcome{}, err
		}
		built[check.Package] = path
		*own = append(*own, path)
	}
	return r.run(ctx, path, check)
}

// control runs a check on the tree as it is, once.
func (r *Runner) control(ctx context.Context, check Check) (Outcome, error) {
	if check.Backend != "" && os.Getenv(check.Backend) == "" {
		return Outcome{Check: check, Verdict: Skipped, Words: check.Backend + " is not set"}, nil
	}
	key := check.Package + " " + check.Run + " " + strings.Join(check.Args, " ")
	return entry(r, &r.controls, key).get(func() (Outcome, error) {
		path, err := entry(r, &r.binaries, check.Package).get(func() (string, error) { return r.build(ctx, check.Package, nil) })
		if err != nil {
			return Outcome{}, err
		}
		return r.run(ctx, path, check)
	})
}

// run runs a test binary as go test would, in its package's folder.
func (r *Runner) run(ctx context.Context, path string, check Check, env ...string) (Outcome, error) {
	args := append([]string{
		"-test.run", check.Run, "-test.v", "-test.failfast", "-test.count=1", "-test.timeout", r.Timeout.String(),
	}, check.Args...)
	ctx, cancel := context.WithTimeout(ctx, r.Timeout+10*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, path, args...)
	c.Dir = filepath.Join(r.Root, check.Package)
	c.Env = append(os.Environ(), env...)
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
