package servers

import (
	"os/exec"
	"syscall"
)

// endWithParent has the kernel kill the child when the test binary dies without its cleanups (a time-out, a panic).
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
