package cockroachledger

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// transactionFaults fails one step of a transaction, a statement, a batch or the commit, as a server does that could
// not serialize it, or has no memory left for its locks.
type transactionFaults struct {
	state string
	at    int // the step that fails, once, counted over all attempts
	steps atomic.Int64
	hit   atomic.Bool
}

func (f *transactionFaults) err() error { return &pgconn.PgError{Code: f.state, Message: "injected"} }

func (f *transactionFaults) context(ctx context.Context) context.Context {
	return context.WithValue(ctx, wrapTx{}, func(tx pgx.Tx) pgx.Tx { return &faultyTx{tx, f} })
}

func (f *transactionFaults) fails() bool {
	if int(f.steps.Add(1)) == f.at {
		f.hit.Store(true)
		return true
	}
	return false
}

type faultyTx struct {
	pgx.Tx
	faults *transactionFaults
}

func (tx *faultyTx) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	if tx.faults.fails() {
		return pgconn.CommandTag{}, tx.faults.err()
	}
	return tx.Tx.Exec(ctx, sql, args...)
}

func (tx *faultyTx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if tx.faults.fails() {
		return nil, tx.faults.err()
	}
	return tx.Tx.Query(ctx, sql, args...)
}

func (tx *faultyTx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	if tx.faults.fails() {
		return faultyRow{tx.faults.err()}
	}
	return tx.Tx.QueryRow(ctx, sql, args...)
}

func (tx *faultyTx) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	if tx.faults.fails() {
		return faultyBatch{err: tx.faults.err()}
	}
	return tx.Tx.SendBatch(ctx, b)
}

func (tx *faultyTx) Commit(ctx context.Context) error {
	if tx.faults.fails() {
		return errors.Join(tx.Rollback(ctx), tx.faults.err())
	}
	return tx.Tx.Commit(ctx)
}

type faultyRow struct{ err error }

func (r faultyRow) Scan(...any) error { return r.err }

type faultyBatch struct {
	pgx.BatchResults
	err error
}

func (b faultyBatch) Close() error { return b.err }

// cut says where a network cuts connections.
type cut int32

const (
	whole         cut = iota
	afterCommit       // when the server has answered a COMMIT, before the answer arrives
	afterExecute      // the same for a statement of its own
	beforeExecute     // instead of sending it
	noneToBeHad       // at once, for new connections
)

// network reaches a server and cuts one connection when it is told to.
type network struct{ armed atomic.Int32 }

func (n *network) arm(c cut) { n.armed.Store(int32(c)) }

func (n *network) dial(ctx context.Context, protocol, address string) (net.Conn, error) {
	if cut(n.armed.Load()) == noneToBeHad {
		return nil, errors.New("injected: connection refused")
	}
	conn, err := new(net.Dialer).DialContext(ctx, protocol, address)
	if err != nil {
		return nil, err
	}
	return &line{conn, n}, nil
}

type line struct {
	net.Conn
	network *network
}

func (l *line) Write(p []byte) (int, error) {
	c := cut(l.network.armed.Load())
	wanted := c == afterCommit && sends(p, 'Q', "commit") || (c == afterExecute || c == beforeExecute) && sends(p, 'E', "")
	if !wanted || !l.network.armed.CompareAndSwap(int32(c), int32(whole)) {
		return l.Conn.Write(p)
	}
	if c == beforeExecute {
		_ = l.Conn.Close()
		return 0, errors.New("injected: connection lost")
	}
	n, err := l.Conn.Write(p)
	if err == nil {
		_, err = l.Conn.Read(make([]byte, 1)) // the server has done it
	}
	_ = l.Conn.Close()
	return n, err
}

// sends says whether a piece of the protocol has a message of a type whose body begins with a text.
func sends(p []byte, kind byte, text string) bool {
	for len(p) >= 5 {
		length := int(binary.BigEndian.Uint32(p[1:]))
		if length < 4 || len(p) < 1+length {
			return false
		}
		body := string(p[5 : 1+length])
		if p[0] == kind && len(body) >= len(text) && body[:len(text)] == text {
			return true
		}
		p = p[1+length:]
	}
	return false
}
