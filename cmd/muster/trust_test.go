package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"muster/api"
	"muster/cmd/muster/devissuer"
)

// trust is an issuer of clients' tokens that can be made to sign anything, and a provider at which staff log in.
type trust struct {
	t     testing.TB
	key   *ecdsa.PrivateKey
	staff *devissuer.Issuer
	flags []string // that make a server believe them
	bare  []string // the same for clients alone, which needs no --dev
}

const (
	clientsIssuer = "https://issuer.test"
	clerkScopes   = "bookings:read bookings:write"
)

func newTrust(t testing.TB) *trust {
	t.Helper()
	i := &trust{t: t, key: newSigningKey(t)}
	data, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.key.Public(), KeyID: "k", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	provider := ""
	i.staff, provider = serveDevIssuer(t, "front")
	i.bare = []string{"--issuer", clientsIssuer, "--audience", "muster", "--jwks-file", file, "--organisation-claim", "org"}
	i.flags = append(slices.Clone(i.bare),
		"--oidc-issuer", provider, "--oidc-audience", "front", "--oidc-role", "clerk="+clerkScopes+";national="+clerkScopes+" sites:all")
	return i
}

func newSigningKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// serveDevIssuer runs a development issuer on this machine.
func serveDevIssuer(t testing.TB, audience string, clients ...devissuer.Client) (*devissuer.Issuer, string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + listener.Addr().String()
	issuer, err := devissuer.New(address, audience, time.Hour, clients)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: issuer.Handler()}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(listener) // until it is closed
	}()
	t.Cleanup(func() {
		server.Close()
		<-ended
	})
	return issuer, address
}

// claims of a client of an organisation.
func claims(organisation, scope string, change object) object {
	c := object{"iss": clientsIssuer, "aud": "muster", "sub": "client-of-" + organisation, "org": organisation, "exp": time.Now().Unix() + 3600, "scope": scope}
	if organisation == "" {
		delete(c, "org")
	}
	for name, value := range change {
		c[name] = value
	}
	return c
}

func (i *trust) sign(alg jose.SignatureAlgorithm, key any, typ string, claims object) string {
	i.t.Helper()
	options := (&jose.SignerOptions{}).WithType(jose.ContentType(typ)).WithHeader("kid", "k")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		i.t.Fatal(err)
	}
	text, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		i.t.Fatal(err)
	}
	return text
}

// client gives the token of a client of an organisation.
func (i *trust) client(organisation, scope string) string {
	i.t.Helper()
	return i.sign(jose.ES256, i.key, "at+jwt", claims(organisation, scope, nil))
}

// person gives the token of somebody of the staff.
func (i *trust) person(organisation, role string) string {
	i.t.Helper()
	text, err := i.staff.Sign(devissuer.Client{ID: "p1", Organisation: organisation, Roles: []string{role}}, nil, nil)
	if err != nil {
		i.t.Fatal(err)
	}
	return text
}

// publicPEM is the public key as a secret that an attacker knows.
func (i *trust) publicPEM() []byte {
	i.t.Helper()
	der, err := x509.MarshalPKIXPublicKey(i.key.Public())
	if err != nil {
		i.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// unsigned is a token of the algorithm none.
func (i *trust) unsigned(claims object) string {
	i.t.Helper()
	body, err := json.Marshal(claims)
	if err != nil {
		i.t.Fatal(err)
	}
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"none","typ":"at+jwt","kid":"k"}`)) + "." + part(body) + "."
}

const publisherScopes = api.ScopeSitesWrite + " " + api.ScopeCapacityWrite + " " + api.ScopeBookingsRead + " " + api.ScopeBookingsWrite + " " + api.ScopeEventsRead + " " + api.ScopeTrailRead

// bearer is the header of a token.
func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }
