package identity_test

import (
	"fmt"
	"time"

	"github.com/keyless-go/identity"
)

// alerts are the rules of docs/operations.md: what is wrong with the tokens, of two Statuses that
// are an hour apart. What begins with "page" is worth getting up for.
func alerts(hourAgo, status identity.Status, now time.Time) (list []string) {
	key := func(r identity.ResourceStatus) string {
		return fmt.Sprint(r.Resource, r.TenantID, r.EnableCAE)
	}
	before := map[string]identity.ResourceStatus{}
	for _, r := range hourAgo.Resources {
		before[key(r)] = r
	}
	for _, r := range status.Resources {
		was := before[key(r)]
		if was.Requests > r.Requests { // forgotten meanwhile, and counted anew
			was = identity.ResourceStatus{}
		}
		overdue, left := now.Sub(r.RefreshOn), r.ExpiresOn.Sub(now)
		failing := r.LastErrorOn.After(r.RefreshOn) && now.Sub(r.LastErrorOn) < 10*time.Minute
		switch {
		case failing && left <= 0: // or there was none yet
			list = append(list, fmt.Sprintf("page: %s: no token: %s", r.Resource, r.LastError))
		case failing && overdue > 10*time.Minute && left < 2*time.Hour:
			list = append(list, fmt.Sprintf("page: %s: the token ends in %v: %s", r.Resource,
				left.Round(time.Minute), r.LastError))
		case failing && overdue > time.Hour:
			list = append(list, fmt.Sprintf("warn: %s: the renewal is overdue since %v: %s", r.Resource,
				overdue.Round(time.Minute), r.LastError))
		case now.Sub(r.LastErrorOn) > time.Hour && r.Requests-was.Requests >= 20:
			list = append(list, fmt.Sprintf("warn: %s: %d requests in an hour", r.Resource,
				r.Requests-was.Requests))
		}
		if wait := r.NextTry.Sub(now); wait > time.Minute {
			list = append(list, fmt.Sprintf("warn: %s: the host asked for %v of silence", r.Resource,
				wait.Round(time.Second)))
		}
		if n := r.Throttles - was.Throttles; n >= 10 {
			list = append(list, fmt.Sprintf("warn: %s: throttled %d times in an hour", r.Resource, n))
		}
	}
	return list
}

// Who is to get up? Status in alerts, see docs/operations.md for the reasons of each number.
func Example_alerts() {
	now := time.Date(2026, 11, 26, 3, 0, 0, 0, time.UTC)
	// cred.Status() of then and of now
	hourAgo := identity.Status{Resources: []identity.ResourceStatus{
		{Resource: "https://graph.microsoft.com", Requests: 3},
		{Resource: "https://storage.azure.com", Requests: 600},
		{Resource: "https://vault.azure.net", Requests: 1500},
	}}
	status := identity.Status{Resources: []identity.ResourceStatus{
		{Resource: "https://graph.microsoft.com", Requests: 3, ExpiresOn: now.Add(20 * time.Hour),
			RefreshOn: now.Add(8 * time.Hour)},
		{
			Resource: "https://storage.azure.com", Requests: 760,
			ExpiresOn: now.Add(9 * time.Hour), RefreshOn: now.Add(-3 * time.Hour),
			LastError: "identity: IMDS: 503", LastErrorOn: now.Add(-20 * time.Second),
		},
		{
			Resource: "https://vault.azure.net", Requests: 1660,
			ExpiresOn: now.Add(90 * time.Minute), RefreshOn: now.Add(-10 * time.Hour),
			LastError: "identity: IMDS: 503", LastErrorOn: now.Add(-10 * time.Second),
		},
	}}
	for _, alert := range alerts(hourAgo, status, now) {
		fmt.Println(alert)
	}
	// Output:
	// warn: https://storage.azure.com: the renewal is overdue since 3h0m0s: identity: IMDS: 503
	// page: https://vault.azure.net: the token ends in 1h30m0s: identity: IMDS: 503
}
