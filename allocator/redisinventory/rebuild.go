package redisinventory

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"muster/allocator"
)

// Apply implements allocator.Inventory.
func (inv *Inventory) Apply(ctx context.Context, shard int, epoch int64, site allocator.SiteID, date allocator.Date, revision int64) (allocator.ApplyOutcome, error) {
	outcome, err := inv.count(ctx, shard, epoch, methodApply, string(site), dayRevision(nil, date, revision))
	return allocator.ApplyOutcome(outcome), err
}

func dayRevision(b []byte, date allocator.Date, revision int64) []byte {
	return number(number(b, int64(date), 3), revision, 6)
}

// maxBuilder is how long the name of a builder may be.
const maxBuilder = 255

// Begin implements allocator.Inventory.
func (inv *Inventory) Begin(ctx context.Context, shard int, epoch int64, site allocator.SiteID, builder string) ([]allocator.SlotID, error) {
	if builder == "" || len(builder) > maxBuilder {
		return nil, fmt.Errorf("a builder's name of %d bytes is not within 1 and %d", len(builder), maxBuilder)
	}
	reply, err := inv.run(ctx, shard, epoch, methodBegin, string(site), builder)
	if err != nil {
		return nil, err
	}
	list, err := texts(reply)
	if err != nil {
		return nil, failure(shard, err)
	}
	var slots []allocator.SlotID
	for _, k := range list {
		s, ok := slotFrom(k)
		if !ok {
			return nil, failure(shard, errReply)
		}
		slots = append(slots, s)
	}
	slices.SortFunc(slots, allocator.SlotID.Compare)
	return slots, nil
}

// Load implements allocator.Inventory.
func (inv *Inventory) Load(ctx context.Context, shard int, epoch int64, site allocator.SiteID, builder string, slots []allocator.SlotLoad, ended []allocator.EndedID) (bool, error) {
	args := []any{string(site), builder, len(ended)}
	for _, e := range ended {
		args = append(args, append(e.ID.Bytes(), e.Reason...))
	}
	for _, l := range slots {
		b := []byte{}
		for _, row := range l.Rows {
			b = number(b, int64(row.Place), 3)
			b = append(b, row.Owner.Bytes()...)
			b = short(b, string(row.Service))
		}
		args = append(args, slotKey(l.Slot), b)
	}
	done, err := inv.count(ctx, shard, epoch, methodLoad, args...)
	return done == 1, err
}

// Finish implements allocator.Inventory.
func (inv *Inventory) Finish(ctx context.Context, shard int, epoch int64, site allocator.SiteID, builder string, generation int64, revisions map[allocator.Date]int64) (bool, error) {
	b := []byte{}
	for _, date := range slices.Sorted(maps.Keys(revisions)) {
		b = dayRevision(b, date, revisions[date])
	}
	done, err := inv.count(ctx, shard, epoch, methodFinish, string(site), builder, number(nil, generation, 7), b)
	return done == 1, err
}

// ReadSite implements allocator.Inventory.
func (inv *Inventory) ReadSite(ctx context.Context, shard int, epoch int64, site allocator.SiteID) (allocator.SiteInventory, error) {
	reply, err := inv.run(ctx, shard, epoch, methodReadSite, string(site))
	if err != nil {
		return allocator.SiteInventory{}, err
	}
	list, ok := reply.([]any)
	if !ok || len(list) < 2 || len(list)%3 != 2 {
		return allocator.SiteInventory{}, failure(shard, errReply)
	}
	nowText, _ := list[0].(string)
	record, _ := list[1].(string)
	now := reader{text: nowText}
	view := allocator.SiteInventory{NowMs: now.number(6)}
	if record != "" {
		if err := readSiteRecord(record, epoch, &view); err != nil {
			return allocator.SiteInventory{}, failure(shard, err)
		}
	}
	for i := 2; i < len(list); i += 3 {
		p, ok := readPlace(list[i], list[i+1], list[i+2])
		if !ok {
			return allocator.SiteInventory{}, failure(shard, errReply)
		}
		view.Places = append(view.Places, p)
	}
	slices.SortFunc(view.Places, func(a, b allocator.PlaceState) int {
		return cmp.Or(a.Slot.Compare(b.Slot), cmp.Compare(a.Place, b.Place))
	})
	return view, nil
}

// ReadPlaces implements allocator.Inventory.
func (inv *Inventory) ReadPlaces(ctx context.Context, shard int, epoch int64, ranges []allocator.PlaceRange) (places []allocator.PlaceState, notBuilt []allocator.SiteID, err error) {
	args := make([]any, 0, 3*len(ranges))
	for _, r := range ranges {
		args = append(args, string(r.Slot.Site), slotKeyTail(nil, r.Slot), number(number(nil, int64(r.First), 3), int64(r.Last), 3))
	}
	reply, err := inv.run(ctx, shard, epoch, methodReadPlaces, args...)
	if err != nil {
		return nil, nil, err
	}
	list, err := texts(reply)
	if err != nil || len(list) < 1 {
		return nil, nil, failure(shard, errReply)
	}
	for r := (reader{text: list[0]}); len(r.text) > 0 && !r.short; {
		notBuilt = append(notBuilt, ranges[r.number(2)].Slot.Site)
	}
	places = make([]allocator.PlaceState, 0, len(list)-1)
	for _, text := range list[1:] {
		r := reader{text: text}
		n := int(r.number(2))
		p := allocator.PlaceState{Place: int32(r.number(3)), Owner: r.id(), Booked: r.number(1) == 1, Service: allocator.ServiceCode(r.rest())}
		if r.short || n >= len(ranges) {
			return nil, nil, failure(shard, errReply)
		}
		p.Slot = ranges[n].Slot
		places = append(places, p)
	}
	return places, notBuilt, nil
}

// readSiteRecord reads epoch4 #builder1 overflowed1 generation7 built9 builder #last1 last {date3 revision6}*.
func readSiteRecord(text string, epoch int64, view *allocator.SiteInventory) error {
	r := reader{text: text}
	view.Epoch = r.number(4)
	builder := r.number(1)
	r.number(1)
	view.Generation = r.number(7)
	r.bytes(len(allocator.Stamp{}) + int(builder))
	r.bytes(int(r.number(1)))
	view.Built = builder == 0 && view.Epoch == epoch
	view.Revisions = make(map[allocator.Date]int64)
	for len(r.text) > 0 {
		date := allocator.Date(r.number(3))
		view.Revisions[date] = r.number(6)
	}
	return r.err()
}

func readPlace(key, place, owner any) (p allocator.PlaceState, ok bool) {
	keyText, _ := key.(string)
	n, _ := place.(int64)
	text, _ := owner.(string)
	slot, ok := slotFrom(keyText)
	r := reader{text: text}
	p = allocator.PlaceState{Slot: slot, Place: int32(n), Owner: r.id(), Booked: r.number(1) == 1, Service: allocator.ServiceCode(r.rest())}
	return p, ok && !r.short
}

// Repair implements allocator.Inventory.
func (inv *Inventory) Repair(ctx context.Context, shard int, epoch int64, site allocator.SiteID, fixes []allocator.PlaceFix) (int, error) {
	args := []any{string(site)}
	for i := range fixes {
		f := &fixes[i]
		b := number(nil, int64(f.Place), 3)
		b = append(b, flag(f.FreeGrant))
		b = packSide(b, f.Was)
		b = packSide(b, f.Now)
		b = short(b, string(f.Reason))
		service := ""
		if f.Now != nil {
			service = string(f.Now.Service)
		}
		args = append(args, slotKey(f.Slot), b, service)
	}
	done, err := inv.count(ctx, shard, epoch, methodRepair, args...)
	return int(done), err
}

// packSide writes id18 booked1; zeros where the place is free.
func packSide(b []byte, p *allocator.PlaceState) []byte {
	if p == nil {
		return append(b, make([]byte, allocator.HoldIDBytes+1)...)
	}
	return append(append(b, p.Owner.Bytes()...), flag(p.Booked))
}
