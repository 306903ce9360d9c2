package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
)

const (
	bare     = 1 // version: sealed by key 0 itself
	envelope = 2 // version: sealed by a data key

	nonceBytes  = 12
	tagBytes    = 16
	headBytes   = 2                                            // of an envelope: version, key number
	bodyAt      = headBytes + nonceBytes + KeyBytes + tagBytes // of an envelope
	shortest    = bodyAt + nonceBytes + tagBytes
	usualLength = 192 // of the details in clear text, mostly
)

// ErrSealed is the one answer for a payload that does not open: cut short, of an unknown key, changed, or another record's.
var ErrSealed = errors.New("a sealed payload does not open")

// Vault seals and opens payloads. Safe for concurrent use.
type Vault struct {
	keys   [MaxID + 1]cipher.AEAD // by number; nil: unknown
	states [MaxID + 1]State
	active byte
}

// NewVault takes the ring's keys for payloads; derived is number 0.
func NewVault(r *Ring, derived [KeyBytes]byte) *Vault {
	v := new(Vault)
	for i, k := range r.Of(Payload) {
		key := derived[:]
		if k.ID != 0 {
			key = k.Bytes
		}
		v.keys[k.ID], v.states[k.ID] = NewGCM(key), k.State
		if i == 0 {
			v.active = byte(k.ID)
		}
	}
	return v
}

// NewGCM is AES-256-GCM by a key of KeyBytes. Safe for concurrent use.
func NewGCM(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // only a key of another length is refused
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // AES has blocks of the one size that GCM takes
	}
	return gcm
}

// Active is the number of the key that seals.
func (v *Vault) Active() int { return int(v.active) }

// Seal encrypts a payload, bound to what it belongs to. The clear text, given as a function that appends it, is
// overwritten.
func (v *Vault) Seal(bind []byte, clearText func(b []byte) []byte) []byte {
	if v.active == 0 {
		return v.sealBare(bind, clearText)
	}
	var room [headBytes + 32]byte
	out := make([]byte, bodyAt+nonceBytes, bodyAt+nonceBytes+usualLength)
	var dataKey [KeyBytes]byte
	_, _ = rand.Read(dataKey[:]) // never fails
	defer clear(dataKey[:])
	v.wrap(out, bind, dataKey[:])
	_, _ = rand.Read(out[bodyAt:])
	return sealInPlace(NewGCM(dataKey[:]), out, bodyAt, bodyData(room[:0], bind), clearText)
}

// wrap writes an envelope's beginning: the data key under the active key.
func (v *Vault) wrap(out, bind, dataKey []byte) {
	var room [headBytes + 32]byte
	out[0], out[1] = envelope, v.active
	nonce := out[headBytes : headBytes+nonceBytes]
	_, _ = rand.Read(nonce)
	v.keys[v.active].Seal(out[headBytes+nonceBytes:headBytes+nonceBytes], nonce, dataKey, wrapData(room[:0], v.active, bind))
}

func (v *Vault) sealBare(bind []byte, clearText func(b []byte) []byte) []byte {
	out := make([]byte, 1+nonceBytes, 1+nonceBytes+usualLength)
	out[0] = bare
	_, _ = rand.Read(out[1:])
	return sealInPlace(v.keys[0], out, 1, bind, clearText)
}

// sealInPlace encrypts over the clear text; out has the nonce at its end, from at on.
func sealInPlace(gcm cipher.AEAD, out []byte, at int, data []byte, clearText func(b []byte) []byte) []byte {
	from := at + nonceBytes
	whole := clearText(out)
	sealed := gcm.Seal(whole[:from], whole[at:from], whole[from:], data)
	if &sealed[0] != &whole[0] { // it had to grow: the clear text is still there
		clear(whole[from:])
	}
	return sealed
}

// wrapData and bodyData are what the two parts of an envelope are bound to.
func wrapData(b []byte, id byte, bind []byte) []byte { return append(append(b, 'k', id), bind...) }
func bodyData(b []byte, bind []byte) []byte          { return append(append(b, 'd', envelope), bind...) }

// Open decrypts what Seal made, with any known key. The error is ErrSealed. Who is done with the clear text overwrites it.
func (v *Vault) Open(bind, sealed []byte) ([]byte, error) {
	if len(sealed) > 1+nonceBytes && sealed[0] == bare && v.keys[0] != nil {
		plain, err := v.keys[0].Open(nil, sealed[1:1+nonceBytes], sealed[1+nonceBytes:], bind)
		return plain, uniform(err)
	}
	dataKey, err := v.unwrap(bind, sealed)
	if err != nil {
		return nil, err
	}
	defer clear(dataKey)
	var room [headBytes + 32]byte
	body := sealed[bodyAt:]
	plain, err := NewGCM(dataKey).Open(nil, body[:nonceBytes], body[nonceBytes:], bodyData(room[:0], bind))
	return plain, uniform(err)
}

func uniform(err error) error {
	if err != nil {
		return ErrSealed
	}
	return nil
}

// unwrap is an envelope's data key, to be overwritten after use.
func (v *Vault) unwrap(bind, sealed []byte) ([]byte, error) {
	if len(sealed) < shortest || sealed[0] != envelope || sealed[1] == 0 || v.keys[sealed[1]] == nil {
		return nil, ErrSealed
	}
	var room [headBytes + 32]byte
	wrapped := sealed[headBytes:bodyAt]
	key, err := v.keys[sealed[1]].Open(nil, wrapped[:nonceBytes], wrapped[nonceBytes:], wrapData(room[:0], sealed[1], bind))
	return key, uniform(err)
}

// KeyOf says which key a payload needs; false where it is none.
func KeyOf(sealed []byte) (id int, ok bool) {
	switch {
	case len(sealed) > 1+nonceBytes && sealed[0] == bare:
		return 0, true
	case len(sealed) >= shortest && sealed[0] == envelope && sealed[1] != 0:
		return int(sealed[1]), true
	}
	return 0, false
}

// Rewrap makes a payload of a retired key one of the active key; nil where it is of a key that is not retired. An envelope
// keeps its ciphertext and gets its data key wrapped anew; a bare payload becomes an envelope. The error is ErrSealed.
func (v *Vault) Rewrap(bind, sealed []byte) ([]byte, error) {
	id, ok := KeyOf(sealed)
	if !ok || v.keys[id] == nil {
		return nil, ErrSealed
	}
	if v.states[id] != Retired {
		return nil, nil
	}
	if id == 0 {
		plain, err := v.Open(bind, sealed)
		if err != nil {
			return nil, err
		}
		defer clear(plain)
		return v.Seal(bind, func(b []byte) []byte { return append(b, plain...) }), nil
	}
	if v.active == 0 {
		return nil, fmt.Errorf("the secret's own key cannot take over from key %d: %w", id, ErrSealed)
	}
	dataKey, err := v.unwrap(bind, sealed)
	if err != nil {
		return nil, err
	}
	defer clear(dataKey)
	out := slices.Clone(sealed)
	v.wrap(out, bind, dataKey)
	return out, nil
}
