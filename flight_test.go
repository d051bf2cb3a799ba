package identity

import (
	"context"
	"errors"
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
)

// challenged asks for the vault's token after a claims challenge.
func challenged(ctx context.Context, cred azcore.TokenCredential) (azcore.AccessToken, error) {
	return cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{vaultScope}, Claims: `{"access_token":{"nbf":{"essential":true}}}`, EnableCAE: true})
}

func TestClaimsPassTheCache(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		cred := onIMDS(t, ep)
		first, _ := mustToken(t, cred)
		second, err := challenged(t.Context(), cred)
		if err != nil || second.Token == first.Token {
			t.Fatalf("a challenge got the rejected token again (error %v)", err)
		}
		if tk, _ := mustToken(t, cred); tk.Token != second.Token {
			t.Error("the new token is not the one that is held now")
		}
		// A hundred clients with the same challenge: one request in 30 s, and all get what it brought.
		for range 100 {
			if tk, err := challenged(t.Context(), cred); err != nil || tk.Token != second.Token {
				t.Fatalf("within 30 s: got another token %v, error %v", tk.Token != second.Token, err)
			}
			time.Sleep(290 * time.Millisecond)
		}
		if got := len(ep.Requests()); got != 2 {
			t.Errorf("got %d requests, want 2", got)
		}
		time.Sleep(2 * time.Second)
		if tk, err := challenged(t.Context(), cred); err != nil || tk.Token == second.Token {
			t.Errorf("after 30 s: got the same token %v, error %v", tk.Token == second.Token, err)
		}
	})
}

func TestFiveRequestsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var now, most atomic.Int64
		cred := onIMDS(t, transportFunc(func(r *http.Request) (*http.Response, error) {
			n := now.Add(1)
			defer now.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.Sleep(time.Second)
			return respond(200, grantBody("t", time.Hour)), nil
		}))
		start := time.Now()
		var wg sync.WaitGroup
		for _, scope := range scopesOf(40) {
			wg.Go(func() {
				if _, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if most.Load() != 5 {
			t.Errorf("%d requests at once, want 5", most.Load())
		}
		if took := time.Since(start); took != 8*time.Second {
			t.Errorf("40 requests of 1 s took %v, want 8s", took)
		}
	})
}

// TestWaitingForARetryHoldsNoPlace: only requests count, not flights that wait to try again.
func TestWaitingForARetryHoldsNoPlace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cred := onIMDS(t, transportFunc(func(r *http.Request) (*http.Response, error) {
			if r.URL.Query().Get("resource") == "https://vault.azure.net" {
				return respond(200, grantBody("t", time.Hour)), nil
			}
			return respond(503, `{"error":"service_unavailable"}`), nil
		}))
		for _, scope := range scopesOf(50) {
			go func() {
				_, _ = cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}})
			}()
		}
		synctest.Wait()
		if _, took := mustToken(t, cred); took != 0 {
			t.Errorf("a good resource waited %v for the bad ones", took)
		}
	})
}

func TestTransportThatEndsItsGoroutine(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cred := onIMDS(t, transportFunc(func(*http.Request) (*http.Response, error) {
			runtime.Goexit()
			return nil, nil
		}))
		if _, err := getToken(t.Context(), cred); !errors.Is(err, errAborted) {
			t.Errorf("got %v, want %v", err, errAborted)
		}
	})
}

func TestReady(t *testing.T) {
	const other = "https://management.azure.com/.default"
	t.Run("waits through start-up", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ep := identitytest.NewIMDS(nil)
			ep.Enqueue(identitytest.Response{Err: errors.New("connection refused"), For: 3 * time.Minute})
			cred := onIMDS(t, ep)
			start := time.Now()
			if err := cred.Ready(t.Context(), vaultScope, other); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took < 3*time.Minute || took > 3*time.Minute+12*time.Second {
				t.Errorf("ready after %v, want soon after 3 minutes", took)
			}
			before := len(ep.Requests())
			if err := cred.Ready(t.Context(), vaultScope, other); err != nil {
				t.Fatal(err)
			}
			if got := len(ep.Requests()) - before; got != 0 {
				t.Errorf("Ready sent %d requests when warm, want 0", got)
			}
		})
	})
	t.Run("gives up with the context", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ep := identitytest.NewIMDS(nil)
			ep.Enqueue(identitytest.Response{Status: 403, Body: "unreachable", For: time.Hour})
			cred := onIMDS(t, ep)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			start := time.Now()
			err := cred.Ready(ctx, vaultScope)
			if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrUnavailable) {
				t.Errorf("got %v, want ErrUnavailable and context.DeadlineExceeded", err)
			}
			if took := time.Since(start); took != 20*time.Second {
				t.Errorf("gave up after %v, want 20s", took)
			}
		})
	})
	t.Run("gives up with the context at once", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ep := identitytest.NewIMDS(nil)
			ep.Enqueue(identitytest.Response{Delay: time.Minute})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := onIMDS(t, ep).Ready(ctx, vaultScope); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want context.DeadlineExceeded", err)
			}
		})
	})
	t.Run("returns a refusal at once", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			for _, tt := range []struct {
				name string
				cred *Credential
				want error
			}{
				{name: "not assigned",
					cred: onIMDS(t, identitytest.NewIMDS(nil), func(o *CredentialOptions) { o.ID = ClientID("x") }),
					want: ErrIdentityNotFound},
				{name: "mismatch",
					cred: onIMDS(t, transportFunc(func(*http.Request) (*http.Response, error) {
						return respond(200, `{"access_token":"t","expires_in":60,"client_id":"y"}`), nil
					}), func(o *CredentialOptions) { o.ID = ClientID("x") }),
					want: ErrIdentityMismatch},
			} {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // Ready itself has no limit
				start := time.Now()
				if err := tt.cred.Ready(ctx, vaultScope); !errors.Is(err, tt.want) || time.Since(start) != 0 {
					t.Errorf("%s: got %v after %v, want %v at once", tt.name, err, time.Since(start), tt.want)
				}
				cancel()
			}
		})
	})
	t.Run("refuses bad scopes", func(t *testing.T) {
		t.Parallel()
		cred := onIMDS(t, identitytest.NewIMDS(nil))
		for _, scopes := range [][]string{nil, {""}, {vaultScope, " "}} {
			if err := cred.Ready(t.Context(), scopes...); err == nil {
				t.Errorf("Ready(%q) = nil, want an error", scopes)
			}
		}
	})
	t.Run("a valid token in an outage is ready", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ep := identitytest.NewIMDS(nil)
			cred := onIMDS(t, ep)
			mustToken(t, cred)
			time.Sleep(20 * time.Hour)
			ep.Enqueue(identitytest.Response{Status: 503, For: 3 * time.Hour})
			if err := cred.Ready(t.Context(), vaultScope); err != nil {
				t.Error(err)
			}
		})
	})
}

func TestMismatchKeepsTheHeldToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(&identitytest.Options{Identities: []identitytest.Identity{{ClientID: "mine"}}})
		cred := onIMDS(t, ep, func(o *CredentialOptions) { o.ID = ClientID("mine") })
		first, _ := mustToken(t, cred)
		other := identitytest.NewIMDS(nil)
		tk, err := getToken(t.Context(), onIMDS(t, other))
		if err != nil {
			t.Fatal(err)
		}
		ep.Enqueue(identitytest.Response{Body: grantBody(tk.Token, 100*time.Hour), For: 50 * time.Hour})
		time.Sleep(14 * time.Hour)
		for range 100 {
			if got, _ := mustToken(t, cred); got.Token != first.Token {
				t.Fatal("another identity's token was handed out")
			}
			time.Sleep(time.Second)
		}
		time.Sleep(10 * time.Hour)
		// The held token has ended; still nobody gets the other one.
		if e, _ := mustFail(t, cred); !errors.Is(e, ErrIdentityMismatch) {
			t.Errorf("got %v, want ErrIdentityMismatch", e)
		}
	})
}

func TestHitAllocatesNothing(t *testing.T) { // not parallel: AllocsPerRun counts the whole process
	cred := onIMDS(t, &answerDirectly{})
	ctx, options := context.Background(), policy.TokenRequestOptions{Scopes: []string{vaultScope}}
	for range 3 {
		if _, err := cred.GetToken(ctx, options); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(1000, func() { _, _ = cred.GetToken(ctx, options) }); n != 0 {
		t.Errorf("a hit allocates %v times, want 0", n)
	}
}

// TestSlotsOfAbortedTries: a Transport that ends its goroutine gives its place back.
func TestSlotsOfAbortedTries(t *testing.T) {
	bubble(t, func(t *testing.T) {
		abort := true
		cred := onIMDS(t, transportFunc(func(*http.Request) (*http.Response, error) {
			if abort {
				runtime.Goexit()
			}
			return respond(200, grantBody("t", time.Hour)), nil
		}))
		for _, scope := range scopesOf(2 * imdsAtOnce) {
			_, _ = cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}})
		}
		abort = false
		mustToken(t, cred)
	})
}

// TestHalfAnAnswerIsTriedAgain: also when the connection itself reports no error.
func TestHalfAnAnswerIsTriedAgain(t *testing.T) {
	for _, env := range []environment{nowhere(), appServiceAt()} {
		t.Run(detect(env).Host.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				n := 0
				mustToken(t, credentialAt(t, env, transportFunc(func(*http.Request) (*http.Response, error) {
					if n++; n < 3 {
						return respond(200, `{"access_token":"t`, "Server", "IMDS/1"), nil
					}
					return respond(200, grantBody("t", time.Hour)), nil
				})))
			})
		})
	}
}

// TestReadyWaitsForAFreshToken: a host that repeats an expired token will have another one soon.
func TestReadyWaitsForAFreshToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		time.Sleep(time.Hour)
		ep.Enqueue(identitytest.Response{Body: grantBody("t", -time.Minute), For: time.Minute})
		cred := onIMDS(t, ep)
		if e, took := mustFail(t, cred); took != 0 || e.StatusCode != 200 || !strings.Contains(e.Error(), "the token expired at") {
			t.Errorf("got %v after %v, want an error about the expired token at once", e, took)
		}
		if err := cred.Ready(t.Context(), vaultScope); err != nil {
			t.Error(err)
		}
	})
}
