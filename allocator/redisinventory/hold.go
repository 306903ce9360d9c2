package redisinventory

import (
	"context"
	"math"
	"strconv"

	"muster/allocator"
)

// table gives each distinct text an index from 1, in the order of arrival. A text may have a cut, where its second part begins.
type table struct {
	index map[string]int
	texts []string
	cuts  []int
}

func (t *table) add(text string, cut ...int) int64 {
	if i, ok := t.index[text]; ok {
		return int64(i)
	}
	if t.index == nil {
		t.index = make(map[string]int)
	}
	t.texts = append(t.texts, text)
	t.cuts = append(t.cuts, cut...)
	t.index[text] = len(t.texts)
	return int64(len(t.texts))
}

// holdBatch collects what the items of one call share, each thing once.
type holdBatch struct {
	sites, slots, revisions, codes, bounds, windows, shapes table

	fast       bool  // see holdfast.lua
	from, till int64 // where all windows are open, in milliseconds since 1970
}

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
	head := reader{text: replies[0]}
	now := head.number(6)
	fresh := allocator.Grant{Epoch: epoch, State: allocator.GrantHeld}
	if head.text != "" {
		fresh.ID.Stamp, fresh.DeadlineMs = head.stamp(), head.number(6)
	}
	results := make([]allocator.HoldResult, len(items))
	places := make([]int32, len(items))
	for i := range items {
		fresh.ID.Key = items[i].Key
		if results[i], err = holdResult(&fresh, places[i:i:i+1], replies[i+1]); err != nil {
			return nil, failure(shard, err)
		}
		results[i].NowMs = now
	}
	return results, nil
}

// holdArgs writes ARGV of hold.lua.
func holdArgs(reap int, items []allocator.HoldItem) []any {
	batch := holdBatch{fast: true, till: math.MaxInt64}
	shapeOf := make([]byte, 0, 2*len(items))
	var b []byte
	for i := range items {
		item := &items[i]
		batch.fast = batch.fast && len(item.Claims) == 1 && item.Claims[0].Limit == nil && item.LengthMs == items[0].LengthMs && item.GraceMs == items[0].GraceMs
		b = number(b[:0], batch.sites.add(string(item.Site)), 2)
		for j := range item.Claims {
			b = batch.claim(b, &item.Claims[j])
		}
		body := grantBody(item)
		shapeOf = number(shapeOf, batch.shapes.add(string(append(body, b...)), len(body)), 2)
	}
	return batch.args(reap, items, shapeOf)
}

// claim appends a claim of a shape.
func (h *holdBatch) claim(b []byte, c *allocator.HoldClaim) []byte {
	var revision [9]byte
	b = number(b, h.slots.add(slotKey(c.Slot)), 2)
	b = number(b, h.revisions.add(string(number(number(revision[:0], int64(c.Date), 3), c.Revision, 6))), 2)
	b = number(b, h.bounds.add(string(packBounds(nil, &h.codes, c.Bounds, c.Limit))), 2)
	b = number(b, h.codes.add(string(c.Service)), 2)
	start := c.Slot.Start.Millis()
	h.from, h.till = max(h.from, c.Window.OpensMs), min(h.till, start-c.Window.MinLeadMs)
	if c.Window.MaxLeadMs != 0 {
		h.from = max(h.from, start-c.Window.MaxLeadMs)
	}
	return number(b, h.windows.add(windowText(c.Window)), 2)
}

// args puts ARGV together.
func (h *holdBatch) args(reap int, items []allocator.HoldItem, shapeOf []byte) []any {
	head := append(number(nil, int64(reap), 4), flag(h.fast))
	for _, n := range [...]int{len(h.sites.texts), len(h.slots.texts), len(h.revisions.texts), len(items), len(h.codes.texts),
		len(h.bounds.texts), len(h.windows.texts), len(h.shapes.texts)} {
		head = number(head, int64(n), 2)
	}
	head = number(number(head, h.from, 6), h.till, 6)
	head = number(number(head, items[0].LengthMs, 4), items[0].GraceMs, 4)
	args := make([]any, 0, 16+3*len(items)+2*len(h.shapes.texts)+len(h.slots.texts)+len(h.windows.texts))
	args = append(args, head)
	add := func(t *table) {
		for _, text := range t.texts {
			args = append(args, text)
		}
	}
	add(&h.sites)
	add(&h.slots)
	add(&h.revisions)
	for i := range items {
		args = append(args, items[i].Key[:])
	}
	args = append(args, "micros")
	add(&h.codes)
	add(&h.bounds)
	add(&h.windows)
	for i, text := range h.shapes.texts {
		args = append(args, text[:h.shapes.cuts[i]], text[h.shapes.cuts[i]:])
	}
	return append(args, shapeOf)
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

// packBounds writes {mine1 places4 services1 code*}*, mine being 2 in the limit, which comes last and goes on with
// spans1 {from4 until4}*. A code is index2 into codes, or, where there are none, #code1 code.
func packBounds(b []byte, codes *table, bounds []allocator.Bound, limit *allocator.Limit) []byte {
	for i := range bounds {
		b = packBound(b, codes, flag(bounds[i].Mine), bounds[i].Places, bounds[i].Services)
	}
	if limit != nil {
		b = packBound(b, codes, 2, limit.Places, limit.Services)
		b = append(b, byte(len(limit.Spans)))
		for _, s := range limit.Spans {
			b = number(number(b, int64(s.From), 4), int64(s.Until), 4)
		}
	}
	return b
}

func packBound(b []byte, codes *table, mine byte, places int, services []allocator.ServiceCode) []byte {
	b = number(append(b, mine), int64(places), 4)
	b = append(b, byte(len(services)))
	for _, s := range services {
		if codes == nil {
			b = short(b, string(s))
		} else {
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

// grantedNow is how the fast path of hold.lua answers a new grant: all but the place is in the head of the reply.
const grantedNow = 8

// holdResult reads one item's reply of hold.lua. fresh is its grant where it was granted just now, places room for one.
func holdResult(fresh *allocator.Grant, places []int32, text string) (res allocator.HoldResult, err error) {
	r := reader{text: text}
	outcome := r.number(1)
	if outcome == grantedNow {
		res.Grant = *fresh
		res.Grant.Places = append(places, int32(r.number(3)))
		return res, r.err()
	}
	res.Outcome = allocator.HoldOutcome(outcome)
	switch res.Outcome {
	case allocator.HoldGranted:
		res.Repeated = r.number(1) == 1
		state := allocator.GrantState(r.number(1))
		res.Grant.ID = allocator.HoldID{Key: fresh.ID.Key, Stamp: r.stamp()}
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
