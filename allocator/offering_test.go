package allocator_test

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"muster/allocator"
)

// TestOffering: what is free of an offering is what the site's availability says, its places are what would be free if
// nothing were used, and it never changes without the site's count of changes.
func TestOffering(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := newAtlas(t, places{})
		for _, code := range atlasServices {
			m.putService(allocator.DefaultService(code))
		}
		const id = allocator.SiteID("S0")
		m.putSite(rt, drawSite(rt, id))
		m.putDay(drawDay(rt, id, m))
		var before allocator.Offering
		var when, was string // the circumstances besides the site, and what was offered
		for range rapid.IntRange(1, 20).Draw(rt, "steps") {
			m.change(rt)
			now := m.Now()
			got, ok := m.engine.Offering(t.Context(), allocator.OfferingRequest{Site: id, From: now, Until: now, Days: 400})
			if ok == m.sites[id].Offline {
				rt.Fatalf("offline %v, and offered %v", m.sites[id].Offline, ok)
			}
			if !ok {
				continue
			}
			for _, service := range m.services {
				checkOffer(rt, m, &got, service.Code)
			}
			around, text := fmt.Sprint(now.Truncate(time.Minute), m.services), fmt.Sprint(got.Services)
			if got.Changes == before.Changes && around == when && text != was {
				rt.Fatal("what is offered changed, and the site's count of changes did not")
			}
			if got.Changes == before.Changes && !reflect.DeepEqual(got.Site, before.Site) {
				rt.Fatal("the details changed, and the count of changes did not")
			}
			before, when, was = got, around, text
		}
	})
}

func checkOffer(rt *rapid.T, m *atlas, o *allocator.Offering, code allocator.ServiceCode) {
	reply, err := m.engine.Availability(rt.Context(), allocator.AvailabilityRequest{Site: o.Site.ID, Service: code})
	if err != nil {
		rt.Fatal(err)
	}
	var want, got []allocator.SlotFree
	for _, day := range reply.Days {
		want = append(want, day.Slots...)
	}
	for _, offered := range o.Services {
		if offered.Service.Code != code {
			continue
		}
		for _, s := range offered.Slots {
			if s.Free > 0 {
				got = append(got, allocator.SlotFree{Start: s.Start, Length: s.Length, Free: s.Free})
			}
			id := allocator.SlotID{Site: o.Site.ID, Start: s.Start, Length: s.Length}
			slot, known := m.days[o.Site.ID][allocator.DateOf(s.Start.Time().In(m.zone))].Slot(id, m.zone)
			if places := allocator.Free(slot.Pools, nil, code, allocator.AccessPublic); !known || places != s.Places || s.Free > places {
				rt.Fatalf("%v has %d places, of which %d are free; it should have %d", id, s.Places, s.Free, places)
			}
		}
	}
	if !reflect.DeepEqual(got, want) {
		rt.Fatalf("%s: offered %v, available %v", code, got, want)
	}
}

// TestOfferingHoldsUntilItsEnd: a slot that can be booked at the beginning and not at the end of the time is left out.
func TestOfferingHoldsUntilItsEnd(t *testing.T) {
	m := newAtlas(t, places{})
	m.putService(allocator.DefaultService("RSV"))
	m.putSite(t, allocator.Site{ID: "S1", Lat: 53.8, Lon: -1.5})
	m.putDay(allocator.Day{Site: "S1", Date: m.today(), Sessions: []allocator.Session{
		{From: 22 * 60, Until: 22*60 + 30, SlotLength: 10, Capacity: 1, Services: []allocator.ServiceCode{"RSV"}},
		{From: 22 * 60, Until: 23 * 60, SlotLength: 60, Capacity: 1, Services: []allocator.ServiceCode{"RSV"}, Invited: true},
		{From: 23 * 60, Until: 23*60 + 20, SlotLength: 20, Capacity: 1, Services: []allocator.ServiceCode{"RSV"}, Stopped: true},
	}})
	first := m.today().At(22*60, m.zone)
	for minutes, slots := range map[int]int{-30: 3, 0: 3, 1: 2, 15: 1, 30: 0} {
		o, _ := m.engine.Offering(t.Context(), allocator.OfferingRequest{Site: "S1", From: m.Now(), Until: first.Add(time.Duration(minutes) * time.Minute), Days: 1})
		n := 0
		for _, s := range o.Services {
			n += len(s.Slots)
		}
		if n != slots {
			t.Errorf("until %d minutes after the first slot: %d slots, want %d", minutes, n, slots)
		}
	}
}

// Servers that know the same of a site give it the same state, however they came to know it; what changes it, changes that.
func TestSiteState(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		servers := []*allocator.Allocator{w.serve(), w.serve()}
		a := servers[0]
		state := func() uint64 {
			t.Helper()
			time.Sleep(5 * time.Second)
			first := a.SiteVersions(w.day)[0].State
			for _, other := range servers {
				if got := other.SiteVersions(w.day); got[0].Site != "S1" || got[0].State != first {
					t.Errorf("%+v, want state %d", got, first)
				}
			}
			return first
		}
		w.publish(a, "S1", session(3, "RSV", "FLU"))
		published := state()
		held := w.held(a, "", w.claim("S1", "RSV", 0))
		seen := map[uint64]bool{published: true, state(): true}
		if err := a.Release(ctx, held.Token); err != nil {
			t.Fatal(err)
		}
		if state() != published {
			t.Error("what was given back leaves another state")
		}
		var bookings []allocator.BookingView
		for n, claim := range []allocator.ClaimRequest{w.claim("S1", "RSV", 0), w.claim("S1", "FLU", 0), w.claim("S1", "FLU", 1)} {
			bookings = append(bookings, w.book(a, n+1, claim)...)
			seen[state()] = true
		}
		servers = append(servers, w.serve())
		seen[state()] = true
		for _, b := range bookings {
			if _, err := a.Cancel(ctx, allocator.BookingAccess{Reference: b.Reference, ManageToken: b.ManageToken}, "test", allocator.Caller{}); err != nil {
				t.Fatal(err)
			}
		}
		if state() != published {
			t.Error("what was cancelled leaves another state")
		}
		w.publish(a, "S1", session(2, "RSV", "FLU"))
		if seen[state()] = true; len(seen) != 5 { // a hold takes what its booking takes
			t.Errorf("%d states, want 5", len(seen))
		}
	})
}
