package main

import (
	"errors"
	"fmt"

	"muster/allocator"
	"muster/cmd/muster/linksimport"
)

type importLinksCommand struct {
	ledgerFlags
	URL            string                `arg:"" name:"url" help:"The publisher's manifest, such as https://example.org/smart-scheduling/$bulk-publish. Loading it again changes only what the publisher changed."`
	AllowPrivate   bool                  `help:"Call addresses that are not of the public internet too. Only for publishers of your own network: the manifest chooses what is called."`
	Publisher      string                `placeholder:"NAME" help:"Whoever may change the capacity of the sites; none: the manifest's host. Sites are named by it."`
	Service        allocator.ServiceCode `placeholder:"CODE" help:"The service of every schedule; none: as each says."`
	CreateServices bool                  `help:"Create services that are not known, with their defaults."`
	TimeZone       string                `default:"Europe/London" placeholder:"NAME" help:"The sites' time zone (${default})."`
}

// Run loads what another publisher offers.
func (c *importLinksCommand) Run(p *program) error {
	places, err := loadPostcodes(c.Data)
	if err != nil {
		return err
	}
	ledger, _, err := readyLedger(p.ctx, c.ledgerFlags, false, false)
	if err != nil {
		return err
	}
	report, err := linksimport.Job{
		Ledger: ledger, Postcodes: places, URL: c.URL, Messages: p.stderr, Actor: importActor, Publisher: c.Publisher, Service: c.Service,
		CreateServices: c.CreateServices, Zone: c.TimeZone, AllowPrivate: c.AllowPrivate,
	}.Load(p.ctx)
	if err == nil {
		_, err = fmt.Fprintf(p.stdout, "%d sites and %d days loaded\n", report.Sites, report.Days)
	}
	return errors.Join(err, ledger.Close())
}
