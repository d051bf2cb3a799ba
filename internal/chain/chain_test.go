package chain

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

func TestChainOrder(t *testing.T) {
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
		{name: "stops", errs: []error{errAway, errBroken, nil}, asked: []int64{1, 1, 0}, is: errBroken,
			isNot: errUnavailable},
		{name: "stops at once", errs: []error{errRefused, nil}, asked: []int64{1, 0},
			is: errRefused, isNot: errUnavailable},
		{name: "all away", errs: []error{errAway, errAway}, asked: []int64{1, 1}, is: errUnavailable,
			isNot: errBroken},
		{name: "the user's word", errs: []error{errBroken, nil}, continueOn: func(err error) bool {
			return errors.Is(err, errBroken)
		}, want: "1", asked: []int64{1, 1}},
		{name: "not the user's word", errs: []error{errRefused, nil}, continueOn: func(err error) bool {
			return errors.Is(err, errBroken)
		}, asked: []int64{1, 0}, is: errRefused, isNot: errUnavailable},
		{name: "ours beside the user's", errs: []error{errAway, nil}, continueOn: func(error) bool {
			return false
		}, want: "1", asked: []int64{1, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var sources []azcore.TokenCredential
				for i, err := range tt.errs {
					sources = append(sources, &scripted{name: fmt.Sprint(i), err: err})
				}
				tk, err := getToken(t.Context(), of(Options{ContinueOn: tt.continueOn},
					sources...))
				if tk.Token != tt.want || (err == nil) != (tt.want != "") {
					t.Errorf("got the token %q, error %v, want %q", tk.Token, err, tt.want)
				}
				for i, want := range tt.asked {
					if got := sources[i].(*scripted).asks.Load(); got != want {
						t.Errorf("source %d was asked %d times, want %d", i, got, want)
					}
				}
				if err == nil {
					return
				}
				if !errors.Is(err, tt.is) || errors.Is(err, tt.isNot) {
					t.Errorf("error is %v, want %v in it and not %v", err, tt.is, tt.isNot)
				}
				if lines := strings.Split(err.Error(), "\n\t"); len(lines) != 1+len(sources) {
					t.Errorf("error has %d lines, want one and one for each of %d sources:\n%v", len(lines),
						len(sources), err)
				}
				var nonRetriable interface{ NonRetriable() }
				if !errors.As(err, &nonRetriable) {
					t.Error("azcore would ask again")
				}
			})
		})
	}
}

func TestChainRemembers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b, c := &scripted{name: "a", err: errAway}, &scripted{name: "b"}, &scripted{name: "c"}
		chain := of(Options{}, a, b, c)
		for range 100 {
			wantFrom(t, chain, "b")
		}
		if n := a.asks.Load(); n != 1 {
			t.Errorf("the source before was asked %d times, want once", n)
		}
		b.set(errBroken)
		if _, err := getToken(t.Context(), chain); !errors.Is(err, errBroken) || a.asks.Load() != 1 ||
			c.asks.Load() > 0 {
			t.Errorf("a failure of the source in use: %v, and the one before was asked %d times more, the "+
				"next %d times", err, a.asks.Load()-1, c.asks.Load())
		}
		b.set(nil)
		wantFrom(t, chain, "b") // still in use
		before := a.asks.Load()
		b.set(errAway)
		asked := b.asks.Load()
		wantFrom(t, chain, "c")
		if b.asks.Load() != asked+1 || a.asks.Load() != before+1 {
			t.Errorf("when the source in use is unavailable it was asked %d times and the first %d times, "+
				"want each once", b.asks.Load()-asked, a.asks.Load()-before)
		}
	})
}

// TestChainCallerLeaves while a source is asked: the error is the caller's, says what is known so
// far, and is no failure of the source.
func TestChainCallerLeaves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := &scripted{name: "a", err: errAway, took: 5 * time.Second},
			&scripted{name: "b", took: 5 * time.Second}
		chain := of(Options{}, a, b)
		for _, patience := range []time.Duration{time.Second, 6 * time.Second} {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			start := time.Now()
			_, err := getToken(ctx, chain)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errUnavailable) ||
				time.Since(start) != patience ||
				strings.Contains(err.Error(), "away") != (patience > 5*time.Second) {
				t.Errorf("error is %v after %v", err, time.Since(start))
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := getToken(ctx, chain); !errors.Is(err, context.Canceled) || b.asks.Load() != 1 {
			t.Errorf("with a context that has ended: %v", err)
		}
		wantFrom(t, chain, "b")
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		// the source in use
		if _, err := getToken(ctx, chain); !errors.Is(err, context.DeadlineExceeded) ||
			chain.Status().Sources[1].LastError != "" {
			t.Errorf("error is %v; and a caller that left is taken for a failure: %+v", err, chain.Status())
		}
	})
}
