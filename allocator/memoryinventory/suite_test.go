package memoryinventory_test

import (
	"sync"
	"testing"
	"time"

	"muster/allocator/allocatortest/inventorysuite"
	"muster/allocator/memoryinventory"
)

// clock is moved by the test.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestSuite(t *testing.T) {
	inventorysuite.Run(t, func(_ testing.TB, s inventorysuite.Settings) inventorysuite.Opened {
		c := &clock{now: time.UnixMilli(1_790_000_000_000)}
		inv := memoryinventory.New(memoryinventory.Options{
			Shards: s.Shards, KeyLifetime: s.KeyLifetime, SetAside: s.SetAside, ReapBatch: s.ReapBatch, Feed: s.Feed, Now: c.time,
		})
		return inventorysuite.Opened{Inventory: inv, Advance: c.advance, Now: c.time, Lose: inv.Lose}
	})
}
