package identityotel_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
	identitymetrics "github.com/keyless-go/identity/integrations/metrics"
	identityotel "github.com/keyless-go/identity/integrations/metrics/otel"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// A service whose meter provider has what its credential holds.
func Example() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// azure.identity.token.remaining_lifetime: over 10 h: true
	// azure.identity.token.time_to_refresh: over 10 h: true
	// azure.identity.requests: 1
	// azure.identity.failures: 0
	// azure.identity.throttles: 0
	// azure.identity.acquisitions: 1
}

func run(ctx context.Context) error {
	// On Azure without Transport and Host: identity.NewCredential(nil).
	options := &identity.CredentialOptions{Host: identity.HostIMDS}
	options.Transport = identitytest.NewIMDS(nil)
	cred, err := identity.NewCredential(options)
	if err != nil {
		return err
	}
	reader := metric.NewManualReader() // or a PeriodicReader with an exporter
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	defer func() { _ = provider.Shutdown(ctx) }()
	if _, err := identityotel.Register(identitymetrics.NewSet(cred), provider); err != nil {
		return err
	}

	password := identity.TokenFunc(cred, "https://vault.azure.net/.default")
	if _, err := password(ctx); err != nil {
		return err
	}
	var collected metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &collected); err != nil {
		return err
	}
	for _, m := range collected.ScopeMetrics[0].Metrics {
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			fmt.Printf("%s: %d\n", m.Name, data.DataPoints[0].Value)
		case metricdata.Gauge[float64]:
			left := time.Duration(data.DataPoints[0].Value * float64(time.Second))
			fmt.Printf("%s: over 10 h: %v\n", m.Name, left > 10*time.Hour)
		}
	}
	return nil
}
