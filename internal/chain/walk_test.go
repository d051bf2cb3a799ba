package chain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptrace"
	"regexp"
	"runtime"
	"slices"
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

// TestChainRemembersForOthers: that the source in use has nothing for one scope doesn't change what
// the others get, nor that those before it are asked in the background.
func TestChainRemembersForOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := &scripted{err: errAway, took: time.Second}
		b := sourceFunc(func(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken,
			error) {
			if o.Scopes[0] != vaultScope {
				return azcore.AccessToken{}, errAway
			}
			return azcore.AccessToken{Token: "b", ExpiresOn: time.Now().Add(time.Hour)}, nil
		})
		chain := of(Options{}, a, b)
		wantFrom(t, chain, "b")
		for range 20 {
			if _, err := chain.GetToken(t.Context(),
				policy.TokenRequestOptions{Scopes: []string{"https://other.example/.default"}}); !errors.Is(err, errUnavailable) {
				t.Fatalf("error is %v", err)
			}
			start := time.Now()
			if wantFrom(t, chain, "b"); time.Since(start) > 0 {
				t.Fatalf("the vault's token took %v", time.Since(start))
			}
			if in := chain.Status().InUse; in != "chain.sourceFunc" {
				t.Fatalf("in use is %q", in)
			}
		}
	})
}

// TestChainMixedCallers is for the race detector.
func TestChainMixedCallers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b, c := &scripted{name: "a", err: errAway, took: time.Millisecond},
			&scripted{name: "b", took: time.Second}, &scripted{name: "c"}
		var log lines
		chain := of(Options{Logger: slog.New(slog.NewTextHandler(&log, nil)),
			ContinueOn: func(err error) bool {
				return errors.Is(err, errBroken)
			}}, a, of(Options{}, b), c)
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() {
				for j := range 5 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%7+1)*300*time.Millisecond)
					_, err := chain.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{fmt.Sprint(i % 5)},
						EnableCAE: i%2 == 0})
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

// userKey is the key of the context value that says whose call it is.
type userKey struct{}

// TestChainServesEachCallerItsOwn: a source may read its caller from the context, as an
// on-behalf-of credential does. No caller gets what another's values made, cold, in use, or through
// a chain in a chain.
func TestChainServesEachCallerItsOwn(t *testing.T) {
	for _, name := range []string{"foreign", "after ours", "nested"} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var asks atomic.Int64
				onBehalfOf := sourceFunc(func(ctx context.Context,
					_ policy.TokenRequestOptions) (azcore.AccessToken, error) {
					asks.Add(1)
					time.Sleep(time.Second)
					user := ctx.Value(userKey{})
					switch user {
					case "mallory":
						return azcore.AccessToken{}, fmt.Errorf("nothing for %v", user)
					case "victor":
						panic(user)
					}
					return azcore.AccessToken{Token: fmt.Sprint(user),
						ExpiresOn: time.Now().Add(time.Hour)}, nil
				})
				var chain *Chain
				switch name {
				case "foreign":
					chain = of(Options{}, onBehalfOf)
				case "after ours":
					chain = of(Options{}, ours{&scripted{err: errAway}}, onBehalfOf)
				case "nested":
					chain = of(Options{}, of(Options{}, onBehalfOf))
				}
				for range 3 { // a walk for each, the source in use, and after an hour
					var all sync.WaitGroup
					for _, user := range []string{"alice", "bob", "mallory", "victor", "alice"} {
						all.Go(func() {
							tk, err := getToken(context.WithValue(t.Context(), userKey{}, user), chain)
							switch {
							case user != "mallory" && user != "victor":
								if err != nil || tk.Token != user {
									t.Errorf("%s got the token of %q, error %v", user, tk.Token,
										err)
								}
							case err == nil || !strings.Contains(err.Error(), user):
								t.Errorf("%s got the token of %q, error %v", user, tk.Token, err)
							}
						})
					}
					all.Wait()
					time.Sleep(time.Hour)
				}
				if asks.Load() != 15 {
					t.Errorf("the source was asked %d times by 15 calls", asks.Load())
				}
			})
		})
	}
}

// TestChainGivesTheCallersContext to a source in the caller's goroutine, and no value of it to a
// look, which goes on when the caller has left.
func TestChainGivesTheCallersContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		type seen struct {
			value    any
			bounded  bool
			trace    bool
			deadline time.Duration
		}
		var mu sync.Mutex
		var got []seen
		a := sourceFunc(func(ctx context.Context, _ policy.TokenRequestOptions) (azcore.AccessToken,
			error) {
			end, bounded := ctx.Deadline()
			mu.Lock()
			defer mu.Unlock()
			got = append(got, seen{ctx.Value(userKey{}), bounded,
				httptrace.ContextClientTrace(ctx) != nil, time.Until(end)})
			return azcore.AccessToken{}, errAway
		})
		ctx := httptrace.WithClientTrace(context.WithValue(t.Context(), userKey{}, "mine"),
			&httptrace.ClientTrace{})
		var inUse context.Context
		b := sourceFunc(func(ctx context.Context, _ policy.TokenRequestOptions) (azcore.AccessToken,
			error) {
			inUse = ctx
			return azcore.AccessToken{Token: "b", ExpiresOn: time.Now().Add(time.Hour)}, nil
		})
		chain := of(Options{}, a, b)
		for range 2 {
			if _, err := getToken(ctx, chain); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		if inUse != ctx {
			t.Error("the source in use didn't get the caller's own context")
		}
		mu.Lock()
		defer mu.Unlock()
		want := []seen{{value: "mine", bounded: true, trace: true, deadline: walkBudget},
			{value: nil, bounded: true, deadline: lookEvery}}
		if !slices.Equal(got, want) {
			t.Errorf("the source before it saw %+v, want %+v", got, want)
		}
	})
}

// TestChainKeepsTheEarlierSource: a walk that began while the first source was unreachable, and
// ends after another has brought it into use, doesn't end that.
func TestChainKeepsTheEarlierSource(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := &scripted{name: "a", err: errAway}, &scripted{name: "b", took: 5 * time.Second}
		chain := of(Options{}, a, b)
		var all sync.WaitGroup
		all.Go(func() { wantFrom(t, chain, "b") })
		synctest.Wait()
		a.set(nil)
		wantFrom(t, chain, "a")
		all.Wait()
		wantFrom(t, chain, "a")
		// And from there on to the next one when it is unavailable again.
		a.set(errAway)
		wantFrom(t, chain, "b")
		if tk, _ := getToken(t.Context(), chain); tk.Token != "b" ||
			chain.Status().InUse != "chain.scripted" || a.asks.Load() != 4 {
			t.Errorf("got %q, and the first source was asked %d times, want that of b after 4",
				tk.Token, a.asks.Load())
		}
	})
}

// TestChainOfTheDeaf: a source that ignores its context holds up its caller and nobody else, and no
// goroutine is left of it.
func TestChainOfTheDeaf(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := newDeaf(t)
		chain := of(Options{}, sourceFunc(func(ctx context.Context,
			o policy.TokenRequestOptions) (azcore.AccessToken, error) {
			if o.Scopes[0] == "deaf" {
				return d.GetToken(ctx, o)
			}
			return azcore.AccessToken{Token: "others", ExpiresOn: time.Now().Add(time.Hour)}, nil
		}))
		start := time.Now()
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				tk, err := chain.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{"deaf"}})
				if err != nil || tk.Token != "deaf" || time.Since(start) != time.Minute {
					t.Errorf("got %q, error %v, after %v, want its token when it brings one",
						tk.Token, err, time.Since(start))
				}
			})
		}
		synctest.Wait()
		wantFrom(t, chain, "others")
		_ = chain.Status()
		time.Sleep(time.Minute)
		close(d.let)
		all.Wait()
	})
}

// TestChainStartsNoGoroutines that a source can hold, for callers who come and go: a walk is in its
// caller's goroutine.
func TestChainStartsNoGoroutines(t *testing.T) {
	bubble(t, func(t *testing.T) {
		chain := of(Options{}, sourceFunc(func(ctx context.Context,
			_ policy.TokenRequestOptions) (azcore.AccessToken, error) {
			<-ctx.Done() // a host that hangs, and a source that heeds its ctx
			return azcore.AccessToken{}, ctx.Err()
		}))
		before := goroutinesOfBubble(t)
		for i := range 1000 {
			ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), userKey{}, i),
				time.Millisecond)
			_, err := chain.GetToken(ctx,
				policy.TokenRequestOptions{Scopes: []string{fmt.Sprintf("https://r%d/.default",
					i)}})
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("error is %v", err)
			}
		}
		if grown := goroutinesOfBubble(t) - before; grown > 0 {
			t.Errorf("%d goroutines are left of callers of a chain that hangs", grown)
		}
	})
}

// TestChainOfItself: a source that asks the chain it is in, and gives it no context by which that
// could be known, ends with an error and not with the program.
func TestChainOfItself(t *testing.T) {
	t.Parallel()
	var chain *Chain
	chain = of(Options{}, sourceFunc(func(_ context.Context,
		o policy.TokenRequestOptions) (azcore.AccessToken, error) {
		return chain.GetToken(context.Background(), o)
	}))
	chain.limit = 1000 // 10,000 take two seconds, under the race detector twenty
	_, err := getToken(t.Context(), chain)
	if !errors.Is(err, errCrowd) ||
		strings.Count(err.Error(), "does one of them ask the chain itself?") != 1 {
		t.Errorf("error is %v", err)
	}
	if n := chain.walks.Load(); n != 0 {
		t.Errorf("%d walks are left", n)
	}
}

// TestChainAsksTheSourceInUseOnce: what the caller has seen of it is not asked for again.
func TestChainAsksTheSourceInUseOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := &scripted{name: "a"}
		for name, chain := range map[string]*Chain{"foreign": of(Options{}, a,
			&scripted{name: "b"}),
			"ours": of(Options{}, of(Options{}, a), &scripted{name: "b"})} {
			a.set(nil)
			wantFrom(t, chain, "a")
			a.set(errAway)
			a.asks.Store(0)
			if wantFrom(t, chain, "b"); a.asks.Load() != 1 {
				t.Errorf("%s: the source in use was asked %d times, want once", name, a.asks.Load())
			}
		}
	})
}

// goroutinesOfBubble counts those of the caller's bubble: runtime.NumGoroutine has those of the
// tests beside it, as well.
func goroutinesOfBubble(t *testing.T) int {
	t.Helper()
	own := make([]byte, 100)
	mine := regexp.MustCompile(`synctest bubble [0-9]+\]`).Find(own[:runtime.Stack(own, false)])
	if mine == nil {
		t.Fatalf("no bubble in %q", own)
	}
	all := make([]byte, 16<<20)
	return bytes.Count(all[:runtime.Stack(all, true)], mine)
}

// TestChainWalkIsBounded: a source of somebody else's may never answer.
func TestChainWalkIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		start := time.Now()
		chain := of(Options{}, &scripted{took: time.Hour})
		_, err := getToken(t.Context(), chain)
		if last := chain.Status().Sources[0].LastError; last != "" {
			t.Errorf("our own limit is taken for a failure of the source: %q", last)
		}
		if took := time.Since(start); took != 3*time.Minute || errors.Is(err, context.DeadlineExceeded) ||
			!strings.Contains(err.Error(), "no answer within 3m0s") {
			t.Errorf("got %v after %v, want an error after 3 minutes that isn't the caller's deadline", err,
				took)
		}
	})
}

// TestChainSurvivesItsSources that panic, or end the goroutine that asks them, in their caller's
// and in a look.
func TestChainSurvivesItsSources(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for name, f := range map[string]func(){"panic": func() {
			panic("canary: " +
				"eyJhbGciOiJub25lIn0.canary")
		}, "Goexit": runtime.Goexit} {
			bad := &atomic.Bool{}
			a, b := &scripted{name: "a", err: errAway}, &scripted{name: "b"}
			chain := of(Options{}, sourceFunc(func(ctx context.Context,
				o policy.TokenRequestOptions) (azcore.AccessToken, error) {
				if bad.Load() {
					f()
				}
				return a.GetToken(ctx, o)
			}), b)
			bad.Store(true)
			var err error
			var all sync.WaitGroup
			all.Go(func() { _, err = getToken(t.Context(), chain) })
			all.Wait()
			if name == "panic" {
				want := "chain.sourceFunc: it panicked: canary: REDACTED"
				if lines := strings.Split(fmt.Sprint(err), "\n\t"); len(lines) != 3 ||
					lines[1] != want ||
					!strings.HasPrefix(lines[2], "chain.scripted: not asked") {
					t.Errorf("error is %v, want %q", err, want)
				}
				if e, ok := errors.AsType[*Error](err); !ok || e.Passes() {
					t.Error("Ready would wait")
				}
			}
			bad.Store(false)
			wantFrom(t, chain, "b")
			bad.Store(true)
			time.Sleep(2 * time.Minute)
			wantFrom(t, chain, "b") // and a look
			time.Sleep(2 * time.Minute)
			bad.Store(false)
			a.set(nil)
			wantFrom(t, chain, "b") // and another look
			synctest.Wait()
			wantFrom(t, chain, "a")
			if n := chain.walks.Load() + chain.looks.Load(); n != 0 {
				t.Errorf("%s: %d walks and looks are left", name, n)
			}
		}
	})
}
