package allocator_test

import (
	"slices"
	"testing"
	"time"

	"muster/allocator"
)

func (w *world) search(a *allocator.Allocator, r allocator.SearchRequest) allocator.SearchReply {
	w.t.Helper()
	if r.Postcode == "" {
		r.Postcode = "LS1 4AP"
	}
	if r.Service == "" {
		r.Service = "RSV"
	}
	reply, err := a.Search(w.t.Context(), r)
	if err != nil {
		w.t.Fatal(err)
	}
	return reply
}

func siteIDs(r allocator.SearchReply) (ids []allocator.SiteID) {
	for _, s := range r.Sites {
		ids = append(ids, s.Site.ID)
	}
	return ids
}

func freeAt(w *world, a *allocator.Allocator, site allocator.SiteID, service allocator.ServiceCode, people int) (free []int) {
	w.t.Helper()
	r, err := a.Availability(w.t.Context(), allocator.AvailabilityRequest{Site: site, Service: service, People: people})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, d := range r.Days {
		for _, s := range d.Slots {
			free = append(free, s.Free)
		}
	}
	return free
}

// TestSearchShowsOnlyFreeSites: nearest first, without those that are full, offline, of other services or out of reach.
func TestSearchShowsOnlyFreeSites(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a, b := w.serve(), w.serve()
		w.publish(a, "S1", session(1, "RSV"))
		w.publish(a, "S2", session(2, "RSV", "FLU"))
		w.publish(a, "S3", session(3, "FLU"))
		time.Sleep(5 * time.Second)
		for _, server := range []*allocator.Allocator{a, b} {
			if got := siteIDs(w.search(server, allocator.SearchRequest{})); !slices.Equal(got, []allocator.SiteID{"S1", "S2"}) {
				t.Errorf("RSV at %v", got)
			}
		}
		for n := range 3 {
			w.book(a, n, w.claim("S1", "RSV", n))
		}
		time.Sleep(time.Second)
		for _, server := range []*allocator.Allocator{a, b} {
			r := w.search(server, allocator.SearchRequest{})
			if got := siteIDs(r); !slices.Equal(got, []allocator.SiteID{"S2"}) {
				t.Errorf("RSV at %v, though S1 is full", got)
			}
			if r.Age > time.Second || r.Age < 0 {
				t.Errorf("the answer is %v old", r.Age)
			}
		}
		r := w.search(a, allocator.SearchRequest{IncludeFull: true})
		if got := siteIDs(r); !slices.Equal(got, []allocator.SiteID{"S1", "S2"}) || r.Sites[0].Days[0].Free != 0 || !r.Sites[0].NextAvailable.IsZero() {
			t.Errorf("with full ones: %+v", r.Sites)
		}
		if got := siteIDs(w.search(a, allocator.SearchRequest{RadiusMetres: 500})); len(got) != 0 {
			t.Errorf("within 500 m: %v", got)
		}
		site, err := a.Site(t.Context(), "S2")
		if err != nil {
			t.Fatal(err)
		}
		site.Offline, site.Accessibilities = true, []string{"parking"}
		if _, _, err := a.PutSite(t.Context(), site, allocator.Caller{}); err != nil {
			t.Fatal(err)
		}
		if got := siteIDs(w.search(a, allocator.SearchRequest{})); len(got) != 0 {
			t.Errorf("offline: %v", got)
		}
		_, err = w.hold(a, "", w.claim("S2", "RSV", 0))
		wantCode(t, err, allocator.CodeSessionClosed)
		if got := siteIDs(w.search(a, allocator.SearchRequest{Service: "FLU", Accessibilities: []string{"step_free"}})); len(got) != 0 {
			t.Errorf("step free: %v", got)
		}
	})
}

// TestSearchForSeveral: a slot is listed when all fit in consecutive slots from it.
func TestSearchForSeveral(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a := w.serve()
		w.publish(a, "S1", session(1, "RSV"))
		for people, want := range map[int][]int{1: {1, 1, 1}, 2: {1, 1}, 3: {1}, 4: nil} {
			if got := freeAt(w, a, "S1", "RSV", people); !slices.Equal(got, want) {
				t.Errorf("%d people: %v, want %v", people, got, want)
			}
		}
		w.book(a, 1, w.claim("S1", "RSV", 1))
		time.Sleep(time.Second)
		if got := freeAt(w, a, "S1", "RSV", 2); len(got) != 0 {
			t.Errorf("two people across a taken slot: %v", got)
		}
	})
}

// TestNoPhantomsAfterALoss: after the inventory lost its memory a search shows what the ledger knows as taken: at once, or, where
// two servers rebuild one site at the same instant, a second later, because a search waits no longer than half a second for it.
func TestNoPhantomsAfterALoss(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a := w.serve()
		w.publish(a, "S1", session(1, "RSV"))
		w.publish(a, "S2", session(1, "RSV"))
		for n := range 3 {
			w.book(a, n, w.claim("S1", "RSV", n))
		}
		for shard := range w.inventory.Shards() {
			w.inventory.Lose(shard)
		}
		b := w.serve()
		if got := siteIDs(w.search(b, allocator.SearchRequest{})); !slices.Equal(got, []allocator.SiteID{"S2"}) {
			time.Sleep(time.Second)
		}
		if got := siteIDs(w.search(b, allocator.SearchRequest{})); !slices.Equal(got, []allocator.SiteID{"S2"}) {
			t.Errorf("a new server shows %v", got)
		}
		if got := freeAt(w, b, "S1", "RSV", 1); len(got) != 0 {
			t.Errorf("a new server shows %v at a full site", got)
		}
	})
}

// TestWindow: past, too soon, too late, not open yet, outside the service's dates.
func TestWindow(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a := w.serve()
		w.publish(a, "S1", session(5, "RSV"))
		now := time.Now()
		put := func(change func(s *allocator.Service)) {
			t.Helper()
			s := allocator.DefaultService("RSV")
			change(&s)
			if _, _, err := a.PutService(t.Context(), s, allocator.Caller{}); err != nil {
				t.Fatal(err)
			}
		}
		for name, change := range map[string]func(s *allocator.Service){
			"opens later": func(s *allocator.Service) { s.BookingOpens = now.Add(time.Hour).UnixMilli() },
			"lead":        func(s *allocator.Service) { s.MinLeadHours = 48 },
			"first date":  func(s *allocator.Service) { s.FirstDate = w.day + 1 },
			"last date":   func(s *allocator.Service) { s.LastDate = w.day - 1 },
		} {
			put(change)
			_, err := w.hold(a, "", w.claim("S1", "RSV", 0))
			if allocator.CodeOf(err) != allocator.CodeOutsideWindow {
				t.Errorf("%s: %v", name, err)
			}
			if got := freeAt(w, a, "S1", "RSV", 1); len(got) != 0 {
				t.Errorf("%s: shown as free: %v", name, got)
			}
		}
		put(func(s *allocator.Service) { s.WindowDays = 1 })
		_, err := w.hold(a, "", w.claim("S1", "RSV", 0))
		wantCode(t, err, allocator.CodeOutsideWindow) // 33 hours ahead
		put(func(*allocator.Service) {})
		if _, err := w.hold(a, "", w.claim("S1", "RSV", 0)); err != nil {
			t.Error(err)
		}
		soon := w.soon(a)
		if _, err := w.hold(a, "", soon); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Until(soon.Start) + time.Second)
		_, err = w.hold(a, "", soon)
		wantCode(t, err, allocator.CodeOutsideWindow)
		_, err = w.hold(a, "", allocator.ClaimRequest{Site: "S1", Service: "RSV", Start: w.at(1).Add(5 * time.Minute)})
		wantCode(t, err, allocator.CodeSlotUnknown)
		_, err = w.hold(a, "", allocator.ClaimRequest{Site: "S1", Service: "RSV", Start: w.at(1).AddDate(2, 0, 0)})
		wantCode(t, err, allocator.CodeOutsideWindow)
	})
}

// soon publishes three slots today, from ten minutes ahead on, and is a claim of the first.
func (w *world) soon(a *allocator.Allocator) allocator.ClaimRequest {
	w.t.Helper()
	start := time.Now().In(w.zone).Truncate(10 * time.Minute).Add(10 * time.Minute)
	from := allocator.TimeOfDay(start.Hour()*60 + start.Minute())
	w.day = allocator.DateOf(start)
	w.publish(a, "S1", allocator.Session{From: from, Until: from + 30, Capacity: 1, Services: []allocator.ServiceCode{"RSV"}})
	return allocator.ClaimRequest{Site: "S1", Service: "RSV", Start: start}
}

// TestWalkIn takes the slot nearest to now, and a repeat is the same booking.
func TestWalkIn(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a := w.serve()
		claim := w.soon(a)
		third := claim.Start.Add(20 * time.Minute)
		claim.Start = claim.Start.Add(10 * time.Minute)
		w.book(a, 1, claim)
		time.Sleep(time.Until(claim.Start) + 3*time.Minute)
		r := allocator.WalkInRequest{IdempotencyKey: "w", Site: "S1", Service: "RSV", Person: allocator.Person{GivenName: "No", FamilyName: "Number"}}
		first, err := a.WalkIn(t.Context(), r)
		if err != nil || !first.Slot.Start.Time().Equal(third) {
			t.Fatalf("%+v, %v", first, err)
		}
		time.Sleep(8 * time.Minute)
		again, err := a.WalkIn(t.Context(), r)
		if err != nil || again.Reference != first.Reference {
			t.Errorf("repeated: %+v, %v", again, err)
		}
		r.IdempotencyKey = "other"
		_, err = a.WalkIn(t.Context(), r)
		wantCode(t, err, allocator.CodeSlotFull)
		time.Sleep(time.Minute)
		w.sameAsLedger(a)
	})
}

// TestPublishIsConditional: If-Match, dry runs that change nothing and foretell, equal documents that keep their revision.
func TestPublishIsConditional(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a := w.serve()
		w.publish(a, "S1", session(2, "RSV"))
		w.book(a, 1, w.claim("S1", "RSV", 0))
		w.book(a, 2, w.claim("S1", "RSV", 0))
		day := allocator.Day{Sessions: []allocator.Session{{From: 540, Until: 570, SlotLength: 10, Capacity: 1, Services: []allocator.ServiceCode{"RSV"}}}}
		stale, fresh := int64(7), int64(1)
		_, err := a.PublishDay(t.Context(), allocator.PublishRequest{Site: "S1", Date: w.day, Day: day, IfMatch: &stale})
		wantCode(t, err, allocator.CodeRevisionMismatch)
		foretold, err := a.PublishDay(t.Context(), allocator.PublishRequest{Site: "S1", Date: w.day, Day: day, DryRun: true, IfMatch: &fresh})
		if err != nil || foretold.Revision != 2 {
			t.Fatalf("%+v, %v", foretold, err)
		}
		if d, err := a.Day(t.Context(), "S1", w.day); err != nil || d.Revision != 1 || d.Sessions[0].Capacity != 2 {
			t.Errorf("after the dry run: %+v, %v", d, err)
		}
		done, err := a.PublishDay(t.Context(), allocator.PublishRequest{Site: "S1", Date: w.day, Day: day, IfMatch: &fresh})
		if err != nil || done.Revision != 2 || !slices.Equal(done.NewlyUnsupported, foretold.NewlyUnsupported) || len(done.NewlyUnsupported) != 1 || done.Removed != foretold.Removed {
			t.Errorf("foretold %+v, done %+v, %v", foretold, done, err)
		}
		again, err := a.PublishDay(t.Context(), allocator.PublishRequest{Site: "S1", Date: w.day, Day: day})
		if err != nil || again.Revision != 2 || again.Added+again.Removed+len(again.NewlyUnsupported) != 0 {
			t.Errorf("the same again: %+v, %v", again, err)
		}
		foretold, err = a.PublishDay(t.Context(), allocator.PublishRequest{Site: "S1", Date: w.day, Cancel: true, DryRun: true})
		if err != nil || len(foretold.Cancelled) != 2 || foretold.Revision != 3 {
			t.Errorf("closing foretold: %+v, %v", foretold, err)
		}
		closed, err := a.PublishDay(t.Context(), allocator.PublishRequest{Site: "S1", Date: w.day, Cancel: true})
		if err != nil || len(closed.Cancelled) != 2 {
			t.Errorf("closed: %+v, %v", closed, err)
		}
		_, err = a.PublishDay(t.Context(), allocator.PublishRequest{Site: "S1", Date: w.day - 2, Day: day})
		wantCode(t, err, allocator.CodeInvalid)
		_, err = a.PublishDay(t.Context(), allocator.PublishRequest{Site: "S1", Date: w.day + 400, Day: day})
		wantCode(t, err, allocator.CodeInvalid)
		day.Sessions[0].Services = []allocator.ServiceCode{"NOPE"}
		_, err = a.PublishDay(t.Context(), allocator.PublishRequest{Site: "S1", Date: w.day, Day: day})
		wantCode(t, err, allocator.CodeInvalid)
		time.Sleep(time.Minute)
		w.sameAsLedger(a)
	})
}
