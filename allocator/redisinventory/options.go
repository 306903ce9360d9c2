package redisinventory

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"muster/allocator"
)

// Options are the settings of an Inventory. The zero value of a field means its default.
type Options struct {
	Addresses []string    // host:port of the node, or of some of the cluster's; required
	Cluster   bool        // Redis Cluster: more than one address does not make it one
	Username  string      //
	Password  string      //
	TLS       *tls.Config // nil: plain

	Prefix      string        // of every key; default "muster"
	Shards      int           // default one for each address listed; changing it is a rebuild of everything
	KeyLifetime time.Duration // default as in allocator.Limits
	SetAside    int           // default as in allocator.Limits
	ReapBatch   int           // lapsed holds freed by each Hold call; default as in allocator.Limits
	ReapAfter   time.Duration // a lapsed hold whose slot nobody asks for may stay for so long; default 250 ms, negative: no longer than to the next hold
	Feed        int           // script calls remembered for Changes, about, per shard; default 8192
	Scan        int           // slots in each piece of Usage, about; default 1000

	DialTimeout time.Duration // default 1 s
	Timeout     time.Duration // of one read or write, where the caller's context allows more; default 2 s
	Connections int           // per node; default 16

	Hooks []redis.Hook // around every command, outermost first: to trace them, or to carry them elsewhere in a simulation
}

// WithDefaults fills in the zero fields.
func (o Options) WithDefaults() Options {
	limits := allocator.Limits{KeyLifetime: o.KeyLifetime, SetAside: o.SetAside, ReapBatch: o.ReapBatch}.WithDefaults()
	o.KeyLifetime, o.SetAside, o.ReapBatch = limits.KeyLifetime, limits.SetAside, limits.ReapBatch
	number := func(n *int, value int) {
		if *n == 0 {
			*n = value
		}
	}
	if o.ReapAfter == 0 {
		o.ReapAfter = 250 * time.Millisecond
	}
	number(&o.Feed, 8192)
	number(&o.Scan, 1000)
	number(&o.Connections, 16)
	number(&o.Shards, max(1, len(o.Addresses))) // a node runs one script at a time, and larger calls cost it less
	if o.Prefix == "" {
		o.Prefix = "muster"
	}
	if o.DialTimeout == 0 {
		o.DialTimeout = time.Second
	}
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Second
	}
	return o
}

// Validate reports every fault at once.
func (o Options) Validate() error {
	o = o.WithDefaults()
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	check(len(o.Addresses) > 0, "no address of a Redis node is given")
	check(o.Cluster || len(o.Addresses) == 1, "%d addresses are given, but not as a cluster", len(o.Addresses))
	check(!strings.ContainsAny(o.Prefix, "{}"), "the prefix %q has a brace", o.Prefix)
	check(o.Shards >= 1 && o.Shards <= 1024, "%d shards are not within 1 and 1024", o.Shards)
	check(o.KeyLifetime >= time.Second, "key lifetime %v is shorter than 1 s", o.KeyLifetime)
	check(o.SetAside >= 1 && o.ReapBatch >= 1 && o.Feed >= 1 && o.Scan >= 1 && o.Connections >= 1, "a bound is below 1")
	check(o.DialTimeout > 0 && o.Timeout > 0, "a timeout is not positive")
	return errors.Join(faults...)
}
