package api

import (
	"context"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"muster/allocator"
	"muster/allocator/allocatortest"
	"muster/allocator/allocatortest/memoryledger"
	"muster/allocator/memoryinventory"
	"muster/allocator/redisinventory"
)

// cpuOf is how much of this process's CPU one of so many rounds costs, of 128 clients at once.
func cpuOf(b *testing.B, rounds int, handler fasthttp.RequestHandler, want int) time.Duration {
	b.Helper()
	const clients = 128
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	body := strings.Replace(goodHold, "2027-06-01T09:10:00Z", tomorrow().Format(time.RFC3339), 1)
	before := used()
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			var ctx fasthttp.RequestCtx
			var r fasthttp.Request
			r.Header.SetMethod(fasthttp.MethodPost)
			r.Header.SetContentType("application/json")
			r.SetRequestURI("/v1/holds")
			r.SetBodyString(body)
			ctx.Init(&r, nil, nil)
			for range rounds / clients {
				ctx.Response.Reset()
				ctx.ResetUserValues()
				handler(&ctx)
				if status := ctx.Response.StatusCode(); status != want {
					b.Errorf("%d: %s", status, ctx.Response.Body())
					return
				}
			}
		})
	}
	all.Wait()
	return (used() - before) / time.Duration(rounds)
}

func tomorrow() time.Time {
	return time.Now().UTC().Truncate(24 * time.Hour).Add(36 * time.Hour)
}

// holdEngine is a real allocator over an inventory, with room for everybody at one site.
func holdEngine(b *testing.B, inventory allocator.Inventory) Engine {
	b.Helper()
	ctx := context.Background()
	ledger := memoryledger.New(time.Now)
	_, err := ledger.PutSite(ctx, allocator.Site{ID: "FA512", Name: "Example", TimeZone: "UTC", Lat: 53.8, Lon: -1.5}, "bench")
	if err == nil {
		_, err = ledger.PutService(ctx, allocator.DefaultService("RSV:Adult"), "bench")
	}
	if err != nil {
		b.Fatal(err)
	}
	a, err := allocator.New(allocator.Config{
		Inventory: inventory, Ledger: ledger, Secret: []byte("a secret of the tests"), Postcodes: allocatortest.Postcodes{}, Nearest: allocatortest.Nearest{},
	})
	if err == nil {
		err = a.Start(ctx)
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := a.Stop(ctx); err != nil {
			b.Error(err)
		}
	})
	day := allocator.DateOf(tomorrow())
	session := allocator.Session{From: 12 * 60, Until: 12*60 + 10, SlotLength: 10, Capacity: allocator.MaxSessionCapacity, Services: []allocator.ServiceCode{"RSV:Adult"}}
	if _, err := a.PublishDay(ctx, allocator.PublishRequest{Site: "FA512", Date: day, Day: allocator.Day{Sessions: []allocator.Session{session}}}); err != nil {
		b.Fatal(err)
	}
	return a
}

// BenchmarkRefusalBesideHold: what the program spends on refusing a hold, as a share of what it spends on granting one, both in one
// run: without the network, which costs the same for both, and without what Redis spends. With MUSTER_TEST_REDIS_URL the holds
// are in Redis, else in memory.
func BenchmarkRefusalBesideHold(b *testing.B) {
	logger := slog.New(slog.NewJSONHandler(io.Discard, nil))
	inventory := allocator.Inventory(memoryinventory.New(memoryinventory.Options{Shards: 1, Now: time.Now}))
	if address := os.Getenv("MUSTER_TEST_REDIS_URL"); address != "" {
		redis, err := redisinventory.New(redisinventory.Options{Addresses: []string{strings.TrimPrefix(address, "redis://")}, Shards: 1, Prefix: "refusals" + newRequestID()})
		if err != nil {
			b.Fatal(err)
		}
		defer redis.Close()
		inventory = redis
	}
	granting, err := New(Options{Logger: logger}, holdEngine(b, inventory))
	if err != nil {
		b.Fatal(err)
	}
	engine, letGo := stuck()
	defer letGo()
	refusing, err := New(Options{Logger: logger, Admission: Admission{Hold: Gate{Concurrency: 1, Queue: 1, Wait: time.Hour, Target: time.Hour}}}, engine)
	if err != nil {
		b.Fatal(err)
	}
	for range 2 {
		go ask(refusing.router(), "POST", "/v1/holds", goodHold)
	}
	for s := refusing.house.gate.States()[classHold]; s.Running+s.Queued < 2; s = refusing.house.gate.States()[classHold] {
	}
	const rounds = 128 * 200
	var hold, refusal time.Duration
	for b.Loop() {
		hold += cpuOf(b, rounds, granting.router(), fasthttp.StatusCreated)
		refusal += cpuOf(b, rounds, refusing.router(), fasthttp.StatusServiceUnavailable)
	}
	b.ReportMetric(float64(hold.Nanoseconds())/float64(b.N), "hold-ns")
	b.ReportMetric(float64(refusal.Nanoseconds())/float64(b.N), "refusal-ns")
	b.ReportMetric(100*float64(refusal)/float64(hold), "%-of-hold")
}
