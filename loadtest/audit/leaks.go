package audit

import (
	"context"
	"fmt"
	"time"

	"muster/allocator"
)

// leaks compares what the server offers with what is left: on a day that only this generator used, and whose holds were given
// back, each place is booked or free. Searches lag behind by a moment, and holds without a definite answer may last until they
// expire, so a slot that does not add up is looked at again for a while, and forgiven what nobody can know.
//
// Only slots of a single pool are looked at: where sessions for different services overlap, how many are free for one of them
// depends on where the others sit.
func (x *auditor) leaks(ctx context.Context) error {
	switch {
	case x.API == nil || x.Books == nil:
		return nil // that is told already
	case !x.Exclusive:
		x.a.Unchecked = append(x.a.Unchecked, "leaked places: others may have held or booked on these days too")
		return nil
	}
	x.a.Sources = append(x.a.Sources, "what the server offers after the run")
	deadline := time.Now().Add(x.Settle)
	open := make(map[siteDate]bool)
	var dates []siteDate
	for at := range x.days {
		dates = append(dates, at)
		open[at] = true
	}
	for {
		final := !time.Now().Before(deadline)
		err := each(ctx, dates, func(ctx context.Context, at siteDate) error {
			clean, err := x.leaksOf(ctx, at, final)
			x.mu.Lock()
			defer x.mu.Unlock()
			open[at] = !clean
			return err
		})
		if err != nil || final {
			return err
		}
		var left []siteDate
		for _, at := range dates {
			if open[at] {
				left = append(left, at)
			}
		}
		if len(left) == 0 {
			return nil
		}
		dates = left
		pause(ctx, 250*time.Millisecond)
	}
}

// leaksOf says whether a day adds up; where it does not and this is the final look, it is a violation.
func (x *auditor) leaksOf(ctx context.Context, at siteDate, final bool) (clean bool, err error) {
	x.mu.Lock()
	day := x.days[at]
	x.mu.Unlock()
	taken := make(map[Slot]int)
	for _, row := range day.Rows {
		if row.Live {
			taken[row.Slot]++
		}
	}
	offers := make(map[allocator.ServiceCode]map[Slot]int)
	clean = true
	for _, s := range day.Slots {
		if len(s.Pools) != 1 || s.Pools[0].Access != 0 || s.Pools[0].Kept != 0 || len(s.Pools[0].Services) == 0 {
			continue
		}
		pool, slot := s.Pools[0], slotOf(s.ID)
		service := pool.Services[0]
		if offers[service] == nil {
			if offers[service], err = x.API.free(ctx, at.site, at.date, string(service)); err != nil {
				return false, err
			}
		}
		free, doubt := offers[service][slot], x.e.unknown[slot]
		missing := pool.Capacity - taken[slot] - free
		if missing >= 0 && missing <= doubt || pool.Capacity < taken[slot] {
			continue // it adds up, or is oversold, which is counted already
		}
		clean = false
		if final {
			found := x.probe(ctx, slot, string(service))
			x.mu.Lock()
			x.a.Add(&x.a.Leaked, fmt.Sprintf("%s has %d places, %d booked and %d on offer; %s; %s", show(slot), pool.Capacity, taken[slot], free, found, x.told(slot)))
			x.mu.Unlock()
		}
	}
	return clean, nil
}

// probe tries to get a place at a slot, and gives it back: it tells a place that nobody can get from one that is only not shown.
func (x *auditor) probe(ctx context.Context, slot Slot, service string) string {
	token, err := x.API.hold(ctx, slot, service)
	if err != nil {
		return "a hold there is refused: " + err.Error()
	}
	if err := x.API.release(ctx, token); err != nil {
		return "a hold there is granted, and not given back: " + err.Error()
	}
	return "a hold there is granted, so it is only not shown"
}

// told is what citizens were told of a slot.
func (x *auditor) told(slot Slot) string {
	live, ended, left := 0, 0, 0
	for _, b := range x.e.bookings {
		if b.Slot == slot && b.State == Live {
			live++
		} else if b.Slot == slot {
			ended++
		}
	}
	for _, h := range x.e.holds {
		for _, s := range h.Slots {
			if s == slot {
				left++
			}
		}
	}
	return fmt.Sprintf("citizens were told of %d bookings there, %d that ended, and left %d holds", live, ended, left)
}
