package identity

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
)

const appTenant, appClient = podTenant, podClient

// federatedAt makes a federated credential at a Transport in Entra's place.
func federatedAt(
	tb testing.TB, transport policy.Transporter, a Assertion,
	adjust ...func(*FederatedCredentialOptions),
) *FederatedCredential {
	tb.Helper()
	return applicationAt(tb, nowhere(), transport, appTenant, appClient, a, adjust...)
}

func applicationAt(
	tb testing.TB, env environment, transport policy.Transporter, tenant string, client ClientID,
	a Assertion, adjust ...func(*FederatedCredentialOptions),
) *FederatedCredential {
	tb.Helper()
	options := &FederatedCredentialOptions{}
	options.Transport = transport
	for _, f := range adjust {
		f(options)
	}
	cred, err := newFederatedCredential(newShared(), env, tenant, client, a,
		options)
	if err != nil {
		tb.Fatal(err)
	}
	return cred
}

// assertionFor is an assertion that lives for so long.
func assertionFor(life time.Duration, more string) string {
	return jwtOf(fmt.Sprintf(`{"iss":"https://issuer.example/","sub":"orders",`+
		`"aud":["api://AzureADTokenExchange"],"exp":%d,"jti":%q}`, time.Now().Add(life).Unix(), more))
}

// counted is a function that brings another assertion each time, and notes what it was asked for.
type counted struct {
	mu   sync.Mutex
	asks []AssertionRequest
	f    func(ctx context.Context, n int) (string, error) // nil for an assertion
}

func (c *counted) assertion() Assertion {
	return AssertionFunc(func(ctx context.Context, r AssertionRequest) (string, error) {
		c.mu.Lock()
		c.asks = append(c.asks, r)
		n := len(c.asks)
		c.mu.Unlock()
		if c.f != nil {
			return c.f(ctx, n)
		}
		return assertionFor(time.Hour, fmt.Sprint(n)), nil
	})
}

func (c *counted) calls() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.asks)
}

// TestFederatedRequests: the exchange is workload identity's, byte for byte, whatever brings the
// assertion.
func TestFederatedRequests(t *testing.T) {
	t.Parallel()
	const claims = `{"access_token":{"nbf":{"essential":true,"value":"1604106651"}}}`
	for _, tt := range []struct {
		name      string // of the file with what workload identity sends
		authority string // of the variable
		adjust    func(*FederatedCredentialOptions)
		ask       policy.TokenRequestOptions
		audience  string
	}{
		{name: "default"},
		{name: "cae", ask: policy.TokenRequestOptions{EnableCAE: true}},
		{name: "claims-cae", ask: policy.TokenRequestOptions{Claims: claims, EnableCAE: true}},
		{name: "other-tenant", ask: policy.TokenRequestOptions{TenantID: strings.ToUpper(otherTenant)},
			adjust: func(o *FederatedCredentialOptions) {
				o.AdditionallyAllowedTenants = []string{otherTenant}
			}},
		{name: "sovereign", authority: "https://login.microsoftonline.us/", audience: "USGov"},
		{name: "cloud", authority: "https://login.microsoftonline.us/", audience: "China",
			adjust: func(o *FederatedCredentialOptions) {
				o.Cloud.ActiveDirectoryAuthorityHost = cloud.AzureChina.ActiveDirectoryAuthorityHost
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var asked AssertionRequest
			for what, a := range map[string]Assertion{
				"a file": FileAssertion(assertionFile(t, podAssertion+"\n")),
				"a function": AssertionFunc(
					func(_ context.Context, r AssertionRequest) (string, error) {
						asked = r
						return podAssertion, nil
					}),
				"a credential": CredentialAssertion(tokenFunc(podAssertion)),
			} {
				entra := &entraStub{}
				if tt.adjust == nil {
					tt.adjust = func(*FederatedCredentialOptions) {}
				}
				env := environmentOf(map[string]string{envAuthorityHost: tt.authority})
				askFor(t, applicationAt(t, env, entra, appTenant, appClient, a, tt.adjust), tt.ask)
				entra.wantField(t, "client_assertion", podAssertion)
				p := entra.got()[0]
				p.form.Set("client_assertion", "REDACTED")
				got := wireFormat(p.Request, "") + "\n"
				for _, name := range slices.Sorted(maps.Keys(p.form)) {
					got += name + "=" + p.form.Get(name) + "\n"
				}
				if want, err := os.ReadFile("testdata/workload/" + tt.name + ".golden"); err != nil ||
					got != string(want) {
					t.Errorf("%s: got\n%s\nwant\n%s%v", what, got, want, err)
				}
			}
			want := AssertionRequest{appTenant, "api://AzureADTokenExchange" + tt.audience}
			if tt.ask.TenantID != "" {
				want.TenantID = otherTenant
			}
			if asked != want {
				t.Errorf("the function was asked for %+v, want %+v", asked, want)
			}
		})
	}
}

// TestFederatedConstructorRefuses: what is wrong is known at once, by its name, and no secret is
// repeated.
func TestFederatedConstructorRefuses(t *testing.T) {
	t.Parallel()
	good := FileAssertion("/token")
	for name, tt := range map[string]struct {
		tenant  string
		client  ClientID
		a       Assertion
		options FederatedCredentialOptions
		env     map[string]string
		want    string
	}{
		"no tenant": {client: appClient, a: good,
			want: "NewFederatedCredential: tenantID: is empty"},
		"a wrong tenant": {tenant: "a/b", client: appClient, a: good, want: "tenantID: is no tenant"},
		"no client": {tenant: appTenant, a: good,
			want: "NewFederatedCredential: clientID: is empty"},
		"a resource ID": {tenant: appTenant, client: "/subscriptions/x", a: good,
			want: "clientID: ClientID \"/subscriptions/x\" looks like a resource ID"},
		"zero Assertion": {tenant: appTenant, client: appClient,
			want: "NewFederatedCredential: zero Assertion: make one by FileAssertion"},
		"no file": {tenant: appTenant, client: appClient, a: FileAssertion(""),
			want: "FileAssertion: is empty"},
		"a token in place of its file": {tenant: appTenant, client: appClient,
			a: FileAssertion(podAssertion), want: "FileAssertion: is a token"},
		"a path with its line's end": {tenant: appTenant, client: appClient,
			a: FileAssertion("/token\n"), want: "FileAssertion: \"/token\\n\" begins or ends"},
		"nil function": {tenant: appTenant, client: appClient, a: AssertionFunc(nil),
			want: "AssertionFunc: is nil"},
		"nil credential": {tenant: appTenant, client: appClient, a: CredentialAssertion(nil),
			want: "CredentialAssertion: is nil"},
		"nil pointer": {tenant: appTenant, client: appClient,
			a: CredentialAssertion((*Credential)(nil)), want: "CredentialAssertion: is nil"},
		"plain http": {tenant: appTenant, client: appClient, a: good,
			env:  map[string]string{envAuthorityHost: "http://login.example/pa55word"},
			want: envAuthorityHost + ": is not https"},
		"a wrong tenant allowed": {tenant: appTenant, client: appClient, a: good,
			options: FederatedCredentialOptions{AdditionallyAllowedTenants: []string{"a b"}},
			want:    "FederatedCredentialOptions.AdditionallyAllowedTenants: "},
		"a nil client": {tenant: appTenant, client: appClient, a: GitHubActionsAssertion(),
			env: map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": "https://jobs.example/",
				"ACTIONS_ID_TOKEN_REQUEST_TOKEN": "pa55word"},
			options: FederatedCredentialOptions{
				ClientOptions: azcore.ClientOptions{Transport: (*http.Client)(nil)},
			},
			want: "FederatedCredentialOptions.Transport: nil *http.Client"},
	} {
		_, err := newFederatedCredential(newShared(), environmentOf(tt.env),
			tt.tenant, tt.client, tt.a, &tt.options)
		wantErrorText(t, err, tt.want)
		if err != nil && (strings.Contains(err.Error(), "eyJ") || strings.Contains(err.Error(), "pa55")) {
			t.Errorf("%s: a secret is shown: %v", name, err)
		}
	}
	var zero FederatedCredential
	refuses(t, &zero, policy.TokenRequestOptions{}, "was not made by NewCredential or another")
	if _, _, err := zero.Refresh(t.Context(), vaultScope); err == nil || zero.Status().Reason != "" {
		t.Errorf("a zero value refreshes, or has a status: %v", err)
	}
	refuses(t, federatedAt(t, &entraStub{}, good), policy.TokenRequestOptions{TenantID: otherTenant},
		"name it in FederatedCredentialOptions.AdditionallyAllowedTenants")
}

// TestFederatedShares: the tokens of a file are the process's, told apart by all that decides who
// may have one; those of a function and of a credential are the credential's alone.
func TestFederatedShares(t *testing.T) {
	t.Parallel()
	in := newShared()
	make := func(tenant string, client ClientID, a Assertion,
		adjust ...func(*FederatedCredentialOptions)) *FederatedCredential {
		o := &FederatedCredentialOptions{}
		for _, f := range adjust {
			f(o)
		}
		c, err := newFederatedCredential(in, nowhere(), tenant, client, a, o)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := make(appTenant, appClient, FileAssertion("/a"))
	same := make(strings.ToLower(appTenant), ClientID(strings.ToUpper(appClient)), FileAssertion("/a"))
	key := func(c *FederatedCredential) string { return cacheKey(c.cred.hosted.host) }
	if first.cred.tokens != in.tokens || same.cred.tokens != in.tokens || key(first) != key(same) {
		t.Errorf("equal credentials don't share: %q and %q", key(first), key(same))
	}
	policies := func(o *FederatedCredentialOptions) {
		o.PerCallPolicies = []policy.Policy{policyFunc(nil)}
	}
	sovereign := func(o *FederatedCredentialOptions) { o.Cloud = cloud.AzureGovernment }
	for name, other := range map[string]*FederatedCredential{
		"another path":   make(appTenant, appClient, FileAssertion("/b")),
		"another tenant": make(otherTenant, appClient, FileAssertion("/a")),
		"another client": make(appTenant, otherClient, FileAssertion("/a")),
		"another cloud":  make(appTenant, appClient, FileAssertion("/a"), sovereign),
		"a function":     make(appTenant, appClient, (&counted{}).assertion()),
		"a credential":   make(appTenant, appClient, CredentialAssertion(tokenFunc("a"))),
		"policies":       make(appTenant, appClient, FileAssertion("/a"), policies),
	} {
		alone := strings.HasPrefix(name, "a ") || name == "policies"
		if own := other.cred.tokens != in.tokens; own != alone || !own && key(other) == key(first) {
			t.Errorf("%s: it has tokens of its own: %v, and the key %q", name, own, key(other))
		}
	}
	pod, err := newCredentialIn(in, &CredentialOptions{}, inPod(t, envTokenFile, "/a"))
	if err != nil || cacheKey(pod.hosted.host) == key(first) {
		t.Errorf("a pod's tokens are a federated credential's, or %v", err)
	}
}

// TestFederatedOneExchange: a thousand callers of one resource bring one call and one exchange
// about, and another assertion is got for the next.
func TestFederatedOneExchange(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := &counted{f: func(_ context.Context, n int) (string, error) {
			time.Sleep(time.Second)
			return assertionFor(time.Hour, fmt.Sprint(n)), nil
		}}
		entra := &entraStub{}
		cred := federatedAt(t, entra, c.assertion())
		var group sync.WaitGroup
		for range 1000 {
			group.Go(func() { mustToken(t, cred) })
		}
		group.Wait()
		if c.calls() != 1 || len(entra.got()) != 1 {
			t.Fatalf("%d calls, %d exchanges, want one each", c.calls(), len(entra.got()))
		}
		time.Sleep(time.Hour - time.Minute) // the renewal is due, and later in the last minutes
		mustToken(t, cred)
		synctest.Wait()
		if c.calls() != 2 || len(entra.got()) != 2 {
			t.Errorf("%d calls, %d exchanges, want another one each", c.calls(), len(entra.got()))
		}
		if s := cred.Status(); s.Host != "" || len(s.Resources) != 1 || s.Resources[0].Requests != 2 ||
			s.Reason != "NewFederatedCredential, with AssertionFunc" ||
			s.Identity != "client ID "+appClient || s.Endpoint != podTokenURL {
			t.Errorf("the status is %+v", s)
		}
		if _, changed, err := cred.Refresh(t.Context(), vaultScope); !changed || err != nil {
			t.Errorf("Refresh brought no other token: %v", err)
		}
	})
}

// TestFederatedHitAllocatesNothing: a hit is as cheap as a Credential's. It is not parallel:
// AllocsPerRun counts the whole process.
func TestFederatedHitAllocatesNothing(t *testing.T) {
	cred := federatedAt(t, &entraStub{}, (&counted{}).assertion())
	options := policy.TokenRequestOptions{Scopes: []string{vaultScope}, EnableCAE: true}
	askFor(t, cred, options)
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() { _, _ = cred.GetToken(ctx, options) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// TestFederatedRotation: a file is read at each exchange.
func TestFederatedRotation(t *testing.T) {
	bubble(t, func(t *testing.T) {
		file, entra := assertionFile(t, ""), &entraStub{}
		cred := federatedAt(t, entra, FileAssertion(file))
		var want []string
		for i := range 5 {
			want = append(want, assertionFor(time.Hour, fmt.Sprint(i)))
			write(t, file, want[i])
			mustToken(t, cred)
			time.Sleep(25 * time.Hour)
		}
		entra.wantField(t, "client_assertion", want...)
		e, _ := mustFail(t, cred)
		wantErrorText(t, e, "federated credential: the token in ", "the assertion ended at ", "clock")
		time.AfterFunc(5*time.Minute, func() { write(t, file, assertionFor(time.Hour, "")) })
		if err := cred.Ready(t.Context(), vaultScope); err != nil {
			t.Errorf("Ready didn't wait for the file: %v", err)
		}
	})
}

// TestFederatedHitBesideAnExchange: no lock is held over an exchange or a callback. What stands in
// the way of one resource's token, for however long, is nothing to a hit of another one.
func TestFederatedHitBesideAnExchange(t *testing.T) {
	const other = "https://storage.azure.com/.default"
	for name, blocks := range map[string]struct{ atEntra bool }{
		"the callback is slow": {}, "Entra is slow": {atEntra: true},
	} {
		bubbleIn(t, name, func(t *testing.T) {
			release, blocked := make(chan struct{}), make(chan struct{})
			hold := func() { close(blocked); <-release }
			var slow atomic.Bool
			c := &counted{f: func(_ context.Context, n int) (string, error) {
				if slow.Load() && !blocks.atEntra {
					hold()
				}
				return assertionFor(time.Hour, fmt.Sprint(n)), nil
			}}
			entra := &entraStub{reply: func(int, tokenPost) *http.Response {
				if slow.Load() && blocks.atEntra {
					hold()
				}
				return nil
			}}
			cred := federatedAt(t, entra, c.assertion())
			mustToken(t, cred)
			slow.Store(true)
			var group sync.WaitGroup
			group.Go(func() { askFor(t, cred, policy.TokenRequestOptions{Scopes: []string{other}}) })
			<-blocked
			calls, sent := c.calls(), len(entra.got())
			for range 100 {
				if _, took := mustToken(t, cred); took != 0 {
					t.Errorf("a hit took %v", took)
				}
			}
			if c.calls() != calls || len(entra.got()) != sent {
				t.Errorf("hits have called or sent something")
			}
			slow.Store(false)
			close(release)
			group.Wait()
		})
	}
}

// TestFederatedAssertionFails: whatever is wrong with the assertion, nothing is sent, the error
// says so in one line without a byte of a secret, and Ready waits for what may pass.
func TestFederatedAssertionFails(t *testing.T) {
	returns := func(s string, err error) func(context.Context, int) (string, error) {
		return func(context.Context, int) (string, error) { return s, err }
	}
	for name, tt := range map[string]struct {
		f     func(context.Context, int) (string, error)
		want  string
		final bool // Ready doesn't wait
	}{
		"empty":  {f: returns("", nil), want: "the assertion is empty"},
		"no JWT": {f: returns(canary, nil), want: "the assertion is no JWT", final: true},
		"ended": {f: func(context.Context, int) (string, error) {
			return assertionFor(-time.Hour, canary), nil
		}, want: "the assertion ended at "},
		"an error": {f: returns("", fmt.Errorf("vault: %w", os.ErrDeadlineExceeded)),
			want: "vault: i/o timeout"},
		"for good": {f: returns("", final{errors.New("no such role")}), want: "no such role",
			final: true},
		"with a token": {f: returns(canary, errors.New("got "+canary)), want: "got REDACTED"},
		"a panic": {f: func(context.Context, int) (string, error) {
			panic("oops")
		}, want: "panicked: oops"},
		"Goexit": {f: func(context.Context, int) (string, error) {
			runtime.Goexit()
			return "", nil
		}, want: "has ended its goroutine"},
	} {
		bubbleIn(t, name, func(t *testing.T) {
			time.Sleep(24 * time.Hour) // a date before the bubble's beginning is none
			var mended atomic.Bool
			c := &counted{f: func(ctx context.Context, n int) (string, error) {
				if !mended.Load() {
					return tt.f(ctx, n)
				}
				return assertionFor(time.Hour, ""), nil
			}}
			entra := &entraStub{}
			cred := federatedAt(t, entra, c.assertion())
			e, took := mustFail(t, cred)
			wantErrorText(t, e, "identity: federated credential: AssertionFunc: "+tt.want,
				"(token for https://vault.azure.net)")
			if shown := fmt.Sprintf("%v %+v %#v %+v", e, e, e, cred.Status()); took != 0 ||
				len(entra.got()) != 0 || strings.Contains(shown, canary) || strings.Contains(shown, "eyJ") {
				t.Errorf("after %v and %d requests: %s", took, len(entra.got()), shown)
			}
			for _, s := range []error{ErrUnavailable, ErrIdentityNotFound, ErrIdentityMismatch} {
				if errors.Is(e, s) {
					t.Errorf("it is taken for %v", s)
				}
			}
			time.AfterFunc(5*time.Minute, func() { mended.Store(true) })
			start := time.Now()
			if err := cred.Ready(t.Context(), vaultScope); tt.final != (time.Since(start) < time.Minute) ||
				tt.final != (err != nil) {
				t.Errorf("Ready returned %v after %v", err, time.Since(start))
			}
		})
	}
}

// TestFederatedCallbackHangs: it costs the callers of its resource 30 s at the longest, once; those
// who don't want to wait leave; and once it is called again and returns, there are tokens.
func TestFederatedCallbackHangs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		lost := make(chan struct{}) // of a connection that is gone
		defer close(lost)
		c := &counted{f: func(_ context.Context, n int) (string, error) {
			if n == 1 {
				<-lost
			}
			return assertionFor(time.Hour, ""), nil
		}}
		cred := federatedAt(t, &entraStub{}, c.assertion())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := getToken(ctx, cred); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller with a second got %v", err)
		}
		e, took := mustFail(t, cred)
		wantErrorText(t, e, "AssertionFunc: has not returned within 30s: does it heed its context")
		if errors.Is(e, context.DeadlineExceeded) || took > functionBound {
			t.Errorf("after %v: a deadline of ours looks like the caller's: %v", took, e)
		}
		if err := getOther(t, cred); err != nil {
			t.Errorf("another resource: %v", err)
		}
		e, took = mustFail(t, cred)
		wantErrorText(t, e, "AssertionFunc: has not returned ")
		if took != 0 || c.calls() != 2 {
			t.Errorf("%d calls, an error after %v, want one at once", c.calls(), took)
		}
		time.Sleep(functionBound + time.Second)
		mustToken(t, cred)
	})
}

// TestFederatedCallbackIsSlow: where the time is up before a function has another assertion, the
// error is what Entra has said, and not that the function is to blame.
func TestFederatedCallbackIsSlow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := &counted{f: func(_ context.Context, n int) (string, error) {
			time.Sleep(functionBound - time.Second)
			return assertionFor(time.Hour, fmt.Sprint(n)), nil
		}}
		entra := &entraStub{reply: func(int, tokenPost) *http.Response { return respond(503, "") }}
		e, took := mustFail(t, federatedAt(t, entra, c.assertion()))
		wantErrorText(t, e, "federated credential: 503: without a word, from ",
			"token (token for https://vault.azure.net, 2 attempts, ")
		if e.StatusCode != 503 || c.calls() < 3 || took > 2*functionBound+time.Second {
			t.Errorf("after %v and %d calls: %v", took, c.calls(), e)
		}
		time.Sleep(functionBound)
	})
}

func getOther(t *testing.T, cred *FederatedCredential) error {
	_, err := cred.GetToken(t.Context(),
		policy.TokenRequestOptions{Scopes: []string{"https://another.example/.default"}})
	return err
}

// TestFederatedCallbackAsksItself: it would wait for itself. With the context that it was given it
// is told so at once, also around a corner; with another one after its time.
func TestFederatedCallbackAsksItself(t *testing.T) {
	for name, tt := range map[string]struct {
		other bool // by way of another credential
		late  bool
		with  func(context.Context) context.Context
	}{
		"with its context": {with: func(ctx context.Context) context.Context { return ctx }},
		"around a corner":  {other: true, with: func(ctx context.Context) context.Context { return ctx }},
		"with another context": {late: true,
			with: func(context.Context) context.Context { return context.Background() }},
	} {
		bubbleIn(t, name, func(t *testing.T) {
			var cred, other *FederatedCredential
			ask := func(c **FederatedCredential) Assertion {
				return AssertionFunc(func(ctx context.Context, _ AssertionRequest) (string, error) {
					tk, err := getToken(tt.with(ctx), *c)
					return tk.Token, err
				})
			}
			cred = federatedAt(t, &entraStub{}, ask(&cred))
			if tt.other {
				other = federatedAt(t, &entraStub{}, ask(&cred))
				cred = federatedAt(t, &entraStub{}, ask(&other))
			}
			start := time.Now()
			_, err := getToken(t.Context(), cred)
			want := "AssertionFunc asks the credential that it is for"
			if tt.late {
				want = "AssertionFunc: has not returned within 30s"
			}
			wantErrorText(t, err, want)
			if took := time.Since(start); (took != 0) != tt.late || took > functionBound+time.Second {
				t.Errorf("the error came after %v", took)
			}
		})
	}
}

// TestFederatedStaleAssertion: after AADSTS700024 one more exchange follows at once, with another
// assertion; after other refusals none does, although a function has another one each time.
func TestFederatedStaleAssertion(t *testing.T) {
	for name, tt := range map[string]struct {
		body  string
		calls int
		same  bool // the function has no other
	}{
		"not in its time":           {body: expired, calls: 2},
		"not in its time, no other": {body: expired, calls: 2, same: true},
		"an unknown subject":        {body: entraRefusal("invalid_client", 700212, "No."), calls: 1},
	} {
		bubbleIn(t, name, func(t *testing.T) {
			c := &counted{}
			if tt.same {
				c.f = func(context.Context, int) (string, error) { return podAssertion, nil }
			}
			entra := &entraStub{reply: func(int, tokenPost) *http.Response { return respond(401, tt.body) }}
			e, took := mustFail(t, federatedAt(t, entra, c.assertion()))
			sent := map[string]bool{}
			for _, p := range entra.got() {
				sent[p.form.Get("client_assertion")] = true
			}
			if want := tt.calls; c.calls() != want || took != 0 || e.Attempts != len(sent) ||
				len(sent) != 1 && tt.same || len(sent) != want && !tt.same {
				t.Errorf("%d calls, %d exchanges, %d assertions after %v: %v", c.calls(), e.Attempts,
					len(sent), took, e)
			}
		})
	}
	bubbleIn(t, "it ended on its way", func(t *testing.T) {
		c, entra := &counted{}, &entraStub{reply: firstly(401, expired)}
		if _, took := mustToken(t, federatedAt(t, entra, c.assertion())); took != 0 || c.calls() != 2 {
			t.Errorf("%d calls after %v, want 2 at once", c.calls(), took)
		}
	})
}

// wrapped is a user's credential that has the methods of ours, but its own GetToken.
type wrapped struct {
	*Credential
	token string
}

func (w wrapped) GetToken(
	context.Context, policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: w.token, ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// TestStaleAssertionOfACredential: after AADSTS700024 a credential of ours is asked past what it
// holds, also in a chain. What embeds one is not: its tokens may be somebody else's.
func TestStaleAssertionOfACredential(t *testing.T) {
	itself := func(c *Credential) azcore.TokenCredential { return c }
	inAChain := func(c *Credential) azcore.TokenCredential { return mustChain(t, nil, c) }
	for name, tt := range map[string]struct {
		of       func(*Credential) azcore.TokenCredential
		requests int // to IMDS
	}{
		"itself":    {itself, 2},
		"a chain's": {inAChain, 2},
		"a chain's in a chain": {func(c *Credential) azcore.TokenCredential {
			return mustChain(t, nil, inAChain(c))
		}, 2},
		"embedded": {func(c *Credential) azcore.TokenCredential { return wrapped{c, podAssertion} }, 0},
	} {
		bubbleIn(t, name, func(t *testing.T) {
			vm, entra := identitytest.NewIMDS(nil), &entraStub{reply: firstly(401, expired)}
			_, err := getToken(t.Context(), federatedAt(t, entra, CredentialAssertion(tt.of(onIMDS(t, vm)))))
			sent := map[string]bool{}
			for _, p := range entra.got() {
				sent[p.form.Get("client_assertion")] = true
			}
			if n := len(vm.Requests()); n != tt.requests || (err == nil) != (n > 0) ||
				len(sent) != max(n, 1) {
				t.Errorf("%d requests to IMDS, %d assertions, %v", n, len(sent), err)
			}
		})
	}
}

// crossTenant is an application that trusts a managed identity, and both at one Transport.
func crossTenant(
	t *testing.T, trust func(*identitytest.FederatedCredential),
) (cred *FederatedCredential, vm, entra *identitytest.Endpoint) {
	t.Helper()
	vm = identitytest.NewIMDS(nil)
	credentials := vm.FederatedCredentials()[:1]
	if trust != nil {
		trust(&credentials[0])
	}
	entra = identitytest.NewEntra(&identitytest.Options{FederatedCredentials: credentials})
	app := entra.Identities()[0]
	managed := credentialAt(t, nowhere(), vm)
	cred = applicationAt(t, nowhere(), entra, app.TenantID, ClientID(app.ClientID),
		CredentialAssertion(managed))
	return cred, vm, entra
}

// TestCrossTenant: the first leg is the managed identity's token, the second one the application's.
func TestCrossTenant(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cred, vm, entra := crossTenant(t, nil)
		mustToken(t, cred)
		if err := getOther(t, cred); err != nil {
			t.Fatal(err)
		}
		if len(vm.Requests()) != 1 || len(entra.Requests()) != 2 {
			t.Errorf("%d requests to IMDS, %d to Entra, want 1 and 2", len(vm.Requests()),
				len(entra.Requests()))
		}
	})
	wrong := func(c *identitytest.FederatedCredential) { c.Issuer, c.Subject = "https://a/", "b" }
	for name, tt := range map[string]struct {
		trust func(*identitytest.FederatedCredential)
		want  string
	}{
		"issuer": {trust: wrong, want: "AADSTS700211"},
		"audience": {func(c *identitytest.FederatedCredential) {
			c.Audience = "api://other"
		}, "AADSTS700212"},
		"subject": {func(c *identitytest.FederatedCredential) { c.Subject = strings.Repeat("0", 36) },
			"AADSTS700213"},
	} {
		bubbleIn(t, name, func(t *testing.T) {
			cred, vm, _ := crossTenant(t, tt.trust)
			e, _ := mustFail(t, cred)
			right := vm.FederatedCredentials()[0]
			wantErrorText(t, e, tt.want, "no federated credential of client ID ", " has this "+name+
				": CredentialAssertion brought issuer \""+right.Issuer+"\", subject \""+right.Subject+
				"\", audience \"api://AzureADTokenExchange\", and one must have exactly these")
			if !errors.Is(e, ErrIdentityNotFound) {
				t.Errorf("it isn't ErrIdentityNotFound: %v", e)
			}
		})
	}
}

// TestCrossTenantFirstLeg: an error of the managed identity is told as such. Only its absence makes
// a chain go on.
func TestCrossTenantFirstLeg(t *testing.T) {
	refused := always(400, `{"error":"invalid_request","error_description":"Identity not found"}`)
	for name, tt := range map[string]struct {
		imds   policy.Transporter
		is     error
		goesOn bool
		want   string
	}{
		"not assigned": {imds: refused, is: ErrIdentityNotFound, want: "IMDS: 400 invalid_request"},
		"throttled":    {imds: always(429, `{"error":"slow down"}`), is: ErrThrottled, want: "IMDS: 429"},
		"absent": {imds: transportFunc(func(*http.Request) (*http.Response, error) {
			return nil, errors.New("no route to host")
		}), is: ErrUnavailable, goesOn: true, want: "IMDS: no answer"},
	} {
		bubbleIn(t, name, func(t *testing.T) {
			entra := &entraStub{}
			cred := federatedAt(t, entra, CredentialAssertion(onIMDS(t, tt.imds)))
			e, _ := mustFail(t, cred)
			wantErrorText(t, e, "identity: federated credential: CredentialAssertion: "+tt.want,
				"(token for api://AzureADTokenExchange", "(token for https://vault.azure.net)")
			var inner *AuthenticationError
			for _, cause := range e.Unwrap() {
				errors.As(cause, &inner)
			}
			if !errors.Is(e, tt.is) || inner == nil || inner.Host != HostIMDS || e.Host != "" ||
				errors.Is(e, ErrUnavailable) != tt.goesOn || len(entra.got()) != 0 {
				t.Errorf("got %+v, inner %+v", e, inner)
			}
			again, _ := mustFail(t, cred) // while it cools down
			var other *AuthenticationError
			for _, cause := range again.Unwrap() {
				errors.As(cause, &other)
			}
			if other == nil || other == inner || other.Error() != inner.Error() {
				t.Errorf("two callers have one inner error: %p and %p", other, inner)
			}
			chain, err := NewChain([]azcore.TokenCredential{cred, tokenFunc("another's")}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := getToken(t.Context(), chain); (err == nil) != tt.goesOn {
				t.Errorf("the chain goes on: %v, want %v", err == nil, tt.goesOn)
			}
		})
	}
}

// tokenFunc is a credential of somebody else's, with that token.
type tokenFunc string

func (f tokenFunc) GetToken(
	context.Context, policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: string(f), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// final is an error that azcore isn't to retry after.
type final struct{ error }

func (final) NonRetriable() {}

// TestFederatedSummary: it stays the same while the cause does, in the inner error, too.
func TestFederatedSummary(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := 0
		imds := transportFunc(func(*http.Request) (*http.Response, error) {
			n++
			return respond(400, fmt.Sprintf(`{"error":"invalid_request","error_description":"No",`+
				`"correlation_id":"%08d-0000-4000-8000-000000000000"}`, n)), nil
		})
		cred := federatedAt(t, &entraStub{}, CredentialAssertion(onIMDS(t, imds)))
		first, _ := mustFail(t, cred)
		time.Sleep(time.Minute)
		second, _ := mustFail(t, cred)
		if first.Error() == second.Error() || first.Summary() != second.Summary() ||
			!strings.Contains(first.Summary(), "IMDS: 400 invalid_request") {
			t.Errorf("got %s\nand %s\nof %v", first.Summary(), second.Summary(), second)
		}
	})
}
