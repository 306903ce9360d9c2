package memoryinventory

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"muster/allocator"
)

// feed remembers what changed lately.
type feed struct {
	first   int64 // sequence number of changes[0]
	changes []change
}

type change struct {
	slot allocator.SlotID
	day  allocator.DayRevision // Revision 0: the change is the slot's
}

func (f *feed) slot(id allocator.SlotID, limit int) { f.add(change{slot: id}, limit) }

func (f *feed) day(d allocator.DayRevision, limit int) { f.add(change{day: d}, limit) }

func (f *feed) add(c change, limit int) {
	if n := len(f.changes); n > 0 && f.changes[n-1] == c {
		// The reader may have seen the last entry already: it must get a new number, so it moves up.
		f.changes[n-1] = change{}
	}
	f.changes = append(f.changes, c)
	if len(f.changes) >= 2*limit {
		f.first += int64(len(f.changes) - limit)
		f.changes = slices.Clone(f.changes[len(f.changes)-limit:])
	}
}

// Usage implements allocator.Inventory. It answers all at once.
func (inv *Inventory) Usage(_ context.Context, number int, epoch int64, _ string) ([]allocator.SlotUsage, string, error) {
	s, err := inv.enter(number, epoch)
	if err != nil {
		return nil, "", err
	}
	defer s.mu.Unlock()
	var usage []allocator.SlotUsage
	for _, id := range slices.Sorted(maps.Keys(s.sites)) {
		st := s.sites[id]
		for _, slotID := range st.slotsInUse() {
			usage = append(usage, allocator.SlotUsage{Slot: slotID, Counts: maps.Clone(st.slots[slotID].counts)})
		}
	}
	return usage, "", nil
}

// Changes implements allocator.Inventory.
func (inv *Inventory) Changes(_ context.Context, number int, epoch int64, cursor string, limit int) (allocator.ChangeSet, error) {
	s, err := inv.enter(number, epoch)
	if err != nil {
		return allocator.ChangeSet{}, err
	}
	defer s.mu.Unlock()
	end := s.feed.first + int64(len(s.feed.changes))
	if cursor == "" {
		return allocator.ChangeSet{Next: position(s, end)}, nil
	}
	var identity string
	var from int64
	if _, err := fmt.Sscanf(cursor, "%s %d", &identity, &from); err != nil || identity != s.identity || from < s.feed.first || from > end {
		return allocator.ChangeSet{Reset: true, Next: position(s, end)}, nil
	}
	to := min(end, from+int64(limit))
	set := allocator.ChangeSet{Next: position(s, to), More: to < end}
	seen := make(map[allocator.SlotID]bool)
	for _, c := range s.feed.changes[from-s.feed.first : to-s.feed.first] {
		switch {
		case c.day.Revision != 0:
			set.Days = append(set.Days, c.day)
		case c.slot != allocator.SlotID{} && !seen[c.slot]:
			seen[c.slot] = true
			usage := allocator.SlotUsage{Slot: c.slot, Counts: allocator.Counts{}}
			if st := s.sites[c.slot.Site]; st != nil && st.slots[c.slot] != nil {
				usage.Counts = maps.Clone(st.slots[c.slot].counts)
			}
			set.Slots = append(set.Slots, usage)
		}
	}
	return set, nil
}

func position(s *shard, at int64) string { return fmt.Sprintf("%s %d", s.identity, at) }
