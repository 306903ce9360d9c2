package allocator_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"muster/allocator"
	"muster/allocator/allocatortest"
	"muster/allocator/allocatortest/memoryledger"
	"muster/allocator/allocatortest/servers"
	"muster/allocator/redisinventory"
)

// feedWorld is two servers over one Redis node of their own: claims are made at the one, and both follow.
type feedWorld struct {
	busy, quiet *allocator.Allocator
	client      *redis.Client
	sites       int
	start       time.Time // of the first slot
}

const feedSlots = 36

// rememberedLedger answers from memory what never changes here, where nobody books: a ledger in memory looks at every day for it.
type rememberedLedger struct {
	*memoryledger.Ledger
	states sync.Map
}

func (l *rememberedLedger) SiteState(ctx context.Context, site allocator.SiteID, from allocator.Minute, endedSince time.Time) (allocator.SiteLedger, error) {
	if state, ok := l.states.Load(site); ok {
		return state.(allocator.SiteLedger), nil
	}
	state, err := l.Ledger.SiteState(ctx, site, from, endedSince)
	if err == nil {
		l.states.Store(site, state)
	}
	return state, err
}

func newFeedWorld(b *testing.B, sites int) *feedWorld {
	node := servers.Redis(b, "--appendonly", "yes", "--appendfsync", "everysec", "--slowlog-max-len", "1000000")
	w := &feedWorld{sites: sites, client: redis.NewClient(&redis.Options{Addr: node.Addr()})}
	b.Cleanup(func() { w.client.Close() })
	ledger := &rememberedLedger{Ledger: memoryledger.New(time.Now)}
	ctx := context.Background()
	if _, err := ledger.PutService(ctx, allocator.DefaultService("RSV"), "test"); err != nil {
		b.Fatal(err)
	}
	random := rand.New(rand.NewPCG(3, 5))
	for i := range sites {
		site := allocator.Site{ID: feedSite(i), Name: "Site", TimeZone: "Europe/London", Lat: 52.5 + random.NormFloat64()/2, Lon: -1.5 + random.NormFloat64()/2}
		if _, err := ledger.PutSite(ctx, site, "test"); err != nil {
			b.Fatal(err)
		}
	}
	for _, server := range []**allocator.Allocator{&w.busy, &w.quiet} {
		inventory, err := redisinventory.New(redisinventory.Options{Addresses: []string{node.Addr()}})
		if err != nil {
			b.Fatal(err)
		}
		*server, err = allocator.New(allocator.Config{
			Inventory: inventory, Ledger: ledger, Secret: []byte("a secret of the tests"), Postcodes: allocatortest.Postcodes{}, Nearest: places{},
		})
		if err == nil {
			err = (*server).Start(ctx)
		}
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = (*server).Stop(context.Background()); inventory.Close() })
	}
	w.publish(b)
	return w
}

func feedSite(i int) allocator.SiteID { return allocator.SiteID(fmt.Sprintf("S%05d", i)) }

func (w *feedWorld) publish(b *testing.B) {
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		b.Fatal(err)
	}
	date := allocator.DateOf(time.Now().In(zone)) + 2
	w.start = date.At(9*60, zone)
	var requests []allocator.PublishRequest
	for i := range w.sites {
		requests = append(requests, allocator.PublishRequest{Site: feedSite(i), Date: date, Day: allocator.Day{Sessions: []allocator.Session{
			{From: 9 * 60, Until: 15 * 60, SlotLength: 10, Capacity: 50, Services: []allocator.ServiceCode{"RSV"}},
		}}})
	}
	for part := range slices.Chunk(requests, 500) {
		_, errs := w.busy.PublishMany(context.Background(), part)
		for _, err := range errs {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

func (w *feedWorld) hold(site, slot int) error {
	_, err := w.busy.Hold(context.Background(), allocator.HoldRequest{Claims: []allocator.ClaimRequest{
		{Site: feedSite(site), Service: "RSV", Start: w.start.Add(time.Duration(slot) * 10 * time.Minute), Length: 10},
	}})
	return err
}

// claim tries to make claims at random sites, so many a second, until the time is over, and counts those that were made.
func (w *feedWorld) claim(b *testing.B, perSecond int, span time.Duration) int64 {
	var group sync.WaitGroup
	var made atomic.Int64
	began := time.Now()
	for tried := 0; ; {
		due := time.Duration(tried) * time.Second / time.Duration(perSecond)
		if due >= span {
			break
		}
		time.Sleep(due - time.Since(began)) // the pace of a load, not a wait for something
		for range perSecond / 200 {
			tried++
			site, slot := rand.IntN(w.sites-1)+1, rand.IntN(feedSlots)
			group.Go(func() {
				if w.hold(site, slot) == nil { // a machine may be too busy for so many
					made.Add(1)
				}
			})
		}
	}
	group.Wait()
	return made.Load()
}

// watch takes the age of the quiet server's snapshot until done, and how long a claim at a site of its own takes to be seen.
func (w *feedWorld) watch(b *testing.B, done <-chan struct{}) (ages, seen []time.Duration) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	before, claimed := w.free(b), time.Time{}
	for {
		select {
		case <-done:
			return ages, seen
		case <-tick.C:
		}
		ages = append(ages, w.quiet.SnapshotAge())
		free := w.free(b)
		switch {
		case claimed.IsZero():
			if err := w.hold(0, rand.IntN(feedSlots)); err == nil {
				claimed = time.Now()
			}
		case free < before:
			seen = append(seen, time.Since(claimed))
			before, claimed = free, time.Time{}
		}
	}
}

// free is what the quiet server shows of the first site.
func (w *feedWorld) free(b *testing.B) (free int) {
	reply, err := w.quiet.Availability(context.Background(), allocator.AvailabilityRequest{Site: feedSite(0), Service: "RSV"})
	if err != nil {
		b.Error(err)
	}
	for _, day := range reply.Days {
		for _, slot := range day.Slots {
			free += slot.Free
		}
	}
	return free
}

// spent adds up what the slow log, to which every command counts as slow, says of the reading of changes, which alone asks for
// 4,096, and of the script that took longest besides: under this load that is Hold's.
func (w *feedWorld) spent(b *testing.B) (changes, holds time.Duration) {
	log, err := w.client.SlowLogGet(context.Background(), -1).Result()
	if err != nil {
		b.Fatal(err)
	}
	others := make(map[string]time.Duration)
	for _, entry := range log {
		switch {
		case entry.Args[0] != "evalsha":
		case entry.Args[len(entry.Args)-1] == "4096":
			changes += entry.Duration
		default:
			others[entry.Args[1]] += entry.Duration
		}
	}
	for _, d := range others {
		holds = max(holds, d)
	}
	return changes, holds
}

// log makes every command count as slow, or none.
func (w *feedWorld) log(b *testing.B, threshold string) {
	ctx := context.Background()
	err := w.client.ConfigSet(ctx, "slowlog-log-slower-than", threshold).Err()
	if err == nil {
		err = w.client.Do(ctx, "slowlog", "reset").Err()
	}
	if err != nil {
		b.Fatal(err)
	}
}

func percentile(all []time.Duration, of int) float64 {
	slices.Sort(all)
	if len(all) == 0 {
		return 0
	}
	return float64(all[len(all)*of/100].Microseconds()) / 1000
}

// BenchmarkFeed makes 5,000 claims a second at 10,000 sites of one server, and tells how old the snapshot of another one is
// that does nothing but follow, how soon it sees a claim, and what following costs Redis beside the claims (two servers follow).
// An iteration is a second.
func BenchmarkFeed(b *testing.B) {
	if testing.Short() {
		b.Skip("publishes 10,000 sites")
	}
	w := newFeedWorld(b, 10_000)
	var group sync.WaitGroup
	for i := range w.sites { // each is built on its first claim
		group.Go(func() { _ = w.hold(i, 0) })
		if i%100 == 99 {
			group.Wait()
		}
	}
	group.Wait()
	w.log(b, "0")
	done := make(chan struct{})
	var ages, seen []time.Duration
	group.Go(func() { ages, seen = w.watch(b, done) })
	b.ResetTimer()
	made := w.claim(b, 5000, time.Duration(b.N)*time.Second)
	b.StopTimer()
	close(done)
	group.Wait()
	changes, holds := w.spent(b)
	b.ReportMetric(float64(made)/b.Elapsed().Seconds(), "claims/s")
	b.ReportMetric(100*float64(changes)/float64(holds), "feed-%-of-holds")
	b.ReportMetric(float64(holds.Microseconds())/float64(made), "redis-µs/hold")
	b.ReportMetric(percentile(ages, 50), "age-p50-ms")
	b.ReportMetric(percentile(ages, 99), "age-p99-ms")
	b.ReportMetric(percentile(seen, 50), "seen-p50-ms")
	b.ReportMetric(percentile(seen, 99), "seen-p99-ms")
}
