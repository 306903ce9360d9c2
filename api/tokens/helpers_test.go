package tokens

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/prometheus/client_golang/prometheus"
)

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// published is a key set of public keys, by kid.
func published(t testing.TB, keys map[string]crypto.Signer) []byte {
	t.Helper()
	var set jose.JSONWebKeySet
	for id, k := range keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.Public(), KeyID: id, Use: "sig"})
	}
	data, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// token signs claims for an issuer "i", audience "a" and subject "s", with others as given.
func token(t testing.TB, key any, kid string, change map[string]any) string {
	t.Helper()
	options := (&jose.SignerOptions{}).WithType("at+jwt")
	if kid != "" {
		options = options.WithHeader("kid", kid)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{"iss": "i", "aud": "a", "sub": "s", "exp": time.Now().Unix() + 600, "scope": "x y"}
	for name, value := range change {
		claims[name] = value
	}
	text, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// web is an issuer's web server whose answers can be changed.
type web struct {
	*httptest.Server
	asked atomic.Int64
	mu    sync.Mutex
	pages map[string]http.HandlerFunc
}

func newWeb(t testing.TB) *web {
	w := &web{pages: map[string]http.HandlerFunc{}}
	w.Server = httptest.NewServer(http.HandlerFunc(func(res http.ResponseWriter, req *http.Request) {
		w.asked.Add(1)
		w.mu.Lock()
		page := w.pages[req.URL.Path]
		w.mu.Unlock()
		if page == nil {
			page = http.NotFound
		}
		page(res, req)
	}))
	t.Cleanup(w.Close)
	return w
}

func (w *web) page(path string, answer http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pages[path] = answer
}

func (w *web) text(path string, data []byte) {
	w.page(path, func(res http.ResponseWriter, _ *http.Request) { _, _ = res.Write(data) })
}

// hand is a clock that is set by hand.
type hand struct{ ahead atomic.Int64 }

func (h *hand) now() time.Time { return time.Now().Add(time.Duration(h.ahead.Load())) }

func (h *hand) pass(d time.Duration) { h.ahead.Add(int64(d)) }

// desk is a verifier with what is looked at from outside.
type desk struct {
	*Verifier
	t        testing.TB
	clock    *hand
	registry *prometheus.Registry
}

func newDesk(t testing.TB, i Issuer) *desk {
	t.Helper()
	d := &desk{t: t, clock: new(hand), registry: prometheus.NewRegistry()}
	i.Name = "clients"
	if i.Issuer == "" {
		i.Issuer = "i"
	}
	i.Audience = "a"
	var err error
	if d.Verifier, err = New([]Issuer{i}, Options{Loopback: true, Now: d.clock.now, Registerer: d.registry}); err != nil {
		t.Fatal(err)
	}
	return d
}

// wants verifies a token and compares the error.
func (d *desk) wants(want error, token string) Identity {
	d.t.Helper()
	who, err := d.Verify(d.t.Context(), token)
	if err != want {
		d.t.Errorf("%v, want %v", err, want)
	}
	return who
}

func (d *desk) loads(result string) float64 {
	families, err := d.registry.Gather()
	if err != nil {
		d.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == "muster_token_key_loads_total" && l.GetName() == "result" && l.GetValue() == result {
					return m.GetCounter().GetValue()
				}
			}
		}
	}
	d.t.Fatalf("loads with result %s are not counted", result)
	return 0
}
