package main

import (
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muster/loadtest/fakeserver"
	"muster/loadtest/result"
)

// smallLoad is a profile of a few people with every journey, and places for most.
const smallLoad = `
name: small
people: 150
stages: [{for: 1s, at: 20}, {for: 1s, to: 60}]
mix: {book: 40, family: 8, browse: 6, poll: 6, abandon: 8, release: 8, extend: 8, duplicate: 8, cancel: 8, move: 8}
bell: 500ms
ages: [18, 90]
places: 1.5
`

func loadtestFile(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "small.yaml")
	if err := os.WriteFile(name, []byte(smallLoad), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// loadtest runs the command. Lag is let pass: what else runs on the machine is no concern of these tests.
func loadtest(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	t.Setenv(asProgram, "1") // for the embedded server, which is this binary too
	said := new(output)
	code = Main(context.Background(), append([]string{"loadtest"}, args...), said, said)
	return code, said.String()
}

func runLoad(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	return loadtest(t, append([]string{"--profile", loadtestFile(t), "--duration", "2s", "--seed", "5", "--max-lag", "1m", "--think", "30ms"}, args...)...)
}

// A whole run: an embedded server, all journeys, thresholds, the audit by API and ledger, page and JSON; then merged and compared.
func TestLoadtest(t *testing.T) {
	folder := t.TempDir()
	page, data := filepath.Join(folder, "page.html"), filepath.Join(folder, "data.json")
	for _, engine := range []string{"vegeta", "lean"} {
		code, out := runLoad(t, "--engine", engine, "--report", page, "--json", data, "--threshold", "lost==0", "--threshold", "violations==0", "--threshold", "error_rate<=0%",
			"--hook", "true")
		if code != exitDone {
			t.Fatalf("%s: exit %d\n%s", engine, code, out)
		}
		r, err := result.Read(data)
		if err != nil {
			t.Fatal(err)
		}
		if a := r.Audit; a == nil || a.Violations() > 0 || a.Acknowledged == 0 || a.Checked != a.Acknowledged || len(a.Sources) != 3 {
			t.Errorf("%s: the audit is %+v", engine, a)
		}
		if n := r.Totals; n.Started != 150 || n.Booked == 0 || n.Wrong > 0 || n.Unknown > 0 || len(r.Thresholds) != 3 || r.Hook == nil || r.Hook.Error != "" {
			t.Errorf("%s: %+v, hook %+v", engine, n, r.Hook)
		}
		for _, step := range result.Steps() {
			if r.Count(step, "") == 0 {
				t.Errorf("%s: nobody did %s", engine, step)
			}
		}
		if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), "</html>") || !strings.Contains(string(text), "Passed") {
			t.Errorf("%s: the page has %d bytes, %v", engine, len(text), err)
		}
	}
	if code, out := loadtest(t, "compare", data, data); code != exitDone || !strings.Contains(out, "same") {
		t.Errorf("compare: exit %d\n%s", code, out)
	}
	if code, out := loadtest(t, "merge", data, "--threshold", "booked==0"); code != exitBreached || !strings.Contains(out, "BREACHED") {
		t.Errorf("merge: exit %d\n%s", code, out)
	}
	if code, out := loadtest(t, "merge", data, data); code != exitFailed {
		t.Errorf("merging one generator twice: exit %d\n%s", code, out)
	}
}

// The exit code tells a pipeline what is wrong: the server (3), its speed (2), or the run itself (1).
func TestLoadtestExitCodes(t *testing.T) {
	for name, c := range map[string]struct {
		faults fakeserver.Faults
		args   []string
		code   int
		says   string
	}{
		"right":    {fakeserver.Faults{}, nil, exitDone, "Passed"},
		"breached": {fakeserver.Faults{}, []string{"--threshold", "p50(search)<1us"}, exitBreached, "BREACHED"},
		"forgets":  {fakeserver.Faults{Forget: 5}, []string{"--threshold", "p50(search)<1us"}, exitDiffers, "is not there"},
		"altered":  {fakeserver.Faults{OtherSlot: true}, nil, exitDiffers, "WRONG"},
		"hook":     {fakeserver.Faults{}, []string{"--hook", "exit 7"}, exitFailed, "HOOK"},
		"limited":  {fakeserver.Faults{Slow: 20 * time.Millisecond}, []string{"--max-workers", "1", "--max-lag", "20ms"}, exitFailed, "LIMITED"},
	} {
		s := fakeserver.New(40, 5)
		s.Faults = c.faults
		server := httptest.NewServer(s)
		code, out := runLoad(t, append([]string{"--target", server.URL, "--token", "staff", "--engine", "lean", "--quiet"}, c.args...)...)
		if code != c.code || !strings.Contains(out, c.says) {
			t.Errorf("%s: exit %d, want %d\n%s", name, code, c.code, out)
		}
		server.Close()
	}
}

// A server that acknowledges what it does not keep is caught without a staff's token too.
func TestLoadtestAuditsByTokens(t *testing.T) {
	s := fakeserver.New(40, 5)
	s.Faults.Forget = 5
	server := httptest.NewServer(s)
	defer server.Close()
	code, out := runLoad(t, "--target", server.URL, "--engine", "lean", "--quiet")
	if code != exitDiffers || !strings.Contains(out, "not checked: capacity") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

// What cannot be run is no breach of a threshold.
func TestLoadtestRefuses(t *testing.T) {
	file := loadtestFile(t)
	for _, args := range [][]string{
		{}, {"--profile", "opening-bel"}, {"--profile", "missing.yaml"}, {"--profile", file, "--threshold", "p99<300"}, {"--profile", file, "--thresholds", "missing"},
		{"--profile", file, "--target", "ftp://x"}, {"--profile", file, "--target", "http://127.0.0.1:1"}, {"--profile", file, "--generator", "3/2"},
		{"--profile", file, "--generator", "1/2"}, {"--profile", file, "--prepare"}, {"--profile", "failover"}, {"--profile", file, "--engine", "steam"},
		{"--profile", file, "--scale", "-1"}, {"--profile", file, "--duration", "-1s"}, {"compare", file, file}, {"merge", file}, {"merge"},
	} {
		if code, out := loadtest(t, args...); code != exitFailed || out == "" {
			t.Errorf("%v: exit %d\n%s", args, code, out)
		}
	}
}

func TestLoadtestProfilesAndTargets(t *testing.T) {
	if code, out := loadtest(t, "profiles"); code != exitDone || !strings.Contains(out, "england-2021-06-08") || !strings.Contains(out, "█") {
		t.Errorf("profiles: exit %d\n%s", code, out)
	}
	server := httptest.NewServer(fakeserver.New(40, 5))
	defer server.Close()
	code, out := loadtest(t, "targets", "--profile", "steady", "--target", server.URL, "--count", "20")
	if code != exitDone || strings.Count(out, "\n") < 20 || !strings.Contains(out, `"method":"POST"`) {
		t.Errorf("targets: exit %d\n%.2000s", code, out)
	}
}

// What must not be told is not in a report.
func TestCommandLineHidesSecrets(t *testing.T) {
	before := os.Args
	defer func() { os.Args = before }()
	os.Args = []string{"/x/muster", "loadtest", "--token", "secret", "--token=secret", "--ledger", "postgresql://u:secret@h", "--postgres=postgresql://u:secret@h", "--redis", "redis://:secret@h", "--threshold", "p99(confirm)<1s"}
	if got := commandLine(); strings.Contains(got, "secret") || !strings.Contains(got, "'p99(confirm)<1s'") {
		t.Errorf("told as %s", got)
	}
}
