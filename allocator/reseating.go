package allocator

import (
	"context"
	"errors"
	"fmt"
)

// pin pins one leg. A code means that the confirm must be refused for that reason.
func (c *confirmation) pin(ctx context.Context, l *confirmLeg) (Code, error) {
	pinCtx, cancel := context.WithTimeout(ctx, c.a.limits.HoldDeadline)
	defer cancel()
	item := PinItem{ID: l.ID, Site: l.Site, DeadlineMs: l.DeadlineMs, GraceMs: l.GraceMs}
	for range retries {
		r, err := c.a.pins[l.shard].submit(pinCtx, item)
		if err == nil && (r.NotBuilt || r.Building) {
			if err = c.a.awaitOrBuild(pinCtx, l.Site, r.Building); err == nil {
				continue
			}
		}
		if errors.Is(err, error(errNotStarted)) {
			return "", errNotStarted
		}
		if err != nil {
			return c.withoutInventory(ctx, l, err)
		}
		switch {
		case len(r.Other) > 0 && !l.sameClaims(r.Other):
			return "", Refuse(CodeIdempotencyMismatch, "the Idempotency-Key of this hold was used for another request since")
		case len(r.Other) > 0:
			item.ID = r.ID // the same request, granted again after a loss
			continue
		case r.State == GrantPinned || r.State == GrantBooked:
			return "", c.pinned(l, r.ID, r.Epoch, r.Generation, r.Places, r.Revisions)
		case r.State == GrantAbsent && r.InTime:
			l.lost = true
			c.a.observer.Count("hold_lost")
			return c.reseatLost(ctx, l)
		case r.State == GrantReleased:
			return CodeHoldReleased, nil
		case r.State == GrantEnded && r.Reason != "":
			return r.Reason, nil
		default:
			return CodeHoldExpired, nil
		}
	}
	return c.withoutInventory(ctx, l, fmt.Errorf("site %s keeps being rebuilt: %w", l.Site, ErrUnavailable))
}

// withoutInventory lets a valid token confirm straight into the ledger, which checks it by seating (step 9). The ledger's
// clock judges the deadline.
func (c *confirmation) withoutInventory(ctx context.Context, l *confirmLeg, cause error) (Code, error) {
	c.a.observer.Count("confirm_without_inventory")
	c.a.log.Info("confirming without the inventory", "site", l.Site, "hold", l.ID, "cause", cause)
	now, err := c.a.ledger.Now(ctx)
	if err != nil {
		return "", ledgerError(err)
	}
	if now.UnixMilli() >= l.DeadlineMs+l.GraceMs {
		return CodeHoldExpired, nil
	}
	l.evidence.Pinned = false
	return "", nil
}

// pinned takes over what the inventory said of a leg.
func (c *confirmation) pinned(l *confirmLeg, id HoldID, epoch, generation int64, places []int32, revisions []int64) error {
	if len(places) != len(l.Claims) || len(revisions) != len(l.Claims) {
		// A mark without a record: the request was recorded earlier, and the ledger's own rows answer.
		l.evidence.Pinned = false
		return nil
	}
	l.evidence.Pinned, l.evidence.Epoch, l.evidence.Generation = true, epoch, generation
	l.evidence.Revisions = make(map[Date]int64)
	for j := range l.Claims {
		date := l.Claims[j].Date
		if known, ok := l.evidence.Revisions[date]; ok && known != revisions[j] {
			l.evidence.Revisions[date] = 0 // two revisions at once prove nothing
		} else if !ok {
			l.evidence.Revisions[date] = revisions[j]
		}
		c.rows[l.first+j].Place, c.rows[l.first+j].Hold = places[j], id
	}
	return nil
}

// reseatLost pins places for a grant that the inventory lost: its own where they are free.
func (c *confirmation) reseatLost(ctx context.Context, l *confirmLeg) (Code, error) {
	all := make([]int, len(l.Claims))
	for j := range all {
		all[j] = j
	}
	return c.reseatIn(ctx, l, all, &RecordResult{})
}

// reseat finds another place for a claim whose place the ledger knows to be another's. That the inventory did not know
// means that it has drifted: the site is reconciled soon.
func (c *confirmation) reseat(ctx context.Context, taken *RecordResult) (Code, error) {
	claim := taken.Claim
	l := &c.legs[c.owners[claim]]
	c.a.dirty.add(l.Site)
	c.a.observer.Count("reseat")
	if !l.evidence.Pinned {
		return c.reseatInLedger(ctx, claim)
	}
	return c.reseatIn(ctx, l, []int{claim - l.first}, taken)
}

// reseatIn asks the inventory for other places for some claims of a leg.
func (c *confirmation) reseatIn(ctx context.Context, l *confirmLeg, claims []int, taken *RecordResult) (Code, error) {
	fullCode := CodeSlotFull
	if l.lost {
		fullCode = CodeHoldLost
	}
	for range retries {
		if err := c.a.reap(ctx, l.shard); err != nil {
			return c.withoutInventory(ctx, l, err)
		}
		item := ReseatItem{ID: c.rows[l.first].Hold, Site: l.Site, DeadlineMs: l.DeadlineMs, GraceMs: l.GraceMs, Total: len(l.Claims)}
		for _, j := range claims {
			item.Claims = append(item.Claims, c.reseatClaim(l, j, taken))
		}
		r, err := onShard(ctx, c.a.epochs, l.shard, func(epoch int64) (ReseatResult, error) {
			return c.a.inventory.Reseat(ctx, l.shard, epoch, item)
		})
		if err == nil {
			switch r.Outcome {
			case HoldGranted:
				return "", c.pinned(l, r.ID, r.Epoch, r.Generation, r.Places, r.Revisions)
			case HoldFull:
				return fullCode, nil
			case HoldUnknown:
				switch {
				case r.ID != item.ID:
					return "", asError(fmt.Errorf("hold %s was granted again meanwhile: %w", item.ID, ErrUnavailable), false)
				case r.State == GrantAbsent && len(claims) < len(l.Claims): // lost meanwhile: every claim needs a place
					l.lost = true
					c.a.observer.Count("hold_lost")
					return c.reseatLost(ctx, l)
				}
				return reseatRefusal(&r), nil
			case HoldStale:
				err = c.a.catchUp(ctx, l.entry, l.Claims[r.Claim].Date, r.Revision)
			default:
				err = c.a.awaitOrBuild(ctx, l.Site, r.Outcome == HoldBuilding)
			}
		}
		if err != nil {
			return c.withoutInventory(ctx, l, err)
		}
	}
	return fullCode, nil
}

func reseatRefusal(r *ReseatResult) Code {
	switch {
	case r.State == GrantReleased:
		return CodeHoldReleased
	case r.State == GrantEnded && r.Reason != "":
		return r.Reason
	case r.State == GrantBooked:
		return "" // the rows are in the ledger: they answer
	default:
		return CodeHoldExpired
	}
}

func (c *confirmation) reseatClaim(l *confirmLeg, j int, taken *RecordResult) ReseatClaim {
	claim := l.Claims[j]
	o, _, _ := l.entry.offer(claim.Start, claim.Length, claim.Service, AccessStopped)
	revision := o.revision
	if revision == 0 {
		revision = l.entry.revision(claim.Date)
	}
	return ReseatClaim{
		Index: j, Place: c.rows[l.first+j].Place, Taken: taken.Taken, TakenFor: taken.TakenFor,
		HoldClaim: HoldClaim{Slot: l.slot(j), Date: claim.Date, Revision: revision, Service: claim.Service, Bounds: o.bounds, Limit: o.limit},
	}
}

// reseatInLedger moves every claim of a slot whose place is another's to the lowest place that no live row has, while the
// inventory cannot be asked.
func (c *confirmation) reseatInLedger(ctx context.Context, claim int) (Code, error) {
	slot := c.rows[claim].Slot
	_, live, err := c.a.ledger.Slot(ctx, slot, c.rows[claim].Date)
	if err != nil {
		return "", ledgerError(err)
	}
	used := make(map[int32]bool)
	for i := range live {
		used[live[i].Place] = true
	}
	var homeless []*Booking
	for i := range c.rows {
		if row := &c.rows[i]; row.Slot == slot {
			if used[row.Place] {
				homeless = append(homeless, row)
			}
			used[row.Place] = true
		}
	}
	for _, row := range homeless {
		for row.Place = 0; used[row.Place]; row.Place++ {
		}
		used[row.Place] = true
	}
	return "", nil
}

// sameClaims says whether a grant is of the leg's own slots and services.
func (l *confirmLeg) sameClaims(claims []Placed) bool {
	if len(claims) != len(l.Claims) {
		return false
	}
	for j := range claims {
		if claims[j].Slot != l.slot(j) || claims[j].Service != l.Claims[j].Service {
			return false
		}
	}
	return true
}
