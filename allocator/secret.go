package allocator

import (
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hmac"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strings"

	"muster/allocator/keyring"
)

// Secret is every key of an installation. What names things for ever is derived from one secret (HMAC-SHA-256 as a
// pseudo-random function, with the purpose as its label): requests, bookings, and the pepper of person keys. What may change
// comes from a ring: the keys of tokens, of day lists, and of people's details.
type Secret struct {
	request, booking, person macKey

	trail    [keyring.KeyBytes]byte // seals the audit trail
	webhooks cipher.AEAD            // of the secrets that sign webhooks

	hold, manage signers
	seals        Seals                // of waiting rooms
	visitors     Seals                // of callers' limits
	worklist     []ed25519.PrivateKey // the first one signs

	vault *keyring.Vault
	opens func(bind, sealed []byte) ([]byte, error) // the vault's; tests count what it does
	decoy []byte                                    // of a stranger: opened where there are none, so that this takes the same work
}

// NewSecret takes at least 16 bytes of secret material, from which all follows.
func NewSecret(material []byte) Secret { return NewSecretWith(material, keyring.Derived()) }

// NewSecretWith takes at least 16 bytes of secret material and a valid ring. Neither is kept: they may be overwritten.
func NewSecretWith(material []byte, ring *keyring.Ring) Secret {
	root := newMacKey(slices.Clone(material))
	derived := func(purpose string) [keyring.KeyBytes]byte { return root.sum("muster/v1", purpose) }
	mac := func(purpose string) macKey {
		key := derived(purpose)
		return newMacKey(key[:])
	}
	webhooks := derived("webhooks")
	s := Secret{
		request: mac("request"), booking: mac("booking"), person: mac("person"), trail: derived("trail"),
		webhooks: keyring.NewGCM(slices.Clone(webhooks[:])),
		hold:     newSigners(ring, keyring.Hold, mac("hold")),
		manage:   newSigners(ring, keyring.Manage, mac("manage")),
		seals:    Seals{newSigners(ring, keyring.Room, mac("room")), mac("room seed")},
		visitors: Seals{signers: newSigners(ring, keyring.Visitor, mac("visitor"))},
		vault:    keyring.NewVault(ring, derived("personal")),
	}
	for _, k := range ring.Of(keyring.Worklist) {
		seed := derived("worklist")
		if k.ID != 0 {
			copy(seed[:], k.Bytes)
		}
		s.worklist = append(s.worklist, ed25519.NewKeyFromSeed(seed[:]))
	}
	s.opens = s.vault.Open
	s.decoy = s.seal(0, &stranger)
	return s
}

// stranger has details of the usual length.
var stranger = Person{
	NHSNumber: "0000000000", GivenName: "Nobodyname", FamilyName: "Nobodyname", HasBirth: true,
	Email: "nobody.nobodyname@example.org", Phone: "00000000000",
}

// signers are the keys of a purpose by number.
type signers struct {
	keys   []macKey // those that are unknown have no states
	active byte
}

func newSigners(ring *keyring.Ring, purpose keyring.Purpose, derived macKey) (s signers) {
	for i, k := range ring.Of(purpose) {
		for len(s.keys) <= k.ID {
			s.keys = append(s.keys, macKey{})
		}
		if s.keys[k.ID] = derived; k.ID != 0 {
			s.keys[k.ID] = newMacKey(slices.Clone(k.Bytes))
		}
		if i == 0 {
			s.active = byte(k.ID)
		}
	}
	return s
}

func (s *signers) knows(id byte) bool { return int(id) < len(s.keys) && s.keys[id].states != nil }

var manageEncoding = base32.NewEncoding(alphabet).WithPadding(base32.NoPadding)

// manageCharacters are those of a manage token without its key's number.
const manageCharacters = 26

// ManageToken is the secret that opens a booking: 26 characters, after two of the key's number where that is not 0. It is
// derived from the booking's key, so it is the same whenever the confirm is repeated, until the installation's key changes;
// earlier ones stay valid as long as theirs is known. Unlike the reference it is never shown again.
func (s *Secret) ManageToken(k BookingKey) string { return s.manageToken(k, s.manage.active) }

func (s *Secret) manageToken(k BookingKey, id byte) string {
	reference := k.reference()
	sum := s.manage.keys[id].sum(string(reference[:]))
	token := manageEncoding.EncodeToString(sum[:16])
	if id == 0 {
		return token
	}
	return string([]byte{alphabet[id>>5], alphabet[id&31]}) + token
}

// Manages says, in constant time, whether the token opens the booking. Whatever the token is, one token is computed: of a
// key that is unknown, the active key's.
func (s *Secret) Manages(k BookingKey, token string) bool {
	id := s.manage.active
	switch len(token) {
	case manageCharacters:
		id = 0
	case manageCharacters + 2:
		id = byte(strings.IndexByte(alphabet, token[0])<<5 | strings.IndexByte(alphabet, token[1]))
	}
	if !s.manage.knows(id) {
		id = s.manage.active
	}
	return hmac.Equal([]byte(s.manageToken(k, id)), []byte(token))
}

// WorklistKeys are those of worklists: the first one signs, and the public halves of all may be known to anyone.
func (s *Secret) WorklistKeys() []ed25519.PrivateKey { return slices.Clone(s.worklist) }

// TrailKey seals the audit trail.
func (s *Secret) TrailKey() [keyring.KeyBytes]byte { return s.trail }

// seal encrypts a person's details, bound to the booking they belong to.
func (s *Secret) seal(key BookingKey, p *Person) []byte {
	reference := key.reference()
	return s.vault.Seal(reference[:], func(b []byte) []byte { return appendPerson(b, p) })
}

// errNoDetails says that a booking's details were deleted.
var errNoDetails = errors.New("the details were deleted")

// unseal decrypts what seal wrote. Where there is nothing it takes the same work, and answers errNoDetails.
func (s *Secret) unseal(key BookingKey, sealed []byte) (*Person, error) {
	absent := len(sealed) == 0
	if absent {
		key, sealed = 0, s.decoy
	}
	reference := key.reference()
	plain, err := s.opens(reference[:], sealed)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	p, err := readPerson(plain)
	switch {
	case err != nil:
		return nil, fmt.Errorf("sealed details: %w", err)
	case absent:
		return nil, errNoDetails
	}
	return p, nil
}

// rewrap makes details of a retired key ones of the active key; nil where they are of another.
func (s *Secret) rewrap(key BookingKey, sealed []byte) ([]byte, error) {
	reference := key.reference()
	return s.vault.Rewrap(reference[:], sealed)
}
