//go:build !linux

package installation

import (
	"os/exec"
	"syscall"
)

// endWithParent has no counterpart here: a test binary that dies without its cleanups leaves its servers behind.
func endWithParent(*exec.Cmd) {}

// asUser has the command run as another user and group.
func asUser(cmd *exec.Cmd, uid, gid int) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}
