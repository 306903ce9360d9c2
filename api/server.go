package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"

	"muster/allocator"
	"muster/api/callers"
	"muster/api/framing"
	"muster/api/tokens"
)

// Server serves the contract over HTTP.
type Server struct {
	options     Options
	engine      Engine
	log         *slog.Logger
	verifier    *tokens.Verifier
	metrics     *metrics
	zones       zones
	house       *house
	byAddress   *limiter
	byReference *guesses
	limits      *callers.Limits // nil: callers are not limited
	busyness    atomic.Pointer[busyness]
	tickets     *limiter // of waiting rooms, by address
	lines       *limiter // of the log, by operation
	http        *fasthttp.Server
	spread      func(n int) int // throws 0 ≤ throw < n, so that people who were refused together do not come back together
	lingering   chan struct{}
	headers     []header      // of every reply
	drain       chan struct{} // closed when the server begins to shut down
	drainOnce   sync.Once
}

// New makes a server. It fails on options that do not Validate, on a key file that cannot be used, and on metrics that are
// registered already.
func New(o Options, engine Engine) (*Server, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("api options: %w", err)
	}
	o = o.WithDefaults()
	v, err := tokens.New(o.issuers(), tokens.Options{Loopback: o.Dev, Now: o.Now, Logger: o.Logger, Registerer: o.Registerer})
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, fmt.Errorf("api metrics: %w", err)
	}
	h, err := newHouse(o.Admission)
	if err != nil {
		return nil, fmt.Errorf("api options: %w", err)
	}
	if err := o.Registerer.Register(admissionCollector{h.gate}); err != nil {
		return nil, fmt.Errorf("api metrics: %w", err)
	}
	if err := o.Registerer.Register(roomCollector{o.Rooms}); err != nil {
		return nil, fmt.Errorf("api metrics: %w", err)
	}
	s := &Server{
		options: o, engine: engine, log: o.Logger, verifier: v, metrics: m, house: h, spread: rand.IntN, drain: make(chan struct{}), lingering: make(chan struct{}, maxLingering),
		byAddress: newLimiter(o.LookupsPerAddress), byReference: newGuesses(o.LookupsPerReference), tickets: newLimiter(o.TicketsPerAddress), lines: newLimiter(busyLines),
		headers: headersOf(o),
	}
	if err := s.limitCallers(); err != nil {
		return nil, fmt.Errorf("api options: %w", err)
	}
	s.http = &fasthttp.Server{
		Handler: s.router(), ErrorHandler: s.transportFailed, Logger: quiet{s.log},
		Concurrency: o.MaxConnections, ReadBufferSize: o.MaxHeaderBytes, WriteBufferSize: writeBuffer, MaxRequestBodySize: dayBody,
		ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout, IdleTimeout: o.IdleTimeout,
		// Bodies are always streamed to the handlers, which refuse those that are too large before they are read.
		StreamRequestBody: true, HeaderReceived: headReceived, DisablePreParseMultipartForm: true,
		NoDefaultServerHeader: true, NoDefaultContentType: true, SecureErrorLogMessage: true, CloseOnShutdown: true,
	}
	if o.Dev {
		s.log.Warn("development mode: the bearer token \"dev\" is allowed everything; never run like this in production")
	}
	return s, nil
}

// writeBuffer has room for nearly every reply, so that it leaves in one write: fasthttp sends head and body of a larger one
// together only on bare sockets, and ours are read along.
const writeBuffer = 16 << 10

// Serve answers requests of one listener until Shutdown, and keeps the keys of access tokens up to date meanwhile. Call it once.
func (s *Server) Serve(listener net.Listener) error {
	ctx, cancel := context.WithCancel(context.Background())
	var keeper sync.WaitGroup
	keeper.Go(func() { s.verifier.Run(ctx) })
	defer keeper.Wait()
	defer cancel()
	if n := s.options.MaxPerAddress; n > 0 {
		listener = perAddress(listener, n)
	}
	return s.http.Serve(framing.Listener(listener, s.options.MaxHeaderBytes))
}

// Draining says whether the server has begun to shut down.
func (s *Server) Draining() bool {
	select {
	case <-s.drain:
		return true
	default:
		return false
	}
}

// Drain makes the server unready and ends long-polls and uploads at their next step, while it goes on serving: call it
// some time before Shutdown where load balancers need to notice.
func (s *Server) Drain() { s.drainOnce.Do(func() { close(s.drain) }) }

// Shutdown drains, closes the listener and idle connections, and waits for requests in flight until they are done or ctx
// ends; then the error of ctx is returned and what is left is still running.
func (s *Server) Shutdown(ctx context.Context) error {
	s.Drain()
	return s.http.ShutdownWithContext(ctx)
}

// router knows all routes, and answers the others with problems. HEAD is answered like GET, without the body.
func (s *Server) router() fasthttp.RequestHandler {
	r := router.New()
	r.RedirectTrailingSlash, r.RedirectFixedPath = false, false
	for _, row := range routes() {
		h := func(ctx *fasthttp.RequestCtx) { s.serve(ctx, &row) }
		paths := []string{row.path}
		if strings.Contains(row.path, "$") {
			paths = append(paths, strings.ReplaceAll(row.path, "$", "%24")) // as some clients write it
		}
		for _, path := range paths {
			r.Handle(row.method, path, h)
			if row.method == get {
				r.HEAD(path, h)
			}
		}
	}
	options := route{operation: "options", path: "-", class: classFree, handle: func(_ *Server, _ context.Context, x *exchange) (reply, error) {
		x.preflight()
		return reply{status: fasthttp.StatusNoContent}, nil
	}}
	r.HandleOPTIONS, r.GlobalOPTIONS = true, func(ctx *fasthttp.RequestCtx) { s.serve(ctx, &options) }
	refuse := func(code allocator.Code, detail string) fasthttp.RequestHandler {
		row := route{operation: "unknown", path: "-", class: classFree, handle: func(*Server, context.Context, *exchange) (reply, error) {
			return reply{}, allocator.Refuse(code, "%s", detail)
		}}
		return func(ctx *fasthttp.RequestCtx) { s.serve(ctx, &row) }
	}
	r.NotFound = refuse(CodeNotFound, "no such path; see /openapi.json")
	r.MethodNotAllowed = refuse(CodeMethodNotAllowed, "Allow lists the methods of this path")
	return r.Handler
}

// serve runs one exchange from admission to reply.
func (s *Server) serve(ctx *fasthttp.RequestCtx, row *route) {
	x := &exchange{server: s, http: ctx, route: row, started: time.Now()}
	given, _ := x.header("X-Request-Id")
	x.id = requestID(given)
	x.cutOff = len(ctx.Request.Header.Peek(announcedTooLarge)) > 0
	s.secure(x)
	if t := s.options.Tracer; t != nil {
		x.trace(t)
	}
	streaming := false
	defer func() {
		if cause := recover(); cause != nil {
			s.panicked(x, cause)
		}
		if !streaming {
			x.finish()
			if spent != nil {
				spent(ctx)
			}
		}
	}()
	answer, err := s.run(x)
	if err != nil {
		s.writeProblem(x, late(err, row.method != get))
		x.linger(true)
		return
	}
	streaming = answer.stream
	if !streaming {
		x.write(answer)
		x.linger(false)
	}
}

// spent, in tests, spoils the memory of a request that was answered, as the next request on the connection would.
var spent func(*fasthttp.RequestCtx)

func (s *Server) run(x *exchange) (reply, error) {
	bounded := x.route.class != classFree
	if bounded && s.house.gate.Shut(int(x.route.class)) { // before anything is worked on in vain
		return reply{}, s.refuse(x.route)
	}
	if err := s.authorise(x); err != nil {
		return reply{}, err
	}
	if err := x.limitSearch(); err != nil {
		return reply{}, err
	}
	if err := x.readBody(); err != nil {
		return reply{}, err
	}
	if bounded {
		in, ctx, err := s.admit(x.route)
		if err != nil {
			return reply{}, err
		}
		x.stay = in
		if err := s.belongs(ctx, x); err != nil {
			return reply{}, err
		}
		return x.route.handle(s, ctx, x)
	}
	ctx, cancel := context.WithTimeout(context.Background(), unboundDeadline)
	defer cancel()
	return x.route.handle(s, ctx, x)
}

// unboundDeadline is how long routes have that are not bounded.
const unboundDeadline = time.Second

// tellPanic counts and logs a panic that was recovered on its own goroutine. What it was called with may be anybody's data
// and is not told, unless the runtime made it: the stack tells where to look.
func (s *Server) tellPanic(x *exchange, cause any) {
	s.metrics.panics.Inc()
	s.log.LogAttrs(context.Background(), slog.LevelError, "panic",
		x.attrs("cause", causeOfPanic(cause), "stack", string(debug.Stack()))...)
}

func causeOfPanic(cause any) string {
	if r, ok := cause.(runtime.Error); ok {
		return r.Error()
	}
	return fmt.Sprintf("a value of type %T", cause)
}

// endPanic makes a panic of a body's Read its error, for fasthttp would not call Close otherwise. It is to be deferred.
func (x *exchange) endPanic(err *error) {
	if cause := recover(); cause != nil {
		x.server.tellPanic(x, cause)
		x.code, *err = allocator.CodeInternal, errPanic
	}
}

func (s *Server) panicked(x *exchange, cause any) {
	s.tellPanic(x, cause)
	x.http.Response.ResetBody()
	s.writeProblem(x, errPanic)
}

var errPanic = errors.New("panic: see the log line before")

// quiet sends what fasthttp has to say about connections to the log, at debug: clients break off all the time. Of errors it
// tells the kind, because some quote what was sent.
type quiet struct{ log *slog.Logger }

func (q quiet) Printf(format string, args ...any) {
	kinds := make([]string, 0, 1)
	for _, a := range args {
		if err, ok := a.(error); ok {
			kinds = append(kinds, fmt.Sprintf("%T", err))
		}
	}
	q.log.Debug("connection", "what", format, "errors", kinds)
}
