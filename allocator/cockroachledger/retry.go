package cockroachledger

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"muster/allocator"
)

// A transaction is run as a whole until it commits, fails for a reason that a repetition cannot mend, or its context or
// its attempts end. Two moments matter:
//
//   - before the commit was sent, any failure means that nothing happened;
//   - from then on only the server's word does. A lost connection, a timeout, 40003 or a server that shuts down may have
//     committed: ErrOutcomeUnknown. It is never retried here, because only the caller knows how to ask.
//
// A statement outside a transaction is its own commit, so all of it counts as the second moment.

// commitError marks an error that came when the commit had been sent.
type commitError struct{ cause error }

func (e *commitError) Error() string { return "commit: " + e.cause.Error() }
func (e *commitError) Unwrap() error { return e.cause }

// errLost says that a retried function saw its transaction lose against another one.
var errLost = errors.New("lost against another transaction")

// transact runs fn in a SERIALIZABLE transaction and retries it as a whole. fn must have no effect but through tx, and
// must set its results anew each time. A unique violation is retried too: what was there is read by the next attempt.
func (l *Ledger) transact(ctx context.Context, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return l.retry(ctx, func(patience int) error {
		return l.withConn(ctx, func(conn *pgx.Conn) error {
			return l.engine.attempt(ctx, conn, pgx.ReadWrite, patience, func(tx pgx.Tx) error { return fn(ctx, tx) })
		})
	})
}

// snapshot runs fn in a SERIALIZABLE transaction that only reads: all of it as of one instant, and never from a follower.
func (l *Ledger) snapshot(ctx context.Context, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return readOnly(l.retry(ctx, func(patience int) error {
		return l.withConn(ctx, func(conn *pgx.Conn) error {
			return l.engine.attempt(ctx, conn, pgx.ReadOnly, patience, func(tx pgx.Tx) error { return fn(ctx, tx) })
		})
	}))
}

// readOnly makes an unknown outcome plain unavailability: there was nothing to commit.
func readOnly(err error) error {
	if errors.Is(err, allocator.ErrOutcomeUnknown) {
		return fmt.Errorf("%w: %w", allocator.ErrUnavailable, errors.Unwrap(err))
	}
	return err
}

// withConn lends a connection. That there is none to be had means that nothing happened.
func (l *Ledger) withConn(ctx context.Context, use func(conn *pgx.Conn) error) error {
	conn, err := l.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", allocator.ErrUnavailable, err)
	}
	defer conn.Release()
	return use(conn.Conn())
}

// retry calls try until it succeeds or is worth no more tries, with pauses that grow and are never the same.
func (l *Ledger) retry(ctx context.Context, try func(patience int) error) error {
	var err error
	for patience := range l.options.Attempts {
		if patience > 0 {
			if !pause(ctx, patience) {
				break
			}
		}
		err = try(patience)
		if err == nil || !worthRetrying(err) {
			return verdict(err)
		}
	}
	return fmt.Errorf("%w: %w", allocator.ErrUnavailable, err)
}

const (
	firstPause = time.Millisecond
	maxPause   = 100 * time.Millisecond
)

// pause waits before another try, or answers false where ctx ended.
func pause(ctx context.Context, patience int) bool {
	d := min(firstPause<<min(patience, 10), maxPause)
	timer := time.NewTimer(d/2 + rand.N(d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// SQLSTATEs that decide something here.
const (
	stateSerialization   = "40001"
	stateDeadlock        = "40P01"
	stateUnknownOutcome  = "40003"
	stateUniqueViolation = "23505"
	stateUndefinedTable  = "42P01"
	stateUndefinedColumn = "42703"
	stateQueryCanceled   = "57014"
	stateLockTimeout     = "55P03"
	stateOutOfMemory     = "53200" // PostgreSQL: its table of locks is full, until transactions end
)

func stateOf(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// worthRetrying says whether the transaction certainly did nothing and may succeed when it runs again.
func worthRetrying(err error) bool {
	switch stateOf(err) {
	case stateSerialization, stateDeadlock, stateUniqueViolation, stateLockTimeout, stateOutOfMemory:
		return true
	}
	return errors.Is(err, errLost) || errors.Is(err, pgx.ErrTxCommitRollback)
}

// verdict puts an error that ends a call into the ledger's words.
func verdict(err error) error {
	if err == nil || isVerdict(err) {
		return err
	}
	var commit *commitError
	if errors.As(err, &commit) && !refused(commit.cause) {
		return fmt.Errorf("%w: %w", allocator.ErrOutcomeUnknown, err)
	}
	switch state := stateOf(err); {
	case state == stateUndefinedTable || state == stateUndefinedColumn:
		return fmt.Errorf("%w: %w", allocator.ErrSchema, err)
	case len(state) == 5 && (state[:2] == "22" || state[:2] == "23"):
		return fmt.Errorf("the ledger refused a value: %w", err)
	default:
		return fmt.Errorf("%w: %w", allocator.ErrUnavailable, err)
	}
}

func isVerdict(err error) bool {
	for _, known := range []error{
		allocator.ErrUnavailable, allocator.ErrOutcomeUnknown, allocator.ErrSchema, allocator.ErrIdentitySuperseded,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// refused says whether an error at the commit proves that nothing was committed: the server said so, in so many words,
// and went on living. Cancelled statements (57014) are in doubt on CockroachDB; classes 08 and 57 come from servers that
// end, and 40003 says itself that nobody knows. pgconn.SafeToRetry is no evidence here: a connection that was lost while
// the answer to COMMIT was read says "conn closed, safe to retry" too.
func refused(err error) bool {
	if errors.Is(err, pgx.ErrTxCommitRollback) {
		return true
	}
	state := stateOf(err)
	if len(state) != 5 || state == stateUnknownOutcome {
		return false
	}
	switch state[:2] {
	case "22", "23", "25", "28", "3D", "40", "42", "53", "54", "55":
		return true
	}
	return false
}
