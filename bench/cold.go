package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// cold empties the Redis of every variant and tells how long its country takes to come back: the server's start, then the
// first hold at every site, which rebuilds it from the ledger.
func (r *runner) cold(ctx context.Context) error {
	for _, c := range r.contenders {
		m, ok := c.engine.(*ours)
		if !ok || len(c.redis) == 0 {
			continue
		}
		for _, node := range c.redis {
			if err := node.FlushAll(ctx).Err(); err != nil {
				return err
			}
		}
		began := time.Now()
		server, address, err := m.serve(ctx)
		if err != nil {
			return err
		}
		started := time.Since(began)
		spent, _, err := processCPU(server.Pid())
		faults := []error{err}
		before, err := redisCPUs(ctx, c)
		faults = append(faults, err)
		began = time.Now()
		took, err := m.prime(ctx, c.world, address)
		faults = append(faults, err)
		whole := time.Since(began)
		after, err := redisCPUs(ctx, c)
		faults = append(faults, err)
		now, _, err := processCPU(server.Pid())
		stop(server)
		if err := errors.Join(append(faults, err)...); err != nil {
			return fmt.Errorf("%s after a loss: %w", c.Name, err)
		}
		sites := float64(len(c.world.sites))
		note := fmt.Sprintf("%d sites, %d at a time, each by its first hold and a release", len(c.world.sites), sitesAtOnce)
		r.part(c.Name+": start with an empty Redis", "s", "", started.Seconds())
		r.part(c.Name+": whole country back", "s", note, whole.Seconds())
		r.part(c.Name+": one site back, median", "ms", note, took.Quantile(0.5).Seconds()*1000)
		r.part(c.Name+": CPU of a site", "µs", "server and Redis", float64((now-spent+after-before).Microseconds())/sites)
	}
	return nil
}

func redisCPUs(ctx context.Context, c *contender) (sum time.Duration, err error) {
	for _, node := range c.redis {
		used, err := redisCPU(ctx, node)
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}
