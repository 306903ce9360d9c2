package processes

import (
	"os/exec"
	"syscall"
)

// EndWithParent has the kernel kill a command that is to be started when the thread that starts it ends, as it does when this
// process dies without stopping it. Start and Serve call it; who starts a command otherwise keeps the thread. A signal that was
// chosen before stays.
func EndWithParent(cmd *exec.Cmd) { endBy(cmd, syscall.SIGKILL) }

func endBy(cmd *exec.Cmd, signal syscall.Signal) {
	if a := attributes(cmd); a.Pdeathsig == 0 {
		a.Pdeathsig = signal
	}
}
