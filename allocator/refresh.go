package allocator

import (
	"context"
	"fmt"
	"time"
)

const cataloguePage = 2000

const (
	refreshEvery = 2 * time.Second
	// openTransactions is how far a look at what changed reaches back, for transactions that were still open then.
	openTransactions = 15 * time.Second
	sitesEvery       = 20 * time.Second
)

// readCatalogue reads sites, services and days, and returns the instant of the ledger's clock from which changes count.
func (a *Allocator) readCatalogue(ctx context.Context) (since time.Time, err error) {
	if since, err = a.ledger.Now(ctx); err != nil {
		return since, err
	}
	if err := a.readSites(ctx); err != nil {
		return since, err
	}
	return since, a.readDays(ctx)
}

func (a *Allocator) readSites(ctx context.Context) error {
	services, err := a.ledger.Services(ctx)
	if err != nil {
		return err
	}
	a.directory.putServices(services...)
	for after := SiteID(""); ; {
		sites, err := a.ledger.Sites(ctx, after, cataloguePage)
		if err != nil {
			return err
		}
		if err := a.directory.putSites(sites...); err != nil {
			return err
		}
		if len(sites) < cataloguePage {
			return nil
		}
		after = sites[len(sites)-1].ID
	}
}

// readDays reads every day from yesterday on.
func (a *Allocator) readDays(ctx context.Context) error {
	from := DateOf(a.clock.Now().UTC()) - 2
	for after := (DayRevision{}); ; {
		days, err := a.ledger.Days(ctx, after, from, cataloguePage)
		if err != nil {
			return err
		}
		for _, day := range days {
			if entry := a.directory.site(day.Site); entry != nil {
				entry.putDay(day)
			}
		}
		if len(days) < cataloguePage {
			return nil
		}
		last := days[len(days)-1]
		after = DayRevision{Site: last.Site, Date: last.Date}
	}
}

// refresh learns what other servers and imports changed in the ledger.
func (a *Allocator) refresh(ctx context.Context, since time.Time) {
	var sitesRead time.Time
	a.pace.every(ctx, refreshEvery, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		changed, err := a.ledger.Changed(ctx, since.Add(-openTransactions))
		if now := a.clock.Now(); err == nil && now.Sub(sitesRead) > sitesEvery {
			if err = a.readSites(ctx); err == nil {
				sitesRead = now
				a.forgetPast(now)
			}
		}
		if err == nil {
			err = a.changedDays(ctx, changed.Days)
		}
		if err != nil {
			if ctx.Err() == nil {
				a.log.Info("changes of the ledger not read", "error", err)
			}
			return
		}
		for _, e := range changed.Ended {
			a.checkEnded(e)
		}
		since = changed.Now
	})
}

// forgetPast drops days that can be neither shown nor booked any more.
func (a *Allocator) forgetPast(now time.Time) {
	for _, id := range a.directory.allSites() {
		if entry := a.directory.site(id); entry != nil {
			entry.forgetBefore(DateOf(now.UTC()) - 3)
		}
	}
}

// knownSite finds a site, asking the ledger for one that is not known here yet.
func (a *Allocator) knownSite(ctx context.Context, id SiteID) (*siteEntry, error) {
	if entry := a.directory.site(id); entry != nil {
		return entry, nil
	}
	if !id.Valid() {
		return nil, errSiteUnknown()
	}
	err := a.directory.ask(ctx, "site "+string(id), a.clock.Now(), func() error {
		site, ok, err := a.ledger.Site(ctx, id)
		if err != nil || !ok {
			return err
		}
		return a.directory.putSites(site)
	})
	if entry := a.directory.site(id); entry != nil {
		return entry, nil
	}
	if err != nil {
		return nil, ledgerError(err)
	}
	return nil, errSiteUnknown()
}

// knownService finds a service, asking the ledger for one that is not known here yet.
func (a *Allocator) knownService(ctx context.Context, code ServiceCode) (Service, error) {
	if s, ok := a.directory.service(code); ok {
		return s, nil
	}
	if code.Valid() {
		err := a.directory.ask(ctx, "service "+string(code), a.clock.Now(), func() error {
			services, err := a.ledger.Services(ctx)
			if err == nil {
				a.directory.putServices(services...)
			}
			return err
		})
		if s, ok := a.directory.service(code); ok {
			return s, nil
		}
		if err != nil {
			return Service{}, ledgerError(err)
		}
	}
	return Service{}, Refuse(CodeServiceUnknown, "no such service")
}

// catchUp reads a day from the ledger. Where the inventory is known to be behind it, the inventory is told; inventory 0
// means that nothing is known of it.
func (a *Allocator) catchUp(ctx context.Context, entry *siteEntry, date Date, inventory int64) error {
	site := entry.id()
	if inventory == 0 && entry.revision(date) == 0 {
		return a.directory.ask(ctx, fmt.Sprint("day ", site, " ", date), a.clock.Now(), func() error { return a.readDay(ctx, entry, date, 0) })
	}
	return a.readDay(ctx, entry, date, inventory)
}

func (a *Allocator) readDay(ctx context.Context, entry *siteEntry, date Date, inventory int64) error {
	day, err := a.ledger.Day(ctx, entry.id(), date)
	if err != nil {
		return err
	}
	if day.Revision > 0 {
		entry.putDay(day)
	}
	if day.Revision > inventory {
		return a.applyDay(ctx, entry.id(), date, day.Revision)
	}
	return nil
}

// applyDay tells the inventory of a revision.
func (a *Allocator) applyDay(ctx context.Context, site SiteID, date Date, revision int64) error {
	shard := a.Shard(site)
	_, err := onShard(ctx, a.epochs, shard, func(epoch int64) (ApplyOutcome, error) {
		return a.inventory.Apply(ctx, shard, epoch, site, date, revision)
	})
	return err
}
