package reliability_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest/checkers"
	"muster/allocator/allocatortest/reliability"
)

// simulated and chaotic are two clean parts.
func simulated() *reliability.Part {
	p := reliability.New("simulate", "make simulate")
	p.Seeds, p.Steps, p.Seconds, p.Commit = 10, 2000, 4.5, "0123456789abcdef"
	p.Judged("seed 1", nil, checkers.Stats{
		Operations: 90, Histories: 30, Searched: 2, Refusals: map[allocator.Code]int{allocator.CodeSlotFull: 3},
	})
	p.Judged("seed 2", nil, checkers.Stats{Operations: 10, Histories: 5, Refusals: map[allocator.Code]int{allocator.CodeSlotFull: 1}})
	p.Reached("reseat", 0)
	p.Reached("reseat", 2)
	p.Reached("double rebuild", 0)
	p.Injected("lost reply", 40)
	p.CrashPoints = reliability.CrashPoints{Known: []string{"before pin", "after record"}, Covered: []string{"before pin"}}
	p.NotTested = []string{"CockroachDB itself."}
	return p
}

func chaotic() *reliability.Part {
	p := reliability.New("chaos", "make chaos")
	p.Started, p.Seconds, p.Seeds = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), 100, 7
	p.Reached("double rebuild", 1)
	p.Injected("lost reply", 2)
	p.Injected("kill -9", 1)
	for _, ms := range []int64{500, 100, 300, 200, 400} {
		p.Recovered("kill -9", time.Duration(ms)*time.Millisecond)
	}
	p.Recovered("failover", 60*time.Second)
	p.CrashPoints = reliability.CrashPoints{Known: []string{"after record"}, Covered: []string{"after record"}}
	p.SeededBugs = []reliability.SeededBug{{Name: "no pin", Sentence: "A pin ends only on evidence.", Caught: true, By: "linear-places", Seconds: 1.25}}
	p.NotTested = []string{"CockroachDB itself."}
	return p
}

func writeAll(t *testing.T, dir string, parts ...*reliability.Part) {
	t.Helper()
	for _, p := range parts {
		if err := reliability.Write(dir, p); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMerge(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	writeAll(t, dir, simulated(), chaotic())
	for range 2 { // the sum is not added again
		r, err := reliability.Merge(dir)
		if err != nil {
			t.Fatal(err)
		}
		checkSum(t, r)
	}
	text, err := os.ReadFile(filepath.Join(dir, "reliability.json"))
	if err != nil {
		t.Fatal(err)
	}
	var stored reliability.Report
	if err := json.Unmarshal(text, &stored); err != nil {
		t.Fatal(err)
	}
	checkSum(t, &stored)
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 3 {
		t.Errorf("%d files, %v", len(files), err)
	}
}

func checkSum(t *testing.T, r *reliability.Report) {
	t.Helper()
	same := func(what string, got, want any) {
		t.Helper()
		g, err := json.Marshal(got)
		w, err2 := json.Marshal(want)
		if err != nil || err2 != nil || string(g) != string(w) {
			t.Errorf("%s: %s, want %s", what, g, w)
		}
	}
	same("version", r.Version, 1)
	same("seconds", r.Seconds, 104.5)
	same("started", r.Started, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	same("numbers", []int{r.Seeds, r.Steps, r.Operations, r.Histories, r.Searched, r.Oversells, r.LostBookings, r.Drift}, []int{17, 2000, 100, 35, 2, 0, 0, 0})
	same("refusals", r.Refusals, map[string]int{"SLOT_FULL": 4})
	same("faults", r.Faults, map[string]int{"lost reply": 42, "kill -9": 1})
	same("rare paths", r.RarePaths, map[string]int{"reseat": 2, "double rebuild": 1})
	same("crash points", r.CrashPoints, reliability.CrashPoints{Known: []string{"after record", "before pin"}, Covered: []string{"after record", "before pin"}})
	same("recoveries", r.Recoveries, []reliability.Percentiles{
		{Fault: "failover", Times: 1, P50Ms: 60_000, P99Ms: 60_000, MaxMs: 60_000}, {Fault: "kill -9", Times: 5, P50Ms: 300, P99Ms: 500, MaxMs: 500},
	})
	same("not tested", r.NotTested, []string{"CockroachDB itself."})
	same("failures", r.Failures, []string{})
	same("parts", []string{r.Parts[0].Suite, r.Parts[1].Suite}, []string{"chaos", "simulate"})
}

// Every reason for not being clean, by itself.
func TestFailures(t *testing.T) {
	for _, c := range []struct {
		words string
		wreck func(p *reliability.Part)
	}{
		{"P5 is broken (simulate seed 7): left held", func(p *reliability.Part) {
			p.Judged("seed 7", []checkers.Violation{{Promise: "P5", Text: "left held"}}, checkers.Stats{})
		}},
		{"1 oversells", func(p *reliability.Part) { p.Violated("P1", "twice", "seed 7") }},
		{"2 oversells", func(p *reliability.Part) { p.Oversells = 2 }},
		{"1 acknowledged bookings lost", func(p *reliability.Part) { p.Violated("P2", "gone", "seed 7") }},
		{"seeded bug no epoch was not caught", func(p *reliability.Part) { p.SeededBugs = []reliability.SeededBug{{Name: "no epoch"}} }},
		{"crash point after free was not covered", func(p *reliability.Part) { p.CrashPoints.Known = append(p.CrashPoints.Known, "after free") }},
		{"rare path void beats record was never taken", func(p *reliability.Part) { p.Reached("void beats record", 0) }},
		{"recovery from partition took 60.0 s", func(p *reliability.Part) { p.Recovered("partition", 60*time.Second+time.Millisecond) }},
	} {
		p := simulated()
		c.wreck(p)
		r := reliability.Sum([]reliability.Part{*p, *chaotic()})
		if !slices.Contains(r.Failures, c.words) {
			t.Errorf("%q is not among %q", c.words, r.Failures)
		}
	}
}

func TestTables(t *testing.T) {
	p := simulated()
	p.Violated("P1", "a | in\ntwo lines", "seed 7")
	p.SeededBugs = []reliability.SeededBug{{Name: "no epoch", Sentence: "An epoch belongs to one run_id."}}
	r := reliability.Sum([]reliability.Part{*p, *chaotic()})
	var table, document strings.Builder
	if err := r.Table(&table); err != nil {
		t.Fatal(err)
	}
	if err := r.Markdown(&document); err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{
		"Suites", "0123456789", "Faults injected", "lost reply", "failover", "60000", "Rare paths", "double rebuild", "SLOT_FULL", "after record",
		"no pin", "linear-places", "NOT CAUGHT", "CockroachDB itself.", "make chaos", "1 oversells",
	} {
		if !strings.Contains(table.String(), words) || !strings.Contains(document.String(), words) {
			t.Errorf("%q is missing in\n%s\n%s", words, table.String(), document.String())
		}
	}
	for _, row := range []string{"| lost reply | 42 |\n", "## Faults injected\n\n| fault | times |\n| --- | --- |\n", `a \| in two lines |`} {
		if !strings.Contains(document.String(), row) {
			t.Errorf("%q is missing in\n%s", row, document.String())
		}
	}
}

func TestWriteAndMergeRefuse(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"", "reliability", "../x", "Chaos"} {
		if err := reliability.Write(dir, reliability.New(name, "")); err == nil {
			t.Errorf("a suite may be named %q", name)
		}
	}
	if _, err := reliability.Merge(dir); err == nil {
		t.Error("nothing was merged")
	}
	for name, text := range map[string]string{
		"torn": `{"version": 1, "suite"`, "newer": `{"version": 2, "suite": "newer"}`, "renamed": `{"version": 1, "suite": "chaos"}`,
	} {
		path := filepath.Join(dir, name+".json")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := reliability.Merge(dir); err == nil {
			t.Errorf("a %s report was merged", name)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// A part names the program and the machine, and how long it took.
func TestNew(t *testing.T) {
	dir := t.TempDir()
	p := reliability.New("soak", "make soak")
	p.Started = p.Started.Add(-time.Minute)
	writeAll(t, dir, p)
	text, err := os.ReadFile(filepath.Join(dir, "soak.json"))
	if err != nil {
		t.Fatal(err)
	}
	var stored reliability.Part
	if err := json.Unmarshal(text, &stored); err != nil {
		t.Fatal(err)
	}
	if stored.Seconds < 60 || stored.Machine.Cores < 1 || !strings.HasPrefix(stored.Machine.Go, "go") || !strings.Contains(stored.Machine.OS, "/") {
		t.Errorf("%+v", stored)
	}
	if !strings.Contains(string(text), `"violations": []`) {
		t.Errorf("no list of violations in %s", text)
	}
}
