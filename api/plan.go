package api

import (
	"context"

	"muster/allocator"
)

// planView is a site's plan: its series, and when nothing takes place.
type planView struct {
	SiteID   allocator.SiteID `json:"siteId"`
	Revision int64            `json:"revision"`
	Series   []seriesView     `json:"series"`
	Closures []closureView    `json:"closures"`
	Edited   []string         `json:"edited"` // dates
}

type seriesView struct {
	ID         string         `json:"id"`
	From       string         `json:"from"`
	Until      string         `json:"until"`
	Weekdays   []string       `json:"weekdays"`
	EveryWeeks int            `json:"everyWeeks"`
	Sessions   []sessionView  `json:"sessions"`
	Overrides  []overrideView `json:"overrides,omitempty"`
	Closures   []closureView  `json:"closures,omitempty"`
}

// overrideView has sessions or edits.
type overrideView struct {
	Date     string         `json:"date"`
	Sessions *[]sessionView `json:"sessions,omitempty"`
	Edits    []dayEditView  `json:"edits,omitempty"`
}

type dayEditView struct {
	Edit     allocator.Edit `json:"edit"`
	Sessions []string       `json:"sessions,omitempty"`
	Times    *breakView     `json:"times,omitempty"`
	Capacity int            `json:"capacity,omitempty"`
}

type closureView struct {
	From   string `json:"from"`
	Until  string `json:"until"`
	Reason string `json:"reason,omitempty"`
}

type planReplyView struct {
	Revision int64 `json:"revision"`
	editView
}

func (s *Server) getPlan(ctx context.Context, x *exchange) (reply, error) {
	site, err := x.onlySite()
	if err != nil {
		return reply{}, err
	}
	plan, edited, err := s.engine.Plan(ctx, site)
	if err != nil {
		return reply{}, err
	}
	return reply{body: viewPlan(&plan, edited), etag: etag(plan.Revision)}, nil
}

// putPlan replaces a site's plan, or tells what that would do.
func (s *Server) putPlan(ctx context.Context, x *exchange) (reply, error) {
	site, err := x.siteID()
	if err != nil {
		return reply{}, err
	}
	q := x.query("dryRun", "bookings", "edited")
	req := allocator.PlanRequest{
		Caller: x.caller(), Site: site, DryRun: q.boolean("dryRun"), Cancel: q.choice("bookings", "keep", "cancel") == "cancel",
		Replace: q.choice("edited", "keep", "replace") == "replace",
	}
	d, o := x.document(required)
	req.Plan = decodePlan(o, site)
	if err := d.fail(); err != nil {
		return reply{}, err
	}
	current := func() (any, int64, error) {
		plan, edited, err := s.engine.Plan(ctx, site)
		return viewPlan(&plan, edited), plan.Revision, err
	}
	var done allocator.PlanReply
	err = x.ifMatch().settled(current, func(ifMatch *int64) (err error) {
		req.IfMatch = ifMatch
		done, err = s.engine.PutPlan(ctx, req)
		return err
	})
	if err != nil {
		return reply{}, err
	}
	answer := reply{body: planReplyView{done.Revision, x.viewEdit(done.Days)}}
	if !req.DryRun {
		answer.etag = etag(done.Revision)
	}
	return answer, nil
}

// decodePlan reads the form of a plan; whether it makes sense is for the engine to say.
func decodePlan(o object, site allocator.SiteID) (p allocator.Plan) {
	o.only("siteId", "revision", "series", "closures", "edited")
	o.same("siteId", string(site))
	o.typed("revision", optional, kindNumber) // If-Match is the condition
	o.typed("edited", optional, kindArray)    // for who reads the plan; the query says what becomes of them
	p.Closures = decodeClosures(o)
	for _, v := range o.objects("series", required, allocator.MaxSeries) {
		p.Series = append(p.Series, decodeSeries(v))
	}
	return p
}

func decodeSeries(o object) allocator.Series {
	o.only("id", "from", "until", "weekdays", "everyWeeks", "sessions", "overrides", "closures")
	s := allocator.Series{
		ID: o.text("id", required, allocator.MaxNameBytes), Weekdays: o.weekdays("weekdays", required), Closures: decodeClosures(o),
		EveryWeeks: o.integer("everyWeeks", optional, 1, allocator.MaxEveryWeek, 1), Sessions: decodeSessions(o),
	}
	s.From, _ = o.date("from", required)
	s.Until, _ = o.date("until", required)
	for _, v := range o.objects("overrides", optional, allocator.MaxOverrides) {
		v.only("date", "sessions", "edits")
		var override allocator.Override
		override.Date, _ = v.date("date", required)
		for _, e := range v.objects("edits", optional, allocator.MaxDayEdits) {
			e.only(editFields...)
			override.Edits = append(override.Edits, decodeEdit(e))
		}
		if v.has("sessions") || len(override.Edits) == 0 {
			override.Sessions = decodeSessions(v)
		}
		s.Overrides = append(s.Overrides, override)
	}
	return s
}

func decodeClosures(o object) (closures []allocator.Closure) {
	for _, v := range o.objects("closures", optional, allocator.MaxClosures) {
		v.only("from", "until", "reason")
		c := allocator.Closure{Reason: v.text("reason", optional, allocator.MaxNameBytes)}
		c.From, _ = v.date("from", required)
		c.Until, _ = v.date("until", required)
		closures = append(closures, c)
	}
	return closures
}

func viewPlan(p *allocator.SitePlan, edited []allocator.Date) planView {
	v := planView{SiteID: p.Site, Revision: p.Revision, Series: make([]seriesView, len(p.Series)), Closures: viewClosures(p.Closures), Edited: []string{}}
	for i := range p.Series {
		v.Series[i] = viewSeries(&p.Series[i])
	}
	for _, date := range edited {
		v.Edited = append(v.Edited, date.String())
	}
	return v
}

func viewSeries(s *allocator.Series) seriesView {
	v := seriesView{
		ID: s.ID, From: s.From.String(), Until: s.Until.String(), EveryWeeks: s.EveryWeeks, Sessions: viewSessions(s.Sessions),
		Closures: viewClosures(s.Closures),
	}
	for _, day := range s.Weekdays {
		v.Weekdays = append(v.Weekdays, weekdays[day])
	}
	for i := range s.Overrides {
		o := &s.Overrides[i]
		view := overrideView{Date: o.Date.String()}
		if len(o.Edits) == 0 {
			sessions := viewSessions(o.Sessions)
			view.Sessions = &sessions
		}
		for _, e := range o.Edits {
			view.Edits = append(view.Edits, viewDayEdit(e))
		}
		v.Overrides = append(v.Overrides, view)
	}
	return v
}

func viewDayEdit(e allocator.DayEdit) dayEditView {
	v := dayEditView{Edit: e.Do, Sessions: e.Sessions, Capacity: e.Capacity}
	if e.From < e.Until {
		v.Times = &breakView{e.From.String(), e.Until.String()}
	}
	return v
}

func viewClosures(closures []allocator.Closure) []closureView {
	views := make([]closureView, len(closures))
	for i, c := range closures {
		views[i] = closureView{c.From.String(), c.Until.String(), c.Reason}
	}
	return views
}
