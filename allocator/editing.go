package allocator

import (
	"context"
	"reflect"
	"slices"
	"time"
)

// Edit is what happens to sessions that are published already.
type Edit string

// The edits. Each may be repeated: the second time it finds nothing to do.
const (
	EditClose    Edit = "close"    // they go; bookings stay without a seat, or are cancelled where the request says so
	EditStop     Edit = "stop"     // they take no new bookings, and keep those they have
	EditOpen     Edit = "open"     // they take bookings again
	EditBlock    Edit = "block"    // some of their time becomes a break
	EditUnblock  Edit = "unblock"  // breaks within that time go
	EditCapacity Edit = "capacity" // so many places in each of their slots
)

// maxEditedDays bounds the days of one request.
const maxEditedDays = 92

// DayEdit says what to do with which sessions of a day.
type DayEdit struct {
	Do       Edit      `json:"do"`
	Sessions []string  `json:"sessions,omitempty"` // their ids; none: all
	From     TimeOfDay `json:"from,omitempty"`     // of EditBlock and EditUnblock
	Until    TimeOfDay `json:"until,omitempty"`
	Capacity int       `json:"capacity,omitempty"` // of EditCapacity
}

// Apply returns a day's sessions as they are after the edit. It changes nothing in its argument.
func (e *DayEdit) Apply(sessions []Session) []Session {
	edited := make([]Session, 0, len(sessions))
	for _, s := range sessions {
		if len(e.Sessions) > 0 && !slices.Contains(e.Sessions, s.ID) {
			edited = append(edited, s)
			continue
		}
		switch e.Do {
		case EditClose:
			continue
		case EditStop:
			s.Stopped = true
		case EditOpen:
			s.Stopped, s.Kept = false, nil
		case EditBlock:
			b := Break{max(e.From, s.From), min(e.Until, s.Until)}
			if b.From < b.Until && !slices.ContainsFunc(s.Breaks, func(o Break) bool { return o.From <= b.From && b.Until <= o.Until }) {
				s.Breaks = append(slices.Clone(s.Breaks), b)
			}
		case EditUnblock:
			s.Breaks = slices.DeleteFunc(slices.Clone(s.Breaks), func(b Break) bool { return e.From <= b.From && b.Until <= e.Until })
		case EditCapacity:
			s.Capacity = e.Capacity
		}
		edited = append(edited, s)
	}
	return edited
}

// EditRequest edits the days of a site from a date to another, both included.
type EditRequest struct {
	Caller   Caller
	Site     SiteID
	From, To Date
	Weekdays []time.Weekday // none: all
	Edit     DayEdit
	DryRun   bool
	Cancel   bool // cancel what is left without a seat
}

// EditedDay is one day that an edit concerns: what publishing it answered, or why it was not changed.
type EditedDay struct {
	Date  Date
	Reply PublishReply
	Err   error
}

// editTries is how often an edit begins again with a day that somebody else changed meanwhile.
const editTries = 4

// EditDays edits published days, each in a transaction of its own, and answers those that the edit concerns in order. Days
// that it would leave as they are do not count. Whatever fails fails for its day alone; repeated, the edit does what is left.
func (a *Allocator) EditDays(ctx context.Context, r EditRequest) ([]EditedDay, error) {
	if _, err := a.ownSite(ctx, r.Site, r.Caller); err != nil {
		return nil, err
	}
	if faults := r.faults(); len(faults) > 0 {
		return nil, &Error{Code: CodeInvalid, Detail: "the edit is not valid", Faults: faults}
	}
	days, err := a.daysOf(ctx, r.Site, r.From, r.To)
	if err != nil {
		return nil, err
	}
	var edited []EditedDay
	for _, day := range days {
		if len(r.Weekdays) > 0 && !slices.Contains(r.Weekdays, day.Date.Weekday()) {
			continue
		}
		if done, concerned := a.editDay(ctx, &r, day); concerned {
			edited = append(edited, done)
		}
	}
	return edited, nil
}

// daysOf reads the published days of a site from a date to another, in order.
func (a *Allocator) daysOf(ctx context.Context, site SiteID, from, to Date) ([]Day, error) {
	days, err := a.ledger.Days(ctx, DayRevision{Site: site, Date: from - 1}, from, int(to-from)+1)
	if err != nil {
		return nil, ledgerError(err)
	}
	others := slices.IndexFunc(days, func(d Day) bool { return d.Site != site || d.Date > to })
	if others >= 0 {
		days = days[:others]
	}
	return days, nil
}

func (r *EditRequest) faults() (faults []Fault) {
	check := func(ok bool, pointer, detail string) {
		if !ok {
			faults = append(faults, Fault{pointer, detail})
		}
	}
	check(r.From > 0 && r.To >= r.From && r.To-r.From < maxEditedDays, "/until", "must be from, or up to 91 days later")
	r.Edit.check("", check)
	return faults
}

// check looks at an edit that stands at a pointer.
func (e *DayEdit) check(at string, check func(ok bool, pointer, detail string)) {
	switch e.Do {
	case EditBlock, EditUnblock:
		check(e.From < e.Until, at+"/times", "must be given, and end after they start")
	case EditCapacity:
		check(e.Capacity >= 1 && e.Capacity <= MaxSessionCapacity, at+"/capacity", "must be 1 or more; stop or close sessions that have none")
	case EditClose, EditStop, EditOpen:
	default:
		check(false, at+"/edit", "is none of the edits")
	}
}

// editDay edits one day as it is now, and again where it was changed before that could be stored.
func (a *Allocator) editDay(ctx context.Context, r *EditRequest, day Day) (done EditedDay, concerned bool) {
	done.Date = day.Date
	for try := 1; ; try++ {
		edited := Day{Site: r.Site, Date: day.Date, Sessions: r.Edit.Apply(day.Sessions)}
		if reflect.DeepEqual(edited.Sessions, append([]Session{}, day.Sessions...)) {
			return done, try > 1
		}
		done.Reply, done.Err = a.PublishDay(ctx, PublishRequest{
			Caller: r.Caller, Site: r.Site, Date: day.Date, IfMatch: &day.Revision, DryRun: r.DryRun, Cancel: r.Cancel, Day: edited,
		})
		if CodeOf(done.Err) != CodeRevisionMismatch || try == editTries {
			return done, true
		}
		current, err := a.ledger.Day(ctx, r.Site, day.Date)
		if err != nil {
			done.Err = ledgerError(err)
			return done, true
		}
		day = current
	}
}

// Weekday is the date's.
func (d Date) Weekday() time.Weekday { return time.Weekday(((int(d)+4)%7 + 7) % 7) } // day 0 was a Thursday
