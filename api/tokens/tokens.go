// Package tokens checks access tokens (JWT): who signed them, for whom, until when, and what they allow.
//
// A token is believed for the key that its issuer publishes under the token's kid, and for nothing that it brings along:
// jwk, jku, x5u and x5c are not looked at, and the algorithms are a closed list. Keys come from a file or from a URL, and
// change while the program runs: they are read again at intervals, and when a token names a key that is not known.
package tokens

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/prometheus/client_golang/prometheus"
)

// Verify's errors. Neither says more to the client: the difference between wrong tokens is nobody's business.
var (
	ErrInvalid = errors.New("the access token is not valid here")
	ErrNoKeys  = errors.New("the keys of the token's issuer are not known yet")
)

// Issuer is somebody whose tokens are believed.
type Issuer struct {
	Name     string // in logs, metrics and readiness, e.g. "clients"
	Issuer   string // the iss of its tokens
	Audience string // one of the aud of its tokens; with Issuer it tells issuers apart

	// Where its keys are: one of a file, a URL, or its OpenID Connect discovery document.
	KeysFile string
	KeysURL  string
	Discover bool

	OrganisationClaim string // whom the caller works for
	SubjectPrefix     string // put before sub, so that no two issuers name the same caller
	Reserved          string // a prefix that sub must not have: another issuer's
	// RolesClaim, where set, is a list of roles whose scopes Roles tells; the token's own scopes are not looked at then.
	RolesClaim string
	Roles      map[string][]string
}

// Identity is what a valid token says.
type Identity struct {
	Subject      string
	Organisation string // "": none
	Scopes       []string
}

// Options of a Verifier. Zero values mean their defaults.
type Options struct {
	Loopback   bool                  // keys may come over plain HTTP from this machine; never in production
	Every      time.Duration         // between two looks at a URL; default 5 minutes
	FileEvery  time.Duration         // between two looks at a file; default 5 s
	Gap        time.Duration         // at least between two loads that unknown keys ask for; default 5 s
	Now        func() time.Time      // default time.Now
	Logger     *slog.Logger          // default: discards
	Registerer prometheus.Registerer // default: metrics are kept nowhere
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		of    *time.Duration
		value time.Duration
	}{{&o.Every, 5 * time.Minute}, {&o.FileEvery, 5 * time.Second}, {&o.Gap, 5 * time.Second}} {
		if *d.of == 0 {
			*d.of = d.value
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	return o
}

// Verifier checks tokens. Safe for concurrent use.
type Verifier struct {
	issuers []*trusted
	now     func() time.Time
}

// trusted is an issuer with its keys.
type trusted struct {
	Issuer
	keys *source
}

// New makes a verifier of some issuers, or of none. Keys in files are read at once, and it fails where one cannot be used;
// those behind URLs are read by Run, and before that by the first token that needs them.
func New(issuers []Issuer, o Options) (*Verifier, error) {
	o = o.withDefaults()
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, err
	}
	v := &Verifier{now: o.Now}
	for _, i := range issuers {
		keys, err := newSource(i, o, m)
		if err != nil {
			return nil, err
		}
		v.issuers = append(v.issuers, &trusted{i, keys})
	}
	return v, nil
}

// Run keeps the keys up to date until ctx ends.
func (v *Verifier) Run(ctx context.Context) {
	var loops sync.WaitGroup
	for _, i := range v.issuers {
		loops.Go(func() { i.keys.run(ctx) })
	}
	loops.Wait()
}

// Missing names the issuers of which no keys were ever had.
func (v *Verifier) Missing() (missing []string) {
	for _, i := range v.issuers {
		if i.keys.current.Load() == nil {
			missing = append(missing, "keys of the tokens of "+i.Name)
		}
	}
	return missing
}

// algorithms that a token may be signed with. None is symmetric.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA}

// leeway is how far the clocks of issuer and server may differ.
const leeway = 30 * time.Second

// Verify tells who presents a token: ErrInvalid, or ErrNoKeys where that cannot be said yet. A token that names an unknown
// key may wait until the keys have been read again, a few seconds at most.
func (v *Verifier) Verify(ctx context.Context, token string) (Identity, error) {
	if len(v.issuers) == 0 {
		return Identity{}, ErrInvalid
	}
	parsed, err := jwt.ParseSigned(token, algorithms)
	if err != nil || len(parsed.Headers) != 1 || !acceptable(parsed.Headers[0]) {
		return Identity{}, ErrInvalid
	}
	var said jwt.Claims // by nobody knows whom: only to choose whose keys are tried
	if err := parsed.UnsafeClaimsWithoutVerification(&said); err != nil {
		return Identity{}, ErrInvalid
	}
	at := slices.IndexFunc(v.issuers, func(i *trusted) bool { return i.Issuer.Issuer == said.Issuer && said.Audience.Contains(i.Audience) })
	if at < 0 {
		return Identity{}, ErrInvalid
	}
	issuer := v.issuers[at]
	key, err := issuer.keys.find(ctx, parsed.Headers[0])
	if err != nil {
		return Identity{}, err
	}
	var claims jwt.Claims
	var all map[string]json.RawMessage
	if err := parsed.Claims(key, &claims, &all); err != nil || claims.Expiry == nil {
		return Identity{}, ErrInvalid
	}
	expected := jwt.Expected{Issuer: issuer.Issuer.Issuer, AnyAudience: jwt.Audience{issuer.Audience}, Time: v.now()}
	if err := claims.ValidateWithLeeway(expected, leeway); err != nil {
		return Identity{}, ErrInvalid
	}
	return issuer.identity(claims.Subject, all)
}

// acceptable says whether a token is of a kind that access tokens are (RFC 9068, or any JWT).
func acceptable(h jose.Header) bool {
	typ, given := h.ExtraHeaders[jose.HeaderType]
	if !given {
		return true
	}
	text, _ := typ.(string)
	switch strings.TrimPrefix(strings.ToLower(text), "application/") {
	case "jwt", "at+jwt":
		return true
	}
	return false
}

// identity reads the claims of a token whose signature is right.
func (i *trusted) identity(subject string, claims map[string]json.RawMessage) (Identity, error) {
	who := Identity{Subject: i.SubjectPrefix + subject}
	if !plain(subject) || strings.HasPrefix(subject, i.Reserved) && i.Reserved != "" {
		return Identity{}, ErrInvalid
	}
	if raw, given := claims[i.OrganisationClaim]; given {
		if json.Unmarshal(raw, &who.Organisation) != nil || !nameable(who.Organisation) {
			return Identity{}, ErrInvalid
		}
	}
	if i.RolesClaim == "" {
		who.Scopes = append(words(claims["scope"]), words(claims["scp"])...)
		return who, nil
	}
	for _, role := range words(claims[i.RolesClaim]) {
		who.Scopes = append(who.Scopes, i.Roles[role]...)
	}
	return who, nil
}

// words reads a list, or words in one string.
func words(raw json.RawMessage) []string {
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		return list
	}
	var text string
	_ = json.Unmarshal(raw, &text)
	return strings.Fields(text)
}

const maxNameBytes = 128

// plain accepts what may stand in an audit trail as a caller's name: ASCII without spaces.
func plain(name string) bool {
	return name != "" && len(name) <= maxNameBytes && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' })
}

// nameable accepts the name of an organisation.
func nameable(name string) bool {
	return name != "" && len(name) <= maxNameBytes && utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsGraphic(r) })
}

// Validate finds what is wrong with the issuer as it is configured.
func (i Issuer) Validate(loopback bool) error {
	if i.Issuer == "" || i.Audience == "" {
		return fmt.Errorf("%s: issuer and audience are needed", i.Name)
	}
	address := i.KeysURL
	if i.Discover {
		address = discoveryOf(i.Issuer)
	}
	if address != "" {
		if err := allowed(address, loopback); err != nil {
			return fmt.Errorf("%s: %w", i.Name, err)
		}
	}
	return nil
}
