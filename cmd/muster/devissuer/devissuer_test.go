package devissuer

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const at = "http://127.0.0.1:8085"

func issuer(t *testing.T) *Issuer {
	t.Helper()
	i, err := New(at, "muster", time.Minute, []Client{
		{ID: "boots", Secret: "word", Organisation: "chain", Scopes: []string{"sites:write", "capacity:write"}},
		{ID: "ada", Secret: "word", Roles: []string{"clerk"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func call(t *testing.T, i *Issuer, req *http.Request) (int, map[string]any) {
	t.Helper()
	w := httptest.NewRecorder()
	i.Handler().ServeHTTP(w, req)
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	return w.Code, body
}

func form(values ...string) *http.Request {
	all := url.Values{}
	for n := 0; n+1 < len(values); n += 2 {
		all.Set(values[n], values[n+1])
	}
	req := httptest.NewRequest("POST", at+"/token", strings.NewReader(all.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req
}

// claimsOf checks a token with the keys that the issuer publishes.
func claimsOf(t *testing.T, i *Issuer, token string) (claims map[string]any, known bool) {
	t.Helper()
	w := httptest.NewRecorder()
	i.Handler().ServeHTTP(w, httptest.NewRequest("GET", at+"/jwks.json", nil))
	data, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(data, &set); err != nil {
		t.Fatal(err)
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	keys := set.Key(parsed.Headers[0].KeyID)
	if len(keys) != 1 || !keys[0].IsPublic() {
		return nil, false
	}
	if err := parsed.Claims(keys[0].Key, &claims); err != nil {
		t.Fatal(err)
	}
	return claims, true
}

func TestTokens(t *testing.T) {
	i := issuer(t)
	status, got := call(t, i, form("grant_type", "client_credentials", "client_id", "boots", "client_secret", "word"))
	if status != 200 || got["token_type"] != "Bearer" || got["expires_in"] != 60.0 || got["scope"] != "sites:write capacity:write" {
		t.Fatalf("%d %v", status, got)
	}
	claims, _ := claimsOf(t, i, got["access_token"].(string))
	if claims["iss"] != at || claims["aud"] != "muster" || claims["sub"] != "boots" || claims["org"] != "chain" || claims["scope"] != "sites:write capacity:write" {
		t.Errorf("%v", claims)
	}
	basic := form("grant_type", "client_credentials", "scope", "sites:write")
	basic.SetBasicAuth("boots", "word")
	if status, got := call(t, i, basic); status != 200 || got["scope"] != "sites:write" {
		t.Errorf("%d %v", status, got)
	}
	_, got = call(t, i, form("grant_type", "client_credentials", "client_id", "ada", "client_secret", "word"))
	if claims, _ := claimsOf(t, i, got["access_token"].(string)); claims["scope"] != nil || claims["org"] != nil || len(claims["roles"].([]any)) != 1 {
		t.Errorf("%v", claims)
	}
	for _, c := range []struct {
		status int
		code   string
		form   *http.Request
	}{
		{401, "invalid_client", form("grant_type", "client_credentials", "client_id", "boots", "client_secret", "other")},
		{401, "invalid_client", form("grant_type", "client_credentials", "client_id", "nobody")},
		{401, "invalid_client", form()},
		{400, "invalid_scope", form("grant_type", "client_credentials", "client_id", "boots", "client_secret", "word", "scope", "sites:write admin")},
		{400, "unsupported_grant_type", form("grant_type", "password", "client_id", "boots", "client_secret", "word")},
		{400, "invalid_request", form("client_id", strings.Repeat("x", maxForm))},
	} {
		if status, got := call(t, i, c.form); status != c.status || got["error"] != c.code {
			t.Errorf("%d %v, want %d %s", status, got, c.status, c.code)
		}
	}
}

func TestRotate(t *testing.T) {
	i := issuer(t)
	sign := func() string {
		t.Helper()
		text, err := i.Sign(Client{ID: "boots"}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	rotate := func(query string) {
		t.Helper()
		if status, got := call(t, i, httptest.NewRequest("POST", at+"/rotate"+query, nil)); status != 200 {
			t.Fatalf("%d %v", status, got)
		}
	}
	known := func(token string) bool {
		t.Helper()
		_, known := claimsOf(t, i, token)
		return known
	}
	first := sign()
	rotate("")
	second := sign()
	if !known(first) || !known(second) {
		t.Error("the key before is not published any more")
	}
	rotate("")
	if known(first) || !known(second) {
		t.Error("the key before the one before is still published")
	}
	rotate("?forget=true")
	if known(second) || !known(sign()) {
		t.Error("a forgotten key is still published")
	}
}

func TestDiscovery(t *testing.T) {
	_, got := call(t, issuer(t), httptest.NewRequest("GET", at+"/.well-known/openid-configuration", nil))
	if got["issuer"] != at || got["jwks_uri"] != at+"/jwks.json" || got["token_endpoint"] != at+"/token" {
		t.Errorf("%v", got)
	}
}

func TestRefusals(t *testing.T) {
	for address, local := range map[string]bool{
		"http://127.0.0.1:1": true, "http://[::1]:1": true, "http://localhost:1": true, "http://0.0.0.0:1": false, "http://:1": false,
		"http://192.0.2.1:1": false, "http://issuer.example:1": false, "http://127.0.0.1.example:1": false,
	} {
		if _, err := New(address, "a", time.Minute, nil); (err == nil) != local {
			t.Errorf("%s: %v", address, err)
		}
	}
	if _, err := New(at, "a", 0, nil); err == nil {
		t.Error("tokens without life")
	}
	if _, err := New(at, "a", time.Minute, []Client{{ID: "x"}, {ID: "x"}}); err == nil {
		t.Error("one client twice")
	}
	got, err := ParseClient("boots:w:chain:sites:write capacity:write", false)
	if err != nil || got.ID != "boots" || got.Secret != "w" || got.Organisation != "chain" || strings.Join(got.Scopes, ",") != "sites:write,capacity:write" {
		t.Errorf("%+v %v", got, err)
	}
	for _, text := range []string{"", "boots", "boots:w:chain", ":w:chain:x", "boots::chain:x"} {
		if _, err := ParseClient(text, true); err == nil {
			t.Errorf("%q is a client", text)
		}
	}
}
