package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"muster/allocator"
	"muster/allocator/cockroachledger"
	"muster/allocator/guarded"
	"muster/allocator/keyring"
	"muster/allocator/memoryinventory"
	"muster/allocator/observed"
	"muster/allocator/redisinventory"
	"muster/allocator/sqliteledger"
	"muster/api"
	"muster/cmd/muster/tracing"
	"muster/smartlinks"
	"muster/waitingroom"
	"muster/webhooks"
)

// This file assembles the program; nothing else knows which adapter stands behind which port.

// migratable is a ledger as every adapter offers it.
type migratable interface {
	allocator.Ledger
	Migrate(ctx context.Context) error
}

// openLedger connects to the ledger, whatever its schema; the caller closes it. The embedded one may be read while a
// server has it open, and not else.
func openLedger(ctx context.Context, f ledgerFlags, readOnly bool) (ledger migratable, embedded bool, err error) {
	if f.Ledger != "" {
		ledger, err := cockroachledger.Open(ctx, f.Ledger, ledgerOptions())
		if err != nil {
			return nil, false, fmt.Errorf("ledger %s: %w", f.target(), err)
		}
		return seamLedger(ledger), false, nil
	}
	l, err := sqliteledger.Open(ctx, filepath.Join(f.Data, sqliteledger.FileName), sqliteledger.Options{ReadOnly: readOnly})
	if err != nil {
		return nil, true, err
	}
	return seamLedger(l), true, nil
}

// readyLedger opens a ledger and makes sure that its schema fits. The embedded one is brought up to date on the way; so is
// another where migrate says so.
func readyLedger(ctx context.Context, f ledgerFlags, migrate, readOnly bool) (migratable, bool, error) {
	ledger, embedded, err := openLedger(ctx, f, readOnly)
	if err != nil {
		return nil, embedded, err
	}
	if embedded && !readOnly || migrate {
		err = ledger.Migrate(ctx)
	}
	if err == nil {
		err = ledger.Check(ctx)
	}
	switch {
	case errors.Is(err, allocator.ErrSchema):
		err = fmt.Errorf("%w: run `muster migrate`", err)
		fallthrough
	case err != nil:
		return nil, embedded, errors.Join(err, ledger.Close())
	}
	return ledger, embedded, nil
}

// openInventory makes the inventory; closing it ends its connections.
func openInventory(ctx context.Context, w parts, ledger allocator.Ledger) (allocator.Inventory, func() error, error) {
	f, limits := w.inventory, w.limits
	if f.Shards < 0 {
		return nil, nil, usage("--shards %d is negative", f.Shards)
	}
	if w.absent {
		return elsewhere{}, func() error { return nil }, nil
	}
	if len(f.Redis) == 0 {
		return memoryinventory.New(memoryinventory.Options{
			Shards: f.Shards, KeyLifetime: limits.KeyLifetime, SetAside: limits.SetAside, ReapBatch: limits.ReapBatch,
		}), func() error { return nil }, nil
	}
	options, err := f.redisOptions()
	if err != nil {
		return nil, nil, err
	}
	options.KeyLifetime, options.SetAside, options.ReapBatch = limits.KeyLifetime, limits.SetAside, limits.ReapBatch
	if options.Shards, err = agreedShards(ctx, ledger, f.Shards, options.WithDefaults().Shards); err != nil {
		return nil, nil, err
	}
	inventory, err := redisinventory.New(options)
	if err != nil {
		return nil, nil, usageError{err}
	}
	return inventory, inventory.Close, nil
}

// agreedShards is how many shards the installation has: the first program that needs the number settles it, since servers
// that disagreed would each keep an inventory of their own.
func agreedShards(ctx context.Context, ledger allocator.Ledger, asked, usual int) (int, error) {
	kept, err := ledger.Agree(ctx, "shards", []byte(strconv.Itoa(cmp.Or(asked, usual))))
	if err != nil {
		return 0, fmt.Errorf("the number of shards: %w", err)
	}
	shards, err := strconv.Atoi(string(kept))
	switch {
	case err != nil:
		return 0, fmt.Errorf("the ledger's number of shards: %w", err)
	case asked != 0 && asked != shards:
		return 0, usage("--shards %d, but this installation has %d; docs/operations.md tells how to change that", asked, shards)
	}
	return shards, nil
}

// engine is an allocator with all that it stands on.
type engine struct {
	*allocator.Allocator
	ledger   migratable
	measured allocator.Ledger // the same, as the allocator uses it
	embedded bool
	registry *prometheus.Registry
	tracer   *tracing.Tracer // nil: nothing is traced
	close    func() error
}

// parts are what an engine is made of.
type parts struct {
	ledger    ledgerFlags
	inventory inventoryFlags
	secret    secretFlags
	limits    allocator.Limits
	upkeep    allocator.Upkeep
	dev       bool // the development server's leniency
	tool      bool // no clients are served, so the installation's secret is not needed
	absent    bool // the inventory is in another program's memory, which has the ledger's file open
	log       *slog.Logger
	tracer    *tracing.Tracer // nil: nothing is traced

	// filled, where set, is called with the ledger before anything else uses it.
	filled func(ledger allocator.Ledger) error
}

// assemble makes an engine that is not started yet; the caller closes it.
func (p *program) assemble(w parts) (_ *engine, err error) {
	if err := w.limits.Validate(); err != nil {
		return nil, usageError{err}
	}
	places, err := loadPostcodes(w.ledger.Data)
	if err != nil {
		return nil, err
	}
	ledger, embedded, err := readyLedger(p.ctx, w.ledger, w.dev, w.absent)
	if err != nil {
		return nil, err
	}
	e := &engine{ledger: ledger, embedded: embedded, tracer: w.tracer, close: ledger.Close}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close())
		}
	}()
	who := identity{make([]byte, 32), keyring.Derived()} // a tool makes no tokens and no keys
	if !w.tool {
		if who, err = p.identity(ledger, w.secret, w.ledger, w.log, embedded || w.dev); err != nil {
			return nil, err
		}
	}
	if w.filled != nil {
		if err := w.filled(ledger); err != nil {
			return nil, err
		}
	}
	inventory, closeInventory, err := openInventory(p.ctx, w, ledger)
	if err != nil {
		return nil, err
	}
	e.close = func() error { return errors.Join(closeInventory(), ledger.Close()) }
	var node func(shard int) string // nil: there is none that could die by itself
	if remote, ok := inventory.(interface{ Node(shard int) string }); ok {
		node = remote.Node
	}
	return e, e.allocate(w, places, who, seamInventory(inventory), node)
}

// allocate puts the allocator on top of its measured and guarded ports.
func (e *engine) allocate(w parts, places postcodes, who identity, inventory allocator.Inventory, node func(shard int) string) error {
	e.registry = prometheus.NewRegistry()
	e.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	metrics, err := observed.New(e.registry)
	if err != nil {
		return err
	}
	guard, err := guarded.New(e.registry)
	if err != nil {
		return err
	}
	ledger := allocator.Ledger(e.ledger)
	if e.tracer != nil {
		inventory, ledger = e.tracer.Inventory(inventory), e.tracer.Ledger(ledger)
	}
	ledger = guard.Ledger(ledger)
	if node != nil {
		inventory = guard.Inventory(inventory, node)
	}
	e.measured = metrics.Ledger(ledger)
	e.Allocator, err = allocator.New(allocator.Config{
		Inventory: metrics.Inventory(inventory), Ledger: e.measured, Secret: who.secret, Keys: who.ring, Postcodes: places, Nearest: nearest{},
		Limits: w.limits, Upkeep: w.upkeep, Log: w.log, Observer: metrics, CreateServices: w.dev,
	})
	clear(who.secret) // what was made of the keys has copies of its own
	who.ring.Wipe()
	if err != nil || w.tool {
		return err
	}
	return e.registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "muster_search_snapshot_age_seconds", Help: "How far searches lag behind the inventory.",
	}, func() float64 { return e.SnapshotAge().Seconds() }))
}

// front makes the HTTP side of an engine.
func (c *serveCommand) front(e *engine, hooks *webhooks.Hooks, rooms *waitingroom.Rooms, public string, log *slog.Logger) (*api.Server, *api.Ops, error) {
	options := c.options(e, log)
	options.Webhooks, options.Rooms = hooks, rooms
	links, err := smartlinks.New(smartlinks.Options{
		BaseURL: cmp.Or(c.PublicURL, "http://"+reachable(public)), Days: c.LinksDays, KeepBytes: max(1, c.LinksMemory<<20),
	}, e)
	if err != nil {
		return nil, nil, usageError{err}
	}
	options.Links = links
	server, err := api.New(options, queued{e, rooms.Door(e)})
	if err != nil {
		return nil, nil, usageError{err}
	}
	return server, api.NewOps(server, e.registry), nil
}

// hooks sends events to those who subscribed, once it runs.
func (c *serveCommand) hooks(e *engine, log *slog.Logger) (*webhooks.Hooks, error) {
	return webhooks.New(webhooks.Options{
		Ledger: e.measured, Source: e, View: api.EventView, Seal: e.WebhookCipher(), AllowPrivate: c.AllowPrivateWebhooks, Log: log,
		Registerer: e.registry,
	})
}

// options are the HTTP side's.
func (c *serveCommand) options(e *engine, log *slog.Logger) api.Options {
	o := c.trust(c.guard(api.Options{
		Dev: c.Dev, AddressHeader: c.AddressHeader, PublicURL: c.PublicURL, Logger: log, Registerer: e.registry, WorklistKeys: e.WorklistKeys(),
		Callers: c.callers(e.VisitorSeals()),
	}))
	if e.tracer != nil { // a nil *Tracer in an interface would not be nil
		o.Tracer = e.tracer
	}
	return o
}

// limits are the allocator's, as far as an operator sets them.
func (c *serveCommand) limits() allocator.Limits {
	limits := allocator.Limits{HoldLength: time.Duration(c.HoldSeconds) * time.Second}
	// A key is remembered at least for as long as an extended hold and its confirm take.
	full := limits.WithDefaults()
	limits.KeyLifetime = max(full.KeyLifetime, 3*(full.HoldLength+full.Grace)+full.ConfirmDeadline)
	return limits
}
