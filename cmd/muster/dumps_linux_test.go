package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A server that crashes in the loudest way that Go has leaves no core, and nothing of anybody in what it prints.
func TestCrashTellsNothing(t *testing.T) {
	t.Setenv("GOTRACEBACK", "crash")
	s := spawn(t, embedded(t)...)
	s.world("A1", 2)
	_, planted := s.plant("A1", 1)
	pid := s.pid()
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	if err != nil {
		t.Fatal(err)
	}
	if !lineHas(string(limits), "Max core file size", " 1 ") && !lineHas(string(limits), "Max core file size", " 0 ") {
		t.Errorf("cores are not bounded:\n%s", limits)
	}
	s.signal(syscall.SIGQUIT)
	<-s.ended
	if !strings.Contains(s.err.String(), "goroutine ") || strings.Contains(s.exitSignal, "core dumped") {
		t.Errorf("%s, and printed %.500s", s.exitSignal, s.err)
	}
	planted.mustNotBeIn(t, "what a crash prints", s.out.String()+s.err.String())
	if cores, err := filepath.Glob("core*"); err != nil || len(cores) > 0 {
		t.Errorf("left %v, %v", cores, err)
	}
}

func lineHas(text, name, value string) bool {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, name) && strings.Contains(line, value) {
			return true
		}
	}
	return false
}

// Who asks for cores is warned of them.
func TestCoreDumpsAreAskedFor(t *testing.T) {
	s := serve(t, append(embedded(t), "--core-dumps")...)
	if !strings.Contains(s.err.String(), "core file") {
		t.Errorf("no warning: %s", s.err)
	}
}
