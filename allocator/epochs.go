package allocator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// epochKeeper knows each shard's epoch and renews it when the shard says that it has lost its memory or belongs to
// another incarnation.
//
// An epoch belongs to one incarnation of one node, and only the ledger issues it, by compare-and-set; one that was
// superseded gets no other while its successor is young. So of two servers that see the same loss one opens the new epoch
// and the other adopts it, and a server that still talks to an isolated old primary cannot bring it back at once. It may
// later (see Quarantine), because the successor may have been a process that nobody can reach any more.
type epochKeeper struct {
	inventory Inventory
	ledger    Ledger
	log       *slog.Logger
	count     func(string)
	pace      pacer
	shards    []shardEpochs
}

type shardEpochs struct {
	mu      sync.Mutex
	epoch   int64 // 0: unknown
	renewal *renewal
}

// renewal is one attempt, shared by all who wait for it.
type renewal struct {
	done  chan struct{}
	epoch int64
	err   error
}

const renewalTimeout = 3 * time.Second

// Quarantine is how long an epoch must have been current, by the ledger's clock, before an incarnation that was replaced may
// get an epoch again. It keeps two nodes that both believe to be the primary from taking the shard from each other without
// end; that nothing is sold twice does not depend on it.
const Quarantine = 15 * time.Second

func newEpochKeeper(inventory Inventory, ledger Ledger, log *slog.Logger, count func(string), pace pacer) *epochKeeper {
	return &epochKeeper{inventory: inventory, ledger: ledger, log: log, count: count, pace: pace, shards: make([]shardEpochs, inventory.Shards())}
}

// current gives the shard's epoch, finding it out first where it is unknown.
func (k *epochKeeper) current(ctx context.Context, shard int) (int64, error) {
	s := &k.shards[shard]
	s.mu.Lock()
	epoch := s.epoch
	s.mu.Unlock()
	if epoch != 0 {
		return epoch, nil
	}
	return k.renew(ctx, shard, 0)
}

// renew finds or opens an epoch other than the one that was seen to fail. One attempt at a time per shard.
func (k *epochKeeper) renew(ctx context.Context, shard int, seen int64) (int64, error) {
	s := &k.shards[shard]
	s.mu.Lock()
	if s.epoch != 0 && s.epoch != seen {
		defer s.mu.Unlock()
		return s.epoch, nil
	}
	r := s.renewal
	if r == nil {
		r = &renewal{done: make(chan struct{})}
		s.renewal = r
		go k.attempt(s, r, shard)
	}
	s.mu.Unlock()
	select {
	case <-r.done:
		return r.epoch, r.err
	case <-ctx.Done():
		return 0, fmt.Errorf("opening an epoch of shard %d: %w (%w)", shard, ErrUnavailable, ctx.Err())
	}
}

func (k *epochKeeper) attempt(s *shardEpochs, r *renewal, shard int) {
	ctx, cancel := context.WithTimeout(context.Background(), k.pace.jittered(renewalTimeout))
	defer cancel()
	r.epoch, r.err = k.open(ctx, shard)
	if r.err != nil {
		k.log.Warn("no epoch for shard", "shard", shard, "error", r.err)
	}
	s.mu.Lock()
	s.epoch, s.renewal = r.epoch, nil
	s.mu.Unlock()
	close(r.done)
}

// open adopts the ledger's epoch where it belongs to the incarnation that serves the shard and is still there, and opens
// a new one otherwise.
func (k *epochKeeper) open(ctx context.Context, shard int) (int64, error) {
	for range 4 {
		identity, err := k.inventory.Identity(ctx, shard)
		if err != nil {
			return 0, err
		}
		epochs, err := k.ledger.Epochs(ctx)
		if err != nil {
			return 0, err
		}
		present := epochs[shard]
		if present.Identity == identity {
			err := k.inventory.Open(ctx, shard, present.Epoch, identity, false)
			if err == nil {
				return present.Epoch, nil
			}
			if !errors.Is(err, ErrIncarnationLost) && !errors.Is(err, ErrEpochStale) {
				return 0, err
			}
		}
		next, won, err := k.ledger.OpenEpoch(ctx, shard, present.Epoch, identity)
		if err != nil {
			return 0, err
		}
		if !won {
			continue // another server was faster: adopt what it opened
		}
		k.count("epoch_opened")
		k.log.Info("opened an epoch", "shard", shard, "epoch", next.Epoch)
		err = k.inventory.Open(ctx, shard, next.Epoch, identity, true)
		if err == nil {
			return next.Epoch, nil
		}
		if !errors.Is(err, ErrIncarnationLost) && !errors.Is(err, ErrEpochStale) {
			return 0, err
		}
	}
	return 0, fmt.Errorf("the epoch of shard %d keeps changing: %w", shard, ErrUnavailable)
}

// compare forgets epochs that the ledger has replaced without the shard knowing: whoever opened one died before it could
// tell. Without this every confirm would be checked, and raise its site's generation, until the shard's next loss.
func (k *epochKeeper) compare(current map[int]ShardEpoch) {
	for shard := range k.shards {
		s := &k.shards[shard]
		s.mu.Lock()
		if present, ok := current[shard]; ok && s.epoch != 0 && present.Epoch > s.epoch {
			s.epoch = 0
		}
		s.mu.Unlock()
	}
}

// onShard calls an inventory at the shard's epoch, and again at a new one where the shard answers that the epoch is not
// its own: then nothing was done.
func onShard[T any](ctx context.Context, k *epochKeeper, shard int, call func(epoch int64) (T, error)) (T, error) {
	var none T
	epoch, err := k.current(ctx, shard)
	for try := 0; err == nil; try++ {
		value, callErr := call(epoch)
		if callErr == nil || try == 3 || !errors.Is(callErr, ErrIncarnationLost) && !errors.Is(callErr, ErrEpochStale) {
			return value, callErr
		}
		k.count("epoch_refused")
		epoch, err = k.renew(ctx, shard, epoch)
	}
	return none, err
}
