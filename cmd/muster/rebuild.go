package main

import (
	"errors"
	"fmt"
	"log/slog"

	"muster/allocator"
	"muster/cmd/muster/bulk"
)

type rebuildCommand struct {
	ledgerFlags
	inventoryFlags
	Site string `xor:"what" required:"" placeholder:"ID" help:"The site to rebuild."`
	All  bool   `xor:"what" required:"" help:"Rebuild every site."`
}

// Run rebuilds inventory from the ledger while servers go on serving: holds in flight stay.
func (c *rebuildCommand) Run(p *program) error {
	if len(c.Redis) == 0 {
		return usage("the embedded inventory lives in the server's memory, and is rebuilt whenever the server starts: " +
			"there is nothing to rebuild without --redis")
	}
	e, err := p.assemble(parts{
		ledger: c.ledgerFlags, inventory: c.inventoryFlags, tool: true, log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	if c.All {
		err = c.all(p, e)
	} else if err = e.RebuildSite(p.ctx, allocator.SiteID(c.Site)); err == nil {
		fmt.Fprintf(p.stdout, "site %s is rebuilt\n", c.Site)
	}
	return errors.Join(err, e.close())
}

func (c *rebuildCommand) all(p *program, e *engine) error {
	progress, total := bulk.NewProgress(p.stderr, "sites"), 0
	err := e.RebuildAll(p.ctx, func(done, all int) {
		total = all
		progress.Show(done, 0, float64(done)/float64(all))
	})
	progress.Clear()
	if err == nil {
		fmt.Fprintf(p.stdout, "%d sites are rebuilt\n", total)
	}
	return err
}
