package servers

import (
	"context"
	"net/url"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"muster/loadtest/processes"
)

// Postgres makes a new empty database in the shared PostgreSQL and returns its URL; cleanup drops it, connections or
// not. The server runs serializable by default.
func Postgres(tb testing.TB) string {
	tb.Helper()
	return newDatabase(tb, variable(tb, "MUSTER_TEST_POSTGRES_URL"), " WITH (FORCE)")
}

// Cockroach makes a new empty database in the CockroachDB that MUSTER_TEST_COCKROACH_URL names, if it names one, and
// returns its URL; cleanup drops it. No run installs CockroachDB, so having none is never a failure.
func Cockroach(tb testing.TB) (databaseURL string, ok bool) {
	tb.Helper()
	server := os.Getenv("MUSTER_TEST_COCKROACH_URL")
	if server == "" {
		return "", false
	}
	return newDatabase(tb, server, " CASCADE"), true
}

func newDatabase(tb testing.TB, server, dropWords string) string {
	tb.Helper()
	address, err := url.Parse(server)
	if err != nil || address.Host == "" {
		tb.Fatalf("the address of the test database is not a URL such as postgresql://user@host:port/database")
	}
	name := uniqueName("muster_test")
	quoted := pgx.Identifier{name}.Sanitize()
	if err := execute(server, "CREATE DATABASE "+quoted); err != nil {
		tb.Fatalf("create database %s: %v", name, err)
	}
	tb.Cleanup(func() {
		if err := execute(server, "DROP DATABASE IF EXISTS "+quoted+dropWords); err != nil {
			tb.Errorf("drop database %s: %v", name, err)
		}
	})
	address.Path = "/" + name
	return address.String()
}

// execute runs one statement on a connection of its own, waiting for the server to take it.
func execute(server, statement string) error {
	var connection *pgx.Conn
	err := processes.Await(context.Background(), readyTimeout, func(ctx context.Context) (err error) {
		connection, err = pgx.Connect(ctx, server)
		return err
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	_, err = connection.Exec(ctx, statement)
	if closeErr := connection.Close(ctx); err == nil {
		err = closeErr
	}
	return err
}
