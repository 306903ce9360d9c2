package ledgersuite

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"muster/allocator"
)

// planOf is a version of a site's plan with everything set.
func (w *World) planOf(version int64, writer string) allocator.SitePlan {
	morning := Open(2, Blue, Green)
	morning.ID, morning.Breaks = "morning", []allocator.Break{{From: 10 * 60, Until: 11 * 60}}
	edit := allocator.DayEdit{Do: allocator.EditBlock, Sessions: []string{"morning"}, From: 9 * 60, Until: 10 * 60}
	return allocator.SitePlan{
		Site: w.Site, Version: version, Due: 1000, Revision: version, Writer: writer, Actor: "nobody\x00 “else”", Cancel: true, Through: w.Date,
		Open: map[allocator.Date]int64{w.Date: 0, w.Date + 1: 7}, Edited: map[allocator.Date]allocator.Sessions{w.Date + 2: {morning}, w.Date + 3: {}},
		Plan: allocator.Plan{
			Closures: []allocator.Closure{{From: w.Date + 9, Until: w.Date + 10, Reason: "Easter"}},
			Series: []allocator.Series{{
				ID: "weekly", From: w.Date, Until: w.Date + 300, Weekdays: []time.Weekday{time.Monday, time.Sunday}, EveryWeeks: 2, Sessions: allocator.Sessions{morning},
				Overrides: []allocator.Override{{Date: w.Date + 7, Sessions: allocator.Sessions{morning}}, {Date: w.Date + 14, Edits: []allocator.DayEdit{edit}}},
				Closures:  []allocator.Closure{{From: w.Date + 20, Until: w.Date + 20}},
			}},
		},
	}
}

// testPlans: a compare-and-set that may be repeated, in order and in pages, which days depend on.
func testPlans(t *testing.T, l allocator.Ledger) {
	w, other, third := NewWorld(t, l, "plans-b"), NewWorld(t, l, "plans-a"), NewWorld(t, l, "plans-c")
	read := func(w *World, want allocator.SitePlan) {
		t.Helper()
		got, err := l.SitePlan(t.Context(), w.Site)
		must(t, err)
		same(t, "a plan", got, want)
	}
	put := func(p allocator.SitePlan, want bool) {
		t.Helper()
		if got := definite(t, func() (bool, error) { return l.PutPlan(t.Context(), p) }); got != want {
			t.Errorf("version %d by %s: stored %v", p.Version, p.Writer, got)
		}
	}
	read(w, allocator.SitePlan{Site: w.Site})
	first, second := w.planOf(1, "a"), w.planOf(2, "b")
	put(second, false)
	put(first, true)
	put(first, true) // repeated
	put(w.planOf(1, "b"), false)
	read(w, first)
	second.Due = 2000
	put(second, true)
	put(first, false)
	read(w, second)
	later := third.planOf(1, "c")
	later.Due = 3000
	put(later, true)
	put(other.planOf(1, "c"), true)

	due := func(by int64, after allocator.SiteID, limit int, want ...allocator.SiteID) {
		t.Helper()
		plans, err := l.DuePlans(t.Context(), by, after, limit)
		must(t, err)
		var sites []allocator.SiteID
		for _, p := range plans {
			sites = append(sites, p.Site)
			if p.Site == w.Site {
				same(t, "a plan that is due", p, second)
			}
		}
		same(t, fmt.Sprintf("due by %d", by), sites, want)
	}
	due(999, "", 10)
	due(1000, "", 10, "plans-a")
	due(2999, "", 10, "plans-a", "plans-b")
	due(2999, "plans-a", 10, "plans-b")
	due(3000, "", 2, "plans-a", "plans-b")
	due(3000, "plans-b", 2, "plans-c")
	testPlanVersions(t, w)
	racePlans(t, w)
}

// testPlanVersions: a day that depends on a plan's version is published while that is current.
func testPlanVersions(t *testing.T, w *World) {
	change := func(version int64, capacity int, want allocator.PublishOutcome) {
		t.Helper()
		c := w.Change(Open(capacity, Blue))
		c.Plan = version
		if r := w.PublishAll(t, c)[0]; r.Outcome != want {
			t.Errorf("a day of version %d: outcome %d, want %d", version, r.Outcome, want)
		}
	}
	change(1, 1, allocator.PublishMismatch)
	change(2, 2, allocator.Published)
	change(0, 3, allocator.Published)
	change(3, 4, allocator.PublishMismatch)
	day, err := w.Ledger.Day(t.Context(), w.Site, w.Date)
	must(t, err)
	if day.Revision != 2 || day.Sessions[0].Capacity != 3 {
		t.Errorf("the day became %s", textOf(day))
	}
}

// racePlans: of many writers of a version one has it, and once it is there, no day of an older one is made any more.
func racePlans(t *testing.T, w *World) {
	for version := int64(3); version < 15; version++ {
		var stored atomic.Int32
		var after allocator.Day
		Race(6, func(i int) {
			if i < 2 {
				c := w.Change(Open(int(10*version)+i, Blue))
				c.Plan = version - 1
				definite(t, func() ([]allocator.PublishResult, error) {
					return w.Ledger.Publish(t.Context(), []allocator.DayChange{c})
				})
				return
			}
			if definite(t, func() (bool, error) { return w.Ledger.PutPlan(t.Context(), w.planOf(version, fmt.Sprint(i))) }) {
				stored.Add(1)
				after = definite(t, func() (allocator.Day, error) { return w.Ledger.Day(t.Context(), w.Site, w.Date) })
			}
		})
		last, err := w.Ledger.Day(t.Context(), w.Site, w.Date)
		must(t, err)
		if stored.Load() != 1 {
			t.Errorf("version %d was stored by %d writers", version, stored.Load())
		}
		same(t, "the day after the plan's next version was written, and in the end", after, last)
	}
}
