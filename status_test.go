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

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/detect"
)

// vaultStatus is what is known of the vault's tokens; it fails the test if there isn't exactly one entry.
func vaultStatus(tb testing.TB, cred *Credential) ResourceStatus {
	tb.Helper()
	synctest.Wait()
	list := cred.Status().Resources
	if len(list) != 1 || list[0].Resource != "https://vault.azure.net" {
		tb.Fatalf("resources are %+v, want the vault's", list)
	}
	return list[0]
}

// checkStatus compares all fields but the text of the error, of which it wants a piece; "" for no error.
func checkStatus(tb testing.TB, when string, got, want ResourceStatus) {
	tb.Helper()
	want.Resource = "https://vault.azure.net"
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(ResourceStatus{}, "LastError")); diff != "" {
		tb.Errorf("%s (-want +got):\n%s", when, diff)
	}
	if (got.LastError == "") != (want.LastError == "") || !strings.Contains(got.LastError, want.LastError) {
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
		if got := cred.Status(); len(got.Resources) != 0 || got.Host != HostIMDS || got.Identity != "" || got.Reason == "" || got.Endpoint != detect.IMDSBase+imdsPath {
			t.Errorf("before the first use: %+v", got)
		}

		// The first token is under way, and comes.
		ep.Enqueue(identitytest.Response{Delay: time.Second})
		go func() { mustToken(t, cred) }()
		checkStatus(t, "first request", vaultStatus(t, cred), ResourceStatus{InFlight: true, Requests: 1})
		time.Sleep(2 * time.Second)
		first, _ := mustToken(t, cred)
		want := ResourceStatus{ExpiresOn: first.ExpiresOn, RefreshOn: first.RefreshOn, Requests: 1}
		checkStatus(t, "held", vaultStatus(t, cred), want)

		// Its renewal is refused with a 429, and left alone for as long as that says.
		time.Sleep(time.Until(first.RefreshOn))
		ep.Enqueue(identitytest.Response{Delay: time.Second, Status: 429, Header: http.Header{"Server": {"IMDS/1"}, "Retry-After": {"7"}}})
		mustToken(t, cred)
		want.InFlight, want.Requests = true, 2
		checkStatus(t, "renewal", vaultStatus(t, cred), want)
		time.Sleep(2 * time.Second)
		throttled := first.RefreshOn.Add(time.Second)
		want.InFlight, want.Failures, want.Throttles, want.LastError, want.LastErrorOn, want.NextTry = false, 1, 1, "429", throttled, throttled.Add(7*time.Second)
		checkStatus(t, "throttled", vaultStatus(t, cred), want)
		time.Sleep(time.Until(want.NextTry))
		mustToken(t, cred)
		synctest.Wait()
		second, _ := mustToken(t, cred)
		want.ExpiresOn, want.RefreshOn, want.NextTry = second.ExpiresOn, second.RefreshOn, time.Time{}
		want.Requests, want.Renewals = 3, 1
		checkStatus(t, "renewed after a 429", vaultStatus(t, cred), want)

		// An outage, seen when the token has ended and while an acquisition goes on.
		time.Sleep(time.Until(second.ExpiresOn))
		checkStatus(t, "expired", vaultStatus(t, cred), want)
		ep.Enqueue(identitytest.Response{Status: 503, For: 10 * time.Hour})
		began := time.Now()
		go func() { mustFail(t, cred) }()
		time.Sleep(30 * time.Second)
		got := vaultStatus(t, cred)
		if !got.InFlight || !strings.Contains(got.LastError, "503") || got.LastErrorOn.Before(began) || got.LastErrorOn.After(time.Now()) ||
			got.Requests < 5 || got.Failures != 1 || got.Throttles != 1 || !got.NextTry.IsZero() {
			t.Errorf("30 s into the outage: %+v", got)
		}
		time.Sleep(46 * time.Second) // the budget is spent
		got = vaultStatus(t, cred)
		want.LastError, want.LastErrorOn, want.NextTry = "503", got.LastErrorOn, got.NextTry
		want.Requests, want.Failures = int64(len(ep.Requests())), 2
		if ended := got.LastErrorOn; ended.Before(began.Add(65*time.Second)) || ended.After(began.Add(75*time.Second)) {
			t.Errorf("the failure was %v after the beginning, want the end of the budget", ended.Sub(began))
		}
		checkStatus(t, "failed", got, want)
		time.Sleep(maxColdCoolDown)
		want.NextTry = time.Time{}
		checkStatus(t, "cool-down over", vaultStatus(t, cred), want)

		// The end of what is known.
		time.Sleep(time.Hour)
		if got := cred.Status(); len(got.Resources) != 0 {
			t.Errorf("an hour after the token's end: %+v", got)
		}
	})
}

func TestStatusOfACoolDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cred := onIMDS(t, always(429, imdsError, "Server", "IMDS/1", "Retry-After", "100"), once)
		failed := time.Now().UTC().Round(0)
		mustFail(t, cred)
		want := ResourceStatus{LastError: "429", LastErrorOn: failed, NextTry: failed.Add(100 * time.Second), Requests: 1, Failures: 1, Throttles: 1}
		checkStatus(t, "failed", vaultStatus(t, cred), want)
		mustFail(t, cred)
		checkStatus(t, "asked during the cool-down", vaultStatus(t, cred), want)
		time.Sleep(100 * time.Second)
		want.NextTry = time.Time{}
		checkStatus(t, "after it", vaultStatus(t, cred), want)
		mustFail(t, cred)
		if got := vaultStatus(t, cred); got.Failures != 2 || got.Throttles != 2 || got.Requests != 2 {
			t.Errorf("after the second failure: %+v", got)
		}
		time.Sleep(5 * time.Minute)
		if got := cred.Status(); len(got.Resources) != 0 {
			t.Errorf("minutes after a failure: %+v", got)
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
		askFor(t, cred, policy.TokenRequestOptions{Scopes: []string{vaultScope}, Claims: rejectedClaims, EnableCAE: true})
		for range 10 {
			asClients(t, cred)
			mustRefresh(t, cred)
		}
		synctest.Wait()
		st := cred.Status()
		if st.Host != p.host || !strings.HasPrefix(st.Endpoint, p.base) || !strings.HasSuffix(st.Endpoint, p.path) || (st.Identity != "") != s.namesItsDefault() {
			t.Errorf("got %s at %s for %q, want %s at %s…%s", st.Host, st.Endpoint, st.Identity, p.host, p.base, p.path)
		}
		want := ResourceStatus{Requests: int64(3 * s.steps), Renewals: 2}
		got := vaultStatus(t, cred)
		want.ExpiresOn, want.RefreshOn, want.EnableCAE = got.ExpiresOn, got.RefreshOn, p.host == HostWorkloadIdentity || p.host == HostServiceFabric
		checkStatus(t, "after a token, a refresh and a challenge", got, want)
		if s.sent() != 3*s.steps {
			t.Errorf("%d requests were sent", s.sent())
		}
	})
}

func TestStatusReason(t *testing.T) {
	t.Parallel()
	app := environmentOf(map[string]string{"IDENTITY_ENDPOINT": "http://user@localhost:4141/msi/token?key=pa55word", "IDENTITY_HEADER": canary})
	detected := environmentOf(map[string]string{"IDENTITY_ENDPOINT": "http://localhost:4141/msi/token?key=pa55word", "IDENTITY_HEADER": canary})
	if _, err := newCredential(nil, app); err == nil {
		t.Error("user info passes")
	}
	for _, tt := range []struct {
		name string
		env  environment
		opts CredentialOptions
		want Status
	}{
		{name: "detected", env: detected, opts: CredentialOptions{},
			want: Status{Host: HostAppService, Reason: detectIn(detected).Reason, Endpoint: "http://localhost:4141/msi/token"}},
		{name: "named", env: detected, opts: CredentialOptions{Host: HostIMDS},
			want: Status{Host: HostIMDS, Reason: "CredentialOptions.Host names it", Endpoint: detect.IMDSBase + imdsPath}},
		{name: "client ID", env: nowhere(), opts: CredentialOptions{ID: ClientID(guid)},
			want: Status{Host: HostIMDS, Reason: detectIn(nowhere()).Reason, Endpoint: detect.IMDSBase + imdsPath, Identity: "client ID " + guid}},
		{name: "resource ID", env: nowhere(), opts: CredentialOptions{ID: ResourceID("/a/b")},
			want: Status{Host: HostIMDS, Reason: detectIn(nowhere()).Reason, Endpoint: detect.IMDSBase + imdsPath, Identity: "resource ID /a/b"}},
	} {
		tt.opts.Transport = always(500, "")
		cred, err := newCredential(&tt.opts, tt.env)
		if err != nil {
			t.Fatal(err)
		}
		tt.want.Resources = []ResourceStatus{}
		if diff := cmp.Diff(tt.want, cred.Status()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	if diff := cmp.Diff(Status{Resources: []ResourceStatus{}}, (&Credential{}).Status()); diff != "" {
		t.Errorf("zero value (-want +got):\n%s", diff)
	}
}

// TestStatusAsJSON: names and omissions are what a health page's readers rely on.
func TestStatusAsJSON(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status Status
		want   string
	}{
		{name: "zero", status: (&Credential{}).Status(),
			want: `{"host":"","reason":"","endpoint":"","resources":[]}`},
		{name: "a failure at once", status: Status{Resources: []ResourceStatus{{Resource: "r"}}},
			want: `{"host":"","reason":"","endpoint":"","resources":[{"resource":"r","requests":0,"renewals":0,"failures":0,"throttles":0}]}`},
		{name: "all",
			status: Status{Host: HostWorkloadIdentity, Reason: "r", Endpoint: "e", Identity: "i", Resources: []ResourceStatus{{
				Resource: "r", TenantID: "t", EnableCAE: true,
				ExpiresOn: time.Unix(1, 0).UTC(), RefreshOn: time.Unix(2, 0).UTC(), LastError: "l", LastErrorOn: time.Unix(3, 0).UTC(), NextTry: time.Unix(4, 0).UTC(), InFlight: true,
				Requests: 5, Renewals: 6, Failures: 7, Throttles: 8,
			}}},
			want: `{"host":"workloadidentity","reason":"r","endpoint":"e","identity":"i","resources":[{"resource":"r","tenantId":"t","enableCae":true,` +
				`"expiresOn":"1970-01-01T00:00:01Z","refreshOn":"1970-01-01T00:00:02Z","lastError":"l","lastErrorOn":"1970-01-01T00:00:03Z","nextTry":"1970-01-01T00:00:04Z","inFlight":true,` +
				`"requests":5,"renewals":6,"failures":7,"throttles":8}]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := json.Marshal(tt.status)
			if err != nil || string(got) != tt.want {
				t.Errorf("got %s, error %v\nwant %s", got, err, tt.want)
			}
		})
	}
	t.Run("alive", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			n := 0
			cred := onIMDS(t, transportFunc(func(*http.Request) (*http.Response, error) {
				if n++; n > 1 {
					return respond(429, imdsError, "Server", "IMDS/1", "Retry-After", "100"), nil
				}
				return respond(200, `{"access_token":"`+canary+`","expires_in":7200,"refresh_in":3600}`), nil
			}), once)
			mustToken(t, cred)
			time.Sleep(time.Hour)
			mustToken(t, cred)
			time.Sleep(time.Second)
			got, err := json.Marshal(cred.Status())
			const want = `{"host":"imds","reason":"no other host's variables are set","endpoint":"http://169.254.169.254/metadata/identity/oauth2/token","resources":[` +
				`{"resource":"https://vault.azure.net","expiresOn":"2000-01-01T02:00:00Z","refreshOn":"2000-01-01T01:00:00Z",` +
				`"lastError":"identity: IMDS: 429 some_error \"some text\" (token for https://vault.azure.net, 1 attempt, 0s): IMDS serves 20 token requests a second and 5 at once per VM: what else on this VM asks it?",` +
				`"lastErrorOn":"2000-01-01T01:00:00Z","nextTry":"2000-01-01T01:01:40Z","requests":2,"renewals":0,"failures":1,"throttles":1}]}`
			if diff := cmp.Diff(want, string(got)); err != nil || diff != "" {
				t.Errorf("error %v (-want +got):\n%s", err, diff)
			}
		})
	})
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

func TestStatusShowsNoQuery(t *testing.T) {
	t.Parallel()
	env := environmentOf(map[string]string{envEndpoint: "http://localhost:4141/msi/token?code=" + canary, envHeader: "s"})
	if got, want := credentialAt(t, env, always(500, "")).Status().Endpoint, "http://localhost:4141/msi/token"; got != want {
		t.Errorf("the endpoint is %s, want %s", got, want)
	}
}

func TestStatusOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cred := onIMDS(t, identitytest.NewIMDS(nil))
		want := []string{"api://a", "api://b", "https://a", "https://b", "https://c", "urn:z"}
		for _, i := range []int{3, 0, 5, 1, 4, 2} {
			if _, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{want[i]}}); err != nil {
				t.Fatal(err)
			}
		}
		for range 10 { // the store's own order changes
			var got []string
			for _, r := range cred.Status().Resources {
				got = append(got, r.Resource)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("-want +got:\n%s", diff)
			}
		}
	})
}

// TestStatusOfVariants: workload identity's tokens differ by tenant and CAE, Service Fabric's by the latter.
func TestStatusOfVariants(t *testing.T) {
	for _, p := range places {
		tenants := []string{"", otherTenant, podTenant}
		switch p.host {
		case HostServiceFabric:
			tenants = tenants[:1]
		case HostWorkloadIdentity:
		default:
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := p.open(t)
				cred := s.credential(t, once, func(o *CredentialOptions) { o.AdditionallyAllowedTenants = []string{"*"} })
				type key struct {
					resource, tenant string
					cae              bool
				}
				var want, got []key
				for _, resource := range []string{"https://a", "https://vault.azure.net"} {
					byTenant := slices.Clone(tenants)
					slices.Sort(byTenant)
					for _, tenant := range byTenant {
						for _, cae := range []bool{false, true} {
							want = append(want, key{resource, tenant, cae})
						}
					}
				}
				for i := range want {
					k := want[len(want)-1-i]
					_, _ = cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{k.resource + "/.default"}, TenantID: strings.ToUpper(k.tenant), EnableCAE: k.cae})
				}
				synctest.Wait()
				for _, r := range cred.Status().Resources {
					got = append(got, key{r.Resource, r.TenantID, r.EnableCAE})
					if r.Requests != 1 {
						t.Errorf("got %+v, want one request", r)
					}
				}
				if diff := cmp.Diff(want, got, cmp.AllowUnexported(key{})); diff != "" {
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
				for ctx.Err() == nil {
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
					time.Sleep(time.Duration(i+1) * time.Second)
				}
			})
		}
		ep.Enqueue(identitytest.Response{Status: 503, Delay: time.Second, For: 10 * time.Minute}, identitytest.Response{Status: 429, For: 10 * time.Minute})
		wg.Wait()
		time.Sleep(2 * time.Minute)
		var requests int64
		for _, r := range cred.Status().Resources {
			requests += r.Requests
			if r.InFlight || r.Failures == 0 || r.LastError == "" {
				t.Errorf("got %+v, want failures and nothing under way", r)
			}
		}
		if requests > int64(len(ep.Requests())) {
			t.Errorf("%d requests are counted, %d came", requests, len(ep.Requests()))
		}
	})
}

// TestStatusIsOfOneIdentity, however alike the names of those that share the cache.
func TestStatusIsOfOneIdentity(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shared := newShared()
		answers := &answerDirectly{}
		ids := []ID{nil, ClientID("a"), ClientID("ab"), ObjectID("a"), ResourceID("/a"), ResourceID("/ab")}
		var creds []*Credential
		for i, id := range ids {
			cred, err := newCredentialIn(shared, &CredentialOptions{ClientOptions: azcore.ClientOptions{Transport: answers}, ID: id}, nowhere())
			if err != nil {
				t.Fatal(err)
			}
			creds = append(creds, cred)
			for j := range i + 1 {
				if _, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{fmt.Sprint(j, "/.default")}}); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i, cred := range creds {
			var got []string
			for _, r := range cred.Status().Resources {
				got = append(got, r.Resource)
			}
			if want := []string{"0", "1", "2", "3", "4", "5"}[:i+1]; !cmp.Equal(got, want) {
				t.Errorf("%v: resources are %v, want %v", ids[i], got, want)
			}
		}
	})
}
