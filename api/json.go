package api

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"muster/allocator"
)

// Bounds of a JSON document, besides its bytes: they keep what a small body can make large in memory small.
const (
	maxDepth  = 16
	maxValues = 40_000
	maxFaults = 32
)

type kind uint8

const (
	kindNull kind = iota
	kindBool
	kindNumber
	kindString
	kindArray
	kindObject
)

func (k kind) String() string {
	return [...]string{"null", "true or false", "a number", "a string", "an array", "an object"}[k]
}

// value is a parsed JSON value.
type value struct {
	kind  kind
	text  string   // of a string; the literal of a number; "true" or "false"
	names []string // of an object's members
	items []value  // an array's items, or an object's values
}

// parseJSON reads exactly one JSON document, by RFC 8259 without any leniency. It finds all duplicate names, or the first
// break of the syntax; whole is false where the text breaks off there.
func parseJSON(body []byte) (v value, faults []allocator.Fault, whole bool) {
	return new(parser).parse(string(body))
}

// parse is parseJSON. What it returns is good until the parser is used again.
func (p *parser) parse(text string) (v value, faults []allocator.Fault, whole bool) {
	if !utf8.ValidString(text) {
		return value{}, []allocator.Fault{{Pointer: "", Detail: "the body is not valid UTF-8"}}, false
	}
	p.text = text
	p.space()
	v = p.value(1)
	p.space()
	if p.broken == "" && p.at < len(p.text) {
		p.fail("nothing may follow the document")
	}
	if p.broken != "" {
		p.faults = append(p.faults, allocator.Fault{Pointer: p.pointer(), Detail: p.broken})
	}
	return v, p.faults, p.broken == ""
}

// parser keeps the memory of one document for the next: see reset.
type parser struct {
	text   string
	at     int
	path   []step
	values int
	broken string // the first break of the syntax: parsing ends there
	faults []allocator.Fault

	open      []value // members of the arrays and objects that have not ended yet, the outer ones first
	openNames []string
	ended     []value // members of those that have
	endNames  []string
}

// step is one step of a pointer: an object's name or, where there is none, an array's index.
type step struct {
	name  string
	index int // -1: name
}

// reset makes the parser forget a document, so that it can read another. It says whether that is worth it: one that a
// large document has grown is better left to the garbage collector.
func (p *parser) reset() bool {
	const most = 256
	if cap(p.ended) > most || cap(p.open) > most {
		return false
	}
	clear(p.open[:cap(p.open)])
	clear(p.openNames[:cap(p.openNames)])
	clear(p.ended)
	clear(p.endNames)
	clear(p.path[:cap(p.path)])
	*p = parser{path: p.path[:0], open: p.open[:0], openNames: p.openNames[:0], ended: p.ended[:0], endNames: p.endNames[:0]}
	return true
}

func (p *parser) fail(format string, args ...any) {
	if p.broken == "" {
		p.broken = fmt.Sprintf("is not valid JSON at byte %d: ", p.at) + fmt.Sprintf(format, args...)
	}
}

func (p *parser) pointer() string {
	var b strings.Builder
	for _, s := range p.path {
		if s.index >= 0 {
			b.WriteString("/" + strconv.Itoa(s.index))
		} else {
			b.WriteString(escapePointer(s.name))
		}
	}
	return b.String()
}

// escapePointer writes one step of a JSON pointer (RFC 6901), cut short where the client made it long.
func escapePointer(name string) string {
	if len(name) > 64 {
		name = strings.ToValidUTF8(name[:64], "") + "…"
	}
	if strings.ContainsAny(name, "~/") {
		name = pointerEscapes.Replace(name)
	}
	return "/" + name
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

func (p *parser) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// take consumes one byte when it is next.
func (p *parser) take(c byte) bool {
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *parser) value(depth int) value {
	p.values++
	switch {
	case p.broken != "":
	case depth > maxDepth:
		p.fail("deeper than %d levels", maxDepth)
	case p.values > maxValues:
		p.fail("more than %d values", maxValues)
	case p.at == len(p.text):
		p.fail("ends where a value is due")
	default:
		return p.known(depth)
	}
	return value{}
}

func (p *parser) known(depth int) value {
	switch c := p.text[p.at]; {
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '"':
		return value{kind: kindString, text: p.string()}
	case c == '-' || c >= '0' && c <= '9':
		return value{kind: kindNumber, text: p.number()}
	}
	for _, l := range literals {
		if strings.HasPrefix(p.text[p.at:], l.text) {
			p.at += len(l.text)
			return l
		}
	}
	p.fail("no value starts like this")
	return value{}
}

var literals = [...]value{{kind: kindBool, text: "true"}, {kind: kindBool, text: "false"}, {kind: kindNull, text: "null"}}

func (p *parser) array(depth int) value {
	p.at++
	p.space()
	if p.take(']') {
		return value{kind: kindArray}
	}
	from := len(p.open)
	for p.broken == "" {
		p.path = append(p.path, step{index: len(p.open) - from})
		p.space()
		p.open = append(p.open, p.value(depth+1))
		if p.broken != "" {
			break
		}
		p.path = p.path[:len(p.path)-1]
		p.space()
		if p.take(']') {
			return value{kind: kindArray, items: p.end(from)}
		}
		if !p.take(',') {
			p.fail("a comma or ] is due")
		}
	}
	return value{kind: kindArray}
}

// end gives the members of an array or object that has ended a place of their own.
func (p *parser) end(from int) []value { return move(&p.open, &p.ended, from) }

// move moves what lies beyond from out of a stack into memory that stays where it is.
func move[T any](stack, to *[]T, from int) []T {
	n := len(*stack) - from
	if cap(*to)-len(*to) < n {
		*to = make([]T, 0, max(16, n, 2*cap(*to))) // what was moved before stays in the old one
	}
	start := len(*to)
	*to = append(*to, (*stack)[from:]...)
	*stack = (*stack)[:from]
	return (*to)[start:len(*to):len(*to)]
}

func (p *parser) object(depth int) value {
	p.at++
	p.space()
	if p.take('}') {
		return value{kind: kindObject}
	}
	from, fromName := len(p.open), len(p.openNames)
	var known names
	for p.broken == "" {
		p.space()
		if p.at == len(p.text) || p.text[p.at] != '"' {
			p.fail("a field name is due")
			break
		}
		name := p.string()
		p.path = append(p.path, step{name, -1})
		if known.seen(p.openNames[fromName:], name) && len(p.faults) < maxFaults {
			p.faults = append(p.faults, allocator.Fault{Pointer: p.pointer(), Detail: "is given twice"})
		}
		p.space()
		if p.broken == "" && !p.take(':') {
			p.fail("a colon is due")
		}
		p.space()
		p.openNames = append(p.openNames, name)
		p.open = append(p.open, p.value(depth+1))
		if p.broken != "" {
			break
		}
		p.path = p.path[:len(p.path)-1]
		p.space()
		if p.take('}') {
			return value{kind: kindObject, names: move(&p.openNames, &p.endNames, fromName), items: p.end(from)}
		}
		if !p.take(',') {
			p.fail("a comma or } is due")
		}
	}
	return value{kind: kindObject}
}

// names finds duplicates among an object's names: few are compared one by one, many by a map.
type names map[string]bool

func (n *names) seen(before []string, name string) bool {
	const few = 16
	if len(before) < few {
		return slices.Contains(before, name)
	}
	if *n == nil {
		*n = make(names, 2*few)
		for _, b := range before {
			(*n)[b] = true
		}
	}
	seen := (*n)[name]
	(*n)[name] = true
	return seen
}

// number reads -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?
func (p *parser) number() string {
	from := p.at
	p.take('-')
	ok := p.take('0') || p.digits()
	if ok && p.take('.') {
		ok = p.digits()
	}
	if ok && (p.take('e') || p.take('E')) {
		if !p.take('+') {
			p.take('-')
		}
		ok = p.digits()
	}
	if !ok {
		p.fail("a number is cut short")
	}
	return p.text[from:p.at]
}

func (p *parser) digits() bool {
	start := p.at
	for p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9' {
		p.at++
	}
	return p.at > start
}
