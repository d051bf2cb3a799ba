package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// deaf is a source that ignores its context: it answers when it is let go.
type deaf struct {
	let  chan struct{}
	asks atomic.Int64
}

func newDeaf(t *testing.T) *deaf {
	d := &deaf{let: make(chan struct{})}
	t.Cleanup(func() { // also if the test fails
		select {
		case <-d.let:
		default:
			close(d.let)
		}
	})
	return d
}

func (d *deaf) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	d.asks.Add(1)
	<-d.let
	return azcore.AccessToken{Token: "deaf", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// TestChainSharesTheSourceInUse: azidentity's AzureCLICredential runs az for each call, one after the other, and those that wait
// for their turn don't leave when their context ends.
func TestChainSharesTheSourceInUse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var busy sync.Mutex
		var asks atomic.Int64
		b := sourceFunc(func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
			asks.Add(1)
			time.Sleep(2 * time.Second)
			busy.Lock()
			defer busy.Unlock()
			return azcore.AccessToken{Token: "b", ExpiresOn: time.Now().Add(time.Hour)}, nil
		})
		chain := mustChain(t, nil, &scripted{err: errAway}, b)
		wantFrom(t, chain, "b")
		asks.Store(0)
		start := time.Now()
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() {
				if i%2 == 0 {
					wantFrom(t, chain, "b")
					return
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if _, err := token(ctx, chain); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
					t.Errorf("got %v after %v, want the caller's deadline after 1 s", err, time.Since(start))
				}
			})
		}
		all.Wait()
		if asks.Load() != 1 || time.Since(start) != 2*time.Second {
			t.Errorf("the source in use was asked %d times by 1000 callers, who waited %v, want once and 2 s", asks.Load(), time.Since(start))
		}
	})
}

// TestChainRemembersForOthers: that the source in use has nothing for one scope doesn't change what the others get, nor that
// those before it are asked in the background.
func TestChainRemembersForOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := &scripted{err: errAway, took: time.Second}
		b := sourceFunc(func(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
			if o.Scopes[0] != vaultScope {
				return azcore.AccessToken{}, errAway
			}
			return azcore.AccessToken{Token: "b", ExpiresOn: time.Now().Add(time.Hour)}, nil
		})
		chain := mustChain(t, nil, a, b)
		wantFrom(t, chain, "b")
		for range 20 {
			if _, err := chain.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{"https://other.example/.default"}}); !errors.Is(err, ErrUnavailable) {
				t.Fatalf("error is %v", err)
			}
			start := time.Now()
			if wantFrom(t, chain, "b"); time.Since(start) > 0 {
				t.Fatalf("the vault's token took %v", time.Since(start))
			}
			if in := chain.Status().InUse; in != "identity.sourceFunc" {
				t.Fatalf("in use is %q", in)
			}
		}
	})
}

// TestChainKeepsTheEarlierSource: a pass that began while the first source was unreachable, and ends after another has brought it
// into use, doesn't end that.
func TestChainKeepsTheEarlierSource(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := &scripted{name: "a", err: errAway}, &scripted{name: "b", took: 5 * time.Second}
		chain := mustChain(t, nil, a, b)
		var all sync.WaitGroup
		all.Go(func() { wantFrom(t, chain, "b") })
		synctest.Wait()
		a.set(nil)
		if tk, err := chain.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{"other"}}); tk.Token != "a" {
			t.Errorf("got %q, error %v", tk.Token, err)
		}
		all.Wait()
		wantFrom(t, chain, "a")
		// And from there on to the next one when it is unavailable again.
		a.set(errAway)
		wantFrom(t, chain, "b")
		if tk, _ := mustToken(t, chain); tk.Token != "b" || chain.Status().InUse != "identity.scripted" || a.asks.Load() != 4 {
			t.Errorf("got %q, and the first source was asked %d times, want that of b after 4", tk.Token, a.asks.Load())
		}
	})
}

// TestChainOfTheDeaf: a source that ignores its context keeps nobody for ever, and one goroutine in three minutes at most.
func TestChainOfTheDeaf(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := newDeaf(t)
		chain := mustChain(t, nil, d)
		for range 2 {
			start := time.Now()
			_, err := token(context.Background(), chain)
			if took := time.Since(start); took != passBudget+overtime || !strings.Contains(err.Error(), "no answer within 3m0s\n\tidentity.deaf: no answer yet") || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v after %v", err, took)
			}
		}
		if n := d.asks.Load(); n != 2 {
			t.Errorf("it was asked %d times, want 2", n)
		}
		close(d.let)
		wantFrom(t, chain, "deaf")
		synctest.Wait()
		if n := len(chain.state.passes); n > 0 {
			t.Errorf("%d passes are left", n)
		}
	})
}

// TestChainLateEnd: a pass that ends after another has taken its place leaves that to its callers.
func TestChainLateEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		let := []chan struct{}{make(chan struct{}), make(chan struct{}), make(chan struct{})}
		var asks atomic.Int64
		chain := mustChain(t, nil, sourceFunc(func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
			n := asks.Add(1)
			<-let[n-1]
			return azcore.AccessToken{}, fmt.Errorf("failure %d", n)
		}))
		if _, err := token(context.Background(), chain); !errors.Is(err, errPassBudget) {
			t.Errorf("error is %v", err)
		}
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				if _, err := token(context.Background(), chain); err == nil || !strings.Contains(err.Error(), "failure 2") {
					t.Errorf("error is %v, want that of the second pass", err)
				}
			})
			synctest.Wait()
			if let[0] != nil {
				close(let[0])
				let[0] = nil
			}
			synctest.Wait()
		}
		close(let[1])
		close(let[2])
		all.Wait()
		if asks.Load() != 2 {
			t.Errorf("the source was asked %d times, want 2", asks.Load())
		}
	})
}

// TestChainLooksOnce at a time.
func TestChainLooksOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := newDeaf(t)
		first := true
		a := sourceFunc(func(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
			if first {
				first = false
				return azcore.AccessToken{}, errAway
			}
			return d.GetToken(ctx, o)
		})
		chain := mustChain(t, nil, a, &scripted{name: "b"})
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
		a := sourceFunc(func(ctx context.Context, _ policy.TokenRequestOptions) (azcore.AccessToken, error) {
			if took == nil {
				took = []time.Duration{}
				return azcore.AccessToken{}, errAway
			}
			start := time.Now()
			<-ctx.Done()
			took = append(took, time.Since(start))
			return azcore.AccessToken{}, ctx.Err()
		})
		chain := mustChain(t, nil, a, &scripted{name: "b"})
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

// TestChainLooksWithAMinuteBetween: from the end of one to the beginning of the next, so that a look never finds the absence that
// the one before has noted.
func TestChainLooksWithAMinuteBetween(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		var gaps []time.Duration
		var end time.Time
		a := sourceFunc(func(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
			if o.Claims != "" {
				t.Errorf("a look has claims: %q", o.Claims)
			}
			mu.Lock()
			if !end.IsZero() {
				gaps = append(gaps, time.Since(end))
			}
			mu.Unlock()
			time.Sleep(7 * time.Second) // not under the lock: a bubble's time stands still while another look waits for one
			mu.Lock()
			defer mu.Unlock()
			end = time.Now()
			return azcore.AccessToken{}, errAway
		})
		b := onIMDS(t, &answerDirectly{})
		chain := mustChain(t, nil, a, b)
		start := time.Now()
		for time.Since(start) < 10*time.Minute {
			mustToken(t, chain)
			time.Sleep(time.Second)
			if _, err := chain.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{vaultScope}, Claims: "{}"}); err != nil {
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
				t.Errorf("a look %v after the one before, want a minute, and the second until the next call", gap)
			}
		}
	})
}

// TestChainHidesTheCallersValues from a pass, which goes on when the caller has left: azcore's, by which a response would come
// back into the caller's variable, and httptrace's.
func TestChainHidesTheCallersValues(t *testing.T) {
	bubble(t, func(t *testing.T) {
		type key struct{}
		ctx := context.WithValue(t.Context(), key{}, "mine")
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{})
		var seen string
		chain := mustChain(t, nil, sourceFunc(func(ctx context.Context, _ policy.TokenRequestOptions) (azcore.AccessToken, error) {
			_, bounded := ctx.Deadline()
			seen = fmt.Sprintln(ctx.Value(key{}), httptrace.ContextClientTrace(ctx) == nil, bounded)
			return azcore.AccessToken{Token: "x", ExpiresOn: time.Now().Add(time.Hour)}, nil
		}))
		for range 2 { // a pass of all, and one of the source in use
			if _, err := token(ctx, chain); err != nil || seen != "mine true true\n" {
				t.Errorf("the source saw %q (error %v), want the caller's values but those, and a deadline", seen, err)
			}
			seen = ""
		}
	})
}

// TestChainKeyIsExact: scopes are text from elsewhere.
func TestChainKeyIsExact(t *testing.T) {
	bubble(t, func(t *testing.T) {
		chain := mustChain(t, nil, sourceFunc(func(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
			time.Sleep(time.Second)
			return azcore.AccessToken{Token: fmt.Sprint(len(o.Scopes)), ExpiresOn: time.Now().Add(time.Hour)}, nil
		}))
		var all sync.WaitGroup
		for _, scopes := range [][]string{{"a", "b"}, {"a\nb"}, {"a b"}, {`a" "b`}} {
			all.Go(func() {
				if tk, err := chain.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: scopes}); tk.Token != fmt.Sprint(len(scopes)) {
					t.Errorf("%q: got the token for %s scopes, error %v", scopes, tk.Token, err)
				}
			})
		}
		all.Wait()
	})
}

// TestChainOptionsAreTheCallers: to change after the call, while the pass goes on.
func TestChainOptionsAreTheCallers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := &scripted{name: "b", took: 2 * time.Second}
		var got atomic.Value
		sources := []azcore.TokenCredential{sourceFunc(func(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
			time.Sleep(2 * time.Second)
			got.Store(o.Scopes[0])
			return azcore.AccessToken{}, errAway
		}), b}
		chainOptions := &ChainOptions{}
		chain := mustChain(t, chainOptions, sources...)
		clear(sources)
		chainOptions.ContinueOn = func(error) bool { panic("set later") }
		scopes := []string{"mine"}
		for range 3 { // a pass; the source in use; a look
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := chain.GetToken(ctx, policy.TokenRequestOptions{Scopes: scopes})
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error is %v", err)
			}
			scopes[0] = "changed"
			time.Sleep(2 * time.Minute)
			if got.Load() != "mine" {
				t.Errorf("the source saw %v", got.Load())
			}
			scopes[0] = "mine"
		}
	})
}

// TestChainLookHasItsOwnOptions, too: it begins in the caller's call and goes on after that.
func TestChainLookHasItsOwnOptions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var got atomic.Value
		a := sourceFunc(func(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
			time.Sleep(time.Second)
			got.Store(o.Scopes[0] + o.Claims)
			return azcore.AccessToken{}, errAway
		})
		chain := mustChain(t, nil, a, onIMDS(t, &answerDirectly{}))
		scopes := []string{"mine"}
		for range 2 { // a pass; the source in use, and a look
			if _, err := chain.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: scopes}); err != nil {
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

// TestChainOfItself: a source that asks the same chain for the same waits for itself, until one of the two gives up.
func TestChainOfItself(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var chain *Chain
		chain = mustChain(t, nil, sourceFunc(func(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
			return chain.GetToken(context.Background(), o)
		}))
		start := time.Now()
		_, err := token(t.Context(), chain)
		if took := time.Since(start); took > passBudget+overtime || !errors.Is(err, errPassBudget) {
			t.Errorf("got %v after %v", err, took)
		}
	})
}

// TestChainMixedCallers is for the race detector.
func TestChainMixedCallers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b, c := &scripted{name: "a", err: errAway, took: time.Millisecond}, &scripted{name: "b", took: time.Second}, &scripted{name: "c"}
		var log lines
		chain := mustChain(t, &ChainOptions{Logger: slog.New(slog.NewTextHandler(&log, nil)), ContinueOn: func(err error) bool { return errors.Is(err, errBroken) }}, a, mustChain(t, nil, b), c)
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() {
				for j := range 5 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%7+1)*300*time.Millisecond)
					_, err := chain.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{fmt.Sprint(i % 5)}, EnableCAE: i%2 == 0})
					if err != nil && !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("error is %v", err)
					}
					cancel()
					switch (i + j) % 10 {
					case 0:
						b.set([]error{nil, errAway, errBroken}[i%3])
					case 1:
						a.set([]error{nil, errAway}[i%2])
					case 2:
						_ = chain.Status()
					case 3:
						_ = fmt.Sprintf("%v %+v", chain, chain) // doesn't read what changes
					}
					time.Sleep(time.Duration(i%13) * 5 * time.Second)
				}
			})
		}
		all.Wait()
	})
}

// TestChainSourceOfOursInUse that fails: Status says so, an error that isn't ErrUnavailable ends it without a pass, and one that is
// doesn't have it asked again.
func TestChainSourceOfOursInUse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &laptop{}
		az, err := newAzureCLI(newRealm(), nil, l.environment())
		if err != nil {
			t.Fatal(err)
		}
		before := &scripted{err: errAway}
		chain := mustChain(t, nil, before, az, &scripted{name: "c"})
		wantFrom(t, chain, developersToken)
		other := policy.TokenRequestOptions{Scopes: []string{"https://other.example/.default"}}
		synctest.Wait()
		l.az = &exitError{1, "ERROR: broken"}
		asks := before.asks.Load()
		if _, err := chain.GetToken(t.Context(), other); err == nil || before.asks.Load() != asks || !strings.Contains(chain.Status().Sources[1].LastError, "ERROR: broken") {
			t.Errorf("got %v, the source before was asked %d times more, status %+v", err, before.asks.Load()-asks, chain.Status())
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		l.az = errNotLoggedIn
		runs := l.runs.Load()
		if tk, err := chain.GetToken(t.Context(), other); tk.Token != "c" || l.runs.Load() != runs+1 || !strings.Contains(chain.Status().Sources[1].LastError, "nobody is logged in") {
			t.Errorf("got %q, error %v, after %d runs, status %+v", tk.Token, err, l.runs.Load()-runs, chain.Status())
		}
	})
}

// TestChainAsksOursOnce: what the caller has seen of the source in use is not asked for again.
func TestChainAsksOursOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var asks atomic.Int64
		inner := mustChain(t, nil, sourceFunc(func(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
			if asks.Add(1); o.Scopes[0] == vaultScope {
				return azcore.AccessToken{Token: "a", ExpiresOn: time.Now().Add(time.Hour)}, nil
			}
			return azcore.AccessToken{}, errAway
		}))
		chain := mustChain(t, nil, inner, &scripted{name: "b"})
		wantFrom(t, chain, "a")
		asks.Store(0)
		if tk, err := chain.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{"other"}}); tk.Token != "b" || asks.Load() != 1 {
			t.Errorf("got %q, error %v; the source in use was asked %d times, want once", tk.Token, err, asks.Load())
		}
	})
}
