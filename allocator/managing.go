package allocator

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"slices"
	"time"
)

// errBookingUnknown is the one answer for a booking that does not exist and for one that is not the caller's.
func errBookingUnknown() error { return Refuse(CodeBookingUnknown, "no such booking") }

// openBooking finds a booking for whoever may see it, and its person's details where they open. Whether a reference that is
// written rightly is anybody's makes no difference to what is done: one token is computed, one row is asked for (by staff,
// among those of their own sites only), and one payload is opened, of nobody where there is none.
func (a *Allocator) openBooking(ctx context.Context, access *BookingAccess) (*Booking, *Person, error) {
	key, ok := ParseReference(access.Reference)
	if !ok {
		return nil, nil, errBookingUnknown()
	}
	managed := a.secret.Manages(key, access.ManageToken)
	if !managed && !access.Staff && !access.HasBirth {
		return nil, nil, errBookingUnknown()
	}
	var subject Subject
	if access.Staff && !managed {
		subject = Subject{Bound: access.Caller.Bound, Publisher: access.Caller.Organisation}
	}
	row, found, err := a.ledger.Booking(ctx, key, subject)
	if err != nil {
		return nil, nil, ledgerError(err)
	}
	person := a.details(&row)
	born := access.HasBirth && person.HasBirth && subtle.ConstantTimeEq(int32(person.DateOfBirth), int32(access.DateOfBirth)) == 1
	if !found || !managed && !access.Staff && !born {
		return nil, nil, errBookingUnknown()
	}
	if !managed && !access.Staff {
		person.NHSNumber = ""
	}
	return &row, person, nil
}

// details opens a booking's details; what was deleted, or does not open, is empty.
func (a *Allocator) details(row *Booking) *Person {
	person, err := a.secret.unseal(row.Key, row.Sealed)
	switch {
	case err == nil:
		return person
	case !errors.Is(err, errNoDetails):
		a.observer.Count("details_unreadable")
		a.log.Error("a booking's details do not open", "booking", row.Key.Reference(), "error", err)
	}
	return new(Person)
}

// Booking shows a booking to its owner or to staff.
func (a *Allocator) Booking(ctx context.Context, access BookingAccess) (BookingView, error) {
	row, person, err := a.openBooking(ctx, &access)
	if err != nil {
		return BookingView{}, err
	}
	return a.fullView(ctx, row, person)
}

// fullView is a booking with what is derived of it.
func (a *Allocator) fullView(ctx context.Context, row *Booking, person *Person) (BookingView, error) {
	entry, err := a.knownSite(ctx, row.Slot.Site)
	if err != nil {
		return BookingView{}, err
	}
	if row.Status.Live() {
		day, live, err := a.ledger.Slot(ctx, row.Slot, row.Date)
		if err != nil {
			return BookingView{}, ledgerError(err)
		}
		MarkUnsupported(&day, entry.zone(), live)
		for i := range live {
			if live[i].Key == row.Key {
				row.Unsupported = live[i].Unsupported
			}
		}
	}
	v := a.view(row, entry)
	v.Person = person
	return v, nil
}

func (a *Allocator) view(row *Booking, entry *siteEntry) BookingView {
	v := BookingView{Booking: *row, Reference: row.Key.Reference(), TimeZone: entry.zone().String(), SiteName: entry.name()}
	if row.ReplacedBy != 0 {
		v.ReplacedBy = row.ReplacedBy.Reference()
	}
	return v
}

// Cancel ends a booking; repeating it answers the same. The place is free as soon as the inventory learns of it.
func (a *Allocator) Cancel(ctx context.Context, access BookingAccess, reason string, caller Caller) (BookingView, error) {
	if reason == "" {
		reason = "citizen"
	}
	row, person, err := a.openBooking(ctx, &access)
	if err != nil {
		return BookingView{}, err
	}
	return a.transition(ctx, Transition{Key: row.Key, To: StatusCancelled, Reason: reason, Actor: caller.author()}, person)
}

// SetStatus records what became of an appointment (staff).
func (a *Allocator) SetStatus(ctx context.Context, reference string, to Status, caller Caller) (BookingView, error) {
	if !to.Live() || to == StatusBooked {
		return BookingView{}, &Error{Code: CodeInvalid, Detail: "not a status to set", Faults: []Fault{{"/status", "must be arrived, fulfilled or noshow"}}}
	}
	row, person, err := a.openBooking(ctx, &BookingAccess{Reference: reference, Staff: true, Caller: caller})
	if err != nil {
		return BookingView{}, err
	}
	return a.transition(ctx, Transition{Key: row.Key, To: to, Actor: caller.author()}, person)
}

func (a *Allocator) transition(ctx context.Context, t Transition, person *Person) (BookingView, error) {
	ctx, cancel := context.WithTimeout(ctx, a.limits.ConfirmDeadline)
	defer cancel()
	r, err := untilDefinite(ctx, a, func(ctx context.Context) (TransitionResult, error) { return a.ledger.Transition(ctx, t) })
	if err != nil {
		return BookingView{}, err
	}
	switch {
	case !r.Found:
		return BookingView{}, errBookingUnknown()
	case r.Refused && r.Booking.Status == StatusCancelled:
		return BookingView{}, Refuse(CodeBookingEnded, "the booking was cancelled")
	case r.Refused:
		return BookingView{}, Refuse(CodeTransitionRefused, "a booking that is %s cannot become %s", r.Booking.Status, t.To)
	}
	if !r.Booking.Status.Live() {
		a.freeNow(a.Shard(r.Booking.Slot.Site), endedRow(&r.Booking))
	}
	return a.fullView(ctx, &r.Booking, person)
}

// endedRow is the free of a booking that ended. Its hold's other bookings stay.
func endedRow(row *Booking) FreeItem {
	return FreeItem{
		ID: row.Hold, Site: row.Slot.Site, Partial: true, Reason: CodeBookingEnded,
		Places: []Placed{{row.Slot, row.Place, row.Service}},
	}
}

// freePatience is how long an answer waits for the inventory to learn that a place is free, so that whoever reads the
// answer finds it free. The answer does not depend on it.
const freePatience = 300 * time.Millisecond

// freeNow tells the inventory of a free and waits a little for it.
func (a *Allocator) freeNow(shard int, item FreeItem) {
	ctx, cancel := context.WithTimeout(context.Background(), freePatience)
	defer cancel()
	if _, err := a.frees[shard].deliver(ctx, item); errors.Is(err, error(errNotStarted)) {
		a.observer.Count("free_dropped")
		a.dirty.add(item.Site)
	}
}

// postSettle and postFree tell the inventory in its own time. What does not get through is found by the resolver and by
// reconciliation.
func (a *Allocator) postSettle(shard int, item SettleItem) {
	if !a.settles[shard].post(item) {
		a.observer.Count("settle_dropped")
		a.dirty.add(item.Site)
	}
}

func (a *Allocator) postFree(shard int, item FreeItem) {
	if !a.frees[shard].post(item) {
		a.observer.Count("free_dropped")
		a.dirty.add(item.Site)
	}
}

func (a *Allocator) settle(ctx context.Context, shard int, items []SettleItem) ([]ApplyOutcome, error) {
	outcomes, err := onShard(ctx, a.epochs, shard, func(epoch int64) ([]ApplyOutcome, error) {
		return a.inventory.Settle(ctx, shard, epoch, items)
	})
	for i := range items {
		if err != nil || outcomes[i] != Applied {
			a.dirty.add(items[i].Site)
		}
	}
	return outcomes, a.lateFailure("settle", shard, len(items), err)
}

func (a *Allocator) free(ctx context.Context, shard int, items []FreeItem) ([]ApplyOutcome, error) {
	defer a.nudge(shard)
	outcomes, err := onShard(ctx, a.epochs, shard, func(epoch int64) ([]ApplyOutcome, error) {
		return a.inventory.Free(ctx, shard, epoch, items)
	})
	for i := range items {
		if err != nil || outcomes[i] != Applied {
			a.dirty.add(items[i].Site)
		}
	}
	return outcomes, a.lateFailure("free", shard, len(items), err)
}

func (a *Allocator) lateFailure(what string, shard, items int, err error) error {
	if err != nil {
		a.observer.Count(what + "_failed")
		a.log.Info("the inventory did not learn", "what", what, "shard", shard, "items", items, "error", err)
	}
	return err
}

// DayBookings lists every booking of a site's date by start, ended ones included (staff).
func (a *Allocator) DayBookings(ctx context.Context, site SiteID, date Date) ([]BookingView, error) {
	entry, err := a.knownSite(ctx, site)
	if err != nil {
		return nil, err
	}
	day, rows, err := a.ledger.DayBookings(ctx, site, date)
	if err != nil {
		return nil, ledgerError(err)
	}
	MarkUnsupported(&day, entry.zone(), rows)
	slices.SortFunc(rows, func(x, y Booking) int {
		return cmp.Or(x.Slot.Compare(y.Slot), cmp.Compare(x.Place, y.Place), x.RecordedAt.Compare(y.RecordedAt))
	})
	views := make([]BookingView, len(rows))
	for i := range rows {
		views[i] = a.view(&rows[i], entry)
		views[i].Person = a.details(&rows[i])
	}
	return views, nil
}

// Seals are the installation's own.
func (a *Allocator) Seals() *Seals { return a.secret.Seals() }

// WorklistKeys are the installation's own: the first one signs.
func (a *Allocator) WorklistKeys() []ed25519.PrivateKey { return a.secret.WorklistKeys() }

// TrailKey is the installation's own, the same on each of its servers.
func (a *Allocator) TrailKey() [32]byte { return a.secret.TrailKey() }

// VisitorSeals sign visitors' tickets: the installation's own, the same on each of its servers.
func (a *Allocator) VisitorSeals() *Seals { return a.secret.VisitorSeals() }

// WalkIn books a free place for someone who is there (staff): a hold and its confirm at once, in the slot asked for or
// else in the one nearest to now that has room. A refusal is final for its Idempotency-Key.
func (a *Allocator) WalkIn(ctx context.Context, r WalkInRequest) (BookingView, error) {
	r.Caller.Staff = true
	keyed := r.IdempotencyKey != ""
	if !keyed {
		r.IdempotencyKey = rand.Text()
	}
	entry, err := a.ownSite(ctx, r.Site, r.Caller)
	if err != nil {
		return BookingView{}, err
	}
	if _, err := a.knownService(ctx, r.Service); err != nil {
		return BookingView{}, err
	}
	if done, ok, err := a.walkedIn(ctx, &r); err != nil || ok {
		return done, err
	}
	starts := []slotKey{{MinuteOf(r.Start), int16(r.Length)}}
	if r.Start.IsZero() {
		starts = entry.nearNow(a.clock.Now(), r.Service, int16(r.Length))
	}
	refusal := error(Refuse(CodeSlotUnknown, "nothing is published for %s around now", r.Service))
	for _, s := range starts {
		hold, err := a.Hold(ctx, HoldRequest{
			Caller: r.Caller, IdempotencyKey: walkInKey(r.IdempotencyKey),
			Claims: []ClaimRequest{{Site: r.Site, Service: r.Service, Start: s.start.Time(), Length: int(s.length)}},
		})
		switch CodeOf(err) {
		case CodeSlotFull, CodeSlotUnknown, CodeSessionClosed, CodeOutsideWindow, CodeIdempotencyMismatch:
			refusal = err // a repeat finds its own slot further on
			continue
		}
		if err != nil {
			return BookingView{}, err
		}
		views, err := a.Confirm(ctx, ConfirmRequest{Caller: r.Caller, Token: hold.Token, People: []Person{r.Person}})
		if err != nil {
			a.abandon(ctx, hold.Token, err)
			return BookingView{}, err
		}
		return views[0], nil
	}
	if !keyed || CodeOf(refusal) == CodeIdempotencyMismatch {
		return BookingView{}, refusal
	}
	return a.refuseWalkIn(ctx, &r, entry, starts, refusal)
}

// refuseWalkIn writes a refusal down before it is told. Otherwise a copy of the request that is still under way could find a
// place that was given back meanwhile, and book it for somebody who was told that there is none.
func (a *Allocator) refuseWalkIn(ctx context.Context, r *WalkInRequest, entry *siteEntry, starts []slotKey, refusal error) (BookingView, error) {
	ctx, cancel := context.WithTimeout(ctx, a.limits.ConfirmDeadline)
	defer cancel()
	request := a.secret.Request(r.Caller.Client, walkInKey(r.IdempotencyKey), r.Site)
	slot := SlotID{r.Site, MinuteOf(a.clock.Now()), int16(max(r.Length, 1))}
	if len(starts) > 0 {
		slot.Start = starts[0].start
	}
	row := Booking{
		Key: a.secret.Booking(request, 0), Hold: HoldID{Key: request}, Slot: slot, Service: r.Service,
		Date: DateOf(slot.Start.Time().In(entry.zone())),
	}
	result, err := a.void(ctx, Voiding{Claims: []Booking{row}, Reason: CodeOf(refusal)})
	if err != nil {
		return BookingView{}, err
	}
	if result.Outcome == RecordedEver { // by a copy
		if done, ok, err := a.walkedIn(ctx, r); err != nil || ok {
			return done, err
		}
	}
	return BookingView{}, refusal
}

func walkInKey(key string) string { return "walk-in " + key }

// walkedIn finds what an earlier call with the same key recorded: the nearest slot may be another one by now.
func (a *Allocator) walkedIn(ctx context.Context, r *WalkInRequest) (BookingView, bool, error) {
	key := a.secret.Booking(a.secret.Request(r.Caller.Client, walkInKey(r.IdempotencyKey), r.Site), 0)
	rows, err := a.ledger.Bookings(ctx, []BookingKey{key})
	if err != nil {
		return BookingView{}, false, ledgerError(err)
	}
	if len(rows) == 0 {
		return BookingView{}, false, nil
	}
	if rows[0].Status == StatusVoid {
		return BookingView{}, false, Refuse(Code(rows[0].Reason), "this walk-in was refused before: use a new Idempotency-Key to try again")
	}
	entry, err := a.knownSite(ctx, r.Site)
	if err != nil {
		return BookingView{}, false, err
	}
	asked := r.Person
	if number, ok := ValidNHSNumber(asked.NHSNumber); ok {
		asked.NHSNumber = number
	}
	if *a.details(&rows[0]) != asked || rows[0].Service != r.Service {
		return BookingView{}, false, Refuse(CodeIdempotencyMismatch, "this Idempotency-Key was used for another walk-in")
	}
	v := a.view(&rows[0], entry)
	v.ManageToken = a.secret.ManageToken(key)
	return v, true, nil
}

// abandon gives back the hold of a walk-in that was refused for its data: nobody else knows its token.
func (a *Allocator) abandon(ctx context.Context, token string, cause error) {
	if code := CodeOf(cause); code == CodeOutcomeUnknown || code == CodeLedgerUnavailable {
		return
	}
	var refusal *Error
	if err := a.Release(ctx, token); err != nil && !errors.As(err, &refusal) {
		a.log.Info("a walk-in's hold stays until it expires", "error", err)
	}
}

// nearNow lists the slots of today that offer a service and are not over, nearest to now first, at most twelve.
func (e *siteEntry) nearNow(now time.Time, service ServiceCode, length int16) []slotKey {
	e.mu.Lock()
	defer e.mu.Unlock()
	at := MinuteOf(now)
	day := e.days[DateOf(now.In(e.zone()))]
	if day == nil {
		return nil
	}
	var near []slotKey
	for _, s := range day.allSlots(e.zone()) {
		if s.ID.Start+Minute(s.ID.Length) > at && (length == 0 || s.ID.Length == length) && s.offers(service) {
			near = append(near, slotKey{s.ID.Start, s.ID.Length})
		}
	}
	slices.SortStableFunc(near, func(x, y slotKey) int { return cmp.Compare(distance(x.start, at), distance(y.start, at)) })
	return near[:min(len(near), 12)]
}

func distance(x, y Minute) Minute { return max(x-y, y-x) }
