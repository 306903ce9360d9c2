package allocator

import (
	"context"
	"time"
)

// parse opens a hold's token.
func (a *Allocator) parse(token string) (*ticket, error) {
	t, err := a.secret.open(token)
	if err != nil {
		return nil, &Error{Code: CodeHoldUnknown, Detail: "no such hold", Cause: err}
	}
	return t, nil
}

// Inspect tells where a hold stands. Of several parts the worst off speaks for all.
func (a *Allocator) Inspect(ctx context.Context, token string) (HoldView, error) {
	t, err := a.parse(token)
	if err != nil {
		return HoldView{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, a.limits.HoldDeadline)
	defer cancel()
	view := HoldView{Hold: a.holdOf(ctx, t, token)}
	rank := map[string]int{"booked": 0, "pinned": 1, "held": 2, "lost": 3, "expired": 4, "released": 5}
	for i := range t.Legs {
		state, err := a.inspectLeg(ctx, &t.Legs[i])
		if err != nil {
			return HoldView{}, err
		}
		if view.State == "" || rank[state] > rank[view.State] {
			view.State = state
		}
	}
	return view, nil
}

func (a *Allocator) inspectLeg(ctx context.Context, l *leg) (string, error) {
	shard := a.Shard(l.Site)
	state, err := onShard(ctx, a.epochs, shard, func(epoch int64) (GrantState, error) {
		return a.inventory.State(ctx, shard, epoch, l.Site, l.ID)
	})
	if err != nil {
		return "", asError(err, false)
	}
	switch state {
	case GrantHeld:
		return "held", nil
	case GrantBooked:
		return "booked", nil
	case GrantReleased:
		return "released", nil
	case GrantExpired:
		return "expired", nil
	}
	rows, err := a.ledger.Bookings(ctx, a.keysOf(l))
	if err != nil {
		return "", ledgerError(err)
	}
	switch {
	case len(rows) > 0 && rows[0].Status != StatusVoid:
		return "booked", nil // perhaps the inventory has not learnt it yet
	case state == GrantPinned:
		return "pinned", nil
	case len(rows) > 0 && rows[0].Reason == string(CodeHoldReleased):
		return "released", nil
	case len(rows) > 0 && rows[0].Reason != string(CodeHoldExpired):
		return "lost", nil // refused: revoked, lost, or its person was booked already
	case len(rows) > 0 || a.clock.Now().UnixMilli() >= l.DeadlineMs+l.GraceMs:
		return "expired", nil
	default:
		return "lost", nil
	}
}

// keysOf derives the ledger's keys of a leg's claims.
func (a *Allocator) keysOf(l *leg) []BookingKey {
	keys := make([]BookingKey, len(l.Claims))
	for i := range l.Claims {
		keys[i] = a.secret.Booking(l.ID.Key, i)
	}
	return keys
}

// holdOf tells a hold again from its token.
func (a *Allocator) holdOf(ctx context.Context, t *ticket, token string) Hold {
	h := Hold{Token: token, Server: a.clock.Now().UTC(), Claims: make([]HeldClaim, t.claims())}
	var deadline int64
	for i := range t.Legs {
		l := &t.Legs[i]
		zone := "UTC"
		if entry, err := a.knownSite(ctx, l.Site); err == nil {
			zone = entry.zone().String()
		}
		for j, c := range l.Claims {
			if c.Index < len(h.Claims) {
				h.Claims[c.Index] = HeldClaim{Slot: l.slot(j), Date: c.Date, Service: c.Service, TimeZone: zone}
			}
		}
		if deadline == 0 || l.DeadlineMs < deadline {
			deadline = l.DeadlineMs
		}
	}
	h.ExpiresAt = time.UnixMilli(deadline).UTC()
	return h
}

// Release gives a hold back. Repeating it, or releasing one that has expired or was lost, succeeds.
func (a *Allocator) Release(ctx context.Context, token string) error {
	t, err := a.parse(token)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, a.limits.HoldDeadline)
	defer cancel()
	for i := range t.Legs {
		l := &t.Legs[i]
		shard := a.Shard(l.Site)
		state, err := onShard(ctx, a.epochs, shard, func(epoch int64) (GrantState, error) {
			return a.inventory.Release(ctx, shard, epoch, l.Site, l.ID, false)
		})
		switch {
		case err != nil:
			return asError(err, false)
		case state == GrantAbsent && a.clock.Now().UnixMilli() < l.DeadlineMs+l.GraceMs:
			if err := a.releaseLost(ctx, l); err != nil {
				return err
			}
		case state == GrantBooked:
			return Refuse(CodeHoldBooked, "the hold is a booking already: cancel that")
		case state == GrantPinned:
			if v, err := a.inspectLeg(ctx, l); err == nil && v == "booked" {
				return Refuse(CodeHoldBooked, "the hold is a booking already: cancel that")
			}
			return &Error{Code: CodeInProgress, Detail: "the hold is being confirmed", RetryAfter: time.Second}
		}
	}
	return nil
}

// Extend gives a hold its own length again, once; asking again answers the same. The token it returns carries the new
// deadline; the old one stays good.
func (a *Allocator) Extend(ctx context.Context, token string) (Hold, error) {
	t, err := a.parse(token)
	if err != nil {
		return Hold{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, a.limits.HoldDeadline)
	defer cancel()
	var now int64
	for i := range t.Legs {
		l := &t.Legs[i]
		shard := a.Shard(l.Site)
		result, err := onShard(ctx, a.epochs, shard, func(epoch int64) (HoldResult, error) {
			return a.inventory.Extend(ctx, shard, epoch, l.ID)
		})
		if err != nil {
			return Hold{}, asError(err, false)
		}
		now = max(now, result.NowMs)
		if result.Outcome != HoldGranted {
			return Hold{}, notExtendable(result.Grant.State)
		}
		l.DeadlineMs = result.Grant.DeadlineMs
	}
	h := a.holdOf(ctx, t, a.secret.sign(t))
	h.Server = time.UnixMilli(now).UTC()
	return h, nil
}

func notExtendable(state GrantState) error {
	switch state {
	case GrantBooked, GrantPinned:
		return Refuse(CodeHoldBooked, "the hold is confirmed or being confirmed")
	case GrantReleased:
		return Refuse(CodeHoldReleased, "the hold was released")
	case GrantAbsent:
		return Refuse(CodeHoldLost, "the hold was lost: confirm it, or hold again")
	default:
		return Refuse(CodeHoldExpired, "the hold has expired")
	}
}

// releaseLost makes the ledger remember the release of a hold that the inventory lost: its token would confirm otherwise.
func (a *Allocator) releaseLost(ctx context.Context, l *leg) error {
	pin := StuckPin{Site: l.Site, ID: l.ID}
	for j, c := range l.Claims {
		pin.Places = append(pin.Places, Placed{l.slot(j), c.Place, c.Service})
	}
	result, err := a.void(ctx, a.voiding(&pin, CodeHoldReleased))
	if err == nil && result.Outcome == RecordedEver {
		return Refuse(CodeHoldBooked, "the hold is a booking already: cancel that")
	}
	return err
}
