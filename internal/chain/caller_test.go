package chain

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// userKey is the key of the context value that says whose call it is.
type userKey struct{}

// TestChainServesEachCallerItsOwn: a source may read its caller from the context, as an
// on-behalf-of credential does. No caller gets what another's values made, cold, in use, or through
// a chain in a chain.
func TestChainServesEachCallerItsOwn(t *testing.T) {
	for _, name := range []string{"foreign", "after ours", "nested"} {
		bubbleIn(t, name, func(t *testing.T) {
			var asks atomic.Int64
			onBehalfOf := sourceFunc(func(ctx context.Context, _ requested) (string, error) {
				asks.Add(1)
				time.Sleep(time.Second)
				user := ctx.Value(userKey{})
				switch user {
				case "mallory":
					return "", fmt.Errorf("nothing for %v", user)
				case "victor":
					panic(user)
				}
				return fmt.Sprint(user), nil
			})
			chain := of(Options{}, onBehalfOf)
			switch name {
			case "after ours":
				chain = of(Options{}, ours(&scripted{err: errAway}), onBehalfOf)
			case "nested":
				chain = of(Options{}, chain)
			}
			for range 3 { // a walk for each, the source in use, and after an hour
				var all sync.WaitGroup
				for _, user := range []string{"alice", "bob", "mallory", "victor", "alice"} {
					all.Go(func() {
						tk, err := getToken(context.WithValue(t.Context(), userKey{}, user), chain)
						refused := user == "mallory" || user == "victor"
						if (err != nil) != refused || !refused && tk.Token != user ||
							refused && !strings.Contains(err.Error(), user) {
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
	}
}

// TestChainGivesTheCallersContext to a source in the caller's goroutine, and no value of it to a
// look, which goes on when the caller has left.
func TestChainGivesTheCallersContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		type seen struct {
			value    any
			trace    bool
			deadline time.Duration
		}
		var mu sync.Mutex
		var got []seen
		a := sourceFunc(func(ctx context.Context, _ requested) (string, error) {
			end, _ := ctx.Deadline()
			mu.Lock()
			defer mu.Unlock()
			got = append(got, seen{ctx.Value(userKey{}), httptrace.ContextClientTrace(ctx) != nil,
				time.Until(end)})
			return "", errAway
		})
		ctx := httptrace.WithClientTrace(context.WithValue(t.Context(), userKey{}, "mine"),
			&httptrace.ClientTrace{})
		var inUse context.Context
		b := sourceFunc(func(ctx context.Context, _ requested) (string, error) {
			inUse = ctx
			return "b", nil
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
		want := []seen{{value: "mine", trace: true, deadline: walkBudget}, {deadline: lookEvery}}
		if !slices.Equal(got, want) {
			t.Errorf("the source before it saw %+v, want %+v", got, want)
		}
	})
}

// TestChainMixedCallers is for the race detector.
func TestChainMixedCallers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := &scripted{name: "a", err: errAway, took: time.Millisecond}
		b, c := &scripted{name: "b", took: time.Second}, &scripted{name: "c"}
		var log lines
		chain := of(Options{Logger: log.logger(), ContinueOn: func(err error) bool {
			return errors.Is(err, errBroken)
		}}, a, of(Options{}, b), c)
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() {
				for j := range 5 {
					ctx, cancel := context.WithTimeout(t.Context(),
						time.Duration(i%7+1)*300*time.Millisecond)
					_, err := chain.GetToken(ctx,
						requested{Scopes: []string{fmt.Sprint(i % 5)}, EnableCAE: i%2 == 0})
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
					}
					time.Sleep(time.Duration(i%13) * 5 * time.Second)
				}
			})
		}
		all.Wait()
	})
}
