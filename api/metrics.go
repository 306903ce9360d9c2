package api

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"muster/allocator"
)

// metrics of requests. Labels are operations, statuses and codes: closed lists, nothing that a client chooses.
type metrics struct {
	seconds *prometheus.HistogramVec
	total   *prometheus.CounterVec
	refused *prometheus.CounterVec
	panics  prometheus.Counter
	items   *prometheus.CounterVec
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

func codeLabel(code allocator.Code) string {
	if code == "" {
		return "OK"
	}
	return string(code)
}

// leaveGate gives the gate's place back, once.
func (x *exchange) leaveGate() {
	if x.leave != nil {
		x.leave()
		x.leave = nil
	}
}

// finish gives back the gate's place, counts the exchange and logs it.
func (x *exchange) finish() {
	x.leaveGate()
	s, status := x.server, x.http.Response.StatusCode()
	code, took := codeLabel(x.code), time.Since(x.started)
	s.metrics.seconds.WithLabelValues(x.route.operation, strconv.Itoa(status/100)+"xx").Observe(took.Seconds())
	s.metrics.total.WithLabelValues(x.route.operation, strconv.Itoa(status), code).Inc()
	level := levelOf(status)
	if s.log.Enabled(context.Background(), level) {
		s.log.LogAttrs(context.Background(), level, "request", x.attrs("took", took.String())...)
	}
}
