package ledgersuite

import (
	"testing"

	"muster/allocator"
)

// testSuspend: a site's suspensions and the marks of its days change together, each with its version.
func testSuspend(t *testing.T, l allocator.Ledger) {
	w := NewWorld(t, l, "suspend")
	change := allocator.SuspensionChange{Site: "suspend-unknown", Suspension: allocator.Suspension{Service: Blue, Reason: "stock"}, From: w.Date, Actor: Actor}
	if r := w.suspend(t, change); r.Found {
		t.Errorf("a site that is not there: %+v", r)
	}
	change.Site = w.Site
	early, last := w.Change(Open(1, Blue)), w.Change(Open(1, Green, Blue))
	early.Day.Date, last.Day.Date = w.Date-1, w.Date+5
	w.PublishAll(t, early, w.Change(Open(2, Blue), Open(1, Green)), last)
	booked := w.Book(t, Spot{0, 0, Blue, 1})

	site, _, err := l.Site(t.Context(), w.Site)
	must(t, err)
	want := site
	want.Version, want.Suspended = 2, []allocator.Suspension{change.Suspension}
	dry := change
	dry.DryRun = true
	told := w.suspend(t, dry)
	told.Site.Version = 2
	w.expectRevisions(t, 1, 1, 1)
	done := w.suspend(t, change)
	same(t, "dry run", told, done)
	same(t, "site", done.Site, want)
	if !done.Changed || len(done.Days) != 2 || done.Days[0].Date != w.Date || done.Days[1].Revision != 2 {
		t.Errorf("suspended: %+v", done)
	}
	marked := Open(2, Blue)
	marked.Suspended = []allocator.ServiceCode{Blue}
	w.expectDay(t, allocator.Day{Site: w.Site, Date: w.Date, Revision: 2, Sessions: []allocator.Session{marked, Open(1, Green)}})
	w.expectRevisions(t, 1, 2, 2)
	if r := w.suspend(t, change); r.Changed || len(r.Days) != 2 {
		t.Errorf("repeated: %+v", r)
	}

	must(t, one(l.PutSite(t.Context(), SiteOf(w.Site), Actor)))
	stored, _, err := l.Site(t.Context(), w.Site)
	must(t, err)
	same(t, "a site that is put again", stored, want)
	w.Publish(t, Open(3, Blue)) // asked for without the mark, and stored with it
	marked.Capacity = 3
	w.expectDay(t, allocator.Day{Site: w.Site, Date: w.Date, Revision: 3, Sessions: []allocator.Session{marked}})
	if r := w.Publish(t, Open(3, Blue)); r.Revision != 3 || r.Supported != 1 {
		t.Errorf("published again: %s", textOf(r))
	}
	w.Book(t, Spot{0, 1, Blue, 2}) // of a hold from before

	other := change
	other.Suspension = allocator.Suspension{Service: Green, Until: w.Date}
	w.suspend(t, other)
	w.expectRevisions(t, 1, 3, 2)
	other.From, other.Suspension.Until = w.Date+1, w.Date+5
	change.From, change.Resume = w.Date+1, true
	w.suspend(t, change) // also forgets what ended before
	w.expectRevisions(t, 1, 3, 3)
	w.suspend(t, other)
	stored, _, err = l.Site(t.Context(), w.Site)
	must(t, err)
	want.Version, want.Generation, want.Suspended = 5, 2, []allocator.Suspension{other.Suspension}
	same(t, "in the end", stored, want)
	w.expectRevisions(t, 1, 3, 4)
	if rows, err := l.Bookings(t.Context(), []allocator.BookingKey{booked[0].Key}); err != nil || len(rows) != 1 || !rows[0].Status.Live() {
		t.Errorf("what was booked: %v, %v", rows, err)
	}
	raceSuspensions(t, NewWorld(t, l, "suspend-race"))
}

// raceSuspensions: days are published while services are suspended; in the end every day is marked as the site says.
func raceSuspensions(t *testing.T, w *World) {
	codes := []allocator.ServiceCode{Blue, Green, Orange}
	Race(12, func(i int) {
		if i%2 == 0 {
			definite(t, func() ([]allocator.PublishResult, error) {
				change := w.Change(Open(1+i, codes...))
				change.Day.Date += allocator.Date(i / 2)
				return w.Ledger.Publish(t.Context(), []allocator.DayChange{change})
			})
			return
		}
		definite(t, func() ([]allocator.SuspensionResult, error) {
			r, err := w.Ledger.Suspend(t.Context(), allocator.SuspensionChange{
				Site: w.Site, Suspension: allocator.Suspension{Service: codes[i/2%3]}, Resume: i > 9, From: w.Date, Actor: Actor,
			})
			return []allocator.SuspensionResult{r}, err
		})
	})
	site, _, err := w.Ledger.Site(t.Context(), w.Site)
	must(t, err)
	var want []allocator.ServiceCode
	for _, s := range site.Suspended {
		want = append(want, s.Service)
	}
	days, err := w.Ledger.Days(t.Context(), allocator.DayRevision{Site: w.Site, Date: w.Date - 1}, w.Date, 6)
	must(t, err)
	published := 0
	for _, day := range days {
		if day.Site == w.Site {
			published++
			same(t, "marks of a day", day.Sessions[0].Suspended, want)
		}
	}
	if published == 0 || len(want) == 0 {
		t.Errorf("%d days, %v suspended: too little to tell", published, want)
	}
}

func (w *World) suspend(t *testing.T, change allocator.SuspensionChange) allocator.SuspensionResult {
	t.Helper()
	r, err := w.Ledger.Suspend(t.Context(), change)
	must(t, err)
	return r
}

// expectRevisions compares those of the day before, the World's day, and the fifth after it.
func (w *World) expectRevisions(t *testing.T, want ...int64) {
	t.Helper()
	for i, date := range []allocator.Date{w.Date - 1, w.Date, w.Date + 5} {
		day, err := w.Ledger.Day(t.Context(), w.Site, date)
		must(t, err)
		if day.Revision != want[i] {
			t.Errorf("%v has revision %d, want %d", date, day.Revision, want[i])
		}
	}
}
