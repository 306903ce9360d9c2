package waitingroom

import (
	"slices"
	"time"
)

// Crowd counts arrivals by time: what is known of those who wait, and all that is. Counts are of buckets of equal width, which
// doubles when there would be too many of them, so that its size is bounded and what is near the frontier is known best.
type Crowd struct {
	Opens  Instant  `json:"opens"`  // drawn tickets lie before it
	Drawn  int64    `json:"drawn"`  // how many there are
	From   Instant  `json:"from"`   // where the first bucket begins: a multiple of the width
	Width  Instant  `json:"width"`  // of a bucket
	Counts []uint32 `json:"counts"` // bucket by bucket
	Last   Instant  `json:"last"`   // the latest arrival
}

const (
	bucketWidth = Instant(time.Second / time.Microsecond)
	maxBuckets  = 2048
)

// add counts n arrivals at an instant. What lies before the first bucket counts as being in it.
func (c *Crowd) add(at Instant, n uint32) {
	if len(c.Counts) == 0 {
		c.Width = max(c.Width, bucketWidth)
		c.From = at - at%c.Width
	}
	for at >= c.From+c.Width*maxBuckets {
		c.widen()
	}
	i := int(max(0, at-c.From) / c.Width)
	for len(c.Counts) <= i {
		c.Counts = append(c.Counts, 0)
	}
	c.Counts[i] += n
	c.Last = max(c.Last, at)
}

// widen makes two buckets one.
func (c *Crowd) widen() {
	wide := 2 * c.Width
	from := c.From - c.From%wide
	shift := int((c.From - from) / c.Width) // 0 or 1
	counts := make([]uint32, (len(c.Counts)+shift+1)/2)
	for i, n := range c.Counts {
		counts[(i+shift)/2] += n
	}
	c.From, c.Width, c.Counts = from, wide, counts
}

// join adds what another has counted.
func (c *Crowd) join(o *Crowd) {
	c.Drawn += o.Drawn
	last := max(c.Last, o.Last)
	for i, n := range o.Counts {
		if n > 0 {
			c.add(o.From+Instant(i)*o.Width, n)
		}
	}
	c.Last = last
}

// forget drops what lies wholly before an instant.
func (c *Crowd) forget(before Instant) {
	n := 0
	for n < len(c.Counts) && c.From+Instant(n+1)*c.Width <= before {
		n++
	}
	if n == len(c.Counts) {
		c.From, c.Width, c.Counts = 0, 0, nil
		return
	}
	c.Counts = slices.Delete(c.Counts, 0, n)
	c.From += Instant(n) * c.Width
}

// bucket is where bucket i begins and ends. The latest one ends with the latest arrival: the rest of it is not over yet.
func (c *Crowd) bucket(i int) (from, until Instant) {
	from = c.From + Instant(i)*c.Width
	until = from + c.Width
	if i == len(c.Counts)-1 && c.Last >= from {
		until = min(until, c.Last+1)
	}
	return from, until
}

// overlap is the part of [from, until) that lies within [a, b), as a fraction.
func overlap(from, until, a, b Instant) float64 {
	a, b = max(a, from), min(b, until)
	if b <= a {
		return 0
	}
	return float64(b-a) / float64(until-from)
}

// between is about how many people lie in [a, b). Within a bucket, and in the draw, they are taken to lie evenly.
func (c *Crowd) between(a, b Instant) float64 {
	n := float64(c.Drawn) * overlap(c.Opens-drawnWithin, c.Opens, a, b)
	for i := c.index(a); i < len(c.Counts); i++ {
		from, until := c.bucket(i)
		if from >= b {
			break
		}
		n += float64(c.Counts[i]) * overlap(from, until, a, b)
	}
	return n
}

// index is the bucket in which an instant lies, or the first one.
func (c *Crowd) index(at Instant) int {
	if c.Width == 0 || at <= c.From {
		return 0
	}
	return int((at - c.From) / c.Width)
}

// advance is the instant, at most limit, before which n more people lie than before from.
func (c *Crowd) advance(from Instant, n float64, limit Instant) Instant {
	if n <= 0 || limit <= from {
		return from
	}
	if start := c.Opens - drawnWithin; c.Drawn > 0 && from < c.Opens {
		from = max(from, start)
		there := c.between(from, min(limit, c.Opens))
		if there > n {
			return min(limit, from+Instant(n*float64(drawnWithin)/float64(c.Drawn)))
		}
		n, from = n-there, min(limit, c.Opens)
	}
	for i := c.index(from); i < len(c.Counts) && from < limit; i++ {
		begin, until := c.bucket(i)
		begin = max(begin, from)
		there := c.between(begin, until)
		if there > n {
			return min(limit, begin+Instant(n/there*float64(until-begin)))
		}
		n -= there
		from = min(limit, max(from, until))
	}
	return limit
}
