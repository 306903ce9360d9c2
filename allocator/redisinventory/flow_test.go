package redisinventory_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"

	"muster/allocator"
	"muster/allocator/allocatortest/servers"
	"muster/allocator/redisinventory"
)

// flowItem is the n-th hold of a booking day: eight slots at each of the country's sites.
func flowItem(n int) allocator.HoldItem {
	at := n * 7919
	it := item(allocator.SiteID(fmt.Sprintf("S%05d", at%costSites)), n, 0, 1_000_000)
	it.Claims[0].Slot.Start += allocator.Minute(at / costSites % 8 * 10)
	return it
}

// flows takes n holds through hold, pin and settle in calls of the given size, and adds up what each beat costs the node.
func flows(b *testing.B, client *redis.Client, inv *redisinventory.Inventory, from, n, batch int) (beats [3]float64) {
	b.Helper()
	ctx := context.Background()
	var pins [][]allocator.PinItem
	var settles [][]allocator.SettleItem
	beat := func(i int, work func()) {
		before, _ := redisCPU(b, client)
		work()
		after, _ := redisCPU(b, client)
		beats[i] = (after - before) / float64(n)
	}
	check := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	beat(0, func() {
		for at := from; at < from+n; at += batch {
			items := make([]allocator.HoldItem, 0, batch)
			for i := range min(batch, from+n-at) {
				items = append(items, flowItem(at+i))
			}
			results, err := inv.Hold(ctx, 0, 1, items)
			check(err)
			var pin []allocator.PinItem
			var settle []allocator.SettleItem
			for i, r := range results {
				if r.Outcome != allocator.HoldGranted {
					b.Fatalf("%+v", r)
				}
				c := &items[i].Claims[0]
				pin = append(pin, allocator.PinItem{ID: r.Grant.ID, Site: items[i].Site, DeadlineMs: r.Grant.DeadlineMs, GraceMs: items[i].GraceMs})
				settle = append(settle, allocator.SettleItem{ID: r.Grant.ID, Site: items[i].Site,
					Places: []allocator.Placed{{Slot: c.Slot, Place: r.Grant.Places[0], Service: c.Service}}})
			}
			pins, settles = append(pins, pin), append(settles, settle)
		}
	})
	beat(1, func() {
		for _, items := range pins {
			results, err := inv.Pin(ctx, 0, 1, items)
			check(err)
			for _, r := range results {
				if r.State != allocator.GrantPinned {
					b.Fatalf("%+v", r)
				}
			}
		}
	})
	beat(2, func() {
		for _, items := range settles {
			outcomes, err := inv.Settle(ctx, 0, 1, items)
			check(err)
			for _, o := range outcomes {
				if o != allocator.Applied {
					b.Fatal(o)
				}
			}
		}
	})
	return beats
}

// BenchmarkFlow tells what the beats of a booking cost Redis, with 100,000 bookings in 22,664 slots.
func BenchmarkFlow(b *testing.B) {
	node := servers.Redis(b, "--appendonly", "no")
	client := redis.NewClient(&redis.Options{Addr: node.Addr()})
	defer client.Close()
	inv := country(b, node.Addr())
	next := 100_000
	flows(b, client, inv, 0, next, 128)
	for _, batch := range []int{128, 32, 8, 1} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			beats := flows(b, client, inv, next, b.N, batch)
			next += b.N
			for i, name := range []string{"hold", "pin", "settle"} {
				b.ReportMetric(beats[i], "redis-µs/"+name)
			}
		})
	}
}
