package redisinventory_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"muster/allocator"
	"muster/allocator/allocatortest/servers"
	"muster/allocator/redisinventory"
)

// calls tells how often a node was called to run a script and to read a key. A script reads the epoch once where its fast path
// decides, and twice where it leaves the decision to the rest.
func calls(t *testing.T, client *redis.Client) (scripts, reads int) {
	t.Helper()
	stats, err := client.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(stats) {
		for name, count := range map[string]*int{"cmdstat_evalsha:calls=": &scripts, "cmdstat_get:calls=": &reads} {
			if rest, ok := strings.CutPrefix(line, name); ok {
				fmt.Sscanf(rest, "%d", count)
			}
		}
	}
	return scripts, reads
}

// Ordinary calls take the fast path of their script, and others do not. That both decide alike is for the suite to see.
func TestFastPaths(t *testing.T) {
	node := servers.Redis(t, "--appendonly", "no")
	client := redis.NewClient(&redis.Options{Addr: node.Addr()})
	defer client.Close()
	inv, _ := opened(t, node.Addr())
	ctx := t.Context()
	expect := func(fast bool, what string, call func() error) {
		t.Helper()
		if err := client.ConfigResetStat(ctx).Err(); err != nil {
			t.Fatal(err)
		}
		if err := call(); err != nil {
			t.Fatal(err)
		}
		scripts, reads := calls(t, client)
		if scripts != 1 || (reads == 1) != fast {
			t.Errorf("%s: %d scripts read %d keys; fast: want %v", what, scripts, reads, fast)
		}
	}
	var results []allocator.HoldResult
	hold := func(items ...allocator.HoldItem) func() error {
		return func() (err error) {
			results, err = inv.Hold(ctx, 0, 1, items)
			return err
		}
	}
	expect(true, "holds", hold(item(site, 1, 0, 2), item(site, 2, 0, 2), item(site, 3, 0, 2), item(site, 1, 0, 2)))
	if results[0].Outcome != allocator.HoldGranted || results[2].Outcome != allocator.HoldFull || !results[3].Repeated {
		t.Fatalf("%+v", results)
	}
	granted := results[0].Grant
	stale := item(site, 5, 1, 2)
	stale.Claims[0].Revision++
	expect(false, "a stale hold", hold(stale))

	pin := func(key int) func() error {
		p := allocator.PinItem{ID: granted.ID, Site: site, DeadlineMs: granted.DeadlineMs, GraceMs: 5_000}
		copy(p.ID.Key[:], fmt.Sprintf("%09d", key))
		return func() error {
			_, err := inv.Pin(ctx, 0, 1, []allocator.PinItem{p})
			return err
		}
	}
	expect(true, "a pin", pin(1))
	expect(true, "a pin again", pin(1))
	expect(false, "a pin of nothing", pin(99))

	c := item(site, 1, 0, 2).Claims[0]
	settle := allocator.SettleItem{ID: granted.ID, Site: site, Places: []allocator.Placed{{Slot: c.Slot, Place: granted.Places[0], Service: c.Service}}}
	settled := func() error {
		_, err := inv.Settle(ctx, 0, 1, []allocator.SettleItem{settle})
		return err
	}
	expect(true, "a settle", settled)
	expect(false, "a settle again", settled)
}

// A hold that lapsed a moment ago gives way to whoever wants its place, and otherwise soon.
func TestLapsedHoldGivesWay(t *testing.T) {
	m := newScripted(t)
	inv, err := redisinventory.New(redisinventory.Options{Addresses: []string{m.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	defer inv.Close()
	build(t, inv, 0, 1, site)
	hold := func(key, slot int) {
		t.Helper()
		results, err := inv.Hold(t.Context(), 0, 1, []allocator.HoldItem{item(site, key, slot, 1)})
		if err != nil || results[0].Outcome != allocator.HoldGranted {
			t.Fatalf("hold %d: %+v %v", key, results, err)
		}
	}
	used := func() int {
		t.Helper()
		view, err := inv.ReadSite(t.Context(), 0, 1, site)
		if err != nil {
			t.Fatal(err)
		}
		return len(view.Places)
	}
	hold(1, 0)
	hold(2, 1)
	m.advance(305_001 * time.Millisecond)
	hold(3, 2)
	if n := used(); n != 3 {
		t.Errorf("%d places are used, want 3: nobody asked for those that lapsed", n)
	}
	hold(4, 0)
	if n := used(); n != 2 {
		t.Errorf("%d places are used, want 2: whoever finds a slot full frees all that lapsed", n)
	}
	m.advance(305_000*time.Millisecond + redisinventory.Options{}.WithDefaults().ReapAfter)
	hold(5, 3)
	if n := used(); n != 1 {
		t.Errorf("%d places are used, want 1: what lapsed so long ago goes unasked", n)
	}
}
