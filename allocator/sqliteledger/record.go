package sqliteledger

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"

	"muster/allocator"
)

// Record tries the ordinary way first where it may be.
func (l *Ledger) Record(ctx context.Context, items []allocator.Recording) ([]allocator.RecordResult, error) {
	if len(items) == 0 {
		return nil, nil
	}
	if mayBeOrdinary(items) {
		if results, err := l.recordOrdinary(ctx, items); err != errContested {
			return results, err
		}
	}
	return l.recordDecided(ctx, items)
}

// recordDecided reads what the batch needs, one statement for each kind of need; decides; and writes.
func (l *Ledger) recordDecided(ctx context.Context, items []allocator.Recording) ([]allocator.RecordResult, error) {
	var results []allocator.RecordResult
	err := l.write(ctx, func(t *tx) error {
		st, err := t.recordState(items)
		if err != nil {
			return err
		}
		var writes allocator.RecordWrites
		writes, results = allocator.DecideRecords(st, items)
		return t.apply(&writes)
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// recordState reads what a batch needs. Where its pins prove it, that leaves out the days' documents and what else is
// booked in its slots.
func (t *tx) recordState(items []allocator.Recording) (*allocator.RecordState, error) {
	needs := allocator.NeedsOf(items)
	st := &allocator.RecordState{
		Persons: make(map[allocator.PersonDose]allocator.BookingKey),
		Slots:   make(map[allocator.SlotID][]allocator.Booking),
		Days:    make(map[allocator.DayID]allocator.Day),
		Sites:   make(map[allocator.SiteID]allocator.SiteFacts),
		Epochs:  make(map[int]int64),
		Now:     instant(t.now),
	}
	var err error
	if st.Rows, err = t.rowsUnder(needs.Keys); err != nil {
		return nil, err
	}
	if err := t.readPersons(st, needs.Persons); err != nil {
		return nil, err
	}
	if err := t.readEvidence(st, &needs); err != nil {
		return nil, err
	}
	if st.Proven(items) {
		return st, t.readPlaces(st, items)
	}
	days, err := t.days(needs.Days)
	if err != nil {
		return nil, err
	}
	for id, day := range days {
		st.Days[id] = day
	}
	if err := t.readSlots(st, needs.Slots); err != nil {
		return nil, err
	}
	return st, t.readLimited(st)
}

// readLimited reads what else is booked on days that have a maximum.
func (t *tx) readLimited(st *allocator.RecordState) error {
	days := st.LimitedDays()
	if len(days) == 0 {
		return nil
	}
	p := &publishing{t: t, live: make(map[allocator.DayID][]allocator.Booking)}
	if err := t.readLive(p, days); err != nil {
		return err
	}
	booked := make(map[allocator.SlotID][]allocator.Booking)
	for _, rows := range p.live {
		for _, b := range rows {
			booked[b.Slot] = append(booked[b.Slot], b)
		}
	}
	maps.Copy(st.Slots, booked)
	return nil
}

// rowsUnder reads rows by key.
func (t *tx) rowsUnder(keys []allocator.BookingKey) (map[allocator.BookingKey]allocator.Booking, error) {
	rows := make(map[allocator.BookingKey]allocator.Booking, len(keys))
	var in list
	for _, key := range keys {
		in.number(int64(key))
	}
	err := t.each("SELECT "+bookingColumns+" FROM json_each(?) j CROSS JOIN bookings b ON b.booking_key = j.value",
		in.argument(), func(scan func(into ...any) error) error {
			b, err := scanBooking(scan)
			rows[b.Key] = b
			return err
		})
	return rows, err
}

// readPersons reads who has a live booking already.
func (t *tx) readPersons(st *allocator.RecordState, persons []allocator.PersonDose) error {
	if len(persons) == 0 {
		return nil
	}
	var in list
	for _, p := range persons {
		in.open()
		in.string(hex.EncodeToString(p.Person[:]))
		in.string(p.Programme)
		in.number(int64(p.Dose))
		in.shut()
	}
	return t.each(`
		SELECT b.person, b.programme, b.dose, b.booking_key
		FROM json_each(?) j CROSS JOIN bookings b
		ON b.person = unhex(j.value ->> 0) AND b.programme = j.value ->> 1 AND b.dose = j.value ->> 2
			AND b.ended_at IS NULL AND b.one_person = 1 AND b.person IS NOT NULL`,
		in.argument(), func(scan func(into ...any) error) error {
			var p allocator.PersonDose
			var person []byte
			var key allocator.BookingKey
			if err := scan(&person, &p.Programme, &p.Dose, &key); err != nil {
				return err
			}
			copy(p.Person[:], person)
			st.Persons[p] = key
			return nil
		})
}

// readEvidence reads epochs, generations and revisions: what pins are compared with.
func (t *tx) readEvidence(st *allocator.RecordState, needs *allocator.RecordNeeds) error {
	for _, shard := range needs.Shards {
		var epoch int64
		if _, err := t.one("SELECT epoch FROM shard_epochs WHERE shard = ? ORDER BY epoch DESC LIMIT 1", []any{shard}, &epoch); err != nil {
			return err
		}
		st.Epochs[shard] = epoch
	}
	var sites list
	for _, id := range needs.Sites {
		sites.string(string(id))
	}
	err := t.each(`SELECT s.site_id, s.generation, s.time_zone FROM json_each(?) j CROSS JOIN sites s ON s.site_id = j.value`,
		sites.argument(), func(scan func(into ...any) error) error {
			var id allocator.SiteID
			var facts allocator.SiteFacts
			var zone string
			err := scan(&id, &facts.Generation, &zone)
			if err == nil {
				facts.Zone, err = t.l.zone(zone)
			}
			st.Sites[id] = facts
			return err
		})
	if err != nil {
		return err
	}
	return t.each(`
		SELECT d.site_id, d.date, d.revision FROM json_each(?) j
		CROSS JOIN days d ON d.site_id = j.value ->> 0 AND d.date = j.value ->> 1`,
		dayList(needs.Days), func(scan func(into ...any) error) error {
			var d allocator.Day
			err := scan(&d.Site, &d.Date, &d.Revision)
			st.Days[allocator.DayID{Site: d.Site, Date: d.Date}] = d
			return err
		})
}

func dayList(days []allocator.DayID) []any {
	var in list
	for _, d := range days {
		in.open()
		in.string(string(d.Site))
		in.number(int64(d.Date))
		in.shut()
	}
	return in.argument()
}

// days reads documents.
func (t *tx) days(ids []allocator.DayID) (map[allocator.DayID]allocator.Day, error) {
	days := make(map[allocator.DayID]allocator.Day, len(ids))
	err := t.each(`
		SELECT d.site_id, d.date, d.revision, d.sessions FROM json_each(?) j
		CROSS JOIN days d ON d.site_id = j.value ->> 0 AND d.date = j.value ->> 1`,
		dayList(ids), func(scan func(into ...any) error) error {
			d, err := scanDay(scan)
			days[allocator.DayID{Site: d.Site, Date: d.Date}] = d
			return err
		})
	return days, err
}

// placeColumns are what a decision needs of a row that has a place: no more than scanPlace reads.
const placeColumns = `b.booking_key, b.hold, b.site_id, b.starts_at, b.length, b.place, b.service`

func scanPlace(st *allocator.RecordState) func(scan func(into ...any) error) error {
	return func(scan func(into ...any) error) error {
		var b allocator.Booking
		var hold []byte
		if err := scan(&b.Key, &hold, &b.Slot.Site, &b.Slot.Start, &b.Slot.Length, &b.Place, &b.Service); err != nil {
			return err
		}
		ok := false
		if b.Hold, ok = allocator.HoldIDFrom(hold); !ok {
			return fmt.Errorf("booking %d: its hold is not an id", b.Key)
		}
		st.Slots[b.Slot] = append(st.Slots[b.Slot], b)
		return nil
	}
}

// readPlaces reads the live rows at the claims' own places.
func (t *tx) readPlaces(st *allocator.RecordState, items []allocator.Recording) error {
	type place struct {
		slot allocator.SlotID
		n    int32
	}
	seen := make(map[place]bool)
	var in list
	for i := range items {
		for j := range items[i].Claims {
			c := &items[i].Claims[j]
			if at := (place{c.Slot, c.Place}); !seen[at] {
				seen[at] = true
				in.open()
				in.slot(c.Slot)
				in.number(int64(c.Place))
				in.shut()
			}
		}
	}
	return t.each("SELECT "+placeColumns+` FROM json_each(?) j CROSS JOIN bookings b
		ON b.site_id = j.value ->> 0 AND b.starts_at = j.value ->> 1 AND b.length = j.value ->> 2 AND b.place = j.value ->> 3
			AND b.ended_at IS NULL`, in.argument(), scanPlace(st))
}

// readSlots reads all live rows of slots.
func (t *tx) readSlots(st *allocator.RecordState, slots []allocator.SlotID) error {
	var in list
	for _, s := range slots {
		in.open()
		in.slot(s)
		in.shut()
	}
	return t.each("SELECT "+placeColumns+` FROM json_each(?) j CROSS JOIN bookings b
		ON b.site_id = j.value ->> 0 AND b.starts_at = j.value ->> 1 AND b.length = j.value ->> 2 AND b.ended_at IS NULL`,
		in.argument(), scanPlace(st))
}

func (l *list) slot(s allocator.SlotID) {
	l.string(string(s.Site))
	l.number(int64(s.Start))
	l.number(int64(s.Length))
}

// apply writes what was decided, in the order that RecordWrites asks for.
func (t *tx) apply(w *allocator.RecordWrites) error {
	if err := t.update(w.Update); err != nil {
		return err
	}
	if err := t.append(w.Insert, w.Events); err != nil {
		return err
	}
	for _, site := range w.Raise {
		t.touchSite(site)
		if err := t.exec("UPDATE sites SET generation = generation + 1 WHERE site_id = ?", string(site)); err != nil {
			return err
		}
	}
	return nil
}

// update writes rows in place, each from the version before.
func (t *tx) update(rows []allocator.Booking) error {
	for i := range rows {
		b := &rows[i]
		var replacedBy, endedAt any
		if b.ReplacedBy != 0 {
			replacedBy = int64(b.ReplacedBy)
		}
		if !b.Status.Live() {
			endedAt = t.now
		}
		n, err := t.change(`UPDATE bookings SET status = ?, version = ?, reason = ?, replaced_by = ?, ended_at = ?
			WHERE booking_key = ? AND version = ?`,
			string(b.Status), int64(b.Version), b.Reason, replacedBy, endedAt, int64(b.Key), int64(b.Version-1))
		if err == nil && n != 1 {
			err = fmt.Errorf("booking %d is not at version %d", b.Key, b.Version-1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// append adds rows, each with the number of its grant's claims, and events. The row of a booking is its booked event too;
// both are numbered in the order of the events.
func (t *tx) append(bookings []allocator.Booking, events []allocator.Event) error {
	if len(bookings)+len(events) == 0 {
		return nil
	}
	id, err := t.nextID()
	if err != nil {
		return err
	}
	origins := make(map[allocator.BookingKey]origin, len(bookings))
	var later [][]any
	for i := range events {
		if e := &events[i]; e.Type == allocator.EventBooked {
			origins[e.Booking] = origin{id, e.Actor}
		} else {
			later = append(later, eventRow(id, e))
		}
		id++
	}
	claims := make(map[allocator.HoldID]int, len(bookings))
	for i := range bookings {
		claims[bookings[i].Hold]++
	}
	rows := make([][]any, len(bookings))
	for i := range bookings {
		from, booked := origins[bookings[i].Key]
		if !booked {
			from = origin{id, nil}
			id++
		}
		rows[i] = bookingRow(&bookings[i], from, claims[bookings[i].Hold], t.now)
	}
	if err := t.insert(insertBookings, rows, ""); err != nil {
		return err
	}
	return t.insert(insertEvents, later, "")
}

// emit appends events of what was there already.
func (t *tx) emit(events []allocator.Event) error { return t.append(nil, events) }
