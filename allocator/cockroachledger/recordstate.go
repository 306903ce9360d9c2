package cockroachledger

import (
	"context"
	"maps"

	"github.com/jackc/pgx/v5"

	"muster/allocator"
)

// recordState reads what DecideRecords needs, and when the rows under its keys last changed. Where the pins prove every
// request, it reads no more than the rows at their own places; else, in a second round trip, the slots and days as a whole.
func (l *Ledger) recordState(ctx context.Context, tx pgx.Tx, items []allocator.Recording) (*allocator.RecordState, lastChanges, error) {
	needs := allocator.NeedsOf(items)
	st := &allocator.RecordState{
		Rows: make(map[allocator.BookingKey]allocator.Booking), Persons: make(map[allocator.PersonDose]allocator.BookingKey),
		Slots: make(map[allocator.SlotID][]allocator.Booking), Days: make(map[allocator.DayID]allocator.Day),
		Sites: make(map[allocator.SiteID]allocator.SiteFacts), Epochs: make(map[int]int64),
	}
	changes := make(lastChanges)
	sites, dates := dayArrays(needs.Days)
	batch := new(pgx.Batch)
	batch.Queue(l.q.Now).QueryRow(func(row pgx.Row) error { return row.Scan(&st.Now) })
	batch.Queue(l.q.RowsByKey, convert[int64](needs.Keys)).Query(keep(st.Rows, changes))
	l.queuePersons(batch, needs.Persons, st)
	l.queuePlaces(batch, items, st)
	batch.Queue(l.q.RevisionsOf, sites, dates).Query(func(rows pgx.Rows) error {
		var d allocator.Day
		_, err := pgx.ForEachRow(rows, []any{&d.Site, (*int32)(&d.Date), &d.Revision}, func() error {
			st.Days[allocator.DayID{Site: d.Site, Date: d.Date}] = d
			return nil
		})
		return err
	})
	l.queueSites(batch, needs.Sites, st)
	l.queueEpochs(batch, needs.Shards, st)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, nil, err
	}
	st.Now = st.Now.UTC()
	if st.Proven(items) {
		return st, changes, nil
	}
	clear(st.Slots)
	batch = new(pgx.Batch)
	l.queueSlots(batch, needs.Slots, st)
	batch.Queue(l.q.DaysByID, sites, dates).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			day, err := scanDay(rows)
			if err != nil {
				return err
			}
			st.Days[allocator.DayID{Site: day.Site, Date: day.Date}] = day
		}
		return rows.Err()
	})
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, nil, err
	}
	return st, changes, l.readLimited(ctx, tx, st)
}

// readLimited reads what else is booked on days that have a maximum.
func (l *Ledger) readLimited(ctx context.Context, tx pgx.Tx, st *allocator.RecordState) error {
	days := st.LimitedDays()
	if len(days) == 0 {
		return nil
	}
	var firsts, lasts []int64
	for _, d := range days {
		first, last := span(d.Date)
		firsts, lasts = append(firsts, first), append(lasts, last)
	}
	sites, dates := dayArrays(days)
	rows, err := tx.Query(ctx, l.q.LiveByDay, sites, dates, firsts, lasts)
	if err != nil {
		return err
	}
	booked := make(map[allocator.SlotID][]allocator.Booking)
	live, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (allocator.Booking, error) {
		b, _, err := scanBooking(row)
		return b, err
	})
	for _, b := range live {
		booked[b.Slot] = append(booked[b.Slot], b)
	}
	maps.Copy(st.Slots, booked)
	return err
}

func (l *Ledger) queuePersons(batch *pgx.Batch, needs []allocator.PersonDose, st *allocator.RecordState) {
	if len(needs) == 0 {
		return
	}
	persons, programmes, doses := make([][]byte, len(needs)), make([]string, len(needs)), make([]int32, len(needs))
	for i, p := range needs {
		persons[i], programmes[i], doses[i] = personBytes(p.Person), p.Programme, int32(p.Dose)
	}
	batch.Queue(l.q.LiveByPerson, persons, programmes, doses).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var person []byte
			var p allocator.PersonDose
			var dose int32
			var key allocator.BookingKey
			if err := rows.Scan(&person, &p.Programme, &dose, &key); err != nil {
				return err
			}
			copy(p.Person[:], person)
			p.Dose = int(dose)
			st.Persons[p] = key
		}
		return rows.Err()
	})
}

func (l *Ledger) queueSlots(batch *pgx.Batch, needs []allocator.SlotID, st *allocator.RecordState) {
	sites, starts, lengths := make([]string, len(needs)), make([]int64, len(needs)), make([]int16, len(needs))
	for i, s := range needs {
		sites[i], starts[i], lengths[i] = string(s.Site), int64(s.Start), s.Length
	}
	batch.Queue(l.q.LiveBySlot, sites, starts, lengths).Query(keepSlots(st))
}

// queuePlaces asks for the rows at the places of claims.
func (l *Ledger) queuePlaces(batch *pgx.Batch, items []allocator.Recording, st *allocator.RecordState) {
	var sites []string
	var starts []int64
	var lengths []int16
	var places []int32
	seen := make(map[slotPlace]bool)
	for i := range items {
		for j := range items[i].Claims {
			c := &items[i].Claims[j]
			if at := (slotPlace{c.Slot, c.Place}); !seen[at] {
				seen[at] = true
				sites, starts = append(sites, string(c.Slot.Site)), append(starts, int64(c.Slot.Start))
				lengths, places = append(lengths, c.Slot.Length), append(places, c.Place)
			}
		}
	}
	batch.Queue(l.q.LiveByPlace, sites, starts, lengths, places).Query(keepSlots(st))
}

// keepSlots keeps of live rows what decisions look at.
func keepSlots(st *allocator.RecordState) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		for rows.Next() {
			var b allocator.Booking
			var hold []byte
			var status string
			err := rows.Scan(&b.Key, &hold, &b.Slot.Site, &b.Slot.Start, &b.Slot.Length, &b.Place, &b.Service, &status)
			if err != nil {
				return err
			}
			if b.Hold, err = holdID(hold); err != nil {
				return err
			}
			b.Status = allocator.Status(status)
			st.Slots[b.Slot] = append(st.Slots[b.Slot], b)
		}
		return rows.Err()
	}
}

func (l *Ledger) queueSites(batch *pgx.Batch, needs []allocator.SiteID, st *allocator.RecordState) {
	batch.Queue(l.q.SiteFacts, convertText(needs)).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var site allocator.SiteID
			var facts allocator.SiteFacts
			var zone string
			err := rows.Scan(&site, &facts.Generation, &zone)
			if err != nil {
				return err
			}
			if facts.Zone, err = l.zone(zone); err != nil {
				return err
			}
			st.Sites[site] = facts
		}
		return rows.Err()
	})
}

func (l *Ledger) queueEpochs(batch *pgx.Batch, needs []int, st *allocator.RecordState) {
	if len(needs) == 0 {
		return
	}
	batch.Queue(l.q.EpochsOf, convert[int64](needs)).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var shard int
			var epoch *int64
			if err := rows.Scan(&shard, &epoch); err != nil {
				return err
			}
			if epoch != nil {
				st.Epochs[shard] = *epoch
			}
		}
		return rows.Err()
	})
}

func convert[To, From ~int | ~int32 | ~int64](values []From) []To {
	out := make([]To, len(values))
	for i, v := range values {
		out[i] = To(v)
	}
	return out
}

func convertText[T ~string](values []T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}

func dayArrays(days []allocator.DayID) (sites []string, dates []int32) {
	sites, dates = make([]string, len(days)), make([]int32, len(days))
	for i, d := range days {
		sites[i], dates[i] = string(d.Site), int32(d.Date)
	}
	return sites, dates
}
