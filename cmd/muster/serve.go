package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"muster/allocator"
	"muster/api"
	"muster/cmd/muster/sample"
	"muster/geo"
)

type serveCommand struct {
	ledgerFlags
	inventoryFlags
	secretFlags
	Dev          bool   `help:"Development: the bearer token dev is allowed everything, unknown services are created, any ledger is migrated. Never in production."`
	Sample       bool   `help:"With --dev: the real sites of England with made-up sessions of the next four weeks, where the ledger is empty or has them already."`
	Listen       string `default:"127.0.0.1:8080" placeholder:"ADDRESS" help:"Where requests are answered (${default})."`
	OpsListen    string `default:"127.0.0.1:9090" placeholder:"ADDRESS" help:"Where /healthz, /readyz, /metrics and /debug/pprof are (${default}); keep it private."`
	HoldSeconds  int    `default:"300" help:"How long a hold lasts (${default})."`
	DrainSeconds int    `default:"15" help:"How long requests in flight may take once the server is told to end (${default})."`
	tokenFlags
	AddressHeader        string `placeholder:"NAME" help:"Header whose last element is the caller's address, such as X-Forwarded-For. Only where a proxy of yours always writes it; none: the connection's own."`
	PublicURL            string `name:"public-url" placeholder:"URL" help:"Where clients reach the server, such as https://booking.example.org, for the links in its replies and in what it publishes. None: as requests name it, and in SMART Scheduling Links the address of --listen."`
	LinksDays            int    `default:"28" help:"How many days ahead slots are published as SMART Scheduling Links (${default})."`
	LinksMemory          int    `default:"64" placeholder:"MIB" help:"How much of them is kept ready, packed (${default} MiB): what does not fit is made again for each reader. Go's collector lets each MiB cost up to five."`
	AllowPrivateWebhooks bool   `help:"With --dev: webhooks may have http addresses, and such as are not of the public internet."`
	guardFlags
	upkeepFlags
	callerFlags
	LogLevel string `default:"info" help:"debug, info, warn or error (${default})."`
	traceFlags
}

// Run serves until the program is asked to finish.
func (c *serveCommand) Run(p *program) error {
	log, err := p.logTo(c.LogLevel)
	if err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return err
	}
	upkeep, err := c.upkeep()
	if err != nil {
		return err
	}
	defer suitServer(system)()
	c.boundDumps(log)
	tracer, err := c.traceFlags.start(p.ctx, log)
	if err != nil {
		return err
	}
	defer stopTracing(tracer, log) // last of all, because work in the background is traced until it has ended
	w := parts{ledger: c.ledgerFlags, inventory: c.inventoryFlags, secret: c.secretFlags, limits: c.limits(), upkeep: upkeep, dev: c.Dev, log: log, tracer: tracer}
	if c.Sample {
		w.filled = func(ledger allocator.Ledger) error { return p.loadSample(ledger, time.Now()) }
	}
	at, err := c.bind() // first of all: loading may take a while, and an address in use must not be news after it
	if err != nil {
		return err
	}
	defer at.close()
	e, err := p.assemble(w)
	if err != nil {
		return interrupted(p.ctx, err)
	}
	if err := e.Start(p.ctx); err != nil {
		return interrupted(p.ctx, errors.Join(err, e.close()))
	}
	stopTrail, err := e.keepTrail(log)
	if err == nil {
		err = c.serve(p, e, at, log)
		stopTrail()
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), c.drain())
	defer cancel()
	return errors.Join(err, e.Stop(stopping), e.close())
}

// interrupted makes an end that was asked for no failure.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

func (c *serveCommand) drain() time.Duration {
	return time.Duration(max(1, c.DrainSeconds)) * time.Second
}

const maxLinksMemory = 4096 // MiB

// check finds what is wrong with the flags before anything is touched.
func (c *serveCommand) check() error {
	if c.Sample && !c.Dev {
		return usage("--sample needs --dev: made-up sessions have no place in production")
	}
	if c.AllowPrivateWebhooks && !c.Dev {
		return usage("--allow-private-webhooks needs --dev: publishers could have this server call what only it can reach")
	}
	if c.DrainSeconds < 0 {
		return usage("--drain-seconds %d is negative", c.DrainSeconds)
	}
	if c.LinksDays < 1 || c.LinksDays > allocator.MaxHorizonDays {
		return usage("--links-days %d is not within 1 and %d", c.LinksDays, allocator.MaxHorizonDays)
	}
	if c.LinksMemory < 0 || c.LinksMemory > maxLinksMemory {
		return usage("--links-memory %d is not within 0 and %d", c.LinksMemory, maxLinksMemory)
	}
	if err := c.trust(c.guard(api.Options{Dev: c.Dev, PublicURL: c.PublicURL})).Validate(); err != nil {
		return usageError{err}
	}
	return c.traceFlags.check()
}

// listeners are where the server is called.
type listeners struct{ public, private net.Listener }

func (c *serveCommand) bind() (at listeners, err error) {
	if at.public, err = net.Listen("tcp", c.Listen); err != nil {
		return at, fmt.Errorf("--listen: %w", err)
	}
	if at.private, err = net.Listen("tcp", c.OpsListen); err != nil {
		at.public.Close()
		return at, fmt.Errorf("--ops-listen: %w", err)
	}
	return at, nil
}

// close closes what the servers have not closed themselves.
func (l listeners) close() {
	l.public.Close()
	l.private.Close()
}

// serve answers requests until the program is asked to finish, then lets those in flight end.
func (c *serveCommand) serve(p *program, e *engine, at listeners, log *slog.Logger) error {
	hooks, err := c.hooks(e, log)
	if err != nil {
		return err
	}
	rooms, err := e.rooms(log)
	if err != nil {
		return err
	}
	if err := rooms.Step(p.ctx); err != nil { // before the first request, so that none slips past a room that is in force
		return interrupted(p.ctx, fmt.Errorf("waiting rooms: %w", err))
	}
	server, ops, err := c.front(e, hooks, rooms, at.public.Addr().String(), log)
	if err != nil {
		return err
	}
	defer beside(p.ctx, hooks.Run, rooms.Run)()
	failed := make(chan error, 2)
	go func() { failed <- server.Serve(seamListener(at.public)) }()
	go func() { failed <- ops.Serve(at.private) }()
	c.greet(p, e, at.public.Addr().String(), at.private.Addr().String(), log)
	select {
	case err = <-failed:
		err = fmt.Errorf("a listener failed: %w", err)
	case <-p.ctx.Done():
		log.Info("draining: no new requests are taken, those in flight may end", "seconds", c.DrainSeconds)
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), c.drain())
	defer cancel()
	if late := server.Shutdown(stopping); late != nil {
		log.Warn("some requests were still running when the time to drain was over", "error", late)
	}
	if late := ops.Shutdown(stopping); late != nil {
		log.Debug("operators' listener closed early", "error", late)
	}
	log.Info("stopped")
	return err
}

// beside runs what goes on beside the serving until ctx ends or the returned function is called, which waits for the last of it.
func beside(ctx context.Context, all ...func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	for _, run := range all {
		running.Go(func() { run(ctx) })
	}
	return func() { cancel(); running.Wait() }
}

// greet tells people where the server is, what it allows, and what to try.
func (c *serveCommand) greet(p *program, e *engine, public, private string, log *slog.Logger) {
	log.Info("serving", "listen", public, "opsListen", private, "pid", os.Getpid(), "ledger", c.target(), "redis", len(c.Redis) > 0)
	fmt.Fprintf(p.stdout, "muster answers at http://%s (operators: http://%s/readyz)\n", public, private)
	switch {
	case c.Dev:
		fmt.Fprintln(p.stdout, "DEVELOPMENT MODE: the bearer token `dev` is allowed everything. Never run like this in production.")
	case c.Issuer == "" && c.OIDCIssuer == "":
		log.Warn("no --issuer and no --oidc-issuer: every publisher's, staff's and operator's route answers 401")
	}
	if c.LimitCallers && c.AddressHeader == "" {
		log.Warn("--limit-callers without --address-header: behind a proxy everybody is one caller")
	}
	if c.Sample {
		fmt.Fprintln(p.stdout, sample.Attribution)
	}
	fmt.Fprintln(p.stdout, "Postcodes:", geo.PostcodeAttribution)
	printTour(p.ctx, p.stdout, e.Allocator, "http://"+reachable(public))
	if p.serving != nil {
		p.serving(public, private)
	}
}

// reachable turns an address that listens everywhere into one to call.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
