package allocator

import (
	"context"
	"fmt"
	"slices"
	"time"
)

func (e *siteEntry) details() Site { return e.sheet.Load().Site }

func (e *siteEntry) id() SiteID { return e.key }

// zone is the site's time zone.
func (e *siteEntry) zone() *time.Location { return e.tz.Load() }

func (e *siteEntry) name() string { return e.sheet.Load().Site.Name }

func (e *siteEntry) offline() bool { return e.sheet.Load().Site.Offline }

// isTrusted says whether the site's use was read from a built inventory since its shard's memory was last in doubt.
func (e *siteEntry) isTrusted() bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.trusted
}

func (e *siteEntry) setTrusted(trusted bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.trusted = trusted
	e.changed()
}

// seenGeneration is the generation at which the inventory was last seen.
func (e *siteEntry) seenGeneration() int64 {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.generation
}

// usageRead is a read of the site's use from the inventory that is under way.
type usageRead struct {
	newer []slotKey // of which changes were told meanwhile; a change is told once, so what was read before must not undo it
}

// beginRead comes before a site is read from the inventory, endRead after.
func (e *siteEntry) beginRead() *usageRead {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := &usageRead{}
	e.reads = append(e.reads, r)
	return r
}

func (e *siteEntry) endRead(r *usageRead) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.reads = slices.DeleteFunc(e.reads, func(other *usageRead) bool { return other == r })
}

// claims is how many a slot has, as far as it is known.
func (e *siteEntry) claims(slot SlotID) int {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.usage[slotKey{slot.Start, slot.Length}].Total()
}

// replaceUsage takes over all that a built inventory knew of the site when it was read.
func (e *siteEntry) replaceUsage(view *SiteInventory, r *usageRead) {
	usage := make(map[slotKey]Counts)
	for _, p := range view.Places {
		key := slotKey{p.Slot.Start, p.Slot.Length}
		if usage[key] == nil {
			usage[key] = Counts{}
		}
		usage[key][p.Service]++
	}
	e.replaceCounts(usage, view.Generation, r)
}

// replaceCounts takes over how much of every slot of a built site was used when that was read; a nil map is of no use at all.
func (e *siteEntry) replaceCounts(usage map[slotKey]Counts, generation int64, r *usageRead) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if usage == nil {
		usage = make(map[slotKey]Counts)
	}
	for _, key := range r.newer {
		delete(usage, key)
		if counts, ok := e.usage[key]; ok {
			usage[key] = counts
		}
	}
	e.usage, e.trusted, e.generation = usage, true, generation
	for _, day := range e.days {
		day.free = nil
	}
	e.changed()
}

// question is something unknown that the ledger is asked about.
type question struct {
	done  chan struct{}
	asked time.Time
	err   error
}

// ask lets the ledger be asked about something unknown: once at a time, whoever else wants to know waits for the answer,
// and not again within a second, so that nonsense costs the ledger nothing.
func (d *directory) ask(ctx context.Context, what string, now time.Time, ask func() error) error {
	const most = 10_000
	d.mu.Lock()
	q := d.asked[what]
	if q == nil || now.Sub(q.asked) >= time.Second {
		if len(d.asked) >= most {
			clear(d.asked)
		}
		q = &question{done: make(chan struct{}), asked: now}
		d.asked[what] = q
		d.mu.Unlock()
		q.err = ask()
		close(q.done)
		return q.err
	}
	d.mu.Unlock()
	select {
	case <-q.done:
		return q.err
	case <-ctx.Done():
		return fmt.Errorf("asking the ledger: %w (%w)", ErrUnavailable, ctx.Err())
	}
}

// setFed notes up to when a shard's changes are known.
func (d *directory) setFed(shard int, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fed[shard] = at
	oldest := slices.MinFunc(d.fed, time.Time.Compare)
	if oldest.Before(d.began) {
		oldest = d.began
	}
	d.oldest.Store(&oldest)
}

// newest is when any shard's changes were last read.
func (d *directory) newest() (at time.Time) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, fed := range d.fed {
		if fed.After(at) {
			at = fed
		}
	}
	return at
}

// asOf is the instant up to which the changes of every shard are known. All that a server knows it read after its start, so it
// is never earlier than that.
func (d *directory) asOf() time.Time { return *d.oldest.Load() }
