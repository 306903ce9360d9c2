package simulation

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"muster/allocator"
	"muster/allocator/allocatortest/checkers"
)

// witness looks at what a message did, for the rare ways that must be taken.
func (w *world) witness(m *message, v verdict) {
	if v.err != nil {
		if refusedByEpoch(v.err) {
			w.path("epoch refused")
		}
		return
	}
	switch m.call.Method {
	case "Record":
		items := m.call.Args[0].([]allocator.Recording)
		for i, r := range v.value.([]allocator.RecordResult) {
			w.witnessRecord(&items[i], &r)
		}
	case "Void":
		for _, r := range v.value.([]allocator.RecordResult) {
			if r.Outcome == allocator.RecordedEver {
				w.path("record beats void")
			}
		}
	case "Load", "Finish":
		if !v.value.(bool) {
			w.path("double rebuild")
		}
	case "Reseat":
		item, r := m.call.Args[2].(allocator.ReseatItem), v.value.(allocator.ReseatResult)
		if r.Outcome == allocator.HoldGranted {
			w.path("re-seated")
			if len(item.Claims) == item.Total && item.Claims[0].Taken == (allocator.HoldID{}) {
				w.reseated[item.ID] = true
			}
		}
	case "Settle", "Free":
		for _, o := range v.value.([]allocator.ApplyOutcome) {
			w.path([...]string{"applied", "set aside", "displaced", "ignored"}[o])
		}
	}
}

func (w *world) witnessRecord(item *allocator.Recording, r *allocator.RecordResult) {
	key := item.Claims[0].Key
	switch r.Outcome {
	case allocator.RecordVoid:
		w.path("void beats record")
	case allocator.RecordPerson:
		w.path("person has a booking")
	case allocator.RecordUnseated:
		w.path("refused by seating")
	case allocator.Recorded, allocator.RecordedEver:
		if w.unknown[key] {
			w.path("unknown became known")
			delete(w.unknown, key)
		}
		if r.Outcome == allocator.Recorded && w.reseated[item.Claims[0].Hold] {
			w.path("lost hold confirmed by its token")
		}
		if r.Outcome == allocator.Recorded && item.Replaces != 0 {
			w.path("moved")
		}
		if len(r.Raised) > 0 {
			w.path("generation raised")
		}
	}
}

// unheard notes records whose answer is lost.
func (w *world) unheard(m *message) {
	if m.call.Method != "Record" {
		return
	}
	for _, item := range m.call.Args[0].([]allocator.Recording) {
		w.unknown[item.Claims[0].Key] = true
	}
}

// differences tells where inventory and ledger disagree, now that nothing happens any more.
func (w *world) differences() (texts []string) {
	for _, site := range w.sites {
		view, err := w.view(site)
		if err != nil {
			texts = append(texts, fmt.Sprintf("site %s cannot be read: %v", site, err))
			continue
		}
		if !view.Built {
			w.wake(site)
			texts = append(texts, fmt.Sprintf("site %s is not built", site))
			continue
		}
		state, err := w.ledger.SiteState(context.Background(), site, 0, w.day.At(0, w.zone).AddDate(-1, 0, 0))
		if err != nil {
			texts = append(texts, err.Error())
			continue
		}
		texts = append(texts, compare(&view, &state)...)
	}
	return texts
}

// view is what the inventory has of a site.
func (w *world) view(site allocator.SiteID) (allocator.SiteInventory, error) {
	ctx := context.Background()
	shard := allocator.ShardOf(site, w.mix.shards)
	epochs, err := w.ledger.Epochs(ctx)
	if err != nil {
		return allocator.SiteInventory{}, err
	}
	for _, sv := range w.servers {
		if sv.started.Load() {
			return sv.inventory.ReadSite(ctx, shard, epochs[shard].Epoch, site)
		}
	}
	return allocator.SiteInventory{}, fmt.Errorf("no server runs")
}

// wake lets somebody want a place at a site that nobody has asked for since its shard lost its memory: sites are built for
// those who come.
func (w *world) wake(site allocator.SiteID) {
	w.people++
	key := fmt.Sprint("late ", w.people)
	for _, sv := range w.servers {
		if !sv.started.Load() {
			continue
		}
		go func() {
			h, err := sv.a.Hold(context.Background(), allocator.HoldRequest{IdempotencyKey: key, Claims: []allocator.ClaimRequest{
				{Site: site, Service: "RSV", Start: w.day.At(9*60, w.zone)},
			}})
			if err == nil {
				_ = sv.a.Release(context.Background(), h.Token)
			}
		}()
		return
	}
}

// compare tells every place that the two sides see differently.
func compare(view *allocator.SiteInventory, ledger *allocator.SiteLedger) (texts []string) {
	type place struct {
		slot  allocator.SlotID
		place int32
	}
	rows := make(map[place]*allocator.Booking)
	for i := range ledger.Live {
		rows[place{ledger.Live[i].Slot, ledger.Live[i].Place}] = &ledger.Live[i]
	}
	for _, p := range view.Places {
		at := place{p.Slot, p.Place}
		if why := checkers.Unlike(&p, rows[at]); why != "" {
			texts = append(texts, fmt.Sprintf("%v place %d %s", p.Slot, p.Place, why))
		}
		delete(rows, at)
	}
	for at, row := range rows {
		texts = append(texts, fmt.Sprintf("%v place %d is free in the inventory, %v in the ledger", at.slot, at.place, row))
	}
	for date, revision := range ledger.Revisions {
		if known := view.Revisions[date]; known != 0 && known != revision {
			texts = append(texts, fmt.Sprintf("day %v has revision %d in the inventory, %d in the ledger", date, view.Revisions[date], revision))
		}
	}
	return texts
}

// judge hands everything to the checkers.
func (w *world) judge() Result {
	w.mu.Lock()
	paths, faults := maps.Clone(w.paths), maps.Clone(w.faults)
	w.mu.Unlock()
	evidence, err := w.evidence(paths)
	if err != nil {
		w.broken("no evidence: %v", err)
	}
	history := make([]checkers.Op, len(w.history))
	for i, op := range w.history {
		history[i] = *op
	}
	violations, stats := checkers.Check(history, evidence)
	return Result{
		Seed: w.seed, Steps: w.steps, Operations: len(history), Stats: stats, Violations: append(w.failures, violations...),
		Faults: faults, Paths: paths, Digest: w.digest,
	}
}

func (w *world) evidence(paths map[string]int) (*checkers.Evidence, error) {
	ctx := context.Background()
	secret := allocator.NewSecret([]byte(worldSecret))
	persons := make(map[string]allocator.PersonKey)
	for _, op := range w.history {
		for _, c := range op.Claims {
			if c.Person != "" {
				persons[c.Person] = secret.Person(c.Person)
			}
		}
	}
	e := &checkers.Evidence{Persons: persons, Days: w.days, Zone: w.zone, Losses: w.losses, Splits: w.splits, Counted: paths}
	keys := make(map[allocator.BookingKey]bool)
	for after := ""; ; {
		events, next, err := w.ledger.Events(ctx, after, 1000)
		if err != nil {
			return e, err
		}
		if len(events) == 0 {
			break
		}
		e.Events = append(e.Events, events...)
		after = next
	}
	e.Events = slices.DeleteFunc(e.Events, func(e allocator.Event) bool { return e.Type.Catalogue() })
	var ordered []allocator.BookingKey
	for i := range e.Events {
		if key := e.Events[i].Booking; key != 0 && !keys[key] {
			keys[key] = true
			ordered = append(ordered, key)
		}
	}
	var err error
	if e.Bookings, err = w.ledger.Bookings(ctx, ordered); err != nil {
		return e, err
	}
	for _, site := range w.sites {
		view, err := w.view(site)
		if err != nil {
			return e, err
		}
		e.Inventory = append(e.Inventory, view)
	}
	return e, nil
}
