package crashpoints

import (
	"bytes"
	"net"
	"strings"
)

// Listener gives a listener whose connections pass the points of the replies: before a reply's first byte leaves, and
// after the client's side has it.
func (p *Plan) Listener(next net.Listener) net.Listener { return &listener{next, p} }

type listener struct {
	net.Listener
	plan *Plan
}

func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &clientConn{Conn: conn, plan: l.plan, expecting: true}, nil
}

// clientConn is a connection that has one request at a time, read and answered by one goroutine.
type clientConn struct {
	net.Conn
	plan      *Plan
	expecting bool   // the next bytes begin a request
	step      string // of the request; "" once its reply has begun
}

func (c *clientConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && c.expecting {
		c.step, c.expecting = stepOf(b[:n]), false
	}
	return n, err
}

func (c *clientConn) Write(b []byte) (int, error) {
	step := c.step
	c.step, c.expecting = "", true
	if step == "" {
		return c.Conn.Write(b)
	}
	c.plan.pass(step, before)
	n, err := c.Conn.Write(b)
	if err == nil {
		c.plan.pass(step, after)
	}
	return n, err
}

// stepOf finds the step of a request's reply by its first line.
func stepOf(request []byte) string {
	line, _, _ := bytes.Cut(request, []byte("\r\n"))
	method, rest, _ := strings.Cut(string(line), " ")
	path, _, _ := strings.Cut(rest, " ")
	path, _, _ = strings.Cut(path, "?")
	return replyTo(method, path)
}

// replies says which step a reply is, by method and by path; * stands for one part of it.
var replies = []struct{ method, path, step string }{
	{"POST", "/v1/holds", "reply-hold"},
	{"POST", "/v1/holds:batch", "reply-hold"},
	{"POST", "/v1/holds/*/extend", "reply-extend"},
	{"DELETE", "/v1/holds/*", "reply-release"},
	{"POST", "/v1/holds/*/confirm", "reply-confirm"},
	{"POST", "/v1/confirmations:batch", "reply-confirm"},
	{"POST", "/v1/bookings/*/cancel", "reply-cancel"},
	{"POST", "/v1/bookings/*/status", "reply-status"},
	{"POST", "/v1/sites/*/walkins", "reply-walk-in"},
	{"POST", "/v1/people/export", "reply-read"},
	{"POST", "/v1/people/erase", "reply-erase"},
	{"PUT", "/v1/sites/*/days/*", "reply-day"},
	{"DELETE", "/v1/sites/*/days/*", "reply-day"},
	{"POST", "/v1/sites/*/days:edit", "reply-day"},
	{"PUT", "/v1/sites/*/suspensions/*", "reply-day"},
	{"DELETE", "/v1/sites/*/suspensions/*", "reply-day"},
	{"PUT", "/v1/sites/*/plan", "reply-day"},
	{"POST", "/v1/capacity", "reply-upload"},
	{"POST", "/fhir/R4/*/_search", "reply-read"},
	{"POST", "/fhir/R4/Appointment/$find", "reply-read"},
	{"POST", "/fhir/R4/Appointment/$hold", "reply-hold"},
	{"POST", "/fhir/R4/Appointment/$book", "reply-confirm"},
	{"POST", "/fhir/R4/Appointment", "reply-confirm"},
	{"PUT", "/fhir/R4/Appointment/*", "reply-cancel"},
	{"PUT", "/v1/sites/*", "reply-catalogue"},
	{"PUT", "/v1/services/*", "reply-catalogue"},
	{"PUT", "/v1/services/*/waiting-room", "reply-catalogue"},
	{"POST", "/v1/waiting-room/tickets", "reply-read"},
	{"POST", "/v1/waiting-room/passes", "reply-read"},
	{"POST", "/v1/webhooks", "reply-webhook"},
	{"PUT", "/v1/webhooks/*", "reply-webhook"},
	{"DELETE", "/v1/webhooks/*", "reply-webhook"},
	{"POST", "/v1/webhooks/*/rotate-secret", "reply-webhook"},
	{"POST", "/v1/webhooks/*/test", "reply-webhook"},
}

// replyTo is the step of a route's reply; "" for a route that nobody listed.
func replyTo(method, path string) string {
	if method == "GET" || method == "HEAD" {
		return "reply-read"
	}
	for _, r := range replies {
		if r.method == method && matches(r.path, path) {
			return r.step
		}
	}
	return ""
}

func matches(pattern, path string) bool {
	wanted, given := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(wanted) != len(given) {
		return false
	}
	for i := range wanted {
		if wanted[i] != "*" && wanted[i] != given[i] {
			return false
		}
	}
	return true
}
