package linksimport

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"muster/allocator"
	"muster/cmd/muster/bulk"
	"muster/publicweb"
)

// Job is one import. Ledger, Postcodes, URL and Messages are needed; the zero value of another field means its default.
type Job struct {
	Ledger    allocator.Ledger
	Postcodes allocator.Postcodes
	URL       string    // of the manifest; user and password in it are sent to its own host alone
	Messages  io.Writer // for people: progress, and each line that failed
	Actor     string    // for the audit trail

	Publisher      string                // whoever may change the sites' capacity; default: the manifest's host
	Service        allocator.ServiceCode // of every schedule; default: as each says
	CreateServices bool                  // unknown services are created with their defaults
	Zone           string                // of sites; default Europe/London
	AllowPrivate   bool                  // addresses that are not public may be called
	Limits         Limits
	Now            func() time.Time // default time.Now
}

// Limits bound what a publisher can make an import do. The zero value of a field means its default.
type Limits struct {
	ManifestBytes int64         // unpacked; default 16 MiB
	PackedBytes   int64         // of a file as it is sent; default 2 GiB
	PlainBytes    int64         // of a file unpacked; default 4 GiB
	LineBytes     int           // default 1 MiB
	Files         int           // that a manifest names; default 20,000
	Redirects     int           // one after the other; default 5
	Names         int           // of locations, and of schedules; default 1,000,000
	Slots         int           // default 100,000,000
	SlotsPerSite  int           // default 1,000,000
	Stall         time.Duration // without a byte; default 60 s
	RetryAfter    time.Duration // default 1 s
}

func (l Limits) withDefaults() Limits {
	l.ManifestBytes, l.PackedBytes, l.PlainBytes = cmp.Or(l.ManifestBytes, 16<<20), cmp.Or(l.PackedBytes, 2<<30), cmp.Or(l.PlainBytes, 4<<30)
	l.LineBytes, l.Files, l.Redirects = cmp.Or(l.LineBytes, bulk.MaxLineBytes), cmp.Or(l.Files, 20_000), cmp.Or(l.Redirects, 5)
	l.Names, l.Slots, l.SlotsPerSite = cmp.Or(l.Names, 1_000_000), cmp.Or(l.Slots, 100_000_000), cmp.Or(l.SlotsPerSite, 1_000_000)
	l.Stall, l.RetryAfter = cmp.Or(l.Stall, time.Minute), cmp.Or(l.RetryAfter, time.Second)
	return l
}

// Report tells what became of an import.
type Report struct {
	Files, Lines, Locations, Schedules, Slots int
	Sites, Days                               int // written, or found as they are
	Failed                                    int // lines, and days
	Past                                      int // slots of days that are over
	Tolerated                                 map[string]int
}

// run is an import under way.
type run struct {
	Job
	fetch     *fetcher
	zone      *time.Location
	progress  *bulk.Progress
	report    Report
	file      string // that is being read
	line      int
	sites     map[string]int32 // locations by id; -1: refused
	siteIDs   []allocator.SiteID
	perSite   []int32        // slots
	refused   map[int32]bool // by the ledger, by number in siteIDs
	schedules map[string]int32
	services  []scheduled
	codes     map[allocator.ServiceCode]allocator.ServiceCode // one text for each
	waiting   []waitingSite
	spill     *spill
}

// scheduled is a schedule: the site and the service that its slots belong to.
type scheduled struct {
	site    int32
	service allocator.ServiceCode
}

func newRun(j Job) *run {
	return &run{
		Job: j, sites: make(map[string]int32), refused: make(map[int32]bool), schedules: make(map[string]int32),
		codes: make(map[allocator.ServiceCode]allocator.ServiceCode), report: Report{Tolerated: make(map[string]int)},
	}
}

// maxLinesShown bounds the failed lines that are told one by one.
const maxLinesShown = 1000

// Load imports. The error is one of the whole import, or says that some lines failed; the report is good in both cases.
func (j Job) Load(ctx context.Context) (Report, error) {
	r := newRun(j)
	if err := r.prepare(); err != nil {
		return r.report, err
	}
	defer r.spill.remove()
	err := r.all(ctx)
	r.tell()
	switch {
	case ctx.Err() != nil:
		return r.report, fmt.Errorf("%w: %w", bulk.ErrInterrupted, ctx.Err())
	case err != nil:
		return r.report, err
	case r.report.Failed > 0:
		return r.report, fmt.Errorf("%w: %d of %d", bulk.ErrLinesFailed, r.report.Failed, r.report.Lines)
	}
	return r.report, nil
}

func (r *run) prepare() (err error) {
	r.Limits = r.Limits.withDefaults()
	if r.Now == nil {
		r.Now = time.Now
	}
	if r.zone, err = time.LoadLocation(cmp.Or(r.Zone, "Europe/London")); err != nil {
		return fmt.Errorf("time zone %q is not known", r.Zone)
	}
	if r.Service != "" && !r.Service.Valid() {
		return fmt.Errorf("%q is not a service code", r.Service)
	}
	manifest, err := url.Parse(r.URL)
	if err != nil {
		return errors.New("the manifest's URL cannot be read")
	}
	r.fetch = newFetcher(manifest, r.AllowPrivate, r.Limits)
	if err := publicweb.CheckURL(r.fetch.manifest); err != nil {
		return err
	}
	if r.Publisher = cmp.Or(r.Publisher, manifest.Hostname()); len(r.Publisher) > allocator.MaxNameBytes {
		return errors.New("the publisher's name is too long")
	}
	r.progress = bulk.NewProgress(r.Messages, "lines")
	r.spill, err = newSpill()
	return err
}

func (r *run) all(ctx context.Context) error {
	outputs, err := r.readManifest(ctx)
	if err != nil {
		return err
	}
	for _, kind := range []struct {
		name string
		take func(ctx context.Context, line []byte) error
	}{{"Location", r.location}, {"Schedule", r.schedule}, {"Slot", r.slot}} {
		for _, o := range outputs {
			if o.Type != kind.name {
				continue
			}
			if err := r.readFile(ctx, o, kind.take); err != nil {
				return fmt.Errorf("%s: %w; no capacity was changed", o.at, err)
			}
		}
		if err := r.writeSites(ctx); err != nil {
			return err
		}
	}
	return r.writeDays(ctx)
}

// tolerate counts something that is wrong and plain all the same.
func (r *run) tolerate(name string) { r.report.Tolerated[name]++ }

// refuse tells of a line that failed.
func (r *run) refuse(fault error) {
	r.refuseAt(fmt.Sprintf("%s, line %d", r.file, r.line), fault)
}

func (r *run) refuseAt(where string, fault error) {
	if r.report.Failed++; r.report.Failed <= maxLinesShown {
		r.progress.Print("%s: %v", where, fault)
	}
	if r.report.Failed == maxLinesShown {
		r.progress.Print("further lines that fail are only counted")
	}
}

// tell sums up.
func (r *run) tell() {
	t := &r.report
	r.progress.Print("%d files with %d lines: %d locations, %d schedules, %d slots, %d lines failed, %v",
		t.Files, t.Lines, t.Locations, t.Schedules, t.Slots, t.Failed, r.progress.Elapsed().Round(10*time.Millisecond))
	if t.Past > 0 {
		r.progress.Print("%d slots are over, and were left out", t.Past)
	}
	for _, name := range slices.Sorted(maps.Keys(t.Tolerated)) {
		r.progress.Print("tolerated: %s, %d times", name, t.Tolerated[name])
	}
}

// siteID names a location by its publisher and its id there, so that no publisher reaches another's sites, and importing
// again finds the same ones.
func siteID(publisher, location string) allocator.SiteID {
	sum := sha256.Sum256([]byte(strings.ToLower(publisher) + "\x00" + location))
	return allocator.SiteID("L" + base32.HexEncoding.EncodeToString(sum[:])[:19])
}
