package identityprometheus_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/integrations/metrics"
	identityprometheus "github.com/keyless-go/identity/integrations/metrics/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// BenchmarkHit is a token that is held, without metrics and with a Collector that was scraped: they
// cost the same.
func BenchmarkHit(b *testing.B) {
	for _, name := range []string{"without", "registered"} {
		b.Run(name, func(b *testing.B) {
			cred := imds(b, identitytest.NewIMDS(nil), nil)
			options := policy.TokenRequestOptions{Scopes: []string{vault + "/.default"}}
			if _, err := cred.GetToken(b.Context(), options); err != nil {
				b.Fatal(err)
			}
			registry := prometheus.NewRegistry()
			if name == "registered" {
				registry.MustRegister(
					identityprometheus.NewCollector(identitymetrics.NewSet(cred)))
			}
			if _, err := registry.Gather(); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := cred.GetToken(b.Context(), options); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkThousandTokens is a reading of 1,000 tokens, and a scrape of them as text.
func BenchmarkThousandTokens(b *testing.B) {
	cred := imds(b, identitytest.NewIMDS(nil), nil)
	for i := range 1000 {
		options := policy.TokenRequestOptions{
			Scopes: []string{"https://" + strconv.Itoa(i) + ".example/.default"}}
		if _, err := cred.GetToken(b.Context(), options); err != nil {
			b.Fatal(err)
		}
	}
	set := identitymetrics.NewSet(cred)
	registry := prometheus.NewRegistry()
	registry.MustRegister(identityprometheus.NewCollector(set))
	handler := promhttp.HandlerFor(registry, promhttp.HandlerOpts{DisableCompression: true})
	b.Run("reading", func(b *testing.B) {
		for b.Loop() {
			if n := len(set.Read().Series); n != 1000 {
				b.Fatalf("%d series", n)
			}
		}
	})
	b.Run("scrape", func(b *testing.B) {
		for b.Loop() {
			response := httptest.NewRecorder()
			response.Body = nil
			handler.ServeHTTP(response, httptest.NewRequest(http.MethodGet, "/metrics", nil))
			if response.Code != http.StatusOK {
				b.Fatal(response.Code)
			}
		}
	})
}
