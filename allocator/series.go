package allocator

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Plan is what a site offers as a rule: sessions that come again, and when they do not. The days of a site are made from it.
type Plan struct {
	Series   []Series  `json:"series,omitempty"`
	Closures []Closure `json:"closures,omitempty"` // of the whole site
}

// Series is sessions that come again on some weekdays.
type Series struct {
	ID         string         `json:"id"`
	From       Date           `json:"from"`
	Until      Date           `json:"until"` // included
	Weekdays   []time.Weekday `json:"weekdays"`
	EveryWeeks int            `json:"everyWeeks"` // 2: every other week, counted in weeks from Monday, beginning with that of From
	Sessions   Sessions       `json:"sessions"`
	Overrides  []Override     `json:"overrides,omitempty"`
	Closures   []Closure      `json:"closures,omitempty"`
}

// Override is what a series does on one date: other sessions (none: it does not take place), or its own ones edited.
type Override struct {
	Date     Date      `json:"date"`
	Sessions Sessions  `json:"sessions,omitempty"` // where there are no edits
	Edits    []DayEdit `json:"edits,omitempty"`    // in order
}

// Closure is dates on which nothing takes place, whatever else says otherwise.
type Closure struct {
	From   Date   `json:"from"`
	Until  Date   `json:"until"` // included
	Reason string `json:"reason,omitempty"`
}

// Sessions are stored as days store theirs.
type Sessions []Session

// MarshalJSON implements json.Marshaler.
func (s Sessions) MarshalJSON() ([]byte, error) { return EncodeSessions(s), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (s *Sessions) UnmarshalJSON(data []byte) (err error) {
	*s, err = DecodeSessions(data)
	return err
}

// SitePlan is a site's plan as the ledger keeps it, with what is known of the days that were made from it.
type SitePlan struct {
	Site    SiteID `json:"-"`
	Version int64  `json:"-"` // raised by each write; 0: none was ever written
	Due     int64  `json:"-"` // when somebody has to look at it, in milliseconds since 1970

	Revision int64             `json:"revision"` // raised by publishers' changes; 0: none was ever put
	Writer   string            `json:"writer"`   // of this version: nobody else has the name
	Actor    string            `json:"actor"`    // on whose behalf days are made
	Cancel   bool              `json:"cancel,omitempty"`
	Through  Date              `json:"through,omitempty"` // days have been made up to this one, but for those in Open
	Open     map[Date]int64    `json:"open,omitempty"`    // days still to be made, and which revision they had when that was decided
	Edited   map[Date]Sessions `json:"edited,omitempty"`  // days that were edited by hand
	Plan
}

// EncodePlan writes a plan as the JSON that ledgers store, without site, version and due.
func EncodePlan(p *SitePlan) []byte { return encodeDocument(p) }

// DecodePlan reads what EncodePlan wrote of a version of a site's plan; version 0 has no document.
func DecodePlan(site SiteID, version, due int64, document string) (SitePlan, error) {
	p := SitePlan{}
	if version > 0 {
		if err := json.Unmarshal([]byte(document), &p); err != nil {
			return SitePlan{}, fmt.Errorf("stored plan of %s: %w", site, err)
		}
	}
	p.Site, p.Version, p.Due = site, version, due
	return p, nil
}

// On is what the plan says of a date. Closures win over everything, days edited by hand over series.
func (p *SitePlan) On(date Date) []Session {
	if sessions, ok := p.Edited[date]; ok && !closedOn(p.Closures, date) {
		return sessions
	}
	return p.Plan.on(date)
}

// on is what closures and series say of a date.
func (p *Plan) on(date Date) []Session {
	var sessions []Session
	for _, s := range p.compose(date) {
		sessions = append(sessions, s.session)
	}
	return sessions
}

// composed is a session of a date, and where in the plan it stands.
type composed struct {
	session Session
	series  int
	pointer string
}

func (p *Plan) compose(date Date) (all []composed) {
	if closedOn(p.Closures, date) {
		return nil
	}
	for i := range p.Series {
		all = p.Series[i].compose(date, i, all)
	}
	return all
}

// compose adds what the series has on a date.
func (s *Series) compose(date Date, index int, all []composed) []composed {
	if date < s.From || date > s.Until || closedOn(s.Closures, date) {
		return all
	}
	at := "/series/" + strconv.Itoa(index)
	k := slices.IndexFunc(s.Overrides, func(o Override) bool { return o.Date == date })
	if k >= 0 && len(s.Overrides[k].Edits) == 0 {
		for j, session := range s.Overrides[k].Sessions {
			all = append(all, composed{session, index, fmt.Sprintf("%s/overrides/%d/sessions/%d", at, k, j)})
		}
		return all
	}
	if !s.occurs(date) {
		return all
	}
	for j, session := range s.Sessions {
		if k < 0 {
			all = append(all, composed{session, index, fmt.Sprintf("%s/sessions/%d", at, j)})
			continue
		}
		left := []Session{session}
		for _, e := range s.Overrides[k].Edits {
			left = e.Apply(left)
		}
		for _, edited := range left {
			all = append(all, composed{edited, index, fmt.Sprintf("%s/overrides/%d", at, k)})
		}
	}
	return all
}

// occurs says whether the series' weekdays and weeks have a date of its range.
func (s *Series) occurs(date Date) bool {
	weeks := int(date.monday()-s.From.monday()) / 7
	return weeks%s.EveryWeeks == 0 && slices.Contains(s.Weekdays, date.Weekday())
}

// monday is that of the date's week.
func (d Date) monday() Date { return d - Date(d.Weekday()+6)%7 }

func closedOn(closures []Closure, date Date) bool {
	return slices.ContainsFunc(closures, func(c Closure) bool { return c.From <= date && date <= c.Until })
}

// plannedDays is how far ahead days are made from a plan, today included: a quarter of a year, as many as one edit reaches.
const plannedDays = maxEditedDays

// next is the plan that follows when a publisher puts another one, with the days that have to be made. Days that somebody
// edited by hand stay as they are where the new plan does not close them, or are made anew where replace is set.
func (p *SitePlan) next(plan Plan, days []Day, today Date, replace bool) *SitePlan {
	n := &SitePlan{
		Site: p.Site, Revision: p.Revision + 1, Plan: plan, Through: today + plannedDays - 1, Open: make(map[Date]int64), Edited: make(map[Date]Sessions),
	}
	published := make(map[Date]*Day, len(days))
	for i := range days {
		published[days[i].Date] = &days[i]
	}
	for date := today; date <= today+MaxHorizonDays; date++ {
		day := published[date]
		if day == nil {
			if date > n.Through {
				continue
			}
			day = &Day{Site: p.Site, Date: date}
		}
		if sessions, ok := p.edited(day, &plan); ok && !replace {
			n.Edited[date] = sessions
		}
		if !sameSessions(day.Sessions, n.On(date)) {
			n.Open[date] = day.Revision
		}
	}
	if p.Revision > 0 && string(p.content(today)) == string(n.content(today)) {
		n.Revision = p.Revision
	}
	return n
}

// edited is what became of a day by hand, if anything did. There is no note of it in the day: a day is the plan's where it is
// what the plan says, or has not been made yet. What the publisher has made by hand what next says of it is the plan's again.
func (p *SitePlan) edited(day *Day, next *Plan) (Sessions, bool) {
	kept, was := p.Edited[day.Date]
	revision, waits := p.Open[day.Date]
	switch {
	case day.Revision == 0 || waits && revision == day.Revision || p.Revision > 0 && sameSessions(day.Sessions, p.On(day.Date)):
		return kept, was
	case !closedOn(next.Closures, day.Date) && sameSessions(day.Sessions, next.on(day.Date)):
		return nil, false
	}
	return day.Sessions, true
}

// content is what makes a revision: the plan, and the edited days from today on.
func (p *SitePlan) content(today Date) []byte {
	c := SitePlan{Plan: p.Plan, Edited: make(map[Date]Sessions)}
	for date, sessions := range p.Edited {
		if date >= today {
			c.Edited[date] = sessions
		}
	}
	return EncodePlan(&c)
}
