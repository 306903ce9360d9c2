package faults

import (
	"context"
	"time"

	"muster/allocator"
)

// Ledger carries out the calls of a ledger under a plan.
type Ledger struct {
	allocator.Ledger
	Plan  Planner
	Carry Carrier // instead of Plan
}

// Check implements allocator.Ledger.
func (f Ledger) Check(ctx context.Context) error {
	_, err := run(ctx, f.Plan, f.Carry, "Check", nil, func(ctx context.Context) (struct{}, error) { return struct{}{}, f.Ledger.Check(ctx) })
	return err
}

// Agree implements allocator.Ledger.
func (f Ledger) Agree(ctx context.Context, name string, candidate []byte) ([]byte, error) {
	return run(ctx, f.Plan, f.Carry, "Agree", what{name, candidate}, func(ctx context.Context) ([]byte, error) { return f.Ledger.Agree(ctx, name, candidate) })
}

// Amend implements allocator.Ledger.
func (f Ledger) Amend(ctx context.Context, name string, was, now []byte) ([]byte, error) {
	return run(ctx, f.Plan, f.Carry, "Amend", what{name, was, now}, func(ctx context.Context) ([]byte, error) { return f.Ledger.Amend(ctx, name, was, now) })
}

// Epochs implements allocator.Ledger.
func (f Ledger) Epochs(ctx context.Context) (map[int]allocator.ShardEpoch, error) {
	return run(ctx, f.Plan, f.Carry, "Epochs", nil, func(ctx context.Context) (map[int]allocator.ShardEpoch, error) { return f.Ledger.Epochs(ctx) })
}

// OpenEpoch implements allocator.Ledger.
func (f Ledger) OpenEpoch(ctx context.Context, shard int, expected int64, identity string) (allocator.ShardEpoch, bool, error) {
	r, err := run(ctx, f.Plan, f.Carry, "OpenEpoch", what{shard, expected, identity}, func(ctx context.Context) (r pair[allocator.ShardEpoch, bool], err error) {
		r.first, r.second, err = f.Ledger.OpenEpoch(ctx, shard, expected, identity)
		return r, err
	})
	return r.first, r.second, err
}

// PutSite implements allocator.Ledger.
func (f Ledger) PutSite(ctx context.Context, site allocator.Site, actor string) (bool, error) {
	return run(ctx, f.Plan, f.Carry, "PutSite", what{site, actor}, func(ctx context.Context) (bool, error) { return f.Ledger.PutSite(ctx, site, actor) })
}

// PutOwnSite implements allocator.Ledger.
func (f Ledger) PutOwnSite(ctx context.Context, site allocator.Site, actor string) (bool, error) {
	return run(ctx, f.Plan, f.Carry, "PutOwnSite", what{site, actor}, func(ctx context.Context) (bool, error) { return f.Ledger.PutOwnSite(ctx, site, actor) })
}

// Suspend implements allocator.Ledger.
func (f Ledger) Suspend(ctx context.Context, change allocator.SuspensionChange) (allocator.SuspensionResult, error) {
	return run(ctx, f.Plan, f.Carry, "Suspend", what{change}, func(ctx context.Context) (allocator.SuspensionResult, error) {
		return f.Ledger.Suspend(ctx, change)
	})
}

// PutService implements allocator.Ledger.
func (f Ledger) PutService(ctx context.Context, service allocator.Service, actor string) (bool, error) {
	return run(ctx, f.Plan, f.Carry, "PutService", what{service, actor}, func(ctx context.Context) (bool, error) { return f.Ledger.PutService(ctx, service, actor) })
}

// Services implements allocator.Ledger.
func (f Ledger) Services(ctx context.Context) ([]allocator.Service, error) {
	return run(ctx, f.Plan, f.Carry, "Services", nil, func(ctx context.Context) ([]allocator.Service, error) { return f.Ledger.Services(ctx) })
}

// Sites implements allocator.Ledger.
func (f Ledger) Sites(ctx context.Context, after allocator.SiteID, limit int) ([]allocator.Site, error) {
	return run(ctx, f.Plan, f.Carry, "Sites", what{after, limit}, func(ctx context.Context) ([]allocator.Site, error) { return f.Ledger.Sites(ctx, after, limit) })
}

// Site implements allocator.Ledger.
func (f Ledger) Site(ctx context.Context, id allocator.SiteID) (allocator.Site, bool, error) {
	r, err := run(ctx, f.Plan, f.Carry, "Site", what{id}, func(ctx context.Context) (r pair[allocator.Site, bool], err error) {
		r.first, r.second, err = f.Ledger.Site(ctx, id)
		return r, err
	})
	return r.first, r.second, err
}

// Days implements allocator.Ledger.
func (f Ledger) Days(ctx context.Context, after allocator.DayRevision, from allocator.Date, limit int) ([]allocator.Day, error) {
	return run(ctx, f.Plan, f.Carry, "Days", what{after, from, limit}, func(ctx context.Context) ([]allocator.Day, error) { return f.Ledger.Days(ctx, after, from, limit) })
}

// Day implements allocator.Ledger.
func (f Ledger) Day(ctx context.Context, site allocator.SiteID, date allocator.Date) (allocator.Day, error) {
	return run(ctx, f.Plan, f.Carry, "Day", what{site, date}, func(ctx context.Context) (allocator.Day, error) { return f.Ledger.Day(ctx, site, date) })
}

// SitePlan implements allocator.Ledger.
func (f Ledger) SitePlan(ctx context.Context, site allocator.SiteID) (allocator.SitePlan, error) {
	return run(ctx, f.Plan, f.Carry, "SitePlan", what{site}, func(ctx context.Context) (allocator.SitePlan, error) { return f.Ledger.SitePlan(ctx, site) })
}

// PutPlan implements allocator.Ledger.
func (f Ledger) PutPlan(ctx context.Context, plan allocator.SitePlan) (bool, error) {
	return run(ctx, f.Plan, f.Carry, "PutPlan", what{plan}, func(ctx context.Context) (bool, error) { return f.Ledger.PutPlan(ctx, plan) })
}

// DuePlans implements allocator.Ledger.
func (f Ledger) DuePlans(ctx context.Context, by int64, after allocator.SiteID, limit int) ([]allocator.SitePlan, error) {
	return run(ctx, f.Plan, f.Carry, "DuePlans", what{by, after, limit}, func(ctx context.Context) ([]allocator.SitePlan, error) {
		return f.Ledger.DuePlans(ctx, by, after, limit)
	})
}

// Publish implements allocator.Ledger.
func (f Ledger) Publish(ctx context.Context, changes []allocator.DayChange) ([]allocator.PublishResult, error) {
	return run(ctx, f.Plan, f.Carry, "Publish", what{changes}, func(ctx context.Context) ([]allocator.PublishResult, error) { return f.Ledger.Publish(ctx, changes) })
}

// Record implements allocator.Ledger.
func (f Ledger) Record(ctx context.Context, items []allocator.Recording) ([]allocator.RecordResult, error) {
	return run(ctx, f.Plan, f.Carry, "Record", what{items}, func(ctx context.Context) ([]allocator.RecordResult, error) { return f.Ledger.Record(ctx, items) })
}

// Void implements allocator.Ledger.
func (f Ledger) Void(ctx context.Context, items []allocator.Voiding) ([]allocator.RecordResult, error) {
	return run(ctx, f.Plan, f.Carry, "Void", what{items}, func(ctx context.Context) ([]allocator.RecordResult, error) { return f.Ledger.Void(ctx, items) })
}

// Transition implements allocator.Ledger.
func (f Ledger) Transition(ctx context.Context, t allocator.Transition) (allocator.TransitionResult, error) {
	return run(ctx, f.Plan, f.Carry, "Transition", what{t}, func(ctx context.Context) (allocator.TransitionResult, error) { return f.Ledger.Transition(ctx, t) })
}

// Bookings implements allocator.Ledger.
func (f Ledger) Bookings(ctx context.Context, keys []allocator.BookingKey) ([]allocator.Booking, error) {
	return run(ctx, f.Plan, f.Carry, "Bookings", what{keys}, func(ctx context.Context) ([]allocator.Booking, error) { return f.Ledger.Bookings(ctx, keys) })
}

// Booking implements allocator.Ledger.
func (f Ledger) Booking(ctx context.Context, key allocator.BookingKey, subject allocator.Subject) (allocator.Booking, bool, error) {
	r, err := run(ctx, f.Plan, f.Carry, "Booking", what{key, subject}, func(ctx context.Context) (r pair[allocator.Booking, bool], err error) {
		r.first, r.second, err = f.Ledger.Booking(ctx, key, subject)
		return r, err
	})
	return r.first, r.second, err
}

// PersonBookings implements allocator.Ledger.
func (f Ledger) PersonBookings(ctx context.Context, person allocator.PersonKey, limit int) ([]allocator.Booking, error) {
	return run(ctx, f.Plan, f.Carry, "PersonBookings", what{person, limit}, func(ctx context.Context) ([]allocator.Booking, error) {
		return f.Ledger.PersonBookings(ctx, person, limit)
	})
}

// Payloads implements allocator.Ledger.
func (f Ledger) Payloads(ctx context.Context, after allocator.BookingKey, limit int) ([]allocator.Payload, error) {
	return run(ctx, f.Plan, f.Carry, "Payloads", what{after, limit}, func(ctx context.Context) ([]allocator.Payload, error) {
		return f.Ledger.Payloads(ctx, after, limit)
	})
}

// Reseal implements allocator.Ledger.
func (f Ledger) Reseal(ctx context.Context, items []allocator.Resealing) (int, error) {
	return run(ctx, f.Plan, f.Carry, "Reseal", what{items}, func(ctx context.Context) (int, error) { return f.Ledger.Reseal(ctx, items) })
}

// Slot implements allocator.Ledger.
func (f Ledger) Slot(ctx context.Context, slot allocator.SlotID, date allocator.Date) (allocator.Day, []allocator.Booking, error) {
	r, err := run(ctx, f.Plan, f.Carry, "Slot", what{slot, date}, func(ctx context.Context) (r pair[allocator.Day, []allocator.Booking], err error) {
		r.first, r.second, err = f.Ledger.Slot(ctx, slot, date)
		return r, err
	})
	return r.first, r.second, err
}

// DayBookings implements allocator.Ledger.
func (f Ledger) DayBookings(ctx context.Context, site allocator.SiteID, date allocator.Date) (allocator.Day, []allocator.Booking, error) {
	r, err := run(ctx, f.Plan, f.Carry, "DayBookings", what{site, date}, func(ctx context.Context) (r pair[allocator.Day, []allocator.Booking], err error) {
		r.first, r.second, err = f.Ledger.DayBookings(ctx, site, date)
		return r, err
	})
	return r.first, r.second, err
}

// SiteState implements allocator.Ledger.
func (f Ledger) SiteState(ctx context.Context, site allocator.SiteID, from allocator.Minute, endedSince time.Time) (allocator.SiteLedger, error) {
	return run(ctx, f.Plan, f.Carry, "SiteState", what{site, from, endedSince}, func(ctx context.Context) (allocator.SiteLedger, error) {
		return f.Ledger.SiteState(ctx, site, from, endedSince)
	})
}

// LivePlaces implements allocator.Ledger.
func (f Ledger) LivePlaces(ctx context.Context, ranges []allocator.PlaceRange) ([]allocator.PlaceState, error) {
	return run(ctx, f.Plan, f.Carry, "LivePlaces", what{ranges}, func(ctx context.Context) ([]allocator.PlaceState, error) {
		return f.Ledger.LivePlaces(ctx, ranges)
	})
}

// Generations implements allocator.Ledger.
func (f Ledger) Generations(ctx context.Context) (map[allocator.SiteID]int64, error) {
	return run(ctx, f.Plan, f.Carry, "Generations", nil, func(ctx context.Context) (map[allocator.SiteID]int64, error) { return f.Ledger.Generations(ctx) })
}

// Changed implements allocator.Ledger.
func (f Ledger) Changed(ctx context.Context, since time.Time) (allocator.Changed, error) {
	return run(ctx, f.Plan, f.Carry, "Changed", what{since}, func(ctx context.Context) (allocator.Changed, error) { return f.Ledger.Changed(ctx, since) })
}

// Events implements allocator.Ledger.
func (f Ledger) Events(ctx context.Context, after string, limit int) ([]allocator.Event, string, error) {
	r, err := run(ctx, f.Plan, f.Carry, "Events", what{after, limit}, func(ctx context.Context) (r pair[[]allocator.Event, string], err error) {
		r.first, r.second, err = f.Ledger.Events(ctx, after, limit)
		return r, err
	})
	return r.first, r.second, err
}

// LastEvent implements allocator.Ledger.
func (f Ledger) LastEvent(ctx context.Context) (string, error) {
	return run(ctx, f.Plan, f.Carry, "LastEvent", nil, func(ctx context.Context) (string, error) { return f.Ledger.LastEvent(ctx) })
}

// Webhooks implements allocator.Ledger.
func (f Ledger) Webhooks(ctx context.Context, after string, limit int) ([]allocator.WebhookRow, error) {
	return run(ctx, f.Plan, f.Carry, "Webhooks", what{after, limit}, func(ctx context.Context) ([]allocator.WebhookRow, error) {
		return f.Ledger.Webhooks(ctx, after, limit)
	})
}

// Webhook implements allocator.Ledger.
func (f Ledger) Webhook(ctx context.Context, id string) (allocator.WebhookRow, bool, error) {
	r, err := run(ctx, f.Plan, f.Carry, "Webhook", what{id}, func(ctx context.Context) (r pair[allocator.WebhookRow, bool], err error) {
		r.first, r.second, err = f.Ledger.Webhook(ctx, id)
		return r, err
	})
	return r.first, r.second, err
}

// SwapWebhook implements allocator.Ledger.
func (f Ledger) SwapWebhook(ctx context.Context, next allocator.WebhookRow) (bool, error) {
	return run(ctx, f.Plan, f.Carry, "SwapWebhook", what{next}, func(ctx context.Context) (bool, error) { return f.Ledger.SwapWebhook(ctx, next) })
}

// AppendTrail implements allocator.Ledger.
func (f Ledger) AppendTrail(ctx context.Context, after int64, entries []allocator.TrailEntry) (bool, error) {
	return run(ctx, f.Plan, f.Carry, "AppendTrail", what{after, len(entries)}, func(ctx context.Context) (bool, error) {
		return f.Ledger.AppendTrail(ctx, after, entries)
	})
}

// Trail implements allocator.Ledger.
func (f Ledger) Trail(ctx context.Context, q allocator.TrailQuery) ([]allocator.TrailEntry, error) {
	return run(ctx, f.Plan, f.Carry, "Trail", what{q}, func(ctx context.Context) ([]allocator.TrailEntry, error) { return f.Ledger.Trail(ctx, q) })
}

// TrailEnd implements allocator.Ledger.
func (f Ledger) TrailEnd(ctx context.Context) (allocator.TrailEntry, error) {
	return run(ctx, f.Plan, f.Carry, "TrailEnd", nil, func(ctx context.Context) (allocator.TrailEntry, error) { return f.Ledger.TrailEnd(ctx) })
}

// Now implements allocator.Ledger.
func (f Ledger) Now(ctx context.Context) (time.Time, error) {
	return run(ctx, f.Plan, f.Carry, "Now", nil, func(ctx context.Context) (time.Time, error) { return f.Ledger.Now(ctx) })
}
