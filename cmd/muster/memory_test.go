package main

import (
	"io/fs"
	"math"
	"runtime/debug"
	"testing"
)

func settings() (percent int, limit int64) {
	percent, limit = debug.SetGCPercent(-1), debug.SetMemoryLimit(-1)
	debug.SetGCPercent(percent)
	return percent, limit
}

func TestServersMemory(t *testing.T) {
	const container, older, machine = "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/proc/meminfo"
	meminfo := "MemFree:  1 kB\nMemTotal:       2000000 kB\nMemAvailable:    7 kB\n"
	for name, c := range map[string]struct {
		variables, files map[string]string
		percent          int // 0: as before
		limit            int64
	}{
		"a container":           {nil, map[string]string{container: "4000000000\n", machine: meminfo}, gcPercent, 3_000_000_000},
		"an older container":    {nil, map[string]string{older: "4000\n", machine: meminfo}, gcPercent, 3_000},
		"no container's limit":  {nil, map[string]string{container: "max\n", machine: meminfo}, gcPercent, 1_024_000_000},
		"an older one's":        {nil, map[string]string{older: "9223372036854771712\n", machine: meminfo}, gcPercent, 1_024_000_000},
		"no container":          {nil, map[string]string{machine: meminfo}, gcPercent, 1_024_000_000},
		"another system":        {nil, nil, gcPercent, math.MaxInt64},
		"nonsense":              {nil, map[string]string{container: "-1", older: "many", machine: "MemTotal: many kB\nMemTotal:\n"}, gcPercent, math.MaxInt64},
		"the operator's GOGC":   {map[string]string{"GOGC": "50"}, map[string]string{machine: meminfo}, 0, 1_024_000_000},
		"the operator's limit":  {map[string]string{"GOMEMLIMIT": "1GiB"}, map[string]string{machine: meminfo}, gcPercent, 0},
		"the operator's choice": {map[string]string{"GOGC": "off", "GOMEMLIMIT": "1GiB"}, nil, 0, 0},
	} {
		percent, limit := settings()
		undo := suitServer(environment{
			func(name string) (string, bool) { value, set := c.variables[name]; return value, set },
			func(name string) ([]byte, error) {
				text, ok := c.files[name]
				if !ok {
					return nil, fs.ErrNotExist
				}
				return []byte(text), nil
			},
		})
		gotPercent, gotLimit := settings()
		undo()
		if c.percent == 0 {
			c.percent = percent
		}
		if c.limit == 0 {
			c.limit = limit
		}
		if gotPercent != c.percent || gotLimit != c.limit {
			t.Errorf("%s: %d %% and %d bytes, want %d and %d", name, gotPercent, gotLimit, c.percent, c.limit)
		}
		if p, l := settings(); p != percent || l != limit {
			t.Errorf("%s: %d %% and %d bytes stay behind", name, p, l)
		}
	}
}
