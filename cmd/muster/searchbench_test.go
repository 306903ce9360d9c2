//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/valyala/fasthttp"

	"muster/allocator"
	"muster/allocator/allocatortest/memoryledger"
	"muster/allocator/allocatortest/servers"
	"muster/allocator/memoryinventory"
	"muster/api"
	"muster/cmd/muster/sample"
	"muster/geo"
)

// searched is the program's engine over memory, with the sample's sites and sessions in it.
func searched(b *testing.B) (*allocator.Allocator, *geo.Postcodes) {
	b.Helper()
	known, err := geo.EmbeddedPostcodes()
	if err != nil {
		b.Fatal(err)
	}
	ledger := memoryledger.New(time.Now)
	p := &program{ctx: context.Background(), stderr: io.Discard}
	if err := p.loadSample(ledger, time.Now()); err != nil {
		b.Fatal(err)
	}
	engine, err := allocator.New(allocator.Config{
		Inventory: memoryinventory.New(memoryinventory.Options{}), Ledger: ledger, Secret: []byte("sixteen bytes or more"),
		Postcodes: postcodes{known}, Nearest: nearest{},
	})
	if err == nil {
		err = engine.Start(b.Context())
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = engine.Stop(context.Background()) })
	return engine, known
}

// query asks for the 10 nearest sites with free slots from a random postcode.
func query(known *geo.Postcodes, random *rand.Rand) string {
	return "/v1/sites?postcode=" + url.QueryEscape(known.At(random.IntN(known.Len())).Postcode) + "&service=" + url.QueryEscape(string(sample.Covid))
}

// BenchmarkSearchOverHTTP sends searches through a real connection on the loopback interface, one after the other on each of
// as many connections as there are processors, and beside them requests to a server that answers as many bytes at once. The
// sites are the sample's, and so are the sessions. The quotient of the two is what the contract of speed is about.
//
// The engine alone, without HTTP, is measured on the way.
func BenchmarkSearchOverHTTP(b *testing.B) {
	engine, known := searched(b)
	front, err := api.New(api.Options{Registerer: prometheus.NewRegistry()}, engine)
	if err != nil {
		b.Fatal(err)
	}
	address := listen(b, front.Serve)
	random := rand.New(rand.NewPCG(1, 2))
	paths := make([]string, 4096)
	bytes := 0
	for i := range paths {
		paths[i] = query(known, random)
		status, body, err := fasthttp.Get(nil, "http://"+address+paths[i])
		if err != nil || status != fasthttp.StatusOK {
			b.Fatalf("%d, %v: %s", status, err, body)
		}
		bytes += len(body)
	}
	b.Run("engine", func(b *testing.B) { searchEngine(b, engine, known) })
	body := []byte(strings.Repeat("x", bytes/len(paths)))
	b.Logf("%d bytes a reply", len(body))
	noop := &fasthttp.Server{NoDefaultServerHeader: true, Handler: func(ctx *fasthttp.RequestCtx) {
		ctx.SetContentType("application/json")
		ctx.SetBody(body)
	}}
	for _, c := range []struct{ name, address string }{{"search", address}, {"no-op", listen(b, noop.Serve)}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			defer reportCPU(b)()
			b.RunParallel(func(pb *testing.PB) {
				client := &fasthttp.HostClient{Addr: c.address}
				request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
				for i := rand.IntN(len(paths)); pb.Next(); i++ {
					request.SetRequestURI("http://" + c.address + paths[i%len(paths)])
					if err := client.Do(request, response); err != nil || response.StatusCode() != fasthttp.StatusOK {
						b.Errorf("%v %d", err, response.StatusCode())
						return
					}
				}
			})
		})
	}
}

// reportCPU measures the processor time of this process until it is called: clients, servers and the kernel for them. It is
// steadier than the time that passes on a machine with other work.
func reportCPU(b *testing.B) func() {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	return func() { b.ReportMetric(float64((used()-before).Nanoseconds())/float64(b.N), "cpu-ns/op") }
}

func searchEngine(b *testing.B, engine *allocator.Allocator, known *geo.Postcodes) {
	requests := make([]allocator.SearchRequest, 4096)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range requests {
		requests[i] = allocator.SearchRequest{Postcode: known.At(random.IntN(known.Len())).Postcode, Service: sample.Covid}
	}
	b.ReportAllocs()
	b.ResetTimer()
	defer reportCPU(b)()
	b.RunParallel(func(pb *testing.PB) {
		var sites []allocator.SiteFound
		for i := rand.IntN(len(requests)); pb.Next(); i++ {
			r := requests[i%len(requests)]
			r.Reuse = sites
			reply, err := engine.Search(b.Context(), r)
			if err != nil {
				b.Error(err)
			}
			sites = reply.Sites
		}
	})
}

func listen(b *testing.B, serve func(net.Listener) error) string {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = serve(listener) }()
	b.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
}

// BenchmarkGeoSearch is what Redis needs for the 10 nearest of 10,000 places within 100 km, free or not, by its own account:
// the time inside the command, without the network; beside it, from the same places in turn, ours among the 5 % that are free.
func BenchmarkGeoSearch(b *testing.B) {
	node := servers.Redis(b, "--appendonly", "no")
	client := redis.NewClient(&redis.Options{Addr: node.Addr()})
	defer client.Close()
	known, err := geo.EmbeddedPostcodes()
	if err != nil {
		b.Fatal(err)
	}
	ctx, random := context.Background(), rand.New(rand.NewPCG(7, 11))
	places := make([]geo.Place, 10_000)
	for i := range places {
		places[i] = geo.Place{Position: int32(i), Point: known.At(random.IntN(known.Len())).Point}
		at := places[i].Point
		if err := client.GeoAdd(ctx, "places", &redis.GeoLocation{Name: fmt.Sprint(i), Latitude: at.Lat, Longitude: at.Lon}).Err(); err != nil {
			b.Fatal(err)
		}
	}
	index, err := geo.NewIndex(places)
	if err != nil {
		b.Fatal(err)
	}
	marks := index.Marks()
	for i := range places {
		if i%20 != 0 {
			marks.Unset(int32(i))
		}
	}
	before := geoMicros(b, client)
	ours, dst := make([]time.Duration, 0, b.N), make([]geo.Neighbour, 0, 10)
	b.ResetTimer()
	for i := range b.N {
		at := known.At(random.IntN(known.Len())).Point
		q := &redis.GeoSearchQuery{Latitude: at.Lat, Longitude: at.Lon, Radius: 100, RadiusUnit: "km", Count: 10, Sort: "ASC"}
		if _, err := client.GeoSearch(ctx, "places", q).Result(); err != nil {
			b.Fatal(err)
		}
		marks.Unset(int32(i * 20 % len(places)))
		marks.Set(int32((i*20 + 20) % len(places)))
		began := time.Now()
		dst = marks.NearestK(at, 100_000, 10, dst[:0])
		ours = append(ours, time.Since(began))
	}
	b.StopTimer()
	slices.Sort(ours)
	theirs := (geoMicros(b, client) - before) * 1000 / float64(b.N)
	b.ReportMetric(theirs, "redis-ns/op")
	b.ReportMetric(float64(ours[len(ours)/2].Nanoseconds()), "ours-p50-ns")
	b.ReportMetric(theirs/float64(ours[len(ours)/2].Nanoseconds()), "times-faster")
}

// geoMicros is how long Redis has spent in GEOSEARCH.
func geoMicros(b *testing.B, client *redis.Client) float64 {
	info, err := client.Info(context.Background(), "commandstats").Result()
	if err != nil {
		b.Fatal(err)
	}
	_, rest, ok := strings.Cut(info, "cmdstat_geosearch:")
	if !ok {
		return 0
	}
	_, rest, _ = strings.Cut(rest, "usec=")
	micros, _, _ := strings.Cut(rest, ",")
	n, err := strconv.ParseFloat(micros, 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}
