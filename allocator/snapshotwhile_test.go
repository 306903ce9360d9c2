package allocator_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"muster/allocator"
)

// crowd fills an atlas with so many sites, of which few have anything free, all within 100 km.
func crowd(t testing.TB, sites, freePercent int) *atlas {
	m := newAtlas(t, places{})
	m.putService(allocator.DefaultService("RSV"))
	random := rand.New(rand.NewPCG(3, 5))
	for i := range sites {
		id := allocator.SiteID(fmt.Sprintf("S%05d", i))
		m.putSite(t, allocator.Site{ID: id, Name: string(id), Lat: 53.8 + random.NormFloat64()/4, Lon: -1.5 + random.NormFloat64()/3})
		m.putDay(allocator.Day{Site: id, Date: m.today() + 1, Sessions: []allocator.Session{{From: 540, Until: 600, SlotLength: 10, Capacity: 1, Services: []allocator.ServiceCode{"RSV"}}}})
		if random.IntN(100) >= freePercent {
			m.fill(id, 1)
		}
	}
	return m
}

// fill sets the claims of every slot of a site.
func (m *atlas) fill(id allocator.SiteID, claims int) {
	for _, slot := range m.days[id][m.today()+1].Slots(m.zone) {
		m.snapshot.SetUsage(slot.ID, allocator.Counts{"RSV": claims})
	}
}

// TestSearchWhileAvailabilityChanges: a search always sees what nobody touches, and sees a change that was made before it.
func TestSearchWhileAvailabilityChanges(t *testing.T) {
	m := crowd(t, 400, 5)
	r := allocator.SearchRequest{Postcode: "LS1 4AP", Service: "RSV", Limit: 50, RadiusMetres: 200_000}
	found := func() map[allocator.SiteID]bool {
		reply, err := m.engine.Search(t.Context(), r)
		if err != nil {
			t.Error(err)
		}
		ids := make(map[allocator.SiteID]bool)
		for _, s := range reply.Sites {
			ids[s.Site.ID] = true
		}
		return ids
	}
	steady := found()
	var touched []allocator.SiteID
	for _, id := range slices.Sorted(maps.Keys(m.sites)) {
		if !steady[id] && len(touched) < 20 {
			touched = append(touched, id)
		}
	}
	if len(steady) < 5 || len(steady) > 30 {
		t.Fatalf("%d sites have something free", len(steady))
	}
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for round := range 100 {
				id := touched[5*worker+round%5]
				m.fill(id, 0)
				if !found()[id] {
					t.Errorf("%s is free and not found", id)
				}
				m.fill(id, 1)
				if found()[id] {
					t.Errorf("%s is full and found", id)
				}
			}
		})
	}
	for range 200 {
		ids := found()
		for id := range steady {
			if !ids[id] {
				t.Errorf("%s is always free and not found", id)
			}
		}
	}
	group.Wait()
	if got := found(); !maps.Equal(got, steady) {
		t.Errorf("in the end %v, in the beginning %v", got, steady)
	}
}

// TestSearchAllocatesNothing where nothing changed since the one before.
func TestSearchAllocatesNothing(t *testing.T) {
	if allocator.RaceEnabled {
		t.Skip("the race detector allocates")
	}
	m := crowd(t, 1000, 20)
	r := allocator.SearchRequest{Postcode: "LS1 4AP", Service: "RSV", Reuse: make([]allocator.SiteFound, 0, 10)}
	allocations := testing.AllocsPerRun(100, func() {
		if reply, err := m.engine.Search(t.Context(), r); err != nil || len(reply.Sites) != 10 {
			t.Error(reply, err)
		}
	})
	if allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}

// BenchmarkSearch finds the 10 nearest of 10,000 sites, of which 5 % have something free, while another goroutine makes full
// sites free and free ones full, about 5,000 times a second.
func BenchmarkSearch(b *testing.B) {
	for _, changing := range []bool{false, true} {
		b.Run(fmt.Sprintf("changing=%v", changing), func(b *testing.B) {
			m := crowd(b, 10_000, 5)
			ids := slices.SortedFunc(maps.Keys(m.sites), func(a, b allocator.SiteID) int { return cmp.Compare(b, a) })
			var ended atomic.Bool
			var group sync.WaitGroup
			if changing {
				group.Go(func() {
					tick := time.NewTicker(time.Millisecond)
					defer tick.Stop()
					for round := 0; !ended.Load(); round++ {
						<-tick.C
						for i := range 5 {
							id := ids[(round*5+i)%len(ids)]
							slot := m.days[id][m.today()+1].Slots(m.zone)[0]
							m.snapshot.SetUsage(slot.ID, allocator.Counts{"RSV": round % 2})
						}
					}
				})
			}
			random := rand.New(rand.NewPCG(11, 13))
			for range 20_000 { // until most sites have been looked at
				searchAnywhere(b, m, random, &allocator.SearchRequest{})
			}
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				random := rand.New(rand.NewPCG(7, 9))
				r := allocator.SearchRequest{Reuse: make([]allocator.SiteFound, 0, 10)}
				for pb.Next() {
					searchAnywhere(b, m, random, &r)
				}
			})
			b.StopTimer()
			ended.Store(true)
			group.Wait()
		})
	}
}

func searchAnywhere(b *testing.B, m *atlas, random *rand.Rand, r *allocator.SearchRequest) {
	r.Service, r.RadiusMetres = "RSV", 100_000
	r.Lat, r.Lon = 53.8+random.NormFloat64()/4, -1.5+random.NormFloat64()/3
	if _, err := m.engine.Search(b.Context(), *r); err != nil {
		b.Error(err)
	}
}
