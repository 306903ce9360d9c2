package api

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"muster/allocator"
)

// issuer signs access tokens with one key per algorithm.
type issuer struct {
	t    testing.TB
	keys map[string]crypto.Signer
	file string
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{t: t, keys: map[string]crypto.Signer{"rsa": rsaKey, "ec": ecKey, "ed": edKey}}
	var set jose.JSONWebKeySet
	for id, k := range i.keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.Public(), KeyID: id, Use: "sig"})
	}
	i.file = i.write(set)
	return i
}

func (i *issuer) write(set jose.JSONWebKeySet) string {
	i.t.Helper()
	data, err := json.Marshal(set)
	if err != nil {
		i.t.Fatal(err)
	}
	file := filepath.Join(i.t.TempDir(), "keys.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		i.t.Fatal(err)
	}
	return file
}

func (i *issuer) sign(alg jose.SignatureAlgorithm, key any, kid, typ string, claims map[string]any) string {
	i.t.Helper()
	options := (&jose.SignerOptions{}).WithType(jose.ContentType(typ))
	if kid != "" {
		options = options.WithHeader("kid", kid)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		i.t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		i.t.Fatal(err)
	}
	return token
}

func TestAccessTokens(t *testing.T) {
	i := newIssuer(t)
	now := time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC)
	engine := &fake{}
	w := serve(t, Options{Issuer: "https://issuer.test", Audience: "muster", JWKSFile: i.file, Now: func() time.Time { return now }}, engine)
	claims := func(change ...any) map[string]any {
		c := map[string]any{"iss": "https://issuer.test", "aud": []string{"other", "muster"}, "sub": "boots", "exp": now.Unix() + 60, "scope": "sites:write capacity:write"}
		for n := 0; n+1 < len(change); n += 2 {
			if c[change[n].(string)] = change[n+1]; change[n+1] == nil {
				delete(c, change[n].(string))
			}
		}
		return c
	}
	es := func(change ...any) string { return i.sign(jose.ES256, i.keys["ec"], "ec", "at+jwt", claims(change...)) }
	good := es()
	parts := strings.Split(good, ".")
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name, token string
		status      int
	}{
		{"ES256", good, 201},
		{"RS256", i.sign(jose.RS256, i.keys["rsa"], "rsa", "JWT", claims()), 201},
		{"PS256", i.sign(jose.PS256, i.keys["rsa"], "rsa", "JWT", claims()), 201},
		{"EdDSA", i.sign(jose.EdDSA, i.keys["ed"], "ed", "application/at+jwt", claims()), 201},
		{"scp list", es("scope", nil, "scp", []string{"sites:write"}), 201},
		{"scp words", es("scope", nil, "scp", "x sites:write"), 201},
		{"admin", es("scope", "admin"), 201},
		{"just within leeway", es("exp", now.Unix()-29), 201},
		{"dev", "dev", 401},
		{"expired", es("exp", now.Unix()-31), 401},
		{"never expires", es("exp", nil), 401},
		{"not yet", es("nbf", now.Unix()+60), 401},
		{"other audience", es("aud", "other"), 401},
		{"no audience", es("aud", nil), 401},
		{"other issuer", es("iss", "https://evil.test"), 401},
		{"no subject", es("sub", nil), 401},
		{"odd subject", es("sub", "a\nb"), 401},
		{"other scope", es("scope", "bookings:read"), 403},
		{"no scope", es("scope", nil), 403},
		{"scope as a part", es("scope", "sites:writer sites"), 403},
		{"another type", i.sign(jose.ES256, i.keys["ec"], "ec", "logout+jwt", claims()), 401},
		{"unknown key", i.sign(jose.ES256, stranger, "other", "JWT", claims()), 401},
		{"stranger's key under our id", i.sign(jose.ES256, stranger, "ec", "JWT", claims()), 401},
		{"no key id, several keys", i.sign(jose.ES256, i.keys["ec"], "", "JWT", claims()), 401},
		{"HS256 with a public key", i.sign(jose.HS256, []byte(strings.Repeat("k", 32)), "ec", "JWT", claims()), 401},
		{"RS512", i.sign(jose.RS512, i.keys["rsa"], "rsa", "JWT", claims()), 401},
		{"none", "eyJhbGciOiJub25lIn0." + parts[1] + ".", 401},
		{"unsigned", parts[0] + "." + parts[1] + ".", 401},
		{"changed", parts[0] + "." + parts[1] + "x." + parts[2], 401},
		{"not a token", "abc", 401},
	}
	for _, c := range cases {
		a := w.call("PUT", "/v1/sites/A", `{"name":"A"}`, "Authorization", "Bearer "+c.token, "X-Request-Id", "request-7")
		if a.status != c.status {
			t.Errorf("%s: status %d, want %d: %s", c.name, a.status, c.status, a.body)
		}
		if c.status != 201 && !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer ") {
			t.Errorf("%s: WWW-Authenticate %q", c.name, a.header.Get("WWW-Authenticate"))
		}
	}
	if want := (allocator.Caller{Client: "boots", Actor: "publisher:boots", Request: "request-7", Bound: true, Organisation: "boots"}); engine.lastCaller != want {
		t.Errorf("caller %+v", engine.lastCaller)
	}
	tokensElsewhere(t, w, good)
}

// tokensElsewhere tries a token where none is due, twice, and in the log.
func tokensElsewhere(t *testing.T, w *world, good string) {
	t.Helper()
	// A bad token is refused on public routes too, so that nobody is taken for the public by mistake.
	w.call("GET", "/v1/services", "", "Authorization", "Bearer abc").refused(401, allocator.CodeUnauthorised)
	w.call("GET", "/v1/services", "").wants(200)
	w.call("PUT", "/v1/sites/A", `{"name":"A"}`, "Authorization", "Bearer "+good, "Authorization", "Bearer "+good).refused(401, allocator.CodeUnauthorised)
	if strings.Contains(w.logs.String(), strings.Split(good, ".")[2]) {
		t.Error("a token is in the log")
	}
}

func TestKeyFilesRefused(t *testing.T) {
	i := newIssuer(t)
	for name, set := range map[string]jose.JSONWebKeySet{
		"empty":      {},
		"private":    {Keys: []jose.JSONWebKey{{Key: i.keys["ec"], KeyID: "a"}}},
		"secret":     {Keys: []jose.JSONWebKey{{Key: []byte(strings.Repeat("k", 32)), KeyID: "a"}}},
		"encryption": {Keys: []jose.JSONWebKey{{Key: i.keys["ec"].Public(), KeyID: "a", Use: "enc"}}},
	} {
		if _, err := New(Options{Issuer: "i", Audience: "a", JWKSFile: i.write(set)}, &fake{}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := New(Options{Issuer: "i", JWKSFile: i.file}, &fake{}); err == nil || !strings.Contains(err.Error(), "belong together") {
		t.Error(err)
	}
}

// TestScopes tries every route that wants a scope without one, with a wrong one and with each right one.
func TestScopes(t *testing.T) {
	i := newIssuer(t)
	w := serve(t, Options{Issuer: "i", Audience: "a", JWKSFile: i.file}, &fake{})
	bearer := func(scope string) []string {
		return []string{"Authorization", "Bearer " + i.sign(jose.EdDSA, i.keys["ed"], "ed", "JWT",
			map[string]any{"iss": "i", "aud": "a", "sub": "s", "exp": time.Now().Unix() + 600, "scope": scope, "org": "example"})}
	}
	path := strings.NewReplacer("{siteId}", "A", "{date}", "2026-12-01", "{service}", "S", "{reference}", someKey.Reference())
	all := []string{ScopeCapacityWrite, ScopeSitesWrite, ScopeBookingsRead, ScopeBookingsWrite, ScopeEventsRead, ScopeAdmin}
	for _, r := range routes() {
		scopes := r.scopes
		if r.operation == "getBooking" {
			scopes = []string{ScopeBookingsRead}
		}
		if r.operation == "cancelBooking" {
			scopes = []string{ScopeBookingsWrite}
		}
		if scopes == nil {
			continue
		}
		w.call(r.method, path.Replace(r.path), "").refused(401, allocator.CodeUnauthorised)
		for _, scope := range all {
			a := w.call(r.method, path.Replace(r.path), "", bearer(scope)...)
			if may := contains(scopes, scope) || scope == ScopeAdmin; may == (a.status == 403) {
				t.Errorf("%s with %s: %d", r.operation, scope, a.status)
			}
		}
	}
}

func TestBookingAccess(t *testing.T) {
	var got allocator.BookingAccess
	engine := &fake{}
	engine.booking = func(_ context.Context, a allocator.BookingAccess) (allocator.BookingView, error) {
		got = a
		if a.ManageToken == "WRONG" {
			return allocator.BookingView{}, allocator.Refuse(allocator.CodeBookingUnknown, "engine's own words")
		}
		return someBooking(), nil
	}
	w := serve(t, Options{Dev: true}, engine)
	reference := someKey.Reference()
	at := "/v1/bookings/" + strings.ToLower(strings.ReplaceAll(reference, "-", ""))

	a := w.call("GET", at, "", "Authorization", "mAnAgE TOKEN").wants(200)
	if got != (allocator.BookingAccess{Reference: reference, ManageToken: "TOKEN"}) || !strings.Contains(string(a.body), `"nhsNumber"`) {
		t.Errorf("%+v %s", got, a.body)
	}
	if strings.Contains(string(a.body), "manageToken") {
		t.Error("the manage token is shown again")
	}
	a = w.call("GET", at+"?dateOfBirth=1950-02-01", "").wants(200)
	if !got.HasBirth || got.DateOfBirth.String() != "1950-02-01" || got.Staff || strings.Contains(string(a.body), "9000000009") || !strings.Contains(string(a.body), "Alex") {
		t.Errorf("%+v %s", got, a.body)
	}
	w.staff("GET", at, "").wants(200)
	if !got.Staff {
		t.Errorf("%+v", got)
	}
	w.call("POST", at+"/cancel", "", "Authorization", "Manage T").wants(200)
	if engine.lastReason != "citizen" || engine.lastCaller.Actor != "public" {
		t.Errorf("%q %+v", engine.lastReason, engine.lastCaller)
	}
	w.staff("POST", at+"/cancel", "").wants(200)
	if engine.lastReason != "site" || !engine.lastCaller.Staff {
		t.Errorf("%q %+v", engine.lastReason, engine.lastCaller)
	}
	w.call("GET", at, "").refused(401, allocator.CodeUnauthorised)
	w.call("GET", at, "", "Authorization", "Basic abc").refused(401, allocator.CodeUnauthorised)
	wrong := w.call("GET", at, "", "Authorization", "Manage WRONG").refused(404, allocator.CodeBookingUnknown)
	unknown := w.call("GET", "/v1/bookings/0000-0000-0000-1", "", "Authorization", "Manage T").refused(404, allocator.CodeBookingUnknown)
	if wrong.Detail != unknown.Detail {
		t.Errorf("%q and %q tell the cases apart", wrong.Detail, unknown.Detail)
	}
}

func TestLookupLimits(t *testing.T) {
	wrong, _ := allocator.ParseDate("1950-02-02")
	engine := &fake{booking: func(_ context.Context, a allocator.BookingAccess) (allocator.BookingView, error) {
		if a.HasBirth && a.DateOfBirth == wrong {
			return allocator.BookingView{}, allocator.Refuse(allocator.CodeForbidden, "not born then")
		}
		return someBooking(), nil
	}}
	now := time.Unix(1_800_000_000, 0)
	w := serve(t, Options{
		Now: func() time.Time { return now }, AddressHeader: "X-Forwarded-For",
		LookupsPerAddress: Rate{Burst: 6, Every: 10 * time.Second}, LookupsPerReference: Rate{Burst: 3, Every: time.Minute},
	}, engine)
	at := func(key allocator.BookingKey) string {
		return "/v1/bookings/" + key.Reference() + "?dateOfBirth=1950-02-01"
	}
	from := []string{"X-Forwarded-For", "10.0.0.1, 2001:db8::1"}
	for range 3 {
		w.call("GET", strings.Replace(at(1), "-01", "-02", 1), "", from...).wants(404)
	}
	a := w.call("GET", at(1), "", "X-Forwarded-For", "192.0.2.9")
	a.refused(429, allocator.CodeRateLimited)
	if a.header.Get("RateLimit") != `"reference";r=0;t=60` || a.header.Get("RateLimit-Policy") != `"reference";q=3;w=180` || a.header.Get("Retry-After") != "60" {
		t.Errorf("%v", a.header)
	}
	a = w.call("GET", at(2), "", from...).wants(200)
	if a.header.Get("RateLimit") != `"address";r=2;t=10` {
		t.Errorf("%v", a.header)
	}
	w.call("GET", at(3), "", from...).wants(200)
	w.call("GET", "/v1/bookings/nonsense?dateOfBirth=1950-02-01", "", from...).refused(404, allocator.CodeBookingUnknown)
	w.call("GET", at(4), "", "X-Forwarded-For", "2001:db8::ffff:1").refused(429, allocator.CodeRateLimited) // the same /56
	w.call("GET", at(4), "", "X-Forwarded-For", "2001:db8:0:100::1").wants(200)
	now = now.Add(10 * time.Second)
	w.call("GET", at(5), "", from...).wants(200)
	w.call("GET", at(5), "", append(from, "Authorization", "Manage T")...).wants(200) // tokens are not guessed
}

// TestRightLookupsAreFree: only wrong guesses use the reference's allowance up, whatever the engine makes of the right ones.
func TestRightLookupsAreFree(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	var refusal error
	engine := &fake{booking: func(context.Context, allocator.BookingAccess) (allocator.BookingView, error) {
		return someBooking(), refusal
	}}
	w := serve(t, Options{
		Now: func() time.Time { return now }, LookupsPerAddress: Rate{Burst: 100, Every: time.Second}, LookupsPerReference: Rate{Burst: 2, Every: time.Minute},
	}, engine)
	at := "/v1/bookings/" + someKey.Reference()
	for range 5 {
		a := w.call("GET", at+"?dateOfBirth=1950-02-01", "").wants(200)
		if a.header.Get("RateLimit") != `"reference";r=2;t=60` {
			t.Errorf("%v", a.header)
		}
		w.call("POST", at+"/cancel?dateOfBirth=1950-02-01", "").wants(200)
		w.call("POST", at+"/cancel?dateOfBirth=1950-02-01", `{"why":1}`).refused(400, allocator.CodeInvalid)
		w.call("GET", at+"?dateOfBirth=2950-02-01", "").refused(400, allocator.CodeInvalid)
	}
	refusal = allocator.Refuse(allocator.CodeBookingEnded, "ended")
	for range 5 {
		w.call("POST", at+"/cancel?dateOfBirth=1950-02-01", "").refused(409, allocator.CodeBookingEnded)
	}
	refusal = allocator.Refuse(allocator.CodeBookingUnknown, "wrong")
	for range 2 {
		w.call("GET", at+"?dateOfBirth=1950-02-01", "").refused(404, allocator.CodeBookingUnknown)
	}
	refusal = nil
	w.call("GET", at+"?dateOfBirth=1950-02-01", "").refused(429, allocator.CodeRateLimited)
}
