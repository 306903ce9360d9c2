package api

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Every reply says that nobody may keep it, guess its type, frame it, or be told where its reader came from.
func TestSecurityHeaders(t *testing.T) {
	w := serve(t, Options{Dev: true, StrictTransport: 24 * time.Hour}, &fake{})
	page := w.staff("GET", "/v1/sites/A/days/2027-06-01/bookings?format=html", "").wants(200)
	unreadable := w.dial()
	unreadable.send("NONSENSE\r\n\r\n")
	for name, a := range map[string]answer{
		"success": w.call("GET", "/v1/bookings/"+someKey.Reference(), "", "Authorization", "Manage x"), "refusal": w.call("POST", "/v1/holds", "{"),
		"no route": w.call("GET", "/nothing", ""), "options": w.call("OPTIONS", "/v1/sites", ""), "unreadable": unreadable.response(), "page": page,
	} {
		for header, want := range map[string]string{
			"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Strict-Transport-Security": "max-age=86400",
		} {
			if got := a.header.Get(header); got != want {
				t.Errorf("%s: %s %q, want %q", name, header, got, want)
			}
		}
		if policy := a.header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("%s: policy %q", name, policy)
		}
		for name := range a.header {
			if name == "Server" || strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s has the header %s", name, name)
			}
		}
	}
	if h := serve(t, Options{}, &fake{}).call("GET", "/v1/services", "").header.Get("Strict-Transport-Security"); h != "" {
		t.Errorf("strict transport unasked: %q", h)
	}
}

// Pages of the origins that are listed may call the server, all others may not, and nobody may with a browser's credentials.
func TestOrigins(t *testing.T) {
	const ours = "https://booking.example.org"
	w := serve(t, Options{Origins: []string{ours, "http://localhost:3000"}}, &fake{})
	a := w.call("POST", "/v1/holds", goodHold, "Origin", ours).wants(201)
	if a.header.Get("Access-Control-Allow-Origin") != ours || a.header.Get("Vary") != "Origin" || !strings.Contains(a.header.Get("Access-Control-Expose-Headers"), "Retry-After") {
		t.Errorf("%v", a.header)
	}
	a = w.call("OPTIONS", "/v1/holds", "", "Origin", ours, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "idempotency-key").wants(204)
	if a.header.Get("Access-Control-Allow-Methods") != "OPTIONS, POST" || !strings.Contains(a.header.Get("Access-Control-Allow-Headers"), "Idempotency-Key") ||
		a.header.Get("Access-Control-Max-Age") != "600" || a.header.Get("Access-Control-Allow-Origin") != ours {
		t.Errorf("%v", a.header)
	}
	refusal := w.call("POST", "/v1/holds", "{", "Origin", ours).wants(400)
	if refusal.header.Get("Access-Control-Allow-Origin") != ours {
		t.Errorf("a page cannot read why it was refused: %v", refusal.header)
	}
	for _, origin := range []string{"https://booking.example.org.evil.test", "http://booking.example.org", "https://BOOKING.example.org", "null", "*", "https://evil.test", ""} {
		for _, method := range []string{"GET", "OPTIONS"} {
			a := w.call(method, "/v1/services", "", "Origin", origin, "Access-Control-Request-Method", "GET")
			noCORS(t, origin, a.header)
		}
	}
	if _, ok := a.header["Access-Control-Allow-Credentials"]; ok {
		t.Error("credentials are allowed")
	}
	noCORS(t, "none configured", serve(t, Options{}, &fake{}).call("OPTIONS", "/v1/services", "", "Origin", ours, "Access-Control-Request-Method", "GET").header)
	for _, bad := range []string{"*", "null", "booking.example.org", "https://a.example/", "https://a.example/x", "https://*.example", "HTTPS://a.example", "ftp://a.example", "https://a.example, https://b.example", ""} {
		if (Options{Origins: []string{bad}}).Validate() == nil {
			t.Errorf("origin %q is taken", bad)
		}
	}
}

func noCORS(t *testing.T, what string, h http.Header) {
	t.Helper()
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("origin %q is told %s: %s", what, name, h.Get(name))
		}
	}
}

// One address has so many connections and no more, until it closes one.
func TestConnectionsPerAddress(t *testing.T) {
	at := onSocket(t, Options{MaxPerAddress: 2}, &fake{})
	dial := func(request string) (net.Conn, string) {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, request) // one that is refused need not take it
		b := make([]byte, len("HTTP/1.1 200"))
		_, _ = io.ReadFull(c, b)
		return c, string(b)
	}
	const request = "GET /v1/services HTTP/1.1\r\nHost: a\r\n\r\n"
	first, status := dial(request)
	_, second := dial(request)
	if status != "HTTP/1.1 200" || second != status {
		t.Fatalf("%q, %q", status, second)
	}
	if _, status := dial(""); status != "HTTP/1.1 429" {
		t.Errorf("the third: %q", status)
	}
	first.Close()
	for range 1000 { // the server notices in its own time
		if _, status := dial(request); status == "HTTP/1.1 200" {
			return
		}
	}
	t.Error("the place of a closed connection stays taken")
}

func TestHousehold(t *testing.T) {
	l := perAddress(nil, 1).(*boundedListener)
	for _, c := range []struct {
		address string
		in      bool
	}{{"[2001:db8::1]:1", true}, {"[2001:db8::2]:1", false}, {"[2001:db8:0:100::1]:1", true}, {"192.0.2.1:1", true}, {"192.0.2.2:1", true}, {"[::ffff:192.0.2.1]:1", false}} {
		address, err := net.ResolveTCPAddr("tcp", c.address)
		if err != nil {
			t.Fatal(err)
		}
		if got := l.enter(household(address.AddrPort().Addr())); got != c.in {
			t.Errorf("%s: %v", c.address, got)
		}
	}
}
