package cockroachledger

import (
	"context"
	"fmt"
	"strings"
	"time"

	crdbpgx "github.com/cockroachdb/cockroach-go/v2/crdb/crdbpgxv5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cockroachdb/cockroach-go/v2/crdb"
)

// This file holds everything that differs between the engines.

// Engine is which database answers.
type Engine string

// The engines.
const (
	CockroachDB Engine = "CockroachDB"
	PostgreSQL  Engine = "PostgreSQL"
)

// engineOf reads what SELECT version() says.
func engineOf(version string) (Engine, error) {
	switch {
	case strings.HasPrefix(version, "CockroachDB"):
		return CockroachDB, nil
	case strings.HasPrefix(version, "PostgreSQL"):
		return PostgreSQL, nil
	default:
		return "", fmt.Errorf("neither CockroachDB nor PostgreSQL answers, but %.60q", version)
	}
}

// postgresSession keeps PostgreSQL's planner to index scans. A plan that was made for an empty table is kept until the
// table is next analysed, and a sequential scan locks the whole table against every other serializable transaction.
const postgresSession = `SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off`

// prepareSession sets up a new connection and refuses one that is not serializable.
func prepareSession(ctx context.Context, conn *pgx.Conn) error {
	var version, isolation string
	if err := conn.QueryRow(ctx, "SELECT version()").Scan(&version); err != nil {
		return err
	}
	engine, err := engineOf(version)
	if err != nil {
		return err
	}
	if err := conn.QueryRow(ctx, "SHOW transaction_isolation").Scan(&isolation); err != nil {
		return err
	}
	if isolation != "serializable" {
		return fmt.Errorf("connections are %s, not serializable", isolation)
	}
	if engine == PostgreSQL {
		_, err = conn.Exec(ctx, postgresSession)
	}
	return err
}

// afterMigrations has PostgreSQL compare site ids byte by byte, as CockroachDB always does: the order of pages is then the
// same everywhere, and no index depends on a locale. Only columns that do not yet are altered, by one program at a time.
func (e Engine) afterMigrations(ctx context.Context, pool *pgxpool.Pool) error {
	if e != PostgreSQL {
		return nil
	}
	tx, err := pool.BeginTx(ctx, pgx.TxOptions{BeginQuery: "BEGIN; LOCK TABLE " + versionTable + " IN SHARE UPDATE EXCLUSIVE MODE"})
	if err != nil {
		return err
	}
	err = compareByBytes(ctx, tx)
	if err == nil {
		err = keepTrail(ctx, tx)
	}
	if err != nil {
		rollback(ctx, tx)
		return err
	}
	return tx.Commit(ctx)
}

// keepTrail has PostgreSQL refuse every change of the audit trail but an append. CockroachDB before 24.3 has no triggers: there,
// grants do it (docs/operations.md). Neither stops the tables' owner; the hashes and seals show what the owner did.
func keepTrail(ctx context.Context, tx pgx.Tx) error {
	var kept bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'trail'::regclass AND tgname = 'trail_is_kept')`).Scan(&kept)
	if err != nil || kept {
		return err
	}
	_, err = tx.Exec(ctx, `
		CREATE OR REPLACE FUNCTION trail_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN RAISE EXCEPTION 'the audit trail is append-only'; END $$;
		CREATE TRIGGER trail_is_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON trail
		FOR EACH STATEMENT EXECUTE FUNCTION trail_is_append_only()`)
	return err
}

func compareByBytes(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `SELECT c.relname, a.attname
		FROM pg_attribute a
		JOIN pg_class c ON c.oid = a.attrelid
		JOIN pg_collation l ON l.oid = a.attcollation
		WHERE c.relnamespace = current_schema()::regnamespace AND c.relname IN ('sites', 'days', 'plans', 'services', 'bookings')
			AND a.attname IN ('site_id', 'service', 'programme') AND c.relkind = 'r' AND l.collname <> 'C'`)
	if err != nil {
		return err
	}
	columns, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct{ Table, Column string }])
	if err != nil {
		return err
	}
	for _, c := range columns {
		table, column := pgx.Identifier{c.Table}.Sanitize(), pgx.Identifier{c.Column}.Sanitize()
		if _, err := tx.Exec(ctx, "ALTER TABLE "+table+" ALTER COLUMN "+column+` TYPE TEXT COLLATE "C"`); err != nil {
			return fmt.Errorf("compare %s.%s by bytes: %w", c.Table, c.Column, err)
		}
	}
	return nil
}

// attempt runs fn in one transaction once (PostgreSQL) or with the server's own restarts (CockroachDB). An error that came
// at the commit is a commitError. Patience is how often the transaction failed to serialize before.
func (e Engine) attempt(ctx context.Context, conn *pgx.Conn, mode pgx.TxAccessMode, patience int, fn func(pgx.Tx) error) error {
	if e == CockroachDB {
		return attemptCockroach(ctx, conn, mode, fn)
	}
	return attemptPostgres(ctx, conn, mode, patience, fn)
}

// cockroachRestarts bounds the restarts of one attempt; the attempts around it are paced.
const cockroachRestarts = 8

func attemptCockroach(ctx context.Context, conn *pgx.Conn, mode pgx.TxAccessMode, fn func(pgx.Tx) error) error {
	options := pgx.TxOptions{IsoLevel: pgx.Serializable, AccessMode: mode}
	returned := false // whether fn was content the last time: then the error is that of the commit
	err := crdbpgx.ExecuteTx(crdb.WithMaxRetries(ctx, cockroachRestarts), conn, options, func(tx pgx.Tx) error {
		returned = false
		err := fn(tx)
		returned = err == nil
		return err
	})
	if err != nil && returned {
		return &commitError{err}
	}
	return err
}

// afterSerializationFailures is how often a writing transaction on PostgreSQL may lose against others before it has the
// other writers of bookings wait. There a transaction that loses gets no place in a queue: a change of capacity beside a
// steady stream of confirms for that day would lose for ever. On CockroachDB its locks hold the stream up by themselves.
const afterSerializationFailures = 3

func attemptPostgres(ctx context.Context, conn *pgx.Conn, mode pgx.TxAccessMode, patience int, fn func(pgx.Tx) error) error {
	begin := "BEGIN ISOLATION LEVEL SERIALIZABLE " + string(mode)
	if deadline, ok := ctx.Deadline(); ok {
		left := max(time.Until(deadline).Milliseconds(), 1)
		begin += fmt.Sprintf("; SET LOCAL statement_timeout = %d", left)
	}
	if mode == pgx.ReadWrite && patience >= afterSerializationFailures {
		begin += "; LOCK TABLE bookings IN SHARE ROW EXCLUSIVE MODE"
	}
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{BeginQuery: begin})
	if err != nil {
		return err
	}
	if wrap, ok := ctx.Value(wrapTx{}).(func(pgx.Tx) pgx.Tx); ok {
		tx = wrap(tx)
	}
	if err := fn(tx); err != nil {
		rollback(ctx, tx)
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return &commitError{err}
	}
	return nil
}

// wrapTx is the context key under which tests put a function that wraps transactions in faults.
type wrapTx struct{}

// rollback ends a failed transaction whatever became of its context.
func rollback(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	_ = tx.Rollback(ctx) // a connection that cannot roll back is closed, which rolls back
}

const rollbackTimeout = time.Second
