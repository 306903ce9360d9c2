package api

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
)

// wire is a connection for requests that no client library would send.
type wire struct {
	net.Conn
	t      testing.TB
	reader *bufio.Reader
}

func (w *world) dial() *wire {
	w.t.Helper()
	c, err := w.listener.Dial()
	if err != nil {
		w.t.Fatal(err)
	}
	return &wire{c, w.t, bufio.NewReader(c)}
}

func (c *wire) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

func (c *wire) response() answer {
	c.t.Helper()
	res, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if res.Close {
		res.Header.Set("Connection", "close")
	}
	return answer{c.t, res.StatusCode, res.Header, body}
}
