package tokens

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// keySet is what an issuer publishes, as far as tokens may be signed with it. It never changes.
type keySet []jose.JSONWebKey

// parseKeys reads a JWKS. Keys that are of no use here are left out: for encryption, of other kinds, too short. A private or
// secret key means that something went wrong where the set was made, and then none of it is believed.
func parseKeys(data []byte) (keySet, error) {
	var document struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &document); err != nil {
		return nil, fmt.Errorf("not a key set: %w", err)
	}
	var set keySet
	for n, raw := range document.Keys {
		var form struct {
			Type    string          `json:"kty"`
			Use     string          `json:"use"`
			Private json.RawMessage `json:"d"`
		}
		if err := json.Unmarshal(raw, &form); err != nil {
			return nil, fmt.Errorf("key %d: %w", n, err)
		}
		if form.Type == "oct" || form.Private != nil {
			return nil, fmt.Errorf("key %d is not a public key", n)
		}
		var k jose.JSONWebKey
		if form.Use != "" && form.Use != "sig" || k.UnmarshalJSON(raw) != nil || !usable(k) {
			continue
		}
		set = append(set, k)
	}
	if len(set) == 0 {
		return nil, errors.New("holds no key that tokens could be signed with")
	}
	return set, nil
}

// usable says whether one of the algorithms can use the key.
func usable(k jose.JSONWebKey) bool {
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		return k.Valid() && key.N.BitLen() >= 2048
	case *ecdsa.PublicKey:
		return k.Valid() && key.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return k.Valid()
	}
	return false
}

// key picks the one key that a token names; a token that names none may be checked where there is only one.
func (s keySet) key(h jose.Header) (any, bool) {
	var found []jose.JSONWebKey
	for _, k := range s {
		if h.KeyID == "" || k.KeyID == h.KeyID {
			found = append(found, k)
		}
	}
	if len(found) != 1 || found[0].Algorithm != "" && found[0].Algorithm != h.Algorithm {
		return nil, false
	}
	return found[0].Key, true
}

// names says whether the set has a key of this id.
func (s keySet) names(id string) bool {
	for _, k := range s {
		if k.KeyID == id {
			return true
		}
	}
	return false
}
