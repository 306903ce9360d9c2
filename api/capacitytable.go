package api

import (
	"mime"

	"github.com/valyala/fasthttp"

	"muster/allocator"
	"muster/api/daytable"
)

const tableType = "text/csv"

// isTable says whether the body is CSV. Its type was checked before.
func (x *exchange) isTable() bool {
	header, _ := x.header("Content-Type")
	kind, _, _ := mime.ParseMediaType(header)
	return kind == tableType
}

// rows takes in the lines of a table that are there, and makes changes of the days that ended with them. A header that means
// nothing ends the upload.
func (u *upload) rows() (batch []change) {
	for _, l := range u.left {
		u.done = l.number
		if !u.table.HasHeader() {
			if err := u.unreadable(l); err != nil {
				batch = append(batch, change{view: lineView{Line: l.number}, err: err})
			} else if err := u.table.Header(l.text); err != nil {
				batch = append(batch, change{view: lineView{Line: l.number}, err: err})
			}
			if u.finished = len(batch) > 0; u.finished {
				break
			}
			continue
		}
		if err := u.unreadable(l); err != nil {
			batch = append(batch, u.day(u.table.Unreadable(l.number, err))...)
		} else {
			batch = append(batch, u.day(u.table.Line(l.number, l.text))...)
		}
	}
	u.left = nil
	return batch
}

// unreadable says why a line's text is missing; nil: it is there.
func (u *upload) unreadable(l line) error {
	switch {
	case l.tooBig:
		return refuseWith(fasthttp.StatusRequestEntityTooLarge, "the line has more than "+itoa(maxLineBytes)+" bytes")
	case l.broken:
		return allocator.Refuse(allocator.CodeInvalid, "the upload broke off here; nothing of this line was done")
	}
	return nil
}

// day makes the changes of a day that ended: one for each line that is refused, and one for the day.
func (u *upload) day(day *daytable.Day) (changes []change) {
	if day == nil {
		return nil
	}
	view := lineView{SiteID: day.Site}
	if day.Named() {
		view.Date = day.Date.String()
	}
	for _, f := range day.Faults {
		c := change{view: view, err: f.Err}
		c.view.Line = f.Line
		changes = append(changes, c)
	}
	if !day.Named() {
		return changes
	}
	c := change{view: view, err: day.Err(), req: allocator.PublishRequest{
		Caller: u.x.caller(), Site: day.Site, Date: day.Date, DryRun: u.dryRun,
		Day: allocator.Day{Site: day.Site, Date: day.Date, Sessions: day.Sessions},
	}}
	c.view.Line, c.view.Lines = day.Lines[0], len(day.Lines)
	return append(changes, c)
}
