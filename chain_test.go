package identity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
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

// firstSource is what a chain asks first.
func firstSource(c *Chain) azcore.TokenCredential { return c.engine.Status().Sources[0].Source }

// wantFrom fails the test if the token isn't of that source.
func wantFrom(tb testing.TB, cred azcore.TokenCredential, source string) {
	tb.Helper()
	if tk, err := getToken(tb.Context(), cred); err != nil || tk.Token != source {
		tb.Errorf("got the token %q, error %v, want that of %s", tk.Token, err, source)
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

func TestNewChainRefuses(t *testing.T) {
	t.Parallel()
	var none *AzureCLICredential
	for _, tt := range []struct {
		name    string
		sources []azcore.TokenCredential
		want    string
	}{
		{name: "no sources", want: "identity: NewChain: no sources"},
		{name: "nil", sources: []azcore.TokenCredential{&scripted{}, nil},
			want: "identity: NewChain: sources[1] is nil"},
		{name: "nil pointer", sources: []azcore.TokenCredential{none},
			want: "identity: NewChain: sources[0] is nil"},
	} {
		if _, err := NewChain(tt.sources, nil); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: error is %v, want %q", tt.name, err, tt.want)
		}
	}
	if s := (&Chain{}).Status(); s.InUse != "" || s.Sources == nil || len(s.Sources) > 0 {
		t.Errorf("zero Chain: status is %+v", s)
	}
	for name, zero := range map[string]*Chain{"zero": {}, "of a zero": mustChain(t, nil, &Chain{})} {
		if _, err := getToken(t.Context(), zero); err == nil ||
			!strings.Contains(err.Error(), "not made by NewChain") {
			t.Errorf("%s Chain: error is %v", name, err)
		}
	}
	var noContext context.Context
	if _, err := getToken(noContext, mustChain(t, nil, &scripted{})); err == nil ||
		!strings.Contains(err.Error(), "nil Context") {
		t.Errorf("nil Context: error is %v", err)
	}
}

// TestChainOptionsAreTheCallers: to change after NewChain.
func TestChainOptionsAreTheCallers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sources := []azcore.TokenCredential{&scripted{err: errBroken}, &scripted{name: "b"}}
		options := &ChainOptions{}
		chain := mustChain(t, options, sources...)
		clear(sources)
		options.ContinueOn = func(error) bool { return true }
		if _, err := getToken(t.Context(), chain); !errors.Is(err, errBroken) {
			t.Errorf("error is %v, want that of the first source, at which the chain ends", err)
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
// nothing, whosever it is, on Azure and on a laptop.
func TestChainHitDoesNotAllocate(t *testing.T) {
	cred, err := NewCredential(&CredentialOptions{Host: HostIMDS,
		ClientOptions: azcore.ClientOptions{Transport: &answerDirectly{}}})
	if err != nil {
		t.Fatal(err)
	}
	foreign := &scripted{name: "held"}
	onLaptop := (&laptop{}).credential(t, notIMDS["gateway's 404"])
	beSilent(firstSource(onLaptop).(*probedHost)) // without its second: this is no bubble
	for name, chain := range map[string]*Chain{
		"ours":             mustChain(t, nil, cred),
		"foreign":          mustChain(t, nil, foreign),
		"ours and foreign": mustChain(t, nil, cred, foreign),
		"foreign, second":  mustChain(t, nil, &scripted{err: errAway}, foreign),
		"nested":           mustChain(t, nil, mustChain(t, nil, foreign)),
		"default on Azure": (&laptop{}).credential(t, &answerDirectly{}),
		"on a laptop":      onLaptop,
	} {
		for _, options := range []policy.TokenRequestOptions{
			{Scopes: []string{vaultScope}},
			{Scopes: []string{vaultScope}, EnableCAE: true},
			{Scopes: []string{vaultScope}, TenantID: "tenant"},
		} {
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

// TestChainSharesOurs: a thousand callers run az once, before it is in use and after, and leave
// with their own ctx.
func TestChainSharesOurs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &laptop{took: 2 * time.Second}
		az, err := newAzureCLI(newShared(), nil, l.environment())
		if err != nil {
			t.Fatal(err)
		}
		chain := mustChain(t, nil, &scripted{err: errAway}, az)
		for range 2 { // again when the token has ended
			l.runs.Store(0)
			start := time.Now()
			var all sync.WaitGroup
			for range 500 {
				all.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					if _, err := getToken(ctx, chain); !errors.Is(err, context.DeadlineExceeded) ||
						time.Since(start) != time.Second {
						t.Errorf("got %v after %v, want the caller's deadline after 1 s", err,
							time.Since(start))
					}
				})
				all.Go(func() {
					if wantFrom(t, chain, developersToken); time.Since(start) != 2*time.Second {
						t.Errorf("got it after %v", time.Since(start))
					}
				})
			}
			all.Wait()
			if l.runs.Load() != 1 {
				t.Errorf("az was run %d times for 1000 callers, want once", l.runs.Load())
			}
			time.Sleep(time.Hour)
		}
	})
}

// TestChainError is what is read at night. Each caller has its own, though they share a request.
func TestChainError(t *testing.T) {
	want := []string{
		"identity: chain: no token for https://vault.azure.net: managed identity failed",
		`managed identity: IMDS: 404 "<html>gateway</html>": not an answer of IMDS (token for ` +
			`https://vault.azure.net, `,
		`managed identity: IMDS: 400 invalid_request "Identity not found" (token for ` +
			`https://vault.azure.net, 1 attempt, `,
		"identity.scripted: not asked: the next source is for when one is unavailable, not for when " +
			"one fails",
	}
	bubble(t, func(t *testing.T) {
		silent := onIMDS(t, transportFunc(func(*http.Request) (*http.Response, error) {
			return respond(404, "<html>gateway</html>"), nil
		}))
		unassigned := onIMDS(t, identitytest.NewIMDS(nil), withID(ClientID(guid)))
		chain := mustChain(t, nil, silent, unassigned, &scripted{})
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				_, err := getToken(t.Context(), chain)
				lines := strings.Split(fmt.Sprint(err), "\n\t")
				if !slices.EqualFunc(lines, want, strings.HasPrefix) {
					t.Errorf("got %q, want %q", lines, want)
				}
				_, err = getToken(t.Context(), mustChain(t, nil, mustChain(t, nil, chain)))
				ae, ok := errors.AsType[*AuthenticationError](err)
				if !ok || ae.StatusCode != 400 || !errors.Is(err, ErrIdentityNotFound) ||
					errors.Is(err, ErrUnavailable) {
					t.Errorf("errors.As finds %v, want the 400 that ended it", ae)
					return
				}
				body, _ := io.ReadAll(ae.RawResponse.Body) // azcore would rewind it for the others
				if !strings.Contains(string(body), "Identity not found") {
					t.Errorf("a caller read %q", body)
				}
			})
		}
		all.Wait()
	})
}
