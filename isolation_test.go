package identity

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/detect"
	"github.com/keyless-go/identity/internal/failure"
	"github.com/keyless-go/identity/internal/transport"
)

// These tests are about what one caller, credential, key or Transport can do to the others.

func TestAnothersOptionsDoNotProlongTheWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		patient := onIMDS(t, always(429, imdsError), func(o *CredentialOptions) { o.Retry.MaxRetries = 1000 })
		usual := sameCache(t, patient, always(429, imdsError))
		go func() { _, _ = getToken(t.Context(), patient) }()
		synctest.Wait()
		e, took := mustFail(t, usual)
		if took > 76*time.Second || !errors.Is(e, ErrThrottled) || took < time.Minute {
			t.Errorf("got %v after %v, want the error of its own tries after 75 s at most", e, took)
		}
		time.Sleep(time.Hour)
	})
}

func TestPoliciesKeepTheirTokensToThemselves(t *testing.T) {
	t.Parallel()
	ep := identitytest.NewIMDS(nil)
	env := served(t, ep)
	odd, err := newCredential(&CredentialOptions{ClientOptions: azcore.ClientOptions{PerCallPolicies: []policy.Policy{
		policyFunc(func(*policy.Request) (*http.Response, error) {
			return respond(200, grantBody("made-up", time.Hour)), nil
		}),
	}}}, env)
	if err != nil {
		t.Fatal(err)
	}
	if tk, err := getToken(t.Context(), odd); err != nil || tk.Token != "made-up" {
		t.Fatalf("got %v, want the policy's token", err)
	}
	usual, err := newCredential(nil, env)
	if err != nil {
		t.Fatal(err)
	}
	if tk, err := getToken(t.Context(), usual); err != nil || tk.Token == "made-up" {
		t.Errorf("got the token of another credential's policy, or %v", err)
	}
	if odd.hosted.node != usual.hosted.node {
		t.Error("the two don't share the limit of requests at once to the endpoint")
	}
}

// TestTransportsKeepTheirTokensToThemselves: tests, above all, never see each other's.
func TestTransportsKeepTheirTokensToThemselves(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"one", "other"} {
		cred := onIMDS(t, always(200, grantBody(name, time.Hour)))
		if tk, err := getToken(t.Context(), cred); err != nil || tk.Token != name {
			t.Errorf("got %v, %v, want the token that this credential's Transport brings", tk.Token, err)
		}
	}
}

func TestTransportThatIgnoresItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var asked atomic.Bool
		cred := onIMDS(t, transportFunc(func(*http.Request) (*http.Response, error) {
			if !asked.Swap(true) {
				time.Sleep(3 * time.Hour)
				return nil, errors.New("at last")
			}
			return respond(200, grantBody("t", time.Hour)), nil
		}))
		if e, took := mustFail(t, cred); took > 76*time.Second || errors.Is(e, context.DeadlineExceeded) {
			t.Errorf("got %v after %v, want an error of our own after 75 s", e, took)
		}
		time.Sleep(time.Minute)
		mustToken(t, cred) // by another flight
		time.Sleep(3 * time.Hour)
	})
}

func TestChallengeDuringASlowFlight(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cred := onIMDS(t, always(503, imdsError))
		go func() { _, _ = getToken(t.Context(), cred) }()
		synctest.Wait()
		start := time.Now()
		if _, err := challenged(t.Context(), cred); err == nil || time.Since(start) > 76*time.Second {
			t.Errorf("got %v after %v, want an error within 76 s", err, time.Since(start))
		}
	})
}

func TestErrorsKeepLittleOfABody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, _ := mustFail(t, onIMDS(t, always(400, `{"error":"e","pad":"`+strings.Repeat("x", transport.MaxBody/2)+`"}`)))
		body, err := io.ReadAll(e.RawResponse.Body)
		if err != nil || len(body) != 16<<10 || e.RawResponse.ContentLength != 16<<10 {
			t.Errorf("kept %d bytes (%v), want %d", len(body), err, 16<<10)
		}
	})
}

// lockingHandler wants a lock that the caller of GetToken holds. It is a channel with room for one, because a bubble's time stands
// still for who waits for a sync.Mutex.
type lockingHandler struct {
	slog.Handler
	lock chan struct{}
}

func (h lockingHandler) Handle(ctx context.Context, r slog.Record) error {
	h.lock <- struct{}{}
	defer func() { <-h.lock }()
	return h.Handler.Handle(ctx, r)
}
func (h lockingHandler) WithAttrs(a []slog.Attr) slog.Handler {
	return lockingHandler{h.Handler.WithAttrs(a), h.lock}
}

func TestLogHandlersDoNotHoldCallersUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		lock := make(chan struct{}, 1)
		var log bytes.Buffer
		cred := onIMDS(t, identitytest.NewIMDS(nil), func(o *CredentialOptions) {
			o.Logger = slog.New(lockingHandler{slog.NewTextHandler(&log, nil), lock})
		})
		lock <- struct{}{}
		_, err := getToken(t.Context(), cred)
		<-lock
		if err != nil {
			t.Fatalf("a caller who holds a lock that the log wants: %v", err)
		}
		synctest.Wait()
		if log.Len() == 0 {
			t.Error("nothing was logged")
		}
	})
}

func TestForeignRetryAfter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		ep.Enqueue(identitytest.Response{Status: 503, Body: "<html>", Header: http.Header{"Retry-After": {"3600"}}})
		mustToken(t, onIMDS(t, ep))
	})
}

// TestGoneForSeventySeconds: IMDS promises to be back after 70 s, whatever it said before and however slowly it answers.
func TestGoneForSeventySeconds(t *testing.T) {
	for _, tt := range []struct {
		name   string
		header http.Header
		delay  time.Duration
	}{
		{name: "plain", header: http.Header{"Server": {"IMDS/1"}}},
		{name: "slow", header: http.Header{"Server": {"IMDS/1"}}, delay: time.Second},
		{name: "Retry-After 10", header: http.Header{"Server": {"IMDS/1"}, "Retry-After": {"10"}}},
		{name: "Retry-After 20", header: http.Header{"Server": {"IMDS/1"}, "Retry-After": {"20"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				for range 50 {
					ep := identitytest.NewIMDS(nil)
					ep.Enqueue(identitytest.Response{Status: 410, Header: tt.header, Delay: tt.delay, For: 70 * time.Second})
					mustToken(t, onIMDS(t, ep))
				}
			})
		})
	}
}

func TestPolicyThatFailsIsNotTheHost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cred := onIMDS(t, identitytest.NewIMDS(nil), func(o *CredentialOptions) {
			o.PerRetryPolicies = []policy.Policy{policyFunc(func(*policy.Request) (*http.Response, error) { return nil, errors.New("the audit sink is full") })}
		})
		if e, _ := mustFail(t, cred); errors.Is(e, ErrUnavailable) || !strings.Contains(e.Error(), "a policy in CredentialOptions failed: the audit sink is full") {
			t.Errorf("got %v, want the policy's failure, and not ErrUnavailable", e)
		}
	})
}

func TestForeignBodies(t *testing.T) {
	for name, reply := range map[string]transportFunc{
		"over 1 MiB": always(200, "<html>"+strings.Repeat(" ", transport.MaxBody)),
		"cut short": func(*http.Request) (*http.Response, error) {
			r := respond(200, "")
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader("<html>"), errReader{io.ErrUnexpectedEOF}))
			return r, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				if e, took := mustFail(t, onIMDS(t, reply)); !errors.Is(e, ErrUnavailable) || took > 6*time.Second {
					t.Errorf("got %v after %v, want ErrUnavailable within 6 s", e, took)
				}
			})
		})
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestManyResourcesOffAzure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cred := onIMDS(t, transportFunc(func(*http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return nil, &net.OpError{Op: "dial", Err: errors.New("i/o timeout")}
		}))
		start := time.Now()
		var wg sync.WaitGroup
		for _, scope := range scopesOf(500) {
			wg.Go(func() {
				if _, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}}); !errors.Is(err, ErrUnavailable) {
					t.Errorf("got %v, want ErrUnavailable", err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(start); took > 7*time.Second {
			t.Errorf("500 resources took %v, want about 5 s", took)
		}
	})
}

func TestBusyHostIsWorthWaitingFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cred := onIMDS(t, transportFunc(func(r *http.Request) (*http.Response, error) {
			if strings.Contains(r.URL.RawQuery, "vault") {
				return respond(200, grantBody("t", time.Hour)), nil
			}
			select {
			case <-time.After(100 * time.Second):
			case <-r.Context().Done():
			}
			return nil, r.Context().Err()
		}))
		cred.hosted.node.NoteAnswer()
		for _, scope := range scopesOf(20) {
			go func() { _, _ = cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}}) }()
		}
		synctest.Wait()
		if err := cred.Ready(t.Context(), vaultScope); err != nil {
			t.Errorf("Ready gave up on a busy host: %v", err)
		}
		time.Sleep(10 * time.Minute)
	})
}

func TestEndedContextInACoolDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cred := onIMDS(t, always(400, imdsError))
		_, _ = mustFail(t, cred)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := getToken(ctx, cred); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "some_error") {
			t.Errorf("got %v, want context.Canceled and what the host answered", err)
		}
	})
}

// TestCacheKeysTellEndpointsApart: what can't be shown of an endpoint tells it from another one all the same.
func TestCacheKeysTellEndpointsApart(t *testing.T) {
	t.Parallel()
	keys := map[string]string{}
	for _, endpoint := range []string{
		"http://localhost:4141/msi/token", "http://localhost:4142/msi/token", "http://localhost:4141/msi/token/",
		"http://localhost:4141/msi/token?app=" + canary + "A", "http://localhost:4141/msi/token?app=" + canary + "B",
		"http://localhost:4141/msi%2Ftoken", "http://localhost:4141/a%40b/msi/token", "http://localhost:4141/c%40b/msi/token",
	} {
		src, err := newAppService(environmentOf(map[string]string{envEndpoint: endpoint, envHeader: "s"}), settingsOf(&CredentialOptions{}))
		if err != nil {
			t.Fatal(err)
		}
		key := cacheKey(src)
		if other, ok := keys[key]; ok {
			t.Errorf("%s and %s have one key", endpoint, other)
		}
		if keys[key] = endpoint; strings.Contains(key+src.Endpoint(), canary) {
			t.Errorf("the key or the endpoint shows a query: %q", key+src.Endpoint())
		}
	}
	for _, base := range []string{"http://127.0.0.1:1/a%2Fb", "http://127.0.0.1:1/a/b"} {
		r, err := (&imds{url: must(detect.IMDSEndpoint(environmentOf(map[string]string{envAuthority: base}).machine()))(t)}).Call(t.Context(), acquire.Request{})
		if want := base + "/metadata/identity/oauth2/token"; err != nil || strings.Split(r.URL.String(), "?")[0] != want {
			t.Errorf("request goes to %v, %v, want %s", r.URL, err, want)
		}
	}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

// TestCacheKeysFoldASCIIOnly: the Kelvin sign is a k to Unicode, and another resource group to Azure.
func TestCacheKeysFoldASCIIOnly(t *testing.T) {
	t.Parallel()
	key := func(group string) string {
		return cacheKey(&imds{url: "http://x", id: ResourceID("/subscriptions/s/resourcegroups/" + group + "/providers/p/userAssignedIdentities/i")})
	}
	if key("K") != key("k") {
		t.Error("two spellings of one group have two keys")
	}
	for _, other := range []string{"\u212a", "\u0130"} {
		if key(other) == key("k") || key(other) == key("i") {
			t.Errorf("%q has the key of another group", other)
		}
	}
}

// TestNodesAreByEndpoint: the limit of requests at once is the endpoint's, whichever identity is asked for, and no other's.
func TestNodesAreByEndpoint(t *testing.T) {
	t.Parallel()
	for name, env := range map[string]environment{
		"IMDS":        nowhere(),
		"App Service": environmentOf(map[string]string{envEndpoint: "http://localhost:4141/msi/token?own=1", envHeader: "s"}),
		"Azure ML":    environmentOf(map[string]string{envMSI: "http://localhost:4141/msi/token", envMSISecret: "s"}),
		"Arc":         environmentOf(map[string]string{envEndpoint: "http://localhost:40342/metadata/identity/oauth2/token", envIMDS: "http://localhost:40342"}),
	} {
		r := newShared()
		var nodes []*acquire.Node
		for _, id := range []ID{nil, ClientID("a"), ClientID("b")} {
			src, _, err := newSource(env, settingsOf(&CredentialOptions{ID: id}))
			if err != nil {
				t.Fatal(err)
			}
			nodes = append(nodes, r.node(src))
		}
		if nodes[0] != nodes[1] || nodes[1] != nodes[2] {
			t.Errorf("%s: identities of one endpoint have nodes of their own", name)
		}
	}
	r, seen := newShared(), map[*acquire.Node]string{}
	for _, base := range []string{"http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.2:1"} {
		src, _, err := newSource(environmentOf(map[string]string{envAuthority: base}), settingsOf(&CredentialOptions{}))
		if err != nil {
			t.Fatal(err)
		}
		if other := seen[r.node(src)]; other != "" {
			t.Errorf("%s and %s have one node: the answer of one would make the other's silence a fault", base, other)
		}
		seen[r.node(src)] = base
	}
}

func TestTransportThatEndsItsGoroutine(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cred := onIMDS(t, transportFunc(func(*http.Request) (*http.Response, error) {
			runtime.Goexit()
			return nil, nil
		}))
		if _, err := getToken(t.Context(), cred); !errors.Is(err, failure.ErrAborted) {
			t.Errorf("got %v, want %v", err, failure.ErrAborted)
		}
	})
}

func TestCacheKeys(t *testing.T) {
	t.Parallel()
	const id = "/same"
	imdsAt := func(base string) environment { return environmentOf(map[string]string{envAuthority: base}) }
	seen := map[string]string{}
	for _, tt := range []struct {
		name string
		env  environment
		id   ID
	}{
		{name: "system", env: nowhere()},
		{name: "client", env: nowhere(), id: ClientID("same")},
		{name: "another client", env: nowhere(), id: ClientID("other")},
		{name: "object", env: nowhere(), id: ObjectID("same")},
		{name: "resource", env: nowhere(), id: ResourceID(id)},
		{name: "elsewhere", env: imdsAt("http://127.0.0.1:1")},
		{name: "elsewhere by port", env: imdsAt("http://127.0.0.1:2")},
		{name: "App Service", env: appServiceAt()},
	} {
		cred, err := newCredential(&CredentialOptions{ID: tt.id}, tt.env)
		if err != nil {
			t.Fatal(err)
		}
		key := cacheKey(cred.hosted.host)
		if other := seen[key]; other != "" {
			t.Errorf("%s and %s share tokens", tt.name, other)
		}
		seen[key] = tt.name
	}
}
