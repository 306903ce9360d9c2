package webhooks

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	secretPrefix = "whsec_"
	secretBytes  = 32
	// secretOverlap is how long a replaced secret goes on signing beside the new one.
	secretOverlap = 24 * time.Hour
	// maxSecrets bounds how many sign at once: who rotates more often loses the oldest.
	maxSecrets = 4
)

// Secret is one that signs, encrypted. Until is when it ends; zero: the present one does not.
type Secret struct {
	Sealed []byte    `json:"sealed"`
	Until  time.Time `json:"until,omitzero"`
}

// addSecret makes a new present secret; the one before goes on signing for a while.
func (w *Webhook) addSecret(seal cipher.AEAD, now time.Time) (plain string) {
	key := make([]byte, secretBytes)
	_, _ = rand.Read(key) // never fails
	nonce := make([]byte, seal.NonceSize())
	_, _ = rand.Read(nonce)
	if len(w.Secrets) > 0 {
		w.Secrets[0].Until = now.Add(secretOverlap)
	}
	w.Secrets = slices.Insert(w.Secrets, 0, Secret{Sealed: seal.Seal(nonce, nonce, key, []byte(w.ID))})
	w.dropSecrets(now)
	return written(key)
}

// written is a secret as people and libraries know it.
func written(key []byte) string { return secretPrefix + base64.StdEncoding.EncodeToString(key) }

// dropSecrets forgets secrets that have ended.
func (w *Webhook) dropSecrets(now time.Time) {
	w.Secrets = slices.DeleteFunc(w.Secrets, func(s Secret) bool { return !s.Until.IsZero() && !now.Before(s.Until) })
	w.Secrets = w.Secrets[:min(len(w.Secrets), maxSecrets)]
}

var errSealed = errors.New("a secret was sealed by another installation, or damaged")

// keys opens the secrets that sign now, the present one first.
func (w *Webhook) keys(seal cipher.AEAD, now time.Time) (keys [][]byte, err error) {
	for _, s := range w.Secrets {
		if !s.Until.IsZero() && !now.Before(s.Until) || len(s.Sealed) < seal.NonceSize() {
			continue
		}
		key, err := seal.Open(nil, s.Sealed[:seal.NonceSize()], s.Sealed[seal.NonceSize():], []byte(w.ID))
		if err == nil {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errSealed
	}
	return keys, nil
}

// signatures is the header webhook-signature of one attempt: one signature for each key.
func signatures(keys [][]byte, id string, at time.Time, body []byte) string {
	all := make([]string, len(keys))
	for i, key := range keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		mac.Write(body)
		all[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(all, " ")
}
