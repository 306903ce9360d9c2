package framing

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"
)

const ordinary = "GET /v1/sites?postcode=LS1%204AP&service=RSV:Adult HTTP/1.1\r\nHost: booking.example.org\r\nUser-Agent: curl/8.9.1\r\n" +
	"Accept: application/json\r\nX-Request-Id: 0b7e5f0c\r\nTraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n"

// faults lists requests that are refused, by what is wrong with them.
var faults = map[Fault][]string{
	BareLF: {
		"GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nHost: a\n\r\n", "GET / HTTP/1.1\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\n",
		"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;\nhello\r\n0\r\n\r\n",
	},
	Folded: {"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n\tb\r\n\r\n"},
	RequestLine: {
		"GET /\r\nHost: a\r\n\r\n", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
		"GET / http/1.1\r\nHost: a\r\n\r\n", "G\x00T / HTTP/1.1\r\nHost: a\r\n\r\n", " GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\rX\r\nHost: a\r\n\r\n",
	},
	Target: {
		"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n", "GET //b/ HTTP/1.1\r\nHost: a\r\n\r\n",
		"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n", "GET a HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://a HTTP/1.0\r\n\r\n", "GET http://a/ HTTP/1.1\r\nHost: a:80\r\n\r\n",
	},
	Name: {
		"GET / HTTP/1.1\r\nHost : a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nContent Length: 5\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX\x00: b\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\x0bContent-Length: 5\r\n\r\n",
	},
	Host: {
		"GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n",
	},
	Length: {
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\ncontent-length: 2\r\n\r\nxy",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\nx", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
	},
	Encoding: {
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	},
	Both: {
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: CHUNKED\r\ncontent-length: 0\r\n\r\n0\r\n\r\n",
	},
	ChunkSize: {chunked("zz\r\n"), chunked("\r\n"), chunked("-1\r\n"), chunked("0x5\r\nhello\r\n"), chunked("5 \r\nhello\r\n"), chunked("5 ;a\r\nhello\r\n"), chunked("5;\rx\r\nhello\r\n"), chunked("100000000\r\n")},
	ChunkEnd:  {chunked("5\r\nhello!\r\n"), chunked("5\r\nhello0\r\n\r\n")},
	Trailer:   {chunked("0\r\nContent-Length: 5\r\n\r\n"), chunked("0\r\nno colon\r\n\r\n"), chunked("0\r\nX: a\r\n b\r\n\r\n")},
	TooMany:   {"GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: a\r\n", 100) + "\r\n"},
	TooLong:   {"GET /" + strings.Repeat("x", 5000) + " HTTP/1.1\r\nHost: a\r\n\r\n", "GET /" + strings.Repeat("x", 5000), chunked("5;" + strings.Repeat("x", 5000))},
}

func chunked(body string) string {
	return "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body
}

// fine lists requests that have one meaning.
var fine = []string{
	ordinary, "\r\n" + ordinary, "GET / HTTP/1.0\r\n\r\n", "GET http://a/x HTTP/1.1\r\nHost: A\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: a:8080\r\n\r\n", "GET /%zz HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n\n\r\n\r\n", "POST / HTTP/1.1\r\nhOST:\ta \r\nContent-Length: 0\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxy",
	chunked("5\r\nhello\r\n0\r\n\r\n"), chunked("5;a=\"b\"\r\nhello\r\nA\r\n0123456789\r\n00\r\nX-Trailer: a\r\n\r\n"), "QUERY / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n",
}

const maxHead = 4 << 10

// inPieces reads text in pieces of so many bytes; it answers the requests' ends that a reader of single bytes can see.
func inPieces(text []byte, size int) (ends []int, fault error) {
	r := reader{maxHead: maxHead}
	for i := 0; i < len(text); i += size {
		piece := bytes.Clone(text[i:min(i+size, len(text))])
		good, fault := r.read(piece)
		if fault != nil {
			if good < 0 || good > len(piece) {
				panic("more is good than there is")
			}
			return ends, fault
		}
		if r.state == inHead && r.head.lines == 0 && !r.head.blank && len(r.begun) == 0 {
			ends = append(ends, i+len(piece))
		}
	}
	return ends, nil
}

func TestFaults(t *testing.T) {
	for want, texts := range faults {
		for _, text := range texts {
			for _, size := range []int{1, 2, 7, len(text)} {
				if _, got := inPieces([]byte(text), size); got != want {
					t.Errorf("%.200q in pieces of %d: %v, want %v", text, size, got, want)
				}
			}
		}
	}
}

func TestWhatIsFine(t *testing.T) {
	for _, text := range append(fine, strings.Join(fine, "")) {
		for _, size := range []int{1, 2, 7, len(text)} {
			ends, fault := inPieces([]byte(text), size)
			if fault != nil || len(ends) == 0 || ends[len(ends)-1] != len(text) {
				t.Errorf("%.200q in pieces of %d: %v, requests end at %v", text, size, fault, ends)
			}
		}
	}
	if ends, _ := inPieces([]byte(strings.Join(fine, "")), 1); len(ends) != len(fine) {
		t.Errorf("%d requests, want %d", len(ends), len(fine))
	}
}

// What was good before a fault is passed on, and of what is at fault nothing.
func TestConnectionsEnd(t *testing.T) {
	for _, c := range []struct{ before, bad string }{
		{"", "GET / HTTP/1.1\nX"}, {fine[0], "GET / HTTP/1.1\nX"}, {fine[6], "GET  / HTTP/1.1\r\n"}, {fine[9] + fine[0], faults[Both][0]},
	} {
		client, bare := net.Pipe()
		server := &conn{Conn: bare, along: reader{maxHead: maxHead}}
		go func() { _, _ = io.WriteString(client, c.before+c.bad) }() // what a closed connection does not take is not read
		got, err := io.ReadAll(server)
		if fault := Fault(""); !errors.As(err, &fault) || string(got) != c.before+"X" {
			t.Errorf("%q before %q: got %q, %v", c.before, c.bad, got, err)
		}
		if n, err := server.Read(make([]byte, 10)); n != 0 || err == nil {
			t.Errorf("after the fault: %d bytes, %v", n, err)
		}
		_ = errors.Join(client.Close(), server.Close())
	}
}

func TestListenerEnds(t *testing.T) {
	inner := fasthttputil.NewInmemoryListener()
	inner.Close()
	if c, err := Listener(inner, maxHead).Accept(); err == nil || c != nil {
		t.Errorf("accepted %v", c)
	}
}

// FuzzRequests: the same is refused and the same let through however it is cut, and whatever is let through ends for this
// server's library, and for another, exactly where it ends here.
func FuzzRequests(f *testing.F) {
	for _, texts := range faults {
		for _, text := range texts {
			f.Add([]byte(text), uint8(3))
			f.Add([]byte(fine[6]+text), uint8(0))
		}
	}
	for _, text := range fine {
		f.Add([]byte(text+text), uint8(1))
	}
	f.Fuzz(func(t *testing.T, text []byte, size uint8) {
		ends, fault := inPieces(text, 1)
		if _, again := inPieces(text, int(size)+1); again != fault {
			t.Fatalf("in single bytes: %v; in pieces of %d: %v", fault, int(size)+1, again)
		}
		begin := 0
		for _, end := range ends {
			request := text[begin:end]
			begin = end
			if left, err := byLibrary(request); left != 0 || unfinished(err) {
				t.Errorf("fasthttp leaves %d bytes (%v) of %q", left, err, request)
			}
			if left, err := byStandard(request); left != 0 || unfinished(err) {
				t.Errorf("net/http leaves %d bytes (%v) of %q", left, err, request)
			}
		}
	})
}

// unfinished says that a reader waits for more.
func unfinished(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// byLibrary reads one request by fasthttp, and answers how much is left; nothing where it refuses it.
func byLibrary(text []byte) (left int, err error) {
	b := bufio.NewReaderSize(bytes.NewReader(text), len(text)+16)
	var r fasthttp.Request
	if err = r.Header.Read(b); err != nil {
		return 0, err
	}
	if err = r.ContinueReadBody(b, 1<<20, false); err != nil {
		return 0, err
	}
	rest, err := io.ReadAll(b)
	return len(rest), err
}

// byStandard is byLibrary by net/http.
func byStandard(text []byte) (left int, err error) {
	b := bufio.NewReader(bytes.NewReader(text))
	r, err := http.ReadRequest(b)
	if err != nil {
		return 0, err
	}
	if _, err = io.Copy(io.Discard, r.Body); err != nil {
		return 0, err
	}
	rest, err := io.ReadAll(b)
	return len(rest), err
}

// endless gives the same bytes for ever.
type endless struct {
	net.Conn
	text string
}

func (e endless) Read(p []byte) (int, error) { return copy(p, e.text), nil }

// What reading along costs a request, beside copying it alone.
func BenchmarkRead(b *testing.B) {
	for name, text := range map[string]string{"search": ordinary, "hold": "POST /v1/holds HTTP/1.1\r\nHost: booking.example.org\r\nContent-Type: application/json\r\nContent-Length: 300\r\nIdempotency-Key: 0b7e5f0c\r\n\r\n" + strings.Repeat("x", 300)} {
		p := make([]byte, len(text))
		bare := endless{text: text}
		for kind, c := range map[string]net.Conn{"bare": bare, "along": &conn{Conn: bare, along: reader{maxHead: 16 << 10}}} {
			b.Run(name+"/"+kind, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := c.Read(p); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// What it costs a request over a socket, by the size of its reply: one above the server's buffer takes a system call more than on a
// bare socket.
func BenchmarkServer(b *testing.B) {
	for _, size := range []int{500, 5_000, 50_000} {
		body := bytes.Repeat([]byte("x"), size)
		for _, kind := range []string{"bare", "along"} {
			b.Run(fmt.Sprintf("%d/%s", size, kind), func(b *testing.B) {
				listener, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					b.Fatal(err)
				}
				at := listener.Addr().String()
				if kind == "along" {
					listener = Listener(listener, 16<<10)
				}
				s := &fasthttp.Server{ReadBufferSize: 16 << 10, WriteBufferSize: 16 << 10, Handler: func(ctx *fasthttp.RequestCtx) { ctx.SetBody(body) }}
				done := make(chan error, 1)
				go func() { done <- s.Serve(listener) }()
				client := &fasthttp.HostClient{Addr: at}
				var req fasthttp.Request
				var res fasthttp.Response
				req.SetRequestURI("http://" + at + "/v1/sites?postcode=LS1%204AP&service=RSV:Adult")
				for b.Loop() {
					if err := client.Do(&req, &res); err != nil {
						b.Fatal(err)
					}
				}
				client.CloseIdleConnections()
				if err := errors.Join(s.Shutdown(), <-done); err != nil {
					b.Error(err)
				}
			})
		}
	}
}
