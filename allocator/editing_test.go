package allocator_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"muster/allocator"
)

// A dry run tells what the edit then does, for random days, bookings and edits; and repeated, an edit finds nothing to do.
func TestDryRunIsWhatTheEditDoes(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		rng := rand.New(rand.NewPCG(7, 7))
		a := w.serve()
		ctx := context.Background()
		for day := range allocator.Date(6) {
			sessions := []allocator.Session{
				{ID: "early", From: 540, Until: 600, SlotLength: 10, Capacity: 1 + rng.IntN(3), Services: []allocator.ServiceCode{"RSV"}},
				{ID: "late", From: 600, Until: 660, SlotLength: 10, Capacity: 1 + rng.IntN(3), Services: []allocator.ServiceCode{"RSV", "FLU"}},
			}
			if _, err := a.PublishDay(ctx, allocator.PublishRequest{Site: "S1", Date: w.day + day, Day: allocator.Day{Sessions: sessions[:1+rng.IntN(2)]}}); err != nil {
				t.Fatal(err)
			}
		}
		for n := range 60 {
			day := w.day + allocator.Date(rng.IntN(6))
			claim := allocator.ClaimRequest{Site: "S1", Service: "RSV", Start: day.At(allocator.TimeOfDay(540+10*rng.IntN(12)), w.zone)}
			if h, err := w.hold(a, "", claim); err == nil && n%6 > 0 {
				if _, err := w.confirm(a, h.Token, person(n+1)); err != nil {
					t.Fatal(err)
				}
			}
		}
		edits := []allocator.Edit{allocator.EditClose, allocator.EditStop, allocator.EditOpen, allocator.EditBlock, allocator.EditUnblock, allocator.EditCapacity}
		changed, unsupported, cancelled, failed := 0, 0, 0, 0
		for range 80 {
			from := w.day + allocator.Date(rng.IntN(6))
			r := allocator.EditRequest{Site: "S1", From: from, To: from + allocator.Date(rng.IntN(5)), Cancel: rng.IntN(6) == 0, DryRun: true}
			r.Edit = allocator.DayEdit{Do: edits[rng.IntN(len(edits))], From: 570, Until: allocator.TimeOfDay(580 + 10*rng.IntN(9)), Capacity: 1 + rng.IntN(4)}
			if r.Edit.Do == allocator.EditClose && rng.IntN(8) > 0 {
				r.Edit.Do = allocator.EditCapacity // or soon nothing is left
			}
			if rng.IntN(2) == 0 {
				r.Edit.Sessions = []string{[]string{"early", "late"}[rng.IntN(2)]}
			}
			if rng.IntN(3) == 0 {
				r.Weekdays = []time.Weekday{time.Weekday(rng.IntN(7)), time.Weekday(rng.IntN(7))}
			}
			told, err := a.EditDays(ctx, r)
			if err != nil {
				t.Fatalf("%+v: %v", r, err)
			}
			r.DryRun = false
			done, err := a.EditDays(ctx, r)
			if err != nil || len(done) != len(told) {
				t.Fatalf("%+v: %d days were told, %d done, %v", r, len(told), len(done), err)
			}
			for i := range done {
				if fmt.Sprint(done[i].Err) != fmt.Sprint(told[i].Err) {
					t.Errorf("%+v: told %v, then %v", r, told[i].Err, done[i].Err)
				}
				if done[i].Err != nil {
					failed++
					continue
				}
				if !reflect.DeepEqual(done[i], told[i]) {
					t.Errorf("%+v:\ntold %+v\ndone %+v", r, told[i], done[i])
				}
				changed++
				unsupported += len(done[i].Reply.NewlyUnsupported)
				cancelled += len(done[i].Reply.Cancelled)
			}
			again, err := a.EditDays(ctx, r)
			if err != nil {
				t.Fatal(err)
			}
			for _, day := range again {
				if day.Err == nil {
					t.Errorf("%+v, repeated, changes %v", r, day.Date)
				}
			}
		}
		if changed < 40 || unsupported == 0 || cancelled == 0 {
			t.Errorf("%d days changed, %d bookings unsupported, %d cancelled, %d days failed: too little to tell", changed, unsupported, cancelled, failed)
		}
		time.Sleep(7 * time.Minute) // holds that nobody confirmed lapse
		w.sameAsLedger(a)
	})
}

// What one edit does another takes back, and only what was meant is touched.
func TestEditsOfSessions(t *testing.T) {
	day := []allocator.Session{
		{ID: "a", From: 540, Until: 600, SlotLength: 10, Capacity: 2, Breaks: []allocator.Break{{From: 560, Until: 570}}},
		{ID: "b", From: 600, Until: 720, SlotLength: 10, Capacity: 3},
	}
	original := fmt.Sprint(day)
	apply := func(sessions []allocator.Session, e allocator.DayEdit) []allocator.Session { return e.Apply(sessions) }
	blocked := apply(day, allocator.DayEdit{Do: allocator.EditBlock, From: 580, Until: 630})
	if fmt.Sprint(blocked[0].Breaks, blocked[1].Breaks) != "[{09:20 09:30} {09:40 10:00}] [{10:00 10:30}]" {
		t.Errorf("blocked: %v", blocked)
	}
	if back := apply(blocked, allocator.DayEdit{Do: allocator.EditUnblock, From: 580, Until: 630}); fmt.Sprint(back) != original {
		t.Errorf("unblocked: %v", back)
	}
	stopped := apply(day, allocator.DayEdit{Do: allocator.EditStop, Sessions: []string{"b"}})
	if stopped[0].Stopped || !stopped[1].Stopped {
		t.Errorf("stopped: %v", stopped)
	}
	if back := apply(stopped, allocator.DayEdit{Do: allocator.EditOpen}); fmt.Sprint(back) != original {
		t.Errorf("opened: %v", back)
	}
	if left := apply(day, allocator.DayEdit{Do: allocator.EditClose, Sessions: []string{"a"}}); len(left) != 1 || left[0].ID != "b" {
		t.Errorf("closed: %v", left)
	}
	if fmt.Sprint(day) != original {
		t.Errorf("the argument was changed: %v", day)
	}
}
