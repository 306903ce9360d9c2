package linksimport

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"muster/allocator"
)

// kind is what slots of one session have in common.
type kind struct {
	service allocator.ServiceCode
	length  int16
	busy    bool
	places  int32
}

// piece is a session in the making, by instants.
type piece struct {
	kind
	from, until allocator.Minute
	breaks      [][2]allocator.Minute
}

// sessionsOf makes a day's slots into sessions: equal slots that lie on one grid become a session, with breaks where others
// or none are between them. Slots of one schedule, time and status add up, as do their capacities.
func sessionsOf(slots []slotLine, serviceOf func(schedule int32) allocator.ServiceCode, zone *time.Location) ([]allocator.Session, error) {
	slots = summed(slots, serviceOf)
	var pieces []*piece
	open := make(map[kind]*piece)
	for _, s := range slots {
		k := kind{serviceOf(s.schedule), s.length, s.busy, s.places}
		p, end := open[k], s.start+allocator.Minute(s.length)
		switch {
		case p != nil && p.until == s.start:
			p.until = end
		case p != nil && p.until < s.start && (s.start-p.until)%allocator.Minute(s.length) == 0 && len(p.breaks) < allocator.MaxBreaksPerSession:
			p.breaks = append(p.breaks, [2]allocator.Minute{p.until, s.start})
			p.until = end
		default:
			p = &piece{kind: k, from: s.start, until: end}
			open[k] = p
			pieces = append(pieces, p)
		}
	}
	sessions := make([]allocator.Session, 0, len(pieces))
	for _, p := range pieces {
		session, err := p.session(zone)
		if err != nil {
			return nil, err
		}
		sessions = append(sessions, session)
	}
	return sessions, nil
}

// summed sorts slots by start, and makes those that are the same one.
func summed(slots []slotLine, serviceOf func(int32) allocator.ServiceCode) []slotLine {
	same := func(a, b slotLine) int {
		busy := 0
		if a.busy != b.busy {
			busy = 1
			if b.busy {
				busy = -1
			}
		}
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(serviceOf(a.schedule), serviceOf(b.schedule)), cmp.Compare(a.length, b.length), busy)
	}
	slices.SortStableFunc(slots, same)
	kept := slots[:0]
	for _, s := range slots {
		if n := len(kept); n > 0 && same(kept[n-1], s) == 0 {
			kept[n-1].places = min(kept[n-1].places+s.places, allocator.MaxSlotCapacity)
			continue
		}
		kept = append(kept, s)
	}
	return kept
}

var errRepeatedHour = errors.New("lies in the hour that the clock change repeats, or ends on another day than it starts: a session cannot say so")

// session writes a piece by the site's clocks, and makes sure that they say the same.
func (p *piece) session(zone *time.Location) (allocator.Session, error) {
	date := allocator.DateOf(p.from.Time().In(zone))
	fault := error(nil)
	of := func(at allocator.Minute, end bool) allocator.TimeOfDay {
		if end && at == allocator.MinuteOf((date+1).Begins(zone)) {
			return 24 * 60
		}
		local := at.Time().In(zone)
		time := allocator.TimeOfDay(local.Hour()*60 + local.Minute())
		if allocator.DateOf(local) != date || allocator.MinuteOf(date.At(time, zone)) != at {
			fault = fmt.Errorf("a slot from %s %w", p.from.Time().In(zone).Format("2006-01-02 15:04"), errRepeatedHour)
		}
		return time
	}
	s := allocator.Session{
		From: of(p.from, false), Until: of(p.until, true), SlotLength: int(p.length), Capacity: int(p.places),
		Services: []allocator.ServiceCode{p.service}, Stopped: p.busy,
	}
	for _, b := range p.breaks {
		s.Breaks = append(s.Breaks, allocator.Break{From: of(b[0], false), Until: of(b[1], false)})
	}
	return s, fault
}
