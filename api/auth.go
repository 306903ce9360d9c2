package api

import (
	"context"
	"errors"
	"slices"
	"strings"

	"muster/allocator"
	"muster/api/tokens"
)

// Scopes of access tokens. Admin implies all others, and every site. ScopeSitesAll is for national staff: what the other
// scopes of the token allow, it allows at every site.
const (
	ScopeCapacityWrite = "capacity:write"
	ScopeSitesWrite    = "sites:write"
	ScopeBookingsRead  = "bookings:read"
	ScopeBookingsWrite = "bookings:write"
	ScopeEventsRead    = "events:read"
	ScopeTrailRead     = "trail:read"
	ScopeSitesAll      = "sites:all"
	ScopeAdmin         = "admin"
)

var knownScopes = []string{ScopeCapacityWrite, ScopeSitesWrite, ScopeBookingsRead, ScopeBookingsWrite, ScopeEventsRead, ScopeTrailRead, ScopeSitesAll, ScopeAdmin}

// grant is who a request comes from. The zero value is the public.
type grant struct {
	client       string
	organisation string // whose sites the caller may work at, unless it may at every site
	scopes       []string
}

func (g grant) known() bool { return g.client != "" }

// may says whether the grant has one of the scopes.
func (g grant) may(scopes ...string) bool {
	return g.known() && (slices.Contains(g.scopes, ScopeAdmin) || slices.ContainsFunc(scopes, func(s string) bool {
		return slices.Contains(g.scopes, s)
	}))
}

// bound says whether the caller may work at the sites of its organisation only.
func (g grant) bound() bool { return g.known() && !g.may(ScopeSitesAll) }

// caller is the grant as the engine knows it. Whoever may write bookings counts as staff.
func (g grant) caller() allocator.Caller {
	if !g.known() {
		return allocator.Caller{Actor: "public"}
	}
	actor := g.client
	if !strings.HasPrefix(actor, staffPrefix) {
		actor = "publisher:" + g.client
	}
	return allocator.Caller{Client: g.client, Actor: actor, Staff: g.may(ScopeBookingsWrite), Bound: g.bound(), Organisation: g.organisation}
}

// caller is who makes the request, as the engine and its audit trail know it.
func (x *exchange) caller() allocator.Caller {
	caller := x.grant.caller()
	caller.Request = x.id
	return caller
}

// parseAuthorization splits credentials into a lower-case scheme and its token68 (RFC 9110, section 11.4).
func parseAuthorization(header string) (scheme, token string, ok bool) {
	scheme, token, ok = strings.Cut(strings.Trim(header, " \t"), " ")
	token = strings.TrimLeft(token, " ")
	if !ok || scheme == "" || token == "" || len(token) > 8192 {
		return "", "", false
	}
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._~+/", r)
	}
	if strings.ContainsFunc(scheme, func(r rune) bool { return r != '-' && !plain(r) }) ||
		strings.ContainsFunc(strings.TrimRight(token, "="), func(r rune) bool { return !plain(r) }) {
		return "", "", false
	}
	return strings.ToLower(scheme), token, true
}

// What a client learns about a token that was not taken.
var (
	errToken = allocator.Refuse(allocator.CodeUnauthorised, "the access token is not valid here")
	errKeys  = allocator.Refuse(allocator.CodeOverloaded, "the keys of the token's issuer cannot be read yet; try again soon")
)

// identify tells who presents a bearer token.
func (s *Server) identify(token string) (grant, error) {
	if s.options.Dev && token == "dev" {
		return grant{client: "dev", scopes: []string{ScopeAdmin}}, nil
	}
	who, err := s.verifier.Verify(context.Background(), token)
	switch {
	case errors.Is(err, tokens.ErrNoKeys):
		return grant{}, errKeys
	case err != nil:
		return grant{}, errToken
	}
	return grant{client: who.Subject, organisation: who.Organisation, scopes: who.Scopes}, nil
}

// authorise finds out who asks, and refuses those who may not. Whoever presents a bearer token must present a valid one,
// on public routes too.
func (s *Server) authorise(x *exchange) error {
	header, once := x.header("Authorization")
	scheme, token, ok := parseAuthorization(header)
	if ok && once && scheme == "bearer" {
		g, err := s.identify(token)
		if err == errToken {
			x.http.Response.Header.Set("WWW-Authenticate", `Bearer realm="muster", error="invalid_token"`)
		}
		if err != nil {
			return err
		}
		x.grant = g
	}
	if len(x.route.scopes) == 0 {
		return nil
	}
	return x.require(x.route.scopes...)
}

// require refuses callers that have none of the scopes.
func (x *exchange) require(scopes ...string) error {
	if !x.grant.known() {
		return allocator.Refuse(allocator.CodeUnauthorised, "a bearer token is needed")
	}
	if x.grant.bound() && x.grant.organisation == "" {
		return allocator.Refuse(allocator.CodeForbidden, "the token names no organisation whose sites these would be")
	}
	if !x.grant.may(scopes...) {
		x.http.Response.Header.Set("WWW-Authenticate", `Bearer realm="muster", error="insufficient_scope", scope="`+strings.Join(scopes, " ")+`"`)
		return allocator.Refuse(allocator.CodeForbidden, "the token's scope does not include %s", strings.Join(scopes, " or "))
	}
	return nil
}
