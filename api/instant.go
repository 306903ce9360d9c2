package api

import (
	"errors"
	"time"
)

// instantForm says whether a text has the form YYYY-MM-DDTHH:MM:SS, up to nine digits of a fraction, and Z or an offset.
func instantForm(text string) bool {
	const form = "0000-00-00T00:00:00"
	if len(text) <= len(form) || !digitsAt(text[:len(form)], form) {
		return false
	}
	rest := text[len(form):]
	if rest[0] == '.' {
		n := 1
		for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
			n++
		}
		if n < 2 || n > 10 {
			return false
		}
		rest = rest[n:]
	}
	if rest == "Z" {
		return true
	}
	return len(rest) == 6 && (rest[0] == '+' || rest[0] == '-') && digitsAt(rest[1:], "00:00") && rest[1:3] < "24" && rest[4] < '6'
}

// digitsAt says whether a text has digits where the form has, and the same as the form elsewhere.
func digitsAt(text, form string) bool {
	for i := range len(form) {
		if form[i] != '0' && text[i] != form[i] || form[i] == '0' && (text[i] < '0' || text[i] > '9') {
			return false
		}
	}
	return true
}

// parseInstant is RFC 3339 without what time.Parse forgives.
func parseInstant(text string) (time.Time, error) {
	if !instantForm(text) {
		return time.Time{}, errors.New("not an RFC 3339 instant")
	}
	return time.Parse(time.RFC3339, text)
}
