package allocator

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"muster/allocator/keyring"
)

// Observer counts what operators ask about. Names are a closed list: see docs/operations.md.
type Observer interface {
	Count(event string)
}

// Config is what an Allocator is made of. Inventory, Ledger, Secret, Postcodes and Nearest are needed.
type Config struct {
	Inventory      Inventory
	Ledger         Ledger
	Secret         []byte        // at least 16 bytes, the same on every server of an installation
	Keys           *keyring.Ring // valid; default: all follow from the secret
	Upkeep         Upkeep        // of people's details; default: none
	Postcodes      Postcodes
	Nearest        Nearest
	Limits         Limits
	Clock          Clock        // default: the system's
	Log            *slog.Logger // default: none
	Observer       Observer     // default: none
	Random         io.Reader    // of pauses and of rebuilders' names, never of secrets; default: the system's
	CreateServices bool         // unknown services of a published session are created with their defaults (--dev)
}

// Allocator carries out the protocol over an inventory and a ledger. Safe for concurrent use between Start and Stop.
type Allocator struct {
	inventory      Inventory
	ledger         Ledger
	secret         Secret
	custodian      *Custodian
	kept           Upkeep
	postcodes      Postcodes
	limits         Limits
	clock          Clock
	log            *slog.Logger
	observer       Observer
	createServices bool
	pace           pacer

	epochs    *epochKeeper
	directory *directory
	holds     []*combiner[HoldItem, HoldResult] // one per shard
	pins      []*combiner[PinItem, PinResult]
	settles   []*combiner[SettleItem, ApplyOutcome]
	frees     []*combiner[FreeItem, ApplyOutcome]
	records   *combiner[Recording, RecordResult]
	nudges    []chan struct{} // per shard: something changed here, the feed is worth a look
	builds    builds
	dirty     dirtySites
	checks    []slotChecks // per shard
	running   sync.Map     // request keys of multi-site holds under way

	ledgerSeen atomic.Int64    // instant of the last answer, in ns by the clock
	loaded     atomic.Bool     // the directory has been read once
	lifetime   context.Context // of what this server does by itself: ends at Stop
	cancel     context.CancelFunc
	background sync.WaitGroup
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

type noObserver struct{}

func (noObserver) Count(string) {}

// New checks the configuration and reports every fault at once. Nothing runs before Start.
func New(c Config) (*Allocator, error) {
	var faults []error
	need := func(ok bool, what string) {
		if !ok {
			faults = append(faults, errors.New("allocator: no "+what))
		}
	}
	need(c.Inventory != nil, "inventory")
	need(c.Ledger != nil, "ledger")
	need(len(c.Secret) >= 16, "secret of at least 16 bytes")
	need(c.Postcodes != nil, "postcodes")
	need(c.Nearest != nil, "index of points")
	faults = append(faults, c.Limits.Validate(), c.Upkeep.Retention.Validate())
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	if c.Keys == nil {
		c.Keys = keyring.Derived()
	}
	if c.Clock == nil {
		c.Clock = systemClock{}
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Observer == nil {
		c.Observer = noObserver{}
	}
	a := &Allocator{
		inventory: c.Inventory, ledger: c.Ledger, secret: NewSecretWith(c.Secret, c.Keys), postcodes: c.Postcodes,
		limits: c.Limits.WithDefaults(), clock: c.Clock, log: c.Log, observer: c.Observer, createServices: c.CreateServices,
		pace: pacer{c.Random}, checks: make([]slotChecks, c.Inventory.Shards()),
		directory: newDirectory(c.Nearest, c.Inventory.Shards(), c.Clock.Now()), lifetime: context.Background(),
	}
	a.custodian, a.kept = NewCustodian(c.Ledger, a.secret, c.Log, c.Observer), c.Upkeep
	a.epochs = newEpochKeeper(c.Inventory, c.Ledger, c.Log, c.Observer.Count, a.pace)
	a.combine()
	return a, nil
}

// combine makes the lanes in which concurrent requests gather.
func (a *Allocator) combine() {
	l := a.limits
	for shard := range a.inventory.Shards() {
		a.nudges = append(a.nudges, make(chan struct{}, 1))
		a.holds = append(a.holds, newCombiner(a.pace, l.HoldQueue, l.HoldBatch, l.HoldDeadline,
			func(ctx context.Context, items []HoldItem) ([]HoldResult, error) {
				defer a.nudge(shard)
				return onShard(ctx, a.epochs, shard, func(epoch int64) ([]HoldResult, error) {
					return a.inventory.Hold(ctx, shard, epoch, items)
				})
			}))
		a.pins = append(a.pins, newCombiner(a.pace, l.RecordQueue, l.HoldBatch, l.HoldDeadline,
			func(ctx context.Context, items []PinItem) ([]PinResult, error) {
				return onShard(ctx, a.epochs, shard, func(epoch int64) ([]PinResult, error) {
					return a.inventory.Pin(ctx, shard, epoch, items)
				})
			}))
		a.settles = append(a.settles, newCombiner(a.pace, l.RecordQueue, l.HoldBatch, l.HoldDeadline,
			func(ctx context.Context, items []SettleItem) ([]ApplyOutcome, error) {
				return a.settle(ctx, shard, items)
			}))
		a.frees = append(a.frees, newCombiner(a.pace, l.RecordQueue, l.HoldBatch, l.HoldDeadline,
			func(ctx context.Context, items []FreeItem) ([]ApplyOutcome, error) { return a.free(ctx, shard, items) }))
	}
	a.records = newCombiner(a.pace, l.RecordQueue, l.RecordBatch, l.ConfirmDeadline,
		func(ctx context.Context, items []Recording) ([]RecordResult, error) {
			results, err := a.ledger.Record(ctx, items)
			if err == nil {
				a.ledgerAnswered()
			}
			return results, err
		})
}

// Start reads the catalogue, opens the shards' epochs and begins the background work. It fails where the ledger does not
// answer or its schema does not fit; an inventory that cannot be reached is tried again as long as the program runs.
func (a *Allocator) Start(ctx context.Context) error {
	if err := a.ledger.Check(ctx); err != nil {
		return err
	}
	a.ledgerAnswered()
	since, err := a.readCatalogue(ctx)
	if err != nil {
		return err
	}
	a.loaded.Store(true)
	for shard := range a.inventory.Shards() {
		a.holds[shard].start()
		a.pins[shard].start()
		a.settles[shard].start()
		a.frees[shard].start()
	}
	a.records.start()
	running, cancel := context.WithCancel(a.lifetime)
	a.cancel = cancel
	a.lifetime = running
	for shard := range a.inventory.Shards() {
		a.background.Go(func() { a.resolve(running, shard) })
		a.background.Go(func() { a.catchUpSites(running, shard) })
		a.background.Go(func() { a.follow(running, shard) })
		a.background.Go(func() { a.check(running, shard) })
	}
	a.background.Go(func() { a.probe(running) })
	a.background.Go(func() { a.refresh(running, since) })
	a.background.Go(func() { a.reconcile(running) })
	a.background.Go(func() { a.makePlanned(running) })
	if a.kept.Every > 0 {
		a.background.Go(func() { a.upkeep(running, a.kept) })
	}
	return nil
}

// Stop ends the background work and lets what was handed in finish. Requests that come later are refused.
func (a *Allocator) Stop(ctx context.Context) error {
	if a.cancel == nil {
		return nil
	}
	a.cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.background.Wait()
		a.records.end()
		for shard := range a.inventory.Shards() {
			a.holds[shard].end()
			a.pins[shard].end()
			a.settles[shard].end()
			a.frees[shard].end()
		}
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stopping the allocator: %w", ctx.Err())
	}
}

// Ready names what is missing before traffic makes sense; nothing, when ready.
func (a *Allocator) Ready(context.Context) []string {
	var missing []string
	if !a.loaded.Load() {
		missing = append(missing, "catalogue not read yet")
	}
	if a.ledgerQuiet() {
		missing = append(missing, "ledger does not answer")
	}
	if a.clock.Now().Sub(a.directory.newest()) > unheard {
		missing = append(missing, "no shard of the inventory can be reached")
	}
	return missing
}

// unheard is after which time without an answer of any shard a server is not ready.
const unheard = 3 * time.Second

// Shard is the shard of a site: it follows from the site's id alone.
func (a *Allocator) Shard(site SiteID) int { return ShardOf(site, a.inventory.Shards()) }

// ShardOf spreads sites over shards by a hash of their id (FNV-1a, 32 bits, finished by a multiplicative mix).
func ShardOf(site SiteID, shards int) int {
	h := fnv.New32a()
	h.Write([]byte(site))
	return int(uint64(h.Sum32()*2654435769) * uint64(shards) >> 32)
}

func (a *Allocator) ledgerAnswered() { a.ledgerSeen.Store(a.clock.Now().UnixNano()) }

// ledgerQuiet says whether the ledger has not answered for so long that new holds make no sense.
func (a *Allocator) ledgerQuiet() bool {
	return a.clock.Now().UnixNano()-a.ledgerSeen.Load() > a.limits.LedgerQuietAfter.Nanoseconds()
}

// probe asks the ledger for a sign of life every second.
func (a *Allocator) probe(ctx context.Context) {
	a.pace.every(ctx, time.Second, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		if _, err := a.ledger.Now(ctx); err == nil {
			a.ledgerAnswered()
		} else if ctx.Err() == nil {
			a.log.Warn("ledger does not answer", "error", err)
		}
	})
}

// nudge makes the shard's changes be read soon.
func (a *Allocator) nudge(shard int) {
	select {
	case a.nudges[shard] <- struct{}{}:
	default:
	}
}

// asError gives every failure a code. unknown says that the effect may have happened.
func asError(err error, unknown bool) error {
	var refusal *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refusal):
		return err
	case unknown || errors.Is(err, ErrOutcomeUnknown):
		return &Error{Code: CodeOutcomeUnknown, Detail: "the outcome is not known yet: repeat the request", RetryAfter: 2 * time.Second, Cause: err}
	default:
		return &Error{Code: CodeUnavailable, Detail: "cannot be reached just now", RetryAfter: 2 * time.Second, Cause: err}
	}
}

// ledgerError is asError for a ledger's read or a write that did not happen.
func ledgerError(err error) error {
	var refusal *Error
	if err == nil || errors.As(err, &refusal) {
		return err
	}
	if errors.Is(err, ErrOutcomeUnknown) {
		return asError(err, true)
	}
	return &Error{Code: CodeLedgerUnavailable, Detail: "the ledger cannot be reached just now", RetryAfter: 2 * time.Second, Cause: err}
}
