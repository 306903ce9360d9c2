package allocator_test

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest"
	"muster/allocator/allocatortest/memoryledger"
	"muster/allocator/memoryinventory"
)

// benchWorld is one server in memory, on the real clock, with room for everybody at one site.
func benchWorld(b *testing.B) (*allocator.Allocator, allocator.ClaimRequest) {
	return benchWorldOf(b, func(i allocator.Inventory) allocator.Inventory { return i })
}

// benchWorldOf is benchWorld with its inventory decorated.
func benchWorldOf(b *testing.B, decorate func(allocator.Inventory) allocator.Inventory) (*allocator.Allocator, allocator.ClaimRequest) {
	ctx := context.Background()
	ledger := memoryledger.New(time.Now)
	if _, err := ledger.PutSite(ctx, allocator.Site{ID: "S1", Name: "S1", TimeZone: "Europe/London", Lat: 53.8, Lon: -1.5}, "bench"); err != nil {
		b.Fatal(err)
	}
	if _, err := ledger.PutService(ctx, allocator.DefaultService("RSV"), "bench"); err != nil {
		b.Fatal(err)
	}
	a, err := allocator.New(allocator.Config{
		Inventory: decorate(memoryinventory.New(memoryinventory.Options{Shards: 2, Now: time.Now})), Ledger: ledger, Secret: []byte("a secret of the tests"),
		Postcodes: allocatortest.Postcodes{}, Nearest: allocatortest.Nearest{}, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := a.Start(ctx); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := a.Stop(ctx); err != nil {
			b.Error(err)
		}
	})
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		b.Fatal(err)
	}
	day := allocator.DateOf(time.Now().In(zone)) + 1
	session := allocator.Session{From: 9 * 60, Until: 9*60 + 10, SlotLength: 10, Capacity: allocator.MaxSessionCapacity, Services: []allocator.ServiceCode{"RSV"}}
	if _, err := a.PublishDay(ctx, allocator.PublishRequest{Site: "S1", Date: day, Day: allocator.Day{Sessions: []allocator.Session{session}}}); err != nil {
		b.Fatal(err)
	}
	return a, allocator.ClaimRequest{Site: "S1", Service: "RSV", Start: day.At(9*60, zone)}
}

// BenchmarkHoldAndRelease: 64 callers a core. What is released makes room, so that any number of rounds fits.
func BenchmarkHoldAndRelease(b *testing.B) {
	a, claim := benchWorld(b)
	b.SetParallelism(64)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			h, err := a.Hold(context.Background(), allocator.HoldRequest{Claims: []allocator.ClaimRequest{claim}})
			if err == nil {
				err = a.Release(context.Background(), h.Token)
			}
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkHoldAndConfirm: 64 callers a core, until the one slot is full (200,000 rounds); no more rounds than that are run.
func BenchmarkHoldAndConfirm(b *testing.B) {
	if b.N > allocator.MaxSessionCapacity {
		b.Skip("the slot has less room: ask for fewer rounds with -benchtime")
	}
	a, claim := benchWorld(b)
	var people atomic.Int64
	b.SetParallelism(64)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			h, err := a.Hold(context.Background(), allocator.HoldRequest{Claims: []allocator.ClaimRequest{claim}})
			if err == nil {
				_, err = a.Confirm(context.Background(), allocator.ConfirmRequest{Token: h.Token, People: []allocator.Person{person(int(people.Add(1)))}})
			}
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
}
