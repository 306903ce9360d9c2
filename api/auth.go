package api

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"encoding/json"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"muster/allocator"
)

// Scopes of access tokens. Admin implies all others.
const (
	ScopeCapacityWrite = "capacity:write"
	ScopeSitesWrite    = "sites:write"
	ScopeBookingsRead  = "bookings:read"
	ScopeBookingsWrite = "bookings:write"
	ScopeEventsRead    = "events:read"
	ScopeAdmin         = "admin"
)

// grant is who a request comes from. The zero value is the public.
type grant struct {
	client string
	scopes []string
}

func (g grant) known() bool { return g.client != "" }

// may says whether the grant has one of the scopes.
func (g grant) may(scopes ...string) bool {
	return g.known() && (slices.Contains(g.scopes, ScopeAdmin) || slices.ContainsFunc(scopes, func(s string) bool {
		return slices.Contains(g.scopes, s)
	}))
}

// caller is the grant as the engine knows it. Whoever may write bookings counts as staff.
func (g grant) caller() allocator.Caller {
	if !g.known() {
		return allocator.Caller{Actor: "public"}
	}
	return allocator.Caller{Client: g.client, Actor: "publisher:" + g.client, Staff: g.may(ScopeBookingsWrite)}
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

// verifier checks access tokens.
type verifier struct {
	dev      bool
	issuer   string
	audience string
	keys     jose.JSONWebKeySet
	now      func() time.Time
}

// leeway is how far the clocks of issuer and server may differ.
const leeway = 30 * time.Second

var signatures = []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA}

func newVerifier(o Options) (*verifier, error) {
	v := &verifier{dev: o.Dev, issuer: o.Issuer, audience: o.Audience, now: o.Now}
	if o.JWKSFile == "" {
		return v, nil
	}
	data, err := os.ReadFile(o.JWKSFile)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	if v.keys, err = parseKeys(data); err != nil {
		return nil, fmt.Errorf("key file %s: %w", o.JWKSFile, err)
	}
	return v, nil
}

// parseKeys reads a JWKS and refuses what has no place in one that checks signatures: secrets, private keys, none at all.
func parseKeys(data []byte) (set jose.JSONWebKeySet, err error) {
	if err := json.Unmarshal(data, &set); err != nil {
		return set, err
	}
	if len(set.Keys) == 0 {
		return set, errors.New("holds no key")
	}
	for i, k := range set.Keys {
		switch {
		case !k.Valid() || !k.IsPublic():
			return set, fmt.Errorf("key %d is not a public key", i)
		case k.Use != "" && k.Use != "sig":
			return set, fmt.Errorf("key %d is not for signatures", i)
		}
	}
	return set, nil
}

// errToken is the only thing that a client learns about a refused token.
var errToken = allocator.Refuse(allocator.CodeUnauthorised, "the access token is not valid here")

// verify answers who presents a bearer token.
func (v *verifier) verify(token string) (grant, error) {
	if v.dev && token == "dev" {
		return grant{client: "dev", scopes: []string{ScopeAdmin}}, nil
	}
	if len(v.keys.Keys) == 0 {
		return grant{}, errToken
	}
	parsed, err := jwt.ParseSigned(token, signatures)
	if err != nil || len(parsed.Headers) != 1 {
		return grant{}, errToken
	}
	key, ok := v.keyFor(parsed.Headers[0])
	if !ok {
		return grant{}, errToken
	}
	var claims jwt.Claims
	var scopes struct {
		Scope string          `json:"scope"`
		Scp   json.RawMessage `json:"scp"`
	}
	if err := parsed.Claims(key.Key, &claims, &scopes); err != nil || claims.Expiry == nil || !validSubject(claims.Subject) {
		return grant{}, errToken
	}
	expected := jwt.Expected{Issuer: v.issuer, AnyAudience: jwt.Audience{v.audience}, Time: v.now()}
	if err := claims.ValidateWithLeeway(expected, leeway); err != nil {
		return grant{}, errToken
	}
	return grant{client: claims.Subject, scopes: append(strings.Fields(scopes.Scope), scopesOf(scopes.Scp)...)}, nil
}

// keyFor picks the one key that the token names, by our own set only: whatever keys or addresses a token brings along
// (jwk, jku, x5u) are not looked at.
func (v *verifier) keyFor(h jose.Header) (jose.JSONWebKey, bool) {
	if typ, ok := h.ExtraHeaders[jose.HeaderType].(string); ok {
		switch strings.TrimPrefix(strings.ToLower(typ), "application/") {
		case "jwt", "at+jwt":
		default:
			return jose.JSONWebKey{}, false
		}
	}
	keys := v.keys.Keys
	if h.KeyID != "" {
		keys = v.keys.Key(h.KeyID)
	}
	if len(keys) != 1 || keys[0].Algorithm != "" && keys[0].Algorithm != h.Algorithm {
		return jose.JSONWebKey{}, false
	}
	return keys[0], true
}

// scopesOf reads `scp`: a list, or words in one string.
func scopesOf(raw json.RawMessage) []string {
	var scopes []string
	if json.Unmarshal(raw, &scopes) == nil {
		return scopes
	}
	var words string
	_ = json.Unmarshal(raw, &words)
	return strings.Fields(words)
}

// validSubject accepts what may stand in an audit trail.
func validSubject(sub string) bool { return len(sub) <= 128 && visible(sub) }

// authorise finds out who asks, and refuses those who may not. Whoever presents a bearer token must present a valid one,
// on public routes too.
func (s *Server) authorise(x *exchange) error {
	header, once := x.header("Authorization")
	scheme, token, ok := parseAuthorization(header)
	if ok && once && scheme == "bearer" {
		g, err := s.verifier.verify(token)
		if err != nil {
			x.http.Response.Header.Set("WWW-Authenticate", `Bearer realm="muster", error="invalid_token"`)
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
	if !x.grant.may(scopes...) {
		x.http.Response.Header.Set("WWW-Authenticate", `Bearer realm="muster", error="insufficient_scope", scope="`+strings.Join(scopes, " ")+`"`)
		return allocator.Refuse(allocator.CodeForbidden, "the token's scope does not include %s", strings.Join(scopes, " or "))
	}
	return nil
}
