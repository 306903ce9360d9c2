//go:build !linux

package main

import "os/exec"

// endWithLoadtest has no counterpart here.
func endWithLoadtest(*exec.Cmd) {}
