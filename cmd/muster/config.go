package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"

	"github.com/redis/go-redis/v9"

	"muster/allocator"
	"muster/allocator/keyring"
	"muster/allocator/redisinventory"
)

// ledgerFlags say where the ledger is.
type ledgerFlags struct {
	Data   string `default:"./data" type:"path" placeholder:"DIR" help:"Folder of the embedded ledger and of added postcodes; created where it is not there."`
	Ledger string `placeholder:"URL" help:"postgresql:// URL of CockroachDB or PostgreSQL; none: the embedded ledger in --data."`
}

// target names the ledger for people and checkpoints, without its password.
func (f ledgerFlags) target() string {
	if f.Ledger == "" {
		return f.Data
	}
	u, err := url.Parse(f.Ledger)
	if err != nil {
		return "the ledger"
	}
	u.RawQuery = ""
	return u.Redacted()
}

// inventoryFlags say where the inventory is.
type inventoryFlags struct {
	Redis  []string `placeholder:"URL" help:"redis:// or rediss:// (TLS) URL of one node, or of several of a Redis Cluster's, separated by commas; none: in this program's memory."`
	Shards int      `default:"0" help:"Groups of sites in the inventory; 0: as the installation began: one for each Redis node listed then. All its servers agree on it in the ledger."`
}

// redisOptions reads the URLs.
func (f inventoryFlags) redisOptions() (redisinventory.Options, error) {
	o := redisinventory.Options{Shards: f.Shards, Cluster: len(f.Redis) > 1}
	var secure *tls.Config
	for i, address := range f.Redis {
		parsed, err := redis.ParseURL(address)
		if err != nil {
			return o, usage("--redis: address %d is not a URL such as redis://host:6379 or rediss://user:password@host:6379", i+1)
		}
		if parsed.DB != 0 {
			return o, usage("--redis: address %d chooses database %d; only 0 is used", i+1, parsed.DB)
		}
		switch {
		case i == 0:
			o.Username, o.Password, secure = parsed.Username, parsed.Password, parsed.TLSConfig
		case parsed.Username != o.Username || parsed.Password != o.Password || (parsed.TLSConfig == nil) != (secure == nil):
			return o, usage("--redis: address %d has other credentials or another scheme than the first; a Cluster has one set", i+1)
		}
		o.Addresses = append(o.Addresses, parsed.Addr)
	}
	if secure != nil {
		o.TLS = secure.Clone()
		if o.Cluster {
			o.TLS.ServerName = "" // each node proves its own name
		}
	}
	return o, nil
}

// secretFlags say where the installation's secret is.
type secretFlags struct {
	SecretFile string `placeholder:"FILE" help:"File with the installation's secret, 16 bytes or more; or MUSTER_SECRET, or within --keys. None: one is made, and kept in --data (embedded ledger) or in the ledger."`
	Keys       string `placeholder:"FILE" help:"File with the installation's keys, as muster keys new makes it; or its content in MUSTER_KEYRING. None: keys.json in --data (embedded ledger), or keys that follow from the secret and never change."`
}

// given reads the secret that the operator gave; nil where there is none.
func (f secretFlags) given() ([]byte, error) {
	text := os.Getenv("MUSTER_SECRET")
	switch {
	case f.SecretFile != "" && text != "":
		return nil, usage("--secret-file and MUSTER_SECRET are both given: which one is it?")
	case f.SecretFile != "":
		data, err := os.ReadFile(f.SecretFile)
		if err != nil {
			return nil, usage("--secret-file: %w", err)
		}
		text = string(data)
	case text == "":
		return nil, nil
	}
	secret := bytes.TrimSpace([]byte(text))
	if len(secret) < keyring.MinSecretBytes {
		return nil, usage("the secret has %d bytes, and %d are the least; `openssl rand -hex 32` makes a good one", len(secret), keyring.MinSecretBytes)
	}
	return secret, nil
}

// fingerprintPrefix begins what the ledger keeps of a secret that the operator holds.
const fingerprintPrefix = "sha256:"

// fingerprint tells a secret from others without telling it.
func fingerprint(secret []byte) []byte {
	sum := sha256.Sum256(append([]byte("muster/v1/fingerprint\x00"), secret...))
	return []byte(fingerprintPrefix + hex.EncodeToString(sum[:]))
}

// secret finds the installation's secret. The ledger keeps it, or the fingerprint of one that the operator holds: with
// another secret nobody's booking could be opened, and people could book twice, so a ledger takes one for ever.
func (p *program) secret(ledger allocator.Ledger, given []byte, log *slog.Logger, quiet bool) ([]byte, error) {
	candidate := fingerprint(given)
	if given == nil {
		candidate = make([]byte, 32)
		_, _ = rand.Read(candidate) // never fails
	}
	kept, err := ledger.Agree(p.ctx, "secret", candidate)
	if err != nil {
		return nil, fmt.Errorf("the installation's secret: %w", err)
	}
	held := bytes.HasPrefix(kept, []byte(fingerprintPrefix))
	switch {
	case given != nil && !bytes.Equal(kept, candidate):
		return nil, usage("this ledger was begun with another secret than the given one, and takes no other")
	case given == nil && held:
		return nil, usage("this ledger was begun with a secret that you keep: give it by --secret-file, MUSTER_SECRET or --keys")
	case given != nil:
		return given, nil
	}
	if !quiet {
		log.Warn("THE SECRET IS KEPT IN THE LEDGER: whoever reads the ledger can open bookings and link people. " +
			"Begin a new ledger with --secret-file or MUSTER_SECRET instead.")
	}
	return kept, nil
}

// logTo makes the program's log: JSON, one line each.
func (p *program) logTo(level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(strings.ToUpper(level))); err != nil {
		return nil, usage("--log-level %q is none of debug, info, warn, error", level)
	}
	return slog.New(slog.NewJSONHandler(p.stderr, &slog.HandlerOptions{Level: l})), nil
}
