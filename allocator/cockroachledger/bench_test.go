package cockroachledger_test

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"testing"

	"muster/allocator"
	"muster/allocator/allocatortest/servers"
	"muster/allocator/cockroachledger"
)

// field is sites with a published day each, for as many pinned recordings as are wanted, none of which conflict.
type field struct {
	ledger *cockroachledger.Ledger
	sites  []allocator.SiteID
	starts []allocator.Minute
	date   allocator.Date
	serial atomic.Int64
}

const fieldPlaces = 10_000 // per slot

func newField(t testing.TB, l *cockroachledger.Ledger, sites int) *field {
	t.Helper()
	f := &field{ledger: l, date: 20_980}
	f.serial.Store(int64(sites) * 1_000_000_000)
	for i := range 48 {
		f.starts = append(f.starts, allocator.Minute(int64(f.date)*1440+9*60+int64(i)*10))
	}
	var changes []allocator.DayChange
	for i := range sites {
		site := allocator.SiteID(fmt.Sprintf("F%d-%05d", sites, i))
		if _, err := l.PutSite(t.Context(), allocator.Site{ID: site, TimeZone: "UTC"}, "field"); err != nil {
			t.Fatal(err)
		}
		f.sites = append(f.sites, site)
		changes = append(changes, allocator.DayChange{Services: true, Actor: "field", Day: allocator.Day{Site: site, Date: f.date,
			Sessions: []allocator.Session{{From: 9 * 60, Until: 17 * 60, SlotLength: 10, Capacity: fieldPlaces,
				Services: []allocator.ServiceCode{"RSV:Adult"}}}}})
	}
	for i := range changes {
		changes[i].Zone = zone(t)
	}
	if _, err := l.Publish(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
	return f
}

// next is a pinned recording of one claim, unlike every other.
func (f *field) next() allocator.Recording {
	n := f.serial.Add(1)
	serial := n % 1_000_000_000
	site := f.sites[int(serial)%len(f.sites)]
	at := int(serial) / len(f.sites)
	b := allocator.Booking{
		Key:  allocator.BookingKey(scatter(uint64(n))>>4 | 1<<59),
		Slot: allocator.SlotID{Site: site, Start: f.starts[at%len(f.starts)], Length: 10},
		Date: f.date, Place: int32(at / len(f.starts)), Service: "RSV:Adult", Programme: "RSV", Dose: 1, OnePerson: true,
		Sealed: make([]byte, 120),
	}
	binary.BigEndian.PutUint64(b.Person[:], scatter(uint64(n)))
	binary.BigEndian.PutUint64(b.Person[8:], uint64(n))
	binary.BigEndian.PutUint64(b.Hold.Key[:], scatter(uint64(n)))
	b.Hold.Stamp = allocator.MakeStamp(1, n)
	return allocator.Recording{Claims: []allocator.Booking{b}, Actor: "bench",
		Pins: []allocator.Evidence{{Site: site, Pinned: true, Revisions: map[allocator.Date]int64{f.date: 1}}}}
}

// scatter spreads numbers one to one over 64 bits (the finaliser of SplitMix64).
func scatter(n uint64) uint64 {
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

func (f *field) batch(n int) []allocator.Recording {
	items := make([]allocator.Recording, n)
	for i := range items {
		items[i] = f.next()
	}
	return items
}

func (f *field) record(t testing.TB, n int) {
	results, err := f.ledger.Record(t.Context(), f.batch(n))
	if err != nil {
		t.Error(err)
		return
	}
	for _, r := range results {
		if r.Outcome != allocator.Recorded {
			t.Errorf("outcome %d", r.Outcome)
		}
	}
}

// BenchmarkRecord tells records per second by group size, callers and spread over sites.
func BenchmarkRecord(b *testing.B) {
	l := open(b, servers.Postgres(b), cockroachledger.Options{})
	for _, sites := range []int{2833, 1} {
		f := newField(b, l, sites)
		for _, callers := range []int{1, 4, 16} {
			for _, group := range []int{1, 16, 64, 256} {
				b.Run(fmt.Sprintf("sites=%d/callers=%d/group=%d", sites, callers, group), func(b *testing.B) {
					b.SetParallelism((callers + 1) / 2)
					f.record(b, group)
					b.ResetTimer()
					if callers == 1 {
						for b.Loop() {
							f.record(b, group)
						}
					} else {
						b.RunParallel(func(pb *testing.PB) {
							for pb.Next() {
								f.record(b, group)
							}
						})
					}
					b.ReportMetric(float64(b.N*group)/b.Elapsed().Seconds(), "records/s")
				})
			}
		}
	}
}
