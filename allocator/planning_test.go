package allocator_test

import (
	"context"
	"testing"
	"time"

	"muster/allocator"
)

// What planners are told is what citizens are shown, added up, whatever is published, held and booked.
func TestFreeCapacityIsTheSumOfAvailability(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a := w.serve()
		ctx := context.Background()
		stopped := session(4, "RSV", "FLU")
		stopped.From, stopped.Until, stopped.Stopped = 600, 660, true
		w.publish(a, "S1", session(3, "RSV", "FLU"), stopped)
		w.publish(a, "S2", session(2, "RSV"))
		w.publish(a, "S3", session(5, "FLU"))
		w.book(a, 1, w.claim("S1", "RSV", 0))
		w.held(a, "", w.claim("S1", "FLU", 0))
		for n := range 2 {
			w.book(a, 2+n, w.claim("S2", "RSV", 1))
		}
		time.Sleep(2 * time.Second)
		for _, by := range []allocator.Area{allocator.AreaSite, allocator.AreaRegion} {
			reply, err := a.FreeCapacity(ctx, allocator.FreeCapacityRequest{By: by})
			if err != nil {
				t.Fatal(err)
			}
			sums, free := make(map[allocator.ServiceCode]int), make(map[allocator.ServiceCode]int)
			for _, r := range reply.Rows {
				free[r.Service] += r.Free
				if r.Week%7 != 4 { // 1970-01-05 was a Monday
					t.Errorf("a week begins on %v", r.Week)
				}
				if r.Open > r.Sites || r.Free > r.Places || by == allocator.AreaSite && r.Sites != 1 {
					t.Errorf("%+v", r)
				}
			}
			for _, service := range []allocator.ServiceCode{"RSV", "FLU"} {
				for _, site := range []allocator.SiteID{"S1", "S2", "S3"} {
					shown, err := a.Availability(ctx, allocator.AvailabilityRequest{Site: site, Service: service})
					if err != nil {
						t.Fatal(err)
					}
					for _, day := range shown.Days {
						for _, slot := range day.Slots {
							sums[service] += slot.Free
						}
					}
				}
				if sums[service] == 0 || free[service] != sums[service] {
					t.Errorf("by %s, %d of %s are free, and citizens see %d", by, free[service], service, sums[service])
				}
				if left, err := a.Remaining(ctx, service, "", 0); err != nil || left != sums[service] {
					t.Errorf("%d of %s remain (%v), and citizens see %d", left, service, err, sums[service])
				}
			}
		}
		reply, err := a.FreeCapacity(ctx, allocator.FreeCapacityRequest{By: allocator.AreaSite, Service: "RSV", From: w.day, To: w.day})
		if err != nil || len(reply.Rows) != 2 {
			t.Fatalf("%+v, %v", reply.Rows, err)
		}
		for _, r := range reply.Rows {
			if want := map[string]int{"S1": 1, "S2": 2}[r.Area]; r.Booked != want {
				t.Errorf("%s has %d booked, not %d", r.Area, r.Booked, want)
			}
		}
		if _, err := a.Remaining(ctx, "RSV", "ZZ9", 50_000); allocator.CodeOf(err) != allocator.CodePostcodeUnknown {
			t.Errorf("near nowhere: %v", err)
		}
		for _, bad := range []allocator.FreeCapacityRequest{{From: 10, To: 9}, {From: 1, To: 93}, {Service: "NONE"}} {
			if _, err := a.FreeCapacity(ctx, bad); err == nil {
				t.Errorf("%+v is answered", bad)
			}
		}
	})
}
