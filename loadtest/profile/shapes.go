package profile

import (
	"math"
	"time"
)

// England20210608 is the day on which people of 25 to 29 were invited: 1,082,596 slots were booked, more than 100,000 an hour
// from 07:00 to 12:00 and 493,000 by noon (NHS England, 9 June 2021). What is known are these sums; between them the curve is
// smooth: a rush at seven, a plateau, an afternoon that falls, an evening that looks again, and a night in which few are awake.
func England20210608() *Curve {
	hour := func(h float64) time.Duration { return time.Duration(h * float64(time.Hour)) }
	perHour := func(n float64) float64 { return n / 3600 }
	return normal(1_082_596/bookingsPerPerson, mustCurve(
		Point{hour(0), perHour(3_000)}, Point{hour(5), perHour(2_000)}, Point{hour(6.9), perHour(9_000)},
		Point{hour(7), perHour(112_000)}, Point{hour(7.5), perHour(108_000)}, Point{hour(10), perHour(98_000)}, Point{hour(12), perHour(82_000)},
		Point{hour(14), perHour(62_000)}, Point{hour(17), perHour(55_000)}, Point{hour(19), perHour(58_000)},
		Point{hour(21), perHour(42_000)}, Point{hour(23), perHour(15_000)}, Point{hour(24), perHour(4_000)},
	))
}

// Doctolib20210712 is the evening on which the French president announced a health pass at 20:00: 926,000 bookings until
// midnight, 17,000 a minute at half past eight and 20,000 a minute at the peak (Doctolib, 12 and 13 July 2021).
func Doctolib20210712() *Curve {
	minute := func(m float64) time.Duration { return time.Duration(m * float64(time.Minute)) }
	perMinute := func(n float64) float64 { return n / 60 }
	return normal(926_000/bookingsPerPerson, mustCurve(
		Point{minute(0), perMinute(400)}, Point{minute(8), perMinute(900)}, Point{minute(20), perMinute(8_000)},
		Point{minute(30), perMinute(17_000)}, Point{minute(45), perMinute(20_000)}, Point{minute(55), perMinute(12_000)},
		Point{minute(75), perMinute(4_000)}, Point{minute(120), perMinute(1_000)}, Point{minute(180), perMinute(400)},
		Point{minute(240), perMinute(200)},
	))
}

// CoWIN20210428 is the first three hours in which India's 18 to 44 year olds could register: 383 million requests in three
// hours, 55,000 a second at the peak, 8 million registrations, and hardly a place to book (Ministry of Health, 28 April 2021).
// A visitor makes about four requests here, so the people are a quarter of the requests.
func CoWIN20210428() *Curve {
	minute := func(m float64) time.Duration { return time.Duration(m * float64(time.Minute)) }
	return normal(383e6/requestsPerReader, mustCurve(
		Point{minute(0), 3_000}, Point{minute(1), 13_200}, Point{minute(10), 13_750}, Point{minute(30), 10_800}, Point{minute(60), 8_700},
		Point{minute(120), 7_500}, Point{minute(180), 6_600},
	))
}

const requestsPerReader = 4

// bookingsPerPerson is what the journeys of bookers come to where there are places for all: some only look, or let a hold go,
// families book for several, and some of those find no room together. Sources count bookings, curves count people.
const bookingsPerPerson = 0.85

// OpeningBell is a clinic week that opens at nine: people come early and wait, reloading the page, more of them the nearer it
// is; at nine all of them press the button, those who set an alarm come within seconds, and the rest over some minutes. A
// million people in ten minutes, a third of them before the bell.
func OpeningBell() *Curve {
	second := time.Second
	points := []Point{{0, 300}, {60 * second, 700}, {120 * second, 1_500}, {bell - 1*second, 4_500}, {bell, 25_000}}
	for t := 2 * second; t <= 420*second; t = t * 5 / 4 {
		points = append(points, Point{bell + t, 600 + 24_400*math.Exp(-t.Seconds()/14)})
	}
	return normal(1_000_000, mustCurve(append(points, Point{600 * second, 400})...))
}

const bell = 3 * time.Minute

// Storm is a hot site: 50,000 people for its 150 places within six minutes. A third of them sit and wait for the minute at which it
// opens, and all of those look at the same few slots at once.
func Storm() *Curve {
	points := []Point{{0, 100}, {stormBell, 500}, {stormBell, 1_800}}
	for t := 2 * time.Second; t < 300*time.Second; t = t * 3 / 2 {
		points = append(points, Point{stormBell + t, 40 + 1_760*math.Exp(-t.Seconds()/14)})
	}
	return normal(50_000, mustCurve(append(points, Point{360 * time.Second, 40})...))
}

const stormBell = time.Minute

// Steady is a thousand arrivals a second, for as long as it is wanted.
func Steady() *Curve {
	return mustCurve(Point{0, 1_000}, Point{time.Minute, 1_000})
}

// Ramp rises evenly from next to nothing to twenty thousand arrivals a second. The result names the knee: the last rate that
// the server kept up with.
func Ramp() *Curve {
	return mustCurve(Point{0, 10}, Point{5 * time.Minute, 20_000})
}

// Soak breathes between a third and the whole of eight hundred arrivals a second, six times: what leaks shows over hours.
func Soak() *Curve {
	const waves, steps = 6, 24
	length := 6 * time.Hour
	var points []Point
	for i := 0; i <= waves*steps; i++ {
		share := float64(i) / (waves * steps)
		points = append(points, Point{time.Duration(share * float64(length)), 533 - 267*math.Cos(2*math.Pi*waves*share)})
	}
	return mustCurve(points...)
}

// normal has exactly so many people on a curve of the same form.
func normal(people float64, c *Curve) *Curve {
	scaled, err := c.Scaled(people / c.People())
	if err != nil {
		panic(err) // the shapes of this package are tested
	}
	return scaled
}
