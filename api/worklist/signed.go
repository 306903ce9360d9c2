package worklist

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// mediaType is the `typ` of a snapshot, so that nothing else signed by the same key passes for one, nor it for anything else.
const mediaType = "muster-worklist"

// MaxSnapshotBytes bounds what Open looks at: a day of 2,000 people takes less than one MB.
const MaxSnapshotBytes = 16 << 20

// ErrSnapshot says that a snapshot is not one, was changed, or was signed by nobody known.
var ErrSnapshot = errors.New("this is no snapshot that one of the keys has signed")

// Sign writes a day as a JWS in compact form (RFC 7515), signed by EdDSA (RFC 8037).
func Sign(key ed25519.PrivateKey, d *Day) ([]byte, error) {
	options := (&jose.SignerOptions{}).WithType(mediaType).WithHeader("kid", keyID(key.Public().(ed25519.PublicKey)))
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: key}, options)
	if err != nil {
		return nil, err
	}
	payload, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return nil, err
	}
	text, err := signed.CompactSerialize()
	return []byte(text), err
}

// Keys is the public halves as a JWKS (RFC 7517), for those who check snapshots.
func Keys(keys ...ed25519.PrivateKey) jose.JSONWebKeySet {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, key := range keys {
		public := key.Public().(ed25519.PublicKey)
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: public, KeyID: keyID(public), Algorithm: string(jose.EdDSA), Use: "sig"})
	}
	return set
}

func keyID(public ed25519.PublicKey) string {
	sum := sha256.Sum256(public)
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

// Open checks a snapshot by a JWKS and reads it. Whatever is wrong with it, the error is or wraps ErrSnapshot.
func Open(keys []byte, text string) (*Day, error) {
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(keys, &set); err != nil {
		return nil, fmt.Errorf("the keys are no JWKS: %w", err)
	}
	if len(text) > MaxSnapshotBytes {
		return nil, fmt.Errorf("%d bytes: %w", len(text), ErrSnapshot)
	}
	signed, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil || len(signed.Signatures) != 1 {
		return nil, ErrSnapshot
	}
	header := signed.Signatures[0].Protected
	if typ, _ := header.ExtraHeaders[jose.HeaderType].(string); typ != mediaType {
		return nil, ErrSnapshot
	}
	for _, key := range set.Key(header.KeyID) {
		public, ok := key.Key.(ed25519.PublicKey)
		if !ok {
			continue
		}
		if payload, err := signed.Verify(public); err == nil {
			d := new(Day)
			return d, json.Unmarshal(payload, d)
		}
	}
	return nil, ErrSnapshot
}
