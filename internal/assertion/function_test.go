package assertion

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/failure"
)

const bound = 30 * time.Second

// foreign judges as for code that knows nothing of this library.
func foreign(error) (ours, passes bool) { return false, true }

func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, f)
}

// called is a function, and how often it has been called.
type called struct {
	n atomic.Int64
	f func(ctx context.Context) (string, error)
}

func (c *called) source() *Function {
	return NewFunction("AssertionFunc", bound, func(ctx context.Context, _ Request) (string, error) {
		c.n.Add(1)
		return c.f(ctx)
	}, foreign)
}

// panicking is an error that can't say what it is about.
type panicking struct{}

func (panicking) Error() string { panic("in Error") }

// TestFunction: whatever code does, its caller gets an assertion, or an error that names the code.
func TestFunction(t *testing.T) {
	dial := &net.OpError{Op: "dial", Err: io.EOF}
	long := strings.Repeat("a", 5000)
	const token = "eyJhbGciOiJub25lIn0.eyJhIjoxfQ.c2lnbmF0dXJl"
	for name, tt := range map[string]struct {
		f     func(context.Context) (string, error)
		want  string // of the error; "" for none
		cause error
	}{
		"an assertion": {f: func(context.Context) (string, error) { return " " + token + "\n", nil }},
		"an error": {f: func(context.Context) (string, error) { return token, fmt.Errorf("x: %w", dial) },
			want: "AssertionFunc: x: dial: EOF", cause: dial},
		"a token in the error": {f: func(context.Context) (string, error) {
			return "", fmt.Errorf("got %s: %w", token, dial)
		}, want: "AssertionFunc: got REDACTED: dial: EOF"},
		"what it returned in the error": {f: func(context.Context) (string, error) {
			return "pa55word-pa55word", fmt.Errorf("pa55word-pa55word: %w", dial)
		}, want: "AssertionFunc: REDACTED: dial: EOF"},
		"lines": {f: func(context.Context) (string, error) { return "", errors.New("a\nb") },
			want: "AssertionFunc: a b"},
		"a long one": {f: func(context.Context) (string, error) { return "", errors.New(long) },
			want: "AssertionFunc: " + long[:maxText] + "…"},
		"no word": {f: func(context.Context) (string, error) { return "", errors.New("") },
			want: "AssertionFunc: an error without a word"},
		"an error that panics": {f: func(context.Context) (string, error) { return "", panicking{} },
			want: "AssertionFunc: panicked: in Error"},
		"a panic": {f: func(context.Context) (string, error) { panic(token) },
			want: "AssertionFunc: panicked: REDACTED"},
		"a nil pointer": {f: func(context.Context) (string, error) {
			var p *Request
			return p.TenantID, nil
		},
			want: "AssertionFunc: panicked: runtime error: invalid memory address or nil pointer dereference"},
		"its goroutine's end": {f: func(context.Context) (string, error) {
			runtime.Goexit()
			return "", nil
		}, want: "AssertionFunc: has ended its goroutine, as runtime.Goexit and testing.T.FailNow do"},
		"it heeds its context": {f: func(ctx context.Context) (string, error) {
			<-ctx.Done()
			return "", fmt.Errorf("vault: %w", ctx.Err())
		}, want: "AssertionFunc: vault: context deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				got, err := (&called{f: tt.f}).source().Get(t.Context(), Request{})
				if tt.want == "" {
					if got != token || err != nil {
						t.Errorf("got %q, %v", got, err)
					}
					return
				}
				if err == nil || err.Error() != tt.want || got != "" {
					t.Fatalf("got %q, %v, want %s", got, err, tt.want)
				}
				f := &failure.Failure{}
				if f.Heed(err); f.Verdict != failure.Later || (f.Cause == nil) != (tt.cause == nil) &&
					name != "lines" && name != "a long one" && name != "no word" {
					t.Errorf("the verdict is %v, the cause %v", f.Verdict, f.Cause)
				}
				if tt.cause != nil && !errors.Is(f.Cause, tt.cause) {
					t.Errorf("the cause is %v, want %v", f.Cause, tt.cause)
				}
				if errors.Is(f.Cause, context.DeadlineExceeded) {
					t.Error("the exchange's deadline looks like the caller's")
				}
			})
		})
	}
}

// TestFunctionThatHangs: a call is left after the bound, and the next ones come later and later, so
// that neither a call that is lost blocks a resource for ever, nor do goroutines pile up.
func TestFunctionThatHangs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		c := &called{f: func(context.Context) (string, error) { <-release; return "a.b.c", nil }}
		f, start := c.source(), time.Now()
		var began []time.Duration
		for time.Since(start) < time.Hour {
			before, at := c.n.Load(), time.Now()
			_, err := f.Get(t.Context(), Request{For: "a"})
			switch took := time.Since(at); {
			case err == nil:
				t.Fatal("an assertion of a call that hangs")
			case c.n.Load() > before:
				began = append(began, at.Sub(start).Round(time.Second))
				if want := "AssertionFunc: has not returned within 30s: does it"; took != bound+
					graceAfterBound || !strings.HasPrefix(err.Error(), want) {
					t.Errorf("got %v after %v, want %s", err, took, want)
				}
			case took != 0 || !strings.HasPrefix(err.Error(), "AssertionFunc: has not returned since "):
				t.Errorf("got %v after %v, want an error at once", err, took)
			}
			time.Sleep(time.Second)
		}
		if n := len(began); n != 6 || began[1] < time.Minute || began[5] < 31*time.Minute {
			t.Errorf("calls began after %v", began)
		}
		// Another resource's is another call.
		other := c.n.Load()
		if _, err := f.Get(t.Context(), Request{For: "b"}); err == nil || c.n.Load() != other+1 {
			t.Errorf("another resource's: %d calls, %v", c.n.Load()-other, err)
		}
		close(release)
		synctest.Wait()
		if got, err := f.Get(t.Context(), Request{For: "a"}); got != "a.b.c" || err != nil {
			t.Errorf("after all have returned: got %q, %v", got, err)
		}
		if len(f.stuck) != 0 {
			t.Errorf("%v is kept", f.stuck)
		}
	})
}

// TestFunctionThatIsSlow: one that returns after the bound, each time, is called each time.
func TestFunctionThatIsSlow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := &called{f: func(context.Context) (string, error) {
			time.Sleep(bound + time.Second)
			return "a.b.c", nil
		}}
		f := c.source()
		for range 3 {
			if _, err := f.Get(t.Context(), Request{}); err == nil {
				t.Error("no error")
			}
			time.Sleep(2 * time.Second)
		}
		if c.n.Load() != 3 {
			t.Errorf("called %d times, want 3", c.n.Load())
		}
	})
}

// TestWithin: what a call asks for is known to be of that call, also in calls that it brings about,
// and in contexts that carry it.
func TestWithin(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var outer, inner *Function
		var within, carried, strange bool
		inner = NewFunction("inner", bound, func(ctx context.Context, _ Request) (string, error) {
			within = Within(ctx, outer) && Within(ctx, inner)
			carried = Within(Carry(context.Background(), ctx), outer)
			return "", nil
		}, foreign)
		outer = NewFunction("outer", bound, func(ctx context.Context, _ Request) (string, error) {
			strange = Within(ctx, inner)
			return inner.Get(ctx, Request{})
		}, foreign)
		_, _ = outer.Get(t.Context(), Request{})
		if !within || !carried || strange || Within(t.Context(), outer) {
			t.Errorf("within %v, carried %v, strange %v", within, carried, strange)
		}
	})
}

// aCredential has one token, and another one once it is told to refresh.
type aCredential struct {
	left      time.Duration // of the first one
	refreshes int
	err       error // of Refresh
}

func (c *aCredential) GetToken(
	_ context.Context, o policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "held for " + o.Scopes[0], ExpiresOn: time.Now().Add(c.left)}, nil
}

func (c *aCredential) refresh(
	_ context.Context, o policy.TokenRequestOptions,
) (azcore.AccessToken, bool, error) {
	c.refreshes++
	return azcore.AccessToken{Token: "fresh for " + o.Scopes[0]}, true, c.err
}

// TestCredential: a token that is about to end, or that Entra has refused, is replaced.
func TestCredential(t *testing.T) {
	const scope = "api://AzureADTokenExchange/.default"
	for name, tt := range map[string]struct {
		cred      aCredential
		stale     bool
		plain     bool // it can't be told to refresh
		want      string
		refreshes int
	}{
		"a held one":   {cred: aCredential{left: time.Hour}, want: "held"},
		"about to end": {cred: aCredential{left: leastLeft}, want: "fresh", refreshes: 1},
		"refused": {cred: aCredential{left: time.Hour}, stale: true, want: "fresh",
			refreshes: 1},
		"the host is out": {cred: aCredential{left: time.Second, err: io.EOF}, want: "held",
			refreshes: 1},
		"another library's one": {cred: aCredential{left: time.Second}, plain: true, want: "held"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				anew := tt.cred.refresh
				if tt.plain {
					anew = nil
				}
				r := Request{Audience: "api://AzureADTokenExchange"}
				if tt.stale {
					r.Stale = "held for " + scope
				}
				got, err := NewCredential("CredentialAssertion", tt.cred.GetToken, anew, foreign).
					Get(t.Context(), r)
				if want := tt.want + " for " + scope; got != want || err != nil ||
					tt.cred.refreshes != tt.refreshes {
					t.Errorf("got %q, %v, %d refreshes, want %q", got, err, tt.cred.refreshes, want)
				}
			})
		})
	}
}
