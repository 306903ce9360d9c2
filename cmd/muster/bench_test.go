package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/allocator/allocatortest/servers"
	"muster/bench"
)

// benchmark runs the command, on servers of the test's own.
func benchmark(t *testing.T, ctx context.Context, args ...string) (code int, out, complaints string) {
	t.Helper()
	t.Setenv(asProgram, "1") // for the servers that are measured, which are this binary too
	stdout, stderr := new(output), new(output)
	code = Main(ctx, append([]string{"bench"}, args...), stdout, stderr)
	return code, stdout.String(), stderr.String()
}

// A small run has what was asked for, in every form, and names what it has not.
func TestBench(t *testing.T) {
	folder := t.TempDir()
	data, pages := filepath.Join(folder, "data.json"), filepath.Join(folder, "pages")
	code, out, complaints := benchmark(t, t.Context(), "--quick", "--engines", "muster-embedded,postgres-skip-locked,postgres-counter", "--workloads", "spread",
		"--time", "200ms", "--clients", "16", "--postgres", servers.Postgres(t), "--json", data, "--report", pages)
	if code != exitDone || !strings.Contains(out, "embedded_vs_postgres") || !strings.Contains(complaints, "preparing muster-embedded") {
		t.Fatalf("exit %d\n%s%s", code, out, complaints)
	}
	text, err := os.ReadFile(data)
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		Counts      bool
		Ratios      map[string]*float64
		NotMeasured []struct{ Ratio, Why string }
		Turns       []bench.Turn
	}
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, missing := range report.NotMeasured {
		if missing.Why == "" {
			t.Errorf("nobody says why %s is not measured", missing.Ratio)
		}
		names = append(names, missing.Ratio)
	}
	for name, value := range report.Ratios {
		if value == nil || *value <= 0 {
			t.Errorf("%s is no number", name)
		}
		names = append(names, name)
	}
	for _, name := range bench.FullRatios {
		if !slices.Contains(names, name) {
			t.Errorf("%s is neither measured nor told to be missing", name)
		}
	}
	if report.Ratios["embedded_vs_postgres"] == nil || len(report.Turns) != 3 || !report.Counts {
		t.Errorf("%d turns, ratios %v", len(report.Turns), report.Ratios)
	}
	for _, name := range []string{"bench.json", "bench.txt", "bench.md", "bench-flows.svg", "bench-latency.svg"} {
		if info, err := os.Stat(filepath.Join(pages, name)); err != nil || info.Size() == 0 {
			t.Errorf("the report's %s: %v", name, err)
		}
	}
}

// A wrong command line is found before anything is started.
func TestBenchRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"--engines", "steam"}, {"--workloads", "rest"}, {"--quick", "--scale"}, {"--scale", "--sustained", "1m"}, {"--clients=0"}, {"--time=-1s"},
		{"--repetitions=-1"}, {"--scale-sites=0"}, {"--scale-nodes=x"}, {"--time", "soon"}, {"--profiles"}, {"now"},
	} {
		code, out, complaints := benchmark(t, t.Context(), args...)
		if code != exitUsage || out != "" || complaints == "" {
			t.Errorf("%v: exit %d\n%s%s", args, code, out, complaints)
		}
	}
}

// Servers that cannot be had are told, and how to get them.
func TestBenchNeedsServers(t *testing.T) {
	shared := servers.SharedRedis(t)
	t.Setenv("MUSTER_TEST_REDIS_URL", "")
	t.Setenv("MUSTER_TEST_REDIS_SERVER", "/nowhere/redis-server")
	code, _, complaints := benchmark(t, t.Context(), "--quick", "--postgres", "postgresql://nobody@127.0.0.1:1/none")
	if code != exitFailed || !strings.Contains(complaints, "missing: redis-server") || !strings.Contains(complaints, "apt-get install") {
		t.Errorf("without redis-server: exit %d\n%s", code, complaints)
	}
	t.Setenv("MUSTER_REDIS", shared) // is not for measuring
	if code, _, complaints = benchmark(t, t.Context(), "--quick", "--postgres", "postgresql://nobody@127.0.0.1:1/none"); code != exitFailed || !strings.Contains(complaints, "missing: redis-server") {
		t.Errorf("with a server's Redis: exit %d\n%s", code, complaints)
	}
}

// A run that is asked to finish half way ends soon and leaves nothing behind.
func TestBenchEndsEarly(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	said := new(output)
	ended := make(chan int)
	t.Setenv(asProgram, "1")
	go func() {
		ended <- Main(ctx, []string{"bench", "--engines", "muster-embedded", "--workloads", "spread", "--time", "10m"}, said, said)
	}()
	await := time.NewTicker(20 * time.Millisecond)
	defer await.Stop()
	limit := time.NewTimer(4 * patience) // it puts every sample site into a database first
	defer limit.Stop()
	for !strings.Contains(said.String(), "sites are known") {
		select {
		case <-await.C:
		case code := <-ended:
			t.Fatalf("exit %d\n%s", code, said)
		case <-limit.C:
			t.Fatalf("it does not begin\n%s", said)
		}
	}
	cancel()
	if code := <-ended; code != exitFailed || !strings.Contains(said.String(), "canceled") {
		t.Errorf("exit %d\n%s", code, said)
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", fmt.Sprint(left), err)
	}
}

// What is measured is Redis as it is deployed.
func TestBenchRedisIsAsDeployed(t *testing.T) {
	deployed := deployedRedis(t)
	for setting := range slices.Chunk(measuredRedis, 2) {
		if at := slices.Index(deployed, setting[0]); at < 0 || deployed[at+1] != setting[1] {
			t.Errorf("redis.conf does not have %q", setting)
		}
	}
}
