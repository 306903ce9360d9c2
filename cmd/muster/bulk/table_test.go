package bulk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"muster/allocator"
	"muster/cmd/muster/bulk"
)

const tableHeader = "siteId,date,from,until,slotLength,capacity,services,breaks"

func tableLine(site, day int, from, until, rest string) string {
	return fmt.Sprintf("%s,%s,%s,%s,%s", siteID(site), allocator.DateOf(noon)+allocator.Date(day), from, until, rest)
}

// manySessions is a table of sites × 28 days with two sessions each, in 1 + 2 × 28 × sites lines.
func manySessions(sites int) []string {
	lines := []string{tableHeader}
	for s := range sites {
		for d := range 28 {
			lines = append(lines, tableLine(s, d, "09:00", "12:00", "10,2,RSV:Adult,"), tableLine(s, d, "13:00", "17:00", "10,1,RSV:Adult,"))
		}
	}
	return lines
}

func loadTable(t *testing.T, ctx context.Context, l allocator.Ledger, path string) (bulk.Report, string, error) {
	t.Helper()
	var said bytes.Buffer
	report, err := capacity.LoadTable(ctx, job(l, path, &said))
	return report, said.String(), err
}

// Each bad line is told with its number and its fault; its day is left alone, and so are the day's other lines.
func TestBadTable(t *testing.T) {
	l := world(t, 9)
	lines := []string{"\ufeff" + tableHeader + "\r"}
	want := map[int]string{}
	line := func(text, fault string) {
		if lines = append(lines, text); fault != "" {
			want[len(lines)] = fault
		}
	}
	line(tableLine(0, 1, "09:00", "12:00", "10,2,RSV:Adult,\r"), "")
	line(tableLine(0, 1, "13:00", "14:00", "10,2,RSV:Adult,\r"), "")
	line(tableLine(1, 1, "22:00", "02:00", "10,2,RSV:Adult,"), "must be after from")
	line(tableLine(1, 2, "09:00", "12:00", "10,2,RSV:Adult,"), "same day as line 6")
	line(tableLine(1, 2, "12:00", "13:00", "10,2,RSV:Adult,11:00-12:00"), "must lie within")
	line(tableLine(2, 1, "09:00", "12:00", "10,2,MMR,"), "SERVICE_UNKNOWN")
	line(tableLine(2, 2, "09:00", "12:00", "10,2,RSV:Adult,"), "line 9 is refused")
	line(tableLine(2, 2, "09:00", "12:00", "10,two,RSV:Adult,"), "/capacity")
	line(tableLine(2, 7, "01:00", "02:00", "10,2,RSV:Adult,"), "no slot is left") // the hour that the change of clocks leaves out
	line(tableLine(3, -1, "09:00", "12:00", "10,2,RSV:Adult,"), "is over")
	line(strings.Replace(tableLine(3, 1, "09:00", "12:00", "10,2,RSV:Adult,"), "A003", "B003", 1), "SITE_UNKNOWN")
	line(tableLine(4, 1, "09:00", "12:00", "10,2,RSV:Adult,"), "line 14 is refused")
	line(strings.Repeat("x", 50<<20), "longer than")
	line("", "")
	line(tableLine(5, 1, "09:00", "12:00", "10,2,RSV:Adult,"), "line 14 could not be read")
	line(tableLine(6, 1, "09:00", "12:00", "10,2,RSV:Adult,"), "")
	line(tableLine(0, 1, "15:00", "16:00", "10,2,RSV:Adult,"), "follow each other")
	line(tableLine(7, 1, "09:00", "12:00", "10,2,RSV:Adult,"), "")
	report, said, err := loadTable(t, t.Context(), l, file(t, lines...))
	if !errors.Is(err, bulk.ErrLinesFailed) || report.Failed != len(want) || report.Lines != len(lines) {
		t.Errorf("%+v, %v, want %d of %d lines to fail", report, err, len(want), len(lines))
	}
	for number, fault := range want {
		if !told(said, number, fault) {
			t.Errorf("line %d is not told with %q in:\n%s", number, fault, said)
		}
	}
	days, err := l.Days(t.Context(), allocator.DayRevision{}, 0, 100)
	if err != nil || len(days) != 3 || len(days[0].Sessions) != 2 || days[0].Sessions[1].From != 13*60 {
		t.Errorf("loaded %+v, %v; want 3 days", days, err)
	}
}

func TestTablesNeedAHeader(t *testing.T) {
	for _, header := range []string{tableLine(0, 1, "09:00", "12:00", "10,2,RSV:Adult,"), tableHeader + ",colour", strings.Repeat("x", 2<<20)} {
		l := world(t, 1)
		if _, _, err := loadTable(t, t.Context(), l, file(t, header, tableLine(0, 1, "09:00", "12:00", "10,2,RSV:Adult,"))); err == nil {
			t.Errorf("header %.40q was taken", header)
		}
		if days, err := l.Days(t.Context(), allocator.DayRevision{}, 0, 100); err != nil || len(days) > 0 {
			t.Errorf("header %.40q: %d days were loaded, %v", header, len(days), err)
		}
	}
}

// A table that was interrupted goes on with a whole day, whatever line the run came to, and loads every day once.
func TestResumeTable(t *testing.T) {
	for failAt := 1; failAt < 4; failAt++ {
		real := world(t, 40)
		lines := manySessions(40)
		lines[700] = "nonsense" // and so are the other line of its day, and the day after it
		path := file(t, lines...)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		first, _, err := loadTable(t, ctx, &flaky{Ledger: real, failAt: failAt, interrupt: cancel}, path)
		if !errors.Is(err, bulk.ErrInterrupted) || first.Lines%2 != 1 {
			t.Fatalf("%+v, %v", first, err)
		}
		report, said, err := loadTable(t, t.Context(), &flaky{Ledger: real, failAt: -1}, path)
		if !errors.Is(err, bulk.ErrLinesFailed) || report.Lines != len(lines) || report.Failed != 4 {
			t.Fatalf("%+v, %v\n%s", report, err, said)
		}
		days, err := real.Days(t.Context(), allocator.DayRevision{}, 0, 10_000)
		if err != nil || len(days) != 40*28-2 {
			t.Fatalf("%d days, %v", len(days), err)
		}
		for _, d := range days {
			if d.Revision != 1 || len(d.Sessions) != 2 {
				t.Fatalf("%s %s has revision %d and %d sessions", d.Site, d.Date, d.Revision, len(d.Sessions))
			}
		}
	}
}

// Who begins in the middle of a day is told, and the day is left alone.
func TestTableBegunWithinADay(t *testing.T) {
	l := world(t, 1)
	path := file(t, manySessions(1)...)
	var said bytes.Buffer
	j := job(l, path, &said)
	j.ResumeFrom = 3
	report, err := capacity.LoadTable(t.Context(), j)
	if !errors.Is(err, bulk.ErrLinesFailed) || report.Failed != 1 || !told(said.String(), 3, "follow each other") {
		t.Errorf("%+v, %v\n%s", report, err, said.String())
	}
	if days, err := l.Days(t.Context(), allocator.DayRevision{}, 0, 100); err != nil || len(days) != 27 {
		t.Errorf("%d days, %v", len(days), err)
	}
	if _, err := os.Stat(path + ".muster-resume"); err == nil {
		t.Error("the checkpoint stayed")
	}
}
