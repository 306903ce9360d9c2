package observed

import (
	"context"
	"time"

	"muster/allocator"
)

func (l *ledger) Services(ctx context.Context) ([]allocator.Service, error) {
	c := l.port.begin("Services")
	services, err := l.next.Services(ctx)
	c.end(err)
	return services, err
}

func (l *ledger) Sites(ctx context.Context, after allocator.SiteID, limit int) ([]allocator.Site, error) {
	c := l.port.begin("Sites")
	sites, err := l.next.Sites(ctx, after, limit)
	c.end(err)
	return sites, err
}

func (l *ledger) Site(ctx context.Context, id allocator.SiteID) (allocator.Site, bool, error) {
	c := l.port.begin("Site")
	site, ok, err := l.next.Site(ctx, id)
	c.end(err)
	return site, ok, err
}

func (l *ledger) Days(ctx context.Context, after allocator.DayRevision, from allocator.Date, limit int) ([]allocator.Day, error) {
	c := l.port.begin("Days")
	days, err := l.next.Days(ctx, after, from, limit)
	c.end(err)
	return days, err
}

func (l *ledger) Day(ctx context.Context, site allocator.SiteID, date allocator.Date) (allocator.Day, error) {
	c := l.port.begin("Day")
	day, err := l.next.Day(ctx, site, date)
	c.end(err)
	return day, err
}

func (l *ledger) SitePlan(ctx context.Context, site allocator.SiteID) (allocator.SitePlan, error) {
	c := l.port.begin("SitePlan")
	plan, err := l.next.SitePlan(ctx, site)
	c.end(err)
	return plan, err
}

func (l *ledger) DuePlans(ctx context.Context, by int64, after allocator.SiteID, limit int) ([]allocator.SitePlan, error) {
	c := l.port.begin("DuePlans")
	plans, err := l.next.DuePlans(ctx, by, after, limit)
	c.end(err)
	return plans, err
}

func (l *ledger) Bookings(ctx context.Context, keys []allocator.BookingKey) ([]allocator.Booking, error) {
	c := l.port.beginBatch("Bookings", len(keys))
	rows, err := l.next.Bookings(ctx, keys)
	c.end(err)
	return rows, err
}

func (l *ledger) Booking(ctx context.Context, key allocator.BookingKey, subject allocator.Subject) (allocator.Booking, bool, error) {
	c := l.port.begin("Booking")
	row, ok, err := l.next.Booking(ctx, key, subject)
	c.end(err)
	return row, ok, err
}

func (l *ledger) PersonBookings(ctx context.Context, person allocator.PersonKey, limit int) ([]allocator.Booking, error) {
	c := l.port.begin("PersonBookings")
	rows, err := l.next.PersonBookings(ctx, person, limit)
	c.end(err)
	return rows, err
}

func (l *ledger) Payloads(ctx context.Context, after allocator.BookingKey, limit int) ([]allocator.Payload, error) {
	c := l.port.begin("Payloads")
	payloads, err := l.next.Payloads(ctx, after, limit)
	c.end(err)
	return payloads, err
}

func (l *ledger) Reseal(ctx context.Context, items []allocator.Resealing) (int, error) {
	c := l.port.beginBatch("Reseal", len(items))
	changed, err := l.next.Reseal(ctx, items)
	c.end(err)
	return changed, err
}

func (l *ledger) Slot(ctx context.Context, slot allocator.SlotID, date allocator.Date) (allocator.Day, []allocator.Booking, error) {
	c := l.port.begin("Slot")
	day, rows, err := l.next.Slot(ctx, slot, date)
	c.end(err)
	return day, rows, err
}

func (l *ledger) DayBookings(ctx context.Context, site allocator.SiteID, date allocator.Date) (allocator.Day, []allocator.Booking, error) {
	c := l.port.begin("DayBookings")
	day, rows, err := l.next.DayBookings(ctx, site, date)
	c.end(err)
	return day, rows, err
}

func (l *ledger) SiteState(ctx context.Context, site allocator.SiteID, from allocator.Minute, endedSince time.Time) (allocator.SiteLedger, error) {
	c := l.port.begin("SiteState")
	state, err := l.next.SiteState(ctx, site, from, endedSince)
	c.end(err)
	return state, err
}

func (l *ledger) LivePlaces(ctx context.Context, ranges []allocator.PlaceRange) ([]allocator.PlaceState, error) {
	c := l.port.beginBatch("LivePlaces", len(ranges))
	places, err := l.next.LivePlaces(ctx, ranges)
	c.end(err)
	return places, err
}

func (l *ledger) Generations(ctx context.Context) (map[allocator.SiteID]int64, error) {
	c := l.port.begin("Generations")
	generations, err := l.next.Generations(ctx)
	c.end(err)
	return generations, err
}

func (l *ledger) Changed(ctx context.Context, since time.Time) (allocator.Changed, error) {
	c := l.port.begin("Changed")
	changed, err := l.next.Changed(ctx, since)
	c.end(err)
	return changed, err
}

func (l *ledger) Webhook(ctx context.Context, id string) (allocator.WebhookRow, bool, error) {
	c := l.port.begin("Webhook")
	row, ok, err := l.next.Webhook(ctx, id)
	c.end(err)
	return row, ok, err
}

func (l *ledger) Webhooks(ctx context.Context, after string, limit int) ([]allocator.WebhookRow, error) {
	c := l.port.begin("Webhooks")
	rows, err := l.next.Webhooks(ctx, after, limit)
	c.end(err)
	return rows, err
}
