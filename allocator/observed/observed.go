// Package observed measures the allocator's ports without touching them: decorators count what goes in and what comes
// out, and hand on arguments, results and errors as they are.
//
// Metrics, for each port (inventory, ledger):
//
//	muster_PORT_call_seconds{method}          how long calls took, failed ones included
//	muster_PORT_batch_items{method}           how many items a call of a batch method carried
//	muster_PORT_items_total{method,outcome}   what became of the items, of calls that were answered
//	muster_PORT_errors_total{method,kind}     calls that failed, by kind of failure
//
// and muster_allocator_events_total{event} for what the allocator itself counts.
package observed

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"muster/allocator"
)

// Metrics are the instruments of both ports and of the allocator. Safe for concurrent use.
type Metrics struct {
	inventory, ledger *port
	events            *prometheus.CounterVec
}

// New makes the instruments and registers them. An error means that the registry has some of that name already.
func New(registry prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		inventory: newPort("inventory"),
		ledger:    newPort("ledger"),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_allocator_events_total", Help: "What happened in the allocator, by name of the event.",
		}, []string{"event"}),
	}
	var faults []error
	for _, c := range append(append(m.inventory.collectors(), m.ledger.collectors()...), m.events) {
		faults = append(faults, registry.Register(c))
	}
	return m, errors.Join(faults...)
}

// Count adds one to the event's counter. Names come from the program's text, never from input.
func (m *Metrics) Count(event string) { m.events.WithLabelValues(event).Inc() }

// port is the instruments of one port.
type port struct {
	seconds *prometheus.HistogramVec
	batch   *prometheus.HistogramVec
	items   *prometheus.CounterVec
	errors  *prometheus.CounterVec
}

func newPort(name string) *port {
	return &port{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "muster_" + name + "_call_seconds", Help: "Seconds that calls of the " + name + " took, failed ones included.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 17), // 0.1 ms … 6.6 s
		}, []string{"method"}),
		batch: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "muster_" + name + "_batch_items", Help: "Items in one call of the " + name + ".",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11), // 1 … 1024
		}, []string{"method"}),
		items: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_" + name + "_items_total", Help: "Items that the " + name + " answered, by outcome.",
		}, []string{"method", "outcome"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_" + name + "_errors_total", Help: "Calls of the " + name + " that failed, by kind of failure.",
		}, []string{"method", "kind"}),
	}
}

func (p *port) collectors() []prometheus.Collector {
	return []prometheus.Collector{p.seconds, p.batch, p.items, p.errors}
}

// call is one call under way.
type call struct {
	port   *port
	method string
	start  time.Time
}

func (p *port) begin(method string) call { return call{p, method, time.Now()} }

func (p *port) beginBatch(method string, items int) call {
	p.batch.WithLabelValues(method).Observe(float64(items))
	return p.begin(method)
}

func (c call) end(err error) {
	c.port.seconds.WithLabelValues(c.method).Observe(time.Since(c.start).Seconds())
	if err != nil {
		c.port.errors.WithLabelValues(c.method, KindOf(err)).Inc()
	}
}

// kinds names failures; the first that fits is the kind. A call whose caller gave up or whose deadline passed often wraps
// ErrUnavailable too, and is told apart: it says nothing about the other side.
var kinds = []struct {
	err  error
	name string
}{
	{allocator.ErrOutcomeUnknown, "outcome_unknown"},
	{allocator.ErrIncarnationLost, "incarnation_lost"},
	{allocator.ErrEpochStale, "epoch_stale"},
	{allocator.ErrIdentitySuperseded, "identity_superseded"},
	{allocator.ErrSchema, "schema"},
	{context.Canceled, "cancelled"},
	{context.DeadlineExceeded, "deadline"},
	{allocator.ErrUnavailable, "unavailable"},
}

// KindOf is the kind of a failure, as the label kind of muster_PORT_errors_total names it.
func KindOf(err error) string {
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return k.name
		}
	}
	return "other"
}

// one counts a single item's outcome, where the call was answered.
func one[O ~int8](c call, names []string, outcome O, err error) {
	if err == nil {
		c.port.items.WithLabelValues(c.method, nameOf(names, outcome)).Inc()
	}
}

// tally counts the outcomes of a batch, where the call was answered.
func tally[R any, O ~int8](c call, names []string, results []R, err error, outcome func(*R) O) {
	if err != nil {
		return
	}
	var counts [16]int
	for i := range results {
		if o := int(outcome(&results[i])); o >= 0 && o < len(counts) {
			counts[o]++
		}
	}
	for o, n := range counts {
		if n > 0 {
			c.port.items.WithLabelValues(c.method, nameOf(names, O(o))).Add(float64(n))
		}
	}
}

func nameOf[O ~int8](names []string, o O) string {
	if int(o) < 0 || int(o) >= len(names) {
		return "unnamed"
	}
	return names[o]
}

// The names of outcomes, in the order of their constants; a test compares them.
var (
	holdOutcomes = []string{
		"granted", "mismatch", "full", "outside", "stale", "not_built", "building", "unknown",
	}
	grantStates      = []string{"absent", "held", "pinned", "booked", "released", "expired", "ended"}
	applyOutcomes    = []string{"applied", "set_aside", "displaced", "ignored"}
	publishOutcomes  = []string{"published", "mismatch", "site_unknown", "services"}
	recordOutcomes   = []string{"recorded", "recorded_ever", "void", "person", "taken", "unseated", "replace", "foreign", "voided"}
	builderOutcomes  = []string{"replaced", "done"}
	transitionStates = []string{"unknown", "refused", "unchanged", "changed"}
)
