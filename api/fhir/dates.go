package fhir

import (
	"errors"
	"strings"
	"time"
)

var errDate = errors.New("is not a date or instant of FHIR such as ge2026-12-01 or le2026-12-01T17:00:00Z")

// dateForms are the precisions of FHIR's dates, without and with an offset, and how long each lasts.
var dateForms = []struct {
	form  string
	zoned bool
	next  func(time.Time) time.Time
}{
	{"2006", false, func(t time.Time) time.Time { return t.AddDate(1, 0, 0) }},
	{"2006-01", false, func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }},
	{"2006-01-02", false, func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }},
	{"2006-01-02T15:04", false, func(t time.Time) time.Time { return t.Add(time.Minute) }},
	{"2006-01-02T15:04Z07:00", true, func(t time.Time) time.Time { return t.Add(time.Minute) }},
	{"2006-01-02T15:04:05Z07:00", true, func(t time.Time) time.Time { return t.Add(time.Second) }},
}

// ParseDate reads a date of any of FHIR's precisions as the span from low up to high that it means. Where it names no
// offset, it is in the zone.
func ParseDate(text string, zone *time.Location) (low, high time.Time, err error) {
	for _, f := range dateForms {
		if !f.zoned && len(text) != len(f.form) {
			continue
		}
		if t, err := time.ParseInLocation(f.form, text, zone); err == nil && t.Year() >= 1 && t.Year() < 9999 {
			return t, f.next(t), nil
		}
	}
	return time.Time{}, time.Time{}, errDate
}

// Range bounds instants: from Low, and before High; zero values do not bound.
type Range struct{ Low, High time.Time }

// Narrow applies one search parameter of the type date: a prefix and a date.
func (r *Range) Narrow(text string, zone *time.Location) error {
	prefix := "eq"
	if len(text) > 2 && strings.Contains(" eq ge le gt lt sa eb ", " "+text[:2]+" ") {
		prefix, text = text[:2], text[2:]
	}
	low, high, err := ParseDate(text, zone)
	if err != nil {
		return err
	}
	switch prefix {
	case "eq":
		r.from(low)
		r.before(high)
	case "ge":
		r.from(low)
	case "gt", "sa":
		r.from(high)
	case "le":
		r.before(high)
	case "lt", "eb":
		r.before(low)
	}
	return nil
}

func (r *Range) from(t time.Time) {
	if r.Low.IsZero() || t.After(r.Low) {
		r.Low = t
	}
}

func (r *Range) before(t time.Time) {
	if r.High.IsZero() || t.Before(r.High) {
		r.High = t
	}
}

// Has says whether an instant is within.
func (r Range) Has(t time.Time) bool {
	return (r.Low.IsZero() || !t.Before(r.Low)) && (r.High.IsZero() || t.Before(r.High))
}
