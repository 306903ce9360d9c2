//go:build !linux

package bench

import "time"

// ownThreadCPU is that of the whole program, where a thread's cannot be seen.
func ownThreadCPU() time.Duration { return ownCPU() }
