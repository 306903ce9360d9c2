package api

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"mime"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"muster/allocator"
	"muster/api/framing"
)

// readBody reads the body that the route wants, bounded. Bodies that are declared too large are refused before anything is kept,
// and the connection is closed after the reply.
func (x *exchange) readBody() error {
	limit := x.route.body
	if limit == noBody {
		return nil
	}
	if x.cutOff {
		return x.tooLarge(max(limit, smallBody))
	}
	declared := x.http.Request.Header.ContentLength()
	if limit > 0 && declared > limit {
		return x.tooLarge(limit)
	}
	if declared != 0 {
		if err := x.checkType(); err != nil {
			return err
		}
	}
	if limit == streamBody {
		return nil
	}
	stream := x.http.RequestBodyStream()
	if stream == nil {
		x.body, x.bodyRead = string(x.http.Request.Body()), true
		return nil
	}
	body, err := readAll(x.scratch().body[:0], stream, limit+1)
	x.scratch().body = body
	if len(body) > limit {
		return x.tooLarge(limit)
	}
	if err != nil || declared > len(body) {
		x.http.SetConnectionClose()
		var timeout interface{ Timeout() bool }
		if errors.As(err, &timeout) && timeout.Timeout() {
			return refuseWith(fasthttp.StatusRequestTimeout, "the body did not arrive in time")
		}
		if fault := framing.Fault(""); errors.As(err, &fault) {
			return allocator.Refuse(allocator.CodeInvalid, "%s", fault)
		}
		return allocator.Refuse(allocator.CodeInvalid, "the body broke off")
	}
	x.body, x.bodyRead = string(body), true
	return nil
}

// readAll appends what a stream has to b, up to so many bytes.
func readAll(b []byte, stream io.Reader, most int) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			b = slices.Grow(b, max(512, len(b)))
		}
		n, err := stream.Read(b[len(b):min(cap(b), most)])
		b = b[:len(b)+n]
		switch {
		case errors.Is(err, io.EOF) || err == nil && len(b) == most:
			return b, nil
		case err != nil:
			return b, err
		}
	}
}

// announcedTooLarge marks, within a request, that headReceived has cut its body off. A client that sends it itself is
// refused the same.
const announcedTooLarge = "Muster-Announced-Too-Large"

// mostAt is the largest body that a route of the path takes; streamBody: any.
func mostAt(path []byte) int {
	switch {
	case bytes.HasSuffix(path, []byte(uploadPath)):
		return streamBody
	case bytes.Contains(path, []byte("/days/")), bytes.HasSuffix(path, []byte("/plan")):
		return dayBody
	case bytes.HasSuffix(path, []byte(batchSuffix)):
		return batchBody
	}
	return smallBody
}

// headReceived sees a request before any of its body is waited for. A body that is announced larger than its path takes is
// cut off: the handler refuses it at once, also instead of 100 Continue, and the connection ends with the reply.
func headReceived(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	path, _, _ := bytes.Cut(h.RequestURI(), []byte("?"))
	if most := mostAt(path); most != streamBody && h.ContentLength() > most {
		h.Set(announcedTooLarge, "1")
		h.Del("Expect")
		h.SetContentLength(0)
		h.SetConnectionClose()
	}
	return fasthttp.RequestConfig{}
}

// Bounds of what is still read of a refused body, so that a client that is still sending gets to see the reply and not just
// a reset connection.
const (
	maxUnread     = 16 << 20
	maxLingering  = 256 // connections at once
	lingerTimeout = 2 * time.Second
)

// linger sends the reply of a request whose body was not read at once, and only then reads what the client is still
// sending, for a bounded while. fasthttp would close the connection over a large unread body.
func (x *exchange) linger(refused bool) {
	unread := refused && !x.bodyRead && x.http.RequestBodyStream() != nil &&
		(x.http.Response.ConnectionClose() || x.http.Request.Header.ContentLength() > smallBody)
	if !x.cutOff && !unread {
		return
	}
	select {
	case x.server.lingering <- struct{}{}:
	default:
		return
	}
	lingering, res := x.server.lingering, fasthttp.AcquireResponse()
	x.http.Response.CopyTo(res)
	res.SetConnectionClose()
	res.SkipBody = x.http.IsHead()
	x.http.HijackSetNoResponse(true)
	x.http.Hijack(func(c net.Conn) {
		defer func() { <-lingering }()
		defer fasthttp.ReleaseResponse(res)
		w := bufio.NewWriter(c)
		if c.SetDeadline(time.Now().Add(lingerTimeout)) != nil || res.Write(w) != nil || w.Flush() != nil {
			return
		}
		_, _ = io.Copy(io.Discard, io.LimitReader(c, maxUnread))
	})
}

func (x *exchange) tooLarge(limit int) error {
	x.http.SetConnectionClose()
	return refuseWith(fasthttp.StatusRequestEntityTooLarge, "the body may have at most "+itoa(limit)+" bytes")
}

// checkType refuses bodies that call themselves something else than the route reads. No type at all is fine.
func (x *exchange) checkType() error {
	want := documentTypes
	switch {
	case x.route.body == streamBody:
		want = lineTypes
	case x.posted():
		want = formTypes
	case x.isFHIR():
		want = fhirTypes
	}
	if coding, once := x.header("Content-Encoding"); !once || coding != "" && !strings.EqualFold(coding, "identity") {
		return refuseWith(fasthttp.StatusUnsupportedMediaType, "compressed bodies are not read here")
	}
	header, once := x.header("Content-Type")
	if once && (header == "" || header == want[0]) {
		return nil
	}
	kind, params, err := mime.ParseMediaType(header)
	charset := params["charset"]
	if err != nil || !once || !contains(want, kind) || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return refuseWith(fasthttp.StatusUnsupportedMediaType, "Content-Type must be "+want[0])
	}
	return nil
}

var (
	documentTypes = []string{"application/json"}
	formTypes     = []string{"application/x-www-form-urlencoded"}
	lineTypes     = []string{"application/x-ndjson", "application/ndjson", "application/jsonl", tableType}
)

// document decodes the body into its object. A body that may be left out reads as an empty object.
func (x *exchange) document(need bool) (*decoder, object) {
	if len(x.body) == 0 && !need {
		return x.input(), object{d: x.input(), value: &value{kind: kindObject}}
	}
	d, before := x.input(), x.input().faults
	o := d.parse(&x.scratch().parser, x.body)
	d.faults = append(d.faults, before...)
	return d, o
}
