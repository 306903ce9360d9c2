package daytable

import (
	"encoding/csv"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"muster/allocator"
)

type column struct {
	name   string
	titles []string
	needed bool
}

// columnNames lists the names of each column as Plain has them. The first is the one that is told.
var columnNames = []column{
	{"siteId", []string{"siteid", "site"}, true},
	{"date", []string{"date"}, true},
	{"from", []string{"from", "start"}, true},
	{"until", []string{"until", "end"}, true},
	{"slotLength", []string{"slotlength", "length"}, true},
	{"capacity", []string{"capacity", "places"}, true},
	{"services", []string{"services", "service"}, true},
	{"id", []string{"id", "sessionid", "session"}, false},
	{"breaks", []string{"breaks", "break"}, false},
	{"status", []string{"status"}, false},
	{"access", []string{"access"}, false},
	{"maximum", []string{"maximum"}, false},
	{"maximumGroup", []string{"maximumgroup"}, false},
}

// Split splits a line of CSV. Fields hold no line ends, so that a stray quote spoils one line and not the rest.
func Split(text string) ([]string, error) {
	if !strings.Contains(text, `"`) {
		return strings.Split(text, ","), nil
	}
	fields, err := csv.NewReader(strings.NewReader(text)).Read()
	if err != nil {
		return nil, errQuotes
	}
	return fields, nil
}

// Plain is a column's title without case, blanks and punctuation, as titles are compared.
func Plain(title string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, title)
}

// columnsOf finds the columns in a header. One that is not known is refused: with its name misspelt, what is kept for invited
// people would be published for everyone.
func columnsOf(titles []string) (map[string]int, error) {
	columns := make(map[string]int)
	for i, title := range titles {
		if title == "" {
			continue
		}
		n := slices.IndexFunc(columnNames, func(c column) bool { return slices.Contains(c.titles, Plain(title)) })
		if n < 0 {
			return nil, refuse("the first line names a column %q, which is not one of %s", clip(title), strings.Join(known(false), ", "))
		}
		if _, twice := columns[columnNames[n].name]; twice {
			return nil, refuse("two columns are the %s", columnNames[n].name)
		}
		columns[columnNames[n].name] = i
	}
	for _, name := range known(true) {
		if _, ok := columns[name]; !ok {
			return nil, refuse("the first line names no column %s: it must name %s, separated by commas", name, strings.Join(known(true), ", "))
		}
	}
	return columns, nil
}

// known lists the columns: all, or those that are needed.
func known(needed bool) (names []string) {
	for _, c := range columnNames {
		if c.needed || !needed {
			names = append(names, c.name)
		}
	}
	return names
}

func clip(text string) string {
	if len(text) > 40 {
		return strings.ToValidUTF8(text[:40], "") + "…"
	}
	return text
}

// row is a line's fields.
type row struct {
	columns map[string]int
	fields  []string
}

func (r row) text(column string) string {
	if i, ok := r.columns[column]; ok {
		return r.fields[i]
	}
	return ""
}

// day reads which day a line is of.
func (r row) day() (allocator.SiteID, allocator.Date, error) {
	site := allocator.SiteID(r.text("siteId"))
	if !site.Valid() {
		return "", 0, refuse("siteId must be 1 to 64 letters, digits, '-', '_' or '.'")
	}
	date, err := allocator.ParseDate(r.text("date"))
	if err != nil {
		return "", 0, refuse("date must be of the form YYYY-MM-DD")
	}
	return allocator.SiteID(strings.Clone(string(site))), date, nil
}

// session reads a line's session; whether it makes sense is for the engine to say.
func (r row) session() (allocator.Session, error) {
	var faults []allocator.Fault
	fault := func(column, detail string) {
		faults = append(faults, allocator.Fault{Pointer: "/" + column, Detail: detail})
	}
	timeOf := func(column, text string) allocator.TimeOfDay {
		t, err := timeOfDay(text)
		if err != nil {
			fault(column, "must be a time of day of the form HH:MM")
		}
		return t
	}
	number := func(column string) int {
		n, err := strconv.ParseUint(r.text(column), 10, 31)
		if err != nil {
			fault(column, "must be a whole number")
		}
		return int(n)
	}
	s := allocator.Session{
		ID: strings.Clone(r.text("id")), From: timeOf("from", r.text("from")), Until: timeOf("until", r.text("until")),
		SlotLength: number("slotLength"), Capacity: number("capacity"),
	}
	if len(s.ID) > allocator.MaxNameBytes || strings.IndexAny(s.ID, "=+-@") == 0 {
		fault("id", "is too long, or begins like a formula of a spreadsheet")
	}
	for _, text := range r.list("services", allocator.MaxServicesPerSession, fault) {
		code := allocator.ServiceCode(strings.Clone(text))
		if s.Services = append(s.Services, code); !code.Valid() {
			fault("services", "must be service codes, separated by semicolons")
			break
		}
	}
	for _, text := range r.list("breaks", allocator.MaxBreaksPerSession, fault) {
		from, until, ok := strings.Cut(strings.ReplaceAll(text, "–", "-"), "-")
		if !ok {
			fault("breaks", "must be of the form HH:MM-HH:MM, separated by semicolons")
			break
		}
		s.Breaks = append(s.Breaks, allocator.Break{From: timeOf("breaks", from), Until: timeOf("breaks", until)})
	}
	if r.text("maximum") != "" {
		s.Maximum = number("maximum")
	}
	if s.MaximumGroup = strings.Clone(r.text("maximumGroup")); len(s.MaximumGroup) > allocator.MaxNameBytes {
		fault("maximumGroup", "is too long")
	}
	s.Stopped = r.choice("status", "open", "stopped", fault)
	s.Invited = r.choice("access", "public", "invited", fault)
	if len(faults) > 0 {
		return allocator.Session{}, &allocator.Error{Code: allocator.CodeInvalid, Detail: "the line is not a session", Faults: faults}
	}
	return s, nil
}

// choice says whether a column has the second of two words; the first stands for nothing as well.
func (r row) choice(column, usual, other string, fault func(column, detail string)) bool {
	switch r.text(column) {
	case "", usual:
		return false
	case other:
		return true
	}
	fault(column, "must be "+usual+" or "+other)
	return false
}

// timeOfDay reads a time as people and their spreadsheets write it: 09:00, 9:00, 09:00:00.
func timeOfDay(text string) (allocator.TimeOfDay, error) {
	text = strings.TrimSpace(text)
	if strings.Count(text, ":") == 2 {
		text = strings.TrimSuffix(text, ":00")
	}
	if len(text) == len("9:00") {
		text = "0" + text
	}
	return allocator.ParseTimeOfDay(text)
}

// list splits a field that holds several values, at most so many.
func (r row) list(column string, most int, fault func(column, detail string)) (values []string) {
	for _, part := range strings.FieldsFunc(r.text(column), func(r rune) bool { return r == ';' || r == '|' }) {
		if part = strings.TrimSpace(part); part != "" {
			values = append(values, part)
		}
	}
	if len(values) > most {
		fault(column, "holds more than "+strconv.Itoa(most))
		return nil
	}
	return values
}
