package bulk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"muster/allocator"
)

// Decode reads a line of capacity: a site's day as POST /v1/capacity takes it.
type Decode func(line []byte) (allocator.PublishRequest, error)

// Capacity loads files of capacity.
type Capacity struct {
	Decode         Decode
	CreateServices bool             // unknown services are created with their defaults
	Now            func() time.Time // default time.Now
}

const (
	// publishBatch is how many days are published in one call.
	publishBatch = 256
	// maxZones bounds the sites whose time zone is remembered.
	maxZones = 20_000
)

// Load loads one file of capacity.
func (c Capacity) Load(ctx context.Context, job Job) (Report, error) {
	return job.run(ctx, c.loader(&job))
}

func (c Capacity) loader(job *Job) *capacityLoader {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &capacityLoader{
		Capacity: c, ledger: job.Ledger, actor: job.Actor,
		zones: make(map[allocator.SiteID]*time.Location), taken: make(map[siteDate]bool),
	}
}

type siteDate struct {
	site allocator.SiteID
	date allocator.Date
}

type capacityLoader struct {
	Capacity
	ledger allocator.Ledger
	actor  string
	zones  map[allocator.SiteID]*time.Location // nil: no such site, or one without a known zone
	batch  []numbered
	taken  map[siteDate]bool // what the batch changes
	held   *numbered         // a change of a day that the batch changes already: it comes next
}

type numbered struct {
	lines  []int // that the change was made of
	change allocator.DayChange
}

func (c *capacityLoader) header([]byte) (bool, error) { return false, nil }

func (c *capacityLoader) line(number int, text []byte) (bool, error) {
	if len(strings.TrimSpace(string(text))) == 0 {
		return false, nil
	}
	if !utf8.Valid(text) {
		return false, errors.New("is not valid UTF-8")
	}
	req, err := c.Decode(text)
	if err != nil {
		return false, explain(err)
	}
	n := numbered{[]int{number}, allocator.DayChange{
		Day:     allocator.Day{Site: req.Site, Date: req.Date, Sessions: req.Day.Sessions},
		IfMatch: req.IfMatch, DryRun: req.DryRun, Cancel: req.Cancel, Actor: c.actor, Services: c.CreateServices,
	}}
	key := siteDate{req.Site, req.Date}
	if c.taken[key] {
		c.held = &n
		return true, nil
	}
	c.taken[key] = true
	c.batch = append(c.batch, n)
	return len(c.batch) >= publishBatch, nil
}

// explain writes all faults of a refusal on one line.
func explain(err error) error {
	var refusal *allocator.Error
	if !errors.As(err, &refusal) || len(refusal.Faults) == 0 {
		return err
	}
	parts := make([]string, 0, len(refusal.Faults))
	for _, f := range refusal.Faults {
		parts = append(parts, strings.TrimSpace(f.Pointer+" "+f.Detail))
	}
	return fmt.Errorf("%s: %s", refusal.Code, strings.Join(parts, "; "))
}

func (c *capacityLoader) write(ctx context.Context, failed func(int, error)) error {
	for {
		if err := c.publish(ctx, failed); err != nil {
			return err
		}
		if c.held == nil {
			return nil
		}
		n := *c.held
		c.held = nil
		c.batch = append(c.batch, n)
	}
}

// publish writes the batch. Nothing is told and nothing forgotten before all of it has its answer, so that it can be
// tried again as a whole.
func (c *capacityLoader) publish(ctx context.Context, failed func(int, error)) error {
	var changes []allocator.DayChange
	var asked []int // of the batch
	faults := make(map[int]error)
	for i := range c.batch {
		fault, err := c.check(ctx, &c.batch[i].change)
		if err != nil {
			return err
		}
		if fault != nil {
			faults[i] = fault
			continue
		}
		changes, asked = append(changes, c.batch[i].change), append(asked, i)
	}
	if len(changes) > 0 {
		results, err := c.ledger.Publish(ctx, changes)
		if err != nil {
			return err
		}
		if len(results) != len(changes) {
			return fmt.Errorf("%d answers to %d days: %w", len(results), len(changes), allocator.ErrOutcomeUnknown)
		}
		for i := range results {
			if fault := refusalOf(&results[i]); fault != nil {
				faults[asked[i]] = fault
			}
		}
	}
	for i := range c.batch {
		if fault := faults[i]; fault != nil {
			c.batch[i].spread(fault, failed)
		}
	}
	c.batch = c.batch[:0]
	clear(c.taken)
	return nil
}

func refusalOf(r *allocator.PublishResult) error {
	switch r.Outcome {
	case allocator.Published:
		return nil
	case allocator.PublishMismatch:
		return allocator.Refuse(allocator.CodeRevisionMismatch, "the day is at revision %d", r.Revision)
	case allocator.PublishSiteUnknown:
		return allocator.Refuse(allocator.CodeSiteUnknown, "no such site")
	case allocator.PublishServices:
		return allocator.Refuse(allocator.CodeServiceUnknown, "no such service: %v (--create-services creates them)", r.Unknown)
	default:
		return fmt.Errorf("the ledger answered with outcome %d", r.Outcome)
	}
}

// check completes a change with its site's zone and looks at its document and date. err means that the ledger failed.
func (c *capacityLoader) check(ctx context.Context, change *allocator.DayChange) (fault, err error) {
	zone, err := c.zone(ctx, change.Day.Site)
	if err != nil {
		return nil, err
	}
	if zone == nil {
		return allocator.Refuse(allocator.CodeSiteUnknown, "no site %q", change.Day.Site), nil
	}
	change.Zone = zone
	today := allocator.DateOf(c.Now().In(zone))
	switch {
	case change.Day.Date < today:
		return allocator.Refuse(allocator.CodeOutsideWindow, "%s is over", change.Day.Date), nil
	case change.Day.Date > today+allocator.MaxHorizonDays:
		return allocator.Refuse(allocator.CodeOutsideWindow, "%s is more than %d days ahead", change.Day.Date, allocator.MaxHorizonDays), nil
	}
	if faults := change.Day.Validate(zone); len(faults) > 0 {
		return explain(&allocator.Error{Code: allocator.CodeInvalid, Faults: faults}), nil
	}
	return nil, nil
}

// zone remembers the zones of sites. Files are mostly in order of sites, so forgetting them all now and then is cheap.
func (c *capacityLoader) zone(ctx context.Context, id allocator.SiteID) (*time.Location, error) {
	if zone, known := c.zones[id]; known {
		return zone, nil
	}
	site, found, err := c.ledger.Site(ctx, id)
	if err != nil {
		return nil, err
	}
	var zone *time.Location
	if found {
		if zone, err = time.LoadLocation(site.TimeZone); err != nil {
			return nil, fmt.Errorf("site %s: %w", id, err)
		}
	}
	if len(c.zones) >= maxZones {
		clear(c.zones)
	}
	c.zones[id] = zone
	return zone, nil
}
