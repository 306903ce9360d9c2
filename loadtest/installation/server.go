package installation

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"muster/loadtest/processes"
)

// Server is a `muster serve`. Its addresses and its log outlive the process. Safe for concurrent use; a verb that fails
// marks the test as failed and lets it go on.
type Server struct {
	Index     int
	Base, Ops string // http://host:port of the requests and of the operators
	LogPath   string
	Data      string // its folder
	Redis     *Link  // its way to Redis; nil where it has none of its own
	Ledger    *Link  // its way to PostgreSQL; nil where it has none of its own

	tb      testing.TB
	program string
	args    []string

	mu      sync.Mutex
	env     []string
	process *processes.Process
	starts  int
	past    map[string]float64 // counters of earlier processes, added up
	last    map[string]float64 // counters of this process when last read
}

// Setenv sets environment variables (NAME=value) of processes started from now on, in place of those set before.
func (s *Server) Setenv(env ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.env = env
}

// Restart starts the process again at its old addresses with its old files and waits until it answers. One still running
// is killed first.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Kill()
	if err := s.start(); err != nil {
		s.tb.Errorf("server %d does not start: %v\n%s", s.Index, err, processes.Tail(s.LogPath, 4000))
	}
}

// Revive is Restart as a supervisor does it: a process that ends at once, for want of a ledger say, is started again, for at
// most a minute.
func (s *Server) Revive() {
	s.tb.Helper()
	s.Kill()
	err := await(patience, func() error {
		if err := s.start(); err != nil {
			return fmt.Errorf("%v\n%s", err, processes.Tail(s.LogPath, 4000)) // not ErrGone: there is a next process
		}
		return nil
	})
	if err != nil {
		s.tb.Errorf("server %d does not start: %v", s.Index, err)
	}
}

// Launch is Restart that does not wait for answers: for a process that is to die on its way.
func (s *Server) Launch() {
	s.tb.Helper()
	s.Kill()
	if _, err := s.launch(); err != nil {
		s.tb.Errorf("server %d does not start: %v", s.Index, err)
	}
}

func (s *Server) launch() (*processes.Process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cmd := exec.Command(s.program, s.args...)
	cmd.Env = append(append(os.Environ(), "MUSTER_SECRET="+Secret, "MUSTER_UPKEEP_EVERY=1s"), s.env...)
	p, err := processes.Start(cmd, s.LogPath)
	if err == nil {
		s.process = p
		s.starts++
	}
	return p, err
}

// first is start for a port that was found free: should it be another connection's by now, it is tried again.
func (s *Server) first() error {
	return await(patience, func() error {
		err := s.start()
		if err != nil && strings.Contains(processes.Tail(s.LogPath, 4000), "address already in use") {
			return fmt.Errorf("%v: its port is in use", err) // not ErrGone: there is a next process
		}
		return err
	})
}

func (s *Server) start() error {
	p, err := s.launch()
	if err != nil {
		return err
	}
	return await(patience, func() error {
		if !p.Running() {
			return processes.ErrGone
		}
		return s.alive()
	})
}

func (s *Server) alive() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err := s.ops(ctx, "/healthz")
	return err
}

// Ready is nil when the server says that it may take traffic.
func (s *Server) Ready(ctx context.Context) error {
	_, err := s.ops(ctx, "/readyz")
	return err
}

var opsClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func (s *Server) ops(ctx context.Context, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Ops+path, nil)
	if err != nil {
		return "", err
	}
	reply, err := opsClient.Do(request)
	if err != nil {
		return "", err
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err == nil && reply.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: status %d: %s", path, reply.StatusCode, text)
	}
	return string(text), err
}

// Kill ends the process at once (SIGKILL) and returns when it is gone. One that is down stays down.
func (s *Server) Kill() {
	if p := s.current(); p != nil {
		p.Kill()
		s.turnOver()
	}
}

// Stop ends the process politely (SIGTERM) and returns when it is gone.
func (s *Server) Stop() {
	if p := s.current(); p != nil {
		p.Stop(syscall.SIGTERM, 10*time.Second)
		s.turnOver()
	}
}

// turnOver keeps the counters of a process that ended.
func (s *Server) turnOver() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, value := range s.last {
		s.past[name] += value
	}
	s.last = nil
}

// Pause freezes the process (SIGSTOP): its connections stay open and nothing answers.
func (s *Server) Pause() { s.tb.Helper(); s.send(syscall.SIGSTOP) }

// Resume lets a frozen process go on (SIGCONT).
func (s *Server) Resume() { s.tb.Helper(); s.send(syscall.SIGCONT) }

func (s *Server) send(signal os.Signal) {
	s.tb.Helper()
	if err := s.current().Signal(signal); err != nil {
		s.tb.Errorf("server %d: %v: %v", s.Index, signal, err)
	}
}

func (s *Server) current() *processes.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process
}

// Pid is the present process, 0 before the first.
func (s *Server) Pid() int {
	if p := s.current(); p != nil {
		return p.Pid()
	}
	return 0
}

// Ended is closed when the present process is gone.
func (s *Server) Ended() <-chan struct{} { return s.current().Ended() }

// Starts is how many processes this server has had.
func (s *Server) Starts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.starts
}

// Metrics reads /metrics: every sample by its name with labels, as in `muster_allocator_events_total{event="rebuild"}`.
func (s *Server) Metrics(ctx context.Context) (map[string]float64, error) {
	text, err := s.ops(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	samples := make(map[string]float64)
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		line := lines.Text()
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || strings.HasPrefix(line, "#") {
			continue
		}
		if value, err := strconv.ParseFloat(line[at+1:], 64); err == nil {
			samples[line[:at]] = value
		}
	}
	return samples, nil
}

// note remembers the counters as they are now, for the case that the process dies.
func (s *Server) note(ctx context.Context) {
	before := s.current()
	samples, err := s.Metrics(ctx)
	if err != nil {
		return // what could be read last stands
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == before && before.Running() {
		s.last = samples
	}
}

// counters are the counters of all processes this server has had, as far as they could be read.
func (s *Server) counters() map[string]float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := make(map[string]float64)
	for _, part := range []map[string]float64{s.past, s.last} {
		for name, value := range part {
			sum[name] += value
		}
	}
	return sum
}

// openFiles counts the process's file descriptors and, among them, its TCP connections to a port of loopback.
func (s *Server) openFiles() (int, error) {
	entries, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(s.Pid()), "fd"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil // no Linux
	}
	return len(entries), err
}
