// Package memoryinventory is the inventory in this process's memory: the embedded default, and the model that every
// other inventory is compared with, answer by answer. It favours the obvious over the fast.
//
// What it holds dies with the process; its identity does too, so a new process opens new epochs and rebuilds each site
// from the ledger before it grants there.
package memoryinventory

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	"muster/allocator"
)

// Options are the settings of an Inventory. The zero value of a field means its default.
type Options struct {
	Shards      int              // default 4
	KeyLifetime time.Duration    // default as in allocator.Limits
	SetAside    int              // default as in allocator.Limits
	ReapBatch   int              // lapsed holds freed by each Hold call; default as in allocator.Limits
	Feed        int              // changes remembered per shard; default 65,536
	Now         func() time.Time // the shards' clock; default: this process's, monotonic
}

// Inventory implements allocator.Inventory. Safe for concurrent use.
type Inventory struct {
	options Options
	shards  []*shard
}

var _ allocator.Inventory = (*Inventory)(nil)

// New makes an empty inventory without any epoch.
func New(options Options) *Inventory {
	limits := allocator.Limits{KeyLifetime: options.KeyLifetime, SetAside: options.SetAside, ReapBatch: options.ReapBatch}.WithDefaults()
	options.KeyLifetime, options.SetAside, options.ReapBatch = limits.KeyLifetime, limits.SetAside, limits.ReapBatch
	if options.Shards == 0 {
		options.Shards = 4
	}
	if options.Feed == 0 {
		options.Feed = 1 << 16
	}
	if options.Now == nil {
		start := time.Now()
		options.Now = func() time.Time { return start.Add(time.Since(start)) }
	}
	inv := &Inventory{options: options}
	for range options.Shards {
		inv.shards = append(inv.shards, newShard(&inv.options))
	}
	return inv
}

// Lose forgets everything about a shard, as a restart with an empty memory would. For tests and drills.
func (inv *Inventory) Lose(shardNumber int) {
	old := inv.shards[shardNumber]
	old.mu.Lock()
	defer old.mu.Unlock()
	fresh := newShard(&inv.options)
	old.state = fresh.state
}

// Shards implements allocator.Inventory.
func (inv *Inventory) Shards() int { return len(inv.shards) }

// Identity implements allocator.Inventory.
func (inv *Inventory) Identity(_ context.Context, number int) (string, error) {
	s := inv.shards[number]
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.identity, nil
}

// Open implements allocator.Inventory.
func (inv *Inventory) Open(_ context.Context, number int, epoch int64, identity string, fresh bool) error {
	s := inv.shards[number]
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case identity != s.identity:
		return fmt.Errorf("shard %d is served by %s, not %s: %w", number, s.identity, identity, allocator.ErrIncarnationLost)
	case s.epoch > epoch:
		return fmt.Errorf("shard %d has epoch %d: %w", number, s.epoch, allocator.ErrEpochStale)
	case s.epoch == epoch:
		return nil
	case !fresh:
		return fmt.Errorf("shard %d has epoch %d, not %d: %w", number, s.epoch, epoch, allocator.ErrIncarnationLost)
	}
	s.epoch = epoch
	return nil
}

// enter locks a shard at the caller's epoch. The caller unlocks.
func (inv *Inventory) enter(number int, epoch int64) (*shard, error) {
	s := inv.shards[number]
	s.mu.Lock()
	if err := s.gate(epoch); err != nil {
		s.mu.Unlock()
		return nil, err
	}
	s.tick()
	return s, nil
}

// enterLate locks a shard for a message about something that the ledger recorded, which may come from an older epoch.
func (inv *Inventory) enterLate(number int, epoch int64) (*shard, error) {
	s := inv.shards[number]
	s.mu.Lock()
	if epoch > s.epoch || s.epoch == 0 {
		err := s.gate(epoch)
		s.mu.Unlock()
		return nil, err
	}
	s.tick()
	return s, nil
}

// Hold implements allocator.Inventory.
func (inv *Inventory) Hold(_ context.Context, number int, epoch int64, items []allocator.HoldItem) ([]allocator.HoldResult, error) {
	s, err := inv.enter(number, epoch)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	s.reap(inv.options.ReapBatch)
	results := make([]allocator.HoldResult, len(items))
	for i := range items {
		results[i] = s.hold(&items[i])
		results[i].NowMs = s.nowMs
	}
	return results, nil
}

// Extend implements allocator.Inventory.
func (inv *Inventory) Extend(_ context.Context, number int, epoch int64, id allocator.HoldID) (allocator.HoldResult, error) {
	s, err := inv.enter(number, epoch)
	if err != nil {
		return allocator.HoldResult{}, err
	}
	defer s.mu.Unlock()
	return s.extend(id), nil
}

// Release implements allocator.Inventory.
func (inv *Inventory) Release(_ context.Context, number int, epoch int64, _ allocator.SiteID, id allocator.HoldID, forget bool) (allocator.GrantState, error) {
	s, err := inv.enter(number, epoch)
	if err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	return s.release(id, forget), nil
}

// Pin implements allocator.Inventory.
func (inv *Inventory) Pin(_ context.Context, number int, epoch int64, items []allocator.PinItem) ([]allocator.PinResult, error) {
	s, err := inv.enter(number, epoch)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	results := make([]allocator.PinResult, len(items))
	for i := range items {
		results[i] = s.pin(&items[i])
	}
	return results, nil
}

// Reseat implements allocator.Inventory.
func (inv *Inventory) Reseat(_ context.Context, number int, epoch int64, item allocator.ReseatItem) (allocator.ReseatResult, error) {
	s, err := inv.enter(number, epoch)
	if err != nil {
		return allocator.ReseatResult{}, err
	}
	defer s.mu.Unlock()
	return s.reseat(&item), nil
}

// Settle implements allocator.Inventory.
func (inv *Inventory) Settle(_ context.Context, number int, epoch int64, items []allocator.SettleItem) ([]allocator.ApplyOutcome, error) {
	s, err := inv.enterLate(number, epoch)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	outcomes := make([]allocator.ApplyOutcome, len(items))
	for i := range items {
		outcomes[i] = s.late(epoch, items[i].Site, lateMessage{settle: &items[i]})
	}
	return outcomes, nil
}

// Free implements allocator.Inventory.
func (inv *Inventory) Free(_ context.Context, number int, epoch int64, items []allocator.FreeItem) ([]allocator.ApplyOutcome, error) {
	s, err := inv.enterLate(number, epoch)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	outcomes := make([]allocator.ApplyOutcome, len(items))
	for i := range items {
		outcomes[i] = s.late(epoch, items[i].Site, lateMessage{free: &items[i]})
	}
	return outcomes, nil
}

// State implements allocator.Inventory.
func (inv *Inventory) State(_ context.Context, number int, epoch int64, _ allocator.SiteID, id allocator.HoldID) (allocator.GrantState, error) {
	s, err := inv.enter(number, epoch)
	if err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	return s.stateOf(s.exact(id)), nil
}

// Reap implements allocator.Inventory.
func (inv *Inventory) Reap(_ context.Context, number int, epoch int64, limit int) (bool, error) {
	s, err := inv.enter(number, epoch)
	if err != nil {
		return false, err
	}
	defer s.mu.Unlock()
	return s.reap(limit), nil
}

// StuckPins implements allocator.Inventory.
func (inv *Inventory) StuckPins(_ context.Context, number int, epoch int64, limit int) ([]allocator.StuckPin, error) {
	s, err := inv.enter(number, epoch)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	return s.stuckPins(limit), nil
}

func newIdentity() string {
	var b [16]byte
	rand.Read(b[:])
	return "memory-" + hex.EncodeToString(b[:])
}

type shard struct {
	mu sync.Mutex
	state
}
