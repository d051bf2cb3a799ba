package identityprometheus_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
	identitymetrics "github.com/keyless-go/identity/integrations/metrics"
	identityprometheus "github.com/keyless-go/identity/integrations/metrics/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// A service whose /metrics has what its credential holds.
func Example() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// azure_identity_failures_total{host="imds",resource="https://vault.azure.net"} 0
	// azure_identity_requests_total{host="imds",resource="https://vault.azure.net"} 1
}

var emptyLabel = regexp.MustCompile(`\w+="",|,\w+=""`)

func run() error {
	// On Azure without Transport and Host: identity.NewCredential(nil).
	options := &identity.CredentialOptions{Host: identity.HostIMDS}
	options.Transport = identitytest.NewIMDS(nil)
	cred, err := identity.NewCredential(options)
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry() // or prometheus.MustRegister
	credentials := identitymetrics.NewSet(cred)
	if err := registry.Register(identityprometheus.NewCollector(credentials)); err != nil {
		return err
	}
	server := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	defer server.Close()

	password := identity.TokenFunc(cred, "https://vault.azure.net/.default")
	if _, err := password(context.Background()); err != nil {
		return err
	}
	resp, err := http.Get(server.URL) // as Prometheus does
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(body)) {
		if strings.HasPrefix(line, "azure_identity_requests") ||
			strings.HasPrefix(line, "azure_identity_failures") {
			// An empty label is none to Prometheus.
			fmt.Print(emptyLabel.ReplaceAllString(line, ""))
		}
	}
	return nil
}
