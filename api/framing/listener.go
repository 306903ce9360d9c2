// Package framing reads along with an HTTP/1.1 server and ends a connection at the first request that a proxy before the
// server might read otherwise: two lengths, a length and chunks, two hosts, lines that end in LF alone, folded lines, names
// with spaces, chunk sizes with more than digits, a target that names another host. Such requests are how one person's
// request is made the beginning of another's ("request smuggling"); servers that guess at their meaning lose.
//
// What it lets pass is still for the server to read: values, sizes, paths, and times are none of its business.
package framing

import (
	"net"
)

// Listener makes connections of inner that give a server only what can be read in one way. A head (request line and headers)
// has at most maxHead bytes: as many as the server takes. Connections are as safe for concurrent use as inner's.
func Listener(inner net.Listener, maxHead int) net.Listener { return listener{inner, maxHead} }

type listener struct {
	net.Listener
	maxHead int
}

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, along: reader{maxHead: l.maxHead}}, nil
}

// conn is a connection of which the server sees nothing from the first fault on.
type conn struct {
	net.Conn
	along reader
	fault error
}

// noRequest begins a line that is never sent on. Between requests the server needs one byte to know that somebody asked, or it
// would close the connection without an answer; after the last chunk, to know that more was sent.
const noRequest = 'X'

// Read gives what was received up to the first request that is at fault, and then a Fault.
func (c *conn) Read(p []byte) (int, error) {
	if c.fault != nil {
		return 0, c.fault
	}
	n, err := c.Conn.Read(p)
	if n == 0 {
		return 0, err
	}
	good, fault := c.along.read(p[:n])
	if fault == nil {
		return n, err
	}
	c.fault = fault
	if c.along.state == inBody && c.along.part != trailers {
		return good, fault
	}
	p[good] = noRequest
	return good + 1, nil
}
