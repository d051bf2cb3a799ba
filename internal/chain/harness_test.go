package chain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

const (
	vaultScope = "https://vault.azure.net/.default"
	graphScope = "https://graph.microsoft.com/.default"
)

// bubble runs a test in parallel and on virtual time. A goroutine left behind fails it, once a look
// that is under way at the end has had its time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f(t)
		time.Sleep(2 * time.Minute)
	})
}

// lasts waits for d or for the end of ctx, whose error it returns. It polls no timer that is due at
// once, as that of the root's tests.
func lasts(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

var (
	errUnavailable = errors.New("unavailable")
	errAway        = fmt.Errorf("away: %w", errUnavailable)
	errBroken      = errors.New("broken")
	errRefused     = errors.New("refused")
)

// ownError is an error of a source of ours.
type ownError struct{ text, summary string }

func (e *ownError) Error() string   { return e.text }
func (e *ownError) Summary() string { return e.summary }

// read is Options.Read in these tests.
func read(err error) Reading {
	r := Reading{Unavailable: errors.Is(err, errUnavailable)}
	if own, ok := errors.AsType[*ownError](err); ok {
		r.Own = own
	}
	return r
}

// ours is a source of ours, whose absence is so for every scope.
type ours struct{ azcore.TokenCredential }

// of makes a chain of chains, of sources of ours and of others.
func of(o Options, sources ...azcore.TokenCredential) *Chain {
	for _, source := range sources {
		l := Foreign(source)
		switch s := source.(type) {
		case *Chain:
			l = s.Link()
		case ours:
			l = Link{Name: "ours", Source: s, Whole: true}
		}
		o.Links = append(o.Links, l)
	}
	o.Name, o.Read = "chain", read
	return New(o)
}

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
	return tokenOf(s.name), nil
}

// tokenOf is a token by which its source is known.
func tokenOf(source string) azcore.AccessToken {
	return azcore.AccessToken{Token: source, ExpiresOn: time.Now().Add(time.Hour)}
}

// getToken asks for the vault's token.
func getToken(ctx context.Context, c *Chain) (azcore.AccessToken, error) {
	return getFor(ctx, c, vaultScope)
}

func getFor(ctx context.Context, c *Chain, scope string) (azcore.AccessToken, error) {
	return c.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
}

// wantFrom fails the test if the token isn't of that source.
func wantFrom(tb testing.TB, c *Chain, source string) {
	tb.Helper()
	if tk, err := getToken(tb.Context(), c); err != nil || tk.Token != source {
		tb.Errorf("got the token %q, error %v, want that of %s", tk.Token, err, source)
	}
}

// scopesOf makes n scopes.
func scopesOf(n int) []string {
	scopes := make([]string, n)
	for i := range scopes {
		scopes[i] = fmt.Sprintf("https://resource-%05d.azure.net/.default", i)
	}
	return scopes
}

// handlerFunc is a function as a log handler.
type handlerFunc func(slog.Record)

func (handlerFunc) Enabled(context.Context, slog.Level) bool { return true }
func (f handlerFunc) Handle(_ context.Context, r slog.Record) error {
	f(r)
	return nil
}
func (f handlerFunc) WithAttrs([]slog.Attr) slog.Handler { return f }
func (f handlerFunc) WithGroup(string) slog.Handler      { return f }

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
