package bench

import (
	"syscall"
	"time"
)

// ownThreadCPU is what the calling thread used so far. Lock the goroutine to it.
func ownThreadCPU() time.Duration {
	const thread = 1 // RUSAGE_THREAD
	var u syscall.Rusage
	if err := syscall.Getrusage(thread, &u); err != nil {
		return ownCPU()
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
