package main

import (
	"bufio"
	"bytes"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// A server's memory in use is mostly the catalogue, which stays; requests add little that lives long. Go's own setting collects
// whenever the heap has doubled, which here means all the time. Waiting until it is five times as large costs memory that the
// machine has, and a limit takes over where it has not: near it the collector works as often as it must.
const gcPercent = 400

// environment is what memory settings depend on.
type environment struct {
	variable func(name string) (value string, set bool)
	file     func(name string) ([]byte, error)
}

var system = environment{os.LookupEnv, os.ReadFile}

// suitServer sets the garbage collector up for a server, as far as the operator has not (GOGC, GOMEMLIMIT), and returns what
// sets it back.
func suitServer(e environment) (undo func()) {
	percent, limit := debug.SetGCPercent(-1), debug.SetMemoryLimit(-1)
	debug.SetGCPercent(percent)
	undo = func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}
	if _, set := e.variable("GOGC"); !set {
		debug.SetGCPercent(gcPercent)
	}
	if _, set := e.variable("GOMEMLIMIT"); !set {
		debug.SetMemoryLimit(e.memoryLimit())
	}
	return undo
}

// memoryLimit is three quarters of what a container may use or, outside of one, half of the machine's memory, which others use
// too; no limit where neither is known.
func (e environment) memoryLimit() int64 {
	for _, name := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, err := e.file(name)
		n, wrong := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		if err == nil && wrong == nil && n > 0 && n < math.MaxInt64/2 { // "max", or a number beyond all memory: none is set
			return n / 4 * 3
		}
	}
	text, err := e.file("/proc/meminfo")
	if err != nil {
		return math.MaxInt64
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		fields := strings.Fields(lines.Text()) // MemTotal: 24612345 kB
		if len(fields) < 2 || fields[0] != "MemTotal:" {
			continue
		}
		if kB, err := strconv.ParseInt(fields[1], 10, 64); err == nil && kB > 0 && kB < math.MaxInt64/1024 {
			return kB * 1024 / 2
		}
	}
	return math.MaxInt64
}
