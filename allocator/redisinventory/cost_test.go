package redisinventory_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"muster/allocator"
	"muster/allocator/allocatortest/servers"
	"muster/allocator/redisinventory"
)

// redisCPU is the processor time that a node has used, in microseconds, and the memory in use.
func redisCPU(tb testing.TB, client *redis.Client) (micros float64, bytes int64) {
	tb.Helper()
	info, err := client.Info(context.Background()).Result()
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "used_cpu_user", "used_cpu_sys":
			seconds, err := strconv.ParseFloat(value, 64)
			if err != nil {
				tb.Fatal(err)
			}
			micros += seconds * 1e6
		case "used_memory":
			bytes, _ = strconv.ParseInt(value, 10, 64)
		}
	}
	return micros, bytes
}

const costSites, costDays, costSlots = 2833, 28, 40

// spread is the n-th hold of a workload over all slots of the country, or over one slot.
func spread(n int, one bool) allocator.HoldItem {
	at := n * 7919 // a prime: no two neighbours at one site
	site := allocator.SiteID(fmt.Sprintf("S%05d", at%costSites))
	it := item(site, n, 0, 1_000_000)
	if !one {
		d := (at / costSites) % costDays
		it.Claims[0].Slot.Start = allocator.Minute((int64(day)+int64(d))*1440 + 480 + int64(n/31%costSlots)*10)
		it.Claims[0].Date = day + allocator.Date(d)
		return it
	}
	it.Site, it.Claims[0].Slot.Site = "S00000", "S00000"
	return it
}

// country opens one shard with every site built.
func country(tb testing.TB, address string) *redisinventory.Inventory {
	tb.Helper()
	inv, _ := openAt(tb, settings1, false, address)
	revisions := make(map[allocator.Date]int64)
	for d := range allocator.Date(costDays) {
		revisions[day+d] = 1
	}
	ctx := context.Background()
	identity, err := inv.Identity(ctx, 0)
	if err == nil {
		err = inv.Open(ctx, 0, 1, identity, true)
	}
	for n := range costSites {
		site := allocator.SiteID(fmt.Sprintf("S%05d", n))
		if err == nil {
			_, err = inv.Begin(ctx, 0, 1, site, "b")
		}
		if err == nil {
			_, err = inv.Finish(ctx, 0, 1, site, "b", 1, revisions)
		}
	}
	if err != nil {
		tb.Fatal(err)
	}
	return inv
}

func holdMany(tb testing.TB, inv *redisinventory.Inventory, from, n, batch int, one bool) {
	tb.Helper()
	for at := from; at < from+n; at += batch {
		items := make([]allocator.HoldItem, 0, batch)
		for i := range min(batch, from+n-at) {
			items = append(items, spread(at+i, one))
		}
		results, err := inv.Hold(context.Background(), 0, 1, items)
		if err != nil {
			tb.Fatal(err)
		}
		for _, r := range results {
			if r.Outcome != allocator.HoldGranted {
				tb.Fatalf("%+v", r)
			}
		}
	}
}

// BenchmarkHold tells what a hold costs Redis, with 200,000 live claims in 2,833 sites of 28 days of 40 slots.
func BenchmarkHold(b *testing.B) {
	node := servers.Redis(b, "--appendonly", "no")
	client := redis.NewClient(&redis.Options{Addr: node.Addr()})
	defer client.Close()
	_, empty := redisCPU(b, client)
	inv := country(b, node.Addr())
	_, built := redisCPU(b, client)
	const live = 200_000
	holdMany(b, inv, 0, live, 128, false)
	_, full := redisCPU(b, client)
	b.Logf("bytes: %.0f per site, %.0f per live claim", float64(built-empty)/costSites, float64(full-built)/live)
	var next atomic.Int64
	next.Store(live)
	for _, one := range []bool{false, true} {
		for _, batch := range []int{128, 1} {
			b.Run(fmt.Sprintf("one=%v/batch=%d", one, batch), func(b *testing.B) {
				before, _ := redisCPU(b, client)
				b.ResetTimer()
				holdMany(b, inv, int(next.Add(int64(b.N)))-b.N, b.N, batch, one)
				after, _ := redisCPU(b, client)
				b.ReportMetric((after-before)/float64(b.N), "redis-µs/hold")
			})
		}
	}
}

// A slot of 200,000 places fills, stays cheap, and gives its lowest free place again.
func TestSlotOf200000Places(t *testing.T) {
	node := servers.Redis(t, "--appendonly", "no")
	client := redis.NewClient(&redis.Options{Addr: node.Addr()})
	defer client.Close()
	inv, _ := opened(t, node.Addr())
	const places = 200_000
	var middle allocator.HoldID
	for at := 0; at < places; at += 500 {
		items := make([]allocator.HoldItem, 500)
		for i := range items {
			items[i] = item(site, at+i, 0, places)
		}
		results, err := inv.Hold(t.Context(), 0, 1, items)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range results {
			if r.Outcome != allocator.HoldGranted || r.Grant.Places[0] != int32(at+i) {
				t.Fatalf("hold %d: %+v", at+i, r)
			}
		}
		if at == 123_000 {
			middle = results[456].Grant.ID
		}
	}
	full, err := inv.Hold(t.Context(), 0, 1, []allocator.HoldItem{item(site, places+1, 0, places)})
	if err != nil || full[0].Outcome != allocator.HoldFull {
		t.Fatalf("the slot is full: %+v %v", full, err)
	}
	if _, err := inv.Release(t.Context(), 0, 1, site, middle, false); err != nil {
		t.Fatal(err)
	}
	again, err := inv.Hold(t.Context(), 0, 1, []allocator.HoldItem{item(site, places+2, 0, places)})
	if err != nil || again[0].Outcome != allocator.HoldGranted || again[0].Grant.Places[0] != 123_456 {
		t.Fatalf("the lowest free place: %+v %v", again, err)
	}
	micros, bytes := redisCPU(t, client)
	t.Logf("%.1f µs of Redis per hold, %d bytes per place", micros/places, bytes/places)
}
