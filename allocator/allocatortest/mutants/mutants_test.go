package mutants

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yuin/gopher-lua/parse"

	"muster/allocator/allocatortest/reliability"
)

var (
	all     = flag.Bool("mutants.all", false, "try every bug; without it only a few")
	chosen  = flag.String("mutants.run", "", "try the bugs whose name matches this pattern")
	workers = flag.Int("mutants.workers", 2, "how many bugs to try at a time")
	against = flag.Int("mutants.simulator", 0, "try the chosen bugs of the core and the scripts against so many seeds of the simulator, instead of their own checks")
	cheaply = flag.Bool("mutants.cheaply", false, "leave the simulator out where a bug names another check too")
	third   = flag.Int("mutants.third", 0, "try the first, second or third bug of each three only; 0: all")
	reports = flag.String("mutants.report", "", "leave a part of the reliability report in this folder")
	timeout = flag.Duration("mutants.timeout", 3*time.Minute, "after which a check has hung")
)

// few are the bugs that every run of the tests tries: cheap ones, of Go, of a script and of a ledger's rule.
var few = []string{
	"neighbours in a batch get each other's answers",
	"no pin passes for proven",
	"free ignores the owner",
}

// root is the module's folder.
func root(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(strings.TrimSpace(string(out)))
}

func runner(t *testing.T) *Runner {
	t.Helper()
	return &Runner{Root: root(t), Folder: t.TempDir(), Timeout: *timeout}
}

// TestBugsApply: every replacement still finds its text, and names are good to choose by.
func TestBugsApply(t *testing.T) {
	dir := root(t)
	names := make(map[string]bool)
	for _, b := range Bugs() {
		if _, err := b.patched(dir); err != nil {
			t.Error(err)
		}
		if b.Name == "" || b.Sentence == "" || len(b.By) == 0 || names[b.Name] {
			t.Errorf("bug %q has no name of its own, no sentence or no check", b.Name)
		}
		names[b.Name] = true
	}
	if _, err := readsScripts.patched(dir); err != nil {
		t.Error(err)
	}
	for _, name := range few {
		if !names[name] {
			t.Errorf("there is no bug %q any more: choose another cheap one in mutants_test.go", name)
		}
	}
}

// TestScriptsParse: a script that is no Lua would fail every test, and prove nothing.
func TestScriptsParse(t *testing.T) {
	dir := root(t)
	for _, b := range Bugs() {
		files, err := b.patched(dir)
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range files {
			if filepath.Ext(name) == ".lua" {
				if _, err := parse.Parse(strings.NewReader(text), name); err != nil {
					t.Errorf("bug %q: %v", b.Name, err)
				}
			}
		}
	}
}

// TestSeededBugs expects every bug to be caught by each check that it names.
func TestSeededBugs(t *testing.T) {
	if testing.Short() && !*all && *chosen == "" {
		t.Skip("builds the engine several times, and -short was asked for")
	}
	part := reliability.New("mutants", "go test ./allocator/allocatortest/mutants -run TestSeededBugs -mutants.all")
	results := try(t, selected(t))
	caught, skipped := 0, 0
	for i := range results {
		r := &results[i]
		if part.SeededBugs = append(part.SeededBugs, r.seededBug()); r.Skipped() {
			part.NotTested = append(part.NotTested, fmt.Sprintf("the seeded bug %q: %s", r.Bug.Name, r.complaint()))
		}
		switch {
		case r.Caught():
			caught++
		case r.Skipped() && os.Getenv("CI") == "" && os.Getenv("MUSTER_TEST_REQUIRE_BACKENDS") != "1":
			skipped++
		default:
			t.Errorf("%s\n  drops: %s\n%s", r.Bug.Name, r.Bug.Sentence, r.complaint())
		}
	}
	t.Logf("%d of %d bugs caught, %d skipped for want of a server", caught, len(results), skipped)
	if err := reliability.Sum([]reliability.Part{*part}).Table(t.Output()); err != nil {
		t.Error(err)
	}
	if *reports != "" {
		if err := reliability.Write(*reports, part); err != nil {
			t.Error(err)
		}
	}
}

// seededBug is a result as the report has it.
func (r *Result) seededBug() reliability.SeededBug {
	b := reliability.SeededBug{Name: r.Bug.Name, Sentence: string(r.Bug.Sentence), Caught: r.Caught(), Seconds: r.Took.Seconds()}
	for _, o := range r.Outcomes {
		if o.Verdict == Caught {
			b.By = strings.TrimPrefix(b.By+"; "+o.Check.Name, "; ")
		}
	}
	return b
}

func selected(t *testing.T) (bugs []Bug) {
	t.Helper()
	pattern, err := regexp.Compile(*chosen)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range Bugs() {
		if *all && *chosen == "" || *chosen != "" && pattern.MatchString(b.Name) {
			bugs = append(bugs, b)
		}
		for _, name := range few {
			if !*all && *chosen == "" && b.Name == name {
				bugs = append(bugs, b)
			}
		}
	}
	if *against > 0 {
		bugs = simulated(bugs)
	}
	if *third > 0 {
		i := -1
		bugs = slices.DeleteFunc(bugs, func(Bug) bool { i++; return i%3 != (*third-1)%3 })
	}
	for i := range bugs {
		if others := slices.DeleteFunc(slices.Clone(bugs[i].By), func(c Check) bool { return c.Name == "simulator" }); *cheaply && len(others) > 0 {
			bugs[i].By = others
		}
	}
	if len(bugs) == 0 {
		t.Fatalf("no bug is named like %q", *chosen)
	}
	return bugs
}

// simulated is the bugs that the simulator could see, with it as their only check.
func simulated(bugs []Bug) (seen []Bug) {
	for _, b := range bugs {
		if dir := filepath.Dir(b.Edits[0].File); dir == "allocator" || strings.HasPrefix(dir, "allocator/redisinventory") {
			b.By = []Check{simulator(*against)}
			seen = append(seen, b)
		}
	}
	return seen
}

// try tries bugs, some at a time.
func try(t *testing.T, bugs []Bug) []Result {
	t.Helper()
	r := runner(t)
	results := make([]Result, len(bugs))
	next := make(chan int)
	var wg sync.WaitGroup
	for range *workers {
		wg.Go(func() {
			for i := range next {
				results[i] = r.Try(t.Context(), bugs[i])
				t.Log(results[i].line())
			}
		})
	}
	for i := range bugs {
		next <- i
	}
	close(next)
	wg.Wait()
	return results
}

// complaint says why a bug was not caught.
func (r *Result) complaint() string {
	if r.Err != nil {
		return "  " + r.Err.Error()
	}
	var b strings.Builder
	for _, o := range r.Outcomes {
		fmt.Fprintf(&b, "  %s: %s %s\n", o.Check.Name, o.Verdict, o.Words)
	}
	return b.String()
}

// line is a bug's line of the report, with its evidence.
func (r *Result) line() string {
	mark := "caught"
	switch {
	case r.Skipped():
		mark = "skipped"
	case !r.Caught():
		mark = "NOT CAUGHT"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-10s %5.1f s  %s", mark, r.Took.Seconds(), r.Bug.Name)
	if r.Err != nil {
		fmt.Fprintf(&b, "\n    %v", r.Err)
	}
	for _, o := range r.Outcomes {
		fmt.Fprintf(&b, "\n    %s: %s in %.1f s: %.200s", o.Check.Name, o.Verdict, o.Took.Seconds(), o.Words)
	}
	return b.String()
}
