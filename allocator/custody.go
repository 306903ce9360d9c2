package allocator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"muster/allocator/keyring"
)

// Custodian looks after people's details in a ledger: it deletes those whose time is over, seals them by newer keys, and
// exports and erases one person's. Safe for concurrent use, by any number of servers on one ledger.
//
// Every change compares: a payload that somebody else has changed or deleted meanwhile stays as it is. So nothing that was
// deleted comes back, whoever else is at work.
type Custodian struct {
	ledger   Ledger
	secret   *Secret
	log      *slog.Logger
	observer Observer
}

// NewCustodian makes one from an allocator's own parts; Log and Observer may be nil.
func NewCustodian(ledger Ledger, secret Secret, log *slog.Logger, observer Observer) *Custodian {
	c := &Custodian{ledger: ledger, secret: &secret, log: log, observer: observer}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.observer == nil {
		c.observer = noObserver{}
	}
	return c
}

// Retention is for how many days after an appointment details are kept, by what became of it; 0: for ever. What is
// cancelled is nobody's then, either; who had a live booking is kept as a person key, so that nobody books a dose twice.
type Retention struct {
	Attended  int // booked, arrived or fulfilled
	Missed    int // noshow
	Cancelled int
}

// DefaultRetention is for a service whose clinical record is kept elsewhere.
var DefaultRetention = Retention{Attended: 365, Missed: 365, Cancelled: 90}

// Validate reports every fault at once.
func (r Retention) Validate() error {
	var faults []error
	for what, days := range map[string]int{"attended": r.Attended, "missed": r.Missed, "cancelled": r.Cancelled} {
		if days < 0 || days > 36_500 {
			faults = append(faults, fmt.Errorf("retention of %s: %d days are not within 0 and 36500", what, days))
		}
	}
	return errors.Join(faults...)
}

// over says whether the time of a payload is over on a day.
func (r Retention) over(p *Payload, today Date) bool {
	days := r.Attended
	switch p.Status {
	case StatusNoShow:
		days = r.Missed
	case StatusCancelled:
		days = r.Cancelled
	}
	return days > 0 && today > p.Date+Date(days)
}

// SweepTask is what a sweep does to payloads. DryRun counts and changes nothing.
type SweepTask struct {
	Retention Retention
	Rewrap    bool // seal those of retired keys by the active one
	DryRun    bool
}

// SweepReport counts payloads.
type SweepReport struct {
	Read       int         `json:"read"`
	Lapsed     int         `json:"lapsed"`     // their time was over: deleted
	Rewrapped  int         `json:"rewrapped"`  // of a retired key: sealed by the active one
	Unreadable int         `json:"unreadable"` // of an unknown key, or changed: left alone
	Changed    int         `json:"changed"`    // of those to be deleted or rewrapped, how many were: others had been changed meanwhile
	Keys       map[int]int `json:"keys"`       // by the number of the key that they have now, without the deleted
}

func (r *SweepReport) add(more SweepReport) {
	r.Read += more.Read
	r.Lapsed += more.Lapsed
	r.Rewrapped += more.Rewrapped
	r.Unreadable += more.Unreadable
	r.Changed += more.Changed
	for key, n := range more.Keys {
		r.Keys[key] += n
	}
}

// sweepPage is how many payloads are read, and at most changed, in one transaction.
const sweepPage = 500

// Sweep goes through all payloads, page by page. It may be repeated, ended at any time, and run beside others.
func (c *Custodian) Sweep(ctx context.Context, task SweepTask) (SweepReport, error) {
	report := SweepReport{Keys: make(map[int]int)}
	for after := BookingKey(0); ; {
		page, next, err := c.sweepPage(ctx, task, after)
		report.add(page)
		if err != nil || next == 0 {
			return report, err
		}
		after = next
	}
}

// sweepPage sweeps the payloads after a key, and answers from which to go on; 0 at the end.
func (c *Custodian) sweepPage(ctx context.Context, task SweepTask, after BookingKey) (report SweepReport, next BookingKey, err error) {
	report.Keys = make(map[int]int)
	now, err := c.ledger.Now(ctx)
	if err != nil {
		return report, 0, ledgerError(err)
	}
	payloads, err := c.ledger.Payloads(ctx, after, sweepPage)
	if err != nil {
		return report, 0, ledgerError(err)
	}
	var changes []Resealing
	for i := range payloads {
		if r := c.decide(task, &payloads[i], DateOf(now), &report); r != nil {
			changes = append(changes, *r)
		}
	}
	if !task.DryRun && len(changes) > 0 {
		if report.Changed, err = c.ledger.Reseal(ctx, changes); err != nil {
			return report, 0, ledgerError(err)
		}
	}
	if len(payloads) == sweepPage {
		next = payloads[sweepPage-1].Key
	}
	return report, next, nil
}

// decide says what is to be done to a payload; nil: nothing.
func (c *Custodian) decide(task SweepTask, p *Payload, today Date, report *SweepReport) *Resealing {
	report.Read++
	if task.Retention.over(p, today) {
		report.Lapsed++
		return &Resealing{Key: p.Key, Was: p.Sealed, Nobody: p.Status == StatusCancelled}
	}
	fresh := []byte(nil)
	if task.Rewrap {
		var err error
		if fresh, err = c.secret.rewrap(p.Key, p.Sealed); err != nil {
			report.Unreadable++
			c.observer.Count("details_unreadable")
			c.log.Error("a booking's details do not open", "booking", p.Key.Reference(), "error", err)
		}
	}
	if fresh == nil {
		if id, ok := keyring.KeyOf(p.Sealed); ok {
			report.Keys[id]++
		}
		return nil
	}
	report.Rewrapped++
	report.Keys[c.secret.vault.Active()]++
	return &Resealing{Key: p.Key, Was: p.Sealed, Now: fresh}
}

// PersonExport is all that a ledger has of one person.
type PersonExport struct {
	Bookings []ExportedBooking `json:"bookings"` // by start
}

// ExportedBooking is a booking of an export. Details are those that were given with it; nil where they were deleted.
type ExportedBooking struct {
	Reference  string           `json:"reference"`
	Site       SiteID           `json:"siteId"`
	Start      time.Time        `json:"start"`
	Length     int16            `json:"length"` // minutes
	Service    ServiceCode      `json:"service"`
	Status     Status           `json:"status"`
	Reason     string           `json:"reason,omitempty"`
	ReplacedBy string           `json:"replacedBy,omitempty"`
	RecordedAt time.Time        `json:"recordedAt"`
	Details    *ExportedDetails `json:"details"`
}

// ExportedDetails are a person's as they were given with one booking.
type ExportedDetails struct {
	NHSNumber   string `json:"nhsNumber,omitempty"`
	GivenName   string `json:"givenName,omitempty"`
	FamilyName  string `json:"familyName,omitempty"`
	DateOfBirth string `json:"dateOfBirth,omitempty"`
	Email       string `json:"email,omitempty"`
	Phone       string `json:"phone,omitempty"`
	Landline    string `json:"landline,omitempty"`
}

// maxPersonBookings bounds what is read of one person at once.
const maxPersonBookings = 1000

// personRows finds a person's rows by the NHS number.
func (c *Custodian) personRows(ctx context.Context, nhsNumber string) ([]Booking, error) {
	number, ok := ValidNHSNumber(nhsNumber)
	if !ok {
		return nil, &Error{Code: CodeNHSNumberInvalid, Detail: "not a valid NHS number", Faults: []Fault{{"/nhsNumber", "fails the check digit (modulus 11)"}}}
	}
	rows, err := c.ledger.PersonBookings(ctx, c.secret.Person(number), maxPersonBookings)
	return rows, ledgerError(err)
}

// Export lists every booking of a person with its details. What was booked without an NHS number cannot be found, nor what
// was erased.
func (c *Custodian) Export(ctx context.Context, nhsNumber string) (PersonExport, error) {
	rows, err := c.personRows(ctx, nhsNumber)
	export := PersonExport{Bookings: make([]ExportedBooking, 0, len(rows))}
	for i := range rows {
		export.Bookings = append(export.Bookings, c.export(&rows[i]))
	}
	return export, err
}

func (c *Custodian) export(row *Booking) ExportedBooking {
	b := ExportedBooking{
		Reference: row.Key.Reference(), Site: row.Slot.Site, Start: row.Slot.Start.Time().UTC(), Length: row.Slot.Length,
		Service: row.Service, Status: row.Status, Reason: row.Reason, RecordedAt: row.RecordedAt,
	}
	if row.ReplacedBy != 0 {
		b.ReplacedBy = row.ReplacedBy.Reference()
	}
	p, err := c.open(row)
	if err != nil {
		return b
	}
	b.Details = &ExportedDetails{
		NHSNumber: p.NHSNumber, GivenName: p.GivenName, FamilyName: p.FamilyName, Email: p.Email, Phone: p.Phone, Landline: p.Landline,
	}
	if p.HasBirth {
		b.Details.DateOfBirth = p.DateOfBirth.String()
	}
	return b
}

// open opens a row's details, and tells operators of those that do not open.
func (c *Custodian) open(row *Booking) (*Person, error) {
	p, err := c.secret.unseal(row.Key, row.Sealed)
	if err != nil && !errors.Is(err, errNoDetails) {
		c.observer.Count("details_unreadable")
		c.log.Error("a booking's details do not open", "booking", row.Key.Reference(), "error", err)
	}
	return p, err
}

// Erasure is what became of a person's bookings.
type Erasure struct {
	Erased   int      `json:"erased"`
	Upcoming []string `json:"upcoming"` // references of bookings that are still to come, and were left alone
}

// Erase takes a person out of every booking that is not still to come: the details go, and the booking is nobody's. Slot,
// status, version and events stay. Repeating it erases what has come to be past since.
func (c *Custodian) Erase(ctx context.Context, nhsNumber string) (Erasure, error) {
	done := Erasure{Upcoming: []string{}}
	now, err := c.ledger.Now(ctx)
	if err != nil {
		return done, ledgerError(err)
	}
	for {
		rows, err := c.personRows(ctx, nhsNumber)
		if err != nil {
			return done, err
		}
		done.Upcoming = done.Upcoming[:0]
		var items []Resealing
		for i := range rows {
			if rows[i].Status == StatusBooked && rows[i].Slot.Start.Time().After(now) {
				done.Upcoming = append(done.Upcoming, rows[i].Key.Reference())
				continue
			}
			items = append(items, Resealing{Key: rows[i].Key, Was: rows[i].Sealed, Nobody: true})
		}
		if len(items) == 0 {
			return done, nil
		}
		n, err := c.ledger.Reseal(ctx, items)
		if err != nil {
			return done, ledgerError(err)
		}
		done.Erased += n
	}
}

// ExportPerson lists all that is kept of a person (operators).
func (a *Allocator) ExportPerson(ctx context.Context, nhsNumber string, caller Caller) (PersonExport, error) {
	export, err := a.custodian.Export(ctx, nhsNumber)
	if err == nil {
		a.observer.Count("person_exported")
		a.log.Info("a person was exported", "by", caller.Actor, "bookings", len(export.Bookings))
	}
	return export, err
}

// ErasePerson takes a person out of the ledger, as far as no booking is still to come (operators).
func (a *Allocator) ErasePerson(ctx context.Context, nhsNumber string, caller Caller) (Erasure, error) {
	done, err := a.custodian.Erase(ctx, nhsNumber)
	if err == nil {
		a.observer.Count("person_erased")
		a.log.Info("a person was erased", "by", caller.Actor, "bookings", done.Erased, "upcoming", len(done.Upcoming))
	}
	return done, err
}
