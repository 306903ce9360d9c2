// Package redisinventory is the inventory in Redis: a single node or a Redis Cluster.
//
// # How it keeps the promises
//
// Each method is one script, called by EVALSHA on the shard's node. The script's text begins with the incarnation it was
// loaded for: the shard's epoch and the node's run_id and master_replid. It is loaded only by Open, on a connection that
// was just seen to belong to that incarnation, and EVAL is never used. So a node that restarted, or a replica that was
// promoted, answers NOSCRIPT, and that is how a loss is noticed. A flushed data set has no epoch key; a superseded one has
// a newer epoch; both are refused by the first line of every script. Besides, each new connection is checked against what
// its shards were opened on, because a node that was demoted and promoted again still has its scripts.
//
// # Time
//
// Only the shard's own TIME decides; no key ever expires in Redis.
//
// # Repeats
//
// The client may send a command twice after a network error, even with retries off. Every script is safe to repeat.
package redisinventory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"muster/allocator"
)

// Inventory implements allocator.Inventory. Safe for concurrent use.
type Inventory struct {
	options Options
	nodes   nodes
	keys    []keys
	sources [methods]string

	mu           sync.RWMutex
	incarnations []incarnation // by shard
}

var _ allocator.Inventory = (*Inventory)(nil)

// incarnation is what a shard was opened on. The zero value is none.
type incarnation struct {
	epoch    int64
	identity string
	address  string // of the node that served it
	scripts  *[methods]script
	lost     bool // a new connection to address found another identity
}

// New makes an inventory. It connects to nothing yet; the caller closes it.
func New(options Options) (*Inventory, error) {
	if err := options.Validate(); err != nil {
		return nil, fmt.Errorf("redis inventory: %w", err)
	}
	inv := &Inventory{options: options.WithDefaults()}
	var err error
	if inv.sources, err = sources(); err != nil {
		return nil, err
	}
	inv.incarnations = make([]incarnation, inv.options.Shards)
	for i := range inv.options.Shards {
		inv.keys = append(inv.keys, keysOf(inv.options.Prefix, inv.options.Shards, i))
	}
	inv.nodes = newNodes(&inv.options, inv.connected)
	return inv, nil
}

// Close closes every connection.
func (inv *Inventory) Close() error { return inv.nodes.close() }

// Shards implements allocator.Inventory.
func (inv *Inventory) Shards() int { return inv.options.Shards }

// current finds the scripts of a shard at an epoch. late also gives a newer epoch's, for a message of an older one.
func (inv *Inventory) current(shard int, epoch int64, late bool) (*[methods]script, error) {
	inv.mu.RLock()
	in := inv.incarnations[shard]
	inv.mu.RUnlock()
	switch {
	case in.lost:
		return nil, fmt.Errorf("shard %d: %s answers as another: %w", shard, in.address, allocator.ErrIncarnationLost)
	case in.epoch == epoch && epoch != 0, late && in.epoch > epoch:
		return in.scripts, nil
	case in.epoch > epoch:
		return nil, fmt.Errorf("shard %d is open at epoch %d, not %d: %w", shard, in.epoch, epoch, allocator.ErrEpochStale)
	default:
		return nil, fmt.Errorf("shard %d is not open at epoch %d: %w", shard, epoch, allocator.ErrIncarnationLost)
	}
}

// run calls a method's script on its shard.
func (inv *Inventory) run(ctx context.Context, shard int, epoch int64, m method, args ...any) (any, error) {
	scripts, err := inv.current(shard, epoch, m == methodSettle)
	if err != nil {
		return nil, err
	}
	reply, err := inv.nodes.client.EvalSha(ctx, scripts[m].sha, []string{inv.keys[shard].epoch}, args...).Result()
	if err != nil {
		return nil, inv.failed(ctx, shard, err)
	}
	return reply, nil
}

// failed gives an error its meaning, and looks for the shard's node anew where this one gave no answer.
func (inv *Inventory) failed(ctx context.Context, shard int, err error) error {
	err = failure(shard, err)
	if errors.Is(err, allocator.ErrUnavailable) {
		inv.nodes.lookAgain(ctx)
	}
	return err
}

// failure gives an error its meaning: see allocator.ErrUnavailable and its neighbours.
func failure(shard int, err error) error {
	text := err.Error()
	switch {
	case errors.Is(err, allocator.ErrIncarnationLost), errors.Is(err, allocator.ErrEpochStale):
		return fmt.Errorf("shard %d: %w", shard, err)
	case redis.HasErrorPrefix(err, "NOSCRIPT"), strings.HasPrefix(text, "LOST "):
		return fmt.Errorf("shard %d: %w: %w", shard, allocator.ErrIncarnationLost, err)
	case strings.HasPrefix(text, "STALE "):
		return fmt.Errorf("shard %d: %w: %w", shard, allocator.ErrEpochStale, err)
	default:
		return fmt.Errorf("shard %d: %w: %w", shard, allocator.ErrUnavailable, err)
	}
}

// texts is a reply that is a list of strings.
func texts(reply any) ([]string, error) {
	list, ok := reply.([]any)
	if !ok {
		return nil, errReply
	}
	out := make([]string, len(list))
	for i, v := range list {
		if out[i], ok = v.(string); !ok {
			return nil, errReply
		}
	}
	return out, nil
}

// numbers is a reply that is a list of n integers.
func numbers(reply any, n int) ([]int64, error) {
	list, ok := reply.([]any)
	if !ok || len(list) != n {
		return nil, errReply
	}
	out := make([]int64, n)
	for i, v := range list {
		if out[i], ok = v.(int64); !ok {
			return nil, errReply
		}
	}
	return out, nil
}

// oneNumber is a reply that is an integer.
func oneNumber(reply any) (int64, error) {
	n, ok := reply.(int64)
	if !ok {
		return 0, errReply
	}
	return n, nil
}
