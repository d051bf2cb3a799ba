package identityprometheus_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/integrations/metrics"
	identityprometheus "github.com/keyless-go/identity/integrations/metrics/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

const vault = "https://vault.azure.net"

// reporter is a credential of somebody else's.
type reporter struct {
	azcore.TokenCredential
	statuses func() []identity.Status
}

func (r reporter) Statuses() []identity.Status { return r.statuses() }

// imds is a credential of IMDS, in memory.
func imds(t testing.TB, endpoint *identitytest.Endpoint, id identity.ID) *identity.Credential {
	t.Helper()
	options := &identity.CredentialOptions{Host: identity.HostIMDS, ID: id}
	options.Transport = endpoint
	cred, err := identity.NewCredential(options)
	if err != nil {
		t.Fatal(err)
	}
	return cred
}

// serve has Prometheus's own handler serve the collectors on loopback.
func serve(t *testing.T, collectors ...prometheus.Collector) (url string) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	for _, c := range collectors {
		if err := registry.Register(c); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	t.Cleanup(server.Close)
	return server.URL
}

// scrape scrapes as Prometheus does.
func scrape(t *testing.T, url string) (status int, text string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp.StatusCode, string(body)
}

// parse finds the metrics of a family by their resources.
func parse(t *testing.T, text, family string) map[string]*dto.Metric {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	found := map[string]*dto.Metric{}
	for _, m := range families[family].GetMetric() {
		found[label(m, "resource")] = m
	}
	return found
}

func label(m *dto.Metric, name string) string {
	for _, pair := range m.GetLabel() {
		if pair.GetName() == name {
			return pair.GetValue()
		}
	}
	return ""
}

// TestScrape over HTTP: what a real credential holds, after a throttle, a failure and successes.
func TestScrape(t *testing.T) {
	t.Parallel()
	endpoint := identitytest.NewIMDS(&identitytest.Options{Identities: []identitytest.Identity{
		{ClientID: "b2f5a3c0-6f3b-4b5e-9a41-0d6c1c8f7e12"}}})
	cred := imds(t, endpoint, identity.ClientID("b2f5a3c0-6f3b-4b5e-9a41-0d6c1c8f7e12"))
	endpoint.Enqueue(identitytest.Response{Status: 400})
	for _, resource := range []string{"https://refused.example", vault} {
		_, err := identity.TokenFunc(cred, resource+"/.default")(t.Context())
		if (err == nil) != (resource == vault) {
			t.Fatalf("%s: %v", resource, err)
		}
	}
	held := cred.Status().Resources
	slow := reporter{statuses: func() []identity.Status {
		return []identity.Status{{Resources: []identity.ResourceStatus{{Resource: "api://slow",
			Requests: 5, Acquisitions: 3, AcquisitionTime: 6 * time.Second}}}}
	}}
	url := serve(t, identityprometheus.NewCollector(identitymetrics.NewSet(cred, nil, slow)))
	status, text := scrape(t, url)
	if status != http.StatusOK {
		t.Fatalf("%d: %s", status, text)
	}
	value := func(name, resource string) (float64, bool) {
		m := parse(t, text, "azure_identity_"+name)[resource]
		return m.GetGauge().GetValue() + m.GetCounter().GetValue(), m != nil
	}
	for _, tt := range []struct {
		name, resource string
		want           float64
	}{
		{"requests_total", vault, 1},
		{"failures_total", vault, 0},
		{"throttles_total", vault, 0},
		{"token_expiry_timestamp_seconds", vault, float64(held[1].ExpiresOn.Unix())},
		{"token_refresh_timestamp_seconds", vault, float64(held[1].RefreshOn.UnixMilli()) / 1000},
		{"requests_total", "https://refused.example", 1},
		{"failures_total", "https://refused.example", 1},
		{"unreadable_credentials", "", 1},
	} {
		if got, ok := value(tt.name, tt.resource); got != tt.want || !ok {
			t.Errorf("%s of %s: got %v, want %v", tt.name, tt.resource, got, tt.want)
		}
	}
	if got, ok := value("token_expiry_timestamp_seconds", "https://refused.example"); ok {
		t.Errorf("no token was had, it ends %v", got)
	}
	durations := parse(t, text, "azure_identity_token_acquisition_duration_seconds")
	if s := durations["api://slow"].GetSummary(); s.GetSampleCount() != 3 || s.GetSampleSum() != 6 {
		t.Errorf("3 acquisitions of 6 s are %v", s)
	}
	took := durations[vault]
	if s := took.GetSummary(); s.GetSampleCount() != 1 || s.GetSampleSum() <= 0 ||
		label(took, "host") != "imds" || label(took, "tenant") != "" ||
		label(took, "identity") != "client ID b2f5a3c0-6f3b-4b5e-9a41-0d6c1c8f7e12" {
		t.Errorf("the acquisition's time is %v", took)
	}
	token, _ := identity.TokenFunc(cred, vault+"/.default")(t.Context())
	if strings.Contains(text, token[:8]) {
		t.Errorf("a token is shown: %s", text)
	}
}

// TestLint: the names and helps are as Prometheus wants them.
func TestLint(t *testing.T) {
	t.Parallel()
	cred := imds(t, identitytest.NewIMDS(nil), nil)
	if _, err := identity.TokenFunc(cred, vault+"/.default")(t.Context()); err != nil {
		t.Fatal(err)
	}
	collector := identityprometheus.NewCollector(identitymetrics.NewSet(cred))
	problems, err := testutil.CollectAndLint(collector)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	if n := testutil.CollectAndCount(collector); n != 7 {
		t.Errorf("%d metrics of one token, want 7", n)
	}
}

// naiveCollector has a series for each credential and resource, with the labels that come to mind.
type naiveCollector struct{ credentials []identity.Reporter }

var naiveExpiry = prometheus.NewDesc("naive_expiry_timestamp_seconds", "End.",
	[]string{"host", "resource"}, nil)

func (naiveCollector) Describe(descs chan<- *prometheus.Desc) { descs <- naiveExpiry }

func (c naiveCollector) Collect(metrics chan<- prometheus.Metric) {
	for _, cred := range c.credentials {
		for _, s := range cred.Statuses() {
			for _, r := range s.Resources {
				metrics <- prometheus.MustNewConstMetric(naiveExpiry, prometheus.GaugeValue,
					float64(r.ExpiresOn.Unix()), string(s.Host), r.Resource)
			}
		}
	}
}

// TestDuplicates: credentials for the same resource fail no scrape. The naive collector's scrape
// fails as a whole, also for what others have registered.
func TestDuplicates(t *testing.T) {
	t.Parallel()
	endpoint := identitytest.NewIMDS(&identitytest.Options{Identities: []identitytest.Identity{
		{System: true}, {ClientID: "b2f5a3c0-6f3b-4b5e-9a41-0d6c1c8f7e12"}}})
	list := []identity.Reporter{
		imds(t, endpoint, nil), imds(t, endpoint, nil),
		imds(t, endpoint, identity.ClientID("b2f5a3c0-6f3b-4b5e-9a41-0d6c1c8f7e12")),
	}
	for _, cred := range list {
		if _, err := identity.TokenFunc(cred, vault+"/.default")(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if status, text := scrape(t, serve(t, naiveCollector{list})); status == http.StatusOK {
		t.Errorf("the naive collector works: %s", text)
	}
	ours := identityprometheus.NewCollector(identitymetrics.NewSet(list...))
	status, text := scrape(t, serve(t, ours))
	if got := strings.Count(text, "\nazure_identity_requests_total{"); status != 200 || got != 2 {
		t.Errorf("%d, want 2 series, got %d:\n%s", status, got, text)
	}
}

// TestHostileCredential: whatever a credential says of itself, the scrape goes on.
func TestHostileCredential(t *testing.T) {
	t.Parallel()
	at := time.Date(-1000, 1, 1, 0, 0, 0, 0, time.UTC)
	set := identitymetrics.NewSet(reporter{statuses: func() []identity.Status {
		return []identity.Status{{Host: "\xff", Reason: "\n", Resources: []identity.ResourceStatus{
			{Resource: "a\"b\\c\nd\xff", ExpiresOn: at, RefreshOn: at, Requests: -1,
				Acquisitions: -1, AcquisitionTime: -time.Hour},
			{Resource: "other"}, {},
		}}, {Resources: []identity.ResourceStatus{{Resource: "other", Requests: 1}}}}
	}})
	set.Add("\xff", imds(t, identitytest.NewIMDS(nil), nil))
	url := serve(t, identityprometheus.NewCollector(set))
	for range 2 {
		status, text := scrape(t, url)
		m := parse(t, text, "azure_identity_requests_total")
		if status != http.StatusOK || m["a\"b\\c\nd\uFFFD"] == nil || m["other"] == nil {
			t.Errorf("%d: %s", status, text)
		}
	}
	if n := testutil.CollectAndCount(identityprometheus.NewCollector(nil)); n != 1 {
		t.Errorf("no Set: %d metrics, want 1", n)
	}
}

// TestConcurrentScrapes while tokens come, and credentials come and go.
func TestConcurrentScrapes(t *testing.T) {
	t.Parallel()
	cred := imds(t, identitytest.NewIMDS(nil), nil)
	set := identitymetrics.NewSet(cred)
	url := serve(t, identityprometheus.NewCollector(set))
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 10 {
				remove := set.Add("another", cred)
				scope := "https://" + strings.Repeat("x", i+1) + ".example/.default"
				if _, err := identity.TokenFunc(cred, scope)(t.Context()); err != nil {
					t.Error(err)
				}
				if status, text := scrape(t, url); status != http.StatusOK {
					t.Errorf("%d: %s", status, text)
				}
				remove()
			}
		})
	}
	wg.Wait()
	_, text := scrape(t, url)
	if strings.Contains(text, "another") {
		t.Errorf("removed, and still there:\n%s", text)
	}
}
