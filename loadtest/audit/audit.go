package audit

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"muster/allocator"
	"muster/loadtest/result"
)

// Options say what an audit may look at.
type Options struct {
	API   *API  // how citizens and, with a token, staff see the server; nil: not at all
	Books Books // who has which place: the API with a staff token, or a ledger; nil: single bookings by their tokens only
	// Exclusive says that nobody but this generator booked on these days: then nothing may be there that nobody was told of,
	// and every place is somebody's or free.
	Exclusive bool
	// Most is how many bookings are looked up by their tokens where there are no books; the rest is not checked.
	Most int
	Seed uint64
	// Settle is how long search may take to show what is free; default 15 s.
	Settle time.Duration
}

// atOnce is how many days or bookings are read at a time.
const atOnce = 8

type siteDate struct{ site, date string }

// auditor is one audit.
type auditor struct {
	Options
	e     *Evidence
	mu    sync.Mutex
	a     *result.Audit
	days  map[siteDate]Day
	owned map[string]string // person of a live row → its reference
}

// Run audits. It gives back the holds that citizens left, so that every place is either booked or free; without books it looks
// up single bookings. An error means that it could not look, not that it found something.
func Run(ctx context.Context, e *Evidence, o Options) (*result.Audit, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if o.Settle == 0 {
		o.Settle = 15 * time.Second
	}
	x := &auditor{Options: o, e: e, a: new(result.Audit), days: make(map[siteDate]Day), owned: make(map[string]string)}
	x.a.Acknowledged = int64(len(e.bookings))
	for _, reference := range e.twice {
		x.a.Add(&x.a.Twice, "reference "+reference+" was given to two people")
	}
	if o.API != nil {
		x.releaseHolds(ctx)
	}
	var err error
	if o.Books == nil {
		err = x.byTokens(ctx)
	} else {
		err = x.byBooks(ctx)
	}
	if err == nil {
		err = x.leaks(ctx)
	}
	if err == nil {
		err = ctx.Err()
	}
	x.a.Unchecked = slices.Compact(x.a.Unchecked)
	return x.a, err
}

// each works on items, some at a time, until one fails.
func each[T any](ctx context.Context, items []T, work func(context.Context, T) error) error {
	working, ctx := errgroup.WithContext(ctx)
	working.SetLimit(atOnce)
	for _, item := range items {
		working.Go(func() error { return work(ctx, item) })
	}
	return working.Wait()
}

// releaseHolds gives back what citizens left. A hold of which that fails may be there still, or not.
func (x *auditor) releaseHolds(ctx context.Context) {
	holds := slices.Collect(maps.Values(x.e.holds))
	_ = each(ctx, holds, func(ctx context.Context, h Hold) error {
		if err := x.API.release(ctx, h.Token); err != nil {
			x.mu.Lock()
			defer x.mu.Unlock()
			for _, slot := range h.Slots {
				x.e.unknown[slot]++
			}
		}
		return nil
	})
}

// byTokens looks bookings up one by one, as their owners could.
func (x *auditor) byTokens(ctx context.Context) error {
	if x.API == nil {
		return fmt.Errorf("an audit needs a server or a ledger to look at")
	}
	x.a.Sources = append(x.a.Sources, "single bookings by their manage tokens, at "+x.API.Base)
	x.a.Unchecked = append(x.a.Unchecked, "capacity, places and other people's bookings: without a staff token or a ledger nobody may see them")
	references := slices.Sorted(maps.Keys(x.e.bookings))
	if x.Most > 0 && len(references) > x.Most {
		dice := rand.New(rand.NewPCG(x.Seed, 1))
		dice.Shuffle(len(references), func(a, b int) { references[a], references[b] = references[b], references[a] })
		x.a.Unchecked = append(x.a.Unchecked, fmt.Sprintf("%d of %d bookings: single ones are looked up one by one, and %d at most",
			len(references)-x.Most, len(references), x.Most))
		references = references[:x.Most]
	}
	return each(ctx, references, func(ctx context.Context, reference string) error {
		b := x.e.bookings[reference]
		row, err := x.API.booking(ctx, b)
		found := err == nil
		if status, ok := err.(errStatus); ok && status.status == 404 {
			err = nil
		}
		if err == nil {
			x.mu.Lock()
			defer x.mu.Unlock()
			x.compare(b, row, found)
		}
		return err
	})
}

// compare judges one acknowledged booking; the caller has the lock.
func (x *auditor) compare(b *Booking, row Row, found bool) {
	x.a.Checked++
	switch {
	case !found && b.State != Ended:
		x.a.Add(&x.a.Lost, fmt.Sprintf("booking %s at %s was acknowledged, and is not there", b.Reference, show(b.Slot)))
	case !found: // ended, and forgotten
	case row.Slot != b.Slot || row.Service != b.Service || row.NHSNumber != "" && row.NHSNumber != b.NHSNumber:
		x.a.Add(&x.a.Altered, fmt.Sprintf("booking %s was acknowledged for %s %s, and is %s %s or another person's", b.Reference, b.Service, show(b.Slot),
			row.Service, show(row.Slot)))
	case b.State == Live && !row.Live:
		x.a.Add(&x.a.Lost, fmt.Sprintf("booking %s at %s was acknowledged, and has ended without its owner", b.Reference, show(b.Slot)))
	case b.State == Ended && row.Live:
		x.a.Add(&x.a.NotEnded, fmt.Sprintf("booking %s at %s was cancelled or moved, and goes on", b.Reference, show(b.Slot)))
	}
}

func show(s Slot) string {
	return fmt.Sprintf("%s %s +%d min", s.Site, time.Unix(s.Start*60, 0).UTC().Format("2006-01-02T15:04Z"), s.Length)
}

// byBooks reads every day on which anything was acknowledged or left open, and compares both ways.
func (x *auditor) byBooks(ctx context.Context) error {
	x.a.Sources = append(x.a.Sources, x.Books.Name())
	dates, err := x.dates(ctx)
	if err != nil {
		return err
	}
	err = each(ctx, dates, func(ctx context.Context, at siteDate) error {
		day, err := x.Books.Day(ctx, at.site, at.date)
		if err != nil {
			return fmt.Errorf("site %s on %s: %w", at.site, at.date, err)
		}
		x.mu.Lock()
		defer x.mu.Unlock()
		x.days[at] = day
		return nil
	})
	if err != nil {
		return err
	}
	x.a.Days = int64(len(dates))
	rows := make(map[string]Row)
	for _, at := range dates {
		for _, row := range x.days[at].Rows {
			if other, twice := rows[row.Reference]; twice {
				x.a.Add(&x.a.Twice, fmt.Sprintf("reference %s is at %s and at %s", row.Reference, show(other.Slot), show(row.Slot)))
			}
			rows[row.Reference] = row
		}
		x.judgeDay(x.days[at])
	}
	for _, reference := range slices.Sorted(maps.Keys(x.e.bookings)) {
		row, found := rows[reference]
		x.compare(x.e.bookings[reference], row, found)
	}
	return nil
}

// dates are those of all slots in the evidence.
func (x *auditor) dates(ctx context.Context) ([]siteDate, error) {
	known := make(map[siteDate]bool)
	add := func(slot Slot) error {
		zone, err := x.Books.Zone(ctx, slot.Site)
		if err == nil {
			known[siteDate{slot.Site, slot.Date(zone)}] = true
		}
		return err
	}
	for _, b := range x.e.bookings {
		if err := add(b.Slot); err != nil {
			return nil, err
		}
	}
	for slot := range x.e.unknown {
		if err := add(slot); err != nil {
			return nil, err
		}
	}
	for _, h := range x.e.holds {
		for _, slot := range h.Slots {
			if err := add(slot); err != nil {
				return nil, err
			}
		}
	}
	dates := slices.Collect(maps.Keys(known))
	slices.SortFunc(dates, func(a, b siteDate) int {
		if a.site != b.site {
			return compareText(a.site, b.site)
		}
		return compareText(a.date, b.date)
	})
	return dates, nil
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// judgeDay looks for what may not be, whoever was told what: too many at a slot, two at a place, two of a person, strangers.
func (x *auditor) judgeDay(day Day) {
	type placed struct {
		slot  Slot
		place int
	}
	places := make(map[placed]string)
	taken := make(map[Slot]map[string]int) // live rows by service
	strangers := make(map[Slot][]string)
	for _, row := range day.Rows {
		if !row.Live {
			continue
		}
		if taken[row.Slot] == nil {
			taken[row.Slot] = make(map[string]int)
		}
		taken[row.Slot][row.Service]++
		if at := (placed{row.Slot, row.Place}); row.Place >= 0 {
			if other, twice := places[at]; twice {
				x.a.Add(&x.a.Twice, fmt.Sprintf("place %d of %s is %s's and %s's", row.Place, show(row.Slot), other, row.Reference))
			}
			places[at] = row.Reference
		}
		if row.Person != "" {
			if other, twice := x.owned[row.Person]; twice && other != row.Reference {
				x.a.Add(&x.a.Twice, fmt.Sprintf("bookings %s and %s are the same person's", other, row.Reference))
			}
			x.owned[row.Person] = row.Reference
		}
		if x.e.bookings[row.Reference] == nil {
			strangers[row.Slot] = append(strangers[row.Slot], row.Reference)
		}
	}
	x.judgeCapacity(day, taken)
	if x.Exclusive {
		for slot, references := range strangers {
			for _, reference := range references[min(len(references), x.e.unknown[slot]):] {
				x.a.Add(&x.a.Uncalled, fmt.Sprintf("booking %s at %s is there, and nobody was told of it", reference, show(slot)))
			}
		}
	}
}

// judgeCapacity compares each slot with what is published: all services together, and each by itself, may have no more than the
// sessions that offer them.
func (x *auditor) judgeCapacity(day Day, taken map[Slot]map[string]int) {
	offered := make(map[Slot][]allocator.Pool)
	for _, s := range day.Slots {
		offered[slotOf(s.ID)] = s.Pools
	}
	for slot, byService := range taken {
		all, capacity := 0, 0
		worst := 0
		for service, n := range byService {
			all += n
			places := 0
			for _, p := range offered[slot] {
				if p.Offers(allocator.ServiceCode(service)) {
					places += p.Capacity
				}
			}
			worst = max(worst, n-places)
		}
		for _, p := range offered[slot] {
			capacity += p.Capacity
		}
		if worst = max(worst, all-capacity); worst > 0 {
			x.a.Oversold += int64(worst - 1)
			x.a.Add(&x.a.Oversold, fmt.Sprintf("%s has %d bookings (%v), and places for %d fewer", show(slot), all, byService, worst))
		}
	}
}

func slotOf(id allocator.SlotID) Slot { return Slot{string(id.Site), int64(id.Start), int(id.Length)} }

// Sum makes one verdict of two looks at the same evidence in different places: each count is the larger one, since both look for
// the same violations. The first is changed.
func Sum(a, b *result.Audit) *result.Audit {
	for _, pair := range [][2]*int64{
		{&a.Acknowledged, &b.Acknowledged}, {&a.Checked, &b.Checked}, {&a.Days, &b.Days}, {&a.Lost, &b.Lost}, {&a.Altered, &b.Altered},
		{&a.NotEnded, &b.NotEnded}, {&a.Oversold, &b.Oversold}, {&a.Twice, &b.Twice}, {&a.Uncalled, &b.Uncalled}, {&a.Leaked, &b.Leaked},
		{&a.Engine, &b.Engine},
	} {
		*pair[0] = max(*pair[0], *pair[1])
	}
	a.Sources = append(a.Sources, b.Sources...)
	a.Examples = append(a.Examples, b.Examples...)
	slices.Sort(a.Examples)
	a.Examples = slices.Compact(a.Examples)
	return a
}
