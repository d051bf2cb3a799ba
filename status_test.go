package identity

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/detect"
)

// vaultStatus is what is known of the vault's tokens; it fails the test if there isn't exactly one
// entry.
func vaultStatus(tb testing.TB, cred *Credential) ResourceStatus {
	tb.Helper()
	synctest.Wait()
	list := cred.Status().Resources
	if len(list) != 1 || list[0].Resource != "https://vault.azure.net" {
		tb.Fatalf("resources are %+v, want the vault's", list)
	}
	return list[0]
}

// checkStatus compares all fields of the vault's but the text of the error, of which it wants a
// piece; "" for no error.
func checkStatus(tb testing.TB, when string, cred *Credential, want ResourceStatus) {
	tb.Helper()
	got := vaultStatus(tb, cred)
	want.Resource = "https://vault.azure.net"
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(want, "LastError")); diff != "" {
		tb.Errorf("%s (-want +got):\n%s", when, diff)
	}
	if (got.LastError == "") != (want.LastError == "") ||
		!strings.Contains(got.LastError, want.LastError) {
		tb.Errorf("%s: last error is %q, want %q in it", when, got.LastError, want.LastError)
	}
	for _, at := range []time.Time{got.ExpiresOn, got.RefreshOn, got.LastErrorOn, got.NextTry} {
		if at.Location() != time.UTC || at != at.Round(0) {
			tb.Errorf("%s: %v is not in UTC, or has a monotonic reading", when, at)
		}
	}
}

// TestStatusThroughALife: what a credential says of itself from its making to the end of its token.
func TestStatusThroughALife(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		cred := onIMDS(t, ep)
		if got := cred.Status(); len(got.Resources) != 0 {
			t.Errorf("before the first use: %+v", got)
		}

		// The first token is under way, and comes.
		ep.Enqueue(identitytest.Response{Delay: time.Second})
		go func() { mustToken(t, cred) }()
		checkStatus(t, "first request", cred, ResourceStatus{InFlight: true, Requests: 1})
		time.Sleep(2 * time.Second)
		first, _ := mustToken(t, cred)
		want := ResourceStatus{ExpiresOn: first.ExpiresOn, RefreshOn: first.RefreshOn, Requests: 1,
			Acquisitions: 1, AcquisitionTime: time.Second}
		checkStatus(t, "held", cred, want)

		// Its renewal is refused with a 429, and left alone for as long as that says.
		time.Sleep(time.Until(first.RefreshOn))
		ep.Enqueue(identitytest.Response{Delay: time.Second, Status: 429,
			Header: http.Header{"Server": {"IMDS/1"}, "Retry-After": {"7"}}})
		mustToken(t, cred)
		want.InFlight, want.Requests = true, 2
		checkStatus(t, "renewal", cred, want)
		time.Sleep(2 * time.Second)
		want.InFlight, want.Failures, want.Throttles, want.LastError = false, 1, 1, "429"
		want.LastErrorOn = first.RefreshOn.Add(time.Second)
		want.NextTry = want.LastErrorOn.Add(7 * time.Second)
		want.Acquisitions, want.AcquisitionTime = 2, 2*time.Second
		checkStatus(t, "throttled", cred, want)
		time.Sleep(time.Until(want.NextTry))
		mustToken(t, cred)
		synctest.Wait()
		second, _ := mustToken(t, cred)
		want.ExpiresOn, want.RefreshOn, want.NextTry = second.ExpiresOn, second.RefreshOn, time.Time{}
		want.Requests, want.Renewals, want.Acquisitions = 3, 1, 3
		checkStatus(t, "renewed after a 429", cred, want)

		// An outage, seen when the token has ended and while an acquisition goes on.
		time.Sleep(time.Until(second.ExpiresOn))
		checkStatus(t, "expired", cred, want)
		ep.Enqueue(identitytest.Response{Status: 503, For: 10 * time.Hour})
		began := time.Now()
		go func() { mustFail(t, cred) }()
		time.Sleep(30 * time.Second)
		if got := vaultStatus(t, cred); !got.InFlight || !strings.Contains(got.LastError, "503") ||
			got.LastErrorOn.Before(began) || got.LastErrorOn.After(time.Now()) ||
			got.Requests < 5 || got.Failures != 1 || got.Throttles != 1 || !got.NextTry.IsZero() {
			t.Errorf("30 s into the outage: %+v", got)
		}
		time.Sleep(46 * time.Second) // the budget is spent
		got := vaultStatus(t, cred)
		want.LastError, want.LastErrorOn, want.NextTry = "503", got.LastErrorOn, got.NextTry
		want.Requests, want.Failures = int64(len(ep.Requests())), 2
		if after := got.LastErrorOn.Sub(began); after < 65*time.Second || after > 75*time.Second {
			t.Errorf("the failure was after %v, want the end of the budget", after)
		}
		want.Acquisitions, want.AcquisitionTime = 4, 2*time.Second+got.LastErrorOn.Sub(began)
		checkStatus(t, "failed", cred, want)
		time.Sleep(maxColdCoolDown)
		want.NextTry = time.Time{}
		checkStatus(t, "cool-down over", cred, want)

		// The end of what is known.
		time.Sleep(time.Hour)
		if got := cred.Status(); len(got.Resources) != 0 {
			t.Errorf("an hour after the token's end: %+v", got)
		}
	})
}

// TestStatusCounts retries, challenges and refreshes as what they are.
func TestStatusCounts(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		s := p.open(t)
		cred := s.credential(t)
		asClients(t, cred)
		mustRefresh(t, cred)
		askFor(t, cred, policy.TokenRequestOptions{Scopes: []string{vaultScope},
			Claims: rejectedClaims, EnableCAE: true})
		for range 10 {
			asClients(t, cred)
			mustRefresh(t, cred)
		}
		st := cred.Status()
		if st.Host != p.host || !strings.HasPrefix(st.Endpoint, p.base) ||
			!strings.HasSuffix(st.Endpoint, p.path) || (st.Identity != "") != s.namesItsDefault() {
			t.Errorf("got %s at %s for %q, want %s at %s…%s", st.Host, st.Endpoint, st.Identity, p.host,
				p.base, p.path)
		}
		got := vaultStatus(t, cred)
		checkStatus(t, "after a token, a refresh and a challenge", cred, ResourceStatus{
			Requests: int64(3 * s.steps), Renewals: 2, Acquisitions: 3,
			ExpiresOn: got.ExpiresOn, RefreshOn: got.RefreshOn,
			EnableCAE: p.host == HostWorkloadIdentity || p.host == HostServiceFabric})
		if s.sent() != 3*s.steps {
			t.Errorf("%d requests were sent", s.sent())
		}
	})
}

func TestStatusReason(t *testing.T) {
	t.Parallel()
	detected := environmentOf(map[string]string{envHeader: canary,
		envEndpoint: "http://localhost:4141/msi/token?key=pa55word"})
	onVM := Status{Host: HostIMDS, Reason: detectIn(nowhere()).Reason, Endpoint: detect.IMDSBase + imdsPath}
	byID := func(id string) Status { s := onVM; s.Identity = id; return s }
	for name, tt := range map[string]struct {
		env  environment
		opts CredentialOptions
		want Status
	}{
		"detected": {detected, CredentialOptions{}, Status{Host: HostAppService,
			Reason: detectIn(detected).Reason, Endpoint: "http://localhost:4141/msi/token"}},
		"named": {detected, CredentialOptions{Host: HostIMDS}, Status{Host: HostIMDS,
			Reason: "CredentialOptions.Host names it", Endpoint: detect.IMDSBase + imdsPath}},
		"client ID": {nowhere(), CredentialOptions{ID: ClientID(guid)}, byID("client ID " + guid)},
		"resource ID": {nowhere(), CredentialOptions{ID: ResourceID("/a/b")},
			byID("resource ID /a/b")},
	} {
		tt.opts.Transport = always(500, "")
		cred, err := newCredential(&tt.opts, tt.env)
		if err != nil {
			t.Fatal(err)
		}
		tt.want.Resources = []ResourceStatus{}
		if diff := cmp.Diff(tt.want, cred.Status()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestStatusAsJSON: names and omissions are what a health page's readers rely on.
func TestStatusAsJSON(t *testing.T) {
	t.Parallel()
	at := func(second int64) time.Time { return time.Unix(second, 0).UTC() }
	for want, status := range map[string]Status{
		`{"host":"","reason":"","endpoint":"","resources":[]}`: (&Credential{}).Status(),
		`{"host":"","reason":"","endpoint":"","resources":[{"resource":"r","requests":0,` +
			`"renewals":0,"failures":0,"throttles":0,"acquisitions":0,"acquisitionNanoseconds":0}]}`: {Resources: []ResourceStatus{{Resource: "r"}}},
		`{"host":"workloadidentity","reason":"r","endpoint":"e","identity":"i","resources":[` +
			`{"resource":"r","tenantId":"t","enableCae":true,"expiresOn":"1970-01-01T00:00:01Z",` +
			`"refreshOn":"1970-01-01T00:00:02Z","lastError":"l","lastErrorOn":"1970-01-01T00:00:03Z",` +
			`"nextTry":"1970-01-01T00:00:04Z","inFlight":true,` +
			`"requests":5,"renewals":6,"failures":7,"throttles":8,` +
			`"acquisitions":9,"acquisitionNanoseconds":1500000000}]}`: {
			Host: HostWorkloadIdentity, Reason: "r", Endpoint: "e", Identity: "i",
			Resources: []ResourceStatus{{Resource: "r", TenantID: "t", EnableCAE: true,
				ExpiresOn: at(1), RefreshOn: at(2), LastError: "l", LastErrorOn: at(3), NextTry: at(4),
				InFlight: true, Requests: 5, Renewals: 6, Failures: 7, Throttles: 8,
				Acquisitions: 9, AcquisitionTime: 1500 * time.Millisecond}}},
	} {
		if got, err := json.Marshal(status); err != nil || string(got) != want {
			t.Errorf("got %s, error %v\nwant %s", got, err, want)
		}
	}
}

func TestStatusHasNoSecret(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		s := p.open(t)
		cred := s.credential(t, once)
		first := asClients(t, cred)
		time.Sleep(time.Until(first.RefreshOn))
		secret := s.env.getenv(s.secret)
		s.answer(s.own(403, s.problem("some_error", "echo: "+secret+" "+first.Token)))
		asClients(t, cred)
		synctest.Wait()
		status := cred.Status()
		if len(status.Resources) != 1 || status.Resources[0].Failures != 1 {
			t.Fatalf("got %+v, want one failure", status)
		}
		out, err := json.Marshal(status)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{string(out), fmt.Sprintf("%+v %#v", status, status)} {
			for _, secret := range []string{secret, first.Token, strings.Split(first.Token, ".")[0]} {
				if secret != "" && strings.Contains(text, secret) {
					t.Errorf("a secret is in %s", text)
				}
			}
		}
	})
}

func TestStatusOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cred := onIMDS(t, identitytest.NewIMDS(nil))
		want := []string{"api://a", "api://b", "https://a", "https://b", "https://c", "urn:z"}
		for _, i := range []int{3, 0, 5, 1, 4, 2} {
			askFor(t, cred, policy.TokenRequestOptions{Scopes: []string{want[i]}})
		}
		for range 10 { // the store's own order changes
			if diff := cmp.Diff(want, resourcesOf(cred)); diff != "" {
				t.Fatalf("-want +got:\n%s", diff)
			}
		}
	})
}

// resourcesOf are those that a credential knows something of.
func resourcesOf(cred *Credential) (list []string) {
	for _, r := range cred.Status().Resources {
		list = append(list, r.Resource)
	}
	return list
}

// TestStatusOfVariants: workload identity's tokens differ by tenant and CAE, Service Fabric's by
// the latter.
func TestStatusOfVariants(t *testing.T) {
	for _, p := range places {
		tenants := []string{""}
		switch p.host {
		case HostServiceFabric:
		case HostWorkloadIdentity:
			tenants = slices.Sorted(slices.Values([]string{"", otherTenant, podTenant}))
		default:
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := p.open(t)
				cred := s.credential(t, once,
					func(o *CredentialOptions) { o.AdditionallyAllowedTenants = []string{"*"} })
				var want, got []ResourceStatus
				for _, resource := range []string{"https://a", "https://vault.azure.net"} {
					for _, tenant := range tenants {
						for _, cae := range []bool{false, true} {
							want = append(want, ResourceStatus{Resource: resource, TenantID: tenant,
								EnableCAE: cae, Requests: 1})
						}
					}
				}
				for _, k := range slices.Backward(want) {
					_, _ = cred.GetToken(t.Context(), policy.TokenRequestOptions{
						Scopes:   []string{k.Resource + "/.default"},
						TenantID: strings.ToUpper(k.TenantID), EnableCAE: k.EnableCAE})
				}
				synctest.Wait()
				for _, r := range cred.Status().Resources {
					got = append(got, ResourceStatus{Resource: r.Resource, TenantID: r.TenantID,
						EnableCAE: r.EnableCAE, Requests: r.Requests})
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			})
		})
	}
}

// TestStatusSendsNothing, also where a token is due.
func TestStatusSendsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		cred := onIMDS(t, ep)
		first, _ := mustToken(t, cred)
		for _, at := range []time.Time{first.RefreshOn, first.ExpiresOn} {
			time.Sleep(time.Until(at) + time.Second)
			vaultStatus(t, cred)
		}
		if n := len(ep.Requests()); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	})
}

func TestStatusAmidUse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(&identitytest.Options{Lifetime: 10 * time.Minute})
		cred := onIMDS(t, ep)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				for ; ctx.Err() == nil; time.Sleep(time.Duration(i+1) * time.Second) {
					switch scope := scopesOf(5)[i%5]; i % 4 {
					case 0:
						for _, r := range cred.Status().Resources {
							if r.Requests < 0 || r.Resource == "" {
								t.Errorf("got %+v", r)
							}
						}
					case 1:
						_, _, _ = cred.Refresh(ctx, scope)
					default:
						_, _ = cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
					}
				}
			})
		}
		ep.Enqueue(identitytest.Response{Status: 503, Delay: time.Second, For: 10 * time.Minute},
			identitytest.Response{Status: 429, For: 10 * time.Minute})
		wg.Wait()
		time.Sleep(2 * time.Minute)
		requests := 0
		for _, r := range cred.Status().Resources {
			requests += int(r.Requests)
			if r.InFlight || r.Failures == 0 || r.LastError == "" {
				t.Errorf("got %+v, want failures and nothing under way", r)
			}
		}
		if n := len(ep.Requests()); requests > n {
			t.Errorf("%d requests are counted, %d came", requests, n)
		}
	})
}

// TestStatusIsOfOneIdentity, however alike the names of those that share the cache.
func TestStatusIsOfOneIdentity(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shared, all := newShared(), []string{"0", "1", "2", "3", "4", "5"}
		creds := make([]*Credential, len(all))
		for i, id := range []ID{nil, ClientID("a"), ClientID("ab"), ObjectID("a"), ResourceID("/a"),
			ResourceID("/ab")} {
			var err error
			creds[i], err = newCredentialIn(shared, &CredentialOptions{
				ClientOptions: optionsWith(&answerDirectly{}), ID: id}, nowhere())
			if err != nil {
				t.Fatal(err)
			}
			for _, resource := range all[:i+1] {
				askFor(t, creds[i], policy.TokenRequestOptions{Scopes: []string{resource}})
			}
		}
		for i, cred := range creds {
			if got := resourcesOf(cred); !slices.Equal(got, all[:i+1]) {
				t.Errorf("%d: resources are %v, want %v", i, got, all[:i+1])
			}
		}
	})
}
