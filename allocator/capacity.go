package allocator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// PutSite creates or replaces a site's details; created tells which. Without a location the postcode places it. A bound
// caller makes sites of its organisation, and changes no others; of all others, a site that names no publisher keeps its own.
func (a *Allocator) PutSite(ctx context.Context, site Site, caller Caller) (Site, bool, error) {
	if err := a.completeSite(&site); err != nil {
		return site, false, err
	}
	put := a.ledger.PutSite
	if caller.Bound {
		site.Publisher, put = caller.Organisation, a.ledger.PutOwnSite
	}
	created, err := put(ctx, site, caller.author())
	if err != nil {
		return site, false, ledgerError(err)
	}
	stored, ok, err := a.ledger.Site(ctx, site.ID)
	if err != nil || !ok {
		return site, created, ledgerError(errors.Join(err, ErrUnavailable))
	}
	return stored, created, a.directory.putSites(stored)
}

// completeSite fills in defaults and reports every fault.
func (a *Allocator) completeSite(site *Site) error {
	var faults []Fault
	fault := func(pointer, detail string) { faults = append(faults, Fault{pointer, detail}) }
	if !site.ID.Valid() {
		fault("/siteId", "must be 1 to 64 letters, digits, '-', '_' or '.'")
	}
	if site.Name == "" || len(site.Name) > MaxNameBytes {
		fault("/name", "must have 1 to 200 bytes")
	}
	if site.TimeZone == "" {
		site.TimeZone = "Europe/London"
	}
	if _, err := a.directory.zone(site.TimeZone); err != nil {
		fault("/timeZone", "is not an IANA time zone")
	}
	if site.Postcode != "" {
		canonical, lat, lon, _, ok := a.postcodes.Locate(site.Postcode)
		switch {
		case ok && site.Lat == 0 && site.Lon == 0:
			site.Postcode, site.Lat, site.Lon = canonical, lat, lon
		case ok:
			site.Postcode = canonical
		case site.Lat == 0 && site.Lon == 0:
			fault("/address/postcode", "is not known, so it cannot place the site: give a location")
		}
	} else if site.Lat == 0 && site.Lon == 0 {
		fault("/location", "is needed where there is no postcode")
	}
	if !(site.Lat >= -90 && site.Lat <= 90) || !(site.Lon >= -180 && site.Lon <= 180) {
		fault("/location", "must be degrees, −90 to 90 and −180 to 180")
	}
	if len(faults) > 0 {
		return &Error{Code: CodeInvalid, Detail: "the site is not valid", Faults: faults}
	}
	return nil
}

// Site reads a site's details.
func (a *Allocator) Site(ctx context.Context, id SiteID) (Site, error) {
	entry, err := a.knownSite(ctx, id)
	if err != nil {
		return Site{}, err
	}
	return entry.details(), nil
}

// PutService creates or replaces a service; zero fields get their defaults.
func (a *Allocator) PutService(ctx context.Context, s Service, caller Caller) (Service, bool, error) {
	d := DefaultService(s.Code)
	if s.Name == "" {
		s.Name = d.Name
	}
	if s.Programme == "" {
		s.Programme = d.Programme
	}
	if s.Dose == 0 {
		s.Dose = d.Dose
	}
	if s.WindowDays == 0 {
		s.WindowDays = d.WindowDays
	}
	if faults := s.validate(); len(faults) > 0 {
		return s, false, &Error{Code: CodeInvalid, Detail: "the service is not valid", Faults: faults}
	}
	created, err := a.ledger.PutService(ctx, s, caller.author())
	if err != nil {
		return s, false, ledgerError(err)
	}
	services, err := a.ledger.Services(ctx)
	if err != nil {
		return s, created, ledgerError(err)
	}
	a.directory.putServices(services...)
	s, _ = a.directory.service(s.Code)
	return s, created, nil
}

func (s *Service) validate() (faults []Fault) {
	check := func(ok bool, pointer, detail string) {
		if !ok {
			faults = append(faults, Fault{pointer, detail})
		}
	}
	check(s.Code.Valid(), "/service", "must be 1 to 40 letters, digits or : _ + . -")
	check(len(s.Name) <= MaxNameBytes && len(s.Programme) <= MaxNameBytes, "/name", "is too long")
	check(s.Dose >= 1 && s.Dose <= 99, "/dose", "must be 1 to 99")
	check(s.WindowDays >= 1 && s.WindowDays <= MaxHorizonDays, "/windowDays", "must be 1 to 366")
	check(s.MinLeadHours >= 0 && s.MinLeadHours <= 24*MaxHorizonDays, "/minLeadHours", "must be 0 or more")
	check(s.FirstDate == 0 || s.LastDate == 0 || s.FirstDate <= s.LastDate, "/lastDate", "is before firstDate")
	check(s.Eligibility.MinAge >= 0 && s.Eligibility.MaxAge >= 0 && s.Eligibility.MinAge <= 150 && s.Eligibility.MaxAge <= 150 &&
		(s.Eligibility.MaxAge == 0 || s.Eligibility.MinAge <= s.Eligibility.MaxAge), "/eligibility", "must be ages, the lower one first")
	return faults
}

// Services lists the services on offer by code.
func (a *Allocator) Services(context.Context) ([]Service, error) {
	return a.directory.allServices(), nil
}

// Day reads a day's document as the ledger has it.
func (a *Allocator) Day(ctx context.Context, site SiteID, date Date) (Day, error) {
	if _, err := a.knownSite(ctx, site); err != nil {
		return Day{}, err
	}
	day, err := a.ledger.Day(ctx, site, date)
	return day, ledgerError(err)
}

// PublishDay changes the capacity of a site's day, or tells what the change would do (step 10).
func (a *Allocator) PublishDay(ctx context.Context, r PublishRequest) (PublishReply, error) {
	requests := []PublishRequest{r}
	replies, errs := a.PublishMany(ctx, requests)
	if errs[0] != nil {
		return replies[0], errs[0]
	}
	replies[0].HeldAffected = a.heldAffected(ctx, &requests[0])
	return replies[0], nil
}

// PublishMany changes many days, in order, each for itself; one reply or error each.
func (a *Allocator) PublishMany(ctx context.Context, requests []PublishRequest) ([]PublishReply, []error) {
	replies, errs := make([]PublishReply, len(requests)), make([]error, len(requests))
	var changes []DayChange
	var indexes []int
	for i := range requests {
		change, err := a.change(ctx, &requests[i])
		if err != nil {
			errs[i] = err
			continue
		}
		changes = append(changes, change)
		indexes = append(indexes, i)
	}
	if len(changes) == 0 {
		return replies, errs
	}
	ctx, cancel := context.WithTimeout(ctx, a.limits.ConfirmDeadline+time.Duration(len(changes))*100*time.Millisecond)
	defer cancel()
	unknown := false
	results, err := untilDefinite(ctx, a, func(ctx context.Context) ([]PublishResult, error) {
		results, err := a.ledger.Publish(ctx, changes)
		unknown = unknown || errors.Is(err, ErrOutcomeUnknown)
		return results, err
	})
	for n := range results {
		if unknown && ownWork(&changes[n], &results[n]) {
			results[n].Outcome = Published
		}
	}
	for n, i := range indexes {
		if err != nil {
			errs[i] = err
			continue
		}
		if unknown {
			// An attempt may have committed before: what it cancelled is free, and its revision applies, as reconciliation finds.
			a.dirty.add(requests[i].Site)
			a.recallCancelled(ctx, &requests[i], &results[n])
		}
		replies[i], errs[i] = a.published(ctx, &requests[i], &results[n])
	}
	return replies, errs
}

// ownWork says whether a conditional change met itself: an attempt whose outcome was unknown had committed.
func ownWork(change *DayChange, result *PublishResult) bool {
	return result.Outcome == PublishMismatch && result.Revision == *change.IfMatch+1 && sameSessions(result.Previous.Sessions, change.Day.Sessions)
}

// recallCancelled finds what an attempt cancelled whose answer was lost: repeating it found nothing left to cancel.
func (a *Allocator) recallCancelled(ctx context.Context, r *PublishRequest, result *PublishResult) {
	if !r.Cancel || result.Outcome != Published || len(result.Cancelled) > 0 {
		return
	}
	_, rows, err := a.ledger.DayBookings(ctx, r.Site, r.Date)
	if err != nil {
		return // reconciliation frees the places all the same
	}
	for i := range rows {
		if rows[i].Status == StatusCancelled && rows[i].Reason == "site" {
			result.Cancelled = append(result.Cancelled, rows[i])
		}
	}
	inOrder(result.Cancelled)
}

// change checks a request and makes the ledger's change of it.
func (a *Allocator) change(ctx context.Context, r *PublishRequest) (DayChange, error) {
	entry, err := a.ownSite(ctx, r.Site, r.Caller)
	if err != nil {
		return DayChange{}, err
	}
	today := DateOf(a.clock.Now().In(entry.zone()))
	r.Day.Site, r.Day.Date = r.Site, r.Date
	faults := r.Day.Validate(entry.zone())
	if r.Date < today || r.Date > today+MaxHorizonDays {
		faults = append(faults, Fault{"/date", fmt.Sprintf("must be from %s to %s", today, today+MaxHorizonDays)})
	}
	if len(faults) > 0 {
		return DayChange{}, &Error{Code: CodeInvalid, Detail: "the day is not valid", Faults: faults}
	}
	return DayChange{
		Day: r.Day, Zone: entry.zone(), IfMatch: r.IfMatch, DryRun: r.DryRun, Cancel: r.Cancel, Actor: r.Caller.author(), Services: a.createServices, Plan: r.plan,
	}, nil
}

// published takes over a change that the ledger decided.
func (a *Allocator) published(ctx context.Context, r *PublishRequest, result *PublishResult) (PublishReply, error) {
	reply := PublishReply{
		Revision: result.Revision, Added: result.Added, Removed: result.Removed, Supported: result.Supported,
		NewlyUnsupported: references(result.NewlyUnsupported), NewlySupported: references(result.NewlySupported), Cancelled: references(result.Cancelled),
	}
	switch result.Outcome {
	case PublishMismatch:
		return reply, Refuse(CodeRevisionMismatch, "the day has revision %d", result.Revision)
	case PublishSiteUnknown:
		return reply, errSiteUnknown()
	case PublishServices:
		e := &Error{Code: CodeInvalid, Detail: "a session names an unknown service"}
		for i, s := range r.Day.Sessions {
			for j, code := range s.Services {
				for _, unknown := range result.Unknown {
					if code == unknown {
						e.Faults = append(e.Faults, Fault{fmt.Sprintf("/sessions/%d/services/%d", i, j), "is not a known service"})
					}
				}
			}
		}
		return reply, e
	}
	r.Day = result.Current
	if r.DryRun {
		return reply, nil
	}
	for i := range result.Cancelled {
		a.postFree(a.Shard(r.Site), endedRow(&result.Cancelled[i]))
	}
	if a.createServices && a.namesNewService(&r.Day) {
		if services, err := a.ledger.Services(ctx); err == nil {
			a.directory.putServices(services...)
		}
	}
	entry := a.directory.site(r.Site)
	if result.Current.Revision > 0 {
		entry.putDay(result.Current)
	}
	if result.Revision != result.Previous.Revision {
		if err := a.applyDay(ctx, r.Site, r.Date, result.Revision); err != nil {
			// The ledger has it: holds that meet the older revision bring the inventory up, and so does reconciliation.
			a.dirty.add(r.Site)
		}
	}
	return reply, nil
}

// namesNewService says whether a session names a service that the directory has not seen.
func (a *Allocator) namesNewService(day *Day) bool {
	for _, s := range day.Sessions {
		for _, code := range s.Services {
			if _, ok := a.directory.service(code); !ok {
				return true
			}
		}
	}
	return false
}

func references(rows []Booking) []string {
	list := make([]string, len(rows))
	for i := range rows {
		list[i] = rows[i].Key.Reference()
	}
	return list
}

// heldAffected counts the holds that the new document leaves without a seat: bookings before holds. It is an estimate for
// the publisher, made from the inventory; 0 where that cannot be read.
func (a *Allocator) heldAffected(ctx context.Context, r *PublishRequest) int {
	ctx, cancel := context.WithTimeout(ctx, a.limits.HoldDeadline)
	defer cancel()
	shard, entry := a.Shard(r.Site), a.directory.site(r.Site)
	view, err := onShard(ctx, a.epochs, shard, func(epoch int64) (SiteInventory, error) {
		return a.inventory.ReadSite(ctx, shard, epoch, r.Site)
	})
	if err != nil || entry == nil {
		return 0
	}
	_, rows, err := a.ledger.DayBookings(ctx, r.Site, r.Date)
	if err != nil {
		return 0
	}
	slots := slotsByID(&r.Day, entry.zone())
	booked, held := make(map[SlotID][]ServiceCode), make(map[SlotID][]ServiceCode)
	recorded := make(map[placeKey]bool)
	for i := range rows {
		if b := &rows[i]; b.Status.Live() {
			booked[b.Slot] = append(booked[b.Slot], b.Service)
			recorded[placeKey{b.Slot, b.Place}] = true
		}
	}
	for _, p := range view.Places {
		if !p.Booked && !recorded[placeKey{p.Slot, p.Place}] && DateOf(p.Slot.Start.Time().In(entry.zone())) == r.Date {
			held[p.Slot] = append(held[p.Slot], p.Service)
		}
	}
	affected := 0
	for id, services := range held {
		for i, ok := range Seat(slots[id].Pools, append(booked[id], services...)) {
			if i >= len(booked[id]) && !ok {
				affected++
			}
		}
	}
	return affected
}

// Events lists what happened to bookings and capacity in order, after a cursor. Nothing is listed only where nothing is left.
func (a *Allocator) Events(ctx context.Context, after string, limit int) ([]Event, string, error) {
	for {
		events, next, err := a.ledger.Events(ctx, after, limit)
		last := len(events) < limit
		events = slices.DeleteFunc(events, func(e Event) bool { return e.Type.Catalogue() })
		if err != nil || last || len(events) > 0 {
			return events, next, ledgerError(err)
		}
		after = next
	}
}

// Trail lists entries of the audit trail.
func (a *Allocator) Trail(ctx context.Context, q TrailQuery) ([]TrailEntry, error) {
	entries, err := a.ledger.Trail(ctx, q)
	return entries, ledgerError(err)
}

// Locate places a postcode.
func (a *Allocator) Locate(postcode string) (canonical string, lat, lon float64, precision string, err error) {
	canonical, lat, lon, precision, ok := a.postcodes.Locate(postcode)
	if !ok {
		return "", 0, 0, "", Refuse(CodePostcodeUnknown, "no such postcode")
	}
	return canonical, lat, lon, precision, nil
}
