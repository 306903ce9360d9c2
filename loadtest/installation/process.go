package installation

import (
	"context"
	"time"

	"muster/loadtest/processes"
)

// patience bounds every wait for a process that should be quick.
const patience = processes.Patience

// await looks every 20 ms until look returns nil or processes.ErrGone, and for no longer than limit.
func await(limit time.Duration, look func() error) error {
	return processes.Await(context.Background(), limit, func(context.Context) error { return look() })
}
