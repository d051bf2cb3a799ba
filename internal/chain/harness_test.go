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

var (
	errUnavailable = errors.New("unavailable")
	errAway        = fmt.Errorf("away: %w", errUnavailable)
	errBroken      = errors.New("broken")
	errRefused     = errors.New("refused")
)

type requested = policy.TokenRequestOptions

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

// bubbleIn does so in a subtest.
func bubbleIn(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { bubble(t, f) })
}

// lasts waits for d or for the end of ctx, whose error it returns. It polls no timer that is due at
// once: see lasts of the module's root.
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

// ownError is an error of a source of ours.
type ownError struct {
	text   string
	passes bool
}

func (e *ownError) Error() string { return e.text }

// read is Options.Read in these tests.
func read(err error) Reading {
	r := Reading{Unavailable: errors.Is(err, errUnavailable)}
	if own, ok := errors.AsType[*ownError](err); ok {
		r.Own, r.Passes = own, own.passes
	}
	return r
}

// ours is a source of ours, whose absence is so for every scope.
func ours(source azcore.TokenCredential) Link {
	return Link{Name: "ours", Source: source, Whole: true}
}

// of makes a chain of links, of chains, and of sources of others.
func of(o Options, sources ...any) *Chain {
	for _, source := range sources {
		switch s := source.(type) {
		case Link:
			o.Links = append(o.Links, s)
		case *Chain:
			o.Links = append(o.Links, s.Link())
		case azcore.TokenCredential:
			o.Links = append(o.Links, Foreign(s))
		}
	}
	o.Name, o.Read = "chain", read
	return New(o)
}

// sourceFunc is a function as a source, which says whose token it is.
type sourceFunc func(context.Context, requested) (string, error)

func (f sourceFunc) GetToken(ctx context.Context, o requested) (azcore.AccessToken, error) {
	from, err := f(ctx, o)
	return azcore.AccessToken{Token: from, ExpiresOn: time.Now().Add(time.Hour)}, err
}

// scripted is a source that says what it is told to, and counts how often it is asked.
type scripted struct {
	name    string
	refuses func(requested) bool // for what it returns err; nil for everything
	mu      sync.Mutex
	err     error
	took    time.Duration
	asks    atomic.Int64
}

func (s *scripted) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *scripted) GetToken(ctx context.Context, o requested) (azcore.AccessToken, error) {
	s.asks.Add(1)
	s.mu.Lock()
	err, took := s.err, s.took
	s.mu.Unlock()
	if err := lasts(ctx, took); err != nil {
		return azcore.AccessToken{}, err
	}
	if err != nil && (s.refuses == nil || s.refuses(o)) {
		return azcore.AccessToken{}, err
	}
	return azcore.AccessToken{Token: s.name, ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// getToken asks for the vault's token.
func getToken(ctx context.Context, c *Chain) (azcore.AccessToken, error) {
	return c.GetToken(ctx, requested{Scopes: []string{vaultScope}})
}

// wantFrom fails the test if the token isn't of that source. It is of the vault, if no scope is
// named.
func wantFrom(t *testing.T, c *Chain, source string, scopes ...string) azcore.AccessToken {
	t.Helper()
	if scopes == nil {
		scopes = []string{vaultScope}
	}
	tk, err := c.GetToken(t.Context(), requested{Scopes: scopes})
	if err != nil || tk.Token != source {
		t.Errorf("got the token %q, error %v, want that of %s", tk.Token, err, source)
	}
	return tk
}

// wantAsks fails the test if a source was asked more or less often since the last time.
func wantAsks(t *testing.T, s *scripted, want int64) {
	t.Helper()
	if got := s.asks.Swap(0); got != want {
		t.Errorf("%s was asked %d times, want %d", s.name, got, want)
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

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
