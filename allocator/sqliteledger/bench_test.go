package sqliteledger_test

import (
	"fmt"
	"testing"

	"muster/allocator"
	"muster/allocator/allocatortest/ledgersuite"
	"muster/allocator/sqliteledger"
)

// BenchmarkRecord: bookings per second by size of the batch, pinned and not, each flushed to disk.
//
//	go test ./allocator/sqliteledger -run none -bench Record -benchtime 2s
func BenchmarkRecord(b *testing.B) {
	for _, size := range []int{1, 64, 256} {
		for _, pinned := range []bool{true, false} {
			b.Run(fmt.Sprintf("batch=%d/pinned=%v", size, pinned), func(b *testing.B) { benchmarkRecord(b, size, pinned) })
		}
	}
}

func benchmarkRecord(b *testing.B, size int, pinned bool) {
	l := open(b, b.TempDir(), sqliteledger.Options{})
	var worlds []*ledgersuite.World
	for i := range 100 {
		w := ledgersuite.NewWorld(b, l, fmt.Sprintf("site-%d", i))
		w.Publish(b, ledgersuite.Open(100_000, ledgersuite.Blue))
		worlds = append(worlds, w)
	}
	pins := make([][]allocator.Evidence, len(worlds))
	if pinned {
		for i, w := range worlds {
			pins[i] = []allocator.Evidence{w.Evidence(b)}
		}
	}
	n := 0
	for b.Loop() {
		b.StopTimer()
		items := make([]allocator.Recording, size)
		for i := range items {
			at := n % len(worlds)
			items[i] = worlds[at].Recording(ledgersuite.Spot{
				Slot: n / 100 % 18, Place: int32(n / 1800), Service: ledgersuite.Blue, Person: n/100 + 1,
			})
			items[i].Pins = pins[at]
			n++
		}
		b.StartTimer()
		results, err := l.Record(b.Context(), items)
		if err != nil || results[size-1].Outcome != allocator.Recorded {
			b.Fatalf("%v, %v", results, err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkPublish: days per second of a bulk load.
func BenchmarkPublish(b *testing.B) {
	l := open(b, b.TempDir(), sqliteledger.Options{})
	w := ledgersuite.NewWorld(b, l, "bulk")
	n := 0
	for b.Loop() {
		changes := make([]allocator.DayChange, 256)
		for i := range changes {
			changes[i] = w.Change(ledgersuite.Open(5, ledgersuite.Blue, ledgersuite.Green), ledgersuite.Open(5, ledgersuite.Orange))
			changes[i].Day.Date += allocator.Date(n)
			n++
		}
		w.PublishAll(b, changes...)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "days/s")
}
