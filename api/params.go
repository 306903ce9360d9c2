package api

import (
	"strconv"
	"strings"

	"muster/allocator"
)

// params reads typed query parameters; faults go to the exchange's decoder.
type params struct {
	d      *decoder
	values map[string]string
	pairs  []pair // in place of values, where few plain ones were given
}

type pair struct{ name, value string }

func (p params) get(name string) (value string, ok bool) {
	for i := range p.pairs {
		if p.pairs[i].name == name {
			return p.pairs[i].value, true
		}
	}
	value, ok = p.values[name]
	return value, ok
}

func (p params) at(name string) string { return "/query" + escapePointer(name) }

func (p params) has(name string) bool { _, ok := p.get(name); return ok }

func (p params) text(name string, maxBytes int) string {
	value, _ := p.get(name)
	text, fault := trimmed(value, optional, maxBytes)
	if fault != "" {
		p.d.fault(p.at(name), "%s", fault)
	}
	return text
}

func (p params) integer(name string, low, high, absent int) int {
	text, ok := p.get(name)
	if !ok {
		return absent
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high || len(text) > 12 {
		p.d.fault(p.at(name), "must be a whole number, %d to %d", low, high)
		return absent
	}
	return n
}

func (p params) number(name string, low, high, absent float64) float64 {
	text, ok := p.get(name)
	if !ok {
		return absent
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f >= low && f <= high) || strings.ContainsAny(text, "_xXpP") {
		p.d.fault(p.at(name), "must be a number, %g to %g", low, high)
		return absent
	}
	return f
}

func (p params) boolean(name string) bool {
	text, ok := p.get(name)
	if ok && text != "true" && text != "false" {
		p.d.fault(p.at(name), "must be true or false")
	}
	return text == "true"
}

func (p params) choice(name string, words ...string) string {
	text, ok := p.get(name)
	if !ok {
		return words[0]
	}
	if !contains(words, text) {
		p.d.fault(p.at(name), "must be one of: %s", strings.Join(words, ", "))
		return words[0]
	}
	return text
}

// date reads a date; 0 where it is missing, so 1970-01-01 and before are refused.
func (p params) date(name string) allocator.Date {
	text, ok := p.get(name)
	if !ok {
		return 0
	}
	date, ok := p.d.date(p.at(name), text)
	if ok && date <= 0 {
		p.d.fault(p.at(name), "lies before 1970-01-02")
		return 0
	}
	return date
}

// dates reads from and to.
func (p params) dates() (from, to allocator.Date) {
	from, to = p.date("from"), p.date("to")
	if from > 0 && to > 0 && to < from {
		p.d.fault(p.at("to"), "lies before from")
	}
	return from, to
}

// service reads a code. A + that was not encoded arrives as a space, which no code has.
func (p params) service(need bool) allocator.ServiceCode {
	text, ok := p.get("service")
	code := allocator.ServiceCode(strings.ReplaceAll(text, " ", "+"))
	switch {
	case !ok && need:
		p.d.fault(p.at("service"), "is required")
	case ok && !code.Valid():
		p.d.fault(p.at("service"), "is not a service code")
	default:
		return code
	}
	return ""
}
