// Package publicweb calls addresses that others choose. Without care, whoever chooses one could have this program call whatever
// is reachable from here, and learn of it. So only addresses of the public internet are called, unless private ones are
// allowed. What is looked at is the address that is really dialled, each time: a name may stand for another address the next
// moment, and a redirect may lead anywhere. For the same reason no proxy of the environment is used.
package publicweb

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"
)

// ErrRefused says that something was not done because it could do harm.
var ErrRefused = errors.New("refused")

// Refuse makes an error that is ErrRefused.
func Refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrRefused, fmt.Sprintf(format, args...))
}

// special are ranges that netip does not tell from public ones.
var special = func() (all []netip.Prefix) {
	for _, text := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "fec0::/10",
	} {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}()

// Public says whether an address is one of the public internet.
func Public(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsGlobalUnicast() && !a.IsPrivate() && !slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(a) })
}

// CheckURL refuses what is not a plain web address.
func CheckURL(u *url.URL) error {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return Refuse("%.200q is not an http or https address", u.Redacted())
	case u.Hostname() == "":
		return Refuse("%.200q names no host", u.Redacted())
	case u.User != nil:
		return Refuse("%.200q carries credentials", u.Redacted())
	}
	if _, err := url.Parse(u.String()); err != nil { // Go writes some that it does not read
		return Refuse("%.200q is not an address", u.Redacted())
	}
	return nil
}

// Transport makes a transport that dials public addresses only, or any where private ones are allowed. Its refusals name the
// flag by which an operator allows them. The caller bounds the time of an answer and its length.
func Transport(allowPrivate bool, flag string) *http.Transport {
	dialer := &net.Dialer{Timeout: 20 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil || !allowPrivate && !Public(at.Addr()) {
			return Refuse("%s is not an address of the public internet (%s calls it all the same)", address, flag)
		}
		return nil
	}}
	return &http.Transport{
		DialContext: dialer.DialContext, TLSHandshakeTimeout: 20 * time.Second, MaxResponseHeaderBytes: 64 << 10, MaxIdleConnsPerHost: 2,
		IdleConnTimeout: 30 * time.Second, ForceAttemptHTTP2: true,
	}
}
