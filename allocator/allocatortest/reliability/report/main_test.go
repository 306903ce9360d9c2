package main

import (
	"strings"
	"testing"
	"time"

	"muster/allocator/allocatortest/reliability"
)

// Each reason to exit with 1, and none.
func TestExits(t *testing.T) {
	for name, c := range map[string]struct {
		exit  int
		wreck func(p *reliability.Part)
	}{
		"clean":         {0, func(*reliability.Part) {}},
		"violation":     {1, func(p *reliability.Part) { p.Violated("P9", "reads a clock", "seed 1") }},
		"oversell":      {1, func(p *reliability.Part) { p.Oversells++ }},
		"lost booking":  {1, func(p *reliability.Part) { p.LostBookings++ }},
		"bug":           {1, func(p *reliability.Part) { p.SeededBugs = []reliability.SeededBug{{Name: "b"}} }},
		"crash point":   {1, func(p *reliability.Part) { p.CrashPoints.Known = []string{"c"} }},
		"rare path":     {1, func(p *reliability.Part) { p.Reached("r", 0) }},
		"slow recovery": {1, func(p *reliability.Part) { p.Recovered("f", time.Minute+time.Second) }},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			p := reliability.New("chaos", "make chaos")
			p.Reached("taken", 1)
			p.Recovered("kill", 59*time.Second)
			c.wreck(p)
			if err := reliability.Write(dir, p); err != nil {
				t.Fatal(err)
			}
			for _, flags := range [][]string{nil, {"--markdown"}} {
				var out, complaints strings.Builder
				if exit := run(append(flags, dir), &out, &complaints); exit != c.exit {
					t.Errorf("%v: exit %d, want %d: %s", flags, exit, c.exit, complaints.String())
				}
				if strings.Contains(out.String(), "not clean") != (c.exit == 1) {
					t.Errorf("%v prints\n%s", flags, out.String())
				}
				if strings.Contains(out.String(), "| --- |") != (flags != nil) {
					t.Errorf("%v prints\n%s", flags, out.String())
				}
			}
		})
	}
}

func TestNothingToReport(t *testing.T) {
	for _, args := range [][]string{nil, {t.TempDir()}, {"--unknown", "x"}, {"a", "b"}} {
		var out, complaints strings.Builder
		if exit := run(args, &out, &complaints); exit != 2 || complaints.Len() == 0 {
			t.Errorf("%v: exit %d, %q", args, exit, complaints.String())
		}
	}
}
