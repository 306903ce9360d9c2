package callers

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"

	"muster/allocator"
)

// Options say how much callers may. The zero value of a field means its default.
type Options struct {
	// Seals sign tickets and challenges: the same on all servers of an installation. Default: of a key that nobody else has.
	Seals *allocator.Seals
	// AddressHolds is how many holds an address may have that were not redeemed lately, before anybody there was booked; one
	// is forgiven each 2 minutes. Default 16.
	AddressHolds int
	// AddressSearches is how many searches an address has at once; ten more come each second. Default 600.
	AddressSearches int
	// ProofBits is the price of a proof where all is quiet: 2^bits hashes. Default 17; below 0 none are asked for, and who is
	// through with an allowance waits.
	ProofBits int
	// SquatFrom is how many unredeemed holds in a few minutes make the server suspect that they are taken for nothing: it
	// depends on how many places there are. Default 2000.
	SquatFrom int
	// Load says how busy the server is: 0 idle, 1 as busy as it can be. Default: always 0. It must not block.
	Load func() float64
}

// What holds for all installations.
const (
	forgiveAddress = 2 * time.Minute // one unredeemed hold
	forgiveVisitor = 15 * time.Minute
	maxDoublings   = 6 // of a visitor's price

	searchEvery     = 100 * time.Millisecond // per address
	vouchEvery      = 30 * time.Second       // in which one booked person is forgotten
	vouchSearches   = 30                     // for how many each is good, and for one hold
	maxVouched      = 2000                   // booked people who count for one address
	forgiven        = 2                      // holds that each booked person takes off the address's debt
	personEvery     = time.Hour
	standingSlack   = 2 // bits by which the price may have risen since the challenge
	strainFrom      = 0.7
	strainBits      = 4 // what strain adds to the price
	strainAllowance = 4 // and by how much it divides an address's allowance

	maxAddresses = 1 << 17 // in debt
	maxVisitors  = 1 << 18
	maxPeople    = 1 << 19
)

// Allowance is a limit as a caller is told of it.
type Allowance struct {
	Limit string        // address, visitor, client or person; "": none applies
	Most  int           // at once
	Every time.Duration // one more
	Left  int
	Wait  time.Duration // until there is one more
}

// Caller is who asks. Whoever has an access token answers for itself: it has its client's allowance, and is asked for no proofs.
type Caller struct {
	Client  string   // of an access token: staff at the desk or on the phone, partners, publishers; "": anybody, and then
	Address string   // from where
	Visitor *Visitor // nil: one cannot be told from another, as in a batch
	Proof   string   // for a challenge; "": none
}

// Decision is whether a caller may, and what the caller is told.
type Decision struct {
	Allowance
	Refused   bool
	Challenge string // a proof for it would help; "": only time does
	Bits      int    // its price
	Changed   bool   // the visitor's ticket is to be written anew

	undo func()
}

// Undo takes back what a decision was charged for: the hold was not granted.
func (d *Decision) Undo() {
	if d.undo != nil {
		d.undo()
		d.undo = nil
	}
}

// Limits decide what callers may. Safe for concurrent use.
type Limits struct {
	options Options

	addresses       [purposes]*Meter // debts
	vouched         *Meter           // people booked from an address, fading
	records, paces  *Meter           // of visitors: unredeemed holds, and when the next one may come
	visitorSearches *Meter
	clients         [purposes]*Meter
	attempts        *Meter // to confirm people who are booked already
	booked          *Meter // people who were booked lately
	spent           *Meter // proofs

	live  live
	pulse pulse
	counts
}

// Rates of visitors, clients and people.
var (
	visitorHolds    = Rate{10, 10 * time.Second}
	visitorSearches = Rate{60, time.Second}
	clientHolds     = Rate{2000, 5 * time.Millisecond}
	clientSearches  = Rate{5000, 2 * time.Millisecond}
	personConfirms  = Rate{10, time.Minute}
)

// Rate allows Burst actions at once and one more each Every.
type Rate struct {
	Burst int
	Every time.Duration
}

// New makes limits. It fails on options out of bounds.
func New(o Options) (*Limits, error) {
	for field, value := range map[*int]int{&o.AddressHolds: 16, &o.AddressSearches: 600, &o.ProofBits: 17, &o.SquatFrom: 2000} {
		if *field == 0 {
			*field = value
		}
	}
	if o.Seals == nil {
		own := allocator.NewSecret([]byte(rand.Text()))
		o.Seals = own.VisitorSeals()
	}
	if o.Load == nil {
		o.Load = func() float64 { return 0 }
	}
	var faults []error
	if o.AddressHolds < 1 || o.AddressSearches < 1 || o.SquatFrom < 1 {
		faults = append(faults, fmt.Errorf("allowances of %d holds, %d searches and %d unredeemed holds: each must be 1 at least", o.AddressHolds, o.AddressSearches, o.SquatFrom))
	}
	if o.ProofBits > 0 && o.ProofBits < partBits || o.ProofBits > maxProofBits {
		faults = append(faults, fmt.Errorf("proofs of %d bits are not within %d and %d", o.ProofBits, partBits, maxProofBits))
	}
	return &Limits{
		options:   o,
		addresses: [purposes]*Meter{NewMeter(forgiveAddress, maxAddresses), NewMeter(searchEvery, maxAddresses)},
		vouched:   NewMeter(vouchEvery, maxAddresses),
		records:   NewMeter(forgiveVisitor, maxVisitors), paces: NewMeter(visitorHolds.Every, maxVisitors),
		visitorSearches: NewMeter(visitorSearches.Every, maxVisitors),
		clients:         [purposes]*Meter{NewMeter(clientHolds.Every, 1<<12), NewMeter(clientSearches.Every, 1<<12)},
		attempts:        NewMeter(personConfirms.Every, maxVisitors), booked: NewMeter(personEvery, maxPeople),
		spent: NewMeter(ChallengeLife+skew, maxVisitors), live: newLive(),
	}, errors.Join(faults...)
}

// Hold decides whether a caller may have a hold of so many places.
func (l *Limits) Hold(now time.Time, c Caller, places int) Decision {
	if c.Client != "" {
		return l.take("client", l.clients[ToHold], c.Client, now, places, clientHolds)
	}
	d := l.address(now, c, ToHold, places)
	if d.Refused || c.Visitor == nil {
		l.granted(&d, now, places)
		return d
	}
	key := c.Visitor.key()
	price := 1 << min(l.records.Debt(key, now), maxDoublings)
	own := l.take("visitor", l.paces, key, now, price, visitorHolds)
	if own.Refused {
		d.Undo()
		own.Changed = d.Changed
		return own
	}
	l.records.Add(key, now, 1)
	undo := d.undo
	d.undo = func() {
		undo()
		l.paces.GiveBack(key, price)
		l.records.GiveBack(key, 1)
	}
	if own.Left < d.Left || d.Limit == "" {
		d.Allowance = own.Allowance
	}
	l.granted(&d, now, places)
	return d
}

// granted counts places for the pulse, until they are given back.
func (l *Limits) granted(d *Decision, now time.Time, places int) {
	if d.Refused {
		return
	}
	l.pulse.grant(now, places)
	undo := d.undo
	d.undo = func() {
		undo()
		l.pulse.redeem(now, places)
	}
}

// Search decides whether a caller may search, or read otherwise what is free.
func (l *Limits) Search(now time.Time, c Caller) Decision {
	switch {
	case c.Client != "":
		return l.take("client", l.clients[ToSearch], c.Client, now, 1, clientSearches)
	case c.Visitor == nil:
		return l.address(now, c, ToSearch, 1)
	}
	own := l.take("visitor", l.visitorSearches, c.Visitor.key(), now, 1, visitorSearches)
	if own.Refused {
		return own
	}
	d := l.address(now, c, ToSearch, 1)
	if d.Refused {
		own.Undo()
	} else if own.Left < d.Left || d.Limit == "" {
		d.Allowance = own.Allowance
	}
	return d
}

// Confirm decides whether a confirm for these people may be tried: not where too many lately told that one of them is booked
// already. Only those count, and each has cost a hold, so that nobody can be kept from booking by a stranger who tries their number.
func (l *Limits) Confirm(now time.Time, people []string) Decision {
	for _, p := range people {
		if d := l.take("person", l.attempts, p, now, 0, personConfirms); d.Refused {
			return d
		}
	}
	return Decision{}
}

// AlreadyBooked tells that a confirm was refused because one of these people is booked.
func (l *Limits) AlreadyBooked(now time.Time, people []string) {
	for _, p := range people {
		l.attempts.Add(p, now, 1)
	}
}

// Booked tells that people were booked: their holds are redeemed, and they vouch for whoever comes from the same address. A
// person counts once an hour, however often the booking is cancelled and made again. It says whether the visitor's ticket is
// to be written anew.
func (l *Limits) Booked(now time.Time, c Caller, people []string) bool {
	if c.Client != "" {
		return false
	}
	fresh := 0
	for _, p := range people {
		if l.booked.Once(p, now) {
			fresh++
		}
	}
	if fresh == 0 {
		return false
	}
	l.pulse.redeem(now, fresh)
	l.addresses[ToHold].GiveBack(c.Address, forgiven*fresh)
	if l.vouched.Debt(c.Address, now) < maxVouched {
		l.vouched.Add(c.Address, now, fresh)
	}
	if c.Visitor == nil {
		return false
	}
	l.records.GiveBack(c.Visitor.key(), 2)
	for p := range purposes {
		c.Visitor.stand(p, now)
	}
	return true
}

// take is the decision of one meter.
func (l *Limits) take(limit string, m *Meter, key string, now time.Time, price int, r Rate) Decision {
	left, wait, ok := m.Take(key, now, price, r.Burst)
	d := Decision{Allowance: Allowance{limit, r.Burst, r.Every, left, wait}, Refused: !ok}
	if !ok {
		l.refused(limit)
		return d
	}
	d.undo = func() { m.GiveBack(key, price) }
	return d
}

// terms are what an address is offered: how many it may have, what a proof costs it, and whether everybody needs one.
func (l *Limits) terms(now time.Time, address string, p Purpose) (most, price int, everybody bool) {
	strain := max(0, min(1, (l.load(now)-strainFrom)/(1-strainFrom)))
	most, vouch := l.options.AddressHolds, 1
	if p == ToSearch {
		most, vouch = l.options.AddressSearches, vouchSearches
	}
	most = max(1, int(float64(most)/(1+strain*(strainAllowance-1)))) + vouch*l.vouched.Debt(address, now)
	over := uint(l.addresses[p].Debt(address, now) / most)
	price = min(maxProofBits, max(partBits, l.options.ProofBits)+bits.Len(over)+int(math.Round(strainBits*strain)))
	return most, price, p == ToHold && strain > 0
}

// address charges the address, and decides by its debt or by the visitor's standing.
func (l *Limits) address(now time.Time, c Caller, p Purpose, units int) Decision {
	meter := l.addresses[p]
	every := forgiveAddress
	if p == ToSearch {
		every = searchEvery
	}
	most, price, everybody := l.terms(now, c.Address, p)
	proofs := c.Visitor != nil && l.options.ProofBits > 0
	changed := proofs && l.accept(c, p, price, now)
	if c.Visitor != nil && c.Visitor.stands(p, now) {
		if p == ToSearch { // their own allowance is all that they use
			return Decision{Changed: changed, undo: func() {}}
		}
		meter.Add(c.Address, now, units)
		return Decision{Changed: changed, undo: func() { meter.GiveBack(c.Address, units) }}
	}
	d := Decision{Allowance: Allowance{Limit: "address", Most: most, Every: every}}
	ok := !everybody || !proofs
	if ok {
		d.Left, d.Wait, ok = meter.Take(c.Address, now, units, most)
	}
	if ok {
		d.undo = func() { meter.GiveBack(c.Address, units) }
		return d
	}
	l.refused("address")
	d.Refused = true
	if proofs {
		d.Challenge, d.Bits = l.challenge(c.Visitor, p, price, now), price
		l.asked.Add(1)
	}
	return d
}

// accept gives a visitor with a proof the standing that it paid for.
func (l *Limits) accept(c Caller, p Purpose, price int, now time.Time) bool {
	if c.Proof == "" {
		return false
	}
	paid, err := l.prove(c.Visitor, p, c.Proof, now)
	if err != nil || paid+standingSlack < price {
		l.rejected.Add(1)
		return false
	}
	l.accepted.Add(1)
	c.Visitor.stand(p, now)
	return true
}

// load is how busy the server is, or how much it looks as if holds were taken for nothing.
func (l *Limits) load(now time.Time) float64 {
	return max(l.options.Load(), l.squat(now))
}

func (l *Limits) squat(now time.Time) float64 { return l.pulse.squat(now, l.options.SquatFrom) }
