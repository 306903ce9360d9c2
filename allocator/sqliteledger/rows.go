package sqliteledger

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"muster/allocator"
)

// bookingColumns are those that scanBooking reads, of a table called b.
const bookingColumns = `b.booking_key, b.hold, b.site_id, b.starts_at, b.length, b.date, b.place, b.service, b.programme,
	b.dose, b.person, b.one_person, b.sealed, b.status, b.version, b.reason, b.replaced_by, b.recorded_at`

func scanBooking(scan func(into ...any) error) (b allocator.Booking, err error) {
	var hold, person []byte
	var replacedBy *int64
	var recordedAt int64
	err = scan(&b.Key, &hold, &b.Slot.Site, &b.Slot.Start, &b.Slot.Length, &b.Date, &b.Place, &b.Service, &b.Programme,
		&b.Dose, &person, &b.OnePerson, &b.Sealed, &b.Status, &b.Version, &b.Reason, &replacedBy, &recordedAt)
	if err != nil {
		return b, err
	}
	ok := false
	if b.Hold, ok = allocator.HoldIDFrom(hold); !ok {
		return b, fmt.Errorf("booking %d: its hold is not an id", b.Key)
	}
	copy(b.Person[:], person)
	if replacedBy != nil {
		b.ReplacedBy = allocator.BookingKey(*replacedBy)
	}
	b.RecordedAt = instant(recordedAt)
	return b, nil
}

const (
	insertBookings = `INSERT INTO bookings (id, booking_key, hold, claims, site_id, starts_at, length, date, place, service,
	programme, dose, person, one_person, sealed, status, version, reason, replaced_by, recorded_at, booked_by, ended_at) VALUES `
	insertEvents = `INSERT INTO events (id, type, at, actor, reason, booking_key, status, version, site_id, date, revision, service) VALUES `
)

// origin is a booking's booked event: its place in the outbox, and who booked; nil where the row is void.
type origin struct {
	id int64
	by any
}

// bookingRow is a row to insert.
func bookingRow(b *allocator.Booking, from origin, claims int, now int64) []any {
	var person, sealed, replacedBy, endedAt any
	if b.Person != (allocator.PersonKey{}) {
		person = b.Person[:]
	}
	if len(b.Sealed) > 0 {
		sealed = b.Sealed
	}
	if b.ReplacedBy != 0 {
		replacedBy = int64(b.ReplacedBy)
	}
	if !b.Status.Live() {
		endedAt = now
	}
	return []any{
		from.id, int64(b.Key), b.Hold.Bytes(), int64(claims), string(b.Slot.Site), int64(b.Slot.Start), int64(b.Slot.Length),
		int64(b.Date), int64(b.Place), string(b.Service), b.Programme, int64(b.Dose), person, b.OnePerson, sealed,
		string(b.Status), int64(b.Version), b.Reason, replacedBy, b.RecordedAt.UnixMicro(), from.by, endedAt,
	}
}

// eventRow is a row to insert. What belongs to a booking, or to nothing that the event is about, is NULL.
func eventRow(id int64, e *allocator.Event) []any {
	row := []any{id, string(e.Type), e.At.UnixMicro(), e.Actor, e.Reason, nil, nil, nil, nil, nil, nil, nil}
	if e.Booking != 0 {
		row[5], row[6], row[7] = int64(e.Booking), string(e.Status), int64(e.Version)
		return row
	}
	row[10] = e.Revision
	if e.Site != "" {
		row[8] = string(e.Site)
	}
	if e.Type == allocator.EventCapacity {
		row[9] = int64(e.Date)
	}
	if e.Service != "" {
		row[11] = string(e.Service)
	}
	return row
}

// insertSizes are how many rows one statement inserts, so that few texts need preparing.
var insertSizes = [...]int{8, 1}

// insert adds rows by statements of many rows each. Tail ends each statement.
func (t *tx) insert(head string, rows [][]any, tail string) error {
	for _, size := range insertSizes {
		for ; len(rows) >= size; rows = rows[size:] {
			args := make([]any, 0, size*len(rows[0]))
			for _, row := range rows[:size] {
				args = append(args, row...)
			}
			values := "(" + strings.Repeat("?,", len(rows[0])-1) + "?)"
			text := head + strings.Repeat(values+",", size-1) + values + tail
			if err := t.exec(text, args...); err != nil {
				return err
			}
		}
	}
	return nil
}

// list writes a JSON array for json_each.
type list struct{ text []byte }

func (l *list) comma() {
	if n := len(l.text); n == 0 {
		l.text = append(l.text, '[')
	} else if l.text[n-1] != '[' {
		l.text = append(l.text, ',')
	}
}

func (l *list) number(n int64) {
	l.comma()
	l.text = strconv.AppendInt(l.text, n, 10)
}

func (l *list) string(s string) {
	l.comma()
	quoted, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings always encode
	}
	l.text = append(l.text, quoted...)
}

// open begins an array within the array; shut ends it.
func (l *list) open() {
	l.comma()
	l.text = append(l.text, '[')
}

func (l *list) shut() { l.text = append(l.text, ']') }

// argument is the whole list, as the one argument of a query.
func (l *list) argument() []any {
	if len(l.text) == 0 {
		return []any{"[]"}
	}
	return []any{string(l.text) + "]"}
}

const siteColumns = `s.generation, s.version, s.details`

func scanSite(scan func(into ...any) error) (s allocator.Site, err error) {
	var text []byte
	var generation, version int64
	if err := scan(&generation, &version, &text); err != nil {
		return s, err
	}
	s, err = allocator.DecodeSite(text)
	s.Generation, s.Version = generation, version
	return s, err
}

func scanService(scan func(into ...any) error) (s allocator.Service, err error) {
	var text []byte
	var version int64
	if err := scan(&version, &text); err != nil {
		return s, err
	}
	s, err = allocator.DecodeService(text)
	s.Version = version
	return s, err
}

func scanDay(scan func(into ...any) error) (d allocator.Day, err error) {
	var text []byte
	if err := scan(&d.Site, &d.Date, &d.Revision, &text); err != nil {
		return d, err
	}
	d.Sessions, err = allocator.DecodeSessions(text)
	return d, err
}

// zone finds a time zone by name, once.
func (l *Ledger) zone(name string) (*time.Location, error) {
	if z, ok := l.zones.Load(name); ok {
		return z.(*time.Location), nil
	}
	z, err := time.LoadLocation(name)
	if err == nil {
		l.zones.Store(name, z)
	}
	return z, err
}
