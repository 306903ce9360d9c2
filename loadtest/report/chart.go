package report

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

// series is one line of a chart.
type series struct {
	name   string
	colour string
	dash   string // of the stroke; "" for none
	fill   bool   // the area below
	points [][2]float64
}

// mark is a moment that the chart names.
type mark struct {
	at    float64
	label string
}

// chart is a picture of lines over an axis from 0 to xMost.
type chart struct {
	id, title, desc string
	xLabel, yLabel  string
	xMost           float64
	xTick           func(float64) string
	xTicks          []float64 // nil: even ones
	yTick           func(float64) string
	log             bool // of the vertical axis
	lines           []series
	marks           []mark
}

// The measures of a chart, in units of its view box.
const (
	wide, high                = 720.0, 300.0
	left, right, above, below = 66.0, 14.0, 34.0, 44.0
)

// scale is a vertical axis.
type scale struct {
	from, to float64
	log      bool
	ticks    []float64
}

func (s scale) y(v float64) float64 {
	share := (v - s.from) / (s.to - s.from)
	if s.log {
		share = (math.Log(max(v, s.from)) - math.Log(s.from)) / (math.Log(s.to) - math.Log(s.from))
	}
	return high - below - min(1, max(0, share))*(high-above-below)
}

func (c *chart) scale() scale {
	least, most := math.Inf(1), 0.0
	for _, line := range c.lines {
		for _, p := range line.points {
			if p[1] > 0 {
				least = min(least, p[1])
			}
			most = max(most, p[1])
		}
	}
	if most == 0 {
		return scale{0, 1, false, []float64{0, 1}}
	}
	if c.log {
		return logScale(least, most)
	}
	step := niceStep(most / 4)
	s := scale{to: step * math.Ceil(most/step)}
	for v := 0.0; v <= s.to*1.0001; v += step {
		s.ticks = append(s.ticks, v)
	}
	return s
}

func logScale(least, most float64) scale {
	s := scale{from: math.Pow(10, math.Floor(math.Log10(least))), to: math.Pow(10, math.Ceil(math.Log10(most))), log: true}
	if s.to <= s.from {
		s.to = 10 * s.from
	}
	for v := s.from; v <= s.to*1.0001; v *= 10 {
		s.ticks = append(s.ticks, v)
	}
	return s
}

// niceStep is the next of 1, 2, 2.5 and 5 times a power of ten.
func niceStep(atLeast float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(atLeast)))
	for _, m := range []float64{1, 2, 2.5, 5, 10} {
		if m*power >= atLeast*0.9999 {
			return m * power
		}
	}
	return 10 * power
}

func (c *chart) x(v float64) float64 { return left + v/c.xMost*(wide-left-right) }

// svg draws the chart. Texts come from this program and from profiles, and are escaped.
func (c *chart) svg() template.HTML {
	var b strings.Builder
	esc := template.HTMLEscapeString
	fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" role="img" aria-labelledby="%s-t %s-d"><title id="%s-t">%s</title><desc id="%s-d">%s</desc>`,
		wide, high, c.id, c.id, c.id, esc(c.title), c.id, esc(c.desc))
	s := c.scale()
	for _, v := range s.ticks {
		fmt.Fprintf(&b, `<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text class="tick" x="%g" y="%.1f" text-anchor="end">%s</text>`,
			left, wide-right, s.y(v), s.y(v), left-8, s.y(v)+4, esc(c.yTick(v)))
	}
	ticks := c.xTicks
	if ticks == nil {
		step := niceStep(c.xMost / 7)
		for v := 0.0; v <= c.xMost*1.0001; v += step {
			ticks = append(ticks, v)
		}
	}
	for _, v := range ticks {
		fmt.Fprintf(&b, `<text class="tick" x="%.1f" y="%g" text-anchor="middle">%s</text>`, c.x(v), high-below+18, esc(c.xTick(v)))
	}
	fmt.Fprintf(&b, `<line class="axis" x1="%g" x2="%g" y1="%g" y2="%g"/>`, left, wide-right, high-below, high-below)
	fmt.Fprintf(&b, `<text class="label" x="%g" y="%g" text-anchor="end">%s</text><text class="label" x="%g" y="14">%s</text>`,
		wide-right, high-6, esc(c.xLabel), 4.0, esc(c.yLabel))
	for _, m := range c.marks {
		x := c.x(m.at)
		anchor, at := "start", x+5
		if x > wide*0.75 {
			anchor, at = "end", x-5
		}
		fmt.Fprintf(&b, `<line class="mark" x1="%.1f" x2="%.1f" y1="%g" y2="%g"/><text class="marked" x="%.1f" y="%g" text-anchor="%s">%s</text>`,
			x, x, above-8, high-below, at, above, anchor, esc(m.label))
	}
	for _, line := range c.lines {
		c.draw(&b, s, line)
	}
	b.WriteString("</svg>")
	return template.HTML(b.String())
}

func (c *chart) draw(b *strings.Builder, s scale, line series) {
	if len(line.points) == 0 {
		return
	}
	var path strings.Builder
	for i, p := range line.points {
		fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(i, 1)], c.x(p[0]), s.y(p[1]))
	}
	if line.fill {
		first, last := line.points[0], line.points[len(line.points)-1]
		fmt.Fprintf(b, `<path d="%sL%.1f %gL%.1f %gZ" fill="%s" fill-opacity=".16"/>`, path.String(), c.x(last[0]), high-below, c.x(first[0]), high-below, line.colour)
	}
	dash := ""
	if line.dash != "" {
		dash = fmt.Sprintf(` stroke-dasharray="%s"`, line.dash)
	}
	fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="2.2" stroke-linejoin="round"%s/>`, path.String(), line.colour, dash)
}

// legend is the chart's key, outside of the picture so that it wraps.
func (c *chart) legend() template.HTML {
	var b strings.Builder
	b.WriteString(`<ul class="key" aria-hidden="true">`)
	for _, line := range c.lines {
		dash := ""
		if line.dash != "" {
			dash = fmt.Sprintf(` stroke-dasharray="%s"`, line.dash)
		}
		fmt.Fprintf(&b, `<li><svg viewBox="0 0 26 10" width="26" height="10"><line x1="1" x2="25" y1="5" y2="5" stroke="%s" stroke-width="3"%s/></svg>%s</li>`,
			line.colour, dash, template.HTMLEscapeString(line.name))
	}
	b.WriteString("</ul>")
	return template.HTML(b.String())
}

// table is the chart's figures.
func (c *chart) table() tableView {
	t := tableView{Caption: c.title, Head: []string{c.xLabel}}
	for _, line := range c.lines {
		t.Head = append(t.Head, line.name)
	}
	if len(c.lines) == 0 {
		return t
	}
	for i, p := range c.lines[0].points {
		row := []string{c.xTick(p[0])}
		for _, line := range c.lines {
			cell := ""
			if i < len(line.points) {
				cell = c.yTick(line.points[i][1])
			}
			row = append(row, cell)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// tableView is a table of texts; the first cell of a row is its header.
type tableView struct {
	Caption string
	Head    []string
	Rows    [][]string
}
