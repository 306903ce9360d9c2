package allocator

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Hold takes places for all claims of a request, or none: step 1 of the protocol.
//
// The same client, key and body get the same hold again as long as the key is remembered. A refused request leaves no
// trace and may be sent again with the same key.
func (a *Allocator) Hold(ctx context.Context, r HoldRequest) (Hold, error) {
	ctx, cancel := bounded(ctx, a.limits.HoldDeadline)
	defer cancel()
	if a.ledgerQuiet() {
		return Hold{}, ledgerError(fmt.Errorf("new holds have stopped: %w", ErrUnavailable))
	}
	if n := len(r.Claims); n < 1 || n > MaxClaimsPerHold {
		return Hold{}, &Error{Code: CodeInvalid, Detail: "a hold has 1 to 10 claims", Faults: []Fault{{"/claims", fmt.Sprintf("has %d", n)}}}
	}
	if r.keyed = r.IdempotencyKey != ""; !r.keyed {
		r.IdempotencyKey = rand.Text()
	}
	return a.holdLegs(ctx, &r)
}

// wish is one site's part of a request.
type wish struct {
	entry   *siteEntry
	item    HoldItem
	claims  []ClaimRequest
	indexes []int // of the claims, in the request
}

// holdLegs holds site by site, always in the same order; where one refuses, those just taken are given back and
// forgotten, since nobody was told of them.
func (a *Allocator) holdLegs(ctx context.Context, r *HoldRequest) (Hold, error) {
	wishes := a.wishes(r)
	if len(wishes) > 1 {
		running := a.secret.Request(r.Caller.Client, r.IdempotencyKey, "")
		if _, busy := a.running.LoadOrStore(running, true); busy {
			return Hold{}, &Error{Code: CodeInProgress, Detail: "the same request is still running", RetryAfter: time.Second}
		}
		defer a.running.Delete(running)
	}
	granted := make([]HoldResult, 0, len(wishes))
	for i := range wishes {
		result, err := a.holdLeg(ctx, r, &wishes[i])
		if err != nil {
			a.giveBack(ctx, wishes[:i], granted)
			return Hold{}, err
		}
		granted = append(granted, result)
	}
	return a.acknowledge(r, wishes, granted), nil
}

// wishes parts a request by site, and fingerprints the whole body in each part.
func (a *Allocator) wishes(r *HoldRequest) []wish {
	print := fingerprint(r.Claims)
	wishes := make([]wish, 0, 1)
	for i, c := range r.Claims {
		at := slices.IndexFunc(wishes, func(w wish) bool { return w.item.Site == c.Site })
		if at < 0 {
			at = len(wishes)
			wishes = append(wishes, wish{item: HoldItem{
				Key: a.secret.Request(r.Caller.Client, r.IdempotencyKey, c.Site), Print: print, Site: c.Site,
				LengthMs: a.limits.HoldLength.Milliseconds(), GraceMs: a.limits.Grace.Milliseconds(),
			}})
		}
		wishes[at].claims = append(wishes[at].claims, c)
		wishes[at].indexes = append(wishes[at].indexes, i)
	}
	slices.SortFunc(wishes, func(x, y wish) int {
		return cmp.Or(cmp.Compare(a.Shard(x.item.Site), a.Shard(y.item.Site)), cmp.Compare(x.item.Site, y.item.Site))
	})
	return wishes
}

// fingerprint tells one body from another. It is remembered with the key, also by servers of other versions.
func fingerprint(claims []ClaimRequest) (print [8]byte) {
	var room [256]byte
	b := room[:0]
	for i := range claims {
		c := &claims[i]
		b = append(strconv.AppendQuote(b, string(c.Site)), ' ')
		b = append(strconv.AppendQuote(b, string(c.Service)), ' ')
		var number [2 * binary.MaxVarintLen64]byte
		n := binary.AppendVarint(binary.AppendVarint(number[:0], c.Start.UnixMilli()), int64(c.Length))
		b = append(hex.AppendEncode(b, n), ' ')
	}
	sum := sha256.Sum256(b)
	copy(print[:], sum[:])
	print[0] |= 1 // zero means "not known"
	return print
}

// retries bounds how often a hold adapts to a moving world: a stale day, a site being rebuilt, lapsed holds to reap.
const retries = 12

// holdLeg takes one site's places.
func (a *Allocator) holdLeg(ctx context.Context, r *HoldRequest, w *wish) (HoldResult, error) {
	shard := a.Shard(w.item.Site)
	for range retries {
		if err := a.resolveClaims(ctx, r, w); err != nil {
			if earlier, ok := a.grantedBefore(ctx, r, w, shard); ok {
				return earlier, nil
			}
			return HoldResult{}, err
		}
		result, err := a.holds[shard].submit(ctx, w.item)
		if err != nil {
			return HoldResult{}, asError(err, false)
		}
		switch result.Outcome {
		case HoldGranted:
			return result, a.checkRepeat(&result, w)
		case HoldStale:
			err = a.catchUp(ctx, w.entry, w.item.Claims[result.Claim].Date, result.Revision)
		case HoldNotBuilt:
			err = a.rebuild(ctx, w.item.Site)
		case HoldBuilding:
			err = a.awaitBuild(ctx, w.item.Site)
		case HoldFull:
			if !result.More {
				return result, a.full(w, result.Claim, CodeSlotFull)
			}
			err = a.reap(ctx, shard)
		case HoldMismatch:
			return result, Refuse(CodeIdempotencyMismatch, "this Idempotency-Key was used for another request")
		case HoldOutside:
			return result, Refuse(CodeOutsideWindow, "the service cannot be booked for that time now")
		default:
			return result, fmt.Errorf("hold outcome %d of shard %d makes no sense", result.Outcome, shard)
		}
		if err != nil {
			return HoldResult{}, asError(err, false)
		}
	}
	return HoldResult{}, asError(fmt.Errorf("site %s keeps changing: %w", w.item.Site, ErrUnavailable), false)
}

// grantedBefore finds what the same request was granted earlier, where it would be refused by now: a session was stopped, a
// window has passed. The claims it sends fit nowhere, so that nothing new can be granted.
func (a *Allocator) grantedBefore(ctx context.Context, r *HoldRequest, w *wish, shard int) (HoldResult, bool) {
	if !r.keyed || w.entry == nil {
		return HoldResult{}, false
	}
	item := w.item
	item.Claims = nil
	for _, c := range w.claims {
		slot := SlotID{w.item.Site, MinuteOf(c.Start), int16(c.Length)}
		if c.Length == 0 {
			o, known, _ := w.entry.offer(slot.Start, 0, c.Service, AccessStopped)
			if !known {
				return HoldResult{}, false
			}
			slot = o.slot.ID
		}
		date := DateOf(slot.Start.Time().In(w.entry.zone()))
		item.Claims = append(item.Claims, HoldClaim{Slot: slot, Date: date, Revision: -1, Service: c.Service})
	}
	result, err := a.holds[shard].submit(ctx, item)
	if err != nil || result.Outcome != HoldGranted || !result.Repeated || len(result.Grant.Places) != len(w.claims) {
		return HoldResult{}, false
	}
	w.item = item
	return result, true
}

// checkRepeat refuses a repeat whose grant is known only by a mark: it ended, and what it held is forgotten.
func (a *Allocator) checkRepeat(result *HoldResult, w *wish) error {
	if result.Repeated && len(result.Grant.Places) != len(w.claims) {
		return Refuse(CodeHoldExpired, "the hold of this Idempotency-Key has ended: use a new key")
	}
	return nil
}

// resolveClaims looks every claim of a leg up in the directory and fills in the item.
func (a *Allocator) resolveClaims(ctx context.Context, r *HoldRequest, w *wish) error {
	entry, err := a.knownSite(ctx, w.item.Site)
	if err != nil {
		return err
	}
	w.entry = entry
	w.item.Claims = make([]HoldClaim, 0, len(w.claims)) // never the memory of an earlier try, which the lane may still have
	for i, c := range w.claims {
		claim, err := a.resolveClaim(ctx, r.Caller.at(entry), entry, c)
		if err != nil {
			return atClaim(err, w.indexes[i], len(r.Claims))
		}
		w.item.Claims = append(w.item.Claims, claim)
	}
	return nil
}

// atClaim says which claim of several a refusal is about.
func atClaim(err error, index, of int) error {
	var refusal *Error
	if of > 1 && errors.As(err, &refusal) {
		named := *refusal
		named.Detail = fmt.Sprintf("claim %d: %s", index+1, refusal.Detail)
		return &named
	}
	return err
}

// resolveClaim finds the slot that a claim wants.
func (a *Allocator) resolveClaim(ctx context.Context, caller Caller, entry *siteEntry, c ClaimRequest) (HoldClaim, error) {
	service, err := a.knownService(ctx, c.Service)
	if err != nil {
		return HoldClaim{}, err
	}
	if c.Start.Unix()%60 != 0 || c.Start.Nanosecond() != 0 {
		return HoldClaim{}, Refuse(CodeSlotUnknown, "slots start on whole minutes")
	}
	if c.Length < 0 || c.Length > MaxSlotMinutes {
		return HoldClaim{}, Refuse(CodeSlotUnknown, "no slot is so long")
	}
	start := MinuteOf(c.Start)
	date := DateOf(start.Time().In(entry.zone()))
	if ahead := start.Time().Sub(a.clock.Now()); ahead > (MaxHorizonDays+1)*24*time.Hour || ahead < -48*time.Hour {
		return HoldClaim{}, Refuse(CodeOutsideWindow, "%s cannot be booked", date)
	}
	access := AccessPublic
	if caller.Staff {
		access = AccessInvited
	}
	o, known, several := entry.offer(start, int16(c.Length), c.Service, access)
	if !known && !several {
		// Perhaps it was published a moment ago on another server.
		if err := a.catchUp(ctx, entry, date, 0); err != nil {
			return HoldClaim{}, ledgerError(err)
		}
		o, known, several = entry.offer(start, int16(c.Length), c.Service, access)
	}
	window := a.window(&service, caller)
	switch now := a.clock.Now(); {
	case several:
		return HoldClaim{}, &Error{Code: CodeInvalid, Detail: "several lengths are offered at that start: name one", Faults: []Fault{{"/length", "is needed here"}}}
	case !known && start.Millis()-now.UnixMilli() < window.MinLeadMs:
		return HoldClaim{}, Refuse(CodeOutsideWindow, "that time has passed")
	case !known:
		return HoldClaim{}, Refuse(CodeSlotUnknown, "nothing is published there for %s", c.Service)
	case o.closed || entry.offline():
		return HoldClaim{}, Refuse(CodeSessionClosed, "the session takes no new bookings")
	case service.FirstDate != 0 && date < service.FirstDate || service.LastDate != 0 && date > service.LastDate:
		return HoldClaim{}, Refuse(CodeOutsideWindow, "%s is not offered on %s", c.Service, date)
	}
	return HoldClaim{
		Slot: o.slot.ID, Date: date, Revision: o.revision, Service: c.Service, Bounds: o.bounds, Limit: o.limit, Window: window,
	}, nil
}

// window is when a service may be booked, for the shard's clock to judge.
func (a *Allocator) window(s *Service, caller Caller) Window {
	days := s.WindowDays
	if days == 0 {
		days = 365
	}
	w := Window{
		OpensMs:   s.BookingOpens,
		MinLeadMs: int64(s.MinLeadHours) * 3_600_000,
		MaxLeadMs: int64(min(days, MaxHorizonDays)) * 86_400_000,
	}
	if caller.Staff {
		w.OpensMs, w.MinLeadMs = 0, -12*3_600_000 // staff record who is already there
	}
	return w
}

// giveBack forgets grants that were never acknowledged. Those of an earlier request stay.
func (a *Allocator) giveBack(ctx context.Context, wishes []wish, granted []HoldResult) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.limits.HoldDeadline)
	defer cancel()
	for i := range granted {
		if granted[i].Repeated {
			continue
		}
		site, id := wishes[i].item.Site, granted[i].Grant.ID
		shard := a.Shard(site)
		_, err := onShard(ctx, a.epochs, shard, func(epoch int64) (GrantState, error) {
			return a.inventory.Release(ctx, shard, epoch, site, id, true)
		})
		if err != nil {
			a.log.Info("a part of a refused hold stays until it expires", "site", site, "hold", id, "error", err)
		}
	}
}

// acknowledge makes the answer. The hold lasts as long as its shortest part.
func (a *Allocator) acknowledge(r *HoldRequest, wishes []wish, granted []HoldResult) Hold {
	h := Hold{Claims: make([]HeldClaim, len(r.Claims))}
	t := &ticket{Legs: make([]leg, 0, len(wishes))}
	var deadline, now int64
	for i := range wishes {
		w, g := &wishes[i], &granted[i].Grant
		l := leg{ID: g.ID, Site: w.item.Site, Epoch: g.Epoch, DeadlineMs: g.DeadlineMs, GraceMs: w.item.GraceMs,
			Claims: make([]legClaim, 0, len(w.item.Claims))}
		for j, c := range w.item.Claims {
			l.Claims = append(l.Claims, legClaim{
				Index: w.indexes[j], Start: c.Slot.Start, Length: c.Slot.Length, Date: c.Date, Service: c.Service,
				Place: g.Places[j],
			})
			h.Claims[w.indexes[j]] = HeldClaim{Slot: c.Slot, Date: c.Date, Service: c.Service, TimeZone: w.entry.zone().String()}
		}
		t.Legs = append(t.Legs, l)
		if deadline == 0 || g.DeadlineMs < deadline {
			deadline = g.DeadlineMs
		}
		now = max(now, g.ID.Stamp.Millis()) // of the grant: a repeat is the same answer
		h.Repeated = h.Repeated || granted[i].Repeated
	}
	h.Token = a.secret.sign(t)
	h.ExpiresAt, h.Server = time.UnixMilli(deadline).UTC(), time.UnixMilli(now).UTC()
	return h
}

// full refuses a claim for want of room, with alternatives.
func (a *Allocator) full(w *wish, claim int, code Code) error {
	c := w.item.Claims[claim]
	return a.noRoom(code, w.entry, c.Slot, c.Service, w.indexes[claim])
}

// noRoom is the refusal of a slot without room.
func (a *Allocator) noRoom(code Code, entry *siteEntry, slot SlotID, service ServiceCode, index int) error {
	e := Refuse(code, "no place is left at %s", slot.Start.Time().In(entry.zone()).Format(time.RFC3339))
	if code == CodeHoldLost {
		e.Detail = "the hold was lost and no place is left in its slot"
		a.observer.Count("hold_lost_full")
	}
	e.Alternatives = a.alternatives(entry, slot, service)
	e.Faults = []Fault{{fmt.Sprintf("/claims/%d", index), "is full"}}
	return e
}
