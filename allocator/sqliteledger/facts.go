package sqliteledger

import "muster/allocator"

// facts are what pins are compared with: epochs, sites' generations and days' revisions, as the transactions up to now
// left them. They belong to the connection that writes, so whoever has the turn has them alone.
//
// Why they are true: nobody else writes to the file (lockFile). Each is read inside a transaction that writes, so nothing
// changes it behind that transaction's back. A transaction that changes one forgets it by touch, in the same function as
// the statement; should it read it again, it reads what it has written itself, and should it then not commit, all are
// forgotten. A commit of unknown outcome forgets all as well. And should another program have written to the file in spite
// of the lock, SQLite's data_version tells.
//
// What does not exist is not kept: an item that names it is not proven, and is decided by the general way.
type facts struct {
	known   allocator.RecordState // Epochs, Sites and Days (without their sessions) only
	version int64                 // SQLite's data_version that they hold at
}

// maxFacts bounds the sites and days that are kept: about 100 bytes each.
const maxFacts = 1 << 19

func (f *facts) forget() { *f = facts{} }

func (f *facts) full() bool { return len(f.known.Days) > maxFacts || len(f.known.Sites) > maxFacts }

// touch forgets facts that this transaction changes. Call it with the statement that changes them.
func (t *tx) touch(forget func(known *allocator.RecordState)) {
	t.touched = true
	forget(&t.facts.known)
}

func (t *tx) touchEpoch(shard int) {
	t.touch(func(known *allocator.RecordState) { delete(known.Epochs, shard) })
}

func (t *tx) touchSite(id allocator.SiteID) {
	t.touch(func(known *allocator.RecordState) { delete(known.Sites, id) })
}

func (t *tx) touchDay(id allocator.DayID) {
	t.touch(func(known *allocator.RecordState) { delete(known.Days, id) })
}

// proves says whether the pins of all items prove that the inventory granted on the ledger's present state.
func (t *tx) proves(items []allocator.Recording) (bool, error) {
	version, err := t.dataVersion()
	if err != nil {
		return false, err
	}
	f := t.facts
	if f.version != version || f.full() {
		*f = facts{version: version, known: allocator.RecordState{
			Days: make(map[allocator.DayID]allocator.Day), Sites: make(map[allocator.SiteID]allocator.SiteFacts),
			Epochs: make(map[int]int64),
		}}
	}
	missing := f.missing(items)
	if len(missing.Shards)+len(missing.Sites)+len(missing.Days) > 0 {
		if err := t.readEvidence(&f.known, &missing); err != nil {
			return false, err
		}
	}
	return f.known.Proven(items), nil
}

// missing lists what must be read before items can be compared.
func (f *facts) missing(items []allocator.Recording) (missing allocator.RecordNeeds) {
	var lacking []allocator.Recording
	for i := range items {
		if f.lacks(&items[i]) {
			lacking = append(lacking, items[i])
		}
	}
	if len(lacking) > 0 {
		missing = allocator.NeedsOf(lacking)
	}
	return missing
}

func (f *facts) lacks(item *allocator.Recording) bool {
	for i := range item.Pins {
		if _, ok := f.known.Epochs[item.Pins[i].Shard]; !ok {
			return true
		}
	}
	for i := range item.Claims {
		c := &item.Claims[i]
		if _, ok := f.known.Days[allocator.DayID{Site: c.Slot.Site, Date: c.Date}]; !ok {
			return true
		}
		if _, ok := f.known.Sites[c.Slot.Site]; !ok {
			return true
		}
	}
	return false
}

// dataVersion changes when anybody else has written to the file.
func (t *tx) dataVersion() (version int64, err error) {
	_, err = t.one("PRAGMA data_version", nil, &version)
	return version, err
}

// nextID is the least id that is above all ids of bookings and events. They are never deleted, so none is used twice.
func (t *tx) nextID() (id int64, err error) {
	_, err = t.one("SELECT max(coalesce((SELECT max(id) FROM bookings), 0), coalesce((SELECT max(id) FROM events), 0)) + 1", nil, &id)
	return id, err
}
