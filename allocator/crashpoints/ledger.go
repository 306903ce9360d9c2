package crashpoints

import (
	"context"
	"time"

	"muster/allocator"
)

// Ledger gives a ledger that answers exactly as next does, between its points.
func (p *Plan) Ledger(next allocator.Ledger) allocator.Ledger { return &ledger{next, p} }

type ledger struct {
	next allocator.Ledger
	plan *Plan
}

func (l *ledger) Check(ctx context.Context) error {
	return l.plan.Around("check", func() error { return l.next.Check(ctx) })
}

func (l *ledger) Agree(ctx context.Context, name string, candidate []byte) ([]byte, error) {
	return around(l.plan, "agree", func() ([]byte, error) { return l.next.Agree(ctx, name, candidate) })
}

func (l *ledger) Amend(ctx context.Context, name string, was, now []byte) ([]byte, error) {
	return around(l.plan, "amend", func() ([]byte, error) { return l.next.Amend(ctx, name, was, now) })
}

func (l *ledger) Epochs(ctx context.Context) (map[int]allocator.ShardEpoch, error) {
	return around(l.plan, "epochs", func() (map[int]allocator.ShardEpoch, error) { return l.next.Epochs(ctx) })
}

func (l *ledger) OpenEpoch(ctx context.Context, shard int, expected int64, identity string) (epoch allocator.ShardEpoch, won bool, err error) {
	err = l.plan.Around("open-epoch", func() error {
		epoch, won, err = l.next.OpenEpoch(ctx, shard, expected, identity)
		return err
	})
	return epoch, won, err
}

func (l *ledger) PutSite(ctx context.Context, site allocator.Site, actor string) (bool, error) {
	return around(l.plan, "put-site", func() (bool, error) { return l.next.PutSite(ctx, site, actor) })
}

func (l *ledger) PutOwnSite(ctx context.Context, site allocator.Site, actor string) (bool, error) {
	return around(l.plan, "put-own-site", func() (bool, error) { return l.next.PutOwnSite(ctx, site, actor) })
}

func (l *ledger) Suspend(ctx context.Context, change allocator.SuspensionChange) (allocator.SuspensionResult, error) {
	return around(l.plan, "suspend", func() (allocator.SuspensionResult, error) { return l.next.Suspend(ctx, change) })
}

func (l *ledger) PutService(ctx context.Context, service allocator.Service, actor string) (bool, error) {
	return around(l.plan, "put-service", func() (bool, error) { return l.next.PutService(ctx, service, actor) })
}

func (l *ledger) Services(ctx context.Context) ([]allocator.Service, error) {
	return around(l.plan, "services", func() ([]allocator.Service, error) { return l.next.Services(ctx) })
}

func (l *ledger) Sites(ctx context.Context, after allocator.SiteID, limit int) ([]allocator.Site, error) {
	return around(l.plan, "sites", func() ([]allocator.Site, error) { return l.next.Sites(ctx, after, limit) })
}

func (l *ledger) Site(ctx context.Context, id allocator.SiteID) (site allocator.Site, ok bool, err error) {
	err = l.plan.Around("site", func() error {
		site, ok, err = l.next.Site(ctx, id)
		return err
	})
	return site, ok, err
}

func (l *ledger) Days(ctx context.Context, after allocator.DayRevision, from allocator.Date, limit int) ([]allocator.Day, error) {
	return around(l.plan, "days", func() ([]allocator.Day, error) { return l.next.Days(ctx, after, from, limit) })
}

func (l *ledger) Day(ctx context.Context, site allocator.SiteID, date allocator.Date) (allocator.Day, error) {
	return around(l.plan, "day", func() (allocator.Day, error) { return l.next.Day(ctx, site, date) })
}

func (l *ledger) SitePlan(ctx context.Context, site allocator.SiteID) (allocator.SitePlan, error) {
	return around(l.plan, "site-plan", func() (allocator.SitePlan, error) { return l.next.SitePlan(ctx, site) })
}

func (l *ledger) PutPlan(ctx context.Context, plan allocator.SitePlan) (bool, error) {
	return around(l.plan, "put-plan", func() (bool, error) { return l.next.PutPlan(ctx, plan) })
}

func (l *ledger) DuePlans(ctx context.Context, by int64, after allocator.SiteID, limit int) ([]allocator.SitePlan, error) {
	return around(l.plan, "due-plans", func() ([]allocator.SitePlan, error) { return l.next.DuePlans(ctx, by, after, limit) })
}

func (l *ledger) Publish(ctx context.Context, changes []allocator.DayChange) ([]allocator.PublishResult, error) {
	return around(l.plan, "publish", func() ([]allocator.PublishResult, error) { return l.next.Publish(ctx, changes) })
}

func (l *ledger) Record(ctx context.Context, items []allocator.Recording) ([]allocator.RecordResult, error) {
	return around(l.plan, "record", func() ([]allocator.RecordResult, error) { return l.next.Record(ctx, items) })
}

func (l *ledger) Void(ctx context.Context, items []allocator.Voiding) ([]allocator.RecordResult, error) {
	return around(l.plan, "void", func() ([]allocator.RecordResult, error) { return l.next.Void(ctx, items) })
}

func (l *ledger) Transition(ctx context.Context, t allocator.Transition) (allocator.TransitionResult, error) {
	return around(l.plan, "transition", func() (allocator.TransitionResult, error) { return l.next.Transition(ctx, t) })
}

func (l *ledger) Bookings(ctx context.Context, keys []allocator.BookingKey) ([]allocator.Booking, error) {
	return around(l.plan, "bookings", func() ([]allocator.Booking, error) { return l.next.Bookings(ctx, keys) })
}

func (l *ledger) Booking(ctx context.Context, key allocator.BookingKey, subject allocator.Subject) (row allocator.Booking, ok bool, err error) {
	err = l.plan.Around("booking", func() error {
		row, ok, err = l.next.Booking(ctx, key, subject)
		return err
	})
	return row, ok, err
}

func (l *ledger) PersonBookings(ctx context.Context, person allocator.PersonKey, limit int) ([]allocator.Booking, error) {
	return around(l.plan, "person-bookings", func() ([]allocator.Booking, error) { return l.next.PersonBookings(ctx, person, limit) })
}

func (l *ledger) Payloads(ctx context.Context, after allocator.BookingKey, limit int) ([]allocator.Payload, error) {
	return around(l.plan, "payloads", func() ([]allocator.Payload, error) { return l.next.Payloads(ctx, after, limit) })
}

func (l *ledger) Reseal(ctx context.Context, items []allocator.Resealing) (int, error) {
	return around(l.plan, "reseal", func() (int, error) { return l.next.Reseal(ctx, items) })
}

func (l *ledger) Slot(ctx context.Context, slot allocator.SlotID, date allocator.Date) (day allocator.Day, rows []allocator.Booking, err error) {
	err = l.plan.Around("slot", func() error {
		day, rows, err = l.next.Slot(ctx, slot, date)
		return err
	})
	return day, rows, err
}

func (l *ledger) DayBookings(ctx context.Context, site allocator.SiteID, date allocator.Date) (day allocator.Day, rows []allocator.Booking, err error) {
	err = l.plan.Around("day-bookings", func() error {
		day, rows, err = l.next.DayBookings(ctx, site, date)
		return err
	})
	return day, rows, err
}

func (l *ledger) SiteState(ctx context.Context, site allocator.SiteID, from allocator.Minute, endedSince time.Time) (allocator.SiteLedger, error) {
	return around(l.plan, "site-state", func() (allocator.SiteLedger, error) { return l.next.SiteState(ctx, site, from, endedSince) })
}

func (l *ledger) LivePlaces(ctx context.Context, ranges []allocator.PlaceRange) ([]allocator.PlaceState, error) {
	return around(l.plan, "live-places", func() ([]allocator.PlaceState, error) { return l.next.LivePlaces(ctx, ranges) })
}

func (l *ledger) Generations(ctx context.Context) (map[allocator.SiteID]int64, error) {
	return around(l.plan, "generations", func() (map[allocator.SiteID]int64, error) { return l.next.Generations(ctx) })
}

func (l *ledger) Changed(ctx context.Context, since time.Time) (allocator.Changed, error) {
	return around(l.plan, "changed", func() (allocator.Changed, error) { return l.next.Changed(ctx, since) })
}

func (l *ledger) Events(ctx context.Context, after string, limit int) (events []allocator.Event, next string, err error) {
	err = l.plan.Around("events", func() error {
		events, next, err = l.next.Events(ctx, after, limit)
		return err
	})
	return events, next, err
}

func (l *ledger) LastEvent(ctx context.Context) (string, error) {
	return around(l.plan, "last-event", func() (string, error) { return l.next.LastEvent(ctx) })
}

func (l *ledger) Webhooks(ctx context.Context, after string, limit int) ([]allocator.WebhookRow, error) {
	return around(l.plan, "webhooks", func() ([]allocator.WebhookRow, error) { return l.next.Webhooks(ctx, after, limit) })
}

func (l *ledger) Webhook(ctx context.Context, id string) (row allocator.WebhookRow, ok bool, err error) {
	err = l.plan.Around("webhook", func() error {
		row, ok, err = l.next.Webhook(ctx, id)
		return err
	})
	return row, ok, err
}

func (l *ledger) SwapWebhook(ctx context.Context, next allocator.WebhookRow) (bool, error) {
	return around(l.plan, "swap-webhook", func() (bool, error) { return l.next.SwapWebhook(ctx, next) })
}

func (l *ledger) AppendTrail(ctx context.Context, after int64, entries []allocator.TrailEntry) (bool, error) {
	return around(l.plan, "append-trail", func() (bool, error) { return l.next.AppendTrail(ctx, after, entries) })
}

func (l *ledger) Trail(ctx context.Context, q allocator.TrailQuery) ([]allocator.TrailEntry, error) {
	return around(l.plan, "trail", func() ([]allocator.TrailEntry, error) { return l.next.Trail(ctx, q) })
}

func (l *ledger) TrailEnd(ctx context.Context) (allocator.TrailEntry, error) {
	return around(l.plan, "trail-end", func() (allocator.TrailEntry, error) { return l.next.TrailEnd(ctx) })
}

func (l *ledger) Now(ctx context.Context) (time.Time, error) {
	return around(l.plan, "now", func() (time.Time, error) { return l.next.Now(ctx) })
}

func (l *ledger) Close() error {
	return l.plan.Around("close", l.next.Close)
}
