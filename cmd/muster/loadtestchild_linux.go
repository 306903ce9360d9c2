package main

import (
	"os/exec"
	"syscall"
)

// endWithLoadtest has the kernel kill the server when this program dies without stopping it. In a process group of its own, the
// server does not hear the interrupt from the terminal that ends a run, and is there for the audit.
func endWithLoadtest(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
