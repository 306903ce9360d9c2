package sqliteledger

import (
	"context"
	"database/sql/driver"
	"errors"
	"strings"

	"modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"muster/allocator"
)

// Recording, the ordinary way: every item is new, its pins prove that the inventory had seen everything, and nobody else
// has its key, place or person. Then allocator.DecideRecords would answer Recorded to each and write its rows as they
// came, so they are inserted without a look at what is there. The unique indexes look: of the key (the request's own rows,
// a void, two claims that met in 60 bits), of live rows by place, and of live rows by person. These are all of the
// decisions that are left where the pins prove the rest, and an index sees the batch's own earlier rows as well.
//
// Where an index, or any other constraint, refuses a row, the transaction is rolled back, and the whole batch is decided
// the general way in another one. So one loser costs its neighbours time and nothing else, and there is one rule.
//
// One statement inserts one row. One of many rows would have to be undone by itself, and SQLite would first copy each page
// that it changes; the calls through database/sql cost as much as the insert, so they are left out.

// errContested says that a batch needs the general way. It never leaves this package.
var errContested = errors.New("a constraint refused an ordinary row")

const insertOrdinary = `INSERT INTO bookings (id, booking_key, hold, claims, site_id, starts_at, length, date, place, service,
	programme, dose, person, one_person, sealed, recorded_at, booked_by, status, version, reason)
	VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,'booked',1,'')`

// mayBeOrdinary says whether items have the shape for it: a pin, and nothing to replace.
func mayBeOrdinary(items []allocator.Recording) bool {
	for i := range items {
		if len(items[i].Pins) == 0 || items[i].Replaces != 0 {
			return false
		}
	}
	return true
}

// recordOrdinary records a batch, or fails with errContested: then nothing happened.
func (l *Ledger) recordOrdinary(ctx context.Context, items []allocator.Recording) (results []allocator.RecordResult, err error) {
	err = l.write(ctx, func(t *tx) error {
		proven, err := t.proves(items)
		if err != nil {
			return err
		}
		if !proven {
			return errContested
		}
		id, err := t.nextID()
		if err != nil {
			return err
		}
		results = recorded(items, t.now)
		return t.insertRecorded(id, items, results)
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// recorded answers that every item was recorded at an instant.
func recorded(items []allocator.Recording, now int64) []allocator.RecordResult {
	n := 0
	for i := range items {
		n += len(items[i].Claims)
	}
	rows := make([]allocator.Booking, 0, n)
	results := make([]allocator.RecordResult, len(items))
	at := instant(now)
	for i := range items {
		first := len(rows)
		for _, c := range items[i].Claims {
			c.Status, c.Version, c.RecordedAt = allocator.StatusBooked, 1, at
			rows = append(rows, c)
		}
		results[i] = allocator.RecordResult{Outcome: allocator.Recorded, Rows: rows[first:len(rows):len(rows)]}
	}
	return results
}

// insertRecorded writes the rows of results, numbered from id on.
func (t *tx) insertRecorded(id int64, items []allocator.Recording, results []allocator.RecordResult) error {
	siblings := claimsOf(items)
	return t.conn.Raw(func(c any) error {
		statement, err := t.ordinary(c)
		if err != nil {
			return err
		}
		args := make([]driver.NamedValue, strings.Count(insertOrdinary, "?"))
		for i := range args {
			args[i].Ordinal = i + 1
		}
		for i := range results {
			for j := range results[i].Rows {
				b := &results[i].Rows[j]
				claims := siblings[b.Hold]
				if siblings == nil {
					claims = 1
				}
				fillOrdinary(args, b, id, claims, t.now, items[i].Actor)
				if _, err := statement.ExecContext(t.ctx, args); err != nil {
					return contested(err)
				}
				id++
			}
		}
		return nil
	})
}

// claimsOf counts the claims of each grant; nil where every item has one. Grants of different items differ: a request's
// second item would have the keys of its first.
func claimsOf(items []allocator.Recording) map[allocator.HoldID]int {
	several := false
	for i := range items {
		several = several || len(items[i].Claims) > 1
	}
	if !several {
		return nil
	}
	claims := make(map[allocator.HoldID]int, len(items))
	for i := range items {
		for j := range items[i].Claims {
			claims[items[i].Claims[j].Hold]++
		}
	}
	return claims
}

// fillOrdinary puts a row into the arguments of insertOrdinary.
func fillOrdinary(args []driver.NamedValue, b *allocator.Booking, id int64, claims int, now int64, actor string) {
	var person, sealed any
	if b.Person != (allocator.PersonKey{}) {
		person = b.Person[:]
	}
	if len(b.Sealed) > 0 {
		sealed = b.Sealed
	}
	for i, value := range [...]any{
		id, int64(b.Key), b.Hold.Bytes(), int64(claims), string(b.Slot.Site), int64(b.Slot.Start), int64(b.Slot.Length),
		int64(b.Date), int64(b.Place), string(b.Service), b.Programme, int64(b.Dose), person, b.OnePerson, sealed, now, actor,
	} {
		args[i].Value = value
	}
}

// ordinary is the driver's prepared insertOrdinary.
func (c *connection) ordinary(driverConn any) (driver.StmtExecContext, error) {
	if c.inserts == nil {
		s, err := driverConn.(driver.ConnPrepareContext).PrepareContext(context.Background(), insertOrdinary)
		if err != nil {
			return nil, err
		}
		c.inserts = s
	}
	return c.inserts.(driver.StmtExecContext), nil
}

// contested tells a constraint's refusal from other failures.
func contested(err error) error {
	var failure *sqlite.Error
	if errors.As(err, &failure) && failure.Code()&0xff == codes.SQLITE_CONSTRAINT {
		return errContested
	}
	return err
}
