package identity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity/identitytest"
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
				chain := mustChain(t, &ChainOptions{ContinueOn: tt.continueOn}, a, b, &scripted{})
				ask := func(chain *Chain) {
					t.Helper()
					_, err := getToken(t.Context(), chain)
					if err == nil || !strings.Contains(err.Error(), ": "+tt.want) ||
						errors.Is(err, ErrUnavailable) {
						t.Errorf("error is %v, want %q", err, tt.want)
					}
				}
				ask(chain)
				ask(mustChain(t, nil, chain)) // nested
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
		chain := mustChain(t, &ChainOptions{ContinueOn: func(error) bool {
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

// TestChainErrorOfWhoLeaves says of each source what is known of it.
func TestChainErrorOfWhoLeaves(t *testing.T) {
	for _, tt := range []struct {
		name string
		use  bool // the third is ours and in use
		want []string
	}{
		{"a walk", false, []string{"chain: no token for https://vault.azure.net: gave up waiting: " +
			"context deadline exceeded",
			"identity.scripted: away", "identity.scripted: away", "managed identity: IMDS: gave up " +
				"waiting after 1s: context deadline exceeded", "identity.scripted: not asked"}},
		{"the source in use", true,
			[]string{"chain: no token for https://vault.azure.net: gave up waiting: context deadline " +
				"exceeded",
				"identity.scripted: away", "identity.scripted: away", "managed identity: IMDS: gave up " +
					"waiting after 1s: context deadline exceeded", "identity.scripted: not asked"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ep := &slowAtFirst{ep: identitytest.NewIMDS(nil), delay: 2 * time.Second}
				chain := mustChain(t, nil, &scripted{err: errAway}, &scripted{err: errAway}, onIMDS(t, ep),
					&scripted{})
				if tt.use {
					mustToken(t, chain)
					time.Sleep(24 * time.Hour) // its token has ended
					ep.delay = time.Hour
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, err := getToken(ctx, chain)
				got := strings.Split(strings.TrimPrefix(err.Error(), "identity: "), "\n\t")
				if len(got) != len(tt.want) || !errors.Is(err, context.DeadlineExceeded) ||
					errors.Is(err, ErrUnavailable) {
					t.Fatalf("error is %v", err)
				}
				for i, want := range tt.want {
					if !strings.HasPrefix(got[i], want) || strings.HasSuffix(want, "not asked") && got[i] != want {
						t.Errorf("line %d is %q, want %q", i, got[i], want)
					}
				}
			})
		})
	}
}

// TestChainErrorThroughNestedChains: programs decide by the same errors however deep.
func TestChainErrorThroughNestedChains(t *testing.T) {
	bubble(t, func(t *testing.T) {
		nested := func(err error) *Chain {
			return mustChain(t, nil, mustChain(t, nil, mustChain(t, nil, &scripted{err: err})),
				mustChain(t, nil, &scripted{name: "next"}))
		}
		wantFrom(t, nested(errAway), "next")
		for _, want := range []error{ErrIdentityNotFound, ErrIdentityMismatch, ErrThrottled, errBroken} {
			_, err := getToken(t.Context(), nested(errors.Join(want, &azcore.ResponseError{StatusCode: 404,
				RawResponse: respond(404, "")}, &AuthenticationError{StatusCode: 404})))
			if _, ok := errors.AsType[*azcore.ResponseError](err); !errors.Is(err, want) || ok {
				t.Errorf("error is %v, want %v in it, and no response", err, want)
			}
			if ae, ok := errors.AsType[*AuthenticationError](err); !ok || ae.StatusCode != 404 {
				t.Errorf("errors.As finds %v", ae)
			}
			if strings.Count(err.Error(), "\n") != 2 {
				t.Errorf("error isn't one line, and one for each source: %v", err)
			}
		}
	})
}

// TestChainError is what is read at night.
func TestChainError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		silent := onIMDS(t, transportFunc(func(*http.Request) (*http.Response, error) {
			return respond(404, "<html>gateway</html>"), nil
		}))
		unassigned := onIMDS(t, ep, func(o *CredentialOptions) {
			o.ID = ClientID("11111111-2222-3333-4444-555555555555")
		})
		chain := mustChain(t, nil, silent, unassigned, &scripted{})
		_, err := getToken(t.Context(), chain)
		want := []string{
			"identity: chain: no token for https://vault.azure.net: managed identity failed",
			`managed identity: IMDS: 404 "<html>gateway</html>": not an answer of IMDS (token for ` +
				`https://vault.azure.net, `,
			`managed identity: IMDS: 400 invalid_request "Identity not found" (token for ` +
				`https://vault.azure.net, 1 attempt, `,
			"identity.scripted: not asked: the next source is for when one is unavailable, not for when " +
				"one fails",
		}
		lines := strings.Split(err.Error(), "\n\t")
		if len(lines) != len(want) {
			t.Fatalf("got %d lines, want %d:\n%v", len(lines), len(want), err)
		}
		for i := range want {
			if !strings.HasPrefix(lines[i], want[i]) {
				t.Errorf("line %d is %q, want %q", i, lines[i], want[i])
			}
		}
		ae, ok := errors.AsType[*AuthenticationError](err)
		if !ok || ae.StatusCode != 400 || !errors.Is(err, ErrIdentityNotFound) ||
			errors.Is(err, ErrUnavailable) {
			t.Errorf("errors.As finds %v, want the 400 that ended it", ae)
		}
	})
}

// TestChainErrorHidesResponses: a 404 of a credential's must not look like the missing blob of the
// call that needed the token.
func TestChainErrorHidesResponses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		foreign := errors.Join(errBroken, &azcore.ResponseError{StatusCode: 404,
			RawResponse: respond(404, "")}, &AuthenticationError{StatusCode: 404})
		for _, continueOn := range []func(error) bool{nil, func(error) bool { return true }} {
			_, err := getToken(t.Context(), mustChain(t, &ChainOptions{ContinueOn: continueOn},
				&scripted{err: foreign}))
			if _, ok := errors.AsType[*azcore.ResponseError](err); ok {
				t.Error("errors.As finds the credential's *azcore.ResponseError")
			}
			if _, ok := errors.AsType[*AuthenticationError](err); !ok || !errors.Is(err, errBroken) {
				t.Error("the rest of the error is lost")
			}
		}
	})
}

func TestChainErrorOfOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const canary = "eyJhbGciOiJub25lIn0.canary"
		for _, text := range []string{"two\nlines " + strings.Repeat("long ", 1000), "Bearer " + canary, `{"accessToken":"` + canary + `"}`} {
			_, err := getToken(t.Context(), mustChain(t, nil, &scripted{err: errors.New(text)}))
			if lines := strings.Split(err.Error(), "\n"); len(lines) != 2 || len(lines[1]) > 1100 ||
				strings.Contains(err.Error(), "canary") {
				t.Errorf("error is %q, want a line of moderate length for the source, and no token", err)
			}
		}
	})
}

// TestChainErrorIsEachCallersOwn: two callers of one pass may read the body of one answer.
func TestChainErrorIsEachCallersOwn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		cred := onIMDS(t, ep, func(o *CredentialOptions) {
			o.ID = ClientID("11111111-2222-3333-4444-555555555555")
		})
		// so that they do share it
		chain := mustChain(t, nil, &scripted{err: errAway, took: time.Second}, cred)
		outer := mustChain(t, nil, chain)
		bodies := make(chan string, 10)
		for range cap(bodies) {
			go func() {
				_, err := getToken(t.Context(), outer)
				ae, ok := errors.AsType[*AuthenticationError](err)
				if !ok {
					bodies <- fmt.Sprint("no AuthenticationError: ", err)
					return
				}
				body, _ := io.ReadAll(ae.RawResponse.Body) // azcore would rewind it for the others
				bodies <- string(body)
			}()
		}
		for range cap(bodies) {
			if body := <-bodies; !strings.Contains(body, "Identity not found") {
				t.Errorf("a caller read %q", body)
			}
		}
	})
}
