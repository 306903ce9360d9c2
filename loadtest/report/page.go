package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"

	"muster/geo"
	"muster/loadtest/people"
	"muster/loadtest/result"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// figure is a chart with its key and its figures.
type figure struct {
	ID, Title, Desc string
	Picture, Key    template.HTML
	Table           tableView
}

func figureOf(c chart) figure {
	return figure{c.id, c.title, c.desc, c.svg(), c.legend(), c.table()}
}

// tile is one large figure.
type tile struct{ Label, Value, Note, Class string }

// row is a fact about the run.
type row struct{ Name, Value string }

type view struct {
	R            *result.Result
	Title        string
	Verdict      string
	VerdictClass string
	Because      []string
	Lead         []string
	Tiles        []tile
	Figures      []figure
	Map          template.HTML
	MapTable     tableView
	MapNote      string
	Steps        tableView
	Codes        tableView
	Journeys     tableView
	Audit        tableView
	AuditLead    string
	Facts        []row
	Credits      []string
}

// HTML writes the page. Land are points of the country, latitude and longitude, from which the map draws its ground.
func HTML(out io.Writer, r *result.Result, land [][2]float64) error {
	verdict := Judge(r)
	v := view{
		R: r, Title: r.Profile.Title, Verdict: verdict.String(), VerdictClass: [...]string{"good", "bad", "doubt", "bad"}[verdict], Because: because(r, verdict),
		Lead: lead(r), Tiles: tiles(r), Steps: stepTable(r), Codes: codeTable(r), Journeys: journeyTable(r), Audit: auditTable(r), AuditLead: auditLead(r), Facts: facts(r),
		Map: drawMap(&r.Map, land), MapTable: mapTable(&r.Map),
		Credits: []string{geo.PostcodeAttribution, people.Attribution,
			"Sites: NHS England's list of vaccination sites, geocoded by ODI Leeds; contains public sector information licensed under the Open Government Licence v3.0. Their sessions were made up for this test."},
	}
	v.MapNote = fmt.Sprintf("Each point is the home of one of %s people who came, drawn where people really live. Each disc is a site, as large as its number of places.", number(len(r.Map.Demand)))
	for _, c := range []chart{arrivals(r), soldOut(r), latencies(r), outcomes(r), percentiles(r)} {
		v.Figures = append(v.Figures, figureOf(c))
	}
	v.Figures = append(v.Figures, fates(r))
	return page.Execute(out, v)
}

// because is why the verdict is what it is.
func because(r *result.Result, verdict Verdict) (reasons []string) {
	for _, t := range r.Thresholds {
		if !t.Held {
			reasons = append(reasons, fmt.Sprintf("%s was not held: it was %s.", t.Threshold, t.Shown))
		}
	}
	for _, why := range r.Generator.Limited {
		reasons = append(reasons, "The machine that made the load was the limit: "+why+".")
	}
	if r.Run.Broken != "" {
		reasons = append(reasons, "The run did not come to its end: "+r.Run.Broken+".")
	}
	if r.Hook != nil && r.Hook.Error != "" {
		reasons = append(reasons, "The hook failed: "+r.Hook.Error+".")
	}
	if r.Totals.Wrong > 0 {
		reasons = append(reasons, number(r.Totals.Wrong)+" answers contradicted what was asked or answered before.")
	}
	if a := r.Audit; a != nil && a.Violations() > 0 {
		reasons = append(reasons, "The audit found "+counted(a.Violations(), "violation")+".")
	}
	if verdict == Held {
		switch n := len(r.Thresholds); {
		case r.Audit == nil:
			reasons = append(reasons, "No audit was made: whether the server kept what it said was not looked at.")
		case n == 0:
			reasons = append(reasons, "The audit is clean. No thresholds were set.")
		default:
			reasons = append(reasons, fmt.Sprintf("The audit is clean, and all %d thresholds held.", n))
		}
	}
	return reasons
}

// lead tells the result in plain sentences.
func lead(r *result.Result) []string {
	t := r.Totals
	first := fmt.Sprintf("%s people came within %s", number(t.Started), seconds(r.Profile.LengthSeconds))
	if most := peak(r); most > 0 {
		first += fmt.Sprintf(", at most %s in a second", number(int64(most+0.5)))
	}
	second := fmt.Sprintf("%s appointments were booked", number(t.Booked))
	if r.Places > 0 {
		second += fmt.Sprintf(" of %s on offer", number(r.Places))
	}
	if t.Nothing > 0 {
		second += fmt.Sprintf("; %s people found no place within reach", number(t.Nothing))
	}
	confirm := result.Summarise(r.Latency(result.Confirm))
	var sentences []string
	sentences = append(sentences, first+". "+second+".")
	if confirm.Count > 0 {
		sentences = append(sentences, fmt.Sprintf("To confirm an appointment took %s for half of the people, and no longer than %s for 99 in 100.", ms(confirm.P50), ms(confirm.P99)))
	}
	if a := r.Audit; a != nil {
		if a.Violations() == 0 && t.Wrong == 0 {
			sentences = append(sentences, fmt.Sprintf("Afterwards %s were looked up: none was lost, and no place was given to two people.", counted(a.Checked, "acknowledged booking")))
		} else {
			sentences = append(sentences, "Afterwards the audit found what must not be. It is listed below, and no waiting time makes up for it.")
		}
	}
	return sentences
}

func counted(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return number(n) + " " + what + "s"
}

func tiles(r *result.Result) []tile {
	t := r.Totals
	confirm, all := result.Summarise(r.Latency(result.Confirm)), result.Summarise(r.Latency(""))
	list := []tile{
		{"people", number(t.Started), percent(t.OnTime, t.Planned) + " of the plan on time", ""},
		{"bookings", number(t.Booked), number(t.Cancelled) + " cancelled, " + number(t.Moved) + " moved", ""},
		{"confirm, 99 in 100", ms(confirm.P99), "half within " + ms(confirm.P50), ""},
		{"any request, 99 in 100", ms(all.P99), "half within " + ms(all.P50), ""},
		{"requests", number(t.Requests), percent(t.Failed, t.Requests) + " failed", mood(t.Failed == 0, t.Failed*100 > t.Requests)},
	}
	if a := r.Audit; a != nil {
		other := a.Violations() + t.Wrong - a.Lost - a.Oversold
		list = append(list, tile{"bookings lost", number(a.Lost), "of " + number(a.Checked) + " looked up", mood(a.Lost == 0, a.Lost > 0)},
			tile{"sold twice", number(a.Oversold), "beyond capacity", mood(a.Oversold == 0, a.Oversold > 0)},
			tile{"other violations", number(other), "see the audit", mood(other == 0, other > 0)})
	} else {
		list = append(list, tile{"audit", "none", "nothing was looked up", "doubt"})
	}
	return list
}

func mood(good, bad bool) string {
	switch {
	case bad:
		return "bad"
	case good:
		return "good"
	}
	return ""
}

func stepTable(r *result.Result) tableView {
	t := tableView{Caption: "Waiting times by step, from the planned start to the whole answer", Head: []string{"Step", "Requests", "Failed", "Half", "90 in 100", "99 in 100", "999 in 1000", "Longest"}}
	for _, name := range append(result.Steps(), "") {
		s, shown := result.Summarise(r.Latency(name)), name
		if s.Count == 0 {
			continue
		}
		if name == "" {
			shown = "all"
		}
		t.Rows = append(t.Rows, []string{shown, number(s.Count), number(r.Count(name, result.Failed)), ms(s.P50), ms(s.P90), ms(s.P99), ms(s.P999), ms(s.Max)})
	}
	return t
}

func codeTable(r *result.Result) tableView {
	t := tableView{Caption: "Answers by step and code", Head: []string{"Step and code", "Meaning", "Requests", "Half", "99 in 100"}}
	meaning := map[result.Class]string{result.OK: "answered", result.Refused: "refused", result.Failed: "failed"}
	for _, name := range result.Steps() {
		step := r.Steps[name]
		if step == nil {
			continue
		}
		for _, code := range step.SortedCodes() {
			c := step.Codes[code]
			s := result.Summarise(c.Latency)
			t.Rows = append(t.Rows, []string{name + " " + code, meaning[c.Class], number(s.Count), ms(s.P50), ms(s.P99)})
		}
	}
	return t
}

func journeyTable(r *result.Result) tableView {
	t := tableView{Caption: "What people came for, and what became of it", Head: []string{"Journey", "People", "Booked", "Nothing left", "Gave up after failures"}}
	for _, name := range journeys(r) {
		o := r.Journeys[name]
		t.Rows = append(t.Rows, []string{name, number(o.People), number(o.Booked), number(o.None), number(o.Failed)})
	}
	return t
}

func auditTable(r *result.Result) tableView {
	t := tableView{Caption: "What the audit looked for", Head: []string{"Violation", "Found"}}
	a := r.Audit
	if a == nil {
		return t
	}
	for _, line := range []struct {
		name string
		n    int64
	}{
		{"Acknowledged bookings that are not there", a.Lost}, {"Bookings with another time, service or person than acknowledged", a.Altered},
		{"Cancelled bookings that go on", a.NotEnded}, {"Bookings beyond capacity", a.Oversold}, {"Places or people with two bookings", a.Twice},
		{"Bookings that nobody was told of", a.Uncalled}, {"Places that nobody has and nobody can get", a.Leaked},
		{"Differences that the engine's own audit reports", a.Engine}, {"Answers that contradict each other during the run", r.Totals.Wrong},
	} {
		t.Rows = append(t.Rows, []string{line.name, number(line.n)})
	}
	return t
}

func auditLead(r *result.Result) string {
	a := r.Audit
	if a == nil {
		return "No audit was made."
	}
	return fmt.Sprintf("After the run %s of %s acknowledged bookings were looked up. The audit looked at %s.", number(a.Checked), number(a.Acknowledged),
		strings.Join(a.Sources, "; "))
}

func facts(r *result.Result) []row {
	g := r.Generator
	list := []row{
		{"Load", fmt.Sprintf("%s, at a scale of %v: %s people in %s", r.Profile.Name, r.Profile.Scale, number(int64(r.Profile.People+0.5)), seconds(r.Profile.LengthSeconds))},
		{"Where its shape is from", r.Profile.Source}, {"What people do", r.Profile.Mix},
		{"Target", r.Run.Target + embedded(r)}, {"Begun", r.Run.Started.UTC().Format("2 January 2006, 15:04:05 UTC")}, {"Machine of the generator", r.Run.Machine},
		{"Engine and seed", fmt.Sprintf("%s, seed %d, generators %s", r.Run.Engine, r.Run.Seed, strings.Join(r.Run.Generators, " "))},
		{"Generator", fmt.Sprintf("%.2f of %d cores in use; 99 in 100 requests were sent within %s of their time; %s of requests were late by 100 ms or more; at most %s in flight",
			g.CPUSeconds/max(0.001, g.WallSeconds), g.Cores, ms(inMs(r.Lag.Percentile(99))), percent(r.Totals.Late, r.Totals.Requests), number(g.InFlight))},
		{"Phantom slots", fmt.Sprintf("%s of holds were refused as full of a slot that was listed as free a second or more after others were told that it is full", percent(r.Totals.Phantom, r.Totals.Holds))},
		{"Program", fmt.Sprintf("muster %s, commit %s", r.Run.Version, r.Run.Commit)}, {"Command", r.Run.Command},
	}
	if k := r.Knee; k != nil {
		list = append([]row{{"Knee", fmt.Sprintf("kept up until %.0f arrivals and %.0f requests a second; then %s", k.Arrivals, k.Requests, k.Broke)}}, list...)
	}
	if h := r.Hook; h != nil {
		list = append(list, row{"Hook", fmt.Sprintf("%s, after %.1f s, for %.1f s", h.Command, h.AtSeconds, h.Seconds)})
	}
	var told []row
	for _, l := range list {
		if l.Value != "" {
			told = append(told, l)
		}
	}
	return told
}

func embedded(r *result.Result) string {
	if r.Run.Embedded {
		return " (embedded: started by the test on the same machine, in a process of its own)"
	}
	return ""
}
