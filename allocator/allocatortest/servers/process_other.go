//go:build !linux

package servers

import "os/exec"

// endWithParent has no counterpart here: a test binary that dies without its cleanups leaves its servers behind.
func endWithParent(*exec.Cmd) {}
