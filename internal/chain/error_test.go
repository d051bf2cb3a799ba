package chain

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// errorFunc is an error that does something when it is read.
type errorFunc func() string

func (f errorFunc) Error() string { return f() }

// nilError is one that somebody has returned as a nil pointer.
type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

// unwrapPanics panics when its kind is asked for.
type unwrapPanics struct{ error }

func (unwrapPanics) Is(error) bool { panic("Is") }

// TestChainOfBadErrors: what panics when an error is read ends neither the program nor the chain.
func TestChainOfBadErrors(t *testing.T) {
	const panicked = "its error can't be judged: it panicked: "
	for _, tt := range []struct {
		name       string
		err        error
		continueOn func(error) bool
		want       string
	}{
		{name: "Error", err: errorFunc(func() string { panic("Error") }), want: panicked + "Error"},
		{name: "nil", err: (*nilError)(nil),
			want: panicked + "runtime error: invalid memory address"},
		{name: "Is", err: unwrapPanics{errBroken}, want: panicked + "Is"},
		{name: "ContinueOn", err: errBroken, continueOn: func(error) bool {
			panic("ContinueOn, eyJhbGciOiJub25lIn0.canary")
		}, want: panicked + "ContinueOn, REDACTED"},
		{name: "no text", err: errorFunc(func() string { return "" }),
			want: "an error without a word"},
	} {
		bubbleIn(t, tt.name, func(t *testing.T) {
			a, b := &scripted{name: "a", err: errAway}, &scripted{name: "b", err: tt.err}
			chain := of(Options{ContinueOn: tt.continueOn}, a, b, &scripted{})
			ask := func(chain *Chain) {
				t.Helper()
				_, err := getToken(t.Context(), chain)
				if err == nil || !strings.Contains(err.Error(), ": "+tt.want) ||
					errors.Is(err, errUnavailable) {
					t.Errorf("error is %v, want %q", err, tt.want)
				}
			}
			lastOf := func(i int) {
				t.Helper()
				if got := chain.Status().Sources[i].LastError; !strings.HasPrefix(got, tt.want) {
					t.Errorf("status says %q, want %q", got, tt.want)
				}
			}
			ask(chain)
			ask(of(Options{}, chain)) // nested
			lastOf(1)
			b.set(nil)
			wantFrom(t, chain, "b")
			b.set(tt.err) // the source in use
			ask(chain)
			b.set(nil)
			a.set(tt.err) // and in a look
			time.Sleep(2 * time.Minute)
			wantFrom(t, chain, "b")
			time.Sleep(time.Second)
			lastOf(0)
		})
	}
}

// TestChainReadsAnErrorOnce: neither Status nor the caller's own reading of the error calls a
// foreign method again, and ContinueOn isn't asked what a caller that leaves means.
func TestChainReadsAnErrorOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var reads, asked atomic.Int64
		err := errors.Join(errorFunc(func() string { reads.Add(1); return "read" }))
		chain := of(Options{ContinueOn: func(error) bool {
			asked.Add(1)
			return true
		}}, &scripted{err: err}, &scripted{err: errAway, took: time.Minute})
		for range 10 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, got := getToken(ctx, chain)
			cancel()
			if !strings.Contains(got.Error(), "read") ||
				!strings.Contains(chain.Status().Sources[0].LastError, "read") {
				t.Errorf("error is %v, status %+v", got, chain.Status())
			}
		}
		if reads.Load() != 10 || asked.Load() != 10 {
			t.Errorf("the error was read %d times, and ContinueOn asked %d times, want once for each "+
				"of 10 calls", reads.Load(), asked.Load())
		}
	})
}

// TestChainErrorHidesResponses: a 404 of a credential's must not look like the missing blob of the
// call that needed the token. All else is found by programs, however deep.
func TestChainErrorHidesResponses(t *testing.T) {
	always := func(error) bool { return true }
	for _, tt := range []struct {
		name       string
		continueOn func(error) bool
		depth      int
	}{
		{name: "ends it"},
		{name: "goes on", continueOn: always},
		{name: "nested", depth: 3},
	} {
		bubbleIn(t, tt.name, func(t *testing.T) {
			chain := of(Options{ContinueOn: tt.continueOn}, &scripted{err: errors.Join(errBroken,
				&azcore.ResponseError{StatusCode: 404, RawResponse: &http.Response{}},
				&ownError{text: "404"})})
			for range tt.depth {
				chain = of(Options{}, chain)
			}
			_, err := getToken(t.Context(), chain)
			if _, ok := errors.AsType[*azcore.ResponseError](err); ok {
				t.Error("errors.As finds the credential's *azcore.ResponseError")
			}
			if _, ok := errors.AsType[*ownError](err); !ok || !errors.Is(err, errBroken) {
				t.Error("the rest of the error is lost")
			}
			if strings.Count(err.Error(), "\n") != 1 {
				t.Errorf("error isn't one line, and one for the source: %v", err)
			}
		})
	}
}

// TestChainErrorOfOthers is shown as a line of moderate length without a token, also if one of ours
// is in it, which stays as it is.
func TestChainErrorOfOthers(t *testing.T) {
	const canary = "eyJhbGciOiJub25lIn0.canary"
	own := &ownError{text: strings.Repeat("own ", 500) + canary}
	for _, tt := range []struct {
		name string
		err  error
		want string // in it
		most int    // bytes
	}{
		{name: "long", err: errors.New("two\nlines " + strings.Repeat("long ", 1000)),
			want: ": two lines long", most: 1100},
		{name: "a header", err: errors.New("Bearer " + canary), want: "REDACTED", most: 100},
		{name: "JSON", err: errors.New(`{"accessToken":"` + canary + `"}`), want: "REDACTED", most: 100},
		{name: "wraps one of ours", err: fmt.Errorf("%s: %w", canary, &ownError{text: "own"}),
			want: "own", most: 100},
		{name: "ours", err: own, want: own.text, most: 3000},
	} {
		bubbleIn(t, tt.name, func(t *testing.T) {
			_, err := getToken(t.Context(), of(Options{}, &scripted{err: tt.err}))
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != 2 || len(lines[1]) > tt.most || !strings.Contains(lines[1], tt.want) ||
				strings.Contains(lines[1], "canary") != (tt.err == error(own)) {
				t.Errorf("error is %q, want %q in it", err, tt.want)
			}
		})
	}
}

// TestChainErrorPasses if the failure that has ended it does, or all sources are unavailable.
func TestChainErrorPasses(t *testing.T) {
	passing := &ownError{text: "503", passes: true}
	for _, tt := range []struct {
		name string
		err  error
		want bool
	}{
		{name: "unavailable", err: errAway, want: true},
		{name: "fails", err: errBroken},
		{name: "ours fails", err: &ownError{text: "400"}},
		{name: "ours passes", err: passing, want: true},
		{name: "in another error", err: fmt.Errorf("wrapped: %w", passing), want: true},
	} {
		bubbleIn(t, tt.name, func(t *testing.T) {
			chain := of(Options{}, &scripted{err: tt.err})
			for depth := range 3 {
				_, err := getToken(t.Context(), chain)
				if e, ok := err.(*Error); !ok || e.Passes() != tt.want {
					t.Errorf("in %d chains: %v passes is %v, want %v", depth, err, !tt.want, tt.want)
				}
				chain = of(Options{}, chain)
			}
		})
	}
}
