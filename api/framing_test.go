package api

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"muster/allocator"
	"muster/api/framing"
)

// hostile lists what could be read in two ways, or hides something from those who read it first, with what answers it.
var hostile = map[string]string{
	"length and chunks":          "POST /v1/holds HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"chunks and length":          "POST /v1/holds HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
	"two lengths":                "POST /v1/holds HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
	"a list of lengths":          "POST /v1/holds HTTP/1.1\r\nHost: a\r\nContent-Length: 2, 2\r\n\r\n{}",
	"a signed length":            "POST /v1/holds HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\n{}",
	"a long length":              "POST /v1/holds HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551618\r\n\r\n{}",
	"identity":                   "POST /v1/holds HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}",
	"an obscured encoding":       "POST /v1/holds HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
	"chunks in HTTP/1.0":         "POST /v1/holds HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"a space before the colon":   "POST /v1/holds HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
	"a space in a name":          "POST /v1/holds HTTP/1.1\r\nHost: a\r\nContent Length: 2\r\n\r\n",
	"two hosts":                  "GET /v1/services HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
	"no host":                    "GET /v1/services HTTP/1.1\r\n\r\n",
	"a host with a user":         "GET /v1/services HTTP/1.1\r\nHost: b@a\r\n\r\n",
	"a host with a path":         "GET /v1/services HTTP/1.1\r\nHost: a/v1\r\n\r\n",
	"another host in the target": "GET http://b/v1/services HTTP/1.1\r\nHost: a\r\n\r\n",
	"a user in the target":       "GET http://u@a/v1/services HTTP/1.1\r\nHost: a\r\n\r\n",
	"two slashes":                "GET //b/v1/services HTTP/1.1\r\nHost: a\r\n\r\n",
	"a host as the target":       "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
	"a fragment":                 "GET /v1/services#a HTTP/1.1\r\nHost: a\r\n\r\n",
	"LF after the request line":  "GET /v1/services HTTP/1.1\nHost: a\r\n\r\n",
	"LF after a header":          "GET /v1/services HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
	"LF alone":                   "GET /v1/services HTTP/1.1\nHost: a\n\n",
	"CR in a header":             "GET /v1/services HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\n\r\n",
	"a folded header":            "GET /v1/services HTTP/1.1\r\nHost: a\r\nX: b\r\n Y: c\r\n\r\n",
	"NUL in a header":            "GET /v1/services HTTP/1.1\r\nHost: a\r\nX: b\x00c\r\n\r\n",
	"NUL in a name":              "GET /v1/services HTTP/1.1\r\nHost: a\r\nX\x00: b\r\n\r\n",
	"DEL in a header":            "GET /v1/services HTTP/1.1\r\nHost: a\r\nX: b\x7f\r\n\r\n",
	"a bell in the target":       "GET /v1/\x07services HTTP/1.1\r\nHost: a\r\n\r\n",
	"a tab in the request line":  "GET\t/v1/services\tHTTP/1.1\r\nHost: a\r\n\r\n",
	"two spaces":                 "GET  /v1/services HTTP/1.1\r\nHost: a\r\n\r\n",
	"another version":            "GET /v1/services HTTP/9.9\r\nHost: a\r\n\r\n",
	"HTTP/2 without asking":      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	"TLS":                        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n",
	"a chunk of letters":         "POST /v1/holds HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	"a negative chunk":           "POST /v1/holds HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
	"a chunk in other digits":    "POST /v1/holds HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n",
	"a chunk that is too long":   "POST /v1/holds HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{} \r\n0\r\n\r\n",
	"an endless chunk":           "POST /v1/holds HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
	"LF after a chunk's size":    "POST /v1/holds HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n",
	"LF in a chunk's extension":  "POST /v1/holds HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;a\n{}\r\n0\r\n\r\n",
	"a length in the trailers":   "POST /v1/holds HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nContent-Length: 9\r\n\r\n",
}

// smuggled is what an attacker wants to be taken for a request: whoever answers it was deceived.
const smuggled = "GET /v1/sites/SMUGGLED HTTP/1.1\r\nHost: a\r\n\r\n"

// TestHostileRequests: each is answered 400 and ends its connection, as the first request and after another; what comes after
// it is never answered.
func TestHostileRequests(t *testing.T) {
	w := serve(t, Options{}, &fake{})
	const before = "GET /v1/services HTTP/1.1\r\nHost: a\r\n\r\n"
	for name, text := range hostile {
		for _, first := range []bool{true, false} {
			c := w.dial()
			if !first {
				c.send(before)
				c.response().wants(200)
			}
			go func() { _, _ = io.WriteString(c, text+smuggled) }() // the server need not read all of it
			a := c.response()
			if a.refused(400, allocator.CodeInvalid); a.header.Get("Connection") != "close" || a.header.Get("X-Content-Type-Options") == "" {
				t.Errorf("%s: %v", name, a.header)
			}
			if rest, _ := io.ReadAll(c.reader); len(rest) > 0 { // however the connection ends
				t.Errorf("%s: and then %s", name, rest)
			}
			c.Close()
		}
	}
	if strings.Contains(w.logs.String(), `"operation":"getSite"`) {
		t.Error("a smuggled request was served")
	}
}

// What is wrong is told, without what was sent.
func TestFaultsAreTold(t *testing.T) {
	w := serve(t, Options{}, &fake{})
	for name, fault := range map[string]framing.Fault{"length and chunks": framing.Both, "LF alone": framing.BareLF, "a chunk of letters": framing.ChunkSize} {
		c := w.dial()
		c.send(hostile[name])
		if p := c.response().refused(400, allocator.CodeInvalid); p.Detail != fault.Error() {
			t.Errorf("%s: %q, want %q", name, p.Detail, fault)
		}
		c.Close()
	}
	c := w.dial()
	c.send("GET /v1/services HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: a\r\n", 200) + "\r\n")
	c.response().refused(431, allocator.CodeInvalid)
}

// Requests that come together are answered one after the other, up to the one that is refused.
func TestPipelines(t *testing.T) {
	w := serve(t, Options{}, &fake{})
	c := w.dial()
	go func() {
		_, _ = io.WriteString(c, "GET /v1/services HTTP/1.1\r\nHost: a\r\n\r\nPOST /v1/holds HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"+
			"5\r\n"+goodHold[:5]+"\r\n"+"4e\r\n"+goodHold[5:]+"\r\n0\r\n\r\n"+hostile["two lengths"]+smuggled)
	}()
	for _, status := range []int{200, 201, 400} {
		if a := c.response(); a.status != status {
			t.Fatalf("%d %s, want %d", a.status, a.body, status)
		}
	}
	if rest, err := io.ReadAll(c.reader); len(rest) > 0 {
		t.Errorf("%s %v", rest, err)
	}
}

// onSocket serves on a real socket, whose buffers fill up.
func onSocket(t *testing.T, o Options, engine *fake) string {
	t.Helper()
	s, err := New(o, engine)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(listener) }()
	t.Cleanup(func() {
		if err := errors.Join(s.Shutdown(t.Context()), <-done); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// TestSlowClients: whoever sends a head or a body byte by byte, or reads nothing, has a bounded time and then no connection.
func TestSlowClients(t *testing.T) {
	const patience = 20 * time.Second // far beyond every time-out here
	at := onSocket(t, Options{ReadTimeout: 300 * time.Millisecond, WriteTimeout: 300 * time.Millisecond, IdleTimeout: 300 * time.Millisecond}, &fake{})
	for name, c := range map[string]struct {
		first, drip string
		status      string
	}{
		"a slow head":                {"GET /v1/services HTTP/1.1\r\nHost: a\r\n", "X", " 408 "},
		"a slow body":                {"POST /v1/holds HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n", " ", " 408 "},
		"slow chunks":                {"POST /v1/holds HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n", " 408 "},
		"nothing":                    {"", "", " 408 "},
		"nothing after the first":    {"GET /v1/services HTTP/1.1\r\nHost: a\r\n\r\n", "", " 200 "},
		"nobody who reads the reply": {strings.Repeat("GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n", 300), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", at)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			go drip(conn, c.first, c.drip)
			if c.status == "" {
				waitForReset(t, conn)
				return
			}
			reader := bufio.NewReader(conn)
			line, err := reader.ReadString('\n')
			if !strings.Contains(line, c.status) {
				t.Errorf("%q, %v", line, err)
			}
			if _, err := io.Copy(io.Discard, reader); timedOut(err) {
				t.Error("the connection stays open")
			}
		})
	}
}

// drip sends a piece every now and then until nobody takes it.
func drip(conn net.Conn, first, piece string) {
	if _, err := io.WriteString(conn, first); err != nil || piece == "" {
		return
	}
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for range pace.C {
		if _, err := io.WriteString(conn, piece); err != nil {
			return
		}
	}
}

// timedOut says that it was the test's own patience that ended.
func timedOut(err error) bool {
	var late net.Error
	return errors.As(err, &late) && late.Timeout()
}

// waitForReset writes until the server has hung up, without ever reading.
func waitForReset(t *testing.T, conn net.Conn) {
	t.Helper()
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for range pace.C {
		if _, err := io.WriteString(conn, "GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			if timedOut(err) {
				t.Error("the server waits for a reader that does not read")
			}
			return
		}
	}
}
