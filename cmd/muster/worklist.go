package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"muster/api/worklist"
)

type worklistCommand struct {
	File string `arg:"" help:"A signed day list, as GET /v1/sites/{siteId}/days/{date}/bookings?format=signed gave it; - for standard input."`
	Keys string `required:"" placeholder:"FILE" help:"The public keys, as GET /v1/worklist-keys gave them."`
	As   string `enum:"html,csv" default:"html" help:"What to write: html (a page to print) or csv."`
}

// Run checks a signed day list and writes it for people. It needs no server and no network.
func (c *worklistCommand) Run(p *program) error {
	keys, err := os.ReadFile(c.Keys)
	if err != nil {
		return usageError{err}
	}
	text, err := readSnapshot(c.File)
	if err != nil {
		return usageError{err}
	}
	day, err := worklist.Open(keys, text)
	if errors.Is(err, worklist.ErrSnapshot) {
		return fmt.Errorf("%s: %w", c.File, err)
	} else if err != nil {
		return usageError{fmt.Errorf("%s: %w", c.Keys, err)}
	}
	zone, err := time.LoadLocation(day.TimeZone)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	out := day.CSV()
	if c.As == "html" {
		if out, err = day.Page(zone); err != nil {
			return err
		}
	}
	_, err = p.stdout.Write(out)
	return err
}

// readSnapshot reads no more than a snapshot can have.
func readSnapshot(name string) (string, error) {
	file := os.Stdin
	if name != "-" {
		var err error
		if file, err = os.Open(name); err != nil {
			return "", err
		}
		defer file.Close()
	}
	text, err := io.ReadAll(io.LimitReader(file, worklist.MaxSnapshotBytes+1))
	return string(text), err
}
