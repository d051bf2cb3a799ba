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
	for name, tt := range map[string]struct {
		err        error
		continueOn func(error) bool
		want       string
	}{
		"Error": {errorFunc(func() string {
			panic("Error")
		}), nil, "its error can't be judged: it panicked: Error"},
		"nil": {(*nilError)(nil), nil,
			"its error can't be judged: it panicked: runtime error: invalid memory address"},
		"Is": {unwrapPanics{errBroken}, nil, "its error can't be judged: it panicked: Is"},
		"ContinueOn": {errBroken, func(error) bool {
			panic("ContinueOn, eyJhbGciOiJub25lIn0.canary")
		}, "its error can't be judged: it panicked: ContinueOn, REDACTED"},
		"no text": {errorFunc(func() string { return "" }), nil, "an error without a word"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
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
				ask(chain)
				ask(of(Options{}, chain)) // nested
				if got := chain.Status().Sources[1].LastError; !strings.HasPrefix(got, tt.want) {
					t.Errorf("status says %q, want %q", got, tt.want)
				}
				b.set(nil)
				wantFrom(t, chain, "b")
				b.set(tt.err) // the source in use
				ask(chain)
				b.set(nil)
				a.set(tt.err) // and in a look
				time.Sleep(2 * time.Minute)
				wantFrom(t, chain, "b")
				time.Sleep(time.Second)
				if got := chain.Status().Sources[0].LastError; !strings.HasPrefix(got, tt.want) {
					t.Errorf("status says %q, want %q", got, tt.want)
				}
			})
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
			t.Errorf("the error was read %d times, and ContinueOn asked %d times, want once for each of "+
				"10 calls",
				reads.Load(), asked.Load())
		}
	})
}

// TestChainErrorThroughNestedChains: programs decide by the same errors however deep.
func TestChainErrorThroughNestedChains(t *testing.T) {
	bubble(t, func(t *testing.T) {
		nested := func(err error) *Chain {
			return of(Options{}, of(Options{}, of(Options{}, &scripted{err: err})),
				of(Options{}, &scripted{name: "next"}))
		}
		wantFrom(t, nested(errAway), "next")
		for _, want := range []error{errRefused, errBroken} {
			_, err := getToken(t.Context(), nested(errors.Join(want, &azcore.ResponseError{StatusCode: 404,
				RawResponse: &http.Response{StatusCode: 404}}, &ownError{text: "404"})))
			if _, ok := errors.AsType[*azcore.ResponseError](err); !errors.Is(err, want) || ok {
				t.Errorf("error is %v, want %v in it, and no response", err, want)
			}
			if ae, ok := errors.AsType[*ownError](err); !ok || ae.text != "404" {
				t.Errorf("errors.As finds %v", ae)
			}
			if strings.Count(err.Error(), "\n") != 2 {
				t.Errorf("error isn't one line, and one for each source: %v", err)
			}
		}
	})
}

// TestChainErrorHidesResponses: a 404 of a credential's must not look like the missing blob of the
// call that needed the token.
func TestChainErrorHidesResponses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		foreign := errors.Join(errBroken, &azcore.ResponseError{StatusCode: 404,
			RawResponse: &http.Response{StatusCode: 404}}, &ownError{text: "404"})
		for _, continueOn := range []func(error) bool{nil, func(error) bool { return true }} {
			_, err := getToken(t.Context(), of(Options{ContinueOn: continueOn},
				&scripted{err: foreign}))
			if _, ok := errors.AsType[*azcore.ResponseError](err); ok {
				t.Error("errors.As finds the credential's *azcore.ResponseError")
			}
			if _, ok := errors.AsType[*ownError](err); !ok || !errors.Is(err, errBroken) {
				t.Error("the rest of the error is lost")
			}
		}
	})
}

func TestChainErrorOfOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const canary = "eyJhbGciOiJub25lIn0.canary"
		for _, text := range []string{"two\nlines " + strings.Repeat("long ", 1000), "Bearer " + canary, `{"accessToken":"` + canary + `"}`} {
			wrapped := fmt.Errorf("%s: %w", text, &ownError{})
			_, err := getToken(t.Context(), of(Options{}, &scripted{err: wrapped}))
			if lines := strings.Split(err.Error(), "\n"); len(lines) != 2 || len(lines[1]) > 1100 ||
				strings.Contains(err.Error(), "canary") {
				t.Errorf("error is %q, want a line of moderate length for the source, and no token", err)
			}
		}
	})
}
