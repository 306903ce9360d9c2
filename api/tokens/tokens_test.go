package tokens

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/prometheus/client_golang/prometheus"
)

// Keys rotate behind a URL: a token with an unknown key has them read again, once for all that ask at the same time, and
// not again within the gap.
func TestRotation(t *testing.T) {
	first, second := newKey(t), newKey(t)
	w := newWeb(t)
	w.text("/keys", published(t, map[string]crypto.Signer{"1": first}))
	d := newDesk(t, Issuer{KeysURL: w.URL + "/keys"})
	if missing := d.Missing(); len(missing) != 1 {
		t.Errorf("before the first load: %q", missing)
	}
	if who := d.wants(nil, token(t, first, "1", nil)); who.Subject != "s" || fmt.Sprint(who.Scopes) != "[x y]" {
		t.Errorf("%+v", who)
	}
	if missing := d.Missing(); len(missing) != 0 {
		t.Errorf("after the first load: %q", missing)
	}
	w.text("/keys", published(t, map[string]crypto.Signer{"1": first, "2": second}))
	d.wants(ErrInvalid, token(t, second, "2", nil)) // a load was a moment ago
	if n := w.asked.Load(); n != 1 {
		t.Errorf("%d loads within the gap", n)
	}
	d.clock.pass(11 * time.Second)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { d.wants(nil, token(t, second, "2", nil)) })
	}
	all.Wait()
	if n := w.asked.Load(); n != 2 {
		t.Errorf("%d loads for 50 tokens of one new key", n)
	}
	for n := range 50 {
		d.wants(ErrInvalid, token(t, second, fmt.Sprint("made-up-", n), nil))
	}
	if n := w.asked.Load(); n != 2 {
		t.Errorf("%d loads after keys that were made up", n)
	}
	w.text("/keys", published(t, map[string]crypto.Signer{"2": second}))
	d.clock.pass(11 * time.Second)
	d.wants(ErrInvalid, token(t, second, "made-up", nil)) // which has the keys read
	d.wants(ErrInvalid, token(t, first, "1", nil))
	d.wants(nil, token(t, second, "2", nil))
}

// What an issuer answers wrongly changes nothing: the last good keys stay, and the failure is counted.
func TestBadAnswers(t *testing.T) {
	key := newKey(t)
	good := published(t, map[string]crypto.Signer{"1": key})
	elsewhere := newWeb(t)
	elsewhere.text("/keys", published(t, map[string]crypto.Signer{"2": key}))
	private, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key, KeyID: "2"}, {Key: key.Public(), KeyID: "3"}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, answer := range map[string]http.HandlerFunc{
		"failure":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"no keys":     func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"keys":[]}`) },
		"not JSON":    func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `<html>`) },
		"private key": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(private) },
		"too large": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, strings.Repeat(" ", maxDocument)+string(good))
		},
		"elsewhere": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/keys", http.StatusFound)
		},
		"round and round": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/keys", http.StatusFound) },
		"another protocol": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "ftp://"+r.Host+"/keys", http.StatusFound)
		},
	} {
		w := newWeb(t)
		w.text("/keys", good)
		d := newDesk(t, Issuer{KeysURL: w.URL + "/keys"})
		d.wants(nil, token(t, key, "1", nil))
		w.page("/keys", answer)
		d.clock.pass(time.Minute)
		d.wants(ErrInvalid, token(t, key, "2", nil))
		d.wants(nil, token(t, key, "1", nil))
		if d.loads("ok") != 1 || d.loads("failed") != 1 {
			t.Errorf("%s: %v good loads, %v failed", name, d.loads("ok"), d.loads("failed"))
		}
		cold := newDesk(t, Issuer{KeysURL: w.URL + "/keys"})
		cold.wants(ErrNoKeys, token(t, key, "1", nil))
		if len(cold.Missing()) != 1 {
			t.Errorf("%s: nothing is missing", name)
		}
	}
	if n := elsewhere.asked.Load(); n != 0 {
		t.Errorf("another host was asked %d times", n)
	}
}

// A redirect within the host is followed.
func TestRedirectWithinHost(t *testing.T) {
	key, w := newKey(t), newWeb(t)
	w.page("/keys", func(res http.ResponseWriter, req *http.Request) {
		http.Redirect(res, req, "/other", http.StatusTemporaryRedirect)
	})
	w.text("/other", published(t, map[string]crypto.Signer{"1": key}))
	newDesk(t, Issuer{KeysURL: w.URL + "/keys"}).wants(nil, token(t, key, "1", nil))
}

func TestAddresses(t *testing.T) {
	for address, want := range map[string][2]bool{ // in production, in development
		"https://issuer.example/keys":      {true, true},
		"http://issuer.example/keys":       {false, false},
		"http://127.0.0.1:1/keys":          {false, true},
		"http://[::1]:1/keys":              {false, true},
		"http://localhost:1/keys":          {false, true},
		"http://127.0.0.1.example/keys":    {false, false},
		"https://user:word@issuer.example": {false, false},
		"file:///etc/passwd":               {false, false},
		"":                                 {false, false},
		"https://":                         {false, false},
	} {
		if got := [2]bool{allowed(address, false) == nil, allowed(address, true) == nil}; got != want {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
	issuer := Issuer{Name: "staff", Issuer: "http://issuer.example", Audience: "a", Discover: true}
	if issuer.Validate(false) == nil || issuer.Validate(true) == nil {
		t.Error("discovery over plain HTTP is taken")
	}
}

// A file that changes is read again; one that is broken, or gone, leaves the keys as they were.
func TestFile(t *testing.T) {
	first, second := newKey(t), newKey(t)
	file := filepath.Join(t.TempDir(), "keys.json")
	write := func(data []byte) {
		t.Helper()
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := New([]Issuer{{Name: "clients", KeysFile: file}}, Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	write(published(t, map[string]crypto.Signer{"1": first}))
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		v, err := New([]Issuer{{Name: "clients", Issuer: "i", Audience: "a", KeysFile: file}}, Options{Registerer: registry})
		if err != nil {
			t.Fatal(err)
		}
		go v.Run(t.Context())
		d := &desk{Verifier: v, t: t, registry: registry}
		d.wants(nil, token(t, first, "1", nil))
		write([]byte("{"))
		<-time.After(6 * time.Second)
		d.wants(nil, token(t, first, "1", nil))
		write(published(t, map[string]crypto.Signer{"2": second}))
		<-time.After(6 * time.Second)
		d.wants(nil, token(t, second, "2", nil))
		d.wants(ErrInvalid, token(t, first, "1", nil))
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Hour)
		d.wants(nil, token(t, second, "2", map[string]any{"exp": time.Now().Unix() + 60}))
		if d.loads("failed") < 100 {
			t.Errorf("%v failed loads of a file that is gone for an hour", d.loads("failed"))
		}
	})
}

// Only the issuer's own keys count, each under its name.
func TestWhichKey(t *testing.T) {
	key, other, stranger := newKey(t), newKey(t), newKey(t)
	w := newWeb(t)
	one := published(t, map[string]crypto.Signer{"1": key})
	w.text("/one", one)
	w.text("/two", published(t, map[string]crypto.Signer{"1": key, "2": other}))
	w.text("/twice", []byte(strings.Replace(string(one), "[", "["+string(one[9:len(one)-2])+",", 1)))
	single, several := newDesk(t, Issuer{KeysURL: w.URL + "/one"}), newDesk(t, Issuer{KeysURL: w.URL + "/two"})
	single.wants(nil, token(t, key, "", nil))
	several.wants(ErrInvalid, token(t, key, "", nil))
	several.wants(ErrInvalid, token(t, other, "1", nil))
	newDesk(t, Issuer{KeysURL: w.URL + "/twice"}).wants(ErrInvalid, token(t, key, "1", nil))
	brought := (&jose.SignerOptions{EmbedJWK: true}).WithHeader("jku", w.URL+"/bait").WithHeader("x5u", w.URL+"/bait")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: stranger}, brought)
	if err != nil {
		t.Fatal(err)
	}
	w.page("/bait", func(http.ResponseWriter, *http.Request) { t.Error("an address of the token's was asked") })
	claims, err := json.Marshal(map[string]any{"iss": "i", "aud": "a", "sub": "s", "exp": time.Now().Unix() + 600})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	single.wants(ErrInvalid, text)
}

func TestKeySets(t *testing.T) {
	key := newKey(t)
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	set := func(keys ...any) []byte {
		data, err := json.Marshal(map[string]any{"keys": keys})
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	public := jose.JSONWebKey{Key: key.Public(), KeyID: "1"}
	for name, c := range map[string]struct {
		data []byte
		keys int // 0: refused
	}{
		"public":              {set(public), 1},
		"and one of no use":   {set(public, map[string]any{"kty": "XYZ", "kid": "2"}, jose.JSONWebKey{Key: key.Public(), Use: "enc"}), 1},
		"and a short one":     {set(public, jose.JSONWebKey{Key: short.Public()}), 1},
		"short":               {set(jose.JSONWebKey{Key: short.Public()}), 0},
		"and a secret":        {set(public, jose.JSONWebKey{Key: []byte(strings.Repeat("k", 32))}), 0},
		"and a private one":   {set(public, jose.JSONWebKey{Key: key, KeyID: "2"}), 0},
		"for encryption only": {set(jose.JSONWebKey{Key: key.Public(), Use: "enc"}), 0},
		"empty":               {set(), 0},
		"one key, not a set":  {[]byte(`{"kty":"EC"}`), 0},
		"keys of other kinds": {[]byte(`{"keys":[1,2]}`), 0},
	} {
		got, err := parseKeys(c.data)
		if len(got) != c.keys || (err == nil) != (c.keys > 0) {
			t.Errorf("%s: %d keys, %v", name, len(got), err)
		}
	}
}

// Staff come by discovery; their roles are what they may do, and nothing that their tokens say about scopes.
func TestStaff(t *testing.T) {
	key, w := newKey(t), newWeb(t)
	w.text("/keys", published(t, map[string]crypto.Signer{"1": key}))
	about := func(issuer, keys string) {
		w.text("/realm/.well-known/openid-configuration", fmt.Appendf(nil, `{"issuer":%q,"jwks_uri":%q,"more":1}`, issuer, keys))
	}
	issuer := w.URL + "/realm"
	staff := Issuer{
		Issuer: issuer, Discover: true, OrganisationClaim: "org", SubjectPrefix: "staff:", RolesClaim: "roles",
		Roles: map[string][]string{"clerk": {"bookings:read", "bookings:write"}, "lead": {"admin"}},
	}
	of := func(change map[string]any) string {
		change["iss"] = issuer
		return token(t, key, "1", change)
	}
	about(issuer, w.URL+"/keys")
	d := newDesk(t, staff)
	who := d.wants(nil, of(map[string]any{"roles": []string{"clerk", "cook"}, "org": "chain", "scope": "admin"}))
	if who.Subject != "staff:s" || who.Organisation != "chain" || fmt.Sprint(who.Scopes) != "[bookings:read bookings:write]" {
		t.Errorf("%+v", who)
	}
	if who := d.wants(nil, of(map[string]any{"roles": "lead"})); fmt.Sprint(who.Scopes) != "[admin]" || who.Organisation != "" {
		t.Errorf("%+v", who)
	}
	if who := d.wants(nil, of(map[string]any{"scope": "admin", "scp": "admin"})); len(who.Scopes) != 0 {
		t.Errorf("%+v", who)
	}
	d.wants(ErrInvalid, of(map[string]any{"org": 7}))
	d.wants(ErrInvalid, of(map[string]any{"sub": ""}))
	d.wants(ErrInvalid, token(t, key, "1", nil)) // of another issuer
	about("https://other.example", w.URL+"/keys")
	newDesk(t, staff).wants(ErrNoKeys, of(map[string]any{}))
	about(issuer, "http://192.0.2.1/keys")
	newDesk(t, staff).wants(ErrNoKeys, of(map[string]any{}))
}

// Two issuers are told apart by issuer and audience, and neither can speak for the other.
func TestTwoIssuers(t *testing.T) {
	ours, theirs, w := newKey(t), newKey(t), newWeb(t)
	w.text("/ours", published(t, map[string]crypto.Signer{"1": ours}))
	w.text("/theirs", published(t, map[string]crypto.Signer{"1": theirs}))
	v, err := New([]Issuer{
		{Name: "clients", Issuer: "i", Audience: "a", KeysURL: w.URL + "/ours", Reserved: "staff:"},
		{Name: "staff", Issuer: "i", Audience: "front", KeysURL: w.URL + "/theirs", SubjectPrefix: "staff:"},
	}, Options{Loopback: true})
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{Verifier: v, t: t}
	front := map[string]any{"aud": []string{"front"}}
	d.wants(nil, token(t, ours, "1", nil))
	if who := d.wants(nil, token(t, theirs, "1", front)); who.Subject != "staff:s" {
		t.Errorf("%+v", who)
	}
	d.wants(ErrInvalid, token(t, theirs, "1", nil))
	d.wants(ErrInvalid, token(t, ours, "1", front))
	d.wants(ErrInvalid, token(t, ours, "1", map[string]any{"sub": "staff:s"}))
	d.wants(ErrInvalid, token(t, ours, "1", map[string]any{"aud": "neither"}))
}
