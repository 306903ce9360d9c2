package bench

import (
	"os/exec"
	"syscall"
)

// endWithParent has the kernel kill the child when this program dies without stopping it.
func endWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
