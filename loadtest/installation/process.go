package installation

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience bounds every wait for a process that should be quick.
const patience = 60 * time.Second

// process is a child of the test binary.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed once it is gone and reaped
}

// startProcess starts a command whose output goes to the end of a file. The thread that forks is kept until the process is
// gone, because the kernel's parent-death signal follows that thread.
func startProcess(cmd *exec.Cmd, logPath string) (*process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has its own
	cmd.Stdout, cmd.Stderr = log, log
	endWithParent(cmd)
	p := &process{cmd: cmd, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // its state tells
			close(p.ended)
		}
	}()
	return p, <-started
}

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// signal sends through os.Process, which tells a reaped process from a later one of the same id.
func (p *process) signal(signal os.Signal) error { return p.cmd.Process.Signal(signal) }

// kill ends the process at once and returns when it is gone.
func (p *process) kill() {
	_ = p.signal(syscall.SIGKILL) // an error says that it is gone already
	<-p.ended
}

// end asks the process to finish with a signal, and kills it where it has not after ten seconds.
func (p *process) end(signal os.Signal) {
	_ = p.signal(signal)
	_ = p.signal(syscall.SIGCONT) // a frozen process does not hear
	timer := time.NewTimer(10 * time.Second)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		p.kill()
	}
}

// await looks every 20 ms until look returns nil, and for no longer than limit.
func await(limit time.Duration, look func() error) error {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := look()
		if err == nil || errors.Is(err, errGone) {
			return err
		}
		select {
		case <-deadline.C:
			return fmt.Errorf("not so after %v: %w", limit, err)
		case <-again.C:
		}
	}
}

// errGone marks a process that ended while it was waited for: waiting longer is no use.
var errGone = errors.New("the process ended")

// freePort returns a port below those that the kernel hands out to clients, so that a server that is down for a moment
// finds it free again.
func freePort() (int, error) {
	var err error
	for range 100 {
		port := 23_000 + rand.IntN(8_000)
		var listener net.Listener
		if listener, err = net.Listen("tcp", loopback(port)); err == nil {
			return port, listener.Close()
		}
	}
	return 0, fmt.Errorf("no free port: %w", err)
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// tail is the end of a file, for messages.
func tail(path string, bytes int) string {
	text, _ := os.ReadFile(path) // a log that cannot be read adds nothing to the error it would explain
	return string(text[max(0, len(text)-bytes):])
}

// childrenOf lists the processes whose parent is pid.
func childrenOf(pid int) []int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil // it is gone, or this is no Linux
	}
	var children []int
	for word := range strings.FieldsSeq(string(text)) {
		if child, err := strconv.Atoi(word); err == nil {
			children = append(children, child)
		}
	}
	return children
}
