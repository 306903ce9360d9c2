package linksimport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"muster/allocator"
)

const (
	siteBatch    = 128 // sites that are taken in before they are written
	siteWriters  = 16  // of them at the same time: each is a transaction of its own
	publishBatch = 256 // days in one call
	ledgerTries  = 5
)

type waitingSite struct {
	where  string
	number int32 // in siteIDs
	site   allocator.Site
}

// addSite makes a site wait for others to be written beside it.
func (r *run) addSite(ctx context.Context, site allocator.Site) error {
	r.waiting = append(r.waiting, waitingSite{fmt.Sprintf("%s, line %d", r.file, r.line), int32(len(r.siteIDs)) - 1, site})
	if len(r.waiting) < siteBatch {
		return nil
	}
	if err := r.writeSites(ctx); err != nil {
		return &fatal{err}
	}
	return nil
}

// writeSites writes the waiting sites side by side. One that another publisher has by now is refused, with all its days.
func (r *run) writeSites(ctx context.Context) error {
	faults := make([]error, len(r.waiting))
	var writers errgroup.Group
	writers.SetLimit(siteWriters)
	for i := range r.waiting {
		writers.Go(func() error {
			faults[i] = r.patiently(ctx, func(ctx context.Context) error {
				_, err := r.Ledger.PutOwnSite(ctx, r.waiting[i].site, r.Actor)
				return err
			})
			return nil
		})
	}
	_ = writers.Wait() // each has a fault of its own
	for i, fault := range faults {
		var refusal *allocator.Error
		switch {
		case fault == nil:
			r.report.Sites++
		case errors.As(fault, &refusal):
			r.refused[r.waiting[i].number] = true
			r.refuseAt(r.waiting[i].where, fault)
		default:
			return fmt.Errorf("the ledger failed: %w", fault)
		}
	}
	r.waiting = r.waiting[:0]
	return nil
}

// patiently tries a write again where the ledger does not answer: repeating changes nothing.
func (r *run) patiently(ctx context.Context, write func(ctx context.Context) error) error {
	wait := r.Limits.RetryAfter
	for try := 1; ; try++ {
		attempt, cancel := context.WithTimeout(ctx, time.Minute)
		err := write(attempt)
		cancel()
		var refusal *allocator.Error
		if err == nil || errors.As(err, &refusal) || errors.Is(err, allocator.ErrSchema) || try == ledgerTries || ctx.Err() != nil {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
		wait *= 2
	}
}

// writeDays publishes what has waited, site by site.
func (r *run) writeDays(ctx context.Context) error {
	var batch []allocator.DayChange
	for i := range buckets {
		slots, err := r.spill.bucket(i)
		if err != nil {
			return err
		}
		dated := r.dated(slots)
		for start := 0; start < len(dated); {
			end := start + 1
			for end < len(dated) && dated[end].site == dated[start].site && dated[end].date == dated[start].date {
				end++
			}
			if change, ok := r.change(dated[start:end]); ok {
				batch = append(batch, change)
			}
			start = end
			if len(batch) >= publishBatch {
				if err := r.publish(ctx, batch); err != nil {
					return err
				}
				batch = batch[:0]
			}
		}
	}
	return r.publish(ctx, batch)
}

type datedSlot struct {
	slotLine
	site int32
	date allocator.Date
}

// dated sorts slots by site and date, without those of the past, of too far ahead, and of sites that were refused.
func (r *run) dated(slots []slotLine) []datedSlot {
	today := allocator.DateOf(r.Now().In(r.zone))
	list := make([]datedSlot, 0, len(slots))
	for _, s := range slots {
		d := datedSlot{s, r.services[s.schedule].site, allocator.DateOf(s.start.Time().In(r.zone))}
		switch {
		case r.refused[d.site]:
		case d.date < today:
			r.report.Past++
		case d.date > today+allocator.MaxHorizonDays:
			r.tolerate("slot-too-far-ahead")
		default:
			list = append(list, d)
		}
	}
	slices.SortFunc(list, func(a, b datedSlot) int { return cmp.Or(cmp.Compare(a.site, b.site), cmp.Compare(a.date, b.date)) })
	return list
}

// change makes the new document of a site's day.
func (r *run) change(slots []datedSlot) (allocator.DayChange, bool) {
	site, date := r.siteIDs[slots[0].site], slots[0].date
	plain := make([]slotLine, len(slots))
	for i := range slots {
		plain[i] = slots[i].slotLine
	}
	sessions, err := sessionsOf(plain, func(schedule int32) allocator.ServiceCode { return r.services[schedule].service }, r.zone)
	day := allocator.Day{Site: site, Date: date, Sessions: sessions}
	if err == nil {
		err = faultsOf(&day, r.zone)
	}
	if err != nil {
		r.refuseAt(fmt.Sprintf("site %s, %s", site, date), err)
		return allocator.DayChange{}, false
	}
	return allocator.DayChange{Day: day, Zone: r.zone, Actor: r.Actor, Services: r.CreateServices}, true
}

func faultsOf(day *allocator.Day, zone *time.Location) error {
	var parts []string
	for _, f := range day.Validate(zone) {
		parts = append(parts, f.Pointer+" "+f.Detail)
	}
	if len(parts) == 0 {
		return nil
	}
	return errors.New(strings.Join(parts, "; "))
}

// publish writes a batch of days.
func (r *run) publish(ctx context.Context, batch []allocator.DayChange) error {
	if len(batch) == 0 {
		return nil
	}
	var results []allocator.PublishResult
	err := r.patiently(ctx, func(ctx context.Context) (err error) {
		results, err = r.Ledger.Publish(ctx, batch)
		return err
	})
	if err != nil {
		return fmt.Errorf("the ledger failed, after %d days were written: %w", r.report.Days, err)
	}
	for i := range results {
		where := fmt.Sprintf("site %s, %s", batch[i].Day.Site, batch[i].Day.Date)
		switch results[i].Outcome {
		case allocator.Published:
			r.report.Days++
		case allocator.PublishServices:
			r.refuseAt(where, allocator.Refuse(allocator.CodeServiceUnknown, "no such service: %v (--create-services creates them)", results[i].Unknown))
		default:
			r.refuseAt(where, fmt.Errorf("the ledger answered with outcome %d", results[i].Outcome))
		}
	}
	return nil
}
