package allocator

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"
)

// A suspended service takes no new bookings at a site, because its stock ran out, until somebody resumes it: what is booked
// stays, and so does what somebody holds at that moment. The site remembers its suspensions, and each published day carries
// those of its date in its sessions: so a new suspension is a new revision of these days, which the inventory demands from
// then on of every server, and a day that is published later is marked by the ledger that stores it. Both change in one
// transaction. A pool seats its suspended services' claims as before; it only grants no new ones (Pool.takes).

// Suspension says that a site takes no new bookings of a service.
type Suspension struct {
	Service ServiceCode
	Until   Date   // the last day of appointments that it concerns; 0: none is the last
	Reason  string // for those who work there
}

// on says whether the suspension concerns appointments of a date.
func (s *Suspension) on(date Date) bool { return s.Until == 0 || date <= s.Until }

// suspend returns sessions as they are under a site's suspensions. It changes nothing in its argument.
func suspend(sessions []Session, suspensions []Suspension, date Date) []Session {
	marked := slices.Clone(sessions)
	for i := range marked {
		marked[i].Suspended = nil
		for _, s := range suspensions {
			if s.on(date) && slices.Contains(marked[i].Services, s.Service) {
				marked[i].Suspended = append(marked[i].Suspended, s.Service)
			}
		}
	}
	return marked
}

// suspends says whether a session of the day takes no new bookings of the service.
func (d *Day) suspends(service ServiceCode) bool {
	return slices.ContainsFunc(d.Sessions, func(s Session) bool { return slices.Contains(s.Suspended, service) })
}

// SuspensionChange asks a ledger to suspend a service at a site, or to resume it.
type SuspensionChange struct {
	Site       SiteID
	Suspension Suspension
	Resume     bool
	From       Date // days from this one on change; suspensions that ended before it are forgotten
	DryRun     bool
	Actor      string
}

// SuspensionResult answers a SuspensionChange.
type SuspensionResult struct {
	Found   bool // there is such a site
	Changed bool // or would be; false where everything was so already
	Site    Site // as it is now, or would be
	Days    []Day
	// Days are those from From on that have the service suspended now, or had before the change, as they are now or would be.
}

// SuspensionWrites is what an adapter must write, in one transaction. Nil: nothing.
type SuspensionWrites struct {
	Site   Site
	Days   []Day
	Events []Event
}

// DecideSuspension decides what a change makes of a site and of its published days from change.From on. Asked for what is
// so already, it changes nothing.
func DecideSuspension(site Site, days []Day, change *SuspensionChange, now time.Time) (*SuspensionWrites, SuspensionResult) {
	before := site.Suspended
	site.Suspended = slices.DeleteFunc(slices.Clone(before), func(s Suspension) bool {
		return s.Service == change.Suspension.Service || s.Until != 0 && s.Until < change.From
	})
	if !change.Resume {
		site.Suspended = append(site.Suspended, change.Suspension)
	}
	slices.SortFunc(site.Suspended, func(a, b Suspension) int { return cmp.Compare(a.Service, b.Service) })
	w, result := &SuspensionWrites{Site: site}, SuspensionResult{Found: true, Site: site}
	for _, day := range days {
		next := day
		next.Sessions = suspend(day.Sessions, site.Suspended, day.Date)
		if !slices.EqualFunc(day.Sessions, next.Sessions, func(a, b Session) bool { return slices.Equal(a.Suspended, b.Suspended) }) {
			next.Revision++
			w.Days = append(w.Days, next)
			w.Events = append(w.Events, Event{
				Type: EventCapacity, At: now, Actor: change.Actor, Site: day.Site, Date: day.Date, Revision: next.Revision,
			})
		}
		if day.suspends(change.Suspension.Service) || next.suspends(change.Suspension.Service) {
			result.Days = append(result.Days, next)
		}
	}
	result.Changed = len(w.Days) > 0 || !slices.Equal(before, site.Suspended)
	if !result.Changed || change.DryRun {
		return nil, result
	}
	w.Events = append(w.Events, SiteEvent(site.ID, site.Version+1, change.Actor, now))
	return w, result
}

// SuspensionRequest suspends a service at a site, or resumes it.
type SuspensionRequest struct {
	Caller     Caller
	Site       SiteID
	Suspension Suspension
	Resume     bool
	DryRun     bool
}

// SuspensionReply tells what a request did, or would do.
type SuspensionReply struct {
	Changed  bool // false where everything was so already
	Days     int  // published days from today on that are suspended now, or were before
	Bookings int  // live bookings of the service on these days that are still to come: they stay
	Free     int  // places of these days that the public could have, were the service not suspended
}

// Suspend stops new bookings of a service at a site at once on every server, or lets them begin again. Bookings stay, and
// holds may be confirmed. Repeated, it changes nothing.
func (a *Allocator) Suspend(ctx context.Context, r SuspensionRequest) (SuspensionReply, error) {
	entry, err := a.ownSite(ctx, r.Site, r.Caller)
	if err != nil {
		return SuspensionReply{}, err
	}
	if _, err := a.knownService(ctx, r.Suspension.Service); err != nil {
		return SuspensionReply{}, err
	}
	now := a.clock.Now()
	today := DateOf(now.In(entry.zone()))
	if faults := r.faults(today); len(faults) > 0 {
		return SuspensionReply{}, &Error{Code: CodeInvalid, Detail: "the suspension is not valid", Faults: faults}
	}
	ctx, cancel := context.WithTimeout(ctx, a.limits.ConfirmDeadline)
	defer cancel()
	change := SuspensionChange{
		Site: r.Site, Suspension: r.Suspension, Resume: r.Resume, From: today, DryRun: r.DryRun, Actor: r.Caller.author(),
	}
	unknown := false
	result, err := untilDefinite(ctx, a, func(ctx context.Context) (SuspensionResult, error) {
		result, err := a.ledger.Suspend(ctx, change)
		unknown = unknown || errors.Is(err, ErrOutcomeUnknown)
		return result, err
	})
	if err != nil {
		return SuspensionReply{}, ledgerError(err)
	}
	if !result.Found {
		return SuspensionReply{}, errSiteUnknown()
	}
	reply := SuspensionReply{Changed: result.Changed || unknown, Days: len(result.Days)}
	if !r.DryRun {
		if err := a.suspended(ctx, entry, &result); err != nil {
			return reply, err
		}
	}
	return reply, a.concernedBy(ctx, entry, &r, result.Days, MinuteOf(now), &reply)
}

func (r *SuspensionRequest) faults(today Date) (faults []Fault) {
	if until := r.Suspension.Until; until != 0 && (until < today || until > today+MaxHorizonDays) {
		faults = append(faults, Fault{"/until", "must be a date from today on, at most 366 days ahead"})
	}
	if len(r.Suspension.Reason) > MaxNameBytes {
		faults = append(faults, Fault{"/reason", "must have at most 200 bytes"})
	}
	return faults
}

// suspended takes over what the ledger stored. The inventory learns of every day, also where an earlier try had stored it.
func (a *Allocator) suspended(ctx context.Context, entry *siteEntry, result *SuspensionResult) error {
	if err := a.directory.putSites(result.Site); err != nil {
		return err
	}
	for _, day := range result.Days {
		entry.putDay(day)
		if err := a.applyDay(ctx, day.Site, day.Date, day.Revision); err != nil {
			a.dirty.add(day.Site) // holds that meet the older revision bring the inventory up, and so does reconciliation
		}
	}
	return nil
}

// concernedBy counts what a suspension of some days is about: bookings by the ledger, free places as a search would.
func (a *Allocator) concernedBy(ctx context.Context, entry *siteEntry, r *SuspensionRequest, days []Day, from Minute, reply *SuspensionReply) error {
	if len(days) == 0 {
		return nil
	}
	state, err := a.ledger.SiteState(ctx, r.Site, from, a.clock.Now())
	if err != nil {
		return ledgerError(err)
	}
	a.ensureTrusted(ctx, entry)
	dates := make(map[Date]bool, len(days))
	for i := range days {
		dates[days[i].Date] = true
		reply.Free += entry.freeUnsuspended(days[i], r.Suspension.Service, from)
	}
	for i := range state.Live {
		if b := &state.Live[i]; b.Service == r.Suspension.Service && dates[b.Date] {
			reply.Bookings++
		}
	}
	return nil
}

// freeUnsuspended counts what of a service the public could have on a day from an instant on, were nothing suspended.
func (e *siteEntry) freeUnsuspended(day Day, service ServiceCode, from Minute) int {
	day.Sessions = suspend(day.Sessions, nil, day.Date)
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.freeOn(&dayEntry{day: day}, service).from(from)
}

// Suspensions lists what a site has suspended, by service, as the ledger has it; those that have ended are left out.
func (a *Allocator) Suspensions(ctx context.Context, site SiteID, caller Caller) ([]Suspension, error) {
	entry, err := a.ownSite(ctx, site, caller)
	if err != nil {
		return nil, err
	}
	stored, _, err := a.ledger.Site(ctx, site)
	if err != nil {
		return nil, ledgerError(err)
	}
	today := DateOf(a.clock.Now().In(entry.zone()))
	return slices.DeleteFunc(stored.Suspended, func(s Suspension) bool { return !s.on(today) }), nil
}
