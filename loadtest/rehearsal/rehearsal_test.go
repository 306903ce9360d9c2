package rehearsal

import (
	"bufio"
	"context"
	"flag"
	"io"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"muster/loadtest/installation"
	"muster/loadtest/processes"
)

var (
	seconds = flag.Int("rehearsal.seconds", 0, "length of the load; 0: there is no rehearsal")
	scale   = flag.String("rehearsal.scale", "0", "share of the profile's people; 0: what suits a small machine")
	folder  = flag.String("rehearsal.report", "", "folder for the load test's report")
)

func TestMain(m *testing.M) { installation.Main(m) }

// kept is what the load must keep to although a node and a server go away in the middle of it. The people of a third of all sites
// are told to come back for the three or four seconds that the Cluster takes to promote a replica, which weighs more in a short
// run; of the others nobody should notice. Latency is not judged: everything shares this machine.
func kept() []string {
	rules := []string{"lost==0", "oversold==0", "violations==0", "achieved_rate>99%", "error_rate<5%"}
	if *seconds < 60 {
		rules[4] = "error_rate<10%"
	}
	return rules
}

// TestRehearsal is `make rehearsal`.
func TestRehearsal(t *testing.T) {
	if *seconds == 0 {
		t.Skip("rehearses for a minute and more; make rehearsal asks for it")
	}
	runtime.LockOSThread() // what it starts ends with this thread
	defer runtime.UnlockOSThread()
	in := installation.Start(t, installation.Options{
		Redis: installation.RedisCluster, Ledger: installation.LedgerOwn, HoldSeconds: 60, Flags: []string{"--log-level", "warn"},
	})
	base := edge(t, in.Servers)
	load := open(t, in, base)
	length := time.Duration(*seconds) * time.Second
	load.await(t, "the doors open", 3*time.Minute)
	load.wait(t, length*2/5)
	t.Log("a Redis master is killed")
	in.Redis[0].Kill()
	in.Lost()
	load.wait(t, length/5)
	t.Log("a server is rolled")
	in.Servers[0].Stop()
	in.Servers[0].Restart()
	load.end(t, length+5*time.Minute)
	t.Log("the master comes back, as a replica")
	in.Redis[0].Restart()
	agree(t, in)
}

// load is `muster loadtest` under way.
type load struct {
	cmd     *exec.Cmd
	started chan struct{} // closed when the places are published and people set out
	ended   chan error    // of the process
	mu      sync.Mutex
	said    strings.Builder
}

// open starts the load test through the edge.
func open(t *testing.T, in *installation.Installation, base string) *load {
	t.Helper()
	args := []string{"loadtest", "--profile", "opening-bell", "--target", base, "--token", "dev", "--prepare", "--seed", "1",
		"--duration", (time.Duration(*seconds) * time.Second).String(), "--scale", *scale, "--engine", "lean", "--max-lag", "2s", "--ledger", in.Postgres.URL()}
	for _, rule := range kept() {
		args = append(args, "--threshold", rule)
	}
	if *folder != "" {
		args = append(args, "--report", filepath.Join(*folder, "rehearsal.html"), "--json", filepath.Join(*folder, "rehearsal.json"))
	}
	l := &load{cmd: exec.CommandContext(context.WithoutCancel(t.Context()), in.Program, args...), started: make(chan struct{}), ended: make(chan error, 1)}
	l.cmd.Env = append(l.cmd.Environ(), "MUSTER_SECRET="+installation.Secret)
	reader, writer := io.Pipe()
	l.cmd.Stdout, l.cmd.Stderr = writer, writer
	processes.EndWithParent(l.cmd)
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go l.listen(reader)
	go func() {
		l.ended <- l.cmd.Wait()
		writer.Close()
	}()
	t.Cleanup(func() { _ = l.cmd.Process.Signal(syscall.SIGKILL) }) // an error says that it is gone
	return l
}

// listen keeps what the load test says.
func (l *load) listen(from io.Reader) {
	var once sync.Once
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		l.mu.Lock()
		l.said.WriteString(lines.Text() + "\n")
		l.mu.Unlock()
		if strings.HasPrefix(lines.Text(), "published ") {
			once.Do(func() { close(l.started) })
		}
	}
}

func (l *load) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.said.String()
}

func (l *load) await(t *testing.T, what string, most time.Duration) {
	t.Helper()
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-l.started:
	case err := <-l.ended:
		t.Fatalf("the load test ended before %s: %v\n%s", what, err, l.text())
	case <-timer.C:
		t.Fatalf("in vain waited until %s\n%s", what, l.text())
	}
}

// wait lets time pass while the load goes on.
func (l *load) wait(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case err := <-l.ended:
		t.Fatalf("the load test ended early: %v\n%s", err, l.text())
	}
}

// end waits for the verdict: the exit code says whether thresholds held and the audit was clean.
func (l *load) end(t *testing.T, most time.Duration) {
	t.Helper()
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case err := <-l.ended:
		t.Log("\n" + l.text())
		if err != nil {
			t.Errorf("the load test's verdict: %v", err)
		}
	case <-timer.C:
		t.Fatalf("the load test does not end\n%s", l.text())
	}
}

// agree waits until `muster audit` finds nothing, as long as the promise of 60 seconds allows.
func agree(t *testing.T, in *installation.Installation) {
	t.Helper()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	again := time.NewTicker(time.Second)
	defer again.Stop()
	began := time.Now()
	for {
		report, err := in.Audit(t.Context())
		if err == nil {
			t.Logf("inventory and ledger agree after %.1f s", time.Since(began).Seconds())
			return
		}
		select {
		case <-again.C:
		case <-limit.C:
			t.Fatalf("inventory and ledger still differ: %v\n%s", err, report)
		}
	}
}
