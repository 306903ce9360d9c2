package bench

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// The pictures are plain SVG text, readable on light and dark pages.
const (
	pictureWidth = 960
	barsFrom     = 250 // where the names end
	barsUntil    = 800 // where the figures begin
	rowHeight    = 22
)

// picture is an SVG under way.
type picture struct {
	text strings.Builder
	y    int
}

func (p *picture) put(format string, args ...any) { fmt.Fprintf(&p.text, format+"\n", args...) }

func (p *picture) label(x int, anchor, class, text string) {
	p.put(`<text x="%d" y="%d" text-anchor="%s" class="%s">%s</text>`, x, p.y+15, anchor, class, html.EscapeString(text))
}

func (p *picture) title(text string) {
	p.y += 14
	p.label(16, "start", "title", text)
	p.y += 26
}

func (p *picture) svg() string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img">
<style>
text { font: 13px system-ui, sans-serif; fill: #1d2733 } .title { font-weight: 600; font-size: 15px } .faint { fill: #5b6875 }
rect.page { fill: #fff } rect.bar { fill: #9aa9b8 } rect.ours { fill: #005eb8 } line { stroke: #1d2733; stroke-width: 1.5 } line.grid { stroke: #d5dbe1; stroke-width: 1 }
circle { fill: #9aa9b8; stroke: #1d2733 } circle.ours { fill: #005eb8 }
</style>
<rect class="page" width="%[1]d" height="%[2]d"/>
%s</svg>
`, pictureWidth, p.y+20, p.text.String())
}

func class(engine, other string) string {
	if strings.HasPrefix(engine, Ours) {
		return "ours"
	}
	return other
}

// byWorkload groups what counts.
func (r *Report) byWorkload() (groups [][]*Summary) {
	for i := range r.Summaries {
		s := &r.Summaries[i]
		switch n := len(groups); {
		case !s.Counts:
		case n == 0 || groups[n-1][0].Workload != s.Workload:
			groups = append(groups, []*Summary{s})
		default:
			groups[n-1] = append(groups[n-1], s)
		}
	}
	return groups
}

// FlowsPicture is an SVG with a bar for each engine's median rate under each workload, and a line from its least to its most.
func (r *Report) FlowsPicture() string {
	p := new(picture)
	for _, group := range r.byWorkload() {
		unit := map[Workload]string{Holds: "holds/s", Search: "searches/s", Storm: "answers/s"}[group[0].Workload]
		if unit == "" {
			unit = "flows/s"
		}
		title := fmt.Sprintf("%s: %s", group[0].Workload, unit)
		if n := group[0].Turns; n > 1 {
			title += fmt.Sprintf(", median and spread of %d turns", n)
		}
		p.title(title)
		most := 0.0
		for _, s := range group {
			most = max(most, s.Most)
		}
		at := func(rate float64) float64 { return barsFrom + rate/max(1, most)*(barsUntil-barsFrom) }
		for _, s := range group {
			p.label(barsFrom-10, "end", "", s.Engine)
			p.put(`<rect class="bar %s" x="%d" y="%d" width="%.1f" height="14"/>`, class(s.Engine, ""), barsFrom, p.y+4, at(s.Median)-barsFrom)
			p.put(`<line x1="%.1f" x2="%.1f" y1="%d" y2="%[3]d"/>`, at(s.Least), at(s.Most), p.y+11)
			p.label(barsUntil+14, "start", "faint", fmt.Sprintf("%.0f", s.Median))
			p.y += rowHeight
		}
	}
	return p.svg()
}

// LatencyPicture is an SVG with the percentiles of each engine's flows under each workload, on a logarithmic scale: from the
// median over p99 to p99.9.
func (r *Report) LatencyPicture() string {
	p := new(picture)
	const least, most = 0.1, 100_000 // ms
	at := func(ms float64) float64 {
		share := math.Log(min(max(ms, least), most)/least) / math.Log(most/least)
		return barsFrom + share*(barsUntil-barsFrom)
	}
	for _, group := range r.byWorkload() {
		p.title(fmt.Sprintf("%s: ms of a flow from its %s; p50 ● p99 ● p99.9", group[0].Workload, group[0].TimedFrom))
		until := p.y + len(group)*rowHeight
		for ms := 1.0; ms < most; ms *= 10 {
			p.put(`<line class="grid" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`, at(ms), at(ms), p.y, until)
			p.put(`<text class="faint" text-anchor="middle" x="%.1f" y="%d">%g</text>`, at(ms), until+13, ms)
		}
		for _, s := range group {
			p.label(barsFrom-10, "end", "", s.Engine)
			p.put(`<line x1="%.1f" x2="%.1f" y1="%d" y2="%[3]d"/>`, at(s.Flow.P50), at(s.Flow.P999), p.y+11)
			for _, ms := range []float64{s.Flow.P50, s.Flow.P99, s.Flow.P999} {
				p.put(`<circle class="%s" cx="%.1f" cy="%d" r="4"/>`, class(s.Engine, ""), at(ms), p.y+11)
			}
			p.label(barsUntil+14, "start", "faint", s.Flow.String())
			p.y += rowHeight
		}
		p.y += 16
	}
	return p.svg()
}
