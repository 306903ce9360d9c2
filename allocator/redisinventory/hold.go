package redisinventory

import (
	"context"
	"strconv"

	"muster/allocator"
)

// table gives each distinct text an index from 1, in the order of arrival.
type table struct {
	index map[string]int
	texts []string
}

func (t *table) add(text string) int64 {
	if i, ok := t.index[text]; ok {
		return int64(i)
	}
	if t.index == nil {
		t.index = make(map[string]int)
	}
	t.texts = append(t.texts, text)
	t.index[text] = len(t.texts)
	return int64(len(t.texts))
}

// holdBatch collects what the items of one call share, each thing once.
type holdBatch struct{ sites, slots, codes, bounds, windows table }

// Hold implements allocator.Inventory.
func (inv *Inventory) Hold(ctx context.Context, shard int, epoch int64, items []allocator.HoldItem) ([]allocator.HoldResult, error) {
	if len(items) == 0 {
		_, err := inv.current(shard, epoch, false)
		return nil, err
	}
	reply, err := inv.run(ctx, shard, epoch, methodHold, holdArgs(inv.options.ReapBatch, items)...)
	if err != nil {
		return nil, err
	}
	replies, err := texts(reply)
	if err != nil || len(replies) != len(items)+1 {
		return nil, failure(shard, errReply)
	}
	now := (&reader{text: replies[0]}).number(6)
	results := make([]allocator.HoldResult, len(items))
	for i := range items {
		if results[i], err = holdResult(items[i].Key, replies[i+1]); err != nil {
			return nil, failure(shard, err)
		}
		results[i].NowMs = now
	}
	return results, nil
}

// holdArgs writes ARGV of hold.lua.
func holdArgs(reap int, items []allocator.HoldItem) []any {
	var batch holdBatch
	packed := make([]any, 0, 2*len(items))
	var b []byte
	for i := range items {
		item := &items[i]
		b = number(b[:0], batch.sites.add(string(item.Site)), 2)
		for j := range item.Claims {
			c := &item.Claims[j]
			b = number(b, batch.slots.add(slotKey(c.Slot)), 2)
			b = number(b, int64(c.Date), 3)
			b = number(b, c.Revision, 6)
			b = number(b, batch.bounds.add(string(packBounds(nil, &batch.codes, c.Bounds))), 2)
			b = number(b, batch.codes.add(string(c.Service)), 2)
			b = number(b, batch.windows.add(windowText(c.Window)), 2)
		}
		packed = append(packed, string(grantBody(item)), string(b))
	}
	h := number(nil, int64(reap), 4)
	for _, n := range [...]int{len(batch.sites.texts), len(batch.slots.texts), len(items), len(batch.codes.texts),
		len(batch.bounds.texts), len(batch.windows.texts)} {
		h = number(h, int64(n), 2)
	}
	args := make([]any, 0, 2+len(batch.sites.texts)+len(batch.slots.texts)+3*len(items)+len(batch.codes.texts)+8)
	args = append(args, string(h))
	add := func(texts []string) {
		for _, t := range texts {
			args = append(args, t)
		}
	}
	add(batch.sites.texts)
	add(batch.slots.texts)
	for i := range items {
		args = append(args, string(items[i].Key[:]))
	}
	args = append(args, "micros")
	add(batch.codes.texts)
	add(batch.bounds.texts)
	add(batch.windows.texts)
	return append(args, packed...)
}

// grantBody is the part of a grant's record that never changes.
func grantBody(item *allocator.HoldItem) []byte {
	b := make([]byte, 0, 18+len(item.Site)+20*len(item.Claims))
	b = number(b, item.LengthMs, 4)
	b = number(b, item.GraceMs, 4)
	b = append(b, item.Print[:]...)
	b = short(b, string(item.Site))
	b = append(b, byte(len(item.Claims)))
	for i := range item.Claims {
		b = slotKeyTail(b, item.Claims[i].Slot)
		b = short(b, string(item.Claims[i].Service))
	}
	return b
}

// packBounds writes {mine1 places4 services1 {code index2}*}*.
func packBounds(b []byte, codes *table, bounds []allocator.Bound) []byte {
	for _, bound := range bounds {
		b = append(b, flag(bound.Mine))
		b = number(b, int64(bound.Places), 4)
		b = append(b, byte(len(bound.Services)))
		for _, s := range bound.Services {
			b = number(b, codes.add(string(s)), 2)
		}
	}
	return b
}

// windowText writes instants and durations as decimal numbers: a lead may be negative.
func windowText(w allocator.Window) string {
	var buffer [64]byte
	b := strconv.AppendInt(buffer[:0], w.OpensMs, 10)
	b = strconv.AppendInt(append(b, ' '), w.MinLeadMs, 10)
	b = strconv.AppendInt(append(b, ' '), w.MaxLeadMs, 10)
	return string(b)
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// holdResult reads one item's reply of hold.lua.
func holdResult(key allocator.RequestKey, text string) (res allocator.HoldResult, err error) {
	r := reader{text: text}
	res.Outcome = allocator.HoldOutcome(r.number(1))
	switch res.Outcome {
	case allocator.HoldGranted:
		res.Repeated = r.number(1) == 1
		state := allocator.GrantState(r.number(1))
		res.Grant.ID = allocator.HoldID{Key: key, Stamp: r.stamp()}
		readGrant(&r, &res.Grant, state)
	case allocator.HoldFull, allocator.HoldOutside, allocator.HoldStale:
		res.Claim = int(r.number(1))
		res.Revision = r.number(6)
		res.More = r.number(1) == 1 && res.Outcome == allocator.HoldFull
	}
	return res, r.err()
}

// readGrant reads epoch4 deadline6 n1 place3 × n.
func readGrant(r *reader, g *allocator.Grant, state allocator.GrantState) {
	g.State = state
	g.Epoch = r.number(4)
	g.DeadlineMs = r.number(6)
	g.Places = r.places()
}

// Extend implements allocator.Inventory.
func (inv *Inventory) Extend(ctx context.Context, shard int, epoch int64, id allocator.HoldID) (allocator.HoldResult, error) {
	reply, err := inv.run(ctx, shard, epoch, methodExtend, id.Bytes())
	if err != nil {
		return allocator.HoldResult{}, err
	}
	text, _ := reply.(string)
	r := reader{text: text}
	res := allocator.HoldResult{NowMs: r.number(6), Grant: allocator.Grant{ID: id}}
	if state := allocator.GrantState(r.number(1)); state == allocator.GrantHeld {
		readGrant(&r, &res.Grant, state)
	} else {
		res.Outcome, res.Grant.State = allocator.HoldUnknown, state
	}
	if r.short {
		return allocator.HoldResult{}, failure(shard, errReply)
	}
	return res, nil
}

// Release implements allocator.Inventory.
func (inv *Inventory) Release(ctx context.Context, shard int, epoch int64, _ allocator.SiteID, id allocator.HoldID, forget bool) (allocator.GrantState, error) {
	state, err := inv.count(ctx, shard, epoch, methodRelease, id.Bytes(), int(flag(forget)))
	return allocator.GrantState(state), err
}

// State implements allocator.Inventory.
func (inv *Inventory) State(ctx context.Context, shard int, epoch int64, _ allocator.SiteID, id allocator.HoldID) (allocator.GrantState, error) {
	state, err := inv.count(ctx, shard, epoch, methodState, id.Bytes())
	return allocator.GrantState(state), err
}

// Reap implements allocator.Inventory.
func (inv *Inventory) Reap(ctx context.Context, shard int, epoch int64, limit int) (bool, error) {
	more, err := inv.count(ctx, shard, epoch, methodReap, limit)
	return more == 1, err
}

// StuckPins implements allocator.Inventory.
func (inv *Inventory) StuckPins(ctx context.Context, shard int, epoch int64, limit int) ([]allocator.StuckPin, error) {
	reply, err := inv.run(ctx, shard, epoch, methodStuck, limit)
	if err != nil {
		return nil, err
	}
	list, err := texts(reply)
	if err != nil || len(list)%3 != 0 {
		return nil, failure(shard, errReply)
	}
	var pins []allocator.StuckPin
	for i := 0; i < len(list); i += 3 {
		id, claims := reader{text: list[i+1]}, reader{text: list[i+2]}
		pin := allocator.StuckPin{Site: allocator.SiteID(list[i]), ID: id.id(), Places: claims.placed(list[i])}
		if id.short || claims.short {
			return nil, failure(shard, errReply)
		}
		pins = append(pins, pin)
	}
	return pins, nil
}

// count runs a script that answers a number.
func (inv *Inventory) count(ctx context.Context, shard int, epoch int64, m method, args ...any) (int64, error) {
	reply, err := inv.run(ctx, shard, epoch, m, args...)
	if err != nil {
		return 0, err
	}
	n, err := oneNumber(reply)
	if err != nil {
		return 0, failure(shard, err)
	}
	return n, nil
}
