package baseline

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
)

var (
	//go:embed hold.lua
	holdLua string
	//go:embed pin.lua
	pinLua string

	holdScript = redis.NewScript(holdLua)
	pinScript  = redis.NewScript(pinLua)
)

// scripted keeps holds in Redis, one script call each, and bookings in PostgreSQL, one transaction each.
type scripted struct {
	pool       *pgxpool.Pool
	client     *redis.Client
	prefix     string
	capacities map[int32]int32
}

func newScripted(ctx context.Context, pool *pgxpool.Pool, url string) (*scripted, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("the address of Redis is no URL: %w", err)
	}
	options.PoolSize = 2 * connections
	s := &scripted{pool: pool, client: redis.NewClient(options), capacities: make(map[int32]int32)}
	if err := s.learn(ctx); err != nil {
		return nil, errors.Join(err, s.client.Close())
	}
	return s, nil
}

// learn loads the scripts and the capacities; the database's name keeps the keys of two runs apart.
func (s *scripted) learn(ctx context.Context) error {
	for _, script := range []*redis.Script{holdScript, pinScript} {
		if err := script.Load(ctx, s.client).Err(); err != nil {
			return err
		}
	}
	if err := s.pool.QueryRow(ctx, "SELECT current_database()").Scan(&s.prefix); err != nil {
		return err
	}
	rows, err := s.pool.Query(ctx, "SELECT slot, capacity FROM slots")
	if err != nil {
		return err
	}
	var slot, capacity int32
	_, err = pgx.ForEachRow(rows, []any{&slot, &capacity}, func() error {
		s.capacities[slot] = capacity
		return nil
	})
	return err
}

func (s *scripted) keys(slot int32) []string {
	name := s.prefix + ":{" + strconv.Itoa(int(slot)) + "}"
	return []string{name + ":holds", name}
}

func (s *scripted) hold(ctx context.Context, slot int32) (string, error) {
	secret := random()
	length := (HoldSeconds * time.Second).Milliseconds()
	place, err := holdScript.EvalSha(ctx, s.client, s.keys(slot), s.capacities[slot], secret, length).Int()
	switch {
	case err != nil:
		return "", err
	case place == 0:
		return "", errFull
	}
	return fmt.Sprintf("%d-%d-%s", slot, place, secret), nil
}

const bookRow = `
	INSERT INTO bookings (reference, slot, place, nhs_number, given_name, family_name, date_of_birth)
	VALUES ($1, $2, $3, $4, $5, $6, $7::text::date)`

// A refused person's place goes back as one that has lapsed; where the outcome is unknown, it stays away.
func (s *scripted) confirm(ctx context.Context, hold, reference string, p person) error {
	slot, place, secret, err := parseHold(hold)
	if err != nil {
		return err
	}
	pinned, err := pinScript.EvalSha(ctx, s.client, s.keys(slot), place, secret).Int()
	switch {
	case err != nil:
		return err
	case pinned == 0:
		return errExpired
	}
	err = booked(s.pool.Exec(ctx, bookRow, reference, slot, place, p.NHSNumber, p.GivenName, p.FamilyName, p.DateOfBirth))
	if errors.Is(err, errPerson) {
		err = errors.Join(err, s.client.ZAdd(ctx, s.keys(slot)[0], redis.Z{Member: place}).Err())
	}
	return err
}

func (s *scripted) close() {
	s.pool.Close()
	if err := s.client.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "closing Redis:", err)
	}
}
