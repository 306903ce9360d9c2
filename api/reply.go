package api

import (
	"encoding/json"
	"log/slog"
	"maps"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"muster/allocator"
)

// reply is what a handler answers when it succeeds.
type reply struct {
	status      int // 0: 200
	body        any // nil: none
	etag        string
	place       string        // Location; "": none
	next        string        // Link to the next page; "": none
	public      time.Duration // how long caches may keep it; 0: not at all
	content     []byte        // instead of a body: what is sent as it is
	contentType string        // "": application/json
	stream      bool          // the handler has set a body stream, which finishes the exchange
}

// write sends a reply.
func (x *exchange) write(r reply) {
	if r.status == 0 {
		r.status = fasthttp.StatusOK
	}
	if r.etag != "" {
		x.http.Response.Header.Set("ETag", r.etag)
	}
	if r.public > 0 {
		x.http.Response.Header.Set("Cache-Control", "public, max-age="+itoa(int(r.public.Seconds())))
		x.keepPrivate()
	}
	if r.place != "" {
		x.http.Response.Header.Set("Location", r.place)
	}
	if r.next != "" {
		x.http.Response.Header.Set("Link", "<"+r.next+`>; rel="next"`)
	}
	if r.content != nil {
		x.http.SetStatusCode(r.status)
		x.http.SetContentType(r.contentType)
		x.http.SetBody(r.content)
		return
	}
	if r.body == nil {
		x.http.SetStatusCode(r.status)
		return
	}
	if r.contentType == "" {
		r.contentType = "application/json"
	}
	x.writeJSON(r.status, r.contentType, r.body)
}

func (x *exchange) writeJSON(status int, contentType string, body any) {
	data, err := x.encode(body)
	if err != nil {
		x.server.log.Error("a reply could not be written", "operation", x.route.operation, "requestId", x.id, "cause", err.Error())
		status, contentType = fasthttp.StatusInternalServerError, "application/problem+json"
		data = []byte(`{"type":"urn:muster:problem:INTERNAL","title":"Something went wrong","status":500,"code":"INTERNAL"}`)
		x.code = allocator.CodeInternal
	}
	x.http.SetStatusCode(status)
	x.http.SetContentType(contentType)
	x.http.SetBody(data)
}

// encode writes a body, perhaps into the exchange's own memory.
func (x *exchange) encode(body any) ([]byte, error) {
	switch body := body.(type) {
	case json.RawMessage:
		return body, nil
	case encoder:
		m := x.scratch()
		data, err := body.appendJSON(m.reply[:0])
		m.reply = data
		return data, err
	}
	return json.Marshal(body)
}

// zones remembers time zones by name. Names come from the catalogue, so there are few.
type zones struct {
	known atomic.Pointer[map[string]*time.Location]
}

// find gives UTC for names that do not exist, which the catalogue does not hold.
func (z *zones) find(name string) *time.Location {
	before := z.known.Load()
	if before != nil {
		if zone, ok := (*before)[name]; ok {
			return zone
		}
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC
	}
	after := map[string]*time.Location{name: zone}
	if before != nil {
		maps.Copy(after, *before)
	}
	z.known.CompareAndSwap(before, &after) // a zone that loses the race is added the next time
	return zone
}

// instant writes an instant with a zone's own offset, Z where that is zero.
func (z *zones) instant(t time.Time, zone string) string { return instant(t.In(z.find(zone))) }

func instant(t time.Time) string { return t.Format(time.RFC3339) }

// momentForm is how times of the server's are written, in UTC.
const momentForm = "2006-01-02T15:04:05.000Z07:00"

// moment writes a time of the server's, in UTC with milliseconds.
func moment(t time.Time) string { return t.UTC().Format(momentForm) }

// levelOf is how loudly a status is logged.
func levelOf(status int) slog.Level {
	if status >= 500 {
		return slog.LevelError
	}
	return slog.LevelDebug
}

// list makes sure that an empty list is written as [].
func list[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}
