package allocator

import (
	"testing"
	"time"
)

// A change that is told while a site is read from the inventory is newer than what was read.
func TestReadDoesNotUndoWhatWasToldMeanwhile(t *testing.T) {
	slot := func(minute Minute) SlotID { return SlotID{Site: "S", Start: minute, Length: 10} }
	view := &SiteInventory{Built: true}
	for _, minute := range []Minute{600, 610, 620} {
		view.Places = append(view.Places, PlaceState{Slot: slot(minute), Service: "RSV"})
	}
	e := &siteEntry{key: "S", days: make(map[Date]*dayEntry), usage: map[slotKey]Counts{{600, 10}: {"RSV": 1}}}
	e.tz.Store(time.UTC)
	late := e.beginRead()
	e.setUsage(slot(600), Counts{})
	e.setUsage(slot(610), Counts{"RSV": 7})
	e.replaceUsage(view, late)
	e.endRead(late)
	if got := e.usage; got[slotKey{600, 10}] != nil || got[slotKey{610, 10}]["RSV"] != 7 || got[slotKey{620, 10}]["RSV"] != 1 {
		t.Errorf("after the late read: %v", got)
	}
	next := e.beginRead()
	e.replaceUsage(view, next)
	e.endRead(next)
	if got := e.usage; len(got) != 3 || got[slotKey{610, 10}]["RSV"] != 1 || len(e.reads) != 0 {
		t.Errorf("after the next read: %v, %d reads", got, len(e.reads))
	}
}

// Before a shard was read, what is known is as old as the server at most.
func TestNothingIsOlderThanTheServer(t *testing.T) {
	began := time.Unix(1_800_000_000, 0)
	d := newDirectory(nil, 2, began)
	if at := d.asOf(); !at.Equal(began) {
		t.Errorf("as of %v, and nothing was read yet", at)
	}
	if d.setFed(0, began.Add(time.Minute)); !d.asOf().Equal(began) || !d.newest().Equal(began.Add(time.Minute)) {
		t.Errorf("as of %v, and one shard of two was read", d.asOf())
	}
	if d.setFed(1, began.Add(time.Second)); !d.asOf().Equal(began.Add(time.Second)) {
		t.Errorf("as of %v, and both were read", d.asOf())
	}
}
