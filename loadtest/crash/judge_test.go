package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest/checkers"
	"muster/loadtest/installation"
)

// lookEvery is the time between two looks at the books.
const lookEvery = 200 * time.Millisecond

// until looks into the books again and again until look is content.
func (l *lane) until(deadline time.Time, look func(ctx context.Context, b *installation.Books) error) error {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	var last error
	for {
		err := l.once(ctx, look)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err // the very last look is cut short by the deadline, and says only that
		}
		if ctx.Err() != nil {
			return last
		}
		pause(ctx, lookEvery)
	}
}

// once looks into the books. They belong to one epoch of each shard: where that has ended, they are opened anew next time.
func (l *lane) once(ctx context.Context, look func(ctx context.Context, b *installation.Books) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if l.books == nil {
		if l.books, err = l.in.OpenBooks(ctx); err != nil {
			return err
		}
	}
	err = look(ctx, l.books)
	if l.books.Inventory == nil || errors.Is(err, allocator.ErrEpochStale) || errors.Is(err, allocator.ErrIncarnationLost) || errors.Is(err, allocator.ErrUnavailable) {
		l.shut()
	}
	return err
}

func (l *lane) shut() {
	if l.books != nil {
		_ = l.books.Close() // they were only read
		l.books = nil
	}
}

// consistent waits until inventory and ledger agree on every site.
func (l *lane) consistent(from since, deadline time.Time) error {
	return l.until(deadline, func(ctx context.Context, b *installation.Books) error {
		for _, p := range l.sites(from) {
			if b.Inventory == nil {
				continue // a held place is as good as a booked one to whoever looks from outside: see quiet
			}
			if err := b.Differ(ctx, p.id); err != nil {
				return err
			}
		}
		return nil
	})
}

// quiet waits until nothing is held or pinned any more. The embedded inventory can be seen only through what it offers:
// once nothing is held, each slot offers what its live bookings leave.
func (l *lane) quiet(from since, deadline time.Time) error {
	return l.until(deadline, func(ctx context.Context, b *installation.Books) error {
		for _, p := range l.sites(from) {
			if b.Inventory == nil {
				if err := l.offers(ctx, b, p); err != nil {
					return err
				}
				continue
			}
			if held, err := b.Held(ctx, p.id); err != nil || held > 0 {
				return fmt.Errorf("%s has %d places held or pinned (%v)", p.id, held, err)
			}
		}
		return nil
	})
}

// offers compares what the server says to be free with what the ledger leaves free, slot by slot.
func (l *lane) offers(ctx context.Context, b *installation.Books, p *place) error {
	day, rows, err := b.Ledger.DayBookings(ctx, p.id, l.desk.date)
	if err != nil {
		return err
	}
	taken := make(map[allocator.Minute][]allocator.ServiceCode)
	for i := range rows {
		if rows[i].Status.Live() {
			taken[rows[i].Slot.Start] = append(taken[rows[i].Slot.Start], rows[i].Service)
		}
	}
	for _, service := range []allocator.ServiceCode{serviceA, serviceB} {
		offered, err := l.offered(ctx, p.id, service)
		if err != nil {
			return err
		}
		for _, slot := range day.Slots(l.desk.zone) {
			if free := freeFor(slot.Pools, taken[slot.ID.Start], service); free != offered[slot.ID.Start] {
				return fmt.Errorf("%s at %v offers %d places of %s, and the ledger leaves %d", p.id, slot.ID.Start.Time(), offered[slot.ID.Start], service, free)
			}
		}
	}
	return nil
}

// freeFor is how many further claims of a service would be granted one after the other: none where it is suspended.
func freeFor(pools []allocator.Pool, taken []allocator.ServiceCode, service allocator.ServiceCode) (free int) {
	if slices.ContainsFunc(pools, func(p allocator.Pool) bool { return slices.Contains(p.Suspended, service) }) {
		return 0
	}
	seated := func(claims []allocator.ServiceCode) (n int) {
		for _, ok := range allocator.Seat(pools, claims) {
			if ok {
				n++
			}
		}
		return n
	}
	claims := append([]allocator.ServiceCode(nil), taken...)
	for n := seated(claims); ; free++ {
		claims = append(claims, service)
		more := seated(claims)
		if more == n {
			return free
		}
		n = more
	}
}

// offered is what search says to be free, by start.
func (l *lane) offered(ctx context.Context, site allocator.SiteID, service allocator.ServiceCode) (map[allocator.Minute]int, error) {
	path := fmt.Sprintf("/v1/sites/%s/availability?service=%s&from=%s&to=%s", site, service, l.desk.date, l.desk.date)
	a := l.desk.one(ctx, l.victim, request{method: http.MethodGet, path: path})
	var got struct {
		Days []struct {
			Slots []struct {
				Start time.Time
				Free  int
			}
		}
	}
	if !a.ok() {
		return nil, fmt.Errorf("GET %s: %v", path, a)
	}
	if err := json.Unmarshal(a.body, &got); err != nil {
		return nil, err
	}
	free := make(map[allocator.Minute]int)
	for _, day := range got.Days {
		for _, slot := range day.Slots {
			free[allocator.MinuteOf(slot.Start)] = slot.Free
		}
	}
	return free, nil
}

// check has the checkers judge all that was said and done since.
func (l *lane) check(from since) ([]checkers.Violation, checkers.Stats, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	history, violations, e := l.desk.testimony(from)
	if err := l.once(ctx, func(ctx context.Context, b *installation.Books) error { return l.read(ctx, b, from, e) }); err != nil {
		return nil, checkers.Stats{}, err
	}
	found, stats := checkers.Check(history, e)
	return append(violations, found...), stats, nil
}

// read gathers what ledger and inventory have of the sites that were opened since.
func (l *lane) read(ctx context.Context, b *installation.Books, from since, e *checkers.Evidence) error {
	own := make(map[allocator.SiteID]bool)
	for _, p := range l.sites(from) {
		own[p.id] = true
		day, err := b.Ledger.Day(ctx, p.id, l.desk.date) // the last version may be one whose publisher left
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(e.Days, func(d allocator.Day) bool { return d.Site == day.Site && d.Revision == day.Revision }) {
			e.Days = append(e.Days, day)
		}
		if b.Inventory == nil {
			continue
		}
		view, _, err := b.Site(ctx, p.id)
		if err != nil {
			return err
		}
		e.Inventory = append(e.Inventory, view)
	}
	rows, err := b.Bookings(ctx)
	if err != nil {
		return err
	}
	events, err := b.Events(ctx)
	if err != nil {
		return err
	}
	e.Bookings = slices.DeleteFunc(rows, func(row allocator.Booking) bool { return !own[row.Slot.Site] })
	e.Events = slices.DeleteFunc(events, func(event allocator.Event) bool { return !own[event.Site] })
	return nil
}
