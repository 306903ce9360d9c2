package api

import (
	"bytes"
	"net/url"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"
)

// header is one that many replies have.
type header struct{ name, value []byte }

// headersOf lists the headers that every reply has. A handler may replace one: pages bring a policy of their own.
func headersOf(o Options) []header {
	all := []header{
		{[]byte("Cache-Control"), []byte("no-store")},
		{[]byte("X-Content-Type-Options"), []byte("nosniff")},
		{[]byte("Referrer-Policy"), []byte("no-referrer")},
		{[]byte("Content-Security-Policy"), []byte("default-src 'none'; frame-ancestors 'none'")},
	}
	if seconds := int(o.StrictTransport.Seconds()); seconds > 0 {
		all = append(all, header{[]byte("Strict-Transport-Security"), []byte("max-age=" + itoa(seconds))})
	}
	if len(o.Origins) > 0 { // or a cache would answer one origin's page with another's reply
		all = append(all, header{[]byte("Vary"), []byte("Origin")})
	}
	return all
}

// secure sets the headers of every reply.
func (s *Server) secure(x *exchange) {
	h := &x.http.Response.Header
	h.Set("X-Request-Id", x.id)
	for i := range s.headers {
		h.SetCanonical(s.headers[i].name, s.headers[i].value)
	}
	if origin := x.allowedOrigin(); origin != nil {
		h.SetBytesV("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", exposed)
	}
}

// allowedOrigin is the origin of the page that asks, where its pages may; nil for all others, and for callers that are no page.
func (x *exchange) allowedOrigin() []byte {
	if len(x.server.options.Origins) == 0 {
		return nil
	}
	given := x.http.Request.Header.PeekAll("Origin")
	if len(given) != 1 || !slices.Contains(x.server.options.Origins, string(given[0])) {
		return nil
	}
	return bytes.Clone(given[0])
}

// What pages may read of a reply, and send, besides what all may.
const (
	exposed  = "Challenge, ETag, Location, RateLimit, RateLimit-Policy, Retry-After, Visitor, WWW-Authenticate, X-Request-Id"
	sendable = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Prefer, Proof, Traceparent, Visitor, Waiting-Room-Pass, Waiting-Room-Ticket, X-Request-Id"
	// rememberSeconds is how long browsers need not ask again.
	rememberSeconds = 600
)

// preflight tells a browser what the pages of an allowed origin may send.
func (x *exchange) preflight() {
	h := &x.http.Response.Header
	if x.allowedOrigin() == nil || len(x.http.Request.Header.Peek("Access-Control-Request-Method")) == 0 {
		return
	}
	h.SetBytesV("Access-Control-Allow-Methods", h.Peek(fasthttp.HeaderAllow))
	h.Set("Access-Control-Allow-Headers", sendable)
	h.Set("Access-Control-Max-Age", itoa(rememberSeconds))
}

// validOrigin says whether a text is an origin as browsers write it.
func validOrigin(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && text == u.Scheme+"://"+u.Host && text == strings.ToLower(text) && !strings.ContainsAny(text, "*, ")
}
