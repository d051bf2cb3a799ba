package chain

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestChainScopesHaveTheirOwnSource: that a source has nothing for one scope, tenant or challenge
// says nothing of the others, whichever is asked for first and however often.
func TestChainScopesHaveTheirOwnSource(t *testing.T) {
	vault := requested{Scopes: []string{vaultScope}, EnableCAE: true}
	several := func(o requested) bool { return len(o.Scopes) > 1 }
	for _, tt := range []struct {
		name    string
		refuses func(requested) bool
		other   requested
	}{
		{name: "a scope", refuses: func(o requested) bool { return o.Scopes[0] == graphScope },
			other: requested{Scopes: []string{graphScope}}},
		{name: "a scope more", refuses: several,
			other: requested{Scopes: []string{vaultScope, graphScope}}},
		{name: "a scope that looks like several", refuses: several,
			other: requested{Scopes: []string{"a", "b"}}},
		{name: "a tenant", refuses: func(o requested) bool { return o.TenantID != "" },
			other: requested{Scopes: []string{vaultScope}, TenantID: "t"}},
		{name: "a challenge", refuses: func(o requested) bool { return o.Claims != "" },
			other: requested{Scopes: []string{vaultScope}, Claims: "{}"}},
	} {
		for _, kind := range []string{"unavailable", "ContinueOn", "nested"} {
			for _, otherFirst := range []bool{false, true} {
				bubbleIn(t, fmt.Sprintf("%s/%s/other first %v", tt.name, kind, otherFirst), func(t *testing.T) {
					a, b := &scripted{name: "a", refuses: tt.refuses, err: errAway}, &scripted{name: "b"}
					chain := of(Options{}, a, Link{Name: "B", Source: b})
					want := "chain.scripted, B"
					switch kind {
					case "ContinueOn":
						a.err = errBroken
						chain = of(Options{ContinueOn: func(err error) bool {
							return errors.Is(err, errBroken)
						}}, a, Link{Name: "B", Source: b})
					case "nested":
						chain, want = of(Options{}, of(Options{}, a), of(Options{}, b)), "chain"
					}
					if want != "chain" && tt.name == "a challenge" {
						want = "chain.scripted"
					}
					ask := func(o requested, want string) {
						t.Helper()
						if tk, err := chain.GetToken(t.Context(), o); tk.Token != want {
							t.Fatalf("%+v: got the token of %q, error %v, want that of %s", o,
								tk.Token, err, want)
						}
					}
					if otherFirst {
						ask(tt.other, "b")
					}
					for range 150 {
						ask(vault, "a")
						ask(tt.other, "b")
						time.Sleep(time.Second)
					}
					if got := chain.Status().InUse; got != want {
						t.Errorf("status says that %q is in use, want %q", got, want)
					}
				})
			}
		}
	}
}

// TestChainRoutesAreBounded: scopes are text from elsewhere. What is in constant use stays known
// meanwhile.
func TestChainRoutesAreBounded(t *testing.T) {
	t.Parallel()
	a := &scripted{name: "a", err: errAway}
	chain := of(Options{}, a, &scripted{name: "b"})
	routes := &chain.memory.routes
	walks := func(scope string) bool {
		wantFrom(t, chain, "b", scope)
		return a.asks.Swap(0) > 0
	}
	walks(vaultScope)
	for i := range 4 * maxRoutes {
		if !walks(fmt.Sprint(i)) {
			t.Fatalf("scope %d was known", i)
		}
		if i%1000 == 0 && walks(vaultScope) {
			t.Fatalf("after %d other scopes, that in constant use is forgotten", i)
		}
	}
	if n, index := len(routes.younger)+len(routes.older),
		len(routes.index.Load().all); n > 2*maxRoutes || index > maxRoutes {
		t.Errorf("%d routes are kept, %d in the index", n, index)
	}
	n := len(routes.younger)
	for range 2 {
		if !walks(strings.Repeat("x", maxRouteText+1)) || len(routes.younger) != n {
			t.Error("an endless scope is kept")
		}
	}
}

// TestChainSparesNewScopes the time that it took to find out that a source of ours is unavailable,
// which is so for all of them. It is asked all the same if no other source has a token, and looked
// at once a minute for all scopes together.
func TestChainSparesNewScopes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := &scripted{name: "a", err: errAway, took: 5 * time.Second}
		b := &scripted{name: "b"}
		chain := of(Options{}, ours(a), b)
		ask := func(want time.Duration, scopes ...string) {
			t.Helper()
			for _, scope := range scopes {
				start := time.Now()
				wantFrom(t, chain, "b", scope)
				if took := time.Since(start); took != want {
					t.Errorf("a token took %v, want %v", took, want)
				}
			}
		}
		ask(5*time.Second, vaultScope)
		ask(0, scopesOf(20)...)
		wantAsks(t, a, 1)
		time.Sleep(2 * time.Minute)
		for range 10 {
			ask(0, scopesOf(20)...)
			time.Sleep(time.Second)
		}
		ask(0, scopesOf(40)[20:]...)
		if n := a.asks.Swap(0); n == 0 || n > maxLooks {
			t.Errorf("it was asked %d times by the looks of 20 scopes", n)
		}
		b.set(errAway)
		if _, err := chain.GetToken(t.Context(), requested{Scopes: []string{"new"}}); !errors.Is(err,
			errUnavailable) {
			t.Errorf("error is %v", err)
		}
		wantAsks(t, a, 1)
	})
}
