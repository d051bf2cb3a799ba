package identityprometheus_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/integrations/metrics"
	identityprometheus "github.com/keyless-go/identity/integrations/metrics/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
)

// The alerts of alerts.yaml.
const (
	ends  = "AzureIdentityTokenEnds"
	fails = "AzureIdentityRenewalsFail"
)

// step is how often a simulated service asks for a token, is scraped, and the rules are evaluated.
const step = 2 * time.Minute

// scenario is a simulated service.
type scenario struct {
	lifetime time.Duration
	answers  []identitytest.Response // of the host, after the first token
	idle     time.Duration           // from then on it asks for nothing
	lasts    time.Duration
	// The first and the last minute in which each alert fires; none is zero.
	ends, fails [2]window
}

// window is when something has to happen: after the begin of the scenario, at the earliest and at
// the latest.
type window struct{ from, to time.Duration }

// hours is a window.
func hours(from, to float64) window {
	return window{time.Duration(from * float64(time.Hour)), time.Duration(to * float64(time.Hour))}
}

// outage has the host answer with a status from one hour to another.
func outage(status int, from, to time.Duration) []identitytest.Response {
	return []identitytest.Response{{For: from}, {Status: status, For: to - from}}
}

const h = time.Hour

// scenarios are days of a service, good and bad ones. A token is due after 45 to 55 % of its life.
// Outages end soon after their token: without one, a minute of them takes as long as an hour with.
func scenarios() map[string]scenario {
	day, hour := 24*h, h
	return map[string]scenario{
		"a normal day": {lifetime: day, lasts: 27 * h},
		"ever new hiccups": {lifetime: day, lasts: 15 * h, answers: slices.Repeat(
			[]identitytest.Response{{For: 10 * time.Minute}, {Status: 503, For: 2 * time.Minute}},
			75)},
		"tokens of an hour": {lifetime: hour, lasts: 5 * h},
		"of an hour, and hiccups": {lifetime: hour, lasts: 4 * h, answers: []identitytest.Response{
			{For: 30 * time.Minute}, {Status: 503, For: 5 * time.Minute}, {For: h},
			{Status: 429, For: 2 * time.Minute}}},
		"an outage of 9.5 hours": {lifetime: day / 2, lasts: 13 * h,
			answers: outage(503, 3*h, 12*h+h/2),
			ends:    [2]window{hours(10, 10.1), hours(12.4, 12.55)},
			fails:   [2]window{hours(6.4, 7.7), hours(12.4, 12.55)}},
		// The token is forgotten an hour after its end, which was between 3 h 27 min and 4 h: the
		// warning ends then, or with the outage. What pages goes on.
		"an identity that was deleted": {lifetime: hour, lasts: 6 * h,
			answers: outage(400, 3*h, 5*h),
			ends:    [2]window{hours(3.2, 3.85), hours(4.9, 5.2)},
			fails:   [2]window{hours(4, 4.7), hours(4.3, 5.05)}},
		"of an hour, and an outage": {lifetime: hour, lasts: 6 * h,
			answers: outage(503, 3*h, 5*h),
			ends:    [2]window{hours(3.2, 3.85), hours(4.9, 5.05)},
			fails:   [2]window{hours(4, 4.7), hours(4.9, 5.05)}},
		"throttled for ever": {lifetime: day, lasts: 15 * h, answers: outage(429, 6*h, 15*h),
			fails: [2]window{hours(10.8, 13.8), hours(15, 15)}},
		"idle, and an outage": {lifetime: day, idle: 2 * h, lasts: 26 * h,
			answers: outage(503, 6*h, 26*h)},
	}
}

// sample is what one scrape brought of the token for vault; NaN for nothing.
type sample struct{ expiry, refresh, failures, throttles float64 }

// simulate has the samples of a scenario, one for each step, with times in seconds after its begin.
func simulate(t *testing.T, sc scenario) (samples []sample) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		endpoint := identitytest.NewIMDS(&identitytest.Options{Lifetime: sc.lifetime})
		cred := imds(t, endpoint, nil)
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(
			identityprometheus.NewCollector(identitymetrics.NewSet(cred)))
		password := identity.TokenFunc(cred, vault+"/.default")
		begin := time.Now()
		for now := time.Duration(0); now <= sc.lasts; now += step {
			time.Sleep(time.Until(begin.Add(now)))
			if sc.idle == 0 || now < sc.idle {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				_, _ = password(ctx)
				cancel()
			}
			if now == 0 {
				endpoint.Enqueue(sc.answers...)
			}
			synctest.Wait()
			samples = append(samples, sampleOf(t, registry, begin))
		}
		time.Sleep(2 * time.Minute)
	})
	return samples
}

func sampleOf(t *testing.T, registry prometheus.Gatherer, begin time.Time) sample {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			values[strings.TrimPrefix(f.GetName(), "azure_identity_")] =
				m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	after := func(name string) float64 {
		if at, ok := values[name]; ok {
			return at - float64(begin.Unix())
		}
		return math.NaN()
	}
	return sample{after("token_expiry_timestamp_seconds"),
		after("token_refresh_timestamp_seconds"), values["failures_total"],
		values["throttles_total"]}
}

// firing are the steps in which an alert fires, by the conditions of alerts.yaml. It is what
// promtool says of the same samples.
func firing(samples []sample, alert string) (steps []int) {
	pending := -step
	for i, s := range samples {
		now := (time.Duration(i) * step).Seconds()
		grew := func(within time.Duration, value func(sample) float64) float64 {
			return value(s) - value(samples[max(i-int(within/step), 0)])
		}
		failing := grew(10*time.Minute, func(s sample) float64 { return s.failures }) > 0
		on := failing && !(s.expiry-now > 2*3600) && !(now-s.refresh < 600)
		wait := 2 * time.Minute // its for
		if alert == fails {
			on = failing && now-s.refresh > 3600 ||
				grew(h, func(s sample) float64 { return s.throttles }) > 10
			wait = 0
		}
		if pending += step; !on {
			pending = -step
		}
		if pending >= wait {
			steps = append(steps, i)
		}
	}
	return steps
}

// TestAlerts: what fires over simulated days, when, and that nothing does on a normal one.
func TestAlerts(t *testing.T) {
	t.Parallel()
	for name, sc := range scenarios() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			samples := simulate(t, sc)
			for alert, want := range map[string][2]window{ends: sc.ends, fails: sc.fails} {
				got := firing(samples, alert)
				if want == ([2]window{}) {
					if len(got) > 0 {
						t.Errorf("%s fires %d times, from step %d", alert, len(got), got[0])
					}
					continue
				}
				if len(got) == 0 {
					t.Errorf("%s doesn't fire", alert)
					continue
				}
				from := time.Duration(got[0]) * step
				to := time.Duration(got[len(got)-1]) * step
				if from < want[0].from || from > want[0].to || to < want[1].from ||
					to > want[1].to {
					t.Errorf("%s fires from %v to %v, want %v", alert, from, to, want)
				}
			}
			if (sc.idle > 0 || sc.lifetime == h) && !naiveFires(samples) {
				t.Error("the naive rule is quiet, too")
			}
			switch name {
			case "a normal day", "tokens of an hour", "of an hour, and hiccups":
				// Other scenarios begin like them.
			default:
				promtoolAgrees(t, samples)
			}
		})
	}
}

// naiveFires is the rule that comes to mind, a token that ends in 2 h. It fires for an idle service
// and for each token of an hour.
func naiveFires(samples []sample) (fires bool) {
	for i, s := range samples {
		fires = fires || s.expiry-(time.Duration(i)*step).Seconds() < 2*3600
	}
	return fires
}

// promtool is Prometheus's own judge of rules.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	program, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("no promtool here (Debian: apt-get install prometheus)")
	}
	if out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// TestPromtool: the rules are sound, and do what their tests say.
func TestPromtool(t *testing.T) {
	t.Parallel()
	promtool(t, "check", "rules", filepath.Join("..", "alerts.yaml"))
	promtool(t, "test", "rules", filepath.Join("..", "testdata", "alerts_test.yaml"))
}

// promtoolAgrees has promtool run the rules over simulated samples, and compares each step beside a
// change with what firing says, and one in 2 h of the others.
func promtoolAgrees(t *testing.T, samples []sample) {
	t.Helper()
	rules, err := filepath.Abs(filepath.Join("..", "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "rule_files: [%q]\nevaluation_interval: %v\ntests:\n- interval: %v\n"+
		"  input_series:\n", rules, model.Duration(step), model.Duration(step))
	for name, value := range map[string]func(sample) float64{
		"token_expiry_timestamp_seconds":  func(s sample) float64 { return s.expiry },
		"token_refresh_timestamp_seconds": func(s sample) float64 { return s.refresh },
		"failures_total":                  func(s sample) float64 { return s.failures },
		"throttles_total":                 func(s sample) float64 { return s.throttles },
	} {
		fmt.Fprintf(&b, "  - series: azure_identity_%s{resource=%q}\n    values: '", name, vault)
		for _, s := range samples {
			if v := value(s); math.IsNaN(v) {
				b.WriteString("stale ")
			} else {
				fmt.Fprintf(&b, "%.3f ", v)
			}
		}
		b.WriteString("'\n")
	}
	b.WriteString("  promql_expr_test:\n")
	for alert, severity := range map[string]string{ends: "page", fails: "warn"} {
		steps := firing(samples, alert)
		for i := range samples {
			_, on := slices.BinarySearch(steps, i)
			_, before := slices.BinarySearch(steps, i-1)
			_, after := slices.BinarySearch(steps, i+1)
			if on == before && on == after && i%60 != 0 {
				continue
			}
			want := "[]"
			labels := fmt.Sprintf("alertname=%q, alertstate=\"firing\"", alert)
			if on {
				want = fmt.Sprintf("[{labels: 'ALERTS{%s, resource=%q, severity=%q}', value: 1}]",
					labels, vault, severity)
			}
			fmt.Fprintf(&b, "  - {expr: 'ALERTS{%s}', eval_time: %v, exp_samples: %s}\n",
				labels, model.Duration(time.Duration(i)*step), want)
		}
	}
	file := filepath.Join(t.TempDir(), "alerts_test.yaml")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "test", "rules", file)
}
