package identityotel_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/integrations/metrics"
	identityotel "github.com/keyless-go/identity/integrations/metrics/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

const vault = "https://vault.azure.net"

// reporter is a credential of somebody else's.
type reporter struct {
	azcore.TokenCredential
	statuses func() []identity.Status
}

func (r reporter) Statuses() []identity.Status { return r.statuses() }

// imds is a credential of IMDS, in memory, and its endpoint.
func imds(t *testing.T) (*identity.Credential, *identitytest.Endpoint) {
	t.Helper()
	endpoint := identitytest.NewIMDS(nil)
	options := &identity.CredentialOptions{Host: identity.HostIMDS}
	options.Transport = endpoint
	cred, err := identity.NewCredential(options)
	if err != nil {
		t.Fatal(err)
	}
	return cred, endpoint
}

func get(t *testing.T, cred azcore.TokenCredential, resource string) {
	t.Helper()
	if _, err := identity.TokenFunc(cred, resource+"/.default")(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// point is what was observed of a metric, for one resource.
type point struct {
	Value      float64
	Unit, Kind string
}

// points are what a reader brought, by the metric's name and, after a space, the resource.
func points(t *testing.T, collected *metricdata.ResourceMetrics) map[string]point {
	t.Helper()
	found := map[string]point{}
	add := func(m metricdata.Metrics, of attribute.Set, kind string, value float64) {
		resource, _ := of.Value("azure.identity.resource")
		name := m.Name + " " + resource.AsString()
		if _, twice := found[name]; twice || m.Description == "" {
			t.Errorf("%s is there twice, or has no description", name)
		}
		found[name] = point{value, m.Unit, kind}
	}
	for _, scope := range collected.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					add(m, p.Attributes, sumKind(data.IsMonotonic), float64(p.Value))
				}
			case metricdata.Sum[float64]:
				for _, p := range data.DataPoints {
					add(m, p.Attributes, sumKind(data.IsMonotonic), p.Value)
				}
			case metricdata.Gauge[int64]:
				for _, p := range data.DataPoints {
					add(m, p.Attributes, "gauge", float64(p.Value))
				}
			case metricdata.Gauge[float64]:
				for _, p := range data.DataPoints {
					add(m, p.Attributes, "gauge", p.Value)
				}
			default:
				t.Errorf("%s is a %T", m.Name, data)
			}
		}
	}
	return found
}

func sumKind(monotonic bool) string {
	if monotonic {
		return "counter"
	}
	return "sum that may fall"
}

func collect(t *testing.T, reader sdk.Reader) map[string]point {
	t.Helper()
	var collected metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &collected); err != nil {
		t.Fatal(err)
	}
	return points(t, &collected)
}

// TestManualReader: what a real credential holds half a life later, by a real reader.
func TestManualReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cred, endpoint := imds(t)
		endpoint.Enqueue(identitytest.Response{Status: 429})
		get(t, cred, vault)
		time.Sleep(14 * time.Hour) // a renewal is overdue
		status := cred.Status().Resources[0]
		reader := sdk.NewManualReader()
		provider := sdk.NewMeterProvider(sdk.WithReader(reader))
		registration, err := identityotel.Register(identitymetrics.NewSet(cred, nil), provider)
		if err != nil {
			t.Fatal(err)
		}
		a := "azure.identity."
		want := map[string]point{
			a + "token.remaining_lifetime " + vault: {time.Until(status.ExpiresOn).Seconds(), "s", "gauge"},
			a + "token.time_to_refresh " + vault:    {time.Until(status.RefreshOn).Seconds(), "s", "gauge"},
			a + "requests " + vault:                 {2, "{request}", "counter"},
			a + "failures " + vault:                 {0, "{acquisition}", "counter"},
			a + "throttles " + vault:                {1, "{response}", "counter"},
			a + "acquisitions " + vault:             {1, "{acquisition}", "counter"},
			a + "acquisition.time " + vault:         {status.AcquisitionTime.Seconds(), "s", "counter"},
			a + "unreadable_credentials ":           {1, "{credential}", "gauge"},
		}
		if diff := cmp.Diff(want, collect(t, reader)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if time.Until(status.RefreshOn) >= 0 {
			t.Errorf("the renewal is due at %v", status.RefreshOn)
		}
		time.Sleep(10*time.Hour + 30*time.Minute)
		got, ok := collect(t, reader)[a+"token.remaining_lifetime "+vault]
		if got.Value != 0 || !ok {
			t.Errorf("after its end the token has %v", got)
		}
		if err := registration.Unregister(); err != nil {
			t.Fatal(err)
		}
		if got := collect(t, reader); len(got) > 0 {
			t.Errorf("after Unregister: %v", got)
		}
	})
}

// exported is an exporter that keeps the last values.
type exported struct {
	mu   sync.Mutex
	last *metricdata.ResourceMetrics
	n    int
}

func (*exported) Temporality(sdk.InstrumentKind) metricdata.Temporality {
	return metricdata.CumulativeTemporality
}

func (*exported) Aggregation(kind sdk.InstrumentKind) sdk.Aggregation {
	return sdk.DefaultAggregationSelector(kind)
}

func (e *exported) Export(_ context.Context, m *metricdata.ResourceMetrics) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	own := *m
	own.ScopeMetrics = slices.Clone(m.ScopeMetrics)
	e.last, e.n = &own, e.n+1
	return nil
}

func (*exported) ForceFlush(context.Context) error { return nil }
func (*exported) Shutdown(context.Context) error   { return nil }

// TestPeriodicReader: a reader that exports every 10 minutes has the renewals of two days.
func TestPeriodicReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cred, _ := imds(t)
		exporter := &exported{}
		provider := sdk.NewMeterProvider(sdk.WithReader(sdk.NewPeriodicReader(
			exporter, sdk.WithInterval(10*time.Minute))))
		if _, err := identityotel.Register(identitymetrics.NewSet(cred), provider); err != nil {
			t.Fatal(err)
		}
		for range 48 {
			get(t, cred, vault)
			time.Sleep(time.Hour)
		}
		if err := provider.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := points(t, exporter.last)["azure.identity.requests "+vault].Value
		if want := float64(cred.Status().Resources[0].Requests); got != want || got < 4 {
			t.Errorf("got %v requests, want %v and at least 4", got, want)
		}
		if exporter.n < 48*6 {
			t.Errorf("exported %d times", exporter.n)
		}
	})
}

// naiveRegister has an instrument for what the credential counts now.
func naiveRegister(t *testing.T, cred identity.Reporter, provider metric.MeterProvider) {
	t.Helper()
	_, err := provider.Meter("naive").Int64ObservableCounter("azure.identity.requests",
		metric.WithDescription("naive"),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			for _, s := range cred.Statuses() {
				for _, r := range s.Resources {
					o.Observe(r.Requests, metric.WithAttributes(
						attribute.String("azure.identity.resource", r.Resource)))
				}
			}
			return nil
		}))
	if err != nil {
		t.Fatal(err)
	}
}

// TestDeltas: exporters that want differences, as Datadog and Dynatrace do, get them right when a
// credential forgets a resource and starts over. A naive instrument's are negative then.
func TestDeltas(t *testing.T) {
	t.Parallel()
	now := []identity.ResourceStatus{}
	cred := reporter{statuses: func() []identity.Status {
		return []identity.Status{{Host: identity.HostIMDS, Resources: now}}
	}}
	deltas := func(register func(metric.MeterProvider)) (list []float64) {
		reader := sdk.NewManualReader(sdk.WithTemporalitySelector(
			func(sdk.InstrumentKind) metricdata.Temporality { return metricdata.DeltaTemporality }))
		register(sdk.NewMeterProvider(sdk.WithReader(reader)))
		for _, n := range []int64{5, 6, 2, -1, 3, 4} { // -1 is none: forgotten
			now = []identity.ResourceStatus{{Resource: vault, Requests: n, Acquisitions: n}}
			if n < 0 {
				now = nil
			}
			list = append(list, collect(t, reader)["azure.identity.requests "+vault].Value)
		}
		return list
	}
	ours := deltas(func(p metric.MeterProvider) {
		if _, err := identityotel.Register(identitymetrics.NewSet(cred), p); err != nil {
			t.Fatal(err)
		}
	})
	if want := []float64{5, 1, 2, 0, 3, 1}; !slices.Equal(ours, want) {
		t.Errorf("got %v, want %v", ours, want)
	}
	naive := deltas(func(p metric.MeterProvider) { naiveRegister(t, cred, p) })
	if slices.Min(naive) >= 0 {
		t.Errorf("a naive instrument has no negative difference: %v", naive)
	}
}

// TestRegisterRefuses what it can't do anything with.
func TestRegisterRefuses(t *testing.T) {
	t.Parallel()
	const want = "identityotel: Register: want a Set, and a MeterProvider such as " +
		"otel.GetMeterProvider()"
	for _, tt := range []struct {
		set      *identitymetrics.Set
		provider metric.MeterProvider
	}{{nil, sdk.NewMeterProvider()}, {identitymetrics.NewSet(), nil}} {
		if _, err := identityotel.Register(tt.set, tt.provider); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestAttributes: all that is known of a credential, and nothing that isn't.
func TestAttributes(t *testing.T) {
	t.Parallel()
	set := new(identitymetrics.Set)
	set.Add("", reporter{statuses: func() []identity.Status {
		return []identity.Status{{Host: "bare", Resources: []identity.ResourceStatus{{}}}}
	}})
	set.Add("jobs", reporter{statuses: func() []identity.Status {
		return []identity.Status{{Host: "h", Identity: "client ID 1",
			Resources: []identity.ResourceStatus{
				{Resource: vault, TenantID: "t", EnableCAE: true}}}}
	}})
	reader := sdk.NewManualReader()
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	if _, err := identityotel.Register(set, provider); err != nil {
		t.Fatal(err)
	}
	var collected metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &collected); err != nil {
		t.Fatal(err)
	}
	want := attribute.NewSet(
		attribute.Bool("azure.identity.cae", true), attribute.String("azure.identity.tenant", "t"),
		attribute.String("azure.identity.credential", "jobs"),
		attribute.String("azure.identity.host", "h"),
		attribute.String("azure.identity.id", "client ID 1"),
		attribute.String("azure.identity.resource", vault))
	bare := attribute.NewSet(attribute.String("azure.identity.host", "bare"))
	for _, m := range collected.ScopeMetrics[0].Metrics {
		data, ok := m.Data.(metricdata.Sum[int64])
		for _, p := range data.DataPoints {
			if got := p.Attributes; !got.Equals(&want) && !got.Equals(&bare) {
				t.Errorf("%s: got %v, want %v or %v", m.Name, got.ToSlice(), want.ToSlice(),
					bare.ToSlice())
			}
		}
		if ok && len(data.DataPoints) != 2 {
			t.Errorf("%s has %d points, want 2", m.Name, len(data.DataPoints))
		}
	}
}
