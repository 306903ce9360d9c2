// Package baseline is what muster is compared with: allocators as one would write them without combining, complete and
// durable, behind the HTTP shape of muster's hold and confirm.
//
// Every kind but the no-op keeps the same rules: a slot never gives more than its capacity, a place has one live booking
// (the guarded counter knows no places, only their number), a person has one booking, a hold lapses after HoldSeconds, and
// a confirm is answered after its commit. They do less than muster: Idempotency-Key is not looked at, holds are not signed,
// slots are known by heart, nothing is audited, searched, moved or cancelled. Each of these favours the baseline.
package baseline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/valyala/fasthttp"
)

// Kind names a baseline.
type Kind string

// The kinds of baselines.
const (
	SkipLocked Kind = "postgres-skip-locked" // a row per place, taken by SELECT … FOR UPDATE SKIP LOCKED
	Counter    Kind = "postgres-counter"     // a row per slot with a guarded counter
	Script     Kind = "redis-script"         // one script call per hold, one transaction per confirm
	Commands   Kind = "redis-commands"       // plain Redis commands for a hold, one transaction per confirm
	NoOp       Kind = "no-op"                // HTTP alone: nothing is kept
)

// HoldSeconds is how long a hold lasts, as muster's default is.
const HoldSeconds = 300

// connections to PostgreSQL: more of them only make it slower on few cores.
const connections = 32

// Config says where a baseline keeps what it knows. The no-op uses neither.
type Config struct {
	Kind     Kind
	Postgres string // URL of a database that Fill has filled
	Redis    string // URL; Script and Commands only
	Search   int    // bytes of the no-op's reply to a search
}

var (
	errFull    = errors.New("no place is free")
	errExpired = errors.New("the hold is not there any more")
	errPerson  = errors.New("the person has a booking")
	errUnknown = errors.New("nothing is published there")
)

// person is who a confirm is for.
type person struct{ NHSNumber, GivenName, FamilyName, DateOfBirth string }

// store allocates places of slots by their numbers. Safe for concurrent use.
type store interface {
	// hold takes a place and names the hold.
	hold(ctx context.Context, slot int32) (string, error)
	// confirm books a hold under a reference; nil once that is durable.
	confirm(ctx context.Context, hold, reference string, p person) error
	close()
}

// Serve answers on the listener until ctx ends, then closes everything.
func Serve(ctx context.Context, c Config, listener net.Listener) error {
	slots, s, err := open(ctx, c)
	if err != nil {
		return err
	}
	defer s.close()
	h := handler{ctx: ctx, slots: slots, store: s, found: bytes.Repeat([]byte{' '}, c.Search)}
	server := &fasthttp.Server{Handler: h.serve, NoDefaultServerHeader: true, CloseOnShutdown: true}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return server.ShutdownWithContext(last)
	}
}

func open(ctx context.Context, c Config) (map[slotName]int32, store, error) {
	if c.Kind == NoOp {
		return nil, noOp{}, nil
	}
	pool, err := connect(ctx, c.Postgres)
	if err != nil {
		return nil, nil, err
	}
	slots, err := slotNumbers(ctx, pool)
	if err != nil {
		pool.Close()
		return nil, nil, err
	}
	switch c.Kind {
	case SkipLocked:
		return slots, &skipLocked{pool}, nil
	case Counter:
		return slots, &counter{pool}, nil
	case Script:
		s, err := newScripted(ctx, pool, c.Redis)
		if err != nil {
			pool.Close()
		}
		return slots, s, err
	case Commands:
		s, err := newCommands(ctx, pool, c.Redis)
		if err != nil {
			pool.Close()
		}
		return slots, s, err
	}
	pool.Close()
	return nil, nil, fmt.Errorf("there is no baseline %q", c.Kind)
}

// connect opens the pool with what these statements need and no more: unique indexes and row locks guard every rule, so
// read committed is enough, and serializable would only cost the baseline retries.
func connect(ctx context.Context, url string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = connections
	config.MinConns = connections
	config.ConnConfig.RuntimeParams["default_transaction_isolation"] = "read committed"
	config.ConnConfig.RuntimeParams["synchronous_commit"] = "on"
	return pgxpool.NewWithConfig(ctx, config)
}

type slotName struct{ site, start string }

func slotNumbers(ctx context.Context, pool *pgxpool.Pool) (map[slotName]int32, error) {
	rows, err := pool.Query(ctx, "SELECT slot, site, start FROM slots")
	if err != nil {
		return nil, err
	}
	slots := make(map[slotName]int32)
	var number int32
	var name slotName
	_, err = pgx.ForEachRow(rows, []any{&number, &name.site, &name.start}, func() error {
		slots[name] = number
		return nil
	})
	return slots, err
}

// booked turns what an INSERT of a booking said into what a citizen is told.
func booked(tag pgconn.CommandTag, err error) error {
	var refusal *pgconn.PgError
	switch {
	case errors.As(err, &refusal) && refusal.ConstraintName == "bookings_person":
		return errPerson
	case errors.As(err, &refusal) && refusal.ConstraintName == "bookings_place":
		return errExpired
	case err != nil:
		return err
	case tag.RowsAffected() == 0:
		return errExpired
	}
	return nil
}
