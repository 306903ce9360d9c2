package api

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of requests. Labels are operations, statuses and codes: closed lists, nothing that a client chooses.
type metrics struct {
	seconds *prometheus.HistogramVec
	total   *prometheus.CounterVec
	refused *prometheus.CounterVec
	panics  prometheus.Counter
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
			Name: "muster_http_admission_refused_total", Help: "Requests that found no room in their class, by operation.",
		}, []string{"operation"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "muster_http_panics_total", Help: "Requests that ended in a recovered panic.",
		}),
	}
	for _, c := range []prometheus.Collector{m.seconds, m.total, m.refused, m.panics} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// finish gives back the gate's place, counts the exchange and logs it.
func (x *exchange) finish() {
	if x.leave != nil {
		x.leave()
		x.leave = nil
	}
	s, status := x.server, x.http.Response.StatusCode()
	code, took := string(x.code), time.Since(x.started)
	if code == "" {
		code = "OK"
	}
	s.metrics.seconds.WithLabelValues(x.route.operation, strconv.Itoa(status/100)+"xx").Observe(took.Seconds())
	s.metrics.total.WithLabelValues(x.route.operation, strconv.Itoa(status), code).Inc()
	level := levelOf(status)
	if s.log.Enabled(context.Background(), level) {
		s.log.LogAttrs(context.Background(), level, "request", x.attrs("took", took.String())...)
	}
}
