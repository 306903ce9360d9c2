package allocator

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Bounds of a plan. A plan that has all of them fits into the body of a request.
const (
	MaxSeries    = 50
	MaxOverrides = 366 // of one series
	MaxClosures  = 100 // of one series, or of a site
	MaxDayEdits  = 16  // of one override
	MaxEveryWeek = 52
)

// planFaults gathers what is wrong with a plan.
type planFaults struct {
	today  Date
	known  func(ServiceCode) bool
	faults []Fault
}

func (f *planFaults) add(pointer, format string, args ...any) {
	f.faults = append(f.faults, Fault{pointer, fmt.Sprintf(format, args...)})
}

func (f *planFaults) check(ok bool, pointer, detail string) {
	if !ok {
		f.add(pointer, "%s", detail)
	}
}

// faults lists what is wrong with the plan, from today on. Whatever it is made of is looked at first, then each date on its
// own: what would be refused of a day is refused of the plan.
func (p *Plan) faults(today Date, zone *time.Location, known func(ServiceCode) bool) []Fault {
	f := &planFaults{today: today, known: known}
	f.check(len(p.Series) <= MaxSeries, "/series", fmt.Sprintf("at most %d series", MaxSeries))
	f.closures(p.Closures, "")
	ids := make(map[string]bool)
	for i := range p.Series {
		at := fmt.Sprintf("/series/%d", i)
		s := &p.Series[i]
		f.check(!ids[s.ID], at+"/id", "another series has this id")
		ids[s.ID] = true
		f.series(s, at)
	}
	if len(f.faults) > 0 {
		return f.faults
	}
	return p.dayFaults(today, zone)
}

func (f *planFaults) series(s *Series, at string) {
	f.check(s.ID != "" && len(s.ID) <= MaxNameBytes, at+"/id", "must have 1 to 200 bytes")
	f.check(s.From > 0, at+"/from", "must be a date")
	f.check(s.Until >= s.From, at+"/until", "is before from")
	f.check(s.Until <= f.today+MaxHorizonDays, at+"/until", fmt.Sprintf("must be %s or before: later days cannot be published yet", f.today+MaxHorizonDays))
	f.check(s.EveryWeeks >= 1 && s.EveryWeeks <= MaxEveryWeek, at+"/everyWeeks", fmt.Sprintf("must be 1 to %d", MaxEveryWeek))
	f.check(len(s.Weekdays) > 0, at+"/weekdays", "must name a day of the week")
	for j, day := range s.Weekdays {
		f.check(!slices.Contains(s.Weekdays[:j], day), fmt.Sprintf("%s/weekdays/%d", at, j), "is named twice")
	}
	f.check(len(s.Sessions) > 0, at+"/sessions", "must have a session")
	f.sessions(s.Sessions, at)
	f.closures(s.Closures, at)
	f.check(len(s.Overrides) <= MaxOverrides, at+"/overrides", fmt.Sprintf("at most %d dates", MaxOverrides))
	if len(f.faults) > 0 {
		return // the dates of a series that makes no sense make none
	}
	dates := make(map[Date]bool, len(s.Overrides))
	for k := range s.Overrides {
		o := &s.Overrides[k]
		at := fmt.Sprintf("%s/overrides/%d", at, k)
		f.check(!dates[o.Date], at+"/date", "another override of the series has this date")
		dates[o.Date] = true
		f.override(s, o, at)
	}
}

func (f *planFaults) override(s *Series, o *Override, at string) {
	f.check(o.Date >= s.From && o.Date <= s.Until, at+"/date", "must be a date of the series, from its first to its last")
	if len(o.Edits) == 0 {
		f.sessions(o.Sessions, at)
		return
	}
	f.check(len(o.Sessions) == 0, at+"/sessions", "cannot be given beside edits")
	f.check(s.occurs(o.Date), at+"/date", "is none on which the series takes place: there is nothing to edit")
	f.check(len(o.Edits) <= MaxDayEdits, at+"/edits", fmt.Sprintf("at most %d edits", MaxDayEdits))
	for n := range o.Edits {
		o.Edits[n].check(fmt.Sprintf("%s/edits/%d", at, n), f.check)
	}
}

func (f *planFaults) sessions(sessions []Session, at string) {
	f.check(len(sessions) <= MaxSessionsPerDay, at+"/sessions", fmt.Sprintf("at most %d sessions", MaxSessionsPerDay))
	for j, s := range sessions {
		at := fmt.Sprintf("%s/sessions/%d", at, j)
		s.validate(at, f.add)
		f.check(s.ID == "" || !slices.ContainsFunc(sessions[:j], func(o Session) bool { return o.ID == s.ID }), at+"/id", "another session has this id")
		for n, code := range s.Services {
			f.check(!code.Valid() || f.known(code), fmt.Sprintf("%s/services/%d", at, n), "is not a known service")
		}
	}
}

func (f *planFaults) closures(closures []Closure, at string) {
	f.check(len(closures) <= MaxClosures, at+"/closures", fmt.Sprintf("at most %d closures", MaxClosures))
	for i, c := range closures {
		at := fmt.Sprintf("%s/closures/%d", at, i)
		f.check(c.From > 0 && c.Until >= c.From, at+"/until", "must be from, or later")
		f.check(len(c.Reason) <= MaxNameBytes, at+"/reason", "is longer than 200 bytes")
	}
}

// mostPlanFaults is how many faults of dates are told at once.
const mostPlanFaults = 32

// dayFaults looks at every date that can be published. What is wrong on many dates is told of the first.
func (p *Plan) dayFaults(today Date, zone *time.Location) []Fault {
	f := &planFaults{}
	seen, told := make(map[string]bool), make(map[Fault]bool)
	for date := today; date <= today+MaxHorizonDays && len(f.faults) < mostPlanFaults; date++ {
		all := p.compose(date)
		alike := fmt.Sprint((date + 1).Begins(zone).Sub(date.Begins(zone))) // a date of the same sessions and length has the same faults
		for _, s := range all {
			alike += s.pointer
		}
		if len(all) == 0 || seen[alike] {
			continue
		}
		seen[alike] = true
		for _, fault := range composedFaults(all, date, zone) {
			if !told[fault] {
				told[fault] = true
				f.add(fault.Pointer, "%s (on %s)", fault.Detail, date)
			}
		}
	}
	return f.faults
}

// composedFaults finds what is wrong with the sessions of one date together.
func composedFaults(all []composed, date Date, zone *time.Location) []Fault {
	day := Day{Date: date}
	for _, s := range all {
		day.Sessions = append(day.Sessions, s.session)
	}
	if len(all) <= MaxSessionsPerDay {
		if faults := clashes(all); len(faults) > 0 {
			return faults
		}
	}
	faults := day.Validate(zone)
	for i := range faults {
		faults[i].Pointer = pointerOf(faults[i].Pointer, all)
	}
	return faults
}

// clashes finds sessions of different series that use each other's times or ids, and tells of both.
func clashes(all []composed) (faults []Fault) {
	tell := func(a, b composed, field, detail string) {
		faults = append(faults, Fault{a.pointer + field, detail + b.pointer}, Fault{b.pointer + field, detail + a.pointer})
	}
	for i, a := range all {
		for _, b := range all[i+1:] {
			if a.series == b.series {
				continue
			}
			if a.session.ID != "" && a.session.ID == b.session.ID {
				tell(a, b, "/id", "is also that of ")
			}
			if a.session.From < b.session.Until && b.session.From < a.session.Until {
				tell(a, b, "", "overlaps ")
			}
		}
	}
	return faults
}

// pointerOf finds in the plan what a day's fault points at: one of its sessions, or the series of the first.
func pointerOf(pointer string, all []composed) string {
	rest, ok := strings.CutPrefix(pointer, "/sessions/")
	if !ok {
		return fmt.Sprintf("/series/%d/sessions", all[0].series)
	}
	number, field, _ := strings.Cut(rest, "/")
	for i := range all {
		if fmt.Sprint(i) == number {
			return strings.TrimSuffix(all[i].pointer+"/"+field, "/")
		}
	}
	return pointer
}
