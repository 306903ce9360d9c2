package redisinventory

import (
	"context"

	"muster/allocator"
)

// Pin implements allocator.Inventory.
func (inv *Inventory) Pin(ctx context.Context, shard int, epoch int64, items []allocator.PinItem) ([]allocator.PinResult, error) {
	args := make([]any, 0, 3*len(items))
	for i := range items {
		token := number(number(nil, items[i].DeadlineMs, 6), items[i].GraceMs, 4)
		args = append(args, string(items[i].Site), items[i].ID.Bytes(), token)
	}
	reply, err := inv.run(ctx, shard, epoch, methodPin, args...)
	if err != nil {
		return nil, err
	}
	replies, err := texts(reply)
	if err != nil || len(replies) != len(items) {
		return nil, failure(shard, errReply)
	}
	results := make([]allocator.PinResult, len(items))
	for i := range items {
		r := reader{text: replies[i]}
		p := allocator.PinResult{ID: items[i].ID, InTime: r.number(1) == 1}
		switch r.number(1) {
		case 1:
			p.NotBuilt = true
		case 2:
			p.Building = true
		default:
			p.Epoch, p.Generation, p.ID = r.number(4), r.number(7), r.id()
			p.State = allocator.GrantState(r.number(1))
			if places, revisions := r.placesAndRevisions(); len(places) > 0 {
				p.Places, p.Revisions = places, revisions
			}
			site := r.bytes(int(r.number(1)))
			claims := reader{text: r.bytes(int(r.number(2)))}
			p.Other = claims.placed(site)
			r.short = r.short || claims.short
			p.Reason = allocator.Code(r.rest())
		}
		if r.short {
			return nil, failure(shard, errReply)
		}
		results[i] = p
	}
	return results, nil
}

// Reseat implements allocator.Inventory.
func (inv *Inventory) Reseat(ctx context.Context, shard int, epoch int64, item allocator.ReseatItem) (allocator.ReseatResult, error) {
	body := allocator.HoldItem{Site: item.Site, GraceMs: item.GraceMs}
	claims := make([]any, 0, 3*len(item.Claims))
	for i := range item.Claims {
		c := &item.Claims[i]
		body.Claims = append(body.Claims, c.HoldClaim)
		b := number(nil, int64(c.Index), 1)
		b = number(b, int64(c.Date), 3)
		b = number(b, c.Revision, 6)
		b = number(b, int64(c.Place), 3)
		b = append(b, c.Taken.Bytes()...)
		claims = append(claims, append(short(b, string(c.Service)), c.TakenFor...), slotKey(c.Slot), namedBounds(c.Bounds))
	}
	args := append([]any{string(item.Site), item.ID.Bytes(), number(number(nil, item.DeadlineMs, 6), int64(item.Total), 1), grantBody(&body)}, claims...)
	reply, err := inv.run(ctx, shard, epoch, methodReseat, args...)
	if err != nil {
		return allocator.ReseatResult{}, err
	}
	text, _ := reply.(string)
	r := reader{text: text}
	res := allocator.ReseatResult{
		Outcome: allocator.HoldOutcome(r.number(1)), State: allocator.GrantState(r.number(1)), Claim: int(r.number(1)),
		Revision: r.number(6), Epoch: r.number(4), Generation: r.number(7), ID: r.id(),
	}
	if places, revisions := r.placesAndRevisions(); len(places) > 0 {
		res.Places, res.Revisions = places, revisions
	}
	res.Reason = allocator.Code(r.rest())
	if r.short {
		return allocator.ReseatResult{}, failure(shard, errReply)
	}
	return res, nil
}

// namedBounds writes {mine1 places4 services1 {#code1 code}*}*.
func namedBounds(bounds []allocator.Bound) (b []byte) {
	b = []byte{}
	for _, bound := range bounds {
		b = append(b, flag(bound.Mine))
		b = number(b, int64(bound.Places), 4)
		b = append(b, byte(len(bound.Services)))
		for _, s := range bound.Services {
			b = short(b, string(s))
		}
	}
	return b
}

// Settle implements allocator.Inventory.
func (inv *Inventory) Settle(ctx context.Context, shard int, epoch int64, items []allocator.SettleItem) ([]allocator.ApplyOutcome, error) {
	args := []any{epoch}
	for i := range items {
		args = append(args, string(items[i].Site), lateMessage('S', items[i].ID, "", items[i].Places))
	}
	return inv.late(ctx, shard, epoch, len(items), args)
}

// Free implements allocator.Inventory.
func (inv *Inventory) Free(ctx context.Context, shard int, epoch int64, items []allocator.FreeItem) ([]allocator.ApplyOutcome, error) {
	args := []any{epoch}
	for i := range items {
		args = append(args, string(items[i].Site), lateMessage(freeKind(&items[i]), items[i].ID, items[i].Reason, items[i].Places))
	}
	return inv.late(ctx, shard, epoch, len(items), args)
}

func freeKind(item *allocator.FreeItem) byte {
	if item.Partial {
		return 'P'
	}
	return 'F'
}

// lateMessage writes kind1 id18 #reason1 reason {start4 len2 place3 #service1 service}*.
func lateMessage(kind byte, id allocator.HoldID, reason allocator.Code, places []allocator.Placed) []byte {
	b := append([]byte{kind}, id.Bytes()...)
	b = short(b, string(reason))
	for _, p := range places {
		b = slotKeyTail(b, p.Slot)
		b = number(b, int64(p.Place), 3)
		b = short(b, string(p.Service))
	}
	return b
}

func (inv *Inventory) late(ctx context.Context, shard int, epoch int64, n int, args []any) ([]allocator.ApplyOutcome, error) {
	reply, err := inv.run(ctx, shard, epoch, methodSettle, args...)
	if err != nil {
		return nil, err
	}
	list, err := numbers(reply, n)
	if err != nil {
		return nil, failure(shard, err)
	}
	outcomes := make([]allocator.ApplyOutcome, n)
	for i, v := range list {
		outcomes[i] = allocator.ApplyOutcome(v)
	}
	return outcomes, nil
}
