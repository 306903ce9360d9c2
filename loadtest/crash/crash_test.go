package crash

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/loadtest/installation"
)

var (
	everyPoint = flag.Bool("crash.all", false, "kill at every point, not only at those that tell most")
	onePoint   = flag.String("crash.point", "", "kill at this `point` only, as in record/after or embedded:record/after")
	hitsFlag   = flag.String("crash.hits", "1", "which passings of each point to kill at, as in 1,2,5")
	reportFlag = flag.String("crash.report", "", "write crashpoints.json into this `folder`, whose path must be absolute")
	lanesFlag  = flag.Int("crash.lanes", 3*runtime.NumCPU(), "how many installations are used at once")
)

func TestMain(m *testing.M) { installation.Main(m) }

// telling are the points of a quick run.
var telling = []string{"record/before", "record/after", "pin/after", "settle/before", "void/after", "open-epoch/after"}

// job is one death.
type job struct {
	point    string
	embedded bool
	hit      int
	insist   bool // who leads there insists on an answer; otherwise he leaves at the first silence
}

func (j job) String() string {
	if j.insist {
		return fmt.Sprintf("%s hit %d insisting", j.name(), j.hit)
	}
	return fmt.Sprintf("%s hit %d", j.name(), j.hit)
}

// name is what -crash.point takes.
func (j job) name() string {
	if j.embedded {
		return "embedded:" + j.point
	}
	return j.point
}

// step is what the point is before or after.
func (j job) step() string {
	step, _, _ := strings.Cut(j.point, "/")
	return step
}

// knownPoints asks the program.
func knownPoints(t *testing.T) []string {
	t.Helper()
	list := exec.CommandContext(t.Context(), installation.Program(t, "-tags=crashpoints"))
	list.Env = append(os.Environ(), "MUSTER_CRASH_LIST=1")
	out, err := list.Output()
	if err != nil {
		t.Fatalf("the program does not list its points: %v", err)
	}
	return strings.Fields(string(out))
}

// chosen are the points of this run, and the kinds of servers.
func chosen(t *testing.T, known []string) (points []string, kinds []bool) {
	t.Helper()
	name, embedded := strings.CutPrefix(*onePoint, "embedded:")
	switch {
	case name != "" && !slices.Contains(known, name):
		t.Fatalf("-crash.point=%s: no such point; MUSTER_CRASH_LIST=1 lists them", name)
	case name != "":
		return []string{name}, []bool{embedded}
	case *everyPoint:
		return known, []bool{false, true}
	}
	return telling, []bool{false}
}

func hits(t *testing.T) (list []int) {
	t.Helper()
	for text := range strings.SplitSeq(*hitsFlag, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("-crash.hits=%s: %q is not a number from 1", *hitsFlag, text)
		}
		list = append(list, n)
	}
	return list
}

// Every point that the program knows has a way that leads there, or a reason why nobody gets there; and every way leads to
// a point.
func TestEveryPointHasItsWay(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program, and -short was asked for")
	}
	used := make(map[string]bool)
	for _, point := range knownPoints(t) {
		for _, embedded := range []bool{false, true} {
			w, _, ok := wayTo(point, embedded)
			if !ok || (w.traffic == nil) == (w.why == "") {
				t.Errorf("%s: give it a row in steps_test.go that says how to get there, or why nobody can", job{point: point, embedded: embedded, hit: 1})
			}
		}
		step, _, _ := strings.Cut(point, "/")
		used[step] = true
	}
	for step := range ways {
		if !used[step] {
			t.Errorf("the table speaks of %s, which is no step", step)
		}
	}
	for step := range embeddedWays {
		if !used[step] {
			t.Errorf("the embedded table speaks of %s, which is no step", step)
		}
	}
}

// TestCrashPoints kills the victim at each chosen point.
func TestCrashPoints(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes, and -short was asked for")
	}
	known := knownPoints(t)
	points, kinds := chosen(t, known)
	report := newReport(known, points)
	began := time.Now()
	var jobs [2][]job
	for _, embedded := range kinds {
		jobs[kindOf(embedded)] = report.plan(points, embedded, hits(t))
	}
	var running sync.WaitGroup
	for _, embedded := range kinds {
		own := jobs[kindOf(embedded)]
		lanes := max(1, *lanesFlag*len(own)/max(1, len(jobs[0])+len(jobs[1])))
		queue := make(chan job, len(own))
		for _, j := range own {
			queue <- j
		}
		close(queue)
		for n := range min(lanes, len(own)) {
			running.Go(func() {
				t.Run(fmt.Sprint(kindNames[kindOf(embedded)], " ", n), func(t *testing.T) { serve(t, newLane(t, n, embedded), queue, report) })
			})
		}
	}
	running.Wait()
	report.took = time.Since(began)
	report.finish(t, *reportFlag)
}

var kindNames = [2]string{"redis+postgresql", "embedded"}

func kindOf(embedded bool) int {
	if embedded {
		return 1
	}
	return 0
}

// serve does jobs on a lane, one after the other.
func serve(t *testing.T, l *lane, queue <-chan job, report *report) {
	for j := range queue {
		t.Run(j.String(), func(t *testing.T) {
			r := l.run(t, j)
			for _, v := range r.violations {
				t.Errorf("%s: %s", v.Promise, v.Text)
			}
			t.Logf("died after %.1f s, recovered in %.1f s, judged after %.1f s", r.approach.Seconds(), r.recovery.Seconds(), r.whole.Seconds())
			report.add(j, r)
		})
	}
	// What the courses left is as it was: nothing of one has spoilt another's.
	for _, v := range l.judgeAll(t) {
		t.Errorf("after all courses: %s: %s", v.Promise, v.Text)
		report.spoilt(v)
	}
}
