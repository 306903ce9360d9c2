package smartlinks

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"muster/allocator"
)

// Source tells what the public may book. *allocator.Allocator is one. Safe for concurrent use.
type Source interface {
	SiteVersions(from allocator.Date) []allocator.SiteVersion // by id
	Services(ctx context.Context) ([]allocator.Service, error)
	Site(ctx context.Context, id allocator.SiteID) (allocator.Site, error)
	Offering(ctx context.Context, r allocator.OfferingRequest) (allocator.Offering, bool)
}

// Options configure a Publisher. BaseURL is needed; the zero value of another field means its default.
type Options struct {
	BaseURL      string           // where the server is for its readers, e.g. "https://booking.example.org"
	Parts        int              // default 64
	Days         int              // how far ahead slots are published; default 28
	RefreshEvery time.Duration    // default 5 s: changes are noticed at most so often
	Tick         time.Duration    // default 15 min
	KeepBytes    int              // of compressed slots; default 64 MiB
	Now          func() time.Time // default time.Now
}

// Publisher makes the manifest and the files. Safe for concurrent use.
type Publisher struct {
	options Options
	source  Source
	form    []byte        // lines, as this program writes them
	making  chan struct{} // held by whoever works a site out

	mu      sync.Mutex
	edition *edition
	kept    map[allocator.SiteID]*record
	bytes   int             // of their pieces
	ahead   map[uint64]bool // prints of this tick under which something newer was read
}

// edition is what is published from one refresh to the next. It never changes.
type edition struct {
	at    time.Time
	tick  time.Time // when its tick began
	until time.Time // when it ends
	print uint64    // of form, services and tick
	parts []part
}

type part struct {
	sites   []allocator.SiteVersion
	regions []string
	details version // of Locations
	offers  version // of Schedules and Slots
}

// version is the state of a file.
type version struct {
	print   uint64
	changed time.Time // when it was noticed
}

// New checks the options and reports every fault.
func New(o Options, source Source) (*Publisher, error) {
	o.Parts, o.Days = cmp.Or(o.Parts, 64), cmp.Or(o.Days, 28)
	o.RefreshEvery, o.Tick = cmp.Or(o.RefreshEvery, 5*time.Second), cmp.Or(o.Tick, 15*time.Minute)
	o.KeepBytes = cmp.Or(o.KeepBytes, 64<<20)
	if o.Now == nil {
		o.Now = time.Now
	}
	o.BaseURL = strings.TrimRight(o.BaseURL, "/")
	var faults []error
	if u, err := url.Parse(o.BaseURL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		faults = append(faults, fmt.Errorf("%q is not the http or https URL of a server", o.BaseURL))
	}
	if o.Parts < 1 || o.Parts > 4096 || o.Days < 1 || o.Days > allocator.MaxHorizonDays || o.Tick < time.Minute || o.RefreshEvery < 0 || o.KeepBytes < 0 {
		faults = append(faults, errors.New("smart scheduling links: an option is out of bounds"))
	}
	form, err := formOf(&o)
	p := &Publisher{options: o, source: source, form: form, making: make(chan struct{}, 1), kept: make(map[allocator.SiteID]*record), ahead: make(map[uint64]bool)}
	return p, errors.Join(append(faults, err)...)
}

// formOf writes a line of each kind, of a site that is everywhere the same: a program that writes them in another way, or for
// another address, gives its files other ETags.
func formOf(o *Options) ([]byte, error) {
	offering := allocator.Offering{Site: allocator.Site{ID: "A", Name: "A", Phone: "1", ODSCode: "A", AddressLines: []string{"A", "B"}}, Zone: time.UTC}
	service := allocator.DefaultService("A")
	lines, err := appendLocation(fmt.Appendln(nil, o.Days), o.BaseURL, &offering.Site, "")
	lines = appendSchedule(lines, o.BaseURL, &offering, &service, "some")
	return newSlotWriter(o.BaseURL, &offering, &service).append(lines, allocator.SlotOffering{Length: 1, Free: 1, Places: 1}), err
}

// current gives the edition to publish, refreshing it where that is due.
func (p *Publisher) current(ctx context.Context) (*edition, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.options.Now()
	tick := now.Truncate(p.options.Tick)
	if e := p.edition; e != nil && e.tick.Equal(tick) && now.Sub(e.at) < p.options.RefreshEvery && !now.Before(e.at) {
		return e, nil
	}
	if p.edition != nil && !p.edition.tick.Equal(tick) {
		clear(p.ahead)
	}
	services, err := p.source.Services(ctx)
	if err != nil {
		return nil, err
	}
	e := &edition{at: now, tick: tick, until: tick.Add(p.options.Tick), parts: make([]part, p.options.Parts)}
	e.print = p.hash(func(h io.Writer) {
		fmt.Fprintln(h, tick.Unix())
		for _, s := range services {
			fmt.Fprintf(h, "%+v\n", s)
		}
	})
	versions := p.source.SiteVersions(allocator.DateOf(tick.UTC()))
	for _, v := range versions {
		at := allocator.ShardOf(v.Site, len(e.parts)) // spread evenly, and the same on every server
		e.parts[at].sites = append(e.parts[at].sites, v)
	}
	for i := range e.parts {
		p.date(ctx, e, i)
	}
	p.forgetOthers(versions)
	p.edition = e
	return e, nil
}

// date finds out whether a part changed since the edition before.
func (p *Publisher) date(ctx context.Context, e *edition, i int) {
	now := &e.parts[i]
	now.details = version{p.hash(func(h io.Writer) {
		for _, v := range now.sites {
			fmt.Fprintln(h, v.Site, v.Details)
		}
	}), e.at}
	now.offers = version{p.hash(func(h io.Writer) {
		fmt.Fprintln(h, e.print)
		for _, v := range now.sites {
			fmt.Fprintln(h, v.Site, v.State)
		}
	}), e.at}
	for p.ahead[now.offers.print] { // sites can have again what they had before
		now.offers.print = p.hash(func(h io.Writer) { fmt.Fprintln(h, now.offers.print) })
	}
	if p.edition != nil {
		before := &p.edition.parts[i]
		if before.offers.print == now.offers.print {
			now.offers = before.offers
		}
		if before.details.print == now.details.print {
			now.details, now.regions = before.details, before.regions
			return
		}
	}
	now.regions = p.regionsOf(ctx, now.sites)
}

// regionsOf lists the regions of a part's sites; none where a site has none.
func (p *Publisher) regionsOf(ctx context.Context, sites []allocator.SiteVersion) (regions []string) {
	for _, v := range sites {
		site, err := p.source.Site(ctx, v.Site)
		if err != nil || site.Region == "" {
			return nil
		}
		if at, known := slices.BinarySearch(regions, site.Region); !known {
			regions = slices.Insert(regions, at, site.Region)
		}
	}
	return regions
}

// hash is the same on every server that writes the same, in the same form.
func (p *Publisher) hash(write func(h io.Writer)) uint64 {
	h := fnv.New64a()
	h.Write(p.form)
	buffered := bufio.NewWriter(h)
	write(buffered)
	_ = buffered.Flush() // a hash takes all
	return h.Sum64()
}

// readAhead notes that a reader of a file got something newer than its ETag stands for, so that nobody takes what he has for
// what the sites have, should they return to that.
func (p *Publisher) readAhead(print uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ahead[print] = true
}

// forgetOthers drops what is kept of sites that are gone. The lock is held.
func (p *Publisher) forgetOthers(versions []allocator.SiteVersion) {
	if len(p.kept) <= len(versions) {
		return
	}
	for id, r := range p.kept {
		if _, known := slices.BinarySearchFunc(versions, id, func(v allocator.SiteVersion, id allocator.SiteID) int { return cmp.Compare(v.Site, id) }); !known {
			p.bytes -= len(r.slots.packed)
			delete(p.kept, id)
		}
	}
}

// etag is weak: packed and unpacked files share it.
func (v version) etag() string { return `W/"` + strconv.FormatUint(v.print, 36) + `"` }
