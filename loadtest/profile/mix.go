package profile

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Journey is what one citizen comes to do.
type Journey string

// The journeys. All but browsers and pollers search, look at a site's times, hold one, think, and confirm.
const (
	Book      Journey = "book"      // no more than that
	Family    Journey = "family"    // for two to four people in consecutive slots, all or none
	Browse    Journey = "browse"    // looks, and leaves
	Poll      Journey = "poll"      // comes back to search again and again, and books what appears
	Abandon   Journey = "abandon"   // holds, and closes the browser
	Release   Journey = "release"   // holds, and gives it back
	Extend    Journey = "extend"    // needs longer than a hold lasts, asks for more time, confirms
	Duplicate Journey = "duplicate" // presses every button twice
	Cancel    Journey = "cancel"    // books, and cancels later
	Move      Journey = "move"      // books, and moves to another time later
)

// Journeys lists all, in the order in which reports tell of them.
func Journeys() []Journey {
	return []Journey{Book, Family, Browse, Poll, Abandon, Release, Extend, Duplicate, Cancel, Move}
}

// Mix is how often each journey is taken: weights of any sum.
type Mix map[Journey]float64

// Validate fails on unknown journeys, on weights below 0 and on a mix of nothing.
func (m Mix) Validate() error {
	sum := 0.0
	for _, journey := range slices.Sorted(maps.Keys(m)) {
		if !slices.Contains(Journeys(), journey) {
			return fmt.Errorf("%q is no journey: there are %v", journey, Journeys())
		}
		if !(m[journey] >= 0) || m[journey] > 1e9 {
			return fmt.Errorf("journey %s has the weight %v", journey, m[journey])
		}
		sum += m[journey]
	}
	if sum <= 0 {
		return fmt.Errorf("a mix in which nobody does anything")
	}
	return nil
}

// Pick chooses by a throw of 0 ≤ throw < 1. It is the same for the same mix and throw.
func (m Mix) Pick(throw float64) Journey {
	sum := 0.0
	for _, weight := range m {
		sum += weight
	}
	left := throw * sum
	last := Book
	for _, journey := range Journeys() {
		if m[journey] <= 0 {
			continue
		}
		if left < m[journey] {
			return journey
		}
		left -= m[journey]
		last = journey
	}
	return last
}

// String tells the shares in percent.
func (m Mix) String() string {
	sum := 0.0
	for _, weight := range m {
		sum += weight
	}
	var parts []string
	for _, journey := range Journeys() {
		if m[journey] > 0 {
			parts = append(parts, fmt.Sprintf("%s %.4g %%", journey, 100*m[journey]/sum))
		}
	}
	return strings.Join(parts, ", ")
}

// People mostly book; the others are a guess at what front ends of bookings see, since nobody publishes it.
func bookers() Mix {
	return Mix{Book: 55, Family: 8, Browse: 10, Poll: 4, Abandon: 6, Release: 3, Extend: 4, Duplicate: 4, Cancel: 3, Move: 3}
}

// readers mostly look: registrations and searches with few places to be had.
func readers() Mix {
	return Mix{Book: 14, Browse: 45, Poll: 35, Abandon: 2, Duplicate: 2, Family: 2}
}

// stormers want one thing.
func stormers() Mix { return Mix{Book: 88, Duplicate: 6, Poll: 2, Abandon: 2, Extend: 2} }
