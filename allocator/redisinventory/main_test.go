package redisinventory_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"muster/allocator/allocatortest/inventorysuite"
	"muster/allocator/redisinventory"
)

var prefixes atomic.Int64

// openAt opens an inventory with keys of its own on a server that others use too.
func openAt(tb testing.TB, s inventorysuite.Settings, cluster bool, addresses ...string) (*redisinventory.Inventory, string) {
	tb.Helper()
	prefix := fmt.Sprintf("test%d", prefixes.Add(1))
	inv, err := redisinventory.New(redisinventory.Options{
		Addresses: addresses, Cluster: cluster, Prefix: prefix, Shards: s.Shards, KeyLifetime: s.KeyLifetime, SetAside: s.SetAside,
		ReapBatch: s.ReapBatch, ReapAfter: -1, Feed: s.Feed, Timeout: 20 * time.Second,
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { inv.Close() })
	return inv, prefix
}

// deleteKeys is what a flush would be, on a server that others use too.
func deleteKeys(tb testing.TB, client redis.UniversalClient, prefix string) {
	tb.Helper()
	keys, err := client.Keys(context.Background(), prefix+"/*").Result()
	for _, k := range keys {
		if err == nil {
			err = client.Del(context.Background(), k).Err()
		}
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// scriptedRedis is a miniredis whose clock the test moves.
type scriptedRedis struct {
	*miniredis.Miniredis
	mu  sync.Mutex
	now time.Time
}

func newScripted(tb testing.TB) *scriptedRedis {
	m := &scriptedRedis{Miniredis: miniredis.RunT(tb), now: time.UnixMilli(1_790_000_000_000)}
	m.SetTime(m.now)
	m.Server().SetPreHook(answerInfo)
	return m
}

// answerInfo adds the sections of INFO that miniredis does not have.
func answerInfo(c *server.Peer, cmd string, args ...string) bool {
	if !strings.EqualFold(cmd, "INFO") || len(args) != 1 {
		return false
	}
	switch args[0] {
	case "server":
		c.WriteBulk("# Server\r\nrun_id:scripted\r\n")
	case "replication":
		c.WriteBulk("# Replication\r\nrole:master\r\nmaster_replid:replica-of-nobody\r\n")
	default:
		return false
	}
	return true
}

func (m *scriptedRedis) advance(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = m.now.Add(d)
	m.SetTime(m.now)
}

func (m *scriptedRedis) time() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

var settings1 = inventorysuite.Settings{Shards: 1}
