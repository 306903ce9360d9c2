package profile

import (
	"errors"
	"fmt"
	"math"
	"sort"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// Point says that at an instant so many people arrive a second.
type Point struct {
	At   time.Duration
	Rate float64
}

// Curve is a rate over time: straight lines between its points, nothing before the first and after the last. Two points of
// the same instant make a step. Immutable once made, and safe for concurrent use.
type Curve struct {
	points []Point
	areas  []float64 // people who arrived until each point
}

var _ vegeta.Pacer = (*Curve)(nil)

// NewCurve makes a curve of points in order of time. It fails where there are fewer than two, where one lies before 0 or
// before its predecessor, where a rate is negative or no number, and where nobody ever arrives.
func NewCurve(points ...Point) (*Curve, error) {
	c := &Curve{points: append([]Point(nil), points...), areas: make([]float64, len(points))}
	if len(points) < 2 {
		return nil, errors.New("a curve needs two points at least")
	}
	for i, p := range points {
		if p.At < 0 || i > 0 && p.At < points[i-1].At {
			return nil, fmt.Errorf("point %d is at %v, before the point before it", i+1, p.At)
		}
		if !(p.Rate >= 0) || math.IsInf(p.Rate, 0) {
			return nil, fmt.Errorf("point %d has the rate %v a second", i+1, p.Rate)
		}
		if i > 0 {
			c.areas[i] = c.areas[i-1] + area(points[i-1], p)
		}
	}
	if !(c.People() > 0) || math.IsInf(c.People(), 0) {
		return nil, errors.New("nobody, or nobody who can be counted, arrives on this curve")
	}
	return c, nil
}

func mustCurve(points ...Point) *Curve {
	c, err := NewCurve(points...)
	if err != nil {
		panic(err) // the shapes of this package are tested
	}
	return c
}

func area(a, b Point) float64 { return (b.At - a.At).Seconds() * (a.Rate + b.Rate) / 2 }

// Length is when the curve ends.
func (c *Curve) Length() time.Duration { return c.points[len(c.points)-1].At }

// People is how many arrive in all.
func (c *Curve) People() float64 { return c.areas[len(c.areas)-1] }

// Peak is the highest rate, a second.
func (c *Curve) Peak() float64 {
	peak := 0.0
	for _, p := range c.points {
		peak = max(peak, p.Rate)
	}
	return peak
}

// Points are those that the curve was made of.
func (c *Curve) Points() []Point { return append([]Point(nil), c.points...) }

// Rate is how many people arrive a second after a while; at a step, what comes after it.
func (c *Curve) Rate(elapsed time.Duration) float64 {
	i := sort.Search(len(c.points), func(i int) bool { return c.points[i].At > elapsed })
	if i == 0 || i == len(c.points) {
		return 0
	}
	a, b := c.points[i-1], c.points[i]
	return a.Rate + (b.Rate-a.Rate)*(elapsed-a.At).Seconds()/(b.At-a.At).Seconds()
}

// Arrived is how many people have arrived after a while, as the area below the curve.
func (c *Curve) Arrived(elapsed time.Duration) float64 {
	i := sort.Search(len(c.points), func(i int) bool { return c.points[i].At > elapsed })
	switch {
	case i == 0:
		return 0
	case i == len(c.points):
		return c.People()
	}
	a := c.points[i-1]
	return c.areas[i-1] + area(a, Point{elapsed, c.Rate(elapsed)})
}

// rounding is how much of a person is forgiven: sums of areas are not exact.
const rounding = 1e-6

// When is the instant at which the nth person arrives, the first being 1; false where fewer come.
func (c *Curve) When(n float64) (time.Duration, bool) {
	if n > c.People()+rounding {
		return 0, false
	}
	n = min(n, c.People())
	i := sort.Search(len(c.areas), func(i int) bool { return c.areas[i] >= n })
	if i == 0 {
		return c.points[0].At, true
	}
	a, b := c.points[i-1], c.points[i]
	return a.At + time.Duration(crossing(a, b, n-c.areas[i-1])*float64(time.Second)), true
}

// crossing is how many seconds after a the area below the line from a to b is as large as wanted: the root of
// slope/2·t² + rate·t = wanted, in the form that stays exact where the slope is next to nothing.
func crossing(a, b Point, wanted float64) float64 {
	width := (b.At - a.At).Seconds()
	if width <= 0 || wanted <= 0 {
		return 0
	}
	slope := (b.Rate - a.Rate) / width
	root := math.Sqrt(max(0, a.Rate*a.Rate+2*slope*wanted))
	if a.Rate+root == 0 {
		return width
	}
	return min(width, 2*wanted/(a.Rate+root))
}

// Pace answers how long to wait until the next person's arrival, given how many have arrived. It is Vegeta's Pacer: elapsed
// counts from the beginning, and stop says that nobody else comes.
func (c *Curve) Pace(elapsed time.Duration, hits uint64) (wait time.Duration, stop bool) {
	at, ok := c.When(float64(hits) + 1)
	if !ok {
		return 0, true
	}
	return max(0, at-elapsed), false
}

// Scaled has a share of the people, over the same time.
func (c *Curve) Scaled(share float64) (*Curve, error) {
	points := c.Points()
	for i := range points {
		points[i].Rate *= share
	}
	return NewCurve(points...)
}

// Compressed has the same people in another time: half the time, twice the rate.
func (c *Curve) Compressed(length time.Duration) (*Curve, error) {
	factor := length.Seconds() / c.Length().Seconds()
	return c.timed(factor, 1/factor)
}

// Stretched has the same rates over another time: twice the time, twice the people.
func (c *Curve) Stretched(length time.Duration) (*Curve, error) {
	return c.timed(length.Seconds()/c.Length().Seconds(), 1)
}

func (c *Curve) timed(duration, rate float64) (*Curve, error) {
	if !(duration > 0) {
		return nil, errors.New("a load lasts longer than nothing")
	}
	points := c.Points()
	for i := range points {
		points[i].At = time.Duration(math.Round(float64(points[i].At) * duration))
		points[i].Rate *= rate
	}
	return NewCurve(points...)
}

// String tells the curve's length, people and peak.
func (c *Curve) String() string {
	return fmt.Sprintf("%.0f people in %v, at most %.1f a second", c.People(), c.Length(), c.Peak())
}
