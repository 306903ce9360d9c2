package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"muster/allocator"
	"muster/allocator/redisinventory"
)

const (
	claimsAtOnce  = 128   // in a call, as the engine's lanes call at most
	claimSites    = 2833  // in one shard, on one node
	claimSlots    = 28    // of a site, each on a day of its own
	claimSample   = 50    // calls that are measured at each size
	spareMemoryMB = 3_000 // that must stay free on this machine
)

// Claim is what a hold costs with so many live claims.
type Claim struct {
	Live       int     `json:"live"`
	RedisMicro float64 `json:"redisMicrosPerHold"`
	Bytes      float64 `json:"bytesPerClaim"`
}

// LiveClaims fills the inventory on an empty Redis, by its URL, with holds by direct calls and tells what a hold costs Redis at sizes up to
// most, and what a claim weighs. It stops early where the machine's memory ends; the last size tells how far it came.
func LiveClaims(ctx context.Context, url string, most int, progress func(format string, args ...any)) (sizes []Claim, err error) {
	client, err := emptyRedis(ctx, url)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	address := client.Options().Addr
	inv, err := redisinventory.New(redisinventory.Options{Addresses: []string{address}, Shards: 1, Prefix: "claims", Timeout: 20 * time.Second})
	if err != nil {
		return nil, err
	}
	defer inv.Close()
	if err := openClaims(ctx, inv); err != nil {
		return nil, err
	}
	nodes := []*redis.Client{client}
	empty, err := memory(ctx, nodes)
	if err != nil {
		return nil, err
	}
	at := 0
	for next := min(10_000, most); ; next = min(next*10, most) {
		for ; at < next-claimSample*claimsAtOnce; at += claimsAtOnce {
			if err := holdClaims(ctx, inv, at); err != nil {
				return sizes, err
			}
			if at%(1<<20) == 0 && spareMB() < spareMemoryMB {
				progress("%d claims left less than %d MB of memory", at, spareMemoryMB)
				return sizes, nil
			}
		}
		before, err := redisCPU(ctx, client)
		if err != nil {
			return sizes, err
		}
		for range claimSample {
			if err := holdClaims(ctx, inv, at); err != nil {
				return sizes, err
			}
			at += claimsAtOnce
		}
		after, err := redisCPU(ctx, client)
		if err != nil {
			return sizes, err
		}
		full, err := memory(ctx, nodes)
		if err != nil {
			return sizes, err
		}
		c := Claim{at, float64((after - before).Microseconds()) / (claimSample * claimsAtOnce), float64(full-empty) / float64(at)}
		sizes = append(sizes, c)
		progress("%d live claims: %.2f µs of Redis per hold, %.0f bytes per claim", c.Live, c.RedisMicro, c.Bytes)
		if next == most {
			return sizes, nil
		}
	}
}

// openClaims opens the one shard, with every site built.
func openClaims(ctx context.Context, inv *redisinventory.Inventory) error {
	identity, err := inv.Identity(ctx, 0)
	if err != nil {
		return err
	}
	if err := inv.Open(ctx, 0, 1, identity, true); err != nil {
		return err
	}
	revisions := make(map[allocator.Date]int64)
	for d := range claimSlots {
		revisions[claimDate(d)] = 1
	}
	for n := range claimSites {
		if _, err := inv.Begin(ctx, 0, 1, claimSite(n), "bench"); err != nil {
			return err
		}
		if _, err := inv.Finish(ctx, 0, 1, claimSite(n), "bench", 1, revisions); err != nil {
			return err
		}
	}
	return nil
}

func claimSite(n int) allocator.SiteID { return allocator.SiteID("S" + strconv.Itoa(n)) }

func claimDate(d int) allocator.Date {
	return allocator.DateOf(time.Date(2035, 6, 1, 0, 0, 0, 0, time.UTC)) + allocator.Date(d)
}

// holdClaims holds places all over the country, in one call. Each must be granted.
func holdClaims(ctx context.Context, inv *redisinventory.Inventory, from int) error {
	services := []allocator.ServiceCode{service}
	items := make([]allocator.HoldItem, claimsAtOnce)
	for i := range items {
		n := from + i
		spread := n * 7919 // a prime: no two neighbours are at one site
		site, date := claimSite(spread%claimSites), claimDate(spread/claimSites%claimSlots)
		start := allocator.MinuteOf(date.At(firstSlot, time.UTC))
		items[i] = allocator.HoldItem{Print: [8]byte{1}, Site: site, LengthMs: 86_400_000, GraceMs: 5_000, Claims: []allocator.HoldClaim{{
			Slot: allocator.SlotID{Site: site, Start: start, Length: slotMinutes}, Date: date, Revision: 1, Service: service,
			Bounds: []allocator.Bound{{Services: services, Places: 1 << 20, Mine: true}}, Window: allocator.Window{MinLeadMs: -1 << 60},
		}}}
		binary.BigEndian.PutUint64(items[i].Key[:], uint64(n)*0x9E3779B97F4A7C15) // odd, so no two are the same
	}
	results, err := inv.Hold(ctx, 0, 1, items)
	if err != nil {
		return err
	}
	for _, r := range results {
		if r.Outcome != allocator.HoldGranted || r.Repeated {
			return fmt.Errorf("a claim was answered %+v", r)
		}
	}
	return nil
}

// spareMB is how much memory the machine has left, in megabytes; plenty where that cannot be seen.
func spareMB() int {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil || runtime.GOOS != "linux" {
		return 1 << 20
	}
	_, rest, _ := strings.Cut(string(text), "MemAvailable:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 1 << 20
	}
	kilobytes, err := strconv.Atoi(fields[0])
	if err != nil {
		return 1 << 20
	}
	return kilobytes / 1024
}
