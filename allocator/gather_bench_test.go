package allocator_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"muster/allocator"
)

// counting counts the script calls of holds, each of which takes the inventory a while.
type counting struct {
	allocator.Inventory
	calls atomic.Int64
}

func (c *counting) Hold(ctx context.Context, shard int, epoch int64, items []allocator.HoldItem) ([]allocator.HoldResult, error) {
	c.calls.Add(1)
	return c.Inventory.Hold(ctx, shard, epoch, items)
}

// BenchmarkHoldsTogether is a client's batch: 32 holds that come at once, while nobody else wants anything.
func BenchmarkHoldsTogether(b *testing.B) {
	counted := &counting{}
	a, claim := benchWorldOf(b, func(i allocator.Inventory) allocator.Inventory { counted.Inventory = i; return counted })
	b.ReportAllocs()
	b.ResetTimer()
	counted.calls.Store(0)
	for b.Loop() {
		var batch sync.WaitGroup
		for range 32 {
			batch.Go(func() {
				h, err := a.Hold(context.Background(), allocator.HoldRequest{Claims: []allocator.ClaimRequest{claim}})
				if err == nil {
					err = a.Release(context.Background(), h.Token)
				}
				if err != nil {
					b.Error(err)
				}
			})
		}
		batch.Wait()
	}
	b.ReportMetric(float64(counted.calls.Load())/float64(b.N), "calls/batch")
}
