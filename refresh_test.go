package identity

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"
	"github.com/keyless-go/identity/identitytest"
)

// mustRefresh refreshes the vault's token, and returns how long that took.
func mustRefresh(
	tb testing.TB, cred *Credential,
) (tk azcore.AccessToken, changed bool, took time.Duration) {
	tb.Helper()
	start := time.Now()
	tk, changed, err := cred.Refresh(context.Background(), vaultScope)
	if err != nil {
		tb.Fatalf("Refresh after %v: %v", time.Since(start), err)
	}
	return tk, changed, time.Since(start)
}

// asClients asks for the vault's token as Azure SDK clients do.
func asClients(tb testing.TB, cred *Credential) azcore.AccessToken {
	tb.Helper()
	return askFor(tb, cred, policy.TokenRequestOptions{Scopes: []string{vaultScope}, EnableCAE: true})
}

// repeats reports whether a fake with a cache repeats its token: Entra has none.
func repeats(p place, hostCache bool) bool { return hostCache && p.host != HostWorkloadIdentity }

// TestRefresh: past our cache, but not past the host's. Nothing in the request says so.
func TestRefresh(t *testing.T) {
	for _, hostCache := range []bool{true, false} {
		everywhereNamed(t, fmt.Sprint("host cache ", hostCache), func(t *testing.T, p place) {
			s := p.open(t, func(o *identitytest.Options) { o.HostCache = hostCache })
			cred, want := s.credential(t), !repeats(p, hostCache)
			first := asClients(t, cred)
			time.Sleep(time.Minute)
			got, changed, _ := mustRefresh(t, cred)
			if changed != want || (got.Token != first.Token) != changed {
				t.Errorf("changed is %v, another token %v, want %v", changed, got.Token != first.Token, want)
			}
			requests := s.ep.Requests()
			if len(requests) != 2*s.steps {
				t.Fatalf("%d requests, want %d", len(requests), 2*s.steps)
			}
			for i := range s.steps {
				plain, again := sentParts(t, requests[i]), sentParts(t, requests[s.steps+i])
				if diff := cmp.Diff(plain, again); diff != "" {
					t.Errorf("the request differs (-first +refresh):\n%s", diff)
				}
			}
			if tk := asClients(t, cred); tk.Token != got.Token {
				t.Error("clients don't get what Refresh got")
			}
			if now := time.Now(); !got.RefreshOn.After(now) || got.RefreshOn.After(got.ExpiresOn) {
				t.Errorf("ends at %v, renewed at %v, now is %v", got.ExpiresOn, got.RefreshOn, now)
			}
			// Within 30 s of the request there is none, and the answer is the same.
			for range 29 {
				tk, again, took := mustRefresh(t, cred)
				if tk.Token != got.Token || again != changed || took != 0 {
					t.Fatalf("again: another token %v, changed %v, after %v, want the same at once",
						tk.Token != got.Token, again, took)
				}
				time.Sleep(time.Second)
			}
			if s.sent() != 2*s.steps {
				t.Errorf("%d requests within 30 s, want %d", s.sent(), 2*s.steps)
			}
			time.Sleep(2 * time.Second)
			tk, changed, _ := mustRefresh(t, cred)
			if s.sent() != 3*s.steps || changed != want || (tk.Token != got.Token) != changed {
				t.Errorf("after 31 s: %d requests, changed %v, want %d and %v", s.sent(), changed, 3*s.steps,
					want)
			}
		})
	}
}

func TestRefreshWithoutAToken(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		s := p.open(t, func(o *identitytest.Options) { o.HostCache = true })
		cred := s.credential(t)
		got, changed, _ := mustRefresh(t, cred)
		if !changed {
			t.Error("the first token is no change")
		}
		if tk := asClients(t, cred); tk.Token != got.Token || s.sent() != s.steps {
			t.Errorf("clients get another token %v, %d requests, want the same and %d",
				tk.Token != got.Token, s.sent(), s.steps)
		}
	})
}

func TestRefreshIsShared(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		s := p.open(t)
		cred := s.credential(t)
		first := asClients(t, cred)
		before := s.sent()
		for range s.steps {
			s.ep.Enqueue(identitytest.Response{Delay: 3 * time.Second})
		}
		took := time.Duration(s.steps) * 3 * time.Second
		var wg sync.WaitGroup
		var tokens sync.Map
		for range 100 {
			wg.Go(func() {
				tk, changed, waited := mustRefresh(t, cred)
				if !changed || tk.Token == first.Token || waited != took {
					t.Errorf("changed %v, the old token %v, after %v, want a new one after %v", changed,
						tk.Token == first.Token, waited, took)
				}
				tokens.Store(tk.Token, true)
			})
		}
		synctest.Wait()
		if tk := asClients(t, cred); tk.Token != first.Token {
			t.Error("during the refresh others don't get the held token")
		}
		wg.Wait()
		n := 0
		tokens.Range(func(any, any) bool { n++; return true })
		if n != 1 || s.sent()-before != s.steps {
			t.Errorf("%d tokens of %d requests, want one of %d", n, s.sent()-before, s.steps)
		}
	})
}

func TestFailedRefresh(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		s := p.open(t)
		cred := s.credential(t, once)
		first := asClients(t, cred)
		before := s.sent()
		s.answer(s.own(403, s.problem("some_error", "some text")))
		for second := range 30 {
			tk, changed, err := cred.Refresh(t.Context(), vaultScope)
			if tk != (azcore.AccessToken{}) || changed {
				t.Fatalf("after %d s: a failed refresh returned a token, or changed %v", second, changed)
			}
			wantErrorText(t, err, p.host.String(), "403", "some text", "https://vault.azure.net")
			if held := asClients(t, cred); held.Token != first.Token {
				t.Fatal("the held token was lost")
			}
			time.Sleep(time.Second)
		}
		if got := s.sent() - before; got != s.steps {
			t.Errorf("%d requests in 30 s of failure, want %d", got, s.steps)
		}
		if tk, changed, _ := mustRefresh(t, cred); !changed || tk.Token == first.Token {
			t.Errorf("after 30 s: changed %v", changed)
		}
	})
}

// TestRefreshOfClientsTokens: where CAE makes a difference, the tokens of Azure SDK clients are
// refreshed, and no others.
func TestRefreshOfClientsTokens(t *testing.T) {
	for _, host := range []Host{HostWorkloadIdentity, HostServiceFabric} {
		bubbleIn(t, host.String(), func(t *testing.T) {
			cred := placeOf(host).open(t).credential(t)
			plain, _ := mustToken(t, cred)
			clients := asClients(t, cred)
			got, changed, _ := mustRefresh(t, cred)
			if !changed || got.Token == clients.Token || asClients(t, cred).Token != got.Token {
				t.Errorf("clients don't get the refreshed token, changed %v", changed)
			}
			if tk, _ := mustToken(t, cred); tk.Token != plain.Token {
				t.Error("the token without CAE was refreshed")
			}
		})
	}
}

// TestRefreshArguments: which scopes are refused, TestGetTokenArguments has.
func TestRefreshArguments(t *testing.T) {
	t.Parallel()
	var sent atomic.Int64
	cred := onIMDS(t, transportFunc(func(*http.Request) (*http.Response, error) {
		sent.Add(1)
		return nil, refused()
	}))
	for _, tt := range []struct {
		name  string
		cred  *Credential
		ctx   context.Context
		scope string
		want  string
	}{
		{name: "zero value", cred: &Credential{}, ctx: t.Context(), scope: vaultScope,
			want: "not made by NewCredential"},
		{name: "nil context", cred: cred, scope: vaultScope, want: "nil Context"},
		{name: "empty scope", cred: cred, ctx: t.Context(), want: "empty scope"},
		{name: "line break", cred: cred, ctx: t.Context(), scope: "a\nb", want: "control character"},
	} {
		tk, changed, err := tt.cred.Refresh(tt.ctx, tt.scope)
		if tk != (azcore.AccessToken{}) || changed {
			t.Errorf("%s: returned a token, or changed %v", tt.name, changed)
		}
		wantErrorText(t, err, "Refresh", tt.want)
	}
	if sent.Load() != 0 {
		t.Error("something was sent")
	}
}

func TestRefreshLog(t *testing.T) {
	for _, hostCache := range []bool{true, false} {
		everywhereNamed(t, fmt.Sprint("host cache ", hostCache), func(t *testing.T, p place) {
			s := p.open(t, func(o *identitytest.Options) { o.HostCache = hostCache })
			var log bytes.Buffer
			cred := s.credential(t, once, func(o *CredentialOptions) {
				o.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			})
			first, repeated := asClients(t, cred), repeats(p, hostCache)
			synctest.Wait()
			log.Reset()
			tk, changed, _ := mustRefresh(t, cred)
			synctest.Wait()
			var got struct {
				Level, Msg, Resource, Host string
				Changed                    *bool
				Ends                       time.Time `json:"host_cache_ends"`
				Expires, Renewal           time.Time
			}
			if err := json.Unmarshal(log.Bytes(), &got); err != nil {
				t.Fatalf("%v in %q, want one line", err, log.String())
			}
			want := "token refreshed"
			if repeated {
				want = "the host repeated the held token from its own cache, " +
					"which ends with the token at the latest"
			}
			if got.Level != "INFO" || got.Msg != want || got.Resource != "https://vault.azure.net" ||
				got.Host != string(p.host) || got.Changed == nil || *got.Changed != changed {
				t.Errorf("logged %s, want %q", log.String(), want)
			}
			if !got.Expires.Equal(tk.ExpiresOn) || !got.Renewal.Equal(tk.RefreshOn) ||
				got.Ends.IsZero() == repeated || repeated && !got.Ends.Equal(tk.ExpiresOn) {
				t.Errorf("logged %s, want the times of %v and %v", log.String(), tk.ExpiresOn, tk.RefreshOn)
			}
			time.Sleep(31 * time.Second)
			s.answer(s.own(403, s.problem("some_error", "some text")))
			_, _, err := cred.Refresh(t.Context(), vaultScope)
			wantErrorText(t, err, "403")
			synctest.Wait()
			text := log.String() + fmt.Sprintf("%+v %#v", err, err)
			if !strings.Contains(text, "the held token stays in use") {
				t.Errorf("logged %s", text)
			}
			for _, secret := range []string{first.Token, tk.Token, s.env.getenv(s.secret)} {
				if secret != "" && strings.Contains(text, secret) {
					t.Errorf("a secret is in %s", text)
				}
			}
		})
	}
}

// TestRefreshDuringAnOutage ends in the time that is documented.
func TestRefreshDuringAnOutage(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		s := p.open(t)
		cred := s.credential(t)
		first := asClients(t, cred)
		s.down.Store(true)
		start := time.Now()
		if _, _, err := cred.Refresh(t.Context(), vaultScope); err == nil ||
			errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v, want an error that isn't ErrUnavailable", err)
		}
		if took := time.Since(start); took > p.budget[1]+overtime {
			t.Errorf("took %v, want at most %v", took, p.budget[1])
		}
		s.down.Store(false)
		if tk := asClients(t, cred); tk.Token != first.Token {
			t.Error("the held token was lost")
		}
	})
}
