package main

import (
	"muster/allocator"
	"muster/api/callers"
)

// callerFlags say how much each caller may.
type callerFlags struct {
	LimitCallers bool `help:"Bound how much each caller may search and hold, by address, visitor and person. Behind a proxy only with --address-header. See docs/abuse.md."`
	AddressHolds int  `default:"16" placeholder:"N" help:"With --limit-callers: holds that one address may have that were not confirmed lately, before anybody there was booked (${default})."`
	AddressReads int  `name:"address-searches" default:"600" placeholder:"N" help:"With --limit-callers: searches that one address has at once; ten more come each second (${default})."`
	ProofBits    int  `default:"17" placeholder:"BITS" help:"With --limit-callers: what a proof of work costs while all is quiet, 2^BITS hashes (${default}); -1: none are asked for."`
	SquatFrom    int  `name:"squat-from" default:"2000" placeholder:"N" help:"With --limit-callers: so many unconfirmed holds of the last minutes are suspicious, where few of all are confirmed (${default})."`
}

// callers are the limits as the HTTP side takes them; nil: none.
func (f callerFlags) callers(seals *allocator.Seals) *callers.Options {
	if !f.LimitCallers {
		return nil
	}
	return &callers.Options{Seals: seals, AddressHolds: f.AddressHolds, AddressSearches: f.AddressReads, ProofBits: f.ProofBits, SquatFrom: f.SquatFrom}
}
