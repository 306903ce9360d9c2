// Package devissuer is a small issuer of access tokens for development and tests: OAuth 2.0 client credentials, a key set,
// a discovery document, and rotation at the push of a button. It keeps its keys in memory and has no place in production.
package devissuer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Client may ask for tokens. Staff have roles where others have scopes.
type Client struct {
	ID           string // sub and client_id
	Secret       string
	Organisation string // org; "": none
	Scopes       []string
	Roles        []string // roles
}

// ParseClient reads ID:SECRET:ORGANISATION:WORDS. The words, separated by spaces, are scopes, or for staff roles.
func ParseClient(text string, staff bool) (Client, error) {
	parts := strings.SplitN(text, ":", 4)
	if len(parts) != 4 || parts[0] == "" || parts[1] == "" {
		return Client{}, errors.New("a client is given as ID:SECRET:ORGANISATION:SCOPES (of staff: roles), with spaces between several")
	}
	c := Client{ID: parts[0], Secret: parts[1], Organisation: parts[2]}
	if words := strings.Fields(parts[3]); staff {
		c.Roles = words
	} else {
		c.Scopes = words
	}
	return c, nil
}

// Issuer answers over HTTP: see Handler. Safe for concurrent use.
type Issuer struct {
	url      string
	audience string
	life     time.Duration
	clients  map[string]Client

	mu   sync.Mutex
	keys []signingKey // newest first; tokens are signed with it, and all of them are published
	made int
}

type signingKey struct {
	id  string
	key *ecdsa.PrivateKey
}

// New makes an issuer that calls itself by a URL on this machine, and refuses any other.
func New(address, audience string, life time.Duration, clients []Client) (*Issuer, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	if err := Local(u.Host); err != nil {
		return nil, err
	}
	if life <= 0 {
		return nil, fmt.Errorf("tokens that live for %v are of no use", life)
	}
	i := &Issuer{url: address, audience: audience, life: life, clients: make(map[string]Client, len(clients))}
	for _, c := range clients {
		if _, twice := i.clients[c.ID]; twice {
			return nil, fmt.Errorf("client %q is given twice", c.ID)
		}
		i.clients[c.ID] = c
	}
	return i, i.rotate(0)
}

// Local refuses addresses (host:port) that other machines can reach.
func Local(address string) error {
	host, _, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("%q is not an address of this machine only, such as 127.0.0.1:8085", address)
	}
	return nil
}

// rotate makes a new key for signing and goes on publishing so many old ones.
func (i *Issuer) rotate(keep int) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.made++
	i.keys = slices.Insert(i.keys[:min(keep, len(i.keys))], 0, signingKey{fmt.Sprint("dev-", i.made), key})
	return nil
}

// Handler answers /.well-known/openid-configuration, /jwks.json, POST /token (client credentials) and POST /rotate, which
// goes on publishing the key before; with ?forget=true it does not.
func (i *Issuer) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.discovery)
	mux.HandleFunc("GET /jwks.json", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, i.published()) })
	mux.HandleFunc("POST /token", i.token)
	mux.HandleFunc("POST /rotate", func(w http.ResponseWriter, r *http.Request) {
		keep := 1
		if r.URL.Query().Get("forget") == "true" {
			keep = 0
		}
		if err := i.rotate(keep); err != nil {
			refuse(w, http.StatusInternalServerError, "server_error")
			return
		}
		reply(w, http.StatusOK, i.published())
	})
	return mux
}

func (i *Issuer) discovery(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]any{
		"issuer": i.url, "jwks_uri": i.url + "/jwks.json", "token_endpoint": i.url + "/token",
		"grant_types_supported":                 []string{"client_credentials"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
		"response_types_supported":              []string{}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"ES256"},
	})
}

func (i *Issuer) published() (set jose.JSONWebKeySet) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, k := range i.keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.key.Public(), KeyID: k.id, Use: "sig", Algorithm: "ES256"})
	}
	return set
}

// maxForm bounds a token request in bytes.
const maxForm = 16 << 10

// token answers a request for a token (RFC 6749, section 4.4).
func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		refuse(w, http.StatusBadRequest, "invalid_request")
		return
	}
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	client, known := i.clients[id]
	if right := subtle.ConstantTimeCompare([]byte(secret), []byte(client.Secret)) == 1; !known || !right {
		w.Header().Set("WWW-Authenticate", `Basic realm="muster dev-issuer"`)
		refuse(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	if r.PostForm.Get("grant_type") != "client_credentials" {
		refuse(w, http.StatusBadRequest, "unsupported_grant_type")
		return
	}
	scopes := client.Scopes
	if asked := strings.Fields(r.PostForm.Get("scope")); len(asked) > 0 {
		for _, s := range asked {
			if !slices.Contains(client.Scopes, s) {
				refuse(w, http.StatusBadRequest, "invalid_scope")
				return
			}
		}
		scopes = asked
	}
	signed, err := i.Sign(client, scopes, nil)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "server_error")
		return
	}
	reply(w, http.StatusOK, map[string]any{
		"access_token": signed, "token_type": "Bearer", "expires_in": int(i.life.Seconds()), "scope": strings.Join(scopes, " "),
	})
}

// Sign makes a token of a client. Claims that are given replace its own; nil ones leave them out.
func (i *Issuer) Sign(c Client, scopes []string, change map[string]any) (string, error) {
	i.mu.Lock()
	key := i.keys[0]
	i.mu.Unlock()
	now := time.Now()
	claims := map[string]any{
		"iss": i.url, "aud": i.audience, "sub": c.ID, "client_id": c.ID, "jti": rand.Text(),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(i.life).Unix(),
	}
	if c.Organisation != "" {
		claims["org"] = c.Organisation
	}
	if len(scopes) > 0 {
		claims["scope"] = strings.Join(scopes, " ")
	}
	if len(c.Roles) > 0 {
		claims["roles"] = c.Roles
	}
	for name, value := range change {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	options := (&jose.SignerOptions{}).WithType("at+jwt").WithHeader("kid", key.id)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key.key}, options)
	if err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(claims).Serialize()
}

func refuse(w http.ResponseWriter, status int, code string) {
	reply(w, status, map[string]any{"error": code})
}

func reply(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		status, data = http.StatusInternalServerError, nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(data)
}
