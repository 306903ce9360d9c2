package api

import (
	"errors"
	"io"
	"mime"
	"strings"

	"github.com/valyala/fasthttp"

	"muster/allocator"
)

// readBody reads the body that the route wants, bounded. Bodies that are declared too large are refused before anything is kept,
// and the connection is closed after the reply.
func (x *exchange) readBody() error {
	limit := x.route.body
	if limit == noBody {
		return nil
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
		x.body = append([]byte(nil), x.http.Request.Body()...)
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(stream, int64(limit)+1))
	if len(body) > limit {
		return x.tooLarge(limit)
	}
	if err != nil || declared > len(body) {
		x.http.SetConnectionClose()
		var timeout interface{ Timeout() bool }
		if errors.As(err, &timeout) && timeout.Timeout() {
			return refuseWith(fasthttp.StatusRequestTimeout, "the body did not arrive in time")
		}
		return allocator.Refuse(allocator.CodeInvalid, "the body broke off")
	}
	x.body = body
	return nil
}

// maxUnread is how much of a refused body is read to its end, so that a client that is still sending gets to see the reply
// and not just a reset connection.
const maxUnread = 16 << 20

// discard reads what is left of the body of a refused request, where its length is known and not extreme.
func (x *exchange) discard() {
	declared := x.http.Request.Header.ContentLength()
	if stream := x.http.RequestBodyStream(); stream != nil && declared > 0 && declared <= maxUnread {
		_, _ = io.Copy(io.Discard, stream)
	}
}

func (x *exchange) tooLarge(limit int) error {
	x.http.SetConnectionClose()
	return refuseWith(fasthttp.StatusRequestEntityTooLarge, "the body may have at most "+itoa(limit)+" bytes")
}

// checkType refuses bodies that call themselves something else than the route reads. No type at all is fine.
func (x *exchange) checkType() error {
	want := []string{"application/json"}
	if x.route.body == streamBody {
		want = []string{"application/x-ndjson", "application/ndjson", "application/jsonl"}
	}
	if coding, once := x.header("Content-Encoding"); !once || coding != "" && !strings.EqualFold(coding, "identity") {
		return refuseWith(fasthttp.StatusUnsupportedMediaType, "compressed bodies are not read here")
	}
	header, once := x.header("Content-Type")
	if header == "" && once {
		return nil
	}
	kind, params, err := mime.ParseMediaType(header)
	charset := params["charset"]
	if err != nil || !once || !contains(want, kind) || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return refuseWith(fasthttp.StatusUnsupportedMediaType, "Content-Type must be "+want[0])
	}
	return nil
}

// document decodes the body into its object. A body that may be left out reads as an empty object.
func (x *exchange) document(need bool) (*decoder, object) {
	if len(x.body) == 0 && !need {
		return x.input(), object{d: x.input(), value: &value{kind: kindObject}}
	}
	d, o := decodeBody(x.body)
	d.faults = append(d.faults, x.input().faults...)
	x.decoder = d
	return d, o
}
