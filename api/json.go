package api

import (
	"fmt"
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
	if !utf8.Valid(body) {
		return value{}, []allocator.Fault{{Pointer: "", Detail: "the body is not valid UTF-8"}}, false
	}
	p := &parser{text: string(body)}
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

type parser struct {
	text   string
	at     int
	path   []string
	values int
	broken string // the first break of the syntax: parsing ends there
	faults []allocator.Fault
}

func (p *parser) fail(format string, args ...any) {
	if p.broken == "" {
		p.broken = fmt.Sprintf("is not valid JSON at byte %d: ", p.at) + fmt.Sprintf(format, args...)
	}
}

func (p *parser) pointer() string {
	var b strings.Builder
	for _, name := range p.path {
		b.WriteString(escapePointer(name))
	}
	return b.String()
}

// escapePointer writes one step of a JSON pointer (RFC 6901), cut short where the client made it long.
func escapePointer(name string) string {
	if len(name) > 64 {
		name = strings.ToValidUTF8(name[:64], "") + "…"
	}
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

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
	for literal, k := range map[string]kind{"true": kindBool, "false": kindBool, "null": kindNull} {
		if strings.HasPrefix(p.text[p.at:], literal) {
			p.at += len(literal)
			return value{kind: k, text: literal}
		}
	}
	p.fail("no value starts like this")
	return value{}
}

func (p *parser) array(depth int) value {
	v := value{kind: kindArray}
	p.at++
	p.space()
	if p.take(']') {
		return v
	}
	for p.broken == "" {
		p.path = append(p.path, fmt.Sprint(len(v.items)))
		p.space()
		v.items = append(v.items, p.value(depth+1))
		if p.broken != "" {
			return v
		}
		p.path = p.path[:len(p.path)-1]
		p.space()
		if p.take(']') {
			return v
		}
		if !p.take(',') {
			p.fail("a comma or ] is due")
		}
	}
	return v
}

func (p *parser) object(depth int) value {
	v := value{kind: kindObject}
	seen := map[string]bool{}
	p.at++
	p.space()
	if p.take('}') {
		return v
	}
	for p.broken == "" {
		p.space()
		if p.at == len(p.text) || p.text[p.at] != '"' {
			p.fail("a field name is due")
			return v
		}
		name := p.string()
		p.path = append(p.path, name)
		if seen[name] && len(p.faults) < maxFaults {
			p.faults = append(p.faults, allocator.Fault{Pointer: p.pointer(), Detail: "is given twice"})
		}
		seen[name] = true
		p.space()
		if p.broken == "" && !p.take(':') {
			p.fail("a colon is due")
		}
		p.space()
		v.names, v.items = append(v.names, name), append(v.items, p.value(depth+1))
		if p.broken != "" {
			return v
		}
		p.path = p.path[:len(p.path)-1]
		p.space()
		if p.take('}') {
			return v
		}
		if !p.take(',') {
			p.fail("a comma or } is due")
		}
	}
	return v
}

// number reads -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?
func (p *parser) number() string {
	from := p.at
	digits := func() bool {
		start := p.at
		for p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9' {
			p.at++
		}
		return p.at > start
	}
	p.take('-')
	ok := p.take('0') || digits()
	if ok && p.take('.') {
		ok = digits()
	}
	if ok && (p.take('e') || p.take('E')) {
		if !p.take('+') {
			p.take('-')
		}
		ok = digits()
	}
	if !ok {
		p.fail("a number is cut short")
	}
	return p.text[from:p.at]
}
