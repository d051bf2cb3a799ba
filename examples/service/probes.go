package main

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/keyless-go/identity"
	identitymetrics "github.com/keyless-go/identity/integrations/metrics"
	identityprometheus "github.com/keyless-go/identity/integrations/metrics/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// handlers are what users may ask, and what only the platform and those on call may.
func (s *service) handlers() (public, admin http.Handler) {
	latency := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "http_request_duration_seconds",
		Help: "How long requests of users took.",
	}, []string{"code", "method"})
	registry := prometheus.NewRegistry()
	registry.MustRegister(latency, collectors.NewGoCollector(),
		identityprometheus.NewCollector(identitymetrics.NewSet(s.cred)))

	users := http.NewServeMux()
	users.Handle("GET /orders/{id}", s.handle(s.getOrder))

	inside := http.NewServeMux()
	inside.HandleFunc("GET /livez", alive)
	inside.HandleFunc("GET /readyz", s.ready)
	inside.HandleFunc("GET /identity", s.identityPage)
	inside.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return promhttp.InstrumentHandlerDuration(latency, users), inside
}

// alive is for a liveness probe. It asks nobody: a restart mends no outage, and throws away the
// tokens that would outlast it.
func alive(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

// ready is for a readiness probe: requests come once the tokens and the key are there. It sends
// nothing while they are. It doesn't ask the database, whose outage all replicas share: without
// any that is ready, users would not even get an answer.
func (s *service) ready(w http.ResponseWriter, r *http.Request) {
	if s.stopping.Load() {
		http.Error(w, "stopping", http.StatusServiceUnavailable)
		return
	}
	// A probe of Kubernetes waits for 1 s by default, and then shows no reason.
	ctx, cancel := context.WithTimeout(r.Context(), 900*time.Millisecond)
	defer cancel()
	err := s.cred.Ready(ctx, vaultScope, databaseScope)
	if err == nil {
		_, err = s.key.value()
	}
	why := "not ready: "
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
		return
	case err != errNoKey && !identity.Passing(err):
		why = "not ready, and waiting won't mend it: " // an identity that isn't assigned, say
	}
	http.Error(w, why+err.Error(), http.StatusServiceUnavailable) // there is no secret in it
}

// identityPage is for those on call: which identity this is, until when its tokens last, and why
// they can't be renewed. There is no secret in it.
func (s *service) identityPage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	page := json.NewEncoder(w)
	page.SetIndent("", "  ")
	_ = page.Encode(s.cred.Statuses())
}
