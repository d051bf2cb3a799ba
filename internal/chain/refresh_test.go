package chain

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

var forVault = requested{Scopes: []string{vaultScope}}

// refreshed is a source of ours that counts how often it is asked past what it holds. bars, unless
// nil, is called meanwhile.
type refreshed struct {
	scripted
	refreshes atomic.Int64
	fails     error
	bars      func()
}

func (s *refreshed) refresh(context.Context, requested) (azcore.AccessToken, bool, error) {
	n := s.refreshes.Add(1)
	if s.bars != nil {
		s.bars()
	}
	if s.fails != nil {
		return azcore.AccessToken{}, false, s.fails
	}
	return azcore.AccessToken{Token: s.name + " anew", ExpiresOn: time.Now().Add(time.Hour),
		RefreshOn: time.Now().Add(30 * time.Minute)}, n == 1, nil
}

func (s *refreshed) link() Link {
	return Link{Name: s.name, Source: s, Whole: true, Refresh: s.refresh}
}

// TestRefresh: the source in use is asked past what it holds, and no other, whatever it says.
func TestRefresh(t *testing.T) {
	bubble(t, func(t *testing.T) {
		away, used, next := &scripted{name: "away", err: errAway}, &refreshed{}, &scripted{name: "next"}
		used.name = "used"
		c := of(Options{}, ours(away), used.link(), next)
		for n, want := range []string{"used", "used anew", "used anew"} {
			got, changed, err := c.Refresh(t.Context(), forVault)
			if err != nil || got.Token != want || changed != (n < 2) {
				t.Errorf("%d: got %q, %v, %v, want %q", n, got.Token, changed, err, want)
			}
			if got.RefreshOn.After(time.Now().Add(lookEvery)) {
				t.Errorf("%d: SDK clients keep the token of a source that isn't the first until %v", n,
					got.RefreshOn)
			}
		}
		got, changed, err := of(Options{}, c).Refresh(t.Context(), forVault)
		if err != nil || !changed || got.Token != "used" {
			t.Errorf("a chain in a chain, first: got %q, %v, %v", got.Token, changed, err)
		}
		wantAsks(t, away, 1)
		for _, fails := range []error{errBroken, errAway} {
			text := fails.Error()
			used.fails = fails
			token, changed, err := c.Refresh(t.Context(), forVault)
			var own *Error
			if !errors.As(err, &own) || !errors.Is(err, fails) || changed || token.Token != "" ||
				!strings.Contains(err.Error(), "used failed\n") ||
				!strings.Contains(err.Error(), "used: "+text) {
				t.Errorf("%s: got %q, %v, %v", text, token.Token, changed, err)
			}
		}
		wantAsks(t, next, 0)
		if s := c.Status(); s.InUse != "used" || !strings.HasPrefix(s.Sources[1].LastError, "away") {
			t.Errorf("after failures: %+v", s)
		}
		left, leave := context.WithCancel(t.Context())
		leave()
		if _, _, err := c.Refresh(left, forVault); !errors.Is(err, context.Canceled) {
			t.Errorf("a caller who has left gets %v", err)
		}
		var none context.Context
		if _, _, err := c.Refresh(none, forVault); err == nil || err.Error() != "identity: Refresh: nil Context" {
			t.Errorf("without a context: %v", err)
		}
	})
}

// TestRefreshOfABarredSource: what was barred meanwhile is nobody's any more, and its token isn't
// handed out.
func TestRefreshOfABarredSource(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var barred atomic.Bool
		host, used := &scripted{name: "host", err: errAway}, &refreshed{}
		used.name = "developer"
		used.bars = func() { host.set(nil); barred.Store(true) }
		developer := used.link()
		developer.Bar = &Bar{Line: func(why string) string { return why }, Why: func() string {
			if barred.Load() {
				return "this is Azure"
			}
			return ""
		}}
		c := of(Options{}, ours(host), developer)
		wantFrom(t, c, "developer")
		got, changed, err := c.Refresh(t.Context(), forVault)
		if err != nil || got.Token != "host" || !changed || used.refreshes.Load() != 1 {
			t.Errorf("got %q, %v, %v", got.Token, changed, err)
		}
		barred.Store(true)
		if got, _, err = c.Refresh(t.Context(), forVault); got.Token != "host" {
			t.Errorf("barred before: got %q, %v", got.Token, err)
		}
	})
}

// TestRefreshOfOthers: a source of another package is asked as ever.
func TestRefreshOfOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		first, next := &scripted{name: "first"}, &scripted{name: "next"}
		c := of(Options{}, first, next)
		for n, want := range []string{"first", "first", "next", "next"} {
			if n == 2 {
				first.set(errAway)
			}
			got, changed, err := c.Refresh(t.Context(), forVault)
			if err != nil || got.Token != want || changed != (n%2 == 0) {
				t.Errorf("%d: got %q, %v, %v, want %q", n, got.Token, changed, err, want)
			}
		}
	})
}

// TestSources: each once, also those of a chain in the chain, and no chain.
func TestSources(t *testing.T) {
	t.Parallel()
	one, two := &scripted{name: "one"}, &scripted{name: "two"}
	inner := of(Options{}, ours(two), ours(one))
	got := of(Options{}, ours(one), inner, ours(two), inner).Sources()
	if len(got) != 2 || got[0] != azcore.TokenCredential(one) || got[1] != azcore.TokenCredential(two) {
		t.Errorf("got %v", got)
	}
}
