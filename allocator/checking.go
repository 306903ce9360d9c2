package allocator

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// Where something happened, the inventory is compared with the ledger soon after, by slot: a site can have ten thousand
// bookings, and in a rush something happens at every site all the time, so that to read sites would cost more than to book.
//
// A look reads the inventory first and the ledger then, at two moments, and people go on booking in between. So a
// contradiction is a doubt at first. One that is found again, the same, a second later, is none of those that pass, and the
// whole site is reconciled (reconcile.go), which alone changes anything. So a look need not be right about why; it must only
// never pass over what stays wrong.
//
// The work is bounded: one look at a time for each shard, then a rest in proportion to what it took. In a rush looks fall
// behind the changes; a slot waits once, however often it changes.

const (
	checkAfter  = time.Second // from a change to a look at it: most flows have settled by then
	checkRest   = 6           // rest for each unit of time that a look took
	checkRanges = 256         // in one look
	checkPlaces = 1024        // in one range, and about so many in one look
	maxChecks   = 1 << 20     // may wait in one shard; what does not fit is found when its site is swept
	goneFor     = time.Minute // how long a claim that ended is remembered
)

// slotChecks are the parts of one shard's slots that wait for a look. The zero value is ready. Safe for concurrent use.
type slotChecks struct {
	mu      sync.Mutex
	queue   []slotCheck // first in, first out
	waiting map[PlaceRange]bool
	doubts  map[PlaceRange][]doubt // of the last look, where there were any
	gone    map[HoldID]time.Time   // grants of which a claim ended lately
	forgot  time.Time              // when gone was last cleared of older ones
}

type slotCheck struct {
	PlaceRange
	places int // about
	due    time.Time
}

// doubt is a place as inventory and ledger had it in one look. Zero: free.
type doubt struct {
	place     int32
	inventory PlaceState
	ledger    PlaceState
}

// add puts a slot of about so many claims into the queue. It returns false where there is no room.
func (c *slotChecks) add(slot SlotID, claims int, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := int32(MaxSlotCapacity)
	if claims <= checkPlaces { // the inventory knows when it has seen all of them
		return c.put(slotCheck{PlaceRange{slot, 0, last}, claims, now.Add(checkAfter)})
	}
	// Places are given from the lowest on, so few lie above their number.
	for first := int32(0); int(first) < claims+checkPlaces; first += checkPlaces {
		if !c.put(slotCheck{PlaceRange{slot, first, first + checkPlaces - 1}, checkPlaces, now.Add(checkAfter)}) {
			return false
		}
	}
	return true
}

func (c *slotChecks) put(check slotCheck) bool {
	if c.waiting[check.PlaceRange] {
		return true
	}
	if len(c.queue) >= maxChecks {
		return false
	}
	if c.waiting == nil {
		c.waiting = make(map[PlaceRange]bool)
	}
	c.waiting[check.PlaceRange] = true
	c.queue = append(c.queue, check)
	return true
}

// ended notes that a claim of a grant ended; false where that was known.
func (c *slotChecks) ended(owner HoldID, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.gone[owner]; known {
		return false
	}
	if c.gone == nil {
		c.gone = make(map[HoldID]time.Time)
	}
	c.gone[owner] = now
	return true
}

// take removes what is due and fits into one look.
func (c *slotChecks) take(now time.Time) (ranges []PlaceRange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	places, n := 0, 0
	for ; n < min(len(c.queue), checkRanges) && !c.queue[n].due.After(now); n++ {
		if places += c.queue[n].places; n > 0 && places > checkPlaces {
			break
		}
		ranges = append(ranges, c.queue[n].PlaceRange)
		delete(c.waiting, c.queue[n].PlaceRange)
	}
	if c.queue = c.queue[n:]; len(c.queue) == 0 {
		c.queue = nil
	}
	if now.Sub(c.forgot) > goneFor {
		c.forgot = now
		maps.DeleteFunc(c.gone, func(_ HoldID, at time.Time) bool { return now.Sub(at) > goneFor })
	}
	return ranges
}

// again puts ranges back: they were not looked at.
func (c *slotChecks) again(ranges []PlaceRange, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range ranges {
		c.put(slotCheck{r, checkPlaces, now.Add(checkAfter)})
	}
}

// judge takes what a look found in a range. It returns true where one of the doubts was there in the look before too; else
// ranges with doubts are looked at again.
func (c *slotChecks) judge(r PlaceRange, found []doubt, now time.Time) (certain bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.doubts[r]
	delete(c.doubts, r)
	if len(found) == 0 {
		return false
	}
	if slices.ContainsFunc(found, func(d doubt) bool { return slices.Contains(before, d) }) {
		return true
	}
	if c.doubts == nil {
		c.doubts = make(map[PlaceRange][]doubt)
	}
	c.doubts[r] = found
	c.put(slotCheck{r, len(found), now.Add(checkAfter)})
	return false
}

// checkSlot lets a slot be compared with the ledger.
func (a *Allocator) checkSlot(slot SlotID, claims int) {
	if !a.checks[a.Shard(slot.Site)].add(slot, claims, a.clock.Now()) {
		a.observer.Count("check_dropped")
	}
}

// checkEnded lets the slot of a claim that ended be compared with the ledger.
func (a *Allocator) checkEnded(e EndedClaim) {
	if entry := a.directory.site(e.Slot.Site); entry != nil && a.checks[a.Shard(e.Slot.Site)].ended(e.Owner, a.clock.Now()) {
		a.checkSlot(e.Slot, entry.claims(e.Slot))
	}
}

// check looks at a shard's slots, for as long as the server runs.
func (a *Allocator) check(ctx context.Context, shard int) {
	for a.pace.wait(ctx, checkAfter/2) == nil {
		for {
			began := a.clock.Now()
			ranges := a.checks[shard].take(began)
			if len(ranges) == 0 {
				break
			}
			if err := a.checkRanges(ctx, shard, ranges); err != nil {
				a.checks[shard].again(ranges, a.clock.Now())
				if ctx.Err() == nil {
					a.log.Info("slots not compared with the ledger", "shard", shard, "error", err)
				}
				break
			}
			if a.pace.wait(ctx, checkRest*a.clock.Now().Sub(began)) != nil {
				return
			}
		}
	}
}

// checkRanges is one look: the inventory first, then the ledger.
func (a *Allocator) checkRanges(ctx context.Context, shard int, ranges []PlaceRange) error {
	ctx, cancel := context.WithTimeout(ctx, a.limits.ConfirmDeadline)
	defer cancel()
	var notBuilt []SiteID
	places, err := onShard(ctx, a.epochs, shard, func(epoch int64) (places []PlaceState, err error) {
		places, notBuilt, err = a.inventory.ReadPlaces(ctx, shard, epoch, ranges)
		return places, err
	})
	if err != nil {
		return err
	}
	rows, err := a.ledger.LivePlaces(ctx, ranges)
	if err != nil {
		return err
	}
	a.ledgerAnswered()
	for _, site := range notBuilt {
		a.dirty.add(site)
	}
	found := a.checks[shard].doubtsOf(places, rows)
	now := a.clock.Now()
	for _, r := range ranges {
		var within []doubt
		if !slices.Contains(notBuilt, r.Slot.Site) {
			for _, d := range found[r.Slot] {
				if d.place >= r.First && d.place <= r.Last {
					within = append(within, d)
				}
			}
		}
		if a.checks[shard].judge(r, within, now) {
			a.dirty.add(r.Slot.Site)
		}
	}
	return nil
}

// doubtsOf finds what two readings of the same places do not agree on. A hold or pin without a row is fine, unless a claim of
// that grant ended lately; and so is a booking with its row.
func (c *slotChecks) doubtsOf(places, rows []PlaceState) map[SlotID][]doubt {
	c.mu.Lock()
	defer c.mu.Unlock()
	byPlace := make(map[placeKey]*PlaceState, len(rows))
	for i := range rows {
		byPlace[placeKey{rows[i].Slot, rows[i].Place}] = &rows[i]
	}
	found := make(map[SlotID][]doubt)
	for i := range places {
		p := &places[i]
		key := placeKey{p.Slot, p.Place}
		row := byPlace[key]
		delete(byPlace, key)
		d := doubt{place: p.Place, inventory: *p}
		if row != nil {
			d.ledger = *row
		}
		_, ended := c.gone[p.Owner]
		if row == nil && (p.Booked || ended) || row != nil && *row != *p {
			found[p.Slot] = append(found[p.Slot], d)
		}
	}
	for _, row := range byPlace {
		found[row.Slot] = append(found[row.Slot], doubt{place: row.Place, ledger: *row})
	}
	return found
}
