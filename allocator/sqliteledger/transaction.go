package sqliteledger

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"muster/allocator"
)

var errClosed = errors.New("the ledger is closed, or open for reading only")

// connection is one of SQLite's, with what was prepared on it. Whoever takes it from its pool has it alone.
type connection struct {
	db         *sql.DB // nil once the ledger is closed, or where it never writes
	conn       *sql.Conn
	statements map[string]*sql.Stmt
	inserts    driver.Stmt // of ordinary rows; nil until the first
	facts      *facts
}

// ready opens the connection unless it is open.
func (c *connection) ready(ctx context.Context) (err error) {
	if c.db == nil {
		return errClosed
	}
	if c.conn == nil {
		c.statements, c.facts = make(map[string]*sql.Stmt), &facts{}
		c.conn, err = c.db.Conn(ctx)
	}
	return err
}

// close closes the connection; it may be made ready again.
func (c *connection) close() error {
	if c.conn == nil {
		return nil
	}
	err := errors.Join(c.closeStatements(), c.conn.Close())
	c.conn = nil
	return err
}

func (c *connection) closeStatements() error {
	var errs []error
	for _, s := range c.statements {
		errs = append(errs, s.Close())
	}
	c.statements = nil
	if c.inserts != nil {
		errs = append(errs, c.inserts.Close())
		c.inserts = nil
	}
	return errors.Join(errs...)
}

// rollback ends a transaction that failed, wherever it stands: where SQLite cannot say that it has rolled back, the
// connection is given up, and with it whatever was open on it.
func (c *connection) rollback(ctx context.Context) {
	if _, err := c.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); err != nil {
		_ = c.closeStatements()                                      // first: without their connection they crash the program
		_ = c.conn.Raw(func(any) error { return driver.ErrBadConn }) // not to be used again
		_ = c.close()
	}
}

// take waits for a connection.
func take(ctx context.Context, pool chan *connection) (*connection, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case c := <-pool:
		if err := c.ready(context.WithoutCancel(ctx)); err != nil {
			pool <- c
			return nil, err
		}
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// tx is a transaction. One that writes has the date now.
type tx struct {
	*connection
	l       *Ledger
	ctx     context.Context
	now     int64
	touched bool // facts were changed
}

// write runs one transaction in its turn. Its error says that nothing happened, or ErrOutcomeUnknown.
func (l *Ledger) write(ctx context.Context, do func(t *tx) error) error {
	c, err := take(ctx, l.writers)
	if err != nil {
		return unavailable(err)
	}
	defer func() { l.writers <- c }()
	t := &tx{connection: c, l: l, ctx: context.WithoutCancel(ctx)}
	if err := t.exec("BEGIN IMMEDIATE"); err != nil {
		return unavailable(err)
	}
	committed := false
	defer func() {
		if !committed {
			if t.touched {
				c.facts.forget()
			}
			c.rollback(ctx)
		}
		l.clock.end()
	}()
	t.now = l.clock.next()
	if err := do(t); err != nil {
		return unavailable(err)
	}
	if err := t.exec("COMMIT"); err != nil {
		t.touched = true // perhaps
		return commitError(err)
	}
	committed = true
	return nil
}

// read runs do on one snapshot.
func (l *Ledger) read(ctx context.Context, do func(t *tx) error) error {
	c, err := take(ctx, l.readers)
	if err != nil {
		return unavailable(err)
	}
	defer func() { l.readers <- c }()
	t := &tx{connection: c, l: l, ctx: ctx}
	done := false
	defer func() {
		if !done {
			c.rollback(ctx)
		}
	}()
	if err := t.exec("BEGIN"); err != nil {
		return unavailable(err)
	}
	if err := do(t); err != nil {
		return unavailable(err)
	}
	if err := t.exec("COMMIT"); err != nil {
		return unavailable(err)
	}
	done = true
	return nil
}

// statement prepares a text once per connection.
func (t *tx) statement(text string) (*sql.Stmt, error) {
	s, ok := t.statements[text]
	if !ok {
		var err error
		if s, err = t.conn.PrepareContext(t.ctx, text); err != nil {
			return nil, err
		}
		t.statements[text] = s
	}
	return s, nil
}

// exec runs a statement.
func (t *tx) exec(text string, args ...any) error {
	_, err := t.change(text, args...)
	return err
}

// change runs a statement and tells how many rows it changed.
func (t *tx) change(text string, args ...any) (int64, error) {
	s, err := t.statement(text)
	if err != nil {
		return 0, err
	}
	r, err := s.ExecContext(t.ctx, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// each visits the rows of a query.
func (t *tx) each(text string, args []any, visit func(scan func(into ...any) error) error) error {
	s, err := t.statement(text)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(t.ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := visit(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// one reads the only row of a query; false where there is none.
func (t *tx) one(text string, args []any, into ...any) (found bool, err error) {
	err = t.each(text, args, func(scan func(into ...any) error) error {
		found = true
		return scan(into...)
	})
	return found, err
}

// unavailable says that nothing happened. Errors that say more by themselves stay as they are.
func unavailable(err error) error {
	var refusal *allocator.Error
	switch {
	case err == nil || err == errContested || errors.As(err, &refusal) || errors.Is(err, allocator.ErrIdentitySuperseded):
		return err
	case isSchema(err):
		return fmt.Errorf("%w: %w", allocator.ErrSchema, err)
	default:
		return fmt.Errorf("%w: %w", allocator.ErrUnavailable, err)
	}
}

// commitError tells what a failed COMMIT means. When the disk is full, the frame that ends the transaction in the log was
// not written whole, so it does not count. After any other I/O error it may stand there and count after a restart;
// repeating the transaction overwrites it.
func commitError(err error) error {
	var failure *sqlite.Error
	if errors.As(err, &failure) && failure.Code()&0xff == codes.SQLITE_IOERR {
		return fmt.Errorf("%w: %w", allocator.ErrOutcomeUnknown, err)
	}
	return unavailable(err)
}

// isSchema says whether a statement failed because the schema is not there.
func isSchema(err error) bool {
	var failure *sqlite.Error
	return errors.As(err, &failure) && failure.Code()&0xff == codes.SQLITE_ERROR && strings.Contains(err.Error(), "no such table")
}
