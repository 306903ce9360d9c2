// Package daytable reads capacity as a table: CSV whose first line names the columns, and a session in each other line. The
// lines of a site's day follow each other and make one day, which is published whole or not at all: a day of which a line
// was left out would take places away that nobody meant to take.
//
// It is pure: whoever has a file or a stream hands in line by line.
package daytable

import (
	"errors"
	"hash/maphash"
	"strings"
	"unicode"
	"unicode/utf8"

	"muster/allocator"
)

// maxDays bounds the days of one table, which are remembered by a hash of 8 bytes each.
const maxDays = 1 << 19

// Fault is what is wrong with one line.
type Fault struct {
	Line int
	Err  error
}

// Day is what the lines of one day came to. Site and Date are zero where none of the lines tells them.
type Day struct {
	Site     allocator.SiteID
	Date     allocator.Date
	Sessions []allocator.Session
	Lines    []int   // in order; where there are no faults, each is the session at its index
	Faults   []Fault // of lines that are no session
	doubt    int     // a line before them that could not be read, and may be of this day
}

// Err says why the day must not be published; nil: nothing is wrong with its lines.
func (d *Day) Err() error {
	switch {
	case len(d.Faults) > 0:
		return allocator.Refuse(allocator.CodeInvalid, "line %d is refused, and a day is published whole or not at all", d.Faults[0].Line)
	case d.doubt > 0:
		return allocator.Refuse(allocator.CodeInvalid, "line %d could not be read and may be of this day, which is published whole or not at all", d.doubt)
	}
	return nil
}

// Named says whether the lines tell which day they are of.
func (d *Day) Named() bool { return d.Site != "" }

// Table is a table under way. Its zero value has no header yet. Not safe for concurrent use.
type Table struct {
	columns map[string]int // where each column is
	titles  []string
	open    *Day // whose lines are still coming
	seen    map[uint64]bool
	seed    maphash.Seed
	doubt   int
}

// Header reads the first line. An error is final: without the columns no line means anything.
func (t *Table) Header(text []byte) error {
	fields, err := split(text)
	if err != nil {
		return err
	}
	if t.columns, err = columnsOf(fields); err != nil {
		return err
	}
	t.titles, t.seen, t.seed = fields, make(map[uint64]bool), maphash.MakeSeed()
	return nil
}

// HasHeader says whether Header succeeded.
func (t *Table) HasHeader() bool { return t.titles != nil }

// Line takes a line in and returns the day that ended before it, or nil. Blank lines are taken and mean nothing. It keeps
// nothing of the text.
func (t *Table) Line(number int, text []byte) (ended *Day) {
	fields, err := split(text)
	switch {
	case err == nil && strings.Join(fields, "") == "":
		return nil
	case err == nil && len(fields) != len(t.titles):
		err = refuse("has %d fields, and the first line has %d", len(fields), len(t.titles))
	}
	if err != nil {
		return t.Unreadable(number, err)
	}
	row := row{t.columns, fields}
	site, date, err := row.day()
	if err != nil {
		return t.Unreadable(number, err)
	}
	ended = t.turnTo(site, date, number)
	session, err := row.session()
	if err != nil {
		t.open.Faults = append(t.open.Faults, Fault{number, err})
	}
	t.open.Sessions, t.open.Lines = append(t.open.Sessions, session), append(t.open.Lines, number)
	return ended
}

// Unreadable takes in a line of which not even the day is known: neither the day before it nor the day after it can be
// published then. It returns the day that ended before the line, or nil.
func (t *Table) Unreadable(number int, err error) (ended *Day) {
	if t.open == nil || t.full() {
		ended, t.open = t.open, &Day{}
	}
	t.doubt = number
	t.open.Lines, t.open.Faults = append(t.open.Lines, number), append(t.open.Faults, Fault{number, err})
	return ended
}

// full says that the open day has more lines than any can have; so no more than that are ever kept.
func (t *Table) full() bool { return len(t.open.Lines) > allocator.MaxSessionsPerDay }

// turnTo makes a day the open one.
func (t *Table) turnTo(site allocator.SiteID, date allocator.Date, number int) (ended *Day) {
	doubt := t.doubt
	t.doubt = 0
	if t.open != nil && t.open.Site == site && t.open.Date == date && !t.full() {
		return nil
	}
	ended, t.open = t.open, &Day{Site: site, Date: date, doubt: doubt}
	key := maphash.String(t.seed, string(site)+" "+date.String())
	switch {
	case t.seen[key]:
		t.again(number, "is of a day that lines further up are of: the lines of a day must follow each other, and be at most %d", allocator.MaxSessionsPerDay)
	case len(t.seen) >= maxDays:
		t.again(number, "is of one day more than the %d that a table may have: make several of it", maxDays)
	default:
		t.seen[key] = true
	}
	return ended
}

func (t *Table) again(number int, format string, args ...any) {
	t.open.Faults = append(t.open.Faults, Fault{number, refuse(format, args...)})
}

// End returns the last day, or nil: no more lines are coming.
func (t *Table) End() (ended *Day) {
	ended, t.open = t.open, nil
	return ended
}

// Waiting is the first line of the day whose lines are still coming; 0 where there is none.
func (t *Table) Waiting() int {
	if t.open == nil {
		return 0
	}
	return t.open.Lines[0]
}

// split makes fields of a line.
func split(text []byte) ([]string, error) {
	if !utf8.Valid(text) {
		return nil, refuse("is not valid UTF-8")
	}
	line := strings.TrimPrefix(string(text), "\ufeff")
	if strings.ContainsFunc(line, func(r rune) bool { return unicode.IsControl(r) && r != '\t' }) {
		return nil, refuse("holds a control character")
	}
	fields, err := Split(line)
	if err != nil {
		return nil, refuse("%v", err)
	}
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	return fields, nil
}

func refuse(format string, args ...any) error {
	return allocator.Refuse(allocator.CodeInvalid, format, args...)
}

var errQuotes = errors.New("its quotes do not match (a field may hold no line end)")
