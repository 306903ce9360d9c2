package allocator

import (
	"errors"
	"fmt"
	"time"
)

// Minute is an instant in whole minutes since 1970-01-01T00:00Z. Slots start on whole minutes, so a slot's start needs
// no more precision and compares as an integer in every store.
type Minute int64

// MinuteOf rounds an instant down to its minute.
func MinuteOf(t time.Time) Minute {
	s := t.Unix()
	if s < 0 && s%60 != 0 {
		return Minute(s/60 - 1)
	}
	return Minute(s / 60)
}

// Time gives the instant in UTC.
func (m Minute) Time() time.Time { return time.Unix(int64(m)*60, 0).UTC() }

// Millis gives the instant in milliseconds since 1970.
func (m Minute) Millis() int64 { return int64(m) * 60_000 }

// Date is a civil date, counted in days since 1970-01-01. It has no time zone of its own: a site's zone gives it one.
type Date int32

// ErrDate says that a text is not a YYYY-MM-DD date.
var ErrDate = errors.New("not a date of the form YYYY-MM-DD")

// ParseDate reads YYYY-MM-DD strictly.
func ParseDate(text string) (Date, error) {
	if len(text) != len("2006-01-02") {
		return 0, fmt.Errorf("%w: %q", ErrDate, clip(text))
	}
	t, err := time.Parse("2006-01-02", text)
	if err != nil {
		return 0, fmt.Errorf("%w: %q", ErrDate, clip(text))
	}
	return Date(t.Unix() / 86_400), nil
}

// DateOf is the civil date of an instant in its own location.
func DateOf(t time.Time) Date {
	y, m, d := t.Date()
	return Date(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86_400)
}

// String writes YYYY-MM-DD.
func (d Date) String() string { return time.Unix(int64(d)*86_400, 0).UTC().Format("2006-01-02") }

// Begins is the first instant of the date in a time zone: the first one, where the clock change repeats or skips
// midnight.
func (d Date) Begins(zone *time.Location) time.Time { return d.At(0, zone) }

// At is the first instant of the date whose wall clock in the zone shows the given time of day or, where the clock
// change skips that time, the instant of the change. So a session has one grid on every day of the year.
func (d Date) At(of TimeOfDay, zone *time.Location) time.Time {
	y, m, day := time.Unix(int64(d)*86_400, 0).UTC().Date()
	wall := time.Date(y, m, day, int(of)/60, int(of)%60, 0, 0, time.UTC).Unix()
	// A zone's offset changes at most once within a day's reach; try the offsets in force around, earliest instant first.
	first, found := time.Time{}, false
	for _, probe := range [...]int64{wall - 26*3600, wall - 3*3600, wall, wall + 3*3600, wall + 26*3600} {
		_, offset := time.Unix(probe, 0).In(zone).Zone()
		t := time.Unix(wall-int64(offset), 0).In(zone)
		if _, actual := t.Zone(); actual != offset {
			continue
		}
		if !found || t.Before(first) {
			first, found = t, true
		}
	}
	if found {
		return first
	}
	return skipped(wall, zone)
}

// skipped finds the clock change that left out a wall time: the last instant before which clocks showed less.
func skipped(wall int64, zone *time.Location) time.Time {
	low, high := wall-27*3600, wall+27*3600
	for high-low > 1 {
		mid := low + (high-low)/2
		if _, offset := time.Unix(mid, 0).In(zone).Zone(); mid+int64(offset) < wall {
			low = mid
		} else {
			high = mid
		}
	}
	return time.Unix(high, 0).In(zone)
}

// TimeOfDay is a site-local wall time in minutes since midnight, 0 … 1440 (24:00 ends a day).
type TimeOfDay int16

// ErrTimeOfDay says that a text is not an HH:MM time.
var ErrTimeOfDay = errors.New("not a time of the form HH:MM")

// ParseTimeOfDay reads HH:MM, 00:00 … 24:00.
func ParseTimeOfDay(text string) (TimeOfDay, error) {
	bad := fmt.Errorf("%w: %q", ErrTimeOfDay, clip(text))
	if len(text) != 5 || text[2] != ':' {
		return 0, bad
	}
	for _, i := range [...]int{0, 1, 3, 4} {
		if text[i] < '0' || text[i] > '9' {
			return 0, bad
		}
	}
	h, m := int(text[0]-'0')*10+int(text[1]-'0'), int(text[3]-'0')*10+int(text[4]-'0')
	if m > 59 || h > 24 || h == 24 && m > 0 {
		return 0, bad
	}
	return TimeOfDay(h*60 + m), nil
}

// String writes HH:MM.
func (t TimeOfDay) String() string { return fmt.Sprintf("%02d:%02d", int(t)/60, int(t)%60) }

// clip keeps a refused text short enough for a message.
func clip(text string) string {
	if len(text) > 40 {
		return text[:40] + "…"
	}
	return text
}
