package redisinventory

import (
	"testing"

	"muster/allocator"
)

// FuzzReplies: no reply of a script, cut off, swapped or damaged, breaks its reader or makes it claim more than the reply has
// bytes; and what is short is refused.
func FuzzReplies(f *testing.F) {
	granted := number(number(number(nil, int64(allocator.HoldGranted), 1), 0, 1), int64(allocator.GrantHeld), 1)
	granted = append(append(granted, make([]byte, len(allocator.Stamp{}))...), number(number(number(number(nil, 1, 4), 1_800_000_000_000, 6), 1, 1), 7, 3)...)
	slot := slotKey(allocator.SlotID{Site: "FA512", Start: 30_000_000, Length: 10})
	news := append(short(append(short([]byte("S"), slot), 1), "RSV:Adult"), 0, 0, 2)
	news = append(news, number(number(short([]byte("D"), "FA512"), 20_000, 3), 7, 6)...)
	for _, seed := range [][]byte{granted, news, {grantedNow, 0, 0, 3}, {}, {255}, append(number(number(nil, 1, 4), 0, 1), make([]byte, 60)...)} {
		f.Add(string(seed), "FA512")
	}
	f.Fuzz(func(t *testing.T, text, site string) {
		most := len(text)
		fresh := allocator.Grant{}
		if res, err := holdResult(&fresh, nil, text); err == nil && len(res.Grant.Places) > most {
			t.Errorf("%q grants %d places", text, len(res.Grant.Places))
		}
		set := allocator.ChangeSet{}
		if err := readNews(text, &set, make(map[string]int)); err == nil && (len(set.Slots) > most || len(set.Days) > most) {
			t.Errorf("%q is news of %d slots and %d days", text, len(set.Slots), len(set.Days))
		}
		var view allocator.SiteInventory
		if err := readSiteRecord(text, 1, &view); err == nil && (len(view.Revisions) > most || view.Built && view.Epoch != 1) {
			t.Errorf("%q is a site with %d days", text, len(view.Revisions))
		}
		for _, read := range []func(*reader, *allocator.PinResult){(*reader).pin, func(r *reader, p *allocator.PinResult) { r.pinned(p, site) }} {
			r, p := reader{text: text}, allocator.PinResult{}
			if read(&r, &p); r.err() == nil && (len(p.Places) > most || len(p.Places) != len(p.Revisions) || len(p.Other) > most) {
				t.Errorf("%q pins %d places of %d revisions", text, len(p.Places), len(p.Revisions))
			}
		}
		if p, ok := readPlace(site, int64(1), text); ok && slotKey(p.Slot) != site {
			t.Errorf("%q is the place of %q", site, slotKey(p.Slot))
		}
	})
}
