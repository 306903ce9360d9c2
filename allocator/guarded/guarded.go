// Package guarded keeps the allocator from calling a dependency that is dead: decorators of the ports with a breaker for each
// node of the inventory and one for the ledger. While a breaker is open its calls fail at once as unavailable ones do, but for
// one now and then that tries. Arguments, results and other errors are handed on as they are.
//
// A short interruption opens nothing: calls that wait it out are better off than those that are refused.
//
// Metrics:
//
//	muster_breaker_state{port,node}           0 closed, 1 half open, 2 open
//	muster_breaker_refused_total{port,node}   calls that were not made
package guarded

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"muster/admission"
	"muster/allocator"
)

// Bounds of the breakers. A node of Redis is replaced within seconds: whether it was is tried often.
var (
	nodeBounds   = admission.BreakerBounds{Lasting: time.Second, Pause: 250 * time.Millisecond, MaxPause: time.Second}
	ledgerBounds = admission.BreakerBounds{}
)

// Guard has the breakers of one program. Safe for concurrent use.
type Guard struct {
	ledger *admission.Breaker

	mu    sync.Mutex
	nodes map[string]*admission.Breaker
}

// New makes the breakers, all closed, and registers their metrics. An error means that the registry has some of that name.
func New(registry prometheus.Registerer) (*Guard, error) {
	g := &Guard{ledger: admission.NewBreaker(ledgerBounds), nodes: make(map[string]*admission.Breaker)}
	return g, registry.Register(g)
}

// node is the breaker of one of the inventory's nodes.
func (g *Guard) node(name string) *admission.Breaker {
	g.mu.Lock()
	defer g.mu.Unlock()
	b := g.nodes[name]
	if b == nil {
		b = admission.NewBreaker(nodeBounds)
		g.nodes[name] = b
	}
	return b
}

// through makes a call unless the breaker is open; then the error is what refused makes of the time until the next trial.
func through(b *admission.Breaker, refused func(left time.Duration) error, call func() error) error {
	if !b.Allow() {
		_, _, left := b.Look()
		return refused(left)
	}
	began := time.Now()
	err := call()
	b.Done(outcome(err, time.Since(began)))
	return err
}

// hung is how long a call must have waited for its running out of time to tell something of the other side.
const hung = time.Second

// outcome is what an error says about who was called. All that is an answer shows that it is there.
func outcome(err error, took time.Duration) admission.Outcome {
	switch {
	case err == nil:
		return admission.Answered
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded) && took < hung:
		return admission.Silent
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, allocator.ErrUnavailable), errors.Is(err, allocator.ErrOutcomeUnknown):
		return admission.Failed
	}
	return admission.Answered
}

var (
	stateDesc   = prometheus.NewDesc("muster_breaker_state", "Whether calls of a dependency's node go (0), are tried (1) or refused (2).", []string{"port", "node"}, nil)
	refusedDesc = prometheus.NewDesc("muster_breaker_refused_total", "Calls that were not made because the dependency's node was dead.", []string{"port", "node"}, nil)
)

// Describe implements prometheus.Collector.
func (g *Guard) Describe(to chan<- *prometheus.Desc) {
	to <- stateDesc
	to <- refusedDesc
}

// Collect implements prometheus.Collector.
func (g *Guard) Collect(to chan<- prometheus.Metric) {
	tell := func(port, node string, b *admission.Breaker) {
		state, refused, _ := b.Look()
		to <- prometheus.MustNewConstMetric(stateDesc, prometheus.GaugeValue, float64(state), port, node)
		to <- prometheus.MustNewConstMetric(refusedDesc, prometheus.CounterValue, float64(refused), port, node)
	}
	tell("ledger", "ledger", g.ledger)
	g.mu.Lock()
	defer g.mu.Unlock()
	for name, b := range g.nodes {
		tell("inventory", name, b)
	}
}

// nodeDead is the failure of a call to a node that was not made.
func nodeDead(node string) error {
	return fmt.Errorf("node %s has not answered for a while: %w", node, allocator.ErrUnavailable)
}

// ledgerDead is the same for the ledger: with its code, so that nobody repeats it until their time is over.
func ledgerDead(left time.Duration) error {
	return &allocator.Error{
		Code: allocator.CodeLedgerUnavailable, Detail: "the ledger cannot be reached just now", RetryAfter: max(time.Second, left), Cause: allocator.ErrUnavailable,
	}
}
