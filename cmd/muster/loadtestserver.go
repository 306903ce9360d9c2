package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"muster/loadtest/audit"
	"muster/loadtest/processes"
	"muster/loadtest/result"
)

// loadtestServer is `muster serve` in a process of its own, so that the generator's CPU can be told from the server's.
type loadtestServer struct {
	address string // host:port
	data    string // folder of its ledger
	folder  string
	process *processes.Process
}

var servingAt = regexp.MustCompile(`^muster answers at http://(\S+) `)

// loadtestDrain is how long the server may take to end.
const loadtestDrain = 20 * time.Second

// startLoadtestServer starts this program as a server on free ports, with an empty ledger in a temporary folder. It does not
// hear the interrupt from the terminal that ends a run, and is there for the audit.
func startLoadtestServer(p *program, holdSeconds int) (*loadtestServer, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "muster-loadtest-")
	if err != nil {
		return nil, err
	}
	s := &loadtestServer{folder: folder, data: filepath.Join(folder, "data")}
	cmd := exec.Command(program, "serve", "--dev", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--log-level", "error",
		"--data", s.data, "--hold-seconds", strconv.Itoa(holdSeconds))
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { // what is set for other servers is not for this one
		return strings.HasPrefix(v, "MUSTER_") && !strings.HasPrefix(v, "MUSTER_TEST_")
	})
	processes.Apart(cmd)
	// Under a load that is too much, the log tells of every refusal: it is shown only where the server does not start.
	process, said, err := processes.Serve(p.ctx, cmd, filepath.Join(folder, "serve.log"), servingAt)
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("the embedded server: %w", err)
	}
	s.process, s.address = process, said[1]
	return s, nil
}

// end asks the server to finish, and kills it where it does not. It may be repeated. The ledger stays.
func (s *loadtestServer) end() {
	if s.process != nil {
		s.process.Stop(syscall.SIGTERM, loadtestDrain)
	}
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
