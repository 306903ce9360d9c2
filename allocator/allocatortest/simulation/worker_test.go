package simulation

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// workerEnv tells a worker its share: "number/workers".
const workerEnv = "MUSTER_SIMULATION_WORKER"

// line begins what a worker prints for its parent.
const line = "result "

// work shares the seeds out to one worker a core, and hands over each result, one at a time.
func work(t *testing.T, result func(*Result)) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	workers := runtime.NumCPU()
	for n := range workers {
		wg.Go(func() {
			var said, complaints bytes.Buffer
			args := []string{"-test.run=^TestWorker$", "-test.timeout=0"}
			for _, a := range os.Args[1:] {
				if strings.HasPrefix(a, "-simulate.") {
					args = append(args, a)
				}
			}
			cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
			cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d/%d", workerEnv, n, workers), "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1")
			cmd.Stderr = &complaints
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Error(err)
				return
			}
			var last uint64
			lines := bufio.NewScanner(out)
			lines.Buffer(nil, 16<<20)
			for lines.Scan() {
				text, ok := strings.CutPrefix(lines.Text(), line)
				if !ok {
					said.WriteString(lines.Text() + "\n")
					continue
				}
				var r Result
				if err := json.Unmarshal([]byte(text), &r); err != nil {
					t.Error(err)
					continue
				}
				mu.Lock()
				result(&r)
				mu.Unlock()
				last = r.Seed
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("a worker ended after seed %d: %v\n%s%s", last, err, said.String(), complaints.String())
			}
		})
	}
	wg.Wait()
}

// TestWorker runs a worker's share of the seeds, in a process that TestSimulate started.
func TestWorker(t *testing.T) {
	var number, workers uint64
	if _, err := fmt.Sscanf(os.Getenv(workerEnv), "%d/%d", &number, &workers); err != nil {
		t.Skip("only in a worker of TestSimulate")
	}
	lua := newLua(t)
	until := time.Now().Add(time.Duration(*flagMinutes) * time.Minute)
	for n := number; *flagMinutes > 0 && time.Now().Before(until) || *flagMinutes == 0 && n < uint64(*flagSeeds); n += workers {
		r := runWorld(t, lua, Options{Seed: *flagFirst + n, Steps: *flagSteps})
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("%s%s\n", line, text)
		if n/workers%16 == 15 {
			runtime.GC()
		}
	}
}

// TestReplays: a seed gives the same steps again, to the digest. Should the operating system have stopped the process in the
// middle of a step for long, Go may have changed the order of two goroutines: that is tried again.
func TestReplays(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector lets goroutines run in a random order")
	}
	if os.Getenv(workerEnv) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestReplays$")
		cmd.Env = append(os.Environ(), workerEnv+"=0/1", "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	lua := newLua(t)
	for seed := range uint64(12) {
		o := Options{Seed: 1_000_000 + seed, Steps: 220}
		type course struct {
			digest            uint64
			operations, steps int
		}
		seen := make(map[course]int)
		same := false
		for range 4 {
			r := runWorld(t, lua, o)
			c := course{r.Digest, r.Operations, r.Steps}
			seen[c]++
			same = same || seen[c] == 2
		}
		if !same {
			t.Errorf("seed %d does not replay: %v", o.Seed, seen)
		}
	}
}
