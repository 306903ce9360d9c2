package api

import (
	"context"
	"slices"

	"muster/allocator"
)

type dayView struct {
	SiteID   allocator.SiteID `json:"siteId"`
	Date     string           `json:"date"`
	Revision int64            `json:"revision"`
	Sessions []sessionView    `json:"sessions"`
}

type sessionView struct {
	ID         string                  `json:"id,omitempty"`
	From       string                  `json:"from"`
	Until      string                  `json:"until"`
	SlotLength int                     `json:"slotLength"`
	Capacity   int                     `json:"capacity"`
	Services   []allocator.ServiceCode `json:"services"`
	Breaks     []breakView             `json:"breaks,omitempty"`
	Status     string                  `json:"status"`
	Access     string                  `json:"access"`
	Maximum    int                     `json:"maximum,omitempty"`
	Group      string                  `json:"maximumGroup,omitempty"`
}

type breakView struct {
	From  string `json:"from"`
	Until string `json:"until"`
}

type publishView struct {
	Revision int64      `json:"revision"`
	Added    int        `json:"added"`
	Removed  int        `json:"removed"`
	Impact   impactView `json:"impact"`
}

type impactView struct {
	Supported        int      `json:"supported"`
	NewlyUnsupported []string `json:"newlyUnsupported"`
	NewlySupported   []string `json:"newlySupported"`
	Cancelled        []string `json:"cancelled,omitempty"`
	HeldAffected     int      `json:"heldAffected"`
}

func viewPublish(r allocator.PublishReply) publishView {
	return publishView{r.Revision, r.Added, r.Removed, impactView{
		r.Supported, list(r.NewlyUnsupported), list(r.NewlySupported), r.Cancelled, r.HeldAffected,
	}}
}

func (s *Server) getDay(ctx context.Context, x *exchange) (reply, error) {
	site, date, err := x.siteDate()
	if err != nil {
		return reply{}, err
	}
	if err := x.noQuery(); err != nil {
		return reply{}, err
	}
	day, err := s.engine.Day(ctx, site, date)
	if err != nil {
		return reply{}, err
	}
	return reply{body: viewDay(&day), etag: etag(day.Revision)}, nil
}

func viewDay(day *allocator.Day) dayView {
	return dayView{SiteID: day.Site, Date: day.Date.String(), Revision: day.Revision, Sessions: viewSessions(day.Sessions)}
}

func viewSessions(sessions []allocator.Session) []sessionView {
	views := make([]sessionView, len(sessions))
	for i, session := range sessions {
		views[i] = viewSession(session)
	}
	return views
}

func viewSession(session allocator.Session) sessionView {
	v := sessionView{
		ID: session.ID, From: session.From.String(), Until: session.Until.String(), SlotLength: session.SlotLength,
		Capacity: session.Capacity, Services: list(session.Services), Status: "open", Access: "public",
		Maximum: session.Maximum, Group: session.MaximumGroup,
	}
	if session.Stopped {
		v.Status = "stopped"
	}
	if session.Invited {
		v.Access = "invited"
	}
	for _, b := range session.Breaks {
		v.Breaks = append(v.Breaks, breakView{b.From.String(), b.Until.String()})
	}
	return v
}

func (s *Server) putDay(ctx context.Context, x *exchange) (reply, error) {
	req, err := x.publishRequest()
	if err != nil {
		return reply{}, err
	}
	d, o := x.document(required)
	o.only("siteId", "date", "revision", "sessions")
	o.same("siteId", string(req.Site))
	o.same("date", req.Date.String())
	o.typed("revision", optional, kindNumber) // If-Match is the condition
	req.Day.Sessions = decodeSessions(o)
	if err := d.fail(); err != nil {
		return reply{}, err
	}
	return s.publish(ctx, req, x.ifMatch())
}

func (s *Server) closeDay(ctx context.Context, x *exchange) (reply, error) {
	req, err := x.publishRequest()
	if err != nil {
		return reply{}, err
	}
	if err := x.input().fail(); err != nil {
		return reply{}, err
	}
	return s.publish(ctx, req, x.ifMatch())
}

func (s *Server) publish(ctx context.Context, req allocator.PublishRequest, c condition) (reply, error) {
	current := func() (any, int64, error) {
		day, err := s.engine.Day(ctx, req.Site, req.Date)
		return viewDay(&day), day.Revision, err
	}
	var done allocator.PublishReply
	err := c.settled(current, func(ifMatch *int64) (err error) {
		req.IfMatch = ifMatch
		done, err = s.engine.PublishDay(ctx, req)
		return err
	})
	if err != nil {
		return reply{}, err
	}
	answer := reply{body: viewPublish(done)}
	if !req.DryRun {
		answer.etag = etag(done.Revision)
	}
	return answer, nil
}

// settled changes a document on a condition, and shows the current one where that is not met. One revision is for the engine
// to compare; anything else needs the current one first.
func (c condition) settled(current func() (document any, revision int64, err error), change func(ifMatch *int64) error) error {
	var ifMatch *int64
	switch {
	case !c.given:
	case !c.any && len(c.revisions) == 1:
		ifMatch = &c.revisions[0]
	default:
		document, revision, err := current()
		switch {
		case err != nil:
			return err
		case c.any && revision > 0: // and whatever it is by then
		case slices.Contains(c.revisions, revision):
			ifMatch = &revision
		default:
			return currentError{allocator.Refuse(allocator.CodeRevisionMismatch, "the document has revision %d", revision), document}
		}
	}
	err := change(ifMatch)
	if allocator.CodeOf(err) == allocator.CodeRevisionMismatch {
		if document, _, readErr := current(); readErr == nil {
			err = currentError{err, document}
		}
	}
	return err
}

// publishRequest reads all of a change but its body; faults of query and headers stay in the exchange's decoder.
func (x *exchange) publishRequest() (allocator.PublishRequest, error) {
	site, date, err := x.siteDate()
	if err != nil {
		return allocator.PublishRequest{}, err
	}
	q := x.query("dryRun", "bookings")
	return allocator.PublishRequest{
		Caller: x.caller(), Site: site, Date: date, DryRun: q.boolean("dryRun"),
		Cancel: q.choice("bookings", "keep", "cancel") == "cancel", Day: allocator.Day{Site: site, Date: date},
	}, nil
}

// decodeSessions reads the form of a day's sessions; whether they make sense is for the engine to say.
func decodeSessions(o object) []allocator.Session {
	const most = 1 << 30
	var sessions []allocator.Session
	for _, v := range o.objects("sessions", required, allocator.MaxSessionsPerDay) {
		v.only("id", "from", "until", "slotLength", "capacity", "services", "breaks", "status", "access", "maximum", "maximumGroup")
		session := allocator.Session{
			ID: v.text("id", optional, allocator.MaxNameBytes), From: v.timeOfDay("from"), Until: v.timeOfDay("until"),
			SlotLength: v.integer("slotLength", required, -most, most, 0), Capacity: v.integer("capacity", required, -most, most, 0),
			Stopped: v.choice("status", optional, "open", "stopped") == "stopped",
			Invited: v.choice("access", optional, "public", "invited") == "invited",
			Maximum: v.integer("maximum", optional, 1, allocator.MaxSlotCapacity, 0), MaximumGroup: v.text("maximumGroup", optional, allocator.MaxNameBytes),
		}
		for _, code := range v.texts("services", required, allocator.MaxServicesPerSession, maxWordBytes) {
			session.Services = append(session.Services, allocator.ServiceCode(code))
		}
		for _, b := range v.objects("breaks", optional, allocator.MaxBreaksPerSession) {
			b.only("from", "until")
			session.Breaks = append(session.Breaks, allocator.Break{From: b.timeOfDay("from"), Until: b.timeOfDay("until")})
		}
		sessions = append(sessions, session)
	}
	return sessions
}
