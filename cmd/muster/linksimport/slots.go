package linksimport

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"muster/allocator"
	"muster/publicweb"
)

// slotLine is a slot as it waits for the others of its day.
type slotLine struct {
	start    allocator.Minute
	schedule int32
	places   int32
	length   int16 // minutes
	busy     bool
}

// slot takes a slot in.
func (r *run) slot(_ context.Context, line []byte) error {
	v, err := read(line, "Slot")
	if err != nil {
		return err
	}
	r.report.Slots++
	if r.report.Slots > r.Limits.Slots {
		return &fatal{publicweb.Refuse("more than %d slots", r.Limits.Slots)}
	}
	var s slotLine
	if s.schedule, err = r.scheduleOf(v); err != nil {
		return err
	}
	if s.start, err = r.instant(v.Start); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	end, err := r.instant(v.End)
	if err != nil {
		return fmt.Errorf("end: %w", err)
	}
	length := end - s.start
	if length < allocator.MinSlotMinutes || length > allocator.MaxSlotMinutes {
		return fmt.Errorf("lasts %d minutes, not %d to %d", length, allocator.MinSlotMinutes, allocator.MaxSlotMinutes)
	}
	s.length = int16(length)
	if s.busy, err = r.busy(v.Status); err != nil {
		return err
	}
	if s.places, err = r.places(v); err != nil {
		return err
	}
	site := r.services[s.schedule].site
	if r.perSite[site]++; int(r.perSite[site]) > r.Limits.SlotsPerSite {
		return &fatal{publicweb.Refuse("a location has more than %d slots", r.Limits.SlotsPerSite)}
	}
	if err := r.spill.add(site, &s); err != nil {
		return &fatal{err}
	}
	return nil
}

// scheduleOf finds a slot's schedule. Where it names none and there is only one, it is that.
func (r *run) scheduleOf(v *resource) (int32, error) {
	id, ok := r.refer(v.Schedule.Reference, "Schedule")
	if v.Schedule.Reference == "" && len(r.services) == 1 {
		r.tolerate("schedule-missing")
		return 0, nil
	}
	if !ok {
		return 0, errors.New("names no schedule")
	}
	at, known := r.schedules[id]
	if !known || at < 0 {
		return 0, errors.New("names a schedule that was not read")
	}
	return at, nil
}

// busy reads a slot's status.
func (r *run) busy(status string) (bool, error) {
	plain := strings.ToLower(strings.TrimSpace(status))
	if plain != status {
		r.tolerate("status-in-other-letters")
	}
	switch plain {
	case "free":
		return false, nil
	case "busy", "busy-unavailable", "busy-tentative":
		return true, nil
	}
	return false, fmt.Errorf("has the status %.40q, not free or busy", status)
}

// places reads a slot's capacity; a slot that says nothing of it is for one person.
func (r *run) places(v *resource) (int32, error) {
	for _, e := range v.Extension {
		if !strings.HasSuffix(e.URL, "/slot-capacity") || !e.Number.given {
			continue
		}
		n := r.number(e.Number)
		if n != float64(int32(n)) || n < 1 || n > allocator.MaxSessionCapacity {
			return 0, fmt.Errorf("has a capacity of %g, not 1 to %d", n, allocator.MaxSessionCapacity)
		}
		return int32(n), nil
	}
	r.tolerate("capacity-missing")
	return 1, nil
}
