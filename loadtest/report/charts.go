package report

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"muster/loadtest/result"
)

// The page's colours, each at least 4.5 to 1 on white.
const (
	blue   = "#1d70b8"
	navy   = "#0b3d6b"
	green  = "#00703c"
	red    = "#c9252d"
	orange = "#a8500b"
	grey   = "#505a5f"
)

func secondTick(v float64) string {
	switch {
	case v >= 3600:
		return strconv.FormatFloat(v/3600, 'g', 3, 64) + " h"
	case v >= 180:
		return strconv.FormatFloat(v/60, 'g', 3, 64) + " min"
	}
	return strconv.FormatFloat(v, 'g', 4, 64) + " s"
}

func countTick(v float64) string {
	if v > 0 && v < 10 && v != math.Trunc(v) {
		return strconv.FormatFloat(v, 'g', 2, 64)
	}
	return number(int64(math.Round(v)))
}

func msTick(v float64) string {
	if v == 0 {
		return "–"
	}
	if v >= 1000 {
		return strconv.FormatFloat(v/1000, 'g', 3, 64) + " s"
	}
	return strconv.FormatFloat(v, 'g', 3, 64) + " ms"
}

// overTime begins a chart over the run's windows.
func overTime(r *result.Result, id, title, desc, yLabel string) chart {
	end := 1.0
	if n := len(r.Windows); n > 0 {
		end = r.Windows[n-1].FromSeconds + r.Windows[n-1].LengthSeconds
	}
	c := chart{id: id, title: title, desc: desc, xLabel: "time since the beginning", yLabel: yLabel, xMost: max(end, r.Profile.LengthSeconds),
		xTick: secondTick, yTick: countTick}
	if r.Profile.BellSeconds > 0 {
		c.marks = append(c.marks, mark{r.Profile.BellSeconds, "booking opens"})
	}
	if r.Hook != nil && r.Hook.AtSeconds > 0 {
		c.marks = append(c.marks, mark{r.Hook.AtSeconds, "hook: something fails"})
	}
	if r.Knee != nil {
		c.marks = append(c.marks, mark{r.Knee.AtSeconds, "knee"})
	}
	return c
}

// line is a figure of each window, at its middle.
func line(r *result.Result, name, colour string, value func(*result.Window) float64) series {
	s := series{name: name, colour: colour}
	for _, w := range r.Windows {
		s.points = append(s.points, [2]float64{w.FromSeconds + w.LengthSeconds/2, value(w)})
	}
	return s
}

func arrivals(r *result.Result) chart {
	c := overTime(r, "arrivals", "People arriving", fmt.Sprintf("Arrivals a second: %s people were planned, %s came, at most %.0f a second.",
		number(r.Totals.Planned), number(r.Totals.Started), peak(r)), "people a second")
	plan := line(r, "planned", grey, func(w *result.Window) float64 { return float64(w.Planned) / w.LengthSeconds })
	plan.dash = "6 4"
	came := line(r, "came", blue, func(w *result.Window) float64 { return float64(w.Started) / w.LengthSeconds })
	came.fill = true
	c.lines = []series{came, plan}
	return c
}

func peak(r *result.Result) float64 {
	most := 0.0
	for _, w := range r.Windows {
		most = max(most, float64(w.Planned)/w.LengthSeconds)
	}
	return most
}

func outcomes(r *result.Result) chart {
	c := overTime(r, "outcomes", "What requests were answered", fmt.Sprintf("Requests a second by outcome: %s in all, %s refused as full or expired, %s failed.",
		number(r.Totals.Requests), number(r.Totals.Refused), number(r.Totals.Failed)), "requests a second")
	per := func(n int64, w *result.Window) float64 { return float64(n) / w.LengthSeconds }
	done := line(r, "answered", green, func(w *result.Window) float64 { return per(w.Requests-w.Refused-w.Failed, w) })
	done.fill = true
	refused := line(r, "refused, as full or expired", orange, func(w *result.Window) float64 { return per(w.Refused, w) })
	refused.dash = "7 3"
	failed := line(r, "failed", red, func(w *result.Window) float64 { return per(w.Failed, w) })
	failed.dash = "2 3"
	c.lines = []series{done, refused, failed}
	return c
}

func latencies(r *result.Result) chart {
	all := result.Summarise(r.Latency(""))
	c := overTime(r, "latency", "How long people waited", fmt.Sprintf("Waiting times over the run, from the planned start. Over the whole run half of all requests took at most %s, 99 in 100 at most %s.",
		ms(all.P50), ms(all.P99)), "waiting time, logarithmic")
	c.log, c.yTick = true, msTick
	of := func(h func(*result.Window) *result.Histogram, q float64) func(*result.Window) float64 {
		return func(w *result.Window) float64 { return inMs(h(w).Percentile(q)) }
	}
	whole := func(w *result.Window) *result.Histogram { return w.Latency }
	median := line(r, "half of all requests", blue, of(whole, 50))
	tail := line(r, "99 in 100", navy, of(whole, 99))
	tail.dash = "8 3"
	confirm := line(r, "99 in 100 confirms", orange, of(func(w *result.Window) *result.Histogram { return w.Confirm }, 99))
	confirm.dash = "2 3"
	c.lines = []series{present(median), present(tail), present(confirm)}
	return c
}

// present leaves out windows in which nothing happened.
func present(s series) series {
	var points [][2]float64
	for _, p := range s.points {
		if p[1] > 0 {
			points = append(points, p)
		}
	}
	s.points = points
	return s
}

func inMs(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// soldOut is the places that are left, or the bookings where nobody knows the places.
func soldOut(r *result.Result) chart {
	booked, ended := int64(0), int64(0)
	for _, w := range r.Windows {
		booked, ended = booked+w.Booked, ended+w.Ended
	}
	known := r.Places > 0
	c := overTime(r, "places", "Bookings so far", fmt.Sprintf("Bookings over time: %s at the end.", number(booked-ended)), "bookings")
	if known {
		c = overTime(r, "places", "Places left", fmt.Sprintf("Places left over time: %s at the beginning, %s at the end.", number(r.Places), number(int64(r.Places)-booked+ended)), "places")
	}
	s := series{name: c.yLabel, colour: green, fill: true}
	sum := int64(0)
	value := func() float64 {
		if known {
			return float64(max(0, int64(r.Places)-sum))
		}
		return float64(sum)
	}
	s.points = append(s.points, [2]float64{0, value()})
	for _, w := range r.Windows {
		sum += w.Booked - w.Ended
		s.points = append(s.points, [2]float64{w.FromSeconds + w.LengthSeconds, value()})
	}
	c.lines = []series{s}
	return c
}

// percentiles has a line for the steps that matter, over percentiles that grow rarer.
func percentiles(r *result.Result) chart {
	qs := []float64{10, 50, 75, 90, 95, 99, 99.9, 99.99}
	c := chart{id: "percentiles", title: "Waiting times by step", xLabel: "share of requests that took no longer", yLabel: "waiting time, logarithmic",
		log: true, yTick: msTick, xMost: float64(len(qs) - 1)}
	for i := range qs {
		c.xTicks = append(c.xTicks, float64(i))
	}
	c.xTick = func(v float64) string {
		return strconv.FormatFloat(qs[min(len(qs)-1, max(0, int(math.Round(v))))], 'g', -1, 64) + " %"
	}
	colours := []string{blue, green, navy, orange, grey}
	for i, step := range []string{result.Search, result.Availability, result.Hold, result.Confirm, result.Cancel} {
		h := r.Latency(step)
		if h.Count() == 0 {
			continue
		}
		s := series{name: step, colour: colours[i], dash: []string{"", "6 3", "10 3 2 3", "", "2 3"}[i]}
		for j, q := range qs {
			s.points = append(s.points, [2]float64{float64(j), inMs(h.Percentile(q))})
		}
		c.lines = append(c.lines, s)
	}
	c.desc = "Percentiles of the waiting time of each step, from the planned start. The table has the figures."
	return c
}
