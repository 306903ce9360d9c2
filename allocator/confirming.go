package allocator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// confirmation is one confirm under way: steps 2 to 5 of the protocol.
//
//	pin      every part stops expiring; a lost one is seated anew; one past its time leads to a refusal
//	record   one transaction for all claims; its commit is the commit point
//	settle   the inventory learns, in its own time
//
// A refusal commits a void row for every claim before anyone is told, so that no late record can still book. Until an
// answer is definite nothing is said but OUTCOME_UNKNOWN: the pin stays, and the same request yields the truth.
type confirmation struct {
	a      *Allocator
	ticket *ticket
	legs   []confirmLeg
	rows   []Booking // leg by leg, claim by claim
	owners []int     // rows[i] belongs to legs[owners[i]]
	caller Caller
	moved  BookingKey // the booking to be replaced
}

// confirmLeg is one site's part of a confirm, as it stands after the pin.
type confirmLeg struct {
	*leg
	shard    int
	first    int // of its rows
	entry    *siteEntry
	evidence Evidence
	lost     bool
}

// Confirm records a hold as bookings. Repeating it with the same people gives the same answer, whatever happened between.
func (a *Allocator) Confirm(ctx context.Context, r ConfirmRequest) ([]BookingView, error) {
	t, err := a.parse(r.Token)
	if err != nil {
		return nil, err
	}
	ctx, cancel := bounded(ctx, a.limits.ConfirmDeadline)
	defer cancel()
	c := &confirmation{a: a, ticket: t, caller: r.Caller}
	if err := c.prepare(ctx, r.People); err != nil {
		return nil, err
	}
	if r.Replaces != nil {
		if err := c.replace(ctx, r.Replaces); err != nil {
			return nil, err
		}
	}
	return c.run(ctx)
}

// prepare writes the rows, and checks all that can be checked without touching anything: a refusal here leaves the hold
// as it is, to be confirmed with better data.
func (c *confirmation) prepare(ctx context.Context, people []Person) error {
	n := c.ticket.claims()
	if len(people) != 1 && len(people) != n {
		return &Error{Code: CodeInvalid, Detail: "one person per claim, or one for all", Faults: []Fault{{"/people", fmt.Sprintf("has %d entries for %d claims", len(people), n)}}}
	}
	c.legs, c.rows, c.owners = make([]confirmLeg, 0, len(c.ticket.Legs)), make([]Booking, 0, n), make([]int, 0, n)
	for i := range c.ticket.Legs {
		l := &c.ticket.Legs[i]
		entry, err := c.a.knownSite(ctx, l.Site)
		if err != nil {
			return err
		}
		shard := c.a.Shard(l.Site)
		c.legs = append(c.legs, confirmLeg{leg: l, shard: shard, first: len(c.rows), entry: entry, evidence: Evidence{Site: l.Site, Shard: shard}})
		for j := range l.Claims {
			who := l.Claims[j].Index
			if len(people) == 1 {
				who = 0
			}
			if who >= len(people) {
				return Refuse(CodeHoldUnknown, "no such hold")
			}
			row, err := c.row(ctx, l, j, &people[who], who, c.caller.at(entry).Staff)
			if err != nil {
				return err
			}
			if c.hasPersonDose(&row) {
				return Refuse(CodeAlreadyBooked, "one person cannot have two bookings of the same programme and dose")
			}
			c.rows = append(c.rows, row)
			c.owners = append(c.owners, i)
		}
	}
	return nil
}

// hasPersonDose says whether an earlier row is of the same person, programme and dose.
func (c *confirmation) hasPersonDose(row *Booking) bool {
	p, ok := row.PersonDose()
	return ok && slices.ContainsFunc(c.rows, func(b Booking) bool {
		other, ok := b.PersonDose()
		return ok && other == p
	})
}

// row writes a claim's row for a person. Staff of the site may leave out what the public must tell.
func (c *confirmation) row(ctx context.Context, l *leg, j int, p *Person, who int, staff bool) (Booking, error) {
	claim := l.Claims[j]
	service, err := c.a.knownService(ctx, claim.Service)
	if err != nil {
		return Booking{}, err
	}
	row := Booking{
		Key: c.a.secret.Booking(l.ID.Key, j), Hold: l.ID, Slot: l.slot(j), Date: claim.Date, Place: claim.Place,
		Service: claim.Service, Programme: service.Programme, Dose: service.Dose, OnePerson: service.OnePerPerson,
	}
	person := *p
	if person.NHSNumber != "" || !staff {
		number, ok := ValidNHSNumber(person.NHSNumber)
		if !ok {
			return row, &Error{Code: CodeNHSNumberInvalid, Detail: "not a valid NHS number", Faults: []Fault{{fmt.Sprintf("/people/%d/nhsNumber", who), "fails the check digit (modulus 11)"}}}
		}
		person.NHSNumber = number
		row.Person = c.a.secret.Person(number)
	}
	if e := service.Eligibility; e != (Eligibility{}) {
		if !person.HasBirth && !staff {
			return row, &Error{Code: CodeInvalid, Detail: "the service depends on age", Faults: []Fault{{fmt.Sprintf("/people/%d/dateOfBirth", who), "is needed"}}}
		}
		if person.HasBirth && !e.Allows(person.DateOfBirth, claim.Date) {
			return row, &Error{Code: CodeNotEligible, Detail: fmt.Sprintf("%s is not offered to this age", claim.Service), Faults: []Fault{{fmt.Sprintf("/people/%d/dateOfBirth", who), "is outside the service's ages"}}}
		}
	}
	row.Sealed = c.a.secret.seal(row.Key, &person)
	return row, nil
}

// replace finds the booking that is to be moved. That it is live is for the recording transaction to see.
func (c *confirmation) replace(ctx context.Context, access *BookingAccess) error {
	old, _, err := c.a.openBooking(ctx, access)
	if err != nil {
		return err
	}
	if old.Person != (PersonKey{}) && !slices.ContainsFunc(c.rows, func(b Booking) bool { return b.Person == old.Person }) {
		return &Error{Code: CodeInvalid, Detail: "a booking can only be moved for the same person", Faults: []Fault{{"/replaces", "is another person's booking"}}}
	}
	c.moved = old.Key
	return nil
}

func (c *confirmation) run(ctx context.Context) ([]BookingView, error) {
	for i := range c.legs {
		if code, err := c.pin(ctx, &c.legs[i]); err != nil {
			return nil, err
		} else if code != "" {
			return c.refuse(ctx, code, -1)
		}
	}
	for try := 0; ; try++ {
		result, err := c.record(ctx)
		if err != nil {
			return nil, err
		}
		switch result.Outcome {
		case Recorded, RecordedEver:
			return c.succeed(ctx, result)
		case RecordVoid:
			c.release(result.Reason)
			return nil, c.refusal(result.Reason, -1)
		case RecordForeign:
			return nil, errForeign
		case RecordPerson:
			return c.refuse(ctx, CodeAlreadyBooked, result.Claim)
		case RecordReplace:
			return c.refuse(ctx, CodeBookingEnded, -1)
		case RecordUnseated:
			if c.legs[c.owners[result.Claim]].lost {
				return c.refuse(ctx, CodeHoldLost, result.Claim)
			}
			return c.refuse(ctx, CodeHoldRevoked, result.Claim)
		case RecordTaken:
			c.a.observer.Count("place_taken")
			code := CodeSlotFull
			if try < c.a.limits.Reseats {
				if code, err = c.reseat(ctx, &result); err != nil {
					return nil, err
				}
			}
			if code != "" {
				return c.refuse(ctx, code, result.Claim)
			}
		default:
			return nil, fmt.Errorf("record outcome %d makes no sense", result.Outcome)
		}
	}
}

// record sends the rows until the answer is definite or time is up.
func (c *confirmation) record(ctx context.Context) (RecordResult, error) {
	item := Recording{Claims: slices.Clone(c.rows), Pins: make([]Evidence, 0, len(c.legs)), Replaces: c.moved, Actor: c.caller.author()}
	for i := range c.legs {
		item.Pins = append(item.Pins, c.legs[i].evidence)
	}
	return untilDefinite(ctx, c.a, func(ctx context.Context) (RecordResult, error) { return c.a.records.submit(ctx, item) })
}

// untilDefinite repeats a ledger's write that is safe to repeat until it answers, or time is up: then the error says
// whether it may have happened.
func untilDefinite[T any](ctx context.Context, a *Allocator, write func(context.Context) (T, error)) (T, error) {
	unknown := false
	pause := 20 * time.Millisecond
	for {
		value, err := write(ctx)
		var refusal *Error
		if err == nil || errors.As(err, &refusal) && !unknown {
			return value, err
		}
		unknown = unknown || errors.Is(err, ErrOutcomeUnknown)
		a.observer.Count("ledger_retry")
		if a.pace.wait(ctx, pause) != nil {
			if unknown {
				a.observer.Count("outcome_unknown")
				return value, asError(err, true)
			}
			return value, ledgerError(err)
		}
		pause = min(2*pause, time.Second)
	}
}

// void tells the ledger that claims will never be booked, until its answer is definite or time is up.
func (a *Allocator) void(ctx context.Context, v Voiding) (RecordResult, error) {
	return untilDefinite(ctx, a, func(ctx context.Context) (RecordResult, error) {
		results, err := a.ledger.Void(ctx, []Voiding{v})
		if err != nil {
			return RecordResult{}, err
		}
		return results[0], nil
	})
}

// refuse voids every claim, and only then says why. Where the request turns out to be recorded, that is the answer.
func (c *confirmation) refuse(ctx context.Context, code Code, claim int) ([]BookingView, error) {
	result, err := c.a.void(ctx, Voiding{Claims: c.rows, Reason: code})
	if err != nil {
		return nil, err
	}
	switch result.Outcome {
	case RecordedEver:
		for i := range c.rows {
			if !slices.ContainsFunc(result.Rows, func(b Booking) bool { return b.Answers(&c.rows[i]) }) {
				return nil, errForeign
			}
		}
		return c.succeed(ctx, result)
	case RecordVoid:
		if result.Reason != code {
			claim = -1
		}
		code = result.Reason
	}
	c.release(code)
	return nil, c.refusal(code, claim)
}

// release frees the places of every leg, after the ledger has said that they will never be booked.
func (c *confirmation) release(reason Code) {
	for i := range c.legs {
		l := &c.legs[i]
		item := FreeItem{ID: c.rows[l.first].Hold, Site: l.Site, Reason: reason}
		for j := range l.Claims {
			row := &c.rows[l.first+j]
			item.Places = append(item.Places, Placed{row.Slot, row.Place, row.Service})
		}
		c.a.freeNow(l.shard, item)
	}
}

// refusal words a reason for the client.
func (c *confirmation) refusal(code Code, claim int) error {
	c.a.observer.Count("confirm_refused_" + string(code))
	if code == CodeSlotFull || code == CodeHoldLost {
		row := &c.rows[max(claim, 0)]
		return c.a.noRoom(code, c.legs[c.owners[max(claim, 0)]].entry, row.Slot, row.Service, max(claim, 0))
	}
	detail := map[Code]string{
		CodeHoldExpired:   "the hold has expired",
		CodeHoldReleased:  "the hold was released",
		CodeHoldRevoked:   "the capacity of this slot was withdrawn before the hold was confirmed",
		CodeAlreadyBooked: "this person has a booking of this programme and dose: cancel or move that",
		CodeBookingEnded:  "the booking to be replaced has ended",
	}[code]
	return Refuse(code, "%s", detail)
}

// succeed tells the inventory what was recorded, and makes the answer.
func (c *confirmation) succeed(ctx context.Context, result RecordResult) ([]BookingView, error) {
	for _, site := range result.Raised {
		c.a.dirty.raise(site)
	}
	if result.Replaced != nil {
		c.a.freeNow(c.a.Shard(result.Replaced.Slot.Site), endedRow(result.Replaced))
	}
	views := make([]BookingView, len(c.rows))
	for i := range c.legs {
		l := &c.legs[i]
		settled := SettleItem{Site: l.Site}
		for j := range l.Claims {
			key := c.rows[l.first+j].Key
			at := slices.IndexFunc(result.Rows, func(b Booking) bool { return b.Key == key })
			if at < 0 {
				return nil, fmt.Errorf("the ledger has no row for claim %d of hold %s", j, l.ID)
			}
			row := &result.Rows[at]
			settled.ID = row.Hold
			if row.Status.Live() {
				settled.Places = append(settled.Places, Placed{row.Slot, row.Place, row.Service})
			} else {
				c.a.postFree(l.shard, endedRow(row))
			}
			if index := l.Claims[j].Index; index < len(views) {
				views[index] = c.a.view(row, l.entry)
				views[index].ManageToken = c.a.secret.ManageToken(row.Key)
			}
		}
		if len(settled.Places) > 0 {
			c.a.postSettle(l.shard, settled)
		}
		if settled.ID != l.ID {
			c.a.postFree(l.shard, FreeItem{ID: l.ID, Site: l.Site, Reason: CodeBookingEnded})
		}
	}
	return views, nil
}

// errForeign is the refusal of a confirm whose keys were used for something else.
var errForeign = Refuse(CodeIdempotencyMismatch, "the hold, or its Idempotency-Key, was confirmed for another person or appointment")
