package identity

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// TestChainSharesOurs: a thousand callers run az once, before it is in use and after, and leave
// with their own ctx.
func TestChainSharesOurs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &laptop{took: 2 * time.Second}
		az, err := newAzureCLI(newShared(), nil, l.environment())
		if err != nil {
			t.Fatal(err)
		}
		chain := mustChain(t, nil, &scripted{err: errAway}, az)
		// the last one when the first token has ended
		for _, scope := range []string{vaultScope, armScope, vaultScope} {
			l.runs.Store(0)
			start := time.Now()
			var all sync.WaitGroup
			for i := range 1000 {
				all.Go(func() {
					ctx := t.Context()
					if i%2 == 0 {
						short, cancel := context.WithTimeout(ctx, time.Second)
						defer cancel()
						ctx = short
					}
					tk, err := chain.GetToken(ctx,
						policy.TokenRequestOptions{Scopes: []string{scope}})
					switch took := time.Since(start); {
					case i%2 == 0 &&
						(!errors.Is(err, context.DeadlineExceeded) || took != time.Second):
						t.Errorf("got %v after %v, want the caller's deadline after 1 s", err, took)
					case i%2 != 0 && (tk.Token != developersToken || took != 2*time.Second):
						t.Errorf("got %q, error %v, after %v", tk.Token, err, took)
					}
				})
			}
			all.Wait()
			if l.runs.Load() != 1 {
				t.Errorf("az was run %d times for 1000 callers, want once", l.runs.Load())
			}
			time.Sleep(time.Hour)
		}
	})
}

// TestChainOptionsAreTheCallers: to change after NewChain.
func TestChainOptionsAreTheCallers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sources := []azcore.TokenCredential{&scripted{err: errBroken}, &scripted{name: "b"}}
		chainOptions := &ChainOptions{}
		chain := mustChain(t, chainOptions, sources...)
		clear(sources)
		chainOptions.ContinueOn = func(error) bool { return true }
		if _, err := getToken(t.Context(), chain); !errors.Is(err, errBroken) {
			t.Errorf("error is %v, want that of the first source, at which the chain ends", err)
		}
	})
}

// TestChainSourceOfOursInUse that fails: Status says so, an error that isn't ErrUnavailable ends it
// without a walk, and one that is doesn't have it asked again.
func TestChainSourceOfOursInUse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &laptop{}
		az, err := newAzureCLI(newShared(), nil, l.environment())
		if err != nil {
			t.Fatal(err)
		}
		before := &scripted{err: errAway}
		chain := mustChain(t, nil, before, az, &scripted{name: "c"})
		wantFrom(t, chain, developersToken)
		time.Sleep(2 * time.Hour) // its token has ended
		l.az = exits(1, "ERROR: broken")
		asks := before.asks.Load()
		if _, err := getToken(t.Context(), chain); err == nil || before.asks.Load() != asks ||
			!strings.Contains(chain.Status().Sources[1].LastError, "ERROR: broken") {
			t.Errorf("got %v, the source before was asked %d times more, status %+v", err,
				before.asks.Load()-asks, chain.Status())
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		l.az = errNotLoggedIn
		runs := l.runs.Load()
		if tk, err := getToken(t.Context(), chain); tk.Token != "c" || l.runs.Load() != runs+1 ||
			!strings.Contains(chain.Status().Sources[1].LastError, "nobody is logged in") {
			t.Errorf("got %q, error %v, after %d runs, status %+v", tk.Token, err, l.runs.Load()-runs,
				chain.Status())
		}
	})
}
