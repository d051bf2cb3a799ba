// Package identityprometheus is a Prometheus collector for the credentials of package identity.
//
//	credentials := identitymetrics.NewSet(cred)
//	prometheus.MustRegister(identityprometheus.NewCollector(credentials))
//
// What it collects has the labels of identitymetrics.Labels: credential, host, identity, tenant,
// resource, and cae, which is "true" or "".
//
//   - azure_identity_token_expiry_timestamp_seconds: end of the held token, which may be past;
//     absent if none was had yet
//   - azure_identity_token_refresh_timestamp_seconds: from then on the next use renews it; while
//     that fails, it lies in the past
//   - azure_identity_requests_total: requests to the host, retries included
//   - azure_identity_failures_total: acquisitions that brought no token, with all their retries
//   - azure_identity_throttles_total: answers of 429
//   - azure_identity_token_acquisition_duration_seconds: a summary without quantiles, whose _count
//     is finished acquisitions, and whose _sum how long those took, retries included
//   - azure_identity_unreadable_credentials: those that are nil, panicked, or took over 5 s to
//     answer this scrape; without labels
package identityprometheus

import (
	"time"

	"github.com/keyless-go/identity/integrations/metrics"
	"github.com/prometheus/client_golang/prometheus"
)

// Collector is a prometheus.Collector. It reads its Set at each scrape, sends nothing, and is safe
// for concurrent use.
type Collector struct {
	set *identitymetrics.Set

	expiry, refresh, requests, failures, throttles, duration, unreadable *prometheus.Desc
}

var _ prometheus.Collector = (*Collector)(nil)

// NewCollector makes a Collector of a Set, to which credentials can be added later, too. Register
// one Collector for all credentials: a second one's metrics would have the same names. A nil Set is
// an empty one.
func NewCollector(set *identitymetrics.Set) *Collector {
	if set == nil {
		set = identitymetrics.NewSet()
	}
	return &Collector{
		set: set,
		expiry: desc("token_expiry_timestamp_seconds",
			"End of the held token, which may be past; absent if none was had yet."),
		refresh: desc("token_refresh_timestamp_seconds",
			"From then on the next use renews the token; in the past while that fails."),
		requests: desc("requests_total",
			"Requests for tokens that were sent to the host, retries included."),
		failures: desc("failures_total",
			"Acquisitions that brought no token, with all their retries."),
		throttles: desc("throttles_total",
			"Answers of 429, also those that a retry overcame."),
		duration: desc("token_acquisition_duration_seconds",
			"How long finished acquisitions took, failed ones and retries included."),
		unreadable: prometheus.NewDesc("azure_identity_unreadable_credentials",
			"Credentials that are nil, panicked, or took too long to answer this scrape.", nil, nil),
	}
}

// labelNames are in the order of labelValues.
func labelNames() []string {
	return []string{"credential", "host", "identity", "tenant", "resource", "cae"}
}

func labelValues(l identitymetrics.Labels) []string {
	cae := ""
	if l.CAE {
		cae = "true"
	}
	return []string{l.Credential, l.Host, l.Identity, l.Tenant, l.Resource, cae}
}

func desc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("azure_identity_"+name, help, labelNames(), nil)
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.expiry, c.refresh, c.requests, c.failures, c.throttles, c.duration, c.unreadable,
	} {
		descs <- d
	}
}

// Collect implements prometheus.Collector. It blocks for some milliseconds, and for 5 s if a
// credential hangs.
func (c *Collector) Collect(metrics chan<- prometheus.Metric) {
	reading := c.set.Read()
	metrics <- prometheus.MustNewConstMetric(c.unreadable, prometheus.GaugeValue,
		float64(reading.Unreadable))
	for _, s := range reading.Series {
		values := labelValues(s.Labels)
		send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64) {
			metrics <- prometheus.MustNewConstMetric(d, kind, v, values...)
		}
		if !s.ExpiresOn.IsZero() {
			send(c.expiry, prometheus.GaugeValue, seconds(s.ExpiresOn))
		}
		if !s.RefreshOn.IsZero() {
			send(c.refresh, prometheus.GaugeValue, seconds(s.RefreshOn))
		}
		send(c.requests, prometheus.CounterValue, float64(s.Requests))
		send(c.failures, prometheus.CounterValue, float64(s.Failures))
		send(c.throttles, prometheus.CounterValue, float64(s.Throttles))
		metrics <- prometheus.MustNewConstSummary(c.duration, uint64(s.Acquisitions),
			s.AcquisitionTime.Seconds(), nil, values...)
	}
}

// seconds since 1970.
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
