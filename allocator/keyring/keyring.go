package keyring

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Purpose is what a key is for. A key is never used for two.
type Purpose string

// The purposes.
const (
	Hold     Purpose = "hold"     // signs holds' tokens
	Manage   Purpose = "manage"   // makes manage tokens
	Payload  Purpose = "payload"  // wraps the data keys of people's details
	Worklist Purpose = "worklist" // signs day lists (the seed of an Ed25519 key)
	Room     Purpose = "room"     // signs the tickets and passes of waiting rooms
	Visitor  Purpose = "visitor"  // signs the tickets of visitors, and what they are to prove
)

// Purposes lists them all.
var Purposes = []Purpose{Hold, Manage, Payload, Worklist, Room, Visitor}

// State is where a key is in its life.
type State string

// The states.
const (
	Next    State = "next"    // accepted, makes nothing yet
	Active  State = "active"  // accepted, makes what is new
	Retired State = "retired" // accepted, makes nothing any more
)

const (
	// KeyBytes is the length of every key.
	KeyBytes = 32
	// MaxID is the highest number of a key.
	MaxID = 255
	// MinSecretBytes is the shortest secret of an installation that is taken.
	MinSecretBytes = 16
	// MaxBytes bounds what Parse looks at.
	MaxBytes = 1 << 20
)

// Key is one key. Bytes are none for number 0, which follows from the installation's secret.
type Key struct {
	Purpose Purpose `json:"purpose"`
	ID      int     `json:"id"`
	State   State   `json:"state"`
	Bytes   []byte  `json:"key,omitempty"` // base64 in a file
}

// Name names a key for people, without telling it: payload/3.
func (k *Key) Name() string { return fmt.Sprintf("%s/%d", k.Purpose, k.ID) }

// Fingerprint tells a key from others of its name without telling it.
func (k *Key) Fingerprint() string {
	sum := sha256.Sum256(append([]byte("muster/v1/key\x00"+k.Name()+"\x00"), k.Bytes...))
	return hex.EncodeToString(sum[:16])
}

// Ring is an installation's keys. Secret, where it is set, is the secret from which all that never changes is derived:
// booking keys and the pepper of person keys. The methods that change a ring are not safe for concurrent use.
type Ring struct {
	Secret []byte `json:"secret,omitempty"`
	Keys   []Key  `json:"keys"`
}

// Derived is the ring of an installation that was given none: for each purpose the one key that follows from the secret.
func Derived() *Ring {
	r := new(Ring)
	for _, p := range Purposes {
		r.Keys = append(r.Keys, Key{Purpose: p, State: Active})
	}
	return r
}

// New makes a ring of fresh keys. With adopt it accepts what the secret's own keys made before, too: for an installation
// that is in use.
func New(adopt bool) *Ring {
	r := new(Ring)
	for _, p := range Purposes {
		if adopt {
			r.Keys = append(r.Keys, Key{Purpose: p, State: Retired})
		}
		r.Keys = append(r.Keys, Key{Purpose: p, ID: 1, State: Active, Bytes: fresh()})
	}
	return r
}

func fresh() []byte {
	key := make([]byte, KeyBytes)
	_, _ = rand.Read(key) // never fails
	return key
}

// Parse reads what Encode wrote, and validates it. An error tells nothing of the keys.
func Parse(text []byte) (*Ring, error) {
	if len(text) > MaxBytes {
		return nil, fmt.Errorf("a key ring of %d bytes is longer than %d", len(text), MaxBytes)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	r := new(Ring)
	if err := decoder.Decode(r); err != nil {
		return nil, errors.New("the key ring is not the JSON that `muster keys new` writes") // err may repeat a part of a key
	}
	if decoder.More() {
		return nil, errors.New("something follows the key ring")
	}
	return r, r.Validate()
}

// Encode writes a ring as indented JSON. It is as secret as the keys.
func (r *Ring) Encode() []byte {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		panic(err) // strings, numbers and bytes are always JSON
	}
	return append(text, '\n')
}

// Validate reports every fault at once.
func (r *Ring) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf("key ring: "+format, args...)) }
	if r.Secret != nil && len(r.Secret) < MinSecretBytes {
		fault("the secret has %d bytes, and %d are the least", len(r.Secret), MinSecretBytes)
	}
	seen, active, next := make(map[string]bool), make(map[Purpose]int), make(map[Purpose]int)
	for i := range r.Keys {
		k := &r.Keys[i]
		switch {
		case !slices.Contains(Purposes, k.Purpose):
			fault("key %d is for %.20q, which is none of %v", i+1, k.Purpose, Purposes)
			continue
		case k.ID < 0 || k.ID > MaxID:
			fault("%s has a number outside 0 and %d", k.Name(), MaxID)
		case seen[k.Name()]:
			fault("%s is there twice", k.Name())
		case k.ID == 0 && len(k.Bytes) != 0:
			fault("%s has bytes, but number 0 follows from the secret", k.Name())
		case k.ID != 0 && len(k.Bytes) != KeyBytes:
			fault("%s has %d bytes, want %d", k.Name(), len(k.Bytes), KeyBytes)
		case k.ID != 0 && slices.ContainsFunc(r.Keys[:i], func(o Key) bool { return bytes.Equal(o.Bytes, k.Bytes) }):
			fault("%s is the same key as another", k.Name())
		}
		seen[k.Name()] = true
		switch k.State {
		case Active:
			active[k.Purpose]++
		case Next:
			next[k.Purpose]++
		case Retired:
		default:
			fault("%s is %.20q, which is none of next, active, retired", k.Name(), k.State)
		}
	}
	for _, p := range Purposes {
		if active[p] != 1 || next[p] > 1 {
			fault("%s has %d active and %d next keys, want one and at most one", p, active[p], next[p])
		}
	}
	return errors.Join(faults...)
}

// Of lists the keys of a purpose, the active one first.
func (r *Ring) Of(p Purpose) []*Key {
	var keys []*Key
	for i := range r.Keys {
		switch k := &r.Keys[i]; {
		case k.Purpose != p:
		case k.State == Active:
			keys = slices.Insert(keys, 0, k)
		default:
			keys = append(keys, k)
		}
	}
	return keys
}

// find is the key of a purpose and number, or nil.
func (r *Ring) find(p Purpose, id int) *Key {
	for _, k := range r.Of(p) {
		if k.ID == id {
			return k
		}
	}
	return nil
}

// Rotate takes the next step for a purpose, and answers the key that it changed. Where no key is next it makes one; where
// one is, that becomes active, and the active one retired. The highest number is always that of a key which is not retired,
// so no number is used twice.
func (r *Ring) Rotate(p Purpose) (*Key, error) {
	highest := 0
	for _, k := range r.Of(p) {
		if k.State == Next {
			r.Of(p)[0].State, k.State = Retired, Active
			return k, nil
		}
		highest = max(highest, k.ID)
	}
	if highest == MaxID {
		return nil, fmt.Errorf("%s has had all %d keys that there can be", p, MaxID)
	}
	r.Keys = append(r.Keys, Key{Purpose: p, ID: highest + 1, State: Next, Bytes: fresh()})
	return &r.Keys[len(r.Keys)-1], nil
}

// Forget takes a retired key out, and overwrites its bytes.
func (r *Ring) Forget(p Purpose, id int) error {
	k := r.find(p, id)
	switch {
	case k == nil:
		return fmt.Errorf("the ring has no key %s/%d", p, id)
	case k.State != Retired:
		return fmt.Errorf("%s is %s: only retired keys can be forgotten", k.Name(), k.State)
	}
	clear(k.Bytes)
	r.Keys = slices.DeleteFunc(r.Keys, func(o Key) bool { return o.Purpose == p && o.ID == id })
	return nil
}

// Wipe overwrites the keys and the secret. What was made from them stays.
func (r *Ring) Wipe() {
	clear(r.Secret)
	for i := range r.Keys {
		clear(r.Keys[i].Bytes)
	}
}
