package api

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Ops serves operators on a listener of its own, which must not be public: /healthz (alive), /readyz (may take traffic;
// names what is missing), /metrics and /debug/pprof.
type Ops struct {
	server *Server
	http   *http.Server
}

// readyWithin bounds how long readiness may be looked for.
const readyWithin = 3 * time.Second

// NewOps makes the operators' side of a server. A nil gatherer: no metrics.
func NewOps(s *Server, gatherer prometheus.Gatherer) *Ops {
	o := &Ops{server: s}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		opsReply(w, http.StatusOK, map[string]any{"alive": true})
	})
	mux.HandleFunc("GET /readyz", o.ready)
	if gatherer != nil {
		mux.Handle("GET /metrics", promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{}))
	}
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	o.http = &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	return o
}

// Serve answers requests until Shutdown; then it returns nil.
func (o *Ops) Serve(listener net.Listener) error {
	if err := o.http.Serve(listener); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// Shutdown closes the listener and waits for requests in flight. Shut the Server down first: it stays observable meanwhile.
func (o *Ops) Shutdown(ctx context.Context) error { return o.http.Shutdown(ctx) }

func (o *Ops) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyWithin)
	defer cancel()
	missing := o.server.engine.Ready(ctx)
	if o.server.Draining() {
		missing = append([]string{"the server is shutting down"}, missing...)
	}
	status := http.StatusOK
	if len(missing) > 0 {
		status = http.StatusServiceUnavailable
	}
	body := map[string]any{"ready": len(missing) == 0, "missing": list(missing)}
	if degraded := o.server.verifier.Missing(); len(degraded) > 0 { // citizens need no tokens: no reason to send them elsewhere
		body["degraded"] = degraded
	}
	opsReply(w, status, body)
}

func opsReply(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		status, data = http.StatusInternalServerError, nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(data)
}
