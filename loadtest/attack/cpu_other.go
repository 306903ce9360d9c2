//go:build !unix

package attack

import "time"

// ownCPU cannot be seen here.
func ownCPU() time.Duration { return 0 }
