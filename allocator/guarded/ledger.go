package guarded

import (
	"context"
	"time"

	"muster/allocator"
)

// ledger guards what requests wait for; the rest is background work and the start.
type ledger struct {
	allocator.Ledger
	guard *Guard
}

// Ledger gives a ledger that answers as next does.
func (g *Guard) Ledger(next allocator.Ledger) allocator.Ledger { return &ledger{next, g} }

func (l *ledger) call(call func() error) error { return through(l.guard.ledger, ledgerDead, call) }

func (l *ledger) PutSite(ctx context.Context, site allocator.Site, actor string) (created bool, err error) {
	err = l.call(func() (err error) {
		created, err = l.Ledger.PutSite(ctx, site, actor)
		return err
	})
	return created, err
}

func (l *ledger) PutOwnSite(ctx context.Context, site allocator.Site, actor string) (created bool, err error) {
	err = l.call(func() (err error) {
		created, err = l.Ledger.PutOwnSite(ctx, site, actor)
		return err
	})
	return created, err
}

func (l *ledger) PutService(ctx context.Context, service allocator.Service, actor string) (created bool, err error) {
	err = l.call(func() (err error) {
		created, err = l.Ledger.PutService(ctx, service, actor)
		return err
	})
	return created, err
}

func (l *ledger) Site(ctx context.Context, id allocator.SiteID) (site allocator.Site, ok bool, err error) {
	err = l.call(func() (err error) {
		site, ok, err = l.Ledger.Site(ctx, id)
		return err
	})
	return site, ok, err
}

func (l *ledger) Day(ctx context.Context, site allocator.SiteID, date allocator.Date) (day allocator.Day, err error) {
	err = l.call(func() (err error) {
		day, err = l.Ledger.Day(ctx, site, date)
		return err
	})
	return day, err
}

func (l *ledger) Publish(ctx context.Context, changes []allocator.DayChange) (results []allocator.PublishResult, err error) {
	err = l.call(func() (err error) {
		results, err = l.Ledger.Publish(ctx, changes)
		return err
	})
	return results, err
}

func (l *ledger) Record(ctx context.Context, items []allocator.Recording) (results []allocator.RecordResult, err error) {
	err = l.call(func() (err error) {
		results, err = l.Ledger.Record(ctx, items)
		return err
	})
	return results, err
}

func (l *ledger) Void(ctx context.Context, items []allocator.Voiding) (results []allocator.RecordResult, err error) {
	err = l.call(func() (err error) {
		results, err = l.Ledger.Void(ctx, items)
		return err
	})
	return results, err
}

func (l *ledger) Transition(ctx context.Context, t allocator.Transition) (result allocator.TransitionResult, err error) {
	err = l.call(func() (err error) {
		result, err = l.Ledger.Transition(ctx, t)
		return err
	})
	return result, err
}

func (l *ledger) Bookings(ctx context.Context, keys []allocator.BookingKey) (rows []allocator.Booking, err error) {
	err = l.call(func() (err error) {
		rows, err = l.Ledger.Bookings(ctx, keys)
		return err
	})
	return rows, err
}

func (l *ledger) Suspend(ctx context.Context, change allocator.SuspensionChange) (result allocator.SuspensionResult, err error) {
	err = l.call(func() (err error) {
		result, err = l.Ledger.Suspend(ctx, change)
		return err
	})
	return result, err
}

func (l *ledger) SitePlan(ctx context.Context, site allocator.SiteID) (plan allocator.SitePlan, err error) {
	err = l.call(func() (err error) {
		plan, err = l.Ledger.SitePlan(ctx, site)
		return err
	})
	return plan, err
}

func (l *ledger) PutPlan(ctx context.Context, plan allocator.SitePlan) (stored bool, err error) {
	err = l.call(func() (err error) {
		stored, err = l.Ledger.PutPlan(ctx, plan)
		return err
	})
	return stored, err
}

func (l *ledger) Booking(ctx context.Context, key allocator.BookingKey, subject allocator.Subject) (row allocator.Booking, ok bool, err error) {
	err = l.call(func() (err error) {
		row, ok, err = l.Ledger.Booking(ctx, key, subject)
		return err
	})
	return row, ok, err
}

func (l *ledger) PersonBookings(ctx context.Context, person allocator.PersonKey, limit int) (rows []allocator.Booking, err error) {
	err = l.call(func() (err error) {
		rows, err = l.Ledger.PersonBookings(ctx, person, limit)
		return err
	})
	return rows, err
}

func (l *ledger) Slot(ctx context.Context, slot allocator.SlotID, date allocator.Date) (day allocator.Day, rows []allocator.Booking, err error) {
	err = l.call(func() (err error) {
		day, rows, err = l.Ledger.Slot(ctx, slot, date)
		return err
	})
	return day, rows, err
}

func (l *ledger) DayBookings(ctx context.Context, site allocator.SiteID, date allocator.Date) (day allocator.Day, rows []allocator.Booking, err error) {
	err = l.call(func() (err error) {
		day, rows, err = l.Ledger.DayBookings(ctx, site, date)
		return err
	})
	return day, rows, err
}

func (l *ledger) Events(ctx context.Context, after string, limit int) (events []allocator.Event, next string, err error) {
	err = l.call(func() (err error) {
		events, next, err = l.Ledger.Events(ctx, after, limit)
		return err
	})
	return events, next, err
}

// Now is asked every second: it finds out that the ledger answers again before any person has to.
func (l *ledger) Now(ctx context.Context) (now time.Time, err error) {
	err = l.call(func() (err error) {
		now, err = l.Ledger.Now(ctx)
		return err
	})
	return now, err
}
