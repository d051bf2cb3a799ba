package chain

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestChainOrder(t *testing.T) {
	isBroken := func(err error) bool { return errors.Is(err, errBroken) }
	for _, tt := range []struct {
		name       string
		errs       []error
		continueOn func(error) bool
		want       string // the source, "" for an error
		asked      []int64
		is, isNot  error
	}{
		{name: "the first", errs: []error{nil, nil}, want: "0", asked: []int64{1, 0}},
		{name: "the second", errs: []error{errAway, nil, nil}, want: "1", asked: []int64{1, 1, 0}},
		{name: "stops", errs: []error{errAway, errBroken, nil}, asked: []int64{1, 1, 0},
			is: errBroken, isNot: errUnavailable},
		{name: "stops at once", errs: []error{errRefused, nil}, asked: []int64{1, 0},
			is: errRefused, isNot: errUnavailable},
		{name: "all away", errs: []error{errAway, errAway}, asked: []int64{1, 1},
			is: errUnavailable, isNot: errBroken},
		{name: "the user's word", errs: []error{errBroken, nil}, continueOn: isBroken, want: "1",
			asked: []int64{1, 1}},
		{name: "not the user's word", errs: []error{errRefused, nil}, continueOn: isBroken,
			asked: []int64{1, 0}, is: errRefused, isNot: errUnavailable},
		{name: "ours beside the user's", errs: []error{errAway, nil}, continueOn: isBroken,
			want: "1", asked: []int64{1, 1}},
	} {
		bubbleIn(t, tt.name, func(t *testing.T) {
			var sources []any
			for i, err := range tt.errs {
				sources = append(sources, &scripted{name: fmt.Sprint(i), err: err})
			}
			tk, err := getToken(t.Context(), of(Options{ContinueOn: tt.continueOn}, sources...))
			if tk.Token != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("got the token %q, error %v, want %q", tk.Token, err, tt.want)
			}
			for i, want := range tt.asked {
				wantAsks(t, sources[i].(*scripted), want)
			}
			if err == nil {
				return
			}
			if !errors.Is(err, tt.is) || errors.Is(err, tt.isNot) {
				t.Errorf("error is %v, want %v in it and not %v", err, tt.is, tt.isNot)
			}
			if n := strings.Count(err.Error(), "\n\t"); n != len(sources) {
				t.Errorf("error has a line for each of %d sources, of %d:\n%v", n, len(sources), err)
			}
			var nonRetriable interface{ NonRetriable() }
			if !errors.As(err, &nonRetriable) {
				t.Error("azcore would ask again")
			}
		})
	}
}

func TestChainRemembers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b, c := &scripted{name: "a", err: errAway}, &scripted{name: "b"}, &scripted{name: "c"}
		chain := of(Options{}, a, of(Options{}, b), c)
		for range 100 {
			wantFrom(t, chain, "b")
		}
		wantAsks(t, a, 1)
		wantAsks(t, b, 100)
		b.set(errBroken)
		_, err := getToken(t.Context(), chain)
		if last := chain.Status().Sources[1]; !errors.Is(err, errBroken) ||
			!strings.Contains(last.LastError, "broken") || time.Since(last.LastErrorOn) > 0 {
			t.Errorf("the source in use fails: %v, status %+v", err, chain.Status())
		}
		wantAsks(t, a, 0)
		b.set(nil)
		wantFrom(t, chain, "b") // still in use
		b.set(errAway)
		b.asks.Store(0)
		wantFrom(t, chain, "c")
		wantAsks(t, a, 1)
		wantAsks(t, b, 1) // what the caller has seen of it is not asked for again
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
		wantFrom(t, chain, "b")
		wantAsks(t, a, 4)
	})
}

// TestChainCallerLeaves while a source is asked: the error is the caller's, says what is known so
// far, and is no failure of the source.
func TestChainCallerLeaves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := &scripted{name: "a", err: errAway, took: 5 * time.Second}
		b := &scripted{name: "b", took: 5 * time.Second}
		chain := of(Options{}, a, b, &scripted{})
		ask := func(patience time.Duration, want ...string) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			start := time.Now()
			_, err := getToken(ctx, chain)
			text := "identity: chain: no token for https://vault.azure.net: gave up waiting: " +
				"context deadline exceeded\n\tchain.scripted: " +
				strings.Join(want, "\n\tchain.scripted: ")
			if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errUnavailable) ||
				time.Since(start) != patience || err.Error() != text {
				t.Errorf("error is %v after %v, want %q", err, time.Since(start), text)
			}
		}
		const away, late = "away: unavailable", "context deadline exceeded"
		ask(time.Second, late, "not asked", "not asked")
		ask(6*time.Second, away, late, "not asked")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := getToken(ctx, chain); !errors.Is(err, context.Canceled) {
			t.Errorf("with a context that has ended: %v", err)
		}
		wantAsks(t, b, 1)
		wantFrom(t, chain, "b")
		ask(time.Second, away, late, "not asked") // the source in use
		if last := chain.Status().Sources[1].LastError; last != "" {
			t.Errorf("a caller that left is taken for a failure: %q", last)
		}
	})
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
		if took := time.Since(start); took != 3*time.Minute ||
			errors.Is(err, context.DeadlineExceeded) ||
			!strings.Contains(err.Error(), "no answer within 3m0s") {
			t.Errorf("got %v after %v, want an error after 3 minutes that isn't the caller's "+
				"deadline", err, took)
		}
	})
}

// TestChainOfTheDeaf: a source that ignores its context holds up its caller and nobody else, and no
// goroutine is left of it.
func TestChainOfTheDeaf(t *testing.T) {
	bubble(t, func(t *testing.T) {
		chain := of(Options{}, sourceFunc(func(_ context.Context, o requested) (string, error) {
			if o.Scopes[0] == "deaf" {
				time.Sleep(time.Minute)
			}
			return o.Scopes[0], nil
		}))
		start := time.Now()
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() { wantFrom(t, chain, "deaf", "deaf") })
		}
		synctest.Wait()
		wantFrom(t, chain, "another", "another")
		if _ = chain.Status(); time.Since(start) > 0 {
			t.Errorf("another caller was held up for %v", time.Since(start))
		}
		if all.Wait(); time.Since(start) != time.Minute {
			t.Errorf("its callers were let go after %v", time.Since(start))
		}
	})
}

// TestChainOfItself: a source that asks the chain it is in, and gives it no context by which that
// could be known, ends with an error and not with the program.
func TestChainOfItself(t *testing.T) {
	t.Parallel()
	var chain *Chain
	chain = of(Options{}, sourceFunc(func(_ context.Context, o requested) (string, error) {
		tk, err := chain.GetToken(context.Background(), o)
		return tk.Token, err
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

// TestChainSurvivesItsSources that panic, or end the goroutine that asks them, in their caller's
// and in a look.
func TestChainSurvivesItsSources(t *testing.T) {
	for name, f := range map[string]func(){
		"panic":  func() { panic("canary: eyJhbGciOiJub25lIn0.canary") },
		"Goexit": runtime.Goexit,
	} {
		bubbleIn(t, name, func(t *testing.T) {
			var bad atomic.Bool
			bad.Store(true)
			a, b := &scripted{name: "a", err: errAway}, &scripted{name: "b"}
			chain := of(Options{}, sourceFunc(func(ctx context.Context, o requested) (string, error) {
				if bad.Load() {
					f()
				}
				tk, err := a.GetToken(ctx, o)
				return tk.Token, err
			}), b)
			var err error
			var all sync.WaitGroup
			all.Go(func() { _, err = getToken(t.Context(), chain) })
			all.Wait()
			if name == "panic" {
				e, ok := errors.AsType[*Error](err)
				if !ok || len(e.lines) != 2 ||
					e.lines[0] != "chain.sourceFunc: it panicked: canary: REDACTED" ||
					!strings.HasPrefix(e.lines[1], "chain.scripted: not asked") || e.Passes() {
					t.Errorf("error is %+v", e)
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
				t.Errorf("%d walks and looks are left", n)
			}
		})
	}
}
