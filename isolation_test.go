package identity

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/acquire"
	"github.com/keyless-go/identity/internal/detect"
)

// These tests are about what one caller, credential, key or Transport can do to the others.

func TestPoliciesKeepTheirTokensToThemselves(t *testing.T) {
	t.Parallel()
	env := served(t, identitytest.NewIMDS(nil))
	made := func(*policy.Request) (*http.Response, error) {
		return respond(200, grantBody("made-up", time.Hour)), nil
	}
	odd := credentialAt(t, env, nil, func(o *CredentialOptions) {
		o.PerCallPolicies = []policy.Policy{policyFunc(made)}
	})
	if tk, _ := mustToken(t, odd); tk.Token != "made-up" {
		t.Fatalf("got %s, want the policy's token", tk.Token)
	}
	usual := credentialAt(t, env, nil)
	if tk, _ := mustToken(t, usual); tk.Token == "made-up" {
		t.Error("got the token of another credential's policy")
	}
	if odd.hosted.node != usual.hosted.node {
		t.Error("the two don't share the limit of requests at once to the endpoint")
	}
}

// TestTransportsKeepTheirTokensToThemselves: tests, above all, never see each other's.
func TestTransportsKeepTheirTokensToThemselves(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"one", "other"} {
		tk, _ := mustToken(t, onIMDS(t, always(200, grantBody(name, time.Hour))))
		if tk.Token != name {
			t.Errorf("got %v, want the token that this credential's Transport brings", tk.Token)
		}
	}
}

// lockingHandler wants a lock that the caller of GetToken holds. It is a channel with room for one,
// because a bubble's time stands still while a goroutine waits for a sync.Mutex.
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
		mustToken(t, cred)
		<-lock
		synctest.Wait()
		if log.Len() == 0 {
			t.Error("nothing was logged")
		}
	})
}

// TestGoneForSeventySeconds: IMDS promises to be back after 70 s, whatever it said before and
// however slowly it answers.
func TestGoneForSeventySeconds(t *testing.T) {
	for name, gone := range map[string]identitytest.Response{
		"plain":          {},
		"slow":           {Delay: time.Second},
		"Retry-After 10": {Header: http.Header{"Retry-After": {"10"}}},
		"Retry-After 20": {Header: http.Header{"Retry-After": {"20"}}},
	} {
		bubbleIn(t, name, func(t *testing.T) {
			gone.Status, gone.For = 410, 70*time.Second
			for range 50 {
				ep := identitytest.NewIMDS(nil)
				ep.Enqueue(gone)
				mustToken(t, onIMDS(t, ep))
			}
		})
	}
}

func TestPolicyThatFailsIsNotTheHost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fails := policyFunc(func(*policy.Request) (*http.Response, error) {
			return nil, errors.New("the audit sink is full")
		})
		e, _ := mustFail(t, onIMDS(t, identitytest.NewIMDS(nil), func(o *CredentialOptions) {
			o.PerRetryPolicies = []policy.Policy{fails}
		}))
		wantErrorText(t, e, "a policy in CredentialOptions failed: the audit sink is full")
		if errors.Is(e, ErrUnavailable) {
			t.Errorf("got %v, want the policy's failure, and not ErrUnavailable", e)
		}
	})
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
				if _, err := tokenFor(t.Context(), cred, scope); !errors.Is(err, ErrUnavailable) {
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
			_ = lasts(r.Context(), 100*time.Second)
			return nil, r.Context().Err()
		}))
		cred.hosted.node.NoteAnswer()
		for _, scope := range scopesOf(20) {
			go func() { _, _ = tokenFor(t.Context(), cred, scope) }()
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
		mustFail(t, cred)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := getToken(ctx, cred); !errors.Is(err, context.Canceled) ||
			!strings.Contains(err.Error(), "some_error") {
			t.Errorf("got %v, want context.Canceled and what the host answered", err)
		}
	})
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

// sourceAt is the host of an environment with a few variables.
func sourceAt(tb testing.TB, id ID, variables map[string]string) anyHost {
	tb.Helper()
	src, _, err := newSource(environmentOf(variables), settingsOf(&CredentialOptions{ID: id}))
	if err != nil {
		tb.Fatal(err)
	}
	return src
}

// TestCacheKeys: identities and endpoints are told apart, also by what can't be shown of a URL.
func TestCacheKeys(t *testing.T) {
	t.Parallel()
	keys := map[string]string{}
	check := func(name string, src anyHost) {
		key := cacheKey(src)
		if other := keys[key]; other != "" {
			t.Errorf("%s and %s share tokens", name, other)
		}
		if keys[key] = name; strings.Contains(key+src.Endpoint(), canary) {
			t.Errorf("the key or the endpoint shows a query: %q", key+src.Endpoint())
		}
	}
	for name, id := range map[string]ID{
		"system": nil, "client": ClientID("same"), "another client": ClientID("other"),
		"object": ObjectID("same"), "resource": ResourceID("/same"),
	} {
		check(name, sourceAt(t, id, nil))
	}
	for _, base := range []string{"http://127.0.0.1:1", "http://127.0.0.1:2"} {
		check(base, sourceAt(t, nil, map[string]string{envAuthority: base}))
	}
	for _, path := range []string{
		"4141/msi/token", "4142/msi/token", "4141/msi/token/", "4141/msi/token?app=" + canary + "A",
		"4141/msi/token?app=" + canary + "B", "4141/msi%2Ftoken", "4141/a%40b/msi/token",
		"4141/c%40b/msi/token",
	} {
		check(path, sourceAt(t, nil, map[string]string{envEndpoint: "http://localhost:" + path,
			envHeader: "s"}))
	}
	for _, base := range []string{"http://127.0.0.1:1/a%2Fb", "http://127.0.0.1:1/a/b"} {
		src := sourceAt(t, nil, map[string]string{envAuthority: base})
		r, err := src.Call(t.Context(), acquire.Request{})
		want := base + "/metadata/identity/oauth2/token"
		if err != nil || strings.Split(r.URL.String(), "?")[0] != want {
			t.Errorf("request goes to %v, %v, want %s", r.URL, err, want)
		}
	}
}

// TestCacheKeysFoldASCIIOnly: the Kelvin sign is a k to Unicode, and another resource group to
// Azure.
func TestCacheKeysFoldASCIIOnly(t *testing.T) {
	t.Parallel()
	key := func(group string) string {
		return cacheKey(&imds{url: "http://x", id: ResourceID("/subscriptions/s/resourcegroups/" + group +
			"/providers/p/userAssignedIdentities/i")})
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

// TestNodesAreByEndpoint: the limit of requests at once is the endpoint's, whichever identity is
// asked for, and no other's: the answer of one would make another's silence a fault.
func TestNodesAreByEndpoint(t *testing.T) {
	t.Parallel()
	r, seen := newShared(), map[*acquire.Node]bool{}
	endpoints := []map[string]string{
		nil,
		{envEndpoint: "http://localhost:4141/msi/token?own=1", envHeader: "s"},
		{envMSI: "http://localhost:4142/msi/token", envMSISecret: "s"},
		{envEndpoint: detect.ArcEndpoint, envIMDS: "http://localhost:40342"},
		{envAuthority: "http://127.0.0.1:1"}, {envAuthority: "http://127.0.0.1:2"},
		{envAuthority: "http://127.0.0.2:1"},
	}
	for _, variables := range endpoints {
		node := r.node(sourceAt(t, nil, variables))
		for _, id := range []ID{ClientID("a"), ClientID("b")} {
			if r.node(sourceAt(t, id, variables)) != node {
				t.Errorf("%v: identities of one endpoint have nodes of their own", variables)
			}
		}
		seen[node] = true
	}
	if len(seen) != len(endpoints) {
		t.Errorf("%d endpoints have %d nodes", len(endpoints), len(seen))
	}
}
