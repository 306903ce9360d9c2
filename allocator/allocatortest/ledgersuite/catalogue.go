package ledgersuite

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"muster/allocator"
)

// testInstallation: the schema, the clock and the secret.
func testInstallation(t *testing.T, l allocator.Ledger) {
	must(t, l.Check(t.Context()))
	first, err := l.Now(t.Context())
	must(t, err)
	second, err := l.Now(t.Context())
	must(t, err)
	if second.Before(first) || first.Year() < 2020 {
		t.Errorf("the clock says %v, then %v", first, second)
	}
	var mu sync.Mutex
	seen := make(map[string]int)
	Race(16, func(i int) {
		secret := definite(t, func() ([]byte, error) {
			return l.Agree(t.Context(), "secret", fmt.Appendf(nil, "candidate \x00 %d", i))
		})
		mu.Lock()
		defer mu.Unlock()
		seen[string(secret)]++
	})
	if len(seen) != 1 {
		t.Errorf("racing callers got different secrets: %v", seen)
	}
	again, err := l.Agree(t.Context(), "secret", []byte("another candidate"))
	must(t, err)
	if seen[string(again)] != 16 {
		t.Errorf("the secret became %q, was one of %v", again, seen)
	}
	other, err := l.Agree(t.Context(), "other", []byte("12"))
	must(t, err)
	if string(other) != "12" {
		t.Errorf("another setting is %q", other)
	}
}

// testCatalogue: sites, services and days are stored whole, listed in order and in pages.
func testCatalogue(t *testing.T, l allocator.Ledger) {
	t.Run("Sites", func(t *testing.T) { testSites(t, l) })
	t.Run("Publishers", func(t *testing.T) { testPublishers(t, l) })
	t.Run("Services", func(t *testing.T) { testServices(t, l) })
	t.Run("Days", func(t *testing.T) { testDays(t, l) })
}

func testSites(t *testing.T, l allocator.Ledger) {
	if _, ok, err := l.Site(t.Context(), "none"); ok || err != nil {
		t.Errorf("an unknown site: %v, %v", ok, err)
	}
	put := func(site allocator.Site, created bool, version int64) {
		t.Helper()
		got, err := l.PutSite(t.Context(), site, Actor)
		must(t, err)
		stored, ok, err := l.Site(t.Context(), site.ID)
		must(t, err)
		site.Generation, site.Version = 0, version
		same(t, "site", fmt.Sprint(got, ok, textOf(stored)), fmt.Sprint(created, true, textOf(site)))
	}
	site := SiteOf("site-b")
	put(site, true, 1)
	put(site, false, 1) // equal details keep their version
	site.Offline, site.AddressLines, site.Version, site.Generation = true, nil, 77, 99
	put(site, false, 2)
	bare := allocator.Site{ID: "site-a", TimeZone: "UTC"}
	put(bare, true, 1)
	for i := range 5 {
		put(SiteOf(allocator.SiteID(fmt.Sprintf("site-c%d", i))), true, 1)
	}
	var listed []allocator.SiteID
	for after := allocator.SiteID(""); ; {
		page, err := l.Sites(t.Context(), after, 3)
		must(t, err)
		if len(page) == 0 {
			break
		}
		if len(page) > 3 {
			t.Fatalf("a page of %d", len(page))
		}
		for _, s := range page {
			listed, after = append(listed, s.ID), s.ID
		}
	}
	same(t, "listed", listed, []allocator.SiteID{"site-a", "site-b", "site-c0", "site-c1", "site-c2", "site-c3", "site-c4"})
}

// testPublishers: a site belongs to whoever made it, also where several try at once; others leave it as it is.
func testPublishers(t *testing.T, l allocator.Ledger) {
	site := func(publisher string) allocator.Site {
		s := SiteOf("site-own")
		s.Name, s.Publisher = "of "+publisher, publisher
		return s
	}
	var mu sync.Mutex
	made := make(map[string]bool)
	Race(8, func(i int) {
		publisher := fmt.Sprint("chain-", i%2)
		created, err := l.PutOwnSite(t.Context(), site(publisher), Actor)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case created:
			made[publisher] = true
		case err != nil && allocator.CodeOf(err) != allocator.CodeSiteUnknown:
			t.Errorf("racing publishers: %v", err)
		}
	})
	stored, ok, err := l.Site(t.Context(), "site-own")
	must(t, err)
	if !ok || len(made) != 1 || !made[stored.Publisher] || stored.Name != "of "+stored.Publisher || stored.Version != 1 {
		t.Fatalf("made by %v, stored %+v", made, stored)
	}
	for _, other := range []string{"chain-x", ""} {
		if created, err := l.PutOwnSite(t.Context(), site(other), Actor); created || allocator.CodeOf(err) != allocator.CodeSiteUnknown {
			t.Errorf("%q writes a site of %s: %v, %v", other, stored.Publisher, created, err)
		}
	}
	unnamed := stored
	unnamed.Name, unnamed.Publisher = "renamed", ""
	must(t, one(l.PutSite(t.Context(), unnamed, Actor)))
	renamed, _, err := l.Site(t.Context(), "site-own")
	must(t, err)
	if renamed.Publisher != stored.Publisher || renamed.Name != "renamed" {
		t.Errorf("a site that names no publisher: %+v", renamed)
	}
	must(t, one(l.PutSite(t.Context(), site("chain-x"), Actor)))
	created, err := l.PutOwnSite(t.Context(), site("chain-x"), Actor)
	must(t, err)
	if moved, _, err := l.Site(t.Context(), "site-own"); created || err != nil || moved.Publisher != "chain-x" {
		t.Errorf("moved: %+v, %v", moved, err)
	}
	bare := allocator.Site{ID: "site-nobody", TimeZone: "UTC"}
	if _, err := l.PutOwnSite(t.Context(), bare, Actor); allocator.CodeOf(err) != allocator.CodeSiteUnknown {
		t.Errorf("nobody made a site: %v", err)
	}
	must(t, one(l.PutSite(t.Context(), bare, Actor)))
	if _, err := l.PutOwnSite(t.Context(), bare, Actor); allocator.CodeOf(err) != allocator.CodeSiteUnknown {
		t.Errorf("nobody's site was taken: %v", err)
	}
}

func testServices(t *testing.T, l allocator.Ledger) {
	service := allocator.Service{
		Code: "RSV:Adult", Name: "RSV for adults", Programme: "RSV", Dose: 2, OnePerPerson: true, BookingOpens: 1_800_000_000_000,
		FirstDate: 20_900, LastDate: 21_000, MinLeadHours: 4, WindowDays: 90,
		Eligibility: allocator.Eligibility{MinAge: 75, MaxAge: 79},
	}
	put := func(s allocator.Service, created bool) {
		t.Helper()
		got, err := l.PutService(t.Context(), s, Actor)
		must(t, err)
		if got != created {
			t.Errorf("put service %s: created %v", s.Code, got)
		}
	}
	put(service, true)
	put(service, false)
	put(allocator.DefaultService("COVID:18+"), true)
	service.OnePerPerson, service.Version = false, 50
	put(service, false)
	listed, err := l.Services(t.Context())
	must(t, err)
	covid := allocator.DefaultService("COVID:18+")
	covid.Version, service.Version = 1, 2
	same(t, "services", listed, []allocator.Service{covid, service})
}

func testDays(t *testing.T, l allocator.Ledger) {
	a, b := NewWorld(t, l, "days-a"), NewWorld(t, l, "days-b")
	never, err := l.Day(t.Context(), a.Site, a.Date)
	must(t, err)
	same(t, "a day never published", never, allocator.Day{Site: a.Site, Date: a.Date})
	session := Open(4, Blue, Green)
	session.ID, session.Stopped, session.Invited = "morning", true, true
	session.Breaks = []allocator.Break{{From: 10 * 60, Until: 10*60 + 30}}
	var want []allocator.Day
	for _, w := range []*World{a, b} {
		for offset := range allocator.Date(4) {
			change := w.Change(session, Open(1, Orange))
			change.Day.Date += offset
			w.PublishAll(t, change)
			want = append(want, allocator.Day{Site: w.Site, Date: change.Day.Date, Revision: 1, Sessions: change.Day.Sessions})
		}
	}
	one, err := l.Day(t.Context(), b.Site, b.Date)
	must(t, err)
	same(t, "a day", one, want[4])
	list := func(from allocator.Date) (days []allocator.Day) {
		for after := (allocator.DayRevision{}); ; {
			page, err := l.Days(t.Context(), after, from, 3)
			must(t, err)
			if len(page) == 0 || len(page) > 3 {
				return days
			}
			last := page[len(page)-1]
			days, after = append(days, page...), allocator.DayRevision{Site: last.Site, Date: last.Date}
		}
	}
	same(t, "all days", list(0), want)
	same(t, "days from a date on", list(a.Date+2), slices.Concat(want[2:4], want[6:8]))
	page, err := l.Days(t.Context(), allocator.DayRevision{Site: a.Site, Date: a.Date + 3}, 0, 1)
	must(t, err)
	same(t, "the day after the first site's last", page, want[4:5])
}

// testEpochs: a compare-and-set, closed for a while to an incarnation that was replaced.
func testEpochs(t *testing.T, l allocator.Ledger) {
	open := func(shard int, expected int64, identity string, want allocator.ShardEpoch, opened bool) {
		t.Helper()
		got, ok, err := l.OpenEpoch(t.Context(), shard, expected, identity)
		must(t, err)
		if got != want || ok != opened {
			t.Errorf("open shard %d after %d by %s: %v, %v", shard, expected, identity, got, ok)
		}
	}
	refused := func(shard int, expected int64, identity string) {
		t.Helper()
		if _, ok, err := l.OpenEpoch(t.Context(), shard, expected, identity); ok || !errors.Is(err, allocator.ErrIdentitySuperseded) {
			t.Errorf("open by the superseded %s: %v, %v", identity, ok, err)
		}
	}
	none, err := l.Epochs(t.Context())
	must(t, err)
	same(t, "epochs of a fresh ledger", none, map[int]allocator.ShardEpoch{})
	open(0, 1, "a", allocator.ShardEpoch{}, false)
	open(0, 0, "a", allocator.ShardEpoch{Epoch: 1, Identity: "a"}, true)
	open(0, 0, "a", allocator.ShardEpoch{Epoch: 1, Identity: "a"}, false) // repeated
	open(0, 0, "b", allocator.ShardEpoch{Epoch: 1, Identity: "a"}, false)
	open(0, 1, "a", allocator.ShardEpoch{Epoch: 2, Identity: "a"}, true) // the present one again, after a flush
	open(0, 2, "b", allocator.ShardEpoch{Epoch: 3, Identity: "b"}, true)
	refused(0, 3, "a")
	refused(0, 2, "a")
	open(0, 3, "c", allocator.ShardEpoch{Epoch: 4, Identity: "c"}, true)
	refused(0, 4, "a")
	refused(0, 4, "b")
	open(7, 0, "a", allocator.ShardEpoch{Epoch: 1, Identity: "a"}, true) // superseded elsewhere only
	all, err := l.Epochs(t.Context())
	must(t, err)
	same(t, "epochs", all, map[int]allocator.ShardEpoch{0: {Epoch: 4, Identity: "c"}, 7: {Epoch: 1, Identity: "a"}})
	raceEpochs(t, l)
}

// raceEpochs: of many openers, one opens; the others learn whom.
func raceEpochs(t *testing.T, l allocator.Ledger) {
	type answer struct {
		epoch  allocator.ShardEpoch
		opened bool
	}
	answers := make([]answer, 32)
	Race(len(answers), func(i int) {
		answers[i] = definite(t, func() (a answer, err error) {
			a.epoch, a.opened, err = l.OpenEpoch(t.Context(), 9, 0, fmt.Sprint("node-", i))
			return a, err
		})
	})
	opened := 0
	for i, a := range answers {
		if a.epoch != answers[0].epoch || a.epoch.Epoch != 1 {
			t.Errorf("opener %d was told %v, another one %v", i, a.epoch, answers[0].epoch)
		}
		if a.opened {
			opened++
		}
	}
	if opened > 1 {
		t.Errorf("%d openers won", opened)
	}
}
