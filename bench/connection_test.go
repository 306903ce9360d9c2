package bench

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

// A real server's replies are read as they are, whichever way their length is told, and the connection is used again where
// the server keeps it.
func TestConnection(t *testing.T) {
	large := strings.Repeat("0123456789", 20_000)
	dialled := 0
	server := &fasthttp.Server{
		ConnState: func(_ net.Conn, state fasthttp.ConnState) {
			if state == fasthttp.StateNew {
				dialled++
			}
		},
		Handler: func(x *fasthttp.RequestCtx) {
			switch string(x.Path()) {
			case "/echo":
				x.SetStatusCode(fasthttp.StatusCreated)
				x.SetBodyString(string(x.Request.Header.Peek("Idempotency-Key")) + "|" + string(x.PostBody()))
			case "/large":
				x.SetBodyString(large)
			case "/chunks":
				x.SetBodyStreamWriter(func(w *bufio.Writer) {
					for _, part := range []string{"one ", "two ", large} {
						_, _ = w.WriteString(part)
						_ = w.Flush()
					}
				})
			case "/close":
				x.SetConnectionClose()
				x.SetBodyString("bye")
			case "/nothing":
				x.SetStatusCode(fasthttp.StatusNoContent)
			}
		},
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(listener)
	c := newConnection(listener.Addr().String())
	t.Cleanup(func() {
		c.close()
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
	})
	for _, want := range []struct {
		path, body string
		status     int
	}{
		{"/echo", "k1|{}", 201}, {"/large", large, 200}, {"/nothing", "", 204}, {"/chunks", "one two " + large, 200},
		{"/echo", "k1|{}", 201}, {"/close", "bye", 200}, {"/echo", "k1|{}", 201}, {"/unknown", "", 200},
	} {
		c.request("POST", want.path)
		c.header("Idempotency-Key", "k1")
		c.json([]byte("{}"))
		status, body, err := c.send(c.out)
		if err != nil || status != want.status || string(body) != want.body {
			t.Errorf("%s: %d %.60q %v", want.path, status, body, err)
		}
	}
	if dialled != 2 {
		t.Errorf("%d connections were opened, want 2: one reply of 8 closed its own", dialled)
	}
}

// answer serves each text of answers once as a whole reply, byte by byte, and closes the connection where it says so.
func answer(t *testing.T, answers ...string) *connection {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for len(answers) > 0 {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			in := bufio.NewReader(conn)
			for kept := true; kept && len(answers) > 0; answers = answers[1:] {
				for line := "."; line != "\r\n"; {
					if line, err = in.ReadString('\n'); err != nil {
						break
					}
				}
				text, closed := strings.CutSuffix(answers[0], "CLOSE")
				for i := range len(text) {
					if _, err := conn.Write([]byte{text[i]}); err != nil {
						break
					}
				}
				kept = !closed
			}
			conn.Close()
		}
	}()
	c := newConnection(listener.Addr().String())
	t.Cleanup(c.close)
	return c
}

// Odd replies that servers may send are read byte by byte; after one that cannot be read, the next request is sent over
// another connection.
func TestOddReplies(t *testing.T) {
	type odd struct {
		text, body string
		status     int
	}
	for _, o := range []odd{
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nok", "ok", 201},
		{"HTTP/1.1 200\r\nCONTENT-LENGTH:   3  \r\n\r\nabc", "abc", 200},
		{"HTTP/1.1 200 OK\nContent-Length: 1\n\nx", "x", 200},
		{"HTTP/1.1 409 Conflict\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n", "abc0123456789", 409},
		{"HTTP/1.0 200 OK\r\n\r\nto the endCLOSE", "to the end", 200},
		{"HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\nCLOSE", "", 503},
		{"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", "x", 200},
		{"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "", 304},
		{"SSH-2.0-x\r\n\r\nCLOSE", "", 0},
		{"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nCLOSE", "", 0},
		{"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshortCLOSE", "", 0},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nCLOSE", "", 0},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\nCLOSE", "", 0},
		{"HTTP/1.1 200 OK\r\nno colon\r\n\r\nCLOSE", "", 0},
		{"CLOSE", "", 0},
	} {
		c := answer(t, o.text, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnextCLOSE")
		for _, want := range []odd{o, {"", "next", 200}} {
			c.request("GET", "/")
			status, body, err := c.send(append(c.out, "\r\n"...))
			switch {
			case want.status == 0 && err == nil:
				t.Errorf("%q was read as %d %q", o.text, status, body)
			case want.status != 0 && (err != nil || status != want.status || string(body) != want.body):
				t.Errorf("%q was read as %d %q %v", o.text, status, body, err)
			}
		}
	}
}

// Reading a reply allocates nothing.
func TestConnectionAllocates(t *testing.T) {
	reply := []byte("HTTP/1.1 201 Created\r\nServer: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
	source := bytes.NewReader(nil)
	c := newConnection("127.0.0.1:1")
	allocated := testing.AllocsPerRun(200, func() {
		source.Reset(reply)
		c.in.Reset(source)
		if status, last, err := c.read(); err != nil || status != 201 || last {
			t.Fatal(status, last, err)
		}
		c.request("POST", "/v1/holds")
		c.json(reply)
	})
	if allocated > 0 {
		t.Errorf("%.1f allocations per reply", allocated)
	}
}

func BenchmarkConnection(b *testing.B) {
	server := &fasthttp.Server{Handler: func(x *fasthttp.RequestCtx) { _, _ = io.WriteString(x, "{}") }}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go server.Serve(listener)
	defer server.Shutdown()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		c := newConnection(listener.Addr().String())
		defer c.close()
		for pb.Next() {
			c.request("POST", "/v1/holds")
			c.json([]byte(`{"siteId":"E0001"}`))
			if _, _, err := c.send(c.out); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
