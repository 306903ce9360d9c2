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
