package crashpoints

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"modernc.org/sqlite"
)

// Dial reaches a PostgreSQL or CockroachDB server by a connection that knows a commit when it sees one. Without TLS only:
// it reads what is sent.
func (p *Plan) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &databaseConn{Conn: conn, plan: p}, nil
}

// databaseConn passes the points of a commit. There are two kinds: the statement COMMIT of a transaction that may write,
// and a statement outside any transaction that inserts bookings, which is its own commit. A session has one of them under
// way at a time, so the next word from the server is its answer.
type databaseConn struct {
	net.Conn
	plan     *Plan
	awaiting atomic.Bool // the answer to a commit

	mu       sync.Mutex // of what follows: a connection has one writer, which is not always the same goroutine
	open     bool       // a transaction is
	readOnly bool       // and does not write
	inserts  map[string]bool
}

func (c *databaseConn) Write(b []byte) (int, error) {
	if !c.commits(b) {
		return c.Conn.Write(b)
	}
	c.plan.committing(before)
	c.awaiting.Store(true)
	n, err := c.Conn.Write(b)
	c.plan.committing(sent)
	return n, err
}

func (c *databaseConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && c.awaiting.CompareAndSwap(true, false) {
		c.plan.committing(after)
	}
	return n, err
}

// commits follows the session through what is sent, and says whether that commits anything. The driver sends whole
// messages: a type, a length that counts itself, and the rest.
func (c *databaseConn) commits(b []byte) (found bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(b) >= 5 && b[0] != 0 { // the first message of all has no type
		length := int(binary.BigEndian.Uint32(b[1:]))
		if length < 4 || 1+length > len(b) {
			return found
		}
		found = c.message(b[0], b[5:1+length]) || found
		b = b[1+length:]
	}
	return found
}

func (c *databaseConn) message(kind byte, body []byte) (commits bool) {
	switch kind {
	case 'Q':
		switch text := bytes.ToLower(body); {
		case bytes.HasPrefix(text, []byte("begin")):
			c.open, c.readOnly = true, bytes.Contains(text, []byte("read only"))
		case bytes.HasPrefix(text, []byte("commit")):
			commits = c.open && !c.readOnly
			c.open = false
		case bytes.Equal(text, []byte("rollback\x00")):
			c.open = false
		}
	case 'P': // a statement's name and its text
		if name, text, ok := bytes.Cut(body, []byte{0}); ok && bytes.Contains(text, []byte("INSERT INTO bookings")) {
			if c.inserts == nil {
				c.inserts = make(map[string]bool)
			}
			c.inserts[string(name)] = true
		}
	case 'B': // a portal's name and the statement's
		if _, rest, ok := bytes.Cut(body, []byte{0}); ok && !c.open {
			name, _, _ := bytes.Cut(rest, []byte{0})
			commits = c.inserts[string(name)]
		}
	}
	return commits
}

// SQLite makes every connection to a SQLite file that is opened from now on pass the point before its commits: the
// transaction is whole, and none of it is in the file. Call it once.
func (p *Plan) SQLite() {
	sqlite.RegisterConnectionHook(func(conn sqlite.ExecQuerierContext, _ string) error {
		hooks, ok := conn.(sqlite.HookRegisterer)
		if !ok {
			return fmt.Errorf("%T takes no hooks", conn)
		}
		hooks.RegisterCommitHook(func() int32 {
			p.committing(before)
			return 0
		})
		return nil
	})
}
