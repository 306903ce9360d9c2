//go:build !linux

package processes

import (
	"os/exec"
	"syscall"
)

// EndWithParent has no counterpart here: a process that dies without stopping its children leaves them behind.
func EndWithParent(*exec.Cmd) {}

func endBy(*exec.Cmd, syscall.Signal) {}
