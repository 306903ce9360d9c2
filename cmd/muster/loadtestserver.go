package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"muster/loadtest/audit"
	"muster/loadtest/result"
)

// loadtestServer is `muster serve` in a process of its own, so that the generator's CPU can be told from the server's.
type loadtestServer struct {
	address string // host:port
	data    string // folder of its ledger
	folder  string
	cmd     *exec.Cmd
	ended   chan struct{}
	once    sync.Once
}

var servingAt = regexp.MustCompile(`^muster answers at http://(\S+) `)

const (
	loadtestPatience = 60 * time.Second // until the server answers
	loadtestDrain    = 20 * time.Second // until it has ended
)

// startLoadtestServer starts this program as a server on free ports, with an empty ledger in a temporary folder.
func startLoadtestServer(p *program, holdSeconds int) (*loadtestServer, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "muster-loadtest-")
	if err != nil {
		return nil, err
	}
	s := &loadtestServer{folder: folder, data: filepath.Join(folder, "data"), ended: make(chan struct{})}
	s.cmd = exec.Command(program, "serve", "--dev", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--log-level", "error",
		"--data", s.data, "--hold-seconds", strconv.Itoa(holdSeconds))
	s.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { // what is set for other servers is not for this one
		return strings.HasPrefix(v, "MUSTER_") && !strings.HasPrefix(v, "MUSTER_TEST_")
	})
	// Under a load that is too much, the log tells of every refusal: it is shown only where the server does not start.
	log, err := os.Create(filepath.Join(folder, "serve.log"))
	if err != nil {
		s.stop()
		return nil, err
	}
	defer log.Close() // the process has its own
	s.cmd.Stderr = log
	output, err := s.cmd.StdoutPipe()
	if err == nil {
		err = s.launch(p.ctx, output)
	}
	if err != nil {
		text, _ := os.ReadFile(log.Name()) // a log that cannot be read explains nothing
		s.stop()
		return nil, fmt.Errorf("the embedded server: %w\n%s", err, text[max(0, len(text)-2000):])
	}
	return s, nil
}

// launch starts the process and waits until it answers. The thread that forks is kept until the process is gone, because the
// kernel's parent-death signal follows that thread.
func (s *loadtestServer) launch(ctx context.Context, output io.Reader) error {
	endWithLoadtest(s.cmd)
	started, said := make(chan error, 1), make(chan string, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(s.ended)
		err := s.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		for lines := bufio.NewScanner(output); lines.Scan(); {
			if found := servingAt.FindStringSubmatch(lines.Text()); found != nil && len(said) == 0 {
				said <- found[1]
			}
		}
		_ = s.cmd.Wait() // it was asked to end, or its complaints are told already
	}()
	if err := <-started; err != nil {
		return err
	}
	timer := time.NewTimer(loadtestPatience)
	defer timer.Stop()
	select {
	case s.address = <-said:
		return nil
	case <-s.ended:
		return errors.New("it ended before it served")
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return fmt.Errorf("it does not serve after %v", loadtestPatience)
	}
}

// end asks the server to finish, and kills it where it does not. It may be repeated. The ledger stays.
func (s *loadtestServer) end() {
	s.once.Do(func() {
		if s.cmd.Process == nil {
			return
		}
		_ = s.cmd.Process.Signal(syscall.SIGTERM) // an error says that it is gone
		timer := time.NewTimer(loadtestDrain)
		defer timer.Stop()
		select {
		case <-s.ended:
		case <-timer.C:
			_ = s.cmd.Process.Kill()
			<-s.ended
		}
	})
}

// stop ends the server and removes its ledger.
func (s *loadtestServer) stop() {
	s.end()
	_ = os.RemoveAll(s.folder) // a leftover in the temporary folder is no reason to fail
}

// auditLedger reads the ledger past the server, and has the engine compare it with capacity and, where it can, inventory. Its
// findings are added to the result's audit.
func (p *program) auditLedger(ctx context.Context, r *result.Result, evidence *audit.Evidence, where ledgerFlags, name string) error {
	outlasting := *p
	outlasting.ctx = ctx
	e, err := outlasting.assemble(parts{ledger: where, tool: true, absent: true, log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer func() { _ = e.close() }() // it was only read
	there, err := audit.Run(ctx, evidence, audit.Options{Books: &audit.Ledger{Port: e.ledger, Where: name}})
	if err != nil {
		return err
	}
	own, err := e.Audit(ctx)
	if err != nil {
		return err
	}
	for _, v := range own.Violations {
		if v.Kind != "inventory-unreachable" {
			there.Add(&there.Engine, fmt.Sprintf("%s: %s %v: %s", v.Kind, v.Site, v.Slot, v.Detail))
		}
	}
	r.Audit = audit.Sum(r.Audit, there)
	return nil
}
