package admission

import (
	"math"
	"time"
)

const (
	leastWindow  = 100 * time.Millisecond // between two changes of a limit, or as long as the work takes where that is more
	leastSamples = 8                      // fewer say nothing
	fastestFall  = 0.5                    // of the limit, in one window
	lasting      = 2                      // windows in a row that are slow, so that one hiccup is none
	usedShare    = 0.8                    // a limit that was used less is not raised
	tolerance    = 3                      // times the base is not slow yet: a busy lane has one call under way, one that fills, and some in the queue
)

// limit is how many may run at once. It decides by what it is told, and reads no clock. Not safe for concurrent use.
type limit struct {
	floor, ceiling int
	target         time.Duration
	most           time.Duration // what takes longer is slow however far the dependency is; 0: no such bound

	value   float64
	base    time.Duration // 0: not measured yet
	typical time.Duration // mean of the last window; 0: not measured yet

	until time.Time // the window's end
	slow  int       // windows in a row so far
	count int
	sum   time.Duration
	peak  int // the most that ran at once
}

func newLimit(floor, ceiling int, target, most time.Duration) limit {
	return limit{floor: floor, ceiling: ceiling, target: target, most: most, value: float64(ceiling)}
}

func (l *limit) now() int { return int(l.value) }

// observe takes the time that one piece of work took while so many ran, itself included.
func (l *limit) observe(now time.Time, took time.Duration, running int) {
	if l.count == 0 && l.until.Before(now) {
		l.until = now.Add(max(leastWindow, l.typical))
	}
	l.count++
	l.sum += took
	l.peak = max(l.peak, running)
	if l.count < leastSamples || now.Before(l.until) {
		return
	}
	l.adapt(l.sum / time.Duration(l.count))
	l.count, l.sum, l.peak = 0, 0, 0
}

// adapt moves the limit at the end of a window.
func (l *limit) adapt(mean time.Duration) {
	l.typical = mean
	alone := l.peak <= l.floor
	switch {
	case l.base == 0 || mean < l.base:
		l.base = max(1, mean)
	case alone:
		l.base += (mean - l.base) / 4
	}
	allowed := max(l.target, tolerance*l.base)
	if l.most > 0 {
		allowed = min(allowed, l.most)
	}
	if l.slow++; mean <= allowed || alone {
		l.slow = 0
	}
	switch {
	case l.slow >= lasting: // as many as ran were too many; a limit far above them would fall for long without any effect
		l.value = min(l.value, float64(l.peak)) * max(fastestFall, float64(allowed)/float64(mean))
	case mean <= allowed && float64(l.peak) >= usedShare*math.Floor(l.value):
		l.value += math.Sqrt(l.value)
	}
	l.value = min(max(l.value, float64(l.floor)), float64(l.ceiling))
}
