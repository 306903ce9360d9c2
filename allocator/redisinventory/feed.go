package redisinventory

import (
	"context"
	"fmt"
	"strings"

	"muster/allocator"
)

// Usage implements allocator.Inventory.
func (inv *Inventory) Usage(ctx context.Context, shard int, epoch int64, cursor string) ([]allocator.SlotUsage, string, error) {
	if cursor == "" {
		cursor = "0"
	}
	reply, err := inv.run(ctx, shard, epoch, methodUsage, cursor, inv.options.Scan)
	if err != nil {
		return nil, "", err
	}
	list, ok := reply.([]any)
	if !ok || len(list) != 2 {
		return nil, "", failure(shard, errReply)
	}
	next, _ := list[0].(string)
	pairs, err := texts(list[1])
	if err != nil || len(pairs)%2 != 0 || next == "" {
		return nil, "", failure(shard, errReply)
	}
	if next == "0" {
		next = ""
	}
	var slots []allocator.SlotUsage
	for i := 0; i < len(pairs); i += 2 {
		slot, ok := slotFrom(pairs[i])
		r := reader{text: pairs[i+1]}
		counts := r.counts()
		if !ok || r.short {
			return nil, "", failure(shard, errReply)
		}
		slots = append(slots, allocator.SlotUsage{Slot: slot, Counts: counts})
	}
	return slots, next, nil
}

// Changes implements allocator.Inventory. A cursor is an epoch and the id of a stream entry that was read. As long as that
// entry is there, nothing after it was trimmed.
func (inv *Inventory) Changes(ctx context.Context, shard int, epoch int64, cursor string, limit int) (allocator.ChangeSet, error) {
	id := ""
	reset := false
	if cursor != "" {
		of, entry, _ := strings.Cut(cursor, " ")
		if of == fmt.Sprint(epoch) && validEntry(entry) {
			id = entry
		} else {
			reset = true
		}
	}
	reply, err := inv.run(ctx, shard, epoch, methodChanges, id, limit)
	if err != nil {
		return allocator.ChangeSet{}, err
	}
	list, ok := reply.([]any)
	if !ok || len(list) < 3 {
		return allocator.ChangeSet{}, failure(shard, errReply)
	}
	lost, _ := list[0].(int64)
	last, _ := list[1].(string)
	more, _ := list[2].(int64)
	entries, err := texts(list[3:])
	if err != nil {
		return allocator.ChangeSet{}, failure(shard, err)
	}
	set := allocator.ChangeSet{Next: fmt.Sprintf("%d %s", epoch, last), Reset: reset || lost == 1, More: more == 1}
	seen := make(map[string]int)
	for _, e := range entries {
		if err := readNews(e, &set, seen); err != nil {
			return allocator.ChangeSet{}, failure(shard, err)
		}
	}
	return set, nil
}

// validEntry keeps anything but a stream id away from the script.
func validEntry(id string) bool {
	return id != "" && strings.Trim(id, "0123456789-") == ""
}

// readNews reads {'S' #key1 key counts | 'D' #site1 site date3 revision6}*. A slot is listed once, as it was last.
func readNews(text string, set *allocator.ChangeSet, seen map[string]int) error {
	r := reader{text: text}
	for len(r.text) > 0 {
		kind := r.bytes(1)
		key := r.bytes(int(r.number(1)))
		if kind == "D" {
			day := allocator.DayRevision{Site: allocator.SiteID(key), Date: allocator.Date(r.number(3))}
			day.Revision = r.number(6)
			set.Days = append(set.Days, day)
			continue
		}
		slot, ok := slotFrom(key)
		if kind != "S" || !ok {
			return errReply
		}
		usage := allocator.SlotUsage{Slot: slot, Counts: r.counts()}
		if i, ok := seen[key]; ok {
			set.Slots[i] = usage
			continue
		}
		seen[key] = len(set.Slots)
		set.Slots = append(set.Slots, usage)
	}
	return r.err()
}
