package sample

import (
	"math/rand/v2"
	"time"

	"muster/allocator"
)

// habits are what one site does every week.
type habits struct {
	open    [7]bool // by weekday
	from    allocator.TimeOfDay
	until   allocator.TimeOfDay
	lunch   bool
	length  int // minutes
	places  int // per slot of a main session
	offers  []allocator.ServiceCode
	special []allocator.ServiceCode // of a second session in the middle of the day, one place a slot
}

func habitsOf(site *allocator.Site) habits {
	dice := diceFor(site.ID, 1)
	switch site.Type {
	case pharmacy:
		h := habits{from: 9 * 60, until: 17*60 + 30, lunch: dice.IntN(100) < 60, length: 10, places: 1 + dice.IntN(2)}
		h.open = someDays(dice, 3+dice.IntN(3))
		h.offers = []allocator.ServiceCode{Covid, Flu, CovidFlu, FluAdult}
		h.special = []allocator.ServiceCode{RSV, Flu}
		return h
	case practice:
		h := habits{from: 8*60 + 30, until: 18 * 60, lunch: true, length: 10, places: 1 + dice.IntN(3)}
		h.open = someDays(dice, 2+dice.IntN(3))
		h.offers = []allocator.ServiceCode{Flu, CovidFlu, MMR, Shingles}
		h.special = []allocator.ServiceCode{RSV, Pneumonia}
		return h
	case hospital:
		h := habits{from: 8 * 60, until: 18 * 60, length: 10, places: 3 + dice.IntN(5)}
		h.open = [7]bool{false, true, true, true, true, true, dice.IntN(2) == 0}
		h.offers = []allocator.ServiceCode{Covid, RSV, MMR}
		h.special = []allocator.ServiceCode{RSV, Flu, CovidFlu}
		return h
	default: // centre
		h := habits{from: 8 * 60, until: 20 * 60, length: 5, places: 8 + dice.IntN(13)}
		h.open = [7]bool{true, true, true, true, true, true, true}
		h.offers = []allocator.ServiceCode{Covid, Flu, CovidFlu, FluAdult}
		h.special = []allocator.ServiceCode{RSV, CovidFlu, MMR}
		return h
	}
}

// someDays opens n days a week, Saturday more often than not, Sunday never.
func someDays(dice *rand.Rand, n int) (open [7]bool) {
	if dice.IntN(100) < 65 {
		open[time.Saturday] = true
		n--
	}
	for _, day := range dice.Perm(5)[:n] {
		open[day+1] = true
	}
	return open
}

// Day makes a site's day; false where the site is closed.
//
// Sessions overlap: the main ones and, in the middle of the day, one for other services that shares some with them. So a
// place for a service may come from either, and the seating rule has work to do.
func Day(site *allocator.Site, date allocator.Date) (allocator.Day, bool) {
	h := habitsOf(site)
	dice := diceFor(site.ID, date)
	at := time.Unix(int64(date)*86_400, 0).UTC()
	if !h.open[at.Weekday()] || holiday(at) || dice.IntN(100) < 3 {
		return allocator.Day{}, false
	}
	if at.Weekday() == time.Saturday && site.Type != centre {
		h.until, h.lunch = 13*60, false
	}
	main := allocator.Session{
		ID: "main", From: h.from, Until: h.until, SlotLength: h.length, Capacity: h.places, Services: h.offers,
	}
	if h.lunch {
		noon := allocator.TimeOfDay(12*60 + 30*dice.IntN(3))
		main.Breaks = []allocator.Break{{From: noon, Until: noon + 60}}
	}
	special := allocator.Session{
		ID: "special", From: h.from + 60, Until: h.until - 60, SlotLength: h.length, Capacity: 1 + h.places/4, Services: h.special,
		Breaks: main.Breaks,
	}
	day := allocator.Day{Site: site.ID, Date: date, Sessions: []allocator.Session{main, special}}
	if dice.IntN(100) < 20 { // a second nurse in the afternoon, for the main services
		extra := main
		extra.ID, extra.From, extra.Breaks, extra.Capacity = "extra", h.until-120, nil, 1
		day.Sessions = append(day.Sessions, extra)
	}
	return day, true
}

// holiday says whether everybody is closed.
func holiday(at time.Time) bool {
	return at.Month() == time.December && (at.Day() == 25 || at.Day() == 26) || at.Month() == time.January && at.Day() == 1
}
