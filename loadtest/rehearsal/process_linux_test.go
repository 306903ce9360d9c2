package rehearsal

import (
	"os/exec"
	"syscall"
)

// endWithParent has the kernel end a process with the thread that starts it.
func endWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
