package simulation

import (
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"muster/allocator/allocatortest/inventorysuite"
	"muster/allocator/redisinventory"
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

// The simulated node keeps every promise that a real Redis keeps: the conformance suite cannot tell them apart.
func TestNodePassesTheSuite(t *testing.T) {
	lua, err := newInterpreter()
	if err != nil {
		t.Fatal(err)
	}
	inventorysuite.Run(t, func(tb testing.TB, s inventorysuite.Settings) inventorysuite.Opened {
		c := &clock{now: time.UnixMilli(1_790_000_000_000)}
		n, err := newNode(lua, "run", "replication", c.time)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(n.close)
		inv, err := redisinventory.New(redisinventory.Options{
			Addresses: []string{"simulated:1"}, Shards: max(s.Shards, 1), KeyLifetime: s.KeyLifetime, SetAside: s.SetAside, ReapBatch: s.ReapBatch, ReapAfter: -1,
			Feed: s.Feed, Hooks: []redis.Hook{&connection{node: n}},
		})
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = inv.Close() })
		return inventorysuite.Opened{Inventory: inv, Advance: c.advance, Now: c.time, Lose: func(int) { n.flush() }}
	})
}
