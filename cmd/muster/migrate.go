package main

import (
	"errors"
	"fmt"
)

type migrateCommand struct{ ledgerFlags }

// Run brings the schema up to date. It may be repeated, and run by several programs at once.
func (c *migrateCommand) Run(p *program) error {
	ledger, _, err := openLedger(p.ctx, c.ledgerFlags, false)
	if err != nil {
		return err
	}
	if err := errors.Join(ledger.Migrate(p.ctx), ledger.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "the schema of %s is up to date\n", c.target())
	return err
}
