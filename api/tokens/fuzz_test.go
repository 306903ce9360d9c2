package tokens

import (
	"crypto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// FuzzTokens: no text is taken for a token of a trusted issuer but what the issuer signed, and whatever is taken says exactly
// what was signed.
func FuzzTokens(f *testing.F) {
	key, other := newKey(f), newKey(f)
	file := filepath.Join(f.TempDir(), "keys.json")
	if err := os.WriteFile(file, published(f, map[string]crypto.Signer{"1": key}), 0o600); err != nil {
		f.Fatal(err)
	}
	now := time.Now()
	v, err := New([]Issuer{{Name: "clients", Issuer: "i", Audience: "a", KeysFile: file, OrganisationClaim: "sub"}}, Options{Now: func() time.Time { return now }})
	if err != nil {
		f.Fatal(err)
	}
	good := token(f, key, "1", nil)
	if _, err := v.Verify(f.Context(), good); err != nil {
		f.Fatalf("the seed is refused: %v", err)
	}
	parts := strings.Split(good, ".")
	for _, text := range []string{
		good, token(f, other, "1", nil), token(f, key, "1", map[string]any{"exp": 1}), token(f, key, "", map[string]any{"scope": []string{"x"}}),
		"eyJhbGciOiJub25lIn0." + parts[1] + ".", parts[0] + "." + parts[1] + ".", "..", "", good + ".", parts[1] + "." + parts[0] + "." + parts[2],
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		who, err := v.Verify(t.Context(), text)
		if err == nil && (who.Subject != "s" || who.Organisation != "s" || !slices.Equal(who.Scopes, []string{"x", "y"}) && !slices.Equal(who.Scopes, []string{"x"})) {
			t.Errorf("%q is taken for %+v", text, who)
		}
	})
}

// FuzzKeys: a key set of any form gives keys that may be used, or an error, and never one that is secret or weak.
func FuzzKeys(f *testing.F) {
	f.Add(string(published(f, map[string]crypto.Signer{"1": newKey(f), "2": newKey(f)})))
	for _, text := range []string{`{"keys":[]}`, `{}`, `[]`, `{"keys":[{"kty":"oct","k":"AAAA"}]}`, `{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`, `{"keys":[{"kty":"EC","crv":"P-256","x":"","y":""}]}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		set, err := parseKeys([]byte(text))
		if (err == nil) != (len(set) > 0) {
			t.Fatalf("%q: %d keys, %v", text, len(set), err)
		}
		for _, k := range set {
			if !k.IsPublic() || !usable(k) {
				t.Errorf("%q gives the key %T", text, k.Key)
			}
		}
	})
}
