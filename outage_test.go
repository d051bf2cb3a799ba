package identity_test

import (
	"bytes"
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// moment is what is to be seen of an outage at a look.
type moment struct {
	at     time.Duration
	status identity.ResourceStatus
	alerts []string
	logged string // since the moment before

	answered, failed int           // calls, since the moment before
	slowest          time.Duration // of those with a token
	slowestFailure   time.Duration
}

const (
	// between two calls. A second is what the page has; under the race detector that takes half a
	// minute
	step = 4 * time.Second
	look = 20 * time.Second
)

// watch calls GetToken all the time on a VM whose IMDS answers as scripted from a time on, 0 for
// when the first token is due for renewal, and looks at it now and then.
func watch(
	t *testing.T, lifetime, long, from time.Duration, script identitytest.Response,
) []moment {
	t.Helper()
	ep := identitytest.NewIMDS(&identitytest.Options{Lifetime: lifetime})
	var mu sync.Mutex
	var log bytes.Buffer
	var now moment
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: ep}, Host: identity.HostIMDS,
		Logger: slog.New(slog.NewTextHandler(locked{&mu, &log},
			&slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	var calls sync.WaitGroup
	call := func() {
		at := time.Now()
		tk, err := cred.GetToken(context.Background(),
			policy.TokenRequestOptions{Scopes: []string{"https://vault.azure.net/.default"}})
		mu.Lock()
		defer mu.Unlock()
		switch took := time.Since(at); {
		case err != nil:
			now.failed++
			now.slowestFailure = max(now.slowestFailure, took)
		default:
			now.answered++
			now.slowest = max(now.slowest, took)
			if !tk.ExpiresOn.After(time.Now()) {
				t.Errorf("a token that ended at %v", tk.ExpiresOn)
			}
		}
	}
	call()
	synctest.Wait() // for its line in the log
	mu.Lock()
	log.Reset()
	mu.Unlock()
	began := time.Now()
	if from == 0 {
		from = time.Until(cred.Status().Resources[0].RefreshOn)
	}
	ep.Enqueue(identitytest.Response{For: from}, script)
	var all []moment
	var statuses []identity.Status
	for i := range int(long / step) {
		calls.Go(call)
		time.Sleep(step)
		if (i+1)%int(look/step) != 0 {
			continue
		}
		status := cred.Status()
		statuses = append(statuses, status)
		mu.Lock()
		now.at, now.status, now.logged = time.Since(began), status.Resources[0], log.String()
		now.alerts = alerts(statuses[max(len(statuses)-1-int(time.Hour/look), 0)], status, time.Now())
		all, now = append(all, now), moment{}
		log.Reset()
		mu.Unlock()
	}
	calls.Wait()
	time.Sleep(2 * time.Minute)
	return all
}

// locked is a buffer that several goroutines write to.
type locked struct {
	mu *sync.Mutex
	to *bytes.Buffer
}

func (l locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to.Write(p)
}

// between are the moments after from and until to.
func between(all []moment, from, to time.Duration) []moment {
	return slices.DeleteFunc(slices.Clone(all), func(m moment) bool {
		return m.at <= from || m.at > to
	})
}

var (
	whatItSaid = regexp.MustCompile(`: identity:.*`)
	numbers    = regexp.MustCompile(`[0-9][0-9hms]*`)
)

// alertsOf are the different ones, without the resource, what the host said, and numbers.
func alertsOf(all []moment) string {
	var list []string
	for _, m := range all {
		for _, a := range m.alerts {
			a = strings.Replace(a, "https://vault.azure.net: ", "", 1)
			a = numbers.ReplaceAllString(whatItSaid.ReplaceAllString(a, ""), "N")
			if !slices.Contains(list, a) {
				list = append(list, a)
			}
		}
	}
	return strings.Join(list, "; ")
}

// TestOutageHourByHour is what docs/operations.md says of an outage from hour 6 to hour 26.
func TestOutageHourByHour(t *testing.T) {
	t.Parallel()
	// The column of requests: their rates.
	var rates [][2]float64
	column := regexp.MustCompile(`(?m)^\|[^|]*\|[^|]*\| ([0-9,]+)–([0-9,]+) \|`)
	for _, row := range column.FindAllStringSubmatch(readFile(t, operationsPage), -1) {
		var rate [2]float64
		for i := range rate {
			rate[i], _ = strconv.ParseFloat(strings.ReplaceAll(row[i+1], ",", ""), 64)
		}
		rates = append(rates, rate)
	}
	synctest.Test(t, func(t *testing.T) {
		const h, end, late = time.Hour, 24 * time.Hour, 6*time.Minute + 16*time.Second
		const failed = "token renewal failed, the held token stays in use"
		all := watch(t, 24*h, 30*h, 6*h, identitytest.Response{Status: 503, For: 20 * h})
		due := end - all[0].status.ExpiresOn.Sub(all[0].status.RefreshOn)
		for i, p := range []struct {
			name           string
			from, to       time.Duration
			slowest        time.Duration // call that brings a token
			slowestFailure time.Duration // 0: none fails
			alerts, logged string
		}{
			{name: "all is well", to: 6 * h},
			{name: "the token is fresh", from: 6 * h, to: due},
			{name: "the renewal is due", from: due, to: end - late, logged: failed,
				alerts: "warn: the renewal is overdue since N; page: the token ends in N"},
			{name: "the last minutes", from: end - late, to: end - time.Second, slowest: 2 * time.Second,
				alerts: "page: the token ends in N", logged: failed},
			{name: "no token", from: end + look, to: 26 * h, slowestFailure: 75 * time.Second,
				alerts: "page: no token", logged: "token request failed"},
			{name: "the host is back", from: 26*h + 20*time.Second, to: 30 * h},
		} {
			part := between(all, p.from, p.to)
			if len(part) == 0 || i >= len(rates) {
				t.Fatalf("%s: %d moments, %d rates on the page", p.name, len(part), len(rates))
			}
			var sum moment
			for _, m := range part {
				sum.failed, sum.answered = sum.failed+m.failed, sum.answered+m.answered
				sum.slowest, sum.slowestFailure = max(sum.slowest, m.slowest),
					max(sum.slowestFailure, m.slowestFailure)
				sum.logged += m.logged
			}
			if fails := p.slowestFailure > 0; sum.slowest > p.slowest || (sum.failed > 0) != fails ||
				(sum.answered > 0) == fails || sum.slowestFailure > p.slowestFailure {
				t.Errorf("%s: %d calls brought a token, after %v at most, and %d failed, after %v at most",
					p.name, sum.answered, sum.slowest, sum.failed, sum.slowestFailure)
			}
			asked := part[len(part)-1].status.Requests - 1
			if before := between(all, 0, p.from); len(before) > 0 {
				asked = part[len(part)-1].status.Requests - before[len(before)-1].status.Requests
			}
			if rate := float64(asked) / (p.to - p.from).Hours(); rate < rates[i][0] || rate > rates[i][1] {
				t.Errorf("%s: %.1f requests an hour, the page says %v", p.name, rate, rates[i])
			}
			if got := alertsOf(part); got != p.alerts {
				t.Errorf("%s: alerts are %q, want %q", p.name, got, p.alerts)
			}
			lines := strings.Count(sum.logged, "\n")
			if p.logged == "" && lines > 0 || lines != strings.Count(sum.logged, `msg="`+p.logged+`"`) &&
				p.logged != "" {
				t.Errorf("%s: the log has %d lines, want those of %q only: %.600s", p.name, lines, p.logged,
					sum.logged)
			}
			info := strings.Count(sum.logged, "level=INFO")
			if want := p.name == "the renewal is due"; want != (info == 1) || want &&
				strings.Index(sum.logged, "level=INFO") > 60 {
				t.Errorf("%s: %d lines are Info, of a renewal's failures the first", p.name, info)
			}
		}
		for _, want := range []struct {
			alert string
			at    time.Duration
		}{{"warn", due + h}, {"page", 22 * h}} {
			i := slices.IndexFunc(all, func(m moment) bool {
				return len(m.alerts) > 0 && strings.HasPrefix(m.alerts[0], want.alert)
			})
			if i < 0 || all[i].at < want.at || all[i].at > want.at+look+step {
				t.Errorf("%s begins at moment %d, want at %v", want.alert, i, want.at)
			}
		}
		back := between(all, 26*h, 26*h+look)
		if last := back[len(back)-1]; last.answered == 0 ||
			last.status.ExpiresOn.Sub(all[0].status.ExpiresOn) < 26*h {
			t.Errorf("20 s after the outage there is no new token: %+v", last)
		}
	})
}

// TestAlertsInOtherOutages: what passes by itself gets nobody up, and an hour's token is not too
// short for the rules.
func TestAlertsInOtherOutages(t *testing.T) {
	t.Parallel()
	const h, m = time.Hour, time.Minute
	down := func(d time.Duration) identitytest.Response {
		return identitytest.Response{Status: 503, For: d}
	}
	for name, tt := range map[string]struct {
		lifetime, long time.Duration // a day and 15 hours by default
		from           time.Duration // 0: when the renewal is due
		script         identitytest.Response
		want           string
		since          time.Duration // the first
	}{
		"IMDS is updated":     {script: identitytest.Response{Status: 410, For: 70 * time.Second}},
		"down for 50 minutes": {script: down(50 * m)},
		"down for 70 minutes": {script: down(70 * m), want: "warn: the renewal is overdue since N",
			since: 11*h + 48*m},
		"a host that wants to be left alone": {want: "warn: the host asked for N of silence",
			since: 10*h + 48*m, script: identitytest.Response{Status: 429, Body: "{}", For: 40 * m,
				Header: http.Header{"Server": {"IMDS/150.870.65.1854"}, "Retry-After": {"300"}}}},
		"an hour's token, down for 9 minutes": {lifetime: h, long: 2 * h, script: down(9 * m)},
		"an hour's token, down for an hour": {lifetime: h, long: 2 * h, script: down(h),
			want: "page: the token ends in N; page: no token", since: 37 * m},
		"tokens of two minutes": {lifetime: 2 * m, long: 2 * h, from: h, since: 10 * m,
			want: "warn: N requests in an hour"},
		"a token of a second, and then none": {lifetime: time.Second, long: 10 * m, from: time.Second,
			script: down(h), want: "page: no token"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				all := watch(t, cmp.Or(tt.lifetime, 24*h), cmp.Or(tt.long, 15*h), tt.from, tt.script)
				first := slices.IndexFunc(all, func(m moment) bool { return len(m.alerts) > 0 })
				if got := alertsOf(all); got != tt.want || first >= 0 && all[first].at < tt.since {
					t.Errorf("alerts are %q, want %q, not before %v", got, tt.want, tt.since)
				}
			})
		})
	}
}
