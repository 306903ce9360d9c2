package api

import (
	"net"
	"net/netip"
	"sync"
)

// household is who an address counts as: itself, or the /56 that one household has of IPv6.
func household(address netip.Addr) netip.Prefix {
	address = address.Unmap()
	bits := 32
	if address.Is6() {
		bits = 56
	}
	prefix, _ := address.Prefix(bits)
	return prefix
}

// perAddress bounds how many connections of a listener one household has open. Those above are told so and closed at once.
func perAddress(inner net.Listener, most int) net.Listener {
	return &boundedListener{Listener: inner, most: most, open: make(map[netip.Prefix]int)}
}

type boundedListener struct {
	net.Listener
	most int
	mu   sync.Mutex
	open map[netip.Prefix]int
}

// tooManyConnections is sent without looking at what was asked.
const tooManyConnections = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 5\r\nContent-Length: 0\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"

func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from, err := netip.ParseAddrPort(c.RemoteAddr().String())
		if err != nil { // no address to count by
			return c, nil
		}
		who := household(from.Addr())
		if l.enter(who) {
			return &countedConn{Conn: c, leave: sync.OnceFunc(func() { l.left(who) })}, nil
		}
		_, _ = c.Write([]byte(tooManyConnections)) // fits into the empty buffer of a new connection, so it does not wait
		_ = c.Close()
	}
}

func (l *boundedListener) enter(who netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[who] >= l.most {
		return false
	}
	l.open[who]++
	return true
}

func (l *boundedListener) left(who netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[who]--; l.open[who] == 0 {
		delete(l.open, who)
	}
}

type countedConn struct {
	net.Conn
	leave func()
}

func (c *countedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}
