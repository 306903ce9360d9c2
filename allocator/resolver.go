package allocator

import (
	"context"
	"time"
)

// resolve is a shard's housekeeping: lapsed holds are freed, and pins whose time has passed are resolved (step 7).
func (a *Allocator) resolve(ctx context.Context, shard int) {
	a.pace.every(ctx, a.limits.ResolveEvery, func(ctx context.Context) {
		if err := a.reap(ctx, shard); err != nil && ctx.Err() == nil {
			a.log.Debug("not reaped", "shard", shard, "error", err)
			return
		}
		if err := a.resolvePins(ctx, shard); err != nil && ctx.Err() == nil {
			a.observer.Count("resolve_failed")
			a.log.Info("pins not resolved", "shard", shard, "error", err)
		}
	})
}

// catchUpSites rebuilds a shard's sites whose generation this server raised.
func (a *Allocator) catchUpSites(ctx context.Context, shard int) {
	a.pace.every(ctx, a.limits.ResolveEvery, func(ctx context.Context) {
		for _, site := range a.dirty.takeBehind(func(site SiteID) bool { return a.Shard(site) == shard }) {
			if err := a.rebuild(ctx, site); err != nil && ctx.Err() == nil {
				a.dirty.raise(site)
			}
		}
	})
}

// maxReaps bounds how many script calls one round of reaping makes.
const maxReaps = 256

// reap frees lapsed holds until none is left.
func (a *Allocator) reap(ctx context.Context, shard int) error {
	for range maxReaps {
		more, err := onShard(ctx, a.epochs, shard, func(epoch int64) (bool, error) {
			return a.inventory.Reap(ctx, shard, epoch, a.limits.ReapBatch)
		})
		if err != nil || !more {
			return err
		}
	}
	return nil
}

const resolveBatch = 64

// resolvePins asks the ledger about pins past their deadline, by voiding them: a request that was recorded answers with
// its rows, any other can never be recorded from then on.
func (a *Allocator) resolvePins(ctx context.Context, shard int) error {
	ctx, cancel := context.WithTimeout(ctx, a.limits.ConfirmDeadline)
	defer cancel()
	pins, err := onShard(ctx, a.epochs, shard, func(epoch int64) ([]StuckPin, error) {
		return a.inventory.StuckPins(ctx, shard, epoch, resolveBatch)
	})
	if err != nil || len(pins) == 0 {
		return err
	}
	items := make([]Voiding, len(pins))
	for i := range pins {
		items[i] = a.voiding(&pins[i], CodeHoldExpired)
	}
	results, err := a.ledger.Void(ctx, items)
	if err != nil {
		return err
	}
	for i := range pins {
		a.resolved(ctx, shard, &pins[i], &results[i])
	}
	return nil
}

// voiding is the void of a pin's claims. Their keys are all that blocks the request; of a hold of several sites each
// site's pin is resolved by itself, and any void claim refuses the whole request.
func (a *Allocator) voiding(pin *StuckPin, reason Code) Voiding {
	zone := time.UTC
	if entry := a.directory.site(pin.Site); entry != nil {
		zone = entry.zone()
	}
	v := Voiding{Reason: reason}
	for i, p := range pin.Places {
		v.Claims = append(v.Claims, Booking{
			Key: a.secret.Booking(pin.ID.Key, i), Hold: pin.ID, Slot: p.Slot, Date: DateOf(p.Slot.Start.Time().In(zone)),
			Place: p.Place, Service: p.Service,
		})
	}
	return v
}

func (a *Allocator) resolved(ctx context.Context, shard int, pin *StuckPin, r *RecordResult) {
	var live []Placed
	for i := range r.Rows {
		if b := &r.Rows[i]; b.Status.Live() && b.Hold == pin.ID {
			live = append(live, Placed{b.Slot, b.Place, b.Service})
		}
	}
	if len(live) > 0 {
		a.observer.Count("pin_settled")
		if _, err := a.settles[shard].submit(ctx, SettleItem{ID: pin.ID, Site: pin.Site, Places: live}); err != nil {
			a.dirty.add(pin.Site)
		}
		return
	}
	reason := CodeBookingEnded
	if r.Outcome == Voided || r.Outcome == RecordVoid {
		reason = r.Reason
	}
	a.observer.Count("pin_freed")
	if _, err := a.frees[shard].submit(ctx, FreeItem{ID: pin.ID, Site: pin.Site, Places: pin.Places, Reason: reason}); err != nil {
		a.dirty.add(pin.Site)
	}
}
