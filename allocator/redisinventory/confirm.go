package redisinventory

import (
	"bytes"
	"context"

	"muster/allocator"
)

// Pin implements allocator.Inventory.
func (inv *Inventory) Pin(ctx context.Context, shard int, epoch int64, items []allocator.PinItem) ([]allocator.PinResult, error) {
	var sites table
	siteOf := make([]int, len(items))
	for i := range items {
		siteOf[i] = int(sites.add(string(items[i].Site))) - 1
	}
	reply, err := inv.run(ctx, shard, epoch, methodPin, pinArgs(items, &sites, siteOf)...)
	if err != nil {
		return nil, err
	}
	replies, err := texts(reply)
	if err != nil || len(replies) != len(items) && len(replies) != len(items)+len(sites.texts) {
		return nil, failure(shard, errReply)
	}
	results := make([]allocator.PinResult, len(items))
	for i := range items {
		r := reader{text: replies[i]}
		p := &results[i]
		*p = allocator.PinResult{ID: items[i].ID, InTime: r.number(1) == 1}
		switch kind := r.number(1); {
		case kind == 1:
			p.NotBuilt = true
		case kind == 2:
			p.Building = true
		case kind == pinnedFast && len(replies) > len(items):
			p.Epoch = epoch
			r.pinned(p, replies[len(items)+siteOf[i]])
		default:
			r.pin(p)
		}
		if r.short {
			return nil, failure(shard, errReply)
		}
	}
	return results, nil
}

// pinnedFast is how the fast path of pin.lua answers.
const pinnedFast = 3

// pinArgs writes ARGV of pin.lua.
func pinArgs(items []allocator.PinItem, sites *table, siteOf []int) []any {
	args := make([]any, 0, 1+len(sites.texts)+2*len(items))
	args = append(args, number(number(nil, int64(len(sites.texts)), 2), int64(len(items)), 2))
	for _, site := range sites.texts {
		args = append(args, site)
	}
	for i := range items {
		args = append(args, items[i].ID.Key[:])
	}
	packed := make([]byte, 0, 21*len(items))
	for i := range items {
		from := len(packed)
		packed = append(packed, items[i].ID.Stamp[:]...)
		packed = number(number(packed, items[i].DeadlineMs, 6), items[i].GraceMs, 4)
		packed = number(packed, int64(siteOf[i])+1, 2)
		args = append(args, packed[from:])
	}
	return args
}

// pin reads what pin.lua answers of a grant.
func (r *reader) pin(p *allocator.PinResult) {
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

// pinned reads what the fast path answers. site is generation7 built9: what was granted before the site was built proves nothing.
func (r *reader) pinned(p *allocator.PinResult, site string) {
	s := reader{text: site}
	p.Generation = s.number(7)
	built := s.stamp()
	p.State = allocator.GrantState(r.number(1))
	if places, revisions := r.placesAndRevisions(); len(places) > 0 {
		p.Places, p.Revisions = places, revisions
	}
	if bytes.Compare(p.ID.Stamp[:], built[:]) <= 0 {
		clear(p.Revisions)
	}
	r.short = r.short || s.short
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
		claims = append(claims, append(short(b, string(c.Service)), c.TakenFor...), slotKey(c.Slot), packBounds([]byte{}, nil, c.Bounds, c.Limit))
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

// Settle implements allocator.Inventory.
func (inv *Inventory) Settle(ctx context.Context, shard int, epoch int64, items []allocator.SettleItem) ([]allocator.ApplyOutcome, error) {
	late := newLate(len(items))
	for i := range items {
		late.fast = late.fast && len(items[i].Places) == 1 && items[i].Places[0].Slot.Site == items[i].Site
		late.add(items[i].Site, 'S', items[i].ID, "", items[i].Places)
	}
	return inv.late(ctx, shard, epoch, late)
}

// Free implements allocator.Inventory.
func (inv *Inventory) Free(ctx context.Context, shard int, epoch int64, items []allocator.FreeItem) ([]allocator.ApplyOutcome, error) {
	late := newLate(len(items))
	late.fast = false
	for i := range items {
		late.add(items[i].Site, freeKind(&items[i]), items[i].ID, items[i].Reason, items[i].Places)
	}
	return inv.late(ctx, shard, epoch, late)
}

func freeKind(item *allocator.FreeItem) byte {
	if item.Partial {
		return 'P'
	}
	return 'F'
}

// lateMessages collects what settle.lua is told.
type lateMessages struct {
	fast  bool // every message settles one row
	sites table
	texts []any
}

func newLate(n int) *lateMessages { return &lateMessages{fast: n > 0, texts: make([]any, 0, n)} }

// add writes site2 kind1 id18 #reason1 reason {start4 len2 place3 #service1 service}*.
func (l *lateMessages) add(site allocator.SiteID, kind byte, id allocator.HoldID, reason allocator.Code, places []allocator.Placed) {
	b := number(make([]byte, 0, 64), l.sites.add(string(site)), 2)
	b = append(append(append(b, kind), id.Key[:]...), id.Stamp[:]...)
	b = short(b, string(reason))
	for _, p := range places {
		b = slotKeyTail(b, p.Slot)
		b = number(b, int64(p.Place), 3)
		b = short(b, string(p.Service))
	}
	l.texts = append(l.texts, b)
}

func (inv *Inventory) late(ctx context.Context, shard int, epoch int64, l *lateMessages) ([]allocator.ApplyOutcome, error) {
	head := number([]byte{flag(l.fast)}, int64(len(l.sites.texts)), 2)
	head = number(number(head, int64(len(l.texts)), 2), epoch, 4)
	args := append(make([]any, 0, 1+len(l.sites.texts)+len(l.texts)), head)
	for _, site := range l.sites.texts {
		args = append(args, site)
	}
	reply, err := inv.run(ctx, shard, epoch, methodSettle, append(args, l.texts...)...)
	if err != nil {
		return nil, err
	}
	list, err := numbers(reply, len(l.texts))
	if err != nil {
		return nil, failure(shard, err)
	}
	outcomes := make([]allocator.ApplyOutcome, len(list))
	for i, v := range list {
		outcomes[i] = allocator.ApplyOutcome(v)
	}
	return outcomes, nil
}
