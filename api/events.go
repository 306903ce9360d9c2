package api

import (
	"context"
	"encoding/hex"
	"time"

	"muster/allocator"
)

type eventView struct {
	Cursor string              `json:"cursor"`
	Type   allocator.EventType `json:"type"`
	At     string              `json:"at"`
	Actor  string              `json:"actor"`
	SiteID allocator.SiteID    `json:"siteId"`
	Date   string              `json:"date"`
	Person string              `json:"person,omitempty"`
	changeView
}

// changeView is what an event and its entry in the audit trail say in the same words.
type changeView struct {
	Revision  int64                 `json:"revision,omitempty"`
	Reference string                `json:"reference,omitempty"`
	Service   allocator.ServiceCode `json:"service,omitempty"`
	Start     string                `json:"start,omitempty"`
	Length    int16                 `json:"length,omitempty"`
	Status    allocator.Status      `json:"status,omitempty"`
	Version   int                   `json:"version,omitempty"`
	Reason    string                `json:"reason,omitempty"`
}

func viewChange(e *allocator.Event) changeView {
	v := changeView{Revision: e.Revision, Service: e.Service, Status: e.Status, Version: e.Version, Reason: e.Reason}
	if e.Booking != 0 {
		v.Reference, v.Start, v.Length = e.Booking.Reference(), instant(e.Slot.Start.Time()), e.Slot.Length
	}
	return v
}

type eventsView struct {
	Events []eventView `json:"events"`
	Next   string      `json:"next"`
}

const (
	maxEvents      = 1000
	maxWaitSeconds = 30
	maxCursorBytes = 200
)

// listEvents answers a page of the feed. With wait, an empty page is answered only when that time is over or the server
// drains.
func (s *Server) listEvents(ctx context.Context, x *exchange) (reply, error) {
	q := x.query("after", "limit", "wait")
	after, limit := q.text("after", maxCursorBytes), q.integer("limit", 1, maxEvents, 100)
	wait := time.Duration(q.integer("wait", 0, maxWaitSeconds, 0)) * time.Second
	if err := q.d.fail(); err != nil {
		return reply{}, err
	}
	if wait > 0 { // the deadline of the class is for one look
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.Background(), wait+s.options.Admission.Feed.Deadline)
		defer cancel()
	}
	over := time.NewTimer(wait)
	defer over.Stop()
	poll := time.NewTicker(s.options.PollEvery)
	defer poll.Stop()
	for last := wait == 0; ; {
		events, next, err := s.events(ctx, x.caller(), after, limit)
		after = next
		if err != nil || len(events) > 0 || last {
			return reply{body: eventsView{viewEvents(events), next}}, err
		}
		select {
		case <-over.C:
			last = true
		case <-s.drain:
			last = true
		case <-poll.C:
		}
	}
}

// viewEvents writes events with instants in UTC: an event does not know its site's zone.
func viewEvents(events []allocator.Event) []eventView {
	views := make([]eventView, len(events))
	for i := range events {
		views[i] = viewEvent(&events[i])
	}
	return views
}

// EventView is an event as the feed shows it, for whatever else tells of events.
func EventView(e allocator.Event) any { return viewEvent(&e) }

func viewEvent(e *allocator.Event) eventView {
	v := eventView{
		Cursor: e.Cursor, Type: e.Type, At: moment(e.At), Actor: e.Actor, SiteID: e.Site, Date: e.Date.String(), changeView: viewChange(e),
	}
	if e.Person != (allocator.PersonKey{}) {
		v.Person = hex.EncodeToString(e.Person[:])
	}
	return v
}
