package cockroachledger_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest/ledgersuite"
	"muster/allocator/allocatortest/servers"
	"muster/allocator/cockroachledger"
)

// TestManyRecorders races 64 callers, in batches, for the same places, half of them pinned and half not: each place goes
// to one of them, and everybody is told the truth.
func TestManyRecorders(t *testing.T) {
	l := open(t, servers.Postgres(t), cockroachledger.Options{})
	w := ledgersuite.NewWorld(t, l, "many")
	w.Publish(t, ledgersuite.Open(64, ledgersuite.Blue))
	var won atomic.Int64
	pin := w.Evidence(t)
	ledgersuite.Race(64, func(i int) {
		var items []allocator.Recording
		for place := range 16 {
			// Callers i and i+32 want the same 16 places of slot i%16, callers 16 apart different ones.
			item := w.Recording(ledgersuite.Spot{Slot: i % 16, Place: int32(place + i%32/16*16), Service: ledgersuite.Blue, Person: 1 + i*16 + place})
			if i%2 == 0 {
				item.Pins = []allocator.Evidence{pin}
			}
			items = append(items, item)
		}
		results, err := l.Record(t.Context(), items)
		if err != nil {
			t.Error(err)
		}
		for _, r := range results {
			switch r.Outcome {
			case allocator.Recorded:
				won.Add(1)
			case allocator.RecordTaken:
			default:
				t.Errorf("outcome %d", r.Outcome)
			}
		}
	})
	if live := w.Audit(t); len(live) != 512 || won.Load() != 512 {
		t.Errorf("%d live rows, %d told so; want 512", len(live), won.Load())
	}
}

// TestPublishBesideConfirms: a change of capacity gets through beside a steady stream of confirms for that very day.
func TestPublishBesideConfirms(t *testing.T) {
	l := open(t, servers.Postgres(t), cockroachledger.Options{})
	f := newField(t, l, 1)
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	var stream sync.WaitGroup
	var recorded atomic.Int64
	for range 4 {
		stream.Go(func() {
			for ctx.Err() == nil {
				results, err := l.Record(t.Context(), f.batch(8))
				if err != nil {
					t.Error(err)
					return
				}
				for _, r := range results {
					if r.Outcome != allocator.Recorded {
						t.Errorf("outcome %d", r.Outcome)
					}
				}
				recorded.Add(8)
			}
		})
	}
	for i := range 5 {
		change := allocator.DayChange{Zone: zone(t), Actor: "field", Day: allocator.Day{Site: f.sites[0], Date: f.date,
			Sessions: []allocator.Session{{From: 9 * 60, Until: 17 * 60, SlotLength: 10, Capacity: fieldPlaces + i + 1,
				Services: []allocator.ServiceCode{"RSV:Adult"}}}}}
		if _, err := l.Publish(ctx, []allocator.DayChange{change}); err != nil {
			t.Errorf("change %d: %v", i, err)
		}
	}
	stop()
	stream.Wait()
	day, rows, err := l.DayBookings(t.Context(), f.sites[0], f.date)
	if err != nil || day.Revision != 6 || int64(len(rows)) != recorded.Load() {
		t.Errorf("revision %d, %d rows of %d: %v", day.Revision, len(rows), recorded.Load(), err)
	}
}
