package identity

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/keyless-go/identity/identitytest"
)

// TestFailureIsLoggedBeforeItIsReturned: a program that ends because it got no token has said why.
// What is written then is looked at without a wait for goroutines that may write yet.
func TestFailureIsLoggedBeforeItIsReturned(t *testing.T) {
	down := func() *identitytest.Endpoint {
		ep := identitytest.NewIMDS(nil)
		ep.Enqueue(identitytest.Response{Status: 400, For: time.Hour})
		return ep
	}
	onDown := func(t *testing.T, log *slog.Logger) *Credential {
		return onIMDS(t, down(), func(o *CredentialOptions) { o.Logger = log })
	}
	for name, of := range map[string]func(*testing.T, *slog.Logger) azcore.TokenCredential{
		"a host": func(t *testing.T, log *slog.Logger) azcore.TokenCredential { return onDown(t, log) },
		"a tool": func(t *testing.T, log *slog.Logger) azcore.TokenCredential {
			return azureCLIOf(t, &fakeTool{answer: func(int) ([]byte, error) {
				return nil, errNotLoggedIn
			}}, AzureCLICredentialOptions{Logger: log})
		},
		"a federated application": func(t *testing.T, log *slog.Logger) azcore.TokenCredential {
			fails := AssertionFunc(func(context.Context, AssertionRequest) (string, error) {
				return "", errBroken
			})
			cred, err := NewFederatedCredential(appTenant, appClient, fails,
				&FederatedCredentialOptions{ClientOptions: optionsWith(down()), Logger: log})
			if err != nil {
				t.Fatal(err)
			}
			return cred
		},
		"a chain": func(t *testing.T, log *slog.Logger) azcore.TokenCredential {
			return mustChain(t, nil, onDown(t, log))
		},
	} {
		bubbleIn(t, name, func(t *testing.T) {
			var warnings atomic.Int64
			cred := of(t, slog.New(handlerFunc(func(r slog.Record) {
				time.Sleep(time.Millisecond) // a pipe that is slow to be read
				if r.Level >= slog.LevelWarn && strings.Contains(r.Message, "token") {
					warnings.Add(1)
				}
			})))
			if _, err := getToken(t.Context(), cred); err == nil {
				t.Fatal("got a token")
			}
			if n := warnings.Load(); n != 1 {
				t.Errorf("the log has %d warnings when the error is returned, want 1", n)
			}
		})
	}
}
