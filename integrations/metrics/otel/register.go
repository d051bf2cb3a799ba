// Package identityotel has OpenTelemetry's instruments for the credentials of package identity.
//
//	credentials := identitymetrics.NewSet(cred)
//	registration, err := identityotel.Register(credentials, meterProvider)
//
// What they observe has the attributes azure.identity.credential, .host, .id, .tenant, .resource
// and .cae: see identitymetrics.Labels. Those that are "" or false are left out.
//
//   - azure.identity.token.remaining_lifetime (gauge, s): until the held token ends, 0 once it has;
//     absent if none was had yet
//   - azure.identity.token.time_to_refresh (gauge, s): until the next use renews it; negative while
//     that is overdue
//   - azure.identity.requests (counter): requests to the host, retries included
//   - azure.identity.failures (counter): acquisitions that brought no token, with all their retries
//   - azure.identity.throttles (counter): answers of 429
//   - azure.identity.acquisitions (counter): finished acquisitions, failed ones included
//   - azure.identity.acquisition.time (counter, s): how long those took together; by their number,
//     it is the mean
//   - azure.identity.unreadable_credentials (gauge): those that are nil, panicked, or took over 5 s
//     to answer; without attributes
//
// There is no semantic convention for the acquisition of tokens, so the names are this module's.
package identityotel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keyless-go/identity/integrations/metrics"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// scope is the instrumentation scope.
const scope = "github.com/keyless-go/identity/integrations/metrics/otel"

// Register has a meter of the provider read the Set at each collection, until the Registration's
// Unregister. Register one Set with all credentials: a second Set's metrics would have the same
// names. A Set can be registered with several providers. Reading sends nothing and is safe for
// concurrent use; it takes some milliseconds, and 5 s if a credential hangs.
func Register(
	set *identitymetrics.Set, provider metric.MeterProvider,
) (metric.Registration, error) {
	if set == nil || provider == nil {
		return nil, errors.New("identityotel: Register: want a Set, and a MeterProvider such as " +
			"otel.GetMeterProvider()")
	}
	i, err := newInstruments(provider.Meter(scope))
	if err != nil {
		return nil, fmt.Errorf("identityotel: the meter made no instrument: %w", err)
	}
	registration, err := i.meter.RegisterCallback(
		func(_ context.Context, o metric.Observer) error {
			i.observe(o, set.Read(), time.Now())
			return nil
		}, i.all...)
	if err != nil {
		return nil, fmt.Errorf("identityotel: the meter took no callback: %w", err)
	}
	return registration, nil
}

// instruments are those of a meter.
type instruments struct {
	meter metric.Meter
	all   []metric.Observable

	remaining, toRefresh, time                              metric.Float64Observable
	requests, failures, throttles, acquisitions, unreadable metric.Int64Observable
}

func newInstruments(meter metric.Meter) (*instruments, error) {
	i := &instruments{meter: meter}
	var errs []error
	gauge := func(name, help string) metric.Float64Observable {
		g, err := meter.Float64ObservableGauge("azure.identity."+name, metric.WithUnit("s"),
			metric.WithDescription(help))
		i.all, errs = append(i.all, g), append(errs, err)
		return g
	}
	counter := func(name, unit, help string) metric.Int64Observable {
		c, err := meter.Int64ObservableCounter("azure.identity."+name, metric.WithUnit(unit),
			metric.WithDescription(help))
		i.all, errs = append(i.all, c), append(errs, err)
		return c
	}
	i.remaining = gauge("token.remaining_lifetime",
		"Time until the held token ends, 0 once it has; absent if none was had yet.")
	i.toRefresh = gauge("token.time_to_refresh",
		"Time until the next use renews the token; negative while that is overdue.")
	i.requests = counter("requests", "{request}",
		"Requests for tokens that were sent to the host, retries included.")
	i.failures = counter("failures", "{acquisition}",
		"Acquisitions that brought no token, with all their retries.")
	i.throttles = counter("throttles", "{response}",
		"Answers of 429, also those that a retry overcame.")
	i.acquisitions = counter("acquisitions", "{acquisition}",
		"Finished acquisitions, failed ones included.")
	spent, err := meter.Float64ObservableCounter("azure.identity.acquisition.time",
		metric.WithUnit("s"), metric.WithDescription(
			"How long finished acquisitions took together, retries included."))
	i.time, i.all, errs = spent, append(i.all, spent), append(errs, err)
	broken, err := meter.Int64ObservableGauge("azure.identity.unreadable_credentials",
		metric.WithUnit("{credential}"), metric.WithDescription(
			"Credentials that are nil, panicked, or took too long to answer."))
	i.unreadable, i.all, errs = broken, append(i.all, broken), append(errs, err)
	return i, errors.Join(errs...)
}

// observe tells the observer what was read.
func (i *instruments) observe(o metric.Observer, reading identitymetrics.Reading, now time.Time) {
	o.ObserveInt64(i.unreadable, int64(reading.Unreadable))
	for _, s := range reading.Series {
		of := metric.WithAttributeSet(attributes(s.Labels))
		if !s.ExpiresOn.IsZero() {
			o.ObserveFloat64(i.remaining, max(s.ExpiresOn.Sub(now), 0).Seconds(), of)
		}
		if !s.RefreshOn.IsZero() {
			o.ObserveFloat64(i.toRefresh, s.RefreshOn.Sub(now).Seconds(), of)
		}
		o.ObserveInt64(i.requests, s.Requests, of)
		o.ObserveInt64(i.failures, s.Failures, of)
		o.ObserveInt64(i.throttles, s.Throttles, of)
		o.ObserveInt64(i.acquisitions, s.Acquisitions, of)
		o.ObserveFloat64(i.time, s.AcquisitionTime.Seconds(), of)
	}
}

// attributes are the Labels that say something.
func attributes(l identitymetrics.Labels) attribute.Set {
	var list []attribute.KeyValue
	for _, a := range []struct{ name, value string }{
		{"credential", l.Credential}, {"host", l.Host}, {"id", l.Identity}, {"tenant", l.Tenant},
		{"resource", l.Resource},
	} {
		if a.value != "" {
			list = append(list, attribute.String("azure.identity."+a.name, a.value))
		}
	}
	if l.CAE {
		list = append(list, attribute.Bool("azure.identity.cae", true))
	}
	return attribute.NewSet(list...)
}
