package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"muster/allocator"
)

// errDiffers says that an audit found what should not be.
var errDiffers = errors.New("the audit found differences")

type auditCommand struct {
	ledgerFlags
	inventoryFlags
	secretFlags
	Trail     bool   `help:"Verify the audit trail instead: its chain, its seals, and that it has each of the ledger's events once."`
	From      int64  `default:"1" help:"With --trail: the first entry to look at (${default})."`
	TrailHead string `placeholder:"HASH" help:"With --trail: the head of an earlier run, which must still be in the chain."`
}

// Run audits every site, or the audit trail. It changes nothing, but while bookings go on it may report what is only under way.
func (c *auditCommand) Run(p *program) error {
	if c.Trail {
		return c.verifyTrail(p)
	}
	if c.TrailHead != "" || c.From != 1 {
		return usage("--from and --trail-head belong to --trail")
	}
	e, err := p.assemble(parts{
		ledger: c.ledgerFlags, inventory: c.inventoryFlags, tool: true, log: slog.New(slog.DiscardHandler),
		absent: len(c.Redis) == 0,
	})
	if err != nil {
		return err
	}
	report, err := e.Audit(p.ctx)
	if err := errors.Join(err, e.close()); err != nil {
		return err
	}
	if len(c.Redis) == 0 {
		fmt.Fprintln(p.stderr, "the embedded inventory lives in the server's memory: only ledger and capacity are compared")
		report.Violations = slices.DeleteFunc(report.Violations, func(v allocator.Violation) bool { return v.Kind == "inventory-unreachable" })
	}
	fmt.Fprintf(p.stdout, "%d sites, %d slots in use, %d live bookings, %d violations\n",
		report.Sites, report.Slots, report.Bookings, len(report.Violations))
	for _, v := range report.Violations {
		slot := ""
		if v.Slot.Start != 0 {
			slot = fmt.Sprintf(" %s +%d min", v.Slot.Start.Time().Format("2006-01-02T15:04Z"), v.Slot.Length)
		}
		fmt.Fprintf(p.stdout, "%s: site %s%s: %s\n", v.Kind, v.Site, slot, v.Detail)
	}
	if len(report.Violations) > 0 {
		return fmt.Errorf("%w: %d", errDiffers, len(report.Violations))
	}
	return nil
}

// elsewhere is an inventory in the memory of another program: this one can neither read nor disturb it. Every call goes
// through an epoch, and no epoch is opened for an inventory without an identity, so no other method is ever called.
type elsewhere struct{ allocator.Inventory }

func (elsewhere) Shards() int { return 1 }

func (elsewhere) Identity(context.Context, int) (string, error) {
	return "", fmt.Errorf("the inventory is in another program's memory: %w", allocator.ErrUnavailable)
}
