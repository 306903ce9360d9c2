// Package memoryledger is a ledger in memory: the obviously correct model that other ledgers are compared with, and the
// ledger of the simulator. Every call is one step under one lock; every decision is one of the allocator's Decide
// functions; nothing depends on the order of a map.
package memoryledger

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"muster/allocator"
)

// Ledger is an allocator.Ledger that forgets everything with the process. Callers must not modify what it returns.
type Ledger struct {
	now func() time.Time

	mu       sync.Mutex
	last     time.Time // of the latest transaction
	settings map[string][]byte
	epochs   map[int][]allocator.ShardEpoch // history of each shard, the current one last
	opened   map[int]time.Time              // when the current one was
	sites    map[allocator.SiteID]allocator.Site
	zones    map[string]*time.Location
	services map[allocator.ServiceCode]allocator.Service
	days     map[allocator.DayID]allocator.Day
	plans    map[allocator.SiteID]storedPlan
	changed  map[allocator.DayID]time.Time // when a day came to its revision
	rows     map[allocator.BookingKey]*row
	bySite   map[allocator.SiteID][]*row // in order of their insertion
	persons  map[allocator.PersonDose]allocator.BookingKey
	events   []allocator.Event
	webhooks map[string]allocator.WebhookRow
	trail    []allocator.TrailEntry
}

// row is a booking and when it came to its present status.
type row struct {
	allocator.Booking
	since time.Time
}

var _ allocator.Ledger = (*Ledger)(nil)

// New makes an empty ledger that tells time by now.
func New(now func() time.Time) *Ledger {
	return &Ledger{
		now:      now,
		settings: make(map[string][]byte),
		epochs:   make(map[int][]allocator.ShardEpoch),
		opened:   make(map[int]time.Time),
		sites:    make(map[allocator.SiteID]allocator.Site),
		zones:    make(map[string]*time.Location),
		services: make(map[allocator.ServiceCode]allocator.Service),
		days:     make(map[allocator.DayID]allocator.Day),
		plans:    make(map[allocator.SiteID]storedPlan),
		changed:  make(map[allocator.DayID]time.Time),
		rows:     make(map[allocator.BookingKey]*row),
		bySite:   make(map[allocator.SiteID][]*row),
		persons:  make(map[allocator.PersonDose]allocator.BookingKey),
		webhooks: make(map[string]allocator.WebhookRow),
	}
}

// enter takes the lock, unless the caller has given up. The caller must leave when err is nil.
func (l *Ledger) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", allocator.ErrUnavailable, err)
	}
	l.mu.Lock()
	return nil
}

func (l *Ledger) leave() { l.mu.Unlock() }

// clock is the injected clock in microseconds, which never goes back.
func (l *Ledger) clock() time.Time {
	if t := l.now().UTC().Truncate(time.Microsecond); t.After(l.last) {
		return t
	}
	return l.last
}

// instant is the time of a new transaction: later than that of every earlier one.
func (l *Ledger) instant() time.Time {
	t := l.clock()
	if t.Equal(l.last) {
		t = t.Add(time.Microsecond)
	}
	l.last = t
	return t
}

// Check always succeeds.
func (l *Ledger) Check(ctx context.Context) error {
	if err := l.enter(ctx); err != nil {
		return err
	}
	l.leave()
	return nil
}

// Close does nothing: a closed ledger goes on working, so that a simulated server can open it again.
func (l *Ledger) Close() error { return nil }

// Now is the injected clock, which is not let go back.
func (l *Ledger) Now(ctx context.Context) (time.Time, error) {
	if err := l.enter(ctx); err != nil {
		return time.Time{}, err
	}
	defer l.leave()
	return l.clock(), nil
}

// Agree keeps the first candidate of a name.
func (l *Ledger) Agree(ctx context.Context, name string, candidate []byte) ([]byte, error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.leave()
	if l.settings[name] == nil {
		l.settings[name] = slices.Clone(candidate)
	}
	return slices.Clone(l.settings[name]), nil
}

// Amend compares and keeps.
func (l *Ledger) Amend(ctx context.Context, name string, was, now []byte) ([]byte, error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.leave()
	if kept := l.settings[name]; kept != nil && bytes.Equal(kept, was) {
		l.settings[name] = slices.Clone(now)
	}
	return slices.Clone(l.settings[name]), nil
}

// Epochs lists the current epochs.
func (l *Ledger) Epochs(ctx context.Context) (map[int]allocator.ShardEpoch, error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.leave()
	current := make(map[int]allocator.ShardEpoch, len(l.epochs))
	for shard, history := range l.epochs {
		current[shard] = history[len(history)-1]
	}
	return current, nil
}

// epoch is a shard's current one; zero where it has none.
func (l *Ledger) epoch(shard int) allocator.ShardEpoch {
	history := l.epochs[shard]
	if len(history) == 0 {
		return allocator.ShardEpoch{}
	}
	return history[len(history)-1]
}

// OpenEpoch compares and sets.
func (l *Ledger) OpenEpoch(ctx context.Context, shard int, expected int64, identity string) (allocator.ShardEpoch, bool, error) {
	if err := l.enter(ctx); err != nil {
		return allocator.ShardEpoch{}, false, err
	}
	defer l.leave()
	present := l.epoch(shard)
	superseded := slices.ContainsFunc(l.epochs[shard], func(e allocator.ShardEpoch) bool { return e.Identity == identity })
	if superseded && present.Identity != identity && l.clock().Sub(l.opened[shard]) < allocator.Quarantine {
		return present, false, fmt.Errorf("shard %d, incarnation %q: %w", shard, identity, allocator.ErrIdentitySuperseded)
	}
	if present.Epoch != expected {
		return present, false, nil
	}
	next := allocator.ShardEpoch{Epoch: expected + 1, Identity: identity}
	l.epochs[shard] = append(l.epochs[shard], next)
	l.opened[shard] = l.clock()
	return next, true, nil
}

// PutSite keeps the generation and counts versions.
func (l *Ledger) PutSite(ctx context.Context, site allocator.Site, actor string) (bool, error) {
	return l.putSite(ctx, site, actor, false)
}

// PutOwnSite refuses another publisher's site.
func (l *Ledger) PutOwnSite(ctx context.Context, site allocator.Site, actor string) (bool, error) {
	return l.putSite(ctx, site, actor, true)
}

func (l *Ledger) putSite(ctx context.Context, site allocator.Site, actor string, own bool) (bool, error) {
	if err := l.enter(ctx); err != nil {
		return false, err
	}
	defer l.leave()
	zone, err := time.LoadLocation(site.TimeZone)
	if err != nil {
		return false, fmt.Errorf("site %s: %w", site.ID, err)
	}
	l.zones[site.TimeZone] = zone
	old, existed := l.sites[site.ID]
	var stored *allocator.Site
	if existed {
		stored = &old
	}
	if err := allocator.DecideSite(stored, &site, own); err != nil {
		return false, err
	}
	site.Generation, site.Version = old.Generation, old.Version
	site.AddressLines, site.Accessibilities = slices.Clone(site.AddressLines), slices.Clone(site.Accessibilities)
	if !existed || !sameSite(old, site) {
		site.Version++
		l.sites[site.ID] = site
		l.emit(allocator.SiteEvent(site.ID, site.Version, actor, l.instant()))
	}
	return !existed, nil
}

func sameSite(a, b allocator.Site) bool {
	same := slices.Equal(a.AddressLines, b.AddressLines) && slices.Equal(a.Accessibilities, b.Accessibilities)
	a.AddressLines, a.Accessibilities, b.AddressLines, b.Accessibilities = nil, nil, nil, nil
	return same && fmt.Sprintf("%#v", a) == fmt.Sprintf("%#v", b)
}

// PutService counts versions.
func (l *Ledger) PutService(ctx context.Context, service allocator.Service, actor string) (bool, error) {
	if err := l.enter(ctx); err != nil {
		return false, err
	}
	defer l.leave()
	old, existed := l.services[service.Code]
	if service.Version = old.Version; !existed || service != old {
		service.Version++
		l.services[service.Code] = service
		l.emit(allocator.ServiceEvent(service.Code, service.Version, actor, l.instant()))
	}
	return !existed, nil
}

// Services lists by code.
func (l *Ledger) Services(ctx context.Context) ([]allocator.Service, error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.leave()
	return slices.SortedFunc(maps.Values(l.services), func(a, b allocator.Service) int {
		return strings.Compare(string(a.Code), string(b.Code))
	}), nil
}

// Sites pages by id.
func (l *Ledger) Sites(ctx context.Context, after allocator.SiteID, limit int) ([]allocator.Site, error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.leave()
	var page []allocator.Site
	for _, id := range slices.Sorted(maps.Keys(l.sites)) {
		if id > after && len(page) < limit {
			page = append(page, l.sites[id])
		}
	}
	return page, nil
}

// Site reads one.
func (l *Ledger) Site(ctx context.Context, id allocator.SiteID) (allocator.Site, bool, error) {
	if err := l.enter(ctx); err != nil {
		return allocator.Site{}, false, err
	}
	defer l.leave()
	site, ok := l.sites[id]
	return site, ok, nil
}

// Generations lists those above 0.
func (l *Ledger) Generations(ctx context.Context) (map[allocator.SiteID]int64, error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.leave()
	raised := make(map[allocator.SiteID]int64)
	for id, site := range l.sites {
		if site.Generation > 0 {
			raised[id] = site.Generation
		}
	}
	return raised, nil
}
