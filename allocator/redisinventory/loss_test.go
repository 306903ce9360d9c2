package redisinventory_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"muster/allocator"
	"muster/allocator/allocatortest/inventorysuite"
	"muster/allocator/allocatortest/servers"
	"muster/allocator/redisinventory"
)

const site, day = allocator.SiteID("Site-1"), allocator.Date(30_000)

// opened is an inventory on a server of the test's own, with its shard open at epoch 1 and a site built.
func opened(tb testing.TB, address string) (*redisinventory.Inventory, string) {
	tb.Helper()
	inv, prefix := openAt(tb, inventorysuite.Settings{Shards: 1}, false, address)
	build(tb, inv, 0, 1, site)
	return inv, prefix
}

// build opens a shard at a fresh epoch and builds a site there.
func build(tb testing.TB, inv *redisinventory.Inventory, shard int, epoch int64, site allocator.SiteID) {
	tb.Helper()
	ctx := context.Background()
	identity, err := inv.Identity(ctx, shard)
	if err == nil {
		err = inv.Open(ctx, shard, epoch, identity, true)
	}
	if err == nil {
		_, err = inv.Begin(ctx, shard, epoch, site, "b")
	}
	if err == nil {
		_, err = inv.Finish(ctx, shard, epoch, site, "b", 1, map[allocator.Date]int64{day: 1})
	}
	if err != nil {
		tb.Fatal(err)
	}
}

func item(site allocator.SiteID, key, slot, places int) allocator.HoldItem {
	services := []allocator.ServiceCode{"RSV:Adult"}
	it := allocator.HoldItem{Print: [8]byte{1}, Site: site, LengthMs: 300_000, GraceMs: 5_000, Claims: []allocator.HoldClaim{{
		Slot: allocator.SlotID{Site: site, Start: allocator.Minute(int64(day)*1440 + int64(slot)*10), Length: 10}, Date: day, Revision: 1,
		Service: services[0], Bounds: []allocator.Bound{{Services: services, Places: places, Mine: true}},
		Window: allocator.Window{MinLeadMs: -1 << 60},
	}}}
	copy(it.Key[:], fmt.Sprintf("%09d", key))
	return it
}

// ask holds a place and tells the error.
func ask(inv *redisinventory.Inventory, key int) error {
	_, err := inv.Hold(context.Background(), 0, 1, []allocator.HoldItem{item(site, key, 0, 1000)})
	return err
}

// wantFailure asks until the call gets through, for a while.
func wantFailure(tb testing.TB, inv *redisinventory.Inventory, want error) {
	tb.Helper()
	var err error
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n := range 300 {
		if err = ask(inv, 1000+n); errors.Is(err, want) {
			return
		}
		if !errors.Is(err, allocator.ErrUnavailable) {
			break
		}
		<-tick.C
	}
	tb.Fatalf("got %v, want %v", err, want)
}

func TestRestartIsALoss(t *testing.T) {
	node := servers.Redis(t, "--appendfsync", "always")
	inv, _ := opened(t, node.Addr())
	if err := ask(inv, 1); err != nil {
		t.Fatal(err)
	}
	before, err := inv.Identity(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	node.Kill()
	if err := ask(inv, 2); !errors.Is(err, allocator.ErrUnavailable) {
		t.Fatalf("while it is down: %v", err)
	}
	node.Restart() // with its data, epoch key included
	wantFailure(t, inv, allocator.ErrIncarnationLost)
	if err := inv.Open(t.Context(), 0, 1, before, false); !errors.Is(err, allocator.ErrIncarnationLost) {
		t.Fatalf("adopting the old epoch: %v", err)
	}
	after, err := inv.Identity(t.Context(), 0)
	if err != nil || after == before {
		t.Fatalf("identity %s after the restart, %v", after, err)
	}
	if err := inv.Open(t.Context(), 0, 1, after, false); !errors.Is(err, allocator.ErrIncarnationLost) {
		t.Fatalf("adopting the old epoch on the new incarnation: %v", err)
	}
	if err := inv.Open(t.Context(), 0, 2, after, true); err != nil {
		t.Fatal(err)
	}
}

func TestForgottenScriptsAreALoss(t *testing.T) {
	node := servers.Redis(t)
	client := redis.NewClient(&redis.Options{Addr: node.Addr()})
	defer client.Close()
	inv, _ := opened(t, node.Addr())
	if err := client.ScriptFlush(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, inv, allocator.ErrIncarnationLost)
}

func TestFlushIsALoss(t *testing.T) {
	node := servers.Redis(t)
	client := redis.NewClient(&redis.Options{Addr: node.Addr()})
	defer client.Close()
	inv, _ := opened(t, node.Addr())
	if err := client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, inv, allocator.ErrIncarnationLost)
}

// Another program opens a newer epoch; this one's is refused from then on, and its late messages are not.
func TestAnotherProgramOpensAnEpoch(t *testing.T) {
	node := servers.Redis(t)
	inv, prefix := opened(t, node.Addr())
	other, err := redisinventory.New(redisinventory.Options{Addresses: []string{node.Addr()}, Prefix: prefix, Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	identity, err := other.Identity(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Open(t.Context(), 0, 1, identity, false); err != nil {
		t.Fatalf("adopting: %v", err)
	}
	if err := ask(other, 5); err != nil {
		t.Fatal(err)
	}
	if err := other.Open(t.Context(), 0, 2, identity, true); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, inv, allocator.ErrEpochStale)
	if _, err := inv.Settle(t.Context(), 0, 1, []allocator.SettleItem{{Site: site}}); err != nil {
		t.Fatalf("a late settle: %v", err)
	}
}

func TestPromotionIsALoss(t *testing.T) {
	primary := servers.Redis(t)
	inv, _ := opened(t, primary.Addr())
	replica := servers.RedisReplica(t, primary)
	client := redis.NewClient(&redis.Options{Addr: replica.Addr()})
	defer client.Close()
	onReplica, _ := openAt(t, inventorysuite.Settings{Shards: 1}, false, replica.Addr())
	if _, err := onReplica.Identity(t.Context(), 0); !errors.Is(err, allocator.ErrUnavailable) {
		t.Fatalf("a replica's identity: %v", err)
	}
	before, err := inv.Identity(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Do(t.Context(), "replicaof", "no", "one").Err(); err != nil {
		t.Fatal(err)
	}
	if err := onReplica.Open(t.Context(), 0, 1, before, false); !errors.Is(err, allocator.ErrIncarnationLost) {
		t.Fatalf("adopting on the promoted replica: %v", err)
	}
	promoted, err := onReplica.Identity(t.Context(), 0)
	if err != nil || promoted == before {
		t.Fatalf("identity %s, %v", promoted, err)
	}
}

// A node that was demoted and promoted again keeps its run_id, its scripts and, where nothing was copied meanwhile, its keys;
// its replication id gives it away on the next new connection.
func TestDemotedAndPromotedAgain(t *testing.T) {
	node := servers.Redis(t)
	inv, prefix := opened(t, node.Addr())
	client := redis.NewClient(&redis.Options{Addr: node.Addr()})
	defer client.Close()
	other := servers.Redis(t)
	other.Pause() // or its emptiness may be copied in time, which is another loss
	defer other.Resume()
	_, port, err := net.SplitHostPort(other.Addr())
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]any{{"replicaof", "127.0.0.1", port}, {"replicaof", "no", "one"}, {"client", "kill", "type", "normal", "skipme", "yes"}} {
		if err := client.Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	wantFailure(t, inv, allocator.ErrIncarnationLost)
	if keys, err := client.Keys(t.Context(), prefix+"*").Result(); err != nil || len(keys) == 0 {
		t.Fatalf("its keys are gone: %v", err)
	}
}

func TestUnreachable(t *testing.T) {
	node := servers.Redis(t)
	inv, _ := opened(t, node.Addr())
	node.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := inv.Hold(ctx, 0, 1, []allocator.HoldItem{item(site, 1, 0, 10)})
	node.Resume()
	if !errors.Is(err, allocator.ErrUnavailable) {
		t.Fatalf("paused: %v", err)
	}
	wantFailure(t, inv, nil)
	node.Stop()
	if err := ask(inv, 3); !errors.Is(err, allocator.ErrUnavailable) {
		t.Fatalf("stopped: %v", err)
	}
}
