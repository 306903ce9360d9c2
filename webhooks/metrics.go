package webhooks

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	attempts *prometheus.CounterVec
	answers  prometheus.Histogram
	disabled *prometheus.CounterVec
	webhooks *prometheus.GaugeVec
}

// States of subscriptions, for operators.
const (
	stateDelivering = "delivering"
	stateFailing    = "failing"
	stateDisabled   = "disabled"
)

func newMetrics(r prometheus.Registerer, h *Hooks) (*metrics, error) {
	m := &metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_webhook_attempts_total", Help: "Messages that this server sent to webhooks, by result: ok, failed.",
		}, []string{"result"}),
		answers: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "muster_webhook_request_seconds", Help: "How long webhooks took to answer, or to fail.", Buckets: []float64{0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30},
		}),
		disabled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_webhooks_disabled_total", Help: "Webhooks that this server disabled: gone (they answered 410), failing (for days).",
		}, []string{"why"}),
		webhooks: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "muster_webhooks", Help: "Webhooks of the installation, by state: delivering, failing, disabled.",
		}, []string{"state"}),
	}
	for _, result := range []string{"ok", "failed"} {
		m.attempts.WithLabelValues(result)
	}
	for _, why := range []string{DisabledGone, DisabledFailing} {
		m.disabled.WithLabelValues(why)
	}
	m.tell(h)
	lag := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "muster_webhook_lag_seconds", Help: "How old the oldest event is that this server is to deliver to a webhook which does not fail.",
	}, func() float64 { return h.lag().Seconds() })
	return m, errors.Join(r.Register(m.attempts), r.Register(m.answers), r.Register(m.disabled), r.Register(m.webhooks), r.Register(lag))
}

// tell counts the subscriptions by state.
func (m *metrics) tell(h *Hooks) {
	for _, state := range []string{stateDelivering, stateFailing, stateDisabled} {
		m.webhooks.WithLabelValues(state).Set(float64(h.count(state)))
	}
}

// attempted notes an attempt.
func (m *metrics) attempted(f *failure, took time.Duration) {
	result := "ok"
	if f != nil {
		result = "failed"
	}
	m.attempts.WithLabelValues(result).Inc()
	m.answers.Observe(took.Seconds())
}

// count says how many subscriptions are in a state.
func (h *Hooks) count(state string) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, k := range h.known {
		present := stateDelivering
		switch {
		case k.webhook.Disabled != "":
			present = stateDisabled
		case k.webhook.Progress.Failures > 0:
			present = stateFailing
		}
		if present == state {
			n++
		}
	}
	return n
}

// lag is how far behind this server is where endpoints take what they are sent.
func (h *Hooks) lag() (most time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, k := range h.known {
		if !k.waiting.IsZero() && k.webhook.Disabled == "" && k.webhook.Progress.Failures == 0 {
			most = max(most, h.options.Now().Sub(k.waiting))
		}
	}
	return most
}
