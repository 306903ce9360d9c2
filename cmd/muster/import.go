package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"muster/api"
	"muster/cmd/muster/bulk"
)

type importCommands struct {
	Sites     importSitesCommand     `cmd:"" help:"Sites, from CSV whose first line names the columns."`
	Capacity  importCapacityCommand  `cmd:"" help:"Days of sessions: one JSON document a line, as POST /v1/capacity takes them, or FILE.csv with a session in each line."`
	Postcodes importPostcodesCommand `cmd:"" help:"More or newer postcodes, from CSV, into --data."`
	Links     importLinksCommand     `cmd:"" name:"smart-links" help:"Sites and capacity of any publisher of SMART Scheduling Links."`
}

// importFlags are common to files that go into the ledger.
type importFlags struct {
	ledgerFlags
	File       string `arg:"" type:"path" help:"The file. Loading it again changes nothing; FILE.muster-resume keeps how far an interrupted run came."`
	ResumeFrom int    `placeholder:"LINE" help:"Begin with this line, whatever an earlier run noted; 1 begins anew."`
}

const importActor = "import"

// load opens the ledger and loads the file into it.
func (f importFlags) load(p *program, load func(ctx context.Context, job bulk.Job) (bulk.Report, error)) error {
	if f.ResumeFrom < 0 {
		return usage("--resume-from %d: lines are counted from 1", f.ResumeFrom)
	}
	ledger, _, err := readyLedger(p.ctx, f.ledgerFlags, false, false)
	if err != nil {
		return err
	}
	report, err := load(p.ctx, bulk.Job{
		Ledger: ledger, Path: f.File, Target: f.target(), ResumeFrom: f.ResumeFrom, Actor: importActor, Messages: p.stderr,
	})
	if err == nil {
		_, err = fmt.Fprintf(p.stdout, "%d lines loaded\n", report.Lines)
	}
	return errors.Join(err, ledger.Close())
}

type importSitesCommand struct {
	importFlags
	Publisher string `placeholder:"NAME" help:"Whoever may change the capacity of sites whose line names no publisher."`
}

// Run loads sites.
func (c *importSitesCommand) Run(p *program) error {
	places, err := loadPostcodes(c.Data)
	if err != nil {
		return err
	}
	return c.load(p, bulk.Sites{Postcodes: places, Publisher: c.Publisher}.Load)
}

type importCapacityCommand struct {
	importFlags
	CreateServices bool `help:"Create services that are not known, with their defaults."`
}

// Run loads capacity.
func (c *importCapacityCommand) Run(p *program) error {
	capacity := bulk.Capacity{Decode: api.DecodeCapacity, CreateServices: c.CreateServices}
	if strings.EqualFold(filepath.Ext(c.File), ".csv") {
		return c.load(p, capacity.LoadTable)
	}
	return c.load(p, capacity.Load)
}
