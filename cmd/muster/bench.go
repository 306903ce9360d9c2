package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"muster/bench"
	"muster/loadtest/processes"
)

// No environment variable stands for the flags whose names other commands use for something else: nobody's Redis is measured by
// mistake.
type benchCommand struct {
	Quick       bool             `help:"Less than a minute: one short turn each, of what the ratios compare."`
	JSON        string           `name:"json" type:"path" placeholder:"FILE" help:"Write the report as JSON."`
	Report      string           `env:"-" type:"path" placeholder:"FOLDER" help:"Write the report there as text, JSON, Markdown and pictures."`
	Redis       string           `env:"-" placeholder:"URL" help:"An empty Redis that nobody else uses. None: that of MUSTER_TEST_REDIS_URL, or one is started."`
	Postgres    string           `env:"-" placeholder:"URL" help:"A PostgreSQL whose user may make databases. None: that of MUSTER_TEST_POSTGRES_URL, or one is started."`
	Engines     []string         `placeholder:"NAME" help:"Only these engines, separated by commas."`
	Workloads   []bench.Workload `placeholder:"NAME" help:"Only these workloads, separated by commas."`
	Clients     int              `default:"512" help:"Clients at once (${default})."`
	Repetitions int              `help:"Turns of each engine under each workload; none: 5, with --quick 1, with --scale 3."`
	Time        time.Duration    `help:"How long a turn is measured; none: 4s, with --quick 1s."`
	Rate        float64          `env:"-" help:"Flows a second of the workload steady; none: half of the slowest engine's closed loop."`
	Profile     string           `env:"-" type:"path" placeholder:"FOLDER" help:"Keep a CPU profile of muster's server for each turn."`
	Scale       bool             `env:"-" help:"Measure how muster grows instead: sites, Redis nodes, live claims, cold starts."`
	ScaleSites  []int            `default:"1000,10000,100000" placeholder:"N" help:"Numbers of sites, with 140 slots each (${default})."`
	ScaleNodes  []int            `default:"1,3,6" placeholder:"N" help:"Numbers of Redis nodes (${default})."`
	ScaleClaims int              `default:"10000000" help:"Live claims, as far as memory allows (${default})."`
	Sustained   time.Duration    `help:"Measure flows for so long without a break instead, 10m for example."`
}

// Run measures, tells and writes what was found. An audit that found something is told by the exit code like that of the
// command audit.
func (c *benchCommand) Run(p *program) error {
	o, err := c.options(p)
	if err != nil {
		return err
	}
	servers, err := newBenchServers(p.ctx)
	if err != nil {
		return err
	}
	defer servers.stop()
	o.Folder = servers.folder
	report, err := c.measure(p, o, servers)
	if err != nil && p.ctx.Err() != nil { // what failed for that is no news
		return fmt.Errorf("asked to finish before all was measured: %w", p.ctx.Err())
	}
	if report == nil {
		return err
	}
	if _, failed := fmt.Fprint(p.stdout, report.Table()); failed != nil {
		return failed
	}
	if failed := c.write(report); failed != nil {
		return failed
	}
	if errors.Is(err, bench.ErrDoesNotCount) {
		return fmt.Errorf("%w: %w", errDiffers, err)
	}
	return err
}

// options are those of the run, servers apart. What is wrong with them is found before anything is started.
func (c *benchCommand) options(p *program) (bench.Options, error) {
	switch {
	case c.Scale && c.Sustained > 0 || c.Quick && (c.Scale || c.Sustained > 0):
		return bench.Options{}, usage("--quick, --scale and --sustained are runs of their own: choose one")
	case c.Clients < 1 || c.Repetitions < 0 || c.Time < 0 || c.Rate < 0 || c.Sustained < 0 || c.ScaleClaims < 1:
		return bench.Options{}, usage("a number of bench is below what makes sense")
	}
	for _, n := range append(append([]int{}, c.ScaleSites...), c.ScaleNodes...) {
		if n < 1 {
			return bench.Options{}, usage("--scale-sites and --scale-nodes are numbers from 1")
		}
	}
	self, err := os.Executable()
	if err != nil {
		return bench.Options{}, err
	}
	o := bench.Options{
		Program: self, Self: self, Parts: c.Engines == nil && c.Workloads == nil, Commit: builtFrom(), Command: commandLine(),
		Progress: func(format string, args ...any) { fmt.Fprintf(p.stderr, format+"\n", args...) },
	}
	c.shape(&o)
	o.Clients, o.Rate, o.Profiles = c.Clients, c.Rate, c.Profile
	if c.Repetitions > 0 {
		o.Repetitions = c.Repetitions
	}
	if c.Time > 0 {
		o.Measure = c.Time
	}
	if c.Engines != nil && !c.Scale {
		o.Engines = c.Engines
	}
	if c.Workloads != nil {
		o.Workloads = c.Workloads
	}
	if err := o.Check(); err != nil {
		return o, usageError{err}
	}
	return o, nil
}

// shape chooses the kind of run.
func (c *benchCommand) shape(o *bench.Options) {
	switch {
	case c.Quick:
		*o = o.Quick()
	case c.Scale:
		o.Engines, o.Parts, o.Cold, o.Repetitions = []string{}, false, true, 3
		o.Workloads = []bench.Workload{bench.Spread, bench.Holds, bench.Search}
		o.Slots, o.Capacity, o.HotCapacity = 140, 10, 1
	case c.Sustained > 0: // one long turn of muster, with room for 14 million bookings
		o.Engines, o.Workloads, o.Repetitions, o.Measure = []string{bench.Ours}, []bench.Workload{bench.Sustained}, 1, c.Sustained
		o.Slots, o.Capacity, o.Parts = 50, 100, false
	}
}

// measure finds or starts the servers, and runs.
func (c *benchCommand) measure(p *program, o bench.Options, servers *benchServers) (*bench.Report, error) {
	if o.Profiles != "" {
		if err := os.MkdirAll(o.Profiles, 0o755); err != nil {
			return nil, err
		}
	}
	var err error
	switch {
	case c.Scale:
		err = c.grow(&o, servers)
	case c.whole():
		err = servers.sizes(&o)
	}
	if err == nil {
		err = servers.find(&o, c.Redis, c.Postgres)
	}
	if errors.Is(err, processes.ErrMissing) {
		err = fmt.Errorf("bench compares with Redis and PostgreSQL, and cannot start them here:\n%w\n%s", err, remedy)
	}
	if err != nil {
		return nil, err
	}
	report, err := bench.Run(p.ctx, o)
	if c.Scale && report != nil {
		err = errors.Join(err, c.claims(p, o, servers, report))
	}
	return report, err
}

// whole says whether this is the run that has every ratio.
func (c *benchCommand) whole() bool {
	return !c.Quick && c.Sustained == 0 && c.Engines == nil && c.Workloads == nil
}

// grow adds installations of several sizes, each beside Redis of its own.
func (c *benchCommand) grow(o *bench.Options, servers *benchServers) error {
	for _, n := range c.ScaleSites {
		url, err := servers.redis()
		if err != nil {
			return err
		}
		o.Variants = append(o.Variants, bench.Variant{Name: bench.SitesVariant(n), Redis: []string{url}, Sites: n})
	}
	for _, n := range c.ScaleNodes {
		urls, err := servers.nodes(n)
		if err != nil {
			return err
		}
		o.Variants = append(o.Variants, bench.Variant{Name: bench.NodesVariant(n), Redis: urls})
	}
	return nil
}

// claims measures what many live claims cost, on a Redis that has nothing else.
func (c *benchCommand) claims(p *program, o bench.Options, servers *benchServers, report *bench.Report) error {
	url, err := servers.redis("--appendonly", "no")
	if err == nil {
		report.Claims, err = bench.LiveClaims(p.ctx, url, c.ScaleClaims, o.Progress)
	}
	return err
}

// write leaves the report where it was asked for, in every form.
func (c *benchCommand) write(report *bench.Report) error {
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if c.JSON != "" {
		err = os.WriteFile(c.JSON, text, 0o644)
	}
	if c.Report == "" {
		return err
	}
	kind := "bench"
	switch {
	case c.Scale:
		kind = "scale"
	case c.Sustained > 0:
		kind = "sustained"
	}
	err = errors.Join(err, os.MkdirAll(c.Report, 0o755))
	for name, content := range map[string]string{
		".json": string(text), ".txt": report.Table(), ".md": report.Markdown(), "-flows.svg": report.FlowsPicture(),
		"-latency.svg": report.LatencyPicture(),
	} {
		err = errors.Join(err, os.WriteFile(filepath.Join(c.Report, kind+name), []byte(content), 0o644))
	}
	return err
}
