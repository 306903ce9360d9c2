package api

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"muster/api/callers"
	"muster/waitingroom"
	"muster/webhooks"
)

// Options configure a Server. The zero value of a field means its default; the zero Options serve the public routes and
// refuse every bearer token.
type Options struct {
	Dev      bool   // the bearer token "dev" is allowed everything; never in production
	Issuer   string // the `iss` that access tokens must carry
	Audience string // one of the `aud` that access tokens must carry
	JWKSFile string // public keys of the issuer, in a file that may change; with Issuer and Audience, or none of them
	JWKSURL  string // the same at an address, in place of a file
	// OrganisationClaim says for which publisher a client works; default "sub": each client is a publisher of its own.
	OrganisationClaim string
	Staff             StaffIssuer

	// PublicURL is where clients reach the server, e.g. "https://booking.example.org", for links in replies; "": as their
	// request names it, which behind a proxy that ends TLS is http.
	PublicURL string

	MaxConnections int // open at once; default 16384
	// MaxPerAddress bounds the connections that one address (IPv6: one /56) has open at once. Only where callers connect
	// without a proxy between: a proxy is one address. 0: no bound.
	MaxPerAddress  int
	MaxHeaderBytes int           // request line and headers; default 16 KiB
	ReadTimeout    time.Duration // of a whole request; default 10 s
	WriteTimeout   time.Duration // of a reply; default 15 s
	IdleTimeout    time.Duration // between requests of a connection; default 60 s
	StreamIdle     time.Duration // between bytes of a capacity upload, either way; default 60 s
	PollEvery      time.Duration // how often a long-poll looks for new events; default 250 ms

	Admission Admission
	// LookupsPerAddress and LookupsPerReference bound guesses of a date of birth. Defaults: 30 at once and 30 a minute per
	// address (IPv6: per /56); 5 at once and one in 3 minutes per reference, the pause doubling with each further 5 wrong ones.
	LookupsPerAddress   Rate
	LookupsPerReference Rate
	// Callers bounds how much each caller may search and hold; nil: no bounds.
	Callers *callers.Options
	// TicketsPerAddress bounds how many tickets of waiting rooms an address gets. Default: 300 at once and two a second, which
	// is enough for those who share a carrier's address.
	TicketsPerAddress Rate
	// AddressHeader names the header whose last element is the caller's address, e.g. "X-Forwarded-For". Set it only where
	// a proxy of yours always writes that header; "": the connection's own address.
	AddressHeader string

	// Origins lists the origins, such as "https://booking.example.org", whose pages may call the server from a browser (CORS).
	// Each is meant exactly; none: no page of another origin may. Browsers are never told to send credentials.
	Origins []string
	// StrictTransport is how long browsers are to come by https only (HSTS), in whole seconds; 0: they are not told.
	StrictTransport time.Duration

	WorklistKeys []ed25519.PrivateKey // the first one signs a site's day, and all are published; none: no signed ones

	Logger     *slog.Logger          // default: discards
	Registerer prometheus.Registerer // default: metrics are kept nowhere
	Tracer     Tracer                // default: none, and requests are not traced
	Links      Links                 // default: none, and nothing is published for other booking sites
	Webhooks   *webhooks.Hooks       // default: none, and nobody is sent events; whoever made them runs them
	Rooms      *waitingroom.Rooms    // default: none, and nobody waits; whoever made them runs them, and puts their door before the engine
	Now        func() time.Time      // for tokens and rate limits; default time.Now
}

// Admission bounds the classes of routes separately and in this order of precedence: while a class waits for its places those
// below it get no more than their reserves. So a surge of one leaves room for the others, and those who are inside finish.
type Admission struct {
	Finish Gate // confirm, cancel, release, extend, status, walk-in, and what people look up about their own
	Hold   Gate
	Search Gate // search, availability, sites, services, postcodes
	Staff  Gate // publishers' and staff's routes
	Bulk   Gate // capacity uploads
	Feed   Gate // events, SMART Scheduling Links
	Shared int  // requests and items that run at once beyond the reserves of their classes; default 8192
}

// Gate lets requests, or items of batches, in: at most Concurrency at once. Up to Queue more wait; all others are refused at once.
// Package admission tells how the limit follows the latency and how the queue is run.
type Gate struct {
	Concurrency int           // the limit's ceiling
	Floor       int           // and its floor; no less than Concurrency: the limit is fixed
	Reserve     int           // of it, whatever the other classes do
	Latency     time.Duration // up to which the work counts as fast
	Queue       int
	Wait        time.Duration // of each, while the queue is calm
	Target      time.Duration // and while more comes than goes
	Deadline    time.Duration // of the work itself, from its arrival
}

// Rate allows Burst actions at once and one more each Every.
type Rate = callers.Rate

// WithDefaults fills in the zero fields.
func (o Options) WithDefaults() Options {
	o = o.withTrustDefaults()
	number(&o.MaxConnections, 16_384)
	number(&o.MaxHeaderBytes, 16<<10)
	duration(&o.ReadTimeout, 10*time.Second)
	duration(&o.WriteTimeout, 15*time.Second)
	duration(&o.IdleTimeout, 60*time.Second)
	duration(&o.StreamIdle, 60*time.Second)
	duration(&o.PollEvery, 250*time.Millisecond)
	a := &o.Admission
	// The engine gives confirms and holds as long by default, and then needs no timers of its own.
	const second, ms = time.Second, time.Millisecond
	// Those who are inside wait longest: what they have cost is lost with them. Holds have no reserve of their own, so that
	// none is granted while confirms wait. The lower three have fixed limits: their times tell nothing of a dependency.
	a.Finish = a.Finish.withDefaults(Gate{8192, 512, 1024, 500 * ms, 8192, 5 * second, 3 * second, 8 * second})
	a.Hold = a.Hold.withDefaults(Gate{4096, 256, 0, 300 * ms, 1024, 250 * ms, 50 * ms, 3 * second})
	a.Search = a.Search.withDefaults(Gate{256, 64, 16, 100 * ms, 512, 100 * ms, 20 * ms, 3 * second})
	a.Staff = a.Staff.withDefaults(Gate{128, 128, 32, second, 256, second, 250 * ms, 20 * second})
	a.Bulk = a.Bulk.withDefaults(Gate{8, 8, 1, second, 8, 2 * second, second, 60 * second})
	a.Feed = a.Feed.withDefaults(Gate{256, 256, 256, second, 64, 250 * ms, 50 * ms, 10 * second})
	number(&a.Shared, 8192)
	rate(&o.LookupsPerAddress, 30, 2*time.Second)
	rate(&o.LookupsPerReference, 5, 3*time.Minute)
	rate(&o.TicketsPerAddress, 300, 500*ms)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Validate reports every fault at once.
func (o Options) Validate() error {
	o = o.WithDefaults()
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	public, err := url.Parse(o.PublicURL)
	check(o.PublicURL == "" || err == nil && (public.Scheme == "http" || public.Scheme == "https") && public.Host != "" && public.RawQuery == "" && public.Fragment == "" && public.User == nil,
		"the public address %q is no http:// or https:// address without a query", o.PublicURL)
	faults = append(faults, o.trustFaults()...)
	check(o.MaxConnections >= 1, "%d connections are too few", o.MaxConnections)
	check(o.MaxPerAddress >= 0, "%d connections per address are too few", o.MaxPerAddress)
	check(o.StrictTransport >= 0, "strict transport for %v is negative", o.StrictTransport)
	for _, origin := range o.Origins {
		check(validOrigin(origin), "the origin %q is no origin such as https://booking.example.org, in lower case and without a path", origin)
	}
	check(o.MaxHeaderBytes >= 4<<10 && o.MaxHeaderBytes <= 1<<20, "header limit %d is not within 4 KiB and 1 MiB", o.MaxHeaderBytes)
	for name, d := range map[string]time.Duration{"read": o.ReadTimeout, "write": o.WriteTimeout, "idle": o.IdleTimeout,
		"stream idle": o.StreamIdle, "poll": o.PollEvery} {
		check(d > 0, "%s time-out %v is not positive", name, d)
	}
	for c, g := range o.Admission.gates() {
		check(g.Deadline > 0, "admission of class %s: a deadline of %v", classNames[c], g.Deadline)
	}
	_, err = newHouse(o.Admission)
	faults = append(faults, err)
	for _, r := range []Rate{o.LookupsPerAddress, o.LookupsPerReference, o.TicketsPerAddress} {
		check(r.Burst >= 1 && r.Every > 0, "rate %+v is out of bounds", r)
	}
	return errors.Join(faults...)
}

func (g Gate) withDefaults(d Gate) Gate {
	number(&g.Concurrency, d.Concurrency)
	number(&g.Floor, d.Floor)
	number(&g.Reserve, d.Reserve)
	duration(&g.Latency, d.Latency)
	number(&g.Queue, d.Queue)
	duration(&g.Wait, d.Wait)
	duration(&g.Target, d.Target)
	duration(&g.Deadline, d.Deadline)
	return g
}

func rate(r *Rate, burst int, every time.Duration) {
	number(&r.Burst, burst)
	duration(&r.Every, every)
}

func number(n *int, value int) {
	if *n == 0 {
		*n = value
	}
}

func duration(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}
