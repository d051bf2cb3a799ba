package chain

import (
	"context"
	"net/http"
	"slices"
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
// its first success. One that has become reachable and fails is not used, and the log says so.
func TestChainLooksBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log lines
		a, b := &scripted{name: "a", err: errAway, took: 5 * time.Second}, &scripted{name: "b"}
		chain := of(Options{Logger: log.logger()}, a, b)
		wantFrom(t, chain, "b")
		a.asks.Store(0)
		b.asks.Store(0)
		start := time.Now()
		for range 600 {
			wantFrom(t, chain, "b")
			time.Sleep(time.Second)
		}
		if took := time.Since(start); took != 10*time.Minute {
			t.Errorf("600 callers, one a second, took %v: some have waited for a look", took)
		}
		if n := a.asks.Load(); n < 9 || n > 11 {
			t.Errorf("the source before was asked %d times in 10 minutes, want once a minute", n)
		}
		wantAsks(t, b, 600)
		a.set(errBroken)
		time.Sleep(time.Minute)
		wantFrom(t, chain, "b") // this starts a look
		time.Sleep(5*time.Second + 1)
		wantFrom(t, chain, "b")
		if text := log.String(); !strings.Contains(text, "level=WARN") ||
			!strings.Contains(text, "error=broken") {
			t.Errorf("the log doesn't say so: %s", text)
		}
		a.set(nil)
		time.Sleep(time.Minute)
		wantFrom(t, chain, "b")
		time.Sleep(5*time.Second + 1)
		wantFrom(t, chain, "a")
		b.asks.Store(0)
		time.Sleep(time.Hour)
		wantFrom(t, chain, "a")
		wantAsks(t, b, 0)
	})
}

// TestChainTokenIsAskedForAgain: an Azure SDK client keeps a token until RefreshOn, and would not
// come to know of a better source before.
func TestChainTokenIsAskedForAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := &scripted{name: "a", err: errAway}, &scripted{name: "b"}
		chain := of(Options{}, a, b)
		for range 2 { // of a walk, and of the source in use
			if tk := wantFrom(t, chain, "b"); time.Until(tk.RefreshOn) != time.Minute {
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
		start := time.Now()
		for authorization != "Bearer a" && time.Since(start) < time.Hour {
			req, err := azruntime.NewRequest(t.Context(), http.MethodGet, "https://example.com")
			if err == nil {
				_, err = client.Do(req)
			}
			if err != nil {
				t.Fatal(err)
			}
			a.set(nil)
			time.Sleep(time.Second)
		}
		if took := time.Since(start); took < 2*time.Second || took > 3*time.Minute {
			t.Errorf("the client uses the first source's token after %v", took)
		}
		if tk := wantFrom(t, chain, "a"); !tk.RefreshOn.IsZero() {
			t.Errorf("RefreshOn of the first source was set, to %v", tk.RefreshOn)
		}
	})
}

// doFunc is a function as a Transport.
type doFunc func(*http.Request) (*http.Response, error)

func (f doFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

// TestChainAskedAgain: RefreshOn is a minute away at most, and a sooner one stays.
func TestChainAskedAgain(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, tt := range []struct {
		name       string
		have, want time.Time
	}{
		{name: "none", want: now.Add(time.Minute)},
		{name: "later", have: now.Add(time.Hour), want: now.Add(time.Minute)},
		{name: "sooner", have: now.Add(10 * time.Second), want: now.Add(10 * time.Second)},
		{name: "past", have: now.Add(-time.Second), want: now.Add(-time.Second)},
	} {
		token := azcore.AccessToken{RefreshOn: tt.have}
		if askedAgain(&token, now); !token.RefreshOn.Equal(tt.want) {
			t.Errorf("%s: RefreshOn is %v, want %v", tt.name, token.RefreshOn, tt.want)
		}
	}
}

// TestChainLooksWithAMinuteBetween: from the end of one to the beginning of the next, so that a
// look never finds the absence that the one before has noted. It takes a minute at most, and has
// neither a call's claims nor its scopes, which the caller may change.
func TestChainLooksWithAMinuteBetween(t *testing.T) {
	for _, tt := range []struct {
		name       string
		takes, lot time.Duration
		looks      int // in ten minutes
	}{
		{name: "quick", takes: 7 * time.Second, lot: 7 * time.Second, looks: 9},
		{name: "hangs", takes: time.Hour, lot: time.Minute, looks: 5},
	} {
		bubbleIn(t, tt.name, func(t *testing.T) {
			var mu sync.Mutex
			var looks, gaps []time.Duration
			var end time.Time
			a := sourceFunc(func(ctx context.Context, o requested) (string, error) {
				mu.Lock()
				start, gap := time.Now(), time.Since(end)
				first := end.IsZero()
				mu.Unlock()
				if !first {
					// not under the lock: a bubble's time stands still while another waits for one
					_ = lasts(ctx, tt.takes)
				}
				mu.Lock()
				defer mu.Unlock()
				if end = time.Now(); !first {
					looks, gaps = append(looks, end.Sub(start)), append(gaps, gap)
				}
				if o.Claims != "" || o.Scopes[0] != vaultScope {
					t.Errorf("a look is for %+v", o)
				}
				return "", errAway
			})
			chain := of(Options{}, a, &scripted{name: "b"})
			for n := range 600 {
				scopes := []string{vaultScope}
				claims := []string{"", "{}", "{}"}[n%3]
				if tk, err := chain.GetToken(t.Context(),
					requested{Scopes: scopes, Claims: claims}); tk.Token != "b" {
					t.Errorf("got %q, error %v", tk.Token, err)
				}
				scopes[0] = "changed"
				time.Sleep(time.Second)
			}
			mu.Lock()
			defer mu.Unlock()
			if len(looks) < tt.looks-1 || slices.Min(looks) != tt.lot || slices.Max(looks) != tt.lot ||
				slices.Min(gaps) < time.Minute || slices.Max(gaps) > time.Minute+time.Second {
				t.Errorf("looks in 10 minutes took %v, want %d of %v; and had %v between them, want a "+
					"minute, and the second until the next call", looks, tt.looks, tt.lot, gaps)
			}
		})
	}
}

// TestChainLooksAreBounded: one at once for a scope, and ten for all of them, however long they
// take.
func TestChainLooksAreBounded(t *testing.T) {
	for _, tt := range []struct {
		name         string
		scopes, want int
	}{
		{name: "one scope", scopes: 1, want: 1},
		{name: "a hundred scopes", scopes: 100, want: maxLooks},
	} {
		bubbleIn(t, tt.name, func(t *testing.T) {
			var seen sync.Map
			var asks atomic.Int64
			answer := make(chan struct{})
			first := sourceFunc(func(_ context.Context, o requested) (string, error) {
				if _, again := seen.LoadOrStore(o.Scopes[0], true); !again {
					return "", errAway
				}
				asks.Add(1)
				<-answer
				return "a", nil
			})
			chain := of(Options{}, Link{Name: "first", Source: first}, &scripted{name: "b"})
			for range 10 {
				for _, scope := range scopesOf(tt.scopes) {
					wantFrom(t, chain, "b", scope)
				}
				time.Sleep(time.Minute)
			}
			if n, looks := int(asks.Load()), int(chain.looks.Load()); n != tt.want || looks != n {
				t.Errorf("%d looks are under way, by the count %d, want %d", n, looks, tt.want)
			}
			close(answer)
			synctest.Wait()
			if n := chain.looks.Load(); n != 0 {
				t.Errorf("%d looks are left", n)
			}
			if in := chain.Status().InUse; !strings.HasPrefix(in, "first") {
				t.Errorf("in use is %s, want also what the looks have found", in)
			}
		})
	}
}
