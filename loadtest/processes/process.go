// Package processes starts programs as children of this process, for load tests, benchmarks and tests: they are waited for
// until they serve, stopped by their process id, and end with this process however that ends (on Linux). Redis and PostgreSQL
// are among them, each on a free port of loopback.
package processes

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"syscall"
	"time"
)

// Patience bounds every wait for a process that was just started.
const Patience = 60 * time.Second

// ErrGone says that a process ended while it was waited for: waiting longer is no use.
var ErrGone = errors.New("the process ended")

// Process is a child of this process. All methods are safe for concurrent use.
type Process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed once it is gone and reaped
	log   string
}

// Start starts a command whose output goes to the end of the file log, which is made where it is missing. It does not wait for
// more than the start itself.
func Start(cmd *exec.Cmd, log string) (*Process, error) {
	return start(cmd, log, nil)
}

// Serve starts a command and waits for the line of its standard output that the pattern finds, for Patience at most: said is
// what the pattern's groups matched. Complaints go to the end of the file log, the end of which is in every error. When Serve
// fails, the process is gone.
func Serve(ctx context.Context, cmd *exec.Cmd, log string, pattern *regexp.Regexp) (p *Process, said []string, err error) {
	found := make(chan []string, 1)
	p, err = start(cmd, log, func(output io.Reader) {
		for lines := bufio.NewScanner(output); lines.Scan(); {
			if match := pattern.FindStringSubmatch(lines.Text()); match != nil && len(found) == 0 {
				found <- match
			}
		}
	})
	if err != nil {
		return nil, nil, err
	}
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	select {
	case said = <-found:
		return p, said, nil
	case <-p.ended:
		return nil, nil, p.Explain(errors.New("it ended before it served"))
	case <-ctx.Done():
		p.Kill()
		return nil, nil, ctx.Err()
	case <-timer.C:
		p.Kill()
		return nil, nil, p.Explain(fmt.Errorf("it does not serve after %v", Patience))
	}
}

// start keeps the thread that forks until the process is gone, because the kernel's parent-death signal follows that thread,
// and Go may end any thread that nothing is locked to.
func start(cmd *exec.Cmd, log string, listen func(output io.Reader)) (*Process, error) {
	complaints, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer complaints.Close() // the process has its own
	cmd.Stderr = complaints
	var output io.Reader
	if listen == nil {
		cmd.Stdout = complaints
	} else if output, err = cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	EndWithParent(cmd)
	p := &Process{cmd: cmd, ended: make(chan struct{}), log: log}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		if listen != nil {
			listen(output)
		}
		_ = cmd.Wait() // its state tells
		close(p.ended)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// Pid is the process id, which may be another's once Ended is closed.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Ended is closed when the process is gone.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// State tells how the process ended: by which signal, or with which code. Only once Ended is closed.
func (p *Process) State() *os.ProcessState { return p.cmd.ProcessState }

// Running says whether the process is not gone yet.
func (p *Process) Running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// Signal sends through os.Process, which tells a reaped process from a later one of the same id.
func (p *Process) Signal(signal os.Signal) error { return p.cmd.Process.Signal(signal) }

// Kill ends the process at once and returns when it is gone.
func (p *Process) Kill() {
	_ = p.Signal(syscall.SIGKILL) // an error says that it is gone already
	<-p.ended
}

// Stop asks the process to finish by a signal, kills it where it has not in that time, and returns when it is gone.
func (p *Process) Stop(signal os.Signal, within time.Duration) {
	_ = p.Signal(signal)
	_ = p.Signal(syscall.SIGCONT) // a frozen process does not hear
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		p.Kill()
	}
}

// Explain adds the end of the log to an error.
func (p *Process) Explain(err error) error {
	return fmt.Errorf("%s: %w\n%s", p.cmd.Path, err, Tail(p.log, 2000))
}

// Apart puts a command that is to be started in a process group of its own: it does not hear the interrupt from the terminal
// that asks this process to finish, and is there until it is stopped.
func Apart(cmd *exec.Cmd) {
	attributes(cmd).Setpgid = true
}

func attributes(cmd *exec.Cmd) *syscall.SysProcAttr {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	return cmd.SysProcAttr
}

// asUser has the command run as another user and group.
func asUser(cmd *exec.Cmd, uid, gid int) {
	attributes(cmd).Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}
