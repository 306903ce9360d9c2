package memoryinventory

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"muster/allocator"
)

// BenchmarkFlow: a hold, its pin and its settling at one slot, with so many on their way between hold and settling. Each is
// a call of its own, the dearest way. The time must not grow with how many there are.
//
//	go test ./allocator/memoryinventory -run none -bench Flow
func BenchmarkFlow(b *testing.B) {
	for _, underWay := range []int{1, 500, 5000} {
		b.Run(fmt.Sprintf("underway=%d", underWay), func(b *testing.B) { benchmarkFlow(b, underWay) })
	}
}

func benchmarkFlow(b *testing.B, underWay int) {
	const site, date, revision, many = "site", 20_000, 1, 1 << 30
	ctx := context.Background()
	inv := New(Options{Shards: 1})
	identity, _ := inv.Identity(ctx, 0)
	if err := inv.Open(ctx, 0, 1, identity, true); err != nil {
		b.Fatal(err)
	}
	if _, err := inv.Begin(ctx, 0, 1, site, "builder"); err != nil {
		b.Fatal(err)
	}
	if ok, err := inv.Finish(ctx, 0, 1, site, "builder", 0, map[allocator.Date]int64{date: revision}); !ok || err != nil {
		b.Fatal(ok, err)
	}
	claims := []allocator.HoldClaim{{
		Slot: allocator.SlotID{Site: site, Start: date * 1440, Length: 10}, Date: date, Service: "blue", Revision: revision,
		Bounds: []allocator.Bound{{Services: []allocator.ServiceCode{"blue"}, Places: many, Mine: true}},
		Window: allocator.Window{MinLeadMs: -1 << 62},
	}}
	n := uint64(0)
	waiting := make(chan allocator.SettleItem, underWay+1)
	take := func() {
		n++
		item := allocator.HoldItem{Site: site, Claims: claims, LengthMs: time.Hour.Milliseconds()}
		binary.BigEndian.PutUint64(item.Key[:], n)
		held, err := inv.Hold(ctx, 0, 1, []allocator.HoldItem{item})
		if err != nil || held[0].Outcome != allocator.HoldGranted {
			b.Fatal(held, err)
		}
		grant := held[0].Grant
		pinned, err := inv.Pin(ctx, 0, 1, []allocator.PinItem{{Site: site, ID: grant.ID, DeadlineMs: grant.DeadlineMs}})
		if err != nil || pinned[0].State != allocator.GrantPinned {
			b.Fatal(pinned, err)
		}
		waiting <- allocator.SettleItem{
			Site: site, ID: grant.ID, Places: []allocator.Placed{{Slot: claims[0].Slot, Place: grant.Places[0], Service: "blue"}},
		}
	}
	settle := func() {
		outcomes, err := inv.Settle(ctx, 0, 1, []allocator.SettleItem{<-waiting})
		if err != nil || outcomes[0] != allocator.Applied {
			b.Fatal(outcomes, err)
		}
	}
	for range underWay {
		take()
	}
	b.ReportAllocs()
	for b.Loop() {
		take()
		settle()
	}
}
