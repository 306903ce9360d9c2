package redisinventory_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"muster/allocator/allocatortest/inventorysuite"
	"muster/allocator/allocatortest/servers"
	"muster/allocator/redisinventory"
)

func TestSuiteOnScriptedRedis(t *testing.T) {
	inventorysuite.Run(t, func(tb testing.TB, s inventorysuite.Settings) inventorysuite.Opened {
		m := newScripted(tb)
		inv, _ := openAt(tb, s, false, m.Addr())
		return inventorysuite.Opened{Inventory: inv, Advance: m.advance, Now: m.time, Lose: func(int) { m.FlushAll() }}
	})
}

// What the fast paths leave to the rest of their scripts is decided alike where nothing takes a fast path.
func TestSuiteWithoutFastPaths(t *testing.T) {
	inventorysuite.Run(t, func(tb testing.TB, s inventorysuite.Settings) inventorysuite.Opened {
		m := newScripted(tb)
		inv, _ := openAt(tb, s, false, m.Addr())
		if err := redisinventory.WithoutFastPaths(inv); err != nil {
			tb.Fatal(err)
		}
		return inventorysuite.Opened{Inventory: inv, Advance: m.advance, Now: m.time, Lose: func(int) { m.FlushAll() }}
	})
}

func TestSuiteOnRedis(t *testing.T) {
	node := servers.Redis(t)
	client := redis.NewClient(&redis.Options{Addr: node.Addr()})
	t.Cleanup(func() { client.Close() })
	inventorysuite.Run(t, func(tb testing.TB, s inventorysuite.Settings) inventorysuite.Opened {
		inv, prefix := openAt(tb, s, false, node.Addr())
		return inventorysuite.Opened{Inventory: inv, Lose: func(int) { deleteKeys(tb, client, prefix) }}
	})
}

// On a cluster each inventory's shard 0 lies on one node, another one for each number of shards; the tests of the keys and
// of losses cover the rest.
func TestSuiteOnCluster(t *testing.T) {
	addresses := servers.RedisCluster(t, 3)
	inventorysuite.Run(t, func(tb testing.TB, s inventorysuite.Settings) inventorysuite.Opened {
		inv, _ := openAt(tb, s, true, addresses...)
		return inventorysuite.Opened{Inventory: inv}
	})
}
