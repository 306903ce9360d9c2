package main

import (
	"os/exec"
	"syscall"
)

// endWithLoadtest has the kernel kill the server when this program dies without stopping it.
func endWithLoadtest(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
