package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"muster/loadtest/attack"
	"muster/loadtest/profile"
	"muster/loadtest/report"
	"muster/loadtest/result"
	"muster/loadtest/threshold"
)

// loadtestCommands are the load test and what is done with its results.
type loadtestCommands struct {
	Run      loadtestCommand  `cmd:"" default:"withargs" help:"Send a load and judge what came of it (the default)."`
	Compare  loadtestCompare  `cmd:"" help:"Two results of JSON side by side."`
	Merge    loadtestMerge    `cmd:"" help:"One result of several generators' of one run."`
	Profiles loadtestProfiles `cmd:"" help:"List and draw the profiles."`
	Targets  loadtestTargets  `cmd:"" help:"Write targets for Vegeta, for those who bring their own attacker."`
}

// loadFlags choose the load.
type loadFlags struct {
	Profile  string        `required:"" placeholder:"NAME" help:"A profile's name, or a file of YAML or JSON. muster loadtest profiles lists them."`
	Scale    float64       `default:"0" help:"Share of the profile's people; 0: what suits a small machine."`
	Duration time.Duration `default:"60s" help:"Length of the load (${default}); profiles of an event keep its people, others their rates."`
	Seed     uint64        `default:"0" help:"The same seed makes the same people; 0: another one each time."`
	Think    time.Duration `default:"0s" help:"How long people look at a page in the middle; 0: by the duration."`
}

// profile reads and fits the profile.
func (f *loadFlags) profile() (profile.Profile, error) {
	p, err := profile.Named(f.Profile)
	if err != nil {
		text, unread := os.ReadFile(f.Profile)
		switch {
		case unread == nil:
			p, err = profile.Parse(text)
		case strings.ContainsAny(f.Profile, "./\\"):
			err = unread
		}
	}
	if err != nil {
		return p, err
	}
	scale := f.Scale
	if scale == 0 {
		scale = p.Scale
	}
	return p.Fit(f.Duration, scale)
}

// think is how long people look at a page in a run of a length.
func (f *loadFlags) think(length time.Duration) time.Duration {
	if f.Think > 0 {
		return f.Think
	}
	return min(20*time.Second, max(50*time.Millisecond, length/60))
}

// errBreached says that a threshold was not held.
var errBreached = errors.New("a threshold was breached")

// judged makes an error of a verdict, so that the program's exit code tells it.
func judged(r *result.Result) error {
	switch report.Judge(r) {
	case report.Held:
		return nil
	case report.Breached:
		return errBreached
	case report.Invalid:
		return errors.New("the run is no valid measurement")
	}
	return fmt.Errorf("%w between what people were told and what the server keeps", errDiffers)
}

// readThresholds reads those of flags and file.
func readThresholds(texts []string, file string) ([]threshold.Threshold, error) {
	var all []threshold.Threshold
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if all, err = threshold.ParseAll(string(text)); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	for _, text := range texts {
		t, err := threshold.Parse(text)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// writeResult writes the files that were asked for.
func writeResult(r *result.Result, page, data string) error {
	if data != "" {
		if err := r.Write(data); err != nil {
			return err
		}
	}
	if page == "" {
		return nil
	}
	land, err := landPoints()
	if err != nil {
		return err
	}
	file, err := os.Create(page)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(file)
	err = report.HTML(out, r, land)
	return errors.Join(err, out.Flush(), file.Close())
}

type loadtestCompare struct {
	First  string `arg:"" help:"The earlier result, of --json."`
	Second string `arg:"" help:"The later one."`
}

// Run compares two results.
func (c *loadtestCompare) Run(p *program) error {
	first, err := result.Read(c.First)
	if err != nil {
		return err
	}
	second, err := result.Read(c.Second)
	if err != nil {
		return err
	}
	return report.Compare(p.stdout, first, second)
}

type loadtestMerge struct {
	Files      []string `arg:"" help:"Results of --json, one of each generator."`
	Threshold  []string `sep:"none" placeholder:"RULE" help:"What the sum must keep to; may be repeated."`
	Thresholds string   `placeholder:"FILE" help:"File of thresholds, one a line."`
	Report     string   `placeholder:"FILE" help:"Write a page of HTML."`
	JSON       string   `name:"json" placeholder:"FILE" help:"Write the sum as JSON."`
}

// Run merges results, and judges the sum as a run is judged.
func (c *loadtestMerge) Run(p *program) error {
	rules, err := readThresholds(c.Threshold, c.Thresholds)
	if err != nil {
		return err
	}
	var all []*result.Result
	for _, name := range c.Files {
		r, err := result.Read(name)
		if err != nil {
			return err
		}
		all = append(all, r)
	}
	r, err := result.Merge(all...)
	if err != nil {
		return err
	}
	return p.conclude(r, rules, c.Report, c.JSON)
}

// conclude decides the thresholds, tells and writes the result, and answers the verdict as an error.
func (p *program) conclude(r *result.Result, rules []threshold.Threshold, page, data string) error {
	r.Thresholds = threshold.Evaluate(rules, r.Measure)
	if err := errors.Join(report.Text(p.stdout, r), writeResult(r, page, data)); err != nil {
		return err
	}
	return judged(r)
}

type loadtestProfiles struct{}

// Run draws the profiles.
func (loadtestProfiles) Run(p *program) error {
	for _, each := range profile.All() {
		fmt.Fprintf(p.stdout, "%s\n  %s\n  %v; a run takes %v of them where --scale is not given\n  %s\n", each.Name, each.Title, each.Curve, each.Scale, each.Mix)
		if each.Source != "" {
			fmt.Fprintf(p.stdout, "  %s\n", each.Source)
		}
		if _, err := fmt.Fprintf(p.stdout, "\n%s\n", each.Curve.Plot(72, 6)); err != nil {
			return err
		}
	}
	return nil
}

type loadtestTargets struct {
	loadFlags
	Target string `required:"" placeholder:"URL" help:"The server's address."`
	Count  int    `default:"1000" help:"How many people (${default})."`
}

// Run writes the first request of each person, and a hold of each who finds a place, as targets of Vegeta's JSON format.
func (c *loadtestTargets) Run(p *program) error {
	fitted, err := c.profile()
	if err != nil {
		return err
	}
	base, err := parseTarget(c.Target)
	if err != nil {
		return err
	}
	found, err := p.learn(base)
	if err != nil {
		return err
	}
	crowd, _, err := c.crowd(&fitted)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(p.stdout)
	err = attack.WriteTargets(p.ctx, out, attack.Config{Target: base, Crowd: crowd, Services: found.Services, Seed: c.Seed}, c.Count)
	return errors.Join(err, out.Flush())
}
