package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"muster/allocator"
	"muster/cmd/muster/bulk"
	"muster/cmd/muster/sample"
)

const (
	sampleDays   = 28
	samplePage   = 5_000
	sampleBatch  = 512
	sampleActor  = "sample"
	siteAtOnce   = 16
	publishLanes = 2
)

// loadSample fills an empty ledger with the sample. In a ledger that has it already, it adds the days that are missing:
// those of a load that was broken off, and those that came into reach since. What was changed there stays, and a ledger
// that begins with other sites is left alone.
func (p *program) loadSample(ledger allocator.Ledger, now time.Time) error {
	ctx, messages := p.ctx, p.stderr
	first, err := ledger.Sites(ctx, "", 1)
	if err != nil {
		return err
	}
	if len(first) > 0 && first[0].Publisher != sample.Publisher {
		fmt.Fprintln(messages, "--sample: the ledger has sites of its own, so none are added")
		return nil
	}
	sites, err := sample.Sites()
	if err != nil {
		return err
	}
	if p.sampled != nil {
		sites = slices.DeleteFunc(sites, func(s allocator.Site) bool { return !p.sampled(&s) })
	}
	started := time.Now()
	if err := putSample(ctx, ledger, sites); err != nil {
		return err
	}
	progress := bulk.NewProgress(messages, "days of sample sessions")
	days, err := publishSample(ctx, ledger, sites, now, progress)
	if err == nil && days > 0 {
		progress.Print("loaded %d sites and %d days of made-up sessions in %v", len(sites), days, time.Since(started).Round(10*time.Millisecond))
	}
	return err
}

// putSample puts services and sites; equal ones stay as they are.
func putSample(ctx context.Context, ledger allocator.Ledger, sites []allocator.Site) error {
	known, err := allSites(ctx, ledger)
	if err != nil {
		return err
	}
	if len(known) < len(sites) { // a service that somebody changed is changed back only while the load is not complete
		for _, s := range sample.Services() {
			if _, err := ledger.PutService(ctx, s, sampleActor); err != nil {
				return err
			}
		}
	}
	var missing []allocator.Site
	for i := range sites {
		if !known[sites[i].ID] {
			missing = append(missing, sites[i])
		}
	}
	return inParallel(ctx, siteAtOnce, missing, func(ctx context.Context, site allocator.Site) error {
		_, err := ledger.PutSite(ctx, site, sampleActor)
		return err
	})
}

func allSites(ctx context.Context, ledger allocator.Ledger) (map[allocator.SiteID]bool, error) {
	known := make(map[allocator.SiteID]bool)
	for after := allocator.SiteID(""); ; {
		page, err := ledger.Sites(ctx, after, samplePage)
		if err != nil {
			return nil, err
		}
		for i := range page {
			known[page[i].ID] = true
		}
		if len(page) < samplePage {
			return known, nil
		}
		after = page[len(page)-1].ID
	}
}

// publishSample publishes the days that the ledger does not know, and answers how many.
func publishSample(ctx context.Context, ledger allocator.Ledger, sites []allocator.Site, now time.Time, progress *bulk.Progress) (int, error) {
	zone, err := time.LoadLocation(sites[0].TimeZone)
	if err != nil {
		return 0, err
	}
	today := allocator.DateOf(now.In(zone))
	known, err := allDays(ctx, ledger, today)
	if err != nil {
		return 0, err
	}
	var batches [][]allocator.DayChange
	var batch []allocator.DayChange
	days := 0
	for i := range sites {
		for date := today; date < today+sampleDays; date++ {
			day, open := sample.Day(&sites[i], date)
			if !open || known[allocator.DayRevision{Site: sites[i].ID, Date: date}] {
				continue
			}
			days++
			batch = append(batch, allocator.DayChange{Day: day, Zone: zone, Actor: sampleActor})
			if len(batch) == sampleBatch {
				batches, batch = append(batches, batch), nil
			}
		}
	}
	if len(batch) > 0 {
		batches = append(batches, batch)
	}
	var mu sync.Mutex
	done := 0
	err = inParallel(ctx, publishLanes, batches, func(ctx context.Context, batch []allocator.DayChange) error {
		results, err := ledger.Publish(ctx, batch)
		if err != nil {
			return err
		}
		for i := range results {
			if o := results[i].Outcome; o != allocator.Published {
				return fmt.Errorf("sample day %s %s: the ledger answered with outcome %d, services %v",
					batch[i].Day.Site, batch[i].Day.Date, o, results[i].Unknown)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		done += len(batch)
		progress.Show(done, 0, float64(done)/float64(days))
		return nil
	})
	return days, err
}

// allDays lists the days that were ever published, from a date on. Revisions are left out of the keys.
func allDays(ctx context.Context, ledger allocator.Ledger, from allocator.Date) (map[allocator.DayRevision]bool, error) {
	known := make(map[allocator.DayRevision]bool)
	for after := (allocator.DayRevision{}); ; {
		page, err := ledger.Days(ctx, after, from, samplePage)
		if err != nil {
			return nil, err
		}
		for i := range page {
			after = allocator.DayRevision{Site: page[i].Site, Date: page[i].Date}
			known[after] = true
		}
		if len(page) < samplePage {
			return known, nil
		}
	}
}

// inParallel works on items, n at a time, until one fails.
func inParallel[T any](ctx context.Context, n int, items []T, work func(context.Context, T) error) error {
	working, ctx := errgroup.WithContext(ctx)
	working.SetLimit(n)
	for _, item := range items {
		working.Go(func() error { return work(ctx, item) })
	}
	return working.Wait()
}
