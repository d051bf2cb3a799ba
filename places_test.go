package identity

import (
	"context"
	"errors"
	"fmt"
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
	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/identitytest"
	"github.com/keyless-go/identity/internal/chain"
	"github.com/keyless-go/identity/internal/command"
	"github.com/keyless-go/identity/internal/detect"
)

// takes is a Transport that takes its time for each request, as long as the request's context
// lasts.
func takes(d time.Duration, next policy.Transporter) transportFunc {
	return func(r *http.Request) (*http.Response, error) {
		if err := lasts(r.Context(), d); err != nil {
			return nil, err
		}
		return next.Do(r)
	}
}

// allAtOnce asks for the scopes' tokens at the same time, and returns how often each outcome came.
// Errors are told apart by whether a chain would go on after them.
func allAtOnce(t *testing.T, cred azcore.TokenCredential, scopes []string) map[string]int {
	t.Helper()
	var mu sync.Mutex
	outcomes := map[string]int{}
	var wg sync.WaitGroup
	for _, scope := range scopes {
		wg.Go(func() {
			tk, err := cred.GetToken(t.Context(),
				policy.TokenRequestOptions{Scopes: []string{scope}})
			outcome := "token"
			switch {
			case errors.Is(err, ErrUnavailable):
				outcome = "unavailable"
			case err != nil:
				outcome = "failure"
				t.Log(err)
			case strings.HasPrefix(tk.Token, developersToken):
				outcome = "developer"
			}
			mu.Lock()
			defer mu.Unlock()
			outcomes[outcome]++
		})
	}
	wg.Wait()
	return outcomes
}

// inBackground asks for the scopes' tokens at the same time, and goes on.
func inBackground(cred azcore.TokenCredential, scopes []string) {
	for _, scope := range scopes {
		go func() {
			_, _ = cred.GetToken(context.Background(),
				policy.TokenRequestOptions{Scopes: []string{scope}})
		}()
	}
}

// onSharedIMDS is a credential at IMDS, with the process's places for it in shared.
func onSharedIMDS(tb testing.TB, shared *shared, o azcore.ClientOptions) *Credential {
	tb.Helper()
	cred, err := newCredentialIn(shared, &CredentialOptions{ClientOptions: o}, nowhere())
	if err != nil {
		tb.Fatal(err)
	}
	return cred
}

// TestManyResourcesOfASlowIMDS: waiting for our own places is not its silence, whoever has them and
// for how long.
func TestManyResourcesOfASlowIMDS(t *testing.T) {
	imds := func() policy.Transporter { return takes(6*time.Second, identitytest.NewIMDS(nil)) }
	somebodyElse := sourceFunc(func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken,
		error) {
		return azcore.AccessToken{Token: developersToken, ExpiresOn: time.Now().Add(time.Hour)}, nil
	})
	for name, open := range map[string]func(t *testing.T) azcore.TokenCredential{
		"Credential": func(t *testing.T) azcore.TokenCredential { return onIMDS(t, imds()) },
		"Chain": func(t *testing.T) azcore.TokenCredential {
			chain, err := NewChain([]azcore.TokenCredential{onIMDS(t, imds()), somebodyElse}, nil)
			if err != nil {
				t.Fatal(err)
			}
			return chain
		},
		"whose time for a try is shorter than the wait for a place": func(t *testing.T) azcore.TokenCredential {
			return onIMDS(t, imds(), func(o *CredentialOptions) {
				o.Retry = policy.RetryOptions{TryTimeout: 7 * time.Second, MaxRetries: -1}
			})
		},
		"that fails for one of them": func(t *testing.T) azcore.TokenCredential {
			ep := identitytest.NewIMDS(nil)
			slow := takes(6*time.Second, ep)
			return onIMDS(t, transportFunc(func(r *http.Request) (*http.Response, error) {
				if r.URL.Query().Get("resource") == strings.TrimSuffix(scopesOf(1)[0],
					"/.default") && len(ep.Requests()) == 0 {
					return nil, errors.New("connection reset by peer")
				}
				return slow.Do(r)
			}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				const n = 20
				if diff := cmp.Diff(map[string]int{"token": n},
					allAtOnce(t, open(t), scopesOf(n))); diff != "" {
					t.Errorf("outcomes (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestPoliciesHoldNoPlace: what one credential's policies do before and after the request keeps
// nobody else from asking.
func TestPoliciesHoldNoPlace(t *testing.T) {
	never := policyFunc(func(req *policy.Request) (*http.Response, error) {
		<-req.Raw().Context().Done()
		return nil, req.Raw().Context().Err()
	})
	late := policyFunc(func(req *policy.Request) (*http.Response, error) {
		resp, err := req.Next()
		<-req.Raw().Context().Done()
		return resp, err
	})
	for name, options := range map[string]azcore.ClientOptions{
		"before": {PerRetryPolicies: []policy.Policy{never}},
		"after":  {PerRetryPolicies: []policy.Policy{late}},
		"once":   {PerCallPolicies: []policy.Policy{late}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				shared := newShared()
				ep := identitytest.NewIMDS(nil)
				options.Transport = ep
				blocked := onSharedIMDS(t, shared, options)
				inBackground(blocked, scopesOf(4*imdsAtOnce))
				time.Sleep(time.Second)
				other := onSharedIMDS(t, shared, azcore.ClientOptions{Transport: ep})
				if _, took := mustToken(t, other); took != 0 {
					t.Errorf("another credential's token took %v, want none", took)
				}
			})
		})
	}
}

// TestImpatientTriesAreNotSilence: one credential gives each of many tries less time than IMDS
// takes. That is not IMDS's silence for another one, which waits for its turn behind them, and has
// all of its own time then to find IMDS, also where that isn't there at that moment.
func TestImpatientTriesAreNotSilence(t *testing.T) {
	for name, tt := range map[string]struct{ takes, away time.Duration }{
		"IMDS is slow": {takes: 700 * time.Millisecond},
		"IMDS says nothing, and is away for a moment": {takes: time.Hour, away: 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				shared, ep := newShared(), identitytest.NewIMDS(nil)
				inBackground(onSharedIMDS(t, shared, azcore.ClientOptions{Transport: takes(tt.takes, ep),
					Retry: policy.RetryOptions{TryTimeout: 500 * time.Millisecond, MaxRetries: -1}}),
					scopesOf(100))
				synctest.Wait()
				var asked time.Time
				patient := transportFunc(func(r *http.Request) (*http.Response, error) {
					if asked.IsZero() {
						asked = time.Now()
					}
					if time.Since(asked) < tt.away {
						return nil, errors.New("connection refused")
					}
					return takes(700*time.Millisecond, ep).Do(r)
				})
				if _, took := mustToken(t, onSharedIMDS(t, shared,
					azcore.ClientOptions{Transport: patient})); took < 5*time.Second || took > 20*time.Second {
					t.Errorf("took %v, want its turn after 100 tries of half a second, 5 at once", took)
				}
			})
		})
	}
}

// TestSomeSilenceAmongSlowAnswers: IMDS thinks about four tokens while one connection after the
// other breaks.
func TestSomeSilenceAmongSlowAnswers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		slow := takes(8*time.Second, identitytest.NewIMDS(nil))
		cred := onIMDS(t, transportFunc(func(r *http.Request) (*http.Response, error) {
			if strings.HasPrefix(r.URL.Query().Get("resource"), "https://broken") {
				time.Sleep(500 * time.Millisecond)
				return nil, errors.New("connection reset by peer")
			}
			return slow.Do(r)
		}))
		scopes := scopesOf(imdsAtOnce - 1)
		for i := range 30 {
			scopes = append(scopes, fmt.Sprintf("https://broken%d/.default", i))
		}
		for _, scope := range scopes {
			go func() {
				_, _ = cred.GetToken(context.Background(),
					policy.TokenRequestOptions{Scopes: []string{scope}})
			}()
			synctest.Wait()
		}
		mustToken(t, cred)
	})
}

// TestNoPlaceIsNoSilence: where the places are never given back the error says so, and not that
// this isn't Azure.
func TestNoPlaceIsNoSilence(t *testing.T) {
	bubble(t, func(t *testing.T) {
		stuck := make(chan struct{})
		cred := onIMDS(t, transportFunc(func(*http.Request) (*http.Response, error) {
			<-stuck
			return nil, errBroken
		}))
		inBackground(cred, scopesOf(imdsAtOnce))
		synctest.Wait()
		e, took := mustFail(t, cred)
		if errors.Is(e, ErrUnavailable) || took != 75*time.Second || e.Attempts != 0 ||
			!strings.Contains(e.Error(),
				"no place among the 5 requests at once to http://169.254.169.254/") {
			t.Errorf("after %v: %v", took, e)
		}
		if n := cred.Status().Resources[len(cred.Status().Resources)-1].Requests; n != 0 {
			t.Errorf("%d requests are counted, want none", n)
		}
		close(stuck)
	})
}

// TestKeyIsUsedAtOnce: Azure Arc's challenge is answered before anybody else's first request,
// because its key lives for a moment.
func TestKeyIsUsedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewArc(&identitytest.Options{Dir: t.TempDir()})
		var mu sync.Mutex
		challenged := map[string]time.Time{}
		var latest time.Duration
		transport := takes(100*time.Millisecond,
			transportFunc(func(r *http.Request) (*http.Response, error) {
				mu.Lock()
				defer mu.Unlock()
				if resource := r.URL.Query().Get("resource"); r.Header.Get("Authorization") == "" {
					challenged[resource] = time.Now()
				} else {
					latest = max(latest, time.Since(challenged[resource]))
				}
				return ep.Do(r)
			}))
		cred := credentialAt(t, environmentAt(ep, "http://localhost:40342"), transport)
		const n = 50
		if diff := cmp.Diff(map[string]int{"token": n},
			allAtOnce(t, cred, scopesOf(n))); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
		if latest > 300*time.Millisecond {
			t.Errorf("a key was used %v after the challenge, want it within two requests' time",
				latest)
		}
	})
}

// TestDefaultManyResources: IMDS answers the probe at once, and takes its time for the tokens of as
// many resources as there are places, and more. Nobody becomes the developer, and where there is
// none no call fails.
func TestDefaultManyResources(t *testing.T) {
	for name, az := range map[string]error{"developer": nil, "nobody": errNotLoggedIn} {
		for _, n := range []int{1, 4, 5, 6, 20} {
			t.Run(fmt.Sprint(name, ", ", n), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					l := &laptop{az: az}
					imds := &slowTokens{slowAtFirst: slowAtFirst{ep: identitytest.NewIMDS(nil),
						delay: 3 * time.Second}}
					got := allAtOnce(t, l.credential(t, imds), scopesOf(n))
					if diff := cmp.Diff(map[string]int{"token": n}, got); diff != "" ||
						l.runs.Load() > 0 {
						t.Errorf("outcomes (-want +got), after %d runs of az:\n%s", l.runs.Load(),
							diff)
					}
					if imds.probes.Load() != 1 {
						t.Errorf("%d probes, want 1", imds.probes.Load())
					}
				})
			})
		}
	}
}

// TestDefaultProbePastOthers: the probe is sent while other credentials of the process have all the
// places, and while the probe of a chain is held up by a policy of its own.
func TestDefaultProbePastOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shared := newShared()
		imds := &slowTokens{slowAtFirst: slowAtFirst{ep: identitytest.NewIMDS(nil),
			delay: 10 * time.Second}}
		l := &laptop{azd: command.ErrNotOnPath}
		open := func(o azcore.ClientOptions) *Credential {
			o.Transport = imds
			cred, err := newCredentialIn(shared, &CredentialOptions{ClientOptions: o},
				l.environment())
			if err != nil {
				t.Fatal(err)
			}
			return cred
		}
		chainOf := func(cred *Credential) *Chain {
			probed := newProbedHost(cred, shared, "")
			chain, err := completed([]chain.Link{probed.chainLink()}, probed, shared,
				&DefaultCredentialOptions{}, l.environment(),
				detect.Sources{AzureCLI: true, AzureDeveloper: true})
			if err != nil {
				t.Fatal(err)
			}
			return chain
		}
		others := open(azcore.ClientOptions{})
		inBackground(others, scopesOf(2*imdsAtOnce))
		heldUp := chainOf(open(azcore.ClientOptions{PerCallPolicies: []policy.Policy{policyFunc(func(req *policy.Request) (*http.Response, error) {
			<-req.Raw().Context().Done()
			return nil, req.Raw().Context().Err()
		})}}))
		go func() { _, _ = getToken(context.Background(), heldUp) }()
		synctest.Wait()
		if tk, took := mustToken(t,
			chainOf(open(azcore.ClientOptions{}))); strings.HasPrefix(tk.Token, developersToken) {
			t.Errorf("got %q after %v, while IMDS answers", tk.Token, took)
		}
	})
}

// TestFiveRequestsAtOnce: the documented number, whichever credentials of the process send them.
func TestFiveRequestsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var now, most atomic.Int64
		transport := transportFunc(func(*http.Request) (*http.Response, error) {
			n := now.Add(1)
			defer now.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.Sleep(time.Second)
			return respond(200, grantBody("t", time.Hour)), nil
		})
		shared, start := newShared(), time.Now()
		var wg sync.WaitGroup
		for i, scope := range scopesOf(40) {
			cred, err := newCredentialIn(shared, &CredentialOptions{ID: ClientID(fmt.Sprint("id-", i%4)),
				ClientOptions: azcore.ClientOptions{Transport: transport}}, nowhere())
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				if _, err := cred.GetToken(t.Context(),
					policy.TokenRequestOptions{Scopes: []string{scope}}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(start); most.Load() != 5 || took != 8*time.Second {
			t.Errorf("%d requests at once, 40 of 1 s took %v, want 5 and 8s", most.Load(), took)
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
		inBackground(cred, scopesOf(50))
		synctest.Wait()
		if _, took := mustToken(t, cred); took != 0 {
			t.Errorf("a good resource waited %v for the bad ones", took)
		}
	})
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
