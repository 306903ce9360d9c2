package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"muster/allocator"
)

// personCommands answer what people may ask for: what is kept of them, and that it goes.
type personCommands struct {
	Export personExportCommand `cmd:"" help:"Write all that is kept of one person, as JSON."`
	Erase  personEraseCommand  `cmd:"" help:"Delete one person's details, and whose the bookings were. Bookings still to come are left: cancel them first."`
}

// personFlags say who it is. An NHS number is never given on the command line, where others on the machine see it.
type personFlags struct {
	ledgerFlags
	secretFlags
	NHSNumberFile string `name:"nhs-number-file" required:"" placeholder:"FILE" help:"File with the person's NHS number; - for standard input."`
}

// maxNumberBytes bounds what is read of the file.
const maxNumberBytes = 64

func (f personFlags) number() (string, error) {
	file := os.Stdin
	if f.NHSNumberFile != "-" {
		var err error
		if file, err = os.Open(f.NHSNumberFile); err != nil {
			return "", usage("--nhs-number-file: %w", err)
		}
		defer file.Close()
	}
	text, err := io.ReadAll(io.LimitReader(file, maxNumberBytes))
	if err != nil {
		return "", usage("--nhs-number-file: %w", err)
	}
	number, ok := allocator.ValidNHSNumber(strings.TrimSpace(string(text)))
	if !ok {
		return "", usage("--nhs-number-file: what it holds is not a valid NHS number")
	}
	return number, nil
}

type personExportCommand struct{ personFlags }

// Run writes the export to the standard output.
func (c *personExportCommand) Run(p *program) error {
	number, err := c.number()
	if err != nil {
		return err
	}
	return p.custody(c.ledgerFlags, c.secretFlags, func(k *allocator.Custodian) error {
		export, err := k.Export(p.ctx, number)
		if err != nil {
			return err
		}
		return p.tell(export)
	})
}

type personEraseCommand struct{ personFlags }

// Run erases, and fails where bookings are still to come.
func (c *personEraseCommand) Run(p *program) error {
	number, err := c.number()
	if err != nil {
		return err
	}
	return p.custody(c.ledgerFlags, c.secretFlags, func(k *allocator.Custodian) error {
		done, err := k.Erase(p.ctx, number)
		if err != nil {
			return err
		}
		if err := p.tell(done); err != nil || len(done.Upcoming) == 0 {
			return err
		}
		return fmt.Errorf("%d bookings are still to come, and were left: cancel them, and erase again", len(done.Upcoming))
	})
}

// retentionFlags say how long people's details are kept.
type retentionFlags struct {
	KeepAttended  int `default:"365" placeholder:"DAYS" help:"Days after an appointment for which details are kept, of booked, arrived and fulfilled ones (${default}); 0: for ever."`
	KeepMissed    int `default:"365" placeholder:"DAYS" help:"The same of missed ones (${default})."`
	KeepCancelled int `default:"90" placeholder:"DAYS" help:"The same of cancelled ones (${default})."`
}

func (f retentionFlags) retention() allocator.Retention {
	return allocator.Retention{Attended: f.KeepAttended, Missed: f.KeepMissed, Cancelled: f.KeepCancelled}
}

// upkeepFlags say how a server looks after details by itself.
type upkeepFlags struct {
	retentionFlags
	UpkeepEvery time.Duration `default:"24h" placeholder:"DURATION" help:"How often all details are passed through: those whose time is over go, those of retired keys are sealed anew (${default}); 0: never."`
}

func (f upkeepFlags) upkeep() (u allocator.Upkeep, err error) {
	u = allocator.Upkeep{Every: f.UpkeepEvery, Retention: f.retention()}
	if f.UpkeepEvery < 0 {
		return u, usage("--upkeep-every %v is negative", f.UpkeepEvery)
	}
	if err := u.Retention.Validate(); err != nil {
		return u, usageError{err}
	}
	return u, nil
}

type retentionCommand struct {
	ledgerFlags
	secretFlags
	retentionFlags
	DryRun bool `help:"Count what would go, and change nothing."`
}

// Run deletes details whose time is over, now. Servers do the same by themselves.
func (c *retentionCommand) Run(p *program) error {
	if err := c.retention().Validate(); err != nil {
		return usageError{err}
	}
	return p.sweep(c.ledgerFlags, c.secretFlags, allocator.SweepTask{Retention: c.retention(), DryRun: c.DryRun})
}
