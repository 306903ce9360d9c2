package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"muster/allocator"
)

// Links publishes what the public may book, as SMART Scheduling Links. Safe for concurrent use.
type Links interface {
	// Manifest is the document that names the files, with its ETag; where since is not zero, only files that changed after it.
	Manifest(ctx context.Context, since time.Time) (body []byte, etag string, err error)
	// File finds a file; ok is false where there is none. open's context must live as long as its reader, which gives the
	// file packed with gzip, or as it is.
	File(ctx context.Context, name string) (etag string, open func(ctx context.Context, gzip bool) io.ReadCloser, ok bool, err error)
}

// linksPublic is how long caches may keep manifest and files: readers are asked to come once a minute at most.
const linksPublic = time.Minute

var errNoLinks = allocator.Refuse(CodeNotFound, "no such file; see /smart-scheduling/$bulk-publish")

func (s *Server) getLinksManifest(ctx context.Context, x *exchange) (reply, error) {
	if s.options.Links == nil {
		return reply{}, errNoLinks
	}
	q := x.query("_since")
	since := q.instant("_since")
	if err := q.d.fail(); err != nil {
		return reply{}, err
	}
	body, etag, err := s.options.Links.Manifest(ctx, since)
	if err != nil {
		return reply{}, err
	}
	answer := reply{etag: etag, public: linksPublic}
	if x.has(etag) {
		answer.status = fasthttp.StatusNotModified
		return answer, nil
	}
	answer.body = json.RawMessage(body)
	return answer, nil
}

// instant reads an instant; zero where it is missing. A + that was not encoded arrives as a space.
func (p params) instant(name string) time.Time {
	text, ok := p.get(name)
	if !ok {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, strings.ReplaceAll(text, " ", "+"))
	if err != nil || len(text) > 40 {
		p.d.fault(p.at(name), "must be an instant such as 2026-11-30T10:00:00Z")
	}
	return at
}

// has says whether If-None-Match names an entity tag; what is weak compares as if it were not (RFC 9110, section 13.1.2).
func (x *exchange) has(etag string) bool {
	strong := func(tag string) string { return strings.TrimPrefix(tag, "W/") }
	given := string(bytes.Join(x.http.Request.Header.PeekAll("If-None-Match"), []byte(",")))
	for _, tag := range entityTags.FindAllString(given, -1) {
		if tag == "*" || strong(tag) == strong(etag) {
			return true
		}
	}
	return false
}

func (s *Server) getLinksFile(ctx context.Context, x *exchange) (reply, error) {
	if err := x.noQuery(); err != nil {
		return reply{}, err
	}
	if s.options.Links == nil {
		return reply{}, errNoLinks
	}
	etag, open, ok, err := s.options.Links.File(ctx, x.param("file"))
	if err != nil {
		return reply{}, err
	}
	if !ok {
		return reply{}, errNoLinks
	}
	answer := reply{etag: etag, public: linksPublic}
	header := &x.http.Response.Header
	header.Set("Vary", "Accept-Encoding")
	if x.has(etag) {
		answer.status = fasthttp.StatusNotModified
		return answer, nil
	}
	header.Set("ETag", etag)
	header.Set("Cache-Control", "public, max-age="+itoa(int(linksPublic.Seconds())))
	header.SetContentType("application/fhir+ndjson")
	packed := x.http.Request.Header.HasAcceptEncoding("gzip")
	if packed {
		header.SetContentEncoding("gzip")
	}
	if x.http.IsHead() {
		return answer, nil
	}
	reading, cancel := context.WithCancel(context.Background())
	x.http.SetBodyStream(&linksStream{x: x, file: open(reading, packed), cancel: cancel}, -1)
	return reply{stream: true}, nil
}

// linksStream is a file on its way to a reader, who may be slow as long as something moves.
type linksStream struct {
	x      *exchange
	file   io.ReadCloser
	cancel context.CancelFunc
	closed bool
}

func (l *linksStream) Read(b []byte) (n int, err error) {
	defer l.x.endPanic(&err)
	if l.x.server.Draining() {
		return 0, errors.New("the server is stopping")
	}
	if err := l.x.http.SetWriteDeadline(time.Now().Add(l.x.server.options.StreamIdle)); err != nil {
		return 0, err
	}
	n, err = l.file.Read(b)
	if err != nil && err != io.EOF {
		l.x.code = allocator.CodeInternal
		l.x.server.log.LogAttrs(context.Background(), slog.LevelWarn, "a file broke off", l.x.attrs("cause", err.Error())...)
	}
	return n, err
}

// Close ends the exchange.
func (l *linksStream) Close() error {
	if l.closed {
		return nil
	}
	l.closed = true
	l.cancel()
	l.x.finish()
	return l.file.Close()
}
