package keyring

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Register is what a ledger remembers of its keys: the fingerprint of every key that was ever active, by name. It refuses
// servers that would make or find what others cannot read.
type Register map[string]string

// forgotten is the mark of a key that nobody has any more.
const forgotten = "forgotten"

// ParseRegister reads what Encode wrote; nothing is an empty register.
func ParseRegister(text []byte) (Register, error) {
	g := make(Register)
	if len(text) == 0 {
		return g, nil
	}
	if err := json.Unmarshal(text, &g); err != nil {
		return nil, fmt.Errorf("the ledger's register of keys: %w", err)
	}
	return g, nil
}

// Encode writes a register, the same for equal ones.
func (g Register) Encode() []byte {
	text, err := json.Marshal(g)
	if err != nil {
		panic(err) // a map of strings is always JSON
	}
	return text
}

// Admit says whether a server with this ring may serve, and notes its active keys. Every fault is reported at once; then
// the register is as it was.
func (g Register) Admit(r *Ring) error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	for _, name := range slices.Sorted(maps.Keys(g)) {
		k := r.named(name)
		switch print := g[name]; {
		case print == forgotten && k != nil && k.State == Active:
			fault("key %s was forgotten, and this ring would use it again: rotate that purpose", name)
		case print == forgotten:
		case k == nil:
			fault("key %s is in use, and this ring lacks it: what it made could not be opened", name)
		case k.Fingerprint() != print:
			fault("key %s is another one here than the ledger's: two keys must never share a number", name)
		}
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	for _, p := range Purposes {
		active := r.Of(p)[0]
		g[active.Name()] = active.Fingerprint()
	}
	return nil
}

// Use notes that what number 0 made is in the ledger, from a time before there was a register.
func (g Register) Use(p Purpose) {
	k := Key{Purpose: p}
	if _, ok := g[k.Name()]; !ok {
		g[k.Name()] = k.Fingerprint()
	}
}

// Forget notes that a key is not needed any more.
func (g Register) Forget(p Purpose, id int) { g[(&Key{Purpose: p, ID: id}).Name()] = forgotten }

// named finds a key by its name, or nil.
func (r *Ring) named(name string) *Key {
	for i := range r.Keys {
		if r.Keys[i].Name() == name {
			return &r.Keys[i]
		}
	}
	return nil
}
