package memoryledger

import (
	"context"
	"slices"
	"strconv"

	"muster/allocator"
)

// Events pages by position; the cursor is the number of events before it.
func (l *Ledger) Events(ctx context.Context, after string, limit int) ([]allocator.Event, string, error) {
	if err := l.enter(ctx); err != nil {
		return nil, "", err
	}
	defer l.leave()
	from := 0
	if after != "" {
		var err error
		if from, err = strconv.Atoi(after); err != nil || from < 0 || from > len(l.events) {
			return nil, "", allocator.Refuse(allocator.CodeInvalid, "not a cursor of this ledger")
		}
	}
	page := slices.Clone(l.events[from:min(len(l.events), from+limit)])
	return page, strconv.Itoa(from + len(page)), nil
}

// emit appends events, each with its cursor.
func (l *Ledger) emit(events ...allocator.Event) {
	for _, e := range events {
		e.Cursor = strconv.Itoa(len(l.events) + 1)
		e.Actor, e.Request = allocator.ReadAuthor(e.Actor)
		l.events = append(l.events, e)
	}
}

// AppendTrail compares and appends.
func (l *Ledger) AppendTrail(ctx context.Context, after int64, entries []allocator.TrailEntry) (bool, error) {
	if err := l.enter(ctx); err != nil {
		return false, err
	}
	defer l.leave()
	if int64(len(l.trail)) != after {
		return false, nil
	}
	l.trail = append(l.trail, entries...)
	return true, nil
}

// Trail looks through all of it.
func (l *Ledger) Trail(ctx context.Context, q allocator.TrailQuery) (found []allocator.TrailEntry, err error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.leave()
	for _, t := range l.trail[min(max(q.After, 0), int64(len(l.trail))):] {
		if len(found) == q.Limit {
			break
		}
		e := &t.Event
		if (q.Site == "" || q.Site == e.Site) && (q.Booking == 0 || q.Booking == e.Booking) && (q.Actor == "" || q.Actor == e.Actor) &&
			(q.From.IsZero() || !e.At.Before(q.From)) && (q.To.IsZero() || e.At.Before(q.To)) {
			found = append(found, t)
		}
	}
	return found, nil
}

// TrailEnd reads the last entry.
func (l *Ledger) TrailEnd(ctx context.Context) (allocator.TrailEntry, error) {
	if err := l.enter(ctx); err != nil {
		return allocator.TrailEntry{}, err
	}
	defer l.leave()
	if len(l.trail) == 0 {
		return allocator.TrailEntry{}, nil
	}
	return l.trail[len(l.trail)-1], nil
}
