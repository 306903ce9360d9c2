package profile

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Profile is a load as it was, or as it is wanted, for a whole country. A run fits it to a machine: Fit.
type Profile struct {
	Name   string
	Title  string
	Source string // where the figures are from; "" where nobody measured them
	Curve  *Curve
	Mix    Mix
	// Rates says that another length keeps the rates and not the people: for loads that were never an event.
	Rates bool
	// Bell, where above 0, is when those who came earlier may go on from looking to booking.
	Bell time.Duration
	// Ages, where Oldest is above 0, are who was invited.
	Youngest, Oldest int
	// Places is how many there are for each person who comes, where a run publishes capacity itself; Sites how many sites
	// have them, 0 for as many as suit.
	Places float64
	Sites  int
	// Hook says that the run calls the operator's command half way.
	Hook bool
	// Scale is the share of it that a small machine bears: what a run takes where nobody says otherwise.
	Scale float64
}

// All lists the profiles by name.
func All() []Profile {
	const small = 0.01 // of a country, for two cores that generator and server share
	list := []Profile{
		{Name: "england-2021-06-08", Title: "England, 8 June 2021: 1.08 million bookings in a day", Curve: England20210608(), Mix: bookers(),
			Source:   "NHS England, 9 June 2021: 1,082,596 first and second dose slots, 100,000 an hour from 07:00 to 12:00, 493,000 by noon",
			Youngest: 25, Oldest: 79, Places: 1.2, Scale: small},
		{Name: "doctolib-2021-07-12", Title: "France, 12 July 2021: 926,000 bookings in an evening", Curve: Doctolib20210712(), Mix: bookers(),
			Source:   "Doctolib, 12 and 13 July 2021: 926,000 bookings, 20,000 a minute at the peak",
			Youngest: 18, Oldest: 64, Places: 1.1, Scale: small},
		{Name: "cowin-2021-04-28", Title: "India, 28 April 2021: 383 million requests in three hours, and few places", Curve: CoWIN20210428(), Mix: readers(),
			Source:   "Ministry of Health and Family Welfare, India, 28 April 2021: 383 million requests in three hours, 55,000 a second",
			Youngest: 18, Oldest: 44, Places: 0.02, Scale: small / 100},
		{Name: "opening-bell", Title: "Opening bell: a queue before nine, then everyone", Curve: OpeningBell(), Mix: bookers(),
			Bell: bell, Youngest: 18, Oldest: 90, Places: 0.7, Scale: 0.3 * small},
		{Name: "single-site-storm", Title: "Storm: 50,000 people for 150 places of one site", Curve: Storm(), Mix: stormers(),
			Bell: stormBell, Youngest: 18, Oldest: 90, Places: 150.0 / 50_000, Sites: 1, Scale: 0.1},
		{Name: "steady", Title: "Steady: a thousand arrivals a second", Curve: Steady(), Mix: bookers(), Rates: true, Places: 1.2, Scale: small},
		{Name: "ramp-to-break", Title: "Ramp: more and more until it breaks", Curve: Ramp(), Mix: bookers(), Rates: true, Places: 1.2, Scale: small},
		{Name: "soak", Title: "Soak: six waves, for hours", Curve: Soak(), Mix: bookers(), Rates: true, Places: 1.2, Scale: small},
		{Name: "failover", Title: "Failover: a steady load while something is killed", Curve: Steady(), Mix: bookers(), Rates: true, Places: 1.2, Hook: true, Scale: small},
	}
	for i := range list {
		if list[i].Oldest == 0 {
			list[i].Youngest, list[i].Oldest = 18, 90
		}
	}
	slices.SortFunc(list, func(a, b Profile) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Named finds a profile.
func Named(name string) (Profile, error) {
	var names []string
	for _, p := range All() {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return Profile{}, fmt.Errorf("there is no profile %q: take one of %s, or a file", name, strings.Join(names, ", "))
}

// Fit is the profile in another length and for a share of the people. 0 keeps the length. A bell moves with the time.
func (p Profile) Fit(length time.Duration, share float64) (Profile, error) {
	if !(share > 0) {
		return p, fmt.Errorf("a share of %v of the people is nobody", share)
	}
	if length < 0 {
		return p, fmt.Errorf("a load of %v is over before it begins", length)
	}
	if length == 0 {
		length = p.Curve.Length()
	}
	p.Bell = time.Duration(float64(p.Bell) * length.Seconds() / p.Curve.Length().Seconds())
	timed := p.Curve.Compressed
	if p.Rates {
		timed = p.Curve.Stretched
	}
	curve, err := timed(length)
	if err == nil {
		p.Curve, err = curve.Scaled(share)
	}
	if err != nil {
		return p, err
	}
	if p.Curve.People() < 1 {
		return p, fmt.Errorf("%s at a share of %v has %.2f people: nobody comes", p.Name, share, p.Curve.People())
	}
	p.Scale = share
	return p, nil
}
