package api

import (
	"context"
	"maps"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"muster/admission"
	"muster/allocator"
	"muster/api/callers"
)

// metrics of requests. Labels are operations, statuses and codes: closed lists, nothing that a client chooses.
type metrics struct {
	seconds *prometheus.HistogramVec
	total   *prometheus.CounterVec
	refused *prometheus.CounterVec
	panics  prometheus.Counter
	items   *prometheus.CounterVec
	known   atomic.Pointer[map[ending]outcome]
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "muster_http_request_seconds", Help: "Time from the request's headers to its reply, by operation and status class.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"operation", "class"}),
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_http_requests_total", Help: "Requests by operation, status and problem code (OK where there was none).",
		}, []string{"operation", "status", "code"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_http_admission_refused_total", Help: "Requests, and items of batches, that found no room in their class, by operation.",
		}, []string{"operation"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "muster_http_panics_total", Help: "Requests, and items of batches, that ended in a recovered panic.",
		}),
		items: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_http_batch_items_total", Help: "Items of batch requests by operation, status and problem code (OK where there was none).",
		}, []string{"operation", "status", "code"}),
	}
	for _, c := range []prometheus.Collector{m.seconds, m.total, m.refused, m.panics, m.items} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// ending is what came of a request.
type ending struct {
	operation string
	status    int
	code      allocator.Code
}

// outcome is the instruments of one ending.
type outcome struct {
	seconds prometheus.Observer
	total   prometheus.Counter
}

// outcome finds the instruments of an ending: by their labels once, and then without a lock.
func (m *metrics) outcome(e ending) outcome {
	before := m.known.Load()
	if before != nil {
		if o, ok := (*before)[e]; ok {
			return o
		}
	}
	o := outcome{
		seconds: m.seconds.WithLabelValues(e.operation, strconv.Itoa(e.status/100)+"xx"),
		total:   m.total.WithLabelValues(e.operation, strconv.Itoa(e.status), codeLabel(e.code)),
	}
	after := map[ending]outcome{e: o}
	if before != nil {
		maps.Copy(after, *before)
	}
	m.known.CompareAndSwap(before, &after) // an ending that loses the race is added the next time
	return o
}

// admissionCollector shows how the classes stand.
type admissionCollector struct{ gate *admission.Gate }

var (
	inFlightDesc = prometheus.NewDesc("muster_admission_in_flight", "Requests, and items of batches, that run, by class.", []string{"admission_class"}, nil)
	queuedDesc   = prometheus.NewDesc("muster_admission_queued", "Requests, and items of batches, that wait for a place, by class.", []string{"admission_class"}, nil)
	limitDesc    = prometheus.NewDesc("muster_admission_limit", "How many may run at once at present, by class.", []string{"admission_class"}, nil)
	droppedDesc  = prometheus.NewDesc("muster_admission_dropped_total", "Requests, and items of batches, that were not let in, by class and reason.",
		[]string{"admission_class", "reason"}, nil)
)

// Describe implements prometheus.Collector.
func (c admissionCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{inFlightDesc, queuedDesc, limitDesc, droppedDesc} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c admissionCollector) Collect(to chan<- prometheus.Metric) {
	for _, s := range c.gate.States() {
		for d, n := range map[*prometheus.Desc]int{inFlightDesc: s.Running, queuedDesc: s.Queued, limitDesc: s.Limit} {
			to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), s.Class)
		}
		for reason, n := range s.Dropped {
			to <- prometheus.MustNewConstMetric(droppedDesc, prometheus.CounterValue, float64(n), s.Class, string(reason))
		}
	}
}

// callersCollector shows what the limits per caller did; where there are none, nothing.
type callersCollector struct{ server *Server }

var (
	callerRefusedDesc  = prometheus.NewDesc("muster_callers_refused_total", "Requests, and items of batches, that a limit per caller refused, by limit.", []string{"limit"}, nil)
	callerProofsDesc   = prometheus.NewDesc("muster_callers_proofs_total", "Proofs of work, by what became of them.", []string{"proof"}, nil)
	callerReplacedDesc = prometheus.NewDesc("muster_callers_replaced_holds_total", "Holds that their visitor's next one took the place of.", nil, nil)
	callerLoadDesc     = prometheus.NewDesc("muster_callers_load", "The load that limits and proofs go by, which is the larger of its causes; from 0.7 on everybody is asked for a proof.", []string{"cause"}, nil)
)

// Describe implements prometheus.Collector.
func (c callersCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{callerRefusedDesc, callerProofsDesc, callerReplacedDesc, callerLoadDesc} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c callersCollector) Collect(to chan<- prometheus.Metric) {
	counts := callers.Nothing
	if l := c.server.limits; l != nil {
		counts = l.Counts(c.server.options.Now())
	}
	for limit, n := range counts.Refused {
		to <- prometheus.MustNewConstMetric(callerRefusedDesc, prometheus.CounterValue, float64(n), limit)
	}
	for proof, n := range counts.Proofs {
		to <- prometheus.MustNewConstMetric(callerProofsDesc, prometheus.CounterValue, float64(n), proof)
	}
	to <- prometheus.MustNewConstMetric(callerReplacedDesc, prometheus.CounterValue, float64(counts.Replaced))
	for cause, load := range counts.Load {
		to <- prometheus.MustNewConstMetric(callerLoadDesc, prometheus.GaugeValue, load, cause)
	}
}

func codeLabel(code allocator.Code) string {
	if code == "" {
		return "OK"
	}
	return string(code)
}

// finish gives back the exchange's place, counts the exchange, ends its span and logs it.
func (x *exchange) finish() {
	x.server.house.leave(&x.stay)
	x.giveBack()
	s, status := x.server, x.http.Response.StatusCode()
	took := time.Since(x.started)
	o := s.metrics.outcome(ending{x.route.operation, status, x.code})
	o.seconds.Observe(took.Seconds())
	o.total.Inc()
	if x.traced != nil {
		x.traced(status, codeLabel(x.code))
	}
	level := levelOf(status)
	if s.log.Enabled(context.Background(), level) && s.worthALine(x.route.operation, status) {
		s.log.LogAttrs(context.Background(), level, "request", x.attrs("took", took.String())...)
	}
}
