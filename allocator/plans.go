package allocator

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"time"
)

// This file puts plans and makes days from them.
//
// Days are made through Publish, each in a transaction of its own, as if the publisher had put them. Which ones are still
// to be made stands in the plan's row, so whoever comes next goes on where a server stopped: another request, or the pass
// over plans that are due, which also makes the days that come nearer.
//
// Only one of them may work at a time, or days of an older plan could be made after those of a newer one. So each writes
// the row first, and its days are published only while the row has the version that it wrote: the ledger compares them in
// the transaction of the day. Whoever wrote the row next has taken over, and what the others still try is refused.
// A publisher's own changes of days know nothing of plans. They are told by the day's revision when a day is made, and by
// the day's sessions when the plan is next put.

const (
	// takeOverAfter is how long whoever wrote a row may work before the pass takes over: longer than a request lasts.
	takeOverAfter = time.Minute
	// plansEvery is how often the pass looks for plans that are due.
	plansEvery = time.Minute
	plansPage  = 100
	never      = math.MaxInt64
)

// PlanRequest puts a site's plan.
type PlanRequest struct {
	Caller  Caller
	Site    SiteID
	IfMatch *int64 // the revision that must be current; nil: any
	DryRun  bool
	Cancel  bool // cancel what has no seat after the change
	Replace bool // days that were edited by hand, too
	Plan    Plan
}

// PlanReply tells what putting the plan did, or would do: its revision, and what became of each day that it changes.
type PlanReply struct {
	Revision int64
	Days     []EditedDay
}

// Plan reads a site's plan, and the days from today on that were edited by hand and differ from its series.
func (a *Allocator) Plan(ctx context.Context, site SiteID) (SitePlan, []Date, error) {
	entry, err := a.knownSite(ctx, site)
	if err != nil {
		return SitePlan{}, nil, err
	}
	p, err := a.ledger.SitePlan(ctx, site)
	if err != nil {
		return SitePlan{}, nil, ledgerError(err)
	}
	today := DateOf(a.clock.Now().In(entry.zone()))
	days, err := a.daysOf(ctx, site, today, today+MaxHorizonDays)
	var edited []Date
	for i := range days {
		if _, ok := p.edited(&days[i], &p.Plan); ok {
			edited = append(edited, days[i].Date)
		}
	}
	return p, edited, err
}

// PutPlan replaces a site's plan and makes its days, or tells what that would do. Each day is a transaction of its own, and
// whatever fails fails for its day alone; days that could not be made now are made later. A plan that is there already keeps
// its revision. Without IfMatch, of plans that are put at the same time the last one counts.
func (a *Allocator) PutPlan(ctx context.Context, r PlanRequest) (PlanReply, error) {
	entry, err := a.ownSite(ctx, r.Site, r.Caller)
	if err != nil {
		return PlanReply{}, err
	}
	today := DateOf(a.clock.Now().In(entry.zone()))
	if err := a.checkPlan(ctx, &r.Plan, today, entry.zone()); err != nil {
		return PlanReply{}, err
	}
	for try := 1; ; try++ {
		reply, err := a.putPlan(ctx, &r, today, entry.zone())
		if !errors.Is(err, errTakenOver) || try == editTries {
			return reply, err
		}
	}
}

// errTakenOver says that somebody else wrote the plan meanwhile.
var errTakenOver = Refuse(CodeRevisionMismatch, "the plan was changed at the same time")

func (a *Allocator) checkPlan(ctx context.Context, p *Plan, today Date, zone *time.Location) error {
	var failed error
	faults := p.faults(today, zone, func(code ServiceCode) bool {
		if a.createServices {
			return true
		}
		_, err := a.knownService(ctx, code)
		if err != nil && CodeOf(err) != CodeServiceUnknown {
			failed = err
		}
		return err == nil
	})
	if failed != nil || len(faults) == 0 {
		return failed
	}
	return &Error{Code: CodeInvalid, Detail: "the plan is not valid", Faults: faults}
}

func (a *Allocator) putPlan(ctx context.Context, r *PlanRequest, today Date, zone *time.Location) (PlanReply, error) {
	present, err := a.ledger.SitePlan(ctx, r.Site)
	if err != nil {
		return PlanReply{}, ledgerError(err)
	}
	if r.IfMatch != nil && *r.IfMatch != present.Revision {
		return PlanReply{}, Refuse(CodeRevisionMismatch, "the plan has revision %d", present.Revision)
	}
	if !r.DryRun {
		if err := a.takeOver(ctx, &present); err != nil {
			return PlanReply{}, err
		}
	}
	days, err := a.daysOf(ctx, r.Site, today, today+MaxHorizonDays)
	if err != nil {
		return PlanReply{}, err
	}
	next := present.next(r.Plan, days, today, r.Replace)
	next.Version, next.Actor, next.Cancel = present.Version, r.Caller.author(), r.Cancel
	reply := PlanReply{Revision: next.Revision}
	if r.DryRun {
		reply.Days = a.makeDays(ctx, next, true)
		return reply, nil
	}
	if err := a.takeOver(ctx, next); err != nil {
		return PlanReply{}, err
	}
	reply.Days = a.makeDays(ctx, next, false)
	a.daysMade(ctx, next, reply.Days, zone)
	return reply, nil
}

// takeOver writes the plan's next version: from then on nobody else makes days of the site from an older one.
func (a *Allocator) takeOver(ctx context.Context, p *SitePlan) error {
	p.Due = a.clock.Now().Add(takeOverAfter).UnixMilli()
	return a.writePlan(ctx, p)
}

func (a *Allocator) writePlan(ctx context.Context, p *SitePlan) error {
	p.Version++
	p.Writer = a.pace.name()
	ctx, cancel := bounded(ctx, a.limits.ConfirmDeadline)
	defer cancel()
	written, err := untilDefinite(ctx, a, func(ctx context.Context) (bool, error) { return a.ledger.PutPlan(ctx, *p) })
	if err == nil && !written {
		err = errTakenOver
	}
	return err
}

// makeDays publishes the days that are still to be made.
func (a *Allocator) makeDays(ctx context.Context, p *SitePlan, dryRun bool) []EditedDay {
	dates := slices.Sorted(maps.Keys(p.Open))
	made, requests := make([]EditedDay, len(dates)), make([]PublishRequest, len(dates))
	for i, date := range dates {
		revision := p.Open[date]
		requests[i] = PublishRequest{
			Caller: Caller{Actor: p.Actor}, Site: p.Site, Date: date, IfMatch: &revision, DryRun: dryRun, Cancel: p.Cancel,
			Day: Day{Sessions: p.On(date)}, plan: p.Version,
		}
		if dryRun {
			requests[i].plan = 0 // nothing was written that it could depend on
		}
	}
	replies, errs := a.PublishMany(ctx, requests)
	for i, date := range dates {
		made[i] = EditedDay{Date: date, Reply: replies[i], Err: errs[i]}
		if errs[i] == nil && p.Open[date] > 0 {
			made[i].Reply.HeldAffected = a.heldAffected(ctx, &requests[i])
		}
	}
	return made
}

// daysMade notes in the plan's row what has been made. A day that has another revision than expected was changed by hand
// in the meantime, and stays so. Where the note cannot be written, the pass finds the days made.
func (a *Allocator) daysMade(ctx context.Context, p *SitePlan, made []EditedDay, zone *time.Location) {
	for _, day := range made {
		if day.Err == nil || CodeOf(day.Err) == CodeRevisionMismatch {
			delete(p.Open, day.Date)
		} else {
			a.log.Warn("a day of a plan could not be made", "site", p.Site, "date", day.Date.String(), "error", day.Err)
		}
	}
	switch {
	case len(p.Open) > 0:
		p.Due = a.clock.Now().Add(takeOverAfter).UnixMilli()
	case len(p.Series) == 0:
		p.Due = never
	default:
		p.Due = (DateOf(a.clock.Now().In(zone)) + 1).Begins(zone).UnixMilli()
	}
	if err := a.writePlan(ctx, p); err != nil && ctx.Err() == nil {
		a.log.Info("what was made of a plan could not be noted", "site", p.Site, "error", err)
	}
}

// makePlanned is the pass: it makes what was left, and the days that come within reach.
func (a *Allocator) makePlanned(ctx context.Context) {
	a.pace.every(ctx, plansEvery, func(ctx context.Context) {
		for after := SiteID(""); ctx.Err() == nil; {
			due, err := a.ledger.DuePlans(ctx, a.clock.Now().UnixMilli(), after, plansPage)
			if err != nil {
				if ctx.Err() == nil {
					a.log.Info("plans that are due not read", "error", err)
				}
				return
			}
			for i := range due {
				after = due[i].Site
				if err := a.goOn(ctx, &due[i]); err != nil && !errors.Is(err, errTakenOver) && ctx.Err() == nil {
					a.log.Warn("days of a plan not made", "site", due[i].Site, "error", err)
				}
			}
			if len(due) < plansPage {
				return
			}
		}
	})
}

// goOn makes a plan's days where somebody stopped, and those up to the horizon, unless there is a day already.
func (a *Allocator) goOn(ctx context.Context, p *SitePlan) error {
	entry, err := a.knownSite(ctx, p.Site)
	if err != nil {
		return err
	}
	if err := a.takeOver(ctx, p); err != nil {
		return err
	}
	today := DateOf(a.clock.Now().In(entry.zone()))
	if p.Open == nil {
		p.Open = make(map[Date]int64)
	}
	maps.DeleteFunc(p.Open, func(date Date, _ int64) bool { return date < today })
	for date := max(p.Through+1, today); date < today+plannedDays; date++ {
		if len(p.On(date)) > 0 {
			p.Open[date] = 0
		}
	}
	p.Through = max(p.Through, today+plannedDays-1)
	a.daysMade(ctx, p, a.makeDays(ctx, p, false), entry.zone())
	return nil
}
