package servers

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is a child of the test binary.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed once the process is gone and reaped
}

// startProcess starts the command on a thread that lives as long as the process: the kernel's parent-death signal
// (endWithParent) is sent when the thread that forked is gone, and Go may end any thread that nothing is locked to.
func startProcess(cmd *exec.Cmd) (*process, error) {
	endWithParent(cmd)
	p := &process{cmd: cmd, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // servers that are killed have no status worth keeping
		close(p.ended)
	}()
	return p, <-started
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// signal sends through os.Process, which knows a reaped process from a later one of the same id.
func (p *process) signal(signal os.Signal) error { return p.cmd.Process.Signal(signal) }

// kill ends the process at once and returns when it is gone.
func (p *process) kill() {
	_ = p.signal(syscall.SIGKILL) // an error says that it is gone already
	<-p.ended
}

// stop asks the process to end, and kills it when it has not after ten seconds.
func (p *process) stop() {
	_ = p.signal(syscall.SIGTERM)
	_ = p.signal(syscall.SIGCONT) // a paused process does not hear
	timer := time.NewTimer(10 * time.Second)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		p.kill()
	}
}
