package tokens

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/prometheus/client_golang/prometheus"
)

// source is where an issuer's keys come from, and the last good ones. Loads take turns; a load that fails changes nothing.
type source struct {
	name    string
	read    func(ctx context.Context) ([]byte, error)
	every   time.Duration
	gap     time.Duration
	now     func() time.Time
	log     *slog.Logger
	metrics *metrics

	current atomic.Pointer[keySet] // nil: never any
	loads   atomic.Int64           // that have ended

	turn    chan struct{} // held by whoever loads, and with it what follows
	tried   time.Time     // when the last load ended
	known   []byte        // what the current keys were read from
	failure string        // of the last load, so that the log tells each once
}

// patience bounds a load, and with it the wait of a token for one.
const patience = 5 * time.Second

func newSource(i Issuer, o Options, m *metrics) (*source, error) {
	s := &source{name: i.Name, every: o.Every, gap: o.Gap, now: o.Now, log: o.Logger, metrics: m, turn: make(chan struct{}, 1)}
	m.begin(i.Name)
	web := newFetcher(o.Loopback)
	switch {
	case i.KeysFile != "":
		s.every = o.FileEvery
		s.read = func(context.Context) ([]byte, error) { return readFile(i.KeysFile) }
		if err := s.load(context.Background()); err != nil {
			return nil, err
		}
	case i.Discover:
		s.read = func(ctx context.Context) ([]byte, error) { return web.discovered(ctx, i.Issuer) }
	default:
		s.read = func(ctx context.Context) ([]byte, error) { return web.get(ctx, i.KeysURL) }
	}
	return s, nil
}

func readFile(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	defer file.Close()
	data, err := limited(file)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", name, err)
	}
	return data, nil
}

// run loads at intervals, sooner as long as there are no keys at all.
func (s *source) run(ctx context.Context) {
	for {
		pause := s.every
		if s.take(ctx) {
			_ = s.load(ctx) // told by log and metrics
			<-s.turn
		}
		if s.current.Load() == nil {
			pause = min(pause, s.gap)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// take waits for the turn.
func (s *source) take(ctx context.Context) bool {
	select {
	case s.turn <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// load reads the keys. The turn is held, or nobody else knows the source yet.
func (s *source) load(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	data, err := s.read(ctx)
	var set keySet
	if err == nil && (s.known == nil || !bytes.Equal(data, s.known)) {
		if set, err = parseKeys(data); err == nil {
			s.current.Store(&set)
			s.known = data
			s.log.Info("keys of access tokens were read", "of", s.name, "keys", len(set))
		}
	}
	s.metrics.ended(s.name, err, s.now())
	failure := ""
	if err != nil {
		err = fmt.Errorf("keys of the tokens of %s: %w", s.name, err)
		if failure = err.Error(); failure != s.failure {
			s.log.Warn("keys of access tokens could not be read; the last good ones stay", "of", s.name, "any", s.current.Load() != nil, "error", err)
		}
	}
	s.failure, s.tried = failure, s.now()
	s.loads.Add(1)
	return err
}

// find picks the key that a token names, loading again where it is not known, unless that was tried just now.
func (s *source) find(ctx context.Context, h jose.Header) (any, error) {
	before := s.loads.Load()
	set := s.current.Load()
	if set == nil || h.KeyID != "" && !set.names(h.KeyID) {
		s.demand(ctx, before)
		if set = s.current.Load(); set == nil {
			return nil, ErrNoKeys
		}
	}
	if key, ok := set.key(h); ok {
		return key, nil
	}
	return nil, ErrInvalid
}

// demand loads, or waits for whoever does: once for all that ask at the same time, and never twice within the gap.
func (s *source) demand(ctx context.Context, before int64) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if !s.take(ctx) {
		return
	}
	defer func() { <-s.turn }()
	if s.loads.Load() == before && (s.tried.IsZero() || s.now().Sub(s.tried) >= s.gap) {
		_ = s.load(ctx) // told by log and metrics
	}
}

// metrics of loads, by issuer.
type metrics struct {
	loads *prometheus.CounterVec
	good  *prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		loads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_token_key_loads_total", Help: "How often keys of access tokens were read, by issuer and result.",
		}, []string{"issuer", "result"}),
		good: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "muster_token_keys_read_timestamp_seconds", Help: "When keys of access tokens were last read well, by issuer; 0: never.",
		}, []string{"issuer"}),
	}
	for _, c := range []prometheus.Collector{m.loads, m.good} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// begin shows an issuer's metrics before anything has happened.
func (m *metrics) begin(issuer string) {
	m.loads.WithLabelValues(issuer, "ok")
	m.loads.WithLabelValues(issuer, "failed")
	m.good.WithLabelValues(issuer)
}

func (m *metrics) ended(issuer string, err error, now time.Time) {
	if err != nil {
		m.loads.WithLabelValues(issuer, "failed").Inc()
		return
	}
	m.loads.WithLabelValues(issuer, "ok").Inc()
	m.good.WithLabelValues(issuer).Set(float64(now.UnixMilli()) / 1000)
}
