package main

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The program that people run contains no crash point: nothing in its environment can make it kill itself.
func TestOrdinaryBuildHasNoCrashPoints(t *testing.T) {
	const room = "muster/allocator/crashpoints"
	for flags, want := range map[string]bool{"": false, "-tags=crashpoints": true} {
		args := append(append([]string{"list", "-deps"}, strings.Fields(flags)...), "muster/cmd/muster")
		list, err := exec.CommandContext(t.Context(), "go", args...).Output()
		if err != nil {
			t.Fatalf("go %s: %v", strings.Join(args, " "), err)
		}
		if found := slices.Contains(strings.Fields(string(list)), room); found != want {
			t.Errorf("go %s: %s among the packages: %v, want %v", strings.Join(args, " "), room, found, want)
		}
	}
}

// The tagged program lists its points, and refuses one that there is not: a misspelt point must not pass for a crash that
// never came.
func TestCrashPointsAreNamed(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	program := filepath.Join(t.TempDir(), "muster")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-tags=crashpoints", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	list := exec.CommandContext(t.Context(), program)
	list.Env = []string{"MUSTER_CRASH_LIST=1"}
	out, err := list.Output()
	if points := strings.Fields(string(out)); err != nil || !slices.Contains(points, "record/after") || !slices.Contains(points, "void-commit/sent") {
		t.Errorf("the list is %q, error %v", points, err)
	}
	misspelt := exec.CommandContext(t.Context(), program, "version")
	misspelt.Env = []string{"MUSTER_CRASH_AT=record/afterwards"}
	if out, err := misspelt.CombinedOutput(); misspelt.ProcessState.ExitCode() != exitUsage {
		t.Errorf("a misspelt point: %v\n%s", err, out)
	}
}
