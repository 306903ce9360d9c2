package tokens

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// fetcher reads small documents of issuers. What it asks for is what an operator configured, or what an issuer's own
// discovery document names; nothing that a token says.
type fetcher struct {
	loopback bool
	client   *http.Client
}

const (
	maxDocument  = 1 << 20 // bytes
	maxRedirects = 3
)

func newFetcher(loopback bool) fetcher {
	f := fetcher{loopback: loopback}
	f.client = &http.Client{Timeout: patience, CheckRedirect: func(next *http.Request, before []*http.Request) error {
		if len(before) > maxRedirects || next.URL.Host != before[0].URL.Host {
			return errors.New("redirects to another host, or too often")
		}
		return allowed(next.URL.String(), loopback)
	}}
	return f
}

// allowed says whether keys may come from an address: over TLS, or, where that is allowed, from this machine.
func allowed(address string, loopback bool) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.User != nil:
		return fmt.Errorf("%q is not the address of keys", address)
	case u.Scheme == "https" || u.Scheme == "http" && loopback && onLoopback(u.Hostname()):
		return nil
	}
	return fmt.Errorf("keys come over https only, not from %s://%s", u.Scheme, u.Host)
}

func onLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (f fetcher) get(ctx context.Context, address string) ([]byte, error) {
	if err := allowed(address, f.loopback); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := f.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %d", address, res.StatusCode)
	}
	data, err := limited(res.Body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	return data, nil
}

func limited(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err == nil && len(data) > maxDocument {
		err = fmt.Errorf("has more than %d bytes", maxDocument)
	}
	return data, err
}

func discoveryOf(issuer string) string {
	return strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
}

// discovered reads the keys that an issuer's discovery document names (OpenID Connect Discovery 1.0).
func (f fetcher) discovered(ctx context.Context, issuer string) ([]byte, error) {
	data, err := f.get(ctx, discoveryOf(issuer))
	if err != nil {
		return nil, err
	}
	var document struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(data, &document); err != nil {
		return nil, fmt.Errorf("discovery document: %w", err)
	}
	if document.Issuer != issuer {
		return nil, fmt.Errorf("discovery document is of %q, not of %q", document.Issuer, issuer)
	}
	return f.get(ctx, document.Keys)
}
