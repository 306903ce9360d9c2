package baseline

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Slot is one slot to fill a baseline with. Start is written as clients write it.
type Slot struct {
	Site, Start string
	Capacity    int
}

const bookingsTable = `
	CREATE TABLE slots (slot int PRIMARY KEY, site text NOT NULL, start text NOT NULL, capacity int NOT NULL);
	CREATE TABLE bookings (
		reference text PRIMARY KEY, slot int NOT NULL, place int, nhs_number text NOT NULL,
		given_name text NOT NULL, family_name text NOT NULL, date_of_birth date NOT NULL,
		recorded_at timestamptz NOT NULL DEFAULT now());
	CREATE UNIQUE INDEX bookings_person ON bookings (nhs_number);`

const placeIndex = `CREATE UNIQUE INDEX bookings_place ON bookings (slot, place);`

// schemas are what each kind keeps in PostgreSQL.
var schemas = map[Kind]string{
	SkipLocked: bookingsTable + placeIndex + `
		CREATE TABLE places (slot int, place int, booked boolean NOT NULL DEFAULT false, hold text, held_until timestamptz,
			PRIMARY KEY (slot, place)) WITH (fillfactor = 70);`,
	Counter: bookingsTable + `
		CREATE INDEX bookings_slot ON bookings (slot);
		CREATE TABLE counters (slot int PRIMARY KEY, free int NOT NULL CHECK (free >= 0)) WITH (fillfactor = 50);
		CREATE TABLE holds (hold text PRIMARY KEY, slot int NOT NULL, held_until timestamptz NOT NULL);
		CREATE INDEX holds_lapse ON holds (held_until);`,
	Script:   bookingsTable + placeIndex,
	Commands: bookingsTable + placeIndex,
}

// fillings give every slot its places.
var fillings = map[Kind]string{
	SkipLocked: `INSERT INTO places (slot, place) SELECT slot, generate_series(1, capacity) FROM slots;
		CREATE INDEX places_free ON places (slot, place) WHERE hold IS NULL;`,
	Counter: `INSERT INTO counters SELECT slot, capacity FROM slots;`,
}

// filled are the tables that fillings write.
var filled = map[Kind]string{SkipLocked: ", places", Counter: ", counters"}

// Fill makes what a baseline keeps in an empty database, and in Redis, and fills it with slots.
func Fill(ctx context.Context, config Config, slots []Slot) error {
	kind := config.Kind
	schema, ok := schemas[kind]
	if !ok {
		return nil
	}
	c, err := pgx.Connect(ctx, config.Postgres)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	if _, err := c.Exec(ctx, schema); err != nil {
		return err
	}
	_, err = c.CopyFrom(ctx, pgx.Identifier{"slots"}, []string{"slot", "site", "start", "capacity"},
		pgx.CopyFromSlice(len(slots), func(i int) ([]any, error) {
			return []any{int32(i + 1), slots[i].Site, slots[i].Start, int32(slots[i].Capacity)}, nil
		}))
	if err != nil {
		return err
	}
	if _, err := c.Exec(ctx, fillings[kind]); err != nil {
		return err
	}
	_, err = c.Exec(ctx, "VACUUM ANALYZE slots"+filled[kind])
	if err == nil && kind == Commands {
		err = fillLists(ctx, c, config.Redis, slots)
	}
	return err
}

// skipLocked keeps a row for each place.
type skipLocked struct{ pool *pgxpool.Pool }

// Without ORDER BY, the planner may read the table from its beginning in the hope of a match. A hold is named by its slot,
// place and a secret, so that a confirm finds its row by the primary key.
const takePlace = `
	UPDATE places SET hold = $2, held_until = now() + make_interval(secs => $3)
	WHERE (slot, place) = (SELECT slot, place FROM places WHERE slot = $1 AND hold IS NULL
		ORDER BY place LIMIT 1 FOR UPDATE SKIP LOCKED)
	RETURNING place`

const takeLapsed = `
	UPDATE places SET hold = $2, held_until = now() + make_interval(secs => $3)
	WHERE (slot, place) = (SELECT slot, place FROM places
		WHERE slot = $1 AND NOT booked AND held_until < now()
		ORDER BY place LIMIT 1 FOR UPDATE SKIP LOCKED)
	RETURNING place`

func (s *skipLocked) hold(ctx context.Context, slot int32) (string, error) {
	secret := random()
	for _, statement := range []string{takePlace, takeLapsed} {
		var place int32
		err := s.pool.QueryRow(ctx, statement, slot, secret, float64(HoldSeconds)).Scan(&place)
		if err == nil {
			return fmt.Sprintf("%d-%d-%s", slot, place, secret), nil
		}
		if err != pgx.ErrNoRows {
			return "", err
		}
	}
	return "", errFull
}

const bookPlace = `
	WITH taken AS (
		UPDATE places SET booked = true WHERE slot = $1 AND place = $2 AND hold = $3 AND NOT booked AND held_until > now()
		RETURNING slot, place)
	INSERT INTO bookings (reference, slot, place, nhs_number, given_name, family_name, date_of_birth)
	SELECT $4, slot, place, $5, $6, $7, $8::text::date FROM taken`

func (s *skipLocked) confirm(ctx context.Context, hold, reference string, p person) error {
	slot, place, secret, err := parseHold(hold)
	if err != nil {
		return err
	}
	return booked(s.pool.Exec(ctx, bookPlace, slot, place, secret, reference, p.NHSNumber, p.GivenName, p.FamilyName, p.DateOfBirth))
}

func (s *skipLocked) close() { s.pool.Close() }

func parseHold(hold string) (slot, place int32, secret string, err error) {
	if _, err := fmt.Sscanf(hold, "%d-%d-%s", &slot, &place, &secret); err != nil {
		return 0, 0, "", errExpired
	}
	return slot, place, secret, nil
}

// counter keeps a number for each slot.
type counter struct{ pool *pgxpool.Pool }

const countDown = `
	WITH taken AS (UPDATE counters SET free = free - 1 WHERE slot = $1 AND free > 0 RETURNING slot)
	INSERT INTO holds SELECT $2, slot, now() + make_interval(secs => $3) FROM taken`

// A full slot takes back what has lapsed, and is asked once more.
const takeBack = `
	WITH lapsed AS (DELETE FROM holds WHERE slot = $1 AND held_until < now() RETURNING slot)
	UPDATE counters SET free = free + (SELECT count(*) FROM lapsed) WHERE slot = $1 AND EXISTS (SELECT 1 FROM lapsed)`

func (c *counter) hold(ctx context.Context, slot int32) (string, error) {
	id := random()
	for range 2 {
		tag, err := c.pool.Exec(ctx, countDown, slot, id, float64(HoldSeconds))
		if err != nil {
			return "", err
		}
		if tag.RowsAffected() == 1 {
			return id, nil
		}
		if tag, err = c.pool.Exec(ctx, takeBack, slot); err != nil {
			return "", err
		}
		if tag.RowsAffected() == 0 {
			break
		}
	}
	return "", errFull
}

const bookHold = `
	WITH taken AS (DELETE FROM holds WHERE hold = $1 AND held_until > now() RETURNING slot)
	INSERT INTO bookings (reference, slot, nhs_number, given_name, family_name, date_of_birth)
	SELECT $2, slot, $3, $4, $5, $6::text::date FROM taken`

func (c *counter) confirm(ctx context.Context, hold, reference string, p person) error {
	return booked(c.pool.Exec(ctx, bookHold, hold, reference, p.NHSNumber, p.GivenName, p.FamilyName, p.DateOfBirth))
}

func (c *counter) close() { c.pool.Close() }
