package cockroachledger

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"muster/allocator"
)

// scanBooking reads a row of the 19 columns that every query of whole bookings selects. changed is when the row last
// changed, its recording included.
func scanBooking(row pgx.Row) (b allocator.Booking, changed time.Time, err error) {
	var hold, person []byte
	var date, place, dose, version int32
	var status string
	err = row.Scan(&b.Key, &hold, &b.Slot.Site, &b.Slot.Start, &b.Slot.Length, &date, &place, &b.Service, &b.Programme,
		&dose, &person, &b.OnePerson, &b.Sealed, &status, &version, &b.Reason, &b.ReplacedBy, &b.RecordedAt, &changed)
	if err != nil {
		return b, changed, err
	}
	b.Date, b.Place, b.Dose, b.Version = allocator.Date(date), place, int(dose), int(version)
	b.Status, b.RecordedAt = allocator.Status(status), b.RecordedAt.UTC()
	copy(b.Person[:], person)
	b.Hold, err = holdID(hold)
	return b, changed.UTC(), err
}

func collectBookings(rows pgx.Rows) ([]allocator.Booking, error) {
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (allocator.Booking, error) {
		b, _, err := scanBooking(row)
		return b, err
	})
}

func holdID(stored []byte) (allocator.HoldID, error) {
	id, ok := allocator.HoldIDFrom(stored)
	if !ok {
		return id, fmt.Errorf("a stored hold id has %d bytes", len(stored))
	}
	return id, nil
}

// columns are bookings as the arrays that unnest takes.
type columns struct {
	keys                             []int64
	holds, persons, sealed, siblings [][]byte
	sites, services, programmes      []string
	starts                           []int64
	lengths                          []int16
	dates, places, doses             []int32
	onePerson                        []bool
}

func newColumns(n int) *columns {
	return &columns{
		keys: make([]int64, 0, n), holds: make([][]byte, 0, n), persons: make([][]byte, 0, n), sealed: make([][]byte, 0, n),
		siblings: make([][]byte, 0, n), sites: make([]string, 0, n), services: make([]string, 0, n),
		programmes: make([]string, 0, n), starts: make([]int64, 0, n), lengths: make([]int16, 0, n),
		dates: make([]int32, 0, n), places: make([]int32, 0, n), doses: make([]int32, 0, n), onePerson: make([]bool, 0, n),
	}
}

func (c *columns) add(b *allocator.Booking, siblings []byte) {
	c.keys = append(c.keys, int64(b.Key))
	c.holds = append(c.holds, b.Hold.Bytes())
	c.persons = append(c.persons, personBytes(b.Person))
	c.sealed = append(c.sealed, b.Sealed)
	c.siblings = append(c.siblings, siblings)
	c.sites = append(c.sites, string(b.Slot.Site))
	c.services = append(c.services, string(b.Service))
	c.programmes = append(c.programmes, b.Programme)
	c.starts = append(c.starts, int64(b.Slot.Start))
	c.lengths = append(c.lengths, b.Slot.Length)
	c.dates = append(c.dates, int32(b.Date))
	c.places = append(c.places, b.Place)
	c.doses = append(c.doses, int32(b.Dose))
	c.onePerson = append(c.onePerson, b.OnePerson)
}

// personBytes is NULL for no person, whom no unique index binds.
func personBytes(p allocator.PersonKey) []byte {
	if p == (allocator.PersonKey{}) {
		return nil
	}
	return slices.Clone(p[:])
}

// siblingsOf packs the keys of the claims that share a claim's grant; nil where it is alone.
func siblingsOf(claims []allocator.Booking, i int) []byte {
	if len(claims) == 1 {
		return nil
	}
	var packed []byte
	for j := range claims {
		if claims[j].Hold == claims[i].Hold {
			packed = binary.BigEndian.AppendUint64(packed, uint64(claims[j].Key))
		}
	}
	if len(packed) == 8 {
		return nil
	}
	return packed
}

func unpackSiblings(packed []byte) (keys []int64) {
	for ; len(packed) >= 8; packed = packed[8:] {
		keys = append(keys, int64(binary.BigEndian.Uint64(packed)))
	}
	return keys
}

// storable makes free text what both engines take: valid UTF-8 without NUL.
func storable(text string) string {
	if strings.IndexByte(text, 0) < 0 && utf8.ValidString(text) {
		return text
	}
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// after is the instant at which a transition is dated: the ledger's clock, and later than the last change of what the
// transition changes. So the outbox has the transitions of one booking in their order, however far the clocks of the
// servers are apart and whichever of two transactions began first.
func after(now time.Time, changes ...time.Time) time.Time {
	for _, changed := range changes {
		if !now.After(changed) {
			now = changed.Add(time.Microsecond)
		}
	}
	return now
}
