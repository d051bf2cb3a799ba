package identity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	azruntime "github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/keyless-go/identity/identitytest"
)

// sourceFunc is a function as a source of a chain.
type sourceFunc func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error)

func (f sourceFunc) GetToken(
	ctx context.Context, o policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	return f(ctx, o)
}

// scripted is a source that says what it is told to, and counts how often it is asked.
type scripted struct {
	name string
	mu   sync.Mutex
	err  error
	took time.Duration
	asks atomic.Int64
}

func (s *scripted) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *scripted) GetToken(
	ctx context.Context, _ policy.TokenRequestOptions,
) (azcore.AccessToken, error) {
	s.asks.Add(1)
	s.mu.Lock()
	err, took := s.err, s.took
	s.mu.Unlock()
	if err := lasts(ctx, took); err != nil {
		return azcore.AccessToken{}, err
	}
	if err != nil {
		return azcore.AccessToken{}, err
	}
	return azcore.AccessToken{Token: s.name, ExpiresOn: time.Now().Add(time.Hour)}, nil
}

var (
	errAway   = fmt.Errorf("away: %w", ErrUnavailable)
	errBroken = errors.New("broken")
)

func mustChain(tb testing.TB, options *ChainOptions, sources ...azcore.TokenCredential) *Chain {
	tb.Helper()
	chain, err := NewChain(sources, options)
	if err != nil {
		tb.Fatal(err)
	}
	return chain
}

// wantFrom fails the test if the token isn't of that source.
func wantFrom(tb testing.TB, cred azcore.TokenCredential, source string) {
	tb.Helper()
	if tk, err := getToken(tb.Context(), cred); err != nil || tk.Token != source {
		tb.Errorf("got the token %q, error %v, want that of %s", tk.Token, err, source)
	}
}

func TestNewChainRefuses(t *testing.T) {
	t.Parallel()
	var none *AzureCLICredential
	for _, tt := range []struct {
		name    string
		sources []azcore.TokenCredential
		want    string
	}{
		{"no sources", nil, "identity: NewChain: no sources"},
		{"nil", []azcore.TokenCredential{&scripted{}, nil}, "identity: NewChain: sources[1] is nil"},
		{"nil pointer", []azcore.TokenCredential{none}, "identity: NewChain: sources[0] is nil"},
	} {
		if _, err := NewChain(tt.sources, nil); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: error is %v, want %q", tt.name, err, tt.want)
		}
	}
	if s := (&Chain{}).Status(); s.InUse != "" || len(s.Sources) > 0 {
		t.Errorf("zero Chain: status is %+v", s)
	}
	if _, err := (&Chain{}).GetToken(t.Context(), policy.TokenRequestOptions{}); err == nil ||
		!strings.Contains(err.Error(), "NewChain") {
		t.Errorf("zero Chain: error is %v", err)
	}
	var noContext context.Context
	if _, err := mustChain(t, nil, &scripted{}).GetToken(noContext,
		policy.TokenRequestOptions{}); err == nil || !strings.Contains(err.Error(), "nil Context") {
		t.Errorf("nil Context: error is %v", err)
	}
}

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
			isNot: ErrUnavailable},
		{name: "stops at once", errs: []error{ErrIdentityNotFound, nil}, asked: []int64{1, 0},
			is: ErrIdentityNotFound, isNot: ErrUnavailable},
		{name: "all away", errs: []error{errAway, errAway}, asked: []int64{1, 1}, is: ErrUnavailable,
			isNot: errBroken},
		{name: "the user's word", errs: []error{errBroken, nil}, continueOn: func(err error) bool {
			return errors.Is(err, errBroken)
		}, want: "1", asked: []int64{1, 1}},
		{name: "not the user's word", errs: []error{ErrThrottled, nil}, continueOn: func(err error) bool {
			return errors.Is(err, errBroken)
		}, asked: []int64{1, 0}, is: ErrThrottled, isNot: ErrUnavailable},
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
				tk, err := getToken(t.Context(), mustChain(t, &ChainOptions{ContinueOn: tt.continueOn},
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

func TestChainRemembers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b, c := &scripted{name: "a", err: errAway}, &scripted{name: "b"}, &scripted{name: "c"}
		chain := mustChain(t, nil, a, b, c)
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

// TestChainLooksBack: a source that was unreachable is asked again in the background, and used from
// its first success.
func TestChainLooksBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := &scripted{name: "a", err: errAway, took: 5 * time.Second}, &scripted{name: "b"}
		chain := mustChain(t, nil, a, b)
		wantFrom(t, chain, "b")
		start := time.Now()
		slow, calls, asked := 0, int64(0), b.asks.Load()
		for time.Since(start) < 10*time.Minute {
			began := time.Now()
			wantFrom(t, chain, "b")
			if calls++; time.Since(began) > 0 {
				slow++
			}
			time.Sleep(time.Second)
		}
		if n := a.asks.Load(); n < 9 || n > 11 {
			t.Errorf("the source before was asked %d times in 10 minutes, want once a minute", n)
		}
		if n := b.asks.Load() - asked; n != calls {
			t.Errorf("the source in use was asked %d times in %d calls", n, calls)
		}
		if slow > 0 {
			t.Errorf("%d callers waited for that", slow)
		}
		a.set(nil)
		time.Sleep(time.Minute)
		wantFrom(t, chain, "b") // this starts the look
		time.Sleep(5*time.Second + 1)
		wantFrom(t, chain, "a")
		n := b.asks.Load()
		b.set(errBroken)
		time.Sleep(time.Hour)
		wantFrom(t, chain, "a")
		if b.asks.Load() != n {
			t.Error("the later source is asked although an earlier one is in use")
		}
	})
}

// TestChainKeepsWhatWorks: a source before the one in use that has become reachable and fails is
// not used.
func TestChainKeepsWhatWorks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		logged := &lines{}
		a, b := &scripted{name: "a", err: errAway}, &scripted{name: "b"}
		chain := mustChain(t, &ChainOptions{Logger: slog.New(slog.NewTextHandler(logged, nil))}, a, b)
		wantFrom(t, chain, "b")
		a.set(errBroken)
		time.Sleep(2 * time.Minute)
		wantFrom(t, chain, "b")
		synctest.Wait()
		wantFrom(t, chain, "b")
		if !strings.Contains(logged.String(), "level=WARN") ||
			!strings.Contains(logged.String(), "broken") {
			t.Errorf("the log doesn't say so: %s", logged)
		}
	})
}

// TestChainTokenIsAskedForAgain: an Azure SDK client keeps a token until RefreshOn, and would not
// come to know of a better source before.
func TestChainTokenIsAskedForAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := &scripted{name: "a", err: errAway}, &scripted{name: "b"}
		chain := mustChain(t, nil, a, b)
		for range 2 { // of a pass, and of the source in use
			if tk, _ := mustToken(t, chain); time.Until(tk.RefreshOn) != time.Minute {
				t.Errorf("RefreshOn is in %v, want in a minute", time.Until(tk.RefreshOn))
			}
		}
		var authorization string
		client := azruntime.NewPipeline("test", "v0", azruntime.PipelineOptions{
			PerRetry: []policy.Policy{azruntime.NewBearerTokenPolicy(chain, []string{vaultScope}, nil)},
		}, &policy.ClientOptions{Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
			authorization = r.Header.Get("Authorization")
			return respond(200, ""), nil
		})})
		call := func() {
			req, err := azruntime.NewRequest(t.Context(), http.MethodGet, "https://example.com")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := client.Do(req); err != nil {
				t.Fatal(err)
			}
		}
		call()
		a.set(nil)
		start := time.Now()
		for authorization != "Bearer a" && time.Since(start) < time.Hour {
			time.Sleep(time.Second)
			call()
		}
		if took := time.Since(start); took > 3*time.Minute {
			t.Errorf("the client uses the first source's token after %v", took)
		}
		if tk, _ := mustToken(t, chain); time.Until(tk.RefreshOn) > 0 {
			t.Errorf("RefreshOn of the first source was set, to %v", tk.RefreshOn)
		}
	})
}

// TestChainAskedAgain: RefreshOn is a minute away at most, and a sooner one stays.
func TestChainAskedAgain(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, tt := range []struct{ before, want time.Duration }{{time.Hour, time.Minute}, {10 * time.Second, 10 * time.Second}, {-time.Second, -time.Second}} {
		token := azcore.AccessToken{RefreshOn: now.Add(tt.before)}
		if got := askedAgain(token, now).RefreshOn.Sub(now); got.Round(time.Millisecond) != tt.want {
			t.Errorf("RefreshOn in %v became one in %v, want %v", tt.before, got, tt.want)
		}
	}
	if got := askedAgain(azcore.AccessToken{},
		now).RefreshOn.Sub(now); got.Round(time.Millisecond) != time.Minute {
		t.Errorf("no RefreshOn became one in %v, want a minute", got)
	}
}

// TestChainCallerLeaves while a source is asked: the error is the caller's, says what is known so
// far, and is no failure of the source.
func TestChainCallerLeaves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := &scripted{name: "a", err: errAway, took: 5 * time.Second},
			&scripted{name: "b", took: 5 * time.Second}
		chain := mustChain(t, nil, a, b)
		for _, patience := range []time.Duration{time.Second, 6 * time.Second} {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			start := time.Now()
			_, err := getToken(ctx, chain)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrUnavailable) ||
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

// TestChainWalkIsBounded: a source of somebody else's may never answer.
func TestChainWalkIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		start := time.Now()
		chain := mustChain(t, nil, &scripted{took: time.Hour})
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
			chain := mustChain(t, nil, sourceFunc(func(ctx context.Context,
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
				want := "identity.sourceFunc: it panicked: canary: REDACTED"
				if lines := strings.Split(fmt.Sprint(err), "\n\t"); len(lines) != 3 ||
					lines[1] != want ||
					!strings.HasPrefix(lines[2], "identity.scripted: not asked") {
					t.Errorf("error is %v, want %q", err, want)
				}
				if e, ok := errors.AsType[passingError](err); !ok || e.passes() {
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
			if n := chain.state.walks.Load() + chain.state.looks.Load(); n != 0 {
				t.Errorf("%s: %d walks and looks are left", name, n)
			}
		}
	})
}

func TestChainReady(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := &scripted{name: "a", err: errAway}, &scripted{name: "b", err: errAway}
		chain := mustChain(t, nil, a, b)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := chain.Ready(ctx, vaultScope); !errors.Is(err, context.DeadlineExceeded) ||
			!errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "not ready") {
			t.Errorf("error is %v", err)
		}
		go func() {
			time.Sleep(20 * time.Second)
			b.set(nil)
		}()
		start := time.Now()
		if err := chain.Ready(t.Context(), vaultScope); err != nil || time.Since(start) > 21*time.Second {
			t.Errorf("got %v after %v, want nil soon after 20 s", err, time.Since(start))
		}
		b.set(errBroken)
		if err := chain.Ready(t.Context(), vaultScope); !errors.Is(err, errBroken) {
			t.Errorf("error is %v", err)
		}
		if err := chain.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "no scope") {
			t.Errorf("no scope: %v", err)
		}
	})
}

func TestChainStatus(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cred := onIMDS(t, transportFunc(func(*http.Request) (*http.Response, error) {
			return nil, errBroken
		}))
		b := &scripted{name: "b"}
		chain := mustChain(t, nil, cred, b)
		if s := chain.Status(); s.InUse != "" || len(s.Sources) != 2 || s.Sources[0].LastError != "" ||
			s.Azure != "" {
			t.Errorf("at first: %+v", s)
		}
		wantFrom(t, chain, "b")
		s := chain.Status()
		if s.InUse != "identity.scripted" ||
			!strings.Contains(s.Sources[0].LastError, "IMDS: no answer") ||
			s.Sources[0].LastErrorOn.IsZero() ||
			s.Sources[0].LastErrorOn != s.Sources[0].LastErrorOn.UTC().Round(0) ||
			s.Sources[0].Credential == nil || s.Sources[0].Credential.Host != HostIMDS ||
			len(s.Sources[0].Credential.Resources) != 1 || s.Sources[1].Credential != nil {
			t.Errorf("later: %+v", s)
		}
	})
}

// TestChainHitDoesNotAllocate: a chain in front of a credential that has a token costs a hit
// nothing, whosever it is.
func TestChainHitDoesNotAllocate(t *testing.T) {
	cred, err := NewCredential(&CredentialOptions{Host: HostIMDS,
		ClientOptions: azcore.ClientOptions{Transport: &answerDirectly{}}})
	if err != nil {
		t.Fatal(err)
	}
	held := azcore.AccessToken{Token: "held", ExpiresOn: time.Now().Add(time.Hour)}
	foreign := sourceFunc(func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken,
		error) {
		return held, nil
	})
	for name, chain := range map[string]*Chain{
		"ours":             mustChain(t, nil, cred),
		"foreign":          mustChain(t, nil, foreign),
		"ours and foreign": mustChain(t, nil, cred, foreign),
		"foreign, second":  mustChain(t, nil, &scripted{err: errAway}, foreign),
		"nested":           mustChain(t, nil, mustChain(t, nil, foreign)),
	} {
		for _, tenant := range []string{"", "tenant"} {
			options := policy.TokenRequestOptions{Scopes: []string{vaultScope}, TenantID: tenant}
			for range 3 {
				if _, err := chain.GetToken(context.Background(), options); err != nil {
					t.Fatal(err)
				}
			}
			if n := testing.AllocsPerRun(100, func() {
				_, _ = chain.GetToken(context.Background(), options)
			}); n > 0 {
				t.Errorf("%s: %v allocations", name, n)
			}
		}
	}
}

// lines is a log.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
