package allocator_test

import (
	"context"
	"reflect"
	"sync"
	"testing"
	"time"

	"muster/allocator"
)

// suspend suspends RSV at S1 as asked, and must succeed.
func (w *world) suspend(a *allocator.Allocator, r allocator.SuspensionRequest) allocator.SuspensionReply {
	w.t.Helper()
	r.Site, r.Suspension.Service = "S1", "RSV"
	reply, err := a.Suspend(context.Background(), r)
	if err != nil {
		w.t.Fatal(err)
	}
	return reply
}

// A suspended service takes no new bookings on any server, whatever is published, lost or restarted meanwhile; bookings and
// holds stay, other services go on, and a dry run tells what the suspension is about.
func TestSuspendAndResume(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a, b := w.serve(), w.serve()
		ctx := context.Background()
		w.publish(a, "S1", session(2, "RSV", "FLU"))
		w.publish(b, "S2", session(2, "RSV"))
		booked := w.book(a, 1, w.claim("S1", "RSV", 0))[0]
		held := w.held(b, "before", w.claim("S1", "RSV", 1))
		want := allocator.SuspensionReply{Changed: true, Days: 1, Bookings: 1, Free: 4}
		time.Sleep(time.Second)
		if told := w.suspend(a, allocator.SuspensionRequest{DryRun: true}); told != want {
			t.Errorf("told %+v, want %+v", told, want)
		}
		w.book(b, 2, w.claim("S1", "RSV", 2)) // a dry run changes nothing
		want.Bookings, want.Free = 2, 3
		time.Sleep(time.Second)
		if done := w.suspend(a, allocator.SuspensionRequest{Suspension: allocator.Suspension{Reason: "no vials"}}); done != want {
			t.Errorf("done %+v, want %+v", done, want)
		}
		refused := func(s *allocator.Allocator, day allocator.Date) {
			t.Helper()
			claim := w.claim("S1", "RSV", 1)
			claim.Start = day.At(9*60+10, w.zone)
			_, err := w.hold(s, "", claim)
			wantCode(t, err, allocator.CodeSessionClosed)
		}
		refused(a, w.day)
		refused(b, w.day)
		_, err := a.WalkIn(ctx, allocator.WalkInRequest{Site: "S1", Service: "RSV", Start: w.at(1), Person: person(9)})
		wantCode(t, err, allocator.CodeSessionClosed)
		for _, s := range []*allocator.Allocator{a, b} {
			time.Sleep(3 * time.Second) // until both know of the new revision
			for _, found := range w.search(s, allocator.SearchRequest{Service: "RSV"}).Sites {
				if found.Site.ID == "S1" {
					t.Errorf("search shows %+v", found)
				}
			}
		}
		w.book(b, 3, w.claim("S1", "FLU", 2))
		if views, err := w.confirm(b, held.Token, person(4)); err != nil || views[0].Unsupported {
			t.Errorf("what was held before: %+v, %v", views, err)
		}
		if view, err := a.Booking(ctx, allocator.BookingAccess{Reference: booked.Reference, ManageToken: booked.ManageToken}); err != nil || view.Unsupported {
			t.Errorf("what was booked before: %+v, %v", view, err)
		}

		later := allocator.Session{From: 9 * 60, Until: 10 * 60, SlotLength: 10, Capacity: 3, Services: []allocator.ServiceCode{"RSV"}}
		if _, err := b.PublishDay(ctx, allocator.PublishRequest{Site: "S1", Date: w.day + 7, Day: allocator.Day{Sessions: []allocator.Session{later}}}); err != nil {
			t.Fatal(err)
		}
		site, err := a.Site(ctx, "S1")
		if err != nil {
			t.Fatal(err)
		}
		site.Name, site.Suspended = "renamed", nil
		if _, _, err := b.PutSite(ctx, site, allocator.Caller{}); err != nil {
			t.Fatal(err)
		}
		w.inventory.Lose(a.Shard("S1"))
		for _, s := range []*allocator.Allocator{w.serve(), a, b} {
			refused(s, w.day)
			refused(s, w.day+7)
		}
		if again := w.suspend(b, allocator.SuspensionRequest{Suspension: allocator.Suspension{Reason: "no vials"}}); again.Changed || again.Days != 2 {
			t.Errorf("suspended again: %+v", again)
		}
		suspensions, err := b.Suspensions(ctx, "S1", allocator.Caller{})
		if err != nil || !reflect.DeepEqual(suspensions, []allocator.Suspension{{Service: "RSV", Reason: "no vials"}}) {
			t.Errorf("listed: %+v, %v", suspensions, err)
		}

		if done := w.suspend(b, allocator.SuspensionRequest{Resume: true}); !done.Changed || done.Days != 2 {
			t.Errorf("resumed: %+v", done)
		}
		time.Sleep(3 * time.Second) // until the other server knows
		w.book(a, 5, w.claim("S1", "RSV", 0))
		time.Sleep(7 * time.Minute) // holds that nobody confirmed lapse
		w.sameAsLedger(a)
	})
}

// With a last day, appointments after it can be booked all along.
func TestSuspendUntil(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a := w.serve()
		ctx := context.Background()
		for day := range allocator.Date(3) {
			s := allocator.Session{From: 9 * 60, Until: 10 * 60, SlotLength: 10, Capacity: 1, Services: []allocator.ServiceCode{"RSV"}}
			if _, err := a.PublishDay(ctx, allocator.PublishRequest{Site: "S1", Date: w.day + day, Day: allocator.Day{Sessions: []allocator.Session{s}}}); err != nil {
				t.Fatal(err)
			}
		}
		expect := func(codes ...allocator.Code) {
			t.Helper()
			for day, code := range codes {
				h, err := w.hold(a, "", allocator.ClaimRequest{Site: "S1", Service: "RSV", Start: (w.day + allocator.Date(day)).At(9*60, w.zone)})
				switch {
				case code != "":
					wantCode(t, err, code)
				case err != nil:
					t.Errorf("day %d: %v", day, err)
				default:
					if err := a.Release(ctx, h.Token); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		until := func(date allocator.Date) allocator.SuspensionRequest {
			return allocator.SuspensionRequest{Suspension: allocator.Suspension{Until: date}}
		}
		closed := allocator.CodeSessionClosed
		if done := w.suspend(a, until(w.day+1)); done.Days != 2 || done.Free != 12 {
			t.Errorf("until the second day: %+v", done)
		}
		expect(closed, closed, "")
		if done := w.suspend(a, until(w.day)); !done.Changed || done.Days != 2 {
			t.Errorf("until the first day: %+v", done)
		}
		expect(closed, "", "")
		for _, r := range []allocator.SuspensionRequest{until(w.day - 3), until(w.day + 400)} {
			r.Site, r.Suspension.Service = "S1", "RSV"
			_, err := a.Suspend(ctx, r)
			wantCode(t, err, allocator.CodeInvalid)
		}
		_, err := a.Suspend(ctx, allocator.SuspensionRequest{Site: "S1", Suspension: allocator.Suspension{Service: "NONE"}})
		wantCode(t, err, allocator.CodeServiceUnknown)
		rival := allocator.Caller{Bound: true, Organisation: "rival"}
		_, err = a.Suspend(ctx, allocator.SuspensionRequest{Site: "S1", Suspension: allocator.Suspension{Service: "RSV"}, Caller: rival})
		wantCode(t, err, allocator.CodeSiteUnknown)
		_, err = a.Suspensions(ctx, "S1", rival)
		wantCode(t, err, allocator.CodeSiteUnknown)
	})
}

// A suspension is listed up to its last day.
func TestSuspensionEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a, err := allocator.New(w.config()) // not started: days would take long with its background work
		if err != nil {
			t.Fatal(err)
		}
		w.suspend(a, allocator.SuspensionRequest{Suspension: allocator.Suspension{Until: w.day}})
		for _, want := range []int{1, 1, 0} {
			if listed, err := a.Suspensions(context.Background(), "S1", allocator.Caller{}); err != nil || len(listed) != want {
				t.Errorf("%v: listed %v, %v", time.Now(), listed, err)
			}
			time.Sleep(24 * time.Hour)
		}
	})
}

// People hold on two servers, a publisher publishes and somebody suspends, all at once: once the suspension was answered nobody
// gets a new hold, and everybody who got one before keeps it.
func TestSuspendRacesHolds(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		servers := []*allocator.Allocator{w.serve(), w.serve()}
		w.publish(servers[0], "S1", session(200, "RSV", "FLU"))
		var running sync.WaitGroup
		var mu sync.Mutex
		var tokens []string
		suspended, late := false, 0
		for n := range 8 {
			running.Go(func() {
				for i := range 40 {
					mu.Lock()
					before := suspended
					mu.Unlock()
					h, err := w.hold(servers[n%2], "", w.claim("S1", "RSV", i%3))
					mu.Lock()
					switch {
					case err == nil && before:
						late++
					case err == nil:
						tokens = append(tokens, h.Token)
					case allocator.CodeOf(err) != allocator.CodeSessionClosed:
						t.Errorf("refused with %v", err)
					}
					mu.Unlock()
					time.Sleep(time.Millisecond)
				}
			})
		}
		running.Go(func() {
			for capacity := range 10 {
				w.publish(servers[1], "S1", session(201+capacity, "RSV", "FLU"))
				time.Sleep(3 * time.Millisecond)
			}
		})
		time.Sleep(15 * time.Millisecond)
		w.suspend(servers[0], allocator.SuspensionRequest{})
		mu.Lock()
		suspended = true
		mu.Unlock()
		running.Wait()
		if late > 0 || len(tokens) == 0 || len(tokens) == 320 {
			t.Errorf("%d of 320 were granted, %d of them late", len(tokens), late)
		}
		for n, token := range tokens {
			if _, err := w.confirm(servers[n%2], token, person(n+1)); err != nil {
				t.Errorf("held before: %v", err)
			}
		}
		time.Sleep(7 * time.Minute)
		w.sameAsLedger(servers[0])
	})
}
