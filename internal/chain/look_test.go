package chain

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	azruntime "github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// TestChainLooksBack: a source that was unreachable is asked again in the background, and used from
// its first success.
func TestChainLooksBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := &scripted{name: "a", err: errAway, took: 5 * time.Second}, &scripted{name: "b"}
		chain := of(Options{}, a, b)
		wantFrom(t, chain, "b")
		start := time.Now()
		slow, calls, asked := 0, int64(0), b.asks.Load()
		for time.Since(start) < 10*time.Minute {
			began := time.Now()
			wantFrom(t, chain, "b")
			if calls++; time.Since(began) > 0 {
				slow++
			}
			time.Sleep(time.Second)
		}
		if n := a.asks.Load(); n < 9 || n > 11 {
			t.Errorf("the source before was asked %d times in 10 minutes, want once a minute", n)
		}
		if n := b.asks.Load() - asked; n != calls {
			t.Errorf("the source in use was asked %d times in %d calls", n, calls)
		}
		if slow > 0 {
			t.Errorf("%d callers waited for that", slow)
		}
		a.set(nil)
		time.Sleep(time.Minute)
		wantFrom(t, chain, "b") // this starts the look
		time.Sleep(5*time.Second + 1)
		wantFrom(t, chain, "a")
		n := b.asks.Load()
		b.set(errBroken)
		time.Sleep(time.Hour)
		wantFrom(t, chain, "a")
		if b.asks.Load() != n {
			t.Error("the later source is asked although an earlier one is in use")
		}
	})
}

// TestChainKeepsWhatWorks: a source before the one in use that has become reachable and fails is
// not used.
func TestChainKeepsWhatWorks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		logged := &lines{}
		a, b := &scripted{name: "a", err: errAway}, &scripted{name: "b"}
		chain := of(Options{Logger: slog.New(slog.NewTextHandler(logged, nil))}, a, b)
		wantFrom(t, chain, "b")
		a.set(errBroken)
		time.Sleep(2 * time.Minute)
		wantFrom(t, chain, "b")
		synctest.Wait()
		wantFrom(t, chain, "b")
		if !strings.Contains(logged.String(), "level=WARN") ||
			!strings.Contains(logged.String(), "broken") {
			t.Errorf("the log doesn't say so: %s", logged)
		}
	})
}

// TestChainTokenIsAskedForAgain: an Azure SDK client keeps a token until RefreshOn, and would not
// come to know of a better source before.
func TestChainTokenIsAskedForAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := &scripted{name: "a", err: errAway}, &scripted{name: "b"}
		chain := of(Options{}, a, b)
		for range 2 { // of a pass, and of the source in use
			if tk, _ := getToken(t.Context(), chain); time.Until(tk.RefreshOn) != time.Minute {
				t.Errorf("RefreshOn is in %v, want in a minute", time.Until(tk.RefreshOn))
			}
		}
		var authorization string
		client := azruntime.NewPipeline("test", "v0", azruntime.PipelineOptions{
			PerRetry: []policy.Policy{azruntime.NewBearerTokenPolicy(chain, []string{vaultScope}, nil)},
		}, &policy.ClientOptions{Transport: doFunc(func(r *http.Request) (*http.Response, error) {
			authorization = r.Header.Get("Authorization")
			return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
		})})
		call := func() {
			req, err := azruntime.NewRequest(t.Context(), http.MethodGet, "https://example.com")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := client.Do(req); err != nil {
				t.Fatal(err)
			}
		}
		call()
		a.set(nil)
		start := time.Now()
		for authorization != "Bearer a" && time.Since(start) < time.Hour {
			time.Sleep(time.Second)
			call()
		}
		if took := time.Since(start); took > 3*time.Minute {
			t.Errorf("the client uses the first source's token after %v", took)
		}
		if tk, _ := getToken(t.Context(), chain); time.Until(tk.RefreshOn) > 0 {
			t.Errorf("RefreshOn of the first source was set, to %v", tk.RefreshOn)
		}
	})
}

// TestChainAskedAgain: RefreshOn is a minute away at most, and a sooner one stays.
func TestChainAskedAgain(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, tt := range []struct{ before, want time.Duration }{{time.Hour, time.Minute}, {10 * time.Second, 10 * time.Second}, {-time.Second, -time.Second}} {
		token := azcore.AccessToken{RefreshOn: now.Add(tt.before)}
		if got := askedAgain(token, now).RefreshOn.Sub(now); got.Round(time.Millisecond) != tt.want {
			t.Errorf("RefreshOn in %v became one in %v, want %v", tt.before, got, tt.want)
		}
	}
	if got := askedAgain(azcore.AccessToken{},
		now).RefreshOn.Sub(now); got.Round(time.Millisecond) != time.Minute {
		t.Errorf("no RefreshOn became one in %v, want a minute", got)
	}
}

// TestChainLooksOnce at a time.
func TestChainLooksOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := newDeaf(t)
		first := true
		a := sourceFunc(func(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken,
			error) {
			if first {
				first = false
				return azcore.AccessToken{}, errAway
			}
			return d.GetToken(ctx, o)
		})
		chain := of(Options{}, a, &scripted{name: "b"})
		for range 20 {
			wantFrom(t, chain, "b")
			time.Sleep(time.Minute)
		}
		if n := d.asks.Load(); n != 1 {
			t.Errorf("%d looks are under way, want 1", n)
		}
		close(d.let)
		synctest.Wait()
		wantFrom(t, chain, "deaf")
	})
}

// TestChainLooksForAMinute and no longer.
func TestChainLooksForAMinute(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var took []time.Duration
		a := sourceFunc(func(ctx context.Context, _ policy.TokenRequestOptions) (azcore.AccessToken,
			error) {
			if took == nil {
				took = []time.Duration{}
				return azcore.AccessToken{}, errAway
			}
			start := time.Now()
			<-ctx.Done()
			took = append(took, time.Since(start))
			return azcore.AccessToken{}, ctx.Err()
		})
		chain := of(Options{}, a, &scripted{name: "b"})
		for range 5 {
			wantFrom(t, chain, "b")
			time.Sleep(time.Minute)
		}
		synctest.Wait()
		if len(took) != 2 || took[0] != time.Minute || took[1] != time.Minute {
			t.Errorf("looks took %v, want two of a minute each", took)
		}
	})
}

// TestChainLooksWithAMinuteBetween: from the end of one to the beginning of the next, so that a
// look never finds the absence that the one before has noted.
func TestChainLooksWithAMinuteBetween(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		var gaps []time.Duration
		var end time.Time
		a := sourceFunc(func(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken,
			error) {
			if o.Claims != "" {
				t.Errorf("a look has claims: %q", o.Claims)
			}
			mu.Lock()
			if !end.IsZero() {
				gaps = append(gaps, time.Since(end))
			}
			mu.Unlock()
			// not under the lock: a bubble's time stands still while another look waits for one
			time.Sleep(7 * time.Second)
			mu.Lock()
			defer mu.Unlock()
			end = time.Now()
			return azcore.AccessToken{}, errAway
		})
		b := ours{&scripted{name: "b"}}
		chain := of(Options{}, a, b)
		start := time.Now()
		for time.Since(start) < 10*time.Minute {
			wantFrom(t, chain, "b")
			time.Sleep(time.Second)
			if _, err := chain.GetToken(t.Context(),
				policy.TokenRequestOptions{Scopes: []string{vaultScope}, Claims: "{}"}); err != nil {
				t.Fatal(err)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if len(gaps) < 8 {
			t.Errorf("%d looks in 10 minutes", len(gaps))
		}
		for _, gap := range gaps {
			if gap < time.Minute || gap > time.Minute+time.Second {
				t.Errorf("a look %v after the one before, want a minute, and the second until the next call",
					gap)
			}
		}
	})
}

// TestChainLookHasItsOwnOptions, too: it begins in the caller's call and goes on after that.
func TestChainLookHasItsOwnOptions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var got atomic.Value
		a := sourceFunc(func(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken,
			error) {
			time.Sleep(time.Second)
			got.Store(o.Scopes[0] + o.Claims)
			return azcore.AccessToken{}, errAway
		})
		chain := of(Options{}, a, ours{&scripted{name: "b"}})
		scopes := []string{"mine"}
		for range 2 { // a pass; the source in use, and a look
			if _, err := chain.GetToken(t.Context(),
				policy.TokenRequestOptions{Scopes: scopes}); err != nil {
				t.Fatal(err)
			}
			scopes[0] = "changed"
			time.Sleep(2 * time.Minute)
			scopes[0] = "mine"
			if got.Swap("") != "mine" {
				t.Errorf("the source saw %v", got.Load())
			}
		}
	})
}

// TestChainLooksAreBounded: ten at once, whatever the number of scopes and however long they take.
func TestChainLooksAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := newDeaf(t)
		var away sync.Map
		chain := of(Options{}, sourceFunc(func(ctx context.Context,
			o policy.TokenRequestOptions) (azcore.AccessToken, error) {
			if _, again := away.LoadOrStore(o.Scopes[0], true); again {
				return d.GetToken(ctx, o)
			}
			return azcore.AccessToken{}, errAway
		}), &scripted{name: "b"})
		for range 10 {
			for _, scope := range scopesOf(100) {
				if tk, err := chain.GetToken(t.Context(),
					policy.TokenRequestOptions{Scopes: []string{scope}}); tk.Token != "b" {
					t.Fatalf("got %q, error %v", tk.Token, err)
				}
			}
			time.Sleep(time.Minute)
		}
		if n := d.asks.Load(); n != maxLooks || chain.looks.Load() != maxLooks {
			t.Errorf("%d looks are under way, by the count %d, want %d", n,
				chain.looks.Load(), maxLooks)
		}
		close(d.let)
		synctest.Wait()
		if n := chain.looks.Load(); n != 0 {
			t.Errorf("%d looks are left", n)
		}
	})
}

// doFunc is a function as a Transport.
type doFunc func(*http.Request) (*http.Response, error)

func (f doFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }
