package audit

import (
	"context"
	"fmt"
	"time"

	"muster/allocator"
)

// Ledger reads the books where they are kept, past the server. Safe for concurrent use.
type Ledger struct {
	Port  allocator.Ledger
	Where string
}

// Name is books.
func (l *Ledger) Name() string { return "the ledger itself, " + l.Where }

// Zone is books.
func (l *Ledger) Zone(ctx context.Context, site string) (*time.Location, error) {
	s, ok, err := l.Port.Site(ctx, allocator.SiteID(site))
	if err == nil && !ok {
		err = fmt.Errorf("the ledger knows no site %s", site)
	}
	if err != nil {
		return nil, err
	}
	return time.LoadLocation(s.TimeZone)
}

// Day is books.
func (l *Ledger) Day(ctx context.Context, site, date string) (Day, error) {
	on, err := allocator.ParseDate(date)
	if err != nil {
		return Day{}, err
	}
	document, bookings, err := l.Port.DayBookings(ctx, allocator.SiteID(site), on)
	if err != nil {
		return Day{}, err
	}
	zone, err := l.Zone(ctx, site)
	if err != nil {
		return Day{}, err
	}
	day := Day{Slots: document.Slots(zone)}
	for i := range bookings {
		b := &bookings[i]
		row := Row{Reference: b.Key.Reference(), Slot: Slot{string(b.Slot.Site), int64(b.Slot.Start), int(b.Slot.Length)},
			Service: string(b.Service), Live: b.Status.Live(), Place: int(b.Place)}
		if b.OnePerson && b.Person != (allocator.PersonKey{}) {
			row.Person = fmt.Sprintf("%x %s %d", b.Person, b.Programme, b.Dose)
		}
		day.Rows = append(day.Rows, row)
	}
	return day, nil
}
