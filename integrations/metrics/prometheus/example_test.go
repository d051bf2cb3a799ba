package identityprometheus_test

import (
	"log"
	"net/http"

	"github.com/keyless-go/identity"
	identitymetrics "github.com/keyless-go/identity/integrations/metrics"
	identityprometheus "github.com/keyless-go/identity/integrations/metrics/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metricsPage is what Prometheus scrapes: what any credential of package identity holds.
func metricsPage(cred identity.Reporter) http.Handler {
	registry := prometheus.NewRegistry() // or your program's
	registry.MustRegister(identityprometheus.NewCollector(identitymetrics.NewSet(cred)))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

// A metrics page of the default credential. Its address is for Prometheus, and not for users:
// labels say which identity asks for what.
func Example() {
	cred, err := identity.NewDefaultCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	// Pass cred to your clients, too.
	http.Handle("GET /metrics", metricsPage(cred))
	log.Fatal(http.ListenAndServe("127.0.0.1:8081", nil))
}
