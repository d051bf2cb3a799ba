package identity

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/keyless-go/identity/identitytest"
)

func TestReady(t *testing.T) {
	const other = "https://management.azure.com/.default"
	t.Run("waits through start-up", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ep := identitytest.NewIMDS(nil)
			ep.Enqueue(identitytest.Response{Err: errors.New("connection refused"), For: 3 * time.Minute})
			cred := onIMDS(t, ep)
			start := time.Now()
			if err := cred.Ready(t.Context(), vaultScope, other); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took < 3*time.Minute || took > 3*time.Minute+12*time.Second {
				t.Errorf("ready after %v, want soon after 3 minutes", took)
			}
			before := len(ep.Requests())
			if err := cred.Ready(t.Context(), vaultScope, other); err != nil {
				t.Fatal(err)
			}
			if got := len(ep.Requests()) - before; got != 0 {
				t.Errorf("Ready sent %d requests when warm, want 0", got)
			}
		})
	})
	t.Run("gives up with the context", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ep := identitytest.NewIMDS(nil)
			ep.Enqueue(identitytest.Response{Status: 403, Body: "unreachable", For: time.Hour})
			cred := onIMDS(t, ep)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			start := time.Now()
			err := cred.Ready(ctx, vaultScope)
			if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrUnavailable) {
				t.Errorf("got %v, want ErrUnavailable and context.DeadlineExceeded", err)
			}
			if took := time.Since(start); took != 20*time.Second {
				t.Errorf("gave up after %v, want 20s", took)
			}
		})
	})
	t.Run("gives up with the context at once", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ep := identitytest.NewIMDS(nil)
			ep.Enqueue(identitytest.Response{Delay: time.Minute})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := onIMDS(t, ep).Ready(ctx, vaultScope); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want context.DeadlineExceeded", err)
			}
		})
	})
	t.Run("returns a refusal at once", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			for _, tt := range []struct {
				name string
				cred *Credential
				want error
			}{
				{name: "not assigned",
					cred: onIMDS(t, identitytest.NewIMDS(nil), func(o *CredentialOptions) { o.ID = ClientID("x") }),
					want: ErrIdentityNotFound},
				{name: "mismatch",
					cred: onIMDS(t, transportFunc(func(*http.Request) (*http.Response, error) {
						return respond(200, `{"access_token":"t","expires_in":60,"client_id":"y"}`), nil
					}), func(o *CredentialOptions) { o.ID = ClientID("x") }),
					want: ErrIdentityMismatch},
			} {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // Ready itself has no limit
				start := time.Now()
				if err := tt.cred.Ready(ctx, vaultScope); !errors.Is(err, tt.want) || time.Since(start) != 0 {
					t.Errorf("%s: got %v after %v, want %v at once", tt.name, err, time.Since(start), tt.want)
				}
				cancel()
			}
		})
	})
	t.Run("refuses bad scopes", func(t *testing.T) {
		t.Parallel()
		cred := onIMDS(t, identitytest.NewIMDS(nil))
		for _, scopes := range [][]string{nil, {""}, {vaultScope, " "}} {
			if err := cred.Ready(t.Context(), scopes...); err == nil {
				t.Errorf("Ready(%q) = nil, want an error", scopes)
			}
		}
	})
	t.Run("a valid token in an outage is ready", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ep := identitytest.NewIMDS(nil)
			cred := onIMDS(t, ep)
			mustToken(t, cred)
			time.Sleep(20 * time.Hour)
			ep.Enqueue(identitytest.Response{Status: 503, For: 3 * time.Hour})
			if err := cred.Ready(t.Context(), vaultScope); err != nil {
				t.Error(err)
			}
		})
	})
}

// TestReadyWaitsForAFreshToken: a host that repeats an expired token will have another one soon.
func TestReadyWaitsForAFreshToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		time.Sleep(time.Hour)
		ep.Enqueue(identitytest.Response{Body: grantBody("t", -time.Minute), For: time.Minute})
		cred := onIMDS(t, ep)
		if e, took := mustFail(t, cred); took != 0 || e.StatusCode != 200 || !strings.Contains(e.Error(), "the token expired at") {
			t.Errorf("got %v after %v, want an error about the expired token at once", e, took)
		}
		if err := cred.Ready(t.Context(), vaultScope); err != nil {
			t.Error(err)
		}
	})
}

func TestReadyThroughThrottling(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := identitytest.NewIMDS(nil)
		ep.Enqueue(identitytest.Response{Status: 429, For: 3 * time.Minute})
		start := time.Now()
		if err := onIMDS(t, ep).Ready(t.Context(), vaultScope); err != nil || time.Since(start) > 3*time.Minute+12*time.Second {
			t.Errorf("got %v after %v, want nil soon after 3 minutes", err, time.Since(start))
		}
	})
}
