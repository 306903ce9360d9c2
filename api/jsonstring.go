package api

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// string reads a JSON string at its opening quote. The body is known to be valid UTF-8; escapes may not break that.
func (p *parser) string() string {
	p.at++
	from := p.at
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == '"':
			p.at++
			return p.text[from : p.at-1]
		case c == '\\':
			return p.escaped(from)
		case c < ' ':
			p.fail("a control character must be escaped")
			return ""
		}
		p.at++
	}
	p.fail("a string is not closed")
	return ""
}

// escaped goes on with a string at its first escape.
func (p *parser) escaped(from int) string {
	var b strings.Builder
	b.WriteString(p.text[from:p.at])
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == '"':
			p.at++
			return b.String()
		case c < ' ':
			p.fail("a control character must be escaped")
			return ""
		case c == '\\':
			p.at++
			r, ok := p.escape()
			if !ok {
				p.fail("no such escape")
				return ""
			}
			b.WriteRune(r)
		default:
			b.WriteByte(c)
			p.at++
		}
	}
	p.fail("a string is not closed")
	return ""
}

// escape reads what follows a backslash.
func (p *parser) escape() (rune, bool) {
	if p.at == len(p.text) {
		return 0, false
	}
	c := p.text[p.at]
	p.at++
	if c == 'u' {
		return p.unicode()
	}
	const names, runes = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	i := strings.IndexByte(names, c)
	if i < 0 {
		return 0, false
	}
	return rune(runes[i]), true
}

// unicode reads four hexadecimal digits, and the second half of a pair where they are the first. Half pairs stand for no
// character and are refused.
func (p *parser) unicode() (rune, bool) {
	r, ok := p.hex4()
	if !ok {
		return 0, false
	}
	if !utf16.IsSurrogate(r) {
		return r, true
	}
	if !p.take('\\') || !p.take('u') {
		return 0, false
	}
	second, ok := p.hex4()
	r = utf16.DecodeRune(r, second)
	return r, ok && r != utf8.RuneError
}

func (p *parser) hex4() (rune, bool) {
	if len(p.text)-p.at < 4 {
		return 0, false
	}
	digits := p.text[p.at : p.at+4]
	n, err := strconv.ParseUint(digits, 16, 16)
	p.at += 4
	return rune(n), err == nil && !strings.ContainsAny(digits, "+-_")
}
