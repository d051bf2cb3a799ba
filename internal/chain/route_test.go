package chain

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// refusing is a source that has no token for some calls.
type refusing struct {
	name    string
	refuses func(policy.TokenRequestOptions) bool
	err     error
	asks    atomic.Int64
}

func (r *refusing) GetToken(
	_ context.Context, o policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	r.asks.Add(1)
	if r.refuses(o) {
		return azcore.AccessToken{}, r.err
	}
	return azcore.AccessToken{Token: r.name, ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// TestChainScopesHaveTheirOwnSource: that a source has nothing for one scope, tenant or challenge
// says nothing of the others, whichever is asked for first and however often.
func TestChainScopesHaveTheirOwnSource(t *testing.T) {
	vault := policy.TokenRequestOptions{Scopes: []string{vaultScope}, EnableCAE: true}
	isGraph := func(o policy.TokenRequestOptions) bool { return o.Scopes[0] == graphScope }
	for _, tt := range []struct {
		name    string
		refuses func(policy.TokenRequestOptions) bool
		other   policy.TokenRequestOptions
	}{
		{"a scope", isGraph, policy.TokenRequestOptions{Scopes: []string{graphScope}}},
		{"a scope more", func(o policy.TokenRequestOptions) bool {
			return len(o.Scopes) > 1
		}, policy.TokenRequestOptions{Scopes: []string{vaultScope, graphScope}}},
		{"a scope that looks like several", func(o policy.TokenRequestOptions) bool {
			return len(o.Scopes) > 1
		}, policy.TokenRequestOptions{Scopes: []string{"a", "b"}}},
		{"a tenant", func(o policy.TokenRequestOptions) bool {
			return o.TenantID != ""
		}, policy.TokenRequestOptions{Scopes: []string{vaultScope}, TenantID: "t"}},
		{"a challenge", func(o policy.TokenRequestOptions) bool {
			return o.Claims != ""
		}, policy.TokenRequestOptions{Scopes: []string{vaultScope}, Claims: "{}"}},
	} {
		for _, kind := range []string{"errUnavailable", "ContinueOn", "nested"} {
			for _, otherFirst := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/other first %v", tt.name, kind, otherFirst), func(t *testing.T) {
					bubble(t, func(t *testing.T) {
						a := &refusing{name: "a", refuses: tt.refuses, err: errAway}
						b := &scripted{name: "b"}
						options := Options{}
						if kind == "ContinueOn" {
							a.err = errBroken
							options.ContinueOn = func(err error) bool { return errors.Is(err, errBroken) }
						}
						chain := of(options, a, b)
						if kind == "nested" {
							chain = of(options, of(Options{}, a),
								of(Options{}, b))
						}
						ask := func(o policy.TokenRequestOptions, want string) {
							t.Helper()
							if tk, err := chain.GetToken(t.Context(), o); tk.Token != want {
								t.Fatalf("%+v: got the token of %q, error %v, want that of %s", o,
									tk.Token, err, want)
							}
						}
						if otherFirst {
							ask(tt.other, "b")
						}
						for range 300 {
							ask(vault, "a")
							ask(tt.other, "b")
							time.Sleep(time.Second)
						}
						want := "chain.refusing, chain.scripted"
						switch {
						case kind == "nested":
							want = "chain"
						case tt.name == "a challenge":
							want = "chain.refusing"
						}
						if got := chain.Status().InUse; got != want {
							t.Errorf("status says that %q is in use, want %q", got, want)
						}
					})
				})
			}
		}
	}
}

// TestChainScopesAreRemembered: once it is known which source serves a scope, that one is asked
// once in a call, and those before it once a minute.
func TestChainScopesAreRemembered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := &refusing{name: "a", refuses: func(policy.TokenRequestOptions) bool {
			return true
		}, err: errAway}
		b := &scripted{name: "b"}
		chain := of(Options{}, a, b)
		for range 59 {
			for _, scope := range scopesOf(20) {
				if _, err := chain.GetToken(t.Context(),
					policy.TokenRequestOptions{Scopes: []string{scope}}); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Second)
		}
		if a.asks.Load() != 20 || b.asks.Load() != 59*20 {
			t.Errorf("in 59 calls for each of 20 scopes the first source was asked %d times, the one in "+
				"use %d times",
				a.asks.Load(), b.asks.Load())
		}
	})
}

// TestChainRoutesAreBounded: scopes are text from elsewhere. What is in constant use stays known
// meanwhile.
func TestChainRoutesAreBounded(t *testing.T) {
	t.Parallel()
	a := &refusing{name: "a", refuses: func(policy.TokenRequestOptions) bool {
		return true
	}, err: errAway}
	chain := of(Options{}, a, &scripted{name: "b"})
	ask := func(scope string) (walked bool) {
		before := a.asks.Load()
		if _, err := chain.GetToken(t.Context(),
			policy.TokenRequestOptions{Scopes: []string{scope}}); err != nil {
			t.Fatal(err)
		}
		return a.asks.Load() > before
	}
	ask(vaultScope)
	chain.memory.routes.all.next.Store(int64(time.Hour))
	for i := range 4 * maxRoutes {
		if !ask(fmt.Sprint(i)) {
			t.Fatalf("scope %d was known", i)
		}
		if i%1000 == 0 && ask(vaultScope) {
			t.Fatalf("after %d other scopes, that in constant use is forgotten", i)
		}
	}
	routes := &chain.memory.routes
	if n, index := len(routes.younger)+len(routes.older),
		len(*routes.index.Load()); n > 2*maxRoutes || index > maxRoutes {
		t.Errorf("%d routes are kept, %d in the index", n, index)
	}
	n := len(routes.younger)
	for range 2 {
		if !ask(strings.Repeat("x", maxRouteText+1)) {
			t.Error("an endless scope is kept")
		}
	}
	if len(routes.younger) != n {
		t.Error("an endless scope is kept")
	}
}

// TestChainSparesNewScopes the time that it took to find out that a source of ours is unavailable,
// which is so for all of them. It is asked all the same if no other source has a token, and looked
// at once a minute for all scopes together.
func TestChainSparesNewScopes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var requests atomic.Int64
		a := sourceFunc(func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
			requests.Add(1)
			time.Sleep(5 * time.Second)
			return azcore.AccessToken{}, errAway
		})
		b := &scripted{name: "b"}
		chain := of(Options{}, ours{a}, b)
		ask := func(scope string, want time.Duration) {
			t.Helper()
			start := time.Now()
			tk, err := chain.GetToken(t.Context(),
				policy.TokenRequestOptions{Scopes: []string{scope}})
			if took := time.Since(start); tk.Token != "b" || took > 0 != (want > 0) || took > want {
				t.Errorf("got %q, error %v, after %v, want about %v", tk.Token, err, took, want)
			}
		}
		ask(vaultScope, 5*time.Second)
		for _, scope := range scopesOf(20) {
			ask(scope, 0)
		}
		time.Sleep(2 * time.Minute)
		requests.Store(0)
		for range 10 {
			for _, scope := range scopesOf(20) {
				ask(scope, 0)
			}
			time.Sleep(time.Second)
		}
		for i, scope := range scopesOf(40)[20:] {
			ask(fmt.Sprint(scope, i), 0)
		}
		if n := requests.Load(); n == 0 || n > maxLooks*12 {
			t.Errorf("%d requests of the looks of 20 scopes", n)
		}
		b.set(errAway)
		requests.Store(0)
		if _, err := chain.GetToken(t.Context(),
			policy.TokenRequestOptions{Scopes: []string{"https://new.example"}}); !errors.Is(err,
			errUnavailable) || requests.Load() == 0 {
			t.Errorf("error is %v, after %d requests, want one of a source that was asked", err,
				requests.Load())
		}
	})
}
