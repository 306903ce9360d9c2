package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"muster/allocator"
	"muster/allocator/keyring"
)

// keyFileName is the embedded installation's file of keys within its data directory.
const keyFileName = "keys.json"

// identity is what an installation's tokens, references and details rest on.
type identity struct {
	secret []byte
	ring   *keyring.Ring
}

// custodian looks after the details in a ledger.
func (i *identity) custodian(ledger allocator.Ledger, log *slog.Logger) *allocator.Custodian {
	return allocator.NewCustodian(ledger, allocator.NewSecretWith(i.secret, i.ring), log, nil)
}

// identity finds the installation's secret and keys, and makes sure that the ledger knows them. The embedded ledger's are
// made where there are none.
func (p *program) identity(ledger allocator.Ledger, f secretFlags, l ledgerFlags, log *slog.Logger, quiet bool) (i identity, err error) {
	given, err := f.given()
	if err != nil {
		return i, err
	}
	if i.ring, err = f.ring(log); err != nil {
		return i, err
	}
	name := "the keys"
	if i.ring == nil && l.Ledger == "" {
		name = filepath.Join(l.Data, keyFileName)
		if i.ring, err = p.ownKeys(ledger, name, given, log); err != nil {
			return i, err
		}
	}
	if i.ring == nil {
		i.ring = keyring.Derived()
	}
	if i.ring.Secret != nil {
		if given != nil {
			return i, usage("this ledger was begun with the secret in %s: leave out --secret-file and MUSTER_SECRET", name)
		}
		given = bytes.Clone(i.ring.Secret)
	}
	if i.secret, err = p.secret(ledger, given, log, quiet); err != nil {
		return i, err
	}
	if err := allocator.Enrol(p.ctx, ledger, i.ring); err != nil {
		return i, fmt.Errorf("the keys and the ledger: %w", err)
	}
	return i, nil
}

// ring reads the keys that the operator gave; nil where there are none.
func (f secretFlags) ring(log *slog.Logger) (*keyring.Ring, error) {
	text := os.Getenv("MUSTER_KEYRING")
	switch {
	case f.Keys != "" && text != "":
		return nil, usage("--keys and MUSTER_KEYRING are both given: which one is it?")
	case f.Keys != "":
		return loadKeys(f.Keys, log)
	case text == "":
		return nil, nil
	}
	ring, err := keyring.Parse([]byte(text))
	if err != nil {
		return nil, usage("MUSTER_KEYRING: %w", err)
	}
	return ring, nil
}

// loadKeys reads a file of keys.
func loadKeys(name string, log *slog.Logger) (*keyring.Ring, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, usage("--keys: %w", err)
	}
	defer clear(text)
	if info, err := os.Stat(name); err == nil && info.Mode().Perm()&0o007 != 0 { // a Kubernetes volume is its group's
		log.Warn("the file of keys is open to everybody: chmod 600 it", "file", name, "mode", info.Mode().Perm().String())
	}
	ring, err := keyring.Parse(text)
	if err != nil {
		return nil, usage("%s: %w", name, err)
	}
	return ring, nil
}

// ownKeys reads the embedded installation's keys, or makes them. A ledger that is new gets its secret there too, and so
// never holds what opens it; an older one keeps the secret that it has. The file is written before the ledger learns of
// it: a crash between the two leaves keys without a ledger, and not the other way round.
func (p *program) ownKeys(ledger allocator.Ledger, name string, given []byte, log *slog.Logger) (*keyring.Ring, error) {
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return loadKeys(name, log)
	}
	if given != nil {
		ring := keyring.New(true)
		return ring, storeKeys(name, ring)
	}
	ring := keyring.New(false)
	ring.Secret = make([]byte, keyring.KeyBytes)
	_, _ = rand.Read(ring.Secret) // never fails
	if err := storeKeys(name, ring); err != nil {
		return nil, err
	}
	mark := fingerprint(ring.Secret)
	kept, err := ledger.Agree(p.ctx, "secret", mark)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the installation's secret: %w", err)
	case bytes.Equal(kept, mark):
		return ring, nil
	case bytes.HasPrefix(kept, []byte(fingerprintPrefix)): // of a secret that was not given: to be told by whoever asks for it
		return nil, os.Remove(name)
	}
	ring = keyring.New(true)
	return ring, storeKeys(name, ring)
}

// storeKeys replaces a file of keys, for its owner's eyes only, so that there is always a whole one.
func storeKeys(name string, ring *keyring.Ring) error {
	text := ring.Encode()
	defer clear(text)
	file, err := os.CreateTemp(filepath.Dir(name), ".keys-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}
