package identitytest_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/identitytest"
)

// brief is a lifetime that a test without virtual time can wait for: the token is due at half of
// it, and a credential asks at most once in a second.
const brief = 4 * time.Second

// renewed waits until the token of cred is due, and uses it: the renewal behind that must be stored
// when Settle returns.
func renewed(t *testing.T, endpoint *identitytest.Endpoint, cred azcore.TokenCredential) {
	t.Helper()
	first := get(t, cred)
	time.Sleep(time.Until(first.RefreshOn) + time.Millisecond)
	switch held := get(t, cred); {
	case held.Token == first.Token:
	case time.Now().After(first.ExpiresOn):
		t.Skip("the machine was asleep for the rest of the token's life")
	default:
		t.Fatal("got a new token at once, want the held one, which is still good")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := endpoint.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	if next := get(t, cred); next.Token == first.Token {
		t.Error("got the token from before the renewal after Settle")
	}
	if n := len(endpoint.Requests()); n != 2 {
		t.Errorf("got %d requests, want 2", n)
	}
}

func get(t *testing.T, cred azcore.TokenCredential) azcore.AccessToken {
	t.Helper()
	token, err := cred.GetToken(t.Context(), vault)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// wrapped is a transport of a test's own.
type wrapped struct{ policy.Transporter }

// TestSettle waits for a renewal, by whatever way it goes to the endpoint.
func TestSettle(t *testing.T) {
	t.Parallel()
	for name, transport := range map[string]func(*identitytest.Endpoint) policy.Transporter{
		"Do":      func(e *identitytest.Endpoint) policy.Transporter { return e },
		"wrapped": func(e *identitytest.Endpoint) policy.Transporter { return wrapped{e} },
		"several": func(e *identitytest.Endpoint) policy.Transporter { return identitytest.Endpoints{e} },
		"Client":  func(e *identitytest.Endpoint) policy.Transporter { return e.Client() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			endpoint := identitytest.NewIMDS(&identitytest.Options{Lifetime: brief})
			cred := newCredentialOver(t, transport(endpoint))
			renewed(t, endpoint, cred)
		})
		t.Run(name+" in a bubble", func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				endpoint := identitytest.NewIMDS(nil)
				cred := newCredentialOver(t, transport(endpoint))
				endpoint.Enqueue(identitytest.Response{}, identitytest.Response{Delay: time.Minute / 4})
				renewed(t, endpoint, cred)
			})
		})
	}
}

func newCredentialOver(t *testing.T, transport policy.Transporter) *identity.Credential {
	t.Helper()
	cred, err := identity.NewCredential(&identity.CredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: transport}, Host: identity.HostIMDS,
	})
	if err != nil {
		t.Fatal(err)
	}
	return cred
}

// TestSettleFederated waits at both ends: a job's endpoint gives the assertion, Entra the token.
func TestSettleFederated(t *testing.T) { // not parallel: it sets variables
	for at := range 2 {
		github := identitytest.NewGitHubActions(nil)
		for _, line := range github.Env("https://github.example") {
			name, value, _ := strings.Cut(line, "=")
			t.Setenv(name, value)
		}
		synctest.Test(t, func(t *testing.T) {
			entra := identitytest.NewEntra(&identitytest.Options{
				FederatedCredentials: github.FederatedCredentials()})
			cred, err := identity.NewFederatedCredential(entra.Identities()[0].TenantID,
				identity.ClientID(entra.Identities()[0].ClientID), identity.GitHubActionsAssertion(),
				&identity.FederatedCredentialOptions{ClientOptions: azcore.ClientOptions{
					Transport: identitytest.Endpoints{github, entra}}})
			if err != nil {
				t.Fatal(err)
			}
			renewed(t, []*identitytest.Endpoint{github, entra}[at], cred)
		})
	}
}

// TestSettleAfterAFailure: a renewal that has failed is over.
func TestSettleAfterAFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		endpoint := identitytest.NewIMDS(nil)
		cred := newCredential(endpoint, policy.RetryOptions{})
		first := get(t, cred)
		time.Sleep(time.Until(first.RefreshOn))
		endpoint.Enqueue(identitytest.Response{Status: 503, Delay: time.Second})
		get(t, cred)
		begin := time.Now()
		if err := endpoint.Settle(t.Context()); err != nil || time.Since(begin) != time.Second {
			t.Errorf("got %v after %v, want nil after the second that the answer takes", err,
				time.Since(begin))
		}
		if s := cred.Status().Resources[0]; s.Failures != 1 || s.InFlight {
			t.Errorf("got %+v, want one failure and nothing under way", s)
		}
	})
}

// TestSettleWaitsForStrangers: a request without a credential is one, too.
func TestSettleWaitsForStrangers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		endpoint := identitytest.NewIMDS(nil)
		if err := endpoint.Settle(t.Context()); err != nil {
			t.Errorf("with nothing under way: %v", err)
		}
		endpoint.Enqueue(identitytest.Response{Delay: time.Minute})
		go func() {
			request, _ := http.NewRequest(http.MethodGet, "http://169.254.169.254/", nil)
			if response, err := endpoint.Do(request); err == nil {
				_ = response.Body.Close()
			}
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if err := endpoint.Settle(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want that the context has ended", err)
		}
		if err := endpoint.Settle(t.Context()); err != nil || time.Since(begin) != time.Minute {
			t.Errorf("got %v after %v, want nil after a minute", err, time.Since(begin))
		}
		if err := endpoint.Settle(ctx); err != nil {
			t.Errorf("with an ended context, and nothing under way: %v", err)
		}
	})
}
