package crash

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/allocator/allocatortest/checkers"
	"muster/allocator/allocatortest/reliability"
)

// report gathers what a run has shown.
type report struct {
	mu      sync.Mutex // of results: lanes add theirs
	known   []string   // points of the program
	wanted  []string   // of these, those of this run
	planned int
	results map[job]result
	without map[string]string    // points that were left out, by why
	after   []checkers.Violation // found when all courses of a lane were over
	took    time.Duration
}

func newReport(known, wanted []string) *report {
	return &report{known: known, wanted: wanted, results: make(map[job]result), without: make(map[string]string)}
}

// plan makes jobs of points. Points that nobody can reach, and passings that do not come, are noted and left out.
func (r *report) plan(points []string, embedded bool, hits []int) (jobs []job) {
	for _, point := range points {
		w, _, _ := wayTo(point, embedded)
		for _, hit := range hits {
			j := job{point: point, embedded: embedded, hit: hit}
			switch {
			case w.why != "":
				r.without[j.name()] = w.why
			case w.most > 0 && hit > w.most:
				r.without[j.String()] = fmt.Sprintf("the step comes %d times at most in one process, in the time that there is", w.most)
			case w.client && embedded: // the memory of who left is gone with the rest
				j.insist = true
				jobs = append(jobs, j)
			case w.client:
				jobs = append(jobs, j)
				j.insist = true
				jobs = append(jobs, j)
			default:
				jobs = append(jobs, j)
			}
		}
	}
	r.planned += len(jobs)
	return jobs
}

func (r *report) add(j job, got result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results[j] = got
}

// spoilt adds what was found wrong when all courses of a lane were over.
func (r *report) spoilt(v checkers.Violation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.after = append(r.after, v)
}

// finish prints the table, and leaves the part where it was asked for.
func (r *report) finish(t *testing.T, folder string) {
	t.Helper()
	part := reliability.New("crashpoints", strings.Join(append([]string{"go test -v ./loadtest/crash"}, flagsGiven()...), " "))
	part.CrashPoints.Known = r.wanted
	if left := len(r.known) - len(r.wanted); left > 0 {
		part.NotTested = append(part.NotTested, fmt.Sprintf("This run was not to try %d of the %d crash points.", left, len(r.known)))
	}
	part.Seconds = r.took.Seconds()
	for _, j := range r.jobs() {
		got := r.results[j]
		part.Judged(j.String(), got.violations, got.stats)
		state := "NOT REACHED"
		if got.died {
			state = "died there"
			part.Injected("crash point", 1)
			part.Recovered("crash at "+j.step(), got.recovery)
			if len(got.violations) == 0 && !slices.Contains(part.CrashPoints.Covered, j.point) {
				part.CrashPoints.Covered = append(part.CrashPoints.Covered, j.point)
			}
		}
		fmt.Printf("%-48s %-12s recovered in %6.2f s, %d violations\n", j, state, got.recovery.Seconds(), len(got.violations))
	}
	for _, v := range r.after {
		part.Violated(v.Promise, v.Text, "after all points")
	}
	for _, line := range r.notCovered() {
		part.NotTested = append(part.NotTested, line)
		fmt.Println(line)
	}
	r.sum(t, part)
	if folder != "" {
		if err := reliability.Write(folder, part); err != nil {
			t.Error(err)
		}
	}
}

// sum prints the figures of a whole run, and fails where somebody who was to die has not.
func (r *report) sum(t *testing.T, part *reliability.Part) {
	t.Helper()
	all := reliability.Sum([]reliability.Part{{Recoveries: renamed(part.Recoveries, "any")}})
	var times reliability.Percentiles
	if len(all.Recoveries) > 0 {
		times = all.Recoveries[0]
	}
	fmt.Printf("%d of %d points (the program knows %d) covered by %d deaths, %d operations, %d histories, %d violations; recovery p50 %.1f s, p99 %.1f s, max %.1f s; took %.0f s\n",
		len(part.CrashPoints.Covered), len(r.wanted), len(r.known), times.Times, part.Operations, part.Histories, len(part.Violations),
		float64(times.P50Ms)/1000, float64(times.P99Ms)/1000, float64(times.MaxMs)/1000, r.took.Seconds())
	if times.Times != r.planned {
		t.Errorf("%d of %d deaths came about", times.Times, r.planned)
	}
}

func renamed(list []reliability.Recovery, fault string) []reliability.Recovery {
	list = slices.Clone(list)
	for i := range list {
		list[i].Fault = fault
	}
	return list
}

// jobs are those done, by the order of the points.
func (r *report) jobs() []job {
	order := make(map[string]int, len(r.known))
	for i, point := range r.known {
		order[point] = i
	}
	return slices.SortedFunc(maps.Keys(r.results), func(a, b job) int {
		return cmp.Or(cmp.Compare(order[a.point], order[b.point]), cmp.Compare(a.String(), b.String()))
	})
}

// flagsGiven are this package's flags as they were given.
func flagsGiven() (given []string) {
	flag.Visit(func(f *flag.Flag) {
		if strings.HasPrefix(f.Name, "crash.") && f.Name != "crash.report" {
			given = append(given, fmt.Sprintf("-%s=%s", f.Name, f.Value))
		}
	})
	return given
}

// notCovered tells in sentences what was left out, and why.
func (r *report) notCovered() (lines []string) {
	by := make(map[string][]string)
	for point, why := range r.without {
		by[why] = append(by[why], point)
	}
	for _, why := range slices.Sorted(maps.Keys(by)) {
		slices.Sort(by[why])
		lines = append(lines, fmt.Sprintf("Crash points not covered: %s: %s.", strings.Join(by[why], ", "), why))
	}
	return lines
}
