package report

import (
	"fmt"
	"html/template"
	"strings"

	"muster/loadtest/result"
)

// bar is one of a picture of bars.
type bar struct {
	name, colour string
	n            int64
}

// fates is what became of the people, whatever they came for.
func fates(r *result.Result) figure {
	var all result.Outcomes
	for _, o := range r.Journeys {
		all.People += o.People
		all.Booked += o.Booked
		all.None += o.None
		all.Failed += o.Failed
	}
	bars := []bar{{"got an appointment", green, all.Booked}, {"found no place within reach", orange, all.None},
		{"only looked, or let a hold go", blue, max(0, all.People-all.Booked-all.None-all.Failed)}, {"gave up after failures", red, all.Failed}}
	f := figure{ID: "fates", Title: "What became of the people",
		Desc:  fmt.Sprintf("Of %s people %s got an appointment, for themselves or with their family.", number(all.People), percent(all.Booked, all.People)),
		Table: tableView{Caption: "What became of the people", Head: []string{"Outcome", "People", "Share"}}}
	for _, b := range bars {
		f.Table.Rows = append(f.Table.Rows, []string{b.name, number(b.n), percent(b.n, all.People)})
	}
	f.Picture = drawBars(&f, bars, all.People)
	return f
}

// drawBars draws horizontal bars, each with its name above it and its figures at its end.
func drawBars(f *figure, bars []bar, whole int64) template.HTML {
	const each, thick, most = 64.0, 26.0, 470.0
	esc := template.HTMLEscapeString
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" role="img" aria-labelledby="%s-t %s-d"><title id="%s-t">%s</title><desc id="%s-d">%s</desc>`,
		wide, each*float64(len(bars))+12, f.ID, f.ID, f.ID, esc(f.Title), f.ID, esc(f.Desc))
	for i, line := range bars {
		y := each*float64(i) + 18
		width := 2.0
		if whole > 0 {
			width = max(2, most*float64(line.n)/float64(whole))
		}
		fmt.Fprintf(&b, `<text class="name" x="4" y="%.1f">%s</text><rect x="4" y="%.1f" width="%.1f" height="%g" rx="2" fill="%s"/><text class="value" x="%.1f" y="%.1f">%s (%s)</text>`,
			y+2, esc(line.name), y+10, width, thick, line.colour, 4+width+10, y+10+thick/2+6, number(line.n), percent(line.n, whole))
	}
	b.WriteString("</svg>")
	return template.HTML(b.String())
}
