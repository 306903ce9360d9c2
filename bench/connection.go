package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// requestTimeout is far beyond what any engine needs: a request that takes so long has an unknown outcome.
const requestTimeout = 30 * time.Second

// maxReply is more than any engine answers.
const maxReply = 64 << 20

// connection asks one server, one request at a time, over one TCP connection that it opens when it must. It knows as much of
// HTTP/1.1 as servers answer: informational replies before the real one, bodies of a told length, in chunks, or up to the end
// of the connection. The generator shares the machine with what it measures, so it does no more. Not safe for concurrent use.
type connection struct {
	address  string
	conn     net.Conn // nil: to be opened
	in       *bufio.Reader
	out      []byte
	body     []byte    // of the last reply
	deadline time.Time // as it was set
}

func newConnection(address string) *connection {
	return &connection{address: address, in: bufio.NewReaderSize(nil, 16<<10)}
}

func (c *connection) close() {
	if c.conn != nil {
		_ = c.conn.Close() // nothing is to be sent any more
		c.conn = nil
	}
}

// request begins one: method and path.
func (c *connection) request(method string, path ...string) {
	c.out = append(append(c.out[:0], method...), ' ')
	for _, part := range path {
		c.out = append(c.out, part...)
	}
	c.out = append(append(c.out, " HTTP/1.1\r\nHost: "...), c.address...)
	c.out = append(c.out, "\r\n"...)
}

func (c *connection) header(name, value string) {
	c.out = append(append(append(append(c.out, name...), ": "...), value...), "\r\n"...)
}

// json ends a request with a body.
func (c *connection) json(body []byte) {
	c.out = append(c.out, "Content-Type: application/json\r\nContent-Length: "...)
	c.out = strconv.AppendInt(c.out, int64(len(body)), 10)
	c.out = append(append(c.out, "\r\n\r\n"...), body...)
}

// send sends the request that was built, or that is given whole, and reads its reply. The body is valid until the next one.
// After an error the outcome is unknown, and the next request opens another connection.
func (c *connection) send(request []byte) (status int, body []byte, err error) {
	if err := c.open(); err != nil {
		return 0, nil, err
	}
	if _, err = c.conn.Write(request); err == nil {
		var last bool
		status, last, err = c.read()
		if err == nil && !last {
			return status, c.body, nil
		}
	}
	c.close()
	return status, c.body, err
}

// open makes sure of a connection with at least 29 s left.
func (c *connection) open() (err error) {
	if c.conn == nil {
		if c.conn, err = net.DialTimeout("tcp", c.address, requestTimeout); err != nil {
			c.conn = nil
			return err
		}
		c.in.Reset(c.conn)
		c.deadline = time.Time{}
	}
	if until := time.Now().Add(requestTimeout); until.Sub(c.deadline) > time.Second {
		c.deadline = until
		return c.conn.SetDeadline(until)
	}
	return nil
}

// head is what of a reply's head matters.
type head struct {
	status  int
	length  int64 // -1: not told
	chunked bool
	last    bool // the server closes the connection after it
}

// read reads a reply; last says that no other one will follow on this connection.
func (c *connection) read() (status int, last bool, err error) {
	c.body = c.body[:0]
	h, err := c.readHead()
	for err == nil && h.status/100 == 1 {
		h, err = c.readHead()
	}
	switch {
	case err != nil:
	case h.status == 204 || h.status == 304:
	case h.chunked:
		err = c.readChunks()
	case h.length >= 0:
		err = c.take(h.length)
	default:
		h.last = true
		c.body, err = io.ReadAll(io.LimitReader(c.in, maxReply))
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return h.status, h.last, err
}

func (c *connection) readHead() (h head, err error) {
	h.length = -1
	line, err := c.line()
	if err != nil {
		return h, err
	}
	version, rest, ok := bytes.Cut(line, []byte{' '})
	if code, _, _ := bytes.Cut(rest, []byte{' '}); ok && len(code) == 3 {
		h.status, err = strconv.Atoi(string(code))
	}
	if !bytes.HasPrefix(version, []byte("HTTP/1.")) || h.status < 100 || err != nil {
		return h, fmt.Errorf("that is no reply: %.100q", line)
	}
	h.last = version[len(version)-1] == '0'
	for {
		if line, err = c.line(); err != nil || len(line) == 0 {
			return h, err
		}
		if err := h.field(line); err != nil {
			return h, err
		}
	}
}

// field takes note of a header field. Their lengths tell apart those that matter from nearly all others.
func (h *head) field(line []byte) (err error) {
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		return fmt.Errorf("that is no header: %.100q", line)
	}
	is := func(name string) bool { return len(name) == colon && bytes.EqualFold(line[:colon], []byte(name)) }
	value := bytes.TrimSpace(line[colon+1:])
	switch {
	case is("Content-Length"):
		h.length, err = strconv.ParseInt(string(value), 10, 64)
		if err != nil || h.length < 0 || h.length > maxReply {
			return fmt.Errorf("a reply of %.20q bytes", value)
		}
	case is("Transfer-Encoding"):
		if h.chunked = bytes.EqualFold(value, []byte("chunked")); !h.chunked {
			return fmt.Errorf("a reply in the encoding %.20q", value)
		}
	case is("Connection"):
		h.last = bytes.EqualFold(value, []byte("close")) || h.last && !bytes.EqualFold(value, []byte("keep-alive"))
	}
	return nil
}

func (c *connection) readChunks() error {
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		size, _, _ := bytes.Cut(line, []byte{';'})
		n, err := strconv.ParseInt(string(bytes.TrimSpace(size)), 16, 64)
		if err != nil || n < 0 || n > maxReply-int64(len(c.body)) {
			return fmt.Errorf("that is no chunk: %.100q", line)
		}
		if n == 0 {
			break
		}
		if err := c.take(n); err != nil {
			return err
		}
		if line, err = c.line(); err != nil || len(line) > 0 {
			return errors.Join(err, fmt.Errorf("a chunk goes on beyond its size: %.100q", line))
		}
	}
	for { // trailers
		if line, err := c.line(); err != nil || len(line) == 0 {
			return err
		}
	}
}

// take appends n bytes to the body.
func (c *connection) take(n int64) error {
	from := len(c.body)
	if need := from + int(n); need > cap(c.body) {
		c.body = append(make([]byte, 0, 2*need), c.body...)
	}
	c.body = c.body[:from+int(n)]
	_, err := io.ReadFull(c.in, c.body[from:])
	return err
}

// line reads one, without its end; valid until the next read.
func (c *connection) line() ([]byte, error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte{'\r'}), nil
}
