package daytable_test

import (
	"fmt"
	"strings"
	"testing"

	"muster/allocator"
	"muster/api/daytable"
)

const header = "siteId,date,from,until,slotLength,capacity,services,id,breaks,status,access"

// read reads lines, of which the first is the header.
func read(t testing.TB, lines ...string) (days []*daytable.Day) {
	t.Helper()
	var table daytable.Table
	if err := table.Header([]byte(lines[0])); err != nil {
		t.Fatal(err)
	}
	for i, text := range lines[1:] {
		if day := table.Line(i+2, []byte(text)); day != nil {
			days = append(days, day)
		}
	}
	if day := table.End(); day != nil {
		days = append(days, day)
	}
	if table.End() != nil || table.Waiting() != 0 {
		t.Error("a day waits after the end")
	}
	return days
}

func TestDays(t *testing.T) {
	days := read(t,
		"\ufeffSite,DATE,From,Until,Slot length,Places,Services,Session,Breaks,Status,Access,",
		`A,2026-12-01,09:00,12:00,10,2,RSV:Adult,"early, ""quiet""",,,,`,
		"A,2026-12-01,13:00,9:00,5,1,FLU:65+ ; RSV:Adult,,15:00–15:20;16:00 - 16:10,stopped,invited,",
		"",
		",,,,,,,,,,,",
		"A,2026-12-02,09:00:00,24:00,10,200000,RSV:Adult,,,open,public,")
	text := ""
	for _, day := range days {
		text += fmt.Sprintln(day.Site, day.Date, day.Lines, day.Faults, day.Err())
		for _, s := range day.Sessions {
			text += fmt.Sprintln(" ", s.ID, s.From, s.Until, s.SlotLength, s.Capacity, s.Services, s.Breaks, s.Stopped, s.Invited)
		}
	}
	want := `A 2026-12-01 [2 3] [] <nil>
  early, "quiet" 09:00 12:00 10 2 [RSV:Adult] [] false false
   13:00 09:00 5 1 [FLU:65+ RSV:Adult] [{15:00 15:20} {16:00 16:10}] true true
A 2026-12-02 [6] [] <nil>
   09:00 24:00 10 200000 [RSV:Adult] [] false false
`
	if text != want {
		t.Errorf("read\n%swant\n%s", text, want)
	}
}

func TestHeaders(t *testing.T) {
	for text, fault := range map[string]string{
		"":                                      "no column siteId",
		"siteId;date;from":                      "siteId;date;from",
		"siteId,date,from,until,slotLength":     "no column capacity",
		header + ",acess":                       `"acess"`,
		header + ",Start":                       "two columns are the from",
		header + ",\"":                          "quotes",
		"\xff\xfes\x00i\x00":                    "UTF-8",
		header + "," + strings.Repeat("x", 1e6): "xxxx…",
	} {
		err := new(daytable.Table).Header([]byte(text))
		if err == nil || !strings.Contains(err.Error(), fault) || len(err.Error()) > 300 {
			t.Errorf("%.60q: %.300v, want %q", text, err, fault)
		}
	}
}

// faultsOf writes the faults of an error, or the error.
func faultsOf(err error) string {
	refusal, ok := err.(*allocator.Error)
	if !ok || len(refusal.Faults) == 0 {
		return fmt.Sprint(err)
	}
	return fmt.Sprint(refusal.Faults)
}

// A line that is refused takes its day with it, and no other.
func TestBadLines(t *testing.T) {
	const rest = ",09:00,12:00,10,2,RSV:Adult,,,,"
	for text, fault := range map[string]string{
		"B,2026-12-01,9,12:00,10,2,RSV,,,,":                                     "/from",
		"B,2026-12-01,09:00,25:00,10,2,RSV,,,,":                                 "/until",
		"B,2026-12-01,09:00,12:00,10.5,2,RSV,,,,":                               "/slotLength",
		"B,2026-12-01,09:00,12:00,10,=1+1,RSV,,,,":                              "/capacity",
		"B,2026-12-01,09:00,12:00,10,-2,RSV,,,,":                                "/capacity",
		"B,2026-12-01,09:00,12:00,10,99999999999,RSV,,,,":                       "/capacity",
		"B,2026-12-01,09:00,12:00,10,2,RSV FLU,,,,":                             "/services",
		"B,2026-12-01,09:00,12:00,10,2," + strings.Repeat("RSV;", 17) + ",,,,":  "/services",
		"B,2026-12-01,09:00,12:00,10,2,RSV,\"=HYPERLINK(\"\"x\"\")\",,,":        "formula",
		"B,2026-12-01,09:00,12:00,10,2,RSV," + strings.Repeat("x", 201) + ",,,": "/id",
		"B,2026-12-01,09:00,12:00,10,2,RSV,,12:00,,":                            "/breaks",
		"B,2026-12-01,09:00,12:00,10,2,RSV,,12:00-x,,":                          "/breaks",
		"B,2026-12-01,09:00,12:00,10,2,RSV,,,closed,":                           "/status",
		"B,2026-12-01,09:00,12:00,10,2,RSV,,,,Invited":                          "/access",
	} {
		days := read(t, header, "A,2026-12-01"+rest, "B,2026-12-01"+rest, text, "B,2026-12-01"+rest, "C,2026-12-01"+rest)
		if len(days) != 3 || days[0].Err() != nil || days[2].Err() != nil {
			t.Errorf("%.60q: %d days, or the wrong ones are refused", text, len(days))
			continue
		}
		bad := days[1]
		if bad.Err() == nil || len(bad.Lines) != 3 || len(bad.Faults) != 1 || bad.Faults[0].Line != 4 || !strings.Contains(faultsOf(bad.Faults[0].Err), fault) {
			t.Errorf("%.60q: %+v, want %q", text, bad, fault)
		}
	}
}

// A line of which not even the day is known takes the day before it with it, and the day that begins after it.
func TestUnreadableLines(t *testing.T) {
	const rest = ",09:00,12:00,10,2,RSV:Adult,,,,"
	for text, fault := range map[string]string{
		"B 1,2026-12-01" + rest:                     "siteId",
		"B,01/12/2026" + rest:                       "YYYY-MM-DD",
		"B,2026-02-30" + rest:                       "YYYY-MM-DD",
		"B,2026-12-01,09:00":                        "3 fields",
		`B,2026-12-01,"09:00` + rest:                "quotes",
		"B,2026-12-01\x00" + rest:                   "control",
		"B\xff,2026-12-01" + rest:                   "UTF-8",
		"@SUM(A1:A9),2026-12-01" + rest:             "siteId",
		"siteId,date" + header[len("siteId,date"):]: "YYYY-MM-DD",
	} {
		days := read(t, header, "A,2026-12-01"+rest, text, "B,2026-12-01"+rest, "B,2026-12-01"+rest, "C,2026-12-01"+rest)
		var refused []string
		for _, day := range days {
			refused = append(refused, fmt.Sprint(day.Site, day.Lines, day.Err() != nil))
		}
		if got := fmt.Sprint(refused); got != "[A[2 3] true B[4 5] true C[6] false]" {
			t.Errorf("%.60q: %s", text, got)
		} else if !strings.Contains(days[0].Faults[0].Err.Error(), fault) {
			t.Errorf("%.60q: %v, want %q", text, days[0].Faults[0].Err, fault)
		}
		within := read(t, header, "A,2026-12-01"+rest, text, "A,2026-12-01"+rest, "B,2026-12-01"+rest)
		if len(within) != 2 || within[0].Err() == nil || within[1].Err() != nil {
			t.Errorf("%.60q within a day: %d days, or the wrong ones are refused", text, len(within))
		}
		first := read(t, header, text, "A,2026-12-01"+rest, "B,2026-12-01"+rest)
		if len(first) != 3 || first[0].Named() || first[1].Err() == nil || first[2].Err() != nil {
			t.Errorf("%.60q before the first day: %d days, or the wrong ones are refused", text, len(first))
		}
	}
}

// A day that comes again would replace what came before: it is refused, and so is one with more lines than any day can have,
// of which no more are kept than that.
func TestLinesOfADayFollowEachOther(t *testing.T) {
	const rest = ",09:00,12:00,10,2,RSV:Adult,,,,"
	days := read(t, header, "A,2026-12-01"+rest, "B,2026-12-01"+rest, "A,2026-12-01"+rest, "A,2026-12-02"+rest)
	if len(days) != 4 || days[0].Err() != nil || days[1].Err() != nil || days[3].Err() != nil {
		t.Errorf("%d days, or the wrong ones are refused", len(days))
	} else if err := days[2].Err(); err == nil || !strings.Contains(days[2].Faults[0].Err.Error(), "follow each other") {
		t.Errorf("a day that comes again: %v", err)
	}
	lines := []string{header}
	for range 1000 {
		lines = append(lines, "A,2026-12-01"+rest)
	}
	for range 1000 {
		lines = append(lines, "nonsense")
	}
	counted := 0
	for i, day := range read(t, lines...) {
		counted += len(day.Lines)
		if len(day.Lines) > allocator.MaxSessionsPerDay+1 || i > 0 && day.Err() == nil {
			t.Errorf("part %d has %d lines: %v", i, len(day.Lines), day.Err())
		}
	}
	if counted != 2000 {
		t.Errorf("%d of 2000 lines were answered", counted)
	}
}

// Whatever the lines are, each is answered once, in order, and a day without faults has a session for each of its lines.
func FuzzLines(f *testing.F) {
	f.Add("A,2026-12-01,09:00,12:00,10,2,RSV,,,,\nA,2026-12-01,09:00\n\n\"\nB,2026-12-01,09:00,12:00,10,2,RSV,,,,\nA,2026-12-01,09:00,12:00,10,2,RSV,,,,")
	f.Fuzz(func(t *testing.T, text string) {
		last := 1
		for _, day := range read(t, append([]string{header}, strings.Split(text, "\n")...)...) {
			for _, line := range day.Lines {
				if line <= last {
					t.Fatalf("line %d after line %d", line, last)
				}
				last = line
			}
			if len(day.Lines) == 0 || len(day.Faults) == 0 && len(day.Sessions) != len(day.Lines) || day.Named() != day.Site.Valid() {
				t.Fatalf("%+v", day)
			}
		}
	})
}
