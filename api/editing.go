package api

import (
	"context"
	"slices"
	"time"

	"muster/allocator"
)

type editView struct {
	Changed          int             `json:"changed"` // days, or would be for a dry run
	Failed           int             `json:"failed"`
	Added            int             `json:"added"`
	Removed          int             `json:"removed"`
	NewlyUnsupported int             `json:"newlyUnsupported"`
	Cancelled        int             `json:"cancelled"`
	Days             []editedDayView `json:"days"`
}

type editedDayView struct {
	Date string `json:"date"`
	*publishView
	Problem *problem `json:"problem,omitempty"`
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// editDays changes sessions that are published already on many days at once.
func (s *Server) editDays(ctx context.Context, x *exchange) (reply, error) {
	site, err := x.siteID()
	if err != nil {
		return reply{}, err
	}
	q := x.query("dryRun", "bookings")
	req := allocator.EditRequest{
		Caller: x.caller(), Site: site, DryRun: q.boolean("dryRun"), Cancel: q.choice("bookings", "keep", "cancel") == "cancel",
	}
	d, o := x.document(required)
	o.only(append(editFields, "from", "until", "weekdays")...)
	req.From, _ = o.date("from", required)
	req.To, _ = o.date("until", required)
	req.Weekdays = o.weekdays("weekdays", optional)
	req.Edit = decodeEdit(o)
	if err := d.fail(); err != nil {
		return reply{}, err
	}
	days, err := s.engine.EditDays(ctx, req)
	if err != nil {
		return reply{}, err
	}
	return reply{body: x.viewEdit(days)}, nil
}

func (o object) weekdays(name string, need bool) (days []time.Weekday) {
	for i, text := range o.texts(name, need, len(weekdays), 3) {
		n := slices.Index(weekdays, text)
		if n < 0 {
			o.d.fault(o.pointer(name)+"/"+itoa(i), "must be one of: mon, tue, wed, thu, fri, sat, sun")
		}
		days = append(days, time.Weekday(n))
	}
	return days
}

var editFields = []string{"edit", "sessions", "times", "capacity"}

func decodeEdit(o object) allocator.DayEdit {
	const most = 1 << 30
	e := allocator.DayEdit{
		Do: allocator.Edit(o.choice("edit", required, string(allocator.EditClose), string(allocator.EditStop), string(allocator.EditOpen),
			string(allocator.EditBlock), string(allocator.EditUnblock), string(allocator.EditCapacity))),
		Sessions: o.texts("sessions", optional, allocator.MaxSessionsPerDay, allocator.MaxNameBytes),
		Capacity: o.integer("capacity", optional, -most, most, 0),
	}
	if o.has("times") {
		times := o.child("times", optional)
		times.only("from", "until")
		e.From, e.Until = times.timeOfDay("from"), times.timeOfDay("until")
	}
	return e
}

func (x *exchange) viewEdit(days []allocator.EditedDay) editView {
	v := editView{Days: make([]editedDayView, len(days))}
	for i := range days {
		day := &days[i]
		v.Days[i].Date = day.Date.String()
		if day.Err != nil {
			p := x.problem(day.Err)
			v.Days[i].Problem = &p
			v.Failed++
			continue
		}
		done := viewPublish(day.Reply)
		v.Days[i].publishView = &done
		v.Changed++
		v.Added += done.Added
		v.Removed += done.Removed
		v.NewlyUnsupported += len(done.Impact.NewlyUnsupported)
		v.Cancelled += len(done.Impact.Cancelled)
	}
	return v
}
