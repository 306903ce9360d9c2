package attack

import (
	"context"
	"errors"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// gate is a Pacer that lets a hit go when the scheduler has a request that is due.
type gate struct {
	ctx   context.Context
	s     *scheduler
	ready chan *shot
}

// Pace blocks until a request is due. It is called by one goroutine of Vegeta's.
func (g *gate) Pace(time.Duration, uint64) (time.Duration, bool) {
	sh, ok := g.s.next(g.ctx)
	if !ok {
		return 0, true
	}
	g.ready <- sh
	return 0, false
}

// Rate is the profile's: later steps follow from answers, and nobody knows their rate before.
func (g *gate) Rate(elapsed time.Duration) float64 { return g.s.curve.Rate(elapsed) }

// carrier sends requests, and remembers which hit is whose: Vegeta numbers its hits in a header.
type carrier struct {
	s         *scheduler
	transport *http.Transport
	flying    sync.Map // id of a shot → *shot
	hits      sync.Map // number of a hit → *shot
}

// headerID carries a shot's id as far as the transport, and then the server's log.
const headerID = "X-Request-Id"

const idPrefix = "loadtest-"

// RoundTrip is http.RoundTripper.
func (c *carrier) RoundTrip(r *http.Request) (*http.Response, error) {
	id, _ := strings.CutPrefix(r.Header.Get(headerID), idPrefix)
	if known, ok := c.flying.LoadAndDelete(id); ok {
		sh := known.(*shot)
		c.hits.Store(r.Header.Get("X-Vegeta-Seq"), sh)
		c.s.sending(sh)
	}
	return c.transport.RoundTrip(r)
}

// runVegeta sends all that the scheduler hands out, and returns when the last answer is there.
func runVegeta(ctx context.Context, c *Config, s *scheduler) {
	dialer := &net.Dialer{Timeout: c.Timeout}
	carry := &carrier{s: s, transport: &http.Transport{
		DialContext: dialer.DialContext, MaxIdleConns: c.MaxWorkers, MaxIdleConnsPerHost: c.MaxWorkers, DisableCompression: true,
	}}
	defer carry.transport.CloseIdleConnections()
	attacker := vegeta.NewAttacker(
		vegeta.Client(&http.Client{Transport: carry, Timeout: c.Timeout}),
		vegeta.Redirects(vegeta.NoFollow), vegeta.MaxWorkers(uint64(c.MaxWorkers)), vegeta.Workers(uint64(min(16, c.MaxWorkers))),
	)
	g := &gate{ctx, s, make(chan *shot, c.MaxWorkers+1)}
	base := strings.TrimSuffix(c.Target.String(), "/")
	targeter := func(t *vegeta.Target) error {
		sh := <-g.ready
		t.Method, t.URL, t.Body, t.Header = carry.describe(sh, s.prepare(sh), base)
		return nil
	}
	results := attacker.Attack(targeter, g, 0, "")
	var reading sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		reading.Go(func() {
			for r := range results {
				carry.answer(r)
			}
		})
	}
	reading.Wait()
	carry.flying.Range(func(_, left any) bool { // hits that never came to the transport
		s.done(left.(*shot), Reply{Err: errors.New("it was never sent")}, s.now())
		return true
	})
}

func (c *carrier) describe(sh *shot, q *Request, base string) (method, url string, body []byte, header http.Header) {
	id := strconv.FormatUint(sh.id, 10)
	c.flying.Store(id, sh)
	header = http.Header{headerID: {idPrefix + id}}
	if q.Body != nil {
		header["Content-Type"] = []string{"application/json"}
	}
	if q.Key != "" {
		header["Idempotency-Key"] = []string{q.Key}
	}
	if q.Authorization != "" {
		header["Authorization"] = []string{q.Authorization}
	}
	return q.Method, base + q.Path, q.Body, header
}

// answer brings a hit's result to its journey.
func (c *carrier) answer(r *vegeta.Result) {
	known, ok := c.hits.LoadAndDelete(strconv.FormatUint(r.Seq, 10))
	if !ok {
		return // it is still among the flying ones
	}
	reply := Reply{Status: int(r.Code), Body: r.Body}
	if r.Code == 0 || r.Error != "" && r.Code/100 == 2 { // no answer, or one that broke off
		reply = Reply{Err: vegetaError(r.Error)}
	}
	if seconds, err := strconv.Atoi(r.Headers.Get("Retry-After")); err == nil {
		reply.RetryAfter = time.Duration(seconds) * time.Second
	}
	c.s.done(known.(*shot), reply, r.Timestamp.Add(r.Latency).Sub(c.s.began))
}

// vegetaError is an error of which Vegeta left only the text.
type vegetaError string

func (e vegetaError) Error() string { return string(e) }

// Timeout says whether the client lost its patience.
func (e vegetaError) Timeout() bool {
	return strings.Contains(string(e), "Timeout exceeded") || strings.Contains(string(e), "timeout")
}
