package trail

import (
	"testing"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest/ledgersuite"
)

// BenchmarkTrail appends and verifies the trail of 100,000 events: rows/s of each.
func BenchmarkTrail(b *testing.B) {
	const changes = 100_000
	for name, open := range map[string]func(testing.TB) raw{"SQLite": onSQLite, "PostgreSQL": onPostgres} {
		b.Run(name, func(b *testing.B) {
			var appending, verifying time.Duration
			for range b.N {
				l := open(b)
				happen(b, l, changes)
				began := time.Now()
				n := sequence(b, sequencer(l))
				appended := time.Now()
				if r := verify(b, l, 1, nil); r.Violations != 0 || r.Entries != n || n <= changes {
					b.Fatalf("%d entries: %+v", n, r)
				}
				appending, verifying = appending+appended.Sub(began), verifying+time.Since(appended)
			}
			b.ReportMetric(float64(b.N)*changes/appending.Seconds(), "appended/s")
			b.ReportMetric(float64(b.N)*changes/verifying.Seconds(), "verified/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// happen books one place after the other.
func happen(b *testing.B, l allocator.Ledger, changes int) {
	b.Helper()
	w := ledgersuite.NewWorld(b, l, "busy")
	w.Publish(b, ledgersuite.Open(changes/18+1, ledgersuite.Blue))
	pin := []allocator.Evidence{w.Evidence(b)}
	for done := 0; done < changes; done += 500 {
		items := make([]allocator.Recording, 500)
		for i := range items {
			n := done + i
			items[i] = w.Recording(ledgersuite.Spot{Slot: n % 18, Place: int32(n / 18), Service: ledgersuite.Blue, Person: n + 1})
			items[i].Pins = pin
		}
		w.Record(b, items...)
	}
}
