package allocator

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func testSession(id string, from, until TimeOfDay) Session {
	return Session{ID: id, From: from, Until: until, SlotLength: 10, Capacity: 2, Services: []ServiceCode{"A"}}
}

// bruteForce writes a calendar of a plan, week by week and date by date, as a person would who has only paper.
func bruteForce(p *Plan) map[string][]Session {
	calendar := make(map[string][]Session)
	day := func(d Date) time.Time { return time.Unix(int64(d)*86_400, 0).UTC() }
	name := func(t time.Time) string { return t.Format(time.DateOnly) }
	each := func(from, until Date, visit func(t time.Time)) {
		for t := day(from); !t.After(day(until)); t = t.AddDate(0, 0, 1) {
			visit(t)
		}
	}
	for _, s := range p.Series {
		own := make(map[string][]Session)
		week := day(s.From)
		for week.Weekday() != time.Monday {
			week = week.AddDate(0, 0, -1)
		}
		for ; !week.After(day(s.Until)); week = week.AddDate(0, 0, 7*s.EveryWeeks) {
			each(DateOf(week), DateOf(week)+6, func(t time.Time) {
				for _, w := range s.Weekdays {
					if t.Weekday() == w && !t.Before(day(s.From)) && !t.After(day(s.Until)) {
						own[name(t)] = s.Sessions
					}
				}
			})
		}
		for _, o := range s.Overrides {
			sessions := []Session(o.Sessions)
			if len(o.Edits) > 0 {
				sessions = own[o.Date.String()]
			}
			for _, e := range o.Edits {
				sessions = e.Apply(sessions)
			}
			own[o.Date.String()] = sessions
		}
		for _, c := range s.Closures {
			each(c.From, c.Until, func(t time.Time) { delete(own, name(t)) })
		}
		for date, sessions := range own {
			calendar[date] = append(calendar[date], sessions...)
		}
	}
	for _, c := range p.Closures {
		each(c.From, c.Until, func(t time.Time) { delete(calendar, name(t)) })
	}
	return calendar
}

// randomPlan makes a plan of series that keep out of each other's way.
func randomPlan(rng *rand.Rand, today Date) (p Plan) {
	dates := func(within, longest int) (from, until Date) {
		from = today - 20 + Date(rng.IntN(within))
		return from, from + Date(rng.IntN(longest))
	}
	for i := range rng.IntN(4) {
		from, until := dates(80, 150)
		at := TimeOfDay(540 + 120*i)
		s := Series{ID: fmt.Sprint(i), From: from, Until: until, EveryWeeks: 1 + rng.IntN(3), Sessions: Sessions{testSession(fmt.Sprint("early", i), at, at+60)}}
		if rng.IntN(2) == 0 {
			s.Sessions = append(s.Sessions, testSession(fmt.Sprint("late", i), at+60, at+120))
		}
		for _, w := range rng.Perm(7)[:1+rng.IntN(7)] {
			s.Weekdays = append(s.Weekdays, time.Weekday(w))
		}
		for date := from; date <= until; date++ {
			switch {
			case rng.IntN(10) == 0:
				s.Overrides = append(s.Overrides, Override{Date: date, Sessions: Sessions{testSession(fmt.Sprint("other", i), at+TimeOfDay(10*rng.IntN(5)), at+60)}[:rng.IntN(2)]})
			case rng.IntN(10) == 0 && s.occurs(date):
				edits := []DayEdit{{Do: EditCapacity, Capacity: 1 + rng.IntN(3)}, {Do: EditClose, Sessions: []string{fmt.Sprint("late", i)}}, {Do: EditStop}}
				s.Overrides = append(s.Overrides, Override{Date: date, Edits: edits[:1+rng.IntN(3)]})
			}
		}
		for range rng.IntN(3) {
			from, until := dates(120, 6)
			s.Closures = append(s.Closures, Closure{From: from, Until: until})
		}
		p.Series = append(p.Series, s)
	}
	for range rng.IntN(4) {
		from, until := dates(120, 6)
		p.Closures = append(p.Closures, Closure{From: from, Until: until})
	}
	return p
}

// What a plan composes is what brute force finds, date by date, and it survives being stored.
func TestPlansCompose(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	today, offered, closed := dateOf(t, "2027-03-01"), 0, 0
	for n := range 300 {
		p := randomPlan(rng, today)
		if faults := p.faults(today, zoneOf(t, "Europe/London"), func(ServiceCode) bool { return true }); len(faults) > 0 {
			t.Fatalf("plan %d: %v", n, faults)
		}
		document := EncodePlan(&SitePlan{Plan: p, Revision: 3, Open: map[Date]int64{today: 4}})
		stored, err := DecodePlan("S", 1, 0, string(document))
		if err != nil || stored.Revision != 3 || stored.Open[today] != 4 {
			t.Fatal(stored, err)
		}
		calendar := bruteForce(&p)
		for date := today - 30; date < today+300; date++ {
			want := calendar[date.String()]
			for _, plan := range []*SitePlan{{Plan: p}, &stored} {
				if got := plan.On(date); !sameSessions(got, want) {
					t.Fatalf("plan %d on %s: %v, want %v\n%+v", n, date, got, want, p)
				}
			}
			if len(want) > 0 {
				offered++
			} else {
				closed++
			}
		}
	}
	if offered < 5_000 || closed < 5_000 {
		t.Errorf("%d days with sessions, %d without: too little to tell", offered, closed)
	}
}

func TestPlanFaults(t *testing.T) {
	today := dateOf(t, "2027-03-01") // a Monday
	with := func(change func(p *Plan)) Plan {
		p := Plan{Series: []Series{
			{ID: "a", From: today, Until: today + 90, Weekdays: []time.Weekday{1, 3}, EveryWeeks: 1, Sessions: Sessions{testSession("a", 540, 720)}},
			{ID: "b", From: today, Until: today + 90, Weekdays: []time.Weekday{0, 1}, EveryWeeks: 2, Sessions: Sessions{testSession("b", 720, 840)}},
		}}
		change(&p)
		return p
	}
	series := func(change func(s *Series)) Plan { return with(func(p *Plan) { change(&p.Series[0]) }) }
	override := func(o Override) Plan { return series(func(s *Series) { s.Overrides = []Override{o} }) }
	for name, c := range map[string]struct {
		plan Plan
		want string
	}{
		"good":            {with(func(*Plan) {}), ""},
		"no id":           {series(func(s *Series) { s.ID = "" }), "/series/0/id"},
		"same id":         {series(func(s *Series) { s.ID = "b" }), "/series/1/id"},
		"backward":        {series(func(s *Series) { s.Until = s.From - 1 }), "/series/0/until"},
		"far":             {series(func(s *Series) { s.Until = today + 367 }), "/series/0/until"},
		"no weekday":      {series(func(s *Series) { s.Weekdays = nil }), "/series/0/weekdays"},
		"weekday twice":   {series(func(s *Series) { s.Weekdays = []time.Weekday{1, 1} }), "/series/0/weekdays/1"},
		"no interval":     {series(func(s *Series) { s.EveryWeeks = 0 }), "/series/0/everyWeeks"},
		"no session":      {series(func(s *Series) { s.Sessions = nil }), "/series/0/sessions"},
		"ends first":      {series(func(s *Series) { s.Sessions[0].Until = 500 }), "/series/0/sessions/0/until"},
		"over midnight":   {series(func(s *Series) { s.Sessions[0] = testSession("a", 1380, 60) }), "/series/0/sessions/0/until"},
		"break outside":   {series(func(s *Series) { s.Sessions[0].Breaks = []Break{{500, 550}} }), "/series/0/sessions/0/breaks/0"},
		"unknown service": {series(func(s *Series) { s.Sessions[0].Services = []ServiceCode{"A", "X"} }), "/series/0/sessions/0/services/1"},
		"session twice":   {series(func(s *Series) { s.Sessions = append(s.Sessions, s.Sessions[0]) }), "/series/0/sessions/1/id"},
		"times of both":   {series(func(s *Series) { s.Sessions[0].Until = 730 }), "/series/0/sessions/0 /series/1/sessions/0"},
		"ids of both":     {series(func(s *Series) { s.Sessions[0].ID = "b" }), "/series/0/sessions/0/id /series/1/sessions/0/id"},
		"other weeks": {with(func(p *Plan) {
			p.Series[0].Sessions[0].Until, p.Series[0].EveryWeeks, p.Series[0].From = 730, 2, today+7
		}), ""},
		"by override":        {override(Override{Date: today, Sessions: Sessions{testSession("c", 500, 800)}}), "/series/0/overrides/0/sessions/0 /series/1/sessions/0"},
		"bad override":       {override(Override{Date: today, Sessions: Sessions{testSession("c", 500, 480)}}), "/series/0/overrides/0/sessions/0/until"},
		"override elsewhere": {override(Override{Date: today - 1}), "/series/0/overrides/0/date"},
		"override twice":     {series(func(s *Series) { s.Overrides = []Override{{Date: today}, {Date: today}} }), "/series/0/overrides/1/date"},
		"edits nothing":      {override(Override{Date: today + 1, Edits: []DayEdit{{Do: EditStop}}}), "/series/0/overrides/0/date"},
		"edits badly":        {override(Override{Date: today, Edits: []DayEdit{{Do: EditBlock, From: 600, Until: 600}}}), "/series/0/overrides/0/edits/0/times"},
		"edits and sessions": {override(Override{Date: today, Sessions: Sessions{testSession("c", 540, 600)}, Edits: []DayEdit{{Do: EditStop}}}), "/series/0/overrides/0/sessions"},
		"edited away":        {override(Override{Date: today + 2, Edits: []DayEdit{{Do: EditBlock, From: 540, Until: 720}}}), "/series/0/sessions"},
		"closure":            {with(func(p *Plan) { p.Closures = []Closure{{From: today, Until: today - 1}} }), "/closures/0/until"},
		"series' closure":    {series(func(s *Series) { s.Closures = []Closure{{}} }), "/series/0/closures/0/until"},
		"nothing is left": {series(func(s *Series) {
			s.Weekdays, s.Sessions[0] = []time.Weekday{0}, Session{From: 60, Until: 119, SlotLength: 40, Capacity: 1, Services: []ServiceCode{"A"}}
			s.Closures = []Closure{{From: today, Until: today + 26}} // until 28 March, when clocks skip that hour
			s.EveryWeeks = 1
		}), "/series/0/sessions"},
		"too many": {with(func(p *Plan) { p.Series = make([]Series, MaxSeries+1) }), "/series"},
	} {
		faults := c.plan.faults(today, zoneOf(t, "Europe/London"), func(code ServiceCode) bool { return code == "A" })
		var pointers []string
		for _, f := range faults {
			pointers = append(pointers, f.Pointer)
		}
		got := strings.Join(pointers, " ")
		if got != c.want && (c.want == "" || !strings.HasPrefix(got, c.want)) {
			t.Errorf("%s: %v, want %q", name, faults, c.want)
		}
	}
}
