package crash

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"muster/allocator"
)

// newPublisher makes the flags by which servers know one publisher, and what the publisher shows them. Whoever has the token of
// development may do everything at every site: what happens where a site's owner decides, only a publisher sees.
func newPublisher(t testing.TB) (flags []string, shows map[string]string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public, KeyID: "k", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(file, keys, 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: private}, (&jose.SignerOptions{}).WithType("at+jwt").WithHeader("kid", "k"))
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(object{
		"iss": "https://issuer.test", "aud": "muster", "sub": "publisher", "scope": "sites:write", "exp": time.Now().Add(time.Hour).Unix(),
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return []string{"--issuer", "https://issuer.test", "--audience", "muster", "--jwks-file", file}, map[string]string{"Authorization": "Bearer " + token}
}

// putOwnSite makes a site of the publisher's, or changes it.
func (d *desk) putOwnSite(to at, id allocator.SiteID, name string) {
	r := request{http.MethodPut, "/v1/sites/" + string(id), object{"name": name, "timeZone": d.zone.String(),
		"address": object{"lines": []string{}, "postcode": "LS1 4AP"}, "location": object{"lat": 53.7963, "lon": -1.5477}}, d.publisher}
	if a := d.insist(to, r); a.definite() && !a.ok() {
		d.complain("P11", "PUT of the publisher's own site was answered %v", a)
	}
}
