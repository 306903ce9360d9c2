package api

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"muster/allocator"
)

// decoder reads typed fields out of a parsed document and gathers what is wrong with them. After the last field has been
// read, fail tells it all at once; until then, whatever was wrong reads as its zero value.
type decoder struct {
	faults []allocator.Fault
	small  bool // the document may live as long as any of its fields
}

// decodeBody parses a JSON body into its one object.
func decodeBody(body []byte) (*decoder, object) {
	d := &decoder{}
	return d, d.parse(new(parser), string(body))
}

// parse reads the one object of a document, as long as the parser is not used again.
func (d *decoder) parse(p *parser, text string) object {
	const small = 1 << 10
	v, faults, whole := p.parse(text)
	d.faults, d.small = faults, len(text) <= small
	if !whole {
		return object{d: d}
	}
	return d.object(&v, "")
}

func (d *decoder) fault(at, format string, args ...any) {
	if len(d.faults) < maxFaults {
		d.faults = append(d.faults, allocator.Fault{Pointer: at, Detail: fmt.Sprintf(format, args...)})
	}
}

// fail is the refusal that names all faults, or nil where there are none.
func (d *decoder) fail() error {
	if len(d.faults) == 0 {
		return nil
	}
	e := allocator.Refuse(allocator.CodeInvalid, "the request is not valid; errors tells where")
	e.Faults = d.faults
	return e
}

// wrong notes that a value has another kind than wanted.
func (d *decoder) wrong(at string, want string, got kind) {
	d.fault(at, "must be %s, not %s", want, got)
}

func (d *decoder) object(v *value, at string) object {
	if v.kind != kindObject {
		d.wrong(at, kindObject.String(), v.kind)
		return object{d: d, at: at}
	}
	return object{d, at, v}
}

// object is a JSON object that is being decoded; without a value, every field of it is missing and nothing is reported.
type object struct {
	d     *decoder
	at    string
	value *value
}

const (
	required = true
	optional = false
)

// only reports fields other than the named ones.
func (o object) only(names ...string) { o.onlyBesides(nil, names...) }

// onlyBesides reports fields other than the named ones and others.
func (o object) onlyBesides(others []string, names ...string) {
	if o.value == nil {
		return
	}
	for _, name := range o.value.names {
		if !slices.Contains(names, name) && !slices.Contains(others, name) {
			o.d.fault(o.pointer(name), "is not a known field")
		}
	}
}

// field finds a field; nil where it is missing, which is reported where it is needed.
func (o object) field(name string, need bool) *value {
	if o.value == nil {
		return nil
	}
	if i := slices.Index(o.value.names, name); i >= 0 {
		return &o.value.items[i]
	}
	if need {
		o.d.fault(o.pointer(name), "is required")
	}
	return nil
}

func (o object) has(name string) bool { return o.field(name, optional) != nil }

// pointer is where a field is. It costs memory: ask for it only where there is a fault to report.
func (o object) pointer(name string) string { return o.at + escapePointer(name) }

// typed finds a field of a kind.
func (o object) typed(name string, need bool, k kind) *value {
	v := o.field(name, need)
	if v != nil && v.kind != k {
		o.d.wrong(o.pointer(name), k.String(), v.kind)
		return nil
	}
	return v
}

// raw reads a string as it is.
func (o object) raw(name string, need bool) (string, bool) {
	v := o.typed(name, need, kindString)
	if v == nil {
		return "", false
	}
	if o.d.small {
		return v.text, true
	}
	return strings.Clone(v.text), true // or the whole body would live as long as its shortest field
}

// text reads a line of text without control characters, trimmed, of at most so many bytes, not empty where needed.
func (o object) text(name string, need bool, maxBytes int) string {
	s, ok := o.raw(name, need)
	if !ok {
		return ""
	}
	s, fault := trimmed(s, need, maxBytes)
	if fault != "" {
		o.d.fault(o.pointer(name), "%s", fault)
	}
	return s
}

func (d *decoder) line(at, s string, need bool, maxBytes int) string {
	s, fault := trimmed(s, need, maxBytes)
	if fault != "" {
		d.fault(at, "%s", fault)
	}
	return s
}

// trimmed trims a line of text, or says what is wrong with it.
func trimmed(s string, need bool, maxBytes int) (line, fault string) {
	s = strings.TrimSpace(s)
	switch {
	case need && s == "":
		return "", "must not be empty"
	case len(s) > maxBytes:
		return "", fmt.Sprintf("is longer than %d bytes", maxBytes)
	case strings.ContainsFunc(s, unicode.IsControl):
		return "", "must not contain control characters"
	}
	return s, ""
}

// same takes a field of a document as GET shows it, which must say what the path says.
func (o object) same(name, want string) {
	if s, ok := o.raw(name, optional); ok && s != want {
		o.d.fault(o.pointer(name), "must be the same as in the path")
	}
}

// paragraphs reads text that may have line breaks.
func (o object) paragraphs(name string, maxBytes int) string {
	s, ok := o.raw(name, optional)
	if !ok {
		return ""
	}
	line, fault := trimmed(lineBreaks.Replace(s), optional, maxBytes)
	if fault != "" {
		o.d.fault(o.pointer(name), "%s", fault)
	}
	if line == "" {
		return ""
	}
	return strings.TrimSpace(s)
}

var lineBreaks = strings.NewReplacer("\n", " ", "\r", " ", "\t", " ")

// integer reads a whole number within bounds; absent where the field is missing.
func (o object) integer(name string, need bool, low, high, absent int) int {
	v := o.typed(name, need, kindNumber)
	if v == nil {
		return absent
	}
	n, err := strconv.ParseInt(v.text, 10, 64)
	switch {
	case strings.ContainsAny(v.text, ".eE"):
		o.d.fault(o.pointer(name), "must be a whole number")
	case err != nil || n < int64(low) || n > int64(high):
		o.d.fault(o.pointer(name), "must be %d to %d", low, high)
	default:
		return int(n)
	}
	return absent
}

// number reads a number within bounds.
func (o object) number(name string, need bool, low, high float64) float64 {
	v := o.typed(name, need, kindNumber)
	if v == nil {
		return 0
	}
	f, err := strconv.ParseFloat(v.text, 64)
	if err != nil || !(f >= low && f <= high) {
		o.d.fault(o.pointer(name), "must be %g to %g", low, high)
		return 0
	}
	return f
}

func (o object) boolean(name string, absent bool) bool {
	v := o.typed(name, optional, kindBool)
	if v == nil {
		return absent
	}
	return v.text == "true"
}

// choice reads one of a few words; the first one where the field is missing and not needed.
func (o object) choice(name string, need bool, words ...string) string {
	s, ok := o.raw(name, need)
	if !ok {
		return words[0]
	}
	if !slices.Contains(words, s) {
		o.d.fault(o.pointer(name), "must be one of: %s", strings.Join(words, ", "))
		return words[0]
	}
	return s
}

// child reads an object; without a value where it is missing.
func (o object) child(name string, need bool) object {
	v := o.typed(name, need, kindObject)
	return object{o.d, o.pointer(name), v}
}

// list reads an array of at most so many items.
func (o object) list(name string, need bool, most int) []value {
	v := o.typed(name, need, kindArray)
	if v == nil {
		return nil
	}
	if len(v.items) > most {
		o.d.fault(o.pointer(name), "has more than %d items", most)
		return nil
	}
	return v.items
}

// objects reads an array of objects.
func (o object) objects(name string, need bool, most int) []object {
	items := o.list(name, need, most)
	if len(items) == 0 {
		return nil
	}
	out, at := make([]object, len(items)), o.pointer(name)+"/"
	for i := range items {
		out[i] = o.d.object(&items[i], at+strconv.Itoa(i))
	}
	return out
}

// texts reads an array of lines of text.
func (o object) texts(name string, need bool, most, maxBytes int) []string {
	items := o.list(name, need, most)
	out := make([]string, 0, len(items))
	for i, v := range items {
		at := fmt.Sprintf("%s/%d", o.pointer(name), i)
		if v.kind != kindString {
			o.d.wrong(at, kindString.String(), v.kind)
			continue
		}
		out = append(out, o.d.line(at, strings.Clone(v.text), required, maxBytes))
	}
	return out
}

func (o object) date(name string, need bool) (allocator.Date, bool) {
	s, ok := o.raw(name, need)
	if !ok {
		return 0, false
	}
	date, err := allocator.ParseDate(s)
	if err != nil {
		o.d.fault(o.pointer(name), notADate)
	}
	return date, err == nil
}

const notADate = "must be a date of the form YYYY-MM-DD"

func (d *decoder) date(at, text string) (allocator.Date, bool) {
	date, err := allocator.ParseDate(text)
	if err != nil {
		d.fault(at, notADate)
		return 0, false
	}
	return date, true
}

// born reads a date of birth of somebody who may be alive.
func (o object) born(name string, need bool, today allocator.Date) (allocator.Date, bool) {
	date, ok := o.date(name, need)
	if !ok {
		return 0, false
	}
	if fault := alive(date, today); fault != "" {
		o.d.fault(o.pointer(name), "%s", fault)
	}
	return date, true
}

func (d *decoder) alive(at string, born, today allocator.Date) {
	if fault := alive(born, today); fault != "" {
		d.fault(at, "%s", fault)
	}
}

// alive says what is wrong with a date of birth of somebody who may be alive.
func alive(born, today allocator.Date) (fault string) {
	switch {
	case born < firstBirth:
		return fmt.Sprintf("lies before %s", firstBirth)
	case born > today:
		return "lies in the future"
	}
	return ""
}

var firstBirth, _ = allocator.ParseDate("1880-01-01")

func (o object) timeOfDay(name string) allocator.TimeOfDay {
	s, ok := o.raw(name, required)
	if !ok {
		return 0
	}
	t, err := allocator.ParseTimeOfDay(s)
	if err != nil {
		o.d.fault(o.pointer(name), "must be a time of the form HH:MM, 00:00 to 24:00")
	}
	return t
}

// instant reads an RFC 3339 instant of any offset that is a whole number of units.
func (o object) instant(name string, need bool, unit time.Duration) (time.Time, bool) {
	s, ok := o.raw(name, need)
	if !ok {
		return time.Time{}, false
	}
	t, err := parseInstant(s)
	if err != nil || t.Nanosecond() != 0 || t.Unix()%int64(unit/time.Second) != 0 {
		o.d.fault(o.pointer(name), "must be an RFC 3339 instant of whole %ss, such as 2026-12-01T09:10:00Z",
			map[time.Duration]string{time.Minute: "minute", time.Second: "second"}[unit])
		return time.Time{}, false
	}
	return t, true
}

func (o object) service(name string) allocator.ServiceCode {
	s, ok := o.raw(name, required)
	if ok && !allocator.ServiceCode(s).Valid() {
		o.d.fault(o.pointer(name), "is not a service code")
		return ""
	}
	return allocator.ServiceCode(s)
}

func (o object) site(name string) allocator.SiteID {
	s, ok := o.raw(name, required)
	if id := allocator.SiteID(s); ok && (!id.Valid() || onlyDots(id)) {
		o.d.fault(o.pointer(name), "is not a site id")
		return ""
	}
	return allocator.SiteID(s)
}
